//! What both ends of a connection share: handshake, chunks, protocol control, pings, deadlines.
//!
//! ```text
//!   bytes -> Handshake -> ChunkReader -> Control: handled here
//!                                   \--> Message: for the session above
//! ```

use crate::chunk::{ChunkReader, ChunkWriter, Message};
use crate::error::Fault;
use crate::handshake::{ClientHandshake, ServerHandshake, Step};
use crate::message::{self, Aggregate, Control, kind};
use crate::{Limits, Place, RtmpTimestamp, SessionError, Stage, StreamId};
use bytes::{BufMut, Bytes, BytesMut};
use std::time::{Duration, Instant};

/// After how many bytes we acknowledge a peer that did not say (siprtmp's figure).
const FIRST_ACK_WINDOW: u32 = 1_000_000;
/// Room for outgoing bytes, reserved at once and used again when the driver has let go of them.
const OUT: usize = 2048;

/// Which side of the handshake, and for the server's side its deadlines.
#[derive(Debug)]
enum Phase {
    ServerHandshake(Box<ServerHandshake>),
    ClientHandshake(Box<ClientHandshake>),
    Open,
}

/// How far the end has come. `told`: `Output::Close` was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Not at all.
    No,
    /// One side wished it: input that is still on its way is of no use.
    Closing { told: bool },
    /// Because of an error: more input is the driver's mistake.
    Failed { told: bool },
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Received {
    Message(Message),
    /// The peer's buffer for a stream that it plays.
    BufferLength {
        stream: StreamId,
        ms: u32,
    },
    StreamBegin(StreamId),
    PolicyRequest,
}

/// One end of a connection below the level of commands.
#[derive(Debug)]
pub(crate) struct Link {
    limits: Limits,
    started: Instant,
    phase: Phase,
    end: End,
    reader: ChunkReader,
    writer: ChunkWriter,
    out: BytesMut,
    /// What was said before the handshake ended.
    held: BytesMut,
    aggregate: Option<Aggregate>,
    /// Bytes received, and how many of them were acknowledged.
    received: u64,
    acknowledged: u64,
    ack_window: u32,
    /// The window that we last announced.
    announced_window: u32,
    deadlines: Deadlines,
    /// The ping on its way: its number and when it was sent.
    ping: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
}

/// When something is due. The server's side has all of them, the client's only the first.
#[derive(Debug, Clone, Copy)]
struct Deadlines {
    handshake: Option<Instant>,
    connect: Option<Instant>,
    ping: Option<Instant>,
    idle: Option<Instant>,
}

impl Link {
    pub(crate) fn server(now: Instant, limits: Limits, seed: [u8; 32]) -> Self {
        let handshake = ServerHandshake::new(seed);
        Self::new(now, limits, Phase::ServerHandshake(Box::new(handshake)), BytesMut::new())
    }

    pub(crate) fn client(now: Instant, limits: Limits, seed: [u8; 32], kind: crate::HandshakeKind) -> Self {
        let mut out = BytesMut::new();
        let handshake = ClientHandshake::new(&seed, kind, &mut out);
        Self::new(now, limits, Phase::ClientHandshake(Box::new(handshake)), out)
    }

