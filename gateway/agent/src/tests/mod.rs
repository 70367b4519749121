//! The agent as its driver sees it: inputs in, outputs read as short lines, a clock that the test moves.

mod any;
mod closing;
mod established;
mod incoming;
mod messages;
mod model;
mod outgoing;
mod registration;
mod rights;
mod subscribing;
mod transfer;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    Account, CallHandle, CodecWord, Command, Indication, Input, MediaAction, MessageHandle, MessageTarget, Output,
    Rights, SipAction, SipEvent, SipStatus, SpeexRate, Topic, Topics, UserAgent,
};

const SPEEX_PHONE: &str = "m=audio 4000 RTP/AVP 96 101|a=rtpmap:96 speex/16000|a=rtpmap:101 telephone-event/8000";
const PCMU_PHONE: &str = "m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/8000";

/// An agent with a clock.
struct Rig {
    agent: UserAgent,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        #[expect(clippy::disallowed_methods, reason = "any instant will do as the origin of a test's own clock")]
        let now = Instant::now();
        Self { agent: UserAgent::new(now, 1000), now }
    }

    /// Connected and registered for an hour.
    fn registered() -> Self {
        let mut rig = Self::new();
        rig.command(Command::Connect(alice()));
        rig.sip(SipEvent::Registered { expires: Duration::from_secs(3600) });
        rig
    }

    /// In a call that it made, answered by a phone with this SDP.
    fn in_outgoing_call(sdp: &str) -> Self {
        let mut rig = Self::registered();
        rig.command(invite("bob", None));
        rig.sip(SipEvent::Answered { call: CallHandle(1), sdp: Some(peer_sdp(sdp)) });
        rig
    }

    /// The same, by a phone that wants to be told everything.
    fn in_subscribed_call() -> Self {
        let mut rig = Self::in_outgoing_call(SPEEX_PHONE);
        rig.command(Command::Subscribe(Topics::all()));
        rig
    }

    fn command(&mut self, command: Command) -> Vec<String> {
        self.input(Input::Command(command))
    }

    fn sip(&mut self, event: SipEvent) -> Vec<String> {
        self.input(Input::Sip(event))
    }

    /// Moves the clock, firing every timer on the way.
    fn wait(&mut self, time: Duration) -> Vec<String> {
        let (end, mut lines, mut guard) = (self.now + time, Vec::new(), LoopGuard::default());
        while let Some(at) = self.agent.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            guard.pass(self.now);
            lines.extend(self.input(Input::Timeout));
        }
        self.now = end;
        lines
    }

    fn input(&mut self, input: Input) -> Vec<String> {
        self.raw(input).iter().map(line).collect()
    }

    fn raw(&mut self, input: Input) -> Vec<Output> {
        self.agent.handle_input(self.now, input);
        std::iter::from_fn(|| self.agent.poll_output()).collect()
    }
}

/// A deadline that stays where it is would hang a test: it fails instead.
#[derive(Default)]
struct LoopGuard {
    at: Option<Instant>,
    times: u32,
}

impl LoopGuard {
    /// A timer fires at this instant.
    fn pass(&mut self, now: Instant) {
        self.times = if self.at == Some(now) { self.times + 1 } else { 1 };
        self.at = Some(now);
        assert!(self.times < 100, "the agent wants to be woken at the same instant again and again");
    }
}

fn alice() -> Account {
    Account {
        address: "alice@example.com".to_owned(),
        login: None,
        password: Some("secret".to_owned()),
        display_name: Some("Alice A".to_owned()),
        rate: SpeexRate::Wideband,
        codecs: None,
        plays_opus: false,
        rights: Rights::default(),
    }
}

fn our_rtp() -> SocketAddr {
    "198.51.100.7:40000".parse().unwrap()
}

fn invite(destination: &str, codecs: Option<&[CodecWord]>) -> Command {
    let codecs = codecs.map(<[_]>::to_vec);
    Command::Invite { destination: destination.to_owned(), codecs, rtp: our_rtp() }
}

fn accept(codecs: Option<&[CodecWord]>) -> Command {
    Command::Accept { codecs: codecs.map(<[_]>::to_vec), rtp: our_rtp() }
}

fn incoming(call: u64, sdp: Option<&str>) -> SipEvent {
    let from = "\"Bob B\" <sip:bob@192.0.2.1>".to_owned();
    SipEvent::Incoming { call: CallHandle(call), from, sdp: sdp.map(peer_sdp) }
}

