//! RTCP for one stream each way (RFC 3550 section 6): sender and receiver reports with our CNAME on a randomised timer,
//! BYE at the end, and what the peer's reports tell: loss, jitter and round trip.

use std::time::{Duration, Instant};

use bytes::Bytes;
use rtcp_types::{
    Bye, Compound, CompoundBuilder, Packet, ReceiverReport, ReportBlock, ReportBlockBuilder, Sdes, SdesChunk, SdesItem,
    SenderReport,
    prelude::{RtcpPacketWriter, RtcpPacketWriterExt},
};

use crate::{
    limits::{MAX_CNAME_BYTES, MAX_RTCP_BYTES, RTCP_INTERVAL},
    reception::{Reception, ReceptionReport},
    rtp::RtpTimestamp,
    stats::RemoteReport,
};

/// What our sender has done so far.
#[derive(Debug, Clone, Copy)]
pub struct SenderTotals {
    /// RTP packets.
    pub packets: u32,
    /// Payload bytes.
    pub octets: u32,
    /// The media clock at the moment of the report (RFC 3550 section 6.4.1).
    pub timestamp: RtpTimestamp,
    /// Clock rate of what we send: unit of the jitter that the peer reports.
    pub clock_rate: u32,
}

/// Why a datagram is no RTCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    /// Longer than [`MAX_RTCP_BYTES`].
    #[error("RTCP packet of {0} bytes is too long")]
    TooLong(usize),
    /// Version or lengths do not fit (RFC 3550 appendix A.2).
    #[error("malformed RTCP packet")]
    Malformed,
}

/// One call's RTCP.
#[derive(Debug)]
pub struct RtcpSession {
    ssrc: u32,
    first_sequence: u16,
    cname: String,
    start: Instant,
    ntp_base: u64,
    random: u64,
    due: Instant,
    /// Packets sent as of the last report and the one before: a sender is who sent since then (section 6.4).
    sent_before: [u32; 2],
    /// Middle 32 bits of the NTP time in the peer's last sender report, and when it came.
    last_sender_report: Option<(u32, Instant)>,
    remote: RemoteReport,
    round_trip: Option<Duration>,
}

impl RtcpSession {
    /// Sets the first report to half an interval from now (section 6.2). `ssrc` and `ntp_base` seed the intervals;
    /// `first_sequence` is that of our stream.
    pub fn new(now: Instant, ssrc: u32, first_sequence: u16, mut cname: String, ntp_base: u64) -> Self {
        while cname.len() > MAX_CNAME_BYTES {
            cname.pop();
        }
        let mut session = Self {
            ssrc,
            first_sequence,
            cname,
            start: now,
            ntp_base,
            random: ntp_base ^ (ssrc as u64) << 32 | 1,
            due: now,
            sent_before: [0; 2],
            last_sender_report: None,
            remote: RemoteReport::default(),
            round_trip: None,
        };
        session.due = now + session.interval() / 2;
        session
    }

    /// When the next report is due.
    pub fn deadline(&self) -> Instant {
        self.due
    }

    /// The last report about us.
    pub fn remote(&self) -> RemoteReport {
        self.remote
    }

    /// Time to the peer and back without the peer's own.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The report, if it is due.
    pub fn poll(&mut self, now: Instant, sent: SenderTotals, reception: Option<&mut Reception>) -> Option<Bytes> {
        if now < self.due {
            return None;
        }
        self.due = now + self.interval();
        let report = encode(&self.report(now, sent, reception));
        self.sent_before = [self.sent_before[1], sent.packets];
        Some(report)
    }

    /// The last report, with BYE (section 6.6).
    pub fn bye(&mut self, now: Instant, sent: SenderTotals, reception: Option<&mut Reception>) -> Bytes {
        let bye = Bye::builder().add_source(self.ssrc);
        encode(&self.report(now, sent, reception).add_packet(bye))
    }

