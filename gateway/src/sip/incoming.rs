//! Requests from the network (RFC 3261 sections 8.2, 12.2.2, 13.3, 15.1.2): calls that come in, and what happens inside a dialog.

use phone_agent::{CallHandle, SipEvent};
use rsipstack::sip::{Header, Headers, Method, Request};
use rsipstack::transaction::key::TransactionKey;

use super::address::NameAddr;
use super::agent::{Agent, Purpose};
use super::call::{Bye, Call, Ringing, Unacknowledged, Up};
use super::dialog::Dialog;
use super::limits::RETRY_AFTER;
use super::mail::ServerTransaction;
use super::message;
use super::reply::{ACCEPT, ALLOW};
use super::request::{response, sdp};
use super::transaction::Way;

/// Record-Route of the request: the response repeats it, so that both sides have the same route (RFC 3261 section 12.1.1).
fn record_routes(request: &Headers) -> Vec<Header> {
    request.iter().filter(|h| matches!(h, Header::RecordRoute(_))).cloned().collect()
}

fn allow() -> Vec<Header> {
    vec![Header::Allow(ALLOW.into())]
}

/// From as a phone is shown it.
pub(super) fn caller(request: &Headers) -> String {
    let from = message::text(request, "From").and_then(NameAddr::parse);
    let from = from.map_or_else(String::new, |from| match from.display.is_empty() {
        true => from.uri,
        false => from.without_params(),
    });
    from.chars().filter(|c| !c.is_control()).collect()
}

impl Agent {
    pub(super) fn on_request(&mut self, server: ServerTransaction) {
        match message::tag(&server.request.headers, "To") {
            Some(local) => self.on_request_in_dialog(server, &local),
            None if server.request.method == Method::Message => self.on_message(server, None),
            None => self.on_invite(server),
        }
    }

    fn on_invite(&mut self, server: ServerTransaction) {
        let tag = self.names.new_tag();
        let refuse = |status: (u16, &str)| server.respond(response(&server.request, status, &tag, Vec::new(), ""));
        if self.leaving || !self.is_reachable() {
            return refuse((480, "Temporarily Unavailable"));
        }
        let Some(dialog) = Dialog::of_callee(&server.request, &tag) else {
            return refuse((400, "Bad Contact"));
        };
        // The same request by another path (RFC 3261 section 8.2.2.2).
        let merged = |d: &Dialog| {
            (&d.call_id, &d.remote_tag, d.remote_cseq) == (&dialog.call_id, &dialog.remote_tag, dialog.remote_cseq)
        };
        if self.calls.values().filter_map(Call::dialog).any(merged) {
            return refuse((482, "Loop Detected"));
        }
        if !self.has_room() {
            return refuse((486, "Busy Here"));
        }
        self.next_call += 2;
        let call = CallHandle(self.next_call);
        let offer = sdp(&server.request.headers, &server.request.body);
        let from = caller(&server.request.headers);
        self.calls.insert(call, Call::Ringing(Box::new(Ringing { server, dialog, offered: offer.is_some() })));
        self.emit(SipEvent::Incoming { call, from, sdp: offer });
    }

    fn on_request_in_dialog(&mut self, server: ServerTransaction, local: &str) {
        let headers = &server.request.headers;
        let remote = message::tag(headers, "From").unwrap_or_default();
        let call_id = message::text(headers, "Call-ID").unwrap_or_default();
        let mine = |d: &Dialog| d.call_id == call_id && d.local_tag == local && d.remote_tag == remote;
        let found = self.calls.iter().find(|(_, call)| call.dialog().is_some_and(mine)).map(|(handle, _)| *handle);
        let respond = |status, extra| server.respond(response(&server.request, status, local, extra, ""));
        let Some(call) = found else {
            return respond((481, "Call/Transaction Does Not Exist"), Vec::new());
        };
        let number = message::cseq(headers).map(|(number, _)| number);
        let dialog = match self.calls.get_mut(&call) {
            Some(Call::Up(up)) => &mut up.dialog,
            Some(Call::Ringing(ringing)) => &mut ringing.dialog,
            _ => return,
        };
        if number <= dialog.remote_cseq {
            // Out of order (RFC 3261 section 12.2.2).
            return respond((500, "CSeq Out Of Order"), Vec::new());
        }
        dialog.remote_cseq = number;
        match server.request.method {
            Method::Bye => {
                respond((200, "OK"), Vec::new());
                self.on_bye(call);
            }
            Method::Invite => self.on_reinvite(call, server),
            Method::Options => respond((200, "OK"), [allow(), vec![Header::Accept(ACCEPT.into())]].concat()),
            Method::Message => self.on_message(server, Some(call)),
            Method::Info => self.on_info(call, &server),
            Method::Notify => self.on_notify(call, &server),
            _ => respond((405, "Method Not Allowed"), allow()),
        }
    }

    fn on_bye(&mut self, call: CallHandle) {
        match self.calls.remove(&call) {
            Some(Call::Up(mut up)) => {
                self.let_go(&mut up);
                let told = up.bye == Bye::NotWanted;
                // Our own BYE crossed theirs: its answer (200 or 481) still ends the call for the phone.
                match told {
                    true => self.emit(SipEvent::Byed { call }),
                    false if up.bye == Bye::Wanted => self.emit(SipEvent::Ended { call }),
                    false => drop(self.calls.insert(call, Call::Up(up))),
                }
            }
            Some(Call::Ringing(ringing)) => {
                self.finish_ringing(&ringing, (487, "Request Terminated"));
                self.emit(SipEvent::Cancelled { call });
            }
            Some(other) => drop(self.calls.insert(call, other)),
            None => {}
        }
    }

