//! SDP (RFC 4566/8866) and offer/answer (RFC 3264) for one audio stream.
//!
//! ```text
//! peer's text -> description (what of it matters to us) -+
//!                                                        +-> LocalSession -> Agreement { Negotiated, .. } -> media path
//! Capabilities (codec words of the phone) ---------------+        |
//!                                                                 +-> our text
//! ```
//!
//! One audio stream is bridged; every other m= line of an offer is answered in its place with port 0 (RFC 3264 section 6).

mod description;
mod format;
#[cfg(test)]
mod golden;
mod limits;
mod negotiate;
#[cfg(test)]
mod properties;
mod session;
#[cfg(test)]
mod successive;
mod write;

use std::net::SocketAddr;

use crate::codec::{Codec, OpusWishes};

pub use description::SdpError;
pub use format::Capabilities;
pub use session::{Agreement, LocalSession};

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

impl Direction {
    /// From whether we send and whether we receive.
    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }

    /// Whether the side that this direction belongs to sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the side that this direction belongs to receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same flow seen from the other side (RFC 3264 section 6.1).
    #[must_use]
    pub fn mirrored(self) -> Self {
        Self::new(self.receives(), self.sends())
    }

    /// What both allow.
    #[must_use]
    pub fn meet(self, other: Self) -> Self {
        Self::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name (RFC 4566 section 6).
    pub fn attribute(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn from_attribute(name: &str) -> Option<Self> {
        [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.attribute().eq_ignore_ascii_case(name))
    }
}

/// A codec with the payload type that this call uses for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadFormat {
    /// RTP payload type, 0..=127.
    pub payload_type: u8,
    /// What the payload is.
    pub codec: Codec,
}

impl PayloadFormat {
    /// A codec under the number of our offers.
    pub const fn offered(codec: Codec) -> Self {
        Self { payload_type: codec.info().offered_payload_type, codec }
    }
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
    /// How the peer wants the Opus that we send, if that is what we send (`a=fmtp`, RFC 7587 section 6.1).
    pub opus: OpusWishes,
    /// Payload type of comfort noise (RFC 3389, 8000 Hz) that we may send in pauses: only if both sides have it and the
    /// codec that we send has no silence of its own.
    pub comfort_noise: Option<u8>,
    /// Payload type on which the peer may send comfort noise to us.
    pub receive_comfort_noise: Option<u8>,
    /// Which way media flows, from our side.
    pub direction: Direction,
    /// Packet time in milliseconds that we send (`a=ptime`, RFC 4566 section 6); 20 unless the peer asks otherwise.
    /// 10..=120, whole frames of the codec: [`Codec::packet_time`].
    pub ptime_ms: u16,
}
