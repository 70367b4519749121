//! Where an audio message lies in the stream that we send: samples counted, moved on by the gaps of RTMP timestamps.
//!
//! RTMP timestamps are milliseconds and wander (capture buffers, rounding, the phone's clock against its sound card), so
//! what they say is followed slowly; only a step of [`UPLINK_GAP`] or more is a gap: silence that was not sent, or frames
//! that were lost. A phone that is late with its work and stamps frames with the clock on the wall makes steps that the next
//! frames take back, so a small step counts only when they do not. Timestamps that step back, or run ahead of the arrival,
//! belong to a new timeline.

use std::time::{Duration, Instant};

use crate::{
    limits::{UPLINK_GAP, UPLINK_JUMP, UPLINK_SURE_GAP},
    media_time::MediaTime,
    rtmp_time::{RtmpTimestamp, RtmpUnwrapper},
};

/// Share of a deviation that is taken over each message.
const FOLLOW: i64 = 64;
/// A step back within a stream that still comes is a fault of its timestamps, not a new stream.
const STILL_COMING: Duration = Duration::from_millis(200);
/// Messages that must tell of the same small step, and how much they may differ.
const AGREEING: u32 = 3;
const AGREEMENT_US: i64 = 15_000;

/// Whether a message goes on where the last one ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Continuity {
    Continuous,
    /// After silence that the RTMP timestamps tell of.
    Gap,
    /// The first message, or a new timeline.
    Restart,
}

/// A message's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) at: MediaTime,
    pub(super) continuity: Continuity,
}

/// Follows one phone's RTMP timestamps.
#[derive(Debug, Default)]
pub(super) struct PhoneTimeline {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    unwrapper: RtmpUnwrapper,
    /// RTMP time at which the next message is expected, microseconds.
    expected_us: i64,
    /// Its place in the stream.
    next: MediaTime,
    arrival: Instant,
    /// A small step that is not believed yet, and how many messages told of it.
    suspected: Option<(i64, u32)>,
}

impl PhoneTimeline {
    /// Places a message of `length`. `position` is where the stream stands in real time.
    pub(super) fn place(
        &mut self,
        now: Instant,
        timestamp: RtmpTimestamp,
        length: MediaTime,
        position: MediaTime,
    ) -> Placed {
        let (placed, mut running) = match self.running.take() {
            None => (Placed { at: position, continuity: Continuity::Restart }, Running::starting_at(timestamp, now)),
            Some(mut running) => (running.place(now, timestamp, position), running),
        };
        running.next = placed.at + length;
        running.expected_us += length.to_clock(1_000_000);
        running.arrival = now;
        self.running = Some(running);
        placed
    }
}

impl Running {
    fn starting_at(timestamp: RtmpTimestamp, now: Instant) -> Self {
        Self {
            unwrapper: RtmpUnwrapper::starting_at(timestamp),
            expected_us: timestamp.0 as i64 * 1000,
            next: MediaTime::ZERO,
            arrival: now,
            suspected: None,
        }
    }

    fn place(&mut self, now: Instant, timestamp: RtmpTimestamp, position: MediaTime) -> Placed {
        let actual_us = self.unwrapper.unwrap(timestamp) * 1000;
        let error_us = actual_us - self.expected_us;
        let gap_us = UPLINK_GAP.as_micros() as i64;
        if error_us.abs() < gap_us {
            self.suspected = None;
            self.expected_us += error_us / FOLLOW;
            return Placed { at: self.next, continuity: Continuity::Continuous };
        }
        if error_us > 0 && error_us < UPLINK_SURE_GAP.as_micros() as i64 && !self.agreed(error_us) {
            return Placed { at: self.next, continuity: Continuity::Continuous };
        }
        self.suspected = None;
        self.expected_us = actual_us;
        if error_us > 0 {
            let at = self.next + MediaTime::from_clock(error_us, 1_000_000);
            if at <= position + MediaTime::from_duration(UPLINK_JUMP) {
                return Placed { at, continuity: Continuity::Gap };
            }
        } else if now.duration_since(self.arrival) < STILL_COMING {
            return Placed { at: self.next, continuity: Continuity::Continuous };
        }
        Placed { at: self.next.max(position), continuity: Continuity::Restart }
    }

