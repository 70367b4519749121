//! The SIP side: one registrar and answering machine for all calls, on a thread of its own. Media is the engine's.

use crate::engine::{Call, Order};
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_message::SipMessage;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Calls that share an RTP socket.
const CALLS_PER_SOCKET: usize = 50;
const PATIENCE: Duration = Duration::from_millis(100);
/// Who is called so gets 486.
pub(crate) const BUSY: &str = "busy";

/// Packets of one call, in order of arrival.
pub(crate) type Received = Vec<(Instant, u16, Vec<u8>)>;

/// What is known of the calls, by user part: the phone's name.
#[derive(Default)]
pub(crate) struct Answered {
    pub(crate) at: HashMap<String, Instant>,
    pub(crate) byes: usize,
}

/// The agents' signalling.
pub(crate) struct Agents {
    pub(crate) sip: SocketAddr,
    pub(crate) answered: Arc<Mutex<Answered>>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

struct Machine {
    sip: UdpSocket,
    rtp: Vec<SocketAddr>,
    format: (u8, &'static str),
    engine: Option<Sender<Order>>,
    /// What an INVITE was answered with, by Call-ID: it may come again.
    calls: HashMap<String, (usize, u8)>,
    answered: Arc<Mutex<Answered>>,
}

impl Agents {
    /// Answers calls with the addresses of `sockets`; `engine` hears of each.
    pub(crate) fn start(sockets: &[Arc<UdpSocket>], format: (u8, &'static str), engine: Option<Sender<Order>>) -> Self {
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sip.set_read_timeout(Some(PATIENCE)).unwrap();
        let (address, answered, stop) = (sip.local_addr().unwrap(), Arc::default(), Arc::new(AtomicBool::new(false)));
        let rtp = sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
        let mut machine = Machine { sip, rtp, format, engine, calls: HashMap::new(), answered: Arc::clone(&answered) };
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 8192];
            while !stopped.load(Ordering::Relaxed) {
                machine.serve(&mut buffer);
            }
        });
        Self { sip: address, answered, stop, thread }
    }

    pub(crate) fn finish(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// RTP sockets for so many calls.
pub(crate) fn rtp_sockets(calls: usize) -> Vec<Arc<UdpSocket>> {
    (0..calls.div_ceil(CALLS_PER_SOCKET).max(1)).map(|_| Arc::new(bind_even())).collect()
}

fn bind_even() -> UdpSocket {
    loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if socket.local_addr().unwrap().port().is_multiple_of(2) {
            return socket;
        }
    }
}

impl Machine {
    fn serve(&mut self, buffer: &mut [u8]) {
        let Ok((length, from)) = self.sip.recv_from(buffer) else { return };
        let Some(request) = SipMessage::parse(&buffer[..length]) else { return };
        if let Some(response) = self.answer(&request) {
            let _ = self.sip.send_to(response.to_string().as_bytes(), from);
        }
    }

    fn answer(&mut self, request: &SipMessage) -> Option<SipMessage> {
        let ok = SipMessage::response(request, 200, "OK", "agent");
        match request.method()? {
            "REGISTER" => {
                let contact = request.address("Contact");
                Some(ok.with("Contact", format!("<{contact}>;expires=600")).with("Expires", "600"))
            }
            "INVITE" => {
                let user = request.uri().trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned();
                if user.starts_with(BUSY) {
                    return Some(SipMessage::response(request, 486, "Busy Here", "agent"));
                }
                let offer = AudioSdp::parse(&request.body)?;
                let (socket, payload_type) = match self.calls.get(request.text("Call-ID")) {
                    Some(known) => *known,
                    None => self.enter(request.text("Call-ID"), &user, &offer),
                };
                let sdp = AudioSdp::new(self.rtp[socket], &[(payload_type, self.format.1)]);
                let contact = format!("<sip:{user}@{}>", self.sip.local_addr().unwrap());
                Some(ok.with("Contact", contact).with_sdp(&sdp.text()))
            }
            "BYE" => {
                if self.calls.remove(request.text("Call-ID")).is_some() {
                    self.answered.lock().unwrap().byes += 1;
                }
                Some(ok)
            }
            "ACK" => None,
            _ => Some(ok),
        }
    }

    fn enter(&mut self, call_id: &str, user: &str, offer: &AudioSdp) -> (usize, u8) {
        let socket = self.calls.len() % self.rtp.len();
        let payload_type = offer.payload_type(self.format.1).unwrap_or(self.format.0);
        self.calls.insert(call_id.to_owned(), (socket, payload_type));
        if let Some(engine) = &self.engine {
            let call = Call::new(user.to_owned(), socket, offer.target, payload_type);
            let _ = engine.send(Order::Call(Box::new(call)));
            self.answered.lock().unwrap().at.insert(user.to_owned(), Instant::now());
        }
        (socket, payload_type)
    }
}
