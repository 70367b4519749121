//! Between 8 and 16 kHz: a half-band FIR of 47 taps in its polyphase form, 1.44 ms of delay each way.
//!
//! ```text
//! 8 -> 16   x ---+--- 24 odd taps ---> y[2n]        16 -> 8   x[2n]   --- 24 odd taps ---+
//!                +--- delay 11 ------> y[2n+1]                x[2n+1] --- delay -------- (+) ---> y[n]
//! ```
//! Every second tap of a half-band filter is zero but the middle one, so half of the work is a copy. Taps: windowed sinc,
//! Kaiser window. Flat to 3.3 kHz, -6 dB at 4 kHz, images and aliases of what lies below 3.3 kHz more than 60 dB down.

use std::{f64::consts::PI, sync::LazyLock};

use crate::codec::SampleRate;

/// Taps that are neither zero nor the middle.
const TAPS: usize = 24;
/// Kaiser's shape parameter for a stop band of 65 dB.
const KAISER_BETA: f64 = 6.2;

/// Samples that a [`Resampler`] looks back on its input.
const HISTORY: usize = TAPS - 1;

static ODD_TAPS: LazyLock<[f32; TAPS]> = LazyLock::new(design);

/// The odd taps of a half-band low pass whose middle tap is 1/2, scaled so that they add up to 1/2.
fn design() -> [f32; TAPS] {
    let raw: [f64; TAPS] = std::array::from_fn(|tap| {
        let offset = 2.0 * tap as f64 - (TAPS as f64 - 1.0); // odd distance from the middle, at 16 kHz
        let window_position = offset / TAPS as f64;
        (PI * offset / 2.0).sin() / (PI * offset) * bessel_i0(KAISER_BETA * (1.0 - window_position.powi(2)).sqrt())
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|tap| (tap / sum / 2.0) as f32)
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    for k in 1..40 {
        term *= (x / 2.0 / k as f64).powi(2);
        sum += term;
    }
    sum
}

/// Converts a stream of samples from one rate to another; keeps what it needs of the past between calls.
pub struct Resampler {
    direction: Conversion,
    /// The last [`HISTORY`] inputs of the filtered branch, then the new ones.
    filtered: Vec<f32>,
    /// The same of the delayed branch; used on the way down only.
    delayed: Vec<f32>,
}

enum Conversion {
    None,
    Double,
    Halve,
}

impl Resampler {
    /// A converter with silence behind it.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        let direction = match (from, to) {
            (SampleRate::Hz8000, SampleRate::Hz16000) => Conversion::Double,
            (SampleRate::Hz16000, SampleRate::Hz8000) => Conversion::Halve,
            (SampleRate::Hz8000, SampleRate::Hz8000) | (SampleRate::Hz16000, SampleRate::Hz16000) => Conversion::None,
        };
        Self { direction, filtered: vec![0.0; HISTORY], delayed: vec![0.0; HISTORY] }
    }

    /// Appends the converted samples to `out`. Downwards `input` must hold an even number of samples, or its last one is
    /// lost.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        match self.direction {
            Conversion::None => out.extend_from_slice(input),
            Conversion::Double => self.double(input, out),
            Conversion::Halve => self.halve(input, out),
        }
    }

    fn double(&mut self, input: &[i16], out: &mut Vec<i16>) {
        self.filtered.extend(input.iter().map(|&sample| sample as f32));
        out.reserve(2 * input.len());
        for window in self.filtered.windows(TAPS) {
            out.push(to_sample(2.0 * filter(window)));
            out.push(window[TAPS / 2] as i16);
        }
        keep_history(&mut self.filtered);
    }

    fn halve(&mut self, input: &[i16], out: &mut Vec<i16>) {
        for pair in input.chunks_exact(2) {
            self.filtered.push(pair[0] as f32);
            self.delayed.push(pair[1] as f32);
        }
        out.reserve(input.len() / 2);
        for (window, delayed) in self.filtered.windows(TAPS).zip(self.delayed.windows(TAPS)) {
            out.push(to_sample(filter(window) + 0.5 * delayed[TAPS / 2 - 1]));
        }
        keep_history(&mut self.filtered);
        keep_history(&mut self.delayed);
    }
}

