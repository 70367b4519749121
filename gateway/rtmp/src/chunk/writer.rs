//! Messages in, bytes out.

use super::{CONTROL_CHUNK_STREAM, EXTENDED, FIRST_CHUNK_SIZE};
use crate::{RtmpTimestamp, StreamId};
use bytes::{BufMut, BytesMut};

/// The first chunk stream that is not for protocol control.
const FIRST_CHUNK_STREAM: u32 = 3;
/// Message types 1 to 6 are protocol control.
const LAST_CONTROL_KIND: u8 = 6;

/// The last header written on a chunk stream.
#[derive(Debug, Clone, Copy)]
struct Last {
    timestamp: RtmpTimestamp,
    length: u32,
    kind: u8,
}

/// Packs messages into chunks: one chunk stream for each message stream, in the order of first use, from 3 on.
#[derive(Debug)]
pub(crate) struct ChunkWriter {
    chunk_size: u32,
    control: Option<Last>,
    /// Entry `n` owns chunk stream `3 + n`. `None`: free for the next message stream.
    streams: Vec<Option<(StreamId, Option<Last>)>>,
}

impl ChunkWriter {
    pub(crate) fn new() -> Self {
        Self { chunk_size: FIRST_CHUNK_SIZE, control: None, streams: Vec::new() }
    }

    pub(crate) fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// What follows a Set Chunk Size of ours. `size` is at least 1.
    pub(crate) fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = size.max(1);
    }

    /// Frees the chunk stream of a message stream that no longer exists.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        if let Some(slot) = self.streams.iter_mut().find(|slot| slot.is_some_and(|(owner, _)| owner == stream)) {
            *slot = None;
        }
    }

    /// Appends a message to `out`. `body` is shorter than 16 MiB.
    pub(crate) fn write(&mut self, out: &mut BytesMut, kind: u8, stream: StreamId, time: RtmpTimestamp, body: &[u8]) {
        debug_assert!(body.len() <= 0xFF_FFFF, "the session refuses longer messages");
        let length = body.len() as u32;
        let (chunk_stream, last) = self.chunk_stream(kind, stream);
        let before = last.replace(Last { timestamp: time, length, kind });
        let header = Header::choose(chunk_stream, stream, before, Last { timestamp: time, length, kind });
        header.put(out);
        let mut chunks = body.chunks(self.chunk_size as usize);
        out.put_slice(chunks.next().unwrap_or_default());
        for chunk in chunks {
            put_basic(out, 3, chunk_stream);
            if header.time >= EXTENDED {
                out.put_u32(header.time);
            }
            out.put_slice(chunk);
        }
    }

    fn chunk_stream(&mut self, kind: u8, stream: StreamId) -> (u32, &mut Option<Last>) {
        if (1..=LAST_CONTROL_KIND).contains(&kind) {
            return (CONTROL_CHUNK_STREAM, &mut self.control);
        }
        let owned = |slot: &Option<(StreamId, _)>| slot.is_some_and(|(owner, _)| owner == stream);
        let index = self.streams.iter().position(owned).unwrap_or_else(|| self.take_slot(stream));
        let (_, last) = self.streams[index].as_mut().expect("the slot was found or taken");
        (FIRST_CHUNK_STREAM + index as u32, last)
    }

    fn take_slot(&mut self, stream: StreamId) -> usize {
        let index = self.streams.iter().position(Option::is_none).unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        self.streams[index] = Some((stream, None));
        index
    }
}

/// A message header and how much of it is written.
struct Header {
    format: u8,
    chunk_stream: u32,
    /// Timestamp for format 0, else the difference to the last.
    time: u32,
    length: u32,
    kind: u8,
    stream: StreamId,
}

impl Header {
    /// siprtmp's rule, which its clients know: everything if there is nothing to refer to (the last timestamp being 0
    /// counts as nothing) or time did not go forward; else only what changed. Format 3 never begins a message.
    fn choose(chunk_stream: u32, stream: StreamId, before: Option<Last>, message: Last) -> Self {
        let full = |time| Self { format: 0, chunk_stream, time, length: message.length, kind: message.kind, stream };
        let absolute = full(message.timestamp.ms());
        let Some(before) = before.filter(|last| last.timestamp.ms() != 0) else {
            return absolute;
        };
        let delta = message.timestamp.since(before.timestamp);
        // Deltas that would need an extended timestamp are read differently by different peers.
        if delta <= 0 || delta.cast_unsigned() >= EXTENDED {
            return absolute;
        }
        let same = before.length == message.length && before.kind == message.kind;
        Self { format: if same { 2 } else { 1 }, ..full(delta.cast_unsigned()) }
    }

