//! Everything a peer can make grow, and how far.
//!
//! One file for the whole layer, so that the question "how much can one connection cost us?" has one place to be
//! answered. Memory always follows the bytes received, never a size that a peer merely declares.

use std::time::Duration;

/// The bounds of one RTMP connection. `Limits::default()` suits telephony: small messages, few streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest message taken, bytes. A header that declares more ends the connection.
    pub message_bytes: u32,
    /// Chunk streams known at one time.
    pub chunk_streams: usize,
    /// Bytes held in unfinished messages, all chunk streams together.
    pub partial_bytes: usize,
    /// How deep AMF objects and arrays may nest.
    pub amf_depth: usize,
    /// Properties of one AMF object, or elements of one array.
    pub amf_properties: usize,
    /// AMF values in one message, counting each copy that a reference makes.
    pub amf_values: usize,
    /// Bytes of text and byte arrays in one message, counting each copy that a reference makes.
    pub amf_bytes: usize,
    /// Longest AMF string, bytes of UTF-8.
    pub string_bytes: usize,
    /// NetStreams at one time. Beyond it the oldest stream that neither publishes nor plays makes room;
    /// if all are busy, `createStream` is answered `_error`.
    pub streams: usize,
    /// Events (and server-side calls not yet answered) waiting at one time.
    pub events: usize,
    /// Smallest acknowledgement window honoured, bytes: a window of 1 would cost us a message a byte.
    pub ack_window_min: u32,
    /// From the first byte possible to the end of the handshake.
    pub handshake: Duration,
    /// From the end of the handshake to the `connect` command.
    pub connect: Duration,
    /// How often we send a Ping Request.
    pub ping: Duration,
    /// How long the peer may send nothing at all, not even an answer to our pings.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_bytes: 64 * 1024,
            chunk_streams: 16,
            partial_bytes: 256 * 1024,
            amf_depth: 16,
            amf_properties: 256,
            amf_values: 1024,
            amf_bytes: 256 * 1024,
            string_bytes: 32 * 1024,
            streams: 8,
            events: 4096,
            ack_window_min: 512,
            handshake: Duration::from_secs(5),
            connect: Duration::from_secs(5),
            ping: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}
