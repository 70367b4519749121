//! Bad input: every cut, every limit, and a great many seeded mutations of a real session.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Pair, drain, request, some_instant};
use rtmp_session::{
    ConnectAccepted, ConnectRequest, Event, HandshakeKind, Input, Limits, Object, ObjectEncoding, Output,
    RtmpTimestamp, ServerSession, SessionError, StreamId, TransactionId, Value,
};
use std::time::Instant;

const HANDSHAKE: usize = 1 + 2 * 1536;

/// What a phone sends in a whole session, and the server that it was sent to.
fn recording(handshake: HandshakeKind, encoding: ObjectEncoding) -> Vec<u8> {
    let mut pair = Pair::new(handshake);
    let args = vec!["login".into(), "secret".into(), Value::Null, "wideband".into()];
    let more = Object::new().with("pageUrl", Value::Undefined);
    pair.client.connect(pair.now, ConnectRequest { object_encoding: Some(encoding), args, more, ..request() });
    pair.run();
    pair.server.accept_connect(pair.now, ConnectAccepted::default());
    pair.run();
    pair.take_client();
    let (local, remote) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, local, "local");
    pair.client.play(pair.now, remote, "remote");
    pair.client.set_buffer_length(pair.now, remote, 100);
    pair.client.call(pair.now, "invite", &["sip:bob@example.com".into(), "wideband".into(), vec![1.0.into()].into()]);
    for n in 0..5 {
        pair.client.send_audio(pair.now, local, RtmpTimestamp::from_ms(n * 20), &[0xB2; 53]);
    }
    pair.client.set_chunk_size(pair.now, 4096);
    pair.client.send_audio(pair.now, local, RtmpTimestamp::from_ms(0x0100_0000), &[0xB2; 500]);
    // A window that is not reached: when it is acknowledged depends on the cuts, and on nothing else.
    pair.client.send_message(pair.now, 5, StreamId::CONNECTION, RtmpTimestamp::default(), &[0, 1, 0, 0]);
    pair.client.send_message(pair.now, 4, StreamId::CONNECTION, RtmpTimestamp::default(), &[0, 6, 0, 0, 0, 9]);
    pair.client.close_stream(pair.now, local);
    pair.client.delete_stream(pair.now, remote);
    pair.client.call(pair.now, "bye", &[]);
    pair.run();
    pair.to_server
}

/// Where a recording goes on after `connect`: a real client waits there for the answer.
fn connected_at(recording: &[u8]) -> usize {
    let name = recording.windows(12).position(|window| window == b"createStream").unwrap();
    // Header, zero byte of type 17, marker and length of the name.
    if recording[name - 9] == 17 { name - 16 } else { name - 15 }
}

/// A server at `now` that accepts each connect, and what came out of it.
struct Played {
    server: ServerSession,
    now: Instant,
    events: Vec<Event>,
    bytes: Vec<u8>,
    /// How many bytes it was fed.
    fed: u64,
    closed: bool,
}

impl Played {
    fn new(limits: Limits) -> Self {
        let now = some_instant();
        Self {
            server: ServerSession::new(now, limits, [2; 32]),
            now,
            events: Vec::new(),
            bytes: Vec::new(),
            fed: 0,
            closed: false,
        }
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.fed += bytes.len() as u64;
        let result = self.server.handle_input(self.now, Input::Bytes(bytes));
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Bytes(bytes) => self.bytes.extend_from_slice(&bytes),
                Output::Event(event) => {
                    if matches!(event, Event::Connect(_)) {
                        self.server.accept_connect(self.now, ConnectAccepted::default());
                    }
                    self.events.push(event);
                }
                Output::Close => self.closed = true,
            }
        }
        assert!(self.closed || result.is_ok());
        result
    }

    /// Behind a handshake, and connected.
    fn connected() -> Self {
        let mut played = Self::new(Limits::default());
        let whole = recording(HandshakeKind::Simple, ObjectEncoding::Amf0);
        played.feed(&whole[..connected_at(&whole)]).unwrap();
        assert!(matches!(played.events[..], [Event::Connect(_)]));
        played.events.clear();
        played
    }
}

