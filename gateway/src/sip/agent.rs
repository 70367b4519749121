//! One user agent's task: it owns the registration, the calls and the credentials, and everything reaches it as a message.
//!
//! Each method below runs to its end without waiting; requests go out through tasks of their own (`transaction.rs`), events through
//! the outbox.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use phone_agent::{CallHandle, MessageHandle, SipAction, SipEvent, SipStatus};
use rsipstack::sip::Response;
use rsipstack::transaction::random_text;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::address::{NameAddr, SipUri, quote_display};
use super::call::Call;
use super::digest::{Credentials, challenges};
use super::endpoint::Shared;
use super::mail::{Mail, ServerTransaction, TransactionId};
use super::message;
use super::registration::{Registration, Wish};
use super::request::Draft;
use super::transaction::{Way, start_client};
use super::{AttachError, Identity, SipAgent};

/// How often a `stale` nonce is followed for one request; the first challenge is not counted.
const STALE_ANSWERS: u8 = 2;
/// What it hears when nobody answers (contract section 2).
pub(super) const NO_ANSWER: (u16, &str) = (408, "Request timeout");

/// What does not change for as long as the agent lives.
pub(super) struct Names {
    /// `"Alice" <sip:alice@home>`.
    pub(super) address: String,
    /// The account's domain as a URI.
    pub(super) domain: SipUri,
    /// User part of the address.
    pub(super) user: String,
    /// User part of our Contact: whoever knows it may call us.
    pub(super) token: String,
    /// First half of every tag of ours; the second half names the dialog.
    pub(super) stem: String,
    /// `<sip:token@address:port>`.
    pub(super) contact: String,
}

/// When an agent takes calls, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Once it has registered; up to [`super::SipLimits::calls_per_agent`].
    Registered,
    /// From its start.
    Always { calls: usize },
}

/// What a request of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Register,
    Invite(CallHandle),
    Cancel,
    Reinvite(CallHandle),
    Refer(CallHandle),
    /// With a call, it is sent in its dialog.
    Message {
        message: MessageHandle,
        call: Option<CallHandle>,
    },
    /// With a call, its end is reported.
    Bye(Option<CallHandle>),
}

/// A request that waits for its final response.
pub(super) struct Pending {
    pub(super) purpose: Purpose,
    pub(super) draft: Draft,
    /// Where it went and with which Via.
    pub(super) sent: Option<(SocketAddr, String)>,
    /// Realm of its credentials.
    pub(super) realm: Option<String>,
}

/// The state of one user agent.
pub(super) struct Agent {
    pub(super) shared: Arc<Shared>,
    pub(super) names: Names,
    mailbox: mpsc::Sender<Mail>,
    pub(super) outbox: VecDeque<SipEvent>,
    pub(super) credentials: Option<Credentials>,
    /// Realms that a REGISTER of ours was challenged with and accepted in.
    pub(super) realms: Vec<String>,
    /// Where REGISTER was accepted.
    pub(super) registrar: Option<IpAddr>,
    /// The registrar for which we stand among the callees.
    pub(super) listed: Option<IpAddr>,
    reach: Reach,
    pub(super) registration: Registration,
    pub(super) unregister_by: Option<Instant>,
    pub(super) calls: BTreeMap<CallHandle, Call>,
    pub(super) pending: HashMap<TransactionId, Pending>,
    next_transaction: TransactionId,
    pub(super) next_call: u64,
    /// Messages from the network that the user agent has not answered yet.
    pub(super) waiting: BTreeMap<MessageHandle, ServerTransaction>,
    pub(super) next_message: u64,
    pub(super) leaving: bool,
}

impl Names {
    fn new(identity: &Identity, shared: &Shared) -> Result<Names, AttachError> {
        let bad = |what: &str| AttachError::BadIdentity(what.to_owned());
        let uri = format!("sip:{}", identity.address);
        let address = SipUri::parse(&uri).ok_or_else(|| bad("not a SIP address"))?;
        let user = address.user.clone().filter(|_| address.params.is_empty() && address.headers.is_none());
        let user = user.ok_or_else(|| bad("not a SIP address"))?;
        let display = quote_display(identity.display_name.as_deref().unwrap_or_default());
        let display = display.ok_or_else(|| bad("control character in the display name"))?;
        let login = identity.login.as_deref().unwrap_or_default();
        if login.chars().chain(identity.password.as_deref().unwrap_or_default().chars()).any(char::is_control) {
            return Err(bad("control character in the login"));
        }
        // rsipstack finds no tag behind a quoted `<`; the name is for people, who read ( as well.
        let display = display.replace('<', "(").replace('>', ")");
        let token = random_text(24);
        let name = NameAddr { display, uri, params: Vec::new() };
        Ok(Names {
            address: name.without_params(),
            user,
            domain: SipUri { user: None, ..address },
            contact: format!("<sip:{token}@{}>", shared.sockets[0].advertised),
            token,
            stem: random_text(12),
        })
    }

