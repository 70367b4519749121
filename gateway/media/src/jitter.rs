//! Puts RTP packets back in order: nothing is held while nothing is missing; behind a gap packets wait for a bounded
//! time, then the gap is declared lost.
//!
//! ```text
//! arrives    1  2  4  3  5      7  8  .  .                       (nothing more)
//! released   1  2     3 4  5          missing 6, 7, 8 after the wait     missing 9, 10 .. silence
//! ```
//! The wait counts from the time at which the missing packet was due. It starts with [`DOWNLINK_FIRST_WAIT`] and follows
//! what the network does: as long as the latest packets that still came, from [`DOWNLINK_MIN_WAIT`] to
//! [`DOWNLINK_MAX_WAIT`]. Where nothing at all comes nothing is held up by waiting, so the end of the stream is filled later:
//! on a network that jitters it is mostly a spike. Places are media times, so that packets of any length, silence (a step of
//! the timestamp without one of the sequence) and a changing codec are one case.

use std::time::{Duration, Instant};

use crate::{
    limits::{
        DOWNLINK_FILL, DOWNLINK_FIRST_WAIT, DOWNLINK_MAX_END_WAIT, DOWNLINK_MAX_WAIT, DOWNLINK_MIN_WAIT, DOWNLINK_REST,
        MAX_CONCEALED_FRAMES, MAX_DROPOUT, MAX_HELD_PACKETS, MAX_MISORDER, MIN_SEQUENTIAL,
    },
    media_time::MediaTime,
    rtp::{ExtendedSequence, SequenceNumber},
};

/// One 20 ms frame.
const FRAME: MediaTime = MediaTime::from_ms(20);
/// An arrival this far from its expected time starts the expectation anew.
const RESYNC: Duration = Duration::from_millis(250);
/// The expectation moves by one part in so many to what happened: at first, and once it is settled.
const FASTEST: u32 = 8;
const SLOWEST: u32 = 32;
/// Jitter from which the packets of a gap may still come one by one. A gap that is filled at once sounds better.
const DISORDER: Duration = Duration::from_millis(10);

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It is the next one: use it now, then ask for what it sets free.
    InOrder,
    /// It waits behind a gap.
    Held,
    /// It came before.
    Duplicate,
    /// Its place has been filled.
    Late,
    /// Its sequence number makes no sense (yet).
    Strange,
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Release {
    /// A packet that was held.
    Packet(HeldPacket),
    /// So much audio is to be invented.
    Missing(MediaTime),
}

/// A packet that was held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldPacket {
    /// Place in the stream; none for what is no audio.
    pub at: Option<MediaTime>,
    /// RTP payload type.
    pub payload_type: u8,
    /// RTP payload.
    pub payload: Vec<u8>,
    sequence: i64,
}

/// Counts for the statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// Came after their place was filled.
    pub late: u64,
    /// Came twice.
    pub duplicated: u64,
    /// Came out of order, in time.
    pub reordered: u64,
}

/// The buffer of one source's packets.
#[derive(Debug, Default)]
pub struct JitterBuffer {
    stream: Option<Stream>,
    /// In order of their sequence numbers.
    held: Vec<HeldPacket>,
    spare: Vec<Vec<u8>>,
    wait: Wait,
    stats: JitterStats,
}

#[derive(Debug)]
struct Stream {
    extended: ExtendedSequence,
    /// The next sequence number to be released.
    next: i64,
    /// Recent numbers that were released, to tell a duplicate from a late packet: bit n is `next - 1 - n`.
    seen: u64,
    /// End of what was released.
    end: MediaTime,
    /// Up to here audio was invented without knowing what is missing.
    invented_until: MediaTime,
    /// Invented in a row without a packet.
    invented: MediaTime,
    /// Length of the last packet.
    packet_length: MediaTime,
    /// When a packet at a place is due: smoothed arrivals.
    due: (Instant, MediaTime),
    /// Packets that it rests on, up to [`SLOWEST`].
    arrivals: u32,
    /// Audio is flowing: its end would be noticed.
    flowing: bool,
    /// The peer said that it is silent.
    resting: bool,
    /// A sequence number far off, and how many followed it.
    strange: Option<(SequenceNumber, u16)>,
}

