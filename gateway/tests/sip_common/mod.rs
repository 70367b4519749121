//! A SIP peer made of a bare UDP socket and strings: it shares no code with the stack under test.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use phone_agent::{SipAction, SipEvent};
use rtmp_sip_gateway::sip::{Identity, SipAgent, SipConfig, SipStack};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Round-trip estimate of the tests: 25 times faster than life, so that 64*T1 is 1.28 s.
pub const T1: Duration = Duration::from_millis(20);
pub const PATIENCE: Duration = Duration::from_secs(8);
pub const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
pub const ANSWER: &str =
    "v=0\r\no=- 2 2 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4002 RTP/AVP 0\r\n";

/// A received message.
#[derive(Debug, Clone)]
pub struct Got {
    pub text: String,
    pub from: SocketAddr,
    pub at: Instant,
}

impl Got {
    pub fn start(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let lines = head.lines().skip(1).filter_map(|l| l.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    pub fn get(&self, name: &str) -> &str {
        self.all(name).first().copied().unwrap_or_default()
    }

    pub fn body(&self) -> &str {
        self.text.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub fn branch(&self) -> &str {
        self.get("Via").split("branch=").nth(1).unwrap_or_default().split(';').next().unwrap_or_default()
    }

    pub fn tag(&self, name: &str) -> String {
        self.get(name).split(";tag=").nth(1).unwrap_or_default().split(';').next().unwrap_or_default().to_owned()
    }

    /// The URI between the angle brackets of Contact.
    pub fn contact(&self) -> String {
        self.get("Contact").split(['<', '>']).nth(1).unwrap_or_default().to_owned()
    }

    pub fn status(&self) -> u16 {
        self.start().strip_prefix("SIP/2.0 ").and_then(|s| s.get(..3)).and_then(|s| s.parse().ok()).unwrap_or(0)
    }
}

pub struct Peer {
    pub socket: UdpSocket,
    pub address: SocketAddr,
}

impl Peer {
    pub async fn new() -> Peer {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        Peer { socket, address }
    }

    pub async fn next(&self) -> Got {
        timeout(PATIENCE, self.take()).await.expect("a message within 8 s")
    }

    async fn take(&self) -> Got {
        let mut buffer = vec![0; 65_536];
        let (size, from) = self.socket.recv_from(&mut buffer).await.unwrap();
        Got { text: String::from_utf8_lossy(&buffer[..size]).into_owned(), from, at: Instant::now() }
    }

    /// The next message that starts so; others (retransmissions) are passed over.
    pub async fn expect(&self, start: &str) -> Got {
        let wait = async {
            loop {
                let got = self.take().await;
                if got.start().starts_with(start) {
                    return got;
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {start:?} within 8 s"))
    }

    /// Everything that comes within `time`.
    pub async fn collect(&self, time: Duration) -> Vec<Got> {
        let end = tokio::time::Instant::now() + time;
        let mut all = Vec::new();
        while let Ok(got) = tokio::time::timeout_at(end, self.take()).await {
            all.push(got);
        }
        all
    }

    pub async fn send(&self, text: &str, to: SocketAddr) {
        self.socket.send_to(text.as_bytes(), to).await.unwrap();
    }

    /// A response to `request`; `extra` lines end in CRLF.
    pub async fn respond(&self, request: &Got, status: &str, tag: &str, extra: &str, body: &str) {
        let vias: String = request.all("Via").iter().map(|v| format!("Via: {v}\r\n")).collect();
        let to = match request.get("To").contains(";tag=") || tag.is_empty() {
            true => request.get("To").to_owned(),
            false => format!("{};tag={tag}", request.get("To")),
        };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "SIP/2.0 {status}\r\n{vias}From: {}\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {}\r\n{extra}{kind}Content-Length: {}\r\n\r\n{body}",
            request.get("From"),
            request.get("Call-ID"),
            request.get("CSeq"),
            body.len()
        );
        self.send(&text, request.from).await;
    }

    pub fn contact(&self) -> String {
        format!("Contact: <sip:peer@{}>\r\n", self.address)
    }

    /// 200 to an INVITE with our answer.
    pub async fn answer(&self, invite: &Got, tag: &str) {
        self.respond(invite, "200 OK", tag, &self.contact(), ANSWER).await;
    }

    /// A request of the peer's. `extra` lines end in CRLF; `branch` names the transaction.
    #[allow(clippy::too_many_arguments)]
    pub async fn request(
        &self,
        to: SocketAddr,
        method: &str,
        uri: &str,
        (from_tag, to_line): (&str, &str),
        call_id: &str,
        cseq: u32,
        branch: &str,
        extra: &str,
        body: &str,
    ) {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {0};rport;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
             From: \"Bob B\" <sip:bob@{0}>;tag={from_tag}\r\nTo: {to_line}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:bob@{0}>\r\n{extra}{kind}Content-Length: {1}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        self.send(&text, to).await;
    }
}

/// A stack with short timers, and one agent on it whose domain is the peer.
pub struct Rig {
    pub stack: SipStack,
    pub agent: SipAgent,
    pub events: mpsc::Receiver<SipEvent>,
    pub peer: Peer,
    pub gateway: SocketAddr,
}

pub fn config() -> SipConfig {
    SipConfig { listen: vec!["127.0.0.1:0".parse().unwrap()], t1: T1, ..SipConfig::default() }
}

pub fn identity(address: String) -> Identity {
    Identity { address, login: None, password: Some("secret".to_owned()), display_name: Some("Alice A".to_owned()) }
}

impl Rig {
    pub async fn new() -> Rig {
        Rig::with(config()).await
    }

    pub async fn with(config: SipConfig) -> Rig {
        let stack = SipStack::start(config).await.unwrap();
        let peer = Peer::new().await;
        let (sender, events) = mpsc::channel(64);
        let agent = stack.attach(identity(format!("alice@{}", peer.address)), sender).unwrap();
        let gateway = stack.local_addr();
        Rig { stack, agent, events, peer, gateway }
    }

    /// An agent that the peer has registered, and the Contact it gave.
    pub async fn registered() -> (Rig, String) {
        let mut rig = Rig::new().await;
        rig.agent.perform(SipAction::Register { expires: Duration::from_secs(180) });
        let register = rig.peer.expect("REGISTER").await;
        let extra = format!("Contact: <{}>;expires=180\r\n", register.contact());
        rig.peer.respond(&register, "200 OK", "r", &extra, "").await;
        assert!(matches!(rig.event().await, SipEvent::Registered { .. }));
        (rig, register.contact())
    }

    pub async fn event(&mut self) -> SipEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event within 8 s").expect("the agent lives")
    }

    pub async fn no_event(&mut self, time: Duration) {
        if let Ok(event) = timeout(time, self.events.recv()).await {
            panic!("unexpected {event:?}");
        }
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "not within 8 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
