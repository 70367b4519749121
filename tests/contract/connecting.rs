//! Sections 1 and 2: bytes before `connect`, `connect` and its answers, byte for byte.

use crate::amf::{Amf, Amf3, text, texts};
use crate::stage::LOOPBACK;
use crate::wire::{AMF0_COMMAND, AMF3_COMMAND, CONNECTION, Flash, Got, answers_digest, c1, connect};
use gateway_tests::gateway::{Gateway, GatewayOptions};
use gateway_tests::sip_peer::{RegistrarPolicy, SipPeer};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The info object of a `connect` that succeeded; `echo` is `objectEncoding: N, ` or nothing.
fn success(kind: u8, echo: &str) -> String {
    format!(
        "3 {kind} 0 \"_result\" 1 null {{level: \"status\", code: \"NetConnection.Connect.Success\", \
         description: \"Connection succeeded.\", fmsVer: \"rtmplite/8,2\", {echo}details: null}}"
    )
}

fn rejection(description: &str) -> String {
    format!(
        "3 20 0 \"_error\" 1 null {{level: \"status\", code: \"NetConnection.Connect.Rejected\", \
         description: {description:?}, fmsVer: \"rtmplite/8,2\", details: null}}"
    )
}

#[tokio::test]
async fn the_policy_file_is_served_without_a_nul_and_the_connection_closed() {
    let gateway = Gateway::start().await;
    let mut socket = TcpStream::connect(gateway.rtmp).await.unwrap();
    socket.write_all(b"<policy-file-request/>\0").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(3), socket.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("</cross-domain-policy>"), "{answer:?}");
    assert!(answer.contains("<allow-access-from domain=\"*\" to-ports=\"1935\" secure=\"false\"/>"), "{answer}");
}

#[tokio::test]
async fn a_digest_of_either_scheme_is_answered_by_a_valid_digest_of_that_scheme_and_a_signature() {
    let gateway = Gateway::start().await;
    for scheme in [0, 1] {
        let c1 = c1(scheme);
        let (mut flash, s1, s2) = Flash::open_with(gateway.rtmp, &c1).await;
        assert_eq!(answers_digest(&c1, &s1, &s2, scheme), (true, true), "scheme {scheme}");
        // Flash Player looks at these four: a server that is older than 3.0.1 has no H.264.
        assert_ne!(s1[4..8], [0; 4]);
        flash.send_connect("sip/alice@127.0.0.1", None, &[]).await;
        assert_eq!(flash.says().await, success(20, ""));
    }
}

#[tokio::test]
async fn a_c1_without_version_gets_the_simple_handshake() {
    let gateway = Gateway::start().await;
    let (mut flash, s1, _) = Flash::open_with(gateway.rtmp, &[0; 1536]).await;
    assert_eq!(s1[4..8], [0; 4]);
    flash.send_connect("sip/alice@127.0.0.1", None, &[]).await;
    assert_eq!(flash.says().await, success(20, ""));
}

#[tokio::test]
async fn an_encrypted_handshake_is_dropped() {
    let gateway = Gateway::start().await;
    let mut socket = TcpStream::connect(gateway.rtmp).await.unwrap();
    socket.write_all(&[&[6][..], &[0; 1536]].concat()).await.unwrap();
    let mut answer = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(3), socket.read_to_end(&mut answer)).await.unwrap();
    assert!(end.is_err() || answer.is_empty(), "{} bytes", answer.len());
}

#[tokio::test]
async fn the_window_is_announced_at_once_and_connect_is_answered_after_the_registrar() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    peer.set_policy(RegistrarPolicy::Silent);
    let mut flash = Flash::open(gateway.rtmp).await;
    let app = format!("sip/alice@{}", peer.domain());
    flash.send_connect(&app, None, &texts(&["alice", "secret"])).await;
    assert_eq!(flash.message().await.unwrap().to_string(), "2 5 0 40000000");
    flash.silence(Duration::from_millis(300)).await;
    // The next transmission of the REGISTER is answered.
    peer.set_policy(RegistrarPolicy::Open(180));
    let answer = flash.command().await;
    assert_eq!((answer.to_string(), answer.time), (success(20, ""), 0));
    assert!(peer.binding("alice").is_some());
}

