//! One RTMP connection: a phone, seen from here.
//!
//! ```text
//! byte stream <-> Wire <-> rtmp-session <-- connection.rs --> dialect.rs: methods into commands, indications into calls
//!                                                |
//!                                              Line: phone-agent <-> sip/
//!                                                |
//!                                               Leg: call-media  <-> rtp_io
//! ```

use std::sync::Arc;

use phone_agent::CodecWord;
use rtmp_session::Limits;

use crate::access::WebAccess;
use crate::metrics::Metrics;
use crate::rtp_io::RtpPorts;
use crate::sip::SipStack;
use crate::workers::Workers;

pub mod admission;
pub mod attempts;
mod connection;
pub mod dialect;
pub mod directory;
pub mod figures;
mod leg;
mod limits;
mod line;
pub mod outbox;
pub mod wire;

pub use connection::Connection;

/// What all phones of the process share.
pub struct Gateway {
    /// The SIP side.
    pub sip: SipStack,
    /// Where calls get their RTP ports.
    pub ports: Arc<RtpPorts>,
    /// The threads that phones live on.
    pub workers: Workers,
    /// Who is let in.
    pub admission: Arc<admission::Admission>,
    /// Who failed to connect.
    pub attempts: attempts::Attempts,
    /// Who is connected.
    pub directory: Arc<directory::Directory>,
    /// What is counted.
    pub metrics: &'static Metrics,
    /// Bounds of one RTMP connection.
    pub limits: Limits,
    /// Codecs of calls without a list, in order of preference, if the operator has one.
    pub codecs: Option<Vec<CodecWord>>,
    /// Whose credentials a phone uses.
    pub access: WebAccess,
}
