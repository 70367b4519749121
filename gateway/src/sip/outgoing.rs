//! Calls that we make (RFC 3261 sections 9.1, 13.2): INVITE, its progress, CANCEL, and every 2xx that comes of it.

use phone_agent::{CallHandle, SipEvent, SipStatus};
use rsipstack::sip::{Method, Response};
use rsipstack::transaction::random_text;
use tokio::time::Instant;

use super::address::{NameAddr, SipUri};
use super::agent::{Agent, NO_ANSWER, Purpose, sip_status};
use super::call::{Bye, Call, Calling, Cancel, SentAck, Up};
use super::dialog::Dialog;
use super::mail::TransactionId;
use super::message;
use super::request::{Draft, sdp};
use super::transaction::{Way, new_branch};

/// What a cancelled call ends with, however the far end put it.
const CANCELLED: (u16, &str) = (487, "Request Terminated");

/// Answers to nothing that are being ended at once: a peer that makes them up could aim our ACKs and BYEs at others.
const STRAYS: usize = 16;

impl Agent {
    pub(super) fn invite(&mut self, call: CallHandle, target: &str, sdp: String) {
        if self.calls.contains_key(&call) {
            return;
        }
        if !self.has_room() {
            return self.emit(SipEvent::Failed { call, status: sip_status((486, "Too many calls")) });
        }
        let Some(draft) = self.draft(Method::Invite, target) else {
            return self.emit(SipEvent::Failed { call, status: sip_status((400, "Invalid destination")) });
        };
        let draft = Draft { contact: Some(self.names.contact.clone()), body: sdp, ..draft };
        let call_id = draft.call_id.clone();
        let local_tag = draft.from.rsplit_once(";tag=").map_or_else(String::new, |(_, tag)| tag.to_owned());
        let id = self.send(Purpose::Invite(call), draft, Way::Resolve);
        let calling =
            Calling { id, call_id, local_tag, cseq: 1, cancel: Cancel::NotWanted, provisional: false, give_up: None };
        self.calls.insert(call, Call::Calling(calling));
    }

    /// A request outside of any dialog (RFC 3261 section 8.1.1), without body and Contact.
    pub(super) fn draft(&self, method: Method, target: &str) -> Option<Draft> {
        let (to, uri, next_hop) = self.read_target(target)?;
        let (routes, next_hop) = self.way_out(&next_hop);
        Some(Draft {
            method,
            uri,
            from: format!("{};tag={}", self.names.address, self.names.new_tag()),
            to,
            call_id: random_text(24),
            cseq: 1,
            routes,
            next_hop,
            contact: None,
            extra: Vec::new(),
            body: String::new(),
            credentials: None,
            answered: 0,
        })
    }

    /// To, Request-URI and where to send: a telephone number goes to the account's own domain.
    pub(super) fn read_target(&self, target: &str) -> Option<(String, String, SipUri)> {
        let target = target.trim();
        let address = match target.contains('<') {
            true => NameAddr::parse(target)?,
            false => NameAddr { display: String::new(), uri: target.to_owned(), params: Vec::new() },
        };
        let uri = match address.uri.split_once(':') {
            Some((scheme, number)) if scheme.eq_ignore_ascii_case("tel") => {
                let number = number.split(';').next().unwrap_or_default();
                format!("sip:{number}@{};user=phone", self.names.domain.host_port())
            }
            // Header fields in a URI are not sent on (RFC 3261 section 19.1.5 leaves them to the caller).
            _ => address.uri.split('?').next().unwrap_or_default().to_owned(),
        };
        let parsed = SipUri::parse(&uri)?;
        let to = NameAddr { uri: uri.clone(), ..address };
        Some((to.without_params(), uri, parsed))
    }

