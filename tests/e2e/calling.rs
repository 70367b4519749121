//! Calls begin, ring, fail, hold and end (siprtmp contract sections 4 to 6), step by step on both sides.

use crate::stage::{LOOPBACK, PCMA, PCMU, SPEEX, Stage};
use gateway_tests::rtp::RtpPeer;
use gateway_tests::sdp::AudioSdp;
use rtmp_session::Value;
use std::time::{Duration, Instant};

const SPEEX_WORDS: &[&str] = &["wideband", "narrowband", "ulaw", "alaw", "dtmf"];

#[tokio::test]
async fn an_outgoing_call_rings_is_accepted_and_ended_by_the_phone() {
    let mut stage = Stage::registered().await;
    let mut call = stage.call_out(SPEEX_WORDS, PCMU).await;
    assert_eq!(call.accepted, ["speex".into(), Value::Null]);
    assert!(call.dialog.invite.address("From").starts_with("sip:alice@"));
    stage.phone.bye().await;
    let (bye, from) = stage.peer.request("BYE").await;
    assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    stage.phone.expect_silence(Duration::from_millis(300)).await;
    // The phone can call again at once.
    call = stage.call_out(&["pcma"], PCMA).await;
    assert_eq!(call.accepted, ["pcma".into(), Value::Null]);
}

#[tokio::test]
async fn an_outgoing_call_ended_by_the_peer_says_byed() {
    let mut stage = Stage::anonymous().await;
    let mut call = stage.call_out(SPEEX_WORDS, SPEEX).await;
    assert_eq!(call.accepted, ["speex".into(), Value::Null]);
    assert_eq!(stage.peer.bye(&mut call.dialog).await.status(), Some(200));
    assert_eq!(stage.phone.expect("byed").await, []);
}

#[tokio::test]
async fn without_a_codec_list_accepted_has_no_arguments() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&[], PCMU).await;
    assert_eq!(call.accepted, []);
    let offer = AudioSdp::parse(&call.dialog.invite.body).unwrap();
    for name in ["speex/16000", "PCMU/8000", "PCMA/8000", "telephone-event/8000"] {
        assert!(offer.payload_type(name).is_some(), "{name} is missing in {offer:?}");
    }
}

#[tokio::test]
async fn an_offer_has_the_codecs_of_the_list_in_its_order() {
    let mut stage = Stage::anonymous().await;
    stage.phone.invite(&stage.peer.uri("bob"), &["pcma", "nonsense", "narrowband", "pcma", "dtmf"]).await;
    let dialog = stage.peer.incoming().await;
    let offer = AudioSdp::parse(&dialog.invite.body).unwrap();
    let names: Vec<String> = offer.formats.iter().map(|(_, name)| name.to_ascii_lowercase()).collect();
    assert_eq!(names, ["pcma/8000", "speex/8000", "telephone-event/8000"]);
    stage.peer.refuse(&dialog, 480, "Temporarily Unavailable").await;
    assert_eq!(stage.phone.expect("rejected").await, ["480 Temporarily Unavailable".into()]);
}

