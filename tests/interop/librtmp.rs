//! librtmp, by its rtmpdump: it plays `remote` into an FLV file; the call is made in its name by the injector.

use crate::place::{HERE, assert_speech, gateway};
use gateway_tests::injector::Injector;
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch};
use gateway_tests::voice::{self, PhoneVoice};
use std::time::Duration;
use tokio::process::Command;

#[tokio::test]
async fn rtmpdump_records_what_the_callee_says() {
    let gateway = gateway().await;
    let mut bob = SipPeer::bind(HERE).await;
    let injector = Injector::new(gateway.rtmp, b"play").await;
    let scratch = Scratch::new();
    let app = format!("sip/anna@{}", bob.domain());
    let mut command = Command::new("rtmpdump");
    command.args(["-r", &format!("rtmp://{}/{app}", injector.address()), "-a", &app, "-y", "remote", "-v"]);
    command.args(["-C", "S:anna", "-C", "S:secret", "-o"]).arg(scratch.path("heard.flv"));
    let mut rtmpdump = Peer::start("rtmpdump", &mut command);
    injector.call("invite", &[bob.uri("bob").into(), "wideband".into(), "alaw".into()]);
    let rtp = RtpPeer::bind(HERE).await;
    let dialog = bob.incoming().await;
    bob.answer(&dialog, &AudioSdp::new(rtp.address(), &[(8, "PCMA/8000")])).await;
    let frames = PhoneVoice::Pcma.frames(&speech::pcm(Speaker::Ben, 8000), 8);
    rtp.play(dialog.rtp(), 8, 160, &frames).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    rtmpdump.signal("INT");
    rtmpdump.wait_end(Duration::from_secs(5)).await;
    let flv = std::fs::read(scratch.path("heard.flv")).unwrap();
    let bodies = flv_audio(&flv);
    let (rate, heard) = voice::decode_bodies(bodies.iter().copied());
    assert_speech("peer to rtmpdump", Speaker::Ben, rate, &heard);
}

/// Bodies of the audio tags of an FLV file (Adobe FLV specification, annex E.4).
fn flv_audio(file: &[u8]) -> Vec<&[u8]> {
    assert_eq!(&file[..3], b"FLV");
    let mut rest = &file[13..];
    let mut bodies = Vec::new();
    while rest.len() >= 11 {
        let length = usize::from(rest[1]) << 16 | usize::from(rest[2]) << 8 | usize::from(rest[3]);
        let Some(body) = rest.get(11..11 + length) else { break };
        if rest[0] & 0x1F == 8 {
            bodies.push(body);
        }
        rest = rest.get(11 + length + 4..).unwrap_or_default();
    }
    bodies
}
