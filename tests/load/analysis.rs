//! What the recordings of a run say: how late audio came, and how much of it did not come.

use crate::agents::Received;
use crate::audio_plan::{Plan, burst_times, onsets, ulaw_samples};
use gateway_tests::voice;
use speex_codec::Mode;
use std::time::{Duration, Instant};

const FRAME: Duration = Duration::from_millis(20);
/// What the kernel's time of arrival may differ from the monotonic clock.
const CLOCKS_APART: Duration = Duration::from_micros(200);

/// Added delays of one direction, sorted, milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Delays(Vec<f64>);

impl Delays {
    pub(crate) fn new(mut delays: Vec<f64>) -> Self {
        delays.sort_by(f64::total_cmp);
        Self(delays)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The delay that this share of the audio does not exceed; NaN when nothing was measured.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }
}

/// Relayed audio from phone to SIP: each payload that occurs once in the plan names the moment at which it was sent.
pub(crate) fn uplink_relayed(plan: &Plan, sent: &[Instant], received: &Received) -> Vec<f64> {
    relayed(plan, sent, received.iter().map(|(at, _, payload)| (*at, payload.as_slice())))
}

/// Relayed audio from SIP to phone.
pub(crate) fn downlink_relayed(plan: &Plan, sent: &[Instant], heard: &[(Instant, u32, bytes::Bytes)]) -> Vec<f64> {
    relayed(plan, sent, heard.iter().map(|(at, _, body)| (*at, body.get(1..).unwrap_or_default())))
}

fn relayed<'a>(plan: &Plan, sent: &[Instant], received: impl Iterator<Item = (Instant, &'a [u8])>) -> Vec<f64> {
    let round = plan.frames.len();
    received
        .filter_map(|(at, payload)| {
            let first = *plan.unique.get(payload)?;
            let times = sent.iter().skip(first).step_by(round);
            // A frame that was sent again since names the later moment; the kernel's clock may be a little off ours.
            let sent_at = times.take_while(|time| **time <= at + CLOCKS_APART).last()?;
            Some(at.saturating_duration_since(*sent_at).as_secs_f64() * 1000.0)
        })
        .collect()
}

/// PCMU packets: when each burst's beginning came out, against when it was said, less what the bare codecs delay.
pub(crate) fn pcmu_delays(plan: &Plan, sent: &[Instant], received: &[(Instant, u16, Vec<u8>)]) -> Vec<f64> {
    let mut samples = Vec::new();
    let mut arrivals = Vec::new();
    for (at, _, payload) in received.iter().filter(|(_, _, payload)| payload.len() == 160) {
        samples.extend(ulaw_samples(payload));
        arrivals.push(*at);
    }
    let came =
        onsets(&samples, 8000).into_iter().map(|n| (arrivals[n / 160], Duration::from_micros(125) * (n % 160) as u32));
    burst_delays(plan, sent, 16_000, came)
}

/// Speex messages, decoded as the phone would.
pub(crate) fn speex_delays(plan: &Plan, sent: &[Instant], heard: &[(Instant, u32, bytes::Bytes)]) -> Vec<f64> {
    let bodies: Vec<_> = heard.iter().filter(|(_, _, body)| body.len() > 1).collect();
    let samples = voice::decode_speex(Mode::Wideband, bodies.iter().map(|(_, _, body)| &body[1..]));
    let came = onsets(&samples, 16_000).into_iter().filter_map(|n| {
        let (at, _, _) = bodies.get(n / 320)?;
        Some((*at, Duration::from_nanos(62_500) * (n % 320) as u32))
    });
    burst_delays(plan, sent, 8000, came)
}

fn burst_delays(
    plan: &Plan,
    sent: &[Instant],
    plan_rate: u32,
    came: impl Iterator<Item = (Instant, Duration)>,
) -> Vec<f64> {
    // Moments at which bursts were said: the frame's sending time and the burst's place in the frame.
    let round = plan.frames.len();
    let bursts = burst_times(plan_rate);
    let mut said: Vec<Instant> = Vec::new();
    for begin in (0..sent.len()).step_by(round) {
        for burst in &bursts {
            let frame = (burst.as_nanos() / FRAME.as_nanos()) as usize;
            if let Some(time) = sent.get(begin + frame) {
                said.push(*time + (*burst - FRAME * frame as u32));
            }
        }
    }
    came.filter_map(|(at, within)| {
        // A burst can seem a little early: an encoder smears its beginning forwards.
        let heard = at + within;
        let last = said.iter().take_while(|time| **time <= heard + Duration::from_millis(15)).last()?;
        let delay = heard.saturating_duration_since(*last).as_secs_f64();
        Some((delay - plan.bare_delay.as_secs_f64()) * 1000.0)
    })
    // The first one may be a click at the beginning of the stream.
    .skip(1)
    .collect()
}
