//! Sections 4 to 6: calls out, calls in, and what happens within them.

use crate::stage::{LOOPBACK, PCMU, Stage};
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use gateway_tests::sip_message::SipMessage;
use gateway_tests::sip_peer::token;
use rtmp_session::Value;
use std::time::{Duration, Instant};

/// BUG of siprtmp: numbers and `tel:` of VideoPhone's dial pad were 503, a bare name a host.
#[tokio::test]
async fn numbers_tel_and_bare_names_are_called_in_the_account_s_domain() {
    let mut stage = Stage::anonymous().await;
    let domain = stage.peer.domain();
    let cases = [
        ("+15551234", format!("sip:+15551234@{domain}")),
        // RFC 3261 section 19.1.6.
        ("tel:+1-555-1234", format!("sip:+15551234@{domain};user=phone")),
        ("123", format!("sip:123@{domain}")),
        ("bob", format!("sip:bob@{domain}")),
        // And these as they are, parameters too.
        (&format!("sip:bob@{domain};x=y"), format!("sip:bob@{domain};x=y")),
        (&format!("\"Bob\" <sip:bob@{domain}>"), format!("sip:bob@{domain}")),
        (&format!("bob@{domain}"), format!("sip:bob@{domain}")),
    ];
    for (destination, uri) in cases {
        stage.phone.invite(destination, &["pcmu"]).await;
        let dialog = stage.peer.incoming().await;
        assert_eq!(dialog.invite.uri(), uri, "{destination}");
        stage.peer.refuse(&dialog, 486, "Busy Here").await;
        stage.phone.expect("rejected").await;
    }
}

#[tokio::test]
async fn every_180_and_183_is_told_and_no_other_progress() {
    let mut stage = Stage::anonymous().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["pcmu"]).await;
    let dialog = stage.peer.incoming().await;
    let (invite, from) = (dialog.invite.clone(), stage.gateway.sip);
    for (code, phrase) in [(181, "Call Is Being Forwarded"), (182, "Queued"), (199, "Early Dialog Terminated")] {
        stage.peer.respond(&invite, from, code, phrase, None).await;
    }
    stage.phone.expect_silence(Duration::from_millis(200)).await;
    for (code, phrase) in [(180, "Ringing"), (183, "Session Progress"), (180, "Ringing")] {
        stage.peer.respond(&invite, from, code, phrase, None).await;
        let told = stage.phone.indication(Duration::from_secs(3)).await;
        assert_eq!(told, ("ringing".to_owned(), vec![Value::from(format!("{code} {phrase}"))]));
    }
    // Redirections are failures, told as they came.
    stage.peer.respond(&invite, from, 302, "Moved Temporarily", None).await;
    assert_eq!(stage.phone.expect("rejected").await, ["302 Moved Temporarily".into()]);
}

/// BUG of siprtmp: the second INVITE went out, and one of the two calls leaked.
#[tokio::test]
async fn a_second_invite_while_the_first_rings_is_refused() {
    let mut stage = Stage::anonymous().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["pcmu"]).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.ring(&dialog).await;
    stage.phone.expect("ringing").await;
    stage.phone.invite(&stage.peer.uri("carol"), &["pcmu"]).await;
    assert_eq!(stage.phone.expect("rejected").await, ["Already in an active or pending call".into()]);
    stage.peer.expect_nothing(Duration::from_millis(300)).await;
    // The first goes on.
    let rtp = RtpPeer::bind(LOOPBACK).await;
    stage.peer.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    stage.phone.expect("accepted").await;
    stage.phone.invite(&stage.peer.uri("carol"), &["pcmu"]).await;
    assert_eq!(stage.phone.expect("rejected").await, ["Already in an active or pending call".into()]);
}

#[tokio::test]
async fn a_list_without_a_codec_that_is_known_is_rejected_and_nobody_is_called() {
    let mut stage = Stage::anonymous().await;
    for words in [&["nonsense"][..], &["silk", "G729"], &["h264"], &["flv"]] {
        stage.phone.invite(&stage.peer.uri("bob"), words).await;
        let reason = stage.phone.expect("rejected").await;
        assert!(reason[0].as_str().is_some_and(|text| !text.is_empty()), "{words:?}: {reason:?}");
    }
    stage.peer.expect_nothing(Duration::from_millis(300)).await;
}

