//! The client's side of one RTMP connection: the phone. For the fake phone of the tests, the load tool, and whatever
//! needs to talk to an RTMP server.

use crate::amf::{self, Object, Value};
use crate::chunk::Message;
use crate::error::Fault;
use crate::link::{Link, Received};
use crate::message::{self, Command, kind};
use crate::{ClientEvent, Input, Limits, ObjectEncoding, Output, RtmpTimestamp, SessionError, StreamId, TransactionId};
use std::collections::VecDeque;
use std::time::Instant;

/// Which handshake the client starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HandshakeKind {
    /// The one of the published specification.
    Simple,
    /// With a digest in the first half of C1, as Flash Player 9 and later send it.
    #[default]
    Digest,
    /// With a digest in the second half of C1, as Flash Player 10 and later send it.
    DigestScheme1,
}

/// What a client says in `connect`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectRequest {
    /// The path of the address without the leading slash, such as `sip/alice@example.com`.
    pub app: String,
    /// The whole address.
    pub tc_url: String,
    /// The encoding to ask for; `None` leaves it out.
    pub object_encoding: Option<ObjectEncoding>,
    /// More properties for the command object.
    pub more: Object,
    /// Arguments behind the command object.
    pub args: Vec<Value>,
}

/// What a transaction waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Connect,
    CreateStream,
    Call,
}

/// The client's side of one RTMP connection, as a state machine without a socket or a clock.
#[derive(Debug)]
pub struct ClientSession {
    link: Link,
    encoding: ObjectEncoding,
    events: VecDeque<ClientEvent>,
    /// Transactions without an answer so far. Grows with our own calls only.
    waiting: Vec<(TransactionId, Waiting)>,
    last_id: u32,
    body: Vec<u8>,
}

impl ClientSession {
    /// A session for a connection established `now`. C0 and C1 are the first output.
    /// Commands may be given at once: they go out when the handshake is done.
    pub fn new(now: Instant, limits: Limits, seed: [u8; 32], handshake: HandshakeKind) -> Self {
        Self {
            link: Link::client(now, limits, seed, handshake),
            encoding: ObjectEncoding::Amf0,
            events: VecDeque::new(),
            waiting: Vec::new(),
            last_id: 0,
            body: Vec::new(),
        }
    }

