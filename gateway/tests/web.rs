//! The web side as a browser meets it: RTMP over WebSocket, and the phone's files.

#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod support;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use rtmp_session::{ClientEvent, RtmpTimestamp};
use rtmp_sip_gateway::config::{Secret, TokenSecret, WebAccount};
use rtmp_sip_gateway::listen::MESSAGE_MAX;
use support::websocket::{Socket, bridge};
use support::{PATIENCE, Peer, Phone, Running, SECRET};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Opens a WebSocket with these headers besides the usual ones. The error is the response that refused it.
async fn open(
    at: SocketAddr,
    headers: &[(&'static str, &str)],
) -> Result<(Socket, Response<Option<Vec<u8>>>), Response<Option<Vec<u8>>>> {
    let mut request = format!("ws://{at}/rtmp").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
    }
    let socket = TcpStream::connect(at).await.unwrap();
    match timeout(PATIENCE, client_async(request, socket)).await.unwrap() {
        Ok(opened) => Ok(opened),
        Err(Error::Http(response)) => Err(*response),
        Err(error) => panic!("{error}"),
    }
}

/// One request; its answer's head and body.
async fn get(at: SocketAddr, path: &str, more: &str) -> (String, Vec<u8>) {
    let mut http = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n{more}\r\n");
    http.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, http.read_to_end(&mut answer)).await.unwrap().unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase(), answer[end + 4..].to_vec())
}

