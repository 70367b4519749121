//! The server's side of one RTMP connection.

use crate::amf::Value;
use crate::{
    ConnectAccepted, Input, Level, Limits, ObjectEncoding, Output, RtmpTimestamp, SessionError, StreamId, TransactionId,
};
use std::time::{Duration, Instant};

/// The server's side of one RTMP connection, as a state machine without a socket or a clock.
#[derive(Debug)]
pub struct ServerSession {}

impl ServerSession {
    /// A session for a connection accepted `now`. `seed` is randomness for the handshake, from the driver.
    pub fn new(_now: Instant, _limits: Limits, _seed: [u8; 32]) -> Self {
        unimplemented!()
    }

    /// Takes bytes from the client, or the news that `poll_timeout` has come.
    ///
    /// # Errors
    /// The session is over. `poll_output` still hands out what was to be sent, then `Output::Close`.
    pub fn handle_input(&mut self, _now: Instant, _input: Input<'_>) -> Result<(), SessionError> {
        unimplemented!()
    }

    /// The next thing to do for the driver; `None` until there is new input or a new command.
    pub fn poll_output(&mut self) -> Option<Output> {
        unimplemented!()
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// Milliseconds since the connection was accepted: the clock of everything that we send.
    pub fn timestamp(&self, _now: Instant) -> RtmpTimestamp {
        unimplemented!()
    }

    /// The encoding that `connect` asked for.
    pub fn object_encoding(&self) -> ObjectEncoding {
        unimplemented!()
    }

    /// The newest measured time from a ping of ours to its answer.
    pub fn round_trip(&self) -> Option<Duration> {
        unimplemented!()
    }

    /// Answers `connect` with `_result` / `NetConnection.Connect.Success`.
    pub fn accept_connect(&mut self, _now: Instant, _accepted: ConnectAccepted) {
        unimplemented!()
    }

    /// Answers `connect` with `_error` / `NetConnection.Connect.Rejected`, then closes.
    pub fn reject_connect(&mut self, _now: Instant, _description: &str) {
        unimplemented!()
    }

    /// Calls a method of the client.
    pub fn call(&mut self, _now: Instant, _name: &str, _args: &[Value]) -> TransactionId {
        unimplemented!()
    }

    /// Answers a call with `_result` [id, null, values...].
    pub fn respond(&mut self, _now: Instant, _id: TransactionId, _values: &[Value]) {
        unimplemented!()
    }

    /// Answers a call with `_error` and an info object of code `NetConnection.Call.Failed`.
    pub fn respond_error(&mut self, _now: Instant, _id: TransactionId, _description: &str) {
        unimplemented!()
    }

    /// Sends `onStatus` on a stream (or on `StreamId::CONNECTION`).
    pub fn send_status(&mut self, _now: Instant, _stream: StreamId, _level: Level, _code: &str, _description: &str) {
        unimplemented!()
    }

    /// Sends audio to a stream that the client plays. `false`, and nothing sent, if it plays no such stream (any more).
    pub fn send_audio(&mut self, _now: Instant, _stream: StreamId, _timestamp: RtmpTimestamp, _body: &[u8]) -> bool {
        unimplemented!()
    }

    /// Ends the session from our side: `Output::Close` follows what is still to be sent.
    pub fn close(&mut self) {
        unimplemented!()
    }
}
