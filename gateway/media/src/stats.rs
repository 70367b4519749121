//! What a call's media has seen: plain counters, read at any time.

use std::time::Duration;

/// Both directions of one call.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PathStats {
    /// Phone to SIP.
    pub uplink: UplinkStats,
    /// SIP to phone.
    pub downlink: DownlinkStats,
    /// What the peer's RTCP says of our stream.
    pub remote: RemoteReport,
    /// Round trip between us and the SIP peer (RFC 3550 section 6.4.1), once known.
    pub round_trip: Option<Duration>,
    /// Datagrams on the RTP or RTCP port that could not be read.
    pub malformed: u64,
}

/// Phone to SIP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UplinkStats {
    /// Audio messages from the phone.
    pub messages: u64,
    /// Messages whose payload could not be decoded.
    pub undecodable: u64,
    /// Messages of a codec that we do not know.
    pub unsupported: u64,
    /// RTP packets sent, events included.
    pub packets: u64,
    /// RTP payload bytes sent.
    pub octets: u64,
    /// 20 ms frames dropped because they waited too long.
    pub dropped_frames: u64,
    /// Times that comfort noise was sent where the phone's audio did not come: 20 ms each, or a description of it.
    pub filled_frames: u64,
    /// How long audio waits here that the phone's network delivers without delay.
    pub delay: Duration,
    /// How much later in the stream audio stands than on the phone's timeline: noise that went before it, less what was left
    /// out. Milliseconds.
    pub shift_ms: i64,
    /// Digits sent.
    pub digits: u64,
}

/// SIP to phone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DownlinkStats {
    /// RTP packets received.
    pub packets: u64,
    /// RTP payload bytes received.
    pub octets: u64,
    /// Packets that never came, or came after their place was filled.
    pub lost: u64,
    /// Packets that came after their place was filled.
    pub late: u64,
    /// Packets that came twice.
    pub duplicated: u64,
    /// Packets that came out of order and were put back.
    pub reordered: u64,
    /// 20 ms frames invented.
    pub concealed_frames: u64,
    /// Packets of a payload type that was not negotiated.
    pub unknown_payload: u64,
    /// Packets whose payload could not be decoded.
    pub undecodable: u64,
    /// Times that the source changed.
    pub source_changes: u64,
    /// Interarrival jitter (RFC 3550 appendix A.8).
    pub jitter: Duration,
    /// Audio messages given to the phone.
    pub messages: u64,
    /// Digits received.
    pub digits: u64,
}

/// The last report block about our stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RemoteReport {
    /// Share of packets lost since the report before, in 1/256.
    pub fraction_lost: u8,
    /// Packets lost since the start.
    pub cumulative_lost: i32,
    /// Packets that should have come since the start, by the highest sequence number that the peer has seen.
    pub expected: u32,
    /// Interarrival jitter that the peer saw.
    pub jitter: Duration,
    /// Reports received.
    pub reports: u64,
}
