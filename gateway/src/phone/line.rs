//! One phone's line to the SIP network: its user agent, the agent's end in the SIP stack, and the media of its call.
//!
//! ```text
//!  Method ----> UserAgent ---SipAction---> SipAgent
//!  Told <------    |      <---SipEvent----
//!                  +------MediaAction----> Leg <-> RTP, RTCP
//! ```

use std::task::{Context, Poll};
use std::time::Instant;

use call_media::path;
use phone_agent::{
    Account, Command, Indication, Input, MediaAction, MessageHandle, Output, SipAction, SipEvent, SipStatus, Topic,
    Topics, UserAgent,
};
use rtmp_session::{RtmpTimestamp, Value};
use tokio::sync::mpsc;
use tracing::info;

use super::Gateway;
use super::dialect::{self, Method};
use super::figures::Figures;
use super::leg::{FromPeer, Leg};
use super::outbox::PhoneAudio;
use crate::sip::{AttachError, Identity, SipAgent};

/// SIP events that may wait for a phone's turn: more of them hold up this phone's agent only.
const EVENTS: usize = 8;

/// One phone's line.
pub(super) struct Line {
    agent: UserAgent,
    sip: SipAgent,
    events: mpsc::Receiver<SipEvent>,
    address: String,
    registers: bool,
    leg: Option<Box<Leg>>,
    /// The phone said in its connect object what it wants to be told.
    asked_at_connect: bool,
    /// Messages that the phone has sent: their numbers.
    messages: u64,
    /// A report that is due.
    report: Option<Box<Figures>>,
    finished: bool,
}

/// What the line has for the phone.
#[derive(Debug)]
pub(super) enum Told {
    /// Of the user agent.
    Indication(Indication),
    /// An audio message of its call.
    Audio(PhoneAudio),
    /// It publishes a codec that we do not have (FLV SoundFormat).
    CodecUnsupported(u8),
    /// How its call is doing.
    Figures(Box<Figures>),
}

impl Line {
    /// A line for this account; `Told::Indication` says what became of it. `asked` is what its phone said that it wants to be told.
    ///
    /// # Errors
    /// The account cannot be used, in words for the phone.
    pub(super) fn open(
        gateway: &Gateway,
        now: Instant,
        mut account: Account,
        asked: Option<Topics>,
    ) -> Result<Line, AttachError> {
        account.codecs = account.codecs.or_else(|| gateway.codecs.clone());
        let (sender, events) = mpsc::channel(EVENTS);
        let identity = Identity {
            address: account.address.clone(),
            login: account.login.clone(),
            password: account.password.clone(),
            display_name: account.display_name.clone(),
        };
        let sip = gateway.sip.attach(identity, sender)?;
        let mut line = Line {
            agent: UserAgent::new(now, rand::random::<u32>().into()),
            sip,
            events,
            address: account.address.clone(),
            registers: account.password.is_some(),
            leg: None,
            asked_at_connect: asked.is_some(),
            messages: 0,
            report: None,
            finished: false,
        };
        line.agent.handle_input(now, Input::Command(Command::Subscribe(asked.unwrap_or_default())));
        line.agent.handle_input(now, Input::Command(Command::Connect(account)));
        Ok(line)
    }

    /// Address-of-record, without scheme.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether the account has a password, so that `connect` means a registration.
    pub(super) fn registers(&self) -> bool {
        self.registers
    }

    /// What the phone will be told, if it said in its connect object what it wants.
    pub(super) fn topics_if_asked(&self) -> Option<Topics> {
        self.asked_at_connect.then(|| self.agent.topics())
    }

    /// What `_result` carries for a method that is about to be called: nothing for siprtmp's.
    pub(super) fn result_of(&self, now: Instant, method: &Method) -> Option<Value> {
        match method {
            Method::Subscribe(topics) => Some(dialect::names(self.agent.topics().union(*topics))),
            Method::SendMessage { .. } | Method::SendPagingMessage { .. } => {
                Some(Value::Number((self.messages + 1) as f64))
            }
            Method::Stats => {
                let figures = self.leg.as_ref().and_then(|leg| leg.figures(now));
                Some(dialect::figures_of(figures.as_ref()))
            }
            _ => None,
        }
    }

    /// Whether call and registration have ended after [`Line::hang_up`].
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// The phone is gone: ends the call, un-registers.
    pub(super) fn hang_up(&mut self, now: Instant) {
        self.agent.handle_input(now, Input::Command(Command::Disconnect));
    }

    /// The phone calls a method.
    ///
    /// # Errors
    /// No room for the call: what to tell the phone instead.
    pub(super) fn call(&mut self, gateway: &Gateway, now: Instant, method: Method) -> Result<(), Indication> {
        let is_invite = matches!(method, Method::Invite { .. });
        let needs_leg = is_invite || matches!(method, Method::Accept { .. });
        if needs_leg && self.leg.is_none() {
            match Leg::open(gateway, now) {
                Ok(leg) => self.leg = Some(Box::new(leg)),
                Err(reason) if is_invite => return Err(Indication::Rejected(reason.to_owned())),
                Err(reason) => {
                    let reason = Some(reason.to_owned());
                    self.agent.handle_input(now, Input::Command(Command::Reject { reason }));
                    return Err(Indication::Byed);
                }
            }
        }
        if is_invite {
            gateway.metrics.calls_out.add();
        }
        let rtp = self.leg.as_ref().map_or(([0, 0, 0, 0], 0).into(), |leg| leg.address());
        self.messages += u64::from(matches!(method, Method::SendMessage { .. } | Method::SendPagingMessage { .. }));
        if let Some(command) = method.command(rtp, MessageHandle(self.messages)) {
            self.agent.handle_input(now, Input::Command(command));
        }
        Ok(())
    }

