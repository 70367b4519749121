//! Bytes in, messages out.
//!
//! A message that lies whole in the input is copied once, into a buffer shared by messages of its time. Only a message
//! that arrives in pieces gets a buffer of its own, which grows with the bytes received.

use super::header::{self, ChunkHeader, LONGEST, Parsed};
use super::{FIRST_CHUNK_SIZE, Message};
use crate::error::Fault;
use crate::{Limits, RtmpTimestamp, StreamId};
use bytes::{Bytes, BytesMut};

/// Room for small messages, reserved at once.
const ARENA: usize = 2048;
/// Room for an unfinished header and what was peeked at behind it.
const STASH: usize = LONGEST + 6;

/// What a chunk stream remembers.
#[derive(Debug)]
struct ChunkStream {
    id: u32,
    kind: u8,
    length: u32,
    stream: u32,
    timestamp: u32,
    /// What a format 3 chunk that begins a message adds. After format 0 it is the timestamp itself (5.3.1.2.4).
    delta: u32,
    extended: Option<u32>,
    /// The unfinished message, if there is one.
    partial: Option<BytesMut>,
}

/// Cuts a byte stream into messages.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    chunk_size: u32,
    streams: Vec<ChunkStream>,
    /// The chunk whose body is being read: its chunk stream and how many bytes of it are missing.
    current: Option<(u32, u32)>,
    /// The chunk stream of the last header begun, for messages to people.
    latest: Option<u32>,
    /// Bytes of earlier inputs that belong to an unfinished header, or were peeked at and belong to a body.
    stash: [u8; STASH],
    stashed: usize,
    /// Bytes in unfinished messages.
    partial_bytes: usize,
    arena: BytesMut,
    max_message: u32,
    max_streams: usize,
    max_partial: usize,
}

