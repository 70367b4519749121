//! Between 8, 16, 32 and 48 kHz, and to them from the rates of Nellymoser: short polyphase FIR filters. A rate and its double
//! have a half-band filter of 47 taps:
//!
//! ```text
//! 8 -> 16   x ---+--- 24 odd taps ---> y[2n]        16 -> 8   x[2n]   --- 24 odd taps ---+
//!                +--- delay 11 ------> y[2n+1]                x[2n+1] --- delay -------- (+) ---> y[n]
//! ```
//! Every second tap of a half-band filter is zero but the middle one, so half of the work is a copy. All other pairs have a
//! bank of phases of one low pass at the common rate, made when it is first needed; an output needs one phase. Taps: windowed
//! sinc, Kaiser window, over 24 samples of the lower rate: 1.5 ms of delay if that is 8 kHz, less above. Flat to 0.41 of the
//! lower rate (3.3 of 4 kHz), -6 dB at its half; images and aliases of what lies below are more than 60 dB down.

use std::{
    f64::consts::PI,
    sync::{LazyLock, OnceLock},
};

use crate::codec::{NellymoserRate, SampleRate};

/// Samples of the lower rate that a filter spans.
const TAPS: usize = 24;
/// Kaiser's shape parameter for a stop band of 65 dB.
const KAISER_BETA: f64 = 6.2;

/// Samples that the half-band filter looks back on its input.
const HISTORY: usize = TAPS - 1;

static ODD_TAPS: LazyLock<[f32; TAPS]> = LazyLock::new(half_band);

/// The odd taps of a half-band low pass whose middle tap is 1/2, scaled so that they add up to 1/2.
fn half_band() -> [f32; TAPS] {
    let raw: [f64; TAPS] = std::array::from_fn(|tap| {
        let offset = 2.0 * tap as f64 - (TAPS as f64 - 1.0); // odd distance from the middle, at the higher rate
        (PI * offset / 2.0).sin() / (PI * offset) * kaiser(offset / TAPS as f64)
    });
    let sum: f64 = raw.iter().sum();
    raw.map(|tap| (tap / sum / 2.0) as f32)
}

/// The window's height at a place from -1 to 1.
fn kaiser(place: f64) -> f64 {
    bessel_i0(KAISER_BETA * (1.0 - place.powi(2)).max(0.0).sqrt())
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let mut term = 1.0;
    let mut sum = 1.0;
    let mut k = 0.0;
    while term > 1e-17 * sum {
        k += 1.0;
        term *= (x / 2.0 / k).powi(2);
        sum += term;
    }
    sum
}

/// Converts a stream of samples from one rate to another; keeps what it needs of the past between calls.
pub struct Resampler {
    conversion: Conversion,
}

enum Conversion {
    None,
    Double(Branch),
    Halve { filtered: Branch, delayed: Branch },
    Ratio(Polyphase),
}

impl Resampler {
    /// A converter with silence behind it.
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        Self::of_ratio(from.hz(), to.hz())
    }

    /// The same from a rate of Nellymoser. It has written as many samples as the time that was read holds, begun ones too:
    /// over any number of calls none is lost.
    pub fn from_nellymoser(from: NellymoserRate, to: SampleRate) -> Self {
        Self::of_ratio(from.samples_in_2s(), 2 * to.hz())
    }

    fn of_ratio(from: u32, to: u32) -> Self {
        let conversion = if from == to {
            Conversion::None
        } else if to == 2 * from {
            Conversion::Double(Branch::default())
        } else if from == 2 * to {
            Conversion::Halve { filtered: Branch::default(), delayed: Branch::default() }
        } else {
            Conversion::Ratio(Polyphase::new(from, to))
        };
        Self { conversion }
    }

    /// Appends the converted samples to `out`. `input` must hold whole milliseconds, or the last samples may be lost on
    /// the way down.
    pub fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        match &mut self.conversion {
            Conversion::None => out.extend_from_slice(input),
            Conversion::Double(branch) => double(branch, input, out),
            Conversion::Halve { filtered, delayed } => halve(filtered, delayed, input, out),
            Conversion::Ratio(polyphase) => polyphase.process(input, out),
        }
    }
}

