//! A phone and a gateway talk to each other: the protocol as both applications see it.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Pair, drain, request, some_instant};
use rtmp_session::{
    ClientEvent, ConnectAccepted, ConnectRequest, Event, HandshakeKind, Input, Level, Limits, Object, ObjectEncoding,
    RtmpTimestamp, ServerSession, SessionError, Stage, StreamId, TransactionId, Value,
};
use std::time::Duration;

fn ms(ms: u32) -> RtmpTimestamp {
    RtmpTimestamp::from_ms(ms)
}

fn amf3() -> ConnectRequest {
    ConnectRequest { object_encoding: Some(ObjectEncoding::Amf3), ..request() }
}

/// Codes of the statuses among events.
fn codes(events: &[ClientEvent]) -> Vec<(u32, &str)> {
    let status = |event| match event {
        &ClientEvent::Status { stream, ref code, .. } => Some((stream.0, code.as_str())),
        _ => None,
    };
    events.iter().filter_map(status).collect()
}

#[test]
fn connect_brings_address_and_arguments_with_every_handshake() {
    for handshake in [HandshakeKind::Simple, HandshakeKind::Digest, HandshakeKind::DigestScheme1] {
        let mut pair = Pair::new(handshake);
        let args = vec!["login".into(), Value::Null, "Alice".into(), "narrowband".into()];
        let more = Object::new().with("pageUrl", "http://example.com/");
        pair.client.connect(pair.now, ConnectRequest { args: args.clone(), more, ..request() });
        pair.run();
        let [Event::Connect(connect)] = &pair.take_server()[..] else { panic!("no connect") };
        assert_eq!(connect.app, "sip/alice@example.com");
        assert_eq!(connect.tc_url, "rtmp://127.0.0.1/sip/alice@example.com");
        assert_eq!(connect.object_encoding, None);
        assert_eq!(connect.object.get_str("pageUrl"), Some("http://example.com/"));
        assert_eq!(connect.args, args);
    }
}

