//! Filters. `memory` is that of the transposed direct form: sums that are already due to the samples to come. It is
//! what carries over when the coefficients change between two sub-frames, so it is part of the standard.
//!
//! A prediction filter A(z) is given by its coefficients of z^-1 to z^-N; the one of z^0 is 1.

use crate::math::abs;
use crate::simd::{self, Simd};
use crate::tables::qmf;

/// All-pole filter 1/A(z), in place.
///
/// Each output waits for the one before it. To keep that chain short the next input is added to what is due before
/// the last output's share comes off: one multiplication and one subtraction from output to output.
pub(crate) fn synthesise<const N: usize>(lpc: &[f32; N], memory: &mut [f32; N], signal: &mut [f32]) {
    let (first, rest) = match signal.split_first_mut() {
        Some(split) => split,
        None => return,
    };
    let mut due = *memory;
    *first += due[0];
    let mut y = *first;
    for sample in rest {
        let ahead = *sample + due[1];
        for k in 1..N - 1 {
            due[k] = due[k + 1] - lpc[k] * y;
        }
        due[N - 1] = -lpc[N - 1] * y;
        y = ahead - lpc[0] * y;
        *sample = y;
    }
    for k in 0..N - 1 {
        memory[k] = due[k + 1] - lpc[k] * y;
    }
    memory[N - 1] = -lpc[N - 1] * y;
}

/// All-zero filter A(z), in place: what prediction leaves over.
#[allow(dead_code)]
pub(crate) fn residual<const N: usize>(lpc: &[f32; N], memory: &mut [f32; N], signal: &mut [f32]) {
    let mut due = *memory;
    for sample in signal {
        let x = *sample;
        *sample = x + due[0];
        for k in 0..N - 1 {
            due[k] = due[k + 1] + lpc[k] * x;
        }
        due[N - 1] = lpc[N - 1] * x;
    }
    *memory = due;
}

/// Zeros of `zeros`, poles of `poles`, in place; the chain from output to output is as short as in [`synthesise`].
#[allow(dead_code)]
pub(crate) fn pole_zero<const N: usize>(zeros: &[f32; N], poles: &[f32; N], memory: &mut [f32; N], signal: &mut [f32]) {
    let (first, rest) = match signal.split_first_mut() {
        Some(split) => split,
        None => return,
    };
    let mut due = *memory;
    let mut x = *first;
    let mut y = x + due[0];
    *first = y;
    for sample in rest {
        let ahead = *sample + (due[1] + zeros[0] * x);
        for k in 1..N - 1 {
            due[k] = due[k + 1] + zeros[k] * x - poles[k] * y;
        }
        due[N - 1] = zeros[N - 1] * x - poles[N - 1] * y;
        x = *sample;
        y = ahead - poles[0] * y;
        *sample = y;
    }
    for k in 0..N - 1 {
        memory[k] = due[k + 1] + zeros[k] * x - poles[k] * y;
    }
    memory[N - 1] = zeros[N - 1] * x - poles[N - 1] * y;
}

/// A(z / gamma): zeros pulled inwards, so formants get wider.
pub(crate) fn widen<const N: usize>(gamma: f32, lpc: &[f32; N]) -> [f32; N] {
    let mut wide = *lpc;
    let mut factor = 1.0;
    for a in &mut wide {
        factor *= gamma;
        *a *= factor;
    }
    wide
}

/// A filter of order two with its coefficients (of z^-0, z^-1, z^-2; the pole side starts with 1) and state.
#[derive(Debug, Clone)]
pub(crate) struct Biquad {
    zeros: [f32; 3],
    poles: [f32; 2],
    memory: [f32; 2],
}

impl Biquad {
    const fn new(zeros: [f32; 3], poles: [f32; 2]) -> Self {
        Self { zeros, poles, memory: [0.0; 2] }
    }

    /// High-pass of the narrowband encoder's input.
    #[allow(dead_code)]
    pub const NARROW_INPUT: Self = Self::new([0.95654, -1.91309, 0.95654], [-1.91120, 0.91498]);
    /// High-pass of the narrowband decoder's output.
    pub const NARROW_OUTPUT: Self = Self::new([0.96446, -1.92879, 0.96446], [-1.92683, 0.93071]);
    /// High-pass of the low band at a wideband encoder's input.
    #[allow(dead_code)]
    pub const WIDE_INPUT: Self = Self::new([0.96723, -1.93445, 0.96723], [-1.93338, 0.93553]);
    /// High-pass of the low band at a wideband decoder's output.
    pub const WIDE_OUTPUT: Self = Self::new([0.98645, -1.97277, 0.98645], [-1.97226, 0.97332]);

