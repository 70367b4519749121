//! One unit for positions in audio: 1/48000 s, so that every sample clock in use counts in whole ticks.

use std::{
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// Ticks a second: the least common multiple of 8, 16 and 48 kHz.
const TICKS_PER_SECOND: i64 = 48_000;

/// A position or a length in a call's audio. It never wraps in practice (6 million years).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct MediaTime(i64);

impl MediaTime {
    /// The start.
    pub const ZERO: Self = Self(0);

    /// Of milliseconds.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms * (TICKS_PER_SECOND / 1000))
    }

    /// Of ticks of a clock that divides 48 kHz.
    pub const fn from_clock(ticks: i64, clock_rate: u32) -> Self {
        Self(ticks * TICKS_PER_SECOND / clock_rate as i64)
    }

    /// Of a length of real time, to the tick below.
    pub const fn from_duration(duration: Duration) -> Self {
        // 48 kHz are 3 ticks in 62.5 us; 64 bits last for two centuries.
        let nanos = duration.as_secs() * 1_000_000_000 + duration.subsec_nanos() as u64;
        Self((nanos * 3 / 62_500) as i64)
    }

    /// In ticks of another clock, to the tick below.
    pub const fn to_clock(self, clock_rate: u32) -> i64 {
        (self.0 * clock_rate as i64).div_euclid(TICKS_PER_SECOND)
    }

    /// In milliseconds, to the millisecond below.
    pub const fn to_ms(self) -> i64 {
        self.to_clock(1000)
    }

    /// As a length of real time; a negative one is zero.
    pub const fn to_duration(self) -> Duration {
        if self.0 <= 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.0 as u64 * 62_500 / 3)
    }
}

impl Add for MediaTime {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for MediaTime {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl Sub for MediaTime {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_clocks_convert_without_loss() {
        for rate in [8000, 16000, 48000] {
            assert_eq!(MediaTime::from_clock(12_345, rate).to_clock(rate), 12_345);
        }
        assert_eq!(MediaTime::from_clock(160, 8000), MediaTime::from_ms(20));
        assert_eq!(MediaTime::from_ms(20).to_duration(), Duration::from_millis(20));
        assert_eq!(MediaTime::from_duration(Duration::from_millis(20)), MediaTime::from_ms(20));
    }

    #[test]
    fn negative_lengths_round_down_and_wait_not_at_all() {
        assert_eq!(MediaTime::from_clock(-1, 48000).to_ms(), -1);
        assert_eq!(MediaTime::from_ms(-5).to_duration(), Duration::ZERO);
    }
}
