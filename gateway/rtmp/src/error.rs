//! Why a session ended, split by who is to blame, and where in the byte stream it happened.

use std::fmt;
use std::time::Duration;

/// Where in the received byte stream a fault was noticed, so that the packet can be found in a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Offset in the bytes received from the peer, counted from its first byte (C0 or S0 is byte 0).
    pub byte: u64,
    /// Chunk stream id, once one is known.
    pub chunk_stream: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.chunk_stream {
            Some(id) => write!(f, "byte {}, chunk stream {id}", self.byte),
            None => write!(f, "byte {}", self.byte),
        }
    }
}

/// What ends a session. After one, `poll_output` still hands out what was to be sent, then `Output::Close`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// Bytes that cannot be read as RTMP or AMF.
    #[error("malformed at {at}: {what}")]
    Malformed {
        /// Where it was noticed.
        at: Place,
        /// What was wrong, in words.
        what: String,
    },
    /// Bytes that can be read, but break a rule of the protocol.
    #[error("protocol error at {at}: {what}")]
    Protocol {
        /// Where it was noticed.
        at: Place,
        /// The rule that was broken, in words.
        what: String,
    },
    /// More than [`crate::Limits`] allows.
    #[error("over a limit at {at}: {what}")]
    Limit {
        /// Where it was noticed.
        at: Place,
        /// The limit and what was asked for, in words.
        what: String,
    },
    /// The peer was silent for too long.
    #[error("{stage}: nothing for {after:?}")]
    Timeout {
        /// Which step was waited for.
        stage: Stage,
        /// How long.
        after: Duration,
    },
    /// Our own fault: input for a session that has ended.
    #[error("input for a session that has ended")]
    Ended,
}

/// The steps of a connection that have a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// C0, C1, C2 (or S0, S1, S2).
    Handshake,
    /// The `connect` command.
    Connect,
    /// An open connection: any byte, at least an answer to our pings.
    Open,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake not finished",
            Self::Connect => "no connect command",
            Self::Open => "client gone (no ping reply)",
        })
    }
}

/// A fault as the layers below the session see it: they know what, the session knows where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed(String),
    Protocol(String),
    Limit(String),
}

impl Fault {
    pub(crate) fn malformed(what: impl Into<String>) -> Self {
        Self::Malformed(what.into())
    }

    pub(crate) fn protocol(what: impl Into<String>) -> Self {
        Self::Protocol(what.into())
    }

    pub(crate) fn limit(what: impl Into<String>) -> Self {
        Self::Limit(what.into())
    }

    pub(crate) fn at(self, at: Place) -> SessionError {
        match self {
            Self::Malformed(what) => SessionError::Malformed { at, what },
            Self::Protocol(what) => SessionError::Protocol { at, what },
            Self::Limit(what) => SessionError::Limit { at, what },
        }
    }
}
