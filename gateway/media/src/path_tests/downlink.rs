//! SIP to phone: order, loss, jitter, new sources, odd packet times, timestamps that jump.

use bytes::Bytes;

use super::{Rig, config, ms, peer_packets};
use crate::{
    codec::{Codec, SampleRate},
    path::Input,
    rtp::{RtpTimestamp, RtpWriter},
    sdp::{Direction, PayloadFormat},
    testing::{Random, band_distance_db, correlation, epoch, negotiated, rms, voice},
};

/// Packets of a peer that speaks for a while.
fn speech(codec: Codec, length_ms: u32, frames: usize) -> Vec<Bytes> {
    peer_packets(codec, &voice(codec.sample_rate(), length_ms, 3), frames, 65_500, u32::MAX - 20_000)
}

/// What the phone is given when everything arrives in time: RTMP timestamp and body of each message.
fn undisturbed(codec: Codec, phone: Codec, packets: &[Bytes]) -> Vec<(u32, Bytes)> {
    let mut rig = Rig::new(codec, phone);
    for (n, packet) in packets.iter().enumerate() {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    messages_of(&rig)
}

fn messages_of(rig: &Rig) -> Vec<(u32, Bytes)> {
    rig.messages().into_iter().map(|(_, timestamp, body)| (timestamp, body.clone())).collect()
}

#[test]
fn nothing_is_held_when_nothing_is_lost() {
    let packets = speech(Codec::Pcmu, 4000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexNarrowband);
    let mut random = Random::new(1);
    let mut arrivals = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        let at = 20.0 * n as f64 + random.uniform() * 15.0;
        arrivals.push(at);
        rig.feed(epoch() + ms(at), Input::Rtp(packet));
    }
    let messages = rig.messages();
    assert_eq!(messages.len(), packets.len());
    for ((left, _, _), arrived) in messages.iter().zip(arrivals) {
        assert!((left - arrived).abs() < 0.01, "arrived {arrived}, left {left}");
    }
}

#[test]
fn swapped_and_repeated_packets_leave_no_trace() {
    for (codec, phone) in
        [(Codec::Pcmu, Codec::Pcmu), (Codec::Pcma, Codec::SpeexWideband), (Codec::SpeexWideband, Codec::SpeexWideband)]
    {
        let packets = speech(codec, 6000, 1); // the sequence number wraps after 36 packets
        let expected = undisturbed(codec, phone, &packets);
        let mut random = Random::new(4);
        let mut rig = Rig::new(codec, phone);
        let mut order: Vec<usize> = (0..packets.len()).collect();
        let mut n = 1;
        while n + 1 < order.len() {
            if random.chance(0.2) {
                order.swap(n, n + 1);
                n += 1;
            }
            n += 1;
        }
        for (slot, &n) in order.iter().enumerate() {
            let now = epoch() + ms(20.0 * slot as f64);
            rig.feed(now, Input::Rtp(&packets[n]));
            if random.chance(0.1) {
                rig.feed(now, Input::Rtp(&packets[n]));
            }
        }
        assert_eq!(messages_of(&rig), expected, "{codec:?} -> {phone:?}");
        let stats = rig.path.stats().downlink;
        assert!(stats.duplicated > 10 && stats.reordered > 10, "{stats:?}");
        assert_eq!((stats.late, stats.concealed_frames), (0, 0));
    }
}

