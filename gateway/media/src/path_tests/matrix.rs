//! A tone through every pair of codecs, both ways: its level, its frequency and what is added to it.

use super::{Rig, ms, peer_packets, phone_messages};
use crate::{
    codec::Codec,
    path::Input,
    testing::{epoch, level_db, rms, strongest_frequency, tone, tone_to_noise_db},
};

const FREQUENCY: f64 = 440.0;

/// The least signal-to-noise ratio that a pair may leave of a tone, in dB. G.711 keeps 37; Speex and Opus are made for
/// speech.
fn floor_db(a: Codec, b: Codec) -> f64 {
    match (a, b) {
        (Codec::Opus, _) | (_, Codec::Opus) => 15.0,
        _ if a.is_speex() || b.is_speex() => 20.0,
        _ => 35.0,
    }
}

fn judge(name: &str, heard: &[i16], sent: &[i16], rate: crate::codec::SampleRate, floor: f64) {
    let steady = &heard[rate.samples_in_ms(400)..];
    let level = level_db(rms(steady)) - level_db(rms(sent));
    let noise = tone_to_noise_db(steady, FREQUENCY, rate);
    let frequency = strongest_frequency(&steady[..rate.samples_in_ms(400)], rate);
    println!("{name}: level {level:+.2} dB, tone to noise {noise:.1} dB, {frequency} Hz");
    assert!(level.abs() < 1.0, "{name}: level off by {level:.2} dB");
    assert!(noise > floor, "{name}: {noise:.1} dB");
    assert!((frequency - FREQUENCY).abs() <= 4.0, "{name}: {frequency} Hz");
}

#[test]
fn a_tone_passes_from_every_phone_codec_to_every_peer_codec() {
    for phone in Codec::OF_PHONES {
        for peer in Codec::ALL {
            let sent = tone(FREQUENCY, 8000.0, phone.sample_rate(), 2000);
            let mut rig = Rig::new(peer, Codec::SpeexWideband);
            rig.speak(&phone_messages(phone, &sent, 1));
            assert_eq!(rig.rtp().len(), 100, "{phone:?} -> {peer:?}");
            let heard = rig.heard_by_peer(peer);
            judge(&format!("{phone:?} -> {peer:?}"), &heard, &sent, peer.sample_rate(), floor_db(phone, peer));
        }
    }
}

#[test]
fn a_tone_passes_from_every_peer_codec_to_every_phone_codec() {
    for peer in Codec::ALL {
        for phone in Codec::OF_PHONES {
            let sent = tone(FREQUENCY, 8000.0, peer.sample_rate(), 2000);
            let mut rig = Rig::new(peer, phone);
            for (n, packet) in peer_packets(peer, &sent, 1, 65_530, 77).iter().enumerate() {
                rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
            }
            assert_eq!(rig.messages().len(), 100, "{peer:?} -> {phone:?}");
            for (n, (at, timestamp, body)) in rig.messages().into_iter().enumerate() {
                assert_eq!((at.round() as usize, timestamp as usize), (20 * n, 20 * n));
                assert!(body.starts_with(phone.info().flv_header));
            }
            let rate = if phone.is_speex() { crate::codec::SampleRate::Hz16000 } else { phone.sample_rate() };
            let heard = rig.heard_by_phone(rate);
            judge(&format!("{peer:?} -> {phone:?}"), &heard, &sent, rate, floor_db(phone, peer));
        }
    }
}

#[test]
fn what_needs_no_transcoding_arrives_bit_for_bit() {
    for codec in [Codec::SpeexWideband, Codec::Pcmu, Codec::Pcma, Codec::Opus] {
        let speech = crate::testing::voice(codec.sample_rate(), 2000, 4);
        let messages = phone_messages(codec, &speech, 1);
        let mut rig = Rig::new(codec, codec);
        rig.speak(&messages);
        for (packet, body) in rig.rtp().iter().zip(&messages) {
            assert_eq!(packet.1.payload, &body[codec.info().flv_header.len()..], "{codec:?}");
        }
        let packets = peer_packets(codec, &speech, 1, 0, 0);
        for (n, packet) in packets.iter().enumerate() {
            rig.feed(epoch() + ms(20.0 * n as f64 + 5000.0), Input::Rtp(packet));
        }
        for (message, packet) in rig.messages().iter().zip(&packets) {
            assert_eq!(message.2[codec.info().flv_header.len()..], packet[12..], "{codec:?}");
        }
        assert_eq!(rig.messages().len(), 100);
    }
}

#[test]
fn narrowband_speex_reaches_the_phone_untouched_under_the_wideband_tag() {
    let speech = crate::testing::voice(Codec::SpeexNarrowband.sample_rate(), 400, 4);
    let packets = peer_packets(Codec::SpeexNarrowband, &speech, 1, 0, 0);
    let mut rig = Rig::new(Codec::SpeexNarrowband, Codec::SpeexWideband);
    for (n, packet) in packets.iter().enumerate() {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    for (message, packet) in rig.messages().iter().zip(&packets) {
        assert_eq!((message.2[0], &message.2[1..]), (0xB2, &packet[12..]));
    }
}
