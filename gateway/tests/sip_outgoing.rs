//! Calls that an agent makes, against a callee made of strings (RFC 3261 sections 9, 13.2, 14, 15).
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::time::Duration;

use phone_agent::{CallHandle, SipAction, SipEvent, SipStatus};
use rtmp_sip_gateway::sip::SipConfig;
use sip_common::{ANSWER, Got, OFFER, Peer, Rig, T1, config};

const CALL: CallHandle = CallHandle(1);

fn status(code: u16, phrase: &str) -> SipStatus {
    SipStatus { code, phrase: phrase.to_owned() }
}

async fn invite(rig: &Rig) -> Got {
    let target = format!("\"Bob\" <sip:bob@{};x=1>", rig.peer.address);
    rig.agent.perform(SipAction::Invite { call: CALL, target, sdp: OFFER.to_owned() });
    rig.peer.expect("INVITE").await
}

/// An answered call: the INVITE and its ACK.
async fn answered(rig: &mut Rig) -> (Got, Got) {
    let invite = invite(rig).await;
    rig.peer.answer(&invite, "bob1").await;
    let ack = rig.peer.expect("ACK").await;
    assert_eq!(rig.event().await, SipEvent::Answered { call: CALL, sdp: Some(ANSWER.to_owned()) });
    (invite, ack)
}

#[tokio::test]
async fn a_call_is_made_answered_and_hung_up() {
    let mut rig = Rig::new().await;
    let invite = invite(&rig).await;
    assert_eq!(invite.start(), format!("INVITE sip:bob@{};x=1 SIP/2.0", rig.peer.address));
    assert_eq!(invite.get("To"), format!("\"Bob\" <sip:bob@{};x=1>", rig.peer.address));
    assert_eq!((invite.body(), invite.get("Content-Type"), invite.get("CSeq")), (OFFER, "application/sdp", "1 INVITE"));
    rig.peer.respond(&invite, "100 Trying", "", "", "").await;
    rig.peer.respond(&invite, "180 Ringing", "bob1", &rig.peer.contact(), "").await;
    assert_eq!(rig.event().await, SipEvent::Progress { call: CALL, status: status(180, "Ringing"), sdp: None });
    rig.peer.respond(&invite, "183 Session Progress", "bob1", &rig.peer.contact(), ANSWER).await;
    let progress =
        SipEvent::Progress { call: CALL, status: status(183, "Session Progress"), sdp: Some(ANSWER.to_owned()) };
    assert_eq!(rig.event().await, progress);
    rig.peer.answer(&invite, "bob1").await;
    let ack = rig.peer.expect("ACK").await;
    assert_eq!(ack.start(), format!("ACK sip:peer@{} SIP/2.0", rig.peer.address), "the ACK goes to the Contact");
    assert_eq!((ack.get("CSeq"), ack.tag("To").as_str()), ("1 ACK", "bob1"));
    assert_ne!(ack.branch(), invite.branch());
    assert_eq!(rig.event().await, SipEvent::Answered { call: CALL, sdp: Some(ANSWER.to_owned()) });
    rig.agent.perform(SipAction::Bye { call: CALL });
    let bye = rig.peer.expect("BYE").await;
    assert_eq!((bye.get("CSeq"), bye.get("Call-ID"), bye.tag("To").as_str()), ("2 BYE", invite.get("Call-ID"), "bob1"));
    rig.peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Ended { call: CALL });
}

