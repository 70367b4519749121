//! Section 8: streams, published and played before, during and after calls, closed and used again.

use crate::amf::{Amf, text};
use crate::stage::{LOOPBACK, PCMU};
use crate::wire::{AUDIO, Flash, Got, PATIENCE};
use gateway_tests::gateway::Gateway;
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::{Dialog, SipPeer};
use std::time::{Duration, Instant};

struct Talk {
    _gateway: Gateway,
    peer: SipPeer,
    flash: Flash,
    rtp: RtpPeer,
}

impl Talk {
    async fn new() -> Self {
        let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
        let flash = Flash::connected(gateway.rtmp, &format!("sip/alice@{}", peer.domain()), &[]).await;
        Self { flash, _gateway: gateway, peer, rtp: RtpPeer::bind(LOOPBACK).await }
    }

    async fn call(&mut self) -> Dialog {
        self.flash.call("invite", &[text(&self.peer.uri("bob")), text("pcmu")]).await;
        let dialog = self.peer.incoming().await;
        self.peer.answer(&dialog, &AudioSdp::new(self.rtp.address(), PCMU)).await;
        self.flash.told("accepted").await;
        dialog
    }

    async fn publishes(&mut self, stream: u32) {
        self.flash.on_stream(stream, "publish", &[text("local"), text("live")]).await;
        let said = self.status(stream).await;
        assert!(said.contains("NetStream.Publish.Start"), "{said}");
    }

    async fn plays(&mut self, stream: u32) {
        self.flash.on_stream(stream, "play", &[text("remote")]).await;
        let said = self.status(stream).await;
        assert!(said.contains("NetStream.Play.Start") && said.contains("description: \"remote\""), "{said}");
    }

    /// The next `onStatus` of a stream; answers to calls may come before it.
    async fn status(&mut self, stream: u32) -> String {
        loop {
            let got = self.flash.command().await;
            if got.name() == "onStatus" {
                assert_eq!(got.stream, stream, "{got}");
                return got.to_string();
            }
        }
    }

    /// Audio passes both ways: to the peer from `local`, to the phone on `remote`.
    async fn is_heard_both_ways(&mut self, dialog: &Dialog, local: u32, remote: u32) {
        self.rtp.forget();
        for _ in 0..5 {
            self.flash.send(AUDIO, 8, local, &[&[0x82][..], &[0x44; 160]].concat()).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.rtp.wait_for(0, PATIENCE).await.payload, [0x44; 160]);
        self.rtp.play(dialog.rtp(), 0, 160, &vec![vec![0x3A; 160]; 6]).await;
        let heard = self.audio().await;
        assert_eq!((heard.stream, &heard.body[..3]), (remote, &[0x82, 0x3A, 0x3A][..]));
    }

    async fn audio(&mut self) -> Got {
        let end = Instant::now() + PATIENCE;
        loop {
            let got = self.flash.message().await.expect("the connection is open");
            if got.kind == 8 {
                return got;
            }
            assert!(Instant::now() < end, "no audio");
        }
    }

    async fn hang_up(&mut self, dialog: &mut Dialog) {
        assert_eq!(self.peer.bye(dialog).await.status(), Some(200));
        self.flash.told("byed").await;
    }
}

/// BUG of siprtmp: `play` before the call was not answered, or ended the connection.
#[tokio::test]
async fn streams_opened_before_the_call_are_answered_and_carry_the_call() {
    let mut talk = Talk::new().await;
    let (local, remote) = (talk.flash.create_stream().await, talk.flash.create_stream().await);
    talk.publishes(local).await;
    talk.plays(remote).await;
    // What is said before there is anybody to hear it is dropped.
    talk.flash.send(AUDIO, 8, local, &[&[0x82][..], &[1; 160]].concat()).await;
    let dialog = talk.call().await;
    talk.is_heard_both_ways(&dialog, local, remote).await;
}

