//! A call that the phone has left and that SIP has still to end. It makes no sound and tells the phone nothing; the phone may be in
//! another call meanwhile.

use std::time::Instant;

use crate::{CallHandle, SipAction, SipEvent, context::Context, limits::LEAVING_LIMIT, reason};

/// Which end is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// CANCEL sent: a failure, or a 2xx that crossed it.
    Cancelling,
    /// 200 sent: the ACK, then BYE.
    AwaitingAck,
    /// BYE sent: its answer.
    Ending,
}

/// A call on its way out.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) call: CallHandle,
    stage: Stage,
    /// When it is forgotten though the stack never said that it ended.
    pub(crate) until: Instant,
}

impl Leaving {
    pub(super) fn cancelling(call: CallHandle, now: Instant) -> Self {
        Self::new(call, Stage::Cancelling, now)
    }

    pub(super) fn awaiting_ack(call: CallHandle, now: Instant) -> Self {
        Self::new(call, Stage::AwaitingAck, now)
    }

    pub(super) fn ending(call: CallHandle, now: Instant) -> Self {
        Self::new(call, Stage::Ending, now)
    }

    fn new(call: CallHandle, stage: Stage, now: Instant) -> Self {
        Self { call, stage, until: now + LEAVING_LIMIT }
    }

    /// The next stage, or `None` when the call is over.
    pub(crate) fn on_sip(self, ctx: &mut Context<'_>, event: &SipEvent) -> Option<Self> {
        match (self.stage, event) {
            (_, event) if event.ends_call() => None,
            (Stage::Cancelling, SipEvent::Answered { .. }) | (Stage::AwaitingAck, SipEvent::Acknowledged { .. }) => {
                Some(self.bye(ctx))
            }
            (Stage::AwaitingAck, SipEvent::Reinvited { call, .. }) => {
                ctx.sip(SipAction::AnswerReinvite { call: *call, answer: Err(reason::pending()) });
                Some(self)
            }
            _ => Some(self),
        }
    }

    /// The gateway cannot wait for an ACK any longer.
    pub(crate) fn hurry(self, ctx: &mut Context<'_>) -> Self {
        match self.stage {
            Stage::AwaitingAck => self.bye(ctx),
            Stage::Cancelling | Stage::Ending => self,
        }
    }

    fn bye(self, ctx: &mut Context<'_>) -> Self {
        ctx.sip(SipAction::Bye { call: self.call });
        Self::ending(self.call, ctx.now)
    }
}
