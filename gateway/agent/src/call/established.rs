//! A call that is up: media, digits, transfer, hold in both roles, re-INVITEs in both directions.
//!
//! ```text
//!            hold                200, failure
//!   Quiet ---------> Offered -------------------> Quiet (and again, if the phone changed its mind meanwhile)
//!     ^                 | 491
//!     |   timer         v
//!     +------------- RetryAt     (RFC 3261 section 14.1)
//!
//!   Quiet, RetryAt --empty re-INVITE--> LateOffer --ACK--> Quiet
//!   A re-INVITE of the peer in Offered or LateOffer is answered 491 (RFC 3261 section 14.2).
//! ```

use std::time::Instant;

use call_media::sdp::{Agreement, Negotiated};

use super::{
    Call, Leg, Side,
    transfer::{Outcome, Transfer},
};
use crate::{
    Indication, MediaAction, SipAction, SipEvent, SipStatus,
    context::Context,
    destination::Target,
    limits::LATE_OFFER_LIMIT,
    presses::{Presses, Way},
    reason,
};

/// Offer/answer after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// No offer is open.
    Quiet,
    /// Our re-INVITE is, and asks for this.
    Offered { hold: bool },
    /// Ours met the peer's; next try.
    RetryAt(Instant),
    /// Our 200 to an empty re-INVITE carried the offer. If the peer cancelled that INVITE in the same moment, no ACK comes.
    LateOffer { until: Instant },
}

impl Exchange {
    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::RetryAt(at) | Self::LateOffer { until: at } => Some(*at),
            Self::Quiet | Self::Offered { .. } => None,
        }
    }
}

/// Our own hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hold {
    /// What the phone wants.
    wanted: bool,
    /// What the peer has agreed to.
    active: bool,
}

/// The call is up.
#[derive(Debug)]
pub(crate) struct Established {
    pub(super) leg: Leg,
    negotiated: Negotiated,
    /// The peer holds us, as its last offer said.
    held: bool,
    hold: Hold,
    exchange: Exchange,
    transfer: Option<Transfer>,
    presses: Presses,
    /// It may not last longer.
    until: Option<Instant>,
}

impl Established {
    /// Media runs already.
    pub(super) fn begin(ctx: &mut Context<'_>, leg: Leg, Agreement { negotiated, peer_holds }: Agreement) -> Call {
        tracing::info!(call = leg.call.0, codec = ?negotiated.send.codec, peer = ?negotiated.remote_rtp, "call up");
        leg.tell_accepted(ctx, &negotiated);
        let hold = Hold { wanted: false, active: false };
        let mut up = Self {
            leg,
            negotiated,
            held: false,
            hold,
            exchange: Exchange::Quiet,
            transfer: None,
            presses: Presses::default(),
            until: ctx.call_length.map(|length| ctx.now + length),
        };
        up.set_held(ctx, peer_holds);
        Call::Established(up)
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let transfer = self.transfer.map(|transfer| transfer.until);
        self.exchange.deadline().into_iter().chain(transfer).chain(self.until).min()
    }

    pub(super) fn on_timeout(mut self, ctx: &mut Context<'_>) -> Call {
        if self.until.is_some_and(|at| ctx.now >= at) {
            tracing::info!(call = self.leg.call.0, "the call has lasted as long as it may");
            return self.give_up(ctx);
        }
        if self.exchange.deadline().is_some_and(|at| ctx.now >= at) {
            self.settle(ctx);
        }
        match self.transfer {
            Some(transfer) if ctx.now >= transfer.until => {
                let outcome = transfer.expire(ctx);
                self.go_on(ctx, outcome)
            }
            _ => Call::Established(self),
        }
    }

