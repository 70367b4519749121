//! How long tokens live and how many are remembered.

use std::time::Duration;

/// A token that is good for longer is no short-lived one.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(60 * 60);

/// Clocks may differ by so much.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Used one-time tokens that are remembered until they expire, some 100 bytes each; beyond it none is accepted.
pub(super) const TOKENS_REMEMBERED: usize = 100_000;
