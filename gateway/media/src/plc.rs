//! Packet loss concealment for codecs that bring none of their own (G.711): the last pitch period goes on, fading into
//! the background noise of the call.
//!
//! ```text
//!  heard        |------------------ history ------------------|
//!                                            |<-- period P -->|
//!  lost                                                       |period|period|period| fading ...
//!  heard again                                                                      |cross-fade| frame
//! ```
//! Nothing is delayed for it: the first joint is smoothed by a decaying offset, every later one by overlapping the end
//! of the period with what went before its start. (ITU-T G.711 appendix I holds all audio back by 3.75 ms for this.)

use crate::{codec::SampleRate, noise::Noise};

/// Pitch is looked for from 2.5 ms (400 Hz) on ...
const SHORTEST_PERIOD_US: usize = 2500;
/// ... to 16 ms (62 Hz).
const LONGEST_PERIOD_US: usize = 16_000;
/// How much of the past a period must resemble.
const MATCH_US: usize = 12_000;
/// The repeated period is as loud as speech was for this long,
const HOLD_US: usize = 15_000;
/// and gone after this.
const FADE_END_US: usize = 90_000;
/// Cross-fade into the first frame heard again.
const REJOIN_US: usize = 5000;

/// Conceals losses in one stream of linear audio.
pub struct Concealer {
    rate: SampleRate,
    history: Vec<i16>,
    /// One pitch period with its end laid over the start; empty while nothing is lost.
    period: Vec<f32>,
    position: usize,
    /// Samples invented since the last one heard.
    invented: usize,
    /// Added to the repetition to meet the last sample heard; decays.
    offset: f32,
    noise: Noise,
}

impl Concealer {
    /// A concealer that has heard silence.
    pub fn new(rate: SampleRate) -> Self {
        let history = vec![0; samples(rate, LONGEST_PERIOD_US * 5 / 4 + MATCH_US)];
        Self { rate, history, period: Vec::new(), position: 0, invented: 0, offset: 0.0, noise: Noise::default() }
    }

    /// Takes note of what was heard; after a loss, blends the invented sound into its beginning and returns true.
    pub fn heard(&mut self, frame: &mut [i16]) -> bool {
        let rejoins = !self.period.is_empty();
        if rejoins {
            self.rejoin(frame);
        }
        self.noise.observe(frame);
        let keep = self.history.len().saturating_sub(frame.len());
        let start = self.history.len() - keep;
        self.history.copy_within(start.., 0);
        let tail = &frame[frame.len().saturating_sub(self.history.len())..];
        self.history[keep..].copy_from_slice(tail);
        rejoins
    }

    /// Appends `count` invented samples.
    pub fn conceal(&mut self, count: usize, out: &mut Vec<i16>) {
        if self.period.is_empty() {
            self.start();
        }
        for _ in 0..count {
            let sample = self.next_invented();
            out.push(sample.clamp(i16::MIN as f32, i16::MAX as f32) as i16);
        }
    }

    fn rejoin(&mut self, frame: &mut [i16]) {
        let length = samples(self.rate, REJOIN_US).min(frame.len());
        for (n, sample) in frame[..length].iter_mut().enumerate() {
            let weight = (n + 1) as f32 / (length + 1) as f32;
            *sample = (self.next_invented() * (1.0 - weight) + *sample as f32 * weight) as i16;
        }
        self.period.clear();
    }

    fn start(&mut self) {
        let period = best_period(&self.history, self.rate);
        let overlap = period / 4;
        let end = self.history.len();
        self.period.extend(self.history[end - period..].iter().map(|&s| s as f32));
        for n in 0..overlap {
            let weight = (n + 1) as f32 / (overlap + 1) as f32;
            let before_start = self.history[end - period - overlap + n] as f32;
            let at = period - overlap + n;
            self.period[at] = self.period[at] * (1.0 - weight) + before_start * weight;
        }
        self.offset = (self.history[end - 1] as f32) - (self.history[end - 1 - period] as f32);
        self.position = 0;
        self.invented = 0;
    }

    fn next_invented(&mut self) -> f32 {
        const OFFSET_DECAY: f32 = 0.85;
        self.offset *= OFFSET_DECAY;
        let voice = self.period[self.position] + self.offset;
        self.position = (self.position + 1) % self.period.len();
        let gain = self.gain();
        self.invented += 1;
        voice * gain + self.noise.sample() * (1.0 - gain)
    }

    fn gain(&self) -> f32 {
        let hold = samples(self.rate, HOLD_US);
        let end = samples(self.rate, FADE_END_US);
        1.0 - (self.invented.saturating_sub(hold) as f32 / (end - hold) as f32).min(1.0)
    }
}

const fn samples(rate: SampleRate, microseconds: usize) -> usize {
    rate.hz() as usize * microseconds / 1_000_000
}

