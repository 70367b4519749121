//! All media of the load: one thread that sends on a grid of tenths of a millisecond and reads what has come at each step.
//!
//! ```text
//!   step 0   1   2 ... 199 | 0     phones and agents, spread over the 20 ms of a frame
//!        |   |   |      |
//!        v   v   v      v          send what has its turn, then read every socket that has something
//! ```
//! It never waits for a packet, so the sender of one (the gateway, whose processor time is measured) does not pay for waking it. When a
//! packet came is the kernel's word (SO_TIMESTAMPNS), not the moment at which this thread found it: the tool's own lateness is no part of
//! a delay. The same engine drives the gateway and the bare mover.

use crate::agents::Received;
use crate::audio_plan::Plan;
use bytes::Bytes;
use gateway_tests::rtp::{self, RtpSeen};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use rtmp_session::{ClientEvent, ClientSession, Input, Output, RtmpTimestamp, StreamId};
use std::collections::HashMap;
use std::io::{self, IoSliceMut, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const STEP: Duration = Duration::from_micros(100);
/// Steps of a 20 ms frame.
const STEPS: usize = 200;
/// Steps from one phone's turn to the next one's: few calls are spread over the frame like many.
const STRIDE: usize = 73;
/// Sockets told by one look at the epoll.
const EVENTS: usize = 512;
/// epoll's number of the first phone; agents' sockets are below.
const FIRST_PHONE: u64 = 1 << 32;
/// Longest read: a TCP segment of loopback carries many messages.
const READ: usize = 16 * 1024;

/// How a phone's audio travels on its TCP connection.
pub(crate) enum Wire {
    /// RTMP, on the stream that the phone publishes.
    Rtmp { session: Box<ClientSession>, publish: StreamId, first_ms: u32 },
    /// RTP behind its length in two bytes: the bare mover's.
    Framed { pending: Vec<u8> },
}

/// A phone in its call.
pub(crate) struct Phone {
    pub(crate) number: usize,
    pub(crate) wire: Wire,
    pub(crate) stream: TcpStream,
    pub(crate) track: Track,
    pub(crate) failure: Option<String>,
    /// What the socket did not take.
    unsent: Vec<u8>,
    /// Gets the phone back at the end.
    back: Option<tokio::sync::oneshot::Sender<Phone>>,
}

/// What one end sent and heard.
#[derive(Default)]
pub(crate) struct Track {
    pub(crate) sent: Vec<Instant>,
    /// Moment, RTMP time, tag byte and frames.
    pub(crate) heard: Vec<(Instant, u32, Bytes)>,
}

/// An agent's call.
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) socket: usize,
    pub(crate) peer: SocketAddr,
    pub(crate) payload_type: u8,
    pub(crate) sent: Vec<Instant>,
    pub(crate) received: Received,
}

/// What the engine is told.
pub(crate) enum Order {
    /// A phone whose call is up.
    Phone(Box<Phone>),
    /// An agent's call that was answered.
    Call(Box<Call>),
    /// Everybody speaks from now on.
    Speak,
    /// Nobody speaks any more.
    Silence,
    /// Phones go back to where they came from.
    Return,
    /// The end.
    Finish,
}

/// How the load is made.
#[derive(Clone)]
pub(crate) struct Manner {
    pub(crate) uplink: Arc<Plan>,
    pub(crate) downlink: Arc<Plan>,
    /// RTP clock units of an agent's frame.
    pub(crate) units: u32,
    /// All phones speak at the same moment instead of spread over the frame.
    pub(crate) together: bool,
}

/// A running engine.
pub(crate) struct Engine {
    pub(crate) orders: Sender<Order>,
    thread: JoinHandle<Findings>,
}

/// What is there at the end.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) calls: Vec<Call>,
    /// Phones that nobody took back.
    pub(crate) phones: Vec<Phone>,
    /// How late each step was while all spoke, milliseconds.
    pub(crate) lateness: Vec<f64>,
}

impl Phone {
    pub(crate) fn new(number: usize, wire: Wire, stream: TcpStream) -> Self {
        let track = Track::default();
        Self { number, wire, stream, track, failure: None, unsent: Vec::new(), back: None }
    }

    /// The phone, and where it comes back.
    pub(crate) fn with_way_back(mut self) -> (Self, tokio::sync::oneshot::Receiver<Phone>) {
        let (back, receiver) = tokio::sync::oneshot::channel();
        self.back = Some(back);
        (self, receiver)
    }

    fn send_frame(&mut self, plan: &Plan) {
        let count = self.track.sent.len();
        let frame = &plan.frames[count % plan.frames.len()];
        let now = Instant::now();
        match &mut self.wire {
            Wire::Rtmp { session, publish, first_ms } => {
                let time = RtmpTimestamp::from_ms(*first_ms + 20 * count as u32);
                session.send_audio(now, *publish, time, &[&[0xB2][..], frame].concat());
            }
            Wire::Framed { .. } => {
                let packet = rtp::packet(0, false, count as u16, 0, self.number as u32, frame);
                self.unsent.extend((packet.len() as u16).to_be_bytes());
                self.unsent.extend(packet);
            }
        }
        self.track.sent.push(now);
        self.flush();
    }