    /// Filters in place.
    pub fn run(&mut self, signal: &mut [f32]) {
        let ([b0, b1, b2], [a1, a2], [mut m0, mut m1]) = (self.zeros, self.poles, self.memory);
        let (first, rest) = match signal.split_first_mut() {
            Some(split) => split,
            None => return,
        };
        let mut x = *first;
        let mut y = b0 * x + m0;
        *first = y;
        // As in [`synthesise`], what does not wait for the last output is added first.
        for sample in rest {
            let ahead = b0 * *sample + (m1 + b1 * x);
            m1 = b2 * x - a2 * y;
            y = ahead - a1 * y;
            x = *sample;
            *sample = y;
        }
        m0 = m1 + b1 * x - a1 * y;
        m1 = b2 * x - a2 * y;
        // Silence must not end in numbers so small that processors get slow.
        self.memory = if abs(m0) + abs(m1) > 1e-20 { [m0, m1] } else { [0.0; 2] };
    }

    /// What carries over to the next sample.
    #[cfg(test)]
    pub fn memory(&self) -> &[f32] {
        &self.memory
    }

    /// Filters in place with the coefficients of `other` and the memory of this one.
    pub fn run_as(&mut self, other: &Self, signal: &mut [f32]) {
        let mut filter = Self { memory: self.memory, ..*other };
        filter.run(signal);
        self.memory = filter.memory;
    }
}

/// Taps of the quadrature mirror filter.
pub(crate) const QMF_TAPS: usize = 64;
/// Samples of one band that a QMF remembers.
const QMF_PAST: usize = QMF_TAPS / 2 - 1;
/// Samples of one band in the longest frame.
const QMF_FRAME: usize = 320;

/// Every second tap of the prototype. It is symmetric: the odd taps are the even ones backwards.
const fn phase(odd: usize) -> [f32; QMF_TAPS / 2] {
    let prototype = qmf::PROTOTYPE;
    let mut taps = [0.0; QMF_TAPS / 2];
    let mut i = 0;
    while i < taps.len() {
        taps[i] = prototype[2 * i + odd];
        i += 1;
    }
    taps
}
const EVEN_TAPS: [f32; QMF_TAPS / 2] = phase(0);
const ODD_TAPS: [f32; QMF_TAPS / 2] = phase(1);

/// Splits a signal into two bands of half its rate; the upper one has its spectrum mirrored.
///
/// ```text
/// even samples ──▶ odd taps ──┬──▶ + ──▶ low
///                             │╲╱
///                             │╱╲
/// odd samples ──▶ even taps ──┴──▶ - ──▶ high
/// ```
#[derive(Debug, Clone)]
#[allow(dead_code)]
pub(crate) struct QmfAnalysis {
    even: [f32; QMF_PAST],
    odd: [f32; QMF_PAST + 1],
}

#[allow(dead_code)]
impl QmfAnalysis {
    pub const NEW: Self = Self { even: [0.0; QMF_PAST], odd: [0.0; QMF_PAST + 1] };

    /// Splits `signal` (at most 640 samples, a multiple of 16) into `low` and `high`, each half as long.
    pub fn split(&mut self, simd: Simd, signal: &[f32], low: &mut [f32], high: &mut [f32]) {
        let half = signal.len() / 2;
        let mut even = [0.0; QMF_PAST + QMF_FRAME];
        let mut odd = [0.0; QMF_PAST + 1 + QMF_FRAME];
        even[..QMF_PAST].copy_from_slice(&self.even);
        odd[..QMF_PAST + 1].copy_from_slice(&self.odd);
        for ((even, odd), pair) in even[QMF_PAST..].iter_mut().zip(&mut odd[QMF_PAST + 1..]).zip(signal.chunks_exact(2))
        {
            (*even, *odd) = (pair[0], pair[1]);
        }
        simd::correlate(simd, &ODD_TAPS, &even[..QMF_PAST + half], low);
        simd::correlate(simd, &EVEN_TAPS, &odd[..QMF_PAST + half], high);
        for (low, high) in low.iter_mut().zip(high) {
            (*low, *high) = (*low + *high, *low - *high);
        }
        self.even.copy_from_slice(&even[half..half + QMF_PAST]);
        self.odd.copy_from_slice(&odd[half..half + QMF_PAST + 1]);
    }
}

/// Joins two bands again: the inverse of [`QmfAnalysis`], 63 samples later.
#[derive(Debug, Clone)]
pub(crate) struct QmfSynthesis {
    sum: [f32; QMF_PAST],
    difference: [f32; QMF_PAST],
}

impl QmfSynthesis {
    pub const NEW: Self = Self { sum: [0.0; QMF_PAST], difference: [0.0; QMF_PAST] };

    /// What carries over to the next frame.
    #[cfg(test)]
    pub fn memory(&self) -> impl Iterator<Item = &f32> {
        self.sum.iter().chain(&self.difference)
    }

