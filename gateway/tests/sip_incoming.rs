//! Calls that come in, from a caller made of strings (RFC 3261 sections 9.2, 12.2.2, 13.3, 14.2, 15.1.2).
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::time::Duration;

use phone_agent::{CallHandle, SipAction, SipEvent, SipStatus};
use sip_common::{ANSWER, Got, OFFER, Rig, T1};

const CALL: CallHandle = CallHandle(2);

struct Caller {
    rig: Rig,
    uri: String,
}

impl Caller {
    async fn new() -> Caller {
        let (rig, uri) = Rig::registered().await;
        Caller { rig, uri }
    }

    async fn send(&self, method: &str, to_tag: &str, cseq: u32, branch: &str, extra: &str, body: &str) {
        let to = match to_tag {
            "" => format!("<{}>", self.uri),
            tag => format!("<{}>;tag={tag}", self.uri),
        };
        self.rig
            .peer
            .request(self.rig.gateway, method, &self.uri, ("bob1", &to), "call-1", cseq, branch, extra, body)
            .await;
    }

    /// An INVITE that the agent has been told of.
    async fn invite(&mut self, body: &str) {
        self.send("INVITE", "", 10, "i1", "", body).await;
        self.rig.peer.expect("SIP/2.0 100").await;
        let sdp = (!body.is_empty()).then(|| body.to_owned());
        let from = format!("\"Bob B\" <sip:bob@{}>", self.rig.peer.address);
        assert_eq!(self.rig.event().await, SipEvent::Incoming { call: CALL, from, sdp });
    }

    /// An established call; our tag.
    async fn up(&mut self) -> String {
        self.invite(OFFER).await;
        self.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
        let tag = self.rig.peer.expect("SIP/2.0 200").await.tag("To");
        self.send("ACK", &tag, 10, "a1", "", "").await;
        assert_eq!(self.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: None });
        tag
    }

    async fn expect(&self, start: &str, cseq: &str) -> Got {
        loop {
            let got = self.rig.peer.expect(start).await;
            if got.get("CSeq") == cseq {
                return got;
            }
        }
    }
}

fn status(code: u16, phrase: &str) -> SipStatus {
    SipStatus { code, phrase: phrase.to_owned() }
}

#[tokio::test]
async fn a_call_rings_is_answered_and_ended_by_the_caller() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Ring { call: CALL });
    let ringing = c.rig.peer.expect("SIP/2.0 180").await;
    assert!(!ringing.tag("To").is_empty() && ringing.contact() == c.uri);
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
    let ok = c.rig.peer.expect("SIP/2.0 200").await;
    assert_eq!((ok.body(), ok.tag("To"), ok.contact()), (ANSWER, ringing.tag("To"), c.uri.clone()));
    assert!(ok.get("Allow").contains("BYE"));
    c.send("ACK", &ok.tag("To"), 10, "a1", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: None });
    c.send("BYE", &ok.tag("To"), 11, "b1", "", "").await;
    c.expect("SIP/2.0 200", "11 BYE").await;
    assert_eq!(c.rig.event().await, SipEvent::Byed { call: CALL });
    // Its repetition is answered from memory, a new one is for no call.
    c.send("BYE", &ok.tag("To"), 11, "b1", "", "").await;
    c.expect("SIP/2.0 200", "11 BYE").await;
    c.send("BYE", &ok.tag("To"), 12, "b2", "", "").await;
    c.expect("SIP/2.0 481", "12 BYE").await;
}

#[tokio::test]
async fn a_repeated_invite_is_one_call() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.send("INVITE", "", 10, "i1", "", OFFER).await;
    c.rig.agent.perform(SipAction::Ring { call: CALL });
    c.rig.peer.expect("SIP/2.0 180").await;
    c.send("INVITE", "", 10, "i1", "", OFFER).await;
    c.rig.peer.expect("SIP/2.0 180").await;
    c.rig.no_event(2 * T1).await;
    // The same call by another way.
    c.send("INVITE", "", 10, "i2", "", OFFER).await;
    c.rig.peer.expect("SIP/2.0 482").await;
}