#[tokio::test]
async fn a_final_failure_reaches_the_phone_as_it_was_said() {
    let mut stage = Stage::registered().await;
    for (code, phrase) in [(486, "Busy Here"), (404, "Not Found"), (603, "Decline"), (500, "Server Internal Error")] {
        stage.phone.invite(&stage.peer.uri("bob"), SPEEX_WORDS).await;
        let dialog = stage.peer.incoming().await;
        stage.peer.refuse(&dialog, code, phrase).await;
        assert_eq!(stage.phone.expect("rejected").await, [format!("{code} {phrase}").into()]);
        let end = Instant::now() + Duration::from_secs(2);
        while !stage.peer.is_acked(dialog.call_id(), dialog.invite.cseq().0) {
            assert!(Instant::now() < end, "{code} was not ACKed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn an_answer_without_a_common_codec_ends_the_call_on_both_sides() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    stage.phone.invite(&stage.peer.uri("bob"), &["wideband"]).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.answer(&dialog, &AudioSdp::new(rtp.address(), &[(18, "G729/8000")])).await;
    stage.phone.expect("rejected").await;
    let (bye, from) = stage.peer.request("BYE").await;
    stage.peer.respond(&bye, from, 200, "OK", None).await;
}

#[tokio::test]
async fn an_incoming_call_rings_is_accepted_and_ended_by_either_side() {
    let mut stage = Stage::registered().await;
    let mut call = stage.call_in(SPEEX_WORDS, PCMU).await;
    assert_eq!(call.accepted, ["speex".into(), Value::Null]);
    assert_eq!(stage.peer.bye(&mut call.dialog).await.status(), Some(200));
    stage.phone.expect("byed").await;

    let call = stage.call_in(&["pcmu"], PCMU).await;
    assert_eq!(call.accepted, ["pcmu".into(), Value::Null]);
    stage.phone.bye().await;
    let (bye, from) = stage.peer.request("BYE").await;
    assert_eq!(bye.text("Call-ID"), call.dialog.call_id());
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    stage.phone.expect_silence(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn an_incoming_call_gets_180_and_tells_the_phone_who_calls() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let contact = stage.peer.binding("alice").unwrap();
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let mut calling = stage.peer.start_invite(&contact, stage.gateway.sip, Some(&offer)).await;
    let invited = stage.phone.expect("invited").await;
    let from = format!("\"Peer\" <{}>", stage.peer.uri("peer"));
    assert_eq!(invited[0], Value::from(from));
    assert_eq!(invited.len(), 2);
    assert!(invited[1].as_str().unwrap().contains(&format!("sip:alice@{}", stage.peer.domain())), "{invited:?}");
    loop {
        let response = calling.response(Duration::from_secs(3)).await;
        if response.status() == Some(180) {
            break;
        }
        assert_eq!(response.status(), Some(100));
    }
    let (to_cancel, to_invite) = stage.peer.cancel(calling).await;
    assert_eq!((to_cancel.status(), to_invite.status()), (Some(200), Some(487)));
    assert_eq!(stage.phone.expect("cancelled").await, invited);
}

#[tokio::test]
async fn the_words_of_reject_become_the_status_that_the_caller_gets() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMU);
    let cases: [(&[Value], &str); 4] = [
        (&["486 Busy Here".into()], "SIP/2.0 486 Busy Here"),
        (&["Declined".into()], "SIP/2.0 603 Declined"),
        (&["480 Not now".into()], "SIP/2.0 480 Not now"),
        (&[], "SIP/2.0 603 Decline"),
    ];
    for (args, status) in cases {
        let contact = stage.peer.binding("alice").unwrap();
        let reject = async {
            stage.phone.expect("invited").await;
            stage.phone.call("reject", args).await.unwrap();
        };
        let (answer, ()) = tokio::join!(stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}), reject);
        assert_eq!(answer.1.start, status);
    }
}

#[tokio::test]
async fn an_offer_without_any_codec_of_ours_is_answered_488_and_rings_nowhere() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), &[(18, "G729/8000")]);
    let contact = stage.peer.binding("alice").unwrap();
    let (_, answer) = stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}).await;
    assert_eq!(answer.status(), Some(488));
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn an_offer_that_shares_no_codec_with_the_words_of_accept_is_answered_488() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    let offer = AudioSdp::new(rtp.address(), PCMA);
    let contact = stage.peer.binding("alice").unwrap();
    let accept = async {
        stage.phone.expect("invited").await;
        stage.phone.accept(&["wideband", "pcmu"]).await;
        stage.phone.expect("byed").await;
    };
    let (answer, ()) = tokio::join!(stage.peer.invite(&contact, stage.gateway.sip, Some(&offer), |_| {}), accept);
    assert_eq!(answer.1.status(), Some(488));
}

#[tokio::test]
async fn bye_while_it_rings_cancels_the_call() {
    let mut stage = Stage::registered().await;
    stage.phone.invite(&stage.peer.uri("bob"), SPEEX_WORDS).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.ring(&dialog).await;
    stage.phone.expect("ringing").await;
    stage.phone.bye().await;
    let (cancel, from) = stage.peer.request("CANCEL").await;
    assert_eq!(cancel.branch(), dialog.invite.branch());
    stage.peer.respond(&cancel, from, 200, "OK", None).await;
    stage.peer.refuse(&dialog, 487, "Request Terminated").await;
    stage.phone.expect_silence(Duration::from_millis(300)).await;
    stage.call_out(&["ulaw"], PCMU).await;
}