fn keep_history(samples: &mut Vec<f32>) {
    samples.drain(..samples.len() - HISTORY);
}

/// The filter at one place; eight partial sums, so that the compiler may use vector registers.
fn filter(window: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (samples, taps) in window.chunks_exact(8).zip(ODD_TAPS.chunks_exact(8)) {
        for lane in 0..8 {
            sums[lane] += samples[lane] * taps[lane];
        }
    }
    sums.iter().sum()
}

fn to_sample(value: f32) -> i16 {
    value.round_ties_even() as i16 // `as` saturates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{level_db, rms, tone, tone_level_db};

    fn convert(from: SampleRate, to: SampleRate, input: &[i16]) -> Vec<i16> {
        let mut resampler = Resampler::new(from, to);
        let mut out = Vec::new();
        for frame in input.chunks(from.samples_in_ms(20)) {
            resampler.process(frame, &mut out);
        }
        out
    }

    const LOW: SampleRate = SampleRate::Hz8000;
    const HIGH: SampleRate = SampleRate::Hz16000;

    #[test]
    fn the_pass_band_is_flat_both_ways() {
        for frequency in [100, 300, 1000, 2000, 3000, 3300] {
            for (from, to) in [(LOW, HIGH), (HIGH, LOW)] {
                let input = tone(frequency as f64, 8000.0, from, 1000);
                let out = convert(from, to, &input);
                let gain = tone_level_db(&out[500..], frequency as f64, to) - level_db(rms(&input));
                assert!(gain.abs() < 0.1, "{frequency} Hz {from:?} -> {to:?}: {gain:.3} dB");
            }
        }
    }

    #[test]
    fn images_of_speech_are_gone_on_the_way_up() {
        for frequency in [300, 1000, 2000, 3000, 3300] {
            let input = tone(frequency as f64, 8000.0, LOW, 1000);
            let out = convert(LOW, HIGH, &input);
            let image = tone_level_db(&out[500..], 8000.0 - frequency as f64, HIGH) - level_db(rms(&input));
            assert!(image < -60.0, "image of {frequency} Hz at {image:.1} dB");
        }
    }

    #[test]
    fn what_does_not_fit_is_gone_on_the_way_down() {
        for frequency in [4700, 5000, 6000, 7000, 7700] {
            let input = tone(frequency as f64, 8000.0, HIGH, 1000);
            let out = convert(HIGH, LOW, &input);
            let alias = level_db(rms(&out[500..])) - level_db(rms(&input));
            assert!(alias < -60.0, "alias of {frequency} Hz at {alias:.1} dB");
        }
    }

    #[test]
    fn the_delay_is_below_one_and_a_half_milliseconds() {
        let mut impulse = vec![0i16; 320];
        impulse[100] = 16000;
        let up = convert(LOW, HIGH, &impulse);
        assert_eq!(peak_position(&up) as i64 - 200, 23); // 23 / 16 kHz = 1.44 ms
        impulse[100] = 0;
        impulse[101] = 16000;
        let down = convert(HIGH, LOW, &impulse);
        assert_eq!(peak_position(&down) as i64 - 50, 12); // (2 * 12 + 1 - 2) / 16 kHz = 1.44 ms
    }

    fn peak_position(samples: &[i16]) -> usize {
        (0..samples.len()).max_by_key(|&n| samples[n].unsigned_abs()).unwrap()
    }

    #[test]
    fn frames_join_without_a_seam() {
        let input = tone(440.0, 10_000.0, LOW, 400);
        let whole = {
            let mut out = Vec::new();
            Resampler::new(LOW, HIGH).process(&input, &mut out);
            out
        };
        assert_eq!(convert(LOW, HIGH, &input), whole);
        assert_eq!(whole.len(), 2 * input.len());
    }

    #[test]
    fn full_scale_saturates_and_does_not_wrap() {
        let square: Vec<i16> = (0..800).map(|n| if n / 4 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let out = convert(LOW, HIGH, &square);
        for (n, pair) in out[200..1400].windows(2).enumerate() {
            assert!((pair[0] as i32 - pair[1] as i32).abs() < 60_000, "a wrap at {n}");
        }
    }
}
