//! The user agent: registration and call, joined, from `connect` to the end.
//!
//! ```text
//!   Open --Disconnect--> HangingUp --calls over, or 2 s--> Unregistering --done, or 4 s in all--> Finished
//! ```

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use call_media::{
    codec::Codec,
    sdp::{LocalSession, Negotiated},
};

use crate::{
    Account, CallHandle, CodecWord, Command, Indication, MessageHandle, MessageTarget, SipAction, SipEvent, SipStatus,
    Topics,
    account::Identity,
    call::{Call, Incoming, Inviting, Leave, Leaving, Leg, Side},
    context::Context,
    destination::{AddressError, Target},
    dice::Dice,
    limits::{FINISH_LIMIT, HANG_UP_GRACE, MAX_DIGITS, MAX_LEAVING},
    messages::Messages,
    presses::Way,
    reason,
    registration::Registration,
    words::{self, Preferences},
};

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// From the phone.
    Command(Command),
    /// From the SIP stack.
    Sip(SipEvent),
    /// From the media path: the peer pressed a key (RFC 4733), `0-9 * # A-D`.
    DtmfReceived(char),
    /// The deadline of `poll_timeout` has come.
    Timeout,
}

/// What goes out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To the SIP stack.
    Sip(SipAction),
    /// To the phone.
    Indication(Indication),
    /// To the media path.
    Media(MediaAction),
    /// After `Disconnect`: call and registration have ended, the agent may be dropped.
    Finished,
}

/// What the driver does with the call's media.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaAction {
    /// Build the path on the RTP port that came with `Invite` or `Accept`.
    Start {
        /// Offer and answer's outcome.
        negotiated: Negotiated,
        /// What the phone is sent.
        phone_codec: Codec,
    },
    /// Same path, new terms.
    Update(Negotiated),
    /// Queue digits.
    SendDtmf(String),
    /// Drop the path and release the port.
    Stop,
}

/// One phone's SIP user agent.
#[derive(Debug)]
pub struct UserAgent {
    life: Life,
    registration: Registration,
    /// Known from `connect` on.
    identity: Option<Identity>,
    call: Call,
    leaving: Vec<Leaving>,
    topics: Topics,
    messages: Messages,
    calls_made: u64,
    session_id: u64,
    dice: Dice,
    out: VecDeque<Output>,
}

/// From birth to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// The phone is there.
    Open,
    /// It is gone; its calls end first, so that BYE comes before the un-REGISTER (contract section 2).
    HangingUp { until: Instant, finish_by: Instant },
    /// Then the registration.
    Unregistering { finish_by: Instant },
    /// Nothing follows.
    Finished,
}

impl UserAgent {
    /// A new agent: idle, unregistered. `session_id` seeds the o= line of its SDP (RFC 4566 section 5.2) and its back-off.
    pub fn new(_now: Instant, session_id: u64) -> Self {
        Self {
            life: Life::Open,
            registration: Registration::Unknown,
            identity: None,
            call: Call::Idle,
            leaving: Vec::new(),
            topics: Topics::default(),
            messages: Messages::new(),
            calls_made: 0,
            session_id,
            dice: Dice::new(session_id),
            out: VecDeque::new(),
        }
    }

