//! From coefficients back to samples: the inverse of a lapped transform (MDCT) of 128 coefficients with a sine window.
//!
//! ```text
//!   coefficients --- DCT-IV ---> [ lower 64 | upper 64 ]  of this half block
//!                                      |          '--- upper ---.
//!                                      '--- keep --> lower --- rotate ---> samples n and 127 - n
//!                                                of the half before
//! ```
//! Window and overlap together turn a pair of values by the window's angle: one of this transform, one of the last. The
//! DCT-IV is a complex Fourier transform of half the size between two twists.

use std::{f64::consts::PI, sync::LazyLock};

/// Coefficients and samples of a transform.
pub(super) const LENGTH: usize = 128;
const HALF: usize = LENGTH / 2;

/// Numbers that every transform needs.
struct Turns {
    /// The twists before and behind the Fourier transform.
    before: [(f32, f32); HALF],
    behind: [(f32, f32); HALF],
    /// Roots of one, cosine and sine, by 64ths of a turn, clockwise.
    roots: [(f32, f32); HALF / 2],
    /// Sine window: its rising half at n, its falling half there.
    window: [(f32, f32); HALF],
}

static TURNS: LazyLock<Turns> = LazyLock::new(|| {
    let turn = |angle: f64| (angle.cos() as f32, angle.sin() as f32);
    let length = LENGTH as f64;
    Turns {
        before: std::array::from_fn(|n| turn(-PI * n as f64 / length)),
        behind: std::array::from_fn(|n| turn(-PI * (n as f64 + 0.25) / length)),
        roots: std::array::from_fn(|n| turn(-2.0 * PI * n as f64 / HALF as f64)),
        window: std::array::from_fn(|n| {
            let (falling, rising) = turn(PI / 2.0 * (n as f64 + 0.5) / length);
            (rising, falling)
        }),
    }
});

/// The inverse transform and what it keeps of the half block before.
pub(super) struct Lapped {
    turns: &'static Turns,
    kept: [f32; HALF],
}

impl Lapped {
    /// With silence behind it.
    pub(super) fn new() -> Self {
        Self { turns: &TURNS, kept: [0.0; HALF] }
    }

    /// The next samples.
    pub(super) fn inverse(&mut self, coefficients: &[f32; LENGTH]) -> [f32; LENGTH] {
        let values = self.cosine_transform(coefficients);
        let (lower, upper) = values.split_at(HALF);
        let mut samples = [0.0; LENGTH];
        for (n, &(rising, falling)) in self.turns.window.iter().enumerate() {
            let (now, before) = (upper[n], self.kept[HALF - 1 - n]);
            samples[n] = rising * now - falling * before;
            samples[LENGTH - 1 - n] = -falling * now - rising * before;
        }
        self.kept.copy_from_slice(lower);
        samples
    }

    /// DCT-IV: the sum over k of x[k] cos(pi / 128 (n + 1/2) (k + 1/2)).
    fn cosine_transform(&self, x: &[f32; LENGTH]) -> [f32; LENGTH] {
        let (mut re, mut im) = ([0.0; HALF], [0.0; HALF]);
        for (n, &(cos, sin)) in self.turns.before.iter().enumerate() {
            let (a, b) = (x[2 * n], x[LENGTH - 1 - 2 * n]);
            (re[n], im[n]) = (a * cos - b * sin, a * sin + b * cos);
        }
        fourier(&mut re, &mut im, &self.turns.roots);
        let mut out = [0.0; LENGTH];
        for (n, &(cos, sin)) in self.turns.behind.iter().enumerate() {
            let place = mirrored(n);
            let (a, b) = (re[place], im[place]);
            (out[2 * n], out[LENGTH - 1 - 2 * n]) = (a * cos - b * sin, -(a * sin + b * cos));
        }
        out
    }
}

/// Six bits in the opposite order: where [`fourier`] leaves value n.
fn mirrored(n: usize) -> usize {
    n.reverse_bits() >> (usize::BITS - HALF.ilog2())
}

/// Fourier transform in place, decimated in frequency.
fn fourier(re: &mut [f32; HALF], im: &mut [f32; HALF], roots: &[(f32, f32); HALF / 2]) {
    let mut span = HALF;
    while span > 1 {
        let half = span / 2;
        let step = HALF / span;
        for (re, im) in re.chunks_exact_mut(span).zip(im.chunks_exact_mut(span)) {
            let ((re, re_far), (im, im_far)) = (re.split_at_mut(half), im.split_at_mut(half));
            for n in 0..half {
                let (cos, sin) = roots[n * step];
                let (a, b) = (re[n] - re_far[n], im[n] - im_far[n]);
                re[n] += re_far[n];
                im[n] += im_far[n];
                re_far[n] = a * cos - b * sin;
                im_far[n] = a * sin + b * cos;
            }
        }
        span = half;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::Random;

    /// The transform itself, as the definition has it, so that the inverse brings back what went in: coefficients of 256
    /// windowed samples.
    pub(in crate::codec::nellymoser) fn forward(samples: &[f64]) -> [f64; LENGTH] {
        let length = LENGTH as f64;
        std::array::from_fn(|k| {
            let terms = samples.iter().enumerate().map(|(n, sample)| {
                let window = (PI * (n as f64 + 0.5) / (2.0 * length)).sin();
                sample * window * (PI / length * (n as f64 + 0.5 + length / 2.0) * (k as f64 + 0.5)).cos()
            });
            2.0 / length * terms.sum::<f64>()
        })
    }

    fn noise(length: usize) -> Vec<f64> {
        let mut random = Random::new(4);
        (0..length).map(|_| random.uniform() - 0.5).collect()
    }

    #[test]
    fn the_fast_transform_is_the_sum_that_it_stands_for() {
        let x: [f32; LENGTH] = noise(LENGTH).iter().map(|&x| x as f32).collect::<Vec<_>>().try_into().unwrap();
        let fast = Lapped::new().cosine_transform(&x);
        for (n, fast) in fast.into_iter().enumerate() {
            let place = |k: usize| PI / LENGTH as f64 * (n as f64 + 0.5) * (k as f64 + 0.5);
            let sum: f64 = (0..LENGTH).map(|k| f64::from(x[k]) * place(k).cos()).sum();
            assert!((f64::from(fast) - sum).abs() < 1e-4, "{n}: {fast}, {sum}");
        }
    }

    #[test]
    fn what_was_transformed_comes_back_a_transform_later() {
        let samples = noise(20 * LENGTH);
        let mut lapped = Lapped::new();
        for (n, piece) in samples.windows(2 * LENGTH).step_by(LENGTH).enumerate() {
            let heard = lapped.inverse(&forward(piece).map(|c| c as f32));
            for (heard, sent) in heard.iter().zip(&piece[..LENGTH]).filter(|_| n > 0) {
                assert!((f64::from(*heard) - sent).abs() < 1e-5, "{heard}, {sent}");
            }
        }
    }
}
