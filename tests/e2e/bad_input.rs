//! What must not hurt: malformed bytes, too much of anything, wrong arguments, poisoned addresses, broken SIP.

use crate::raw_rtmp::{RawRtmp, amf_number, amf_string, chunk, command, connect_command};
use crate::stage::{LOOPBACK, PCMU, Stage};
use gateway_tests::gateway::Gateway;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::sip_peer::SipPeer;
use rtmp_session::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(2);

/// A phone that is in a call before, and must still be in it after.
struct Bystander {
    stage: Stage,
    call: crate::stage::UpCall,
}

impl Bystander {
    async fn new() -> Self {
        let mut stage = Stage::registered().await;
        let call = stage.call_out(&["pcmu"], PCMU).await;
        stage.phone.start_media().await;
        Self { stage, call }
    }

    async fn still_talks(&mut self) {
        self.call.rtp.forget();
        let voice = gateway_tests::voice::PhoneVoice::Pcmu;
        self.stage.phone.speak(&voice.bodies(&vec![1000; 160 * 25], 8)).await;
        self.call.rtp.wait_for(0, SOON).await;
        assert!(self.stage.gateway.is_running());
    }
}

#[tokio::test]
async fn malformed_bytes_end_their_connection_with_a_log_line_that_says_where() {
    let mut bystander = Bystander::new().await;
    let rtmp = bystander.stage.gateway.rtmp;

    let mut raw = RawRtmp::open(rtmp).await;
    raw.send(&[0x47; 1537]).await;
    raw.closed_after(SOON).await;
    bystander.stage.gateway.wait_log("byte 0", SOON).await;

    // A chunk that continues (format 3) a chunk stream which never began. The handshake is 1 + 1536 + 1536 bytes long.
    let mut raw = RawRtmp::shaken(rtmp).await;
    raw.send(&[0xC0 | 7]).await;
    raw.closed_after(SOON).await;
    let line = bystander.stage.gateway.wait_log("chunk stream 7", SOON).await;
    assert!(line.contains("byte 307"), "{line}");

    // AMF0 with a marker that does not exist, in a command.
    let mut raw = RawRtmp::shaken(rtmp).await;
    raw.send(&command(&[amf_string("connect"), amf_number(1.0), vec![0x77]].concat())).await;
    raw.closed_after(SOON).await;

    bystander.still_talks().await;
}

