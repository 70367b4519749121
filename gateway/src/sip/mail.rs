//! What the network side puts into an agent's mailbox.

use std::net::SocketAddr;

use rsipstack::sip::{Request, Response};
use rsipstack::transaction::key::TransactionKey;
use rsipstack::transaction::transaction::{TransactionEvent, TransactionEventSender};

/// Names a transaction within its agent.
pub(crate) type TransactionId = u64;

/// From a transaction's task or from the front to the agent.
pub(crate) enum Mail {
    /// A new request; its transaction waits for responses.
    Request(Box<ServerTransaction>),
    /// The client gave up its INVITE; the CANCEL itself has been answered.
    Cancelled(TransactionKey),
    /// The ACK of a 2xx or of a refusal.
    Acknowledged(TransactionKey, Box<Request>),
    /// A server transaction is over.
    ServerDone(TransactionKey),
    /// A request of ours has been sent for the first time.
    Sent { id: TransactionId, to: SocketAddr, via: String },
    /// A response to a request of ours, except a 2xx to INVITE.
    Response(TransactionId, Box<Response>),
    /// A 2xx to an INVITE of ours: first, repeated or forked.
    Success(Box<Response>),
    /// A client transaction is over.
    ClientDone(TransactionId),
    /// The request could not be sent anywhere; the phrase says why.
    Unsendable(TransactionId, &'static str),
    /// The process ends: finish what is open.
    Stop,
}

/// A request from the network and the way to answer it.
pub(crate) struct ServerTransaction {
    pub(crate) request: Request,
    pub(crate) key: TransactionKey,
    pub(crate) responder: TransactionEventSender,
}

impl ServerTransaction {
    /// Sends a response, or its state machine refuses it (a second final one).
    pub(crate) fn respond(&self, response: Response) {
        let _ = self.responder.send(TransactionEvent::Respond(response));
    }
}
