//! What a call has from the moment that its RTP address is known to its end.

use call_media::sdp::{LocalSession, Negotiated};

use super::Leaving;
use crate::{
    CallHandle, CodecWord, Indication, MediaAction, SipAction, command::AcceptedCodecs, context::Context, words,
};

/// Which side made the call: the owner of the Call-ID backs off longer after glare (RFC 3261 section 14.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Caller,
    Callee,
}

/// The SIP leg as the agent sees it.
#[derive(Debug)]
pub(crate) struct Leg {
    pub(crate) call: CallHandle,
    pub(crate) side: Side,
    /// Our offers and answers.
    pub(crate) local: LocalSession,
    /// The codec list that came with `invite` or `accept`, if one did.
    pub(crate) words: Option<Vec<CodecWord>>,
    /// The phone plays Opus.
    pub(crate) plays_opus: bool,
}

impl Leg {
    /// The first `MediaAction` of the call; exactly one `stop_media` follows some time.
    pub(crate) fn start_media(&self, ctx: &mut Context<'_>, negotiated: &Negotiated) {
        let phone_codec = words::phone_codec(self.accepted(negotiated).as_ref(), negotiated, self.plays_opus);
        ctx.media(MediaAction::Start { negotiated: negotiated.clone(), phone_codec });
    }

    pub(crate) fn tell_accepted(&self, ctx: &mut Context<'_>, negotiated: &Negotiated) {
        ctx.tell(Indication::Accepted(self.accepted(negotiated)));
    }

    /// BYE, and the call goes on as [`Leaving`] until that is answered.
    pub(crate) fn bye(&self, ctx: &mut Context<'_>) {
        ctx.sip(SipAction::Bye { call: self.call });
        let leaving = Leaving::ending(self.call, ctx.now);
        ctx.leaving.push(leaving);
    }

    fn accepted(&self, negotiated: &Negotiated) -> Option<AcceptedCodecs> {
        words::accepted(self.words.as_deref(), negotiated, self.plays_opus)
    }
}
