//! The rigs prove themselves against each other, without a gateway: a judge that cannot see a fault is no judge.

use crate::stage::{LOOPBACK, PCMU};
use gateway_tests::capture::Capture;
use gateway_tests::rtp::{RtpPeer, g711_timeline};
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::{self, PhoneVoice};
use gateway_tests::{audio, score};
use speex_codec::Mode;
use std::time::Duration;

#[tokio::test]
async fn tshark_reads_back_the_events_of_a_call_between_two_rigs() {
    let (mut callee, caller) = (SipPeer::bind(LOOPBACK).await, SipPeer::bind(LOOPBACK).await);
    let (near, far) = (RtpPeer::bind(LOOPBACK).await, RtpPeer::bind(LOOPBACK).await);
    let capture = Capture::start(&[callee.address().port(), far.address().port()]).await;
    let offer = AudioSdp::new(near.address(), PCMU);
    let uri = callee.uri("bob");
    let address = callee.address();
    let answer = async {
        let dialog = callee.incoming().await;
        callee.answer(&dialog, &AudioSdp::new(far.address(), PCMU)).await;
    };
    let ((_, response), ()) = tokio::join!(caller.invite(&uri, address, Some(&offer), |_| {}), answer);
    assert_eq!(response.status(), Some(200));
    for (digit, timestamp) in [(1u8, 1000u32), (11, 3000)] {
        for (n, end) in [(0, 0), (1, 0), (2, 0x80), (2, 0x80), (2, 0x80)] {
            let payload = [&[digit, 10 | end][..], &(160u16 * (n + 1)).to_be_bytes()].concat();
            let packet = gateway_tests::rtp::packet(101, n == 0, timestamp as u16 + n, timestamp, 5, &payload);
            near.send_raw(far.address(), &packet).await;
        }
    }
    let captured = capture.stop().await;
    let events = captured.events_to(callee.address().port(), far.address());
    let digits: String = events.iter().map(|event| event.digit).collect();
    assert_eq!(digits, "1#", "{events:?}");
    assert_eq!(events[0].markers, [true, false, false, false, false]);
    assert_eq!(events[0].ends, [false, false, true, true, true]);
    assert_eq!(events[0].durations, [160, 320, 480, 480, 480]);
}

#[test]
fn the_judges_tell_good_speech_from_damaged_speech_and_from_other_speech() {
    let spoken = speech::pcm(Speaker::Anna, 16_000);
    let frames = PhoneVoice::SpeexWideband.frames(&spoken, 8);
    let good = voice::decode_speex(Mode::Wideband, frames.iter().map(Vec::as_slice));
    let holes = frames.iter().enumerate().filter(|(n, _)| n % 7 != 3).map(|(_, frame)| frame.as_slice());
    let damaged = voice::decode_speex(Mode::Wideband, holes);
    let scores = score::judge(16_000, &spoken, &[&good, &damaged]);
    println!("{scores:?}");
    assert!(scores[0].correlation > 0.9 && scores[0].stoi > 0.95 && scores[0].pesq > 2.5, "{scores:?}");
    assert!(scores[1].pesq < scores[0].pesq - 0.3 && scores[1].correlation < 0.8, "{scores:?}");
    let other = speech::pcm(Speaker::Ben, 16_000);
    assert!(audio::align(&other, &good, 16_000).correlation < 0.3);
}

#[tokio::test]
async fn speech_between_two_rtp_rigs_comes_through_whole() {
    let (a, b) = (RtpPeer::bind(LOOPBACK).await, RtpPeer::bind(LOOPBACK).await);
    let spoken = speech::pcm(Speaker::Ben, 8000);
    let short = &spoken[..8000 * 2];
    a.play(b.address(), 8, 160, &PhoneVoice::Pcma.frames(short, 8)).await;
    b.wait_for(8, Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let heard = g711_timeline(&b.seen(), 8);
    assert_eq!(heard.len(), short.len());
    assert!(audio::align(short, &heard, 100).correlation > 0.995);
}