    /// Audio of the phone for its call; nowhere to go without one.
    pub(super) fn audio(&mut self, now: Instant, timestamp: RtmpTimestamp, body: &[u8]) {
        if let Some(leg) = &mut self.leg {
            leg.audio(now, timestamp.ms(), body);
        }
    }

    /// Takes what came from the SIP stack and on the RTP ports. True if there is more.
    pub(super) fn receive(&mut self, cx: &mut Context<'_>, gateway: &Gateway, now: Instant) -> bool {
        let mut events = 0;
        while events < EVENTS
            && let Poll::Ready(Some(event)) = self.events.poll_recv(cx)
        {
            events += 1;
            self.on_event(gateway, now, event);
        }
        let datagrams = self.leg.as_mut().is_some_and(|leg| leg.receive(cx, now));
        events == EVENTS || datagrams
    }

    fn on_event(&mut self, gateway: &Gateway, now: Instant, event: SipEvent) {
        if let SipEvent::Incoming { call, .. } = &event {
            gateway.metrics.calls_in.add();
            if self.leg.is_none() && !gateway.admission.has_room_for_call() {
                gateway.metrics.calls_over_limit.add();
                let status = SipStatus { code: 503, phrase: "Too many calls".into() };
                return self.sip.perform(SipAction::Refuse { call: *call, status });
            }
        }
        self.agent.handle_input(now, Input::Sip(event));
    }

    /// Carries out what agent and media want, until one of them has something for the phone or neither wants anything more.
    /// `clock` gives the RTMP time of now.
    pub(super) fn poll_output(&mut self, now: Instant, clock: impl Fn() -> RtmpTimestamp) -> Option<Told> {
        if let Some(report) = self.report.take() {
            return Some(Told::Figures(report));
        }
        loop {
            match self.agent.poll_output() {
                Some(Output::Sip(action)) => self.sip.perform(action),
                Some(Output::Indication(indication)) => return Some(Told::Indication(indication)),
                Some(Output::Media(action)) => self.on_media_action(now, action, &clock),
                Some(Output::Finished) => {
                    self.finished = true;
                    self.drop_leg(now);
                }
                None => {
                    self.release_leg(now);
                    match self.leg.as_mut()?.poll_output()? {
                        FromPeer::Audio(audio) => return Some(Told::Audio(audio)),
                        FromPeer::CodecUnsupported(format) => return Some(Told::CodecUnsupported(format)),
                        FromPeer::Digit(digit) => self.agent.handle_input(now, Input::DtmfReceived(digit)),
                    }
                }
            }
        }
    }

    /// A command that was refused, or a call that ended before media began, leaves a leg that no call holds.
    fn release_leg(&mut self, now: Instant) {
        if self.leg.as_ref().is_some_and(|leg| self.agent.rtp_in_use() != Some(leg.address())) {
            self.drop_leg(now);
        }
    }

    fn on_media_action(&mut self, now: Instant, action: MediaAction, clock: impl Fn() -> RtmpTimestamp) {
        let Some(leg) = &mut self.leg else { return };
        match action {
            MediaAction::Start { negotiated, phone_codec } => leg.start(now, negotiated, phone_codec, clock().ms()),
            MediaAction::Update(negotiated) => leg.handle_input(now, path::Input::Renegotiated(negotiated)),
            MediaAction::SendDtmf(digits) => leg.handle_input(now, path::Input::SendDtmf(&digits)),
            MediaAction::Stop => self.drop_leg(now),
        }
    }

    fn drop_leg(&mut self, now: Instant) {
        if let Some(leg) = self.leg.take() {
            leg.stop(now);
        }
    }

    /// When [`Line::handle_timeout`] is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let media = self.leg.as_ref().and_then(|leg| leg.poll_timeout());
        [self.agent.poll_timeout(), media, self.report_at()].into_iter().flatten().min()
    }

    fn report_at(&self) -> Option<Instant> {
        let leg = self.leg.as_ref().filter(|_| self.agent.topics().contains(Topic::Stats));
        leg.and_then(|leg| leg.report_at())
    }

    /// The instant of [`Line::poll_timeout`] may have come.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.agent.poll_timeout().is_some_and(|due| due <= now) {
            self.agent.handle_input(now, Input::Timeout);
        }
        if self.report_at().is_some_and(|due| due <= now) {
            self.report = self.leg.as_mut().and_then(|leg| leg.report(now)).map(Box::new);
        }
        if let Some(leg) = &mut self.leg
            && leg.poll_timeout().is_some_and(|due| due <= now)
        {
            leg.handle_input(now, path::Input::Timeout);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.finished {
            info!(address = self.address, "left without waiting for the SIP side to end");
        }
    }
}
