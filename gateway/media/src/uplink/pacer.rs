//! Releases audio on the media clock, whatever bursts TCP delivers it in.
//!
//! ```text
//! arrival    aaaa        bbbb        cccc       spike      dddd        stall              eeeeeeeeeeee  f  g  h
//! departure  a a a a b b b b c c c c            (at once)  ddd d       ~ ~ ~ ~ ~ ~ ~ ~ ~ (noise)    e   f  g  h
//! ```
//! A unit's turn is its place in the stream plus a delay. The delay grows when it must and shrinks when it may:
//!
//! * Units cut from messages of another length than theirs come unevenly: a stream of such begins as much later as its latest
//!   units will come.
//! * A unit that comes up to [`UPLINK_PATIENCE`] after its turn leaves at once: the receiver's buffer takes it or conceals better than
//!   we could. What comes late again and again is waited for ([`Delivery::needed`]): up to [`UPLINK_SLIP`] in all the schedule moves
//!   back, which the receiver's buffer takes; beyond that the delay grows in a pause between words, where quiet units are sent twice.
//!   On a network of which nothing else is known or that does not rest it grows at once, behind a hole in the timestamps.
//! * Late is what comes late, not what we find late: a driver that was held up holds up departures as well, so that no delay would
//!   help against it. Such a unit leaves at once, and the schedule stays.
//! * After that time without audio, noise is due ([`Pacer::fill`]). Audio that comes for the time that noise has filled is left out,
//!   unless the network does not rest: then it goes behind.
//! * What is not needed is taken back: delay that noise and repetition made, in pauses and by leaving out quiet units; a schedule that
//!   moved, or a fast clock of the phone's, by sending slightly faster. Nothing that is heard is left out.
//! * A backlog of more than [`UPLINK_STALL`] is no jitter: it is dropped at once, but for its end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    limits::{
        UPLINK_EARLY, UPLINK_FILL, UPLINK_KEEP_ALIVE, UPLINK_LATE, UPLINK_PATIENCE, UPLINK_PAUSE, UPLINK_SETTLE,
        UPLINK_SLACK, UPLINK_SLIP, UPLINK_STALL, UPLINK_WAIT_FOR_QUIET,
    },
    media_time::MediaTime,
};

use super::delivery::Delivery;

const STALL: MediaTime = MediaTime::from_duration(UPLINK_STALL);
const SLACK: MediaTime = MediaTime::from_duration(UPLINK_SLACK);
/// What the schedule was moved back is forgotten by a thousandth of the time: so slow a clock of the phone's is no slip.
const SLIP_FADES: u32 = 1000;

/// The queue and its schedule.
#[derive(Debug)]
pub(super) struct Pacer<T> {
    queue: VecDeque<Queued<T>>,
    /// Length of the noise that fills in.
    unit: MediaTime,
    /// What the first unit waits for.
    head_start: Duration,
    anchor: Option<Anchor>,
    /// From the phone's timeline to that of the stream: noise that went before, less what was left out.
    shift: MediaTime,
    /// How much of it noise has made.
    debt: MediaTime,
    /// The stream is made up to here.
    filled_until: MediaTime,
    filling: Filling,
    delivery: Delivery,
    /// How far the schedule was moved back, and when last.
    slip: Duration,
    slipped: Option<Instant>,
    /// No delay is taken back before.
    settled: Option<Instant>,
    /// What is to be gained by sending faster.
    slew: Duration,
    /// Quiet units that may be left out, and since when they are.
    skips: u32,
    wanted: Option<Instant>,
    /// A backlog is being dropped.
    cutting: bool,
    dropped: u64,
    /// When audio came again after noise, and its place.
    resumed: Option<(Instant, MediaTime)>,
    /// Since when the delay is too short.
    short: Option<Instant>,
    /// Quiet units in a row, as far as was looked.
    quiet: MediaTime,
}

/// A unit that waits for its turn.
#[derive(Debug)]
struct Queued<T> {
    /// On the phone's timeline.
    place: MediaTime,
    length: MediaTime,
    unit: T,
}

/// The unit at `place` has its turn at `time`.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Instant,
    place: MediaTime,
}

/// What is done about audio that does not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filling {
    /// Nothing: none has come, or none may be sent.
    Off,
    /// It is waited for.
    Patient,
    /// Nothing has been sent since a hold: noise is due unless audio comes before.
    Waiting { due: Instant },
    /// There has been noise since `since`; the next is due at `due`.
    Noise { since: Instant, due: Instant },
    /// Now and then something is sent so that nobody takes the call for dead.
    Sparse { due: Instant },
}

