//! The users of the local domain that the gateway answers itself: `echo` speaks back what it hears, `hello` plays an announcement and
//! hangs up. Both are user agents on the same face of the SIP stack as the phones.

use std::collections::HashMap;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use call_media::codec::Codec;
use call_media::path::{Input, MediaPath, Output, PathConfig};
use call_media::sdp::{Agreement, Capabilities, LocalSession, Negotiated, PayloadFormat};
use phone_agent::{CallHandle, SipAction, SipEvent, SipStatus};
use tokio::io::ReadBuf;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::{interval, sleep, timeout};

use super::LocalDomain;
use crate::rtp_io::{Channel, RtpPorts, RtpSockets};
use crate::sip::{AttachError, Identity, SipAgent, SipStack};

/// Names that belong to these services.
pub const USERS: [&str; 2] = ["echo", "hello"];

/// Calls of one service at a time; more are refused with 486.
const CALLS: usize = 1_000;
/// An echo call without a packet for so long is hung up: its caller is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// The announcement: mu-law, 8000 samples a second, one channel, no header.
static ANNOUNCEMENT: &[u8] = include_bytes!("hello.ulaw");
/// Octets of mu-law in 20 ms.
const FRAME: usize = 160;
const FRAME_TIME: Duration = Duration::from_millis(20);
/// FLV tag byte of mu-law: SoundFormat 8, 16 bit (FLV section E.4.2.1).
const MU_LAW_TAG: u8 = 0x82;
/// From the last word to the BYE.
const GOODBYE: Duration = Duration::from_millis(400);

/// Starts both services. Must be called inside a tokio runtime, after the stack has started with `domain` as its filter.
///
/// # Errors
/// The stack has no room for two more agents.
pub fn start(stack: &SipStack, domain: &LocalDomain, ports: &Arc<RtpPorts>) -> Result<(), AttachError> {
    for (user, role) in USERS.into_iter().zip([Role::Echo, Role::Announcement]) {
        let (events, inbox) = mpsc::channel(64);
        let identity =
            Identity { address: format!("{user}@{}", domain.name()), login: None, password: None, display_name: None };
        let agent = stack.attach_service(identity, CALLS, events)?;
        domain.assign(user, agent.contact_uri());
        let (ended, endings) = mpsc::unbounded_channel();
        let service =
            Service { role, agent, ip: stack.advertised_ip(), ports: Arc::clone(ports), calls: HashMap::new(), ended };
        tokio::spawn(service.run(inbox, endings));
    }
    Ok(())
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Echo,
    Announcement,
}

struct Service {
    role: Role,
    agent: SipAgent,
    ip: IpAddr,
    ports: Arc<RtpPorts>,
    calls: HashMap<CallHandle, Call>,
    /// Calls whose media came to its end.
    ended: mpsc::UnboundedSender<CallHandle>,
}

struct Call {
    session: LocalSession,
    media: Media,
}

enum Media {
    /// Until the ACK: early packets wait in the socket.
    Waiting(Box<Waiting>),
    /// The task, and the terms that it follows.
    Running { _task: MediaTask, terms: watch::Sender<Negotiated> },
}

struct Waiting {
    sockets: RtpSockets,
    /// None while our 200 carries the offer.
    agreement: Option<Agreement>,
}

/// Ends the media task with its call.
struct MediaTask(AbortHandle);

impl Drop for MediaTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Service {
    async fn run(mut self, mut inbox: mpsc::Receiver<SipEvent>, mut endings: mpsc::UnboundedReceiver<CallHandle>) {
        loop {
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => self.on_event(event),
                    None => return,
                },
                Some(call) = endings.recv() => {
                    if self.calls.remove(&call).is_some() {
                        self.agent.perform(SipAction::Bye { call });
                    }
                }
            }
        }
    }

    fn on_event(&mut self, event: SipEvent) {
        match event {
            SipEvent::Incoming { call, sdp, .. } => match self.answer(call, sdp.as_deref()) {
                Ok(sdp) => self.agent.perform(SipAction::Answer { call, sdp }),
                Err(status) => self.agent.perform(SipAction::Refuse { call, status }),
            },
            SipEvent::Acknowledged { call, sdp } => self.on_acknowledged(call, sdp.as_deref()),
            SipEvent::Reinvited { call, sdp } => {
                let answer = self.renegotiate(call, sdp.as_deref());
                self.agent.perform(SipAction::AnswerReinvite { call, answer });
            }
            SipEvent::Cancelled { call }
            | SipEvent::AckMissing { call }
            | SipEvent::Byed { call }
            | SipEvent::Ended { call }
            | SipEvent::Failed { call, .. } => drop(self.calls.remove(&call)),
            SipEvent::MessageReceived { message, .. } => {
                let status = status(405, "Method Not Allowed");
                self.agent.perform(SipAction::AnswerMessage { message, status });
            }
            // A service neither registers nor calls.
            _ => {}
        }
    }

    fn answer(&mut self, call: CallHandle, offer: Option<&str>) -> Result<String, SipStatus> {
        if self.calls.len() >= CALLS {
            return Err(status(486, "Busy Here"));
        }
        let sockets = self.ports.bind(Instant::now()).map_err(|_| status(503, "No RTP Port"))?;
        let rtp = SocketAddr::new(self.ip, sockets.port());
        let mut session = LocalSession::new(rand::random(), rtp, capabilities());
        let (sdp, agreement) = match offer {
            Some(offer) => {
                let (sdp, agreement) = session.answer(offer).map_err(|error| status(488, &error.to_string()))?;
                (sdp, Some(agreement))
            }
            None => (session.full_offer(), None),
        };
        self.calls.insert(call, Call { session, media: Media::Waiting(Box::new(Waiting { sockets, agreement })) });
        Ok(sdp)
    }

    fn on_acknowledged(&mut self, call: CallHandle, answer: Option<&str>) {
        let Some(Call { session, media }) = self.calls.remove(&call) else { return };
        let media = match media {
            Media::Waiting(waiting) => {
                let Waiting { sockets, agreement } = *waiting;
                let Some(agreement) = agreement.or_else(|| session.accept_answer(answer?).ok()) else {
                    return self.agent.perform(SipAction::Bye { call });
                };
                self.start_media(call, sockets, agreement.negotiated)
            }
            running => running,
        };
        self.calls.insert(call, Call { session, media });
    }

    fn start_media(&self, call: CallHandle, sockets: RtpSockets, negotiated: Negotiated) -> Media {
        let (terms, watched) = watch::channel(negotiated);
        let (role, ended) = (self.role, self.ended.clone());
        let task = tokio::spawn(async move {
            match role {
                Role::Echo => echo(&sockets, &watched).await,
                Role::Announcement => announce(&sockets, watched).await,
            }
            // The service may be gone already.
            let _ = ended.send(call);
        });
        Media::Running { _task: MediaTask(task.abort_handle()), terms }
    }

    fn renegotiate(&mut self, handle: CallHandle, offer: Option<&str>) -> Result<String, SipStatus> {
        let call = self.calls.get_mut(&handle).ok_or_else(|| status(481, "Call Does Not Exist"))?;
        let Some(offer) = offer else { return Ok(call.session.full_offer()) };
        let (sdp, agreement) = call.session.answer(offer).map_err(|error| status(488, &error.to_string()))?;
        match &mut call.media {
            Media::Running { terms, .. } => drop(terms.send_replace(agreement.negotiated)),
            Media::Waiting(waiting) => waiting.agreement = Some(agreement),
        }
        Ok(sdp)
    }
}