    pub(super) fn on_sip(mut self, ctx: &mut Context<'_>, event: SipEvent) -> Call {
        match event {
            SipEvent::Reinvited { sdp, .. } => self.recv_offer(ctx, sdp.as_deref()),
            SipEvent::Reanswered { sdp, .. } => self.recv_answer(ctx, sdp.as_deref()),
            SipEvent::ReinviteFailed { status, .. } => return self.recv_failure(ctx, &status),
            SipEvent::Acknowledged { sdp, .. } => return self.recv_ack(ctx, sdp.as_deref()),
            SipEvent::InfoDigit { digit, .. } => self.recv_digit(ctx, digit, Way::Signalling),
            SipEvent::ReferAnswered { .. } | SipEvent::ReferProgress { .. } => return self.recv_transfer(ctx, &event),
            event if event.ends_call() => {
                tracing::info!(call = self.leg.call.0, "call down, ended by the peer");
                ctx.media(MediaAction::Stop);
                ctx.tell(Indication::Byed);
                return Call::Idle;
            }
            _ => {}
        }
        Call::Established(self)
    }

    /// BYE; the phone hears no `byed` for its own `bye` (contract section 6).
    pub(super) fn leave(self, ctx: &mut Context<'_>) {
        tracing::info!(call = self.leg.call.0, "call down, ended here");
        ctx.media(MediaAction::Stop);
        self.leg.bye(ctx);
    }

    pub(super) fn send_dtmf(&self, ctx: &mut Context<'_>, digits: String) {
        if self.negotiated.telephone_event.is_some() {
            ctx.media(MediaAction::SendDtmf(digits));
        } else {
            tracing::debug!(call = self.leg.call.0, "the peer takes no telephone-event");
        }
    }

    pub(super) fn recv_digit(&mut self, ctx: &mut Context<'_>, digit: char, way: Way) {
        if self.presses.recv(ctx.now, digit, way) {
            ctx.tell(Indication::Dtmf(digit));
        }
    }

