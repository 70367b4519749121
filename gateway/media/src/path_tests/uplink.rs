//! Phone to SIP: the media clock, stalls, gaps, several frames in a message.

use super::{Rig, config, ms, phone_messages};
use crate::{
    codec::{Codec, SampleRate},
    path::{Input, Output},
    sdp::Direction,
    testing::{Random, best_correlation, correlation, epoch, negotiated, rms, voice},
};

#[test]
fn bursts_of_tcp_become_an_even_stream_of_rtp() {
    for (codec, per_packet) in [(Codec::Pcmu, 160), (Codec::SpeexWideband, 320), (Codec::SpeexNarrowband, 160)] {
        let speech = voice(SampleRate::Hz16000, 10_000, 1);
        let mut rig = Rig::new(codec, Codec::SpeexWideband);
        rig.feed_messages(&phone_messages(Codec::SpeexWideband, &speech, 1), 20, |n| (n / 4 * 80 + 60) as f64);
        rig.advance(epoch() + ms(10_060.0));
        let packets = rig.rtp();
        assert_eq!(packets.len(), 500);
        for pair in packets[10..].windows(2) {
            assert!((pair[1].0 - pair[0].0 - 20.0).abs() < 2.0, "{codec:?}: {} ms", pair[1].0 - pair[0].0);
            assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next());
            assert_eq!(pair[1].1.timestamp.distance_from(pair[0].1.timestamp), per_packet);
        }
        let markers: Vec<_> = packets.iter().map(|packet| packet.1.marker).collect();
        assert!(markers[0] && !markers[1..].contains(&true));
    }
}

#[test]
fn speech_transcoded_is_the_speech_that_was_sent() {
    let speech = voice(SampleRate::Hz16000, 10_000, 2);
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    rig.speak(&phone_messages(Codec::SpeexWideband, &speech, 1));
    let heard = rig.heard_by_peer(Codec::Pcmu);
    let narrow: Vec<i16> = {
        let mut out = Vec::new();
        crate::resample::Resampler::new(SampleRate::Hz16000, SampleRate::Hz8000).process(&speech, &mut out);
        out
    };
    let (similarity, lag) = best_correlation(&narrow[..60_000], &heard, 400);
    println!("correlation {similarity:.3} at {lag} samples");
    assert!(similarity > 0.85, "{similarity} at {lag}");
}

#[test]
fn several_frames_in_a_message_are_all_sent_each_in_its_time() {
    let speech = voice(SampleRate::Hz16000, 4000, 3);
    for frames in [2, 3, 5] {
        for peer in [Codec::SpeexWideband, Codec::Pcma] {
            let mut rig = Rig::new(peer, Codec::SpeexWideband);
            let length = 20 * frames as u32;
            let messages = phone_messages(Codec::SpeexWideband, &speech, frames);
            rig.feed_messages(&messages, length, |n| (length as usize * (n + 1)) as f64);
            rig.advance(epoch() + ms((length as usize * (messages.len() + 1)) as f64));
            let packets = rig.rtp();
            assert_eq!(packets.len(), messages.len() * frames, "{frames} frames to {peer:?}");
            for pair in packets.windows(2) {
                assert!((pair[1].0 - pair[0].0 - 20.0).abs() < 2.0, "{} ms", pair[1].0 - pair[0].0);
                let step = pair[1].1.timestamp.distance_from(pair[0].1.timestamp);
                assert_eq!(step, peer.clock_rate() as i32 / 50);
            }
        }
    }
}

