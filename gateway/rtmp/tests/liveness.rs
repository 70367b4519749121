//! What keeps a connection going and what ends it: acknowledgements, pings, deadlines, chunk sizes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use common::{Pair, drain, request, some_instant};
use rtmp_session::{
    ClientEvent, ConnectAccepted, Event, HandshakeKind, Input, Limits, RtmpTimestamp, ServerSession, SessionError,
    Stage, StreamId,
};
use std::time::Duration;

fn ms(ms: u32) -> RtmpTimestamp {
    RtmpTimestamp::from_ms(ms)
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