    pub(super) fn on_progress(&mut self, call: CallHandle, response: &Response) {
        let Some(Call::Calling(calling)) = self.calls.get_mut(&call) else { return };
        calling.provisional = true;
        let (cancel, code) = (calling.cancel, response.status_code.code());
        match cancel {
            Cancel::Wanted => self.send_cancel(call),
            Cancel::NotWanted if code > 100 => {
                let status = SipStatus { code, phrase: message::phrase(response) };
                self.emit(SipEvent::Progress { call, status, sdp: sdp(&response.headers, &response.body) });
            }
            _ => {}
        }
    }

    pub(super) fn cancel(&mut self, call: CallHandle) {
        let Some(Call::Calling(calling)) = self.calls.get_mut(&call) else { return };
        if calling.cancel != Cancel::NotWanted {
            return;
        }
        calling.cancel = Cancel::Wanted;
        if calling.provisional {
            self.send_cancel(call);
        }
    }

    fn send_cancel(&mut self, call: CallHandle) {
        let Some(Call::Calling(calling)) = self.calls.get_mut(&call) else { return };
        let Some(pending) = self.pending.get(&calling.id) else { return };
        let Some((to, via)) = pending.sent.clone() else { return };
        calling.cancel = Cancel::Sent;
        // RFC 3261 section 9.1: no final response within 64*T1, and the call is taken for cancelled.
        calling.give_up = Some(Instant::now() + self.shared.patience());
        let cancel = pending.draft.cancel();
        self.send(Purpose::Cancel, cancel, Way::Like { to, via });
    }

    pub(super) fn on_invite_failed(&mut self, call: CallHandle, id: TransactionId, status: SipStatus) {
        let ours = |c: &Call| matches!(c, Call::Calling(calling) if calling.id == id);
        if self.calls.get(&call).is_some_and(ours) {
            self.calls.remove(&call);
            self.emit(SipEvent::Failed { call, status });
        }
    }

    pub(super) fn may_invite_again(&self, call: CallHandle) -> bool {
        matches!(self.calls.get(&call), Some(Call::Calling(calling)) if calling.cancel == Cancel::NotWanted)
    }

    pub(super) fn on_invite_sent_again(&mut self, call: CallHandle, id: TransactionId, cseq: u32) {
        if let Some(Call::Calling(calling)) = self.calls.get_mut(&call) {
            (calling.id, calling.cseq, calling.provisional) = (id, cseq, false);
        }
    }

    /// The transaction has seen its 2xx, and we not yet.
    pub(super) fn wait_for_success(&mut self, call: CallHandle, id: TransactionId) {
        let end = Instant::now() + self.shared.patience();
        match self.calls.get_mut(&call) {
            Some(Call::Calling(calling)) if calling.id == id => calling.give_up = Some(end),
            Some(Call::Up(up)) => match &mut up.own_reinvite {
                Some(own) if own.id == id => own.give_up = Some(end),
                _ => drop(self.pending.remove(&id)),
            },
            _ => drop(self.pending.remove(&id)),
        }
    }

    /// A final response is no longer expected.
    pub(super) fn give_up(&mut self, call: CallHandle) {
        let id = match self.calls.get(&call) {
            Some(Call::Calling(calling)) => calling.id,
            Some(Call::Up(up)) => match &up.own_reinvite {
                Some(own) => own.id,
                None => return,
            },
            _ => return,
        };
        self.end_transaction(id);
        self.on_failure(id, sip_status(NO_ANSWER));
    }

    /// Lets go of a client transaction in the stack, which would wait for ever after a provisional response.
    fn end_transaction(&mut self, id: TransactionId) {
        use rsipstack::transaction::key::{TransactionKey, TransactionRole};
        use rsipstack::transaction::transaction::TransactionEvent;
        let Some(pending) = self.pending.get(&id) else { return };
        let Some((_, via)) = &pending.sent else { return };
        let request = pending.draft.to_request(via, &self.shared.user_agent);
        if let Ok(key) = TransactionKey::from_request(&request, TransactionRole::Client)
            && let Some(transaction) = self.shared.stack.transactions.get(&key)
        {
            let _ = transaction.send(TransactionEvent::Terminate(key));
        }
    }

