//! A fake RTMP phone: what a Flash or browser phone does, step by step and under the test's control.
//!
//! ```text
//!   test --act--> driver task: ClientSession <--TCP--> gateway
//!        <-event-               '--> heard: audio messages with the time of their arrival
//! ```

use bytes::Bytes;
use rtmp_session::{
    ClientEvent, ClientSession, ConnectRequest, HandshakeKind, Input, Limits, Object, ObjectEncoding, Output,
    RtmpTimestamp, StreamId, TransactionId, Value,
};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long a test waits for something that comes at once if it comes at all.
pub const PATIENCE: Duration = Duration::from_secs(8);

/// Who connects, and how (siprtmp contract section 2).
#[derive(Debug, Clone, Default)]
pub struct Login {
    /// `user@domain[:port]`; the app path is `sip/` and this.
    pub address: String,
    /// Positional connect arguments: login, password, display name, rate. Left out from the first `None` on.
    pub args: Vec<Value>,
    /// AMF0 or AMF3; `None` says nothing.
    pub encoding: Option<ObjectEncoding>,
    /// More properties of the connect object.
    pub more: Object,
}

impl Login {
    /// No password: no registration.
    pub fn anonymous(address: &str) -> Self {
        Self { address: address.into(), ..Self::default() }
    }

    /// Registers with this user name and password.
    pub fn with_password(address: &str, login: &str, password: &str) -> Self {
        Self { address: address.into(), args: vec![login.into(), password.into()], ..Self::default() }
    }

    /// This login with a display name.
    #[must_use]
    pub fn named(mut self, display: &str) -> Self {
        self.args.resize(2, Value::Null);
        self.args.push(display.into());
        self
    }

    /// This login with the `rate` argument.
    #[must_use]
    pub fn rate(mut self, rate: &str) -> Self {
        self.args.resize(3, Value::Null);
        self.args.push(rate.into());
        self
    }

    /// This login of a client that announces Opus (Enhanced RTMP).
    #[must_use]
    pub fn enhanced(self) -> Self {
        Self { more: self.more.with("fourCcList", vec![Value::from("Opus")]), ..self }
    }

    /// This login with an object encoding.
    #[must_use]
    pub fn encoded(mut self, encoding: ObjectEncoding) -> Self {
        self.encoding = Some(encoding);
        self
    }
}

/// One audio message that the phone was sent.
#[derive(Debug, Clone)]
pub struct Heard {
    /// When it came.
    pub at: Instant,
    /// RTMP time, milliseconds.
    pub timestamp_ms: u32,
    /// Tag byte and frames.
    pub body: Bytes,
}

/// How audio was sent.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// When the first message was sent.
    pub begin: Instant,
    /// By how much the latest message left later than it should: what a busy machine did to the phone's pace.
    pub latest: Duration,
}

/// What the gateway told the phone, other than audio.
#[derive(Debug, Clone, PartialEq)]
pub enum PhoneEvent {
    /// Something of the session.
    Session(ClientEvent),
    /// The connection is gone.
    Closed,
}

type Act = Box<dyn FnOnce(&mut ClientSession, Instant) + Send>;

enum Ask {
    Act(Act),
    StopReading(Duration),
}

/// A phone on one RTMP connection.
pub struct Phone {
    asks: mpsc::UnboundedSender<Ask>,
    events: mpsc::UnboundedReceiver<PhoneEvent>,
    backlog: VecDeque<PhoneEvent>,
    heard: Arc<Mutex<Vec<Heard>>>,
    opened: Instant,
    published: Option<StreamId>,
    task: JoinHandle<()>,
}

impl Phone {
    /// Opens the TCP connection and begins the digest handshake.
    pub async fn open(gateway: SocketAddr) -> Self {
        Self::open_with(gateway, HandshakeKind::Digest).await
    }

    /// Opens the TCP connection and begins this handshake.
    pub async fn open_with(gateway: SocketAddr, handshake: HandshakeKind) -> Self {
        let stream = TcpStream::connect(gateway).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let opened = Instant::now();
        let port = stream.local_addr().unwrap().port();
        let session = ClientSession::new(opened, Limits::default(), seed(port), handshake);
        let (asks, ask_queue) = mpsc::unbounded_channel();
        let (event_queue, events) = mpsc::unbounded_channel();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(drive(session, stream, ask_queue, event_queue, Arc::clone(&heard)));
        Self { asks, events, backlog: VecDeque::new(), heard, opened, published: None, task }
    }

