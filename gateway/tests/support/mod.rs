//! Rigs of the driver's tests: the whole app in this process on ports of its own, a phone on rtmp-session's client side, and a SIP
//! peer that is a bare UDP socket.
#![allow(dead_code)] // each test binary uses its part

pub(crate) mod websocket;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use rtmp_session::{
    ClientEvent, ClientSession, ConnectRequest, HandshakeKind, Input, Limits, Object, Output, StreamId, Value,
};
use rtmp_sip_gateway::app::{Addresses, App};
use rtmp_sip_gateway::config::Config;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long something may take that comes at once if it comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// What tokens are signed with in tests.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A token with these claims, good for so many seconds.
pub(crate) fn token(claims: &str, seconds: u64, secret: &str) -> String {
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let claims = format!(r#"{{{claims},"exp":{end}}}"#);
    let signed = format!("{}.{}", encode(br#"{"alg":"HS256","typ":"JWT"}"#), encode(claims.as_bytes()));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", encode(&mac.finalize().into_bytes()))
}

/// The app, running.
pub(crate) struct Running {
    pub(crate) at: Addresses,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts with the defaults on free ports.
    pub(crate) async fn start() -> Running {
        Running::with(|_| {}).await
    }

    /// Starts with the defaults on free ports, changed by `change`.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Running {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config { rtmp: free, http: Some(free), sip: vec![free], ..Config::default() };
        change(&mut config);
        let app = App::bind(config).await.unwrap();
        let at = app.addresses().clone();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(app.run(async {
            let _ = stopped.await;
        }));
        Running { at, stop, task }
    }

    /// Ctrl-C: how long the end takes.
    pub(crate) async fn end(self) -> Duration {
        let begin = Instant::now();
        self.stop.send(()).unwrap();
        timeout(Duration::from_secs(10), self.task).await.unwrap().unwrap();
        begin.elapsed()
    }

    /// A number of /metrics.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let mut http = TcpStream::connect(self.at.http.unwrap()).await.unwrap();
        http.write_all(b"GET /metrics HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut page = String::new();
        http.read_to_string(&mut page).await.unwrap();
        let line = page.lines().find(|line| line.starts_with(&format!("gateway_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Waits until a number of /metrics is `value`.
    pub(crate) async fn metric_becomes(&self, name: &str, value: f64) {
        let end = Instant::now() + PATIENCE;
        while self.metric(name).await != value {
            assert!(Instant::now() < end, "{name} is {}, not {value}", self.metric(name).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// An RTMP phone.
pub(crate) struct Phone {
    pub(crate) socket: TcpStream,
    pub(crate) session: ClientSession,
    events: VecDeque<ClientEvent>,
}

impl Phone {
    /// Connects TCP and says `connect` with this app path and arguments.
    pub(crate) async fn dial(at: SocketAddr, app: &str, args: &[Value]) -> Phone {
        Phone::say_connect(TcpStream::connect(at).await.unwrap(), app, args)
    }

    /// Dials with more properties in its connect object, and is accepted; the info object that it gets.
    pub(crate) async fn connect_with(at: SocketAddr, app: &str, more: Object, args: &[Value]) -> (Phone, Object) {
        let mut phone = Phone::dial_with(at, app, more, args).await;
        match phone.next().await {
            Some(ClientEvent::Connected { info }) => (phone, info),
            other => panic!("not connected: {other:?}"),
        }
    }

    /// A stream to publish or to play.
    pub(crate) async fn create_stream(&mut self) -> StreamId {
        self.session.create_stream(Instant::now());
        loop {
            match self.next().await {
                Some(ClientEvent::StreamCreated { stream, .. }) => return stream,
                Some(_) => {}
                None => panic!("the connection ended"),
            }
        }
    }

    /// Dials with more properties in its connect object.
    pub(crate) async fn dial_with(at: SocketAddr, app: &str, more: Object, args: &[Value]) -> Phone {
        let request = ConnectRequest { app: app.into(), more, args: args.to_vec(), ..ConnectRequest::default() };
        Phone::request(TcpStream::connect(at).await.unwrap(), request)
    }

    pub(crate) fn say_connect(socket: TcpStream, app: &str, args: &[Value]) -> Phone {
        Phone::request(socket, ConnectRequest { app: app.into(), args: args.to_vec(), ..ConnectRequest::default() })
    }

    fn request(socket: TcpStream, request: ConnectRequest) -> Phone {
        let mut session = ClientSession::new(Instant::now(), Limits::default(), [7; 32], HandshakeKind::Digest);
        session.connect(Instant::now(), request);
        Phone { socket, session, events: VecDeque::new() }
    }

    /// Dials, and is accepted.
    pub(crate) async fn connect(at: SocketAddr, app: &str, args: &[Value]) -> Phone {
        Phone::over(TcpStream::connect(at).await.unwrap(), app, args).await
    }

    /// Connects on this socket, and is accepted.
    pub(crate) async fn over(socket: TcpStream, app: &str, args: &[Value]) -> Phone {
        let mut phone = Phone::say_connect(socket, app, args);
        let event = phone.next().await;
        assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
        phone
    }

    /// The next event; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<ClientEvent> {
        timeout(PATIENCE, self.wait()).await.expect("nothing happens")
    }

    /// The next event, however long it takes.
    pub(crate) async fn wait(&mut self) -> Option<ClientEvent> {
        loop {
            self.flush().await;
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let mut space = [0; 4_096];
            match self.socket.read(&mut space).await {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.session.handle_input(Instant::now(), Input::Bytes(&space[..count])).unwrap(),
            }
        }
    }

    /// Writes what the session wants to say.
    pub(crate) async fn flush(&mut self) {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Bytes(bytes) => {
                    let _ = self.socket.write_all(&bytes).await;
                }
                Output::Event(event) => self.events.push_back(event),
                Output::Close => {}
            }
        }
    }

    /// Calls a method.
    pub(crate) async fn call(&mut self, name: &str, args: &[Value]) {
        self.session.call(Instant::now(), name, args);
        self.flush().await;
    }

    /// Calls a method that is answered with something: `_result`'s values, or `_error`'s.
    pub(crate) async fn ask(&mut self, name: &str, args: &[Value]) -> Result<Vec<Value>, Vec<Value>> {
        let asked = self.session.call(Instant::now(), name, args);
        loop {
            match self.next().await {
                Some(ClientEvent::Result { id, values }) if id == asked => return Ok(values),
                Some(ClientEvent::Error { id, values }) if id == asked => return Err(values),
                Some(ClientEvent::Result { .. } | ClientEvent::Audio { .. } | ClientEvent::StreamBegin { .. }) => {}
                other => panic!("waiting for the answer to {name}: {other:?}"),
            }
        }
    }

    /// Waits for a call of the gateway to this method; other calls in between are an error.
    pub(crate) async fn expect(&mut self, method: &str) -> Vec<Value> {
        loop {
            match self.next().await {
                Some(ClientEvent::Call { name, args, .. }) if name == method => return args,
                Some(ClientEvent::Result { .. } | ClientEvent::Audio { .. } | ClientEvent::StreamBegin { .. }) => {}
                other => panic!("waiting for {method}: {other:?}"),
            }
        }
    }
}

/// A SIP peer: a registrar, a callee, a caller, whatever the test makes of it.
pub(crate) struct Peer {
    pub(crate) socket: UdpSocket,
}

/// A SIP message as text, and who sent it.
pub(crate) struct Heard {
    pub(crate) text: String,
    pub(crate) from: SocketAddr,
}

impl Peer {
    pub(crate) async fn new() -> Peer {
        Peer { socket: UdpSocket::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next message that begins with `start`; retransmissions and others before it are passed over.
    pub(crate) async fn expect(&self, start: &str) -> Heard {
        let wait = async {
            let mut space = [0; 4_096];
            loop {
                let (count, from) = self.socket.recv_from(&mut space).await.unwrap();
                let text = String::from_utf8_lossy(&space[..count]).into_owned();
                if text.starts_with(start) {
                    return Heard { text, from };
                }
            }
        };
        timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("no {start}"))
    }

    /// Answers a request: the headers that must be echoed, a To tag, and what is given.
    pub(crate) async fn answer(&self, request: &Heard, status: &str, more: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for line in request.text.lines().skip(1).take_while(|line| !line.is_empty()) {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            match name.as_str() {
                "via" | "from" | "call-id" | "cseq" | "record-route" => text += &format!("{line}\r\n"),
                "to" if line.contains("tag=") => text += &format!("{line}\r\n"),
                "to" => text += &format!("{line};tag=peer\r\n"),
                _ => {}
            }
        }
        text += &format!("{more}Content-Length: {}\r\n\r\n{body}", body.len());
        self.socket.send_to(text.as_bytes(), request.from).await.unwrap();
    }

    /// A request in the dialog that this INVITE began and `answer` accepted. `more` lines end in CRLF.
    pub(crate) async fn request(&self, invite: &Heard, method: &str, cseq: u32, more: &str, body: &str) {
        let contact = invite.header("contact").trim_start_matches('<').split('>').next().unwrap().to_owned();
        let text = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {0};branch=z9hG4bK{method}{cseq};rport\r\nMax-Forwards: 70\r\n\
             From: {1};tag=peer\r\nTo: {2}\r\nCall-ID: {3}\r\nCSeq: {cseq} {method}\r\nContact: <sip:bob@{0}>\r\n\
             {more}Content-Length: {4}\r\n\r\n{body}",
            self.address(),
            invite.header("to"),
            invite.header("from"),
            invite.header("call-id"),
            body.len(),
        );
        self.socket.send_to(text.as_bytes(), invite.from).await.unwrap();
    }

    /// Ends the call that this INVITE began and `answer` accepted.
    pub(crate) async fn bye(&self, invite: &Heard) {
        let contact = invite.header("contact").trim_start_matches('<').split('>').next().unwrap().to_owned();
        let text = format!(
            "BYE {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye;rport\r\nMax-Forwards: 70\r\nFrom: {};tag=peer\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            self.address(),
            invite.header("to"),
            invite.header("from"),
            invite.header("call-id"),
        );
        self.socket.send_to(text.as_bytes(), invite.from).await.unwrap();
    }
}

impl Heard {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        line.unwrap_or_else(|| panic!("no {name} in {}", self.text)).split_once(':').unwrap().1.trim()
    }
}
