//! Which source of RTP is believed (symmetric RTP, RFC 4961): the signalled address first, another one only if it proves
//! itself, and never a second one.
//!
//! ```text
//!  Waiting --- packet from the signalled address ------------------> Signalled (for good)
//!     |                                                                 ^
//!     '--- N packets in sequence, one SSRC, a negotiated payload type,  | packet from the signalled address
//!          from one other address within the window -------> Learned ---'
//! ```
//! A peer behind a NAT signals an address that it does not send from, so something must be learned; RTP-bleed attacks
//! (CVE-2017-14099, CVE-2025-53399) live on gateways that learn from the first packet, or again and again. A new
//! agreement (re-INVITE) that names another address starts over.

use std::{net::SocketAddr, time::Instant};

use crate::{
    limits::{LATCH_PACKETS_OTHER_IP, LATCH_PACKETS_SAME_IP, LATCH_WINDOW, MAX_LATCH_CANDIDATES},
    rtp::{RtpPacket, SequenceNumber},
    sdp::Negotiated,
};

/// What is to be done with a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the peer's.
    Accepted,
    /// It is not (yet) believed to be; drop it.
    Rejected,
}

/// One call's opinion about sources. The driver asks it before it feeds a datagram to the media path, and sends to the
/// addresses that it names.
#[derive(Debug)]
pub struct Latch {
    signalled: Option<SocketAddr>,
    signalled_rtcp: Option<SocketAddr>,
    payload_types: u128,
    state: State,
    learned_rtcp: Option<SocketAddr>,
    rejected: u64,
}

#[derive(Debug)]
enum State {
    Waiting { candidates: Vec<Candidate> },
    Signalled,
    Learned(SocketAddr),
}

#[derive(Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: u32,
    last: SequenceNumber,
    in_sequence: u16,
    since: Instant,
}

impl Latch {
    /// For the outcome of offer/answer.
    pub fn new(negotiated: &Negotiated) -> Self {
        Self {
            signalled: negotiated.remote_rtp,
            signalled_rtcp: negotiated.remote_rtcp,
            payload_types: payload_types(negotiated),
            state: State::Waiting { candidates: Vec::new() },
            learned_rtcp: None,
            rejected: 0,
        }
    }

    /// Takes up a new agreement. Where the peer's address stayed, so does what was learned.
    pub fn renegotiated(&mut self, negotiated: &Negotiated) {
        self.payload_types = payload_types(negotiated);
        if negotiated.remote_rtp != self.signalled && negotiated.remote_rtp.is_some() {
            self.signalled = negotiated.remote_rtp;
            self.state = State::Waiting { candidates: Vec::new() };
            self.learned_rtcp = None;
        }
        self.signalled_rtcp = negotiated.remote_rtcp;
    }

    /// Judges a datagram that came to the RTP port.
    pub fn accept_rtp(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) -> Verdict {
        if Some(source) == self.signalled {
            self.state = State::Signalled;
            return Verdict::Accepted;
        }
        let accepted = match &mut self.state {
            State::Signalled => false,
            State::Learned(known) => *known == source,
            State::Waiting { candidates } => {
                let needed = match self.signalled {
                    Some(signalled) if signalled.ip() == source.ip() => LATCH_PACKETS_SAME_IP,
                    _ => LATCH_PACKETS_OTHER_IP,
                };
                match RtpPacket::parse(datagram) {
                    Ok(packet) if self.payload_types >> packet.payload_type & 1 == 1 => {
                        let proven = prove(candidates, now, source, &packet) >= needed;
                        if proven {
                            self.state = State::Learned(source);
                        }
                        proven
                    }
                    _ => false,
                }
            }
        };
        self.verdict(accepted)
    }

    /// Judges a datagram that came to the RTCP port: any port of the host that RTP comes from or that was signalled.
    pub fn accept_rtcp(&mut self, source: SocketAddr) -> Verdict {
        let known = [self.rtp_target(), self.signalled_rtcp];
        let accepted = known.into_iter().flatten().any(|address| address.ip() == source.ip());
        if accepted && self.learned_rtcp.is_none() && !matches!(self.state, State::Waiting { .. }) {
            self.learned_rtcp = Some(source);
        }
        self.verdict(accepted)
    }

