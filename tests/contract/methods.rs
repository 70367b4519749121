//! Section 3: what a client may call, what it is answered, and in which order.

use crate::amf::{Amf, text};
use crate::stage::{LOOPBACK, PCMU, Stage};
use crate::wire::{AMF0_COMMAND, CONNECTION, Flash, command};
use gateway_tests::gateway::Gateway;
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_peer::SipPeer;
use rtmp_session::Value;
use std::time::Duration;

#[tokio::test]
async fn every_method_is_answered_by_a_bare_result_before_its_effect() {
    let gateway = Gateway::start().await;
    let mut flash = Flash::connected(gateway.rtmp, "sip/alice@127.0.0.1", &[]).await;
    let idle: &[(&str, &[Amf])] = &[
        ("accept", &[]),
        ("reject", &[]),
        ("reject", &[text("Declined")]),
        ("reject", &[Amf::Null]),
        ("bye", &[]),
        ("sendDTMF", &[text("5")]),
        ("hold", &[Amf::Boolean(true)]),
        ("hold", &[Amf::Boolean(false)]),
    ];
    // Without a call they do nothing, and say nothing.
    for (name, args) in idle {
        let id = flash.call(name, args).await;
        assert_eq!(flash.says().await, format!("3 20 0 \"_result\" {id} null"), "{name}");
    }
    let id = flash.call("invite", &[Amf::Null]).await;
    assert_eq!(flash.says().await, format!("3 20 0 \"_result\" {id} null"));
    assert_eq!(flash.says().await, "3 20 0 \"rejected\" 2 null \"invalid dest URI\"");
    // A call without a number is answered with number 0: Flash expects no less when it gave no responder.
    flash.send(CONNECTION, AMF0_COMMAND, 0, &command(AMF0_COMMAND, "bye", 0.0, &[])).await;
    assert_eq!(flash.says().await, "3 20 0 \"_result\" 0 null");
    flash.silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn calls_of_the_server_count_from_2_and_answers_to_them_are_accepted() {
    let gateway = Gateway::start().await;
    let mut flash = Flash::connected(gateway.rtmp, "sip/alice@127.0.0.1", &[]).await;
    for number in 2..6 {
        flash.call("invite", &[text("")]).await;
        flash.command().await;
        assert_eq!(flash.says().await, format!("3 20 0 \"rejected\" {number} null \"invalid dest URI\""));
        for name in ["_result", "_error"] {
            flash.send(CONNECTION, AMF0_COMMAND, 0, &command(AMF0_COMMAND, name, number.into(), &[])).await;
        }
    }
    // Answers to nothing do no harm either.
    flash.send(CONNECTION, AMF0_COMMAND, 0, &command(AMF0_COMMAND, "_result", 77.0, &[Amf::Null])).await;
    let id = flash.call("bye", &[]).await;
    assert_eq!(flash.says().await, format!("3 20 0 \"_result\" {id} null"));
}

#[tokio::test]
async fn siprtmp_s_internals_cannot_be_called() {
    let mut peer = SipPeer::bind(LOOPBACK).await;
    let gateway = Gateway::start().await;
    let app = format!("sip/alice@{}", peer.domain());
    let mut flash = Flash::connected(gateway.rtmp, &app, &[]).await;
    for name in ["register", "unregister", "data", "rtmp_register", "__init__"] {
        let id = flash.call(name, &[text("mallory"), text("secret")]).await;
        let answer = flash.says().await;
        assert!(answer.starts_with(&format!("3 20 0 \"_error\" {id} null {{level: \"error\"")), "{name}: {answer}");
        assert!(answer.contains("description: \"no method"), "{answer}");
    }
    peer.expect_nothing(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn the_words_of_reject_null_and_empty_ones_too_become_a_status() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let contact = stage.peer.binding("alice").unwrap();
    let cases: [(&[Value], &str); 6] = [
        // BUG of siprtmp: with null nothing was sent and the call stayed.
        (&[Value::Null], "SIP/2.0 603 Decline"),
        (&["".into()], "SIP/2.0 603 Decline"),
        (&["486".into()], "SIP/2.0 486 Busy Here"),
        (&["404 Not Found".into()], "SIP/2.0 404 Not Found"),
        (&["Not 404".into()], "SIP/2.0 603 Not 404"),
        // A refusal that would accept is none.
        (&["200 OK".into()], "SIP/2.0 603 200 OK"),
    ];
    for (args, status) in cases {
        let reject = async {
            stage.phone.expect("invited").await;
            stage.phone.call("reject", args).await.unwrap();
        };
        let (answer, ()) = tokio::join!(stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}), reject);
        assert_eq!(answer.1.start, status);
    }
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}