/// How long to wait for a missing packet.
#[derive(Debug)]
struct Wait {
    /// What the latest packets needed, fading.
    needed: Duration,
    /// The worst that was seen for longer; only for the end of the stream.
    worst: Duration,
    jitter: Duration,
}

impl Default for Wait {
    fn default() -> Self {
        Self { needed: DOWNLINK_FIRST_WAIT, worst: DOWNLINK_FIRST_WAIT, jitter: Duration::ZERO }
    }
}

impl Wait {
    fn length(&self) -> Duration {
        let by_jitter = DOWNLINK_MIN_WAIT + 3 * self.jitter;
        by_jitter.max(self.needed).min(DOWNLINK_MAX_WAIT)
    }

    /// How long to wait when no packet is held up by it.
    fn at_the_end(&self) -> Duration {
        self.worst.max(self.length()).clamp(DOWNLINK_FIRST_WAIT, DOWNLINK_MAX_END_WAIT)
    }

    fn observe_arrival(&mut self, deviation: Duration, lateness: Duration) {
        self.jitter = (self.jitter * 15 + deviation) / 16;
        self.worst -= self.worst / 2160; // halves in 30 s
        if lateness > self.worst {
            self.worst = with_margin(lateness);
        }
        self.needed -= self.needed / 360; // halves in 5 s of 20 ms packets
    }

    fn observe_straggler(&mut self, lateness: Duration) {
        self.needed = self.needed.max(with_margin(lateness));
        self.worst = self.worst.max(with_margin(lateness));
    }
}

fn with_margin(lateness: Duration) -> Duration {
    lateness * 5 / 4 + Duration::from_millis(5)
}

impl JitterBuffer {
    /// Forgets the stream; what the network was like stays known.
    pub fn reset(&mut self) {
        self.stream = None;
        self.spare.extend(self.held.drain(..).map(|packet| packet.payload));
        self.spare.truncate(MAX_HELD_PACKETS);
    }

    /// Counters.
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Takes a packet. `at` is the place of its audio; events and unknown payloads have none.
    pub fn insert(
        &mut self,
        now: Instant,
        sequence: SequenceNumber,
        at: Option<MediaTime>,
        payload_type: u8,
        payload: &[u8],
    ) -> Arrival {
        let stream = self.stream.get_or_insert_with(|| Stream::starting_at(now, sequence, at));
        let extended = stream.extended.extend(sequence);
        let ahead = extended - stream.next;
        if ahead >= MAX_DROPOUT as i64 || ahead < -(MAX_MISORDER as i64) {
            if !stream.restarts_at(sequence) {
                return Arrival::Strange;
            }
            self.reset();
            return self.insert(now, sequence, at, payload_type, payload);
        }
        stream.strange = None;
        stream.extended.advance(sequence);
        if ahead < 0 {
            return self.on_old(now, ahead, at);
        }
        if let Some(at) = at {
            let (deviation, lateness) = stream.observe_arrival(now, at);
            self.wait.observe_arrival(deviation, lateness);
        }
        if ahead == 0 {
            if self.held.first().is_some_and(|first| first.sequence > extended) {
                self.stats.reordered += 1;
                self.wait.observe_straggler(stream.lateness(now, at));
            }
            return self.on_next(at);
        }
        self.hold(extended, at, payload_type, payload)
    }

    /// The next packet in sequence: good, unless its time was filled already.
    fn on_next(&mut self, at: Option<MediaTime>) -> Arrival {
        let Some(stream) = &mut self.stream else { return Arrival::Strange };
        stream.step();
        if at.is_some_and(|at| at < stream.invented_until) {
            // In its order: no packet would have to wait behind a gap for such a one.
            self.stats.late += 1;
            return Arrival::Late;
        }
        Arrival::InOrder
    }