#[test]
fn the_packet_time_that_the_peer_asks_for_is_kept() {
    let speech = voice(SampleRate::Hz16000, 6000, 3);
    for (peer, source) in [
        (Codec::SpeexWideband, Codec::SpeexWideband),
        (Codec::SpeexNarrowband, Codec::SpeexWideband),
        (Codec::Pcmu, Codec::SpeexWideband),
        (Codec::Pcmu, Codec::Pcmu),
    ] {
        for (asked, kept) in [(10, 10), (20, 20), (30, 30), (40, 40), (60, 60), (200, 60)] {
            let kept = if peer.is_speex() { [20, 20, 20, 40, 60, 60][asked_index(asked)] } else { kept };
            let mut agreed = negotiated(peer);
            agreed.ptime_ms = asked;
            let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
            let pcm = if source == Codec::Pcmu { voice(SampleRate::Hz8000, 6000, 3) } else { speech.clone() };
            rig.speak(&phone_messages(source, &pcm, 1));
            rig.advance(epoch() + ms(6010.0));
            let packets = rig.rtp();
            assert_eq!(packets.len(), 6000 / kept as usize, "{peer:?} at {asked} ms");
            for pair in packets.windows(2) {
                let step = pair[1].1.timestamp.distance_from(pair[0].1.timestamp);
                assert_eq!(step, peer.clock_rate() as i32 / 1000 * kept, "{peer:?} at {asked} ms");
            }
            let length = rig.heard_by_peer(peer).len();
            assert_eq!(length, peer.sample_rate().samples_in_ms(6000), "{source:?} -> {peer:?} at {asked} ms");
        }
    }
}

fn asked_index(asked: u16) -> usize {
    [10, 20, 30, 40, 60, 200].iter().position(|&known| known == asked).unwrap()
}

#[test]
fn a_stall_costs_its_backlog_and_the_delay_is_back_within_two_seconds() {
    let speech = voice(SampleRate::Hz16000, 20_000, 5);
    for codec in [Codec::SpeexWideband, Codec::Pcmu] {
        for stall in [300.0, 1000.0, 5000.0] {
            let (begin, end) = (6000.0, 6000.0 + stall);
            let mut rig = Rig::new(codec, Codec::SpeexWideband);
            rig.feed_messages(&phone_messages(Codec::SpeexWideband, &speech, 1), 20, |n| {
                let at = 20.0 * n as f64;
                if (begin..end).contains(&at) { end } else { at }
            });
            let packets = rig.rtp();
            let ticks_per_ms = codec.clock_rate() as f64 / 1000.0;
            let first = packets[0].1.timestamp;
            for (at, packet) in packets.iter().filter(|(at, _)| *at > end + 2000.0) {
                let sampled = packet.timestamp.distance_from(first) as f64 / ticks_per_ms;
                assert!((at - sampled).abs() < 20.0, "stall {stall}: sent {at}, sampled {sampled}");
            }
            let sent_after = packets.iter().filter(|(at, _)| *at > end + 2000.0).count();
            assert_eq!(sent_after, ((20_000.0 - end - 2000.0) / 20.0) as usize - 1, "nothing else is lost");
            assert!(rig.path.stats().uplink.dropped_frames as f64 <= stall / 20.0);
            for pair in packets.windows(2) {
                assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next(), "no holes in the sequence");
                assert!(pair[1].1.timestamp.distance_from(pair[0].1.timestamp) > 0);
            }
        }
    }
}

#[test]
fn a_pause_of_the_phone_is_noise_and_what_follows_is_in_its_time_with_a_marker() {
    for (peer, step) in [(Codec::SpeexWideband, 320), (Codec::Pcmu, 160)] {
        let mut speech = voice(SampleRate::Hz16000, 2000, 6);
        speech[..8000].iter_mut().for_each(|sample| *sample /= 400); // the room before the first word
        let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
        let mut rig = Rig::new(peer, Codec::SpeexWideband);
        let base = u32::MAX - 500; // the RTMP timestamps wrap on the way
        for (n, body) in messages.iter().enumerate() {
            let at = 20 * n as u32 + if n >= 50 { 3000 } else { 0 };
            let timestamp_ms = base.wrapping_add(at);
            rig.feed(epoch() + ms(at as f64), Input::PhoneAudio { timestamp_ms, body });
            if n == 49 {
                rig.feed(epoch() + ms(at as f64 + 10.0), Input::PhoneAudio { timestamp_ms: 0, body: &[] });
            }
        }
        rig.advance(epoch() + ms(5010.0));
        let packets = rig.rtp();
        let markers: Vec<_> = (0..packets.len()).filter(|&n| packets[n].1.marker).collect();
        let noise = packets.len() - 100;
        assert!((142..=146).contains(&noise), "{noise} packets of noise");
        assert_eq!(markers, [0, 50 + noise]);
        for (at, packet) in &packets {
            let sampled = packet.timestamp.distance_from(packets[0].1.timestamp) as f64 / step as f64 * 20.0;
            assert!((at - sampled).abs() < 2.5, "sent {at}, sampled {sampled}");
        }
        assert!(packets.windows(2).all(|pair| pair[1].0 - pair[0].0 < 140.5));
        let heard = rig.heard_by_peer(peer);
        let rate = peer.sample_rate();
        let pause = rms(&heard[rate.samples_in_ms(1200)..rate.samples_in_ms(3800)]);
        assert!((1.0..60.0).contains(&pause), "{peer:?}: the pause has a level of {pause}");
    }
}

