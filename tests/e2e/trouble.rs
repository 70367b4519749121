//! Lost and repeated datagrams, a stalled link, a phone that vanishes: calls survive what can be survived, and end cleanly otherwise.

use crate::stage::{LOOPBACK, PCMU, Stage, alice};
use gateway_tests::audio;
use gateway_tests::gateway::Gateway;
use gateway_tests::network::{TcpRelay, UdpRelay, Weather};
use gateway_tests::phone::{Login, Phone};
use gateway_tests::rtp::{RtpPeer, g711_timeline};
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::PhoneVoice;
use std::time::{Duration, Instant};

/// RFC 3261's timers make up for a network that loses a quarter of all datagrams and repeats some.
#[tokio::test]
async fn register_call_and_bye_survive_lost_and_repeated_datagrams() {
    let weather = Weather { loss: 0.25, repeat: 0.2, ..Weather::default() };
    for seed in [1, 2, 3] {
        let gateway = Gateway::start().await;
        let mut peer = SipPeer::bind(LOOPBACK).await;
        let relay = UdpRelay::new(LOOPBACK, peer.address(), weather, seed).await;
        peer.behind(relay.near(), relay.far());
        let phone = Phone::connected(gateway.rtmp, alice(&peer)).await;
        let mut stage = Stage { gateway, peer, phone };
        let call = stage.call_out(&["ulaw"], PCMU).await;
        stage.phone.bye().await;
        let (bye, from) = stage.peer.request("BYE").await;
        assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
        stage.peer.respond(&bye, from, 200, "OK", None).await;
        stage.phone.vanish();
        stage.peer.wait_binding("alice", false, Duration::from_secs(20)).await;
        assert!(relay.tally().1 > 0, "seed {seed} lost nothing: {:?}", relay.tally());
    }
}

#[tokio::test]
async fn a_repeated_invite_rings_once_and_a_repeated_bye_is_said_once() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let contact = stage.peer.binding("alice").unwrap();
    let calling = stage.peer.start_invite(&contact, stage.gateway.sip, Some(&AudioSdp::new(rtp.address(), PCMU))).await;
    for _ in 0..3 {
        stage.peer.send_raw(calling.invite.to_string().as_bytes(), stage.gateway.sip).await;
    }
    stage.phone.expect("invited").await;
    stage.phone.expect_silence(Duration::from_millis(700)).await;
    stage.peer.cancel(calling).await;
    stage.phone.expect("cancelled").await;

    let mut call = stage.call_in(&["ulaw"], PCMU).await;
    let bye = stage.peer.in_dialog(&mut call.dialog, "BYE");
    for _ in 0..3 {
        stage.peer.send_raw(bye.to_string().as_bytes(), stage.gateway.sip).await;
    }
    stage.phone.expect("byed").await;
    stage.phone.expect_silence(Duration::from_millis(500)).await;
}

#[tokio::test]
async fn a_phone_that_vanishes_in_a_call_hangs_up_and_unregisters() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["ulaw"], PCMU).await;
    stage.phone.vanish();
    let (bye, from) = stage.peer.request("BYE").await;
    assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    stage.peer.wait_binding("alice", false, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_phone_that_vanishes_while_it_rings_cancels_what_it_began_and_refuses_what_came() {
    let mut stage = Stage::registered().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["ulaw"]).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.ring(&dialog).await;
    stage.phone.expect("ringing").await;
    stage.phone.vanish();
    let (cancel, from) = stage.peer.request("CANCEL").await;
    stage.peer.respond(&cancel, from, 200, "OK", None).await;
    stage.peer.refuse(&dialog, 487, "Request Terminated").await;
    stage.peer.wait_binding("alice", false, Duration::from_secs(3)).await;

    let mut phone = Phone::connected(stage.gateway.rtmp, alice(&stage.peer)).await;
    let contact = stage.peer.binding("alice").unwrap();
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let gone = async {
        phone.expect("invited").await;
        phone.vanish();
    };
    let (answer, ()) = tokio::join!(stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}), gone);
    assert!(matches!(answer.1.status(), Some(480 | 487 | 486 | 603)), "{}", answer.1.start);
}