/// Noise that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fill {
    /// Its place in the stream.
    pub(super) at: MediaTime,
    /// It is the first after audio.
    pub(super) first: bool,
    /// Nothing else comes for a while.
    pub(super) alone: bool,
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
    /// Fills with noise in units of this length.
    pub(super) fn new(unit: MediaTime) -> Self {
        Self {
            queue: VecDeque::new(),
            unit,
            head_start: Duration::ZERO,
            anchor: None,
            shift: MediaTime::ZERO,
            debt: MediaTime::ZERO,
            filled_until: MediaTime::ZERO,
            filling: Filling::Off,
            delivery: Delivery::default(),
            slip: Duration::ZERO,
            slipped: None,
            settled: None,
            slew: Duration::ZERO,
            skips: 0,
            wanted: None,
            cutting: false,
            dropped: 0,
            resumed: None,
            short: None,
            quiet: MediaTime::ZERO,
        }
    }

    /// The place in the stream whose turn is now, once there is a schedule.
    pub(super) fn position(&self, now: Instant) -> Option<MediaTime> {
        self.anchor.map(|anchor| anchor.place_at(now))
    }

    /// The same on the phone's timeline.
    pub(super) fn phone_position(&self, now: Instant) -> Option<MediaTime> {
        self.position(now).map(|position| position - self.shift)
    }

    /// When [`Self::pop`] or [`Self::fill`] has something.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let anchor = self.anchor?;
        if let Some(first) = self.queue.front() {
            return Some(anchor.turn_of(first.place + self.shift));
        }
        match self.filling {
            Filling::Off => None,
            Filling::Patient => Some(anchor.turn_of(self.filled_until) + UPLINK_PATIENCE),
            Filling::Waiting { due } | Filling::Noise { due, .. } | Filling::Sparse { due } => Some(due),
        }
    }

    /// Units dropped so far.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// How long a unit waits that is delivered without delay.
    pub(super) fn delay(&self) -> Duration {
        let Some(anchor) = self.anchor else { return Duration::ZERO };
        let place = self.filled_until;
        self.delivery.delay_of(anchor.turn_of(place), place - self.shift).to_duration()
    }

    /// From the phone's timeline to that of the stream.
    pub(super) fn shift(&self) -> MediaTime {
        self.shift
    }

    /// Empties the queue and fills nothing until audio comes again or [`Self::wake`]; the schedule stays.
    pub(super) fn clear(&mut self, unit: MediaTime) {
        self.queue.clear();
        self.filling = Filling::Off;
        self.unit = unit;
    }

    /// Noise flows again where it had become sparse or was turned off, unless the phone has not spoken at all.
    pub(super) fn wake(&mut self, now: Instant) {
        match self.filling {
            Filling::Sparse { .. } => self.filling = Filling::Noise { since: now, due: now },
            Filling::Off if self.anchor.is_some() => self.filling = Filling::Waiting { due: now + UPLINK_PATIENCE },
            _ => {}
        }
    }

    /// The phone's timeline starts anew.
    pub(super) fn rebase(&mut self) {
        self.delivery.rebase();
    }

    /// What is pushed next comes in messages of this length.
    pub(super) fn expect_messages_of(&mut self, length: MediaTime) {
        let cut = Cut::of(length, self.unit);
        self.head_start = (cut.latest - cut.first).to_duration();
        self.delivery.expect_spread(cut.latest - cut.earliest);
    }

    /// Queues a unit of `length` that is found now and may have come at `came`; `place` is on the phone's timeline.
    pub(super) fn push(&mut self, now: Instant, came: Instant, place: MediaTime, length: MediaTime, unit: T) {
        self.delivery.observe(now, came, place);
        let anchor = match self.anchor {
            Some(anchor) => anchor,
            None => self.begin(now, place),
        };
        if self.queue.is_empty() {
            if self.is_old_backlog(now, came, anchor, place) {
                self.dropped += 1;
                return;
            }
            self.make_room(now, came, anchor, place);
        }
        (self.filling, self.resumed) = (Filling::Patient, None);
        self.queue.push_back(Queued { place, length, unit });
        let excess = self.cut();
        self.watch(now, excess);
    }

    fn begin(&mut self, now: Instant, place: MediaTime) -> Anchor {
        let anchor = Anchor { time: now + self.head_start, place: place + self.shift };
        (self.anchor, self.filled_until) = (Some(anchor), anchor.place);
        self.raised(now);
        anchor
    }

    /// Whether the unit's time was filled with noise because the network held the unit up. Such units come faster than they were
    /// made; those of a phone that only paused, and did not count its pause, do not.
    fn is_old_backlog(&mut self, now: Instant, came: Instant, anchor: Anchor, place: MediaTime) -> bool {
        if !matches!(self.filling, Filling::Noise { .. } | Filling::Sparse { .. }) {
            return false;
        }
        // Described once in a while, or alone, noise sounds on.
        self.filled_until = self.filled_until.max(anchor.place_at(came) - self.unit);
        if self.delivery.is_restless(now) || self.filled_until - (place + self.shift) < SLACK {
            return false;
        }
        let (since, first) = *self.resumed.get_or_insert((now, place));
        place - first >= MediaTime::from_duration(now.saturating_duration_since(since) * 4 / 3)
    }

    /// Audio comes after a while without: it goes behind what was sent meanwhile, and lateness that comes again moves the schedule.
    fn make_room(&mut self, now: Instant, came: Instant, anchor: Anchor, place: MediaTime) {
        let start = place + self.shift;
        if start < self.filled_until {
            self.go_behind(now, self.filled_until - start);
        } else if start > self.filled_until {
            // A pause is the place to lose delay that is not needed.
            self.pay(self.excess_at(anchor, place).clamp(MediaTime::ZERO, start - self.filled_until));
        }
        let turn = anchor.turn_of(place + self.shift);
        let late = came.saturating_duration_since(turn);
        let faded = self.slipped.map_or(Duration::ZERO, |then| now.saturating_duration_since(then) / SLIP_FADES);
        let slip = self.slip.saturating_sub(faded);
        // The receiver's buffer takes both, the slip and a stray frame.
        let tolerated = self.delivery.tolerated().min(UPLINK_SLIP.saturating_sub(slip)).max(UPLINK_LATE);
        if late <= tolerated {
            return;
        }
        self.slip = slip;
        if late > UPLINK_PATIENCE {
            return self.go_behind(now, MediaTime::from_duration(late));
        }
        let raise = late.min((MediaTime::ZERO - self.excess_at(anchor, place)).to_duration());
        if raise < UPLINK_LATE {
            return; // it may not come again
        }
        let in_vain = |since: Instant| now >= since + UPLINK_WAIT_FOR_QUIET;
        if slip + raise <= UPLINK_SLIP {
            self.anchor = Some(Anchor { time: turn + raise, place: place + self.shift });
            (self.slip, self.slipped) = (slip + raise, Some(now));
            self.raised(now);
        } else if self.delivery.is_restless(now) || self.short.is_some_and(in_vain) {
            self.go_behind(now, MediaTime::from_duration(raise));
        }
    }

    fn go_behind(&mut self, now: Instant, time: MediaTime) {
        self.shift += time;
        self.debt += time;
        self.raised(now);
    }

    fn raised(&mut self, now: Instant) {
        (self.slew, self.skips, self.wanted) = (Duration::ZERO, 0, None);
        self.settled = Some(now + UPLINK_SETTLE);
    }

    /// Delay beyond what is needed; negative where it is too short.
    fn excess(&self) -> MediaTime {
        match (self.anchor, self.queue.front()) {
            (Some(anchor), Some(first)) => self.excess_at(anchor, first.place),
            _ => MediaTime::ZERO,
        }
    }

    fn excess_at(&self, anchor: Anchor, place: MediaTime) -> MediaTime {
        self.delivery.delay_of(anchor.turn_of(place + self.shift), place) - self.delivery.needed()
    }

    /// Drops a backlog. The newest stays. Returns the excess that is left.
    fn cut(&mut self) -> MediaTime {
        let mut excess = self.excess();
        self.cutting = excess > STALL || self.cutting && excess >= self.unit;
        while self.cutting && self.queue.len() > 1 {
            self.leave_out_front();
            excess = self.excess();
            self.cutting = excess >= self.unit;
        }
        excess
    }

    fn leave_out_front(&mut self) -> Option<T> {
        let Queued { length, unit, .. } = self.queue.pop_front()?;
        self.pay(length);
        self.dropped += 1;
        Some(unit)
    }

    fn pay(&mut self, time: MediaTime) {
        self.shift = self.shift - time;
        self.debt = (self.debt - time).max(MediaTime::ZERO);
    }

    /// Decides what to take back, and whether to give.
    fn watch(&mut self, now: Instant, excess: MediaTime) {
        if excess + self.unit <= MediaTime::ZERO {
            self.short.get_or_insert(now);
        } else {
            self.short = None;
        }
        let Some(settled) = self.settled else { return };
        if !self.slew.is_zero() || now < settled {
            return;
        }
        let (excess, unit) = (excess.max(MediaTime::ZERO), self.unit);
        self.skips = (excess.min(self.debt).to_ms() / unit.to_ms()) as u32;
        if self.skips == 0 {
            self.wanted = None;
        } else if now < *self.wanted.get_or_insert(now) + UPLINK_WAIT_FOR_QUIET {
            return;
        } else if excess >= unit + unit {
            // No quiet in sight: the receiver has to do it.
            self.debt = MediaTime::ZERO;
        }
        let excess = excess - self.debt;
        if excess > SLACK {
            self.slew = excess.to_duration() - UPLINK_EARLY;
        }
    }

    /// The next unit, if its turn has come: its place in the stream, and a quiet one that is left out before it.
    pub(super) fn pop(&mut self, now: Instant, is_quiet: impl FnOnce(&T) -> bool) -> Option<Popped<T>> {
        let first = self.queue.front()?;
        if self.anchor?.turn_of(first.place + self.shift) > now + UPLINK_EARLY {
            return None;
        }
        let (skips, repeats) = (self.skips > 0, self.short.is_some());
        self.quiet =
            if (skips || repeats) && is_quiet(&first.unit) { self.quiet + first.length } else { MediaTime::ZERO };
        let is_pause = self.quiet > MediaTime::from_duration(UPLINK_PAUSE);
        let skipped = (is_pause && skips && self.queue.len() > 1).then(|| {
            self.skips -= 1;
            self.leave_out_front()
        });
        let step = if self.slew.is_zero() { self.slew } else { self.slew.min(self.unit.to_duration() / 20) };
        self.slew -= step;
        self.slip = self.slip.saturating_sub(step);
        let Queued { place, length, unit } = self.queue.pop_front()?;
        let at = place + self.shift;
        if let Some(anchor) = &mut self.anchor {
            anchor.time = anchor.time.checked_sub(step).unwrap_or(anchor.time);
        }
        self.filled_until = at + length;
        let repeated = (is_pause && repeats).then(|| {
            self.short = None;
            self.go_behind(now, length);
            self.filled_until += length;
            at + length
        });
        Some(Popped { at, unit, skipped: skipped.flatten(), repeated })
    }

    /// Noise, if it is due because no audio has come. `every` is how often it is wanted.
    pub(super) fn fill(&mut self, now: Instant, every: Duration) -> Option<Fill> {
        let anchor = self.anchor?;
        let due = self.deadline().filter(|due| self.queue.is_empty() && *due <= now)?;
        // A driver that was held up makes none for what is past.
        let due = if now > due + self.unit.to_duration() { now } else { due };
        let (since, first) = match self.filling {
            Filling::Off => return None,
            Filling::Patient | Filling::Waiting { .. } => (due, true),
            Filling::Noise { since, .. } => (since, false),
            Filling::Sparse { .. } => (due, false),
        };
        // On the grid of the units, so that the schedule does not move.
        let behind = (anchor.place_at(due) - self.filled_until).to_clock(1_000_000).max(0);
        let units = (behind + UPLINK_EARLY.as_micros() as i64) / self.unit.to_clock(1_000_000);
        let at = self.filled_until + MediaTime::from_clock(units * self.unit.to_clock(48_000), 48_000);
        self.filled_until = at + self.unit;
        let over = matches!(self.filling, Filling::Sparse { .. }) || due >= since + UPLINK_FILL;
        // Audio that comes in its time goes first.
        let courtesy = if first { UPLINK_LATE } else { Duration::ZERO };
        self.filling = if over {
            Filling::Sparse { due: due + UPLINK_KEEP_ALIVE }
        } else {
            Filling::Noise { since, due: due + every + courtesy }
        };
        Some(Fill { at, first, alone: over })
    }
}

/// When units come that are cut from messages of another length, against their places: each with the message in which it ends.
/// One that ends just behind the border of two messages waits for almost all of the second.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    first: MediaTime,
    earliest: MediaTime,
    latest: MediaTime,
}

impl Cut {
    fn of(message: MediaTime, unit: MediaTime) -> Self {
        const TICKS: u32 = 48_000;
        let (message, unit) = (message.to_clock(TICKS).max(1), unit.to_clock(TICKS));
        let time = |ticks| MediaTime::from_clock(ticks, TICKS);
        Self {
            first: time((unit - 1) / message * message),
            earliest: time(unit - message),
            latest: time(unit - greatest_common_divisor(message, unit)),
        }
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// A unit whose turn has come.
#[derive(Debug)]
pub(super) struct Popped<T> {
    /// Its place in the stream.
    pub(super) at: MediaTime,
    pub(super) unit: T,
    /// Left out in its favour.
    pub(super) skipped: Option<T>,
    /// It is sent once more at this place: the delay grows.
    pub(super) repeated: Option<MediaTime>,
}

#[cfg(test)]
mod tests;
