//! Whole paths over networks that were written down: `fixtures/networks`, a packet's fate a line. And a tone that is listened to
//! for clicks.

use bytes::Bytes;

use super::{Rig, ms, peer_packets, phone_messages};
use crate::{
    codec::{Codec, Decoder, SampleRate},
    path::Input,
    testing::{Random, epoch, tone, voice},
};

const WIFI: &str = include_str!("../../fixtures/networks/wifi.txt");
const MOBILE: &str = include_str!("../../fixtures/networks/mobile.txt");
const GILBERT: &str = include_str!("../../fixtures/networks/gilbert.txt");
/// Recorded, 15 s; the others are made.
const UMTS: &str = include_str!("../../fixtures/networks/umts.txt");

/// The delay of each packet in ms; none if it is lost.
fn fates(trace: &str) -> Vec<Option<f64>> {
    trace.lines().map(|line| line.parse().ok()).collect()
}

/// Places where a tone breaks: a sine obeys x[n] = 2 cos(w) x[n-1] - x[n-2], and a click does not.
fn clicks(samples: &[i16], frequency: f64, rate: SampleRate, threshold: f64) -> usize {
    let turn = 2.0 * (std::f64::consts::TAU * frequency / rate.hz() as f64).cos();
    let broken = samples.windows(3).map(|w| (w[2] as f64 - turn * w[1] as f64 + w[0] as f64).abs() > threshold);
    let mut count = 0;
    let mut quiet_since = usize::MAX / 2;
    for broken in broken {
        quiet_since = if broken { 0 } else { quiet_since + 1 };
        count += (quiet_since == 0) as usize;
    }
    count
}

struct Verdict {
    late: f64,
    concealed: f64,
    mean_delay: f64,
    longest: f64,
}

/// A peer speaks over the network to a phone.
fn downlink(trace: &str, peer: Codec, phone: Codec) -> Verdict {
    let fates = fates(trace);
    let count = fates.len();
    let packets = peer_packets(peer, &voice(peer.sample_rate(), 20 * count as u32, 9), 1, 0, 0);
    let mut arrivals: Vec<(f64, usize, &Bytes)> = Vec::new();
    for (n, (packet, fate)) in packets.iter().zip(&fates).enumerate() {
        arrivals.extend(fate.map(|delay| (20.0 * n as f64 + delay, n, packet)));
    }
    arrivals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rig = Rig::new(peer, phone);
    for (at, _, packet) in &arrivals {
        rig.feed(epoch() + ms(*at), Input::Rtp(packet));
    }
    let stats = rig.path.stats().downlink;
    let base = arrivals[0].0;
    let delays: Vec<f64> = rig.messages().iter().map(|(left, at, _)| left - *at as f64 + base).collect();
    let gaps = rig.messages().windows(2).map(|pair| pair[1].1.saturating_sub(pair[0].1)).max().unwrap();
    assert!(gaps <= 60, "{gaps} ms of nothing");
    Verdict {
        late: stats.late as f64 / count as f64,
        concealed: stats.concealed_frames as f64 / count as f64,
        mean_delay: delays.iter().sum::<f64>() / delays.len() as f64,
        longest: delays.iter().copied().fold(0.0, f64::max),
    }
}

#[test]
fn over_written_down_networks_the_peer_is_heard_soon_and_nearly_whole() {
    for (name, trace, late, concealed, mean) in [
        ("wifi", WIFI, 0.005, 0.012, 12.0),
        ("mobile", MOBILE, 0.008, 0.012, 18.0),
        ("gilbert", GILBERT, 0.002, 0.06, 15.0),
        ("umts", UMTS, 0.05, 0.025, 33.0),
    ] {
        for (peer, phone) in [(Codec::Pcmu, Codec::Pcmu), (Codec::Pcmu, Codec::SpeexWideband)] {
            let seen = downlink(trace, peer, phone);
            println!(
                "{name}: late {:.2} %, concealed {:.2} %, mean delay {:.1} ms, longest {:.0} ms",
                100.0 * seen.late,
                100.0 * seen.concealed,
                seen.mean_delay,
                seen.longest
            );
            assert!(seen.late <= late, "{name}: {} late", seen.late);
            assert!(seen.concealed <= concealed, "{name}: {} concealed", seen.concealed);
            assert!(seen.mean_delay <= mean, "{name}: {} ms", seen.mean_delay);
            assert!(seen.longest <= 400.0, "{name}: {} ms", seen.longest);
        }
    }
}

