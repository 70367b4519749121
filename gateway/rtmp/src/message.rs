//! What messages mean: type ids, protocol control, user control, commands, aggregates.

use crate::amf::{self, Value};
use crate::chunk::Message;
use crate::error::Fault;
use crate::{Limits, ObjectEncoding, RtmpTimestamp, StreamId, TransactionId};
use bytes::Buf;

/// Message type ids (RTMP 1.0, sections 5.4, 6.2 and 7.1).
pub(crate) mod kind {
    pub(crate) const SET_CHUNK_SIZE: u8 = 1;
    pub(crate) const ABORT: u8 = 2;
    pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
    pub(crate) const USER_CONTROL: u8 = 4;
    pub(crate) const WINDOW_ACK_SIZE: u8 = 5;
    pub(crate) const SET_PEER_BANDWIDTH: u8 = 6;
    pub(crate) const AUDIO: u8 = 8;
    pub(crate) const VIDEO: u8 = 9;
    pub(crate) const DATA_AMF3: u8 = 15;
    pub(crate) const COMMAND_AMF3: u8 = 17;
    pub(crate) const DATA_AMF0: u8 = 18;
    pub(crate) const COMMAND_AMF0: u8 = 20;
    pub(crate) const AGGREGATE: u8 = 22;
}

/// Protocol and user control messages that mean something to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Control {
    SetChunkSize(u32),
    Abort { chunk_stream: u32 },
    Acknowledgement,
    WindowAckSize(u32),
    SetPeerBandwidth { window: u32, kind: u8 },
    StreamBegin(StreamId),
    SetBufferLength { stream: StreamId, ms: u32 },
    PingRequest(u32),
    PingResponse(u32),
    Ignored,
}

/// User control event types (section 6.2 calls them 7.1.7).
const STREAM_BEGIN: u16 = 0;
const SET_BUFFER_LENGTH: u16 = 3;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

impl Control {
    /// Reads a message of type 1 to 6. A body may be longer than needed, not shorter.
    pub(crate) fn read(kind: u8, mut body: &[u8]) -> Result<Self, Fault> {
        let short = |_| Fault::malformed(format!("message of type {kind} is too short"));
        Ok(match kind {
            kind::SET_CHUNK_SIZE => Self::SetChunkSize(body.try_get_u32().map_err(short)?),
            kind::ABORT => Self::Abort { chunk_stream: body.try_get_u32().map_err(short)? },
            kind::ACKNOWLEDGEMENT => {
                body.try_get_u32().map_err(short)?;
                Self::Acknowledgement
            }
            kind::WINDOW_ACK_SIZE => Self::WindowAckSize(body.try_get_u32().map_err(short)?),
            kind::SET_PEER_BANDWIDTH => {
                let window = body.try_get_u32().map_err(short)?;
                Self::SetPeerBandwidth { window, kind: body.try_get_u8().map_err(short)? }
            }
            _ => {
                let event = body.try_get_u16().map_err(short)?;
                Self::read_event(event, body).map_err(short)?
            }
        })
    }

    fn read_event(event: u16, mut body: &[u8]) -> Result<Self, bytes::TryGetError> {
        Ok(match event {
            STREAM_BEGIN => Self::StreamBegin(StreamId(body.try_get_u32()?)),
            SET_BUFFER_LENGTH => {
                Self::SetBufferLength { stream: StreamId(body.try_get_u32()?), ms: body.try_get_u32()? }
            }
            PING_REQUEST => Self::PingRequest(body.try_get_u32()?),
            PING_RESPONSE => Self::PingResponse(body.try_get_u32()?),
            _ => Self::Ignored,
        })
    }
}

/// The body of a user control message with one number.
fn user_control(event: u16, number: u32) -> [u8; 6] {
    let ([a, b], [c, d, e, f]) = (event.to_be_bytes(), number.to_be_bytes());
    [a, b, c, d, e, f]
}

pub(crate) fn ping_request(ms: u32) -> [u8; 6] {
    user_control(PING_REQUEST, ms)
}

pub(crate) fn ping_response(ms: u32) -> [u8; 6] {
    user_control(PING_RESPONSE, ms)
}

