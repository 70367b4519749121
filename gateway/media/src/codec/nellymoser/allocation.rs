//! How many bits each coefficient has: nothing in a block says so, both ends work it out from the loudness of the bands.
//!
//! ```text
//!   demand  |      _____               three quarters of a bit for each doubling of amplitude
//!           |  ___|     |__
//!   level   |-|------------|---------   what stands above it is a coefficient's bits, rounded, six at most;
//!           |_|            |_______     the level lies where all of them together are 198
//! ```
//! The search for the level and its rounding are part of the format: another level that fits as well is another stream.
//! So is the arithmetic, of 16 bits, with a division that is a multiplication by a rounded reciprocal.

use super::{BANDS, CODED, DEEPEST, HALF_BITS, tables::BAND_WIDTHS};

const BUDGET: i32 = HALF_BITS as i32;
/// Levels that are tried.
const TRIES: u32 = 20;
/// 2^19 over the number of coefficients.
const RECIPROCAL: i32 = 4228;

/// The bits of each coefficient of either half; together at most [`HALF_BITS`]. The first band's loudness must be positive.
pub(super) fn allocate(loudness: &[i32; BANDS]) -> [u8; CODED] {
    let demand = Demand::of(loudness);
    let level = demand.level();
    let (mut bits, mut left, mut at) = ([0; CODED], BUDGET, 0);
    for (band, width) in BAND_WIDTHS.into_iter().enumerate() {
        for coefficient in &mut bits[at..at + width] {
            // What is beyond the budget is taken from the highest.
            let granted = demand.bits(band, level).min(left);
            left -= granted;
            *coefficient = granted as u8; // six at most
        }
        at += width;
    }
    bits
}

/// What the bands ask for. The loudest is scaled to fifteen bits.
struct Demand {
    bands: [i32; BANDS],
    /// Two to this power is one bit.
    unit: i32,
}

/// A level, and the bits of all coefficients that it gives.
#[derive(Debug, Clone, Copy)]
struct Trial {
    level: i32,
    bits: i32,
}

impl Trial {
    fn error(self) -> i32 {
        self.bits - BUDGET
    }
}

impl Demand {
    fn of(loudness: &[i32; BANDS]) -> Self {
        let loudest = loudness.iter().copied().max().unwrap_or(0).max(1);
        let scale = 14 - loudest.ilog2() as i32;
        // Sixteen bits: what is too quiet for them wraps.
        let bands = loudness.map(|loudness| (3 * i32::from(shifted(loudness, scale) as i16)) >> 2);
        Self { bands, unit: scale + 11 }
    }

    fn bits(&self, band: usize, level: i32) -> i32 {
        let twice = (self.bands[band] - level) >> (self.unit - 1);
        ((twice + 1) >> 1).clamp(0, DEEPEST as i32)
    }

    fn attempt(&self, level: i32) -> Trial {
        let bits = (0..BANDS).map(|band| BAND_WIDTHS[band] as i32 * self.bits(band, level)).sum();
        Trial { level, bits }
    }

    /// First as if no coefficient had less than nothing or more than six bits; then in steps as large as the error of that
    /// until the budget lies between two trials; then by halves.
    fn level(&self) -> i32 {
        let wanted: i32 = self.bands.iter().zip(BAND_WIDTHS).map(|(demand, width)| demand * width as i32).sum();
        let mut trial = self.attempt(for_each_coefficient(wanted - (BUDGET << self.unit), 0));
        if trial.error() == 0 {
            return trial.level;
        }
        let step = for_each_coefficient(trial.error(), self.unit);
        let (mut last, mut tries) = (trial, 1);
        while tries < TRIES {
            last = trial;
            trial = self.attempt(trial.level + step);
            if trial.error() * last.error() <= 0 {
                break;
            }
            tries += 1;
        }
        let (mut over, mut within) = if trial.error() > 0 { (trial, last) } else { (last, trial) };
        while trial.error() != 0 && tries < TRIES {
            trial = self.attempt((over.level + within.level) >> 1);
            *(if trial.error() > 0 { &mut over } else { &mut within }) = trial;
            tries += 1;
        }
        if over.error().abs() < within.error().abs() { over.level } else { within.level }
    }
}

/// The share of one of the [`CODED`] coefficients, times two to the power of `scale`.
fn for_each_coefficient(total: i32, scale: i32) -> i32 {
    if total == 0 {
        return 0;
    }
    let spare = 30 - total.unsigned_abs().ilog2() as i32;
    let mantissa = (total << spare) >> 16;
    shifted((mantissa * RECIPROCAL) >> 15, scale + 12 - spare)
}

/// To the left, or to the right if negative.
fn shifted(value: i32, by: i32) -> i32 {
    if by > 0 { value << by } else { value >> -by }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of the kind that blocks can say: a first band, then steps.
    fn loudness(first: i32, steps: &[i32]) -> [i32; BANDS] {
        let mut loudness = [first; BANDS];
        for (band, step) in steps.iter().enumerate() {
            loudness[band + 1] = loudness[band] + step;
        }
        loudness
    }

    #[test]
    fn a_flat_spectrum_spends_the_whole_budget_on_the_lower_coefficients() {
        let bits = allocate(&loudness(16_000, &[0; 22]));
        assert_eq!(bits.iter().map(|&bits| i32::from(bits)).sum::<i32>(), BUDGET);
        assert!(bits.windows(2).all(|pair| pair[0] >= pair[1]), "{bits:?}");
    }

    #[test]
    fn a_band_much_louder_than_the_others_has_six_bits_a_coefficient() {
        let mut loudness = [4000; BANDS];
        loudness[20] = 30_000;
        let bits = allocate(&loudness);
        let at: usize = BAND_WIDTHS[..20].iter().sum();
        assert_eq!(bits[at..at + 12], [6; 12]);
    }

    #[test]
    fn a_share_is_the_total_over_the_number_of_coefficients() {
        for total in [1, -1, 77, -5000, 123_456, -3_000_000] {
            let (share, exact) = (for_each_coefficient(total, 8), f64::from(total) * 256.0 / CODED as f64);
            assert!((f64::from(share) - exact).abs() <= 1.0 + exact.abs() / 2000.0, "{total}: {share}");
        }
    }

    proptest! {
        #[test]
        fn no_loudness_spends_more_than_the_budget(
            first in 3134i32..=31_355,
            steps in proptest::collection::vec(-11_725i32..=12_975, 22),
        ) {
            let bits = allocate(&loudness(first, &steps));
            prop_assert!(bits.iter().map(|&bits| usize::from(bits)).sum::<usize>() <= HALF_BITS);
            prop_assert!(bits.iter().all(|&bits| usize::from(bits) <= DEEPEST));
        }
    }
}