/// The lag at which the end of `history` resembles what went before it most, by normalised cross-correlation: first on
/// every second lag, then around the best.
fn best_period(history: &[i16], rate: SampleRate) -> usize {
    let length = samples(rate, MATCH_US);
    let end = history.len();
    let recent = &history[end - length..];
    let score = |lag: usize| {
        let past = &history[end - length - lag..end - lag];
        let (mut product, mut energy) = (0.0f32, 1.0f32);
        for (&a, &b) in recent.iter().zip(past) {
            product += a as f32 * b as f32;
            energy += b as f32 * b as f32;
        }
        product / energy.sqrt()
    };
    let best_of = |lags: &mut dyn Iterator<Item = usize>| {
        lags.map(|lag| (lag, score(lag))).max_by(|a, b| a.1.total_cmp(&b.1)).map_or(length, |best| best.0)
    };
    let (shortest, longest) = (samples(rate, SHORTEST_PERIOD_US), samples(rate, LONGEST_PERIOD_US));
    let coarse = best_of(&mut (shortest..=longest).step_by(2));
    best_of(&mut (coarse.saturating_sub(1).max(shortest)..=(coarse + 1).min(longest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, band_distance_db, correlation, rms, strongest_frequency, tone, voice};

    const RATE: SampleRate = SampleRate::Hz8000;

    /// Runs 20 ms frames through a concealer, the ones that `lost` picks replaced.
    fn with_losses(input: &[i16], mut lost: impl FnMut(usize) -> bool) -> Vec<i16> {
        let mut concealer = Concealer::new(RATE);
        let mut out = Vec::new();
        for (n, frame) in input.chunks_exact(160).enumerate() {
            if lost(n) {
                concealer.conceal(160, &mut out);
            } else {
                let mut frame = frame.to_vec();
                concealer.heard(&mut frame);
                out.extend(frame);
            }
        }
        out
    }

    #[test]
    fn a_tone_goes_on_through_a_lost_frame() {
        for frequency in [90.0, 150.0, 220.0, 440.0, 1000.0] {
            let input = tone(frequency, 8000.0, RATE, 400);
            let out = with_losses(&input, |n| n == 10);
            let hole = &out[1600..1760];
            assert!(rms(hole) > 0.6 * rms(&input), "{frequency} Hz: {}", rms(hole));
            assert!(correlation(hole, &input[1600..1760]) > 0.9, "{frequency} Hz");
        }
    }

    #[test]
    fn the_joints_do_not_click() {
        let input = tone(220.0, 8000.0, RATE, 400);
        let out = with_losses(&input, |n| n == 10 || n == 11);
        let steepest = |s: &[i16]| s.windows(2).map(|p| (p[0] as i32 - p[1] as i32).abs()).max().unwrap();
        assert!(steepest(&out) < 2 * steepest(&input), "{} against {}", steepest(&out), steepest(&input));
    }

    #[test]
    fn a_long_loss_fades_to_the_background_within_a_tenth_of_a_second() {
        let input = tone(220.0, 8000.0, RATE, 400);
        let mut concealer = Concealer::new(RATE);
        concealer.heard(&mut vec![0; 160]);
        for frame in input.chunks_exact(160) {
            concealer.heard(&mut frame.to_vec());
        }
        let mut out = Vec::new();
        concealer.conceal(8000, &mut out);
        let levels: Vec<f64> = out.chunks(160).map(rms).collect();
        assert!(levels[0] > 4000.0 && levels[2] < levels[1] && levels[3] < levels[2]);
        assert!(levels[5..].iter().all(|&level| level < 201.0), "{levels:?}");
    }

    #[test]
    fn concealed_speech_resembles_speech_more_than_holes_do() {
        let mut random = Random::new(3);
        let (mut ours, mut holes) = (0.0, 0.0);
        for seed in 0..12 {
            let input = voice(RATE, 5000, seed);
            let pattern: Vec<bool> = (0..250).map(|_| random.chance(0.1)).collect();
            let out = with_losses(&input, |n| pattern[n]);
            let mut zeroed = input.clone();
            for (n, frame) in zeroed.chunks_exact_mut(160).enumerate() {
                if pattern[n] {
                    frame.fill(0);
                }
            }
            ours += band_distance_db(&input, &out, RATE) / 12.0;
            holes += band_distance_db(&input, &zeroed, RATE) / 12.0;
        }
        assert!(ours < 0.4 * holes, "{ours:.2} dB against {holes:.2} dB");
    }

    #[test]
    fn the_pitch_is_found() {
        let input = tone(200.0, 8000.0, RATE, 100);
        let out = with_losses(&input, |n| n == 4);
        assert!((strongest_frequency(&out[400..], RATE) - 200.0).abs() < 6.0);
    }
}