    fn on_old(&mut self, now: Instant, ahead: i64, at: Option<MediaTime>) -> Arrival {
        let Some(stream) = &mut self.stream else { return Arrival::Strange };
        if stream.was_seen(ahead) {
            self.stats.duplicated += 1;
            return Arrival::Duplicate;
        }
        stream.mark_seen(ahead);
        self.stats.late += 1;
        self.wait.observe_straggler(stream.lateness(now, at));
        Arrival::Late
    }

    fn hold(&mut self, sequence: i64, at: Option<MediaTime>, payload_type: u8, payload: &[u8]) -> Arrival {
        let place = match self.held.binary_search_by_key(&sequence, |packet| packet.sequence) {
            Ok(_) => {
                self.stats.duplicated += 1;
                return Arrival::Duplicate;
            }
            Err(place) => place,
        };
        if place < self.held.len() {
            self.stats.reordered += 1;
        }
        let mut bytes = self.spare.pop().unwrap_or_default();
        bytes.clear();
        bytes.extend_from_slice(payload);
        self.held.insert(place, HeldPacket { at, payload_type, payload: bytes, sequence });
        Arrival::Held
    }

    /// Gives the memory of a packet back.
    pub fn recycle(&mut self, packet: HeldPacket) {
        if self.spare.len() < MAX_HELD_PACKETS {
            self.spare.push(packet.payload);
        }
    }

    /// Tells that audio of `length` at `at` has been used: a packet's, or invented.
    pub fn played(&mut self, at: MediaTime, length: MediaTime) {
        if let Some(stream) = &mut self.stream {
            stream.end = at + length;
            stream.packet_length = length.max(FRAME);
            stream.invented = MediaTime::ZERO;
            (stream.flowing, stream.resting) = (true, false);
        }
    }

