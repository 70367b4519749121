//! Phones that speak Nellymoser: blocks of 256 samples, which at 11 kHz and its kin are no whole number of milliseconds.

use bytes::Bytes;

use super::{Rig, ms};
use crate::{
    codec::{
        Codec, NellymoserRate,
        nellymoser::{BLOCK_BYTES, BLOCK_SAMPLES},
    },
    path::{Input, Output},
    testing::{epoch, level_db, rms, strongest_frequency, tone_to_noise_db},
};

/// A second of 440 Hz, amplitude 8000, by ffmpeg's encoder (`fixtures/nellymoser/make.py`).
fn tone(rate: NellymoserRate) -> &'static [u8] {
    match rate {
        NellymoserRate::Hz5512 => include_bytes!("../../fixtures/nellymoser/tone-5512.blocks"),
        NellymoserRate::Hz8000 => include_bytes!("../../fixtures/nellymoser/tone-8000.blocks"),
        NellymoserRate::Hz11025 => include_bytes!("../../fixtures/nellymoser/tone-11025.blocks"),
        NellymoserRate::Hz16000 => include_bytes!("../../fixtures/nellymoser/tone-16000.blocks"),
        NellymoserRate::Hz22050 => include_bytes!("../../fixtures/nellymoser/tone-22050.blocks"),
        NellymoserRate::Hz44100 => include_bytes!("../../fixtures/nellymoser/tone-44100.blocks"),
    }
}

/// The tag that Flash Player and ffmpeg write.
fn tag(rate: NellymoserRate) -> u8 {
    match rate {
        NellymoserRate::Hz5512 => 0x62,
        NellymoserRate::Hz8000 => 0x52,
        NellymoserRate::Hz11025 => 0x66,
        NellymoserRate::Hz16000 => 0x42,
        NellymoserRate::Hz22050 => 0x6A,
        NellymoserRate::Hz44100 => 0x6E,
    }
}

fn block_ms(rate: NellymoserRate) -> f64 {
    BLOCK_SAMPLES as f64 * 2000.0 / f64::from(rate.samples_in_2s())
}

/// `seconds` of the tone, again and again, `blocks` in a message.
fn messages(rate: NellymoserRate, blocks: usize, seconds: f64) -> impl Iterator<Item = Bytes> {
    let mut source = tone(rate).chunks_exact(BLOCK_BYTES).cycle();
    let count = (seconds * 1000.0 / (block_ms(rate) * blocks as f64)) as usize;
    (0..count).map(move |_| {
        let mut body = vec![tag(rate)];
        source.by_ref().take(blocks).for_each(|block| body.extend_from_slice(block));
        body.into()
    })
}

/// Feeds each message when its sound has been recorded, stamped with the time at which that began, to the millisecond.
fn speak(rig: &mut Rig, rate: NellymoserRate, blocks: usize, seconds: f64) -> f64 {
    let length = block_ms(rate) * blocks as f64;
    let mut end = 0.0;
    for (n, body) in messages(rate, blocks, seconds).enumerate() {
        let begin = length * n as f64;
        end = begin + length;
        rig.feed(epoch() + ms(end), Input::PhoneAudio { timestamp_ms: begin as u32, body: &body });
    }
    end
}

