//! Line spectral pairs: the form in which a prediction filter is quantised and interpolated.
//!
//! A filter A(z) of even order N is the mean of a symmetric polynomial P(z) and an antisymmetric one Q(z). All their
//! zeros are on the unit circle and alternate; the angles, ascending, are the N line spectral frequencies (radians).
//! As long as they stay in order, and apart, 1/A(z) is stable: that is why they may be quantised coarsely.
//!
//! ```text
//! encoder: LPC ──from_lpc──▶ LSP ──quantise──▶ bits      decoder: bits ──dequantise──▶ LSP of the frame
//!                                                        last frame's, this frame's ──interpolate──▶ LSP
//!                                                        of the sub-frame ──to_lpc──▶ LPC ──▶ filter
//! ```

use crate::bits::{BitReader, BitWriter};
use crate::math;
use crate::mode::SUBFRAMES;
use crate::simd::{self, Simd};
use crate::tables::lsp;

/// Bits of every stage's index.
const STAGE_BITS: u32 = 6;
/// Frequencies of the longest set.
const MAX_ORDER: usize = 10;
/// Bisections after a zero was found between two points of the search grid.
const BISECTIONS: usize = 11;

/// One stage of a multi-stage quantiser: a codebook for the frequencies from `first` on.
#[derive(Debug)]
struct Stage {
    first: usize,
    /// Frequencies that the stage refines.
    width: usize,
    /// Radians that a code of 1 is worth (the reference's decimals of 1/256, 1/512, 1/1024).
    step: f32,
    /// 64 codes for the first frequency, 64 for the second, and so on.
    columns: &'static [i8],
}

impl Stage {
    /// The code of each frequency in vector `index`.
    fn vector(&self, index: usize) -> impl Iterator<Item = i8> {
        self.columns.chunks_exact(simd::CODES).map(move |codes| codes[index])
    }

    /// Adds vector `index`.
    fn add(&self, index: usize, frequencies: &mut [f32]) {
        for (frequency, code) in frequencies[self.first..].iter_mut().zip(self.vector(index)) {
            *frequency += self.step * f32::from(code);
        }
    }
}

/// A multi-stage quantiser of N frequencies: an evenly spaced start, plus one vector a stage.
#[derive(Debug)]
pub(crate) struct LspQuantiser<const N: usize> {
    /// Radians: the first frequency of the start, and the distance between two of them.
    start: f32,
    spacing: f32,
    stages: &'static [Stage],
}

const fn narrow(first: usize, width: usize, step: f32, columns: &'static [i8]) -> Stage {
    Stage { first, width, step, columns }
}

/// 18 bits, for narrowband sub-modes up to 11 kbit/s.
pub(crate) static NARROW_18: LspQuantiser<10> = LspQuantiser {
    start: 0.25,
    spacing: 0.25,
    stages: &[
        narrow(0, 10, 0.003_906_2, &lsp::NARROW_ALL),
        narrow(0, 5, 0.001_953_1, &lsp::NARROW_LOW_1),
        narrow(5, 5, 0.001_953_1, &lsp::NARROW_HIGH_1),
    ],
};

/// 30 bits, for the higher narrowband rates.
pub(crate) static NARROW_30: LspQuantiser<10> = LspQuantiser {
    start: 0.25,
    spacing: 0.25,
    stages: &[
        narrow(0, 10, 0.003_906_2, &lsp::NARROW_ALL),
        narrow(0, 5, 0.001_953_1, &lsp::NARROW_LOW_1),
        narrow(0, 5, 0.000_976_56, &lsp::NARROW_LOW_2),
        narrow(5, 5, 0.001_953_1, &lsp::NARROW_HIGH_1),
        narrow(5, 5, 0.000_976_56, &lsp::NARROW_HIGH_2),
    ],
};

/// 12 bits, for the high bands.
pub(crate) static HIGH_BAND: LspQuantiser<8> = LspQuantiser {
    start: 0.75,
    spacing: 0.3125,
    stages: &[narrow(0, 8, 0.003_906_2, &lsp::HIGH_1), narrow(0, 8, 0.001_953_1, &lsp::HIGH_2)],
};

impl<const N: usize> LspQuantiser<N> {
    /// Bits of all stages.
    #[allow(dead_code)]
    pub const fn bits(&self) -> usize {
        self.stages.len() * STAGE_BITS as usize
    }

    fn evenly_spaced(&self) -> [f32; N] {
        let mut start = [0.0; N];
        for (i, frequency) in start.iter_mut().enumerate() {
            *frequency = self.start + self.spacing * i as f32;
        }
        start
    }

    /// Reads the frequencies of a frame. They may be out of order: [`interpolate`] is what makes a filter safe.
    pub fn dequantise(&self, bits: &mut BitReader) -> [f32; N] {
        let mut frequencies = self.evenly_spaced();
        for stage in self.stages {
            stage.add(bits.index(STAGE_BITS), &mut frequencies);
        }
        frequencies
    }

