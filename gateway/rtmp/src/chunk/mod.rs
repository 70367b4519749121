//! Chunks: how messages share one byte stream (RTMP 1.0, section 5.3).
//!
//! ```text
//!   message  type, length, timestamp, stream id, body
//!   chunk    basic header 1..3 | message header 11, 7, 3 or 0 | extended timestamp 0 or 4 | up to chunk-size bytes of body
//!            fmt, chunk stream   what changed since the last    if the 24-bit field is
//!                                message of this chunk stream   0xFFFFFF
//! ```
//!
//! Each chunk stream remembers its own last header and its own unfinished message, so that chunks of different streams
//! may alternate.

mod header;
mod reader;
mod writer;

pub(crate) use reader::ChunkReader;
pub(crate) use writer::ChunkWriter;

use crate::{RtmpTimestamp, StreamId};
use bytes::Bytes;

/// The size both directions begin with.
pub(crate) const FIRST_CHUNK_SIZE: u32 = 128;
/// Protocol control messages travel here (section 5.4).
pub(crate) const CONTROL_CHUNK_STREAM: u32 = 2;
/// The 24-bit timestamp field says: see the extended timestamp.
pub(crate) const EXTENDED: u32 = 0xFF_FFFF;

/// A whole message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// Message type id.
    pub(crate) kind: u8,
    /// Message stream id.
    pub(crate) stream: StreamId,
    pub(crate) timestamp: RtmpTimestamp,
    pub(crate) body: Bytes,
}