#[test]
fn an_accepted_connect_looks_as_siprtmp_answers_it() {
    for (encoding, kind) in [(None, 20), (Some(ObjectEncoding::Amf0), 20), (Some(ObjectEncoding::Amf3), 17)] {
        let mut pair = Pair::new(HandshakeKind::Simple);
        pair.client.connect(pair.now, ConnectRequest { object_encoding: encoding, ..request() });
        pair.run();
        // Window Ack Size comes at once, nothing else before the application decides.
        let handshake = 1 + 2 * 1536;
        assert_eq!(pair.to_client[handshake..], *b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\x40\0\0\0");
        pair.advance(700);
        let before = pair.to_client.len();
        pair.server.accept_connect(pair.now, ConnectAccepted::default());
        pair.run();
        let [ClientEvent::Connected { info }] = &pair.take_client()[..] else { panic!("not connected") };
        let mut expected = Object::new()
            .with("level", "status")
            .with("code", "NetConnection.Connect.Success")
            .with("description", "Connection succeeded.")
            .with("fmsVer", "rtmplite/8,2");
        if let Some(encoding) = encoding {
            expected = expected.with("objectEncoding", encoding.number());
        }
        assert_eq!(*info, expected.with("details", Value::Null));
        // Chunk stream 3, timestamp 0, message type, stream 0.
        let header = &pair.to_client[before..before + 12];
        assert_eq!((header[0], &header[1..4], header[7], &header[8..]), (3, &[0; 3][..], kind, &[0; 4][..]));
    }
}

#[test]
fn a_rejected_connect_is_one_error_and_then_the_end() {
    let mut pair = Pair::new(HandshakeKind::Digest);
    pair.client.connect(pair.now, request());
    pair.run();
    pair.server.reject_connect(pair.now, "403 Forbidden");
    pair.server.reject_connect(pair.now, "again");
    pair.server.call(pair.now, "invited", &[]);
    pair.run();
    let [ClientEvent::Rejected { info }] = &pair.take_client()[..] else { panic!("not rejected") };
    assert_eq!(info.get_str("level"), Some("status"));
    assert_eq!(info.get_str("code"), Some("NetConnection.Connect.Rejected"));
    assert_eq!(info.get_str("description"), Some("403 Forbidden"));
    assert!(pair.server_closed);
    // What is still on its way from the client is no error.
    pair.client.call(pair.now, "invite", &[]);
    pair.run();
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn an_encoding_that_is_neither_0_nor_3_is_rejected_with_advice() {
    for (encoding, words) in [
        (
            Value::Number(1.0),
            "Unsupported encoding 1. Please use NetConnection.defaultObjectEncoding=ObjectEncoding.AMF0",
        ),
        ("3".into(), "objectEncoding is a number, not String"),
    ] {
        let mut pair = Pair::new(HandshakeKind::Digest);
        let more = Object::new().with("objectEncoding", encoding);
        pair.client.connect(pair.now, ConnectRequest { more, ..request() });
        pair.run();
        let [ClientEvent::Rejected { info }] = &pair.take_client()[..] else { panic!("not rejected") };
        assert_eq!(info.get_str("description"), Some(words));
        assert!(pair.server_closed);
        assert_eq!(pair.take_server(), []);
    }
}

#[test]
fn calls_go_both_ways_and_their_answers_find_them() {
    for request in [request(), amf3()] {
        let mut pair = Pair::connected(request);
        let args = ["sip:bob@example.com".into(), Value::Null, true.into(), 5.0.into(), vec!["x".into()].into()];
        let sent = pair.client.call(pair.now, "invite", &args);
        pair.run();
        let [Event::Call { id, stream, name, args: got }] = &pair.take_server()[..] else { panic!("no call") };
        assert_eq!((stream.0, name.as_str(), &got[..]), (0, "invite", &args[..]));
        pair.server.respond(pair.now, *id, &[]);
        pair.run();
        assert_eq!(pair.take_client(), [ClientEvent::Result { id: sent, values: vec![] }]);

        let sent = pair.client.call(pair.now, "nonsense", &[]);
        pair.run();
        pair.take_server();
        pair.server.respond_error(pair.now, sent, "no such method");
        pair.run();
        let [ClientEvent::Error { id, values }] = &pair.take_client()[..] else { panic!("no error") };
        let info = values[0].as_object().unwrap();
        assert_eq!(
            (*id, info.get_str("level"), info.get_str("code")),
            (sent, Some("error"), Some("NetConnection.Call.Failed"))
        );
        assert_eq!(info.get_str("description"), Some("no such method"));

        let first = pair.server.call(pair.now, "ringing", &["180 Ringing".into()]);
        let second = pair.server.call(pair.now, "accepted", &["speex".into(), Value::Null]);
        assert_eq!((first.number(), second.number()), (2.0, 3.0));
        pair.run();
        assert_eq!(
            pair.take_client(),
            [
                ClientEvent::Call { id: first, name: "ringing".into(), args: vec!["180 Ringing".into()] },
                ClientEvent::Call { id: second, name: "accepted".into(), args: vec!["speex".into(), Value::Null] },
            ]
        );
        pair.client.respond(pair.now, second, &["thanks".into()]);
        pair.client.respond(pair.now, TransactionId::new(9.0), &[]);
        pair.client.respond(pair.now, TransactionId::new(2.5), &[]);
        pair.client.respond(pair.now, TransactionId::new(f64::NAN), &[]);
        pair.run();
        assert_eq!(pair.take_server(), [Event::CallResult { id: second, ok: true, values: vec!["thanks".into()] }]);
    }
}

#[test]
fn real_amf3_values_arrive_behind_type_17() {
    let mut pair = Pair::connected(amf3());
    let args = [
        Object::new().with("codec", "speex").with("rate", 16.0).with("ratio", 0.5).with("same", "speex").into(),
        Value::ByteArray(vec![0, 255]),
        Value::Date { unix_ms: 1e12, zone: 0 },
    ];
    pair.client.call(pair.now, "anything", &args);
    pair.run();
    let [Event::Call { args: got, .. }] = &pair.take_server()[..] else { panic!("no call") };
    assert_eq!(got, &args);
}

#[test]
fn calls_wait_for_connect_and_for_its_answer() {
    let mut pair = Pair::new(HandshakeKind::Digest);
    let early = pair.client.call(pair.now, "invite", &["x".into()]);
    pair.run();
    let [ClientEvent::Error { id, values }] = &pair.take_client()[..] else { panic!("no error") };
    assert_eq!((*id, values[0].as_object().unwrap().get_str("description")), (early, Some("connect first")));
    pair.client.connect(pair.now, request());
    // The phone of a test has used number 1 already; the answer has number 1 all the same.
    pair.client.call(pair.now, "invite", &["x".into()]);
    pair.client.create_stream(pair.now);
    pair.run();
    let events = pair.take_client();
    let [ClientEvent::Error { values, .. }, ClientEvent::StreamCreated { stream, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(values[0].as_object().unwrap().get_str("description"), Some("not connected yet"));
    assert_eq!(*stream, StreamId(1));
    assert!(matches!(pair.take_server()[..], [Event::Connect(_)]));
}

#[test]
fn a_second_connect_is_refused_and_disturbs_nothing() {
    let mut pair = Pair::connected(request());
    pair.client.connect(pair.now, request());
    pair.run();
    let [ClientEvent::Rejected { info }] = &pair.take_client()[..] else { panic!("not refused") };
    assert_eq!(info.get_str("description"), Some("already connected"));
    assert_eq!(pair.stream(), StreamId(1));
}

#[test]
fn streams_are_numbered_published_and_played() {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    assert_eq!((local.0, remote.0), (1, 2));
    pair.client.publish(pair.now, local, "local?token=1");
    pair.run();
    let publish = Event::Publish {
        stream: local,
        name: "local".into(),
        query: Some("token=1".into()),
        mode: Some("live".into()),
    };
    assert_eq!(pair.take_server(), [publish]);
    let events = pair.take_client();
    let [ClientEvent::Status { stream, info, .. }] = &events[..] else { panic!("{events:?}") };
    let expected = Object::new()
        .with("level", "status")
        .with("code", "NetStream.Publish.Start")
        .with("description", "")
        .with("details", Value::Null);
    assert_eq!((*stream, info), (local, &expected));

    let before = pair.to_client.len();
    pair.client.play(pair.now, remote, "remote");
    pair.run();
    assert_eq!(pair.take_server(), [Event::Play { stream: remote, name: "remote".into() }]);
    let events = pair.take_client();
    let [ClientEvent::StreamBegin { stream: begun }, ClientEvent::Status { code, info, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*begun, code.as_str(), info.get_str("description")), (remote, "NetStream.Play.Start", Some("remote")));
    // Set Chunk Size 4096 comes first.
    assert_eq!(pair.to_client[before..][..16], *b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\x10\0");
}

#[test]
fn audio_flows_both_ways_in_one_chunk_a_message() {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, local, "local");
    pair.client.play(pair.now, remote, "remote");
    pair.run();
    pair.take_client();
    pair.take_server();
    let frame = |n: u8| [&[0xB2][..], &[n; 300]].concat();
    for n in 0..50u8 {
        let time = ms(20 * u32::from(n));
        pair.client.send_audio(pair.now, local, time, &frame(n));
        assert!(pair.server.send_audio(pair.now, remote, time.plus(5), &frame(n)));
        let before = pair.to_client.len();
        pair.run();
        assert!(pair.to_client.len() - before <= 301 + 12, "more than one header");
        assert_eq!(pair.take_server(), [Event::Audio { stream: local, timestamp: time, body: frame(n).into() }]);
        let body = frame(n).into();
        assert_eq!(pair.take_client(), [ClientEvent::Audio { stream: remote, timestamp: time.plus(5), body }]);
    }
}

#[test]
fn empty_audio_is_a_message_too() {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, local, "local");
    pair.client.play(pair.now, remote, "remote");
    pair.run();
    pair.take_client();
    pair.take_server();
    pair.client.send_audio(pair.now, local, ms(40), &[]);
    pair.server.send_audio(pair.now, remote, ms(60), &[]);
    pair.run();
    assert_eq!(pair.take_server(), [Event::Audio { stream: local, timestamp: ms(40), body: Default::default() }]);
    assert_eq!(
        pair.take_client(),
        [ClientEvent::Audio { stream: remote, timestamp: ms(60), body: Default::default() }]
    );
}

#[test]
fn audio_goes_only_where_it_is_published_or_played() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    assert!(!pair.server.send_audio(pair.now, stream, ms(0), b"x"));
    pair.client.send_audio(pair.now, stream, ms(0), b"x");
    pair.client.send_audio(pair.now, StreamId(99), ms(0), b"x");
    pair.client.play(pair.now, stream, "remote");
    pair.run();
    assert_eq!(pair.take_server(), [Event::Play { stream, name: "remote".into() }]);
    assert!(pair.server.send_audio(pair.now, stream, ms(0), b"x"));
    assert!(!pair.server.send_audio(pair.now, stream, ms(0), &vec![0; 65_537]));
    for (command, value, sends) in
        [("pause", true, false), ("pause", false, true), ("receiveAudio", false, false), ("receiveAudio", true, true)]
    {
        pair.client.send_call(pair.now, stream, command, TransactionId::NONE, &[value.into()]);
        pair.run();
        assert_eq!(pair.server.send_audio(pair.now, stream, ms(1), b"x"), sends, "{command} {value}");
    }
    pair.run();
    assert_eq!(
        codes(&pair.take_client()),
        [(1, "NetStream.Play.Start"), (1, "NetStream.Pause.Notify"), (1, "NetStream.Unpause.Notify")]
    );
}

#[test]
fn a_closed_stream_serves_the_next_call_on_the_same_id() {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    for call in 0..50u32 {
        pair.client.publish(pair.now, local, "local");
        pair.client.play(pair.now, remote, "remote");
        pair.run();
        assert_eq!(pair.take_server().len(), 2);
        assert_eq!(codes(&pair.take_client()), [(1, "NetStream.Publish.Start"), (2, "NetStream.Play.Start")]);
        pair.client.send_audio(pair.now, local, ms(call * 1000), b"up");
        pair.server.send_audio(pair.now, remote, ms(call * 1000), b"down");
        pair.run();
        assert_eq!((pair.take_server().len(), pair.take_client().len()), (1, 1));
        pair.client.close_stream(pair.now, local);
        pair.client.close_stream(pair.now, remote);
        pair.client.send_audio(pair.now, local, ms(call * 1000 + 20), b"late");
        pair.run();
        let ended = [
            Event::Unpublish { stream: local, name: "local".into() },
            Event::StopPlay { stream: remote, name: "remote".into() },
        ];
        assert_eq!(pair.take_server(), ended);
        assert!(!pair.server.send_audio(pair.now, remote, ms(call * 1000 + 20), b"late"));
    }
}

#[test]
fn new_streams_for_every_call_never_run_out() {
    let mut pair = Pair::connected(request());
    for call in 0..200u32 {
        let (local, remote) = (pair.stream(), pair.stream());
        assert_eq!((local.0, remote.0), (2 * call + 1, 2 * call + 2));
        pair.client.publish(pair.now, local, "local");
        pair.client.play(pair.now, remote, "remote");
        pair.run();
        assert!(pair.server.send_audio(pair.now, remote, ms(call), b"x"));
        // Half of the clients delete their streams, the others only close them.
        if call % 2 == 0 {
            pair.client.delete_stream(pair.now, local);
            pair.client.delete_stream(pair.now, remote);
        } else {
            pair.client.close_stream(pair.now, local);
            pair.client.close_stream(pair.now, remote);
        }
        pair.run();
        assert_eq!(pair.take_server().len(), 4);
        pair.take_client();
    }
}

#[test]
fn streams_that_are_all_busy_are_not_taken_away() {
    let mut pair = Pair::connected(request());
    for n in 1..=Limits::default().streams {
        let stream = pair.stream();
        pair.client.publish(pair.now, stream, &format!("s{n}"));
        pair.run();
        pair.take_client();
    }
    pair.client.create_stream(pair.now);
    pair.run();
    assert!(matches!(pair.take_client()[..], [ClientEvent::Error { .. }]));
}

#[test]
fn a_name_is_published_once() {
    let mut pair = Pair::connected(request());
    let (first, second) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, first, "local");
    pair.client.publish(pair.now, second, "local");
    pair.client.publish(pair.now, first, "local");
    pair.run();
    let events = pair.take_client();
    let expected = [(1, "NetStream.Publish.Start"), (2, "NetStream.Publish.BadName"), (1, "NetStream.Publish.Start")];
    assert_eq!(codes(&events), expected);
    let [_, ClientEvent::Status { info, .. }, _] = &events[..] else { panic!("{events:?}") };
    assert_eq!(
        (info.get_str("level"), info.get_str("description")),
        (Some("error"), Some("Stream name already in use"))
    );
}

#[test]
fn arguments_of_every_wrong_type_are_answered_and_the_connection_lives() {
    let wrong = [
        vec![],
        vec![Value::Number(1.0)],
        vec![Value::Boolean(true)],
        vec!["".into()],
        vec![Object::new().into()],
        vec![Value::Array(vec![])],
        vec![Value::Date { unix_ms: 0.0, zone: 0 }],
        vec![Value::Unsupported],
        vec![Value::Xml("<x/>".into())],
        vec![Value::ByteArray(vec![1])],
        vec![Value::Number(f64::NAN)],
        vec![Value::Number(-1.0)],
        vec![Value::Null],
        vec![Value::Undefined],
    ];
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    let commands =
        ["publish", "play", "pause", "seek", "receiveAudio", "closeStream", "createStream", "connect", "releaseStream"];
    let mut number = 100.0;
    for name in commands {
        for args in &wrong {
            for on in [stream, StreamId::CONNECTION, StreamId(77)] {
                number += 1.0;
                pair.client.send_call(pair.now, on, name, TransactionId::new(number), args);
            }
        }
    }
    for args in &wrong[1..12] {
        pair.client.send_call(pair.now, stream, "deleteStream", TransactionId::new(1000.0), args);
    }
    pair.run();
    let failed =
        |code: &str| matches!(code, "NetStream.Publish.BadName" | "NetStream.Play.Failed" | "NetStream.Seek.Failed");
    let events = pair.take_client();
    assert!(codes(&events).iter().all(|(_, code)| failed(code)), "{events:?}");
    assert!(codes(&events).iter().any(|(_, code)| *code == "NetStream.Publish.BadName"));
    assert_eq!(pair.take_server(), []);
    // All those createStreams have taken the idle stream's place.
    let stream = pair.stream();
    pair.client.publish(pair.now, stream, "local");
    pair.run();
    assert_eq!(codes(&pair.take_client()), [(stream.0, "NetStream.Publish.Start")]);
}

#[test]
fn what_ffmpeg_librtmp_and_obs_ask_for_is_answered() {
    let mut pair = Pair::connected(request());
    for name in ["releaseStream", "FCPublish", "_checkbw", "FCSubscribe", "FCUnpublish"] {
        let id = pair.client.call(pair.now, name, &["local".into()]);
        pair.run();
        assert_eq!(pair.take_client(), [ClientEvent::Result { id, values: vec![] }], "{name}");
    }
    let id = pair.client.call(pair.now, "getStreamLength", &["local".into()]);
    pair.run();
    assert_eq!(pair.take_client(), [ClientEvent::Result { id, values: vec![0.0.into()] }]);
    assert_eq!(pair.take_server(), []);
}

#[test]
fn buffer_length_is_told_and_answered_by_stream_begin() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    pair.client.set_buffer_length(pair.now, stream, 100);
    pair.run();
    assert_eq!(pair.take_server(), [Event::BufferLength { stream, ms: 100 }]);
    assert_eq!(pair.take_client(), [ClientEvent::StreamBegin { stream }]);
}

