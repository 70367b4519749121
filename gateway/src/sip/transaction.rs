//! One task a transaction: it owns rsipstack's state machine and reports to the agent's mailbox.

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::{Method, SipMessage, StatusCodeKind, Transport};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use rsipstack::transaction::random_text;
use rsipstack::transaction::transaction::TransactionEvent;
use rsipstack::transport::SipAddr;
use tokio::sync::mpsc;

use super::endpoint::Shared;
use super::mail::{Mail, ServerTransaction, TransactionId};
use super::request::{Draft, response};

/// What the phone hears when there is nowhere to send to (contract section 2).
const UNRESOLVABLE: &str = "Service unavailable - cannot resolve DNS target";
/// A loopback socket sends to this machine only, and each address family needs a socket of its own.
const UNREACHABLE: &str = "Service unavailable - destination not reachable from the SIP listener";
const UNREADABLE: &str = "Service unavailable - request cannot be built";

/// Where a request goes.
pub(crate) enum Way {
    /// To its next hop, by name.
    Resolve,
    /// Exactly like another request before it: CANCEL (RFC 3261 section 9.1).
    Like { to: SocketAddr, via: String },
}

/// A branch that no other transaction has (RFC 3261 section 8.1.1.7).
pub(crate) fn new_branch() -> String {
    format!("z9hG4bK{}", random_text(20))
}

pub(crate) fn udp(to: SocketAddr) -> SipAddr {
    SipAddr { r#type: Some(Transport::Udp), addr: to.into() }
}

/// Sends a request and reports what comes back until the transaction is over.
pub(crate) fn start_client(
    shared: &Arc<Shared>,
    mailbox: &mpsc::Sender<Mail>,
    id: TransactionId,
    draft: Draft,
    way: Way,
) {
    let (shared, mailbox) = (shared.clone(), mailbox.clone());
    tokio::spawn(async move {
        let last = match run_client(&shared, &mailbox, id, draft, way).await {
            Ok(()) => Mail::ClientDone(id),
            Err(why) => Mail::Unsendable(id, why),
        };
        let _ = mailbox.send(last).await;
    });
}

/// An error is the phrase for a request that could not be sent.
async fn run_client(
    shared: &Arc<Shared>,
    mailbox: &mpsc::Sender<Mail>,
    id: TransactionId,
    draft: Draft,
    way: Way,
) -> Result<(), &'static str> {
    let (to, via) = match way {
        Way::Like { to, via } => (to, via),
        Way::Resolve => match shared.resolver.resolve(&draft.next_hop).await {
            Ok(to) => (to, shared.via(to, &new_branch())),
            Err(_) => return Err(UNRESOLVABLE),
        },
    };
    if !shared.route(to).1.reaches(to) {
        tracing::info!(%to, "no SIP listener of ours can send there");
        return Err(UNREACHABLE);
    }
    let request = draft.to_request(&via, &shared.user_agent);
    let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Client) else {
        tracing::warn!(method = %draft.method, "the transaction layer does not read our own request");
        return Err(UNREADABLE);
    };
    let connection = shared.connections[shared.route(to).0].clone();
    let mut transaction = Transaction::new_client(key, request, shared.stack.clone(), Some(connection));
    transaction.destination = Some(udp(to));
    if mailbox.send(Mail::Sent { id, to, via }).await.is_err() || transaction.send().await.is_err() {
        return Err(UNREADABLE);
    }
    while let Some(SipMessage::Response(response)) = transaction.receive().await {
        // Those reach the agent straight from the front, repetitions and forks included.
        let success = response.status_code.kind() == StatusCodeKind::Successful;
        if success && draft.method == Method::Invite {
            continue;
        }
        if mailbox.send(Mail::Response(id, Box::new(response))).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Hands a new server transaction to its agent through a place that was reserved in the mailbox.
pub(crate) async fn start_server(mut transaction: Transaction, place: mpsc::OwnedPermit<Mail>) {
    let request = transaction.original.clone();
    if request.method == Method::Invite {
        let _ = transaction.send_trying().await;
    }
    let (key, responder) = (transaction.key.clone(), transaction.tu_sender.clone());
    let mailbox = place.send(Mail::Request(Box::new(ServerTransaction { request, key, responder })));
    tokio::spawn(run_server(transaction, mailbox));
}

async fn run_server(mut transaction: Transaction, mailbox: mpsc::Sender<Mail>) {
    let key = transaction.key.clone();
    loop {
        let message = tokio::select! {
            message = transaction.receive() => message,
            () = mailbox.closed() => return outlive(transaction).await,
        };
        let mail = match message {
            Some(SipMessage::Request(request)) if request.method == Method::Cancel => Mail::Cancelled(key.clone()),
            Some(SipMessage::Request(request)) => Mail::Acknowledged(key.clone(), Box::new(request)),
            Some(SipMessage::Response(_)) => continue,
            None => break,
        };
        if mailbox.send(mail).await.is_err() {
            return outlive(transaction).await;
        }
    }
    let _ = mailbox.send(Mail::ServerDone(key)).await;
}

/// The agent is gone: a request that it left unanswered gets a final response, and repetitions are still absorbed.
async fn outlive(mut transaction: Transaction) {
    let last = transaction.last_response.as_ref().map(|r| r.status_code.kind());
    if last.is_none_or(|kind| kind == StatusCodeKind::Provisional) {
        let gone = response(&transaction.original, (480, "Temporarily Unavailable"), &random_text(16), Vec::new(), "");
        let _ = transaction.tu_sender.send(TransactionEvent::Respond(gone));
    }
    while transaction.receive().await.is_some() {}
}