    /// Writes the frequencies and returns them as a decoder will read them. The first stage takes the nearest
    /// vector; the others weigh an error by how close the next frequency is, for there the ear hears it.
    pub fn quantise(&self, simd: Simd, frequencies: &[f32; N], bits: &mut BitWriter) -> [f32; N] {
        let weights = sensitivities(frequencies);
        let mut quantised = self.evenly_spaced();
        for (number, stage) in self.stages.iter().enumerate() {
            let mut target = [0.0; MAX_ORDER];
            for (t, (wanted, have)) in target.iter_mut().zip(frequencies.iter().zip(&quantised).skip(stage.first)) {
                *t = (wanted - have) / stage.step;
            }
            let weights = if number == 0 { &[1.0; N] } else { &weights };
            let mut scores = [0.0; simd::CODES];
            simd::code_scores(simd, &target[..stage.width], &weights[stage.first..], stage.columns, &mut scores);
            let index = simd::greatest(simd, &scores);
            bits.put(index as u32, STAGE_BITS);
            stage.add(index, &mut quantised);
        }
        quantised
    }
}

/// How much an error of each frequency matters: the more, the closer its nearer neighbour (or 0, or pi).
fn sensitivities<const N: usize>(frequencies: &[f32; N]) -> [f32; N] {
    let mut weights = [0.0; N];
    for (i, weight) in weights.iter_mut().enumerate() {
        let below = if i == 0 { 0.0 } else { frequencies[i - 1] };
        let above = *frequencies.get(i + 1).unwrap_or(&core::f32::consts::PI);
        *weight = 10.0 / (0.04 + (frequencies[i] - below).min(above - frequencies[i]));
    }
    weights
}

/// The frequencies of sub-frame 0 to 3 between two frames', kept `margin` radians apart.
pub(crate) fn interpolate<const N: usize>(last: &[f32; N], this: &[f32; N], subframe: usize, margin: f32) -> [f32; N] {
    let share = (1 + subframe) as f32 / SUBFRAMES as f32;
    let mut mixed = [0.0; N];
    for (f, (last, this)) in mixed.iter_mut().zip(last.iter().zip(this)) {
        *f = (1.0 - share) * last + share * this;
    }
    mixed[0] = mixed[0].max(margin);
    mixed[N - 1] = mixed[N - 1].min(core::f32::consts::PI - margin);
    for i in 1..N - 1 {
        mixed[i] = mixed[i].max(mixed[i - 1] + margin);
        if mixed[i] > mixed[i + 1] - margin {
            mixed[i] = 0.5 * (mixed[i] + mixed[i + 1] - margin);
        }
    }
    mixed
}

/// The filter with these frequencies: its coefficients for z^-1 to z^-N.
pub(crate) fn to_lpc<const N: usize>(frequencies: &[f32; N]) -> [f32; N] {
    let (even, odd) = (product(frequencies), product(&frequencies[1..]));
    let half = N / 2;
    let mut lpc = [0.0; N];
    for i in 0..half {
        // P has a further zero at -1 and Q one at +1; P is symmetric and Q antisymmetric.
        let (p, q) = (even[i + 1] + even[i], odd[i + 1] - odd[i]);
        lpc[i] = 0.5 * (p + q);
        lpc[N - 1 - i] = 0.5 * (p - q);
    }
    lpc
}

/// The product of 1 - 2 cos(f) z^-1 + z^-2 over every second frequency, up to its middle coefficient: it is symmetric.
fn product(frequencies: &[f32]) -> [f32; MAX_ORDER / 2 + 1] {
    let mut poly = [0.0; MAX_ORDER / 2 + 1];
    poly[0] = 1.0;
    for (degree, &frequency) in frequencies.iter().step_by(2).enumerate() {
        let twice = 2.0 * math::lsp_cos(frequency);
        // From the top down; the coefficient above the old middle is the one below it.
        let above = if degree == 0 { 0.0 } else { poly[degree - 1] };
        poly[degree + 1] = 2.0 * above - twice * poly[degree];
        if degree > 0 {
            for i in (2..=degree).rev() {
                poly[i] += poly[i - 2] - twice * poly[i - 1];
            }
            poly[1] -= twice;
        }
    }
    poly
}

/// The frequencies of a filter, or `None` when some cannot be told apart.
pub(crate) fn from_lpc<const N: usize>(simd: Simd, lpc: &[f32; N]) -> Option<[f32; N]> {
    let series = [chebyshev_series(lpc, 1.0), chebyshev_series(lpc, -1.0)];
    let zeros = match N {
        _ if cfg!(target_arch = "wasm32") => simd::chebyshev_zeros::<{ simd::ANY }>(simd, &series, N / 2),
        10 => simd::chebyshev_zeros::<5>(simd, &series, 5),
        8 => simd::chebyshev_zeros::<4>(simd, &series, 4),
        _ => None,
    };
    let mut frequencies = [0.0; N];
    match zeros {
        Some(zeros) => {
            for (i, frequency) in frequencies.iter_mut().enumerate() {
                *frequency = math::acos(zeros[i % 2][i / 2]);
            }
        }
        None => step_by_step(&series, &mut frequencies)?,
    }
    Some(frequencies)
}