#[test]
fn a_tone_of_every_rate_reaches_every_peer() {
    const PEERS: [(Codec, f64); 9] = [
        (Codec::SpeexNarrowband, 12.0),
        (Codec::SpeexWideband, 12.0),
        (Codec::SpeexUltraWideband, 12.0),
        (Codec::Opus, 12.0),
        (Codec::Pcmu, 15.0),
        (Codec::Pcma, 15.0),
        (Codec::G722, 15.0),
        (Codec::L16Narrowband, 15.0),
        (Codec::L16Wideband, 15.0),
    ];
    for rate in NellymoserRate::ALL {
        for (peer, floor) in PEERS {
            let mut rig = Rig::new(peer, Codec::SpeexWideband);
            speak(&mut rig, rate, 1, 0.95);
            let heard = rig.heard_by_peer(peer);
            let hz = peer.sample_rate();
            let steady = &heard[hz.samples_in_ms(300)..hz.samples_in_ms(860)];
            let level = level_db(rms(steady)) - level_db(8000.0 / 2f64.sqrt());
            let noise = tone_to_noise_db(steady, 440.0, hz);
            let frequency = strongest_frequency(steady, hz);
            println!("{rate:?} -> {peer:?}: level {level:+.2} dB, tone to noise {noise:.1} dB, {frequency} Hz");
            assert!(level.abs() < 1.0, "{rate:?} -> {peer:?}: level off by {level:.2} dB");
            assert!(noise > floor, "{rate:?} -> {peer:?}: {noise:.1} dB");
            assert!((frequency - 440.0).abs() <= 4.0, "{rate:?} -> {peer:?}: {frequency} Hz");
        }
    }
}

#[test]
fn messages_of_any_length_become_an_even_stream() {
    for rate in NellymoserRate::ALL {
        for blocks in [1, 2, 3, 8] {
            for peer in [Codec::Pcmu, Codec::SpeexWideband] {
                let name = format!("{rate:?}, {blocks} blocks to {peer:?}");
                let mut rig = Rig::new(peer, Codec::SpeexWideband);
                let end = speak(&mut rig, rate, blocks, 4.0);
                rig.advance(epoch() + ms(end + 30.0));
                let packets = rig.rtp();
                let stats = rig.path.stats().uplink;
                println!("{name}: first at {:.1}, delay {:?}", packets[0].0, stats.delay);
                for pair in packets.windows(2) {
                    let apart = pair[1].0 - pair[0].0;
                    assert!((apart - 20.0).abs() < 2.0, "{name}: {apart} ms at {}", pair[0].0);
                    assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next(), "{name}");
                    let step = pair[1].1.timestamp.distance_from(pair[0].1.timestamp);
                    assert_eq!(step, peer.clock_rate() as i32 / 50, "{name} at {}", pair[0].0);
                }
                assert_eq!(packets.iter().filter(|(_, packet)| packet.marker).count(), 1, "{name}");
                assert_eq!((stats.dropped_frames, stats.filled_frames, stats.undecodable), (0, 0, 0), "{name}");
            }
        }
    }
}

#[test]
fn ten_minutes_at_11_khz_neither_drifts_nor_gathers_delay() {
    let (rate, peer) = (NellymoserRate::Hz11025, Codec::Pcmu);
    let mut rig = Rig::new(peer, Codec::SpeexWideband);
    let bodies: Vec<Bytes> = messages(rate, 1, 1.0).collect();
    let length = block_ms(rate);
    let (mut sent, mut first) = (0u32, None);
    for n in 0..25_840u32 {
        let begin = length * f64::from(n);
        let body = &bodies[n as usize % bodies.len()];
        rig.feed(epoch() + ms(begin + length), Input::PhoneAudio { timestamp_ms: begin as u32, body });
        for (at, output) in rig.out.drain(..) {
            let Output::Rtp(bytes) = output else { continue };
            let packet = crate::rtp::RtpPacket::parse(&bytes).unwrap();
            let at = super::since_start(at);
            let &mut (began, timestamp) = first.get_or_insert((at, packet.timestamp));
            assert_eq!(packet.timestamp, timestamp.plus(160 * i64::from(sent)), "packet {sent}");
            assert!((at - began - 20.0 * f64::from(sent)).abs() < 25.0, "packet {sent} at {at:.1} ms");
            sent += 1;
        }
    }
    assert!((29_995..=30_000).contains(&sent), "{sent} packets");
    assert!(rig.path.stats().uplink.delay.as_millis() < 30);
}