#[test]
fn nothing_published_is_nothing_sent() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    rig.advance(epoch() + ms(60_000.0));
    assert!(rig.rtp().is_empty());
    assert!(rig.out.iter().all(|(_, output)| matches!(output, Output::Rtcp(_))));
    assert!((8..=24).contains(&rig.out.len()), "{} reports in a minute", rig.out.len());
}

#[test]
fn hold_stops_the_sound_and_resuming_keeps_source_sequence_and_timeline() {
    let speech = voice(SampleRate::Hz16000, 3000, 6);
    let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
    let mut rig = Rig::new(Codec::SpeexWideband, Codec::SpeexWideband);
    for (n, body) in messages.iter().enumerate() {
        let timestamp_ms = 20 * n as u32;
        let now = epoch() + ms(timestamp_ms as f64);
        let mut agreed = negotiated(Codec::SpeexWideband);
        if n == 50 {
            agreed.direction = Direction::Inactive;
            rig.feed(now, Input::Renegotiated(agreed));
        } else if n == 100 {
            rig.feed(now, Input::Renegotiated(agreed));
        }
        rig.feed(now, Input::PhoneAudio { timestamp_ms, body });
    }
    let packets = rig.rtp();
    assert_eq!(packets.len(), 100);
    assert_eq!(packets[50].1.sequence, packets[49].1.sequence.next());
    assert_eq!(packets[50].1.timestamp.distance_from(packets[49].1.timestamp), 51 * 320);
    assert_eq!(packets[50].1.ssrc, packets[49].1.ssrc);
    assert!(packets[50].1.marker);
}

#[test]
fn a_change_of_the_codec_goes_on_in_the_same_stream() {
    let speech = voice(SampleRate::Hz16000, 2000, 6);
    let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    for (n, body) in messages.iter().enumerate() {
        let timestamp_ms = 20 * n as u32;
        let now = epoch() + ms(timestamp_ms as f64);
        if n == 50 {
            rig.feed(now, Input::Renegotiated(negotiated(Codec::SpeexWideband)));
        }
        rig.feed(now, Input::PhoneAudio { timestamp_ms, body });
    }
    let packets = rig.rtp();
    assert_eq!(packets.len(), 100);
    for pair in packets.windows(2) {
        assert_eq!(pair[1].1.sequence, pair[0].1.sequence.next());
    }
    assert_eq!((packets[49].1.payload_type, packets[50].1.payload_type), (0, 96));
    let step = packets[50].1.timestamp.distance_from(packets[49].1.timestamp);
    assert!((160..=320).contains(&step), "{step}");
}

#[test]
fn an_unknown_codec_is_told_once_and_does_no_harm() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    for n in 0..100u32 {
        let body = [if n % 2 == 0 { 0x22 } else { 0xAF }, 1, 2, 3];
        rig.feed(epoch() + ms(20.0 * n as f64), Input::PhoneAudio { timestamp_ms: 20 * n, body: &body });
    }
    let told: Vec<u8> = rig
        .out
        .iter()
        .filter_map(|(_, output)| match output {
            Output::PhoneCodecUnsupported(format) => Some(*format),
            _ => None,
        })
        .collect();
    assert_eq!(told, [2, 10]);
    assert_eq!(rig.path.stats().uplink.unsupported, 100);
}

#[test]
fn a_phone_that_changes_its_codec_goes_on_being_heard() {
    let wide = voice(SampleRate::Hz16000, 1000, 7);
    let narrow = voice(SampleRate::Hz8000, 1000, 7);
    let mut rig = Rig::new(Codec::Pcma, Codec::SpeexWideband);
    let mut messages = phone_messages(Codec::SpeexWideband, &wide, 1);
    messages.extend(phone_messages(Codec::Pcma, &narrow, 1));
    rig.speak(&messages);
    let heard = rig.heard_by_peer(Codec::Pcma);
    assert_eq!(heard.len(), 16_000);
    assert!(correlation(&heard[8000..], &narrow) > 0.99);
}