/// The last [`HISTORY`] inputs of a branch of the half-band filter, then the new ones.
struct Branch(Vec<f32>);

impl Default for Branch {
    fn default() -> Self {
        Self(vec![0.0; HISTORY])
    }
}

impl Branch {
    fn keep_history(&mut self) {
        self.0.drain(..self.0.len() - HISTORY);
    }
}

fn double(branch: &mut Branch, input: &[i16], out: &mut Vec<i16>) {
    branch.0.extend(input.iter().map(|&sample| sample as f32));
    out.reserve(2 * input.len());
    for window in branch.0.windows(TAPS) {
        out.push(to_sample(2.0 * filter(window, &*ODD_TAPS)));
        out.push(window[TAPS / 2] as i16);
    }
    branch.keep_history();
}

fn halve(filtered: &mut Branch, delayed: &mut Branch, input: &[i16], out: &mut Vec<i16>) {
    for pair in input.chunks_exact(2) {
        filtered.0.push(pair[0] as f32);
        delayed.0.push(pair[1] as f32);
    }
    out.reserve(input.len() / 2);
    for (window, delayed) in filtered.0.windows(TAPS).zip(delayed.0.windows(TAPS)) {
        out.push(to_sample(filter(window, &*ODD_TAPS) + 0.5 * delayed[TAPS / 2 - 1]));
    }
    filtered.keep_history();
    delayed.keep_history();
}

/// `up` : `down`, each in lowest terms.
struct Polyphase {
    up: usize,
    down: usize,
    bank: &'static Bank,
    /// The inputs that the next output still looks back on, then the new ones.
    samples: Vec<f32>,
    /// Where the next output lies from the first whole window on, in steps of the common rate.
    next: usize,
}

/// The taps of each phase, oldest sample first.
struct Bank {
    up: usize,
    down: usize,
    /// Taps of one phase: a multiple of eight.
    span: usize,
    taps: Vec<f32>,
}

/// Ratios other than 1:1, 1:2 and 2:1, up and down: of the rates of calls; of Nellymoser's 5.5, 11, 22 and 44.1 kHz.
#[rustfmt::skip]
const RATIOS: [(usize, usize); 18] = [
    (4, 1), (1, 4), (6, 1), (1, 6), (3, 1), (1, 3), (3, 2), (2, 3),
    (80, 441), (160, 441), (320, 441), (640, 441), (1280, 441), (2560, 441),
    (160, 147), (320, 147), (640, 147), (1280, 147),
];

static BANKS: [OnceLock<Bank>; RATIOS.len()] = [const { OnceLock::new() }; RATIOS.len()];

impl Bank {
    /// The one that turns so many samples into so many.
    fn of(from: usize, to: usize) -> &'static Self {
        let fits = |&(up, down): &(usize, usize)| from * up == to * down;
        let at = RATIOS.iter().position(fits).expect("every pair of our rates has a bank or a half band");
        let (up, down) = RATIOS[at];
        BANKS[at].get_or_init(|| Self::design(up, down))
    }

    /// A low pass at the common rate that ends at half of the lower rate.
    fn design(up: usize, down: usize) -> Self {
        let steps = up.max(down);
        let length = TAPS * steps;
        let middle = (length as f64 - 1.0) / 2.0;
        let tap = |n: usize| {
            let offset = n as f64 - middle; // never 0: the length is even
            (PI * offset / steps as f64).sin() / (PI * offset) * kaiser(offset / (length as f64 / 2.0))
        };
        // The second half mirrors the first.
        let half: Vec<f64> = (0..length / 2).map(tap).collect();
        let sum = 2.0 * half.iter().sum::<f64>();
        let span = length.div_ceil(up).next_multiple_of(8);
        let mut taps = vec![0.0; span * up];
        for n in 0..length {
            let (phase, age) = (n % up, n / up);
            taps[phase * span + span - 1 - age] = (half[n.min(length - 1 - n)] / sum * up as f64) as f32;
        }
        Self { up, down, span, taps }
    }
}

