//! Perceptual enhancement: a comb filter that raises the harmonics of the pitch above the coding noise between them.
//!
//! Each half frame of excitation gets a little of itself one pitch period earlier, and of itself two periods earlier
//! (or one period later, where the pitch is short). The copies are moved by thirds of a sample to where they fit best;
//! the better they fit, the more of them is added. The level stays what it was.

use crate::math::{abs, dot, rms, sqrt};

/// Samples that are filtered at a time.
pub(super) const BLOCK: usize = 80;
/// Up to this lag the second copy comes from the future.
const SHORT_LAG: usize = 40;
/// Positions that are tried around the lag: 3 earlier to 3 later.
const POSITIONS: usize = 7;
/// Samples on either side of a block's farthest copy that are read.
pub(super) const REACH: usize = 6;

/// Interpolators for a half, and for a third either way (numbers of the reference decoder).
const FRACTIONS: [[f32; POSITIONS]; 3] = [
    [-0.011_915, 0.046_995, -0.152_373, 0.614_108, 0.614_108, -0.152_373, 0.046_995],
    [-0.032_485_5, 0.085_976_8, -0.204_298_6, 0.964_029_7, 0.208_642, -0.030_205_4, -0.006_364_6],
    [-0.006_364_6, -0.030_205_4, 0.208_642, 0.964_029_7, -0.204_298_6, 0.085_976_8, -0.032_485_5],
];

/// Writes the enhanced `excitation[at..at + 80]` to `out`. `lag` is the frame's pitch, `strength` the sub-mode's.
///
/// `excitation` must reach from two lags and [`REACH`] before the block to 40 and [`REACH`] after it.
pub(super) fn comb(excitation: &[f32], at: usize, lag: usize, strength: f32, out: &mut [f32]) {
    let block = &excitation[at..][..BLOCK];
    let short = lag <= SHORT_LAG;
    let first = Copy::find(excitation, at, at - lag);
    let second = Copy::find(excitation, at, if short { at + lag } else { at - 2 * lag });

    let magnitude = sqrt(1.0 + dot(block, block));
    let share = 0.4 * strength + 0.07;
    let (near, far) = if short { (0.6, 0.6) } else { (0.7, 0.3) };
    let first_gain = near * first.gain(block, magnitude, share);
    let second_gain = far * second.gain(block, magnitude, share);
    for (out, (x, (a, b))) in out.iter_mut().zip(block.iter().zip(first.samples.iter().zip(&second.samples))) {
        *out = x + first_gain * a + second_gain * b;
    }

    let level = rms(out).max(1.0);
    let scale = rms(block).max(1.0).min(level) / level;
    for out in out {
        *out *= scale;
    }
}

/// The block one period away, where it resembles the block most.
struct Copy {
    samples: [f32; BLOCK],
}

impl Copy {
    /// The best fit to the block at `at` near `from`.
    fn find(excitation: &[f32], at: usize, from: usize) -> Self {
        let block = &excitation[at..][..BLOCK];
        let mut whole = [0.0; POSITIONS];
        for (position, fit) in whole.iter_mut().enumerate() {
            *fit = dot(block, &excitation[from + position - 3..][..BLOCK]);
        }
        let mut best = (whole[0], 0, None);
        for (position, &fit) in whole.iter().enumerate() {
            if fit > best.0 {
                best = (fit, position, None);
            }
        }
        // The fit of an interpolated block is the interpolated fit, as far as whole positions were measured.
        for taps in &FRACTIONS {
            for position in 0..POSITIONS {
                let fit: f32 = taps
                    .iter()
                    .enumerate()
                    .filter_map(|(k, tap)| Some(tap * whole.get((position + k).checked_sub(3)?)?))
                    .sum();
                if fit > best.0 {
                    best = (fit, position, Some(taps));
                }
            }
        }
        let (_, position, taps) = best;
        let start = from + position - 3;
        let mut samples = [0.0; BLOCK];
        match taps {
            None => samples.copy_from_slice(&excitation[start..][..BLOCK]),
            Some(taps) => {
                for (k, tap) in taps.iter().enumerate() {
                    for (sample, x) in samples.iter_mut().zip(&excitation[start + k - 3..]) {
                        *sample += tap * x;
                    }
                }
            }
        }
        Self { samples }
    }

    /// How much of the copy to add to a block of this magnitude.
    fn gain(&self, block: &[f32], magnitude: f32, share: f32) -> f32 {
        let own = sqrt(1000.0 + dot(&self.samples, &self.samples));
        let correlation = dot(&self.samples, block).max(0.0);
        let likeness = if correlation > own * magnitude { 1.0 } else { correlation / magnitude / own };
        let weight = 0.5 + 1.72 * (share - 0.07);
        let rest = (1.0 - weight * likeness * likeness).max(share);
        share / rest * (magnitude / own)
    }
}

/// One tap that predicts about as strongly as these three. Summed in f64: after a loss strengths are made equal, and
/// which of them counts as the greater is up to the last bit.
pub(crate) fn tap_strength(taps: [f32; 3]) -> f32 {
    let side = |tap: f32| f64::from(if tap > 0.0 { tap } else { -0.5 * tap });
    (f64::from(abs(taps[1])) + side(taps[0]) + side(taps[2])) as f32
}
