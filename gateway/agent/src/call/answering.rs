//! An incoming call that the phone accepted: 200 sent, ACK awaited.

use call_media::sdp::{Agreement, SdpError};

use super::{Call, Established, Leaving, Leg};
use crate::{Indication, MediaAction, SipAction, SipEvent, context::Context, reason};

/// `accepted` waits for the ACK (contract section 5), media does not: the caller may talk as soon as it has our answer.
#[derive(Debug)]
pub(crate) struct Answering {
    pub(super) leg: Leg,
    /// `None` while our 200 carried the offer: the ACK brings the answer (RFC 3261 section 13.2.1).
    agreement: Option<Agreement>,
}

impl Answering {
    pub(super) fn begin(ctx: &mut Context<'_>, leg: Leg, sdp: String, agreement: Option<Agreement>) -> Call {
        if let Some(agreement) = &agreement {
            leg.start_media(ctx, &agreement.negotiated);
        }
        ctx.sip(SipAction::Answer { call: leg.call, sdp });
        Call::Answering(Self { leg, agreement })
    }

    pub(super) fn on_sip(self, ctx: &mut Context<'_>, event: SipEvent) -> Call {
        match event {
            SipEvent::Acknowledged { sdp, .. } => self.recv_ack(ctx, sdp.as_deref()),
            SipEvent::Reinvited { call, .. } => {
                // The caller's ACK is lost or late, so its first offer may still be open (RFC 3261 section 14.2).
                ctx.sip(SipAction::AnswerReinvite { call, answer: Err(reason::pending()) });
                Call::Answering(self)
            }
            event if event.ends_call() => {
                self.stop_media(ctx);
                ctx.tell(Indication::Byed);
                Call::Idle
            }
            _ => Call::Answering(self),
        }
    }

    /// A BYE must wait for the ACK (RFC 3261 section 15).
    pub(super) fn leave(self, ctx: &mut Context<'_>) {
        self.stop_media(ctx);
        let leaving = Leaving::awaiting_ack(self.leg.call, ctx.now);
        ctx.leaving.push(leaving);
    }

    fn recv_ack(self, ctx: &mut Context<'_>, sdp: Option<&str>) -> Call {
        let late = match (&self.agreement, sdp) {
            (Some(agreement), _) => return Established::begin(ctx, self.leg, agreement.clone()),
            (None, Some(sdp)) => self.leg.local.accept_answer(sdp),
            (None, None) => Err(SdpError::BadAnswer("no SDP")),
        };
        match late {
            Ok(agreement) => {
                self.leg.start_media(ctx, &agreement.negotiated);
                Established::begin(ctx, self.leg, agreement)
            }
            Err(error) => {
                tracing::warn!(call = self.leg.call.0, %error, "the ACK brought no answer to our offer");
                self.leg.bye(ctx);
                ctx.tell(Indication::Byed);
                Call::Idle
            }
        }
    }

    fn stop_media(&self, ctx: &mut Context<'_>) {
        if self.agreement.is_some() {
            ctx.media(MediaAction::Stop);
        }
    }
}
