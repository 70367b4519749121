//! Whose packets are heard, and where they lie on the timeline of the call.
//!
//! One source at a time: a new SSRC takes over at once when the old one has been silent, else after packets in sequence
//! (RFC 3550 appendix A.1), so that a stray packet does not tear the stream. Media time goes on over the change.

use std::time::{Duration, Instant};

use crate::{
    limits::{DOWNLINK_JUMP, MIN_SEQUENTIAL, SOURCE_IDLE},
    media_time::MediaTime,
    reception::Reception,
    rtp::{RtpPacket, RtpTimestamp, SequenceNumber},
};

/// What a packet's source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// The one that we listen to; the packet's place.
    Known(MediaTime),
    /// One that we listen to from now on; the packet's place.
    New(MediaTime),
    /// Not believed yet.
    Probation,
}

pub(super) struct Sources {
    start: Instant,
    current: Option<Source>,
    candidate: Option<(u32, SequenceNumber, u16)>,
    changes: u64,
    /// Packets and losses of the sources before.
    past: (u64, i64),
}

struct Source {
    reception: Reception,
    /// The newest packet's timestamp, place and arrival.
    newest: (RtpTimestamp, MediaTime, Instant),
}

impl Sources {
    pub(super) fn new(start: Instant) -> Self {
        Self { start, current: None, candidate: None, changes: 0, past: (0, 0) }
    }

    /// Interarrival jitter of the current source.
    pub(super) fn jitter(&self) -> Duration {
        self.current.as_ref().map_or(Duration::ZERO, |source| source.reception.jitter())
    }

    /// Packets received, and those expected that have not come, each duplicate counted against one; of all sources.
    pub(super) fn totals(&self) -> (u64, i64) {
        let reception = self.current.as_ref().map(|source| &source.reception);
        let (packets, lost) = reception.map_or((0, 0), |reception| (reception.packets(), reception.lost()));
        (self.past.0 + packets, self.past.1 + lost)
    }

    pub(super) fn reception(&mut self) -> Option<&mut Reception> {
        self.current.as_mut().map(|source| &mut source.reception)
    }

    /// Times that a source took over from another one.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Takes note of a packet. Only audio says with its timestamp when it was sampled. `end` is where the audio so far
    /// ends.
    pub(super) fn heard(
        &mut self,
        now: Instant,
        packet: &RtpPacket<'_>,
        is_audio: bool,
        clock_rate: u32,
        end: Option<MediaTime>,
    ) -> Heard {
        let sampled = is_audio.then_some(packet.timestamp);
        match &mut self.current {
            Some(source) if source.reception.ssrc == packet.ssrc => {
                self.candidate = None;
                source.reception.received(now, packet.sequence, sampled);
                let at = sampled.map(|timestamp| source.place(now, timestamp, clock_rate));
                return Heard::Known(at.unwrap_or(source.newest.1));
            }
            Some(source) => {
                let silent = now.saturating_duration_since(source.newest.2) >= SOURCE_IDLE;
                if !silent && !self.proves_itself(packet) {
                    return Heard::Probation;
                }
                self.changes += 1;
            }
            None => {}
        }
        // From where the last one stood, whose clock may have gone far from ours.
        let position = match &self.current {
            Some(Source { newest: (_, at, then), .. }) => *at + MediaTime::from_duration(now - *then),
            None => MediaTime::from_duration(now.duration_since(self.start)),
        };
        let at = end.map_or(position, |end| end.max(position));
        let mut reception = Reception::new(now, packet.ssrc, clock_rate, packet.sequence);
        reception.received(now, packet.sequence, sampled);
        self.past = self.totals();
        self.current = Some(Source { reception, newest: (packet.timestamp, at, now) });
        self.candidate = None;
        Heard::New(at)
    }

    /// The newest packet, and what follows it, belongs to `at`.
    pub(super) fn move_to(&mut self, at: MediaTime) {
        if let Some(source) = &mut self.current {
            source.newest.1 = at;
        }
    }

    fn proves_itself(&mut self, packet: &RtpPacket<'_>) -> bool {
        let count = match self.candidate {
            Some((ssrc, expected, count)) if ssrc == packet.ssrc && expected == packet.sequence => count + 1,
            _ => 1,
        };
        self.candidate = Some((packet.ssrc, packet.sequence.next(), count));
        count >= MIN_SEQUENTIAL
    }
}

impl Source {
    /// The place of a timestamp. One that runs away from the clock on the wall (a sender that starts its timestamps
    /// anew without a new SSRC) goes on where the audio stands instead.
    fn place(&mut self, now: Instant, timestamp: RtpTimestamp, clock_rate: u32) -> MediaTime {
        let (newest, newest_at, arrival) = self.newest;
        let step = MediaTime::from_clock(timestamp.distance_from(newest) as i64, clock_rate);
        let elapsed = MediaTime::from_duration(now.saturating_duration_since(arrival));
        let tolerance = MediaTime::from_duration(DOWNLINK_JUMP);
        let credible = step <= elapsed + tolerance && step >= MediaTime::ZERO - tolerance;
        let at = newest_at + if credible { step } else { elapsed.max(MediaTime::from_duration(ONE_FRAME)) };
        if !credible || at > newest_at {
            self.newest = (timestamp, at, now);
        }
        at
    }
}

const ONE_FRAME: Duration = Duration::from_millis(20);
