//! Between the sockets and the stack: each datagram is cleaned, judged and, where that needs no state, answered here.
//!
//! ```text
//! datagram -> keep-alive? -> Message::parse -> local domain -> request:  repetition, ACK, CANCEL -> transaction layer
//!                  |              |               |                      new -> refused here, or to its agent
//!               "\r\n"     400, 505, silence   consumed         response: transaction layer; 2xx to INVITE -> its agent too
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use rsipstack::sip::{Headers, Method, Request, SipMessage};
use rsipstack::transaction::Transaction;
use rsipstack::transaction::key::{TransactionKey, TransactionRole};
use tokio::sync::mpsc;

use super::address::SipUri;
use super::endpoint::Shared;
use super::filter::Verdict;
use super::limits::RETRY_AFTER;
use super::mail::Mail;
use super::message::{self, Fault, Message, Start};
use super::reply::{ACCEPT, ALLOW};
use super::transaction::{start_server, udp};
use super::via::Via;

/// Largest datagram that UDP can carry, and one octet to notice it.
const BUFFER: usize = 65_536;

/// Why a request makes no transaction: status, and headers that say more.
type Refusal = ((u16, &'static str), Vec<(&'static str, String)>);

/// Receives on one socket until its task ends.
pub(crate) async fn receive(shared: Arc<Shared>, at: usize) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match shared.sockets[at].receive.recv_from(&mut buffer).await {
            Ok((size, from)) => on_datagram(&shared, at, &buffer[..size], from).await,
            // An ICMP error of an earlier datagram; the socket lives.
            Err(error) => tracing::debug!(%error, "SIP receive"),
        }
    }
}

async fn on_datagram(shared: &Arc<Shared>, at: usize, datagram: &[u8], from: SocketAddr) {
    shared.counters.received.add();
    crate::logging::sip_message("<-", from, datagram);
    if datagram.iter().all(|b| matches!(b, b'\r' | b'\n' | 0 | b' ')) {
        // RFC 5626 section 3.5.1: a double CRLF is answered by a single one.
        if datagram == b"\r\n\r\n" {
            shared.sockets[at].send(b"\r\n", from);
        }
        return;
    }
    crate::logging::sip_message("<-", from, datagram);
    let message = match Message::parse(datagram, &shared.limits) {
        Ok(message) => message,
        Err(fault) => return on_fault(shared, at, fault, datagram.len(), from),
    };
    if let Some(filter) = &shared.filter
        && filter.inspect(&message.to_bytes(), from) == Verdict::Consumed
    {
        return;
    }
    match message.start {
        Start::Request { .. } => on_request(shared, at, message, datagram.len(), from).await,
        Start::Response { .. } => on_response(shared, at, message, from).await,
    }
}

fn on_fault(shared: &Shared, at: usize, fault: Fault, size: usize, from: SocketAddr) {
    let answered = match &fault {
        Fault::Drop(_) => None,
        Fault::Answer { code, phrase, headers } => shared.replier.reply(headers, from, size, (*code, phrase), &[]),
    };
    match (&fault, answered) {
        (Fault::Answer { code, phrase, .. }, Some((reply, to))) => {
            shared.counters.malformed_answered.add();
            tracing::debug!(%from, code, phrase, "malformed SIP request answered");
            shared.sockets[at].send(&reply, to);
        }
        (Fault::Drop(reason), _) => {
            shared.counters.malformed_dropped.add();
            tracing::debug!(%from, reason, "malformed SIP message dropped");
        }
        (Fault::Answer { phrase, .. }, None) => {
            shared.counters.malformed_dropped.add();
            tracing::debug!(%from, phrase, "malformed SIP request dropped: it cannot be answered");
        }
    }
}

async fn on_request(shared: &Arc<Shared>, at: usize, mut message: Message, size: usize, from: SocketAddr) {
    let to = note_source(&mut message.headers, from);
    let headers = message.headers.clone();
    let refuse = |(code, phrase): (u16, &str), extra: &[(&str, &str)]| {
        shared.counters.refused.add();
        if let Some((reply, to)) = shared.replier.reply(&headers, from, size, (code, phrase), extra) {
            shared.sockets[at].send(&reply, to);
        }
    };
    let uri = match &message.start {
        Start::Request { uri, .. } => uri.clone(),
        Start::Response { .. } => return,
    };
    let Some(request) = message.into_request() else {
        return refuse((501, "Not Implemented"), &[("Allow", ALLOW)]);
    };
    let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Server) else {
        // No From tag: an element of RFC 2543, or nonsense.
        return refuse((400, "Bad From"), &[]);
    };
    let stack = &shared.stack;
    let known = stack.transactions.contains_key(&key) || stack.finished_transactions.contains_key(&key);
    if known || matches!(request.method, Method::Ack | Method::Cancel) {
        let connection = shared.connections[at].clone();
        if let Err(error) = stack.on_received_message(SipMessage::Request(request), connection, &udp(from)).await {
            tracing::debug!(%from, %error, "transaction layer");
        }
        return;
    }
    if let Err((status, extra)) = judge(&request, &uri) {
        let extra: Vec<_> = extra.iter().map(|(name, value)| (*name, value.as_str())).collect();
        return refuse(status, &extra);
    }
    let (agent, missing) = match message::tag(&request.headers, "To") {
        Some(tag) => {
            (tag.split_once('-').and_then(|(stem, _)| shared.find(stem)), (481, "Call/Transaction Does Not Exist"))
        }
        None if request.method == Method::Options => {
            return refuse((200, "OK"), &[("Allow", ALLOW), ("Accept", ACCEPT)]);
        }
        None if !matches!(request.method, Method::Invite | Method::Message) => {
            return refuse((405, "Method Not Allowed"), &[("Allow", ALLOW)]);
        }
        None => (find_callee(shared, &uri, from), (404, "Not Found")),
    };
    let Some(agent) = agent else { return refuse(missing, &[]) };
    let place = (!shared.is_full()).then(|| agent.try_reserve_owned().ok()).flatten();
    let Some(place) = place else {
        shared.counters.overload.add();
        return refuse((503, "Service Unavailable"), &[("Retry-After", RETRY_AFTER)]);
    };
    let mut transaction = Transaction::new_server(key, request, stack.clone(), Some(shared.connections[at].clone()));
    transaction.destination = Some(udp(to));
    start_server(transaction, place).await;
}