    fn new(now: Instant, limits: Limits, phase: Phase, out: BytesMut) -> Self {
        Self {
            started: now,
            phase,
            end: End::No,
            reader: ChunkReader::new(&limits),
            writer: ChunkWriter::new(),
            out,
            held: BytesMut::new(),
            aggregate: None,
            received: 0,
            acknowledged: 0,
            ack_window: FIRST_ACK_WINDOW,
            announced_window: 0,
            deadlines: Deadlines { handshake: Some(now + limits.handshake), connect: None, ping: None, idle: None },
            ping: None,
            round_trip: None,
            limits,
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn timestamp(&self, now: Instant) -> RtmpTimestamp {
        // The clock wraps after 49.7 days, as it should.
        RtmpTimestamp::from_ms(now.saturating_duration_since(self.started).as_millis() as u32)
    }

    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// The `connect` command has come: from now on the peer only has to stay alive.
    pub(crate) fn connect_seen(&mut self, now: Instant) {
        self.deadlines.connect = None;
        self.deadlines.ping = Some(now + self.limits.ping);
        self.deadlines.idle = Some(now + self.limits.idle);
    }

    /// Whether input is still of use. After an error it is a mistake to give more.
    pub(crate) fn takes_input(&self) -> Result<bool, SessionError> {
        match self.end {
            End::No => Ok(true),
            End::Closing { .. } => Ok(false),
            End::Failed { .. } => Err(SessionError::Ended),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.end == End::No
    }

    pub(crate) fn close(&mut self) {
        if self.end == End::No {
            self.end = End::Closing { told: false };
        }
    }

    /// Ends the session because of a fault at the place reached.
    pub(crate) fn fail(&mut self, fault: Fault, unread: &[u8]) -> SessionError {
        let byte = self.received - unread.len() as u64;
        let chunk_stream = self.reader.latest();
        self.end_with(fault.at(Place { byte, chunk_stream }))
    }

    fn end_with(&mut self, error: SessionError) -> SessionError {
        self.end = End::Failed { told: false };
        tracing::debug!(%error, "RTMP session ends");
        error
    }

    pub(crate) fn poll_bytes(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    /// Whether `Output::Close` is to be handed out now, after everything else.
    pub(crate) fn poll_close(&mut self) -> bool {
        match &mut self.end {
            End::No => false,
            End::Closing { told } | End::Failed { told } => !std::mem::replace(told, true),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let Deadlines { handshake, connect, ping, idle } = self.deadlines;
        if self.end != End::No {
            return None;
        }
        [handshake, connect, ping, idle].into_iter().flatten().min()
    }

    /// Counts new input as a sign of life.
    pub(crate) fn note_input(&mut self, now: Instant, bytes: &[u8]) {
        self.received += bytes.len() as u64;
        if let Some(idle) = &mut self.deadlines.idle {
            *idle = now + self.limits.idle;
        }
    }

    /// Does what is due: ends a session whose peer is too slow, pings one that is open.
    pub(crate) fn check_deadlines(&mut self, now: Instant) -> Result<(), SessionError> {
        let Deadlines { handshake, connect, idle, ping } = self.deadlines;
        let limits = self.limits;
        let steps = [
            (handshake, Stage::Handshake, limits.handshake),
            (connect, Stage::Connect, limits.connect),
            (idle, Stage::Open, limits.idle),
        ];
        for (deadline, stage, after) in steps {
            if deadline.is_some_and(|deadline| now >= deadline) {
                return Err(self.end_with(SessionError::Timeout { stage, after }));
            }
        }
        if ping.is_some_and(|ping| now >= ping) {
            self.deadlines.ping = Some(now + limits.ping);
            let ms = self.timestamp(now).ms();
            self.ping = Some((ms, now));
            self.send_control(kind::USER_CONTROL, &message::ping_request(ms));
        }
        Ok(())
    }

    /// Takes bytes off the front of `input` up to the next thing that the session must know.
    pub(crate) fn receive(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Received>, Fault> {
        if !matches!(self.phase, Phase::Open) {
            match self.shake_hands(input)? {
                Step::More => return Ok(None),
                Step::PolicyRequest => return Ok(Some(Received::PolicyRequest)),
                Step::Done => self.opened(now),
            }
        }
        loop {
            let Some(message) = self.next_message(input)? else {
                self.acknowledge(input);
                return Ok(None);
            };
            self.acknowledge(input);
            match message.kind {
                kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => {
                    let control = Control::read(message.kind, &message.body)?;
                    if let Some(received) = self.obey(now, control)? {
                        return Ok(Some(received));
                    }
                }
                kind::AGGREGATE => self.aggregate = Some(Aggregate::new(message)),
                _ => return Ok(Some(Received::Message(message))),
            }
        }
    }

    /// The next message, out of an aggregate if there is one.
    fn next_message(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Fault> {
        if let Some(aggregate) = &mut self.aggregate {
            match aggregate.next()? {
                // Control belongs to the connection, and aggregates do not nest.
                Some(Message { kind: 0..=7 | kind::AGGREGATE, .. }) => {
                    return Err(Fault::protocol("aggregate holds something other than media, data or commands"));
                }
                Some(message) => return Ok(Some(message)),
                None => self.aggregate = None,
            }
        }
        self.reader.read(input)
    }

    fn shake_hands(&mut self, input: &mut &[u8]) -> Result<Step, Fault> {
        match &mut self.phase {
            Phase::ServerHandshake(handshake) => handshake.receive(input, &mut self.out),
            Phase::ClientHandshake(handshake) => handshake.receive(input, &mut self.out),
            Phase::Open => Ok(Step::Done),
        }
    }

    fn opened(&mut self, now: Instant) {
        self.deadlines.handshake = None;
        if matches!(self.phase, Phase::ServerHandshake(_)) {
            self.deadlines.connect = Some(now + self.limits.connect);
        }
        self.phase = Phase::Open;
        let held = std::mem::take(&mut self.held);
        self.out.put(held);
    }

    fn obey(&mut self, now: Instant, control: Control) -> Result<Option<Received>, Fault> {
        match control {
            Control::SetChunkSize(size) => self.reader.set_chunk_size(size)?,
            Control::Abort { chunk_stream } => self.reader.abort(chunk_stream),
            Control::WindowAckSize(window) => self.ack_window = window.max(self.limits.ack_window_min),
            Control::SetPeerBandwidth { window, kind } => self.announce_window(window, kind),
            Control::PingRequest(ms) => self.send_control(kind::USER_CONTROL, &message::ping_response(ms)),
            Control::PingResponse(ms) => {
                if let Some((_, sent)) = self.ping.take_if(|(number, _)| *number == ms) {
                    self.round_trip = Some(now.saturating_duration_since(sent));
                }
            }
            Control::SetBufferLength { stream, ms } => return Ok(Some(Received::BufferLength { stream, ms })),
            Control::StreamBegin(stream) => return Ok(Some(Received::StreamBegin(stream))),
            // We never wait for acknowledgements: TCP bounds what is on the way.
            Control::Acknowledgement | Control::Ignored => {}
        }
        Ok(None)
    }

    /// Set Peer Bandwidth (5.4.5) asks us to name our window, unless we said the same before. Its kind (hard, soft,
    /// dynamic) tells how binding the window is for a sender, and we keep to none.
    fn announce_window(&mut self, window: u32, _kind: u8) {
        if window != self.announced_window {
            self.send_window_ack_size(window);
        }
    }

    /// Sends an Acknowledgement (5.4.3) with the running total, if a whole window has come in since the last.
    fn acknowledge(&mut self, unread: &[u8]) {
        let total = self.received - unread.len() as u64;
        if total - self.acknowledged >= u64::from(self.ack_window) {
            self.acknowledged = total;
            // The field has 32 bits and wraps.
            self.send_control(kind::ACKNOWLEDGEMENT, &(total as u32).to_be_bytes());
        }
    }

    pub(crate) fn send_window_ack_size(&mut self, window: u32) {
        self.announced_window = window;
        self.send_control(kind::WINDOW_ACK_SIZE, &window.to_be_bytes());
    }

    /// Announces a chunk size and uses it from the next message on.
    pub(crate) fn send_chunk_size(&mut self, size: u32) {
        if size != self.writer.chunk_size() {
            self.send_control(kind::SET_CHUNK_SIZE, &size.to_be_bytes());
            self.writer.set_chunk_size(size);
        }
    }

    pub(crate) fn send_control(&mut self, kind: u8, body: &[u8]) {
        self.send(kind, StreamId::CONNECTION, RtmpTimestamp::default(), body);
    }

    pub(crate) fn send(&mut self, kind: u8, stream: StreamId, timestamp: RtmpTimestamp, body: &[u8]) {
        if self.end != End::No {
            return;
        }
        let out = if matches!(self.phase, Phase::Open) { &mut self.out } else { &mut self.held };
        if out.capacity() < body.len() + 64 {
            out.reserve((body.len() + 64).max(OUT));
        }
        self.writer.write(out, kind, stream, timestamp, body);
    }

    /// Bytes that are no RTMP.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.out.put_slice(bytes);
    }

    /// A message stream is gone: its chunk streams are free.
    pub(crate) fn forget(&mut self, stream: StreamId) {
        self.reader.forget(stream);
        self.writer.forget(stream);
    }
}
