//! An incoming call that rings at the phone.

use std::{net::SocketAddr, time::Instant};

use call_media::sdp::LocalSession;

use super::{Answering, Call, Leave, Leg, Side};
use crate::{
    CallHandle, CodecWord, Indication, SipAction, SipEvent, SipStatus,
    context::Context,
    limits::RING_AGAIN,
    reason,
    words::{self, Preferences},
};

/// 180 sent, `invited` told.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(super) call: CallHandle,
    from: String,
    to: String,
    /// Checked on arrival: something in it can be answered.
    offer: Option<String>,
    pub(super) ring_again_at: Instant,
}

impl Incoming {
    /// Rings at both ends.
    pub(crate) fn begin(
        ctx: &mut Context<'_>,
        call: CallHandle,
        from: String,
        to: String,
        offer: Option<String>,
    ) -> Call {
        ctx.sip(SipAction::Ring { call });
        ctx.tell(Indication::Invited { from: from.clone(), to: to.clone() });
        Call::Incoming(Self { call, from, to, offer, ring_again_at: ctx.now + RING_AGAIN })
    }

    pub(super) fn on_sip(self, ctx: &mut Context<'_>, event: SipEvent) -> Call {
        if event.ends_call() {
            ctx.tell(Indication::Cancelled { from: self.from, to: self.to });
            return Call::Idle;
        }
        Call::Incoming(self)
    }

    pub(super) fn on_timeout(mut self, ctx: &mut Context<'_>) -> Call {
        if ctx.now >= self.ring_again_at {
            ctx.sip(SipAction::Ring { call: self.call });
            self.ring_again_at = ctx.now + RING_AGAIN;
        }
        Call::Incoming(self)
    }

    /// 200 with an answer, or with an offer when the INVITE had none. The offer passed on arrival, but the phone's own list may
    /// leave nothing of it: then 488 and `byed` (contract section 5).
    pub(super) fn accept(
        self,
        ctx: &mut Context<'_>,
        codecs: Option<Vec<CodecWord>>,
        preferences: &Preferences,
        rtp: SocketAddr,
        id: u64,
    ) -> Call {
        let Some(capabilities) = words::capabilities(codecs.as_deref(), preferences) else {
            return self.fail(ctx, reason::incompatible());
        };
        let mut local = LocalSession::new(id, rtp, capabilities);
        let answered = match &self.offer {
            Some(offer) => local.answer(offer).map(|(sdp, agreement)| (sdp, Some(agreement))),
            None => Ok((local.offer(), None)),
        };
        match answered {
            Ok((sdp, agreement)) => {
                let plays_opus = preferences.plays_opus;
                let leg = Leg { call: self.call, side: Side::Callee, local, words: codecs, plays_opus };
                Answering::begin(ctx, leg, sdp, agreement)
            }
            Err(error) => {
                tracing::debug!(call = self.call.0, %error, "nothing of the phone's list was offered");
                self.fail(ctx, reason::refusal(&error))
            }
        }
    }

    /// The phone knows what it said: nothing is told (contract section 3).
    pub(super) fn reject(self, ctx: &mut Context<'_>, reason: Option<&str>) -> Call {
        self.refuse(ctx, reason::parse_reject(reason));
        Call::Idle
    }

    pub(super) fn leave(self, ctx: &mut Context<'_>, why: Leave) {
        let status = match why {
            Leave::Bye => reason::decline(),
            Leave::Gone => reason::unavailable(),
        };
        self.refuse(ctx, status);
    }

    fn fail(self, ctx: &mut Context<'_>, status: SipStatus) -> Call {
        self.refuse(ctx, status);
        ctx.tell(Indication::Byed);
        Call::Idle
    }

    fn refuse(&self, ctx: &mut Context<'_>, status: SipStatus) {
        ctx.sip(SipAction::Refuse { call: self.call, status });
    }
}