#[tokio::test]
async fn the_200_is_repeated_until_the_ack_and_then_stops() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
    let first = c.rig.peer.expect("SIP/2.0 200").await;
    let gaps = [c.rig.peer.next().await, c.rig.peer.next().await, c.rig.peer.next().await];
    assert!(gaps.iter().all(|g| g.text == first.text));
    assert!(gaps[2].at - gaps[1].at > gaps[0].at - first.at, "the pauses grow");
    c.send("ACK", &first.tag("To"), 10, "a1", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: None });
    assert!(c.rig.peer.collect(20 * T1).await.len() <= 1, "after the ACK: at most one that was on its way");
}

#[tokio::test]
async fn without_an_ack_the_call_ends_with_a_bye() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
    let started = std::time::Instant::now();
    let bye = c.rig.peer.expect("BYE").await;
    let after = started.elapsed();
    assert!(after >= 60 * T1 && after < 90 * T1, "64*T1, not {after:?}");
    assert_eq!(bye.start(), format!("BYE sip:bob@{} SIP/2.0", c.rig.peer.address));
    assert_eq!((bye.tag("To").as_str(), bye.get("Call-ID")), ("bob1", "call-1"));
    assert_eq!(c.rig.event().await, SipEvent::AckMissing { call: CALL });
    c.rig.peer.respond(&bye, "200 OK", "", "", "").await;
    c.rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn an_offer_in_the_200_is_answered_in_the_ack() {
    let mut c = Caller::new().await;
    c.invite("").await;
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: OFFER.to_owned() });
    let ok = c.rig.peer.expect("SIP/2.0 200").await;
    assert_eq!(ok.body(), OFFER);
    c.send("ACK", &ok.tag("To"), 10, "a1", "", ANSWER).await;
    assert_eq!(c.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: Some(ANSWER.to_owned()) });
}

#[tokio::test]
async fn a_cancelled_call_is_487_and_told() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Ring { call: CALL });
    c.rig.peer.expect("SIP/2.0 180").await;
    c.send("CANCEL", "", 10, "i1", "", "").await;
    c.expect("SIP/2.0 200", "10 CANCEL").await;
    let end = c.expect("SIP/2.0 487", "10 INVITE").await;
    c.send("ACK", &end.tag("To"), 10, "i1", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Cancelled { call: CALL });
    // Too late to answer.
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
    assert!(!c.rig.peer.collect(5 * T1).await.iter().any(|m| m.start().starts_with("SIP/2.0 200")));
    c.send("CANCEL", "", 99, "nothing", "", "").await;
    c.expect("SIP/2.0 481", "99 CANCEL").await;
}

#[tokio::test]
async fn a_refusal_is_repeated_until_its_ack() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Refuse { call: CALL, status: status(486, "On\r\nHoliday") });
    let end = c.rig.peer.expect("SIP/2.0 486").await;
    assert_eq!(end.start(), "SIP/2.0 486 OnHoliday", "no line break gets out");
    c.rig.peer.expect("SIP/2.0 486").await;
    c.send("ACK", &end.tag("To"), 10, "i1", "", "").await;
    assert!(c.rig.peer.collect(20 * T1).await.len() <= 1);
    c.rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn who_is_not_registered_or_unknown_is_not_called() {
    let mut rig = Rig::new().await;
    rig.agent.perform(SipAction::Invite {
        call: CallHandle(1),
        target: format!("sip:b@{}", rig.peer.address),
        sdp: OFFER.to_owned(),
    });
    let contact = rig.peer.expect("INVITE").await.contact();
    for (uri, code) in
        [(contact, "480"), (format!("sip:nobody@{}", rig.gateway), "404"), (format!("sip:{}", rig.gateway), "404")]
    {
        let to = format!("<{uri}>");
        rig.peer.request(rig.gateway, "INVITE", &uri, ("bob1", &to), code, 1, code, "", OFFER).await;
        assert_eq!(rig.peer.expect(&format!("SIP/2.0 {code}")).await.get("Call-ID"), code);
    }
    rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_reinvite_from_the_peer_is_answered_or_refused() {
    let mut c = Caller::new().await;
    let tag = c.up().await;
    c.send("INVITE", &tag, 11, "r1", "", OFFER).await;
    assert_eq!(c.rig.event().await, SipEvent::Reinvited { call: CALL, sdp: Some(OFFER.to_owned()) });
    c.send("INVITE", &tag, 12, "r2", "", OFFER).await;
    assert!(!c.expect("SIP/2.0 500", "12 INVITE").await.get("Retry-After").is_empty());
    c.rig.agent.perform(SipAction::AnswerReinvite { call: CALL, answer: Ok(ANSWER.to_owned()) });
    assert_eq!(c.expect("SIP/2.0 200", "11 INVITE").await.body(), ANSWER);
    c.send("ACK", &tag, 11, "a2", "", "").await;
    assert!(
        !c.rig.peer.collect(20 * T1).await.iter().skip(1).any(|m| m.get("CSeq") == "11 INVITE"),
        "the 200 stops at its ACK"
    );
    c.send("INVITE", &tag, 13, "r3", "", OFFER).await;
    c.rig.event().await;
    c.rig.agent.perform(SipAction::AnswerReinvite { call: CALL, answer: Err(status(488, "Not Acceptable Here")) });
    c.expect("SIP/2.0 488", "13 INVITE").await;
    c.send("ACK", &tag, 13, "r3", "", "").await;
    c.send("INVITE", &tag, 14, "r4", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Reinvited { call: CALL, sdp: None });
    c.rig.agent.perform(SipAction::AnswerReinvite { call: CALL, answer: Ok(OFFER.to_owned()) });
    c.expect("SIP/2.0 200", "14 INVITE").await;
    c.send("ACK", &tag, 14, "a4", "", ANSWER).await;
    assert_eq!(c.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: Some(ANSWER.to_owned()) });
    c.rig.agent.perform(SipAction::Bye { call: CALL });
    let bye = c.rig.peer.expect("BYE").await;
    c.rig.peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Ended { call: CALL });
}

