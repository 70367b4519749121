//! The RTMP side: phones' signalling, a task for each; while they are in a call the engine has them.

use crate::engine::{Order, Phone, Track, Wire};
use rtmp_session::{ClientEvent, ClientSession, ConnectRequest, HandshakeKind, Input, Limits, Output, StreamId, Value};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a phone saw of its call.
#[derive(Default)]
pub(crate) struct PhoneReport {
    pub(crate) user: String,
    pub(crate) invited: Option<Instant>,
    pub(crate) accepted: Option<Instant>,
    pub(crate) track: Track,
    pub(crate) failure: Option<String>,
}

pub(crate) struct LoadPhone {
    session: ClientSession,
    stream: TcpStream,
    opened: Instant,
    buffer: Box<[u8; 8192]>,
}

pub(crate) type Failure = String;

impl LoadPhone {
    pub(crate) async fn connected(gateway: SocketAddr, address: &str, password: Option<&str>) -> Result<Self, Failure> {
        let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let now = Instant::now();
        let mut session = ClientSession::new(now, Limits::default(), [7; 32], HandshakeKind::Simple);
        let args = password.map(|password| vec![Value::Null, password.into()]).unwrap_or_default();
        session.connect(now, ConnectRequest { app: format!("sip/{address}"), args, ..ConnectRequest::default() });
        let mut phone = Self { session, stream, opened: now, buffer: Box::new([0; 8192]) };
        phone
            .until("connect", |event| match event {
                ClientEvent::Connected { .. } => Some(Ok(())),
                ClientEvent::Rejected { info } => Some(Err(format!("connect: {:?}", info.get_str("description")))),
                _ => None,
            })
            .await?;
        Ok(phone)
    }

    /// Waits for an event.
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
                Output::Event(ClientEvent::Audio { .. }) => {}
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

    pub(crate) async fn call(&mut self, destination: &str, words: &[&str]) -> Result<(), Failure> {
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

    /// Hangs up.
    pub(crate) async fn bye(&mut self) -> Result<(), Failure> {
        self.session.call(Instant::now(), "bye", &[]);
        self.until("bye", |event| matches!(event, ClientEvent::Result { .. }).then_some(Ok(()))).await
    }

    /// Reads and answers pings until told to go.
    pub(crate) async fn idle(&mut self, leave: &mut watch::Receiver<bool>) -> Result<(), Failure> {
        loop {
            while self.flush().await?.is_some() {}
            tokio::select! {
                read = self.stream.read(&mut self.buffer[..]) => self.take(read)?,
                _ = leave.wait_for(|leave| *leave) => return Ok(()),
            }
        }
    }

    /// Lends the phone to the engine until that gives it back.
    async fn lend(self, number: usize, publish: StreamId, engine: &Sender<Order>) -> Result<(Self, Track), Failure> {
        let Self { session, stream, opened, buffer } = self;
        let stream = stream.into_std().map_err(|error| error.to_string())?;
        let first_ms = opened.elapsed().as_millis() as u32;
        let wire = Wire::Rtmp { session: Box::new(session), publish, first_ms };
        let (phone, back) = Phone::new(number, wire, stream).with_way_back();
        engine.send(Order::Phone(Box::new(phone))).map_err(|error| error.to_string())?;
        let Phone { wire, stream, track, failure, .. } = back.await.map_err(|error| error.to_string())?;
        let stream = TcpStream::from_std(stream).map_err(|error| error.to_string())?;
        match (wire, failure) {
            (Wire::Rtmp { session, .. }, None) => Ok((Self { session: *session, stream, opened, buffer }, track)),
            (_, failure) => Err(failure.unwrap_or_default()),
        }
    }
}

/// What every calling phone is told.
pub(crate) struct CallOrders {
    pub(crate) gateway: SocketAddr,
    pub(crate) agents: SocketAddr,
    pub(crate) words: &'static [&'static str],
    pub(crate) engine: Sender<Order>,
}

/// One phone from its connection to its end.
pub(crate) async fn caller(orders: &CallOrders, number: usize, ready: mpsc::Sender<()>) -> PhoneReport {
    let mut report = PhoneReport { user: format!("u{number}"), ..PhoneReport::default() };
    let mut ready = Some(ready);
    if let Err(failure) = call_through(orders, number, &mut report, &mut ready).await {
        report.failure = Some(failure);
        if let Some(ready) = ready {
            let _ = ready.send(()).await;
        }
    }
    report
}

async fn call_through(
    orders: &CallOrders,
    number: usize,
    report: &mut PhoneReport,
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
    let (mut phone, track) = phone.lend(number, publish, &orders.engine).await?;
    report.track = track;
    phone.bye().await
}

/// A phone that registers and then only is there.
pub(crate) async fn idler(
    gateway: SocketAddr,
    agents: SocketAddr,
    number: usize,
    mut leave: watch::Receiver<bool>,
    ready: mpsc::Sender<Result<(), Failure>>,
) {
    match LoadPhone::connected(gateway, &format!("idle{number}@{agents}"), Some("secret")).await {
        Ok(mut phone) => {
            let _ = ready.send(Ok(())).await;
            let _ = phone.idle(&mut leave).await;
        }
        Err(failure) => drop(ready.send(Err(failure)).await),
    }
}
