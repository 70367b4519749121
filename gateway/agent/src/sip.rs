//! What the user agent asks of the SIP stack and hears from it. Transactions, retransmission, digest, ACK, routes and dialogs are
//! below this face; it carries decisions only.

use std::{fmt, time::Duration};

/// Names one INVITE dialog (early or confirmed) of this user agent, chosen by whoever creates it: the agent counts up from 1 in
/// odd numbers for calls that it makes, the stack in even numbers for calls that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallHandle(pub u64);

/// Names one text message (RFC 3428). Each direction counts for itself: the driver for those that the phone sends, the stack for
/// those that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageHandle(pub u64);

/// Where a text message of the phone's goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageTarget {
    /// To the peer of a call, inside its dialog.
    Call(CallHandle),
    /// Outside any dialog: a checked SIP URI or name-addr, without CR, LF or NUL.
    Address(String),
}

/// A SIP status line's code and phrase (RFC 3261 section 7.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipStatus {
    /// 100..=699.
    pub code: u16,
    /// As received, or ours.
    pub phrase: String,
}

impl SipStatus {
    /// From its two parts.
    pub fn new(code: u16, phrase: impl Into<String>) -> Self {
        Self { code, phrase: phrase.into() }
    }
}

impl fmt::Display for SipStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.phrase)
    }
}

/// Agent to stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipAction {
    /// REGISTER (first or refresh) for `expires`; answered by `Registered` or `RegisterFailed`.
    Register {
        /// Asked for; the answer says what was given.
        expires: Duration,
    },
    /// REGISTER with Expires 0; answered by `Unregistered` whatever happens, within 32 s.
    Unregister,
    /// INVITE; answered by `Progress`* then `Answered` or `Failed`.
    Invite {
        /// New handle.
        call: CallHandle,
        /// A checked SIP URI or name-addr, without CR, LF or NUL.
        target: String,
        /// The offer.
        sdp: String,
    },
    /// CANCEL (kept back until a provisional response, RFC 3261 section 9.1). A 2xx that crosses it is ACKed and BYEd by the stack.
    /// Answered by `Failed`.
    Cancel {
        /// Which call.
        call: CallHandle,
    },
    /// A provisional response to an incoming INVITE.
    Ring {
        /// Which call.
        call: CallHandle,
    },
    /// 200 with our SDP to an incoming INVITE; answered by `Acknowledged` or `AckMissing`.
    Answer {
        /// Which call.
        call: CallHandle,
        /// Answer, or offer when the INVITE had none.
        sdp: String,
    },
    /// A final failure to an incoming INVITE.
    Refuse {
        /// Which call.
        call: CallHandle,
        /// 3xx to 6xx.
        status: SipStatus,
    },
    /// Re-INVITE with a new offer; answered by `Reanswered` or `ReinviteFailed`.
    Reinvite {
        /// Which call.
        call: CallHandle,
        /// The offer.
        sdp: String,
    },
    /// Final response to a re-INVITE from the peer: 200 with SDP, or a refusal that leaves the call as it was.
    AnswerReinvite {
        /// Which call.
        call: CallHandle,
        /// Our SDP, or why not.
        answer: Result<String, SipStatus>,
    },
    /// BYE; answered by `Ended`.
    Bye {
        /// Which call.
        call: CallHandle,
    },
    /// REFER (RFC 3515): the peer shall call `target`. Answered by `ReferAnswered` and, if the peer reports, `ReferProgress`*. A
    /// second one makes the stack forget the first.
    Refer {
        /// Which call.
        call: CallHandle,
        /// A checked SIP URI or name-addr, without CR, LF or NUL.
        target: String,
    },
    /// MESSAGE with a `text/plain` body; answered by `MessageDone`.
    SendMessage {
        /// New handle.
        message: MessageHandle,
        /// Where to.
        target: MessageTarget,
        /// The body.
        text: String,
    },
    /// Final response to a MESSAGE.
    AnswerMessage {
        /// Which message.
        message: MessageHandle,
        /// 200, or why not.
        status: SipStatus,
    },
}

