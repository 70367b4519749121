//! Releases audio on the media clock, whatever bursts TCP delivers it in.
//!
//! ```text
//! arrival    aaaa        bbbb        cccc            stall  eeeeeeeeeeee  f  g  h
//! departure  a a a a b b b b c c c c d d d                  e e e (cut)   f  g  h
//! ```
//! A unit's turn is its place in the stream plus a delay that is as small as the bursts allow: a unit that misses its
//! turn leaves at once and moves the schedule back; a schedule that let everything wait for [`UPLINK_WATCH`] is pulled
//! forward, by sending slightly faster or, after a stall, by dropping what is overdue.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    limits::{UPLINK_CUT, UPLINK_EARLY, UPLINK_LATE, UPLINK_MAX_HOLD, UPLINK_SETTLE, UPLINK_SLEW, UPLINK_WATCH},
    media_time::MediaTime,
};

/// The queue and its schedule.
#[derive(Debug)]
pub(super) struct Pacer<T> {
    queue: VecDeque<(MediaTime, T)>,
    anchor: Option<Anchor>,
    watch: Watch,
    /// What is still to be gained by sending faster.
    slew: Duration,
    dropped: u64,
}

/// The unit at `place` has its turn at `time`.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Instant,
    place: MediaTime,
}

/// The shortest wait seen in a stretch of time.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    span: Option<(Instant, Instant)>,
    least: Option<Duration>,
}

impl Watch {
    fn starting_at(from: Instant) -> Self {
        Self { span: Some((from, from + UPLINK_WATCH)), least: None }
    }

    /// Takes a wait; at the end of the stretch the shortest one comes out.
    fn observe(&mut self, now: Instant, wait: Duration) -> Option<Duration> {
        let (from, until) = self.span.unwrap_or((now, now + UPLINK_WATCH));
        if now < from {
            return None;
        }
        let least = self.least.map_or(wait, |least| least.min(wait));
        let over = now >= until;
        *self = if over { Self::starting_at(now) } else { Self { span: Some((from, until)), least: Some(least) } };
        over.then_some(least)
    }
}

impl<T> Default for Pacer<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), anchor: None, watch: Watch::default(), slew: Duration::ZERO, dropped: 0 }
    }
}

impl Anchor {
    fn turn_of(self, place: MediaTime) -> Instant {
        if place >= self.place {
            self.time + (place - self.place).to_duration()
        } else {
            let back = (self.place - place).to_duration();
            self.time.checked_sub(back).unwrap_or(self.time)
        }
    }

    fn place_at(self, now: Instant) -> MediaTime {
        if now >= self.time {
            self.place + MediaTime::from_duration(now - self.time)
        } else {
            self.place - MediaTime::from_duration(self.time - now)
        }
    }
}

impl<T> Pacer<T> {
    /// The place in the stream whose turn is now, once there is a schedule.
    pub(super) fn position(&self, now: Instant) -> Option<MediaTime> {
        self.anchor.map(|anchor| anchor.place_at(now))
    }