    /// Opens and connects.
    ///
    /// # Panics
    /// When the gateway refuses.
    pub async fn connected(gateway: SocketAddr, login: Login) -> Self {
        let mut phone = Self::open(gateway).await;
        phone.connect(login).await.unwrap_or_else(|reason| panic!("connect was refused: {reason}"));
        phone
    }

    /// Sends `connect` and waits for the answer: the info object, or the description of the refusal.
    pub async fn connect(&mut self, login: Login) -> Result<Object, String> {
        self.start_connect(login);
        self.connect_answer(Duration::from_secs(40)).await
    }

    /// Sends `connect` only.
    pub fn start_connect(&mut self, login: Login) {
        let app = if login.address.is_empty() { "sip".into() } else { format!("sip/{}", login.address) };
        let request = ConnectRequest {
            tc_url: format!("rtmp://127.0.0.1/{app}"),
            app,
            object_encoding: login.encoding,
            more: login.more.with("flashVer", "LNX 11,2,202,644"),
            args: login.args,
        };
        self.act(move |session, now| session.connect(now, request));
    }

    /// Waits for the answer to `connect`.
    pub async fn connect_answer(&mut self, patience: Duration) -> Result<Object, String> {
        self.wait("an answer to connect", patience, |event| match event {
            PhoneEvent::Session(ClientEvent::Connected { info }) => Some(Ok(info.clone())),
            PhoneEvent::Session(ClientEvent::Rejected { info }) => {
                Some(Err(info.get_str("description").unwrap_or_default().to_owned()))
            }
            PhoneEvent::Closed => Some(Err("closed without an answer".into())),
            PhoneEvent::Session(_) => None,
        })
        .await
    }

    /// Calls a method and waits for its answer: the values of `_result`, or those of `_error`.
    pub async fn call(&mut self, name: &str, args: &[Value]) -> Result<Vec<Value>, Vec<Value>> {
        let id = self.start_call(name, args).await;
        self.wait(&format!("an answer to {name}"), PATIENCE, |event| match event {
            PhoneEvent::Session(ClientEvent::Result { id: of, values }) if *of == id => Some(Ok(values.clone())),
            PhoneEvent::Session(ClientEvent::Error { id: of, values }) if *of == id => Some(Err(values.clone())),
            PhoneEvent::Closed => panic!("the connection was closed instead of an answer to {name}"),
            PhoneEvent::Session(_) => None,
        })
        .await
    }

    /// Calls a method; its answer stays in the queue.
    pub async fn start_call(&mut self, name: &str, args: &[Value]) -> TransactionId {
        let (name, args) = (name.to_owned(), args.to_vec());
        self.ask(move |session, now| session.call(now, &name, &args)).await
    }

    /// `invite` with a list of codec words (none: the default offer).
    pub async fn invite(&mut self, destination: &str, codecs: &[&str]) {
        let args: Vec<Value> = std::iter::once(destination).chain(codecs.iter().copied()).map(Value::from).collect();
        self.call("invite", &args).await.unwrap();
    }

    /// `accept` with a list of codec words.
    pub async fn accept(&mut self, codecs: &[&str]) {
        let args: Vec<Value> = codecs.iter().copied().map(Value::from).collect();
        self.call("accept", &args).await.unwrap();
    }

    /// `bye`.
    pub async fn bye(&mut self) {
        self.call("bye", &[]).await.unwrap();
    }

    /// The figures of the call.
    ///
    /// # Panics
    /// When there are none.
    pub async fn stats(&mut self) -> Object {
        let values = self.call("stats", &[]).await.unwrap();
        values[0].as_object().expect("a call with media has figures").clone()
    }

    /// The next indication, whatever it is.
    pub async fn indication(&mut self, patience: Duration) -> (String, Vec<Value>) {
        self.wait("an indication", patience, |event| match event {
            PhoneEvent::Session(ClientEvent::Call { name, args, .. }) => Some((name.clone(), args.clone())),
            PhoneEvent::Closed => panic!("the connection was closed instead of an indication"),
            PhoneEvent::Session(_) => None,
        })
        .await
    }

