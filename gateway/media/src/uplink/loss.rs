//! How much of what we send gets lost, by the peer's receiver reports: so that redundancy is sent where it is needed, and no
//! bits are spent on it where nothing gets lost.
//!
//! A report tells of five seconds or so. What it says of new losses is believed by half at once, since redundancy is to be
//! there for the next ones; that losses are over is believed slowly.

use crate::limits::{OPUS_EXPECTED_LOSS, OPUS_MOST_EXPECTED_LOSS};

/// The share of packets that are lost, smoothed.
#[derive(Debug)]
pub(super) struct ExpectedLoss {
    percent: f32,
}

/// How far a report moves the estimate: up, and down.
const RISE: f32 = 0.5;
const FALL: f32 = 0.25;

impl ExpectedLoss {
    /// What is expected before any report.
    pub(super) fn new() -> Self {
        Self { percent: f32::from(OPUS_EXPECTED_LOSS) }
    }

    /// Takes up a report; `fraction_lost` is in 1/256 (RFC 3550 section 6.4.1).
    pub(super) fn reported(&mut self, fraction_lost: u8) {
        let told = (f32::from(fraction_lost) / 2.56).min(f32::from(OPUS_MOST_EXPECTED_LOSS));
        self.percent += (told - self.percent) * if told > self.percent { RISE } else { FALL };
    }

    /// What is expected now.
    pub(super) fn percent(&self) -> u8 {
        self.percent.round() as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_losses_are_believed_at_once_and_their_end_slowly() {
        let mut loss = ExpectedLoss::new();
        assert_eq!(loss.percent(), OPUS_EXPECTED_LOSS);
        loss.reported(51); // 20 %
        assert_eq!(loss.percent(), 12);
        (0..4).for_each(|_| loss.reported(51));
        assert_eq!(loss.percent(), 19);
        loss.reported(0);
        assert_eq!(loss.percent(), 15);
        (0..15).for_each(|_| loss.reported(0));
        assert_eq!(loss.percent(), 0);
    }

    #[test]
    fn a_report_of_everything_lost_is_not_believed_beyond_the_limit() {
        let mut loss = ExpectedLoss::new();
        (0..100).for_each(|_| loss.reported(255));
        assert_eq!(loss.percent(), OPUS_MOST_EXPECTED_LOSS);
    }
}