#[test]
fn a_gap_is_waited_for_only_so_long() {
    let packets = speech(Codec::Pcmu, 2000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, packet) in packets.iter().enumerate().filter(|(n, _)| *n != 40) {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    let messages = rig.messages();
    assert_eq!(messages.len(), 100, "the lost frame was invented");
    for (n, (left, timestamp, _)) in messages.iter().enumerate() {
        assert_eq!(*timestamp as usize, 20 * n);
        let held = left - 20.0 * n as f64;
        assert!(held <= 60.5, "frame {n} held {held} ms");
        assert!((40..44).contains(&n) || held < 0.01, "frame {n} held {held} ms");
    }
    assert_eq!(rig.path.stats().downlink.concealed_frames, 1);
}

#[test]
fn a_network_that_keeps_order_is_not_waited_for_long() {
    let packets = speech(Codec::Pcmu, 60_000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, packet) in packets.iter().enumerate().filter(|(n, _)| n % 50 != 49) {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    let late_part = rig.messages().into_iter().filter(|(left, _, _)| *left > 50_000.0);
    let longest = late_part.map(|(left, timestamp, _)| left - timestamp as f64).fold(0.0, f64::max);
    assert!(longest < 30.0, "{longest} ms");
}

#[test]
fn loss_is_concealed_better_than_by_holes() {
    // A Speex decoder needs a few frames to find back after a loss, which counts against it.
    for (codec, phone, share) in [(Codec::Pcmu, Codec::Pcmu, 0.5), (Codec::SpeexNarrowband, Codec::Pcmu, 0.75)] {
        for percent in [1, 5, 10, 20, 30] {
            let said = voice(SampleRate::Hz8000, 20_000, 8);
            let packets = peer_packets(codec, &said, 1, 0, 0);
            let mut random = Random::new(percent);
            let lost: Vec<bool> = packets.iter().map(|_| random.chance(percent as f64 / 100.0)).collect();
            let clean = {
                let mut rig = Rig::new(codec, phone);
                for (n, packet) in packets.iter().enumerate() {
                    rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
                }
                rig.heard_by_phone(SampleRate::Hz8000)
            };
            let mut rig = Rig::new(codec, phone);
            for (n, packet) in packets.iter().enumerate().filter(|(n, _)| !lost[*n]) {
                rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
            }
            rig.advance(epoch() + ms(20_100.0));
            // Lay the messages on the timeline by their timestamps, as the phone does.
            let mut heard = vec![0i16; clean.len()];
            let mut decoder = crate::codec::Decoder::new(phone);
            for (_, timestamp, body) in rig.messages() {
                let mut pcm = Vec::new();
                decoder.decode(&body[1..], &mut pcm).unwrap();
                let start = timestamp as usize * 8;
                if let Some(place) = heard.get_mut(start..start + 160) {
                    place.copy_from_slice(&pcm);
                }
            }
            let mut holes = clean.clone();
            holes.chunks_exact_mut(160).zip(&lost).filter(|(_, lost)| **lost).for_each(|(frame, _)| frame.fill(0));
            let ours = band_distance_db(&clean, &heard, SampleRate::Hz8000);
            let silent = band_distance_db(&clean, &holes, SampleRate::Hz8000);
            println!("{codec:?} {percent} %: {ours:.2} dB against {silent:.2} dB with holes");
            assert!(ours < share * silent, "{codec:?} {percent} %: {ours:.2} dB against {silent:.2} dB");
            let stats = rig.path.stats().downlink;
            let count = lost.iter().filter(|lost| **lost).count() as u64;
            assert!(stats.concealed_frames >= count * 9 / 10, "{} of {count}", stats.concealed_frames);
        }
    }
}

#[test]
fn a_gap_in_relayed_speex_is_filled_from_both_sides() {
    let packets = speech(Codec::SpeexWideband, 1000, 1);
    let mut rig = Rig::new(Codec::SpeexWideband, Codec::SpeexWideband);
    for (n, packet) in packets.iter().enumerate().filter(|(n, _)| !(20..23).contains(n)) {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    let around: Vec<_> =
        messages_of(&rig).into_iter().filter(|(timestamp, _)| (380..=460).contains(timestamp)).collect();
    let payload = |n: usize| &packets[n][12..];
    assert_eq!(around.iter().map(|(timestamp, _)| *timestamp).collect::<Vec<_>>(), [380, 400, 420, 440, 460]);
    let heard = |n: usize| &around[n].1[1..];
    assert_eq!((heard(0), heard(4)), (payload(19), payload(23)));
    for (n, beside) in [(1, 19), (2, 19), (3, 23)] {
        let (made, beside) = (heard(n), payload(beside));
        // Header and prediction filter are the first 35 bits.
        assert_eq!((made.len(), &made[..4]), (beside.len(), &beside[..4]), "frame {n}");
        assert_ne!(made, beside, "frame {n}");
    }
}

#[test]
fn a_gap_in_relayed_speex_that_does_not_end_becomes_noise() {
    let packets = speech(Codec::SpeexWideband, 1000, 1);
    let mut rig = Rig::new(Codec::SpeexWideband, Codec::SpeexWideband);
    for (n, packet) in packets.iter().enumerate() {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    rig.advance(epoch() + ms(1400.0));
    let made: Vec<_> = messages_of(&rig).into_iter().skip(packets.len()).collect();
    assert!(made.len() > 10, "{}", made.len());
    let is_voice = |(n, _): &(usize, _)| *n < crate::limits::MAX_CONCEALED_FRAMES as usize;
    let (voice, noise): (Vec<_>, Vec<_>) = made.iter().enumerate().partition(is_voice);
    assert!(voice.iter().all(|(_, (_, body))| body.len() == packets[49].len() - 11), "wideband goes on");
    assert!(noise.iter().all(|(_, (_, body))| body.len() < 50), "noise is narrowband");
}

#[test]
fn an_outage_fades_out_and_the_stream_goes_on_in_time() {
    let packets = speech(Codec::Pcmu, 6000, 1);
    for outage in [5, 20, 100] {
        let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
        for (n, packet) in packets.iter().enumerate().filter(|(n, _)| !(100..100 + outage).contains(n)) {
            rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
        }
        let messages = rig.messages();
        let (invented, concealed) = (messages.len() - (300 - outage), rig.path.stats().downlink.concealed_frames);
        assert!(invented <= outage && invented + 4 >= outage, "{invented} invented for {outage}");
        assert!(concealed <= 6, "{concealed} of them are speech");
        assert!(messages.windows(2).all(|pair| pair[0].1 < pair[1].1), "timestamps go forward");
        let (left, timestamp, _) = messages[messages.len() - 1];
        assert_eq!((left.round() as u32, timestamp), (5980, 5980));
    }
}

#[test]
fn silence_of_the_peer_is_no_loss() {
    let packets = speech(Codec::Pcmu, 1000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let mut writer = RtpWriter::new(0xBEEF, 0);
    for (n, packet) in packets.iter().enumerate() {
        // Discontinuous transmission: the sequence goes on, the timestamp jumps by two seconds.
        let at = 20 * n + if n >= 25 { 2000 } else { 0 };
        let bytes = writer.packet(n == 25, 0, RtpTimestamp(8 * at as u32), &packet[12..]);
        rig.feed(epoch() + ms(at as f64), Input::Rtp(&bytes));
    }
    let stats = rig.path.stats().downlink;
    assert_eq!((stats.lost, stats.late), (0, 0));
    let real: Vec<_> = rig.messages().into_iter().filter(|(_, timestamp, _)| *timestamp >= 2500).collect();
    assert_eq!(real.len(), 25, "every packet after the pause is heard");
    assert_eq!(real[0].1, 2500);
    assert!(stats.concealed_frames <= 6);
}

#[test]
fn packets_of_any_time_become_messages_of_twenty_milliseconds() {
    for (codec, phone) in
        [(Codec::Pcmu, Codec::Pcmu), (Codec::Pcmu, Codec::SpeexWideband), (Codec::SpeexWideband, Codec::SpeexWideband)]
    {
        for frames in [2, 3, 5] {
            let packets = speech(codec, 3000, frames);
            let mut rig = Rig::new(codec, phone);
            for (n, packet) in packets.iter().enumerate() {
                rig.feed(epoch() + ms((20 * frames * n) as f64), Input::Rtp(packet));
            }
            let timestamps: Vec<u32> = rig.messages().iter().map(|message| message.1).collect();
            let expected: Vec<u32> = (0..150).map(|n| 20 * n).collect();
            assert_eq!(timestamps, expected, "{codec:?} -> {phone:?}, {frames} frames");
        }
    }
    for length in [80, 240, 480] {
        // 10, 30 and 60 ms of G.711
        let said = voice(SampleRate::Hz8000, 3000, 2);
        let bytes: Vec<u8> = said.iter().map(|&s| crate::codec::g711::encode_alaw(s)).collect();
        let (mut writer, mut rig) = (RtpWriter::new(1, 0), Rig::new(Codec::Pcma, Codec::Pcma));
        for (n, payload) in bytes.chunks_exact(length).enumerate() {
            let packet = writer.packet(false, 8, RtpTimestamp((n * length) as u32), payload);
            rig.feed(epoch() + ms((n * length) as f64 / 8.0), Input::Rtp(&packet));
        }
        let timestamps: Vec<u32> = rig.messages().iter().map(|message| message.1).collect();
        assert_eq!(timestamps, (0..timestamps.len() as u32).map(|n| 20 * n).collect::<Vec<_>>());
        assert!(timestamps.len() >= 149);
        assert!(correlation(&rig.heard_by_phone(SampleRate::Hz8000), &said) > 0.99);
    }
}

#[test]
fn a_new_source_is_heard_without_a_gap_of_more_than_sixty_milliseconds() {
    let first = speech(Codec::Pcmu, 2000, 1);
    let mut second = RtpWriter::new(0xCAFE, 100);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let second: Vec<Bytes> =
        (100..200).map(|n| second.packet(n == 100, 0, RtpTimestamp(999_000 + 160 * n), &[0x7E; 160])).collect();
    for (n, packet) in first.iter().chain(&second).enumerate() {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    let messages = rig.messages();
    let widest = messages.windows(2).map(|pair| pair[1].1 - pair[0].1).max().unwrap();
    assert!(widest <= 60, "{widest} ms");
    assert!((messages.last().unwrap().1 as i64 - 3980).abs() <= 40);
    assert_eq!(rig.path.stats().downlink.source_changes, 1);
}

#[test]
fn a_stray_packet_of_another_source_changes_nothing() {
    let packets = speech(Codec::Pcmu, 2000, 1);
    let expected = undisturbed(Codec::Pcmu, Codec::Pcmu, &packets);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let mut random = Random::new(2);
    for (n, packet) in packets.iter().enumerate() {
        let now = epoch() + ms(20.0 * n as f64);
        rig.feed(now, Input::Rtp(packet));
        let mut stray = RtpWriter::new(random.next_u64() as u32, random.next_u64() as u16);
        rig.feed(now, Input::Rtp(&stray.packet(true, 0, RtpTimestamp(5), &[0xAA; 160])));
    }
    assert_eq!(messages_of(&rig), expected);
}

#[test]
fn timestamps_that_start_anew_without_a_new_source_do_not_leap() {
    let packets = speech(Codec::Pcmu, 4000, 1);
    for leap in [500_000u32, 0x8000_0000, 0u32.wrapping_sub(3_000_000)] {
        let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
        let mut writer = RtpWriter::new(7, 0);
        for (n, packet) in packets.iter().enumerate() {
            let timestamp = RtpTimestamp((160 * n as u32).wrapping_add(if n >= 100 { leap } else { 0 }));
            rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(&writer.packet(false, 0, timestamp, &packet[12..])));
        }
        let messages = rig.messages();
        assert_eq!(messages.len(), 200, "leap {leap}");
        for pair in messages.windows(2) {
            assert!((0..=40).contains(&(pair[1].1 as i64 - pair[0].1 as i64)), "{} to {}", pair[0].1, pair[1].1);
        }
    }
}

#[test]
fn a_sequence_that_starts_anew_is_believed_after_two_packets() {
    let packets = speech(Codec::Pcmu, 4000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let (mut before, mut after) = (RtpWriter::new(7, 1000), RtpWriter::new(7, 40_000));
    for (n, packet) in packets.iter().enumerate() {
        let writer = if n < 100 { &mut before } else { &mut after };
        let bytes = writer.packet(false, 0, RtpTimestamp(160 * n as u32), &packet[12..]);
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(&bytes));
    }
    let last = rig.messages().last().unwrap().1;
    assert_eq!(last, 3980);
    assert!(rig.messages().len() >= 198);
}

#[test]
fn the_rtmp_time_starts_at_its_base_and_wraps() {
    let mut with_base = config(negotiated(Codec::Pcmu), Codec::Pcmu);
    with_base.rtmp_base_ms = u32::MAX - 500;
    let mut rig = Rig::with(with_base);
    for (n, packet) in speech(Codec::Pcmu, 2000, 1).iter().enumerate() {
        rig.feed(epoch() + ms(100.0 + 20.0 * n as f64), Input::Rtp(packet));
    }
    for (n, (_, timestamp, _)) in rig.messages().into_iter().enumerate() {
        assert_eq!(timestamp, (u32::MAX - 500).wrapping_add(100 + 20 * n as u32));
    }
}

#[test]
fn on_hold_nothing_reaches_the_phone_and_afterwards_it_does() {
    let packets = speech(Codec::Pcmu, 3000, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, packet) in packets.iter().enumerate() {
        let now = epoch() + ms(20.0 * n as f64);
        let mut agreed = negotiated(Codec::Pcmu);
        if n == 50 {
            agreed.direction = Direction::SendOnly;
            rig.feed(now, Input::Renegotiated(agreed));
        } else if n == 100 {
            rig.feed(now, Input::Renegotiated(agreed));
        }
        rig.feed(now, Input::Rtp(packet));
    }
    let timestamps: Vec<u32> = rig.messages().iter().map(|message| message.1).collect();
    assert_eq!(timestamps, (0..50).chain(100..150).map(|n| 20 * n).collect::<Vec<u32>>());
}

#[test]
fn the_peer_may_change_its_codec_at_any_packet() {
    let mut agreed = negotiated(Codec::Pcmu);
    agreed.receive.push(PayloadFormat { payload_type: 96, codec: Codec::SpeexWideband });
    agreed.receive.push(PayloadFormat { payload_type: 8, codec: Codec::Pcma });
    let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
    let mut sequence = 0;
    for (codec, rate, start) in [(Codec::Pcmu, 8, 0u32), (Codec::SpeexWideband, 16, 8000), (Codec::Pcma, 8, 24_000)] {
        for (n, packet) in speech(codec, 1000, 1).iter().enumerate() {
            let timestamp = RtpTimestamp(start + n as u32 * 20 * rate);
            let mut writer = RtpWriter::new(3, sequence);
            let payload_type = codec.info().static_payload_type.unwrap_or(96);
            let bytes = writer.packet(false, payload_type, timestamp, &packet[12..]);
            rig.feed(epoch() + ms(20.0 * sequence as f64), Input::Rtp(&bytes));
            sequence += 1;
        }
    }
    let messages = rig.messages();
    assert_eq!(messages.len(), 150);
    assert!(messages.iter().enumerate().all(|(n, message)| (message.1 as i64 - 20 * n as i64).abs() <= 20));
}

/// A minute of packets whose arrivals scatter by `sigma_ms`, out of order where that makes them so, and stand still for
/// `spike_ms` every ten seconds: the share of packets that came too late, and the mean hold of the others in ms.
fn under_jitter(sigma_ms: f64, spike_ms: f64) -> (f64, f64) {
    let packets = speech(Codec::Pcmu, 60_000, 1);
    let mut random = Random::new(6);
    let mut arrivals: Vec<(f64, usize)> = (0..packets.len())
        .map(|n| {
            let gauss = (0..12).map(|_| random.uniform()).sum::<f64>() - 6.0;
            let at = 20.0 * n as f64 + 100.0 + (sigma_ms * gauss).max(-100.0);
            let spike = at % 10_000.0 > 10_000.0 - spike_ms;
            (if spike { (at / 10_000.0).ceil() * 10_000.0 } else { at }, n)
        })
        .collect();
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    let mut arrived = vec![0.0; packets.len()];
    for (at, n) in arrivals {
        arrived[n] = at;
        rig.feed(epoch() + ms(at), Input::Rtp(&packets[n]));
    }
    let messages = rig.messages();
    let first = messages[0].1;
    let holds: Vec<f64> = messages
        .iter()
        .filter_map(|(left, timestamp, _)| {
            arrived.get((timestamp - first) as usize / 20).map(|at| (left - at).max(0.0))
        })
        .collect();
    let stats = rig.path.stats().downlink;
    (stats.late as f64 / stats.packets as f64, holds.iter().sum::<f64>() / holds.len() as f64)
}

#[test]
fn scattered_arrivals_lose_little() {
    for (sigma, spike, most) in
        [(5.0, 0.0, 0.0005), (10.0, 0.0, 0.005), (20.0, 0.0, 0.005), (10.0, 200.0, 0.015), (30.0, 200.0, 0.015)]
    {
        let (late, held) = under_jitter(sigma, spike);
        println!("sigma {sigma} ms, spikes of {spike} ms: {:.2} % late, held {held:.1} ms", 100.0 * late);
        assert!(late <= most, "sigma {sigma} ms, spikes of {spike} ms: {late}");
    }
}

/// Speech in a room that hums softly: the level of its pauses, and the speech.
fn speech_in_a_room(rate: SampleRate, length_ms: u32) -> (f64, Vec<i16>) {
    let (mut random, mut last) = (Random::new(7), 0.0);
    let mut pcm = voice(rate, length_ms, 3);
    let mut room = Vec::new();
    for (n, sample) in pcm.iter_mut().enumerate() {
        last = 0.5 * last + (random.uniform() - 0.5) * 150.0;
        room.push(last as i16);
        let speaks = n / rate.samples_in_ms(400) % 2 == 1;
        *sample = sample.saturating_mul(speaks as i16).saturating_add(last as i16);
    }
    (rms(&room), pcm)
}

/// Decodes what the phone hears from a time on.
fn phone_hears(rig: &Rig, phone: Codec, from_ms: f64) -> Vec<i16> {
    let mut decoder = crate::codec::Decoder::new(phone);
    let mut pcm = Vec::new();
    for (at, _, body) in rig.messages() {
        let start = pcm.len();
        decoder.decode(&body[1..], &mut pcm).unwrap();
        if at < from_ms {
            pcm.truncate(start);
        }
    }
    pcm
}

#[test]
fn an_outage_ends_in_the_background_noise_of_before_and_not_in_silence_or_a_hum() {
    for (peer, phone) in [
        (Codec::Pcmu, Codec::Pcmu),
        (Codec::Pcma, Codec::SpeexWideband),
        (Codec::G722, Codec::Pcmu),
        (Codec::SpeexWideband, Codec::Pcmu),
        (Codec::Opus, Codec::Pcmu),
        (Codec::SpeexWideband, Codec::SpeexWideband),
    ] {
        let (room, pcm) = speech_in_a_room(peer.sample_rate(), 6000);
        let mut rig = Rig::new(peer, phone);
        for (n, packet) in peer_packets(peer, &pcm, 1, 0, 0).iter().enumerate() {
            rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
        }
        rig.advance(epoch() + ms(30_000.0));
        let heard = phone_hears(&rig, phone, 6500.0);
        let seconds = heard.len() as f64 / phone.sample_rate().hz() as f64;
        assert!((9.0..10.0).contains(&seconds), "{peer:?} -> {phone:?}: {seconds} s");
        let off = 20.0 * (rms(&heard) / room).log10();
        println!("{peer:?} -> {phone:?}: {off:+.1} dB");
        assert!(off.abs() < 8.0, "{peer:?} -> {phone:?}: the noise is {off:.1} dB off");
        for second in heard.chunks_exact(phone.sample_rate().samples_in_ms(1000)) {
            let itself = |lag: usize| correlation(&second[lag..], second);
            let hum = (phone.sample_rate().samples_in_ms(3)..phone.sample_rate().samples_in_ms(20)).map(itself);
            let hum = hum.fold(0.0, f64::max);
            assert!(hum < 0.5, "{peer:?} -> {phone:?}: like itself by {hum:.2}");
        }
    }
}

#[test]
fn comfort_noise_of_the_peer_is_heard_as_noise_until_it_speaks_again() {
    for (peer, phone) in
        [(Codec::Pcmu, Codec::Pcmu), (Codec::Pcmu, Codec::SpeexWideband), (Codec::G722, Codec::SpeexNarrowband)]
    {
        let mut agreed = negotiated(peer);
        agreed.receive_comfort_noise = Some(13);
        let mut rig = Rig::with(config(agreed, phone));
        let speech = peer_packets(peer, &voice(peer.sample_rate(), 2000, 3), 1, 0, 0);
        let mut writer = RtpWriter::new(0xBEEF, 0);
        let payload_type = peer.info().static_payload_type.unwrap();
        for (n, packet) in speech.iter().enumerate() {
            let at = 20 * n + if n >= 50 { 3000 } else { 0 };
            if n == 50 {
                let noise = writer.packet(false, 13, RtpTimestamp(8 * 1000), &[52]); // -52 dBov: 82
                rig.feed(epoch() + ms(1000.0), Input::Rtp(&noise));
            }
            let bytes = writer.packet(n == 50, payload_type, RtpTimestamp(8 * at as u32), &packet[12..]);
            rig.feed(epoch() + ms(at as f64), Input::Rtp(&bytes));
        }
        let messages = rig.messages();
        let resting: Vec<u32> =
            messages.iter().map(|message| message.1).filter(|at| (1000..4000).contains(at)).collect();
        assert!(resting.len() >= 145, "{peer:?}: {} frames of noise", resting.len());
        assert!(resting.windows(2).all(|pair| pair[1] - pair[0] == 20), "one every 20 ms");
        assert_eq!(messages.iter().filter(|message| message.1 >= 4000).count(), 50, "no word is lost");
        let heard = phone_hears(&rig, phone, 1200.0);
        let pause = rms(&heard[..phone.sample_rate().samples_in_ms(2500)]);
        assert!((40.0..160.0).contains(&pause), "{peer:?} -> {phone:?}: {pause}");
        let stats = rig.path.stats().downlink;
        assert_eq!((stats.lost, stats.late, stats.concealed_frames, stats.unknown_payload), (0, 0, 0, 0));
    }
}

#[test]
fn comfort_noise_that_is_described_often_is_heard_without_holes() {
    for (every, phone) in
        [(20, Codec::Pcmu), (80, Codec::Pcmu), (80, Codec::SpeexWideband), (100, Codec::SpeexNarrowband)]
    {
        let mut agreed = negotiated(Codec::Pcmu);
        agreed.receive_comfort_noise = Some(13);
        let mut rig = Rig::with(config(agreed, phone));
        let speech = peer_packets(Codec::Pcmu, &voice(SampleRate::Hz8000, 2000, 3), 1, 0, 0);
        let mut writer = RtpWriter::new(0xBEEF, 0);
        for (n, packet) in speech.iter().enumerate() {
            let at = 20 * n + if n >= 50 { 3000 } else { 0 };
            for at in (1000..4000).step_by(every).filter(|_| n == 50) {
                let noise = writer.packet(false, 13, RtpTimestamp(8 * at), &[52]);
                rig.feed(epoch() + ms(at as f64), Input::Rtp(&noise));
            }
            let bytes = writer.packet(n == 50, 0, RtpTimestamp(8 * at as u32), &packet[12..]);
            rig.feed(epoch() + ms(at as f64), Input::Rtp(&bytes));
        }
        let times: Vec<u32> = rig.messages().iter().map(|message| message.1).collect();
        assert_eq!(times, (0..5000).step_by(20).collect::<Vec<u32>>(), "{phone:?}, each {every} ms");
        let stats = rig.path.stats().downlink;
        assert_eq!((stats.lost, stats.late, stats.concealed_frames), (0, 0, 0));
    }
}

#[test]
fn after_goodbye_nothing_is_filled() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
    for (n, packet) in speech(Codec::Pcmu, 1000, 1).iter().enumerate() {
        rig.feed(epoch() + ms(20.0 * n as f64), Input::Rtp(packet));
    }
    let bye = [0x81, 203, 0, 1, 0, 0, 0xBE, 0xEF];
    let report = [0x80, 201, 0, 1, 0, 0, 0xBE, 0xEF];
    rig.feed(epoch() + ms(1000.0), Input::Rtcp(&[report, bye].concat()));
    rig.advance(epoch() + ms(5000.0));
    assert_eq!(rig.messages().len(), 50);
}

/// A normal distribution.
fn gauss(random: &mut Random) -> f64 {
    (-2.0 * (1.0 - random.uniform()).ln()).sqrt() * (std::f64::consts::TAU * random.uniform()).cos()
}

#[test]
fn with_jitter_of_thirty_milliseconds_and_spikes_few_packets_come_too_late_and_calm_is_noticed() {
    for two_sided in [false, true] {
        let mut random = Random::new(11);
        let packets = speech(Codec::Pcmu, 2000, 1);
        let (mut writer, mut arrivals) = (RtpWriter::new(7, 0), Vec::new());
        for n in 0..4000usize {
            let sent = 20.0 * n as f64;
            let deviation = if n < 3000 { 30.0 * gauss(&mut random) } else { 0.0 };
            let mut delay = 100.0 + if two_sided { deviation } else { deviation.abs() };
            let into_spike = sent % 10_000.0 - 5000.0;
            if n < 3000 && (0.0..200.0).contains(&into_spike) {
                delay = delay.max(300.0 - into_spike);
            }
            let packet = writer.packet(false, 0, RtpTimestamp(160 * n as u32), &packets[n % 100][12..]);
            arrivals.push((sent + delay, n, packet));
        }
        arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
        // Ten seconds after the network calmed one packet is lost.
        for (at, _, packet) in arrivals.iter().filter(|arrival| arrival.1 != 3500) {
            rig.feed(epoch() + ms(*at), Input::Rtp(packet));
        }
        let stats = rig.path.stats().downlink;
        let late = stats.late as f64 / 3000.0;
        let messages = rig.messages();
        let base = arrivals[0].0 - 20.0 * arrivals[0].1 as f64 - 100.0; // the first packet's timestamp is its arrival
        let delays: Vec<f64> = messages.iter().map(|(left, at, _)| left - *at as f64 + base - 100.0).collect();
        let mean = delays[..2900].iter().sum::<f64>() / 2900.0;
        println!("late {:.2} %, mean delay {mean:.0} ms", 100.0 * late);
        assert!(late < 0.01, "{:.2} % late", 100.0 * late);
        assert!(mean < 80.0, "{mean} ms");
        let held = messages.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let held = held.skip(3400).take(250).fold(0.0, f64::max);
        assert!((39.0..85.0).contains(&held), "a loss in the calm: {held} ms");
    }
}

#[test]
fn an_hour_with_a_peer_whose_clock_is_wrong_is_neither_held_nor_filled() {
    let packets = speech(Codec::Pcmu, 2000, 1);
    for ppm in [-500.0, 500.0] {
        let frame = 20.0 * (1.0 + ppm / 1e6);
        let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
        let mut writer = RtpWriter::new(7, 0);
        let mut count = 0;
        for n in 0..180_000u32 {
            let now = epoch() + ms(frame * n as f64);
            let packet = writer.packet(false, 0, RtpTimestamp(160 * n), &packets[n as usize % 100][12..]);
            rig.feed(now, Input::Rtp(&packet));
            for (at, output) in rig.out.drain(..) {
                let crate::path::Output::PhoneAudio { timestamp_ms, .. } = output else { continue };
                assert_eq!((at, timestamp_ms), (now, 20 * n));
                count += 1;
            }
        }
        assert_eq!(count, 180_000);
        let stats = rig.path.stats().downlink;
        assert_eq!((stats.concealed_frames, stats.late), (0, 0));
        // A new source goes on where the old one stood, 1.8 s from our own clock.
        let mut second = RtpWriter::new(0xCAFE, 100);
        for n in 0..20u32 {
            let packet = second.packet(n == 0, 0, RtpTimestamp(999 + 160 * n), &[0x7E; 160]);
            rig.feed(epoch() + ms(frame * 180_000.0 + 20.0 * n as f64), Input::Rtp(&packet));
        }
        let first = rig.messages()[0].1 as i64;
        assert!((first - 3_600_000).abs() <= 60, "{ppm} ppm: from 3600000 to {first}");
    }
}

#[test]
fn a_sender_that_does_not_count_its_pause_is_heard_again_and_a_burst_after_an_outage_is_not() {
    let packets = speech(Codec::Pcmu, 4000, 1);
    for held_back in [false, true] {
        let mut rig = Rig::new(Codec::Pcmu, Codec::Pcmu);
        for (n, packet) in packets.iter().enumerate() {
            // After a second two seconds without a packet: the sender was silent, or the network held 100 packets back.
            let at = if n < 50 {
                20 * n
            } else if held_back {
                (20 * n).max(3000)
            } else {
                20 * n + 2000
            };
            rig.feed(epoch() + ms(at as f64), Input::Rtp(packet));
        }
        let late = rig.path.stats().downlink.late;
        let messages = rig.messages();
        let (left, timestamp, _) = messages[messages.len() - 1];
        assert!((left - timestamp as f64).abs() < 150.0, "left at {left}, belongs to {timestamp}");
        assert!(if held_back { (90..=100).contains(&late) } else { late <= 3 }, "{late} late");
        assert!(
            messages.windows(2).all(|pair| (20..=120).contains(&(pair[1].1 - pair[0].1))),
            "forward, without holes"
        );
    }
}