#[test]
fn video_and_data_of_a_published_stream_are_passed_on() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    pair.client.publish(pair.now, stream, "local");
    pair.client.send_message(pair.now, 9, stream, ms(1), b"\x17x");
    let set_data_frame = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\0\0\x01a\x05\0\0\x09";
    pair.client.send_message(pair.now, 18, stream, ms(2), set_data_frame);
    pair.client.send_message(pair.now, 15, stream, ms(3), b"\0\x02\0\x04onFI");
    pair.client.send_message(pair.now, 18, stream, ms(4), b"\x02\0\x0d@setDataFrame");
    for kind in [0, 7, 10, 16, 19, 99] {
        pair.client.send_message(pair.now, kind, stream, ms(5), b"whatever");
    }
    pair.run();
    let data = |timestamp, values| Event::Data { stream, timestamp, values };
    let meta = Value::EcmaArray(Object::new().with("a", Value::Null));
    let expected = [
        Event::Video { stream, timestamp: ms(1), body: b"\x17x".as_slice().into() },
        data(ms(2), vec!["onMetaData".into(), meta]),
        data(ms(3), vec!["onFI".into()]),
        data(ms(4), vec![]),
    ];
    assert_eq!(pair.take_server()[1..], expected);
}

#[test]
fn audio_in_an_aggregate_is_audio() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    pair.client.publish(pair.now, stream, "local");
    let part =
        |time: u8, body: &[u8]| [&[8, 0, 0, body.len() as u8, 0, 0, time, 0, 0, 0, 0], body, &[0, 0, 0, 13]].concat();
    pair.client.send_message(pair.now, 22, stream, ms(5000), &[part(40, b"ab"), part(60, b"cd")].concat());
    pair.run();
    let audio = |time, body: &'static [u8]| Event::Audio { stream, timestamp: ms(time), body: body.into() };
    assert_eq!(pair.take_server()[1..], [audio(5000, b"ab"), audio(5020, b"cd")]);
}

