//! The server's side of one RTMP connection.
//!
//! ```text
//!                connect                accept_connect
//!   AwaitConnect -------> Deciding ---------------------> Connected: calls both ways, streams, audio
//!        |                   |  reject_connect                |
//!        | 5 s               v                                | close, peer gone, error
//!        +---------------> closed <---------------------------+
//! ```
//!
//! Streams may be created and used while the application still decides; calls are refused until then.

mod connection;
mod stream;

use crate::amf::{self, Object, Value};
use crate::chunk::Message;
use crate::error::Fault;
use crate::link::{Link, Received};
use crate::message::{self, Command, kind};
use crate::{
    Event, Input, Level, Limits, ObjectEncoding, Output, RtmpTimestamp, SessionError, StreamId, TransactionId,
};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use stream::NetStreams;

/// How far `connect` has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    AwaitConnect,
    /// The application is asked; `echo` tells whether the client named an encoding.
    Deciding {
        echo: bool,
    },
    Connected,
}

/// The transaction id of `connect` and of its answer is 1, whatever was sent (RTMP 1.0, section 7.2.1.1).
const CONNECT_ID: TransactionId = TransactionId::new(1.0);
/// Calls of ours count from here.
const FIRST_CALL: u32 = 2;

/// What a Flash player wants to read before it opens a connection.
const POLICY_FILE: &str = "<?xml version=\"1.0\"?><cross-domain-policy>\
    <allow-access-from domain=\"*\" to-ports=\"1935\" secure=\"false\"/></cross-domain-policy>";

/// The server's side of one RTMP connection, as a state machine without a socket or a clock.
#[derive(Debug)]
pub struct ServerSession {
    link: Link,
    stage: Stage,
    encoding: ObjectEncoding,
    streams: NetStreams,
    events: VecDeque<Event>,
    /// Number of our next call.
    next_call: u32,
    /// The body of the command being written.
    body: Vec<u8>,
}

impl ServerSession {
    /// A session for a connection accepted `now`. `seed` is randomness for the handshake, from the driver.
    pub fn new(now: Instant, limits: Limits, seed: [u8; 32]) -> Self {
        Self {
            link: Link::server(now, limits, seed),
            stage: Stage::AwaitConnect,
            encoding: ObjectEncoding::Amf0,
            streams: NetStreams::new(limits.streams),
            events: VecDeque::new(),
            next_call: FIRST_CALL,
            body: Vec::new(),
        }
    }

    /// Takes bytes from the client, or the news that `poll_timeout` has come.
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
    pub fn poll_output(&mut self) -> Option<Output> {
        if let Some(bytes) = self.link.poll_bytes() {
            return Some(Output::Bytes(bytes));
        }
        if let Some(event) = self.events.pop_front() {
            return Some(Output::Event(event));
        }
        self.link.poll_close().then_some(Output::Close)
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.link.poll_timeout()
    }

    /// Milliseconds since the connection was accepted: the clock of the commands that we send, and a good one for audio.
    pub fn timestamp(&self, now: Instant) -> RtmpTimestamp {
        self.link.timestamp(now)
    }

    /// The encoding that `connect` asked for.
    pub fn object_encoding(&self) -> ObjectEncoding {
        self.encoding
    }

    /// The newest measured time from a ping of ours to its answer.
    pub fn round_trip(&self) -> Option<Duration> {
        self.link.round_trip()
    }

    /// Calls a method of the client. The answer, if it cares to give one, is an `Event::CallResult`.
    pub fn call(&mut self, now: Instant, name: &str, args: &[Value]) -> TransactionId {
        let id = TransactionId::new(self.next_call.into());
        // One more call than 2^32: the numbers begin anew.
        self.next_call = self.next_call.checked_add(1).unwrap_or(FIRST_CALL);
        self.send_command(self.timestamp(now), StreamId::CONNECTION, name, id, args);
        id
    }

    /// Answers a call with `_result` [id, null, values...].
    pub fn respond(&mut self, now: Instant, id: TransactionId, values: &[Value]) {
        self.send_command(self.timestamp(now), StreamId::CONNECTION, "_result", id, values);
    }

    /// Answers a call with `_error` and an info object of code `NetConnection.Call.Failed`.
    pub fn respond_error(&mut self, now: Instant, id: TransactionId, description: &str) {
        let info = info(Level::Error, "NetConnection.Call.Failed", description);
        self.send_command(self.timestamp(now), StreamId::CONNECTION, "_error", id, &[info.into()]);
    }

