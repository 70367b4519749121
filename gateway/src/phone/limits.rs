//! What strangers can make this layer remember, and for how long.

use std::time::Duration;

/// Sources and accounts of whom failed or successful connects are remembered: twice so many at most. Each takes some 64 bytes.
pub(crate) const ATTEMPTS_REMEMBERED: usize = 16_384;
/// They are remembered for so long at least, unless there are too many, and for twice that at most.
pub(crate) const ATTEMPTS_TIME: Duration = Duration::from_secs(12 * 60 * 60);
/// Whoever fails many times at once waits for each failure, but not longer than this in all.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