    /// The arguments of the next indication, which must be this one; `ringing` may come before others any number of times.
    ///
    /// # Panics
    /// When another one comes, or none in [`PATIENCE`].
    pub async fn expect(&mut self, wanted: &str) -> Vec<Value> {
        loop {
            let (name, args) = self.indication(PATIENCE).await;
            if name == wanted {
                return args;
            }
            assert!(name == "ringing", "expected {wanted}, but the gateway said {name}({args:?})");
        }
    }

    /// Makes sure that no indication comes for a while.
    ///
    /// # Panics
    /// When one comes.
    pub async fn expect_silence(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(event) = self.next_event(end).await {
            assert!(
                !matches!(event, PhoneEvent::Session(ClientEvent::Call { .. })),
                "no indication should have come: {event:?}"
            );
            self.backlog.push_back(event);
        }
    }

    /// Waits for the end of the connection from the gateway's side.
    pub async fn expect_close(&mut self, patience: Duration) {
        self.wait("the end of the connection", patience, |event| (*event == PhoneEvent::Closed).then_some(())).await;
    }

    /// Waits for `onStatus` with this code.
    pub async fn expect_status(&mut self, wanted: &str) -> (StreamId, Object) {
        self.wait(wanted, PATIENCE, |event| match event {
            PhoneEvent::Session(ClientEvent::Status { stream, code, info }) if code == wanted => {
                Some((*stream, info.clone()))
            }
            PhoneEvent::Closed => panic!("the connection was closed instead of {wanted}"),
            _ => None,
        })
        .await
    }

    /// `createStream`.
    pub async fn create_stream(&mut self) -> StreamId {
        let id = self.ask(|session, now| session.create_stream(now)).await;
        self.wait("an answer to createStream", PATIENCE, |event| match event {
            PhoneEvent::Session(ClientEvent::StreamCreated { id: of, stream }) if *of == id => Some(*stream),
            _ => None,
        })
        .await
    }

    /// Two streams as the stock clients have them: `local` published, `remote` played.
    pub async fn start_media(&mut self) {
        self.publish("local").await;
        self.play("remote").await;
    }

    /// Publishes on a new stream.
    pub async fn publish(&mut self, name: &str) -> StreamId {
        let stream = self.create_stream().await;
        let name = name.to_owned();
        self.act(move |session, now| session.publish(now, stream, &name));
        self.expect_status("NetStream.Publish.Start").await;
        self.published = Some(stream);
        stream
    }

    /// Plays on a new stream.
    pub async fn play(&mut self, name: &str) -> StreamId {
        let stream = self.create_stream().await;
        let name = name.to_owned();
        self.act(move |session, now| session.play(now, stream, &name));
        self.expect_status("NetStream.Play.Start").await;
        stream
    }

    /// Sends audio messages at their real pace, one every 20 ms, with timestamps of the phone's clock.
    ///
    /// # Panics
    /// When nothing is published.
    pub async fn speak(&self, bodies: &[Bytes]) -> Spoken {
        let stream = self.published.expect("the phone publishes before it speaks");
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let begin = Instant::now();
        let first_ms = begin.duration_since(self.opened).as_millis() as u32;
        let mut latest = Duration::ZERO;
        for (number, body) in bodies.iter().enumerate() {
            tick.tick().await;
            latest = latest.max(begin.elapsed().saturating_sub(Duration::from_millis(20) * number as u32));
            self.send_audio(stream, first_ms + 20 * number as u32, body.clone());
        }
        Spoken { begin, latest }
    }

    /// Sends one audio message.
    pub fn send_audio(&self, stream: StreamId, timestamp_ms: u32, body: Bytes) {
        self.act(move |session, now| session.send_audio(now, stream, RtmpTimestamp::from_ms(timestamp_ms), &body));
    }

    /// The stream on which the phone publishes.
    pub fn published(&self) -> Option<StreamId> {
        self.published
    }

    /// All audio messages so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Forgets the audio so far.
    pub fn forget(&self) {
        self.heard.lock().unwrap().clear();
    }