    /// Sends `onStatus` on a stream (or on `StreamId::CONNECTION`).
    pub fn send_status(&mut self, now: Instant, stream: StreamId, level: Level, code: &str, description: &str) {
        self.status(now, stream, TransactionId::NONE, info(level, code, description));
    }

    /// Sends audio (FLV tag byte and frames) to a stream that the client plays. `false`, and nothing sent, if it does
    /// not play the stream (any more), has paused it or wants no audio, or if the body is longer than a message may be.
    pub fn send_audio(&mut self, _now: Instant, stream: StreamId, timestamp: RtmpTimestamp, body: &[u8]) -> bool {
        let fits = body.len() <= self.link.limits().message_bytes as usize;
        let sent = fits && self.link.is_open() && self.streams.wants_audio(stream);
        if sent {
            self.link.send(kind::AUDIO, stream, timestamp, body);
        }
        sent
    }

    /// Ends the session from our side: `Output::Close` follows what is still to be sent.
    pub fn close(&mut self) {
        self.link.close();
    }

    fn receive(&mut self, now: Instant, bytes: &mut &[u8]) -> Result<(), Fault> {
        while self.link.is_open()
            && let Some(received) = self.link.receive(now, bytes)?
        {
            match received {
                Received::Message(message) => self.message(now, message)?,
                Received::BufferLength { stream, ms } => {
                    self.link.send_control(kind::USER_CONTROL, &message::stream_begin(stream));
                    self.tell(Event::BufferLength { stream, ms })?;
                }
                Received::StreamBegin(_) => {}
                Received::PolicyRequest => {
                    self.link.send_raw(POLICY_FILE.as_bytes());
                    self.tell(Event::PolicyFileRequested)?;
                    self.link.close();
                }
            }
        }
        Ok(())
    }

    fn message(&mut self, now: Instant, message: Message) -> Result<(), Fault> {
        let Message { kind, stream, timestamp, body } = message;
        match kind {
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => {
                let command = Command::read(kind, &body, self.link.limits())?;
                self.command(now, stream, command)
            }
            _ if !self.streams.is_published(stream) => {
                tracing::trace!(kind, %stream, "message on a stream that is not published");
                Ok(())
            }
            kind::AUDIO => self.tell(Event::Audio { stream, timestamp, body }),
            kind::VIDEO => self.tell(Event::Video { stream, timestamp, body }),
            kind::DATA_AMF0 | kind::DATA_AMF3 => {
                let mut values = message::read_data(kind, &body, self.link.limits())?;
                // "@setDataFrame" asks a server to keep what follows for late players: there are none here.
                if values.first().and_then(Value::as_str) == Some("@setDataFrame") {
                    values.remove(0);
                }
                self.tell(Event::Data { stream, timestamp, values })
            }
            _ => {
                tracing::trace!(kind, "message of a type that means nothing here");
                Ok(())
            }
        }
    }

    /// Queues an event.
    fn tell(&mut self, event: Event) -> Result<(), Fault> {
        let limit = self.link.limits().events;
        if self.events.len() >= limit {
            return Err(Fault::limit(format!("more than {limit} messages at once")));
        }
        self.events.push_back(event);
        Ok(())
    }

    fn send_command(&mut self, time: RtmpTimestamp, stream: StreamId, name: &str, id: TransactionId, values: &[Value]) {
        let kind = message::begin_command(&mut self.body, self.encoding, name, id, &Value::Null);
        values.iter().for_each(|value| amf::write(&mut self.body, value));
        self.link.send(kind, stream, time, &self.body);
    }

    /// `onStatus` is AMF0 even on a connection of AMF3, as siprtmp sends it.
    fn status(&mut self, now: Instant, stream: StreamId, id: TransactionId, info: Object) {
        let kind = message::begin_command(&mut self.body, ObjectEncoding::Amf0, "onStatus", id, &Value::Null);
        amf::write(&mut self.body, &info.into());
        self.link.send(kind, stream, self.link.timestamp(now), &self.body);
    }
}

/// An info object as siprtmp makes it.
fn info(level: Level, code: &str, description: &str) -> Object {
    Object::new()
        .with("level", level.as_str())
        .with("code", code)
        .with("description", description)
        .with("details", Value::Null)
}
