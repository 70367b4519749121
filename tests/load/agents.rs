//! The SIP side: one registrar and answering machine for all calls, and few RTP sockets that many calls share.
//!
//! Plain threads on plain sockets: one for SIP, one that sends RTP on a wheel of 20 slots of a millisecond, and one for each RTP socket
//! that receives. A call is known by the gateway's RTP address.

use crate::audio_plan::Plan;
use gateway_tests::rtp::{self, RtpSeen};
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_message::SipMessage;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Calls that share an RTP socket: few enough for the kernel's default buffer, many enough to need few threads.
const CALLS_PER_SOCKET: usize = 25;
const PATIENCE: Duration = Duration::from_millis(100);

/// An answered call.
pub(crate) struct AgentCall {
    /// User part that was called: the phone's number.
    pub(crate) user: String,
    socket: usize,
    gateway_rtp: SocketAddr,
    payload_type: u8,
    pub(crate) answered: Instant,
    pub(crate) ended: Mutex<Option<Instant>>,
    /// When each frame was sent.
    pub(crate) sent: Mutex<Vec<Instant>>,
}

/// Packets of one call, in order of arrival.
pub(crate) type Received = Vec<(Instant, u16, Vec<u8>)>;

struct Shared {
    sockets: Vec<UdpSocket>,
    calls: Mutex<Vec<Arc<AgentCall>>>,
    by_call_id: Mutex<HashMap<String, Arc<AgentCall>>>,
    speak: AtomicBool,
    stop: AtomicBool,
}

/// All agents.
pub(crate) struct Agents {
    pub(crate) sip: SocketAddr,
    shared: Arc<Shared>,
    sip_thread: JoinHandle<()>,
    send_thread: JoinHandle<()>,
    receive_threads: Vec<JoinHandle<HashMap<SocketAddr, Received>>>,
}

impl Agents {
    pub(crate) fn start(calls: usize, format: (u8, &'static str), plan: Arc<Plan>, units: u32) -> Self {
        let count = calls.div_ceil(CALLS_PER_SOCKET).max(1);
        let sockets: Vec<UdpSocket> = (0..count).map(|_| bind_even()).collect();
        let sip = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        sip.set_read_timeout(Some(PATIENCE)).unwrap();
        let sip_address = sip.local_addr().unwrap();
        let shared = Arc::new(Shared {
            sockets,
            calls: Mutex::default(),
            by_call_id: Mutex::default(),
            speak: false.into(),
            stop: false.into(),
        });
        let receive_threads = (0..count)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || receive(&shared, number))
            })
            .collect();
        let (of_sip, of_send) = (Arc::clone(&shared), Arc::clone(&shared));
        let sip_thread = std::thread::spawn(move || answer_all(&of_sip, &sip, format));
        let send_thread = std::thread::spawn(move || send_all(&of_send, &plan, units));
        Self { sip: sip_address, shared, sip_thread, send_thread, receive_threads }
    }

    /// From now on every answered call is sent audio.
    pub(crate) fn speak(&self, on: bool) {
        self.shared.speak.store(on, Ordering::Relaxed);
    }

    /// Ends all threads; every call with what came for it.
    pub(crate) fn finish(self) -> Vec<(Arc<AgentCall>, Received)> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.sip_thread.join().unwrap();
        self.send_thread.join().unwrap();
        let mut received = HashMap::new();
        for thread in self.receive_threads {
            received.extend(thread.join().unwrap());
        }
        let calls = std::mem::take(&mut *self.shared.calls.lock().unwrap());
        calls
            .into_iter()
            .map(|call| (received.remove(&call.gateway_rtp).unwrap_or_default(), call))
            .map(|(r, c)| (c, r))
            .collect()
    }
}

fn bind_even() -> UdpSocket {
    loop {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if socket.local_addr().unwrap().port().is_multiple_of(2) {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            return socket;
        }
    }
}

