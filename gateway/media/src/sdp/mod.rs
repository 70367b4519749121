//! SDP (RFC 4566/8866) and offer/answer (RFC 3264) for one audio stream.

use std::net::SocketAddr;

use crate::codec::Codec;

/// Which way media flows, from our side (RFC 3264 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// We send, the peer does not.
    SendOnly,
    /// The peer sends, we do not.
    RecvOnly,
    /// Nobody sends; RTCP goes on.
    Inactive,
}

/// A codec with the payload type that this call uses for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadFormat {
    /// RTP payload type, 0..=127.
    pub payload_type: u8,
    /// What the payload is.
    pub codec: Codec,
}

/// The telephone-event format of a call (RFC 4733).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// RTP payload type, 0..=127.
    pub payload_type: u8,
    /// Clock rate in Hz of event timestamps and durations.
    pub clock_rate: u32,
}

/// What an offer and its answer agreed on: all that the media path needs to know of SDP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Negotiated {
    /// Where our RTP goes; `None` while the peer said port 0 or 0.0.0.0.
    pub remote_rtp: Option<SocketAddr>,
    /// Where our RTCP goes (`a=rtcp` of RFC 3605, else RTP port + 1).
    pub remote_rtcp: Option<SocketAddr>,
    /// What we send.
    pub send: PayloadFormat,
    /// Every format that the peer may send to us, with OUR payload numbers.
    pub receive: Vec<PayloadFormat>,
    /// DTMF by RTP, if both sides have it: what we send with.
    pub telephone_event: Option<TelephoneEvent>,
    /// Payload types on which the peer may send events to us.
    pub receive_events: Vec<TelephoneEvent>,
    /// Which way media flows, from our side.
    pub direction: Direction,
    /// Packet time in milliseconds that we send (`a=ptime`, RFC 4566 section 6); 20 unless the peer asks otherwise.
    pub ptime_ms: u16,
}