#[test]
fn a_pause_is_a_pause_and_what_follows_is_a_spurt() {
    for rate in NellymoserRate::ALL {
        let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
        let end = speak(&mut rig, rate, 1, 1.0);
        rig.feed(epoch() + ms(end), Input::PhoneAudio { timestamp_ms: end as u32, body: &[tag(rate)] });
        let length = block_ms(rate);
        for (n, body) in messages(rate, 1, 1.0).enumerate() {
            let begin = end + 2000.0 + length * n as f64;
            let timestamp_ms = begin as u32;
            rig.feed(epoch() + ms(begin + length), Input::PhoneAudio { timestamp_ms, body: &body });
        }
        let packets = rig.rtp();
        let spurts: Vec<f64> =
            packets.iter().filter(|(_, packet)| packet.marker).map(|(at, _)| at - packets[0].0).collect();
        assert_eq!(spurts.len(), 2, "{rate:?}: {spurts:?}");
        assert!((spurts[1] - end - 2000.0).abs() < 45.0, "{rate:?}: {spurts:?}");
        for (at, packet) in &packets {
            let sampled = f64::from(packet.timestamp.distance_from(packets[0].1.timestamp)) / 8.0;
            assert!((at - packets[0].0 - sampled).abs() < 25.0, "{rate:?}: sent {at}, sampled {sampled}");
        }
    }
}

#[test]
fn a_stall_costs_its_backlog_and_the_delay_comes_back() {
    let rate = NellymoserRate::Hz8000;
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    for (n, body) in messages(rate, 1, 12.0).enumerate() {
        let at = 32.0 * (n + 1) as f64;
        let at = if (4000.0..5000.0).contains(&at) { 5000.0 } else { at };
        rig.feed(epoch() + ms(at), Input::PhoneAudio { timestamp_ms: 32 * n as u32, body: &body });
    }
    let packets = rig.rtp();
    let first = packets[0].1.timestamp;
    for (at, packet) in packets.iter().filter(|(at, _)| *at > 7000.0) {
        let sampled = f64::from(packet.timestamp.distance_from(first)) / 8.0;
        assert!((at - packets[0].0 - sampled).abs() < 20.0, "sent {at}, sampled {sampled}");
    }
    let after = packets.iter().filter(|(at, _)| *at > 7000.0).count();
    assert!((246..=250).contains(&after), "{after} packets in five seconds");
    assert!(rig.path.stats().uplink.dropped_frames <= 50);
}

#[test]
fn a_phone_that_changes_its_rate_or_its_codec_goes_on_being_heard() {
    let mut rig = Rig::new(Codec::Pcma, Codec::SpeexWideband);
    let mut end = 0.0;
    for rate in [NellymoserRate::Hz8000, NellymoserRate::Hz44100, NellymoserRate::Hz16000, NellymoserRate::Hz11025] {
        for body in messages(rate, 1, 0.9) {
            let timestamp_ms = end as u32;
            end += block_ms(rate);
            rig.feed(epoch() + ms(end), Input::PhoneAudio { timestamp_ms, body: &body });
        }
    }
    let heard = rig.heard_by_peer(Codec::Pcma);
    assert!((heard.len() as f64 / 8.0 - end).abs() < 100.0, "{} samples of {end} ms", heard.len());
    for (n, second) in heard.chunks_exact(7200).enumerate() {
        assert!((strongest_frequency(&second[2400..], Codec::Pcma.sample_rate()) - 440.0).abs() < 6.0, "part {n}");
    }
}

#[test]
fn a_message_that_is_no_whole_number_of_blocks_is_counted_and_does_no_harm() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    let body = messages(NellymoserRate::Hz8000, 1, 1.0).next().unwrap();
    for (n, length) in [65, 64, 2, 65, 66, 65].into_iter().enumerate() {
        let mut body = body.to_vec();
        body.resize(length, 0);
        let timestamp_ms = 32 * n as u32;
        rig.feed(epoch() + ms(f64::from(timestamp_ms)), Input::PhoneAudio { timestamp_ms, body: &body });
    }
    let stats = rig.path.stats().uplink;
    assert_eq!((stats.messages, stats.undecodable, stats.unsupported), (6, 3, 0));
    assert!(rig.out.iter().all(|(_, output)| !matches!(output, Output::PhoneCodecUnsupported(_))));
}
