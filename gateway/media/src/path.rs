//! One call's media: joins the uplink (phone to SIP) and the downlink (SIP to phone) behind one face.

use std::time::Instant;

use bytes::Bytes;

use crate::{codec::Codec, sdp::Negotiated, stats::PathStats};

/// How a call's media is set up. Random values come from the driver, so that tests can fix them.
#[derive(Debug, Clone)]
pub struct PathConfig {
    /// The outcome of offer/answer.
    pub negotiated: Negotiated,
    /// What the phone is sent on its `remote` stream (siprtmp contract section 7.2).
    pub phone_codec: Codec,
    /// Our synchronisation source (RFC 3550 section 8).
    pub ssrc: u32,
    /// First RTP sequence number.
    pub initial_sequence: u16,
    /// First RTP timestamp.
    pub initial_timestamp: u32,
    /// RTCP canonical name (RFC 3550 section 6.5.1).
    pub cname: String,
    /// RTMP time at `now` of the call's start, milliseconds: base of the timestamps that the phone is sent.
    pub rtmp_base_ms: u32,
    /// Wall clock at the call's start as 64-bit NTP time (RFC 3550 section 4), for sender reports.
    pub ntp_base: u64,
}

/// What comes in.
#[derive(Debug)]
pub enum Input<'a> {
    /// An RTMP audio message: FLV AUDIODATA (tag byte and payload) with its RTMP timestamp in milliseconds.
    PhoneAudio {
        /// Milliseconds, wraps at 2^32.
        timestamp_ms: u32,
        /// Tag byte and codec payload.
        body: &'a [u8],
    },
    /// A datagram on the RTP port, from an accepted source.
    Rtp(&'a [u8]),
    /// A datagram on the RTCP port, from an accepted source.
    Rtcp(&'a [u8]),
    /// Digits to send, `0-9 * # A-D`, in order (queued behind digits still being sent).
    SendDtmf(&'a str),
    /// Direction, addresses or formats changed (re-INVITE).
    Renegotiated(Negotiated),
    /// The deadline of `poll_timeout` has come.
    Timeout,
}

/// What goes out.
#[derive(Debug)]
pub enum Output {
    /// A packet for the peer's RTP address.
    Rtp(Bytes),
    /// A packet for the peer's RTCP address.
    Rtcp(Bytes),
    /// An audio message for the phone's played stream.
    PhoneAudio {
        /// Milliseconds, wraps at 2^32.
        timestamp_ms: u32,
        /// Tag byte and codec payload.
        body: Bytes,
    },
    /// The peer pressed a key (RFC 4733), once per press.
    DtmfReceived(char),
    /// The phone sends a codec that we do not have: the SoundFormat of its audio messages (FLV section E.4.2.1), told
    /// once a codec.
    PhoneCodecUnsupported(u8),
}

/// The media of one call.
pub struct MediaPath {
    _config: PathConfig,
}

impl MediaPath {
    /// Sets up both directions; nothing flows before input comes.
    pub fn new(_now: Instant, config: PathConfig) -> Self {
        Self { _config: config }
    }

    /// Feeds one input.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) {
        todo!("media helper")
    }

    /// Takes the next output, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!("media helper")
    }

    /// Ends the path: what is still to be sent, an RTCP BYE among it, comes out of `poll_output`.
    pub fn stop(&mut self, _now: Instant) {
        todo!("media helper")
    }

    /// What the path has seen so far.
    pub fn stats(&self) -> PathStats {
        todo!("media helper")
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!("media helper")
    }
}