/// BUG of siprtmp: rejected, and the dialog stayed up.
#[tokio::test]
async fn a_200_without_a_description_is_rejected_and_hung_up() {
    let mut stage = Stage::anonymous().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["pcmu"]).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.respond(&dialog.invite, stage.gateway.sip, 200, "OK", None).await;
    stage.phone.expect("rejected").await;
    let (bye, from) = stage.peer.request("BYE").await;
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    assert!(stage.peer.is_acked(dialog.call_id(), dialog.invite.cseq().0));
    stage.call_out(&["pcmu"], PCMU).await;
}

/// BUG of siprtmp: the callee rang on for ever.
#[tokio::test]
async fn a_phone_that_vanishes_while_ringing_cancels() {
    let mut stage = Stage::anonymous().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["pcmu"]).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.ring(&dialog).await;
    stage.phone.expect("ringing").await;
    stage.phone.vanish();
    let (cancel, _) = stage.peer.request("CANCEL").await;
    assert_eq!(cancel.branch(), dialog.invite.branch());
}

/// BUG of siprtmp: the caller got no final answer.
#[tokio::test]
async fn a_phone_that_vanishes_with_a_call_pending_answers_480() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let contact = stage.peer.binding("alice").unwrap();
    let mut calling = stage.peer.start_invite(&contact, stage.gateway.sip, Some(&offer)).await;
    stage.phone.expect("invited").await;
    stage.phone.vanish();
    let last = loop {
        let response = calling.response(Duration::from_secs(5)).await;
        if response.status() >= Some(200) {
            break response;
        }
    };
    assert_eq!(last.status(), Some(480), "{last}");
    stage.peer.wait_binding("alice", false, Duration::from_secs(5)).await;
}

/// BUG of siprtmp: nothing happened.
#[tokio::test]
async fn bye_on_a_pending_call_declines_it() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let contact = stage.peer.binding("alice").unwrap();
    let decline = async {
        stage.phone.expect("invited").await;
        stage.phone.bye().await;
    };
    let (answer, ()) = tokio::join!(stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}), decline);
    assert_eq!(answer.1.start, "SIP/2.0 603 Decline");
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}

/// BUG of siprtmp: the newer INVITE took the older one's place, which then never got an answer.
#[tokio::test]
async fn a_second_caller_is_busy_and_the_first_still_rings() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let contact = stage.peer.binding("alice").unwrap();
    let first = stage.peer.start_invite(&contact, stage.gateway.sip, Some(&offer)).await;
    let invited = stage.phone.expect("invited").await;
    let (_, second) = stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}).await;
    assert_eq!(second.start, "SIP/2.0 486 Busy Here");
    stage.phone.expect_silence(Duration::from_millis(200)).await;
    stage.peer.cancel(first).await;
    assert_eq!(stage.phone.expect("cancelled").await, invited);
}

/// BUG of siprtmp: 488.
#[tokio::test]
async fn an_invite_without_a_description_is_answered_with_an_offer() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let contact = stage.peer.binding("alice").unwrap();
    let mut calling = stage.peer.start_invite(&contact, stage.gateway.sip, None).await;
    stage.phone.expect("invited").await;
    stage.phone.accept(&["pcmu", "dtmf"]).await;
    let answer = loop {
        let response = calling.response(Duration::from_secs(5)).await;
        if response.status() >= Some(200) {
            break response;
        }
    };
    assert_eq!(answer.status(), Some(200), "{answer}");
    let offered = AudioSdp::parse(&answer.body).expect("the 200 offers");
    assert_eq!(offered.payload_type("PCMU/8000"), Some(0));
    // RFC 3264 section 4: the answer comes with the ACK.
    let ack = SipMessage::request("ACK", answer.address("Contact"))
        .with("Via", format!("SIP/2.0/UDP {};branch={}", stage.peer.address(), token("z9hG4bK")))
        .with("Max-Forwards", "70")
        .with("From", calling.invite.text("From"))
        .with("To", answer.text("To"))
        .with("Call-ID", calling.invite.text("Call-ID"))
        .with("CSeq", "1 ACK")
        .with_sdp(&AudioSdp::new(rtp.address(), PCMU).text());
    stage.peer.send_raw(ack.to_string().as_bytes(), stage.gateway.sip).await;
    assert_eq!(stage.phone.expect("accepted").await, ["pcmu".into(), Value::Null]);
    stage.phone.start_media().await;
    stage.phone.speak(&vec![[&[0x82][..], &[0x33; 160]].concat().into(); 10]).await;
    assert_eq!(rtp.wait_for(0, Duration::from_secs(2)).await.payload, [0x33; 160]);
}

