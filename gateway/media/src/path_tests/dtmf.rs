//! Digits through whole paths: in the sequence of the audio, once each, over a network that loses packets.

use super::{Rig, ms, peer_packets, phone_messages};
use crate::{
    codec::{Codec, SampleRate},
    path::{Input, Output},
    testing::{Random, epoch, negotiated, voice},
};

#[test]
fn digits_take_the_place_of_audio_in_one_sequence() {
    let speech = voice(SampleRate::Hz16000, 3000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    for (n, body) in phone_messages(Codec::SpeexWideband, &speech, 1).iter().enumerate() {
        let timestamp_ms = 20 * n as u32;
        let now = epoch() + ms(timestamp_ms as f64);
        if n == 50 {
            rig.feed(now, Input::SendDtmf("1#"));
        }
        rig.feed(now, Input::PhoneAudio { timestamp_ms, body });
    }
    let packets = rig.rtp();
    for pair in packets.windows(2) {
        assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next());
        assert!(pair[1].1.timestamp.distance_from(pair[0].1.timestamp) >= 0);
    }
    let events: Vec<_> = packets.iter().filter(|(_, packet)| packet.payload_type == 101).collect();
    assert_eq!(events.len(), 14);
    assert_eq!(events.iter().map(|(_, p)| p.payload[0]).collect::<Vec<_>>(), [[1; 7], [11; 7]].concat());
    assert_eq!(events.iter().map(|(_, p)| p.marker).filter(|&m| m).count(), 2);
    assert_eq!(events[7].1.timestamp.distance_from(events[0].1.timestamp), 1280); // 160 ms
    let during = |at: f64| (1000.0..1300.0).contains(&at);
    assert!(packets.iter().all(|(at, packet)| packet.payload_type == 101 || !during(*at)), "audio is silent meanwhile");
    let after: Vec<_> = packets.iter().filter(|(at, packet)| *at > 1340.0 && packet.payload_type == 0).collect();
    assert_eq!(after.len(), 82, "audio goes on afterwards");
}

#[test]
fn digits_are_sent_before_and_without_any_audio() {
    let mut rig = Rig::new(Codec::SpeexWideband, Codec::SpeexWideband);
    rig.feed(epoch() + ms(500.0), Input::SendDtmf("0x9")); // what is no digit is left out
    rig.advance(epoch() + ms(2000.0));
    let packets = rig.rtp();
    assert_eq!(packets.len(), 14);
    assert_eq!(packets[0].1.payload, [0, 10, 0, 160]);
    assert_eq!(packets[13].1.payload, [9, 0x8A, 3, 32]);
    assert_eq!(packets[7].1.timestamp.distance_from(packets[0].1.timestamp), 2560); // 160 ms of a 16 kHz stream
}

#[test]
fn a_digit_in_a_long_pause_is_followed_by_noise_that_carries_its_end_through_a_jitter_buffer() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    rig.speak(&phone_messages(Codec::SpeexWideband, &voice(SampleRate::Hz16000, 1000, 1), 1));
    // Noise has become sparse by then.
    rig.advance(epoch() + ms(17_000.0));
    rig.feed(epoch() + ms(17_000.0), Input::SendDtmf("9"));
    rig.advance(epoch() + ms(18_000.0));
    let packets = rig.rtp();
    let sparse = packets.iter().filter(|(at, _)| (12_000.0..17_000.0).contains(at)).count();
    assert!(sparse <= 2, "{sparse} packets");
    let end = packets.iter().rposition(|(_, packet)| packet.payload_type == 101).unwrap();
    assert_eq!(packets[end].1.payload, [9, 0x8A, 3, 32]);
    let behind = &packets[end + 1..];
    assert!(behind.len() >= 35, "{} packets behind the digit", behind.len());
    for pair in packets.windows(2) {
        assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next());
        assert!(pair[1].1.timestamp.distance_from(pair[0].1.timestamp) >= 0);
    }
}

