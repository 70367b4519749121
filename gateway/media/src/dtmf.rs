//! Telephone events (RFC 4733): digits as RTP packets of their own, in the sequence of the audio stream.
//!
//! ```text
//! ms      0     20    40    60    80    100   120        160
//! digit   M 20  40    60    80    E100  E100  E100  gap  M 20 ...      marker, duration so far, end bit
//! ```
//! All packets of a digit carry the timestamp of its start; updates come every 20 ms, the last of them three times
//! (section 2.5.1.4). Audio is not sent meanwhile. A receiver counts a digit once, whichever of the seven packets arrive.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    limits::MAX_QUEUED_DIGITS,
    rtp::{RtpPacket, RtpTimestamp},
};

/// Between two packets of an event.
const TICK: Duration = Duration::from_millis(20);
/// Updates of one digit: 100 ms, above the 40 ms that every receiver must recognise (ITU-T Q.24).
const UPDATES: u32 = 5;
/// The last update is sent this many times (RFC 4733 section 2.5.1.4).
const END_PACKETS: u32 = 3;
/// Ticks from one digit's start to the next one's: 160 ms.
const TICKS_PER_DIGIT: u32 = 8;
/// Power of the tone in -dBm0 (RFC 4733 section 2.3.4): what most phones say.
const VOLUME: u8 = 10;
const END_BIT: u8 = 0x80;

/// A key of a phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digit(u8);

impl Digit {
    /// Of `0-9 * # A-D` (either case).
    pub fn from_char(key: char) -> Option<Self> {
        KEYS.iter().position(|&known| known == key.to_ascii_uppercase()).map(|code| Self(code as u8))
    }

    /// Of an event code (RFC 4733 table 3): 0..=15.
    pub fn from_event(code: u8) -> Option<Self> {
        ((code as usize) < KEYS.len()).then_some(Self(code))
    }

    /// The event code.
    pub fn event(self) -> u8 {
        self.0
    }

    /// As a character.
    pub fn to_char(self) -> char {
        KEYS[self.0 as usize]
    }
}

const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];

/// A packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPacket {
    /// The first packet of an event, whose timestamp all its packets carry.
    pub marker: bool,
    /// Event, end bit and volume, duration.
    pub payload: [u8; 4],
}

/// Sends queued digits, one packet a tick.
#[derive(Debug, Default)]
pub struct DtmfSender {
    queue: VecDeque<Digit>,
    current: Option<Sending>,
}

#[derive(Debug)]
struct Sending {
    digit: Digit,
    tick: u32,
    due: Instant,
}

impl DtmfSender {
    /// Queues a digit; false if too many wait.
    pub fn push(&mut self, now: Instant, digit: Digit) -> bool {
        if self.queue.len() >= MAX_QUEUED_DIGITS {
            return false;
        }
        match self.current {
            None => self.current = Some(Sending { digit, tick: 0, due: now }),
            Some(_) => self.queue.push_back(digit),
        }
        true
    }

    /// Whether an event is under way: audio must wait.
    pub fn is_active(&self) -> bool {
        self.current.is_some()
    }

    /// When [`Self::poll`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.current.as_ref().map(|sending| sending.due)
    }

    /// Forgets all digits.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.current = None;
    }

    /// The packet that is due, if any. `clock_rate` is that of the negotiated telephone-event format.
    pub fn poll(&mut self, now: Instant, clock_rate: u32) -> Option<EventPacket> {
        loop {
            let sending = self.current.as_mut()?;
            if now < sending.due {
                return None;
            }
            let tick = sending.tick;
            sending.tick += 1;
            sending.due += TICK;
            if tick < UPDATES - 1 + END_PACKETS {
                return Some(event_packet(sending.digit, tick, clock_rate));
            }
            if self.queue.is_empty() {
                self.current = None; // a digit that comes now starts at once, after the end packets and a tick of silence
            } else if tick + 1 >= TICKS_PER_DIGIT {
                self.current = self.queue.pop_front().map(|digit| Sending { digit, tick: 0, due: sending.due });
            }
        }
    }
}

