//! A call as the SIP side sees it: an enum of states, a file for each way in.
//!
//! ```text
//! Invite --> Calling --2xx, ACK--> Up --BYE either way--> gone
//!               '--CANCEL, refusal, no answer--> gone
//! INVITE --> Ringing --our 200--> Up (unacknowledged) --ACK--> Up
//!               '--CANCEL, our refusal--> gone      '--no ACK in 64*T1--> BYE, gone
//! ```

use rsipstack::transaction::transaction::TransactionEvent;
use tokio::time::Instant;

use super::dialog::Dialog;
use super::mail::{ServerTransaction, TransactionId};
use super::request::Draft;

pub(super) enum Call {
    Calling(Calling),
    Ringing(Box<Ringing>),
    Up(Box<Up>),
}

/// How far the wish to cancel has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cancel {
    NotWanted,
    /// Kept back until a provisional response (RFC 3261 section 9.1).
    Wanted,
    Sent,
}

/// An INVITE of ours without a final answer.
pub(super) struct Calling {
    pub(super) id: TransactionId,
    pub(super) call_id: String,
    pub(super) local_tag: String,
    pub(super) cseq: u32,
    pub(super) cancel: Cancel,
    pub(super) provisional: bool,
    /// When a final response is no longer waited for.
    pub(super) give_up: Option<Instant>,
}

/// An INVITE from the network that we have not answered.
pub(super) struct Ringing {
    pub(super) server: ServerTransaction,
    pub(super) dialog: Dialog,
    pub(super) offered: bool,
}

/// A 2xx of ours that waits for its ACK.
pub(super) struct Unacknowledged {
    pub(super) server: ServerTransaction,
    /// The call's first INVITE, not a re-INVITE.
    pub(super) first: bool,
    /// The 2xx carried the offer, so the ACK carries the answer.
    pub(super) we_offered: bool,
}

impl Unacknowledged {
    /// Stops the repetitions of the 2xx.
    pub(super) fn abandon(self) {
        let _ = self.server.responder.send(TransactionEvent::Terminate(self.server.key));
    }
}

/// An ACK that is repeated whenever its 2xx is (RFC 3261 section 13.2.2.4).
pub(super) struct SentAck {
    pub(super) cseq: u32,
    pub(super) draft: Draft,
    pub(super) branch: String,
}

/// A re-INVITE of ours.
pub(super) struct OwnReinvite {
    pub(super) id: TransactionId,
    pub(super) cseq: u32,
    pub(super) give_up: Option<Instant>,
}

/// How far hanging up has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bye {
    NotWanted,
    /// Kept back until the ACK of our 2xx (RFC 3261 section 15).
    Wanted,
    Sent,
}

/// An established call.
pub(super) struct Up {
    pub(super) dialog: Dialog,
    pub(super) ack: Option<SentAck>,
    pub(super) unacknowledged: Option<Unacknowledged>,
    pub(super) own_reinvite: Option<OwnReinvite>,
    /// A re-INVITE from the peer that we have not answered, and whether it brought an offer.
    pub(super) peer_reinvite: Option<(ServerTransaction, bool)>,
    /// Number of our REFER on which the peer still reports.
    pub(super) refer: Option<u32>,
    pub(super) bye: Bye,
}

impl Call {
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Call::Calling(calling) => calling.give_up,
            Call::Ringing(_) => None,
            Call::Up(up) => up.own_reinvite.as_ref().and_then(|own| own.give_up),
        }
    }

    /// Whether a message with these tags belongs to this call (RFC 3261 section 12).
    pub(super) fn dialog(&self) -> Option<&Dialog> {
        match self {
            Call::Calling(_) => None,
            Call::Ringing(ringing) => Some(&ringing.dialog),
            Call::Up(up) => Some(&up.dialog),
        }
    }
}