#[tokio::test]
async fn what_is_over_a_limit_is_closed_and_costs_no_memory() {
    let mut bystander = Bystander::new().await;
    let rtmp = bystander.stage.gateway.rtmp;
    let before = bystander.stage.gateway.resident();

    // A message of 16 MB that never comes, on many connections at once: memory follows bytes, not words.
    let mut raws = Vec::new();
    for _ in 0..20 {
        let mut raw = RawRtmp::shaken(rtmp).await;
        raw.send(&chunk(3, 20, 0xFF_FFFF, &[0; 100])).await;
        raws.push(raw);
    }
    for raw in &mut raws {
        raw.closed_after(SOON).await;
    }
    // Just under the limit is only slow, not forbidden: it may stay open, but must not be paid for in advance.
    for _ in 0..200 {
        let mut raw = RawRtmp::shaken(rtmp).await;
        raw.send(&chunk(3, 20, 65_536, &[0; 100])).await;
        raws.push(raw);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let grown = bystander.stage.gateway.resident().saturating_sub(before);
    assert!(grown < 200 * 48 * 1024, "{} kB for 200 connections that sent 100 bytes each", grown / 1024);
    drop(raws);

    // Chunk streams: 17 messages begun and none ended.
    let mut raw = RawRtmp::shaken(rtmp).await;
    for number in 3..=20 {
        raw.send(&chunk(number, 20, 1000, &[2; 128])).await;
    }
    raw.closed_after(SOON).await;

    // AMF nested 40 deep: objects in objects.
    let mut body = [amf_string("connect"), amf_number(1.0)].concat();
    for _ in 0..40 {
        body.extend([3, 0, 1, b'a']);
    }
    body.push(5);
    for _ in 0..40 {
        body.extend([0, 0, 9]);
    }
    let mut raw = RawRtmp::shaken(rtmp).await;
    raw.send(&command(&body)).await;
    raw.closed_after(SOON).await;

    bystander.still_talks().await;
}

#[tokio::test]
async fn who_does_not_shake_hands_or_does_not_connect_is_closed_after_five_seconds() {
    let gateway = Gateway::start().await;
    let mut silent = RawRtmp::open(gateway.rtmp).await;
    let mut shaken = RawRtmp::shaken(gateway.rtmp).await;
    let (a, b) = tokio::join!(silent.closed_after(Duration::from_secs(8)), shaken.closed_after(Duration::from_secs(8)));
    for time in [a, b] {
        assert!((4.0..6.5).contains(&time.as_secs_f64()), "closed after {time:?}");
    }
}

#[tokio::test]
async fn wrong_arguments_are_answered_with_an_error_that_says_why() {
    let mut stage = Stage::anonymous().await;
    let mut call = stage.call_out(&["pcmu", "dtmf"], PCMU).await;
    let cases: &[(&str, &[Value])] = &[
        ("invite", &[]),
        ("invite", &[Value::Number(5.0)]),
        ("invite", &[Value::String("sip:bob@127.0.0.1".into()), Value::Number(5.0)]),
        ("accept", &[Value::Boolean(true)]),
        ("reject", &[Value::Number(486.0)]),
        ("bye", &[Value::String("now".into())]),
        ("sendDTMF", &[]),
        ("sendDTMF", &[Value::Number(5.0)]),
        ("hold", &[]),
        ("hold", &[Value::String("yes".into())]),
    ];
    for (name, args) in cases {
        let answer = stage.phone.call(name, args).await;
        let values = answer.expect_err(&format!("{name}({args:?}) should be answered _error"));
        let description = values.iter().find_map(|value| value.as_object()?.get_str("description"));
        assert!(description.is_some_and(|text| !text.is_empty()), "{name}({args:?}): {values:?}");
    }
    // The call is as it was.
    stage.phone.expect_silence(Duration::from_millis(100)).await;
    assert_eq!(stage.peer.bye(&mut call.dialog).await.status(), Some(200));
    stage.phone.expect("byed").await;
}

#[tokio::test]
async fn a_poisoned_address_is_rejected_and_no_byte_of_it_reaches_the_network() {
    let mut stage = Stage::anonymous().await;
    let domain = stage.peer.domain();
    let poisoned = [
        format!("sip:bob@{domain}\r\nX-Evil: 1"),
        format!("sip:bob\r\n@{domain}"),
        format!("sip:bob@{domain}\0"),
        format!("\"B\nob\" <sip:bob@{domain}>"),
        format!("sip:bob@{domain}>\r\n\r\n"),
        "sip:".into(),
        "sip:@".into(),
        "http://example.com/".into(),
        "<<<>>>".into(),
        format!("sip:b ob@{domain}"),
    ];
    for address in &poisoned {
        stage.phone.invite(address, &["ulaw"]).await;
        let reason = stage.phone.expect("rejected").await;
        assert!(reason[0].as_str().is_some_and(|text| !text.is_empty()), "{address:?}: {reason:?}");
    }
    stage.peer.expect_nothing(Duration::from_millis(300)).await;
    assert!(stage.peer.log().is_empty(), "{:?}", stage.peer.starts());
}

#[tokio::test]
async fn a_poisoned_login_is_rejected_and_no_byte_of_it_reaches_the_network() {
    let (gateway, mut peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let domain = peer.domain();
    let logins = [
        Login::with_password(&format!("alice\r\nX: 1@{domain}"), "alice", "secret"),
        Login::with_password(&format!("alice@{domain}"), "alice", "secret").named("A\r\nX-Evil: 1"),
        Login::with_password(&format!("alice@{domain}"), "alice\r\nX-Evil: 1", "secret"),
        Login::with_password("", "alice", "secret"),
        Login::with_password("alice", "alice", "secret"),
    ];
    for login in logins {
        let mut phone = Phone::open(gateway.rtmp).await;
        phone.connect(login.clone()).await.expect_err(&format!("{login:?} should be rejected"));
    }
    peer.expect_nothing(Duration::from_millis(300)).await;
    for (_, message) in peer.log() {
        assert!(!message.to_string().contains("Evil"), "{message}");
    }
}

#[tokio::test]
async fn malformed_sip_is_answered_400_where_it_can_be_and_hurts_nobody() {
    let mut bystander = Bystander::new().await;
    let gateway = bystander.stage.gateway.sip;
    let peer = SipPeer::bind(LOOPBACK).await;
    for garbage in ["", "\r\n\r\n", "hello", "INVITE", "SIP/2.0", "INVITE sip:a@b SIP/2.0\r\n\r\n", "\0\0\0\0"] {
        peer.send_raw(garbage.as_bytes(), gateway).await;
    }
    peer.send_raw(&[0xFF; 1400], gateway).await;
    // Via, From, To, Call-ID and CSeq are there, so an answer finds its way; the CSeq method does not fit (RFC 3261 8.1.1.5).
    let mut bent = peer.out_of_dialog("OPTIONS", &format!("sip:alice@{gateway}"));
    for (name, value) in &mut bent.headers {
        if name == "CSeq" {
            *value = "1 INVITE".into();
        }
    }
    let branch = bent.branch().to_owned();
    peer.send_raw(bent.to_string().as_bytes(), gateway).await;
    let end = std::time::Instant::now() + SOON;
    let answer = loop {
        let found = peer.log().into_iter().find(|(_, m)| m.branch() == branch);
        if let Some((_, answer)) = found {
            break answer;
        }
        assert!(std::time::Instant::now() < end, "no answer to an OPTIONS with a bent CSeq");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(answer.status(), Some(400), "{answer}");
    bystander.still_talks().await;
}

#[tokio::test]
async fn strange_rtp_is_dropped_and_the_call_goes_on() {
    let mut bystander = Bystander::new().await;
    let target = bystander.call.target();
    for bytes in [&[][..], &[0x80], &[0xFF; 12], &[0x90, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], &[0; 1500]]
    {
        bystander.call.rtp.send_raw(target, bytes).await;
    }
    bystander.still_talks().await;
    let voice = gateway_tests::voice::PhoneVoice::Pcmu;
    bystander.call.rtp.play(target, 0, 160, &voice.frames(&vec![500; 160 * 20], 8)).await;
    bystander.stage.phone.wait_heard(5, SOON).await;
}

#[tokio::test]
async fn a_connect_in_tiny_pieces_works() {
    let gateway = Gateway::start().await;
    let mut raw = RawRtmp::shaken(gateway.rtmp).await;
    for byte in command(&connect_command("sip/alice@127.0.0.1")) {
        raw.send(&[byte]).await;
    }
    assert!(raw.read_until(b"NetConnection.Connect.Success").await);
    let mut again = RawRtmp::connected(gateway.rtmp, "sip/bob@127.0.0.1").await;
    again.send(&command(&[amf_string("noSuchMethod"), amf_number(9.0), vec![5]].concat())).await;
    assert!(again.read_until(&amf_number(9.0)).await, "an unknown method is answered too");
}
