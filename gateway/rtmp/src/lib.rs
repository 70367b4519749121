//! RTMP as state machines: bytes and time go in, bytes and events come out.
//!
//! ```text
//!            Input::Bytes                                              Output::Event
//!   socket ------------> handshake -> chunks -> messages -> commands -------------> application
//!          <------------ handshake <- chunks <- messages <- commands <-------------
//!           Output::Bytes                                       call, respond, send_audio, ...
//! ```
//!
//! [`ServerSession`] is the gateway's side of a connection and [`ClientSession`] the phone's (for tests and the load
//! tool). Neither owns a socket, a clock or randomness. A driver reads bytes, calls `handle_input`, then takes
//! `poll_output` until `None`, and wakes the session at `poll_timeout`. Audio is opaque here.
//!
//! **Slow readers.** Header compression makes every chunk depend on the one before, so bytes that were handed out must
//! not be dropped. A driver whose socket is backed up drops audio *before* `send_audio`.
#![forbid(unsafe_code)]

mod amf;
mod chunk;
mod client;
mod error;
mod event;
mod handshake;
mod limits;
mod link;
mod message;
mod server;
mod units;

pub use amf::{Object, Value};
pub use client::{ClientSession, ConnectRequest, HandshakeKind};
pub use error::{Place, SessionError, Stage};
pub use event::{ClientEvent, Connect, ConnectAccepted, Event, Input, Level, ObjectEncoding, Output};
pub use limits::Limits;
pub use server::ServerSession;
pub use units::{RtmpTimestamp, StreamId, TransactionId};
