//! One press of a key, told once. Some peers send each digit twice, as telephone-event and in an INFO, in either order.
//!
//! ```text
//!   RTP   1 . . 1 . . 2
//!   INFO  . 1 . . 1 . . 2       each digit of the one way cancels the first like it of the other
//!   told  1 . . 1 . . 2 .
//! ```

use std::{collections::VecDeque, time::Instant};

use crate::limits::{DOUBLE_LIMIT, MAX_PRESSES};

/// The way on which a digit came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// telephone-event (RFC 4733).
    Media,
    /// INFO.
    Signalling,
}

/// Digits that were told and whose double may still come.
#[derive(Debug, Default)]
pub(crate) struct Presses(VecDeque<Press>);

#[derive(Debug, Clone, Copy)]
struct Press {
    digit: char,
    way: Way,
    at: Instant,
}

impl Presses {
    /// Whether this is a new press, and not the double of one that came the other way.
    pub(crate) fn recv(&mut self, now: Instant, digit: char, way: Way) -> bool {
        self.0.retain(|press| now.saturating_duration_since(press.at) < DOUBLE_LIMIT);
        if let Some(index) = self.0.iter().position(|press| press.digit == digit && press.way != way) {
            self.0.remove(index);
            return false;
        }
        if self.0.len() == MAX_PRESSES {
            self.0.pop_front();
        }
        self.0.push_back(Press { digit, way, at: now });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Way::*, *};

    fn start() -> Instant {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin of a test's own clock")]
        Instant::now()
    }

    #[test]
    fn each_press_of_a_peer_that_sends_both_is_told_once_in_any_order() {
        let orders: [&[(char, Way)]; 4] = [
            &[('1', Media), ('1', Signalling), ('1', Media), ('1', Signalling)],
            &[('1', Media), ('1', Media), ('1', Signalling), ('1', Signalling)],
            &[('1', Signalling), ('1', Media), ('1', Media), ('1', Signalling)],
            &[('1', Signalling), ('1', Signalling), ('1', Media), ('1', Media)],
        ];
        for order in orders {
            let (mut presses, now) = (Presses::default(), start());
            let told = order.iter().filter(|(digit, way)| presses.recv(now, *digit, *way)).count();
            assert_eq!(told, 2, "{order:?}");
        }
    }

    #[test]
    fn a_peer_that_sends_one_way_is_told_all_and_keeps_nothing_growing() {
        let (mut presses, now) = (Presses::default(), start());
        for way in [Media, Signalling] {
            let mut presses = Presses::default();
            assert!((0..100).all(|_| presses.recv(now, '5', way)));
        }
        for digit in ('0'..='9').cycle().take(1000) {
            presses.recv(now, digit, Media);
        }
        assert_eq!(presses.0.len(), MAX_PRESSES);
    }

    #[test]
    fn a_press_much_later_on_the_other_way_is_another_press() {
        let (mut presses, now) = (Presses::default(), start());
        assert!(presses.recv(now, '#', Media));
        assert!(presses.recv(now + DOUBLE_LIMIT, '#', Signalling));
        assert!(!presses.recv(now + DOUBLE_LIMIT + Duration::from_secs(1), '#', Media));
    }
}