#[test]
fn an_aggregate_may_not_hold_control_or_aggregates() {
    for inner in [1, 4, 22] {
        let mut pair = Pair::connected(request());
        pair.client.send_message(pair.now, 22, StreamId(1), ms(0), &[inner, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(pair.try_run(), Err(SessionError::Protocol { .. })));
    }
}

#[test]
fn a_session_of_two_months_passes_extended_timestamps_and_the_wrap() {
    let mut pair = Pair::connected(request());
    let (local, remote) = (pair.stream(), pair.stream());
    pair.client.publish(pair.now, local, "local");
    pair.client.play(pair.now, remote, "remote");
    pair.run();
    pair.take_client();
    pair.take_server();
    for start in [0xFF_FFFF - 100, 0x1000_0000, u32::MAX - 100] {
        for step in 0..10 {
            let time = ms(start).plus(step * 20);
            pair.client.send_audio(pair.now, local, time, &[1; 300]);
            pair.server.send_audio(pair.now, remote, time, &[2; 300]);
            pair.run();
            let times = (pair.take_server(), pair.take_client());
            let ([Event::Audio { timestamp: up, .. }], [ClientEvent::Audio { timestamp: down, .. }]) =
                (&times.0[..], &times.1[..])
            else {
                panic!("{times:?}")
            };
            assert_eq!((*up, *down), (time, time));
        }
    }
    pair.advance(50 * 86_400_000);
    assert_eq!(pair.server.timestamp(pair.now).ms(), (50u64 * 86_400_000) as u32);
}

#[test]
fn what_is_received_is_acknowledged_by_windows() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    pair.client.publish(pair.now, stream, "local");
    // Window Ack Size 1000.
    pair.client.send_message(pair.now, 5, StreamId::CONNECTION, ms(0), &1000u32.to_be_bytes());
    pair.run();
    let (from, before) = (pair.to_server.len(), pair.to_client.len());
    for n in 0..500 {
        pair.client.send_audio(pair.now, stream, ms(n), &[0; 100]);
        pair.run();
    }
    let acknowledgements: Vec<u32> = pair.to_client[before..]
        .chunks(16)
        .map(|message| {
            assert_eq!(message[..12], *b"\x02\0\0\0\0\0\x04\x03\0\0\0\0");
            u32::from_be_bytes(message[12..].try_into().unwrap())
        })
        .collect();
    let windows = (pair.to_server.len() - from) / 1000;
    assert!(acknowledgements.len().abs_diff(windows) <= windows / 10, "{} for {windows}", acknowledgements.len());
    assert!(acknowledgements.is_sorted());
    // The running total, not what came in since the last one.
    assert!(pair.to_server.len() - *acknowledgements.last().unwrap() as usize <= 1200);
}