fn event_packet(digit: Digit, tick: u32, clock_rate: u32) -> EventPacket {
    let updates = (tick + 1).min(UPDATES);
    let duration = (updates * clock_rate / 1000 * TICK.as_millis() as u32).min(u16::MAX as u32) as u16;
    let end = if updates == UPDATES { END_BIT } else { 0 };
    let [high, low] = duration.to_be_bytes();
    EventPacket { marker: tick == 0, payload: [digit.event(), end | VOLUME, high, low] }
}

/// Finds the digits in a peer's event packets.
#[derive(Debug, Default)]
pub struct DtmfReceiver {
    last: Option<Heard>,
}

#[derive(Debug, Clone, Copy)]
struct Heard {
    ssrc: u32,
    event: u8,
    timestamp: RtpTimestamp,
    duration: u16,
}

impl DtmfReceiver {
    /// A digit, at the first packet of its event that arrives.
    pub fn receive(&mut self, packet: &RtpPacket<'_>) -> Option<Digit> {
        let &[event, _, high, low, ..] = packet.payload else { return None };
        let duration = u16::from_be_bytes([high, low]);
        let heard = Heard { ssrc: packet.ssrc, event, timestamp: packet.timestamp, duration };
        if let Some(last) = &mut self.last
            && last.ssrc == heard.ssrc
        {
            let ahead = heard.timestamp.distance_from(last.timestamp);
            if ahead <= 0 {
                if ahead == 0 {
                    last.duration = last.duration.max(duration);
                }
                return None; // an update, a repetition or a straggler of an event that was told
            }
            if !packet.marker && last.continues_in(&heard) {
                self.last = Some(heard);
                return None;
            }
        }
        self.last = Some(heard);
        Digit::from_event(event)
    }
}

