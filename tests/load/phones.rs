//! The RTMP side: a task for each phone, all on one thread, with nothing between the socket and the session.

use bytes::Bytes;
use rtmp_session::{
    ClientEvent, ClientSession, ConnectRequest, HandshakeKind, Input, Limits, Output, RtmpTimestamp, StreamId, Value,
};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the whole crowd does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Phones connect and call, each at its time.
    Gather,
    /// Everybody speaks.
    Speak,
    /// Everybody hangs up and goes.
    Leave,
}

/// What a phone saw of its call.
#[derive(Debug, Default)]
pub(crate) struct PhoneReport {
    pub(crate) user: String,
    pub(crate) invited: Option<Instant>,
    pub(crate) accepted: Option<Instant>,
    pub(crate) sent: Vec<Instant>,
    pub(crate) heard: Vec<(Instant, u32, Bytes)>,
    pub(crate) failure: Option<String>,
}

struct LoadPhone {
    session: ClientSession,
    stream: TcpStream,
    opened: Instant,
    buffer: Box<[u8; 8192]>,
    heard: Vec<(Instant, u32, Bytes)>,
}

type Failure = String;

impl LoadPhone {
    async fn connected(gateway: SocketAddr, address: &str, password: Option<&str>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let now = Instant::now();
        let mut session = ClientSession::new(now, Limits::default(), [7; 32], HandshakeKind::Simple);
        let args = password.map(|password| vec![Value::Null, password.into()]).unwrap_or_default();
        session.connect(now, ConnectRequest { app: format!("sip/{address}"), args, ..ConnectRequest::default() });
        let mut phone = Self { session, stream, opened: now, buffer: Box::new([0; 8192]), heard: Vec::new() };
        phone
            .until("connect", |event| match event {
                ClientEvent::Connected { .. } => Some(Ok(())),
                ClientEvent::Rejected { info } => Some(Err(format!("connect: {:?}", info.get_str("description")))),
                _ => None,
            })
            .await?;
        Ok(phone)
    }