/// Stack to agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SipEvent {
    /// 2xx to REGISTER.
    Registered {
        /// Granted (Contact `expires`, else Expires, RFC 3261 section 10.3).
        expires: Duration,
    },
    /// Final failure of REGISTER, or 408 "Request timeout", or 503 when nothing could be sent.
    RegisterFailed(SipStatus),
    /// The un-REGISTER ended, well or not.
    Unregistered,
    /// 1xx other than 100.
    Progress {
        /// Which call.
        call: CallHandle,
        /// Code and phrase.
        status: SipStatus,
        /// Early media's description, if any.
        sdp: Option<String>,
    },
    /// 2xx (already ACKed, or to be ACKed with an answer never: late offers are ours only as UAS).
    Answered {
        /// Which call.
        call: CallHandle,
        /// The answer; `None` breaks offer/answer (RFC 3264) and the agent ends the call.
        sdp: Option<String>,
    },
    /// The INVITE ended without a call.
    Failed {
        /// Which call.
        call: CallHandle,
        /// Code and phrase; 408 "Request timeout" for no answer at all, 503 when nothing could be sent.
        status: SipStatus,
    },
    /// An INVITE for this agent. The stack has sent 100.
    Incoming {
        /// New handle.
        call: CallHandle,
        /// From as text, tag stripped.
        from: String,
        /// The offer, if any.
        sdp: Option<String>,
    },
    /// The caller cancelled; the stack has sent 200 and 487.
    Cancelled {
        /// Which call.
        call: CallHandle,
    },
    /// ACK to our 200.
    Acknowledged {
        /// Which call.
        call: CallHandle,
        /// The answer, when our 200 carried the offer.
        sdp: Option<String>,
    },
    /// No ACK within 64*T1; the stack sends the BYE (RFC 3261 section 13.3.1.4).
    AckMissing {
        /// Which call.
        call: CallHandle,
    },
    /// A re-INVITE (or UPDATE with an offer) from the peer.
    Reinvited {
        /// Which call.
        call: CallHandle,
        /// The offer; `None` asks us for one.
        sdp: Option<String>,
    },
    /// 2xx to our re-INVITE.
    Reanswered {
        /// Which call.
        call: CallHandle,
        /// The answer.
        sdp: Option<String>,
    },
    /// Our re-INVITE failed; the session is as before. 481 and 408 end the call (RFC 3261 section 12.2.1.2).
    ReinviteFailed {
        /// Which call.
        call: CallHandle,
        /// Code and phrase.
        status: SipStatus,
    },
    /// The peer's BYE; the stack has answered it.
    Byed {
        /// Which call.
        call: CallHandle,
    },
    /// Our BYE was answered or timed out.
    Ended {
        /// Which call.
        call: CallHandle,
    },
    /// Final answer to our REFER; 408 for none at all, 503 when nothing could be sent.
    ReferAnswered {
        /// Which call.
        call: CallHandle,
        /// Code and phrase.
        status: SipStatus,
        /// After a 2xx: the peer will report. `false` if it said `Refer-Sub: false` (RFC 4488).
        reports: bool,
    },
    /// The peer's NOTIFY on our REFER, which may come before the REFER's answer (RFC 3515 section 2.4.4); the stack has answered it.
    ReferProgress {
        /// Which call.
        call: CallHandle,
        /// The status line in its sipfrag.
        status: SipStatus,
        /// The peer reports no more.
        last: bool,
    },
    /// A digit in an INFO (`application/dtmf-relay` or `application/dtmf`); the stack has answered it.
    InfoDigit {
        /// Which call.
        call: CallHandle,
        /// `0-9 * # A-D`.
        digit: char,
    },
    /// A MESSAGE with a text, to be answered by `AnswerMessage`.
    MessageReceived {
        /// New handle.
        message: MessageHandle,
        /// In which call's dialog, if in one.
        call: Option<CallHandle>,
        /// From as text, tag stripped.
        from: String,
        /// The body.
        text: String,
    },
    /// Final answer to a MESSAGE of ours; 408 for none at all, 503 when nothing could be sent.
    MessageDone {
        /// Which message.
        message: MessageHandle,
        /// Code and phrase.
        status: SipStatus,
    },
}

impl SipEvent {
    /// The call that the event is about; `None` for the registration and for what lies outside of calls.
    pub fn call(&self) -> Option<CallHandle> {
        match self {
            Self::Registered { .. } | Self::RegisterFailed(_) | Self::Unregistered | Self::MessageDone { .. } => None,
            Self::MessageReceived { call, .. } => *call,
            Self::Progress { call, .. }
            | Self::Answered { call, .. }
            | Self::Failed { call, .. }
            | Self::Incoming { call, .. }
            | Self::Cancelled { call }
            | Self::Acknowledged { call, .. }
            | Self::AckMissing { call }
            | Self::Reinvited { call, .. }
            | Self::Reanswered { call, .. }
            | Self::ReinviteFailed { call, .. }
            | Self::Byed { call }
            | Self::Ended { call }
            | Self::ReferAnswered { call, .. }
            | Self::ReferProgress { call, .. }
            | Self::InfoDigit { call, .. } => Some(*call),
        }
    }

    /// Whether the stack forgets the call's handle with this event.
    pub fn ends_call(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Cancelled { .. }
                | Self::AckMissing { .. }
                | Self::Byed { .. }
                | Self::Ended { .. }
        )
    }
}
