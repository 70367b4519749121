//! RTMP time: milliseconds in 32 bits, which wrap after 49.7 days (and the extended timestamps of chunks with them).

/// Timestamp of an RTMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RtmpTimestamp(pub u32);

impl RtmpTimestamp {
    /// `ms` later (or earlier, if negative).
    pub const fn plus(self, ms: i64) -> Self {
        Self(self.0.wrapping_add(ms as u32))
    }

    /// Milliseconds from `other` to `self`, the short way round.
    pub const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }
}

/// Counts the turns of RTMP timestamps.
#[derive(Debug, Clone, Copy)]
pub struct RtmpUnwrapper {
    last: RtmpTimestamp,
    total: i64,
}

impl RtmpUnwrapper {
    /// Starts at `first`, which is given as its plain value.
    pub const fn starting_at(first: RtmpTimestamp) -> Self {
        Self { last: first, total: first.0 as i64 }
    }

    /// The timestamp on an axis without wraps.
    pub fn unwrap(&mut self, timestamp: RtmpTimestamp) -> i64 {
        self.total += timestamp.distance_from(self.last) as i64;
        self.last = timestamp;
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hours_and_the_wrap_of_32_bits_go_by_without_a_step() {
        let start = u32::MAX - 3_600_000; // one hour before the wrap
        let mut unwrapper = RtmpUnwrapper::starting_at(RtmpTimestamp(start));
        for frame in 0..5 * 180_000i64 {
            let timestamp = RtmpTimestamp(start).plus(frame * 20);
            assert_eq!(unwrapper.unwrap(timestamp), start as i64 + frame * 20);
        }
    }

    #[test]
    fn a_step_back_is_a_step_back() {
        let mut unwrapper = RtmpUnwrapper::starting_at(RtmpTimestamp(5));
        assert_eq!(unwrapper.unwrap(RtmpTimestamp(u32::MAX)), -1);
        assert_eq!(unwrapper.unwrap(RtmpTimestamp(20)), 20);
    }
}
