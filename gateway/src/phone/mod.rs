//! One RTMP connection: a phone, seen from here.
//!
//! ```text
//! byte source <-> connection.rs (driver) <-> rtmp-session
//!                    |  dialect.rs turns methods into commands and indications into calls
//!                    +-> phone-agent <-> sip/
//!                    +-> call-media  <-> rtp_io
//! ```

pub mod admission;
pub mod dialect;
pub mod directory;
pub mod outbox;