    pub(super) fn transfer(&mut self, ctx: &mut Context<'_>, target: &Target) -> Result<(), &'static str> {
        if self.transfer.is_some() {
            return Err("a transfer is under way");
        }
        tracing::info!(call = self.leg.call.0, "transfer asked for");
        ctx.sip(SipAction::Refer { call: self.leg.call, target: target.to_string() });
        self.transfer = Some(Transfer::begin(ctx.now));
        Ok(())
    }

    fn recv_transfer(self, ctx: &mut Context<'_>, event: &SipEvent) -> Call {
        let outcome = match (self.transfer, event) {
            (Some(transfer), SipEvent::ReferAnswered { status, reports, .. }) => {
                transfer.recv_answer(ctx, status, *reports)
            }
            (Some(transfer), SipEvent::ReferProgress { status, last, .. }) => transfer.recv_report(ctx, status, *last),
            _ => return Call::Established(self),
        };
        self.go_on(ctx, outcome)
    }

    /// The phone did not say `bye`, so it is told when the transfer ends the call.
    fn go_on(mut self, ctx: &mut Context<'_>, outcome: Outcome) -> Call {
        self.transfer = match outcome {
            Outcome::Open(transfer) => Some(transfer),
            Outcome::Kept => None,
            Outcome::Done | Outcome::Lost => return self.give_up(ctx),
        };
        Call::Established(self)
    }

    pub(super) fn hold(&mut self, ctx: &mut Context<'_>, hold: bool) {
        self.hold.wanted = hold;
        if self.exchange == Exchange::Quiet {
            self.settle(ctx);
        }
    }

    /// No offer is open (any more): make the peer agree to what the phone wants now.
    fn settle(&mut self, ctx: &mut Context<'_>) {
        self.exchange = Exchange::Quiet;
        if self.hold.wanted != self.hold.active {
            let hold = self.hold.wanted;
            self.leg.local.set_hold(hold);
            let sdp = self.leg.local.offer();
            ctx.sip(SipAction::Reinvite { call: self.leg.call, sdp });
            self.exchange = Exchange::Offered { hold };
        }
    }

    /// The peer's re-INVITE gets a proper new answer, or a refusal that leaves all as it was (RFC 3261 section 14.2).
    fn recv_offer(&mut self, ctx: &mut Context<'_>, offer: Option<&str>) {
        let answer = match (self.exchange, offer) {
            (Exchange::Offered { .. } | Exchange::LateOffer { .. }, _) => Err(reason::pending()),
            (_, None) => {
                self.exchange = Exchange::LateOffer { until: ctx.now + LATE_OFFER_LIMIT };
                Ok(self.leg.local.full_offer())
            }
            (_, Some(offer)) => match self.leg.local.answer(offer) {
                Ok((sdp, agreement)) => {
                    self.apply(ctx, agreement.negotiated);
                    self.set_held(ctx, agreement.peer_holds);
                    Ok(sdp)
                }
                Err(error) => Err(reason::refusal(&error)),
            },
        };
        ctx.sip(SipAction::AnswerReinvite { call: self.leg.call, answer });
    }

    /// 200 to our re-INVITE. A hold is what the peer took by accepting it, even if its SDP is of no use.
    fn recv_answer(&mut self, ctx: &mut Context<'_>, answer: Option<&str>) {
        let Exchange::Offered { hold } = self.exchange else { return };
        self.hold.active = hold;
        match answer.map(|answer| self.leg.local.accept_answer(answer)) {
            Some(Ok(agreement)) => self.apply(ctx, agreement.negotiated),
            Some(Err(error)) => tracing::warn!(call = self.leg.call.0, %error, "re-INVITE answered amiss"),
            None => tracing::warn!(call = self.leg.call.0, "re-INVITE answered without SDP"),
        }
        self.settle(ctx);
    }

    fn recv_failure(mut self, ctx: &mut Context<'_>, status: &SipStatus) -> Call {
        let Exchange::Offered { .. } = self.exchange else { return Call::Established(self) };
        self.leg.local.set_hold(self.hold.active);
        match status.code {
            // The peer has lost the dialog (RFC 3261 section 12.2.1.2).
            408 | 481 => return self.give_up(ctx),
            491 => {
                let wait = match self.leg.side {
                    Side::Caller => ctx.dice.millis(2_100, 4_000),
                    Side::Callee => ctx.dice.millis(0, 2_000),
                };
                self.exchange = Exchange::RetryAt(ctx.now + wait);
            }
            _ => {
                tracing::debug!(call = self.leg.call.0, %status, "hold refused");
                self.hold.wanted = self.hold.active;
                self.settle(ctx);
            }
        }
        Call::Established(self)
    }

    /// The ACK of a re-INVITE matters only if it owes us an answer.
    fn recv_ack(mut self, ctx: &mut Context<'_>, answer: Option<&str>) -> Call {
        let Exchange::LateOffer { .. } = self.exchange else { return Call::Established(self) };
        match answer.map(|answer| self.leg.local.accept_answer(answer)) {
            Some(Ok(agreement)) => {
                self.apply(ctx, agreement.negotiated);
                self.set_held(ctx, agreement.peer_holds);
                self.settle(ctx);
                Call::Established(self)
            }
            _ => {
                tracing::warn!(call = self.leg.call.0, "the ACK brought no answer to our offer");
                self.give_up(ctx)
            }
        }
    }

    fn give_up(self, ctx: &mut Context<'_>) -> Call {
        self.leave(ctx);
        ctx.tell(Indication::Byed);
        Call::Idle
    }

    fn apply(&mut self, ctx: &mut Context<'_>, negotiated: Negotiated) {
        if negotiated != self.negotiated {
            self.negotiated = negotiated.clone();
            ctx.media(MediaAction::Update(negotiated));
        }
    }

    /// `holded` is told on change only.
    fn set_held(&mut self, ctx: &mut Context<'_>, held: bool) {
        if held != self.held {
            self.held = held;
            ctx.tell(Indication::Holded(held));
        }
    }
}
