//! How late the phone's audio is delivered: TCP holds it back now and then and brings it in bursts.
//!
//! ```text
//! lateness    .   .  |  .    .   |  .  .    |      arrival less place, over the least of the last seconds
//! blocks    [ 0 ][ 80 ][ 0 ][ 95 ][ 5 ][ 90 ]      the largest of each half second
//! needed      90                                    what came at least twice in ten seconds
//! ```
//! A delay that is held for what happened once would be paid for in vain: the second largest block counts; but the largest of the
//! last two at the start, and while late deliveries follow one another closely. Nor is it held for a few milliseconds that one
//! frame in ten or fewer comes late: threads are not always scheduled at once, and the receiver's buffer takes that.

use std::time::{Duration, Instant};

use crate::{
    limits::{
        UPLINK_BLOCK, UPLINK_BLOCKS, UPLINK_LATE, UPLINK_MAX_DELAY, UPLINK_STRAY, UPLINK_UNREST, UPLINK_UNREST_WITHIN,
    },
    media_time::MediaTime,
};

/// For so long the earliest delivery is remembered, and then once more: clocks drift, routes change.
const BASE_SPAN: Duration = Duration::from_secs(5);
/// What a stall held back comes within this; it says nothing about jitter.
const BACKLOG: Duration = Duration::from_millis(200);
/// What comes so soon after one another came at once.
const AT_ONCE: Duration = Duration::from_millis(5);
/// The lateness that nine frames of ten do not exceed is followed by such steps, microseconds: 9 up for 1 down.
const STEP_US: i64 = 20;

/// What the deliveries of one stream were like.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    base: Option<Base>,
    blocks: [MediaTime; UPLINK_BLOCKS],
    current: usize,
    block_ends: Option<Instant>,
    /// The first stretch is over.
    turned: bool,
    ignore_until: Option<Instant>,
    needed: MediaTime,
    /// The phone's messages alone make units come so far apart from their places.
    spread: MediaTime,
    /// Nine frames of ten are not later, microseconds.
    usual_us: i64,
    /// The last late deliveries, the newest first; what comes at once is one.
    late: [Option<Instant>; 3],
}

/// The earliest that audio comes: arrivals less places, at their least.
#[derive(Debug, Clone, Copy)]
struct Base {
    origin: Instant,
    least: MediaTime,
    /// Of the span before.
    before: Option<MediaTime>,
    span_ends: Instant,
}

impl Delivery {
    /// Audio belonging to `place` is found now, and came at `came` at the earliest: so late it is for certain.
    pub(super) fn observe(&mut self, now: Instant, came: Instant, place: MediaTime) {
        let base = self.base.get_or_insert_with(|| Base {
            origin: now,
            least: MediaTime::ZERO - place,
            before: None,
            span_ends: now + BASE_SPAN,
        });
        let found = offset(base.origin, now, place);
        if now >= base.span_ends {
            (base.before, base.least, base.span_ends) = (Some(base.least), found, now + BASE_SPAN);
        }
        base.least = base.least.min(found);
        let late = offset(base.origin, came, place) - base.offset();
        let above = late.to_clock(1_000_000) > self.usual_us;
        self.usual_us = (self.usual_us + if above { 9 * STEP_US } else { -STEP_US }).max(0);
        let anew = self.late[0].is_none_or(|then| now.saturating_duration_since(then) > AT_ONCE);
        if anew && late > MediaTime::from_duration(UPLINK_UNREST) {
            self.late = [Some(now), self.late[0], self.late[1]];
        }
        self.count(now, late);
    }

    /// Whether lateness is to be waited for at once, if it is [needed](Self::needed): late deliveries follow one another closely, or nothing
    /// else is known.
    pub(super) fn is_restless(&self, now: Instant) -> bool {
        let recent = |at: Instant| now.saturating_duration_since(at) < UPLINK_UNREST_WITHIN;
        self.is_new() || self.late[2].is_some_and(recent)
    }

    fn was_restless(&self) -> bool {
        matches!((self.late[0], self.late[2]), (Some(newest), Some(third)) if newest - third < UPLINK_UNREST_WITHIN)
    }

    /// In the first stretch.
    fn is_new(&self) -> bool {
        !self.turned
    }

    /// Of this stretch and the one before.
    fn latest_largest(&self) -> MediaTime {
        let before = (self.current + UPLINK_BLOCKS - 1) % UPLINK_BLOCKS;
        self.needed.max(self.blocks[self.current]).max(self.blocks[before])
    }

    fn count(&mut self, now: Instant, late: MediaTime) {
        let ends = *self.block_ends.get_or_insert(now + UPLINK_BLOCK);
        if now >= ends {
            self.turn_blocks(now, ends);
        }
        if late > MediaTime::from_duration(UPLINK_MAX_DELAY) {
            self.ignore_until = Some(now + BACKLOG);
        } else if late > self.blocks[self.current] && self.ignore_until.is_none_or(|until| now >= until) {
            self.blocks[self.current] = late;
            self.needed = self.second_largest();
        }
    }

    fn turn_blocks(&mut self, now: Instant, mut ends: Instant) {
        if now >= ends + UPLINK_BLOCK * UPLINK_BLOCKS as u32 {
            self.blocks.fill(MediaTime::ZERO);
            ends = now + UPLINK_BLOCK;
        }
        while now >= ends {
            self.current = (self.current + 1) % UPLINK_BLOCKS;
            self.blocks[self.current] = MediaTime::ZERO;
            ends += UPLINK_BLOCK;
        }
        (self.block_ends, self.turned) = (Some(ends), true);
        self.needed = self.second_largest();
    }