    fn report(&self, now: Instant, sent: SenderTotals, reception: Option<&mut Reception>) -> CompoundBuilder<'_> {
        let block = reception.map(|reception| self.block(now, reception.ssrc, reception.report()));
        let item = SdesItem::builder(SdesItem::CNAME, &self.cname);
        let names = Sdes::builder().add_chunk(SdesChunk::builder(self.ssrc).add_item(item));
        let compound = Compound::builder();
        let compound = if sent.packets != self.sent_before[0] {
            let report = SenderReport::builder(self.ssrc)
                .ntp_timestamp(self.ntp(now))
                .rtp_timestamp(sent.timestamp.0)
                .packet_count(sent.packets)
                .octet_count(sent.octets);
            compound.add_packet(block.into_iter().fold(report, |report, block| report.add_report_block(block)))
        } else {
            let report = ReceiverReport::builder(self.ssrc);
            compound.add_packet(block.into_iter().fold(report, |report, block| report.add_report_block(block)))
        };
        compound.add_packet(names)
    }

    fn block(&self, now: Instant, ssrc: u32, report: ReceptionReport) -> ReportBlockBuilder {
        let (last, delay) = match self.last_sender_report {
            Some((middle, came)) => (middle, ntp_short(now.duration_since(came))),
            None => (0, 0),
        };
        ReportBlock::builder(ssrc)
            .fraction_lost(report.fraction_lost)
            .cumulative_lost(report.cumulative_lost as u32 & 0xFF_FFFF)
            .extended_sequence_number(report.extended_highest)
            .interarrival_jitter(report.jitter)
            .last_sender_report_timestamp(last)
            .delay_since_last_sender_report_timestamp(delay)
    }

    /// Reads a peer's datagram. `clock_rate` is that of what we send. True if the peer said BYE.
    pub fn receive(&mut self, now: Instant, datagram: &[u8], clock_rate: u32) -> Result<bool, RtcpError> {
        if datagram.len() > MAX_RTCP_BYTES {
            return Err(RtcpError::TooLong(datagram.len()));
        }
        let mut bye = false;
        for packet in Compound::parse(datagram).map_err(|_| RtcpError::Malformed)? {
            match packet.map_err(|_| RtcpError::Malformed)? {
                Packet::Sr(report) => {
                    self.last_sender_report = Some(((report.ntp_timestamp() >> 16) as u32, now));
                    report.report_blocks().for_each(|block| self.on_block(now, &block, clock_rate));
                }
                Packet::Rr(report) => {
                    report.report_blocks().for_each(|block| self.on_block(now, &block, clock_rate));
                }
                Packet::Bye(_) => bye = true,
                _ => {}
            }
        }
        Ok(bye)
    }

    fn on_block(&mut self, now: Instant, block: &ReportBlock<'_>, clock_rate: u32) {
        if block.ssrc() != self.ssrc {
            return;
        }
        let jitter = block.interarrival_jitter() as f64 / clock_rate as f64;
        // The turns of the sequence number are counted from where the stream began.
        let ahead = block.extended_sequence_number().wrapping_sub(self.first_sequence as u32);
        self.remote = RemoteReport {
            fraction_lost: block.fraction_lost(),
            cumulative_lost: ((block.cumulative_lost() << 8) as i32) >> 8, // sign of 24 bits
            expected: ahead.wrapping_add(1),
            jitter: Duration::from_secs_f64(jitter.min(60.0)),
            reports: self.remote.reports + 1,
        };
        let last = block.last_sender_report_timestamp();
        if last != 0 {
            let middle = (self.ntp(now) >> 16) as u32;
            let delay = block.delay_since_last_sender_report_timestamp();
            let round_trip = middle.wrapping_sub(last).wrapping_sub(delay);
            // Negative (clocks round) or absurd values are left out; what is below 2^-16 s counts as zero.
            if round_trip < 60 << 16 {
                self.round_trip = Some(Duration::from_secs_f64(round_trip as f64 / 65_536.0));
            }
        }
    }

    /// The wall clock as 64-bit NTP time.
    fn ntp(&self, now: Instant) -> u64 {
        let elapsed = now.duration_since(self.start);
        let fraction = ((elapsed.subsec_nanos() as u64) << 32) / 1_000_000_000;
        self.ntp_base.wrapping_add(elapsed.as_secs() << 32 | fraction)
    }

    /// The interval times 0.5 to 1.5, evenly (section 6.2).
    fn interval(&mut self) -> Duration {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let share = (self.random >> 40) as f64 / (1u64 << 24) as f64;
        RTCP_INTERVAL.mul_f64(0.5 + share)
    }
}

/// A length of time in 1/65536 s.
fn ntp_short(duration: Duration) -> u32 {
    (duration.as_secs_f64() * 65_536.0).min(u32::MAX as f64) as u32
}