    /// Takes what the session wants and writes what the socket takes.
    fn flush(&mut self) {
        if let Wire::Rtmp { session, .. } = &mut self.wire {
            while let Some(output) = session.poll_output() {
                match output {
                    Output::Bytes(bytes) => self.unsent.extend_from_slice(&bytes),
                    Output::Event(ClientEvent::Call { name, .. }) if name == "byed" => {
                        self.failure = Some("the gateway hung up".into());
                    }
                    Output::Event(_) => {}
                    Output::Close => self.failure = Some("closed by the session".into()),
                }
            }
        }
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.failure = Some(error.to_string());
                    return;
                }
            }
        }
    }

    fn take(&mut self, at: Instant, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Rtmp { session, .. } => {
                if let Err(error) = session.handle_input(Instant::now(), Input::Bytes(bytes)) {
                    self.failure = Some(error.to_string());
                    return;
                }
                let mut others = Vec::new();
                while let Some(output) = session.poll_output() {
                    match output {
                        Output::Event(ClientEvent::Audio { timestamp, body, .. }) => {
                            self.track.heard.push((at, timestamp.ms(), body));
                        }
                        Output::Event(ClientEvent::Call { name, .. }) if name == "byed" => {
                            self.failure = Some("the gateway hung up".into());
                        }
                        Output::Bytes(bytes) => others.extend_from_slice(&bytes),
                        Output::Event(_) => {}
                        Output::Close => self.failure = Some("closed by the session".into()),
                    }
                }
                if !others.is_empty() {
                    self.unsent.extend(others);
                    self.flush();
                }
            }
            Wire::Framed { pending } => {
                pending.extend_from_slice(bytes);
                while let Some(packet) = framed(pending) {
                    let length = packet.len() + 2;
                    if let Some(payload) = packet.get(12..) {
                        self.track.heard.push((at, 0, [&[0][..], payload].concat().into()));
                    }
                    pending.drain(..length);
                }
            }
        }
    }
}

/// The first packet behind a length in two bytes, if it is whole.
pub(crate) fn framed(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    bytes.get(2..2 + length)
}

impl Engine {
    /// Starts it. Without `learn`, packets of unknown senders are dropped; with it they make a call, named by their SSRC.
    pub(crate) fn start(sockets: Vec<Arc<UdpSocket>>, manner: Manner, learn: bool) -> Self {
        let (orders, inbox) = channel();
        let thread = std::thread::spawn(move || Inner::new(sockets, manner, learn).run(&inbox));
        Self { orders, thread }
    }

