//! Numbers that must not be mixed up.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A message timestamp: milliseconds on the sender's clock, modulo 2^32 (it wraps after 49.7 days).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RtmpTimestamp(u32);

impl RtmpTimestamp {
    /// A timestamp of `ms` milliseconds.
    pub const fn from_ms(ms: u32) -> Self {
        Self(ms)
    }

    /// Milliseconds, modulo 2^32.
    pub const fn ms(self) -> u32 {
        self.0
    }

    /// This timestamp `ms` later.
    #[must_use]
    pub const fn plus(self, ms: u32) -> Self {
        Self(self.0.wrapping_add(ms))
    }

    /// Milliseconds from `earlier` to this one. Negative if this one is before it; right over a wrap as long as the
    /// two are less than 24.8 days apart.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }
}

impl fmt::Display for RtmpTimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// A message stream id. 0 is the NetConnection itself, 1, 2, 3, ... are NetStreams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The NetConnection: where `connect`, `createStream` and calls go.
    pub const CONNECTION: Self = Self(0);
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number by which a `_result` or `_error` finds its command. AMF writes it as a double; it is echoed bit by bit.
///
/// Flash sends 0 when nobody waits for the answer.
#[derive(Debug, Clone, Copy)]
pub struct TransactionId(f64);

impl TransactionId {
    /// Nobody waits for an answer.
    pub const NONE: Self = Self(0.0);

    /// The id as it stands on the wire.
    pub const fn new(number: f64) -> Self {
        Self(number)
    }

    /// The number for the wire.
    pub const fn number(self) -> f64 {
        self.0
    }
}

impl PartialEq for TransactionId {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for TransactionId {}

impl Hash for TransactionId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_difference_is_right_across_the_wrap() {
        let before = RtmpTimestamp::from_ms(u32::MAX - 9);
        let after = before.plus(20);
        assert_eq!(after.ms(), 10);
        assert_eq!(after.since(before), 20);
        assert_eq!(before.since(after), -20);
    }
}