fn encode(compound: &CompoundBuilder<'_>) -> Bytes {
    let size = compound.calculate_size().expect("lengths and counts are ours and in range");
    let mut bytes = vec![0; size];
    let written = compound.write_into(&mut bytes).expect("the buffer has the size that was asked for");
    bytes.truncate(written);
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rtp::SequenceNumber,
        testing::{Random, epoch},
    };
    use proptest::prelude::*;

    const NTP: u64 = 0xE000_0000_4000_0000;

    fn session(ssrc: u32) -> RtcpSession {
        RtcpSession::new(epoch(), ssrc, 0, format!("{ssrc}@example"), NTP)
    }

    fn totals(packets: u32) -> SenderTotals {
        SenderTotals { packets, octets: packets * 160, timestamp: RtpTimestamp(packets * 160), clock_rate: 8000 }
    }

    #[test]
    fn intervals_are_five_seconds_give_or_take_half() {
        let mut session = session(77);
        let mut lengths = Vec::new();
        let mut now = session.deadline();
        assert!((1.25..=3.75).contains(&(now - epoch()).as_secs_f64()));
        for n in 0..2000 {
            assert!(session.poll(now - Duration::from_micros(1), totals(n), None).is_none());
            assert!(session.poll(now, totals(n), None).is_some());
            lengths.push((session.deadline() - now).as_secs_f64());
            now = session.deadline();
        }
        assert!(lengths.iter().all(|length| (2.5..=7.5).contains(length)));
        let mean = lengths.iter().sum::<f64>() / 2000.0;
        assert!((4.8..5.2).contains(&mean), "{mean}");
    }

    #[test]
    fn who_sends_reports_as_a_sender_and_who_does_not_as_a_receiver() {
        let mut session = session(5);
        let mut kinds = Vec::new();
        for packets in [100, 200, 200, 200, 200] {
            let report = session.poll(session.deadline(), totals(packets), None).unwrap();
            kinds.push(report[1]);
        }
        assert_eq!(kinds, [200, 200, 200, 201, 201]); // SR while packets went out in the last two intervals
    }

    #[test]
    fn loss_jitter_and_round_trip_arrive_at_the_other_side() {
        let (mut near, mut far) = (session(1), session(2));
        let now = epoch() + Duration::from_secs(10);
        let one_way = Duration::from_millis(35);
        let from_near = near.poll(now, totals(500), None).unwrap();
        assert!(!far.receive(now + one_way, &from_near, 8000).unwrap());

        let mut reception = Reception::new(epoch(), 1, 8000, SequenceNumber(0));
        for n in (0..100).filter(|n| n % 4 != 1) {
            reception.received(epoch(), SequenceNumber(n), None);
        }
        let answer_time = now + Duration::from_secs(3);
        let from_far = far.poll(answer_time, totals(0), Some(&mut reception)).unwrap();
        near.receive(answer_time + one_way, &from_far, 8000).unwrap();
        let remote = near.remote();
        assert_eq!((remote.fraction_lost, remote.cumulative_lost, remote.reports), (64, 25, 1));
        assert_eq!(remote.expected, 100);
        let round_trip = near.round_trip().unwrap().as_secs_f64();
        assert!((round_trip - 0.070).abs() < 0.001, "{round_trip}");
    }

    #[test]
    fn a_stopped_session_says_bye_with_its_name() {
        let mut near = session(0xABCD);
        let bytes = near.bye(epoch() + Duration::from_secs(1), totals(3), None);
        let kinds: Vec<u8> = Compound::parse(&bytes)
            .unwrap()
            .map(|packet| match packet.unwrap() {
                Packet::Sr(report) => {
                    assert_eq!(report.ntp_timestamp(), NTP + (1 << 32));
                    200
                }
                Packet::Sdes(names) => {
                    let value = names.chunks().next().unwrap().items().next().unwrap().get_value_string().unwrap();
                    assert_eq!(value, "43981@example");
                    202
                }
                Packet::Bye(bye) => {
                    assert_eq!(bye.ssrcs().collect::<Vec<_>>(), [0xABCD]);
                    203
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(kinds, [200, 202, 203]);
        assert_eq!(session(9).receive(epoch(), &bytes, 8000), Ok(true));
    }

    #[test]
    fn a_block_about_somebody_else_changes_nothing() {
        let (mut near, mut far) = (session(1), session(2));
        let mut reception = Reception::new(epoch(), 99, 8000, SequenceNumber(0));
        let bytes = far.poll(far.deadline(), totals(0), Some(&mut reception)).unwrap();
        near.receive(epoch(), &bytes, 8000).unwrap();
        assert_eq!(near.remote(), RemoteReport::default());
    }

    #[test]
    fn every_cut_of_a_report_is_refused_or_read_without_harm() {
        let mut far = session(2);
        let mut reception = Reception::new(epoch(), 1, 8000, SequenceNumber(0));
        let bytes = far.bye(epoch(), totals(1), Some(&mut reception));
        for length in 0..bytes.len() {
            let _ = session(1).receive(epoch(), &bytes[..length], 8000);
        }
        assert_eq!(session(1).receive(epoch(), &bytes[..bytes.len() - 1], 8000), Err(RtcpError::Malformed));
    }

    #[test]
    fn a_hundred_thousand_mutated_reports_do_no_harm() {
        let mut far = session(2);
        let mut reception = Reception::new(epoch(), 1, 8000, SequenceNumber(0));
        let seed = far.bye(epoch(), totals(1), Some(&mut reception));
        let (mut near, mut random) = (session(1), Random::new(4));
        for _ in 0..100_000 {
            let mut bytes = seed.to_vec();
            for _ in 0..random.below(6) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next_u64() as u8;
            }
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
            let _ = near.receive(epoch() + Duration::from_millis(random.below(100_000)), &bytes, 8000);
        }
    }

    proptest! {
        #[test]
        fn any_datagram_is_read_or_refused(datagram in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = session(1).receive(epoch(), &datagram, 8000);
        }
    }
}