    /// Tells that the audio so far ends in noise, on the peer's word.
    pub fn resting(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.resting = true;
        }
    }

    /// A packet at `at` comes from a peer that was resting: how much noise is missing before it, in whole frames, which is
    /// taken as invented.
    pub fn rested_until(&mut self, at: MediaTime) -> Option<MediaTime> {
        let stream = self.stream.as_mut().filter(|stream| stream.resting)?;
        let filled = stream.end.max(stream.invented_until);
        let missing = (at - filled).min(stream.still_to_invent()).min(MediaTime::from_duration(DOWNLINK_MAX_END_WAIT));
        let missing = MediaTime::from_ms(missing.to_ms() / 20 * 20);
        if missing < FRAME {
            return None;
        }
        stream.invented += missing;
        stream.invented_until = filled + missing;
        Some(missing)
    }

    /// Tells that audio has stopped for a reason: an event, a hold.
    pub fn paused(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.flowing = false;
        }
    }

    /// Where the next audio belongs.
    pub fn end(&self) -> Option<MediaTime> {
        self.stream.as_ref().map(|stream| stream.end.max(stream.invented_until))
    }

    /// The packet right behind what was released last, if it is at hand.
    pub fn upcoming(&self) -> Option<&HeldPacket> {
        let (stream, first) = (self.stream.as_ref()?, self.held.first()?);
        let follows = first.sequence == stream.next && first.at == self.end();
        follows.then_some(first)
    }

    /// What can be released now.
    pub fn release(&mut self, now: Instant) -> Option<Release> {
        let stream = self.stream.as_mut()?;
        let Some(first) = self.held.first() else { return self.invent(now) };
        if first.sequence == stream.next {
            stream.step();
            let packet = self.held.remove(0);
            if packet.at.is_some_and(|at| at < stream.invented_until) {
                self.stats.late += 1;
                self.recycle(packet);
                return self.release(now);
            }
            return Some(Release::Packet(packet));
        }
        if self.held.len() < MAX_HELD_PACKETS && now < self.deadline()? {
            return None;
        }
        self.give_up_gap()
    }

    /// The packets before the first held one are lost; the first of them, where packets come in any order.
    fn give_up_gap(&mut self) -> Option<Release> {
        let stream = self.stream.as_mut()?;
        let first = self.held.first()?;
        let filled = stream.end.max(stream.invented_until);
        let one_by_one = self.wait.jitter > DISORDER && first.sequence - stream.next > 1;
        let may_invent = stream.still_to_invent() >= FRAME;
        if one_by_one && may_invent && first.at.is_some_and(|at| at - filled > stream.packet_length) {
            stream.skip();
            let missing = stream.packet_length.min(stream.still_to_invent());
            stream.invented += missing;
            stream.end = filled + missing;
            return Some(Release::Missing(missing));
        }
        while stream.next < first.sequence {
            stream.skip();
        }
        let missing = first.at.map_or(MediaTime::ZERO, |at| at - filled);
        let allowed = stream.still_to_invent();
        // Not all of a pause at once.
        let missing = missing.min(allowed).min(MediaTime::from_ms(20 * MAX_CONCEALED_FRAMES as i64));
        if missing < FRAME {
            // Nothing of length: go on with the packet itself.
            stream.step();
            return Some(Release::Packet(self.held.remove(0)));
        }
        stream.invented += missing;
        stream.end = filled + missing;
        Some(Release::Missing(missing))
    }

    /// Nothing has come for too long: the next packet's time is filled without it.
    fn invent(&mut self, now: Instant) -> Option<Release> {
        if now < self.deadline()? {
            return None;
        }
        let stream = self.stream.as_mut()?;
        let missing = stream.packet_length.min(stream.still_to_invent());
        stream.invented += missing;
        stream.invented_until = stream.end.max(stream.invented_until) + missing;
        Some(Release::Missing(missing))
    }

    /// When [`Self::release`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let stream = self.stream.as_ref()?;
        let filled = stream.end.max(stream.invented_until);
        match self.held.first() {
            Some(first) => {
                let gap = (first.sequence - stream.next).clamp(1, MAX_HELD_PACKETS as i64);
                let length = stream.packet_length.to_ms() * gap;
                let missing_at = first.at.map_or(filled, |at| filled.max(at - MediaTime::from_ms(length)));
                Some(stream.due_at(missing_at) + self.wait.length())
            }
            None => {
                let more = stream.flowing && stream.still_to_invent() >= FRAME;
                more.then(|| stream.due_at(filled) + self.wait.at_the_end())
            }
        }
    }
}

impl Stream {
    fn starting_at(now: Instant, sequence: SequenceNumber, at: Option<MediaTime>) -> Self {
        let extended = ExtendedSequence::starting_at(sequence);
        let at = at.unwrap_or_default();
        Self {
            extended,
            next: extended.extend(sequence),
            seen: 0,
            end: at,
            invented_until: at,
            invented: MediaTime::ZERO,
            packet_length: FRAME,
            due: (now, at),
            arrivals: 0,
            flowing: false,
            resting: false,
            strange: None,
        }
    }

    fn step(&mut self) {
        self.next += 1;
        self.seen = self.seen << 1 | 1;
    }

    /// Passes a number that never came.
    fn skip(&mut self) {
        self.next += 1;
        self.seen <<= 1;
    }

    fn was_seen(&self, ahead: i64) -> bool {
        let back = -1 - ahead;
        back >= 64 || self.seen >> back & 1 == 1
    }

    fn mark_seen(&mut self, ahead: i64) {
        self.seen |= 1 << (-1 - ahead);
    }

    fn still_to_invent(&self) -> MediaTime {
        MediaTime::from_duration(if self.resting { DOWNLINK_REST } else { DOWNLINK_FILL }) - self.invented
    }

    fn due_at(&self, at: MediaTime) -> Instant {
        if at >= self.due.1 {
            self.due.0 + (at - self.due.1).to_duration()
        } else {
            self.due.0.checked_sub((self.due.1 - at).to_duration()).unwrap_or(self.due.0)
        }
    }

