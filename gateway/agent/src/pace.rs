//! How many of something may come in a time: a burst at once, then one for each interval.

use std::time::{Duration, Instant};

/// A token bucket told by the time at which it will be full again (the virtual scheduling form of ITU-T I.371's GCRA).
#[derive(Debug)]
pub(crate) struct Pace {
    burst: u32,
    interval: Duration,
    full_at: Option<Instant>,
}

impl Pace {
    /// `burst` at once, and one more after each `interval`.
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self { burst, interval, full_at: None }
    }

    /// Whether one more may pass now.
    pub(crate) fn pass(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + self.interval;
        let may = full_at.saturating_duration_since(now) <= self.interval * self.burst;
        if may {
            self.full_at = Some(full_at);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin of a test's own clock")]
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pace = Pace::new(3, Duration::from_millis(100));
        let passed: Vec<bool> =
            [0, 0, 0, 0, 99, 100, 100, 250, 10_000, 10_000, 10_000, 10_000].map(|ms| pace.pass(at(ms))).into();
        let expected = [true, true, true, false, false, true, false, true, true, true, true, false];
        assert_eq!(passed, expected);
    }
}