#[tokio::test]
async fn object_encoding_is_echoed_if_it_was_sent_and_decides_the_type_of_commands() {
    let gateway = Gateway::start().await;
    for (encoding, kind, echo) in [
        (None, AMF0_COMMAND, ""),
        (Some(0.0), AMF0_COMMAND, "objectEncoding: 0, "),
        (Some(3.0), 17, "objectEncoding: 3, "),
    ] {
        let mut flash = Flash::open(gateway.rtmp).await;
        flash.send_connect("sip/alice@127.0.0.1", encoding, &[]).await;
        assert_eq!(flash.says().await, success(kind, echo));
        let id = flash.call("createStream", &[]).await;
        assert_eq!(flash.says().await, format!("3 {kind} 0 \"_result\" {id} null 1"));
        let id = flash.call("invite", &[text("")]).await;
        assert_eq!(flash.says().await, format!("3 {kind} 0 \"_result\" {id} null"));
        assert_eq!(flash.says().await, format!("3 {kind} 0 \"rejected\" 2 null \"invalid dest URI\""));
    }
}

#[tokio::test]
async fn an_object_encoding_of_neither_kind_is_rejected_with_advice_and_closed() {
    let gateway = Gateway::start().await;
    let mut flash = Flash::open(gateway.rtmp).await;
    flash.send_connect("sip/alice@127.0.0.1", Some(1.0), &[]).await;
    let advice = "Unsupported encoding 1. Please use NetConnection.defaultObjectEncoding=ObjectEncoding.AMF0";
    let all: Vec<String> = flash.rest().await.iter().map(Got::to_string).collect();
    assert_eq!(all, ["2 5 0 40000000".to_owned(), rejection(advice)]);
}

#[tokio::test]
async fn the_answer_to_connect_is_number_1_whatever_was_asked() {
    let gateway = Gateway::start().await;
    let mut flash = Flash::open(gateway.rtmp).await;
    let mut body = connect("sip/alice@127.0.0.1", None, &[]);
    body[11..19].copy_from_slice(&7f64.to_be_bytes());
    flash.send(CONNECTION, AMF0_COMMAND, 0, &body).await;
    assert_eq!(flash.says().await, success(20, ""));
}

#[tokio::test]
async fn connect_takes_none_to_four_arguments_null_undefined_or_empty() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let app = format!("sip/alice@{}", peer.domain());
    let mut cases: Vec<Vec<Amf>> = (0..=4).map(|count| vec![Amf::Null; count]).collect();
    cases.extend([texts(&["", "", "", ""]), texts(&["alice"]), vec![Amf::Undefined; 4]]);
    cases.push(vec![text("alice"), Amf::Null, text("Alice"), text("wideband")]);
    for args in cases {
        drop(Flash::connected(gateway.rtmp, &app, &args).await);
    }
    assert!(peer.log().is_empty(), "no password, no REGISTER: {:?}", peer.starts());
    // The password decides; login and display name may still be missing, by null or by their absence.
    for args in [vec![Amf::Null, text("secret")], vec![text(""), text("secret"), Amf::Null, Amf::Null]] {
        let _flash = Flash::connected(gateway.rtmp, &app, &args).await;
        assert!(peer.binding("alice").is_some(), "{args:?}");
    }
    let mut flash = Flash::open(gateway.rtmp).await;
    flash.send_connect(&app, None, &vec![Amf::Null; 5]).await;
    let answer = flash.command().await;
    assert!(answer.to_string().contains("NetConnection.Connect.Rejected"), "{answer}");
    assert!(flash.rest().await.is_empty());
}

#[tokio::test]
async fn a_rejection_says_why_once_and_the_connection_closes() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let registered = texts(&["alice", "secret"]);
    for (code, phrase) in [(403, "Forbidden"), (404, "Not Found")] {
        peer.set_policy(RegistrarPolicy::Refuse(code, phrase));
        let mut flash = Flash::open(gateway.rtmp).await;
        flash.send_connect(&format!("sip/alice@{}", peer.domain()), None, &registered).await;
        let all: Vec<String> = flash.rest().await.iter().map(Got::to_string).collect();
        assert_eq!(all, ["2 5 0 40000000".to_owned(), rejection(&format!("{code} {phrase}"))]);
    }
    // BUG of siprtmp: an empty path ended the whole server.
    let mut flash = Flash::open(gateway.rtmp).await;
    flash.send_connect("", None, &[]).await;
    assert_eq!(flash.says().await, rejection("Missing app path"));
    for app in ["sip", "live/alice@127.0.0.1", "SIP/alice@127.0.0.1"] {
        let mut flash = Flash::open(gateway.rtmp).await;
        flash.send_connect(app, None, &registered).await;
        let answer = flash.command().await;
        assert!(answer.to_string().contains("Connect.Rejected"), "{app}: {answer}");
    }
    drop(Flash::connected(gateway.rtmp, "sip/alice@127.0.0.1", &[]).await);
}