/// The zeros of both series in turn, by small steps: finds those that are too close together for a fixed grid.
fn step_by_step(series: &[[f32; MAX_ORDER / 2 + 1]; 2], frequencies: &mut [f32]) -> Option<()> {
    const STEP: f32 = 0.05;
    let half = frequencies.len() / 2;
    let mut x = 1.0;
    for (i, frequency) in frequencies.iter_mut().enumerate() {
        let value_at = |x: f32| chebyshev(&series[i % 2][..=half], x);
        let mut value = value_at(x);
        x = loop {
            if x < -1.0 {
                return None;
            }
            let next = x - STEP * (1.0 - 0.9 * x * x);
            let next_value = value_at(next);
            if next_value * value < 0.0 {
                break bisect(value_at, x, next, value);
            }
            x = next;
            value = next_value;
        };
        *frequency = math::acos(x);
    }
    Some(())
}

/// The zero between `left` and `right`, where the function has the sign of `value` on the left.
fn bisect(function: impl Fn(f32) -> f32, mut left: f32, mut right: f32, value: f32) -> f32 {
    let mut middle = left;
    for _ in 0..BISECTIONS {
        middle = 0.5 * (left + right);
        if function(middle) * value < 0.0 {
            right = middle;
        } else {
            left = middle;
        }
    }
    middle
}

/// P (`sign` 1) or Q (-1) without its zero at -1 or +1, as a Chebyshev series in cos(frequency), highest term first.
fn chebyshev_series<const N: usize>(lpc: &[f32; N], sign: f32) -> [f32; MAX_ORDER / 2 + 1] {
    let mut series = [0.0; MAX_ORDER / 2 + 1];
    let mut last = 1.0;
    series[0] = 2.0;
    for i in 0..N / 2 {
        last = lpc[i] + sign * lpc[N - 1 - i] - sign * last;
        series[i + 1] = if i + 1 == N / 2 { last } else { 2.0 * last };
    }
    series
}

/// A Chebyshev series at `x`, by Clenshaw's recurrence.
fn chebyshev(series: &[f32], x: f32) -> f32 {
    let (last, upper) = series.split_last().expect("a series has a constant term");
    let (b1, b2) = upper.iter().fold((0.0, 0.0), |(b1, b2), c| (2.0 * x * b1 - b2 + c, b1));
    x * b1 - b2 + last
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEECH: [f32; 10] = [0.21, 0.35, 0.62, 0.9, 1.13, 1.51, 1.82, 2.11, 2.47, 2.8];

    #[test]
    fn a_filter_survives_the_way_to_frequencies_and_back() {
        let lpc = to_lpc(&SPEECH);
        let back = from_lpc(Simd::detect(), &lpc).unwrap();
        for (a, b) in back.iter().zip(&SPEECH) {
            assert!((a - b).abs() < 2e-4, "{back:?}");
        }
        let eight = [0.3, 0.8, 1.1, 1.4, 1.9, 2.2, 2.5, 2.9];
        for (a, b) in from_lpc(Simd::detect(), &to_lpc(&eight)).unwrap().iter().zip(&eight) {
            assert!((a - b).abs() < 2e-4);
        }
    }

    #[test]
    fn frequencies_of_white_noise_are_evenly_spaced() {
        for (i, f) in from_lpc(Simd::detect(), &[0.0; 10]).unwrap().iter().enumerate() {
            assert!((f - core::f32::consts::PI * (i + 1) as f32 / 11.0).abs() < 1e-3);
        }
    }

    #[test]
    fn what_the_quantiser_returns_is_what_a_decoder_reads() {
        for quantiser in [&NARROW_18, &NARROW_30] {
            let mut buffer = [0; 4];
            let mut writer = BitWriter::new(&mut buffer);
            let quantised = quantiser.quantise(Simd::detect(), &SPEECH, &mut writer);
            assert_eq!(writer.position(), quantiser.bits());
            assert_eq!(quantiser.dequantise(&mut BitReader::new(&buffer)), quantised);
            let error: f32 = quantised.iter().zip(&SPEECH).map(|(a, b)| (a - b).abs()).sum();
            assert!(error < 1.0, "{error}");
        }
    }

    #[test]
    fn interpolated_frequencies_keep_their_distance_from_the_ends() {
        let wild = [3.0, -1.0, 2.0, 0.5, 0.5, 0.5, 9.0, -3.0, 1.0, 4.0];
        for subframe in 0..4 {
            let mixed = interpolate(&SPEECH, &wild, subframe, 0.002);
            assert!(mixed[0] >= 0.002 && mixed[9] <= core::f32::consts::PI - 0.002);
        }
        assert_eq!(interpolate(&wild, &SPEECH, 3, 0.002), SPEECH);
    }
}
