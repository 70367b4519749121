//! Two real ends joined by nothing but memory, and a clock that the test moves.
#![allow(dead_code, reason = "each test binary uses its part")]

use rtmp_session::{
    ClientEvent, ClientSession, ConnectAccepted, ConnectRequest, Event, HandshakeKind, Input, Limits, Output,
    ServerSession, SessionError, StreamId,
};
use std::time::{Duration, Instant};

/// Some instant to count from. The only look at a clock: what it shows does not matter.
#[allow(clippy::disallowed_methods)]
pub(crate) fn some_instant() -> Instant {
    Instant::now()
}

/// Takes all output: bytes joined, events, whether to close.
pub(crate) fn drain<E>(mut poll: impl FnMut() -> Option<Output<E>>) -> (Vec<u8>, Vec<E>, bool) {
    let (mut bytes, mut events, mut close) = (Vec::new(), Vec::new(), false);
    while let Some(output) = poll() {
        assert!(!close, "output after Close");
        match output {
            Output::Bytes(more) => bytes.extend_from_slice(&more),
            Output::Event(event) => events.push(event),
            Output::Close => close = true,
        }
    }
    (bytes, events, close)
}

/// A phone and a gateway.
pub(crate) struct Pair {
    pub(crate) now: Instant,
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
    pub(crate) at_client: Vec<ClientEvent>,
    pub(crate) at_server: Vec<Event>,
    pub(crate) server_closed: bool,
    pub(crate) client_closed: bool,
    /// All bytes of each direction.
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(handshake: HandshakeKind) -> Self {
        Self::with_limits(handshake, Limits::default())
    }

    pub(crate) fn with_limits(handshake: HandshakeKind, limits: Limits) -> Self {
        let now = some_instant();
        Self {
            now,
            client: ClientSession::new(now, limits, [1; 32], handshake),
            server: ServerSession::new(now, limits, [2; 32]),
            at_client: Vec::new(),
            at_server: Vec::new(),
            server_closed: false,
            client_closed: false,
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Connected, with an accepted connect and the events so far thrown away.
    pub(crate) fn connected(request: ConnectRequest) -> Self {
        let mut pair = Self::new(HandshakeKind::Digest);
        pair.client.connect(pair.now, request);
        pair.run();
        assert!(matches!(pair.take_server()[..], [Event::Connect(_)]));
        pair.server.accept_connect(pair.now, ConnectAccepted::default());
        pair.run();
        assert!(matches!(pair.take_client()[..], [ClientEvent::Connected { .. }]));
        pair
    }

    pub(crate) fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
    }

    /// Moves bytes until both are quiet.
    pub(crate) fn run(&mut self) {
        self.try_run().unwrap();
    }

    /// The same; the error is the server's.
    pub(crate) fn try_run(&mut self) -> Result<(), SessionError> {
        loop {
            let (up, events, close) = drain(|| self.client.poll_output());
            self.at_client.extend(events);
            self.client_closed |= close;
            let (down, events, close) = drain(|| self.server.poll_output());
            self.at_server.extend(events);
            self.server_closed |= close;
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
            self.to_server.extend(&up);
            self.to_client.extend(&down);
            if !down.is_empty() {
                self.client.handle_input(self.now, Input::Bytes(&down)).unwrap();
            }
            if !up.is_empty()
                && let Err(error) = self.server.handle_input(self.now, Input::Bytes(&up))
            {
                let (down, events, close) = drain(|| self.server.poll_output());
                self.at_server.extend(events);
                self.to_client.extend(down);
                self.server_closed |= close;
                return Err(error);
            }
        }
    }

    pub(crate) fn take_client(&mut self) -> Vec<ClientEvent> {
        std::mem::take(&mut self.at_client)
    }

    pub(crate) fn take_server(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.at_server)
    }

    /// Makes a stream.
    pub(crate) fn stream(&mut self) -> StreamId {
        self.client.create_stream(self.now);
        self.run();
        match self.take_client()[..] {
            [ClientEvent::StreamCreated { stream, .. }] => stream,
            ref other => panic!("{other:?}"),
        }
    }
}

/// A connect as VideoIO makes it, to `sip/alice@example.com`.
pub(crate) fn request() -> ConnectRequest {
    ConnectRequest {
        app: "sip/alice@example.com".into(),
        tc_url: "rtmp://127.0.0.1/sip/alice@example.com".into(),
        ..ConnectRequest::default()
    }
}
