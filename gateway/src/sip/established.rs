//! Inside a call: re-INVITE in both roles (RFC 3261 section 14), hanging up (section 15).

use phone_agent::{CallHandle, SipEvent, SipStatus};
use rsipstack::sip::{Header, Method, Response};

use super::agent::{Agent, Purpose, sip_status};
use super::call::{Bye, Call, OwnReinvite, Unacknowledged, Up};
use super::mail::{ServerTransaction, TransactionId};
use super::request::{response, sdp};
use super::transaction::Way;

impl Agent {
    pub(super) fn up(&mut self, call: CallHandle) -> Option<&mut Up> {
        match self.calls.get_mut(&call) {
            Some(Call::Up(up)) => Some(up),
            _ => None,
        }
    }

    pub(super) fn reinvite(&mut self, call: CallHandle, sdp: String) {
        let contact = self.names.contact.clone();
        let Some(up) = self.up(call) else { return };
        if up.own_reinvite.is_some() || up.peer_reinvite.is_some() || up.bye != Bye::NotWanted {
            // Another one is under way (RFC 3261 section 14.1): the same answer that a crossing peer would give.
            return self.emit(SipEvent::ReinviteFailed { call, status: sip_status((491, "Request Pending")) });
        }
        let Some(mut draft) = up.dialog.request(Method::Invite, Some(&contact)) else { return };
        draft.body = sdp;
        let cseq = draft.cseq;
        let id = self.send(Purpose::Reinvite(call), draft, Way::Resolve);
        if let Some(up) = self.up(call) {
            up.own_reinvite = Some(OwnReinvite { id, cseq, give_up: None });
        }
    }

    pub(super) fn next_dialog_cseq(&mut self, call: CallHandle) -> Option<u32> {
        let up = self.up(call)?;
        up.dialog.local_cseq += 1;
        Some(up.dialog.local_cseq)
    }

    pub(super) fn on_reinvite_sent_again(&mut self, call: CallHandle, id: TransactionId, cseq: u32) {
        if let Some(own) = self.up(call).and_then(|up| up.own_reinvite.as_mut()) {
            *own = OwnReinvite { id, cseq, give_up: None };
        }
    }

    pub(super) fn on_reinvite_failed(&mut self, call: CallHandle, status: SipStatus) {
        if let Some(up) = self.up(call)
            && up.own_reinvite.take().is_some()
            && up.bye == Bye::NotWanted
        {
            self.emit(SipEvent::ReinviteFailed { call, status });
        }
    }

    /// A 2xx in a dialog that is up: the answer to our re-INVITE, or a repetition.
    pub(super) fn on_success_in_dialog(&mut self, call: CallHandle, cseq: u32, response: &Response) {
        let Some(Call::Up(mut up)) = self.calls.remove(&call) else { return };
        if let Some(ack) = up.ack.as_ref().filter(|ack| ack.cseq == cseq) {
            self.shared.send_ack(&ack.draft, &ack.branch);
        } else if up.own_reinvite.as_ref().is_some_and(|own| own.cseq == cseq) {
            up.own_reinvite = None;
            let id = self.pending.iter().find(|(_, p)| p.purpose == Purpose::Reinvite(call)).map(|(id, _)| *id);
            let credentials = id.and_then(|id| self.pending.remove(&id)).and_then(|p| p.draft.credentials);
            up.dialog.refresh_target(&response.headers);
            self.acknowledge(&mut up, cseq, credentials);
            if up.bye == Bye::NotWanted {
                self.emit(SipEvent::Reanswered { call, sdp: sdp(&response.headers, &response.body) });
            }
        }
        self.calls.insert(call, Call::Up(up));
    }

    pub(super) fn on_reinvite(&mut self, call: CallHandle, server: ServerTransaction) {
        let Some(up) = self.up(call) else {
            // Not even the first INVITE is answered yet.
            return server.respond(response(&server.request, (500, "Call Not Answered Yet"), "", Vec::new(), ""));
        };
        let refuse = |status, extra| server.respond(response(&server.request, status, "", extra, ""));
        match () {
            () if up.bye != Bye::NotWanted => refuse((481, "Call/Transaction Does Not Exist"), Vec::new()),
            // Glare (RFC 3261 section 14.2).
            () if up.own_reinvite.is_some() => refuse((491, "Request Pending"), Vec::new()),
            () if up.peer_reinvite.is_some() => refuse((500, "Request Pending"), vec![Header::RetryAfter("1".into())]),
            () => {
                up.dialog.refresh_target(&server.request.headers);
                let offer = sdp(&server.request.headers, &server.request.body);
                up.peer_reinvite = Some((server, offer.is_some()));
                self.emit(SipEvent::Reinvited { call, sdp: offer });
            }
        }
    }

    pub(super) fn answer_reinvite(&mut self, call: CallHandle, answer: Result<String, SipStatus>) {
        let Some(Call::Up(mut up)) = self.calls.remove(&call) else { return };
        if let Some((server, offered)) = up.peer_reinvite.take() {
            match answer {
                Ok(sdp) => {
                    self.accept(&server, &up.dialog, &sdp);
                    // An older 2xx without ACK is settled by the newer one.
                    if let Some(older) =
                        up.unacknowledged.replace(Unacknowledged { server, first: false, we_offered: !offered })
                    {
                        older.abandon();
                    }
                }
                Err(SipStatus { code, phrase }) => {
                    let code = if (300..700).contains(&code) { code } else { 488 };
                    let phrase: String = phrase.chars().filter(|c| !c.is_control()).collect();
                    server.respond(response(&server.request, (code, &phrase), "", Vec::new(), ""));
                }
            }
        }
        self.calls.insert(call, Call::Up(up));
    }

    pub(super) fn bye(&mut self, call: CallHandle) {
        match self.calls.get_mut(&call) {
            Some(Call::Calling(_)) => self.cancel(call),
            Some(Call::Ringing(_)) => {
                self.refuse(call, (603, "Decline"));
                self.emit(SipEvent::Ended { call });
            }
            Some(Call::Up(up)) if up.bye == Bye::NotWanted => match up.unacknowledged.as_ref().is_some_and(|u| u.first)
            {
                true => up.bye = Bye::Wanted,
                false => self.send_bye(call),
            },
            Some(Call::Up(_)) | None => {}
        }
    }

    pub(super) fn send_bye(&mut self, call: CallHandle) {
        let Some(Call::Up(mut up)) = self.calls.remove(&call) else { return };
        self.let_go(&mut up);
        up.bye = Bye::Sent;
        let bye = up.dialog.request(Method::Bye, None);
        self.calls.insert(call, Call::Up(up));
        match bye {
            Some(bye) => drop(self.send(Purpose::Bye(Some(call)), bye, Way::Resolve)),
            None => self.on_bye_done(call),
        }
    }

    pub(super) fn on_bye_done(&mut self, call: CallHandle) {
        if matches!(self.calls.get(&call), Some(Call::Up(_))) {
            self.calls.remove(&call);
            self.emit(SipEvent::Ended { call });
        }
    }

    /// Ends a call in whatever state: the phone is gone.
    pub(super) fn hang_up(&mut self, call: CallHandle) {
        match self.calls.get(&call) {
            Some(Call::Calling(_)) => self.cancel(call),
            Some(Call::Ringing(_)) => self.refuse(call, (480, "Temporarily Unavailable")),
            Some(Call::Up(_)) => self.bye(call),
            None => {}
        }
    }
}
