//! One-time tokens that have been used: remembered until they expire anyway.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::AccessError;
use super::limits::{CLOCK_SKEW, TOKENS_REMEMBERED};

type Mark = [u8; 16];

/// The marks of used tokens, and when each may be forgotten.
#[derive(Debug, Default)]
pub(super) struct Used {
    marks: HashSet<Mark>,
    by_end: BTreeSet<(Duration, Mark)>,
}

impl Used {
    /// Uses the token `id` that ends at `end`; `now` and `end` are since 1970.
    pub(super) fn take(&mut self, id: &str, end: Duration, now: Duration) -> Result<(), AccessError> {
        while let Some((gone, mark)) = self.by_end.first().copied()
            && now >= gone + CLOCK_SKEW
        {
            self.by_end.pop_first();
            self.marks.remove(&mark);
        }
        let mut mark = Mark::default();
        mark.copy_from_slice(&Sha256::digest(id)[..16]);
        if self.marks.contains(&mark) {
            return Err(AccessError::Used);
        }
        if self.marks.len() >= TOKENS_REMEMBERED {
            return Err(AccessError::TooMany);
        }
        self.marks.insert(mark);
        self.by_end.insert((end, mark));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_id_is_good_once_until_its_end_and_then_forgotten() {
        let mut used = Used::default();
        assert_eq!(used.take("a", 100 * SECOND, 50 * SECOND), Ok(()));
        assert_eq!(used.take("a", 200 * SECOND, 104 * SECOND), Err(AccessError::Used), "the clock may be late");
        assert_eq!(used.take("b", 200 * SECOND, 105 * SECOND), Ok(()));
        assert_eq!(used.marks.len(), 1);
    }

    #[test]
    fn no_more_are_remembered_than_its_limit_and_none_is_good_without() {
        let mut used = Used::default();
        for n in 0..TOKENS_REMEMBERED {
            used.take(&n.to_string(), 100 * SECOND, SECOND).unwrap();
        }
        assert_eq!(used.take("one more", 100 * SECOND, SECOND), Err(AccessError::TooMany));
        assert_eq!(used.take("one more", 300 * SECOND, 200 * SECOND), Ok(()));
        assert_eq!((used.marks.len(), used.by_end.len()), (1, 1));
    }
}