    fn put(&self, out: &mut BytesMut) {
        put_basic(out, self.format, self.chunk_stream);
        out.put_uint(self.time.min(EXTENDED).into(), 3);
        if self.format <= 1 {
            out.put_uint(self.length.into(), 3);
            out.put_u8(self.kind);
        }
        if self.format == 0 {
            out.put_u32_le(self.stream.0);
        }
        if self.time >= EXTENDED {
            out.put_u32(self.time);
        }
    }
}

fn put_basic(out: &mut BytesMut, format: u8, chunk_stream: u32) {
    let format = format << 6;
    match chunk_stream {
        0..=63 => out.put_u8(format | chunk_stream as u8),
        64..=319 => out.put_slice(&[format, (chunk_stream - 64) as u8]),
        _ => {
            out.put_u8(format | 1);
            out.put_u16_le((chunk_stream - 64) as u16);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(writer: &mut ChunkWriter, kind: u8, stream: u32, ms: u32, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        writer.write(&mut out, kind, StreamId(stream), RtmpTimestamp::from_ms(ms), body);
        out.to_vec()
    }

    #[test]
    fn headers_shrink_as_siprtmp_shrinks_them() {
        let mut writer = ChunkWriter::new();
        // Type 20 on stream 0, time 0: format 0 on chunk stream 3.
        assert_eq!(write(&mut writer, 20, 0, 0, b"a"), b"\x03\0\0\0\0\0\x01\x14\0\0\0\0a");
        // The stored time is 0: format 0 again.
        assert_eq!(write(&mut writer, 20, 0, 5, b"a"), b"\x03\0\0\x05\0\0\x01\x14\0\0\0\0a");
        // Same type and length, later: format 2.
        assert_eq!(write(&mut writer, 20, 0, 7, b"b"), b"\x83\0\0\x02b");
        // Another length: format 1.
        assert_eq!(write(&mut writer, 20, 0, 8, b"bc"), b"\x43\0\0\x01\0\0\x02\x14bc");
        // The same time again: format 0, and never format 3.
        assert_eq!(write(&mut writer, 20, 0, 8, b"bc"), b"\x03\0\0\x08\0\0\x02\x14\0\0\0\0bc");
        // The next stream gets the next chunk stream; audio and commands of it share it.
        assert_eq!(write(&mut writer, 8, 2, 9, b"x")[..12], *b"\x04\0\0\x09\0\0\x01\x08\x02\0\0\0");
        assert_eq!(write(&mut writer, 20, 2, 10, b"y")[..8], *b"\x44\0\0\x01\0\0\x01\x14");
        // Control goes on chunk stream 2.
        assert_eq!(write(&mut writer, 5, 0, 0, &[0x40, 0, 0, 0])[0], 2);
    }

    #[test]
    fn a_message_without_a_body_is_a_header() {
        assert_eq!(write(&mut ChunkWriter::new(), 8, 1, 9, b""), b"\x03\0\0\x09\0\0\0\x08\x01\0\0\0");
    }

    #[test]
    fn an_extended_timestamp_is_repeated_in_every_chunk_of_its_message() {
        let mut writer = ChunkWriter::new();
        writer.set_chunk_size(2);
        let bytes = write(&mut writer, 8, 1, 0x0100_0000, b"abcde");
        assert_eq!(bytes, b"\x03\xff\xff\xff\0\0\x05\x08\x01\0\0\0\x01\0\0\0ab\xc3\x01\0\0\0cd\xc3\x01\0\0\0e");
    }

    #[test]
    fn a_forgotten_stream_gives_its_chunk_stream_to_the_next() {
        let mut writer = ChunkWriter::new();
        write(&mut writer, 20, 0, 1, b"");
        write(&mut writer, 8, 1, 1, b"");
        writer.forget(StreamId(1));
        // Nothing of the old stream is referred to.
        assert_eq!(write(&mut writer, 8, 2, 2, b"")[0], 4);
    }

    #[test]
    fn time_that_wraps_goes_forward() {
        let mut writer = ChunkWriter::new();
        write(&mut writer, 8, 1, u32::MAX - 9, b"a");
        assert_eq!(write(&mut writer, 8, 1, 10, b"a"), b"\x83\0\0\x14a");
    }
}