impl Polyphase {
    fn new(from: u32, to: u32) -> Self {
        let bank = Bank::of(from as usize, to as usize);
        Self { up: bank.up, down: bank.down, bank, samples: vec![0.0; bank.span - 1], next: 0 }
    }

    fn process(&mut self, input: &[i16], out: &mut Vec<i16>) {
        let span = self.bank.span;
        self.samples.extend(input.iter().map(|&sample| sample as f32));
        out.reserve(input.len() * self.up / self.down + 1);
        while let Some(window) = self.samples.get(self.next / self.up..self.next / self.up + span) {
            let phase = self.next % self.up;
            out.push(to_sample(filter(window, &self.bank.taps[phase * span..(phase + 1) * span])));
            self.next += self.down;
        }
        let used = (self.next / self.up).min(self.samples.len());
        self.samples.drain(..used);
        self.next -= used * self.up;
    }
}

/// The filter at one place; eight partial sums, so that the compiler may use vector registers.
fn filter(window: &[f32], taps: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (samples, taps) in window.chunks_exact(8).zip(taps.chunks_exact(8)) {
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
    use crate::testing::{level_db, rms, tone, tone_level_db, tone_to_noise_db};

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

    /// Every two different rates, the lower one first.
    fn pairs() -> impl Iterator<Item = (SampleRate, SampleRate)> {
        SampleRate::ALL
            .into_iter()
            .flat_map(|a| SampleRate::ALL.into_iter().map(move |b| (a, b)))
            .filter(|(a, b)| a < b)
    }

    /// Frequencies as shares of the lower rate: 300 to 3300 Hz if that is 8 kHz.
    const IN_BAND: [f64; 5] = [0.0375, 0.125, 0.25, 0.375, 0.4125];

    #[test]
    fn the_pass_band_is_flat_both_ways() {
        for (low, high) in pairs() {
            for frequency in IN_BAND.map(|share| (share * low.hz() as f64).round()) {
                for (from, to) in [(low, high), (high, low)] {
                    let input = tone(frequency, 8000.0, from, 1000);
                    let out = convert(from, to, &input);
                    assert_eq!(out.len(), to.samples_in_ms(1000));
                    let gain = tone_level_db(&out[to.samples_in_ms(60)..], frequency, to) - level_db(rms(&input));
                    assert!(gain.abs() < 0.1, "{frequency} Hz {from:?} -> {to:?}: {gain:.3} dB");
                }
            }
        }
    }

    #[test]
    fn images_of_speech_are_gone_on_the_way_up() {
        for (low, high) in pairs() {
            for frequency in IN_BAND.map(|share| (share * low.hz() as f64).round()) {
                let input = tone(frequency, 8000.0, low, 1000);
                let out = convert(low, high, &input);
                for image in (1..=high.hz() / low.hz() / 2).flat_map(|k| {
                    let multiple = (k * low.hz()) as f64;
                    [multiple - frequency, multiple + frequency]
                }) {
                    let level = tone_level_db(&out[high.samples_in_ms(60)..], image, high) - level_db(rms(&input));
                    assert!(
                        level < -60.0 || image > high.hz() as f64 / 2.0,
                        "{low:?} -> {high:?}: {image} Hz at {level:.1} dB"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_gone_on_the_way_down() {
        for (low, high) in pairs() {
            for share in [0.5875, 0.65, 0.73] {
                let frequency = (share * low.hz() as f64).round();
                if frequency > 0.49 * high.hz() as f64 {
                    continue;
                }
                let input = tone(frequency, 8000.0, high, 1000);
                let out = convert(high, low, &input);
                let alias = level_db(rms(&out[low.samples_in_ms(60)..])) - level_db(rms(&input));
                assert!(alias < -60.0, "{high:?} -> {low:?}: alias of {frequency} Hz at {alias:.1} dB");
            }
        }
    }

    #[test]
    fn any_cut_of_the_input_gives_the_same_output() {
        let input = tone(440.0, 10_000.0, SampleRate::Hz48000, 400);
        for to in [SampleRate::Hz8000, SampleRate::Hz16000, SampleRate::Hz32000] {
            let mut whole = Vec::new();
            Resampler::new(SampleRate::Hz48000, to).process(&input, &mut whole);
            assert_eq!(convert(SampleRate::Hz48000, to, &input), whole, "{to:?}");
            assert_eq!(whole.len(), to.samples_in_ms(400));
            let (mut pieces, mut resampler) = (Vec::new(), Resampler::new(SampleRate::Hz48000, to));
            input.chunks(48).for_each(|piece| resampler.process(piece, &mut pieces));
            assert_eq!(pieces, whole, "{to:?}");
        }
    }

    #[test]
    fn the_delay_is_at_most_one_and_a_half_milliseconds() {
        let mut impulse = vec![0i16; 320];
        impulse[100] = 16000;
        let up = convert(LOW, HIGH, &impulse);
        assert_eq!(peak_position(&up) as i64 - 200, 23); // 23 / 16 kHz = 1.44 ms
        impulse[100] = 0;
        impulse[101] = 16000;
        let down = convert(HIGH, LOW, &impulse);
        assert_eq!(peak_position(&down) as i64 - 50, 12); // (2 * 12 + 1 - 2) / 16 kHz = 1.44 ms
        for (low, high) in pairs() {
            let mut impulse = vec![0i16; low.samples_in_ms(20)];
            impulse[40] = 16000;
            let out = convert(low, high, &impulse);
            let delay = peak_position(&out) as f64 / high.hz() as f64 - 40.0 / low.hz() as f64;
            assert!(delay * low.hz() as f64 <= 12.01, "{low:?} -> {high:?}: {delay}");
        }
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

    /// A tone at a rate of Nellymoser, which `testing::tone` does not know.
    fn tone_at(rate: NellymoserRate, frequency: f64, samples: usize) -> Vec<i16> {
        let step = 4.0 * PI * frequency / f64::from(rate.samples_in_2s());
        (0..samples).map(|n| (8000.0 * (step * n as f64).sin()).round() as i16).collect()
    }

    #[test]
    fn every_rate_of_nellymoser_passes_block_by_block_flat_and_without_images() {
        for rate in NellymoserRate::ALL {
            for to in SampleRate::ALL {
                let hz = f64::from(rate.samples_in_2s()) / 2.0;
                for frequency in IN_BAND.map(|share| (share * hz.min(f64::from(to.hz()))).round()) {
                    let input = tone_at(rate, frequency, 256 * 200);
                    let (mut resampler, mut out) = (Resampler::from_nellymoser(rate, to), Vec::new());
                    for (n, block) in input.chunks(256).enumerate() {
                        resampler.process(block, &mut out);
                        let exact = 256.0 * (n + 1) as f64 * f64::from(to.hz()) / hz;
                        assert!((exact..exact + 1.0).contains(&(out.len() as f64)), "{} of {exact}", out.len());
                    }
                    let steady = &out[to.samples_in_ms(60)..];
                    let gain = tone_level_db(steady, frequency, to) - level_db(rms(&input));
                    let rest = tone_to_noise_db(steady, frequency, to);
                    assert!(gain.abs() < 0.1, "{frequency} Hz {rate:?} -> {to:?}: {gain:.3} dB");
                    assert!(rest > 60.0, "{frequency} Hz {rate:?} -> {to:?}: {rest:.1} dB");
                }
            }
        }
    }
}
