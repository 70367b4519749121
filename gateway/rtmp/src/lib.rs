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
//! ```
//! # use rtmp_session::{ConnectAccepted, Event, Input, Limits, Output, ServerSession};
//! # fn drive(now: std::time::Instant, seed: [u8; 32], from_socket: &[u8], to_socket: &mut Vec<u8>) -> bool {
//! let mut session = ServerSession::new(now, Limits::default(), seed);
//! if let Err(error) = session.handle_input(now, Input::Bytes(from_socket)) {
//!     eprintln!("{error}"); // "malformed at byte 3091, chunk stream 3: ..."
//! }
//! while let Some(output) = session.poll_output() {
//!     match output {
//!         Output::Bytes(bytes) => to_socket.extend_from_slice(&bytes),
//!         Output::Event(Event::Connect(_)) => session.accept_connect(now, ConnectAccepted::default()),
//!         Output::Event(_) => {}
//!         Output::Close => return false,
//!     }
//! }
//! # true
//! # }
//! # let mut sent = Vec::new();
//! # let now = std::time::Instant::now();
//! # assert!(!drive(now, [0; 32], b"GET / HTTP/1.1", &mut sent));
//! # assert!(drive(now, [0; 32], &[3; 1537], &mut sent) && sent.len() == 3073);
//! ```
//!
//! What one connection may cost is in [`Limits`]. Output is never larger than a small multiple of the input that asked
//! for it, so a driver that stops reading while its socket is backed up bounds that too.
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
