//! What a receiver knows of a stream for its reports: loss (RFC 3550 appendix A.3) and jitter (appendix A.8).

use std::time::{Duration, Instant};

use crate::rtp::{ExtendedSequence, RtpTimestamp, SequenceNumber};

/// Counts one synchronisation source's packets.
#[derive(Debug, Clone)]
pub struct Reception {
    /// The source.
    pub ssrc: u32,
    clock_rate: u32,
    extended: ExtendedSequence,
    first: i64,
    highest: i64,
    received: u64,
    /// As they were at the last report.
    expected_prior: i64,
    received_prior: u64,
    /// Arrival of the first packet, origin of transit times.
    origin: Instant,
    transit: Option<f64>,
    jitter: f64,
}

/// The figures of a report block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceptionReport {
    /// In 1/256.
    pub fraction_lost: u8,
    /// Signed 24 bits.
    pub cumulative_lost: i32,
    /// Turns of the sequence number above, highest sequence number below.
    pub extended_highest: u32,
    /// In clock units.
    pub jitter: u32,
}

impl Reception {
    /// Starts with a source's first packet, which is to be counted by [`Self::received`] like all others.
    pub fn new(now: Instant, ssrc: u32, clock_rate: u32, first: SequenceNumber) -> Self {
        Self {
            ssrc,
            clock_rate,
            extended: ExtendedSequence::starting_at(first),
            first: first.0 as i64,
            highest: first.0 as i64,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
            origin: now,
            transit: None,
            jitter: 0.0,
        }
    }

    /// Counts a packet. Events do not say when they were sampled: no `timestamp` for them.
    pub fn received(&mut self, now: Instant, sequence: SequenceNumber, timestamp: Option<RtpTimestamp>) {
        self.received += 1;
        self.highest = self.highest.max(self.extended.advance(sequence));
        let Some(timestamp) = timestamp else { return };
        let arrival = now.duration_since(self.origin).as_secs_f64() * self.clock_rate as f64;
        // Modulo 2^32, so that a wrap of either is no step.
        let transit = (arrival - timestamp.0 as f64).rem_euclid(4_294_967_296.0);
        if let Some(last) = self.transit.replace(transit) {
            let step = (transit - last).abs();
            let step = step.min(4_294_967_296.0 - step);
            // A jump of the sender's clock is no jitter.
            if step < self.clock_rate as f64 {
                self.jitter += (step - self.jitter) / 16.0;
            }
        }
    }

    /// Packets that were expected and have not come.
    pub fn lost(&self) -> i64 {
        self.expected() - self.received as i64
    }

    /// Packets received.
    pub fn packets(&self) -> u64 {
        self.received
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        Duration::from_secs_f64(self.jitter / self.clock_rate as f64)
    }

    /// The figures for a report; the fraction is of the time since the last call.
    pub fn report(&mut self) -> ReceptionReport {
        let expected = self.expected() - self.expected_prior;
        let lost = expected - (self.received - self.received_prior) as i64;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        let fraction_lost = if expected <= 0 || lost <= 0 { 0 } else { (lost * 256 / expected).min(255) as u8 };
        ReceptionReport {
            fraction_lost,
            cumulative_lost: self.lost().clamp(-0x80_0000, 0x7F_FFFF) as i32,
            extended_highest: self.highest as u32,
            jitter: self.jitter as u32,
        }
    }

    fn expected(&self) -> i64 {
        self.highest - self.first + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, epoch};

    /// Receives `count` packets of 20 ms with the given loss and uniform jitter.
    fn stream(count: u32, loss: f64, jitter_ms: f64, first: u16, first_timestamp: u32) -> Reception {
        let mut random = Random::new(1);
        let mut reception = Reception::new(epoch(), 1, 8000, SequenceNumber(first));
        for n in 0..count {
            if n != 0 && n != count - 1 && random.chance(loss) {
                continue;
            }
            let now = epoch() + Duration::from_secs_f64(n as f64 * 0.02 + random.uniform() * jitter_ms / 1000.0);
            let timestamp = RtpTimestamp(first_timestamp.wrapping_add(160 * n));
            reception.received(now, SequenceNumber(first.wrapping_add(n as u16)), Some(timestamp));
        }
        reception
    }

    #[test]
    fn loss_is_counted_over_many_turns_of_the_sequence_number() {
        let mut reception = stream(200_000, 0.10, 0.0, 65_000, u32::MAX - 8000);
        let report = reception.report();
        assert!((19_500..20_500).contains(&report.cumulative_lost), "{report:?}");
        assert!((24..28).contains(&report.fraction_lost), "{report:?}");
        assert_eq!(report.extended_highest, 65_000 + 199_999);
        assert_eq!(reception.report().fraction_lost, 0); // nothing since
    }

    #[test]
    fn jitter_is_that_of_the_arrivals_even_over_a_wrap_of_the_timestamp() {
        // Uniform over 30 ms: consecutive transits differ by a third of it in the mean.
        let mut reception = stream(5000, 0.0, 30.0, 0, u32::MAX - 160 * 2500);
        let jitter = reception.jitter().as_secs_f64() * 1000.0;
        assert!((8.0..12.0).contains(&jitter), "{jitter} ms");
        assert_eq!(reception.report().fraction_lost, 0);
        assert!(stream(5000, 0.0, 0.0, 0, 0).jitter() < Duration::from_micros(10));
    }

    #[test]
    fn duplicates_make_the_loss_negative_and_do_not_wrap_it() {
        let mut reception = Reception::new(epoch(), 1, 8000, SequenceNumber(7));
        for _ in 0..10 {
            reception.received(epoch(), SequenceNumber(7), None);
        }
        assert_eq!(
            reception.report(),
            ReceptionReport { fraction_lost: 0, cumulative_lost: -9, extended_highest: 7, jitter: 0 }
        );
    }
}
