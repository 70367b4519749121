//! ffmpeg on the RTMP side: it publishes and plays; the call is made in its name by the injector.

use crate::place::{HERE, assert_speech, gateway};
use gateway_tests::injector::Injector;
use gateway_tests::rtp::{RtpPeer, g711_timeline};
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::tools::{Peer, Scratch};
use gateway_tests::voice::PhoneVoice;
use std::time::Duration;
use tokio::process::Command;

const PCMU: &[(u8, &str)] = &[(0, "PCMU/8000")];

#[tokio::test]
async fn speech_that_ffmpeg_publishes_with_connect_arguments_reaches_the_callee() {
    let gateway = gateway().await;
    let mut bob = SipPeer::bind(HERE).await;
    let injector = Injector::new(gateway.rtmp, b"audio").await;
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-re", "-i"]).arg(speech::wav(Speaker::Anna, 16_000));
    // Silence behind the speech keeps the connection up until the test has heard enough.
    command.args(["-af", "adelay=3000,apad=pad_dur=20", "-c:a", "libspeex", "-ar", "16000", "-ac", "1", "-f", "flv"]);
    command.args(["-rtmp_app", &format!("sip/anna@{}", bob.domain()), "-rtmp_conn", "S:anna S:secret S:Anna"]);
    command.args(["-rtmp_playpath", "local", &format!("rtmp://{}/", injector.address())]);
    let _ffmpeg = Peer::start("ffmpeg", &mut command);
    injector.call("invite", &[bob.uri("bob").into(), "wideband".into(), "ulaw".into()]);
    let rtp = RtpPeer::bind(HERE).await;
    let mut dialog = bob.incoming().await;
    assert!(dialog.invite.text("From").starts_with("\"Anna\" <sip:anna@"), "{}", dialog.invite.text("From"));
    assert!(bob.binding("anna").is_some(), "the connect arguments registered it");
    bob.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(bob.bye(&mut dialog).await.status(), Some(200)); // before the judges, who take their time
    assert_speech("ffmpeg to peer", Speaker::Anna, 8000, &g711_timeline(&rtp.seen(), 0));
}

/// Anna speaks by ffmpeg's encoder of Nellymoser, which the phone has at `rate`, and Bob hears her as PCMU.
async fn nellymoser_is_heard(rate: u32) {
    let gateway = gateway().await;
    let mut bob = SipPeer::bind(HERE).await;
    let injector = Injector::new(gateway.rtmp, b"audio").await;
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-re", "-i"]).arg(speech::wav(Speaker::Anna, 16_000));
    command.args(["-af", "adelay=3000,apad=pad_dur=20", "-c:a", "nellymoser", "-ar", &rate.to_string(), "-ac", "1"]);
    command.args(["-f", "flv", "-rtmp_app", &format!("sip/anna@{}", bob.domain())]);
    command.args(["-rtmp_playpath", "local", &format!("rtmp://{}/", injector.address())]);
    let _ffmpeg = Peer::start("ffmpeg", &mut command);
    injector.call("invite", &[bob.uri("bob").into(), "wideband".into(), "ulaw".into()]);
    let rtp = RtpPeer::bind(HERE).await;
    let mut dialog = bob.incoming().await;
    bob.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(bob.bye(&mut dialog).await.status(), Some(200));
    assert_speech(&format!("Nellymoser of {rate} Hz"), Speaker::Anna, 8000, &g711_timeline(&rtp.seen(), 0));
}

#[tokio::test]
async fn nellymoser_of_8_khz_that_ffmpeg_publishes_reaches_the_callee() {
    nellymoser_is_heard(8000).await;
}

#[tokio::test]
async fn nellymoser_of_11_khz_that_ffmpeg_publishes_reaches_the_callee() {
    nellymoser_is_heard(11_025).await;
}

#[tokio::test]
async fn nellymoser_of_16_khz_that_ffmpeg_publishes_reaches_the_callee() {
    nellymoser_is_heard(16_000).await;
}

#[tokio::test]
async fn nellymoser_of_44_khz_that_ffmpeg_publishes_reaches_the_callee() {
    nellymoser_is_heard(44_100).await;
}

#[tokio::test]
async fn ffmpeg_plays_and_decodes_what_the_callee_says() {
    let gateway = gateway().await;
    let mut bob = SipPeer::bind(HERE).await;
    let injector = Injector::new(gateway.rtmp, b"play").await;
    let scratch = Scratch::new();
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-rtmp_app", &format!("sip/anna@{}", bob.domain())]);
    command.args(["-rtmp_playpath", "remote", "-i", &format!("rtmp://{}/", injector.address())]);
    command.args(["-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", "-bitexact"]).arg(scratch.path("heard.wav"));
    let mut ffmpeg = Peer::start("ffmpeg", &mut command);
    injector.call("invite", &[bob.uri("bob").into(), "wideband".into(), "ulaw".into()]);
    let rtp = RtpPeer::bind(HERE).await;
    let dialog = bob.incoming().await;
    bob.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    let frames = PhoneVoice::Pcmu.frames(&speech::pcm(Speaker::Ben, 8000), 8);
    rtp.play(dialog.rtp(), 0, 160, &frames).await;
    // ffmpeg holds some audio back until more comes.
    rtp.play(dialog.rtp(), 0, 160, &vec![vec![0xFF; 160]; 100]).await;
    ffmpeg.signal("INT");
    ffmpeg.wait_end(Duration::from_secs(5)).await;
    let (rate, heard) = speech::read_wav(&scratch.path("heard.wav"));
    assert_speech("peer to ffmpeg", Speaker::Ben, rate, &heard);
}