pub(crate) fn stream_begin(stream: StreamId) -> [u8; 6] {
    user_control(STREAM_BEGIN, stream.0)
}

pub(crate) fn set_buffer_length(stream: StreamId, ms: u32) -> [u8; 10] {
    let mut body = [0; 10];
    body[..6].copy_from_slice(&user_control(SET_BUFFER_LENGTH, stream.0));
    body[6..].copy_from_slice(&ms.to_be_bytes());
    body
}

/// A remote call, or the answer to one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) id: TransactionId,
    /// The command object; mostly null.
    pub(crate) object: Value,
    pub(crate) args: Vec<Value>,
}

impl Command {
    /// Reads a message of type 20 or 17. Id and command object may be missing.
    pub(crate) fn read(kind: u8, body: &[u8], limits: &Limits) -> Result<Self, Fault> {
        let mut values = amf::Reader::new(skip_amf3_prefix(kind, body), limits);
        let name = match values.next()? {
            Some(Value::String(name)) => name,
            Some(other) => return Err(Fault::malformed(format!("command whose name is {}", other.kind()))),
            None => return Err(Fault::malformed("command without a name")),
        };
        let id = match values.next()? {
            Some(Value::Number(id)) => TransactionId::new(id),
            Some(other) => {
                return Err(Fault::malformed(format!("command {name:?} whose transaction id is {}", other.kind())));
            }
            None => TransactionId::NONE,
        };
        let object = values.next()?.unwrap_or_default();
        Ok(Self { name, id, object, args: values.rest()? })
    }
}

/// Reads a message of type 18 or 15.
pub(crate) fn read_data(kind: u8, body: &[u8], limits: &Limits) -> Result<Vec<Value>, Fault> {
    amf::Reader::new(skip_amf3_prefix(kind, body), limits).rest()
}

/// Messages of type 17 and 15 begin with a zero byte, and go on in AMF0 up to the first AVM+ marker. (A zero byte is
/// also the marker of a number, but neither a command nor data begins with a number.)
fn skip_amf3_prefix(kind: u8, body: &[u8]) -> &[u8] {
    match body {
        [0, rest @ ..] if matches!(kind, kind::COMMAND_AMF3 | kind::DATA_AMF3) => rest,
        _ => body,
    }
}

/// Begins a command in `body` and gives its message type.
pub(crate) fn begin_command(
    body: &mut Vec<u8>,
    encoding: ObjectEncoding,
    name: &str,
    id: TransactionId,
    object: &Value,
) -> u8 {
    body.clear();
    let kind = match encoding {
        ObjectEncoding::Amf0 => kind::COMMAND_AMF0,
        ObjectEncoding::Amf3 => {
            body.push(0);
            kind::COMMAND_AMF3
        }
    };
    amf::write(body, &name.into());
    amf::write(body, &id.number().into());
    amf::write(body, object);
    kind
}

/// The next message out of the body of an aggregate: several messages, each with an FLV tag header before and its
/// length behind it (section 7.1.6). Timestamps count from that of the first.
#[derive(Debug)]
pub(crate) struct Aggregate {
    outer: Message,
    first: Option<RtmpTimestamp>,
}