fn status(code: u16, phrase: &str) -> SipStatus {
    SipStatus { code, phrase: phrase.to_owned() }
}

/// All that the media path knows: a caller's first choice is taken.
fn capabilities() -> Capabilities {
    Capabilities::new(Codec::ALL.map(PayloadFormat::offered), false).expect("the list is not empty")
}

/// Sends each audio packet of the peer back to where it came from, under our own SSRC, until the peer falls silent.
async fn echo(sockets: &RtpSockets, terms: &watch::Receiver<Negotiated>) {
    let ssrc: [u8; 4] = rand::random();
    let mut space = [0; 2048];
    loop {
        let mut buffer = ReadBuf::new(&mut space);
        let received = timeout(SILENCE, poll_fn(|cx| sockets.poll_recv(cx, Channel::Rtp, &mut buffer)));
        let Ok(Ok(from)) = received.await else { return };
        let packet = buffer.filled_mut();
        if is_audio(packet, from, &terms.borrow()) {
            packet[8..12].copy_from_slice(&ssrc);
            // What cannot be sent is lost, as on the way.
            let _ = sockets.send(Channel::Rtp, packet, from);
        }
    }
}

/// RTP of an agreed format (RFC 3550 section 5.1) from the host that the peer named.
fn is_audio(packet: &[u8], from: SocketAddr, terms: &Negotiated) -> bool {
    let expected = terms.remote_rtp.is_some_and(|remote| remote.ip() == from.ip());
    let version = packet.len() >= 12 && packet[0] >> 6 == 2;
    expected && version && terms.direction.sends() && terms.receive.iter().any(|f| f.payload_type == packet[1] & 0x7f)
}

/// Plays the announcement once, at its pace.
async fn announce(sockets: &RtpSockets, mut terms: watch::Receiver<Negotiated>) {
    let config = PathConfig {
        negotiated: terms.borrow_and_update().clone(),
        phone_codec: Codec::Pcmu,
        ssrc: rand::random(),
        initial_sequence: rand::random(),
        initial_timestamp: rand::random(),
        cname: "hello".to_owned(),
        rtmp_base_ms: 0,
        ntp_base: 0,
    };
    let mut path = MediaPath::new(Instant::now(), config);
    let mut ticks = interval(FRAME_TIME);
    for (index, frame) in ANNOUNCEMENT.chunks(FRAME).enumerate() {
        ticks.tick().await;
        let mut body = [0xff; 1 + FRAME];
        body[0] = MU_LAW_TAG;
        body[1..=frame.len()].copy_from_slice(frame);
        if terms.has_changed().unwrap_or(false) {
            path.handle_input(Instant::now(), Input::Renegotiated(terms.borrow_and_update().clone()));
        }
        let timestamp_ms = u32::try_from(index).unwrap_or(u32::MAX).wrapping_mul(20);
        path.handle_input(Instant::now(), Input::PhoneAudio { timestamp_ms, body: &body });
        drain(&mut path, sockets, &terms);
    }
    let end = Instant::now() + GOODBYE;
    while let Some(deadline) = path.poll_timeout().filter(|deadline| *deadline < end) {
        sleep(deadline.saturating_duration_since(Instant::now())).await;
        path.handle_input(Instant::now(), Input::Timeout);
        drain(&mut path, sockets, &terms);
    }
    sleep(end.saturating_duration_since(Instant::now())).await;
}

fn drain(path: &mut MediaPath, sockets: &RtpSockets, terms: &watch::Receiver<Negotiated>) {
    let remote = terms.borrow().remote_rtp;
    while let Some(output) = path.poll_output() {
        if let (Output::Rtp(packet), Some(remote)) = (output, remote) {
            // What cannot be sent is lost, as on the way.
            let _ = sockets.send(Channel::Rtp, &packet, remote);
        }
    }
}
