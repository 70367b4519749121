//! The driver of a phone, from accept to the end, against a bare RTMP client and a bare SIP peer.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::time::{Duration, Instant};

use rtmp_session::{ClientEvent, StreamId, Value};
use support::{PATIENCE, Peer, Phone, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Arguments of `connect` for an account that registers.
fn with_password() -> Vec<Value> {
    vec!["alice".into(), "S3cr3t/@:%".into(), "Alice A".into()]
}

/// A phone registered at `peer`.
async fn registered(gateway: &Running, peer: &Peer) -> Phone {
    let app = format!("sip/alice@{}", peer.address());
    let mut phone = Phone::dial(gateway.at.rtmp, &app, &with_password()).await;
    let answer_register = async {
        let register = peer.expect("REGISTER ").await;
        peer.answer(&register, "200 OK", &contact(&register), "").await;
    };
    let (event, ()) = tokio::join!(phone.next(), answer_register);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
    phone
}

fn contact(register: &support::Heard) -> String {
    format!("Contact: {};expires=180\r\n", register.header("contact"))
}

fn description(event: Option<ClientEvent>) -> String {
    match event {
        Some(ClientEvent::Rejected { info }) => info.get_str("description").unwrap().to_owned(),
        Some(ClientEvent::Error { values, .. }) => {
            values[0].as_object().unwrap().get_str("description").unwrap().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_phone_without_password_connects_at_once_and_registers_nowhere() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut phone = Phone::connect(gateway.at.rtmp, &format!("sip/alice@{}", peer.address()), &[]).await;
    phone.call("bye", &[]).await;
    assert!(matches!(phone.next().await, Some(ClientEvent::Result { .. })));
    gateway.metric_becomes("rtmp_connections", 1.0).await;
    drop(phone);
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    assert_eq!(gateway.metric("rtmp_connects_total").await, 1.0);
    assert!(gateway.end().await < Duration::from_secs(1));
}

#[tokio::test]
async fn an_app_that_is_not_sip_is_rejected_once_with_a_reason_and_closed() {
    let gateway = Running::start().await;
    let mut phone = Phone::dial(gateway.at.rtmp, "live/stream", &[]).await;
    assert!(description(phone.next().await).starts_with("Unknown application"));
    assert!(phone.next().await.is_none());
    gateway.end().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_with_a_description_and_hurts_nothing() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    phone.call("register", &[]).await;
    assert!(description(phone.next().await).starts_with("no method \"register\""));
    phone.call("hold", &["yes".into()]).await;
    assert_eq!(description(phone.next().await), "hold: value must be Boolean, not String");
    phone.call("bye", &[]).await;
    assert!(matches!(phone.next().await, Some(ClientEvent::Result { .. })));
    gateway.end().await;
}

#[tokio::test]
async fn a_registration_ends_with_the_phone() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let phone = registered(&gateway, &peer).await;
    drop(phone);
    let register = peer.expect("REGISTER ").await;
    assert!(register.text.contains("xpires: 0") || register.text.contains("expires=0"), "{}", register.text);
    gateway.metric_becomes("rtmp_connections", 1.0).await;
    peer.answer(&register, "200 OK", "", "").await;
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_refused_registration_rejects_the_connection_with_the_sip_status() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut phone = Phone::dial(gateway.at.rtmp, &format!("sip/alice@{}", peer.address()), &with_password()).await;
    let refuse = async {
        let register = peer.expect("REGISTER ").await;
        peer.answer(&register, "403 Forbidden", "", "").await;
    };
    let (event, ()) = tokio::join!(phone.next(), refuse);
    assert_eq!(description(event), "403 Forbidden");
    assert!(phone.next().await.is_none());
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_second_connection_for_the_address_replaces_the_first_which_is_told() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut first = registered(&gateway, &peer).await;
    let _second = registered(&gateway, &peer).await;
    match first.next().await {
        Some(ClientEvent::Status { stream, code, .. }) => {
            assert_eq!((stream, code.as_str()), (StreamId::CONNECTION, "NetConnection.Connect.Closed"));
        }
        other => panic!("{other:?}"),
    }
    assert!(first.next().await.is_none());
    let register = peer.expect("REGISTER ").await;
    peer.answer(&register, "200 OK", "", "").await;
    gateway.metric_becomes("rtmp_connections", 1.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn shutting_down_tells_phones_and_unregisters_them() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut phone = registered(&gateway, &peer).await;
    let unregister = async {
        let register = peer.expect("REGISTER ").await;
        peer.answer(&register, "200 OK", "", "").await;
    };
    let (took, event, ()) = tokio::join!(gateway.end(), phone.next(), unregister);
    assert!(matches!(event, Some(ClientEvent::Status { code, .. }) if code == "NetConnection.Connect.AppShutdown"));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_registrar_that_is_gone() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let _phone = registered(&gateway, &peer).await;
    drop(peer);
    let took = gateway.end().await;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_at_its_deadline() {
    let gateway = Running::with(|config| config.limits.handshake = Duration::from_millis(200)).await;
    let mut silent = TcpStream::connect(gateway.at.rtmp).await.unwrap();
    let begin = Instant::now();
    let mut rest = Vec::new();
    timeout(PATIENCE, silent.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!((Duration::from_millis(150)..Duration::from_secs(2)).contains(&begin.elapsed()));
    drop(silent);
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn malformed_bytes_end_their_own_connection_only() {
    let gateway = Running::start().await;
    let mut phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let mut stranger = TcpStream::connect(gateway.at.rtmp).await.unwrap();
    stranger.write_all(&[0x16; 100]).await.unwrap();
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, stranger.read_to_end(&mut rest)).await.unwrap();
    drop(stranger);
    gateway.metric_becomes("rtmp_connections", 1.0).await;
    phone.call("bye", &[]).await;
    assert!(matches!(phone.next().await, Some(ClientEvent::Result { .. })));
    gateway.end().await;
}

#[tokio::test]
async fn phones_beyond_the_limit_are_turned_away_and_the_others_stay() {
    let gateway = Running::with(|config| config.max_phones = 1).await;
    let mut phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let mut second = TcpStream::connect(gateway.at.rtmp).await.unwrap();
    assert_eq!(timeout(PATIENCE, second.read(&mut [0])).await.unwrap().unwrap(), 0);
    phone.call("bye", &[]).await;
    assert!(matches!(phone.next().await, Some(ClientEvent::Result { .. })));
    gateway.end().await;
}

#[tokio::test]
async fn a_call_that_is_refused_gives_its_ports_back() {
    let (gateway, peer) = (Running::with(|config| config.max_calls = 1).await, Peer::new().await);
    let mut phone = Phone::connect(gateway.at.rtmp, &format!("sip/alice@{}", peer.address()), &[]).await;
    for _ in 0..3 {
        phone.call("invite", &[format!("sip:bob@{}", peer.address()).into()]).await;
        let invite = peer.expect("INVITE ").await;
        peer.answer(&invite, "486 Busy Here", "", "").await;
        assert_eq!(phone.expect("rejected").await, ["486 Busy Here".into()]);
        peer.expect("ACK ").await;
    }
    gateway.end().await;
}

#[tokio::test]
async fn calls_beyond_the_limit_are_rejected() {
    let (gateway, peer) = (Running::with(|config| config.max_calls = 1).await, Peer::new().await);
    let destination: Value = format!("sip:bob@{}", peer.address()).into();
    let mut first = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let mut second = Phone::connect(gateway.at.rtmp, "sip/carol@localhost", &[]).await;
    first.call("invite", std::slice::from_ref(&destination)).await;
    let invite = peer.expect("INVITE ").await;
    second.call("invite", std::slice::from_ref(&destination)).await;
    assert_eq!(second.expect("rejected").await, ["503 Too many calls".into()]);
    peer.answer(&invite, "404 Not Found", "", "").await;
    first.expect("rejected").await;
    second.call("invite", &[destination]).await;
    peer.expect("INVITE sip:bob").await;
    gateway.end().await;
}

#[tokio::test]
async fn a_phone_that_vanishes_while_it_rings_cancels() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut phone = Phone::connect(gateway.at.rtmp, &format!("sip/alice@{}", peer.address()), &[]).await;
    phone.call("invite", &[format!("sip:bob@{}", peer.address()).into()]).await;
    let invite = peer.expect("INVITE ").await;
    peer.answer(&invite, "180 Ringing", &format!("Contact: <sip:bob@{}>\r\n", peer.address()), "").await;
    assert_eq!(phone.expect("ringing").await, ["180 Ringing".into()]);
    drop(phone);
    let cancel = peer.expect("CANCEL ").await;
    peer.answer(&cancel, "200 OK", "", "").await;
    peer.answer(&invite, "487 Request Terminated", "", "").await;
    peer.expect("ACK ").await;
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn the_page_and_the_health_check_are_served() {
    let gateway = Running::start().await;
    for (path, expected) in [
        ("/", "<web-phone"),
        ("/guide.html", "siprtmp"),
        ("/guide.css", "text/css"),
        ("/healthz", "ok"),
        ("/nowhere", "404"),
    ] {
        let mut http = TcpStream::connect(gateway.at.http.unwrap()).await.unwrap();
        http.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        http.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains(expected), "{path}: {answer}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn shutting_down_rejects_a_phone_that_is_still_registering() {
    let (gateway, peer) = (Running::start().await, Peer::new().await);
    let mut phone = Phone::dial(gateway.at.rtmp, &format!("sip/alice@{}", peer.address()), &with_password()).await;
    phone.flush().await;
    let heard = async {
        peer.expect("REGISTER ").await;
        gateway.end().await
    };
    let (event, took) = tokio::join!(phone.next(), heard);
    assert_eq!(description(event), "The gateway is shutting down");
    assert!(took < Duration::from_secs(5), "{took:?}");
}
