//! What the peer's receiver reports change in what it is sent.

use super::{Rig, config, ms, phone_messages};
use crate::{
    codec::{Codec, OpusWishes, SampleRate, opus},
    path::Input,
    testing::{epoch, negotiated, voice},
};

/// A receiver report (RFC 3550 section 6.4.2) of a peer that hears the rig.
fn report(fraction_lost: u8) -> Vec<u8> {
    let mut bytes = vec![0x81, 201, 0, 7, 0, 0, 0xBE, 0xEF];
    bytes.extend(0x1234_5678u32.to_be_bytes());
    bytes.push(fraction_lost);
    bytes.extend([0; 19]);
    bytes
}

/// A minute of speech to a peer with Opus that reports this loss every five seconds; for each ten seconds the share of
/// packets with redundancy in them, and the bytes.
fn minute(wishes: OpusWishes, fraction_lost: impl Fn(usize) -> u8) -> Vec<(f64, usize)> {
    let mut agreed = negotiated(Codec::Opus);
    agreed.opus = wishes;
    let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
    let speech = voice(SampleRate::Hz16000, 10_000, 2).repeat(6);
    for (n, body) in phone_messages(Codec::SpeexWideband, &speech, 1).iter().enumerate() {
        let now = epoch() + ms(20.0 * n as f64);
        if n % 250 == 249 {
            rig.feed(now, Input::Rtcp(&report(fraction_lost(n / 250))));
        }
        rig.feed(now, Input::PhoneAudio { timestamp_ms: 20 * n as u32, body });
    }
    rig.advance(epoch() + ms(60_000.0));
    let packets = rig.rtp();
    assert!(packets.len() >= 2990, "{}", packets.len());
    let part = |packets: &[(f64, crate::rtp::RtpPacket<'_>)]| {
        let told = packets.iter().filter(|(_, packet)| opus::has_redundancy(packet.payload)).count();
        let bytes = packets.iter().map(|(_, packet)| packet.payload.len()).sum();
        (told as f64 / packets.len() as f64, bytes)
    };
    packets.chunks(500).filter(|packets| packets.len() > 400).map(part).collect()
}

#[test]
fn redundancy_grows_with_the_loss_that_is_reported_and_ends_where_nothing_is_lost() {
    let wishes = OpusWishes { redundancy: true, ..OpusWishes::default() };
    let (calm, lossy) = (minute(wishes, |_| 0), minute(wishes, |_| 51));
    println!("calm {calm:?}\nlossy {lossy:?}");
    assert!(calm[0].0 > 0.3, "before any report some loss is expected: {calm:?}");
    assert_eq!(calm[5].0, 0.0, "{calm:?}");
    assert!(lossy[5].0 > 0.5, "{lossy:?}");
    let later = minute(wishes, |n| if n < 9 { 0 } else { 51 });
    assert!(later[5].0 > 0.5, "the first report of loss brings it back: {later:?}");
}

#[test]
fn a_peer_that_makes_no_use_of_redundancy_is_sent_none_whatever_it_reports() {
    let (calm, lossy) = (minute(OpusWishes::default(), |_| 0), minute(OpusWishes::default(), |_| 80));
    assert!(lossy.iter().all(|(told, _)| *told == 0.0), "{lossy:?}");
    assert_eq!(calm, lossy, "nor do frames lean less on each other");
}