    /// Feeds one input.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        if self.life == Life::Finished {
            return;
        }
        match input {
            Input::Command(command) => self.on_command(now, command),
            Input::Sip(event) => self.on_sip(now, event),
            Input::DtmfReceived(digit) => {
                let (call, mut ctx) = self.split(now);
                call.recv_digit(&mut ctx, digit, Way::Media);
            }
            Input::Timeout => self.on_timeout(now),
        }
        self.advance_closing(now);
        if self.life != Life::Open {
            // Nobody is there to be told.
            self.out.retain(|output| !matches!(output, Output::Indication(_)));
        }
    }

    /// Takes the next output, until there is none.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let closing = match self.life {
            Life::Open => None,
            Life::HangingUp { until, .. } => Some(until),
            Life::Unregistering { finish_by } => Some(finish_by),
            Life::Finished => return None,
        };
        let registration = self.registration.deadline().filter(|_| self.life == Life::Open);
        let leaving = self.leaving.iter().map(|leaving| leaving.until);
        leaving.chain(closing).chain(registration).chain(self.call.deadline()).min()
    }

    /// The RTP address that a call holds, from its `Invite` or `Accept` to its end. A command that was refused holds none, so the
    /// driver may release every port that it bound and that is not this one.
    pub fn rtp_in_use(&self) -> Option<SocketAddr> {
        self.call.rtp()
    }

    /// What the phone has asked to be told.
    pub fn topics(&self) -> Topics {
        self.topics
    }

    fn on_command(&mut self, now: Instant, command: Command) {
        if self.life != Life::Open {
            return;
        }
        match command {
            Command::Connect(account) => self.connect(now, &account),
            Command::Invite { destination, codecs, rtp } => self.invite(now, &destination, codecs, rtp),
            Command::Accept { codecs, rtp } => {
                let (preferences, id) = (self.preferences(), self.next_session_id());
                self.with_call(now, |call, ctx| call.accept(ctx, codecs, &preferences, rtp, id));
            }
            Command::Reject { reason } => self.with_call(now, |call, ctx| call.reject(ctx, reason.as_deref())),
            Command::Bye => self.with_call(now, |call, ctx| call.leave(ctx, Leave::Bye)),
            Command::SendDtmf { digits } => self.send_dtmf(now, &digits),
            Command::Hold(hold) => {
                let (call, mut ctx) = self.split(now);
                call.hold(&mut ctx, hold);
            }
            Command::Subscribe(topics) => self.topics = self.topics.union(topics),
            Command::Transfer { destination } => self.transfer(now, &destination),
            Command::SendMessage { message, text } => {
                let target = self.call.talking().map(MessageTarget::Call).ok_or_else(|| "no call".to_owned());
                self.with_messages(now, |messages, ctx| messages.send(ctx, message, target, text));
            }
            Command::SendPagingMessage { message, destination, text } => {
                let target = self.target(&destination).map(|target| MessageTarget::Address(target.to_string()));
                self.with_messages(now, |messages, ctx| messages.send(ctx, message, target, text));
            }
            Command::Disconnect => self.disconnect(now),
        }
    }

    fn connect(&mut self, now: Instant, account: &Account) {
        if self.registration != Registration::Unknown {
            tracing::warn!("connect a second time");
            return;
        }
        match Identity::check(account) {
            Ok(identity) => {
                let wanted = identity.registers;
                self.identity = Some(identity);
                self.with_registration(now, |registration, ctx| registration.connect(ctx, wanted));
            }
            Err(reason) => {
                self.registration = Registration::Refused;
                self.out.push_back(Output::Indication(Indication::ConnectRejected(reason)));
            }
        }
    }

    /// Contract section 4: refused with a sentence, or INVITE.
    fn invite(&mut self, now: Instant, destination: &str, words: Option<Vec<CodecWord>>, rtp: SocketAddr) {
        match self.plan_call(destination, words, rtp) {
            Ok((leg, target)) => {
                self.with_call(now, |_, ctx| Inviting::begin(ctx, leg, target.to_string()));
            }
            Err(reason) => self.out.push_back(Output::Indication(Indication::Rejected(reason))),
        }
    }

    fn plan_call(
        &mut self,
        destination: &str,
        words: Option<Vec<CodecWord>>,
        rtp: SocketAddr,
    ) -> Result<(Leg, Target), String> {
        if !self.registration.is_connected() {
            return Err("Registration required before making a call".to_owned());
        }
        if self.is_busy() {
            return Err("Already in an active or pending call".to_owned());
        }
        let target = self.target(destination)?;
        let most = self.identity.as_ref().and_then(|identity| identity.rights.calls);
        if most.is_some_and(|most| self.calls_made >= most) {
            return Err("403 No more calls are allowed".to_owned());
        }
        let preferences = self.preferences();
        let capabilities = words::capabilities(words.as_deref(), &preferences)
            .ok_or_else(|| "no audio codec in the list that can be used".to_owned())?;
        let local = LocalSession::new(self.next_session_id(), rtp, capabilities);
        self.calls_made += 1;
        let call = CallHandle(self.calls_made * 2 - 1);
        let plays_opus = preferences.plays_opus;
        Ok((Leg { call, side: Side::Caller, local, words, plays_opus }, target))
    }

    /// A destination as the phone wrote it, or what is wrong with it.
    fn target(&self, destination: &str) -> Result<Target, String> {
        let (home, rights) = match &self.identity {
            Some(identity) if self.registration.is_connected() => (&identity.address, &identity.rights),
            _ => return Err("not connected".to_owned()),
        };
        let target = Target::parse(destination, home).map_err(|error| match error {
            AddressError::Empty => "invalid dest URI".to_owned(),
            error => format!("bad destination: {error}"),
        })?;
        if rights.allow(&target, home) { Ok(target) } else { Err(format!("403 {} is not allowed", target.uri())) }
    }

    fn transfer(&mut self, now: Instant, destination: &str) {
        let target = self.target(destination);
        let (call, mut ctx) = self.split(now);
        let asked = target.and_then(|target| call.transfer(&mut ctx, &target).map_err(str::to_owned));
        if let Err(reason) = asked {
            ctx.tell(Indication::Transferred(reason));
        }
    }

    fn send_dtmf(&mut self, now: Instant, digits: &str) {
        let digits = digits.to_ascii_uppercase();
        let known = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D');
        if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.chars().all(known) {
            tracing::debug!("sendDTMF with something that is no digits");
            return;
        }
        let (call, mut ctx) = self.split(now);
        call.send_dtmf(&mut ctx, digits);
    }

    fn disconnect(&mut self, now: Instant) {
        self.life = Life::HangingUp { until: now + HANG_UP_GRACE, finish_by: now + FINISH_LIMIT };
        self.with_call(now, |call, ctx| call.leave(ctx, Leave::Gone));
    }

    fn on_sip(&mut self, now: Instant, event: SipEvent) {
        match event {
            SipEvent::Registered { expires } => {
                self.with_registration(now, |registration, ctx| registration.recv_registered(ctx, expires));
            }
            SipEvent::RegisterFailed(status) => self.recv_register_failed(now, &status),
            SipEvent::Unregistered => {
                if self.registration == Registration::Unregistering {
                    self.registration = Registration::Ended;
                }
            }
            SipEvent::MessageDone { message, status } => {
                self.with_messages(now, |messages, ctx| messages.recv_done(ctx, message, &status));
            }
            SipEvent::MessageReceived { message, call, from, text } => {
                self.recv_message(now, message, call, from, text)
            }
            SipEvent::Incoming { call, .. } if self.knows(call) => tracing::warn!(call = call.0, "handle used twice"),
            SipEvent::Incoming { call, from, sdp } => self.recv_invite(now, call, from, sdp),
            event => self.recv_call_event(now, event),
        }
    }

    fn recv_register_failed(&mut self, now: Instant, status: &SipStatus) {
        if self.life == Life::Open {
            self.with_registration(now, |registration, ctx| registration.recv_failed(ctx, status));
        } else if self.registration.is_busy() {
            // The phone is gone: no retry. A refresh that failed may leave an older binding behind, a first REGISTER does not.
            let never_bound = self.registration == Registration::Registering;
            self.registration =
                if never_bound { Registration::Ended } else { Registration::Retrying { at: now, failures: 1 } };
        }
    }

    fn recv_call_event(&mut self, now: Instant, event: SipEvent) {
        if event.call().is_some() && event.call() == self.call.handle() {
            self.with_call(now, |call, ctx| call.on_sip(ctx, event));
        } else if let Some(index) = self.leaving.iter().position(|leaving| Some(leaving.call) == event.call()) {
            let leaving = self.leaving.swap_remove(index);
            let (_, mut ctx) = self.split(now);
            if let Some(leaving) = leaving.on_sip(&mut ctx, &event) {
                self.leaving.push(leaving);
            }
        } else {
            tracing::debug!(?event, "an event of no call");
        }
    }

    /// An INVITE rings only if it could become a call; everything else is answered at once (contract section 5, without its faults).
    fn recv_invite(&mut self, now: Instant, call: CallHandle, from: String, sdp: Option<String>) {
        let refusal = match &self.identity {
            Some(identity) if self.life == Life::Open && self.registration.can_be_called() => {
                if self.is_busy() {
                    Some(reason::busy())
                } else {
                    let ours = words::everything(&identity.preferences).expect("the account was checked");
                    let check = |offer: &String| LocalSession::check_offer(offer, &ours);
                    sdp.as_ref().and_then(|offer| check(offer).err()).map(|error| reason::refusal(&error))
                }
            }
            _ => Some(reason::unavailable()),
        };
        match refusal {
            Some(status) => {
                tracing::debug!(call = call.0, %status, "INVITE refused");
                self.out.push_back(Output::Sip(SipAction::Refuse { call, status }));
            }
            None => {
                let to = self.identity.as_ref().map(Identity::text).unwrap_or_default();
                self.with_call(now, |_, ctx| Incoming::begin(ctx, call, from, to, sdp));
            }
        }
    }

    fn recv_message(
        &mut self,
        now: Instant,
        message: MessageHandle,
        call: Option<CallHandle>,
        from: String,
        text: String,
    ) {
        if self.life != Life::Open || call.is_some_and(|call| self.call.handle() != Some(call)) {
            let status = reason::unavailable();
            return self.out.push_back(Output::Sip(SipAction::AnswerMessage { message, status }));
        }
        let length = text.len();
        let told = match call {
            Some(_) => Indication::ReceivedMessage { from, text },
            None => Indication::ReceivedPagingMessage { from, text },
        };
        self.with_messages(now, |messages, ctx| messages.recv(ctx, message, length, told));
    }

    fn on_timeout(&mut self, now: Instant) {
        self.leaving.retain(|leaving| leaving.until > now);
        if self.life == Life::Open {
            self.with_registration(now, Registration::on_timeout);
            self.with_call(now, Call::on_timeout);
        }
    }

    /// After `Disconnect`: takes the next step as soon as it may be taken, and at its deadline whatever is missing.
    fn advance_closing(&mut self, now: Instant) {
        if let Life::HangingUp { until, finish_by } = self.life {
            if now >= until {
                self.hurry(now);
            }
            let calls_over = self.leaving.is_empty() && !self.registration.is_busy();
            if calls_over || now >= until {
                if self.registration.is_bound() || self.registration.is_busy() {
                    self.with_registration(now, Registration::unregister);
                }
                self.life = Life::Unregistering { finish_by };
            }
        }
        if let Life::Unregistering { finish_by } = self.life {
            let done = self.registration != Registration::Unregistering && self.leaving.is_empty();
            if done || now >= finish_by {
                self.life = Life::Finished;
                self.out.push_back(Output::Finished);
            }
        }
    }

    fn hurry(&mut self, now: Instant) {
        let left = std::mem::take(&mut self.leaving);
        let (_, mut ctx) = self.split(now);
        let hurried: Vec<Leaving> = left.into_iter().map(|leaving| leaving.hurry(&mut ctx)).collect();
        self.leaving = hurried;
    }

    fn knows(&self, call: CallHandle) -> bool {
        self.call.handle() == Some(call) || self.leaving.iter().any(|leaving| leaving.call == call)
    }

    /// Whether no further call may begin.
    fn is_busy(&self) -> bool {
        self.call.handle().is_some() || self.leaving.len() >= MAX_LEAVING
    }

    fn preferences(&self) -> Preferences {
        self.identity.as_ref().map_or_else(Preferences::default, |identity| identity.preferences.clone())
    }

    fn call_length(&self) -> Option<Duration> {
        self.identity.as_ref()?.rights.call_length
    }

    /// A new o= line for each call.
    fn next_session_id(&mut self) -> u64 {
        self.session_id = self.session_id.wrapping_add(2);
        self.session_id
    }

    fn with_call(&mut self, now: Instant, step: impl FnOnce(Call, &mut Context<'_>) -> Call) {
        let (call, mut ctx) = self.split(now);
        *call = step(std::mem::replace(call, Call::Idle), &mut ctx);
    }

    fn with_registration(&mut self, now: Instant, step: impl FnOnce(&mut Registration, &mut Context<'_>)) {
        let call_length = self.call_length();
        let Self { registration, out, dice, leaving, topics, .. } = self;
        step(registration, &mut Context { now, out, dice, leaving, topics: *topics, call_length });
    }

    fn with_messages(&mut self, now: Instant, step: impl FnOnce(&mut Messages, &mut Context<'_>)) {
        let call_length = self.call_length();
        let Self { messages, out, dice, leaving, topics, .. } = self;
        step(messages, &mut Context { now, out, dice, leaving, topics: *topics, call_length });
    }

    fn split(&mut self, now: Instant) -> (&mut Call, Context<'_>) {
        let call_length = self.call_length();
        let Self { call, out, dice, leaving, topics, .. } = self;
        (call, Context { now, out, dice, leaving, topics: *topics, call_length })
    }
}