    /// How much after its due time a packet comes.
    fn lateness(&self, now: Instant, at: Option<MediaTime>) -> Duration {
        at.map_or(Duration::ZERO, |at| now.saturating_duration_since(self.due_at(at)))
    }

    /// Moves the expectation a little towards what happened; returns how far off it was, and how late the packet.
    fn observe_arrival(&mut self, now: Instant, at: MediaTime) -> (Duration, Duration) {
        let due = self.due_at(at);
        let (early, late) = (due.saturating_duration_since(now), now.saturating_duration_since(due));
        if early.max(late) > RESYNC {
            (self.due, self.arrivals) = ((now, at), 0);
            return (Duration::ZERO, Duration::ZERO);
        }
        self.arrivals = (self.arrivals + 1).min(SLOWEST);
        let share = self.arrivals.max(FASTEST);
        let smoothed =
            if early > Duration::ZERO { due.checked_sub(early / share).unwrap_or(due) } else { due + late / share };
        self.due = (smoothed, at);
        (early.max(late), late)
    }

    /// RFC 3550 appendix A.1: a far-off number is believed when the following ones follow it.
    fn restarts_at(&mut self, sequence: SequenceNumber) -> bool {
        let followers = match self.strange {
            Some((expected, count)) if expected == sequence => count + 1,
            _ => 1,
        };
        self.strange = Some((sequence.next(), followers));
        followers >= MIN_SEQUENTIAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::epoch;

    /// A buffer fed with packets of 20 ms by number; packet n is sampled at n x 20 ms.
    struct Bench {
        buffer: JitterBuffer,
        log: Vec<String>,
    }

    impl Bench {
        fn new() -> Self {
            Self { buffer: JitterBuffer::default(), log: Vec::new() }
        }

        fn at(ms: u64) -> Instant {
            epoch() + Duration::from_millis(ms)
        }

        fn place(n: u16) -> MediaTime {
            MediaTime::from_ms(20 * n as i64)
        }

        fn packet(&mut self, arrival_ms: u64, n: u16) -> Arrival {
            self.tick(arrival_ms);
            let (now, at) = (Self::at(arrival_ms), Self::place(n));
            let arrival = self.buffer.insert(now, SequenceNumber(n.wrapping_add(65_530)), Some(at), 0, &[n as u8]);
            if arrival == Arrival::InOrder {
                self.log.push(n.to_string());
                self.buffer.played(at, FRAME);
            }
            self.tick(arrival_ms);
            arrival
        }

        /// Takes what is due up to a time.
        fn tick(&mut self, ms: u64) {
            while let Some(due) = self.buffer.deadline().filter(|due| *due <= Self::at(ms)) {
                self.release(due);
            }
            self.release(Self::at(ms));
        }

        fn release(&mut self, now: Instant) {
            while let Some(release) = self.buffer.release(now) {
                match release {
                    Release::Packet(packet) => {
                        self.log.push(packet.payload[0].to_string());
                        self.buffer.played(packet.at.unwrap(), FRAME);
                        self.buffer.recycle(packet);
                    }
                    Release::Missing(length) => self.log.push(format!("missing {}", length.to_ms())),
                }
            }
        }

        fn log(&self) -> String {
            self.log.join(" ")
        }
    }

    #[test]
    fn a_packet_that_was_overtaken_is_put_back() {
        let mut bench = Bench::new();
        for (ms, n) in [(0, 0), (20, 1), (60, 3), (70, 2), (80, 4)] {
            bench.packet(ms, n);
        }
        assert_eq!(bench.log(), "0 1 2 3 4");
        assert_eq!(bench.buffer.stats(), JitterStats { late: 0, duplicated: 0, reordered: 1 });
    }

    #[test]
    fn a_missing_packet_is_given_up_sixty_milliseconds_after_it_was_due() {
        let mut bench = Bench::new();
        for n in [0, 1, 3, 4] {
            bench.packet(20 * n as u64, n);
        }
        bench.tick(99);
        assert_eq!(bench.log(), "0 1");
        bench.tick(100); // due at 40
        assert_eq!(bench.log(), "0 1 missing 20 3 4");
        assert_eq!(bench.packet(101, 2), Arrival::Late);
        assert_eq!(bench.packet(102, 2), Arrival::Duplicate);
    }

    #[test]
    fn an_end_of_the_stream_is_filled_for_a_while_and_then_left() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        bench.tick(20_000);
        assert_eq!(bench.log(), format!("0{}", " missing 20".repeat((DOWNLINK_FILL.as_millis() / 20) as usize)));
        assert_eq!(bench.buffer.deadline(), None);
    }