    /// Takes bytes from the server, or the news that `poll_timeout` has come.
    ///
    /// # Errors
    /// The session is over. `poll_output` still hands out what was to be sent, then `Output::Close`.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), SessionError> {
        if !self.link.takes_input()? {
            return Ok(());
        }
        let Input::Bytes(mut bytes) = input else {
            return self.link.check_deadlines(now);
        };
        self.link.note_input(now, bytes);
        self.link.check_deadlines(now)?;
        self.receive(now, &mut bytes).map_err(|fault| self.link.fail(fault, bytes))
    }

    /// The next thing to do for the driver; `None` until there is new input or a new command.
    pub fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        if let Some(bytes) = self.link.poll_bytes() {
            return Some(Output::Bytes(bytes));
        }
        if let Some(event) = self.events.pop_front() {
            return Some(Output::Event(event));
        }
        self.link.poll_close().then_some(Output::Close)
    }

    /// When `Input::Timeout` is due: only the handshake has a deadline here.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    /// Milliseconds since the session began: the clock of the commands that we send.
    pub fn timestamp(&self, now: Instant) -> RtmpTimestamp {
        self.link.timestamp(now)
    }

    /// Sends `connect`; `ClientEvent::Connected` or `ClientEvent::Rejected` follows.
    pub fn connect(&mut self, now: Instant, request: ConnectRequest) {
        let ConnectRequest { app, tc_url, object_encoding, more, args } = request;
        let mut object = Object::new()
            .with("app", app)
            .with("flashVer", "LNX 11,2,202,0")
            .with("tcUrl", tc_url)
            .with("fpad", false)
            .with("capabilities", 239.0)
            .with("audioCodecs", 3575.0)
            .with("videoCodecs", 252.0)
            .with("videoFunction", 1.0);
        if let Some(encoding) = object_encoding {
            object = object.with("objectEncoding", encoding.number());
        }
        object.properties.extend(more.properties);
        let id = self.expect_answer(Waiting::Connect);
        self.send_command(now, StreamId::CONNECTION, "connect", id, &object.into(), &args);
        // As Flash does: connect itself is AMF0, what follows is not.
        self.encoding = object_encoding.unwrap_or_default();
    }

    /// Asks for a stream; `ClientEvent::StreamCreated` follows.
    pub fn create_stream(&mut self, now: Instant) -> TransactionId {
        let id = self.expect_answer(Waiting::CreateStream);
        self.send_command(now, StreamId::CONNECTION, "createStream", id, &Value::Null, &[]);
        id
    }

    /// Publishes live on a stream; a `NetStream.Publish...` status follows.
    pub fn publish(&mut self, now: Instant, stream: StreamId, name: &str) {
        self.send_command(now, stream, "publish", TransactionId::NONE, &Value::Null, &[name.into(), "live".into()]);
    }

    /// Plays on a stream; a `NetStream.Play...` status follows.
    pub fn play(&mut self, now: Instant, stream: StreamId, name: &str) {
        self.send_command(now, stream, "play", TransactionId::NONE, &Value::Null, &[name.into()]);
    }

    /// Stops publishing or playing; the stream can be used again.
    pub fn close_stream(&mut self, now: Instant, stream: StreamId) {
        self.send_command(now, stream, "closeStream", TransactionId::NONE, &Value::Null, &[]);
    }

    /// Gives a stream back.
    pub fn delete_stream(&mut self, now: Instant, stream: StreamId) {
        let args = [f64::from(stream.0).into()];
        self.send_command(now, StreamId::CONNECTION, "deleteStream", TransactionId::NONE, &Value::Null, &args);
    }

    /// Calls a method of the server; `ClientEvent::Result` or `ClientEvent::Error` follows.
    pub fn call(&mut self, now: Instant, name: &str, args: &[Value]) -> TransactionId {
        let id = self.expect_answer(Waiting::Call);
        self.send_command(now, StreamId::CONNECTION, name, id, &Value::Null, args);
        id
    }

    /// Sends a command as given: on any stream, with any id (`TransactionId::NONE`: no answer is awaited).
    pub fn send_call(&mut self, now: Instant, stream: StreamId, name: &str, id: TransactionId, args: &[Value]) {
        self.send_command(now, stream, name, id, &Value::Null, args);
    }

    /// Answers a call of the server.
    pub fn respond(&mut self, now: Instant, id: TransactionId, values: &[Value]) {
        self.send_command(now, StreamId::CONNECTION, "_result", id, &Value::Null, values);
    }

    /// Sends audio on a stream that we publish: tag byte and frames.
    pub fn send_audio(&mut self, now: Instant, stream: StreamId, timestamp: RtmpTimestamp, body: &[u8]) {
        self.send_message(now, kind::AUDIO, stream, timestamp, body);
    }

    /// Tells the server how much of a stream we buffer, milliseconds.
    pub fn set_buffer_length(&mut self, _now: Instant, stream: StreamId, ms: u32) {
        self.link.send_control(kind::USER_CONTROL, &message::set_buffer_length(stream, ms));
    }

    /// Announces and uses a chunk size of our own, bytes (1 to 65,536).
    pub fn set_chunk_size(&mut self, _now: Instant, bytes: u32) {
        self.link.send_chunk_size(bytes.clamp(1, 65_536));
    }

    /// Sends a message of any type id, right or wrong: for what this session has no words for, and for tests of servers.
    /// A body of 16 MiB or more is not sent.
    pub fn send_message(&mut self, _now: Instant, kind: u8, stream: StreamId, timestamp: RtmpTimestamp, body: &[u8]) {
        if body.len() <= 0xFF_FFFF {
            self.link.send(kind, stream, timestamp, body);
        }
    }

    /// Ends the session from our side.
    pub fn close(&mut self) {
        self.link.close();
    }

    fn expect_answer(&mut self, waiting: Waiting) -> TransactionId {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        let id = TransactionId::new(self.last_id.into());
        self.waiting.push((id, waiting));
        id
    }

    fn send_command(
        &mut self,
        now: Instant,
        stream: StreamId,
        name: &str,
        id: TransactionId,
        object: &Value,
        args: &[Value],
    ) {
        let kind = message::begin_command(&mut self.body, self.encoding, name, id, object);
        match self.encoding {
            ObjectEncoding::Amf0 => args.iter().for_each(|arg| amf::write(&mut self.body, arg)),
            ObjectEncoding::Amf3 => amf::write_amf3_behind_marker(&mut self.body, args),
        }
        self.link.send(kind, stream, self.link.timestamp(now), &self.body);
    }

    fn receive(&mut self, now: Instant, bytes: &mut &[u8]) -> Result<(), Fault> {
        while self.link.is_open()
            && let Some(received) = self.link.receive(now, bytes)?
        {
            match received {
                Received::Message(message) => self.message(message)?,
                Received::StreamBegin(stream) => self.tell(ClientEvent::StreamBegin { stream })?,
                Received::BufferLength { .. } | Received::PolicyRequest => {}
            }
        }
        Ok(())
    }

    fn message(&mut self, message: Message) -> Result<(), Fault> {
        let Message { kind, stream, timestamp, body } = message;
        match kind {
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => {
                let command = Command::read(kind, &body, self.link.limits())?;
                self.command(stream, command)
            }
            kind::AUDIO => self.tell(ClientEvent::Audio { stream, timestamp, body }),
            kind::VIDEO => self.tell(ClientEvent::Video { stream, timestamp, body }),
            kind::DATA_AMF0 | kind::DATA_AMF3 => {
                let values = message::read_data(kind, &body, self.link.limits())?;
                self.tell(ClientEvent::Data { stream, timestamp, values })
            }
            _ => Ok(()),
        }
    }

    fn command(&mut self, stream: StreamId, command: Command) -> Result<(), Fault> {
        let Command { name, id, args, .. } = command;
        match name.as_str() {
            "_result" => self.answer(id, true, args),
            "_error" => self.answer(id, false, args),
            "onStatus" => {
                let info = first_object(args);
                let code = info.get_str("code").unwrap_or_default().to_owned();
                self.tell(ClientEvent::Status { stream, code, info })
            }
            _ => self.tell(ClientEvent::Call { id, name, args }),
        }
    }

    fn answer(&mut self, id: TransactionId, ok: bool, values: Vec<Value>) -> Result<(), Fault> {
        let Some(index) = self.waiting.iter().position(|(waiting, _)| *waiting == id) else {
            return Ok(());
        };
        let (_, waiting) = self.waiting.swap_remove(index);
        let stream = values.first().and_then(Value::as_number);
        self.tell(match (waiting, ok, stream) {
            (Waiting::Connect, true, _) => ClientEvent::Connected { info: first_object(values) },
            (Waiting::Connect, false, _) => ClientEvent::Rejected { info: first_object(values) },
            (Waiting::CreateStream, true, Some(number)) => {
                ClientEvent::StreamCreated { id, stream: StreamId(number as u32) }
            }
            (_, true, _) => ClientEvent::Result { id, values },
            (_, false, _) => ClientEvent::Error { id, values },
        })
    }

    fn tell(&mut self, event: ClientEvent) -> Result<(), Fault> {
        let limit = self.link.limits().events;
        if self.events.len() >= limit {
            return Err(Fault::limit(format!("more than {limit} messages at once")));
        }
        self.events.push_back(event);
        Ok(())
    }
}

/// The info object of an answer; empty if there is none.
fn first_object(values: Vec<Value>) -> Object {
    match values.into_iter().next() {
        Some(Value::Object(object) | Value::EcmaArray(object)) => object,
        _ => Object::new(),
    }
}