/// A message of one chunk, format 0.
fn chunk(chunk_stream: u8, kind: u8, stream: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[chunk_stream, 0, 0, 0, a, b, c, kind, stream, 0, 0, 0], body].concat()
}

/// The same session cut in two, at every place: the same events and the same answer.
fn cut_everywhere(handshake: HandshakeKind, encoding: ObjectEncoding) {
    let whole = recording(handshake, encoding);
    let mut expected = Played::new(Limits::default());
    let connected = connected_at(&whole);
    expected.feed(&whole[..connected]).unwrap();
    expected.feed(&whole[connected..]).unwrap();
    let calls = expected.events.iter().filter(|event| matches!(event, Event::Call { .. })).count();
    assert_eq!((expected.events.len(), calls), (14, 2));
    for cut in 0..=whole.len() {
        let (first, second) = (cut.min(connected), cut.max(connected));
        let mut played = Played::new(Limits::default());
        for piece in [&whole[..first], &whole[first..second], &whole[second..]] {
            played.feed(piece).unwrap();
        }
        assert!(played.events == expected.events, "cut at {cut}");
        assert!(played.bytes == expected.bytes, "cut at {cut}");
    }
    let mut played = Played::new(Limits::default());
    whole.iter().for_each(|byte| played.feed(&[*byte]).unwrap());
    assert!(played.events == expected.events);
}

#[test]
fn a_session_may_be_cut_anywhere_amf0_simple() {
    cut_everywhere(HandshakeKind::Simple, ObjectEncoding::Amf0);
}

#[test]
fn a_session_may_be_cut_anywhere_amf3_digest() {
    cut_everywhere(HandshakeKind::Digest, ObjectEncoding::Amf3);
}

/// Feeds bytes behind a connect: where the fault is (counted from there), its chunk stream, its words.
fn fault_of(bytes: &[u8]) -> (u64, Option<u32>, String) {
    let mut played = Played::connected();
    let start = played.fed;
    let error = played.feed(bytes).unwrap_err();
    let (SessionError::Malformed { at, .. } | SessionError::Protocol { at, .. } | SessionError::Limit { at, .. }) =
        error
    else {
        panic!("{error}")
    };
    (at.byte - start, at.chunk_stream, error.to_string())
}

#[test]
fn faults_say_where_they_are() {
    let (byte, stream, text) = fault_of(&[0xC9]);
    assert_eq!((byte, stream), (0, Some(9)));
    assert!(text.ends_with("fmt 3 without a previous header on chunk stream 9"), "{text}");
    let (byte, stream, text) = fault_of(b"\x07\0\0\0\xff\xff\xff\x08\x01\0\0\0");
    assert_eq!((byte, stream), (12, Some(7)));
    assert!(text.starts_with("over a limit at byte "), "{text}");
    assert!(text.ends_with(", chunk stream 7: message 16777215 B exceeds limit 65536"), "{text}");
    let (byte, _, text) = fault_of(&chunk(2, 1, 0, &[0; 4]));
    assert_eq!(byte, 16);
    assert!(text.ends_with("chunk size 0"), "{text}");
    // Behind a message that is right.
    let (byte, stream, text) = fault_of(&[chunk(3, 8, 0, b"ok"), chunk(5, 20, 0, b"\x02\0\x01x\x04")].concat());
    assert_eq!((byte, stream), (14 + 17, Some(5)));
    assert!(text.ends_with("AMF: marker 0x04 at byte 4 of the message"), "{text}");
}

#[test]
fn seventy_thousand_levels_end_the_connection_at_sixteen() {
    let name = b"\x02\0\x01x\0\x3f\xf0\0\0\0\0\0\0\x05";
    for level in [&b"\x0a\0\0\0\x01"[..], b"\x03\0\x01a", b"\x08\0\0\0\x01\0\x01a", b"\x10\0\0\0\x01a"] {
        let limits = Limits { message_bytes: 1 << 20, partial_bytes: 1 << 20, ..Limits::default() };
        let mut played = Played::new(limits);
        let start = recording(HandshakeKind::Simple, ObjectEncoding::Amf0);
        played.feed(&start[..HANDSHAKE]).unwrap();
        played.feed(&chunk(2, 1, 0, &[0x7f, 0xff, 0xff, 0xff])).unwrap();
        let error = played.feed(&chunk(3, 20, 0, &[name, &level.repeat(70_000)[..]].concat())).unwrap_err();
        assert!(error.to_string().ends_with("AMF nesting deeper than 16"), "{error}");
    }
}

