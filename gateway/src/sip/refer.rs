//! Blind transfer as the one who asks for it (RFC 3515): REFER, and the NOTIFYs that tell how it goes.
//!
//! ```text
//! us                  peer                 target
//! |------ REFER ------>|
//! |<------ 202 --------|----- INVITE ------->|
//! |<- NOTIFY 100, 180 -|<------ 180 ---------|
//! |<--- NOTIFY 200 ----|<------ 200 ---------|
//! |------- BYE ------->|
//! ```
//!
//! The subscription that a REFER makes lives in the call's dialog and ends with it. There is one at a time.

use phone_agent::{CallHandle, SipEvent, SipStatus};
use rsipstack::sip::{Header, Method, Request, Response};

use super::agent::{Agent, Purpose, sip_status};
use super::call::Bye;
use super::mail::{ServerTransaction, TransactionId};
use super::message;
use super::request::response;
use super::transaction::Way;

impl Agent {
    pub(super) fn refer(&mut self, call: CallHandle, target: &str) {
        let refused = |status| SipEvent::ReferAnswered { call, status: sip_status(status), reports: false };
        let (contact, referred_by) = (self.names.contact.clone(), self.names.address.clone());
        let Some((refer_to, ..)) = self.read_target(target) else {
            return self.emit(refused((400, "Invalid destination")));
        };
        let up = self.up(call).filter(|up| up.bye == Bye::NotWanted);
        let Some(mut draft) = up.and_then(|up| up.dialog.request(Method::Refer, Some(&contact))) else {
            return self.emit(refused((481, "Call Does Not Exist")));
        };
        // Referred-By: RFC 3892. Many exchanges ask for it.
        draft.extra = vec![("Refer-To", refer_to), ("Referred-By", referred_by)];
        let cseq = draft.cseq;
        self.send(Purpose::Refer(call), draft, Way::Resolve);
        self.on_refer_sent(call, cseq);
    }

    /// The reports may name the REFER by its number (RFC 3515 section 2.4.6).
    pub(super) fn on_refer_sent(&mut self, call: CallHandle, cseq: u32) {
        if let Some(up) = self.up(call) {
            up.refer = Some(cseq);
        }
    }

    pub(super) fn on_refer_response(
        &mut self,
        id: TransactionId,
        call: CallHandle,
        answer: &Response,
        status: SipStatus,
    ) {
        self.pending.remove(&id);
        // RFC 4488 section 4.
        let silent = message::text(&answer.headers, "Refer-Sub")
            .is_some_and(|value| value.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("false"));
        self.on_refer_done(call, status, !silent);
    }

    pub(super) fn on_refer_done(&mut self, call: CallHandle, status: SipStatus, reports: bool) {
        let reports = reports && (200..300).contains(&status.code);
        let Some(up) = self.up(call).filter(|up| up.bye == Bye::NotWanted) else { return };
        if !reports {
            up.refer = None;
        }
        self.emit(SipEvent::ReferAnswered { call, status, reports });
    }

    pub(super) fn on_notify(&mut self, call: CallHandle, server: &ServerTransaction) {
        let refuse = |status| server.respond(response(&server.request, status, "", Vec::new(), ""));
        let open = self.up(call).filter(|up| up.bye == Bye::NotWanted).and_then(|up| up.refer);
        let Some(event) = message::text(&server.request.headers, "Event") else {
            return refuse((489, "Bad Event"));
        };
        match (is_of_refer(event, open), open) {
            (None, _) => {
                let extra = vec![Header::Other("Allow-Events".into(), "refer".into())];
                return server.respond(response(&server.request, (489, "Bad Event"), "", extra, ""));
            }
            (Some(true), Some(_)) => {}
            _ => return refuse((481, "Subscription Does Not Exist")),
        }
        let Report { status, last } = report(&server.request);
        refuse((200, "OK"));
        if last && let Some(up) = self.up(call) {
            up.refer = None;
        }
        self.emit(SipEvent::ReferProgress { call, status, last });
    }
}

/// Whether the event is that of the REFER with this number; `None` for another package.
fn is_of_refer(event: &str, open: Option<u32>) -> Option<bool> {
    let mut parts = event.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case("refer") {
        return None;
    }
    let id = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("id"));
    // A REFER that was sent again with credentials has another number than the peer's subscription may have.
    Some(id.is_none_or(|(_, id)| id.trim().parse().is_ok_and(|id: u32| open.is_some_and(|open| id <= open))))
}

struct Report {
    status: SipStatus,
    last: bool,
}

/// Status line and subscription state. Without a status line (RFC 3515 section 2.4.5 wants one) nothing is known but that state.
fn report(notify: &Request) -> Report {
    let status = sipfrag_status(&notify.body).unwrap_or_else(|| sip_status((100, "Trying")));
    let state = message::text(&notify.headers, "Subscription-State").unwrap_or_default();
    let ended = state.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("terminated");
    Report { last: ended || status.code >= 200, status }
}

/// The status line of a `message/sipfrag` body (RFC 3420).
fn sipfrag_status(body: &[u8]) -> Option<SipStatus> {
    let text = String::from_utf8_lossy(body);
    let line = text.lines().find(|line| !line.trim().is_empty())?.trim();
    let rest =
        line.get(..8).filter(|version| version.eq_ignore_ascii_case("SIP/2.0 ")).map(|_| line[8..].trim_start())?;
    let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = (code.len() == 3).then(|| code.parse::<u16>().ok())??;
    let phrase = phrase.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned();
    (100..700).contains(&code).then_some(SipStatus { code, phrase })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sipfrag_is_read_down_to_its_status() {
        let read = |text: &str| sipfrag_status(text.as_bytes()).map(|status| status.to_string());
        assert_eq!(read("SIP/2.0 180 Ringing\r\n").as_deref(), Some("180 Ringing"));
        assert_eq!(read("\r\nsip/2.0 486 Busy\tHere\r\nContact: <sip:a@b>\r\n").as_deref(), Some("486 BusyHere"));
        assert_eq!(read("SIP/2.0 200").as_deref(), Some("200 "));
        for wrong in ["", "INVITE sip:a@b SIP/2.0", "SIP/2.0 99 x", "SIP/2.0 700 x", "SIP/2.0", "SIP/2.0 2000 x", "é"]
        {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_report_is_of_the_open_refer_if_it_names_none_or_that() {
        assert_eq!(is_of_refer("refer", Some(5)), Some(true));
        assert_eq!(is_of_refer("Refer ; id=5", Some(5)), Some(true));
        assert_eq!(is_of_refer("refer;id=4", Some(5)), Some(true), "before it was sent again");
        assert_eq!(is_of_refer("refer;id=6", Some(5)), Some(false));
        assert_eq!(is_of_refer("refer;id=x", Some(5)), Some(false));
        assert_eq!(is_of_refer("message-summary", Some(5)), None);
    }
}