impl Aggregate {
    pub(crate) fn new(outer: Message) -> Self {
        Self { outer, first: None }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Message>, Fault> {
        let body = &mut self.outer.body;
        if body.is_empty() {
            return Ok(None);
        }
        if body.len() < 11 {
            return Err(Fault::malformed(format!("aggregate message with {} bytes behind the last", body.len())));
        }
        let kind = body.get_u8();
        let length = body.get_uint(3) as usize;
        let low = body.get_uint(3) as u32;
        let high = u32::from(body.get_u8());
        let _stream = body.get_uint(3);
        if body.len() < length {
            return Err(Fault::malformed(format!("aggregate holds {} of {length} bytes", body.len())));
        }
        let inner = body.split_to(length);
        // The length once more; some leave the last one out.
        body.advance(body.len().min(4));
        let time = RtmpTimestamp::from_ms(high << 24 | low);
        let offset = time.since(*self.first.get_or_insert(time));
        let timestamp = self.outer.timestamp.plus(offset.cast_unsigned());
        Ok(Some(Message { kind, stream: self.outer.stream, timestamp, body: inner }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn command(kind: u8, body: &[u8]) -> Result<Command, Fault> {
        Command::read(kind, body, &Limits::default())
    }

    #[test]
    fn control_bodies_of_every_length_are_read_or_refused() {
        for kind in 1..=6u8 {
            for length in 0..64usize {
                let body = vec![0; length];
                let needed = match kind {
                    6 => 5,
                    4 => 6,
                    _ => 4,
                };
                assert_eq!(Control::read(kind, &body).is_ok(), length >= needed, "type {kind}, {length} bytes");
            }
        }
        assert_eq!(Control::read(4, &[0, 99]), Ok(Control::Ignored));
        assert_eq!(
            Control::read(4, &[0, 3, 0, 0, 0, 1, 0, 0, 1, 0, 9]),
            Ok(Control::SetBufferLength { stream: StreamId(1), ms: 256 })
        );
        assert_eq!(Control::read(4, &[0, 6, 1, 2, 3, 4]), Ok(Control::PingRequest(0x0102_0304)));
    }

    #[test]
    fn a_command_may_lack_id_object_and_arguments() {
        let name = b"\x02\0\x01x";
        let command = command(20, name).unwrap();
        assert_eq!(command, Command { name: "x".into(), id: TransactionId::NONE, object: Value::Null, args: vec![] });
    }

    #[test]
    fn a_command_of_type_17_is_read_with_and_without_its_zero_byte() {
        let amf0 = b"\x02\0\x01x\0\x3f\xf0\0\0\0\0\0\0\x05\x11\x04\x05";
        let with_zero = [&[0], &amf0[..]].concat();
        let expected =
            Command { name: "x".into(), id: TransactionId::new(1.0), object: Value::Null, args: vec![5.0.into()] };
        assert_eq!(command(17, &with_zero).unwrap(), expected);
        assert_eq!(command(17, amf0).unwrap(), expected);
        assert_eq!(command(20, amf0).unwrap(), expected);
    }

    #[test]
    fn a_command_of_a_wrong_shape_is_malformed() {
        assert_eq!(command(20, b"").unwrap_err(), Fault::malformed("command without a name"));
        assert_eq!(command(20, b"\x05").unwrap_err(), Fault::malformed("command whose name is null"));
        let text_id = b"\x02\0\x01x\x02\0\x011";
        let fault = Fault::malformed("command \"x\" whose transaction id is String");
        assert_eq!(command(20, text_id).unwrap_err(), fault);
    }

    #[test]
    fn an_aggregate_gives_its_messages_with_their_own_times() {
        let part = |kind: u8, ms: u32, body: &[u8]| {
            let [high, times @ ..] = ms.to_be_bytes();
            let mut bytes = vec![kind, 0, 0, body.len() as u8];
            bytes.extend(times);
            bytes.extend([high, 0, 0, 0]);
            bytes.extend(body);
            bytes.extend((11 + body.len() as u32).to_be_bytes());
            bytes
        };
        let body = [part(8, 0x0100_0000, b"ab"), part(9, 0x0100_0014, b""), part(8, 0x00FF_FFFF, b"c")].concat();
        let outer = |body: &[u8]| Message {
            kind: 22,
            stream: StreamId(3),
            timestamp: RtmpTimestamp::from_ms(1000),
            body: Bytes::copy_from_slice(body),
        };
        let mut aggregate = Aggregate::new(outer(&body));
        let mut got = Vec::new();
        while let Some(message) = aggregate.next().unwrap() {
            got.push((message.kind, message.stream.0, message.timestamp.ms(), message.body.to_vec()));
        }
        assert_eq!(got, [(8, 3, 1000, b"ab".to_vec()), (9, 3, 1020, vec![]), (8, 3, 999, b"c".to_vec())]);
        // Cut anywhere: messages, then the end or a fault, never a panic.
        for cut in 0..body.len() {
            let mut aggregate = Aggregate::new(outer(&body[..cut]));
            while let Ok(Some(_)) = aggregate.next() {}
        }
    }
}