    pub(crate) fn tell(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    pub(crate) fn finish(self) -> Findings {
        self.tell(Order::Finish);
        self.thread.join().unwrap()
    }
}

struct Inner {
    sockets: Vec<Arc<UdpSocket>>,
    manner: Manner,
    learn: bool,
    epoll: Epoll,
    phones: Vec<Option<Phone>>,
    calls: Vec<Call>,
    by_peer: HashMap<SocketAddr, usize>,
    lateness: Vec<f64>,
    speaking: bool,
    buffer: Vec<u8>,
    ancillary: Vec<u8>,
}

impl Inner {
    fn new(sockets: Vec<Arc<UdpSocket>>, manner: Manner, learn: bool) -> Self {
        let epoll = Epoll::new(EpollCreateFlags::empty()).unwrap();
        for (number, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true).unwrap();
            setsockopt(socket, sockopt::ReceiveTimestampns, &true).unwrap();
            let _ = setsockopt(socket, sockopt::RcvBuf, &(4 << 20));
            epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, number as u64)).unwrap();
        }
        Self {
            sockets,
            manner,
            learn,
            epoll,
            phones: Vec::new(),
            calls: Vec::new(),
            by_peer: HashMap::new(),
            lateness: Vec::new(),
            speaking: false,
            buffer: vec![0; READ],
            ancillary: nix::cmsg_space!(nix::sys::time::TimeSpec),
        }
    }

    fn run(mut self, inbox: &Receiver<Order>) -> Findings {
        let begin = Instant::now();
        for step in 0.. {
            let due = begin + STEP * step;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.speaking {
                self.lateness.push(due.elapsed().as_secs_f64() * 1000.0);
            }
            while let Ok(order) = inbox.try_recv() {
                match order {
                    Order::Phone(phone) => self.add_phone(*phone),
                    Order::Call(call) => self.add_call(*call),
                    Order::Speak => self.speaking = true,
                    Order::Silence => self.speaking = false,
                    Order::Return => self.return_phones(),
                    Order::Finish => {
                        let phones = self.phones.into_iter().flatten().collect();
                        return Findings { calls: self.calls, phones, lateness: self.lateness };
                    }
                }
            }
            if self.speaking {
                self.send(step as usize % STEPS);
            }
            self.read();
        }
        unreachable!("steps do not end")
    }

    fn add_phone(&mut self, phone: Phone) {
        phone.stream.set_nonblocking(true).unwrap();
        setsockopt(&phone.stream, sockopt::ReceiveTimestampns, &true).unwrap();
        let id = FIRST_PHONE + self.phones.len() as u64;
        self.epoll.add(&phone.stream, EpollEvent::new(EpollFlags::EPOLLIN, id)).unwrap();
        self.phones.push(Some(phone));
    }

    fn add_call(&mut self, call: Call) {
        self.by_peer.insert(call.peer, self.calls.len());
        self.calls.push(call);
    }

    fn return_phones(&mut self) {
        for place in &mut self.phones {
            let Some(mut phone) = place.take_if(|phone| phone.back.is_some()) else { continue };
            let _ = self.epoll.delete(&phone.stream);
            if let Some(back) = phone.back.take() {
                let _ = back.send(phone);
            }
        }
    }

    fn send(&mut self, step: usize) {
        let turn = |number: usize, shift: usize, together: bool| {
            if together { step == shift } else { (number * STRIDE + shift) % STEPS == step }
        };
        let together = self.manner.together;
        for (number, phone) in self.phones.iter_mut().enumerate() {
            if let Some(phone) = phone
                && turn(number, 0, together)
                && phone.failure.is_none()
            {
                phone.send_frame(&self.manner.uplink);
            }
        }
        for (number, call) in self.calls.iter_mut().enumerate() {
            if turn(number, STEPS / 2, together) {
                let count = call.sent.len();
                let frame = &self.manner.downlink.frames[count % self.manner.downlink.frames.len()];
                let time = (count as u32).wrapping_mul(self.manner.units);
                let bytes = rtp::packet(call.payload_type, count == 0, count as u16, time, number as u32 + 1, frame);
                call.sent.push(Instant::now());
                let _ = self.sockets[call.socket].send_to(&bytes, call.peer);
            }
        }
    }

    fn read(&mut self) {
        let mut events = [EpollEvent::empty(); EVENTS];
        let count = self.epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or(0);
        let clocks = (Instant::now(), SystemTime::now());
        for event in &events[..count] {
            match event.data().checked_sub(FIRST_PHONE) {
                Some(number) => self.read_phone(number as usize, clocks),
                None => while self.read_socket(event.data() as usize, clocks) {},
            }
        }
    }

    fn read_phone(&mut self, number: usize, clocks: (Instant, SystemTime)) {
        let Some(phone) = &mut self.phones[number] else { return };
        match receive(phone.stream.as_raw_fd(), &mut self.buffer, &mut self.ancillary, clocks) {
            Ok((0, ..)) => {
                phone.failure = Some("closed by the gateway".into());
                let _ = self.epoll.delete(&phone.stream);
            }
            Ok((length, at, _)) => phone.take(at, &self.buffer[..length]),
            Err(_) => {}
        }
    }

    /// One datagram; false when there is none left.
    fn read_socket(&mut self, number: usize, clocks: (Instant, SystemTime)) -> bool {
        let socket = self.sockets[number].as_raw_fd();
        let (length, at, from) = match receive(socket, &mut self.buffer, &mut self.ancillary, clocks) {
            Ok((length, at, Some(from))) => (length, at, from),
            // An ICMP error of a call that is gone.
            Err(Errno::ECONNREFUSED) => return true,
            _ => return false,
        };
        let Some(packet) = RtpSeen::parse(at, from, &self.buffer[..length]) else { return true };
        if self.learn && !self.by_peer.contains_key(&from) {
            let user = format!("u{}", packet.ssrc);
            self.add_call(Call::new(user, number, from, 0));
        }
        if let Some(call) = self.by_peer.get(&from) {
            self.calls[*call].received.push((at, packet.sequence, packet.payload));
        }
        true
    }
}

impl Call {
    pub(crate) fn new(user: String, socket: usize, peer: SocketAddr, payload_type: u8) -> Self {
        Self { user, socket, peer, payload_type, sent: Vec::new(), received: Vec::new() }
    }
}

/// Bytes, the moment at which the kernel had them, and who sent them.
fn receive(
    socket: i32,
    buffer: &mut [u8],
    ancillary: &mut [u8],
    (now, wall): (Instant, SystemTime),
) -> Result<(usize, Instant, Option<SocketAddr>), Errno> {
    let mut pieces = [IoSliceMut::new(buffer)];
    let message = recvmsg::<SockaddrStorage>(socket, &mut pieces, Some(ancillary), MsgFlags::MSG_DONTWAIT)?;
    let from = message.address.as_ref().and_then(|address| {
        let address = address.as_sockaddr_in()?;
        Some(SocketAddr::from((address.ip(), address.port())))
    });
    let stamp = message.cmsgs()?.find_map(|piece| match piece {
        ControlMessageOwned::ScmTimestampns(time) => Some(UNIX_EPOCH + Duration::from(time)),
        _ => None,
    });
    let at = match stamp.map(|stamp| (wall.duration_since(stamp), stamp.duration_since(wall))) {
        Some((Ok(before), _)) => now.checked_sub(before).unwrap_or(now),
        Some((_, Ok(after))) => now + after,
        _ => Instant::now(),
    };
    Ok((message.bytes, at, from))
}