#[tokio::test]
async fn a_bye_before_the_ack_waits_for_it() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    c.rig.agent.perform(SipAction::Answer { call: CALL, sdp: ANSWER.to_owned() });
    let ok = c.rig.peer.expect("SIP/2.0 200").await;
    c.rig.agent.perform(SipAction::Bye { call: CALL });
    assert!(!c.rig.peer.collect(3 * T1).await.iter().any(|m| m.start().starts_with("BYE")));
    c.send("ACK", &ok.tag("To"), 10, "a1", "", "").await;
    let bye = c.rig.peer.expect("BYE").await;
    c.rig.peer.respond(&bye, "200 OK", "", "", "").await;
    assert_eq!(c.rig.event().await, SipEvent::Acknowledged { call: CALL, sdp: None });
    assert_eq!(c.rig.event().await, SipEvent::Ended { call: CALL });
}

#[tokio::test]
async fn what_a_dialog_does_not_know_is_refused_with_allow() {
    let mut c = Caller::new().await;
    let tag = c.up().await;
    for (at, method, code) in [
        (20, "OPTIONS", "200"),
        (23, "UPDATE", "405"),
        (24, "REFER", "405"),
        (25, "SUBSCRIBE", "405"),
        (26, "PUBLISH", "405"),
    ] {
        c.send(method, &tag, at, method, "", "").await;
        let reply = c.expect(&format!("SIP/2.0 {code}"), &format!("{at} {method}")).await;
        assert!(reply.get("Allow").contains("INVITE"), "{method}");
    }
    c.send("OPTIONS", &tag, 3, "late", "", "").await;
    c.expect("SIP/2.0 500", "3 OPTIONS").await;
    c.send("OPTIONS", "someone-else", 30, "other", "", "").await;
    c.expect("SIP/2.0 481", "30 OPTIONS").await;
    c.rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn too_many_calls_at_once_are_busy() {
    let mut c = Caller::new().await;
    for n in 0..9 {
        let (id, to) = (format!("many-{n}"), format!("<{}>", c.uri));
        c.rig.peer.request(c.rig.gateway, "INVITE", &c.uri, ("bob1", &to), &id, 1, &id, "", OFFER).await;
    }
    assert_eq!(c.rig.peer.expect("SIP/2.0 486").await.get("Call-ID"), "many-8");
    for _ in 0..8 {
        assert!(matches!(c.rig.event().await, SipEvent::Incoming { .. }));
    }
}

#[tokio::test]
async fn a_dropped_agent_answers_its_caller() {
    let mut c = Caller::new().await;
    c.invite(OFFER).await;
    let Rig { agent, peer, events, .. } = c.rig;
    drop((agent, events));
    let end = peer.expect("SIP/2.0 480").await;
    assert_eq!(end.get("CSeq"), "10 INVITE");
}