/// The link stands still for two seconds; all that was said meanwhile comes at once. Delay must come back to where it was.
#[tokio::test]
async fn after_a_stalled_link_the_delay_is_back_to_its_base_within_two_seconds() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let relay = TcpRelay::new(gateway.rtmp).await;
    let login = Login::anonymous(&format!("alice@{}", peer.domain()));
    let phone = Phone::connected(relay.address(), login).await;
    let mut stage = Stage { gateway, peer, phone };
    let call = stage.call_out(&["pcmu"], PCMU).await;
    stage.phone.start_media().await;

    // Every frame carries its own number in every byte, so that a packet tells when it was said.
    let frames: Vec<Vec<u8>> = (0..400).map(|n: usize| numbered(n)).collect();
    let bodies: Vec<bytes::Bytes> = frames.iter().map(|frame| [&[0x82][..], frame].concat().into()).collect();
    let stall = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        relay.stall(Duration::from_secs(2));
    };
    let (spoken, ()) = tokio::join!(stage.phone.speak(&bodies), stall);
    tokio::time::sleep(Duration::from_millis(500)).await;

    let packets = call.rtp.seen();
    let delays: Vec<(usize, f64)> = packets
        .iter()
        .filter_map(|packet| {
            let number = number_of(&packet.payload)?;
            let said = spoken.begin + Duration::from_millis(20 * number as u64);
            Some((number, packet.at.saturating_duration_since(said).as_secs_f64() * 1000.0))
        })
        .collect();
    let mean = |range: std::ops::Range<usize>| {
        let of: Vec<f64> = delays.iter().filter(|(n, _)| range.contains(n)).map(|(_, delay)| *delay).collect();
        assert!(of.len() >= range.len() * 8 / 10, "{} of {} frames of {range:?} came", of.len(), range.len());
        of.iter().sum::<f64>() / of.len() as f64
    };
    // Frames 100 to 200 are caught by the stall; it ends at 4 s, and 2 s later all must be as before.
    let (base, after) = (mean(20..90), mean(310..390));
    println!("delay before {base:.1} ms, after {after:.1} ms");
    assert!(after < base + 60.0, "delay was {base:.1} ms before the stall and is {after:.1} ms after it");
    // The RTP clock has gone on in step with the wall clock: 8 samples a millisecond, whatever was dropped.
    let (first, last) = (&packets[0], &packets[packets.len() - 1]);
    let media_ms = f64::from(last.timestamp.wrapping_sub(first.timestamp)) / 8.0;
    let wall_ms = last.at.duration_since(first.at).as_secs_f64() * 1000.0;
    assert!((media_ms - wall_ms).abs() < 150.0, "RTP time {media_ms:.0} ms, wall time {wall_ms:.0} ms");
}

/// G.711 bytes that say a number below 4096: two 6-bit digits, each repeated, never a value that could be comfort noise.
fn numbered(number: usize) -> Vec<u8> {
    [[0x20 + (number / 64) as u8; 80], [0x20 + (number % 64) as u8; 80]].concat()
}

fn number_of(payload: &[u8]) -> Option<usize> {
    let digit = |half: &[u8]| {
        let first = half[0];
        ((0x20..0x60).contains(&first) && half.iter().all(|byte| *byte == first)).then(|| usize::from(first - 0x20))
    };
    (payload.len() == 160).then_some(())?;
    Some(digit(&payload[..80])? * 64 + digit(&payload[80..])?)
}

#[tokio::test]
async fn speech_over_a_network_that_loses_and_shuffles_packets_stays_whole() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let weather =
        Weather { loss: 0.02, repeat: 0.02, delay: Duration::from_millis(20), jitter: Duration::from_millis(30) };
    let relay = UdpRelay::new(LOOPBACK, rtp.address(), weather, 11).await;
    stage.phone.invite(&stage.peer.uri("bob"), &["wideband", "ulaw"]).await;
    let dialog = stage.peer.incoming().await;
    relay.set_gateway(dialog.rtp());
    stage.peer.answer(&dialog, &AudioSdp::new(relay.near(), PCMU)).await;
    stage.phone.expect("accepted").await;
    stage.phone.start_media().await;
    let ben = speech::pcm(Speaker::Ben, 8000);
    let frames = PhoneVoice::Pcmu.frames(&ben, 8);
    let anna = speech::pcm(Speaker::Anna, 16_000);
    let bodies = PhoneVoice::SpeexWideband.bodies(&anna, 8);
    tokio::join!(rtp.play(relay.far(), 0, 160, &frames), stage.phone.speak(&bodies));
    tokio::time::sleep(Duration::from_millis(500)).await;

    let (_, heard) = stage.phone.heard_pcm();
    let heard = audio::halve(&heard);
    let alignment = audio::align(&ben, &heard, 16_000);
    assert!(alignment.correlation > 0.6, "Ben is not to be recognised: {alignment:?}");
    // As much sound came out as went in: packets were neither doubled nor squeezed. Noise follows for as long as the test listens.
    let noise = heard.len().saturating_sub(ben.len()).min(8 * 500);
    let (came, sent) = ((heard.len() - noise) as f64, ben.len() as f64);
    assert!((came / sent - 1.0).abs() < 0.04, "{came} samples heard of {sent}");
    let anna = speech::pcm(Speaker::Anna, 8000);
    let alignment = audio::align(&anna, &g711_timeline(&rtp.seen(), 0), 16_000);
    assert!(alignment.correlation > 0.6, "Anna is not to be recognised: {alignment:?}");
}

#[tokio::test]
async fn a_phone_that_stops_reading_does_not_make_the_gateway_hoard() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu"], PCMU).await;
    stage.phone.start_media().await;
    let before = stage.gateway.resident();
    stage.phone.stop_reading(Duration::from_secs(6));
    let frames = vec![vec![0x30; 160]; 250];
    let begin = Instant::now();
    call.rtp.play(call.target(), 0, 160, &frames).await;
    let grown = stage.gateway.resident().saturating_sub(before);
    assert!(grown < 2 << 20, "{} kB more while the phone did not read", grown / 1024);
    // And it is a call still: the phone hears again, and commands work.
    tokio::time::sleep(Duration::from_secs(6).saturating_sub(begin.elapsed())).await;
    stage.phone.forget();
    call.rtp.play(call.target(), 0, 160, &frames[..50]).await;
    stage.phone.wait_heard(20, Duration::from_secs(2)).await;
    stage.phone.bye().await;
    let (bye, from) = stage.peer.request("BYE").await;
    stage.peer.respond(&bye, from, 200, "OK", None).await;
}