    /// Ends what is half done in a call that is over.
    pub(super) fn let_go(&mut self, up: &mut Up) {
        if let Some((server, _)) = up.peer_reinvite.take() {
            server.respond(response(
                &server.request,
                (487, "Request Terminated"),
                &up.dialog.local_tag,
                Vec::new(),
                "",
            ));
        }
        if let Some(unacknowledged) = up.unacknowledged.take() {
            unacknowledged.abandon();
        }
    }

    fn finish_ringing(&self, ringing: &Ringing, status: (u16, &str)) {
        let extra = if status.0 == 503 { vec![Header::RetryAfter(RETRY_AFTER.into())] } else { Vec::new() };
        ringing.server.respond(response(&ringing.server.request, status, &ringing.dialog.local_tag, extra, ""));
    }

    pub(super) fn on_cancelled(&mut self, key: &TransactionKey) {
        let ringing =
            self.calls.iter().find(|(_, c)| matches!(c, Call::Ringing(r) if r.server.key == *key)).map(|(h, _)| *h);
        if let Some(call) = ringing
            && let Some(Call::Ringing(ringing)) = self.calls.remove(&call)
        {
            self.finish_ringing(&ringing, (487, "Request Terminated"));
            return self.emit(SipEvent::Cancelled { call });
        }
        for call in self.calls.values_mut() {
            let Call::Up(up) = call else { continue };
            // A cancelled re-INVITE leaves the call as it was.
            if let Some((server, _)) = up.peer_reinvite.take_if(|(server, _)| server.key == *key) {
                server.respond(response(
                    &server.request,
                    (487, "Request Terminated"),
                    &up.dialog.local_tag,
                    Vec::new(),
                    "",
                ));
            }
        }
    }

    pub(super) fn ring(&mut self, call: CallHandle) {
        if let Some(Call::Ringing(ringing)) = self.calls.get(&call) {
            let request = &ringing.server.request;
            let mut extra = record_routes(&request.headers);
            extra.push(Header::Contact(self.names.contact.as_str().into()));
            ringing.server.respond(response(request, (180, "Ringing"), &ringing.dialog.local_tag, extra, ""));
        }
    }

    pub(super) fn refuse(&mut self, call: CallHandle, (code, phrase): (u16, &str)) {
        let Some(Call::Ringing(ringing)) = self.calls.get(&call) else { return };
        let clean: String = phrase.chars().filter(|c| !c.is_control()).collect();
        let code = if (300..700).contains(&code) { code } else { 603 };
        self.finish_ringing(ringing, (code, &clean));
        self.calls.remove(&call);
    }

    pub(super) fn answer(&mut self, call: CallHandle, sdp: &str) {
        let ringing = match self.calls.remove(&call) {
            Some(Call::Ringing(ringing)) => *ringing,
            Some(other) => return drop(self.calls.insert(call, other)),
            None => return,
        };
        let Ringing { server, dialog, offered } = ringing;
        self.accept(&server, &dialog, sdp);
        let unacknowledged = Some(Unacknowledged { server, first: true, we_offered: !offered });
        let up = Up {
            dialog,
            ack: None,
            unacknowledged,
            own_reinvite: None,
            peer_reinvite: None,
            refer: None,
            bye: Bye::NotWanted,
        };
        self.calls.insert(call, Call::Up(Box::new(up)));
    }

    /// 200 to an INVITE or re-INVITE (RFC 3261 section 13.3.1.4); the stack repeats it until the ACK.
    pub(super) fn accept(&self, server: &ServerTransaction, dialog: &Dialog, sdp: &str) {
        let mut extra = record_routes(&server.request.headers);
        extra.push(Header::Contact(self.names.contact.as_str().into()));
        extra.extend(allow());
        extra.push(Header::Server(self.shared.user_agent.as_str().into()));
        server.respond(response(&server.request, (200, "OK"), &dialog.local_tag, extra, sdp));
    }

    pub(super) fn on_acknowledged(&mut self, key: &TransactionKey, ack: &Request) {
        let found = self.calls.iter_mut().find_map(|(handle, call)| match call {
            Call::Up(up) => up.unacknowledged.take_if(|u| u.server.key == *key).map(|u| (*handle, u, up.bye)),
            _ => None,
        });
        let Some((call, unacknowledged, bye)) = found else { return };
        if unacknowledged.first || unacknowledged.we_offered {
            self.emit(SipEvent::Acknowledged { call, sdp: sdp(&ack.headers, &ack.body) });
        }
        if bye == Bye::Wanted {
            self.send_bye(call);
        }
    }

    /// A server transaction ended. If its 2xx was never acknowledged, the call ends too (RFC 3261 section 13.3.1.4).
    pub(super) fn on_server_done(&mut self, key: &TransactionKey) {
        let unacknowledged = |call: &Call| matches!(call, Call::Up(up) if up.unacknowledged.as_ref().is_some_and(|u| u.server.key == *key));
        let Some(call) = self.calls.iter().find(|(_, call)| unacknowledged(call)).map(|(handle, _)| *handle) else {
            return;
        };
        let Some(Call::Up(mut up)) = self.calls.remove(&call) else { return };
        up.unacknowledged = None;
        self.let_go(&mut up);
        if let Some(bye) = up.dialog.request(Method::Bye, None) {
            self.send(Purpose::Bye(None), bye, Way::Resolve);
        }
        match up.bye {
            Bye::NotWanted => self.emit(SipEvent::AckMissing { call }),
            _ => self.emit(SipEvent::Ended { call }),
        }
    }
}