    /// A 2xx to an INVITE: the answer, a repetition of it, or another branch of a forked call (RFC 3261 section 13.2.2.4).
    pub(super) fn on_success(&mut self, response: &Response) {
        let headers = &response.headers;
        let (Some(call_id), Some(tag), Some((cseq, _))) =
            (message::text(headers, "Call-ID"), message::tag(headers, "From"), message::cseq(headers))
        else {
            return;
        };
        let remote = message::tag(headers, "To").unwrap_or_default();
        let found = self.calls.iter().find_map(|(handle, call)| {
            let mine = match call {
                Call::Calling(calling) => {
                    calling.call_id == call_id && calling.local_tag == tag && calling.cseq == cseq
                }
                Call::Up(up) => {
                    up.dialog.call_id == call_id && up.dialog.local_tag == tag && up.dialog.remote_tag == remote
                }
                Call::Ringing(_) => false,
            };
            mine.then_some(*handle)
        });
        match found.map(|handle| (handle, self.calls.get(&handle))) {
            Some((call, Some(Call::Calling(_)))) => self.on_answered(call, response),
            Some((call, Some(Call::Up(_)))) => self.on_success_in_dialog(call, cseq, response),
            _ => self.end_stray(response),
        }
    }

    fn on_answered(&mut self, call: CallHandle, response: &Response) {
        let Some(Call::Calling(calling)) = self.calls.remove(&call) else { return };
        let credentials = self.pending.remove(&calling.id).and_then(|p| p.draft.credentials);
        let Some(dialog) = Dialog::of_caller(response) else {
            // Nobody to send an ACK to: the far end will give up.
            return self.emit(SipEvent::Failed { call, status: sip_status((500, "Answer without a usable Contact")) });
        };
        let mut up = Up {
            dialog,
            ack: None,
            unacknowledged: None,
            own_reinvite: None,
            peer_reinvite: None,
            refer: None,
            bye: Bye::NotWanted,
        };
        self.acknowledge(&mut up, calling.cseq, credentials);
        if calling.cancel != Cancel::NotWanted || self.leaving {
            // The 2xx crossed the CANCEL: the call exists, so it is ended properly (RFC 3261 section 9.1).
            if let Some(bye) = up.dialog.request(Method::Bye, None) {
                self.send(Purpose::Bye(None), bye, Way::Resolve);
            }
            return self.emit(SipEvent::Failed { call, status: sip_status(CANCELLED) });
        }
        self.calls.insert(call, Call::Up(Box::new(up)));
        self.emit(SipEvent::Answered { call, sdp: sdp(&response.headers, &response.body) });
    }

    pub(super) fn acknowledge(&mut self, up: &mut Up, cseq: u32, credentials: Option<super::digest::Answer>) {
        let Some(mut draft) = up.dialog.ack(cseq) else { return };
        draft.credentials = credentials;
        let branch = new_branch();
        self.shared.send_ack(&draft, &branch);
        up.ack = Some(SentAck { cseq, draft, branch });
    }

    /// A 2xx that belongs to no call of ours: a forked branch that lost, or one that came after the end. ACK, then BYE.
    fn end_stray(&mut self, response: &Response) {
        let Some(mut dialog) = Dialog::of_caller(response) else { return };
        if self.pending.values().filter(|p| p.purpose == Purpose::Bye(None)).count() >= STRAYS {
            return;
        }
        if let Some(ack) = dialog.ack(dialog.local_cseq) {
            self.shared.send_ack(&ack, &new_branch());
        }
        let same = |d: &Draft| d.call_id == dialog.call_id && d.to.ends_with(&format!(";tag={}", dialog.remote_tag));
        let ending = self.pending.values().any(|p| matches!(p.purpose, Purpose::Bye(_)) && same(&p.draft));
        if ending {
            return;
        }
        if let Some(bye) = dialog.request(Method::Bye, None) {
            self.send(Purpose::Bye(None), bye, Way::Resolve);
        }
    }
}