#[tokio::test]
async fn streams_may_be_opened_while_it_rings_in_either_order() {
    let mut talk = Talk::new().await;
    talk.flash.call("invite", &[text(&talk.peer.uri("bob")), text("pcmu")]).await;
    let dialog = talk.peer.incoming().await;
    talk.peer.ring(&dialog).await;
    assert_eq!(talk.flash.told("ringing").await, [text("180 Ringing")]);
    let (remote, local) = (talk.flash.create_stream().await, talk.flash.create_stream().await);
    talk.plays(remote).await;
    talk.publishes(local).await;
    talk.peer.answer(&dialog, &AudioSdp::new(talk.rtp.address(), PCMU)).await;
    talk.flash.told("accepted").await;
    talk.is_heard_both_ways(&dialog, local, remote).await;
}

#[tokio::test]
async fn streams_opened_during_and_after_a_call_work_and_those_left_open_serve_the_next() {
    let mut talk = Talk::new().await;
    let mut dialog = talk.call().await;
    let (local, remote) = (talk.flash.create_stream().await, talk.flash.create_stream().await);
    talk.publishes(local).await;
    talk.plays(remote).await;
    talk.is_heard_both_ways(&dialog, local, remote).await;
    talk.hang_up(&mut dialog).await;
    // Still open; what is said meanwhile goes nowhere. The next call needs no new streams.
    talk.flash.send(AUDIO, 8, local, &[&[0x82][..], &[1; 160]].concat()).await;
    let dialog = talk.call().await;
    talk.is_heard_both_ways(&dialog, local, remote).await;
}

/// MUST: Flash publishes again on the same NetStream without a new `createStream`.
#[tokio::test]
async fn closed_streams_are_published_and_played_again_on_the_same_numbers() {
    let mut talk = Talk::new().await;
    let (local, remote) = (talk.flash.create_stream().await, talk.flash.create_stream().await);
    assert_eq!((local, remote), (1, 2));
    for _ in 0..3 {
        let mut dialog = talk.call().await;
        talk.publishes(local).await;
        talk.plays(remote).await;
        talk.is_heard_both_ways(&dialog, local, remote).await;
        talk.hang_up(&mut dialog).await;
        for stream in [local, remote] {
            talk.flash.on_stream(stream, "closeStream", &[]).await;
        }
        // The names are free for other streams too, and their part may change.
        talk.plays(local).await;
        talk.publishes(remote).await;
        for stream in [local, remote] {
            talk.flash.on_stream(stream, "closeStream", &[]).await;
        }
    }
}

#[tokio::test]
async fn a_name_that_is_published_twice_is_a_bad_name_and_a_query_is_cut_off() {
    let mut talk = Talk::new().await;
    let (first, second) = (talk.flash.create_stream().await, talk.flash.create_stream().await);
    talk.publishes(first).await;
    talk.flash.on_stream(second, "publish", &[text("local?x=1"), Amf::Null]).await;
    let said = talk.status(second).await;
    assert!(said.contains("level: \"error\"") && said.contains("NetStream.Publish.BadName"), "{said}");
    assert!(said.contains("description: \"Stream name already in use\""), "{said}");
    talk.flash.on_stream(first, "closeStream", &[]).await;
    talk.publishes(second).await;
}

#[tokio::test]
async fn a_chunk_size_of_the_client_is_obeyed() {
    let mut talk = Talk::new().await;
    talk.flash.send(2, 1, 0, &65_536u32.to_be_bytes()).await;
    // A command of 300 bytes in one piece.
    let words: Vec<Amf> =
        std::iter::once(text(&talk.peer.uri("bob"))).chain((0..20).map(|_| text("nonsense"))).collect();
    let body = crate::wire::command(20, "invite", 9.0, &[&words[..], &[text("pcma")]].concat());
    assert!(body.len() > 200);
    let mut bytes = vec![6, 0, 0, 0];
    bytes.extend(&(body.len() as u32).to_be_bytes()[1..]);
    bytes.extend([20, 0, 0, 0, 0]);
    talk.flash.send_raw(&[bytes, body].concat()).await;
    assert_eq!(talk.flash.says().await, "3 20 0 \"_result\" 9 null");
    let dialog = talk.peer.incoming().await;
    assert_eq!(dialog.remote_sdp.unwrap().formats[0].0, 8);
}