#[tokio::test]
async fn arguments_may_come_as_amf3_behind_the_marker() {
    let (gateway, mut peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let mut flash = Flash::open(gateway.rtmp).await;
    let behind = |text: &str| Amf::Behind(Amf3::Text(text.into()));
    let args = [behind("alice"), behind("secret"), Amf::Behind(Amf3::Null), behind("narrowband")];
    flash.send_connect(&format!("sip/alice@{}", peer.domain()), Some(3.0), &args).await;
    assert_eq!(flash.says().await, success(AMF3_COMMAND, "objectEncoding: 3, "));
    assert!(peer.binding("alice").is_some());

    // A string may be said by its number in the table, which one message shares from value to value.
    let uri = behind(&peer.uri("bob"));
    flash.call("invite", &[uri, behind("pcmu"), behind("dtmf"), Amf::Behind(Amf3::TextAgain(1))]).await;
    let dialog = peer.incoming().await;
    let numbers: Vec<u8> = dialog.remote_sdp.as_ref().unwrap().formats.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 101]);
    peer.refuse(&dialog, 486, "Busy Here").await;
    assert_eq!(flash.told("rejected").await, texts(&["486 Busy Here"]));

    // Integers (siprtmp's BUG: it could not read them), doubles, booleans and objects.
    let stream = flash.create_stream().await;
    let id = flash.call("deleteStream", &[Amf::Behind(Amf3::Integer(stream))]).await;
    assert_eq!(flash.says().await, format!("3 17 0 \"_result\" {id} null"));
    let id = flash.call("hold", &[Amf::Behind(Amf3::Boolean(true))]).await;
    assert_eq!(flash.says().await, format!("3 17 0 \"_result\" {id} null"));
    let object = Amf3::Object(vec![("a".into(), Amf3::Double(1.5)), ("b".into(), Amf3::Integer(0x0FFF_FFFF))]);
    let id = flash.call("hold", &[Amf::Behind(object)]).await;
    let answer = flash.says().await;
    assert!(answer.starts_with(&format!("3 17 0 \"_error\" {id} null {{level: \"error\"")), "{answer}");
}

#[tokio::test]
async fn a_second_connection_replaces_the_first_which_is_told_and_closed() {
    let (gateway, peer) = (Gateway::start().await, SipPeer::bind(LOOPBACK).await);
    let (app, args) = (format!("sip/alice@{}", peer.domain()), texts(&["alice", "secret"]));
    let mut first = Flash::connected(gateway.rtmp, &app, &args).await;
    let mut second = Flash::connected(gateway.rtmp, &app, &args).await;
    // BUG of siprtmp: the first was told nothing and stayed open for ever.
    let all: Vec<String> = first.rest().await.iter().map(Got::to_string).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].contains("\"onStatus\"") && all[0].contains("NetConnection.Connect.Closed"), "{all:?}");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(peer.binding("alice").is_some(), "the second stays registered");
    let id = second.call("bye", &[]).await;
    assert_eq!(second.says().await, format!("3 20 0 \"_result\" {id} null"));
}

#[tokio::test]
async fn a_setting_lets_several_phones_stand_for_one_address() {
    let file = gateway_tests::tools::cache_dir().join(format!("several-{}.toml", std::process::id()));
    std::fs::write(&file, "[limits]\nphones-per-address = 2\n").unwrap();
    let args = vec!["--config".to_owned(), file.display().to_string()];
    let gateway = Gateway::start_with(GatewayOptions { args, ..GatewayOptions::default() }).await;
    let peer = SipPeer::bind(LOOPBACK).await;
    let (app, args) = (format!("sip/alice@{}", peer.domain()), texts(&["alice", "secret"]));
    let mut phones = Vec::new();
    let mut contacts = Vec::new();
    for _ in 0..3 {
        phones.push(Flash::connected(gateway.rtmp, &app, &args).await);
        contacts.push(peer.binding("alice").unwrap());
    }
    // The first is one too many by now; the other two are reached each at its own contact.
    let all: Vec<String> = phones.remove(0).rest().await.iter().map(Got::to_string).collect();
    assert!(all.len() == 1 && all[0].contains("NetConnection.Connect.Closed"), "{all:?}");
    for (flash, contact) in phones.iter_mut().zip(&contacts[1..]) {
        let _calling = peer.start_invite(contact, gateway.sip, None).await;
        assert_eq!(flash.told("invited").await.len(), 2);
    }
    std::fs::remove_file(file).unwrap();
}