    #[test]
    fn packets_that_were_only_delayed_come_too_late_for_what_was_filled_and_in_time_for_the_rest() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        let arrivals: Vec<_> = (1..8).map(|n| bench.packet(105, n)).collect(); // 1 and 2 were due at 20 and 40
        assert_eq!(bench.log(), "0 missing 20 missing 20 3 4 5 6 7");
        assert_eq!(arrivals[..3], [Arrival::Late, Arrival::Late, Arrival::InOrder]);
    }

    #[test]
    fn a_spike_that_keeps_order_does_not_make_a_gap_be_waited_for_longer() {
        let wait = |spike_ms: u64| {
            let mut bench = Bench::new();
            for n in 0..400u16 {
                let at = 20 * n as u64;
                let late = (6000..6000 + spike_ms).contains(&at);
                bench.packet(if late { 6000 + spike_ms } else { at }, n);
            }
            bench.packet(8020, 401);
            let waits = bench.buffer.deadline().unwrap() - Bench::at(8000);
            assert_eq!(bench.buffer.stats().late > 0, spike_ms > 0, "{:?}", bench.buffer.stats());
            waits
        };
        assert!(wait(300) < wait(0) + Duration::from_millis(20), "{:?} and {:?}", wait(300), wait(0));
    }

    #[test]
    fn a_pause_of_the_sender_loses_nothing_when_it_goes_on() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        bench.tick(2999);
        bench.log.clear();
        let next = SequenceNumber(65_531);
        let at = MediaTime::from_ms(3000);
        assert_eq!(bench.buffer.insert(Bench::at(3000), next, Some(at), 0, &[1]), Arrival::InOrder);
        assert_eq!(bench.log(), "");
    }

    #[test]
    fn no_more_than_the_limit_is_held_and_memory_is_reused() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        for n in 2..2000u16 {
            if n % 3 != 0 {
                bench.buffer.insert(
                    Bench::at(1),
                    SequenceNumber(n.wrapping_add(65_530)),
                    Some(Bench::place(n)),
                    0,
                    &[0],
                );
                bench.release(Bench::at(1));
            }
            assert!(bench.buffer.held.len() <= MAX_HELD_PACKETS && bench.buffer.spare.len() <= MAX_HELD_PACKETS);
        }
    }

    #[test]
    fn jumps_of_the_sequence_are_strange_until_they_go_on() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        let mut insert = |n: u16| bench.buffer.insert(Bench::at(20), SequenceNumber(n), Some(Bench::place(1)), 0, &[]);
        assert_eq!(insert(30_000), Arrival::Strange);
        assert_eq!(insert(40_000), Arrival::Strange);
        assert_eq!(insert(40_001), Arrival::InOrder);
    }

    #[test]
    fn an_event_has_a_place_in_the_sequence_and_stops_the_filling() {
        let mut bench = Bench::new();
        bench.packet(0, 0);
        assert_eq!(bench.buffer.insert(Bench::at(20), SequenceNumber(65_531), None, 101, &[]), Arrival::InOrder);
        bench.buffer.paused();
        assert_eq!(bench.buffer.deadline(), None);
        assert_eq!(bench.packet(500, 2), Arrival::InOrder);
    }
}
