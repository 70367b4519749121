//! A phone publishes and plays: streams, media, and what may go wrong with them.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Pair, request};
use rtmp_session::{ClientEvent, Event, Limits, Object, RtmpTimestamp, SessionError, StreamId, TransactionId, Value};

fn ms(ms: u32) -> RtmpTimestamp {
    RtmpTimestamp::from_ms(ms)
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
