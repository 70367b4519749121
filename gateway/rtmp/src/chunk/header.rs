//! Reading one chunk header from bytes that may not all be there yet.

use super::EXTENDED;
use crate::error::Fault;

/// The longest header: basic 3, message 11, extended timestamp 4.
pub(super) const LONGEST: usize = 18;

/// What a header says, before it is laid over what the chunk stream remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkHeader {
    pub(super) chunk_stream: u32,
    /// 0 to 3: how much of the message header is present.
    pub(super) format: u8,
    /// Timestamp (format 0) or delta (1, 2), the extended one where it is used. Meaningless for format 3.
    pub(super) time: u32,
    /// Whether `time` came from an extended timestamp.
    pub(super) extended: bool,
    /// Length and type of the message, formats 0 and 1.
    pub(super) length_and_kind: Option<(u32, u8)>,
    /// Message stream id, format 0.
    pub(super) stream: Option<u32>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// More bytes are needed.
    Incomplete,
    /// A header, and how many bytes it took.
    Header(ChunkHeader, usize),
}

/// The basic header: format, chunk stream id, bytes taken. `None` if it is not all there.
pub(super) fn basic(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let format = first >> 6;
    match first & 0x3F {
        0 => Some((format, 64 + u32::from(*bytes.get(1)?), 2)),
        1 => Some((format, 64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3)),
        id => Some((format, id.into(), 1)),
    }
}

/// Reads a header. `last_extended` tells, for a chunk stream, the extended timestamp that its last header carried; the
/// outer `None` means that the chunk stream is not known.
pub(super) fn parse(bytes: &[u8], last_extended: impl Fn(u32) -> Option<Option<u32>>) -> Result<Parsed, Fault> {
    let Some((format, chunk_stream, at)) = basic(bytes) else {
        return Ok(Parsed::Incomplete);
    };
    let remembered = last_extended(chunk_stream);
    // librtmp opens chunk stream 2 with format 1 (its user control messages): taken as format 0 on stream 0.
    if remembered.is_none() && format >= 2 {
        return Err(Fault::protocol(format!("fmt {format} without a previous header on chunk stream {chunk_stream}")));
    }
    if format == 3 {
        return Ok(parse_bare(bytes, chunk_stream, at, remembered.flatten()));
    }
    let length = [11, 7, 3][usize::from(format)];
    let Some(fields) = bytes.get(at..at + length) else {
        return Ok(Parsed::Incomplete);
    };
    let mut header = ChunkHeader {
        chunk_stream,
        format,
        time: be24(fields),
        extended: false,
        length_and_kind: (format <= 1).then(|| (be24(&fields[3..]), fields[6])),
        stream: (format == 0).then(|| u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]])),
    };
    let mut end = at + length;
    if header.time == EXTENDED {
        let Some(extended) = bytes.get(end..end + 4) else {
            return Ok(Parsed::Incomplete);
        };
        header.time = be32(extended);
        header.extended = true;
        end += 4;
    }
    Ok(Parsed::Header(header, end))
}

/// A format 3 header. After a header with an extended timestamp the specification (5.3.1.3) repeats it here, and Flash
/// does; some encoders do not. So it is taken if the next bytes are that timestamp, and left if they are anything else.
fn parse_bare(bytes: &[u8], chunk_stream: u32, at: usize, extended: Option<u32>) -> Parsed {
    let mut header =
        ChunkHeader { chunk_stream, format: 3, time: 0, extended: false, length_and_kind: None, stream: None };
    let Some(expected) = extended else {
        return Parsed::Header(header, at);
    };
    let rest = &bytes[at..];
    let seen = rest.len().min(4);
    if rest[..seen] != expected.to_be_bytes()[..seen] {
        return Parsed::Header(header, at);
    }
    if seen < 4 {
        return Parsed::Incomplete;
    }
    header.extended = true;
    Parsed::Header(header, at + 4)
}

fn be24(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]])
}

fn be32(bytes: &[u8]) -> u32 {
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}
