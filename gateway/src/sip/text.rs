//! Text messages (RFC 3428), in both directions, in a call's dialog and outside of any.

use phone_agent::{CallHandle, MessageHandle, MessageTarget, SipEvent, SipStatus};
use rsipstack::sip::{Header, Headers, Method};

use super::agent::{Agent, Purpose, sip_status};
use super::call::Bye;
use super::incoming::caller;
use super::limits::RETRY_AFTER;
use super::mail::ServerTransaction;
use super::message;
use super::reply::ALLOW_NO_MESSAGE;
use super::request::{Draft, TEXT, response};
use super::transaction::Way;

/// Messages that wait for the user agent's answer, which it gives at once: more of them come from a flood.
const WAITING: usize = 32;

impl Agent {
    pub(super) fn send_message(&mut self, message: MessageHandle, target: MessageTarget, text: String) {
        let (call, draft) = match target {
            MessageTarget::Address(target) => (None, self.draft(Method::Message, &target)),
            MessageTarget::Call(call) => {
                let up = self.up(call).filter(|up| up.bye == Bye::NotWanted);
                (Some(call), up.and_then(|up| up.dialog.request(Method::Message, None)))
            }
        };
        let Some(draft) = draft else {
            let status = if call.is_some() { (481, "Call Does Not Exist") } else { (400, "Invalid destination") };
            return self.emit(SipEvent::MessageDone { message, status: sip_status(status) });
        };
        self.send(Purpose::Message { message, call }, Draft { body: text, ..draft }, Way::Resolve);
    }

    /// A MESSAGE for this agent. What becomes of it is the user agent's decision, if it can be read at all.
    pub(super) fn on_message(&mut self, server: ServerTransaction, call: Option<CallHandle>) {
        let request = &server.request;
        let tag = self.names.new_tag();
        let refuse = |status, extra| server.respond(response(request, status, &tag, extra, ""));
        if self.leaving || (call.is_none() && !self.is_reachable()) {
            return refuse((480, "Temporarily Unavailable"), Vec::new());
        }
        if self.waiting.len() >= WAITING {
            return refuse((503, "Service Unavailable"), vec![Header::RetryAfter(RETRY_AFTER.into())]);
        }
        let Some(text) = read_text(&request.headers, &request.body) else {
            return refuse((415, "Unsupported Media Type"), vec![Header::Accept(TEXT.into())]);
        };
        let from = caller(&request.headers);
        self.next_message += 1;
        let message = MessageHandle(self.next_message);
        self.waiting.insert(message, server);
        self.emit(SipEvent::MessageReceived { message, call, from, text });
    }

    pub(super) fn answer_message(&mut self, message: MessageHandle, status: &SipStatus) {
        let Some(server) = self.waiting.remove(&message) else { return };
        let code = if (200..700).contains(&status.code) { status.code } else { 500 };
        let extra = match code {
            405 => vec![Header::Allow(ALLOW_NO_MESSAGE.into())],
            503 => vec![Header::RetryAfter("1".into())],
            _ => Vec::new(),
        };
        let phrase: String = status.phrase.chars().filter(|c| !c.is_control()).collect();
        server.respond(response(&server.request, (code, &phrase), &self.names.new_tag(), extra, ""));
    }
}

/// The text of a MESSAGE; `None` if it is of another kind. A body that says nothing of its kind is taken for text.
fn read_text(headers: &Headers, body: &[u8]) -> Option<String> {
    let kind = message::text(headers, "Content-Type").unwrap_or(TEXT);
    let mut parts = kind.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(TEXT) {
        return None;
    }
    let charset =
        parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let charset = charset.map_or("utf-8", |(_, value)| value.trim().trim_matches('"')).to_ascii_lowercase();
    match (charset.as_str(), std::str::from_utf8(body)) {
        ("utf-8" | "us-ascii", Ok(text)) => Some(text.to_owned()),
        // Those who say nothing, or wrong, mean Latin-1.
        ("utf-8" | "us-ascii" | "iso-8859-1", _) => Some(body.iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &[u8]) -> Option<String> {
        read_text(&vec![Header::ContentType(kind.into())].into(), body)
    }

    #[test]
    fn texts_are_read_in_the_usual_character_sets_and_nothing_else_is() {
        assert_eq!(read("text/plain", "grüß".as_bytes()).as_deref(), Some("grüß"));
        assert_eq!(read("Text/Plain; charset=\"UTF-8\"", "grüß".as_bytes()).as_deref(), Some("grüß"));
        assert_eq!(read("text/plain;charset=ISO-8859-1", b"gr\xfc\xdf").as_deref(), Some("grüß"));
        assert_eq!(read("text/plain", b"gr\xfc\xdf").as_deref(), Some("grüß"));
        assert_eq!(read_text(&Headers::default(), b"hi\r\nyou").as_deref(), Some("hi\r\nyou"));
        for kind in ["text/html", "message/cpim", "application/im-iscomposing+xml", "text/plain;charset=koi8-r", ""] {
            assert_eq!(read(kind, b"x"), None, "{kind}");
        }
    }
}
