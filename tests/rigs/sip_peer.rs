//! A SIP peer under exact control: registrar and user agent on one UDP socket, every step at the test's word.
//!
//! ```text
//!   datagram -> parse -> log -> REGISTER? -> Registrar answers by its policy
//!                            -> repeated request? -> the answer it got, again
//!                            -> response? -> whoever waits for its branch
//!                            -> anything else -> inbox: the test decides
//! ```

use crate::digest::{self, Algorithm};
use crate::sdp::AudioSdp;
use crate::sip_message::SipMessage;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// RFC 3261 section 17.1.1.1.
const T1: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(8);

/// What the registrar does with a REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistrarPolicy {
    /// Challenges with this algorithm; takes whoever proves this password.
    Password {
        /// Hash of the challenge.
        algorithm: Algorithm,
        /// The password of every user.
        password: String,
        /// Expires granted, seconds.
        expires: u32,
    },
    /// Takes everybody, for this many seconds.
    Open(u32),
    /// Answers this status.
    Refuse(u16, &'static str),
    /// Says nothing.
    Silent,
}

struct Core {
    policy: RegistrarPolicy,
    /// User part -> Contact URI.
    bindings: HashMap<String, String>,
    log: Vec<(Instant, SipMessage)>,
    answered: HashMap<String, Vec<u8>>,
    waiting: HashMap<String, mpsc::UnboundedSender<SipMessage>>,
    acked: Vec<String>,
}

/// A SIP peer.
pub struct SipPeer {
    socket: Arc<UdpSocket>,
    address: SocketAddr,
    advertised: SocketAddr,
    next_hop: Option<SocketAddr>,
    inbox: mpsc::UnboundedReceiver<(SipMessage, SocketAddr)>,
    core: Arc<Mutex<Core>>,
    task: JoinHandle<()>,
}

/// One side of a call that is up or about to be.
#[derive(Debug, Clone)]
pub struct Dialog {
    call_id: String,
    local: String,
    remote: String,
    target: String,
    hop: SocketAddr,
    cseq: u32,
    /// The far end's description, the last that came.
    pub remote_sdp: Option<AudioSdp>,
    /// The INVITE that began it.
    pub invite: SipMessage,
}

impl Dialog {
    /// Where the far end wants RTP.
    ///
    /// # Panics
    /// When it has not said.
    pub fn rtp(&self) -> SocketAddr {
        self.remote_sdp.as_ref().expect("the far end sent a description").target
    }

    /// Its Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }
}

impl SipPeer {
    /// Binds a free port; the registrar is open.
    pub async fn bind(ip: IpAddr) -> Self {
        Self::bind_at(SocketAddr::new(ip, 0)).await
    }

