//! The noise that stands for what is not sent. Vocoder frames (sub-mode 1) and comfort noise sound alike with any
//! generator, but only with this one can a decoder be compared with the reference sample by sample.

/// A linear congruential generator (Numerical Recipes, section 7.1) of evenly spread numbers.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    seed: u32,
}

impl Noise {
    pub const NEW: Self = Self { seed: 1000 };

    /// The next number: mean 0, standard deviation `deviation`.
    #[inline]
    pub fn next(&mut self, deviation: f32) -> f32 {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // The low 23 bits as the fraction of a number from 1 to 2.
        let unit = f32::from_bits(0x3f80_0000 | self.seed & 0x007f_ffff) - 1.5;
        // sqrt(12): an even spread over 1 has a deviation of 1 / sqrt(12).
        (3.4642 * f64::from(deviation) * f64::from(unit)) as f32
    }

    pub fn fill(&mut self, deviation: f32, out: &mut [f32]) {
        for sample in out {
            *sample = self.next(deviation);
        }
    }
}
