//! Chance for back-off: seeded, so that tests can repeat it.

use std::time::Duration;

/// SplitMix64: plenty for spreading timers, no good for secrets.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A duration in `low..=high` milliseconds.
    pub(crate) fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(low + self.next() % (high - low + 1))
    }

    /// `around`, a quarter more or less: phones of a restarted registrar do not come back in step.
    pub(crate) fn about(&mut self, around: Duration) -> Duration {
        let millis = u64::try_from(around.as_millis()).unwrap_or(u64::MAX / 8);
        self.millis(millis * 3 / 4, millis * 5 / 4)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