#[tokio::test]
async fn a_200_that_crosses_the_cancel_is_acked_and_hung_up() {
    let mut stage = Stage::registered().await;
    let rtp = RtpPeer::bind(LOOPBACK).await;
    stage.phone.invite(&stage.peer.uri("bob"), SPEEX_WORDS).await;
    let dialog = stage.peer.incoming().await;
    stage.peer.ring(&dialog).await;
    stage.phone.expect("ringing").await;
    stage.phone.bye().await;
    let (cancel, from) = stage.peer.request("CANCEL").await;
    stage.peer.respond(&cancel, from, 200, "OK", None).await;
    stage.peer.answer(&dialog, &AudioSdp::new(rtp.address(), PCMU)).await;
    let (bye, from) = stage.peer.request("BYE").await;
    stage.peer.respond(&bye, from, 200, "OK", None).await;
    stage.phone.expect_silence(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn a_second_invite_of_the_phone_is_refused_and_leaves_the_call_alone() {
    let mut stage = Stage::registered().await;
    let mut call = stage.call_out(SPEEX_WORDS, PCMU).await;
    stage.phone.invite(&stage.peer.uri("carol"), SPEEX_WORDS).await;
    assert!(matches!(stage.phone.expect("rejected").await.as_slice(), [Value::String(_)]));
    stage.peer.expect_nothing_but_ack().await;
    assert_eq!(stage.peer.bye(&mut call.dialog).await.status(), Some(200));
    stage.phone.expect("byed").await;
}

#[tokio::test]
async fn hold_stops_the_media_both_ways_and_resume_brings_it_back() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu"], PCMU).await;
    let local = AudioSdp::new(call.rtp.address(), PCMU);

    stage.phone.call("hold", &[true.into()]).await.unwrap();
    let reinvite = stage.peer.incoming().await;
    let held = reinvite.remote_sdp.clone().unwrap();
    assert!(["sendonly", "inactive"].contains(&held.direction.as_str()), "{held:?}");
    stage.peer.answer(&reinvite, &local.clone().with_direction("recvonly")).await;

    stage.phone.call("hold", &[false.into()]).await.unwrap();
    let reinvite = stage.peer.incoming().await;
    let resumed = reinvite.remote_sdp.clone().unwrap();
    assert_eq!((resumed.direction.as_str(), resumed.target), ("sendrecv", call.target()));
    stage.peer.answer(&reinvite, &local).await;
    stage.phone.expect_silence(Duration::from_millis(200)).await;
}

#[tokio::test]
async fn a_hold_of_the_peer_is_answered_in_kind_and_told_to_the_phone() {
    let mut stage = Stage::registered().await;
    let mut call = stage.call_out(SPEEX_WORDS, PCMU).await;
    let local = AudioSdp::new(call.rtp.address(), PCMU);
    let answer = stage.peer.reinvite(&mut call.dialog, &local.clone().with_direction("sendonly")).await;
    assert_eq!(answer.status(), Some(200));
    assert_eq!(AudioSdp::parse(&answer.body).unwrap().direction, "recvonly");
    assert_eq!(stage.phone.expect("holded").await, [true.into()]);
    let answer = stage.peer.reinvite(&mut call.dialog, &local).await;
    assert_eq!(AudioSdp::parse(&answer.body).unwrap().direction, "sendrecv");
    assert_eq!(stage.phone.expect("holded").await, [false.into()]);
    // The older way to hold (RFC 2543): the address 0.0.0.0.
    let zero = AudioSdp::new(([0, 0, 0, 0], call.rtp.address().port()).into(), PCMU);
    assert_eq!(stage.peer.reinvite(&mut call.dialog, &zero).await.status(), Some(200));
    assert_eq!(stage.phone.expect("holded").await, [true.into()]);
}

#[tokio::test]
async fn options_is_answered_with_what_is_allowed() {
    let stage = Stage::registered().await;
    let options = stage.peer.out_of_dialog("OPTIONS", &format!("sip:alice@{}", stage.gateway.sip));
    let answer = stage.peer.exchange(options, stage.gateway.sip).await;
    assert_eq!(answer.status(), Some(200));
    for method in ["INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"] {
        assert!(answer.text("Allow").contains(method), "{}", answer.text("Allow"));
    }
}

#[tokio::test]
async fn rtcp_reports_come_while_a_call_is_up() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu"], PCMU).await;
    stage.phone.start_media().await;
    let silence = gateway_tests::voice::PhoneVoice::Pcmu.bodies(&vec![0; 8000 * 7], 8);
    stage.phone.speak(&silence).await;
    let reports = call.rtp.rtcp_seen();
    let sender_report = reports.iter().find(|datagram| datagram.len() >= 28 && datagram[1] == 200);
    let report = sender_report.unwrap_or_else(|| panic!("no sender report in 7 s: {reports:?}"));
    // RFC 3550 section 6.4.1: the SSRC is that of our RTP, and the packet count is about what was sent by then.
    let ssrc = u32::from_be_bytes(report[4..8].try_into().unwrap());
    assert_eq!(ssrc, call.rtp.seen()[0].ssrc);
    let count = u32::from_be_bytes(report[20..24].try_into().unwrap());
    assert!((10..=350).contains(&count), "{count} packets reported");
}