/// Whose Contact the Request-URI is, or whom their registrar means by it.
fn find_callee(shared: &Shared, uri: &str, from: SocketAddr) -> Option<mpsc::Sender<Mail>> {
    let user = SipUri::parse(uri)?.user?;
    shared.find(&user).or_else(|| shared.callees.only(from.ip(), &user))
}

/// Notes the source in the top Via and says where the response goes.
fn note_source(headers: &mut Headers, from: SocketAddr) -> SocketAddr {
    for header in headers.iter_mut() {
        if let rsipstack::sip::Header::Via(via) = header
            && let Some(mut top) = Via::parse(via.value())
        {
            top.note_source(from);
            *header = rsipstack::sip::Header::Via(top.to_string().into());
            return top.reply_address(from);
        }
    }
    from
}

/// What can be told from the request alone (RFC 3261 section 8.2.1 to 8.2.3).
fn judge(request: &Request, uri: &str) -> Result<(), Refusal> {
    let headers = &request.headers;
    if SipUri::parse(uri).is_none() {
        let scheme = uri.split(':').next().unwrap_or_default();
        return Err(match scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            true => ((400, "Bad Request-URI"), Vec::new()),
            false => ((416, "Unsupported URI Scheme"), Vec::new()),
        });
    }
    let required: Vec<_> = message::all(headers, "Require")
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|o| !o.is_empty())
        .collect();
    if !required.is_empty() {
        return Err(((420, "Bad Extension"), vec![("Unsupported", required.join(", "))]));
    }
    if request.method == Method::Invite {
        if message::text(headers, "Contact").is_none() && !message::is_rfc2543(headers) {
            return Err(((400, "Missing Contact"), Vec::new()));
        }
        let kind = message::text(headers, "Content-Type")
            .map(|k| k.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
        if !request.body.is_empty() && kind.as_deref() != Some(ACCEPT) {
            return Err(((415, "Unsupported Media Type"), vec![("Accept", ACCEPT.to_owned())]));
        }
    }
    if message::text(headers, "Content-Encoding").is_some_and(|c| !c.eq_ignore_ascii_case("identity")) {
        return Err(((415, "Unsupported Media Type"), vec![("Accept-Encoding", "identity".to_owned())]));
    }
    Ok(())
}

async fn on_response(shared: &Arc<Shared>, at: usize, message: Message, from: SocketAddr) {
    let Some(response) = message.into_response() else {
        return shared.counters.malformed_dropped.add();
    };
    let Ok(key) = TransactionKey::from_response(&response, TransactionRole::Client) else {
        return shared.counters.malformed_dropped.add();
    };
    let code = response.status_code.code();
    let to_invite = message::cseq(&response.headers).is_some_and(|(_, method)| method == "INVITE");
    if to_invite && code >= 300 {
        // A repeated refusal gets its ACK again (RFC 3261 section 17.1.1.2). The stack would look up where to by the Request-URI.
        if let Some(Some(SipMessage::Request(ack))) = shared.stack.finished_transactions.get(&key) {
            return shared.sockets[at].send(&ack.to_bytes(), from);
        }
    }
    let agent = message::tag(&response.headers, "From").and_then(|tag| shared.find(tag.split_once('-')?.0));
    let success = (to_invite && (200..300).contains(&code)).then(|| Box::new(response.clone()));
    let connection = shared.connections[at].clone();
    if let Err(error) = shared.stack.on_received_message(SipMessage::Response(response), connection, &udp(from)).await {
        tracing::debug!(%from, %error, "transaction layer");
    }
    if let (Some(success), Some(agent)) = (success, agent)
        && agent.try_send(Mail::Success(success)).is_err()
    {
        shared.counters.overload.add();
    }
}