#[test]
fn control_messages_of_every_length_are_read_or_end_the_session() {
    for kind in 1..=6u8 {
        for length in [0, 1, 2, 3, 4, 5, 6, 7, 10, 100, 128] {
            for fill in [0, 1, 0x7f, 0xff] {
                let mut played = Played::connected();
                let _ = played.feed(&chunk(2, kind, 0, &vec![fill; length]));
                let _ = played.feed(&chunk(2, kind, 0, &vec![fill; length]));
            }
        }
        // The longest, in one chunk.
        let mut played = Played::connected();
        played.feed(&chunk(2, 1, 0, &[0, 1, 0, 0])).unwrap();
        let _ = played.feed(&chunk(2, kind, 0, &[1; 65_535]));
    }
}

#[test]
fn a_hundred_thousand_streams_cost_nothing() {
    let mut played = Played::connected();
    let create = chunk(3, 20, 0, b"\x02\0\x0ccreateStream\0\x40\0\0\0\0\0\0\0\x05");
    for _ in 0..100_000 {
        played.feed(&create).unwrap();
        played.bytes.clear();
    }
    assert!(played.events.is_empty());
}

#[test]
fn one_read_may_not_make_endless_events() {
    let mut played = Played::connected();
    for (name, stream) in [("createStream", 0), ("publish", 1)] {
        let mut body = vec![2, 0, name.len() as u8];
        body.extend(name.as_bytes());
        body.extend(b"\0\0\0\0\0\0\0\0\0\x05\x02\0\x01x");
        played.feed(&chunk(3, 20, stream, &body)).unwrap();
    }
    played.feed(&chunk(4, 8, 1, b"")).unwrap();
    // A byte a message: format 3, empty.
    assert!(played.feed(&[0xC4; 4000]).is_ok());
    let error = played.feed(&[0xC4; 60_000]).unwrap_err();
    assert!(error.to_string().ends_with("more than 4096 messages at once"), "{error}");
}

#[test]
fn chunks_of_one_byte_are_read_in_reasonable_time() {
    let mut played = Played::connected();
    played.feed(&chunk(2, 1, 0, &[0, 0, 0, 1])).unwrap();
    // 1 MB of body in chunks of one byte.
    let mut bytes = chunk(4, 8, 1, b"");
    bytes[4..7].copy_from_slice(&[0, 0xff, 0xff]);
    bytes.push(1);
    bytes.extend([0xC4, 1].repeat(65_534));
    for _ in 0..16 {
        played.feed(&bytes).unwrap();
    }
    assert!(played.events.is_empty());
}

/// Xorshift: the same numbers every time.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// Changes a session in a few places: bytes, bits, pieces cut out, doubled, moved or filled with markers.
fn mutate(seeded: &mut Seeded, original: &[u8], from: usize) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=seeded.below(6) {
        let at = from + seeded.below(bytes.len() - from);
        let length = seeded.below(40).min(bytes.len() - at);
        match seeded.below(7) {
            0 => bytes[at] = seeded.next() as u8,
            1 => bytes[at] ^= 1 << seeded.below(8),
            2 => drop(bytes.drain(at..at + length)),
            3 => {
                let piece = bytes[at..at + length].to_vec();
                let to = from + seeded.below(bytes.len() - from);
                bytes.splice(to..to, piece);
            }
            4 => bytes[at..at + length].fill([0, 0xff, 7, 0x0a, 3, 0x11, 0x80][seeded.below(7)]),
            5 => bytes[at] = seeded.below(0x14) as u8,
            _ => bytes.truncate(at + 1),
        }
        if bytes.len() <= from + 1 {
            break;
        }
    }
    bytes
}