    pub(super) fn new_tag(&self) -> String {
        format!("{}-{}", self.stem, random_text(10))
    }
}

/// Starts an agent's task. Dropping what comes back ends it.
pub(super) fn start(
    shared: &Arc<Shared>,
    identity: Identity,
    reach: Reach,
    events: mpsc::Sender<SipEvent>,
) -> Result<SipAgent, AttachError> {
    let names = Names::new(&identity, shared)?;
    let login = identity.login.filter(|login| !login.is_empty()).unwrap_or_else(|| names.user.clone());
    let credentials = identity.password.filter(|p| !p.is_empty()).map(|password| Credentials::new(&login, &password));
    let (mailbox, mail) = mpsc::channel(shared.limits.mailbox);
    if !shared.enter([&names.token, &names.stem], &mailbox) {
        return Err(AttachError::NoRoom);
    }
    let contact = names.contact.trim_matches(['<', '>']).to_owned();
    let agent = Agent {
        reach,
        registration: Registration::new(random_text(24), names.new_tag()),
        shared: shared.clone(),
        names,
        mailbox,
        outbox: VecDeque::new(),
        credentials,
        realms: Vec::new(),
        registrar: None,
        listed: None,
        unregister_by: None,
        calls: BTreeMap::new(),
        pending: HashMap::new(),
        next_transaction: 0,
        next_call: 0,
        waiting: BTreeMap::new(),
        next_message: 0,
        leaving: false,
    };
    let (actions, inbox) = mpsc::unbounded_channel();
    tokio::spawn(agent.run(inbox, mail, events));
    Ok(SipAgent { actions, contact })
}

pub(super) fn sip_status((code, phrase): (u16, &str)) -> SipStatus {
    SipStatus { code, phrase: phrase.to_owned() }
}

impl Agent {
    pub(super) fn is_reachable(&self) -> bool {
        self.reach != Reach::Registered || self.registration.is_known()
    }

    pub(super) fn has_room(&self) -> bool {
        let most = match self.reach {
            Reach::Registered => self.shared.limits.calls_per_agent,
            Reach::Always { calls } => calls,
        };
        self.calls.len() < most
    }

    async fn run(
        mut self,
        mut actions: mpsc::UnboundedReceiver<SipAction>,
        mut mail: mpsc::Receiver<Mail>,
        events: mpsc::Sender<SipEvent>,
    ) {
        'life: loop {
            let deadline = self.next_deadline();
            tokio::select! {
                action = actions.recv() => match action {
                    Some(action) => self.perform(action),
                    None => break,
                },
                mail = mail.recv() => match mail {
                    Some(Mail::Stop) | None => break,
                    Some(mail) => self.on_mail(mail),
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.on_time(Instant::now()),
                () = events.closed() => break,
            }
            while let Some(event) = self.outbox.pop_front() {
                if events.send(event).await.is_err() {
                    break 'life;
                }
            }
        }
        // What was asked before the end is still done: `Unregister` above all.
        while let Ok(action) = actions.try_recv() {
            self.perform(action);
        }
        self.leave(mail).await;
    }

    /// Ends what is open and waits for the answers, as long as a transaction may take.
    async fn leave(mut self, mut mail: mpsc::Receiver<Mail>) {
        self.leaving = true;
        // An un-REGISTER under way is seen through; a REGISTER is of no use any more.
        let unregistering = self.unregister_by.is_some();
        self.pending.retain(|_, p| p.purpose != Purpose::Register || unregistering);
        for call in self.calls.keys().copied().collect::<Vec<_>>() {
            self.hang_up(call);
        }
        let end = Instant::now() + 2 * self.shared.patience();
        while !(self.calls.is_empty() && self.pending.is_empty()) && Instant::now() < end {
            let deadline = self.next_deadline().unwrap_or(end).min(end);
            tokio::select! {
                mail = mail.recv() => match mail {
                    Some(mail) => self.on_mail(mail),
                    None => break,
                },
                () = sleep_until(deadline) => self.on_time(Instant::now()),
            }
            self.outbox.clear();
        }
        self.registration.bound = false;
        self.list();
        self.shared.leave([&self.names.token, &self.names.stem]);
    }