#[test]
fn an_hour_over_a_wandering_network_keeps_the_delay_bounded() {
    let codec = Codec::SpeexWideband;
    let speech = voice(SampleRate::Hz16000, 2000, 6);
    let messages = phone_messages(codec, &speech, 1);
    for ppm in [-500.0, 500.0] {
        let mut rig = Rig::new(codec, codec);
        let mut random = Random::new(3);
        let frame = 20.0 * (1.0 + ppm / 1e6);
        let (mut last, mut worst, mut sent) = (0.0f64, 0.0f64, 0u64);
        for n in 0..180_000u32 {
            let made = frame * n as f64;
            last = last.max(made + random.uniform() * 8.0);
            let body = &messages[n as usize % 100];
            rig.feed(epoch() + ms(last), Input::PhoneAudio { timestamp_ms: 20 * n, body });
            for (at, output) in rig.out.drain(..) {
                if let Output::Rtp(_) = output {
                    let hold = super::since_start(at) - frame * sent as f64;
                    worst = worst.max(if sent > 0 { hold } else { 0.0 });
                    sent += 1;
                }
            }
        }
        assert!(sent >= 179_998, "{sent}");
        assert!(worst < 20.0, "{ppm} ppm: {worst} ms");
    }
}

/// Arrivals of 20 ms frames over TCP that stalls for `least` to `most` ms about every `every` ms, until `calm` ms.
fn stalling(frames: usize, least: f64, most: f64, every: f64, calm: f64) -> Vec<f64> {
    let mut random = Random::new(21);
    let mut arrivals: Vec<f64> = (0..frames).map(|n| 20.0 * n as f64).collect();
    let mut at = 500.0;
    while at < calm {
        let length = least + (most - least) * random.uniform();
        arrivals.iter_mut().filter(|t| (at..at + length).contains(*t)).for_each(|t| *t = at + length);
        at += length + every * (0.5 + random.uniform());
    }
    arrivals
}

#[test]
fn a_phone_whose_network_jitters_keeps_its_speech_whole_and_gets_its_delay_back_in_the_calm() {
    let speech = voice(SampleRate::Hz16000, 60_000, 5);
    let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
    let arrivals = stalling(3000, 30.0, 150.0, 1000.0, 40_000.0);
    for by_arrival in [false, true] {
        for peer in [Codec::Pcmu, Codec::SpeexWideband] {
            let mut rig = Rig::new(peer, Codec::SpeexWideband);
            for (n, (body, at)) in messages.iter().zip(&arrivals).enumerate() {
                // A phone that is late itself stamps frames when it sends them.
                let timestamp_ms = if by_arrival { *at as u32 } else { 20 * n as u32 };
                rig.feed(epoch() + ms(*at), Input::PhoneAudio { timestamp_ms, body });
                let delay = rig.path.stats().uplink.delay.as_millis();
                assert!(delay <= 260, "{delay} ms at frame {n}");
                assert!(n < 2750 || delay <= 25, "{delay} ms in the calm, at frame {n}");
            }
            let stats = rig.path.stats().uplink;
            println!("{peer:?}: left out {}, filled {}", stats.dropped_frames, stats.filled_frames);
            assert!(stats.dropped_frames <= 12, "{} frames left out", stats.dropped_frames);
            assert!(stats.filled_frames <= 12, "{} frames filled", stats.filled_frames);
            let packets = rig.rtp();
            let (mut jitter, mut transit) = (0.0f64, 0.0f64);
            for pair in packets.windows(2) {
                let ticks = pair[1].1.timestamp.distance_from(pair[0].1.timestamp) as f64;
                let step = pair[1].0 - pair[0].0 - 1000.0 * ticks / peer.clock_rate() as f64;
                jitter += (step.abs() - jitter) / 16.0;
                transit += step;
                // Until it is known that lateness comes again, it leaves at once.
                let most = if pair[0].0 < 7000.0 { 12.0 } else { 4.0 };
                assert!(jitter < most && transit < 121.0, "jitter {jitter} ms, {transit} ms late at {}", pair[0].0);
            }
            assert!(jitter < 0.5, "{jitter} ms in the end");
        }
    }
}

