//! `connect` and REGISTER (siprtmp contract section 2).

use crate::stage::{LOOPBACK, alice};
use gateway_tests::digest::Algorithm;
use gateway_tests::gateway::Gateway;
use gateway_tests::phone::{Login, Phone};
use gateway_tests::sip_peer::{RegistrarPolicy, SipPeer};
use rtmp_session::{HandshakeKind, ObjectEncoding, Value};
use std::time::Duration;

fn password(algorithm: Algorithm, expires: u32) -> RegistrarPolicy {
    RegistrarPolicy::Password { algorithm, password: "secret".into(), expires }
}

#[tokio::test]
async fn connect_is_answered_when_the_registrar_has_taken_the_phone() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
        peer.set_policy(password(algorithm, 180));
        let mut phone = Phone::open(gateway.rtmp).await;
        let info = phone.connect(alice(&peer).named("Alice A")).await.unwrap();
        assert_eq!(info.get_str("code"), Some("NetConnection.Connect.Success"));
        assert_eq!(info.get_str("level"), Some("status"));
        let contact = peer.binding("alice").expect("registered before the answer");
        assert!(contact.starts_with("sip:") && contact.contains(&gateway.sip.to_string()), "{contact}");
        let register = &peer.requests("REGISTER")[0];
        assert_eq!(register.uri(), format!("sip:{}", peer.domain()));
        assert!(register.text("From").starts_with("\"Alice A\" <sip:alice@"), "{}", register.text("From"));
    }
}

#[tokio::test]
async fn both_handshakes_and_both_encodings_connect() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    for handshake in [HandshakeKind::Simple, HandshakeKind::Digest] {
        for encoding in [ObjectEncoding::Amf0, ObjectEncoding::Amf3] {
            let mut phone = Phone::open_with(gateway.rtmp, handshake).await;
            let info = phone.connect(alice(&peer).encoded(encoding)).await.unwrap();
            let number = if encoding == ObjectEncoding::Amf0 { 0.0 } else { 3.0 };
            assert_eq!(info.get_number("objectEncoding"), Some(number));
            phone.invite("", &[]).await;
            assert!(matches!(phone.expect("rejected").await.as_slice(), [Value::String(_)]));
        }
    }
}

#[tokio::test]
async fn a_refused_registration_is_one_rejection_with_the_sip_status_and_then_the_end() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    for (code, phrase) in [(403, "Forbidden"), (404, "Not Found")] {
        peer.set_policy(RegistrarPolicy::Refuse(code, phrase));
        let mut phone = Phone::open(gateway.rtmp).await;
        assert_eq!(phone.connect(alice(&peer)).await.unwrap_err(), format!("{code} {phrase}"));
        phone.expect_close(Duration::from_secs(2)).await;
        assert_eq!(phone.connect_answer(Duration::from_secs(1)).await.unwrap_err(), "closed without an answer");
    }
}

#[tokio::test]
async fn a_wrong_password_is_tried_once_and_refused() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    peer.set_policy(password(Algorithm::Md5, 180));
    let mut phone = Phone::open(gateway.rtmp).await;
    let login = Login::with_password(&format!("alice@{}", peer.domain()), "alice", "wrong");
    assert_eq!(phone.connect(login).await.unwrap_err(), "401 Unauthorized");
    assert_eq!(peer.requests("REGISTER").len(), 2);
    assert_eq!(peer.binding("alice"), None);
}

#[tokio::test]
async fn a_silent_registrar_is_asked_eleven_times_and_then_it_is_a_408() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    peer.set_policy(RegistrarPolicy::Silent);
    let mut phone = Phone::open(gateway.rtmp).await;
    let reason = phone.connect(alice(&peer)).await.unwrap_err();
    assert!(reason.starts_with("408 "), "{reason}");
    // RFC 3261 section 17.1.2.2: 0, 0.5, 1.5, 3.5, then every 4 s until 32 s.
    let sent = peer.requests("REGISTER").len();
    assert!((10..=11).contains(&sent), "{sent} transmissions");
}

#[tokio::test]
async fn without_a_password_nothing_is_registered() {
    let (gateway, mut peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let address = format!("alice@{}", peer.domain());
    let empty = Login { address: address.clone(), args: vec![Value::Null, "".into()], ..Login::default() };
    for login in [Login::anonymous(&address), empty] {
        let _phone = Phone::connected(gateway.rtmp, login).await;
        peer.expect_nothing(Duration::from_millis(200)).await;
    }
    assert!(peer.log().is_empty(), "{:?}", peer.starts());
}

#[tokio::test]
async fn a_registration_is_refreshed_in_time_and_taken_back_at_the_end() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    peer.set_policy(RegistrarPolicy::Open(3));
    let phone = Phone::connected(gateway.rtmp, alice(&peer)).await;
    tokio::time::sleep(Duration::from_millis(3300)).await;
    let log = peer.log();
    let times: Vec<_> = log.iter().filter(|(_, m)| m.method() == Some("REGISTER")).map(|(at, _)| *at).collect();
    assert!(times.len() >= 2, "no refresh: {:?}", peer.starts());
    assert!(times[1] - times[0] < Duration::from_secs(3), "refreshed after it had run out");
    phone.vanish();
    peer.wait_binding("alice", false, Duration::from_secs(3)).await;
}

#[tokio::test]
async fn a_second_connection_of_the_same_user_replaces_the_first() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let mut first = Phone::connected(gateway.rtmp, alice(&peer)).await;
    let mut second = Phone::connected(gateway.rtmp, alice(&peer)).await;
    first.expect_close(Duration::from_secs(5)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(peer.binding("alice").is_some(), "the second one stays registered");
    let contact = peer.binding("alice").unwrap();
    let calling = peer.start_invite(&contact, gateway.sip, None).await;
    second.expect("invited").await;
    drop(calling);
}

#[tokio::test]
async fn an_app_that_is_not_the_gateway_is_rejected() {
    let gateway = Gateway::start().await;
    let mut phone = Phone::open(gateway.rtmp).await;
    phone.act(|session, now| {
        let request = rtmp_session::ConnectRequest { app: "live".into(), ..Default::default() };
        session.connect(now, request);
    });
    phone.connect_answer(Duration::from_secs(3)).await.unwrap_err();
}