    fn second_largest(&self) -> MediaTime {
        let (mut largest, mut second) = (MediaTime::ZERO, MediaTime::ZERO);
        for &block in &self.blocks {
            second = second.max(block.min(largest));
            largest = largest.max(block);
        }
        second
    }

    /// How far apart from their places units come because of the length of the phone's messages.
    pub(super) fn expect_spread(&mut self, spread: MediaTime) {
        self.spread = spread;
    }

    /// The delay that fits: what lateness came at least twice lately.
    pub(super) fn needed(&self) -> MediaTime {
        let needed = if self.is_new() || self.was_restless() { self.latest_largest() } else { self.needed };
        let seen = if needed <= MediaTime::from_duration(self.tolerated()) { MediaTime::ZERO } else { needed };
        seen.max(self.spread)
    }

    /// What a frame may be late without the others being delayed for it.
    pub(super) fn tolerated(&self) -> Duration {
        if self.usual_us <= UPLINK_LATE.as_micros() as i64 { UPLINK_STRAY } else { UPLINK_LATE }
    }

    /// How much a turn at `time` for what belongs to `place` lies behind the earliest delivery.
    pub(super) fn delay_of(&self, time: Instant, place: MediaTime) -> MediaTime {
        let Some(base) = &self.base else { return MediaTime::ZERO };
        (offset(base.origin, time, place) - base.offset()).max(MediaTime::ZERO)
    }

    /// Places have nothing to do with those before.
    pub(super) fn rebase(&mut self) {
        self.base = None;
    }
}

impl Base {
    fn offset(&self) -> MediaTime {
        self.before.map_or(self.least, |before| self.least.min(before))
    }
}

fn offset(origin: Instant, time: Instant, place: MediaTime) -> MediaTime {
    let elapsed = match time.checked_duration_since(origin) {
        Some(after) => MediaTime::from_duration(after),
        None => MediaTime::ZERO - MediaTime::from_duration(origin.duration_since(time)),
    };
    elapsed - place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Frames of 20 ms, frame n late by `late_ms(n)`.
    fn after(frames: u64, late_ms: impl Fn(u64) -> u64) -> Delivery {
        let mut delivery = Delivery::default();
        for n in 0..frames {
            let came = epoch() + ms(20 * n + late_ms(n));
            delivery.observe(came, came, MediaTime::from_ms(20 * n as i64));
        }
        delivery
    }

    #[test]
    fn what_happened_once_is_not_waited_for_and_what_came_twice_is() {
        assert_eq!(after(500, |n| if n == 400 { 120 } else { 0 }).needed(), MediaTime::ZERO);
        assert_eq!(after(500, |n| if n == 250 || n == 400 { 120 } else { 0 }).needed(), MediaTime::from_ms(120));
        assert_eq!(after(500, |n| [0, 90, 60][n as usize % 3]).needed(), MediaTime::from_ms(90));
    }

    #[test]
    fn a_few_milliseconds_are_waited_for_only_if_they_are_usual() {
        assert_eq!(after(2000, |n| if n % 20 == 0 { 4 } else { 0 }).needed(), MediaTime::ZERO);
        assert_eq!(after(2000, |n| if n % 5 == 0 { 4 } else { 0 }).needed(), MediaTime::from_ms(4));
        assert_eq!(after(2000, |n| if n % 20 == 0 { 15 } else { 0 }).needed(), MediaTime::from_ms(15));
    }

    #[test]
    fn what_may_have_come_in_time_is_not_late_and_makes_nothing_else_late() {
        let mut delivery = Delivery::default();
        for n in 0..500 {
            let (came, place) = (epoch() + ms(20 * n), MediaTime::from_ms(20 * n as i64));
            delivery.observe(if n % 50 == 1 { came + ms(80) } else { came }, came, place);
            // Known too roughly: it came just now.
            delivery.observe(came, came - ms(if n % 50 == 25 { 80 } else { 0 }), place);
        }
        assert_eq!(delivery.needed(), MediaTime::ZERO);
    }

    #[test]
    fn ten_seconds_after_the_network_calmed_nothing_is_needed() {
        let unsettled = |n| if n < 1000 && n % 50 == 0 { 100 } else { 0 };
        assert_eq!(after(1100, unsettled).needed(), MediaTime::from_ms(100));
        assert_eq!(after(1530, unsettled).needed(), MediaTime::ZERO);
    }

    #[test]
    fn a_stall_and_its_backlog_are_no_jitter() {
        assert_eq!(after(2000, |n| if n % 100 < 45 { 900 - n % 100 * 20 } else { 0 }).needed(), MediaTime::ZERO);
    }

    #[test]
    fn lateness_is_counted_from_the_earliest_delivery_whatever_the_clocks_do() {
        let mut delivery = Delivery::default();
        for n in 0..100_000u64 {
            // The phone's clock is 300 ppm slow: 600 ms in all.
            let now = epoch() + ms(20 * n) + Duration::from_micros(6 * n);
            delivery.observe(now, now, MediaTime::from_ms(20 * n as i64));
        }
        assert!(delivery.needed() < MediaTime::from_ms(4), "{:?}", delivery.needed());
    }
}