#[test]
fn a_bandwidth_that_is_asked_for_is_answered_once() {
    let mut pair = Pair::connected(request());
    let before = pair.to_client.len();
    for limit_type in [0, 1, 2] {
        pair.client.send_message(pair.now, 6, StreamId::CONNECTION, ms(0), &[0, 0, 0x27, 0x10, limit_type]);
    }
    pair.run();
    assert_eq!(pair.to_client[before..], *b"\x02\0\0\0\0\0\x04\x05\0\0\0\0\0\0\x27\x10");
}

#[test]
fn pings_are_answered_and_measured() {
    let mut pair = Pair::connected(request());
    let before = pair.to_client.len();
    pair.client.send_message(pair.now, 4, StreamId::CONNECTION, ms(0), &[0, 6, 1, 2, 3, 4]);
    pair.run();
    assert_eq!(pair.to_client[before..], *b"\x02\0\0\0\0\0\x06\x04\0\0\0\0\0\x07\x01\x02\x03\x04");
    assert_eq!(pair.server.round_trip(), None);
    pair.advance(10_000);
    assert_eq!(pair.server.poll_timeout(), Some(pair.now));
    pair.server.handle_input(pair.now, Input::Timeout).unwrap();
    let (ping, _, _) = drain(|| pair.server.poll_output());
    pair.client.handle_input(pair.now, Input::Bytes(&ping)).unwrap();
    pair.advance(35);
    pair.run();
    assert_eq!(pair.server.round_trip(), Some(Duration::from_millis(35)));
}