impl Heard {
    /// Events longer than 65535 ticks go on in a new segment (RFC 4733 section 2.5.1.3).
    fn continues_in(&self, next: &Self) -> bool {
        const LONG: u16 = 0xFF00; // the last update may have been lost
        self.event == next.event
            && self.duration >= LONG
            && (0xFF00..=0x10000).contains(&next.timestamp.distance_from(self.timestamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rtp::SequenceNumber,
        testing::{Random, epoch},
    };
    use proptest::prelude::*;

    /// All packets of `digits`, with the time of each.
    fn sent(digits: &str, clock_rate: u32) -> Vec<(Duration, EventPacket)> {
        let start = epoch();
        let mut sender = DtmfSender::default();
        for key in digits.chars() {
            assert!(sender.push(start, Digit::from_char(key).unwrap()));
        }
        let mut packets = Vec::new();
        while let Some(due) = sender.deadline() {
            while let Some(packet) = sender.poll(due, clock_rate) {
                packets.push((due - start, packet));
            }
        }
        packets
    }

    fn durations(packets: &[(Duration, EventPacket)]) -> Vec<u16> {
        packets.iter().map(|(_, p)| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect()
    }

    #[test]
    fn a_digit_is_five_growing_updates_of_which_the_last_comes_three_times() {
        let packets = sent("5", 8000);
        assert_eq!(durations(&packets), [160, 320, 480, 640, 800, 800, 800]);
        assert_eq!(packets.iter().filter(|(_, p)| p.marker).count(), 1);
        assert!(packets[0].1.marker);
        assert_eq!(
            packets.iter().map(|(_, p)| p.payload[1] & END_BIT != 0).collect::<Vec<_>>(),
            [false, false, false, false, true, true, true]
        );
        for (n, (at, packet)) in packets.iter().enumerate() {
            assert_eq!(*at, TICK * n as u32);
            assert_eq!(packet.payload[0], 5);
        }
    }

    #[test]
    fn durations_count_in_the_negotiated_clock() {
        assert_eq!(durations(&sent("#", 16000)), [320, 640, 960, 1280, 1600, 1600, 1600]);
        assert_eq!(durations(&sent("#", 48000)).last(), Some(&4800));
    }

    #[test]
    fn queued_digits_follow_in_order_with_a_gap() {
        let packets = sent("19*#AD", 8000);
        let starts: Vec<_> = packets.iter().filter(|(_, p)| p.marker).collect();
        assert_eq!(starts.iter().map(|(_, p)| p.payload[0]).collect::<Vec<_>>(), [1, 9, 10, 11, 12, 15]);
        for (n, (at, _)) in starts.iter().enumerate() {
            assert_eq!(*at, Duration::from_millis(160) * n as u32);
        }
    }

    #[test]
    fn a_queue_has_an_end() {
        let mut sender = DtmfSender::default();
        let digit = Digit::from_char('1').unwrap();
        let taken = (0..1000).filter(|_| sender.push(epoch(), digit)).count();
        assert_eq!(taken, MAX_QUEUED_DIGITS + 1);
    }

    fn event(ssrc: u32, timestamp: u32, marker: bool, payload: &[u8]) -> RtpPacket<'_> {
        let timestamp = RtpTimestamp(timestamp);
        RtpPacket { marker, payload_type: 101, sequence: SequenceNumber(0), timestamp, ssrc, payload }
    }

    #[test]
    fn any_one_packet_of_an_event_tells_the_digit_once() {
        for kept in 0..7 {
            let mut receiver = DtmfReceiver::default();
            let packets = sent("7", 8000);
            let (_, packet) = packets[kept];
            let found = receiver.receive(&event(1, 1000, packet.marker, &packet.payload));
            assert_eq!(found.map(Digit::to_char), Some('7'));
            for (_, packet) in packets {
                assert_eq!(receiver.receive(&event(1, 1000, packet.marker, &packet.payload)), None);
            }
        }
    }

    #[test]
    fn the_same_key_twice_is_two_digits_and_a_straggler_none() {
        let mut receiver = DtmfReceiver::default();
        let payload = [3, 10, 0, 160];
        assert!(receiver.receive(&event(1, u32::MAX - 5, true, &payload)).is_some());
        assert!(receiver.receive(&event(1, 1274, false, &payload)).is_some());
        assert!(receiver.receive(&event(1, u32::MAX - 5, false, &payload)).is_none());
    }

    #[test]
    fn a_key_held_for_a_minute_is_one_digit() {
        let mut receiver = DtmfReceiver::default();
        let mut found = 0;
        for segment in 0..8u32 {
            for duration in (160..=0xFFFFu32).step_by(160).chain([0xFFFF]) {
                let [high, low] = (duration as u16).to_be_bytes();
                let packet = [1, 10, high, low];
                let marker = segment == 0 && duration == 160;
                found += u32::from(receiver.receive(&event(1, segment * 0xFFFF, marker, &packet)).is_some());
            }
        }
        assert_eq!(found, 1);
    }

    #[test]
    fn events_that_are_no_keys_and_short_payloads_are_nothing() {
        let mut receiver = DtmfReceiver::default();
        assert_eq!(receiver.receive(&event(1, 0, true, &[16, 10, 0, 160])), None);
        assert_eq!(receiver.receive(&event(1, 9000, true, &[1, 10, 0])), None);
        assert_eq!(receiver.receive(&event(1, 9000, true, &[])), None);
    }

    #[test]
    fn ten_thousand_digits_at_five_percent_loss_are_all_heard_once() {
        let mut random = Random::new(11);
        let mut receiver = DtmfReceiver::default();
        let (mut said, mut heard) = (String::new(), String::new());
        let mut timestamp = 0xFFFF_0000u32;
        for _ in 0..10_000 {
            let key = KEYS[random.below(16) as usize];
            said.push(key);
            let mut held_back = None;
            for (_, packet) in sent(&key.to_string(), 8000) {
                if random.chance(0.05) {
                    continue; // lost
                }
                if random.chance(0.02) && held_back.is_none() {
                    held_back = Some(packet); // overtaken
                    continue;
                }
                for _ in 0..if random.chance(0.02) { 2 } else { 1 } {
                    let found = receiver.receive(&event(9, timestamp, packet.marker, &packet.payload));
                    heard.extend(found.map(Digit::to_char));
                }
            }
            if let Some(packet) = held_back {
                let found = receiver.receive(&event(9, timestamp, packet.marker, &packet.payload));
                heard.extend(found.map(Digit::to_char));
            }
            timestamp = timestamp.wrapping_add(1280);
        }
        assert_eq!(said, heard);
    }

    proptest! {
        #[test]
        fn any_payload_is_at_most_one_digit(payload in proptest::collection::vec(any::<u8>(), 0..20), timestamp: u32) {
            let mut receiver = DtmfReceiver::default();
            let packet = event(1, timestamp, false, &payload);
            receiver.receive(&packet);
            prop_assert_eq!(receiver.receive(&packet), None);
        }
    }
}