    /// When the first in the queue has its turn.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (place, _) = self.queue.front()?;
        self.anchor.map(|anchor| anchor.turn_of(*place))
    }

    /// Units dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Empties the queue; the schedule stays.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Queues a unit that arrives now.
    pub(super) fn push(&mut self, now: Instant, place: MediaTime, unit: T) {
        let anchor = *self.anchor.get_or_insert(Anchor { time: now, place });
        let turn = anchor.turn_of(place);
        let late = now.saturating_duration_since(turn);
        if late > UPLINK_LATE && self.queue.is_empty() {
            self.move_back(now, place);
        } else if late.is_zero() {
            self.observe(now, turn - now);
        } else if late <= UPLINK_LATE {
            self.observe(now, Duration::ZERO);
        }
        self.queue.push_back((place, unit));
        self.drop_overdue(now);
    }

    /// The next unit, if its turn has come.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(MediaTime, T)> {
        if self.deadline()? > now + UPLINK_EARLY {
            return None;
        }
        let step = self.slew.min(UPLINK_SLEW);
        self.slew -= step;
        self.pull_forward(step);
        self.queue.pop_front()
    }

    fn move_back(&mut self, now: Instant, place: MediaTime) {
        self.anchor = Some(Anchor { time: now, place });
        self.slew = Duration::ZERO;
        self.watch = Watch::starting_at(now + UPLINK_SETTLE);
    }

    fn pull_forward(&mut self, step: Duration) {
        if let Some(anchor) = &mut self.anchor {
            anchor.time = anchor.time.checked_sub(step).unwrap_or(anchor.time);
        }
    }

    fn observe(&mut self, now: Instant, wait: Duration) {
        if wait > UPLINK_MAX_HOLD {
            self.pull_forward(wait - UPLINK_MAX_HOLD);
        }
        let Some(least) = self.watch.observe(now, wait) else { return };
        if least >= UPLINK_CUT {
            self.pull_forward(least);
            self.slew = Duration::ZERO;
        } else if least > UPLINK_EARLY {
            self.slew = least;
        }
    }

    /// After the schedule was pulled forward: whose turn has passed by more than a cut is not sent any more. The
    /// newest stays.
    fn drop_overdue(&mut self, now: Instant) {
        let Some(anchor) = self.anchor else { return };
        while self.queue.len() > 1
            && self.queue.front().is_some_and(|(place, _)| anchor.turn_of(*place) + UPLINK_CUT < now)
        {
            self.queue.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, epoch};

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1000.0)
    }

    /// Pushes frame n, which sounds at n x 20 ms, at its arrival, and polls at every deadline. Returns for each frame sent
    /// its number and departure in ms.
    fn run(frames: usize, arrival_ms: impl Fn(usize) -> f64) -> Vec<(usize, f64)> {
        let mut pacer = Pacer::default();
        let mut departures = Vec::new();
        let mut pump = |pacer: &mut Pacer<usize>, now: Instant| {
            while let Some((_, n)) = pacer.pop(now) {
                departures.push((n, (now - epoch()).as_secs_f64() * 1000.0));
            }
        };
        for n in 0..frames {
            let now = epoch() + ms(arrival_ms(n));
            while let Some(deadline) = pacer.deadline().filter(|deadline| *deadline < now) {
                pump(&mut pacer, deadline);
            }
            pump(&mut pacer, now);
            pacer.push(now, MediaTime::from_ms(20 * n as i64), n);
            pump(&mut pacer, now);
        }
        departures
    }

    fn delays(departures: &[(usize, f64)]) -> Vec<f64> {
        departures.iter().map(|(n, at)| at - 20.0 * *n as f64).collect()
    }

    fn largest_interval_error(departures: &[(usize, f64)]) -> f64 {
        departures.windows(2).map(|w| (w[1].1 - w[0].1 - 20.0 * (w[1].0 - w[0].0) as f64).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn a_calm_stream_is_not_held() {
        let mut random = Random::new(2);
        let jitter: Vec<f64> = (0..3000).map(|_| random.uniform() * 1.4).collect();
        let departures = run(3000, |n| 20.0 * n as f64 + jitter[n]);
        let mut delays = delays(&departures);
        delays.sort_by(f64::total_cmp);
        assert_eq!(delays.len(), 3000);
        assert!(delays[1500] < 1.0 && delays[2970] < 2.0, "{} {}", delays[1500], delays[2970]);
    }

    #[test]
    fn bursts_leave_evenly() {
        for burst in [2, 3, 5, 10, 15] {
            // All frames of a burst come with its last one.
            let departures = run(130 * burst, |n| 20.0 * (n / burst * burst + burst - 1) as f64);
            assert_eq!(departures.len(), 130 * burst - (burst - 1), "bursts of {burst}: all but those still waiting");
            assert!(largest_interval_error(&departures[2 * burst..]) < 2.0, "bursts of {burst}");
            let longest = delays(&departures).into_iter().fold(0.0, f64::max);
            assert!(longest <= 20.0 * burst as f64, "bursts of {burst}: {longest}");
        }
    }

    #[test]
    fn after_a_stall_the_delay_is_back_within_a_second_and_only_the_backlog_is_lost() {
        for stall in [300.0, 500.0, 1000.0, 2000.0, 5000.0] {
            let (begin, end) = (4000.0, 4000.0 + stall);
            let departures = run(1000, |n| {
                let at = 20.0 * n as f64;
                if (begin..end).contains(&at) { end } else { at }
            });
            let after: Vec<_> = departures.iter().filter(|(_, at)| *at > end + 1000.0).copied().collect();
            let worst = delays(&after).into_iter().fold(0.0, f64::max);
            assert!(worst <= 20.0, "a stall of {stall} ms leaves {worst} ms");
            let lost = 1000 - departures.len();
            assert!(lost as f64 <= stall / 20.0 + 1.0, "a stall of {stall} ms loses {lost} frames");
        }
    }

    #[test]
    fn clocks_apart_by_500_ppm_neither_lose_frames_nor_gather_delay_for_an_hour() {
        for ppm in [-500.0, 500.0] {
            let frame_ms = 20.0 * (1.0 + ppm / 1e6);
            let departures = run(180_000, |n| frame_ms * n as f64);
            assert_eq!(departures.len(), 180_000);
            let hold = departures.iter().map(|(n, at)| at - frame_ms * *n as f64).fold(0.0, f64::max);
            assert!(hold < 5.0, "{ppm} ppm: held {hold} ms");
            let uneven = departures.windows(2).map(|w| (w[1].1 - w[0].1 - frame_ms).abs()).fold(0.0, f64::max);
            assert!(uneven < 3.0, "{ppm} ppm: {uneven} ms");
        }
    }

    #[test]
    fn jitter_of_arrivals_is_taken_out() {
        let mut random = Random::new(9);
        let jitter: Vec<f64> = (0..5000).map(|_| random.uniform() * 15.0).collect();
        let departures = run(5000, |n| 20.0 * n as f64 + jitter[n]);
        assert_eq!(departures.len(), 5000);
        // Interarrival jitter as a receiver computes it (RFC 3550 appendix A.8).
        let mut measured = 0.0;
        for pair in departures.windows(2) {
            measured += ((pair[1].1 - pair[0].1 - 20.0).abs() - measured) / 16.0;
            if pair[0].0 > 100 {
                assert!(measured < 2.0, "{measured} ms at frame {}", pair[0].0);
            }
        }
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut pacer = Pacer::default();
        for n in 0..100_000 {
            pacer.push(epoch(), MediaTime::from_ms(20 * n), n);
            assert!(pacer.queue.len() <= 25);
        }
        assert!(pacer.dropped() > 99_000);
    }
}