#[test]
fn a_phone_that_answers_pings_lives_and_one_that_does_not_is_gone_after_30_seconds() {
    let mut pair = Pair::connected(request());
    for _ in 0..10 {
        pair.advance(10_000);
        pair.server.handle_input(pair.now, Input::Timeout).unwrap();
        pair.run();
    }
    let heard = pair.now;
    loop {
        let due = pair.server.poll_timeout().unwrap();
        match pair.server.handle_input(due, Input::Timeout) {
            Ok(()) => assert!(due < heard + Duration::from_secs(30)),
            Err(error) => {
                assert_eq!(error.to_string(), "client gone (no ping reply): nothing for 30s");
                assert_eq!(due, heard + Duration::from_secs(30));
                break;
            }
        }
    }
    let (_, _, close) = drain(|| pair.server.poll_output());
    assert!(close);
    assert_eq!(pair.server.poll_timeout(), None);
    assert_eq!(pair.server.handle_input(pair.now, Input::Bytes(b"x")), Err(SessionError::Ended));
}

#[test]
fn handshake_and_connect_have_five_seconds_each_however_slowly_bytes_drip() {
    let start = some_instant();
    let mut pair = Pair::new(HandshakeKind::Digest);
    let (hello, _, _) = drain(|| pair.client.poll_output());
    let mut server = ServerSession::new(start, Limits::default(), [0; 32]);
    let end = start + Duration::from_secs(5);
    let mut now = start;
    for byte in &hello {
        now += Duration::from_millis(700);
        let result = server.handle_input(now, Input::Bytes(&[*byte]));
        if now >= end {
            let after = Duration::from_secs(5);
            assert_eq!(result, Err(SessionError::Timeout { stage: Stage::Handshake, after }));
            break;
        }
        assert_eq!((result, server.poll_timeout()), (Ok(()), Some(end)));
    }

    let mut pair = Pair::new(HandshakeKind::Digest);
    pair.advance(4_900);
    pair.run();
    assert_eq!(pair.server.poll_timeout(), Some(pair.now + Duration::from_secs(5)));
    pair.client.call(pair.now, "hello", &[]);
    pair.run();
    pair.advance(4_999);
    pair.server.handle_input(pair.now, Input::Timeout).unwrap();
    pair.advance(1);
    let error = pair.server.handle_input(pair.now, Input::Timeout).unwrap_err();
    assert_eq!(error.to_string(), "no connect command: nothing for 5s");
}