#[test]
fn a_stall_is_heard_as_noise_every_twenty_milliseconds_and_afterwards_the_voice_is_as_near_as_before() {
    let speech = voice(SampleRate::Hz16000, 16_000, 5);
    let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
    for peer in [Codec::Pcmu, Codec::SpeexWideband] {
        let mut rig = Rig::new(peer, Codec::SpeexWideband);
        let mut delay_after = Vec::new();
        for (n, body) in messages.iter().enumerate() {
            let at = 20.0 * n as f64 + 0.5;
            let at = if (5000.0..10_000.0).contains(&at) { 10_000.0 } else { at };
            rig.feed(epoch() + ms(at), Input::PhoneAudio { timestamp_ms: 20 * n as u32, body });
            if at > 11_000.0 {
                delay_after.push(rig.path.stats().uplink.delay.as_millis());
            }
        }
        let packets = rig.rtp();
        let widest = packets.windows(2).map(|pair| pair[1].0 - pair[0].0).fold(0.0, f64::max);
        assert!(widest <= 142.0, "{widest} ms without a packet");
        assert!(delay_after.iter().all(|delay| *delay <= 21), "{delay_after:?}");
        let stats = rig.path.stats().uplink;
        assert!((240..=250).contains(&stats.dropped_frames), "{}", stats.dropped_frames);
        assert!((240..=250).contains(&stats.filled_frames), "{}", stats.filled_frames);
        let after = packets.iter().find(|(at, packet)| *at > 9990.0 && packet.marker);
        assert!(after.is_some_and(|(at, _)| *at < 10_030.0), "the voice is back with a marker");
    }
}

#[test]
fn a_peer_that_makes_noise_itself_is_told_what_it_is_like() {
    let mut agreed = negotiated(Codec::Pcmu);
    agreed.comfort_noise = Some(13);
    let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
    let speech = voice(SampleRate::Hz16000, 2000, 6);
    for (n, body) in phone_messages(Codec::SpeexWideband, &speech, 1).iter().enumerate() {
        let at = 20 * n as u32 + if n >= 50 { 3000 } else { 0 };
        rig.feed(epoch() + ms(at as f64), Input::PhoneAudio { timestamp_ms: at, body });
    }
    let packets = rig.rtp();
    let noise: Vec<_> = packets.iter().filter(|(_, packet)| packet.payload_type == 13).collect();
    assert!((7..=8).contains(&noise.len()), "{} descriptions in 3 s", noise.len());
    assert!(noise.iter().all(|(_, packet)| packet.payload.len() == 7 && packet.payload[0] < 128 && !packet.marker));
    let spurt = packets.iter().position(|(at, packet)| *at > 3900.0 && packet.payload_type == 0).unwrap();
    assert!(packets[spurt].1.marker);
    assert_eq!(packets[spurt].1.timestamp.distance_from(packets[0].1.timestamp), 8 * 4000);
}

#[test]
fn a_phone_that_stays_silent_is_kept_alive_and_costs_next_to_nothing() {
    let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
    let speech = voice(SampleRate::Hz16000, 1000, 6);
    for (n, body) in phone_messages(Codec::SpeexWideband, &speech, 1).iter().enumerate() {
        let timestamp_ms = 20 * n as u32;
        rig.feed(epoch() + ms(timestamp_ms as f64), Input::PhoneAudio { timestamp_ms, body });
    }
    rig.advance(epoch() + ms(111_000.0));
    let packets = rig.rtp();
    let later: Vec<f64> = packets.iter().map(|packet| packet.0).filter(|at| *at > 11_500.0).collect();
    assert!((19..=21).contains(&later.len()), "{} packets in 100 s", later.len());
    assert!(later.windows(2).all(|pair| (pair[1] - pair[0] - 5000.0).abs() < 1.0));
    // What it says then is heard in its time.
    let body = phone_messages(Codec::SpeexWideband, &speech, 1).remove(0);
    rig.feed(epoch() + ms(111_000.0), Input::PhoneAudio { timestamp_ms: 111_000, body: &body });
    rig.advance(epoch() + ms(111_020.0));
    let packets = rig.rtp();
    let (at, packet) = packets.last().unwrap();
    assert!(packet.marker && *at < 111_021.0);
    let sampled = packet.timestamp.distance_from(packets[0].1.timestamp) as f64 / 8.0;
    assert!((sampled - 111_000.0).abs() <= 20.0, "{sampled}");
}