    /// Waits for an event, and keeps the audio that comes meanwhile.
    async fn until<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&ClientEvent) -> Option<Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let end = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.flush().await? {
                if let Some(picked) = pick(&event) {
                    return picked;
                }
            }
            let read = tokio::time::timeout_at(end.into(), self.stream.read(&mut self.buffer[..])).await;
            self.take(read.map_err(|_| format!("{what}: no answer"))?)?;
        }
    }

    fn take(&mut self, read: std::io::Result<usize>) -> Result<(), Failure> {
        match read {
            Ok(length @ 1..) => self
                .session
                .handle_input(Instant::now(), Input::Bytes(&self.buffer[..length]))
                .map_err(|error| error.to_string()),
            Ok(_) => Err("closed by the gateway".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes what is to be written; the next event that is no audio.
    async fn flush(&mut self) -> Result<Option<ClientEvent>, Failure> {
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Bytes(bytes) => self.stream.write_all(&bytes).await.map_err(|error| error.to_string())?,
                Output::Event(ClientEvent::Audio { timestamp, body, .. }) => {
                    self.heard.push((Instant::now(), timestamp.ms(), body));
                }
                Output::Event(event) => return Ok(Some(event)),
                Output::Close => return Err("closed by the session".into()),
            }
        }
        Ok(None)
    }

    async fn stream(&mut self) -> Result<StreamId, Failure> {
        let id = self.session.create_stream(Instant::now());
        self.until("createStream", |event| match event {
            ClientEvent::StreamCreated { id: of, stream } if *of == id => Some(Ok(*stream)),
            _ => None,
        })
        .await
    }

    async fn call(&mut self, destination: &str, words: &[&str]) -> Result<(), Failure> {
        let args: Vec<Value> = std::iter::once(destination).chain(words.iter().copied()).map(Value::from).collect();
        self.session.call(Instant::now(), "invite", &args);
        self.until("invite", |event| match event {
            ClientEvent::Call { name, args, .. } => match name.as_str() {
                "accepted" => Some(Ok(())),
                "rejected" => Some(Err(format!("rejected: {args:?}"))),
                _ => None,
            },
            _ => None,
        })
        .await
    }

    async fn open_media(&mut self) -> Result<StreamId, Failure> {
        let publish = self.stream().await?;
        self.session.publish(Instant::now(), publish, "local");
        let play = self.stream().await?;
        self.session.play(Instant::now(), play, "remote");
        self.until("play", |event| match event {
            ClientEvent::Status { code, .. } if code == "NetStream.Play.Start" => Some(Ok(())),
            _ => None,
        })
        .await?;
        Ok(publish)
    }

    /// Reads for a while.
    async fn linger(&mut self, time: Duration) -> Result<(), Failure> {
        let end = tokio::time::Instant::now() + time;
        loop {
            while self.flush().await?.is_some() {}
            match tokio::time::timeout_at(end, self.stream.read(&mut self.buffer[..])).await {
                Ok(read) => self.take(read)?,
                Err(_) => return Ok(()),
            }
        }
    }

    /// Reads until the phase changes to `until` or beyond; with bodies, sends one every 20 ms.
    async fn live(
        &mut self,
        phases: &mut watch::Receiver<Phase>,
        until: Phase,
        speak: Option<(StreamId, &[Bytes], &mut Vec<Instant>)>,
    ) -> Result<(), Failure> {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let (stream, bodies, mut sent) = match speak {
            Some((stream, bodies, sent)) => (stream, bodies, Some(sent)),
            None => (StreamId::CONNECTION, &[][..], None),
        };
        let first_ms = self.opened.elapsed().as_millis() as u32;
        while *phases.borrow() < until {
            while self.flush().await?.is_some() {}
            tokio::select! {
                read = self.stream.read(&mut self.buffer[..]) => self.take(read)?,
                _ = tick.tick(), if sent.is_some() => {
                    let Some(sent) = &mut sent else { continue };
                    let body = &bodies[sent.len() % bodies.len()];
                    let time = RtmpTimestamp::from_ms(first_ms + 20 * sent.len() as u32);
                    let now = Instant::now();
                    self.session.send_audio(now, stream, time, body);
                    sent.push(now);
                }
                _ = phases.changed() => {}
            }
            if self.session.poll_timeout().is_some_and(|due| due <= Instant::now()) {
                self.session.handle_input(Instant::now(), Input::Timeout).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }
}

/// What every calling phone is told.
pub(crate) struct CallOrders {
    pub(crate) gateway: SocketAddr,
    pub(crate) agents: SocketAddr,
    pub(crate) words: &'static [&'static str],
    pub(crate) bodies: Vec<Bytes>,
}

/// One phone from its connection to its end.
pub(crate) async fn caller(
    orders: &CallOrders,
    number: usize,
    mut phases: watch::Receiver<Phase>,
    ready: mpsc::Sender<()>,
) -> PhoneReport {
    let mut report = PhoneReport { user: format!("u{number}"), ..PhoneReport::default() };
    let mut ready = Some(ready);
    if let Err(failure) = call_through(orders, &mut report, &mut phases, &mut ready).await {
        report.failure = Some(failure);
        if let Some(ready) = ready {
            let _ = ready.send(()).await;
        }
    }
    report
}

async fn call_through(
    orders: &CallOrders,
    report: &mut PhoneReport,
    phases: &mut watch::Receiver<Phase>,
    ready: &mut Option<mpsc::Sender<()>>,
) -> Result<(), Failure> {
    let address = format!("p{}@{}", report.user, orders.agents);
    let mut phone = LoadPhone::connected(orders.gateway, &address, None).await?;
    report.invited = Some(Instant::now());
    phone.call(&format!("sip:{}@{}", report.user, orders.agents), orders.words).await?;
    report.accepted = Some(Instant::now());
    let publish = phone.open_media().await?;
    if let Some(ready) = ready.take() {
        let _ = ready.send(()).await;
    }
    phone.live(phases, Phase::Speak, None).await?;
    phone.heard.clear();
    phone.live(phases, Phase::Leave, Some((publish, &orders.bodies, &mut report.sent))).await?;
    // What is on its way still counts.
    phone.linger(Duration::from_millis(200)).await?;
    report.heard = std::mem::take(&mut phone.heard);
    phone.session.call(Instant::now(), "bye", &[]);
    phone.until("bye", |event| matches!(event, ClientEvent::Result { .. }).then_some(Ok(()))).await
}

/// A phone that registers and then only is there.
pub(crate) async fn idler(
    gateway: SocketAddr,
    agents: SocketAddr,
    number: usize,
    mut phases: watch::Receiver<Phase>,
    ready: mpsc::Sender<Result<(), Failure>>,
) {
    match LoadPhone::connected(gateway, &format!("idle{number}@{agents}"), Some("secret")).await {
        Ok(mut phone) => {
            let _ = ready.send(Ok(())).await;
            let _ = phone.live(&mut phases, Phase::Leave, None).await;
        }
        Err(failure) => drop(ready.send(Err(failure)).await),
    }
}
