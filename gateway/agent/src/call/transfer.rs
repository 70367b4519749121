//! A blind transfer (RFC 3515): we ask the peer to call somebody else, it reports how that goes, and if it goes well we leave.
//!
//! ```text
//!            transfer               NOTIFY 1xx            NOTIFY 2xx, or a 2xx without reports
//!   None ---------------> Asked <---------------> Asked -----------------------------------------> BYE
//!     ^                     |
//!     +---------------------+  REFER refused, NOTIFY 3xx..6xx, nothing heard any more: the call goes on
//! ```

use std::time::Instant;

use crate::{Indication, SipStatus, context::Context, limits::TRANSFER_LIMIT, reason};

/// A transfer under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    /// When it has come to nothing.
    pub(super) until: Instant,
}

/// What a report means for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Still under way.
    Open(Transfer),
    /// Come to nothing; the call is as before.
    Kept,
    /// The peer talks to the other one now.
    Done,
    /// The peer knows nothing of the call (any more).
    Lost,
}

impl Transfer {
    pub(super) fn begin(now: Instant) -> Self {
        Self { until: now + TRANSFER_LIMIT }
    }

    /// The answer to the REFER. A 2xx alone says only that reports follow; if none do (RFC 4488), it is all that will be known.
    pub(super) fn recv_answer(self, ctx: &mut Context<'_>, status: &SipStatus, reports: bool) -> Outcome {
        match status.code {
            200..=299 if reports => Outcome::Open(self),
            200..=299 => tell(ctx, status, Outcome::Done),
            // RFC 3261 section 12.2.1.2.
            408 | 481 => tell(ctx, status, Outcome::Lost),
            _ => tell(ctx, status, Outcome::Kept),
        }
    }

    pub(super) fn recv_report(self, ctx: &mut Context<'_>, status: &SipStatus, last: bool) -> Outcome {
        match status.code {
            // Some give up watching at once: nobody will ever know.
            100..=199 if last => self.expire(ctx),
            100..=199 => tell(ctx, status, Outcome::Open(Self::begin(ctx.now))),
            200..=299 => tell(ctx, status, Outcome::Done),
            _ => tell(ctx, status, Outcome::Kept),
        }
    }

    /// No final report will come.
    pub(super) fn expire(self, ctx: &mut Context<'_>) -> Outcome {
        tell(ctx, &SipStatus::new(408, "Request timeout"), Outcome::Kept)
    }
}

fn tell(ctx: &mut Context<'_>, status: &SipStatus, outcome: Outcome) -> Outcome {
    ctx.tell(Indication::Transferred(reason::text(status)));
    outcome
}