fn receive(shared: &Shared, number: usize) -> HashMap<SocketAddr, Received> {
    let mut received: HashMap<SocketAddr, Received> = HashMap::new();
    let mut buffer = [0; 2048];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = shared.sockets[number].recv_from(&mut buffer) else { continue };
        let at = Instant::now();
        if let Some(packet) = RtpSeen::parse(at, from, &buffer[..length]) {
            received.entry(from).or_default().push((at, packet.sequence, packet.payload));
        }
    }
    received
}

fn send_all(shared: &Shared, plan: &Plan, units: u32) {
    let begin = Instant::now();
    let mut slot = 0u64;
    let mut clocks: HashMap<usize, (u16, u32)> = HashMap::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let due = begin + Duration::from_millis(slot);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if shared.speak.load(Ordering::Relaxed) {
            let calls: Vec<(usize, Arc<AgentCall>)> = {
                let calls = shared.calls.lock().unwrap();
                let of_slot = calls.iter().enumerate().skip(slot as usize % 20).step_by(20);
                of_slot.map(|(number, call)| (number, Arc::clone(call))).collect()
            };
            for (number, call) in calls {
                if call.ended.lock().unwrap().is_some() {
                    continue;
                }
                let mut sent = call.sent.lock().unwrap();
                let frame = &plan.frames[sent.len() % plan.frames.len()];
                let (sequence, timestamp) = clocks.entry(number).or_default();
                let bytes =
                    rtp::packet(call.payload_type, sent.is_empty(), *sequence, *timestamp, number as u32 + 1, frame);
                *sequence = sequence.wrapping_add(1);
                *timestamp = timestamp.wrapping_add(units);
                sent.push(Instant::now());
                let _ = shared.sockets[call.socket].send_to(&bytes, call.gateway_rtp);
            }
        }
        slot += 1;
    }
}

fn answer_all(shared: &Shared, sip: &UdpSocket, format: (u8, &str)) {
    let mut buffer = vec![0; 8192];
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((length, from)) = sip.recv_from(&mut buffer) else { continue };
        let Some(request) = SipMessage::parse(&buffer[..length]) else { continue };
        if let Some(response) = answer(shared, sip, &request, format) {
            let _ = sip.send_to(response.to_string().as_bytes(), from);
        }
    }
}

fn answer(shared: &Shared, sip: &UdpSocket, request: &SipMessage, format: (u8, &str)) -> Option<SipMessage> {
    let ok = SipMessage::response(request, 200, "OK", "agent");
    match request.method()? {
        "REGISTER" => {
            let contact = request.address("Contact");
            Some(ok.with("Contact", format!("<{contact}>;expires=600")).with("Expires", "600"))
        }
        "INVITE" => {
            let offer = AudioSdp::parse(&request.body)?;
            let mut calls = shared.calls.lock().unwrap();
            let mut by_call_id = shared.by_call_id.lock().unwrap();
            let known = by_call_id.get(request.text("Call-ID")).cloned();
            let call = known.unwrap_or_else(|| {
                let call = Arc::new(AgentCall {
                    user: request.uri().trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned(),
                    socket: calls.len() % shared.sockets.len(),
                    gateway_rtp: offer.target,
                    payload_type: offer.payload_type(format.1).unwrap_or(format.0),
                    answered: Instant::now(),
                    ended: Mutex::default(),
                    sent: Mutex::default(),
                });
                calls.push(Arc::clone(&call));
                by_call_id.insert(request.text("Call-ID").to_owned(), Arc::clone(&call));
                call
            });
            let rtp = shared.sockets[call.socket].local_addr().unwrap();
            let sdp = AudioSdp::new(rtp, &[(call.payload_type, format.1)]);
            let contact = format!("<sip:{}@{}>", call.user, sip.local_addr().unwrap());
            Some(ok.with("Contact", contact).with_sdp(&sdp.text()))
        }
        "BYE" => {
            if let Some(call) = shared.by_call_id.lock().unwrap().get(request.text("Call-ID")) {
                *call.ended.lock().unwrap() = Some(Instant::now());
            }
            Some(ok)
        }
        "ACK" => None,
        _ => Some(ok),
    }
}