    /// Our registrar may call us by name for as long as we are registered there.
    pub(super) fn list(&mut self) {
        let (callees, Names { user, token, .. }) = (&self.shared.callees, &self.names);
        let now = self.registrar.filter(|_| self.registration.bound);
        if now == self.listed {
            return;
        }
        if let Some(registrar) = self.listed {
            callees.leave(registrar, user, token);
        }
        if let Some(registrar) = now {
            callees.enter(registrar, user, token, &self.mailbox);
        }
        self.listed = now;
    }

    pub(super) fn emit(&mut self, event: SipEvent) {
        self.outbox.push_back(event);
    }

    fn perform(&mut self, action: SipAction) {
        match action {
            SipAction::Register { expires } => self.want(Wish::new(expires)),
            SipAction::Unregister => self.unregister(),
            SipAction::Invite { call, target, sdp } => self.invite(call, &target, sdp),
            SipAction::Cancel { call } => self.cancel(call),
            SipAction::Ring { call } => self.ring(call),
            SipAction::Answer { call, sdp } => self.answer(call, &sdp),
            SipAction::Refuse { call, status } => self.refuse(call, (status.code, &status.phrase)),
            SipAction::Reinvite { call, sdp } => self.reinvite(call, sdp),
            SipAction::AnswerReinvite { call, answer } => self.answer_reinvite(call, answer),
            SipAction::Bye { call } => self.bye(call),
            SipAction::Refer { call, target } => self.refer(call, &target),
            SipAction::SendMessage { message, target, text } => self.send_message(message, target, text),
            SipAction::AnswerMessage { message, status } => self.answer_message(message, &status),
        }
    }