    /// Binds this address.
    pub async fn bind_at(address: SocketAddr) -> Self {
        let socket = Arc::new(UdpSocket::bind(address).await.unwrap());
        let address = socket.local_addr().unwrap();
        let core = Arc::new(Mutex::new(Core {
            policy: RegistrarPolicy::Open(180),
            bindings: HashMap::new(),
            log: Vec::new(),
            answered: HashMap::new(),
            waiting: HashMap::new(),
            acked: Vec::new(),
        }));
        let (give, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(listen(Arc::clone(&socket), Arc::clone(&core), give));
        Self { socket, address, advertised: address, next_hop: None, inbox, core, task }
    }

    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that it says and sends goes by way of a relay: `near` is where the gateway reaches the relay, `far` where we do.
    pub fn behind(&mut self, near: SocketAddr, far: SocketAddr) {
        self.advertised = near;
        self.next_hop = Some(far);
    }

    /// The address that the gateway knows it by: the domain of accounts here.
    pub fn domain(&self) -> String {
        self.advertised.to_string()
    }

    /// `sip:user@` and the domain.
    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.advertised)
    }

    /// Sets what the registrar does.
    pub fn set_policy(&self, policy: RegistrarPolicy) {
        self.core.lock().unwrap().policy = policy;
    }

    /// The registered Contact of a user.
    pub fn binding(&self, user: &str) -> Option<String> {
        self.core.lock().unwrap().bindings.get(user).cloned()
    }

    /// Waits until a user is registered (or not any more).
    pub async fn wait_binding(&self, user: &str, present: bool, patience: Duration) {
        let end = Instant::now() + patience;
        while self.binding(user).is_some() != present {
            assert!(Instant::now() < end, "{user} registered: still not {present} after {patience:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// All messages that came, in order, repeated ones too.
    pub fn log(&self) -> Vec<(Instant, SipMessage)> {
        self.core.lock().unwrap().log.clone()
    }

    /// Requests of one method that came, repeated ones too.
    pub fn requests(&self, method: &str) -> Vec<SipMessage> {
        let of_method = |message: &SipMessage| message.method() == Some(method);
        self.log().into_iter().map(|(_, message)| message).filter(of_method).collect()
    }

    /// The next request of this method; earlier ones of other methods are answered 200 and dropped.
    ///
    /// # Panics
    /// When none comes in 8 s.
    pub async fn request(&mut self, method: &str) -> (SipMessage, SocketAddr) {
        let end = Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(end.into(), self.inbox.recv()).await;
            let Ok(Some((message, from))) = next else { panic!("no {method} came; log: {:#?}", self.starts()) };
            match message.method() {
                Some(found) if found == method => return (message, from),
                Some("ACK") | None => {}
                Some(_) => self.respond(&message, from, 200, "OK", None).await,
            }
        }
    }

    /// The start lines of the log, for messages to people.
    pub fn starts(&self) -> Vec<String> {
        self.log().into_iter().map(|(_, message)| message.start).collect()
    }

    /// Makes sure that no request comes for a while.
    pub async fn expect_nothing(&mut self, time: Duration) {
        if let Ok(Some((message, _))) = tokio::time::timeout(time, self.inbox.recv()).await {
            panic!("nothing should have come, but: {}", message.start);
        }
    }

    /// Makes sure that for a short while no request comes but ACKs.
    pub async fn expect_nothing_but_ack(&mut self) {
        let end = Instant::now() + Duration::from_millis(300);
        while let Ok(Some((message, _))) = tokio::time::timeout_at(end.into(), self.inbox.recv()).await {
            assert_eq!(message.method(), Some("ACK"), "nothing should have come, but: {}", message.start);
        }
    }

    /// Sends an answer; a repeated request will get it again.
    pub async fn respond(&self, request: &SipMessage, to: SocketAddr, code: u16, phrase: &str, sdp: Option<&AudioSdp>) {
        let mut response = SipMessage::response(request, code, phrase, &our_tag(request));
        response.push("Contact", &format!("<sip:peer@{}>", self.advertised));
        response.push("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS");
        if let Some(sdp) = sdp {
            response = response.with_sdp(&sdp.text());
        }
        let bytes = response.to_string().into_bytes();
        self.core.lock().unwrap().answered.insert(transaction(request), bytes.clone());
        self.socket.send_to(&bytes, to).await.unwrap();
    }

    /// Waits for an INVITE; it gets 100 at once.
    pub async fn incoming(&mut self) -> Dialog {
        let (invite, from) = self.request("INVITE").await;
        self.respond(&invite, from, 100, "Trying", None).await;
        Dialog {
            call_id: invite.text("Call-ID").into(),
            local: format!("{};tag={}", invite.text("To"), our_tag(&invite)),
            remote: invite.text("From").into(),
            target: invite.address("Contact").into(),
            hop: from,
            cseq: 100,
            remote_sdp: AudioSdp::parse(&invite.body),
            invite,
        }
    }

    /// 180.
    pub async fn ring(&self, dialog: &Dialog) {
        self.respond(&dialog.invite, dialog.hop, 180, "Ringing", None).await;
    }

    /// A final failure.
    pub async fn refuse(&self, dialog: &Dialog, code: u16, phrase: &str) {
        self.respond(&dialog.invite, dialog.hop, code, phrase, None).await;
    }

    /// 200 with a description, repeated until the ACK comes.
    ///
    /// # Panics
    /// When no ACK comes in 8 s.
    pub async fn answer(&self, dialog: &Dialog, sdp: &AudioSdp) {
        let end = Instant::now() + PATIENCE;
        let mut wait = T1;
        loop {
            self.respond(&dialog.invite, dialog.hop, 200, "OK", Some(sdp)).await;
            let next = Instant::now() + wait;
            while Instant::now() < next {
                if self.is_acked(&dialog.call_id, dialog.invite.cseq().0) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert!(Instant::now() < end, "no ACK to our 200; log: {:#?}", self.starts());
            wait *= 2;
        }
    }

    /// Whether the INVITE of this number has its ACK.
    pub fn is_acked(&self, call_id: &str, cseq: u32) -> bool {
        self.core.lock().unwrap().acked.contains(&format!("{call_id} {cseq}"))
    }

    /// Calls a URI through this next hop (the gateway), with an offer; the dialog as far as it came, and the final response.
    /// `during` is called with each provisional response.
    pub async fn invite(
        &self,
        uri: &str,
        hop: SocketAddr,
        offer: Option<&AudioSdp>,
        mut during: impl FnMut(&SipMessage),
    ) -> (Dialog, SipMessage) {
        let mut calling = self.start_invite(uri, hop, offer).await;
        loop {
            let response = calling.response(Duration::from_secs(20)).await;
            if response.status() >= Some(200) {
                let dialog = self.finish_invite(&calling, &response).await;
                return (dialog, response);
            }
            during(&response);
        }
    }

    /// Sends an INVITE and lets the test see each response.
    pub async fn start_invite(&self, uri: &str, hop: SocketAddr, offer: Option<&AudioSdp>) -> Calling {
        let call_id = token("call");
        let (local, remote) = (format!("\"Peer\" <{}>;tag={}", self.uri("peer"), token("t")), format!("<{uri}>"));
        let mut invite = SipMessage::request("INVITE", uri)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", &local)
            .with("To", &remote)
            .with("Call-ID", &call_id)
            .with("CSeq", "1 INVITE")
            .with("Contact", format!("<sip:peer@{}>", self.advertised));
        if let Some(offer) = offer {
            invite = invite.with_sdp(&offer.text());
        }
        let (responses, stop) = self.transmit(invite.clone(), hop);
        Calling { invite, hop: self.next_hop.unwrap_or(hop), responses, _stop: stop }
    }

    /// ACKs a final response; the dialog, when it was a 2xx.
    pub async fn finish_invite(&self, calling: &Calling, response: &SipMessage) -> Dialog {
        let accepted = response.status() < Some(300);
        let target = if accepted { response.address("Contact") } else { calling.invite.uri() };
        // RFC 3261: the ACK to a 2xx is a transaction of its own (13.2.2.4), the other belongs to the INVITE's (17.1.1.3).
        let via = if accepted { self.via() } else { calling.invite.text("Via").to_owned() };
        let ack = SipMessage::request("ACK", target)
            .with("Via", via)
            .with("Max-Forwards", "70")
            .with("From", calling.invite.text("From"))
            .with("To", response.text("To"))
            .with("Call-ID", calling.invite.text("Call-ID"))
            .with("CSeq", format!("{} ACK", calling.invite.cseq().0));
        self.socket.send_to(ack.to_string().as_bytes(), calling.hop).await.unwrap();
        Dialog {
            call_id: calling.invite.text("Call-ID").into(),
            local: calling.invite.text("From").into(),
            remote: response.text("To").into(),
            target: target.to_owned(),
            hop: calling.hop,
            cseq: calling.invite.cseq().0,
            remote_sdp: AudioSdp::parse(&response.body),
            invite: calling.invite.clone(),
        }
    }

    /// CANCELs a call that has no final response yet, and takes both final responses (200 to the CANCEL, 487 to the INVITE).
    pub async fn cancel(&self, mut calling: Calling) -> (SipMessage, SipMessage) {
        let cancel = SipMessage::request("CANCEL", calling.invite.uri())
            .with("Via", calling.invite.text("Via"))
            .with("Max-Forwards", "70")
            .with("From", calling.invite.text("From"))
            .with("To", calling.invite.text("To"))
            .with("Call-ID", calling.invite.text("Call-ID"))
            .with("CSeq", format!("{} CANCEL", calling.invite.cseq().0));
        self.socket.send_to(cancel.to_string().as_bytes(), calling.hop).await.unwrap();
        let (mut to_cancel, mut to_invite) = (None, None);
        loop {
            let response = calling.response(PATIENCE).await;
            if response.cseq().1 == "CANCEL" {
                to_cancel = Some(response);
            } else if response.status() >= Some(200) {
                self.finish_invite(&calling, &response).await;
                to_invite = Some(response);
            }
            if let (Some(a), Some(b)) = (&to_cancel, &to_invite) {
                return (a.clone(), b.clone());
            }
        }
    }

    /// A new offer within the call; the final response. A 2xx updates the dialog.
    pub async fn reinvite(&self, dialog: &mut Dialog, offer: &AudioSdp) -> SipMessage {
        let invite = self
            .in_dialog(dialog, "INVITE")
            .with("Contact", format!("<sip:peer@{}>", self.advertised))
            .with_sdp(&offer.text());
        let (responses, stop) = self.transmit(invite.clone(), dialog.hop);
        let mut calling = Calling { invite, hop: self.next_hop.unwrap_or(dialog.hop), responses, _stop: stop };
        loop {
            let response = calling.response(PATIENCE).await;
            if response.status() >= Some(200) {
                let renewed = self.finish_invite(&calling, &response).await;
                if renewed.remote_sdp.is_some() {
                    dialog.remote_sdp = renewed.remote_sdp;
                }
                return response;
            }
        }
    }

    /// BYE; the final response.
    pub async fn bye(&self, dialog: &mut Dialog) -> SipMessage {
        let bye = self.in_dialog(dialog, "BYE");
        self.exchange(bye, dialog.hop).await
    }

    /// Sends a request and waits for its final response.
    ///
    /// # Panics
    /// When none comes in 8 s.
    pub async fn exchange(&self, request: SipMessage, hop: SocketAddr) -> SipMessage {
        let start = request.start.clone();
        let (mut responses, _stop) = self.transmit(request, hop);
        loop {
            match tokio::time::timeout(PATIENCE, responses.recv()).await {
                Ok(Some(response)) if response.status() >= Some(200) => return response,
                Ok(Some(_)) => {}
                _ => panic!("no response to {start}"),
            }
        }
    }

    /// A request within a dialog, with the next number.
    pub fn in_dialog(&self, dialog: &mut Dialog, method: &str) -> SipMessage {
        dialog.cseq += 1;
        SipMessage::request(method, &dialog.target)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", &dialog.local)
            .with("To", &dialog.remote)
            .with("Call-ID", &dialog.call_id)
            .with("CSeq", format!("{} {method}", dialog.cseq))
    }

    /// A request out of any dialog, for a test to bend.
    pub fn out_of_dialog(&self, method: &str, uri: &str) -> SipMessage {
        SipMessage::request(method, uri)
            .with("Via", self.via())
            .with("Max-Forwards", "70")
            .with("From", format!("<{}>;tag={}", self.uri("peer"), token("t")))
            .with("To", format!("<{uri}>"))
            .with("Call-ID", token("call"))
            .with("CSeq", format!("1 {method}"))
    }

    /// Raw bytes from the SIP port.
    pub async fn send_raw(&self, bytes: &[u8], to: SocketAddr) {
        self.socket.send_to(bytes, to).await.unwrap();
    }

    fn via(&self) -> String {
        format!("SIP/2.0/UDP {};branch={};rport", self.advertised, token("z9hG4bK"))
    }

    /// Sends a request again and again (0.5, 1, 2, ... s) until a response came or the guard is dropped.
    fn transmit(&self, request: SipMessage, hop: SocketAddr) -> (mpsc::UnboundedReceiver<SipMessage>, Stop) {
        let (give, responses) = mpsc::unbounded_channel();
        let branch = request.branch().to_owned();
        let heard = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (inner_give, mut inner) = mpsc::unbounded_channel::<SipMessage>();
        self.core.lock().unwrap().waiting.insert(branch, inner_give);
        let flag = Arc::clone(&heard);
        let forward = tokio::spawn(async move {
            while let Some(response) = inner.recv().await {
                flag.store(true, Ordering::Relaxed);
                let _ = give.send(response);
            }
        });
        let (socket, hop) = (Arc::clone(&self.socket), self.next_hop.unwrap_or(hop));
        let bytes = request.to_string().into_bytes();
        let send = tokio::spawn(async move {
            let mut wait = T1;
            while !heard.load(Ordering::Relaxed) && wait < 64 * T1 {
                let _ = socket.send_to(&bytes, hop).await;
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        });
        (responses, Stop(vec![forward, send]))
    }
}

impl Drop for SipPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An INVITE of ours that is under way.
pub struct Calling {
    /// As sent.
    pub invite: SipMessage,
    hop: SocketAddr,
    responses: mpsc::UnboundedReceiver<SipMessage>,
    _stop: Stop,
}

impl Calling {
    /// The next response.
    ///
    /// # Panics
    /// When none comes in time.
    pub async fn response(&mut self, patience: Duration) -> SipMessage {
        match tokio::time::timeout(patience, self.responses.recv()).await {
            Ok(Some(response)) => response,
            _ => panic!("no response to {} in {patience:?}", self.invite.start),
        }
    }
}

struct Stop(Vec<JoinHandle<()>>);

impl Drop for Stop {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// A new word that no other test uses.
pub fn token(prefix: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}{:x}x{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// One tag for all answers to one Call-ID.
fn our_tag(request: &SipMessage) -> String {
    let sum = request.text("Call-ID").bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    format!("peer{sum:08x}")
}

fn transaction(request: &SipMessage) -> String {
    format!("{} {}", request.branch(), request.cseq().1)
}

async fn listen(
    socket: Arc<UdpSocket>,
    core: Arc<Mutex<Core>>,
    inbox: mpsc::UnboundedSender<(SipMessage, SocketAddr)>,
) {
    let mut buffer = vec![0; 65_536];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Some(message) = SipMessage::parse(&buffer[..length]) else { continue };
        if let Some(answer) = core.lock().unwrap().take(message, from, &inbox) {
            let _ = socket.try_send_to(&answer, from);
        }
    }
}

impl Core {
    /// What to answer at once, if anything.
    fn take(
        &mut self,
        message: SipMessage,
        from: SocketAddr,
        inbox: &mpsc::UnboundedSender<(SipMessage, SocketAddr)>,
    ) -> Option<Vec<u8>> {
        self.log.push((Instant::now(), message.clone()));
        let Some(method) = message.method() else {
            if let Some(waiting) = self.waiting.get(message.branch()) {
                let _ = waiting.send(message);
            }
            return None;
        };
        if method == "ACK" {
            self.acked.push(format!("{} {}", message.text("Call-ID"), message.cseq().0));
            let _ = inbox.send((message, from));
            return None;
        }
        let key = transaction(&message);
        if let Some(answer) = self.answered.get(&key) {
            return Some(answer.clone()).filter(|answer| !answer.is_empty());
        }
        if method == "REGISTER" {
            let answer = self.register(&message)?.to_string().into_bytes();
            self.answered.insert(key, answer.clone());
            return Some(answer);
        }
        // Seen, not answered yet: a repeat is not a second request.
        self.answered.insert(key, Vec::new());
        let _ = inbox.send((message, from));
        None
    }

    fn register(&mut self, request: &SipMessage) -> Option<SipMessage> {
        const REALM: &str = "peer.test";
        const NONCE: &str = "4a6f686e20446f65";
        let expires = match &self.policy {
            RegistrarPolicy::Silent => return None,
            RegistrarPolicy::Refuse(code, phrase) => {
                return Some(SipMessage::response(request, *code, phrase, "reg"));
            }
            RegistrarPolicy::Open(expires) => *expires,
            RegistrarPolicy::Password { algorithm, password, expires } => {
                let proven = request
                    .header("Authorization")
                    .is_some_and(|header| digest::proves(header, *algorithm, "REGISTER", NONCE, REALM, password));
                if !proven {
                    let challenge = format!(
                        "Digest realm=\"{REALM}\", nonce=\"{NONCE}\", algorithm={}, qop=\"auth\"",
                        algorithm.token()
                    );
                    let answer = SipMessage::response(request, 401, "Unauthorized", "reg");
                    return Some(answer.with("WWW-Authenticate", challenge));
                }
                *expires
            }
        };
        let user = request.address("To").trim_start_matches("sip:").split('@').next().unwrap_or_default().to_owned();
        let contact = request.address("Contact").to_owned();
        let asked = request.text("Contact").split(";expires=").nth(1).and_then(|rest| rest.split(';').next());
        if asked.unwrap_or(request.text("Expires")).trim() == "0" {
            // Only its own binding: another connection of the same user may have registered since (RFC 3261 section 10.3).
            if self.bindings.get(&user) == Some(&contact) || request.text("Contact") == "*" {
                self.bindings.remove(&user);
            }
            return Some(SipMessage::response(request, 200, "OK", "reg"));
        }
        self.bindings.insert(user, contact.clone());
        let answer = SipMessage::response(request, 200, "OK", "reg");
        Some(answer.with("Contact", format!("<{contact}>;expires={expires}")).with("Expires", expires.to_string()))
    }
}