    /// Waits until audio has come.
    pub async fn wait_heard(&self, messages: usize, patience: Duration) {
        let end = Instant::now() + patience;
        while self.heard.lock().unwrap().len() < messages {
            assert!(Instant::now() < end, "the phone heard less than {messages} audio messages in {patience:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the phone heard, decoded: sample rate and samples.
    pub fn heard_pcm(&self) -> (u32, Vec<i16>) {
        let heard = self.heard();
        crate::voice::decode_bodies(heard.iter().map(|message| &message.body[..]))
    }

    /// Anything else that the session can do.
    pub fn act(&self, act: impl FnOnce(&mut ClientSession, Instant) + Send + 'static) {
        // A closed connection shows as PhoneEvent::Closed; there is nothing to act on then.
        let _ = self.asks.send(Ask::Act(Box::new(act)));
    }

    async fn ask<T: Send + 'static>(&self, act: impl FnOnce(&mut ClientSession, Instant) -> T + Send + 'static) -> T {
        let (give, take) = tokio::sync::oneshot::channel();
        self.act(move |session, now| drop(give.send(act(session, now))));
        take.await.expect("the connection is open")
    }

    /// Stops reading from the connection for a while, as a phone on a stalled link does.
    pub fn stop_reading(&self, time: Duration) {
        let _ = self.asks.send(Ask::StopReading(time));
    }

    /// Closes the TCP connection without a word, as a phone does that loses its network or its page.
    pub fn vanish(self) {
        self.task.abort();
    }

    async fn next_event(&mut self, end: Instant) -> Option<PhoneEvent> {
        tokio::time::timeout_at(end.into(), self.events.recv()).await.ok().flatten()
    }

    /// Takes the first event, old or new, from which `pick` makes something; the others stay, in order.
    async fn wait<T>(&mut self, what: &str, patience: Duration, pick: impl Fn(&PhoneEvent) -> Option<T>) -> T {
        let end = Instant::now() + patience;
        let mut seen = 0;
        loop {
            while seen < self.backlog.len() {
                if let Some(found) = pick(&self.backlog[seen]) {
                    // The end of the connection stays: every later wait must see it too.
                    if self.backlog[seen] != PhoneEvent::Closed {
                        self.backlog.remove(seen);
                    }
                    return found;
                }
                seen += 1;
            }
            match self.next_event(end).await {
                Some(event) => self.backlog.push_back(event),
                None => panic!("waited {patience:?} for {what}; came instead: {:?}", self.backlog),
            }
        }
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn seed(port: u16) -> [u8; 32] {
    let mut chance = crate::network::Chance::new(u64::from(port));
    std::array::from_fn(|_| chance.bits() as u8)
}

async fn drive(
    mut session: ClientSession,
    mut stream: TcpStream,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    events: mpsc::UnboundedSender<PhoneEvent>,
    heard: Arc<Mutex<Vec<Heard>>>,
) {
    let mut buffer = vec![0; 16_384];
    let mut deaf_until = Instant::now();
    'open: loop {
        while let Some(output) = session.poll_output() {
            match output {
                Output::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        break 'open;
                    }
                }
                Output::Event(ClientEvent::Audio { timestamp, body, .. }) => {
                    heard.lock().unwrap().push(Heard { at: Instant::now(), timestamp_ms: timestamp.ms(), body });
                }
                Output::Event(event) => drop(events.send(PhoneEvent::Session(event))),
                Output::Close => break 'open,
            }
        }
        let deadline = session.poll_timeout();
        let sleep = tokio::time::sleep_until(deadline.unwrap_or_else(|| Instant::now() + PATIENCE).into());
        let deaf = deaf_until > Instant::now();
        tokio::select! {
            read = stream.read(&mut buffer), if !deaf => match read {
                Ok(length @ 1..) => {
                    // An error is followed by Output::Close.
                    if let Err(error) = session.handle_input(Instant::now(), Input::Bytes(&buffer[..length])) {
                        eprintln!("phone: {error}");
                    }
                }
                ended => {
                    eprintln!("phone: the gateway ended the connection: {ended:?}");
                    break 'open;
                }
            },
            () = tokio::time::sleep_until(deaf_until.into()), if deaf => {}
            ask = asks.recv() => match ask {
                Some(Ask::Act(act)) => act(&mut session, Instant::now()),
                Some(Ask::StopReading(time)) => deaf_until = Instant::now() + time,
                None => break 'open,
            },
            () = sleep => {
                if deadline.is_some()
                    && let Err(error) = session.handle_input(Instant::now(), Input::Timeout)
                {
                    eprintln!("phone: {error}");
                }
            }
        }
    }
    let _ = events.send(PhoneEvent::Closed);
}