    fn on_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Request(request) => self.on_request(*request),
            Mail::Cancelled(key) => self.on_cancelled(&key),
            Mail::Acknowledged(key, ack) => self.on_acknowledged(&key, &ack),
            Mail::ServerDone(key) => self.on_server_done(&key),
            Mail::Sent { id, to, via } => {
                if let Some(pending) = self.pending.get_mut(&id) {
                    pending.sent = Some((to, via));
                }
            }
            Mail::Response(id, response) => self.on_response(id, &response),
            Mail::Success(response) => self.on_success(&response),
            Mail::ClientDone(id) => self.on_client_done(id),
            Mail::Unsendable(id, why) => self.on_failure(id, sip_status((503, why))),
            Mail::Stop => {}
        }
    }

    /// Sends a request of ours and remembers what it is for.
    pub(super) fn send(&mut self, purpose: Purpose, draft: Draft, way: Way) -> TransactionId {
        self.send_as(purpose, draft, way, None)
    }

    pub(super) fn send_as(&mut self, purpose: Purpose, draft: Draft, way: Way, realm: Option<String>) -> TransactionId {
        self.next_transaction += 1;
        let id = self.next_transaction;
        start_client(&self.shared, &self.mailbox, id, draft.clone(), way);
        self.pending.insert(id, Pending { purpose, draft, sent: None, realm });
        id
    }

    fn on_response(&mut self, id: TransactionId, response: &Response) {
        let code = response.status_code.code();
        let Some(pending) = self.pending.get(&id) else { return };
        let purpose = pending.purpose;
        if code < 200 {
            if let Purpose::Invite(call) = purpose {
                self.on_progress(call, response);
            }
            return;
        }
        if matches!(code, 401 | 407) && self.try_again(id, response) {
            return;
        }
        let status = SipStatus { code, phrase: message::phrase(response) };
        match purpose {
            Purpose::Register => self.on_register_response(id, response, status),
            Purpose::Refer(call) => self.on_refer_response(id, call, response, status),
            _ => self.on_failure(id, status),
        }
    }

    /// The transaction ended without a final response that we have seen.
    fn on_client_done(&mut self, id: TransactionId) {
        let Some(pending) = self.pending.get(&id) else { return };
        match pending.purpose {
            // Its 2xx went past the mailbox, or is in it: the next repetition of it brings the call about.
            Purpose::Invite(call) | Purpose::Reinvite(call) => self.wait_for_success(call, id),
            _ => self.on_failure(id, sip_status(NO_ANSWER)),
        }
    }

    /// A final answer to a request of ours other than the 2xx of an INVITE.
    pub(super) fn on_failure(&mut self, id: TransactionId, status: SipStatus) {
        let Some(pending) = self.pending.remove(&id) else { return };
        match pending.purpose {
            Purpose::Register => self.on_register_failed(status),
            Purpose::Invite(call) => self.on_invite_failed(call, id, status),
            Purpose::Reinvite(call) => self.on_reinvite_failed(call, status),
            Purpose::Refer(call) => self.on_refer_done(call, status, false),
            Purpose::Message { message, .. } => self.emit(SipEvent::MessageDone { message, status }),
            Purpose::Bye(Some(call)) => self.on_bye_done(call),
            Purpose::Bye(None) | Purpose::Cancel => {}
        }
    }

    /// Sends a challenged request again with credentials. `false` if it may not or cannot be.
    fn try_again(&mut self, id: TransactionId, response: &Response) -> bool {
        let Some(pending) = self.pending.get(&id) else { return false };
        let (Some((to, _)), purpose) = (pending.sent.clone(), pending.purpose) else { return false };
        let answered = pending.draft.answered;
        // The same password is not tried twice: only a nonce that grew old is followed (RFC 3261 section 22.2, RFC 7616 section 3.3).
        let may = |stale: bool| answered == 0 || (stale && answered <= STALE_ANSWERS);
        let offered = challenges(&response.headers);
        let mine = offered.iter().find(|c| {
            may(c.stale) && (purpose == Purpose::Register || self.is_mine(&c.realm, &pending.draft, to.ip()))
        });
        let Some(challenge) = mine.cloned() else {
            if answered == 0 && self.credentials.is_some() {
                self.shared.counters.foreign_challenges.add();
                tracing::info!(%to, "digest challenge not answered: not the account's registrar or realm");
            }
            return false;
        };
        let Some(credentials) = &mut self.credentials else { return false };
        let Some(pending) = self.pending.remove(&id) else { return false };
        let mut draft = pending.draft;
        draft.credentials =
            credentials.answer(&challenge, &draft.method.to_string(), &draft.uri, draft.body.as_bytes());
        draft.answered += 1;
        match self.next_cseq(purpose, draft.cseq) {
            Some(cseq) => draft.cseq = cseq,
            // The call was given up meanwhile; its end is told as for any refusal.
            None => {
                self.pending.insert(id, Pending { draft, ..pending });
                return false;
            }
        }
        let new = self.send_as(purpose, draft.clone(), Way::Resolve, Some(challenge.realm));
        match purpose {
            Purpose::Invite(call) => self.on_invite_sent_again(call, new, draft.cseq),
            Purpose::Reinvite(call) => self.on_reinvite_sent_again(call, new, draft.cseq),
            Purpose::Refer(call) => self.on_refer_sent(call, draft.cseq),
            _ => {}
        }
        true
    }

    fn next_cseq(&mut self, purpose: Purpose, last: u32) -> Option<u32> {
        match purpose {
            Purpose::Register => Some(self.registration.next_cseq()),
            Purpose::Invite(call) => self.may_invite_again(call).then_some(last + 1),
            Purpose::Reinvite(call)
            | Purpose::Refer(call)
            | Purpose::Message { call: Some(call), .. }
            | Purpose::Bye(Some(call)) => self.next_dialog_cseq(call),
            Purpose::Bye(None) | Purpose::Message { call: None, .. } => Some(last + 1),
            Purpose::Cancel => None,
        }
    }

    /// Whether a challenge comes from the account's own side: the request went to its domain, its registrar or the outbound proxy,
    /// and the realm is one that the registrar uses (or the domain's name). Anybody else could collect hashes of the password.
    fn is_mine(&self, realm: &str, draft: &Draft, to: IpAddr) -> bool {
        let host = &draft.next_hop.host;
        let own_host = host.eq_ignore_ascii_case(&self.names.domain.host)
            || self.shared.proxy.as_ref().is_some_and(|proxy| host.eq_ignore_ascii_case(&proxy.host));
        let own_realm =
            self.realms.iter().any(|known| known == realm) || realm.eq_ignore_ascii_case(&self.names.domain.host);
        (own_host || self.registrar == Some(to)) && own_realm
    }

    /// Route headers and next hop of a request outside a dialog.
    pub(super) fn way_out(&self, target: &SipUri) -> (Vec<String>, SipUri) {
        match &self.shared.proxy {
            Some(proxy) => (vec![format!("<sip:{};lr>", proxy.host_port())], proxy.clone()),
            None => (Vec::new(), target.clone()),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.calls.values().filter_map(Call::deadline).chain(self.unregister_by).min()
    }

    fn on_time(&mut self, now: Instant) {
        if self.unregister_by.is_some_and(|by| by <= now) {
            self.unregistered();
        }
        let due: Vec<_> =
            self.calls.iter().filter(|(_, c)| c.deadline().is_some_and(|d| d <= now)).map(|(call, _)| *call).collect();
        for call in due {
            self.give_up(call);
        }
    }
}