    /// Whether enough messages tell of a step of this size.
    fn agreed(&mut self, error_us: i64) -> bool {
        let count = match self.suspected {
            Some((suspected, count)) if (error_us - suspected).abs() <= AGREEMENT_US => count + 1,
            _ => 1,
        };
        self.suspected = Some((error_us, count));
        count >= AGREEING
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, epoch};

    const FRAME: MediaTime = MediaTime::from_ms(20);

    /// Places messages of 20 ms at (arrival ms, RTMP ms); the stream stands where real time is.
    fn places(messages: impl IntoIterator<Item = (u64, u32)>) -> Vec<(i64, Continuity)> {
        let mut timeline = PhoneTimeline::default();
        messages
            .into_iter()
            .map(|(at_ms, timestamp)| {
                let now = epoch() + Duration::from_millis(at_ms);
                let placed = timeline.place(now, RtmpTimestamp(timestamp), FRAME, MediaTime::from_ms(at_ms as i64));
                (placed.at.to_ms(), placed.continuity)
            })
            .collect()
    }

    #[test]
    fn wandering_timestamps_do_not_break_the_stream() {
        let mut random = Random::new(1);
        let messages: Vec<_> = (0..5000u32).map(|n| (n as u64 * 20, 7000 + n * 20 + random.below(25) as u32)).collect();
        let placed = places(messages);
        for (n, (at, continuity)) in placed.into_iter().enumerate().skip(1) {
            assert_eq!((at, continuity), (n as i64 * 20, Continuity::Continuous));
        }
    }

    #[test]
    fn silence_in_the_timestamps_moves_the_stream_on() {
        let placed = places([(0, 100), (20, 120), (2020, 2120), (2040, 2140)]);
        assert_eq!(placed[2..], [(2020, Continuity::Gap), (2040, Continuity::Continuous)]);
    }

    #[test]
    fn the_wrap_of_the_timestamps_is_no_step() {
        let start = u32::MAX - 50;
        let placed = places((0..10).map(|n| (n as u64 * 20, start.wrapping_add(n * 20))));
        assert_eq!(placed[9], (180, Continuity::Continuous));
    }

    #[test]
    fn a_new_publication_that_counts_from_zero_goes_on_in_real_time() {
        let placed = places([(0, 50_000), (20, 50_020), (3000, 0), (3020, 20)]);
        assert_eq!(placed[2..], [(3000, Continuity::Restart), (3020, Continuity::Continuous)]);
    }

    #[test]
    fn timestamps_that_stand_still_are_ignored() {
        let placed = places((0..50).map(|n| (n * 20, 0)));
        assert_eq!(placed[49], (980, Continuity::Continuous));
    }

    #[test]
    fn timestamps_that_leap_into_the_future_do_not_take_the_stream_along() {
        let placed = places([(0, 0), (20, 20), (40, 3_000_000), (60, 3_000_020)]);
        assert_eq!(placed[2..], [(40, Continuity::Restart), (60, Continuity::Continuous)]);
    }

    #[test]
    fn a_phone_whose_clock_drifts_against_its_samples_gets_no_gaps() {
        // 500 ppm fast for ten minutes: 300 ms in all.
        let placed = places((0..30_000u64).map(|n| (n * 20, (n as f64 * 20.01) as u32)));
        assert!(placed.iter().skip(1).all(|(_, continuity)| *continuity == Continuity::Continuous));
    }

    #[test]
    fn a_few_frames_that_were_lost_are_a_gap_once_the_next_ones_agree() {
        let placed = places(
            (0..20).map(|n| (n * 20 + if n >= 10 { 60 } else { 0 }, n as u32 * 20 + if n >= 10 { 60 } else { 0 })),
        );
        assert_eq!(placed[11], (220, Continuity::Continuous));
        assert_eq!(placed[12], (300, Continuity::Gap));
        assert_eq!(placed[19], (440, Continuity::Continuous));
    }

    #[test]
    fn a_phone_that_stamps_late_what_it_sends_late_gets_no_gaps() {
        let mut random = Random::new(6);
        let (mut wall, mut messages) = (0u64, Vec::new());
        for n in 0..5000u64 {
            let late = if random.chance(0.05) { 30 + random.below(120) } else { random.below(10) };
            wall = wall.max(20 * n + late);
            messages.push((wall, wall as u32));
        }
        assert!(places(messages).iter().skip(1).all(|(_, continuity)| *continuity == Continuity::Continuous));
    }
}