#[test]
fn over_the_same_networks_by_tcp_the_phone_is_heard_evenly_and_nearly_whole() {
    for (name, trace, lost, delay) in [
        ("wifi", WIFI, 0.005, 130),
        ("mobile", MOBILE, 0.01, 130),
        ("gilbert", GILBERT, 0.005, 130),
        ("umts", UMTS, 0.07, 220),
    ] {
        let fates = fates(trace);
        let mut speech = voice(SampleRate::Hz16000, 20 * fates.len() as u32, 9);
        speech.chunks_exact_mut(32_000).for_each(|sentence| sentence[25_000..].fill(0));
        let messages = phone_messages(Codec::SpeexWideband, &speech, 1);
        let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
        let mut before = 0.0f64;
        let mut longest = 0;
        for (n, (body, fate)) in messages.iter().zip(&fates).enumerate() {
            // TCP sends again what was lost, and holds back what follows.
            let at = (20.0 * n as f64 + fate.unwrap_or(110.0)).max(before);
            if at > before {
                // What came in one go has been dealt with.
                longest = longest.max(rig.path.stats().uplink.delay.as_millis());
            }
            before = at;
            rig.feed(epoch() + ms(at), Input::PhoneAudio { timestamp_ms: 20 * n as u32, body });
        }
        let stats = rig.path.stats().uplink;
        println!(
            "{name}: dropped {}, filled {}, longest delay {longest} ms",
            stats.dropped_frames, stats.filled_frames
        );
        assert!(stats.dropped_frames as f64 <= lost * fates.len() as f64, "{name}: {} dropped", stats.dropped_frames);
        assert!(longest <= delay, "{name}: {longest} ms");
        let packets = rig.rtp();
        let mut transit = 0.0f64;
        let mut uneven = 0;
        for pair in packets.windows(2) {
            let ticks = pair[1].1.timestamp.distance_from(pair[0].1.timestamp) as f64;
            let step = pair[1].0 - pair[0].0 - ticks / 8.0;
            transit += step;
            uneven += (step.abs() > 2.5) as usize;
            // What may not come again leaves at once.
            assert!(transit.abs() < 121.0, "{name}: {transit} ms off at {}", pair[0].0);
        }
        assert!(uneven <= 60, "{name}: {uneven} packets not on the media clock");
    }
}

#[test]
fn a_tone_from_a_phone_with_a_wrong_clock_and_a_restless_network_does_not_click() {
    const FREQUENCY: f64 = 400.0;
    for ppm in [-500.0, 500.0] {
        let frame = 20.0 * (1.0 + ppm / 1e6);
        let sent = tone(FREQUENCY, 8000.0, SampleRate::Hz8000, 120_000);
        let mut rig = Rig::new(Codec::Pcmu, Codec::SpeexWideband);
        let mut random = Random::new(4);
        let mut last = 0.0f64;
        for (n, body) in phone_messages(Codec::Pcma, &sent, 1).iter().enumerate() {
            last = last.max(frame * n as f64 + random.uniform() * 12.0);
            rig.feed(epoch() + ms(last), Input::PhoneAudio { timestamp_ms: 20 * n as u32, body });
        }
        assert_eq!(rig.path.stats().uplink.dropped_frames, 0);
        let heard = rig.heard_by_peer(Codec::Pcmu);
        assert!(heard.len() >= sent.len() - 480);
        assert_eq!(clicks(&heard, FREQUENCY, SampleRate::Hz8000, 1200.0), 0, "{ppm} ppm");
        let mut cut = heard.clone();
        cut.drain(40_000..40_033); // the judge hears what it shall hear
        assert_ne!(clicks(&cut, FREQUENCY, SampleRate::Hz8000, 1200.0), 0);
    }
}

#[test]
fn a_tone_from_a_peer_with_a_wrong_clock_or_a_lost_packet_does_not_click() {
    const FREQUENCY: f64 = 400.0;
    for (ppm, lose) in [(-500.0, false), (500.0, false), (0.0, true)] {
        let frame = 20.0 * (1.0 + ppm / 1e6);
        let sent = tone(FREQUENCY, 8000.0, SampleRate::Hz8000, 60_000);
        let mut rig = Rig::new(Codec::Pcma, Codec::Pcmu);
        for (n, packet) in peer_packets(Codec::Pcma, &sent, 1, 0, 0).iter().enumerate() {
            if !(lose && n % 50 == 49) {
                rig.feed(epoch() + ms(frame * n as f64), Input::Rtp(packet));
            }
        }
        let mut decoder = Decoder::new(Codec::Pcmu);
        let mut heard = Vec::new();
        rig.messages().iter().for_each(|(_, _, body)| decoder.decode(&body[1..], &mut heard).unwrap());
        let found = clicks(&heard, FREQUENCY, SampleRate::Hz8000, 2000.0);
        assert_eq!(found, 0, "{ppm} ppm, loss: {lose}");
    }
}