#[test]
fn a_silent_phone_is_noise_again_after_a_hold_and_its_digits_too() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    rig.speak(&phone_messages(Codec::SpeexWideband, &voice(SampleRate::Hz16000, 1000, 1), 1));
    rig.advance(epoch() + ms(2000.0));
    let mut held = negotiated(Codec::Pcmu);
    held.direction = crate::sdp::Direction::RecvOnly;
    rig.feed(epoch() + ms(2000.0), Input::Renegotiated(held));
    rig.feed(epoch() + ms(3000.0), Input::Renegotiated(negotiated(Codec::Pcmu)));
    rig.feed(epoch() + ms(4000.0), Input::SendDtmf("9"));
    rig.advance(epoch() + ms(5000.0));
    let packets = rig.rtp();
    let count = |from: f64, to: f64| packets.iter().filter(|(at, _)| (from..to).contains(at)).count();
    assert_eq!(count(2010.0, 3000.0), 0, "on hold");
    assert!(count(3000.0, 4000.0) >= 43, "{}", count(3000.0, 4000.0));
    assert!(count(4200.0, 5000.0) >= 35, "{}", count(4200.0, 5000.0));
    for pair in packets.windows(2) {
        assert!(pair[1].1.timestamp.distance_from(pair[0].1.timestamp) >= 0);
    }
}

#[test]
fn without_telephone_event_or_on_hold_no_digit_is_sent() {
    let mut agreed = negotiated(Codec::Pcmu);
    agreed.telephone_event = None;
    let mut rig = Rig::with(super::config(agreed.clone(), Codec::SpeexWideband));
    rig.feed(epoch(), Input::SendDtmf("123"));
    agreed.telephone_event = negotiated(Codec::Pcmu).telephone_event;
    agreed.direction = crate::sdp::Direction::RecvOnly;
    rig.feed(epoch(), Input::Renegotiated(agreed));
    rig.feed(epoch(), Input::SendDtmf("123"));
    rig.advance(epoch() + ms(1000.0));
    assert!(rig.rtp().is_empty());
}

#[test]
fn ten_thousand_digits_cross_two_gateways_at_five_percent_loss() {
    let keys = "0123456789*#ABCD";
    let mut random = Random::new(2);
    let said: String = (0..10_000).map(|_| keys.as_bytes()[random.below(16) as usize] as char).collect();
    let mut near = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    let mut far = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    let mut heard = String::new();
    let mut delayed: Option<bytes::Bytes> = None;
    for (n, ten) in said.as_bytes().chunks(10).enumerate() {
        let digits = std::str::from_utf8(ten).unwrap();
        near.feed(epoch() + ms(2000.0 * n as f64), Input::SendDtmf(digits));
        near.advance(epoch() + ms(2000.0 * (n + 1) as f64 - 1.0));
        for (at, output) in near.out.drain(..) {
            let Output::Rtp(packet) = output else { continue };
            if random.chance(0.05) {
                continue; // lost
            }
            if delayed.is_none() && random.chance(0.03) {
                delayed = Some(packet); // overtaken by the next one
                continue;
            }
            far.feed(at, Input::Rtp(&packet));
            if random.chance(0.03) {
                far.feed(at, Input::Rtp(&packet)); // twice
            }
            if let Some(late) = delayed.take() {
                far.feed(at, Input::Rtp(&late));
            }
        }
        heard += &far.digits();
        far.out.clear();
    }
    assert_eq!(said.len(), heard.len());
    assert_eq!(said, heard);
}

#[test]
fn a_digit_from_the_peer_does_not_disturb_the_audio_around_it() {
    let speech = voice(SampleRate::Hz8000, 2000, 1);
    let mut sender = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, body) in phone_messages(Codec::Pcmu, &speech, 1).iter().enumerate() {
        let now = epoch() + ms(20.0 * n as f64);
        if n == 40 {
            sender.feed(now, Input::SendDtmf("5"));
        }
        sender.feed(now, Input::PhoneAudio { timestamp_ms: 20 * n as u32, body });
    }
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (at, output) in &sender.out {
        if let Output::Rtp(packet) = output {
            rig.feed(*at, Input::Rtp(packet));
        }
    }
    assert_eq!(rig.digits(), "5");
    let stats = rig.path.stats().downlink;
    assert_eq!((stats.lost, stats.concealed_frames, stats.digits), (0, 0, 1));
    assert_eq!(rig.messages().len(), sender.rtp().len() - 7);
}

#[test]
fn digits_in_the_middle_of_a_lossy_stream_are_heard_once() {
    let speech = voice(SampleRate::Hz8000, 1000, 1);
    let packets = peer_packets(Codec::Pcmu, &speech, 1, 0, 0);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, packet) in packets.iter().enumerate().filter(|(n, _)| n % 7 != 3) {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    assert_eq!(rig.digits(), "");
    assert_eq!(rig.path.stats().downlink.concealed_frames, 7);
}
