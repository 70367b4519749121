//! What goes in and comes out of a session.

use crate::amf::{Object, Value};
use crate::{RtmpTimestamp, StreamId, TransactionId};
use bytes::Bytes;

/// What a driver feeds a session.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Bytes from the peer, cut anywhere.
    Bytes(&'a [u8]),
    /// The instant of `poll_timeout` has come.
    Timeout,
}

/// What a driver takes out of a session. Take until `None`.
#[derive(Debug, Clone, PartialEq)]
pub enum Output<E = Event> {
    /// Bytes for the peer, in order.
    Bytes(Bytes),
    /// Something the application should know.
    Event(E),
    /// Send what was handed out, then close the byte stream. The last output.
    Close,
}

/// How the two ends agreed to encode commands (`objectEncoding` of `connect`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ObjectEncoding {
    /// AMF0 in messages of type 20.
    #[default]
    Amf0,
    /// Messages of type 17, where values may be AMF3 behind the AVM+ marker.
    Amf3,
}

/// The `connect` command of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Connect {
    /// Its transaction id (Flash always uses 1).
    pub transaction: TransactionId,
    /// The path of the address, without the leading slash; empty if the client sent none.
    pub app: String,
    /// The whole address as the client wrote it; empty if the client sent none.
    pub tc_url: String,
    /// The encoding asked for; `None` if the client did not say (AMF0 then).
    pub object_encoding: Option<ObjectEncoding>,
    /// The whole command object.
    pub object: Object,
    /// The arguments behind the command object.
    pub args: Vec<Value>,
}

/// What to tell a client whose `connect` succeeded.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectAccepted {
    /// `description` of the info object.
    pub description: String,
    /// `fmsVer` of the info object.
    pub fms_version: String,
    /// More properties for the info object, behind the usual ones.
    pub more: Vec<(String, Value)>,
}

impl Default for ConnectAccepted {
    /// What siprtmp says, so that its clients find what they know.
    fn default() -> Self {
        Self { description: "Connection succeeded.".into(), fms_version: "rtmplite/8,2".into(), more: Vec::new() }
    }
}

/// `level` of an info object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// All is well.
    Status,
    /// Something is odd.
    Warning,
    /// Something failed.
    Error,
}

impl Level {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a server session tells the application.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A client asks to connect: answer with `accept_connect` or `reject_connect`, at any time later.
    Connect(Connect),
    /// A command that the session does not know itself: answer with `respond` or `respond_error`.
    /// Never comes before `accept_connect`.
    Call {
        /// For the answer.
        id: TransactionId,
        /// Where it was called; nearly always the NetConnection.
        stream: StreamId,
        /// Name of the method.
        name: String,
        /// The arguments behind the command object.
        args: Vec<Value>,
    },
    /// The client answered a `call` of ours.
    CallResult {
        /// What `call` gave.
        id: TransactionId,
        /// `_result` (true) or `_error` (false).
        ok: bool,
        /// Everything behind the transaction id and the command object.
        values: Vec<Value>,
    },
    /// The client publishes on a stream. `NetStream.Publish.Start` is already on its way.
    Publish {
        /// The stream.
        stream: StreamId,
        /// Its name, cut off at `?`.
        name: String,
        /// What stood behind the `?`.
        query: Option<String>,
        /// `live`, `record`, `append`, or whatever was sent; `None` if nothing.
        mode: Option<String>,
    },
    /// The client stopped publishing (`closeStream`, `deleteStream`, or another use of the stream).
    Unpublish {
        /// The stream.
        stream: StreamId,
        /// The name it had.
        name: String,
    },
    /// The client plays a stream: `send_audio` on it works from now on. `NetStream.Play.Start` is on its way.
    Play {
        /// The stream.
        stream: StreamId,
        /// Its name, cut off at `?`.
        name: String,
    },
    /// The client stopped playing.
    StopPlay {
        /// The stream.
        stream: StreamId,
        /// The name it had.
        name: String,
    },
    /// Audio on a stream that the client publishes. The body begins with the FLV audio tag byte; it may be empty
    /// (Flash says so that the talker fell silent).
    Audio {
        /// The stream.
        stream: StreamId,
        /// On the client's clock.
        timestamp: RtmpTimestamp,
        /// Tag byte and frames.
        body: Bytes,
    },
    /// Video on a stream that the client publishes. The body begins with the FLV video tag byte.
    Video {
        /// The stream.
        stream: StreamId,
        /// On the client's clock.
        timestamp: RtmpTimestamp,
        /// Tag byte and frame.
        body: Bytes,
    },
    /// A data message (`onMetaData`, ...) on a stream that the client publishes.
    Data {
        /// The stream.
        stream: StreamId,
        /// On the client's clock.
        timestamp: RtmpTimestamp,
        /// All values, the name of the handler first.
        values: Vec<Value>,
    },
    /// The client's play-out buffer for a stream.
    BufferLength {
        /// The stream.
        stream: StreamId,
        /// Milliseconds.
        ms: u32,
    },
    /// Something asked for the Flash policy file; it was answered, and `Output::Close` follows.
    PolicyFileRequested,
}