#[tokio::test]
async fn an_extension_that_is_required_is_refused_with_420() {
    let stage = Stage::registered().await;
    let contact = stage.peer.binding("alice").unwrap();
    let invite =
        stage.peer.out_of_dialog("INVITE", &contact).with("Require", "100rel").with("Contact", "<sip:p@127.0.0.1>");
    let answer = stage.peer.exchange(invite, stage.gateway.sip).await;
    assert_eq!((answer.status(), answer.text("Unsupported")), (Some(420), "100rel"));
}

/// BUG of siprtmp: it was repeated for 32 s in spite of the ACK.
#[tokio::test]
async fn the_200_of_a_reinvite_stops_at_its_ack() {
    let mut stage = Stage::anonymous().await;
    let mut call = stage.call_out(&["pcmu"], PCMU).await;
    let local = AudioSdp::new(call.rtp.address(), PCMU);
    let answer = stage.peer.reinvite(&mut call.dialog, &local.with_direction("sendonly")).await;
    assert_eq!(answer.status(), Some(200));
    // T1 is 0.5 s: without the ACK there would be two more by then.
    tokio::time::sleep(Duration::from_millis(1800)).await;
    let of_reinvite = |m: &SipMessage| m.branch() == answer.branch() && m.status() == Some(200);
    assert_eq!(stage.peer.log().iter().filter(|(_, m)| of_reinvite(m)).count(), 1, "{:?}", stage.peer.starts());
}

#[tokio::test]
async fn bye_of_the_phone_is_followed_by_no_byed_and_a_call_can_follow_at_once() {
    let mut stage = Stage::anonymous().await;
    for _ in 0..3 {
        let call = stage.call_out(&["pcmu"], PCMU).await;
        stage.phone.bye().await;
        let (bye, from) = stage.peer.request("BYE").await;
        assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
        // The answer may be late: siprtmp waited for it up to five seconds.
        stage.peer.respond(&bye, from, 200, "OK", None).await;
    }
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_phone_that_leaves_in_a_call_says_bye_first_and_then_unregisters() {
    let mut stage = Stage::registered().await;
    stage.call_out(&["pcmu"], PCMU).await;
    stage.phone.vanish();
    let (bye, from) = stage.peer.request("BYE").await;
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    stage.peer.wait_binding("alice", false, Duration::from_secs(5)).await;
    let log = stage.peer.log();
    let position = |wanted: &dyn Fn(&SipMessage) -> bool| log.iter().rposition(|(_, message)| wanted(message));
    let bye = position(&|m| m.method() == Some("BYE"));
    let register = position(&|m| m.method() == Some("REGISTER"));
    assert!(bye < register, "{:?}", stage.peer.starts());
}

/// Nobody tells a client what it did not ask for: an old one raises an error for a name that it does not define.
#[tokio::test]
async fn an_old_client_is_told_nothing_but_the_seven_indications() {
    const SEVEN: [&str; 7] = ["invited", "cancelled", "ringing", "accepted", "rejected", "byed", "holded"];
    let mut stage = Stage::registered().await;
    let mut call = stage.call_out(&["pcmu", "dtmf"], PCMU).await;
    stage.phone.start_media().await;
    // A digit, a text, and a re-INVITE from the peer.
    for end in [0, 0, 0x80, 0x80, 0x80] {
        call.rtp.send(call.target(), 101, end == 0, 0, &[5, 10 | end, 3, 32]).await;
    }
    let message = stage.peer.in_dialog(&mut call.dialog, "MESSAGE").with("Content-Type", "text/plain");
    stage.peer.exchange(message, stage.gateway.sip).await;
    let local = AudioSdp::new(call.rtp.address(), PCMU);
    stage.peer.reinvite(&mut call.dialog, &local.with_direction("sendonly")).await;
    assert_eq!(stage.peer.bye(&mut call.dialog).await.status(), Some(200));
    let end = Instant::now() + Duration::from_millis(500);
    let mut told = Vec::new();
    while let Ok(indication) = tokio::time::timeout_at(end.into(), stage.phone.indication(Duration::from_secs(9))).await
    {
        told.push(indication.0);
    }
    assert_eq!(told, ["holded", "byed"]);
    assert!(told.iter().all(|name| SEVEN.contains(&name.as_str())));
}
