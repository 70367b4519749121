//! Who is let in, and who is told to wait: over TCP and over a WebSocket, with a registrar that counts what it is asked.
#![allow(clippy::unwrap_used)] // a helper panics for its test; `allow-unwrap-in-tests` does not take for tests

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtmp_session::ClientEvent;
use rtmp_sip_gateway::config::{Secret, TokenSecret, WebAccount};
use support::websocket::bridge;
use support::{Peer, Phone, Running, SECRET, token};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// A TCP socket whose bytes travel over a WebSocket that came `from` there, if anywhere.
async fn over_websocket(at: SocketAddr, from: Option<&str>) -> TcpStream {
    let mut request = format!("ws://{at}/rtmp").into_client_request().unwrap();
    if let Some(from) = from {
        request.headers_mut().insert("x-forwarded-for", HeaderValue::from_str(from).unwrap());
    }
    let (web, _) = client_async(request, TcpStream::connect(at).await.unwrap()).await.unwrap();
    bridge(web).await
}

const OK: Option<&str> = Some("200 OK");
const WRONG: Option<&str> = Some("403 Forbidden");

/// A registrar that says what it is told to.
struct Registrar {
    peer: Peer,
}

impl Registrar {
    /// What becomes of a phone that connects with a password: the description of its refusal, if any. `answer` is what the registrar
    /// says; without one it is not to be asked.
    async fn attempt(&self, socket: TcpStream, user: &str, answer: Option<&str>) -> Option<String> {
        let app = format!("sip/{user}@{}", self.peer.address());
        let mut phone = Phone::say_connect(socket, &app, &[user.into(), "guess".into()]);
        let answers = async {
            if let Some(status) = answer {
                let register = self.peer.expect("REGISTER ").await;
                self.peer.answer(&register, status, "", "").await;
            }
        };
        let (event, ()) = tokio::join!(phone.next(), answers);
        if answer.is_none() {
            let mut space = [0; 2_048];
            let silence = timeout(Duration::from_millis(200), self.peer.socket.recv_from(&mut space)).await;
            assert!(silence.is_err(), "the registrar was asked: {}", String::from_utf8_lossy(&space));
        }
        match event {
            Some(ClientEvent::Connected { .. }) => {
                // Its un-REGISTER, so that the next attempt does not find it.
                drop(phone);
                let bye = self.peer.expect("REGISTER ").await;
                self.peer.answer(&bye, "200 OK", "", "").await;
                None
            }
            Some(ClientEvent::Rejected { info }) => {
                assert_eq!(info.get_str("code"), Some("NetConnection.Connect.Rejected"));
                Some(info.get_str("description").unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn who_failed_too_often_is_told_to_wait_on_tcp_and_websocket_alike_and_no_register_goes_out() {
    let gateway = Running::with(|config| {
        config.failed_connects = 4;
        config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    })
    .await;
    let registrar = Registrar { peer: Peer::new().await };
    let (tcp, web) = (gateway.at.rtmp, gateway.at.http.unwrap());
    let connect = async || TcpStream::connect(tcp).await.unwrap();

    assert_eq!(registrar.attempt(connect().await, "alice", OK).await, None);
    for user in ["bob", "carol"] {
        let refused = registrar.attempt(connect().await, user, WRONG).await;
        assert_eq!(refused.as_deref(), Some("403 Forbidden"));
    }
    let own = registrar.attempt(connect().await, "bob", None).await.unwrap();
    assert!(own.starts_with("403 Too many failed attempts: wait "), "{own}");
    for user in ["dave", "erin"] {
        let refused = registrar.attempt(over_websocket(web, None).await, user, WRONG).await;
        assert_eq!(refused.as_deref(), Some("403 Forbidden"));
    }
    for socket in [connect().await, over_websocket(web, None).await] {
        let limited = registrar.attempt(socket, "frank", None).await.unwrap();
        assert!(limited.starts_with("403 Too many failed attempts: wait "), "{limited}");
    }
    assert_eq!(gateway.metric("rtmp_connects_limited_total").await, 3.0);

    // Not touched: who has connected from there before, and who only comes through the same proxy.
    assert_eq!(registrar.attempt(connect().await, "alice", OK).await, None);
    let elsewhere = over_websocket(web, Some("127.0.0.1, 203.0.113.7")).await;
    assert_eq!(registrar.attempt(elsewhere, "frank", OK).await, None);
    // And whoever has no password has none to guess.
    let guest = Phone::connect(tcp, &format!("sip/guest@{}", registrar.peer.address()), &[]).await;
    drop(guest);
    gateway.end().await;
}

#[tokio::test]
async fn nobody_but_a_trusted_proxy_can_speak_for_another_address() {
    let gateway = Running::with(|config| config.failed_connects = 1).await;
    let registrar = Registrar { peer: Peer::new().await };
    let web = gateway.at.http.unwrap();
    assert!(registrar.attempt(over_websocket(web, Some("203.0.113.7")).await, "bob", WRONG).await.is_some());
    let again = registrar.attempt(over_websocket(web, Some("203.0.113.8")).await, "carol", None).await.unwrap();
    assert!(again.starts_with("403 Too many"), "{again}");
    gateway.end().await;
}

#[tokio::test]
async fn a_registrar_that_is_out_of_order_locks_nobody_out() {
    let gateway = Running::with(|config| config.failed_connects = 1).await;
    let registrar = Registrar { peer: Peer::new().await };
    for _ in 0..3 {
        let socket = TcpStream::connect(gateway.at.rtmp).await.unwrap();
        let refused = registrar.attempt(socket, "alice", Some("500 Out Of Order")).await;
        assert_eq!(refused.as_deref(), Some("500 Out Of Order"));
    }
    gateway.end().await;
}

/// An INVITE of `bob` at this socket.
fn invite_of(target: &str, socket: SocketAddr, n: u32) -> String {
    format!(
        "INVITE {target} SIP/2.0\r\nVia: SIP/2.0/UDP {socket};branch=z9hG4bK{n};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:bob@{socket}>;tag={n}\r\nTo: <{target}>\r\nCall-ID: {n}@{socket}\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:bob@{socket}>\r\nContent-Length: 0\r\n\r\n"
    )
}

/// A phone that registered as `alice` with this registrar.
async fn registered(gateway: &Running, registrar: &Peer) -> Phone {
    let app = format!("sip/alice@{}", registrar.address());
    let socket = TcpStream::connect(gateway.at.rtmp).await.unwrap();
    let mut phone = Phone::say_connect(socket, &app, &["alice".into(), "right".into()]);
    let answers = async {
        let register = registrar.expect("REGISTER ").await;
        registrar.answer(&register, "200 OK", "", "").await;
    };
    let (event, ()) = tokio::join!(phone.next(), answers);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
    phone
}

#[tokio::test]
async fn a_registrar_that_calls_the_user_at_our_address_reaches_its_phone_and_others_do_not() {
    let gateway = Running::start().await;
    let registrar = Peer::new().await;
    let mut phone = registered(&gateway, &registrar).await;
    let target = format!("sip:alice@{}", gateway.at.sip);
    let stranger = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let call = invite_of(&target, stranger.local_addr().unwrap(), 1);
    stranger.send_to(call.as_bytes(), gateway.at.sip).await.unwrap();
    let mut space = [0; 2_048];
    let (count, _) = timeout(Duration::from_secs(5), stranger.recv_from(&mut space)).await.unwrap().unwrap();
    assert!(space[..count].starts_with(b"SIP/2.0 404 "), "{}", String::from_utf8_lossy(&space[..count]));

    let call = invite_of(&target, registrar.address(), 2);
    registrar.socket.send_to(call.as_bytes(), gateway.at.sip).await.unwrap();
    assert!(phone.expect("invited").await[0].as_str().unwrap().contains("sip:bob@"));
    phone.call("reject", &["486 Busy Here".into()]).await;
    registrar.expect("SIP/2.0 486 ").await;

    // Two phones of that name: neither is meant more than the other.
    let other = Peer::new().await;
    let _second = registered(&gateway, &other).await;
    let call = invite_of(&target, registrar.address(), 3);
    registrar.socket.send_to(call.as_bytes(), gateway.at.sip).await.unwrap();
    registrar.expect("SIP/2.0 404 ").await;
    gateway.end().await;
}

/// Reliability G12: refused calls get 503 and Retry-After within 50 ms.
#[tokio::test]
async fn a_call_beyond_the_limit_is_told_at_once_when_to_try_again() {
    let gateway = Running::with(|config| config.max_calls = 1).await;
    let (registrar, peer) = (Peer::new().await, Peer::new().await);
    let mut caller = Phone::connect(gateway.at.rtmp, "sip/carol@localhost", &[]).await;
    caller.call("invite", &[format!("sip:bob@{}", peer.address()).into()]).await;
    peer.expect("INVITE ").await;

    let app = format!("sip/alice@{}", registrar.address());
    let mut phone =
        Phone::say_connect(TcpStream::connect(gateway.at.rtmp).await.unwrap(), &app, &["a".into(), "b".into()]);
    let answers = async {
        let register = registrar.expect("REGISTER ").await;
        registrar.answer(&register, "200 OK", "", "").await;
        register
    };
    let (event, register) = tokio::join!(phone.next(), answers);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
    let contact = register.header("contact").trim_start_matches('<').split('>').next().unwrap().to_owned();
    let mut took = Vec::new();
    for n in 0..20 {
        let invite = invite_of(&contact, peer.address(), n);
        let asked = Instant::now();
        peer.socket.send_to(invite.as_bytes(), gateway.at.sip).await.unwrap();
        let refused = peer.expect("SIP/2.0 503 ").await;
        took.push(asked.elapsed());
        assert!(refused.text.starts_with("SIP/2.0 503 Too many calls\r\n"), "{}", refused.text);
        assert_eq!(refused.header("retry-after"), "5");
        let to = refused.header("to");
        let ack = format!(
            "ACK {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {0};branch=z9hG4bK{n};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@{0}>;tag={n}\r\nTo: {to}\r\nCall-ID: {n}@{0}\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
            peer.address()
        );
        peer.socket.send_to(ack.as_bytes(), gateway.at.sip).await.unwrap();
    }
    took.sort();
    println!("median {:?}, longest {:?}", took[10], took[19]);
    assert!(took[10] < Duration::from_millis(50), "{took:?}");
    assert_eq!(gateway.metric("calls_over_limit_total").await, 20.0);
    drop((phone, caller));
    gateway.end().await;
}

#[tokio::test]
async fn a_token_is_good_once_if_it_has_an_id_and_its_phone_keeps_to_its_bounds() {
    let (registrar, bob) = (Peer::new().await, Peer::new().await);
    let address = format!("alice@{}", registrar.address());
    let account = WebAccount { address: address.clone(), login: None, password: "wonderland".into(), codecs: None };
    let gateway = Running::with(|config| {
        config.token_secrets = vec![TokenSecret { id: None, secret: Secret(SECRET.into()) }];
        config.web_accounts = vec![account];
    })
    .await;
    let phone = format!(r#""sub":"{address}","jti":"1","phone":{{"to":["bob@{}"],"calls":1}}"#, bob.address());
    let token = token(&phone, 60, SECRET);
    let app = format!("sip/{address}");
    let connect = async || {
        let socket = TcpStream::connect(gateway.at.rtmp).await.unwrap();
        Phone::say_connect(socket, &app, &[token.as_str().into(), "".into()])
    };

    let mut alice = connect().await;
    let answers = async {
        let register = registrar.expect("REGISTER ").await;
        registrar.answer(&register, "200 OK", "", "").await;
    };
    let (event, ()) = tokio::join!(alice.next(), answers);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");
    match connect().await.next().await {
        Some(ClientEvent::Rejected { info }) => {
            assert_eq!(info.get_str("description"), Some("403 The token has been used before"));
        }
        other => panic!("{other:?}"),
    }

    alice.call("invite", &["sip:eve@127.0.0.1:9".into()]).await;
    assert_eq!(alice.expect("rejected").await, ["403 sip:eve@127.0.0.1:9 is not allowed".into()]);
    let destination = format!("sip:bob@{}", bob.address());
    alice.call("invite", &[destination.as_str().into()]).await;
    let invite = bob.expect("INVITE ").await;
    bob.answer(&invite, "486 Busy Here", "", "").await;
    assert_eq!(alice.expect("rejected").await, ["486 Busy Here".into()]);
    alice.call("invite", &[destination.as_str().into()]).await;
    assert_eq!(alice.expect("rejected").await, ["403 No more calls are allowed".into()]);
    drop(alice);
    gateway.end().await;
}
