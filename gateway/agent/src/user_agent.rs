//! The user agent: registration and call, joined.

use std::time::Instant;

use call_media::{codec::Codec, sdp::Negotiated};

use crate::{Command, Indication, SipAction, SipEvent};

/// What comes in.
pub enum Input {
    /// From the phone.
    Command(Command),
    /// From the SIP stack.
    Sip(SipEvent),
    /// The deadline of `poll_timeout` has come.
    Timeout,
}

/// What goes out, in order.
#[derive(Debug)]
pub enum Output {
    /// To the SIP stack.
    Sip(SipAction),
    /// To the phone.
    Indication(Indication),
    /// To the media path.
    Media(MediaAction),
    /// After `Disconnect`: call and registration have ended, the agent may be dropped.
    Finished,
}

/// What the driver does with the call's media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaAction {
    /// Build the path on the RTP port that came with `Invite` or `Accept`.
    Start {
        /// Offer and answer's outcome.
        negotiated: Negotiated,
        /// What the phone is sent.
        phone_codec: Codec,
    },
    /// Same path, new terms.
    Update(Negotiated),
    /// Queue digits.
    SendDtmf(String),
    /// Drop the path and release the port.
    Stop,
}

/// One phone's SIP user agent.
pub struct UserAgent {}

impl UserAgent {
    /// A new agent: idle, unregistered. `session_id` seeds the o= line of its SDP (RFC 4566 section 5.2).
    pub fn new(_now: Instant, _session_id: u64) -> Self {
        Self {}
    }

    /// Feeds one input.
    pub fn handle_input(&mut self, _now: Instant, _input: Input) {
        todo!("agent helper")
    }

    /// Takes the next output, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!("agent helper")
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        todo!("agent helper")
    }
}
