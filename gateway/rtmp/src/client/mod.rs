//! The client's side of one RTMP connection: the phone.

use crate::amf::{Object, Value};
use crate::{ClientEvent, Input, Limits, ObjectEncoding, Output, RtmpTimestamp, SessionError, StreamId, TransactionId};
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

/// The client's side of one RTMP connection, as a state machine without a socket or a clock.
#[derive(Debug)]
pub struct ClientSession {}

impl ClientSession {
    /// A session for a connection established `now`. C0 and C1 are the first output.
    /// Commands may be given at once: they go out when the handshake is done.
    pub fn new(_now: Instant, _limits: Limits, _seed: [u8; 32], _handshake: HandshakeKind) -> Self {
        unimplemented!()
    }

    /// Takes bytes from the server, or the news that `poll_timeout` has come.
    ///
    /// # Errors
    /// The session is over. `poll_output` still hands out what was to be sent, then `Output::Close`.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) -> Result<(), SessionError> {
        unimplemented!()
    }

    /// The next thing to do for the driver; `None` until there is new input or a new command.
    pub fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        unimplemented!()
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Sends `connect`; `ClientEvent::Connected` or `ClientEvent::Rejected` follows.
    pub fn connect(&mut self, _now: Instant, _request: ConnectRequest) {
        unimplemented!()
    }

    /// Asks for a stream; `ClientEvent::StreamCreated` follows.
    pub fn create_stream(&mut self, _now: Instant) -> TransactionId {
        unimplemented!()
    }

    /// Publishes live on a stream; a `NetStream.Publish...` status follows.
    pub fn publish(&mut self, _now: Instant, _stream: StreamId, _name: &str) {
        unimplemented!()
    }

    /// Plays on a stream; a `NetStream.Play...` status follows.
    pub fn play(&mut self, _now: Instant, _stream: StreamId, _name: &str) {
        unimplemented!()
    }

    /// Stops publishing or playing; the stream can be used again.
    pub fn close_stream(&mut self, _now: Instant, _stream: StreamId) {
        unimplemented!()
    }

    /// Gives a stream back.
    pub fn delete_stream(&mut self, _now: Instant, _stream: StreamId) {
        unimplemented!()
    }

    /// Calls a method of the server; `ClientEvent::Result` or `ClientEvent::Error` follows.
    pub fn call(&mut self, _now: Instant, _name: &str, _args: &[Value]) -> TransactionId {
        unimplemented!()
    }

    /// Answers a call of the server.
    pub fn respond(&mut self, _now: Instant, _id: TransactionId, _values: &[Value]) {
        unimplemented!()
    }

    /// Sends audio on a stream that we publish: tag byte and frames.
    pub fn send_audio(&mut self, _now: Instant, _stream: StreamId, _timestamp: RtmpTimestamp, _body: &[u8]) {
        unimplemented!()
    }

    /// Announces and uses a chunk size of our own, bytes (1 to 65,536).
    pub fn set_chunk_size(&mut self, _now: Instant, _bytes: u32) {
        unimplemented!()
    }

    /// Ends the session from our side.
    pub fn close(&mut self) {
        unimplemented!()
    }
}