    /// Joins `low` and `high` (at most 320 samples each, a multiple of 8) into `signal`, twice as long.
    pub fn join(&mut self, low: &[f32], high: &[f32], signal: &mut [f32]) {
        let half = low.len();
        let (mut sum, mut difference) = ([0.0; QMF_PAST + QMF_FRAME], [0.0; QMF_PAST + QMF_FRAME]);
        sum[..QMF_PAST].copy_from_slice(&self.sum);
        difference[..QMF_PAST].copy_from_slice(&self.difference);
        for ((sum, difference), (low, high)) in
            sum[QMF_PAST..].iter_mut().zip(&mut difference[QMF_PAST..]).zip(low.iter().zip(high))
        {
            (*sum, *difference) = (2.0 * (low + high), 2.0 * (low - high));
        }
        let (mut even, mut odd) = ([0.0; QMF_FRAME], [0.0; QMF_FRAME]);
        fir(&difference, &ODD_TAPS, &mut even[..half]);
        fir(&sum, &EVEN_TAPS, &mut odd[..half]);
        for (pair, (even, odd)) in signal.chunks_exact_mut(2).zip(even.iter().zip(&odd)) {
            (pair[0], pair[1]) = (*even, *odd);
        }
        self.sum.copy_from_slice(&sum[half..half + QMF_PAST]);
        self.difference.copy_from_slice(&difference[half..half + QMF_PAST]);
    }
}

/// out[k] = sum over j of taps[j] x signal[k + j]. Eight outputs at a time, so that they stay in registers.
fn fir(signal: &[f32], taps: &[f32; QMF_TAPS / 2], out: &mut [f32]) {
    const LANES: usize = 8;
    for (block, out) in out.chunks_exact_mut(LANES).enumerate() {
        let mut sums = [0.0f32; LANES];
        for (tap, past) in taps.iter().zip(signal[block * LANES..].windows(LANES)) {
            for (sum, x) in sums.iter_mut().zip(past) {
                *sum += tap * x;
            }
        }
        out.copy_from_slice(&sums);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn noise(samples: usize) -> Vec<f32> {
        let mut seed = 7u32;
        (0..samples)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) as f32 - 32768.0
            })
            .collect()
    }

    #[test]
    fn bands_split_and_joined_are_the_signal_63_samples_later() {
        let signal = noise(3200);
        let (mut analysis, mut synthesis, mut joined) = (QmfAnalysis::NEW, QmfSynthesis::NEW, Vec::new());
        for frame in signal.chunks(320) {
            let (mut low, mut high, mut out) = ([0.0; 160], [0.0; 160], [0.0; 320]);
            analysis.split(Simd::detect(), frame, &mut low, &mut high);
            synthesis.join(&low, &high, &mut out);
            joined.extend(out);
        }
        let error: f32 = signal.iter().zip(&joined[63..]).map(|(a, b)| (a - b) * (a - b)).sum();
        let energy: f32 = signal.iter().map(|a| a * a).sum();
        assert!(error < 1e-4 * energy, "{}", error / energy);
    }

    #[test]
    fn a_low_tone_is_in_the_low_band() {
        let (mut analysis, mut low, mut high) = (QmfAnalysis::NEW, [0.0; 160], [0.0; 160]);
        let tone: Vec<f32> = (0..320).map(|n| (n as f32 * 0.2).sin()).collect();
        analysis.split(Simd::detect(), &tone, &mut low, &mut high);
        let energy = |band: &[f32]| band[40..].iter().map(|x| x * x).sum::<f32>();
        assert!(energy(&high) < 1e-4 * energy(&low));
    }

    #[test]
    fn the_residual_undoes_the_synthesis() {
        let lpc = crate::lsp::to_lpc(&[0.21, 0.35, 0.62, 0.9, 1.13, 1.51, 1.82, 2.11, 2.47, 2.8]);
        let signal = noise(160);
        let mut filtered = signal.clone();
        synthesise(&lpc, &mut [0.0; 10], &mut filtered);
        let mut alike = signal.clone();
        pole_zero(&[0.0; 10], &lpc, &mut [0.0; 10], &mut alike);
        assert_eq!(filtered, alike);
        residual(&lpc, &mut [0.0; 10], &mut filtered);
        for (a, b) in signal.iter().zip(&filtered) {
            assert!((a - b).abs() < 1.0);
        }
    }

    #[test]
    fn the_high_pass_takes_out_the_mean() {
        let mut signal = [1000.0f32; 1600];
        Biquad::NARROW_OUTPUT.clone().run(&mut signal);
        assert!(signal[0] > 900.0 && signal[1500].abs() < 50.0);
    }
}