impl ChunkReader {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            chunk_size: FIRST_CHUNK_SIZE,
            streams: Vec::new(),
            current: None,
            latest: None,
            stash: [0; STASH],
            stashed: 0,
            partial_bytes: 0,
            arena: BytesMut::new(),
            max_message: limits.message_bytes,
            max_streams: limits.chunk_streams,
            max_partial: limits.partial_bytes,
        }
    }

    /// Obeys Set Chunk Size (5.4.1). No memory hangs on it: a body never outgrows its message.
    pub(crate) fn set_chunk_size(&mut self, size: u32) -> Result<(), Fault> {
        if size == 0 || size > 0x7FFF_FFFF {
            return Err(Fault::protocol(format!("chunk size {size}")));
        }
        self.chunk_size = size;
        Ok(())
    }

    /// Drops the unfinished message of a chunk stream (Abort, 5.4.2).
    pub(crate) fn abort(&mut self, chunk_stream: u32) {
        if let Some(partial) = self.find(chunk_stream).and_then(|stream| stream.partial.take()) {
            self.partial_bytes -= partial.len();
        }
    }

    /// Forgets the chunk streams that last carried a message stream which no longer exists, so that a client that
    /// makes new streams for every call does not run into the limit.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.streams.retain(|known| known.stream != stream.0 || known.partial.is_some());
    }

    /// The chunk stream of the last header begun: for messages to people.
    pub(crate) fn latest(&self) -> Option<u32> {
        self.latest
    }

    /// Takes bytes off the front of `input` up to the end of the next message. `None`: the input is used up.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        loop {
            let message = match self.current {
                Some((id, left)) => {
                    if self.stashed == 0 && input.is_empty() {
                        return Ok(None);
                    }
                    self.read_body(id, left, input)?
                }
                None => match self.read_header(input)? {
                    Some(header) => self.begin_chunk(&header, input)?,
                    None => return Ok(None),
                },
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    fn find(&mut self, id: u32) -> Option<&mut ChunkStream> {
        self.streams.iter_mut().find(|stream| stream.id == id)
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<ChunkHeader>, Fault> {
        if self.stashed == 0
            && let Parsed::Header(header, taken) = self.parse(input)?
        {
            *input = &input[taken..];
            return Ok(Some(header));
        }
        // The header lies across two inputs. A byte at a time, so that nothing behind it is swallowed.
        loop {
            let stash = self.stash;
            if let Parsed::Header(header, taken) = self.parse(&stash[..self.stashed])? {
                self.unstash(taken);
                return Ok(Some(header));
            }
            let Some((&next, rest)) = input.split_first() else {
                return Ok(None);
            };
            self.stash[self.stashed] = next;
            self.stashed += 1;
            *input = rest;
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Result<Parsed, Fault> {
        self.latest = header::basic(bytes).map(|(_, id, _)| id).or(self.latest);
        header::parse(bytes, |id| self.streams.iter().find(|stream| stream.id == id).map(|stream| stream.extended))
    }

    fn unstash(&mut self, taken: usize) {
        self.stash.copy_within(taken..self.stashed, 0);
        self.stashed -= taken;
    }

    /// Lays a header over what its chunk stream remembers and reads the body as far as it is there.
    fn begin_chunk(&mut self, header: &ChunkHeader, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        let (chunk_size, max_message) = (self.chunk_size, self.max_message);
        // The stash must be empty for a body to be taken straight from the input.
        let whole = if self.stashed == 0 { input.len() } else { 0 };
        let stream = self.remembered(header.chunk_stream)?;
        if let Some(partial) = &stream.partial {
            if header.format != 3 {
                let (have, length) = (partial.len(), stream.length);
                return Err(Fault::protocol(format!(
                    "fmt {} on chunk stream {} in the middle of a message ({have} of {length} bytes)",
                    header.format, header.chunk_stream
                )));
            }
            let left = (stream.length - partial.len() as u32).min(chunk_size);
            self.current = Some((header.chunk_stream, left));
            return Ok(None);
        }
        stream.update(header);
        if stream.length > max_message {
            let what = format!("message {} B exceeds limit {max_message}", stream.length);
            return Err(Fault::limit(what));
        }
        let length = stream.length as usize;
        if length <= whole.min(chunk_size as usize) {
            let (body, rest) = input.split_at(length);
            *input = rest;
            let (kind, id, timestamp) = (stream.kind, stream.stream, stream.timestamp);
            let body = self.keep(body);
            return Ok(Some(Message {
                kind,
                stream: StreamId(id),
                timestamp: RtmpTimestamp::from_ms(timestamp),
                body,
            }));
        }
        let left = stream.length.min(chunk_size);
        stream.partial = Some(BytesMut::new());
        self.current = Some((header.chunk_stream, left));
        // An empty message has no body to wait for.
        if length == 0 { Ok(Some(self.finish(header.chunk_stream))) } else { Ok(None) }
    }

    /// The memory of a chunk stream; a new one is made if the limit allows.
    fn remembered(&mut self, id: u32) -> Result<&mut ChunkStream, Fault> {
        let known = self.streams.iter().position(|stream| stream.id == id);
        let index = match known {
            Some(index) => index,
            None if self.streams.len() >= self.max_streams => {
                return Err(Fault::limit(format!("chunk stream {id} is one more than {}", self.max_streams)));
            }
            None => {
                self.streams.push(ChunkStream::new(id));
                self.streams.len() - 1
            }
        };
        Ok(&mut self.streams[index])
    }

    fn read_body(&mut self, id: u32, left: u32, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        let from_stash = self.stashed > 0;
        let available = if from_stash { self.stashed } else { input.len() };
        let take = available.min(left as usize);
        if self.partial_bytes + take > self.max_partial {
            return Err(Fault::limit(format!("unfinished messages exceed {} B", self.max_partial)));
        }
        self.partial_bytes += take;
        let stash = self.stash;
        let bytes = if from_stash { &stash[..take] } else { &input[..take] };
        let stream = self.find(id).expect("a chunk being read keeps its chunk stream");
        let partial = stream.partial.get_or_insert_default();
        partial.extend_from_slice(bytes);
        let done = partial.len() == stream.length as usize;
        if from_stash {
            self.unstash(take);
        } else {
            *input = &input[take..];
        }
        let left = left - take as u32;
        self.current = (left > 0).then_some((id, left));
        Ok(done.then(|| self.finish(id)))
    }

    fn finish(&mut self, id: u32) -> Message {
        self.current = None;
        let stream = self.find(id).expect("a chunk being read keeps its chunk stream");
        let body = stream.partial.take().unwrap_or_default().freeze();
        let message = Message {
            kind: stream.kind,
            stream: StreamId(stream.stream),
            timestamp: RtmpTimestamp::from_ms(stream.timestamp),
            body,
        };
        self.partial_bytes -= message.body.len();
        message
    }

    /// Copies a whole body into the shared buffer. Once the messages of the last round are dropped, it is used again.
    fn keep(&mut self, body: &[u8]) -> Bytes {
        if self.arena.capacity() < body.len() {
            self.arena.reserve(body.len().max(ARENA));
        }
        self.arena.extend_from_slice(body);
        self.arena.split().freeze()
    }
}

impl ChunkStream {
    fn new(id: u32) -> Self {
        Self { id, kind: 0, length: 0, stream: 0, timestamp: 0, delta: 0, extended: None, partial: None }
    }

    fn update(&mut self, header: &ChunkHeader) {
        if header.format != 3 {
            self.delta = header.time;
            self.extended = header.extended.then_some(header.time);
        }
        self.timestamp = if header.format == 0 { header.time } else { self.timestamp.wrapping_add(self.delta) };
        if let Some((length, kind)) = header.length_and_kind {
            self.length = length;
            self.kind = kind;
        }
        if let Some(stream) = header.stream {
            self.stream = stream;
        }
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