#[tokio::test]
async fn every_repeated_200_gets_the_same_ack_and_one_event() {
    let mut rig = Rig::new().await;
    let (invite, first) = answered(&mut rig).await;
    for _ in 0..4 {
        rig.peer.answer(&invite, "bob1").await;
        assert_eq!(rig.peer.next().await.text, first.text);
    }
    assert!(rig.peer.collect(5 * T1).await.is_empty(), "five 200s, five ACKs");
    rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_forked_call_keeps_the_first_answer_and_ends_the_second() {
    let mut rig = Rig::new().await;
    let (invite, _) = answered(&mut rig).await;
    let other = Peer::new().await;
    rig.peer.respond(&invite, "200 OK", "bob2", &other.contact(), ANSWER).await;
    let (ack, bye) = (other.expect("ACK").await, other.expect("BYE").await);
    assert_eq!((ack.tag("To"), bye.tag("To")), ("bob2".to_owned(), "bob2".to_owned()));
    // Its repetition is acknowledged again, and not ended twice.
    rig.peer.respond(&invite, "200 OK", "bob2", &other.contact(), ANSWER).await;
    other.expect("ACK").await;
    other.respond(&bye, "200 OK", "", "", "").await;
    assert!(!other.collect(5 * T1).await.iter().any(|m| m.start().starts_with("BYE") && m.branch() != bye.branch()));
    rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_lost_invite_is_sent_again_until_something_answers() {
    let mut rig = Rig::new().await;
    let first = invite(&rig).await;
    let again = rig.peer.next().await;
    assert_eq!(again.text, first.text);
    rig.peer.respond(&again, "180 Ringing", "bob1", "", "").await;
    rig.event().await;
    assert!(rig.peer.collect(20 * T1).await.len() <= 1, "a provisional response ends the repetitions");
}

#[tokio::test]
async fn no_answer_at_all_is_seven_invites_and_a_408() {
    // The seventh is due T1 before the end: T1 is long enough here for a busy machine.
    let t1 = 3 * T1;
    let mut rig = Rig::with(SipConfig { t1, ..config() }).await;
    let target = format!("sip:bob@{}", rig.peer.address);
    rig.agent.perform(SipAction::Invite { call: CALL, target, sdp: OFFER.to_owned() });
    let (sent, event) = tokio::join!(rig.peer.collect(66 * t1), async { rig.events.recv().await });
    assert_eq!(sent.len(), 7, "timer A");
    assert_eq!(event, Some(SipEvent::Failed { call: CALL, status: status(408, "Request timeout") }));
}

#[tokio::test]
async fn a_refusal_is_acknowledged_each_time_and_told_once() {
    for line in ["486 Busy Here", "404 Nobody", "302 Moved", "503 Later", "603 Decline"] {
        let mut rig = Rig::new().await;
        let invite = invite(&rig).await;
        for _ in 0..3 {
            rig.peer.respond(&invite, line, "bob1", "", "").await;
            let ack = rig.peer.expect("ACK").await;
            assert_eq!(
                (ack.branch(), ack.tag("To").as_str(), ack.get("CSeq")),
                (invite.branch(), "bob1", "1 ACK"),
                "{line}"
            );
            assert_eq!(ack.start().split(' ').nth(1), invite.start().split(' ').nth(1));
        }
        let (code, phrase) = line.split_once(' ').unwrap();
        assert_eq!(rig.event().await, SipEvent::Failed { call: CALL, status: status(code.parse().unwrap(), phrase) });
        rig.no_event(2 * T1).await;
    }
}

#[tokio::test]
async fn a_cancel_is_kept_back_until_a_provisional_response() {
    let mut rig = Rig::new().await;
    let invite = invite(&rig).await;
    rig.agent.perform(SipAction::Cancel { call: CALL });
    assert!(rig.peer.collect(4 * T1).await.iter().all(|m| m.start().starts_with("INVITE")), "no CANCEL yet");
    rig.peer.respond(&invite, "100 Trying", "", "", "").await;
    let cancel = rig.peer.expect("CANCEL").await;
    assert_eq!(
        (cancel.branch(), cancel.get("Via"), cancel.get("CSeq")),
        (invite.branch(), invite.get("Via"), "1 CANCEL")
    );
    assert_eq!(
        (cancel.get("To"), cancel.get("From"), cancel.get("Call-ID")),
        (invite.get("To"), invite.get("From"), invite.get("Call-ID"))
    );
    assert_eq!(cancel.start().split(' ').nth(1), invite.start().split(' ').nth(1));
    // The CANCEL is lost once and comes again.
    let cancel = rig.peer.expect("CANCEL").await;
    rig.peer.respond(&cancel, "200 OK", "bob1", "", "").await;
    rig.peer.respond(&invite, "487 Request Terminated", "bob1", "", "").await;
    rig.peer.expect("ACK").await;
    assert_eq!(rig.event().await, SipEvent::Failed { call: CALL, status: status(487, "Request Terminated") });
}

#[tokio::test]
async fn a_cancel_while_ringing_goes_out_at_once() {
    let mut rig = Rig::new().await;
    let invite = invite(&rig).await;
    rig.peer.respond(&invite, "180 Ringing", "bob1", "", "").await;
    rig.event().await;
    rig.agent.perform(SipAction::Cancel { call: CALL });
    let cancel = rig.peer.expect("CANCEL").await;
    rig.peer.respond(&cancel, "200 OK", "bob1", "", "").await;
    rig.peer.respond(&invite, "487 Request Terminated", "bob1", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Failed { call: CALL, status: status(487, "Request Terminated") });
}

#[tokio::test]
async fn an_answer_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut rig = Rig::new().await;
    let invite = invite(&rig).await;
    rig.peer.respond(&invite, "180 Ringing", "bob1", "", "").await;
    rig.event().await;
    rig.agent.perform(SipAction::Cancel { call: CALL });
    rig.peer.expect("CANCEL").await;
    rig.peer.answer(&invite, "bob1").await;
    rig.peer.expect("ACK").await;
    let bye = rig.peer.expect("BYE").await;
    rig.peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Failed { call: CALL, status: status(487, "Request Terminated") });
    rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn a_callee_that_ignores_the_cancel_is_given_up() {
    let mut rig = Rig::new().await;
    let invite = invite(&rig).await;
    rig.peer.respond(&invite, "180 Ringing", "bob1", "", "").await;
    rig.event().await;
    rig.agent.perform(SipAction::Cancel { call: CALL });
    let event = rig.event().await;
    assert_eq!(event, SipEvent::Failed { call: CALL, status: status(408, "Request timeout") });
    let stack = rig.stack.clone();
    sip_common::until("transactions end", || stack.transactions() <= 1).await;
    // If it picks up after all, the call is ended, not left standing.
    rig.peer.answer(&invite, "bob1").await;
    rig.peer.expect("ACK").await;
    rig.peer.expect("BYE").await;
}

#[tokio::test]
async fn a_challenged_invite_is_sent_again_with_credentials_of_the_registered_realm() {
    let (mut rig, _) = Rig::registered().await;
    // Without a challenged REGISTER, only the domain's own name is taken for our realm.
    let host = "127.0.0.1";
    let first = invite(&rig).await;
    let challenge = format!("Proxy-Authenticate: Digest realm=\"{host}\", nonce=\"n\", qop=\"auth\"\r\n");
    rig.peer.respond(&first, "407 Proxy Authentication Required", "p", &challenge, "").await;
    let ack = rig.peer.expect("ACK").await;
    assert_eq!(ack.branch(), first.branch());
    let second = rig.peer.expect("INVITE").await;
    assert!(second.get("Proxy-Authorization").contains("username=\"alice\""));
    assert_eq!(
        (second.get("CSeq"), second.get("Call-ID"), second.tag("To").as_str()),
        ("2 INVITE", first.get("Call-ID"), "")
    );
    rig.peer.answer(&second, "bob1").await;
    let ack = rig.peer.expect("ACK").await;
    assert_eq!((ack.get("CSeq"), ack.get("Proxy-Authorization")), ("2 ACK", second.get("Proxy-Authorization")));
    assert!(matches!(rig.event().await, SipEvent::Answered { .. }));
    rig.agent.perform(SipAction::Bye { call: CALL });
    let bye = rig.peer.expect("BYE").await;
    rig.peer.respond(&bye, "407 Proxy Authentication Required", "", &challenge.replace("\"n\"", "\"m\""), "").await;
    let again = rig.peer.expect("BYE").await;
    assert!(again.get("CSeq") == "4 BYE" && again.get("Proxy-Authorization").contains("nonce=\"m\""));
    rig.peer.respond(&again, "200 OK", "", "", "").await;
    assert_eq!(rig.event().await, SipEvent::Ended { call: CALL });
}

#[tokio::test]
async fn a_strangers_challenge_is_not_answered() {
    let (mut rig, _) = Rig::registered().await;
    let stranger = Peer::new().await;
    let localhost = format!("sip:bob@localhost:{}", stranger.address.port());
    for (target, realm) in [(format!("sip:bob@{}", rig.peer.address), "evil"), (localhost, "evil")] {
        rig.agent.perform(SipAction::Invite { call: CALL, target: target.clone(), sdp: OFFER.to_owned() });
        let peer = if target.contains("localhost") { &stranger } else { &rig.peer };
        let first = peer.expect("INVITE").await;
        let line = format!("WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"n\"\r\n");
        peer.respond(&first, "401 Unauthorized", "b", &line, "").await;
        peer.expect("ACK").await;
        assert_eq!(rig.event().await, SipEvent::Failed { call: CALL, status: status(401, "Unauthorized") });
    }
    assert_eq!(rig.stack.counters().foreign_challenges.get(), 2);
}

#[tokio::test]
async fn a_reinvite_is_answered_refused_or_glares() {
    let mut rig = Rig::new().await;
    let (invite, _) = answered(&mut rig).await;
    rig.agent.perform(SipAction::Reinvite { call: CALL, sdp: OFFER.replace("4000", "0") });
    let again = rig.peer.expect("INVITE").await;
    assert_eq!(
        (again.get("CSeq"), again.tag("To").as_str(), again.get("Call-ID")),
        ("2 INVITE", "bob1", invite.get("Call-ID"))
    );
    assert_eq!(again.start(), format!("INVITE sip:peer@{} SIP/2.0", rig.peer.address));
    rig.peer.respond(&again, "100 Trying", "", "", "").await;
    // Theirs crosses ours.
    let (us, them) =
        (format!("{};tag={}", invite.get("From").split(";tag").next().unwrap(), invite.tag("From")), "bob1");
    rig.peer
        .request(rig.gateway, "INVITE", &invite.contact(), (them, &us), invite.get("Call-ID"), 50, "glare", "", OFFER)
        .await;
    assert_eq!(rig.peer.expect("SIP/2.0 491").await.get("CSeq"), "50 INVITE");
    rig.peer.answer(&again, "").await;
    assert_eq!(rig.peer.expect("ACK").await.get("CSeq"), "50 ACK".replace("50", "2"));
    assert_eq!(rig.event().await, SipEvent::Reanswered { call: CALL, sdp: Some(ANSWER.to_owned()) });
    rig.agent.perform(SipAction::Reinvite { call: CALL, sdp: OFFER.to_owned() });
    let third = rig.peer.expect("INVITE").await;
    rig.peer.respond(&third, "491 Request Pending", "", "", "").await;
    assert_eq!(rig.event().await, SipEvent::ReinviteFailed { call: CALL, status: status(491, "Request Pending") });
    rig.agent.perform(SipAction::Bye { call: CALL });
    assert_eq!(rig.peer.expect("BYE").await.get("CSeq"), "4 BYE");
}

#[tokio::test]
async fn record_routes_are_followed_in_the_dialog() {
    let mut rig = Rig::new().await;
    let proxy = Peer::new().await;
    let invite = invite(&rig).await;
    let extra = format!("Record-Route: <sip:far.invalid;lr>, <sip:{};lr>\r\n{}", proxy.address, rig.peer.contact());
    rig.peer.respond(&invite, "200 OK", "bob1", &extra, ANSWER).await;
    let ack = proxy.expect("ACK").await;
    let near = format!("<sip:{};lr>", proxy.address);
    assert_eq!(ack.all("Route"), [near.as_str(), "<sip:far.invalid;lr>"]);
    rig.event().await;
    rig.agent.perform(SipAction::Bye { call: CALL });
    assert_eq!(proxy.expect("BYE").await.all("Route").len(), 2);
}

#[tokio::test]
async fn what_cannot_be_called_fails_without_a_datagram() {
    let mut rig = Rig::new().await;
    for (target, code) in [
        ("", 400),
        ("bob", 400),
        ("sip:bob@h\r\nRoute: <sip:evil>", 400),
        ("<sip:bob@h> x", 400),
        ("sip:bob@nowhere.invalid", 503),
        ("sip:bob@192.0.2.1", 503),
        ("sip:bob@[::1]", 503),
    ] {
        rig.agent.perform(SipAction::Invite { call: CALL, target: target.to_owned(), sdp: String::new() });
        let SipEvent::Failed { status, .. } = rig.event().await else { panic!("{target:?}") };
        assert_eq!(status.code, code, "{target:?}");
    }
    assert!(rig.peer.collect(2 * T1).await.is_empty());
    rig.agent.perform(SipAction::Invite {
        call: CALL,
        target: "tel:+49-30-1234;phone-context=x".to_owned(),
        sdp: String::new(),
    });
    assert_eq!(
        rig.peer.next().await.start(),
        format!("INVITE sip:+49-30-1234@{};user=phone SIP/2.0", rig.peer.address)
    );
}

#[tokio::test]
async fn escapes_and_semicolons_of_a_target_go_out_as_they_came() {
    let rig = Rig::new().await;
    let target = format!("sip:us%65r;par=u%40example.net@{};transport=udp?Subject=x", rig.peer.address);
    rig.agent.perform(SipAction::Invite { call: CALL, target, sdp: OFFER.to_owned() });
    let invite = rig.peer.expect("INVITE").await;
    let uri = format!("sip:us%65r;par=u%40example.net@{};transport=udp", rig.peer.address);
    assert_eq!(
        (invite.start(), invite.get("To")),
        (format!("INVITE {uri} SIP/2.0").as_str(), format!("<{uri}>").as_str())
    );
}

#[tokio::test]
async fn a_dropped_agent_cancels_what_rings_and_hangs_up_what_talks() {
    let mut rig = Rig::new().await;
    let (_, _) = answered(&mut rig).await;
    let target = format!("sip:carol@{}", rig.peer.address);
    rig.agent.perform(SipAction::Invite { call: CallHandle(3), target, sdp: OFFER.to_owned() });
    let ringing = rig.peer.expect("INVITE").await;
    rig.peer.respond(&ringing, "180 Ringing", "carol", "", "").await;
    rig.event().await;
    let Rig { stack, agent, peer, .. } = rig;
    drop(agent);
    let both = [peer.next().await, peer.next().await];
    let mut methods: Vec<_> = both.iter().map(|m| m.get("CSeq").split(' ').nth(1).unwrap().to_owned()).collect();
    methods.sort();
    assert_eq!(methods, ["BYE", "CANCEL"]);
    for request in &both {
        peer.respond(request, "200 OK", "x", "", "").await;
    }
    peer.respond(&ringing, "487 Request Terminated", "carol", "", "").await;
    peer.expect("ACK").await;
    sip_common::until("nothing is left", || stack.transactions() == 0).await;
}

#[tokio::test]
async fn a_shutdown_hangs_up_and_is_quick() {
    let mut rig = Rig::new().await;
    answered(&mut rig).await;
    let (stack, peer) = (rig.stack.clone(), &rig.peer);
    let started = std::time::Instant::now();
    tokio::join!(stack.shutdown(Duration::from_secs(5)), async {
        let bye = peer.expect("BYE").await;
        peer.respond(&bye, "200 OK", "", "", "").await;
    });
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn made_up_answers_cannot_aim_us_at_others() {
    let mut rig = Rig::new().await;
    let (invite, _) = answered(&mut rig).await;
    let victim = Peer::new().await;
    for n in 0..100 {
        rig.peer.respond(&invite, "200 OK", &format!("fork{n}"), &victim.contact(), ANSWER).await;
    }
    let hit = victim.collect(3 * T1).await;
    let calls: std::collections::BTreeSet<_> = hit.iter().map(|m| m.tag("To")).collect();
    assert!(!calls.is_empty() && calls.len() <= 16, "{}", calls.len());
}
