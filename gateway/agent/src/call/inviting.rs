//! An outgoing call that is not answered yet, with or without early media.

use call_media::sdp::{Agreement, Negotiated, SdpError};

use super::{Call, Established, Leaving, Leg};
use crate::{Indication, MediaAction, SipAction, SipEvent, SipStatus, context::Context, reason};

/// INVITE sent. There is no timer of ours: the stack reports 408 when nobody answers at all, and after a provisional
/// response it rings until the peer or the phone ends it (RFC 3261 section 13.2.2).
#[derive(Debug)]
pub(crate) struct Inviting {
    pub(super) leg: Leg,
    /// What the answer in a 183 came to: media runs already (RFC 3261 section 13.2.1).
    early: Option<Agreement>,
}

impl Inviting {
    /// Sends the INVITE.
    pub(crate) fn begin(ctx: &mut Context<'_>, mut leg: Leg, target: String) -> Call {
        let sdp = leg.local.offer();
        ctx.sip(SipAction::Invite { call: leg.call, target, sdp });
        Call::Inviting(Self { leg, early: None })
    }

    pub(super) fn on_sip(self, ctx: &mut Context<'_>, event: SipEvent) -> Call {
        match event {
            SipEvent::Progress { status, sdp, .. } => self.recv_progress(ctx, &status, sdp.as_deref()),
            SipEvent::Answered { sdp, .. } => self.recv_answer(ctx, sdp.as_deref()),
            SipEvent::Failed { status, .. } => self.fail(ctx, &status),
            // The peer has no business to do this before it answered, but the call is over.
            event if event.ends_call() => self.fail(ctx, &SipStatus::new(487, "Request Terminated")),
            _ => Call::Inviting(self),
        }
    }

    /// CANCEL. The phone hears nothing more of this call (contract section 4).
    pub(super) fn leave(self, ctx: &mut Context<'_>) {
        self.stop_early_media(ctx);
        ctx.sip(SipAction::Cancel { call: self.leg.call });
        let leaving = Leaving::cancelling(self.leg.call, ctx.now);
        ctx.leaving.push(leaving);
    }

    fn recv_progress(mut self, ctx: &mut Context<'_>, status: &SipStatus, sdp: Option<&str>) -> Call {
        if matches!(status.code, 180 | 183) {
            ctx.tell(Indication::Ringing(reason::text(status)));
        }
        match sdp.map(|sdp| self.leg.local.accept_answer(sdp)) {
            None => {}
            Some(Ok(agreement)) => {
                self.run_media(ctx, &agreement.negotiated);
                if self.early.replace(agreement).is_none() {
                    ctx.tell(Indication::EarlyMedia);
                }
            }
            Some(Err(error)) => tracing::debug!(call = self.leg.call.0, %error, "no early media"),
        }
        Call::Inviting(self)
    }

    /// The final answer. Without SDP, what a 183 brought stands; without that either the call cannot be.
    fn recv_answer(self, ctx: &mut Context<'_>, sdp: Option<&str>) -> Call {
        let agreement = match sdp {
            Some(sdp) => self.leg.local.accept_answer(sdp),
            None => self.early.clone().ok_or(SdpError::BadAnswer("no SDP")),
        };
        match agreement {
            Ok(agreement) => {
                self.run_media(ctx, &agreement.negotiated);
                Established::begin(ctx, self.leg, agreement)
            }
            Err(error) => {
                tracing::warn!(call = self.leg.call.0, %error, "the answer leads to no call");
                self.stop_early_media(ctx);
                self.leg.bye(ctx);
                ctx.reject(reason::text(&reason::incompatible()));
                Call::Idle
            }
        }
    }

    fn fail(self, ctx: &mut Context<'_>, status: &SipStatus) -> Call {
        self.stop_early_media(ctx);
        ctx.reject(reason::text(status));
        Call::Idle
    }

    fn run_media(&self, ctx: &mut Context<'_>, negotiated: &Negotiated) {
        match &self.early {
            None => self.leg.start_media(ctx, negotiated),
            Some(early) if early.negotiated != *negotiated => ctx.media(MediaAction::Update(negotiated.clone())),
            Some(_) => {}
        }
    }

    fn stop_early_media(&self, ctx: &mut Context<'_>) {
        if self.early.is_some() {
            ctx.media(MediaAction::Stop);
        }
    }
}