#[test]
fn a_connect_that_waits_for_its_registrar_is_not_cut_off() {
    let mut pair = Pair::new(HandshakeKind::Digest);
    pair.client.connect(pair.now, request());
    pair.run();
    for _ in 0..4 {
        pair.advance(10_000);
        pair.server.handle_input(pair.now, Input::Timeout).unwrap();
        pair.run();
    }
    pair.server.accept_connect(pair.now, ConnectAccepted::default());
    pair.run();
    assert!(matches!(pair.take_client()[..], [ClientEvent::Connected { .. }]));
}

#[test]
fn the_policy_file_is_served_and_the_connection_closed() {
    let mut server = ServerSession::new(some_instant(), Limits::default(), [0; 32]);
    server.handle_input(some_instant(), Input::Bytes(b"<policy-file-request/>\0")).unwrap();
    let (bytes, events, close) = drain(|| server.poll_output());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("<allow-access-from domain=\"*\" to-ports=\"1935\" secure=\"false\"/>"), "{text}");
    assert!(!text.ends_with('\0'));
    assert_eq!((&events[..], close), (&[Event::PolicyFileRequested][..], true));
}

#[test]
fn a_status_can_be_sent_to_the_connection_before_it_closes() {
    let mut pair = Pair::connected(request());
    let code = "NetConnection.Connect.Closed";
    pair.server.send_status(pair.now, StreamId::CONNECTION, Level::Status, code, "replaced by another phone");
    pair.server.close();
    pair.run();
    let events = pair.take_client();
    let [ClientEvent::Status { stream: StreamId(0), info, .. }] = &events[..] else { panic!("{events:?}") };
    assert_eq!(info.get_str("description"), Some("replaced by another phone"));
    assert!(pair.server_closed);
}

#[test]
fn a_clients_own_chunk_size_is_obeyed() {
    let mut pair = Pair::connected(request());
    let stream = pair.stream();
    pair.client.publish(pair.now, stream, "local");
    pair.run();
    pair.take_server();
    for size in [1, 2, 127, 128, 4096, 65_536] {
        pair.client.set_chunk_size(pair.now, size);
        pair.client.send_audio(pair.now, stream, ms(size), &[7; 5000]);
        pair.run();
        let body = vec![7; 5000].into();
        assert_eq!(pair.take_server(), [Event::Audio { stream, timestamp: ms(size), body }], "chunk size {size}");
    }
}