/// A peer's description with these media lines.
fn peer_sdp(lines: &str) -> String {
    format!("v=0|o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 192.0.2.1|t=0 0|{lines}|").replace('|', "\r\n")
}

fn status(code: u16, phrase: &str) -> SipStatus {
    SipStatus::new(code, phrase)
}

/// An output in a few words.
fn line(output: &Output) -> String {
    match output {
        Output::Finished => "finished".to_owned(),
        Output::Sip(action) => sip_line(action),
        Output::Indication(indication) => match indication {
            Indication::Connected => "tell connected".to_owned(),
            Indication::ConnectRejected(reason) => format!("tell connect rejected: {reason}"),
            Indication::Invited { from, to } => format!("tell invited {from} / {to}"),
            Indication::Cancelled { from, to } => format!("tell cancelled {from} / {to}"),
            Indication::Ringing(reason) => format!("tell ringing {reason}"),
            Indication::Accepted(None) => "tell accepted".to_owned(),
            Indication::Accepted(Some(codecs)) => format!("tell accepted {:?} {:?}", codecs.audio, codecs.video),
            Indication::Rejected(reason) => format!("tell rejected {reason}"),
            Indication::Byed => "tell byed".to_owned(),
            Indication::Holded(held) => format!("tell holded {held}"),
            Indication::Registered { seconds } => format!("tell registered {seconds}"),
            Indication::Unregistered(reason) => format!("tell unregistered {reason}"),
            Indication::Dtmf(digit) => format!("tell dtmf {digit}"),
            Indication::ReceivedMessage { from, text } => format!("tell message {from}: {text}"),
            Indication::ReceivedPagingMessage { from, text } => format!("tell page {from}: {text}"),
            Indication::MessageSent(message) => format!("tell sent {}", message.0),
            Indication::MessageFailed { message, reason } => format!("tell failed {}: {reason}", message.0),
            Indication::Transferred(status) => format!("tell transferred {status}"),
            Indication::EarlyMedia => "tell early media".to_owned(),
        },
        Output::Media(action) => match action {
            MediaAction::Start { negotiated, phone_codec } => {
                format!("start {:?} to SIP, {phone_codec:?} to the phone", negotiated.send.codec)
            }
            MediaAction::Update(negotiated) => {
                format!("update {:?} {}", negotiated.send.codec, negotiated.direction.attribute())
            }
            MediaAction::SendDtmf(digits) => format!("digits {digits}"),
            MediaAction::Stop => "stop".to_owned(),
        },
    }
}

fn sip_line(action: &SipAction) -> String {
    match action {
        SipAction::Register { expires } => format!("REGISTER {}", expires.as_secs()),
        SipAction::Unregister => "un-REGISTER".to_owned(),
        SipAction::Invite { call, target, sdp } => format!("{} INVITE {target} {}", call.0, media_of(sdp)),
        SipAction::Cancel { call } => format!("{} CANCEL", call.0),
        SipAction::Ring { call } => format!("{} 180", call.0),
        SipAction::Answer { call, sdp } => format!("{} 200 {}", call.0, media_of(sdp)),
        SipAction::Refuse { call, status } => format!("{} {status}", call.0),
        SipAction::Reinvite { call, sdp } => format!("{} re-INVITE {}", call.0, media_of(sdp)),
        SipAction::AnswerReinvite { call, answer: Ok(sdp) } => format!("{} re-200 {}", call.0, media_of(sdp)),
        SipAction::AnswerReinvite { call, answer: Err(status) } => format!("{} re-{status}", call.0),
        SipAction::Bye { call } => format!("{} BYE", call.0),
        SipAction::Refer { call, target } => format!("{} REFER {target}", call.0),
        SipAction::SendMessage { message, target: MessageTarget::Call(call), text } => {
            format!("{} MESSAGE {}: {text}", call.0, message.0)
        }
        SipAction::SendMessage { message, target: MessageTarget::Address(target), text } => {
            format!("MESSAGE {} {target}: {text}", message.0)
        }
        SipAction::AnswerMessage { message, status } => format!("MESSAGE {} {status}", message.0),
    }
}

/// The payload numbers and the direction of a description of ours.
fn media_of(sdp: &str) -> String {
    let numbers = sdp.lines().find_map(|line| line.strip_prefix("m=audio 40000 RTP/AVP ")).unwrap();
    let direction = sdp.lines().last().and_then(|line| line.strip_prefix("a=")).unwrap();
    format!("[{numbers}] {direction}")
}
