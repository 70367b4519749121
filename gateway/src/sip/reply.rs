//! Answers that need no transaction (RFC 3261 section 8.2.7): the same request always gets the same answer, and nothing is kept.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;

use rsipstack::sip::Headers;

use super::message;
use super::via::Via;

/// What this side takes (RFC 3261 section 20.5).
pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY, MESSAGE";
/// The same for a phone that takes no texts.
pub(crate) const ALLOW_NO_MESSAGE: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, NOTIFY";
/// Kinds of bodies that are understood (RFC 3261 section 20.1).
pub(crate) const ACCEPT: &str = "application/sdp";
/// A small request may get an answer of this size; a larger one never gets more than it brought, so that nobody can use us to
/// multiply a flood.
const FREE_REPLY: usize = 512;

/// Makes stateless answers; its To tags cannot be guessed.
pub(crate) struct Replier {
    server: String,
    tags: RandomState,
}

impl Replier {
    pub(crate) fn new(server: &str) -> Replier {
        Replier { server: server.to_owned(), tags: RandomState::new() }
    }

    /// The answer's bytes and where they go; `None` if the request has not even what an answer must repeat.
    pub(crate) fn reply(
        &self,
        request: &Headers,
        from: SocketAddr,
        request_size: usize,
        (code, phrase): (u16, &str),
        extra: &[(&str, &str)],
    ) -> Option<(Vec<u8>, SocketAddr)> {
        let (vias, to) = echoed_vias(request, from)?;
        let to_line = message::text(request, "To").filter(|to| !to.is_empty())?;
        let call_id = message::text(request, "Call-ID").filter(|id| !id.is_empty())?;
        let from_line = message::text(request, "From").filter(|f| !f.is_empty())?;
        let cseq = message::text(request, "CSeq").filter(|c| !c.is_empty())?;
        let mut head = format!("SIP/2.0 {code} {phrase}\r\n");
        for via in &vias {
            head += &format!("Via: {via}\r\n");
        }
        head += &format!("From: {from_line}\r\nTo: {to_line}");
        if !to_line.to_ascii_lowercase().contains(";tag=") {
            let seed = (call_id, from_line, cseq, &vias[0]);
            head += &format!(";tag={:016x}", self.tags.hash_one(seed));
        }
        head += &format!("\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\n");
        let mut reply = head.clone();
        for (name, value) in extra.iter().copied().chain([("Server", self.server.as_str())]) {
            reply += &format!("{name}: {value}\r\n");
        }
        let end = "Content-Length: 0\r\n\r\n";
        if reply.len() + end.len() > request_size.max(FREE_REPLY) {
            reply = head;
        }
        reply += end;
        Some((reply.into_bytes(), to))
    }
}

/// The Vias to repeat, and where the answer goes. One whose parameters make no sense is repeated as it is and answered where it came
/// from; one that names no sender is not answered.
fn echoed_vias(request: &Headers, from: SocketAddr) -> Option<(Vec<String>, SocketAddr)> {
    let mut lines = message::all(request, "Via");
    let first = lines.next()?;
    let mut vias: Vec<String> = super::address::split_list(first)?.into_iter().map(str::to_owned).collect();
    let to = match vias.first().and_then(|top| Via::parse(top)) {
        Some(mut top) => {
            top.note_source(from);
            vias[0] = top.to_string();
            top.reply_address(from)
        }
        None => {
            Via::parse(first.split(';').next()?)?;
            vias = vec![first.to_owned()];
            from
        }
    };
    vias.extend(lines.map(str::to_owned));
    Some((vias, to))
}