/// What a client session tells the application.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// The server answered `connect` with `_result`.
    Connected {
        /// The info object (`code` is `NetConnection.Connect.Success`).
        info: Object,
    },
    /// The server answered `connect` with `_error`.
    Rejected {
        /// The info object; its `description` says why.
        info: Object,
    },
    /// `createStream` succeeded.
    StreamCreated {
        /// What `create_stream` gave.
        id: TransactionId,
        /// The new stream.
        stream: StreamId,
    },
    /// `_result` to a call.
    Result {
        /// What `call` gave.
        id: TransactionId,
        /// Everything behind the transaction id and the command object.
        values: Vec<Value>,
    },
    /// `_error` to a call (or to `createStream`).
    Error {
        /// What `call` gave.
        id: TransactionId,
        /// Everything behind the transaction id and the command object.
        values: Vec<Value>,
    },
    /// The server calls a method of ours (`invited`, `ringing`, ...).
    Call {
        /// For an answer.
        id: TransactionId,
        /// Name of the method.
        name: String,
        /// The arguments behind the command object.
        args: Vec<Value>,
    },
    /// `onStatus` on a stream, or on the connection (stream 0).
    Status {
        /// The stream.
        stream: StreamId,
        /// `code`, such as `NetStream.Publish.Start`; empty if there is none.
        code: String,
        /// The whole info object.
        info: Object,
    },
    /// Audio of a stream that we play.
    Audio {
        /// The stream.
        stream: StreamId,
        /// On the server's clock.
        timestamp: RtmpTimestamp,
        /// Tag byte and frames.
        body: Bytes,
    },
    /// Video of a stream that we play.
    Video {
        /// The stream.
        stream: StreamId,
        /// On the server's clock.
        timestamp: RtmpTimestamp,
        /// Tag byte and frame.
        body: Bytes,
    },
    /// A data message of a stream that we play.
    Data {
        /// The stream.
        stream: StreamId,
        /// On the server's clock.
        timestamp: RtmpTimestamp,
        /// All values, the name of the handler first.
        values: Vec<Value>,
    },
    /// User Control: the stream begins.
    StreamBegin {
        /// The stream.
        stream: StreamId,
    },
}

impl ObjectEncoding {
    /// The number on the wire.
    pub const fn number(self) -> f64 {
        match self {
            Self::Amf0 => 0.0,
            Self::Amf3 => 3.0,
        }
    }

    /// The encoding of a number on the wire, if it is one of the two.
    pub fn from_number(number: f64) -> Option<Self> {
        [Self::Amf0, Self::Amf3].into_iter().find(|encoding| encoding.number() == number)
    }
}
