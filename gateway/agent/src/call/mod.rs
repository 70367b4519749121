//! The call: at most one that the phone is in, and those that it has left but that still end at the SIP side.
//!
//! ```text
//!            invite                        2xx
//!   Idle ------------> Inviting --------------------------> Established <-- re-INVITE, hold
//!    |                  180/183 (early media) stay here          ^
//!    |  INVITE                  accept                   ACK     |
//!    +---------------> Incoming ---------> Answering ------------+
//!
//!   failure, CANCEL, BYE, no ACK: back to Idle at once.
//!   bye, disconnect: Idle at once for the phone; what SIP still owes runs on as `Leaving`:
//!   Cancelling (CANCEL sent) | AwaitingAck (BYE must wait for it) | Ending (BYE sent) -> gone
//! ```
//!
//! Every state is a struct in a file of its own; an event consumes it and gives the next. An event that means nothing in a state
//! leaves it as it is.

mod answering;
mod established;
mod incoming;
mod inviting;
mod leaving;
mod leg;
mod transfer;

use std::{net::SocketAddr, time::Instant};

use answering::Answering;
use established::Established;
pub(crate) use incoming::Incoming;
pub(crate) use inviting::Inviting;
pub(crate) use leaving::Leaving;
pub(crate) use leg::{Leg, Side};

use crate::{CallHandle, CodecWord, SipEvent, context::Context, destination::Target, presses::Way, words::Preferences};

/// Where the phone's call stands.
#[derive(Debug)]
pub(crate) enum Call {
    Idle,
    Inviting(Inviting),
    Incoming(Incoming),
    Answering(Answering),
    Established(Established),
}

/// Why the phone leaves a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// It said `bye`.
    Bye,
    /// It is gone.
    Gone,
}

impl Call {
    pub(crate) fn handle(&self) -> Option<CallHandle> {
        match self {
            Self::Idle => None,
            Self::Incoming(state) => Some(state.call),
            Self::Inviting(Inviting { leg, .. })
            | Self::Answering(Answering { leg, .. })
            | Self::Established(Established { leg, .. }) => Some(leg.call),
        }
    }

    /// The RTP address that the call holds.
    pub(crate) fn rtp(&self) -> Option<SocketAddr> {
        match self {
            Self::Idle | Self::Incoming(_) => None,
            Self::Inviting(Inviting { leg, .. })
            | Self::Answering(Answering { leg, .. })
            | Self::Established(Established { leg, .. }) => Some(leg.local.rtp()),
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Incoming(state) => Some(state.ring_again_at),
            Self::Established(state) => state.deadline(),
            Self::Idle | Self::Inviting(_) | Self::Answering(_) => None,
        }
    }

    pub(crate) fn on_timeout(self, ctx: &mut Context<'_>) -> Self {
        match self {
            Self::Incoming(state) => state.on_timeout(ctx),
            Self::Established(state) => state.on_timeout(ctx),
            other => other,
        }
    }

    /// An event of this call's handle.
    pub(crate) fn on_sip(self, ctx: &mut Context<'_>, event: SipEvent) -> Self {
        match self {
            Self::Idle => Self::Idle,
            Self::Inviting(state) => state.on_sip(ctx, event),
            Self::Incoming(state) => state.on_sip(ctx, event),
            Self::Answering(state) => state.on_sip(ctx, event),
            Self::Established(state) => state.on_sip(ctx, event),
        }
    }

    pub(crate) fn accept(
        self,
        ctx: &mut Context<'_>,
        codecs: Option<Vec<CodecWord>>,
        preferences: &Preferences,
        rtp: SocketAddr,
        id: u64,
    ) -> Self {
        match self {
            Self::Incoming(state) => state.accept(ctx, codecs, preferences, rtp, id),
            other => other,
        }
    }

    pub(crate) fn reject(self, ctx: &mut Context<'_>, reason: Option<&str>) -> Self {
        match self {
            Self::Incoming(state) => state.reject(ctx, reason),
            other => other,
        }
    }

    pub(crate) fn leave(self, ctx: &mut Context<'_>, why: Leave) -> Self {
        match self {
            Self::Idle => {}
            Self::Inviting(state) => state.leave(ctx),
            Self::Incoming(state) => state.leave(ctx, why),
            Self::Answering(state) => state.leave(ctx),
            Self::Established(state) => state.leave(ctx),
        }
        Self::Idle
    }

    pub(crate) fn send_dtmf(&self, ctx: &mut Context<'_>, digits: String) {
        match self {
            Self::Established(state) => state.send_dtmf(ctx, digits),
            _ => tracing::debug!("sendDTMF without a call"),
        }
    }

    pub(crate) fn hold(&mut self, ctx: &mut Context<'_>, hold: bool) {
        match self {
            Self::Established(state) => state.hold(ctx, hold),
            _ => tracing::debug!("hold without a call"),
        }
    }

    /// A key of the peer's.
    pub(crate) fn recv_digit(&mut self, ctx: &mut Context<'_>, digit: char, way: Way) {
        if let Self::Established(state) = self {
            state.recv_digit(ctx, digit, way);
        }
    }

    /// Asks the peer to call `target`; what becomes of it is told. An error is why it was not even asked.
    pub(crate) fn transfer(&mut self, ctx: &mut Context<'_>, target: &Target) -> Result<(), &'static str> {
        match self {
            Self::Established(state) => state.transfer(ctx, target),
            _ => Err("no call"),
        }
    }

    /// The call in which texts may be sent.
    pub(crate) fn talking(&self) -> Option<CallHandle> {
        match self {
            Self::Established(state) => Some(state.leg.call),
            _ => None,
        }
    }
}