/// How many mutated sessions each of the two tests below feeds; more by `RTMP_MUTATIONS`.
const MUTATIONS: usize = 60_000;

fn feed_mutations(seed: u64, encoding: ObjectEncoding) {
    let original = recording(HandshakeKind::Simple, encoding);
    let connected = connected_at(&original);
    let rounds = std::env::var("RTMP_MUTATIONS").map_or(MUTATIONS, |text| text.parse().unwrap());
    let mut seeded = Seeded(seed);
    let (mut ends, mut passes) = (0, 0);
    for round in 0..rounds {
        // The handshake itself only now and then: it reads nothing but its first byte.
        let from = if round % 100 == 0 { 0 } else { HANDSHAKE };
        let bytes = mutate(&mut seeded, &original, from);
        let mut played = Played::new(Limits::default());
        let mut rest = bytes.as_slice();
        let mut result = Ok(());
        let mut size = connected;
        while !rest.is_empty() && result.is_ok() {
            let (piece, later) = rest.split_at(size.min(rest.len()));
            size = 1 + seeded.below(1000);
            result = played.feed(piece);
            rest = later;
        }
        match result {
            Ok(()) => passes += 1,
            Err(_) => {
                ends += 1;
                assert_eq!(played.feed(b"x"), Err(SessionError::Ended));
            }
        }
        // Nothing grows beyond a small multiple of what was received.
        assert!(played.bytes.len() <= 3 * 1536 + 20 * bytes.len(), "round {round}: {} B out", played.bytes.len());
        assert!(played.events.len() <= bytes.len());
    }
    assert!(ends > rounds / 10 && passes > rounds / 10, "{ends} ended, {passes} passed: a poor mutator");
}

#[test]
fn sixty_thousand_mutated_amf0_sessions_do_no_harm() {
    feed_mutations(0x5EED, ObjectEncoding::Amf0);
}

#[test]
fn sixty_thousand_mutated_amf3_sessions_do_no_harm() {
    feed_mutations(0xF00D, ObjectEncoding::Amf3);
}

#[test]
fn random_bytes_do_no_harm() {
    let mut seeded = Seeded(99);
    let hello = recording(HandshakeKind::Simple, ObjectEncoding::Amf0)[..HANDSHAKE].to_vec();
    for _ in 0..3_000 {
        let mut played = Played::new(Limits::default());
        played.feed(&hello).unwrap();
        let noise: Vec<u8> = (0..seeded.below(2000)).map(|_| seeded.next() as u8).collect();
        let _ = played.feed(&noise);
    }
}

#[test]
fn any_value_may_stand_for_any_argument_of_any_command() {
    let values = [
        Value::Null,
        Value::Undefined,
        Value::Unsupported,
        Value::Boolean(true),
        Value::Number(f64::INFINITY),
        "\0\r\n".into(),
        Value::Date { unix_ms: f64::NAN, zone: -1 },
        Value::Xml("<".into()),
        vec![Value::Null; 256].into(),
        Object { class: Some("C".into()), properties: vec![] }.into(),
        Value::EcmaArray(Object::new()),
        Value::ByteArray(vec![0; 300]),
    ];
    let names = [
        "connect",
        "createStream",
        "publish",
        "play",
        "closeStream",
        "deleteStream",
        "pause",
        "seek",
        "_result",
        "_error",
        "invite",
    ];
    for encoding in [ObjectEncoding::Amf0, ObjectEncoding::Amf3] {
        let mut pair = Pair::connected(ConnectRequest { object_encoding: Some(encoding), ..request() });
        for (name, value, stream) in names.iter().flat_map(|n| values.iter().flat_map(move |v| [(n, v, 0), (n, v, 1)]))
        {
            pair.client.send_call(
                pair.now,
                StreamId(stream),
                name,
                TransactionId::new(7.0),
                std::slice::from_ref(value),
            );
            pair.run();
        }
        assert!(!pair.server_closed);
        let (_, _, close) = drain(|| pair.server.poll_output());
        assert!(!close);
    }
}