#[tokio::test]
async fn a_phone_over_websocket_calls_the_echo_and_hears_itself() {
    let gateway = Running::start().await;
    let at = gateway.at.http.unwrap();
    let (web, opened) = open(at, &[("origin", &format!("http://{at}"))]).await.unwrap();
    assert!(
        !opened.headers().contains_key("sec-websocket-protocol")
            && !opened.headers().contains_key("sec-websocket-extensions")
    );
    let mut phone = Phone::over(bridge(web).await, "sip/alice@localhost", &[]).await;
    phone.call("invite", &["sip:echo@localhost".into(), "pcmu".into()]).await;
    phone.expect("accepted").await;
    let publishing = phone.create_stream().await;
    phone.session.publish(Instant::now(), publishing, "local");
    let playing = phone.create_stream().await;
    phone.session.play(Instant::now(), playing, "remote");

    let mut said = vec![0x82];
    said.extend((0..160).map(|n| n as u8));
    let (begin, mut n) = (Instant::now(), 0);
    loop {
        phone.session.send_audio(Instant::now(), publishing, RtmpTimestamp::from_ms(n * 20), &said);
        phone.flush().await;
        n += 1;
        let heard = timeout(Duration::from_millis(20), phone.next()).await;
        match heard {
            Ok(Some(ClientEvent::Audio { body, .. })) if body[..] == said[..] => break,
            Ok(None) => panic!("the connection ended"),
            _ => assert!(begin.elapsed() < PATIENCE, "nothing is heard"),
        }
    }
    assert_eq!(gateway.metric("rtmp_connections").await, 1.0);
    assert_eq!(gateway.metric("calls").await, 1.0);
    drop(phone);
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.metric_becomes("calls", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn the_end_of_the_rtmp_session_is_a_normal_closure_after_its_last_words() {
    let gateway = Running::start().await;
    let (web, _) = open(gateway.at.http.unwrap(), &[]).await.unwrap();
    let mut phone = Phone::over(bridge(web).await, "sip/alice@localhost", &[]).await;
    let (mut idle, _) = open(gateway.at.http.unwrap(), &[]).await.unwrap();
    let told = async {
        loop {
            match idle.next().await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let (took, event, frame) = tokio::join!(gateway.end(), phone.next(), told);
    assert!(matches!(event, Some(ClientEvent::Status { code, .. }) if code == "NetConnection.Connect.AppShutdown"));
    assert_eq!(frame.map(|frame| frame.code), Some(CloseCode::Normal));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn pages_of_foreign_origins_are_refused_and_listed_ones_are_not() {
    let gateway = Running::with(|config| config.web_origins = vec!["https://phone.example.com".parse().unwrap()]).await;
    let at = gateway.at.http.unwrap();
    let response = open(at, &[("origin", "https://evil.example")]).await.unwrap_err();
    assert_eq!(response.status(), 403);
    let text = String::from_utf8(response.into_body().unwrap_or_default()).unwrap();
    assert!(text.is_empty() || text.contains("web-origins"), "{text}");
    let evil = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\norigin: null\r\n";
    let mut http = TcpStream::connect(at).await.unwrap();
    http.write_all(format!("GET /rtmp HTTP/1.1\r\nhost: {at}\r\nconnection: upgrade, close\r\n{evil}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, http.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("web-origins"), "{answer}");
    assert_eq!(gateway.metric("websocket_origins_refused_total").await, 2.0);
    assert!(open(at, &[("origin", "https://phone.example.com")]).await.is_ok());
    gateway.end().await;
}

#[tokio::test]
async fn the_binary_protocol_is_confirmed_and_others_are_not() {
    let gateway = Running::start().await;
    let at = gateway.at.http.unwrap();
    let mut request = format!("ws://{at}/rtmp").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("base64, binary"));
    let (_web, opened) = client_async(request, TcpStream::connect(at).await.unwrap()).await.unwrap();
    assert_eq!(opened.headers()["sec-websocket-protocol"], "binary");
    gateway.end().await;
}

#[tokio::test]
async fn text_and_messages_beyond_the_bound_end_their_own_connection_only() {
    let gateway = Running::start().await;
    let at = gateway.at.http.unwrap();
    let (web, _) = open(at, &[]).await.unwrap();
    let mut phone = Phone::over(bridge(web).await, "sip/alice@localhost", &[]).await;
    for (message, code) in [
        (Message::text("connect"), CloseCode::Unsupported),
        (Message::binary(vec![0; MESSAGE_MAX + 1]), CloseCode::Size),
    ] {
        let (mut stranger, _) = open(at, &[]).await.unwrap();
        stranger.send(message).await.unwrap();
        match timeout(PATIENCE, stranger.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.code, code),
            other => panic!("{other:?}"),
        }
    }
    gateway.metric_becomes("rtmp_connections", 1.0).await;
    phone.call("bye", &[]).await;
    assert!(matches!(phone.next().await, Some(ClientEvent::Result { .. })));
    gateway.end().await;
}

#[tokio::test]
async fn phones_over_websocket_count_against_the_same_limit_as_those_over_tcp() {
    let gateway = Running::with(|config| config.max_phones = 1).await;
    let phone = Phone::connect(gateway.at.rtmp, "sip/alice@localhost", &[]).await;
    let refused = open(gateway.at.http.unwrap(), &[]).await.unwrap_err();
    assert_eq!(refused.status(), 503);
    drop(phone);
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    assert!(open(gateway.at.http.unwrap(), &[]).await.is_ok());
    gateway.end().await;
}

#[tokio::test]
async fn a_websocket_that_says_nothing_is_closed_at_the_handshakes_deadline() {
    let gateway = Running::with(|config| config.limits.handshake = Duration::from_millis(200)).await;
    let (mut silent, _) = open(gateway.at.http.unwrap(), &[]).await.unwrap();
    assert!(matches!(timeout(PATIENCE, silent.next()).await.unwrap(), Some(Ok(Message::Close(_)))));
    gateway.metric_becomes("rtmp_connections", 0.0).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_request_without_upgrade_is_told_what_this_is_for() {
    let gateway = Running::start().await;
    let (head, body) = get(gateway.at.http.unwrap(), "/rtmp", "").await;
    assert!(head.starts_with("http/1.1 426 ") && head.contains("sec-websocket-version: 13"), "{head}");
    assert!(String::from_utf8(body).unwrap().contains("WebSocket"));
    gateway.end().await;
}

#[tokio::test]
async fn the_phone_and_its_guide_come_with_their_types_tags_and_policy() {
    let gateway =
        Running::with(|config| config.frame_ancestors = vec!["https://intranet.example".parse().unwrap()]).await;
    let at = gateway.at.http.unwrap();
    for (path, kind, piece) in [
        ("/", "text/html", &b"domain=\"localhost\""[..]),
        ("/guide.html", "text/html", gateway.at.rtmp.to_string().as_bytes()),
        ("/phone.js", "text/javascript", b"export class Phone"),
        ("/audio/speex.wasm", "application/wasm", b"\0asm"),
        ("/page.css", "text/css", b"{"),
    ] {
        let (head, body) = get(at, path, "").await;
        assert!(head.starts_with("http/1.1 200 ") && head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        assert!(body.windows(piece.len()).any(|w| w == piece), "{path}");
        assert!(head.contains("cache-control: no-cache") && head.contains("x-content-type-options: nosniff"), "{head}");
        assert!(head.contains("script-src 'self' 'wasm-unsafe-eval';"), "{head}");
        assert!(
            head.contains("frame-ancestors https://intranet.example\r\n")
                || head.ends_with("frame-ancestors https://intranet.example"),
            "{head}"
        );
        let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        let (head, body) = get(at, path, &format!("if-none-match: {tag}\r\n")).await;
        assert!(head.starts_with("http/1.1 304 ") && body.is_empty(), "{path}: {head}");
    }
    assert!(get(at, "/package.json", "").await.0.starts_with("http/1.1 404 "));
    gateway.end().await;
}

/// What a page's own server signs for its user, good for so many seconds.
fn token(address: &str, secret: &str, seconds: u64) -> String {
    support::token(&format!(r#""sub":"{address}""#), seconds, secret)
}

#[tokio::test]
async fn a_token_registers_with_the_credentials_of_the_configuration_and_a_password_is_not_taken() {
    let peer = Peer::new().await;
    let address = format!("alice@{}", peer.address());
    let account = WebAccount {
        address: address.clone(),
        login: Some("alice-auth".into()),
        password: "wonderland".into(),
        codecs: None,
    };
    let gateway = Running::with(|config| {
        config.token_secrets = vec![TokenSecret { id: None, secret: Secret(SECRET.into()) }];
        config.web_accounts = vec![account];
        config.password_arguments = false;
    })
    .await;
    let app = format!("sip/{address}");
    let connect = async |login: String, password: &str| {
        let (web, _) = open(gateway.at.http.unwrap(), &[]).await.unwrap();
        Phone::say_connect(bridge(web).await, &app, &[login.into(), password.into()])
    };

    let mut phone = connect(token(&address, SECRET, 60), "").await;
    let registrar = async {
        let register = peer.expect("REGISTER ").await;
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n0nce\", qop=\"auth\", algorithm=MD5\r\n";
        peer.answer(&register, "401 Unauthorized", challenge, "").await;
        loop {
            let register = peer.expect("REGISTER ").await;
            if register.text.contains("response=") {
                assert!(register.text.contains("username=\"alice-auth\""), "{}", register.text);
                return peer.answer(&register, "200 OK", "", "").await;
            }
        }
    };
    let (event, ()) = tokio::join!(phone.next(), registrar);
    assert!(matches!(event, Some(ClientEvent::Connected { .. })), "{event:?}");

    for (login, password, reason) in [
        (token(&address, "another secret of thirty-two bytes", 60), "", "403 The token is not valid"),
        (token("bob@example.com", SECRET, 60), "", "403 The token is for another address"),
        ("alice".into(), "guess", "403 Connect with a token"),
    ] {
        match connect(login, password).await.next().await {
            Some(ClientEvent::Rejected { info }) => assert_eq!(info.get_str("description"), Some(reason)),
            other => panic!("{other:?}"),
        }
    }
    gateway.end().await;
}