#[test]
fn what_does_not_fill_a_packet_is_sent_when_the_phone_falls_silent() {
    for (peer, whole) in [(Codec::Pcmu, 480), (Codec::SpeexWideband, 209)] {
        let mut agreed = negotiated(peer);
        agreed.ptime_ms = 60;
        let mut rig = Rig::with(config(agreed, Codec::SpeexWideband));
        let speech = voice(SampleRate::Hz16000, 1000, 6); // 16 packets of three frames, and two frames
        for (n, body) in phone_messages(Codec::SpeexWideband, &speech, 1).iter().enumerate() {
            let timestamp_ms = 20 * n as u32;
            rig.feed(epoch() + ms(timestamp_ms as f64), Input::PhoneAudio { timestamp_ms, body });
        }
        rig.advance(epoch() + ms(1130.0));
        let packets = rig.rtp();
        assert_eq!(packets.len(), 17, "{peer:?}");
        assert_eq!(packets[15].1.payload.len(), whole);
        assert_eq!(packets[16].1.payload.len(), whole * 2 / 3);
    }
}

/// Messages of 20 ms through a driver that looks every 5 ms, but not for `held_up` ms in each second, with arrivals known as
/// well as they may be, or taken for the moment at which audio was found.
fn through_a_driver_that_is_held_up(held_up: u32, knows: bool) -> Rig {
    let speech = voice(SampleRate::Hz16000, 30_000, 12);
    let mut rig = Rig::new(Codec::SpeexWideband, Codec::SpeexWideband);
    let mut messages =
        phone_messages(Codec::SpeexWideband, &speech, 1).into_iter().zip((0u32..).step_by(20)).peekable();
    let mut looked = epoch();
    for at in (0..30_000).step_by(5).filter(|at| !(200..200 + held_up).contains(&(at % 1000))) {
        let now = epoch() + ms(at as f64);
        rig.path.looked_for_audio(if knows { looked } else { now });
        while let Some((body, timestamp_ms)) = messages.next_if(|(_, time)| *time <= at) {
            rig.path.handle_input(now, Input::PhoneAudio { timestamp_ms, body: &body });
        }
        rig.path.handle_input(now, Input::Timeout);
        rig.collect(now);
        looked = now;
    }
    rig
}

#[test]
fn what_the_driver_is_late_by_itself_is_neither_waited_for_nor_filled_with_noise() {
    for held_up in [20, 45, 80] {
        let rig = through_a_driver_that_is_held_up(held_up, true);
        let stats = rig.path.stats().uplink;
        assert_eq!((stats.packets, stats.filled_frames, stats.dropped_frames), (1500, 0, 0), "{held_up} ms");
        assert!(stats.delay < ms(1.0), "{held_up} ms: {:?}", stats.delay);
        let in_time = rig.rtp().iter().zip(0..).filter(|((at, _), n)| *at - 20.0 * (*n as f64) < 0.5).count();
        assert!(in_time >= 1500 - 30 * held_up.div_ceil(20) as usize, "{held_up} ms: {in_time} in time");
    }
    let stats = through_a_driver_that_is_held_up(80, false).path.stats().uplink;
    assert!(stats.delay > ms(30.0), "what the network is late is: {stats:?}");
}

#[test]
fn a_driver_that_stalls_sends_no_burst_of_what_is_too_old() {
    let rig = through_a_driver_that_is_held_up(600, true);
    let left: Vec<f64> = rig.rtp().iter().map(|(at, _)| *at).collect();
    let most = left.chunk_by(|one, next| one == next).map(<[f64]>::len).max().unwrap();
    assert!((2..=7).contains(&most), "{most} packets at once: more than came in 100 ms");
    assert!(left.len() > 600, "{} packets", left.len());
}
