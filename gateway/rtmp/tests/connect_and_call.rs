//! A phone connects to a gateway, and each calls methods of the other.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Pair, drain, request, some_instant};
use rtmp_session::{
    ClientEvent, ConnectAccepted, ConnectRequest, Event, HandshakeKind, Input, Level, Limits, Object, ObjectEncoding,
    ServerSession, StreamId, TransactionId, Value,
};

fn amf3() -> ConnectRequest {
    ConnectRequest { object_encoding: Some(ObjectEncoding::Amf3), ..request() }
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