    /// Where RTP is to be sent; none while the peer has no address.
    pub fn rtp_target(&self) -> Option<SocketAddr> {
        match self.state {
            State::Learned(source) => self.signalled.and(Some(source)),
            _ => self.signalled,
        }
    }

    /// Where RTCP is to be sent.
    pub fn rtcp_target(&self) -> Option<SocketAddr> {
        self.signalled_rtcp.map(|signalled| self.learned_rtcp.unwrap_or(signalled))
    }

    /// Datagrams that were not the peer's, those of a source's probation among them.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    fn verdict(&mut self, accepted: bool) -> Verdict {
        if accepted {
            return Verdict::Accepted;
        }
        self.rejected += 1;
        Verdict::Rejected
    }
}

fn payload_types(negotiated: &Negotiated) -> u128 {
    let formats = negotiated.receive.iter().map(|format| format.payload_type);
    let events = negotiated.receive_events.iter().map(|event| event.payload_type);
    let noise = negotiated.receive_comfort_noise;
    formats.chain(events).chain(noise).filter(|&number| number < 128).fold(0, |set, number| set | 1 << number)
}

/// Counts the packet for its source; returns how many have come in sequence.
fn prove(candidates: &mut Vec<Candidate>, now: Instant, source: SocketAddr, packet: &RtpPacket<'_>) -> u16 {
    candidates.retain(|candidate| now.saturating_duration_since(candidate.since) <= LATCH_WINDOW);
    let fresh = Candidate { source, ssrc: packet.ssrc, last: packet.sequence, in_sequence: 1, since: now };
    if let Some(known) = candidates.iter_mut().find(|candidate| candidate.source == source) {
        if known.ssrc == packet.ssrc && packet.sequence == known.last.next() {
            known.last = packet.sequence;
            known.in_sequence += 1;
            return known.in_sequence;
        }
        *known = fresh;
    } else {
        if candidates.len() >= MAX_LATCH_CANDIDATES {
            candidates.remove(0); // the oldest
        }
        candidates.push(fresh);
    }
    1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        codec::Codec,
        rtp::{RtpTimestamp, RtpWriter},
        testing::{Random, epoch, negotiated},
    };

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const SIGNALLED: &str = "192.0.2.1:4000";
    const NATTED: &str = "198.51.100.9:61000";

    fn latch() -> Latch {
        let mut agreed = negotiated(Codec::Pcmu);
        agreed.remote_rtp = Some(address(SIGNALLED));
        agreed.remote_rtcp = Some(address("192.0.2.1:4001"));
        Latch::new(&agreed)
    }

    /// Feeds `count` packets in sequence, 20 ms apart; returns how many were accepted.
    fn feed(latch: &mut Latch, source: &str, start: Instant, ssrc: u32, payload_type: u8, count: u32) -> u32 {
        let mut writer = RtpWriter::new(ssrc, 65_530);
        (0..count)
            .map(|n| {
                let packet = writer.packet(false, payload_type, RtpTimestamp(n * 160), &[0; 160]);
                let now = start + Duration::from_millis(20) * n;
                u32::from(latch.accept_rtp(now, address(source), &packet) == Verdict::Accepted)
            })
            .sum()
    }

    #[test]
    fn the_signalled_address_is_believed_at_once_and_for_good() {
        let mut latch = latch();
        assert_eq!(feed(&mut latch, SIGNALLED, epoch(), 1, 0, 1), 1);
        assert_eq!(feed(&mut latch, NATTED, epoch(), 1, 0, 1000), 0);
        assert_eq!(latch.rtp_target(), Some(address(SIGNALLED)));
        assert_eq!(latch.rejected(), 1000);
    }

    #[test]
    fn a_peer_behind_a_nat_is_learned_after_packets_in_sequence() {
        let mut latch = latch();
        assert_eq!(latch.rtp_target(), Some(address(SIGNALLED)));
        assert_eq!(feed(&mut latch, NATTED, epoch(), 1, 0, 20), 20 - (LATCH_PACKETS_OTHER_IP as u32 - 1));
        assert_eq!(latch.rtp_target(), Some(address(NATTED)));
    }

    #[test]
    fn another_port_of_the_signalled_host_is_learned_sooner() {
        let mut latch = latch();
        assert_eq!(feed(&mut latch, "192.0.2.1:5555", epoch(), 1, 0, 20), 20 - (LATCH_PACKETS_SAME_IP as u32 - 1));
    }

    #[test]
    fn what_was_learned_is_not_learned_again_but_the_signalled_address_may_still_come() {
        let mut latch = latch();
        feed(&mut latch, NATTED, epoch(), 1, 0, 20);
        assert_eq!(feed(&mut latch, "203.0.113.5:7000", epoch(), 1, 0, 100), 0);
        assert_eq!(latch.rtp_target(), Some(address(NATTED)));
        assert_eq!(feed(&mut latch, SIGNALLED, epoch(), 2, 0, 5), 5);
        assert_eq!(feed(&mut latch, NATTED, epoch(), 1, 0, 100), 0);
    }

    #[test]
    fn a_spray_of_random_packets_learns_nothing_and_takes_no_memory() {
        let mut latch = latch();
        let mut random = Random::new(8);
        for n in 0..10_000u32 {
            let source = SocketAddr::from(([127, 0, 0, random.below(250) as u8], 1 + random.below(60_000) as u16));
            let mut writer = RtpWriter::new(random.next_u64() as u32, random.next_u64() as u16);
            let packet = writer.packet(false, 0, RtpTimestamp(n), &[0; 160]);
            assert_eq!(latch.accept_rtp(epoch() + Duration::from_millis(n as u64), source, &packet), Verdict::Rejected);
        }
        let State::Waiting { candidates } = &latch.state else { panic!("learned") };
        assert!(candidates.len() <= MAX_LATCH_CANDIDATES);
        assert_eq!(latch.rejected(), 10_000);
    }

    #[test]
    fn a_wrong_payload_type_a_slow_source_and_no_rtp_at_all_learn_nothing() {
        let mut latch = latch();
        assert_eq!(feed(&mut latch, NATTED, epoch(), 1, 77, 100), 0);
        for n in 0..100u64 {
            let mut writer = RtpWriter::new(1, n as u16);
            let packet = writer.packet(false, 0, RtpTimestamp(0), &[0; 160]);
            let now = epoch() + Duration::from_secs(n);
            assert_eq!(latch.accept_rtp(now, address(NATTED), &packet), Verdict::Rejected);
            assert_eq!(latch.accept_rtp(now, address("203.0.113.5:7000"), &[0; 3]), Verdict::Rejected);
        }
    }

    #[test]
    fn a_new_address_in_a_new_agreement_starts_over() {
        let mut latch = latch();
        feed(&mut latch, NATTED, epoch(), 1, 0, 20);
        let mut agreed = negotiated(Codec::Pcmu);
        agreed.remote_rtp = Some(address(SIGNALLED));
        latch.renegotiated(&agreed); // same address: still learned
        assert_eq!(latch.rtp_target(), Some(address(NATTED)));
        agreed.remote_rtp = Some(address("192.0.2.77:9000"));
        latch.renegotiated(&agreed);
        assert_eq!(latch.rtp_target(), Some(address("192.0.2.77:9000")));
        assert_eq!(feed(&mut latch, NATTED, epoch(), 1, 0, 3), 0);
    }

    #[test]
    fn rtcp_comes_from_the_host_that_rtp_comes_from() {
        let mut latch = latch();
        assert_eq!(latch.accept_rtcp(address("192.0.2.1:9999")), Verdict::Accepted);
        assert_eq!(latch.rtcp_target(), Some(address("192.0.2.1:4001")));
        assert_eq!(latch.accept_rtcp(address("198.51.100.9:61001")), Verdict::Rejected);
        feed(&mut latch, NATTED, epoch(), 1, 0, 20);
        assert_eq!(latch.accept_rtcp(address("198.51.100.9:61001")), Verdict::Accepted);
        assert_eq!(latch.rtcp_target(), Some(address("198.51.100.9:61001")));
    }
}
