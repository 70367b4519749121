//! Transfers, messages and digits in INFO, against a peer made of strings (RFC 3515, 4488, 3428, 6086).
#![allow(missing_docs, clippy::unwrap_used)]

mod sip_common;

use std::time::Duration;

use phone_agent::{CallHandle, MessageHandle, MessageTarget, SipAction, SipEvent, SipStatus};
use sip_common::{ANSWER, Got, OFFER, Rig, T1};

const CALL: CallHandle = CallHandle(1);
const MESSAGE: MessageHandle = MessageHandle(7);

fn status(code: u16, phrase: &str) -> SipStatus {
    SipStatus { code, phrase: phrase.to_owned() }
}

/// A call that the agent has made, and the peer's end of its dialog.
struct Up {
    rig: Rig,
    invite: Got,
}

impl Up {
    async fn new() -> Up {
        let mut rig = Rig::new().await;
        let target = format!("sip:bob@{}", rig.peer.address);
        rig.agent.perform(SipAction::Invite { call: CALL, target, sdp: OFFER.to_owned() });
        let invite = rig.peer.expect("INVITE").await;
        rig.peer.answer(&invite, "bob1").await;
        rig.peer.expect("ACK").await;
        assert_eq!(rig.event().await, SipEvent::Answered { call: CALL, sdp: Some(ANSWER.to_owned()) });
        Up { rig, invite }
    }

    /// A request of the peer's in the dialog. `extra` lines end in CRLF.
    async fn send(&self, method: &str, cseq: u32, extra: &str, body: &str) {
        let (uri, peer) = (self.invite.contact(), self.rig.peer.address);
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {peer};rport;branch=z9hG4bK{method}{cseq}\r\nMax-Forwards: 70\r\n\
             From: <sip:bob@{peer}>;tag=bob1\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <sip:peer@{peer}>\r\n\
             {extra}Content-Length: {}\r\n\r\n{body}",
            self.invite.get("From"),
            self.invite.get("Call-ID"),
            body.len()
        );
        self.rig.peer.send(&text, self.rig.gateway).await;
    }

    async fn notify(&self, cseq: u32, event: &str, state: &str, line: &str) {
        let extra =
            format!("Event: {event}\r\nSubscription-State: {state}\r\nContent-Type: message/sipfrag;version=2.0\r\n");
        self.send("NOTIFY", cseq, &extra, &format!("{line}\r\n")).await;
    }

    /// The code of the next response to this method.
    async fn reply(&self, method: &str) -> Got {
        loop {
            let got = self.rig.peer.expect("SIP/2.0").await;
            if got.get("CSeq").ends_with(method) {
                return got;
            }
        }
    }

    async fn refer(&self) -> Got {
        self.rig
            .agent
            .perform(SipAction::Refer { call: CALL, target: "\"Carol\" <sip:carol@example.com;x=1>".to_owned() });
        self.rig.peer.expect("REFER").await
    }
}

fn progress(code: u16, phrase: &str, last: bool) -> SipEvent {
    SipEvent::ReferProgress { call: CALL, status: status(code, phrase), last }
}

#[tokio::test]
async fn a_transfer_asks_the_peer_and_reports_what_it_notifies() {
    let mut up = Up::new().await;
    let refer = up.refer().await;
    assert_eq!(refer.get("Refer-To"), "\"Carol\" <sip:carol@example.com;x=1>");
    assert!(refer.get("Referred-By").contains("<sip:alice@"), "{}", refer.text);
    assert_eq!((refer.get("CSeq"), refer.get("Call-ID")), ("2 REFER", up.invite.get("Call-ID")));
    assert_eq!((refer.tag("To").as_str(), refer.contact()), ("bob1", up.invite.contact()));
    // The first report may come before the answer (RFC 3515 section 2.4.4).
    up.notify(1, "refer", "active;expires=60", "SIP/2.0 100 Trying").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 200);
    assert_eq!(up.rig.event().await, progress(100, "Trying", false));
    up.rig.peer.respond(&refer, "202 Accepted", "", "", "").await;
    let answered = SipEvent::ReferAnswered { call: CALL, status: status(202, "Accepted"), reports: true };
    assert_eq!(up.rig.event().await, answered);
    up.notify(2, "refer;id=2", "active", "SIP/2.0 180 Ringing").await;
    assert_eq!(up.rig.event().await, progress(180, "Ringing", false));
    up.notify(3, "refer", "terminated;reason=noresource", "SIP/2.0 200 OK").await;
    assert_eq!(up.rig.event().await, progress(200, "OK", true));
    up.rig.peer.collect(2 * T1).await;
    up.notify(4, "refer", "terminated", "SIP/2.0 200 OK").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 481, "that subscription has ended");
    up.rig.no_event(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn a_repeated_report_is_answered_again_and_told_once() {
    let mut up = Up::new().await;
    up.refer().await;
    for _ in 0..3 {
        up.notify(1, "refer", "active", "SIP/2.0 100 Trying").await;
        assert_eq!(up.reply("NOTIFY").await.status(), 200);
    }
    assert_eq!(up.rig.event().await, progress(100, "Trying", false));
    up.rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn a_peer_that_will_not_report_says_so_and_gets_no_subscription() {
    let mut up = Up::new().await;
    let refer = up.refer().await;
    up.rig.peer.respond(&refer, "202 Accepted", "", "Refer-Sub: false\r\n", "").await;
    let answered = SipEvent::ReferAnswered { call: CALL, status: status(202, "Accepted"), reports: false };
    assert_eq!(up.rig.event().await, answered);
    up.notify(1, "refer", "active", "SIP/2.0 100 Trying").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 481);
}

#[tokio::test]
async fn a_refused_or_unanswered_refer_is_told_with_its_status() {
    let mut up = Up::new().await;
    let refer = up.refer().await;
    up.rig.peer.respond(&refer, "603 Decline", "", "", "").await;
    let refused = |code, phrase| SipEvent::ReferAnswered { call: CALL, status: status(code, phrase), reports: false };
    assert_eq!(up.rig.event().await, refused(603, "Decline"));
    up.refer().await;
    assert_eq!(up.rig.event().await, refused(408, "Request timeout"));
    up.rig.agent.perform(SipAction::Refer { call: CallHandle(99), target: "sip:carol@example.com".to_owned() });
    let nowhere =
        SipEvent::ReferAnswered { call: CallHandle(99), status: status(481, "Call Does Not Exist"), reports: false };
    assert_eq!(up.rig.event().await, nowhere);
}

#[tokio::test]
async fn a_challenged_refer_is_sent_again_and_its_reports_still_count() {
    let mut up = Up::new().await;
    let refer = up.refer().await;
    let challenge = "Proxy-Authenticate: Digest realm=\"127.0.0.1\", nonce=\"n\", qop=\"auth\"\r\n";
    up.rig.peer.respond(&refer, "407 Proxy Authentication Required", "", challenge, "").await;
    let again = up.rig.peer.expect("REFER").await;
    assert_eq!((again.get("CSeq"), again.get("Refer-To")), ("3 REFER", refer.get("Refer-To")));
    assert!(again.get("Proxy-Authorization").contains("username=\"alice\""), "{}", again.text);
    up.rig.peer.respond(&again, "202 Accepted", "", "", "").await;
    assert!(matches!(up.rig.event().await, SipEvent::ReferAnswered { reports: true, .. }));
    up.notify(1, "refer;id=3", "terminated", "SIP/2.0 486 Busy Here").await;
    assert_eq!(up.rig.event().await, progress(486, "Busy Here", true));
}

#[tokio::test]
async fn a_notify_that_nobody_asked_for_and_a_refer_of_the_peers_change_nothing() {
    let mut up = Up::new().await;
    up.notify(1, "refer", "active", "SIP/2.0 200 OK").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 481);
    up.notify(2, "message-summary", "active", "x").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 489);
    up.send("NOTIFY", 3, "", "").await;
    assert_eq!(up.reply("NOTIFY").await.status(), 489);
    up.send("REFER", 4, "Refer-To: <sip:mallory@example.com>\r\n", "").await;
    let refused = up.reply("REFER").await;
    assert_eq!(refused.status(), 405);
    assert!(!refused.get("Allow").contains("REFER"));
    up.rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn digits_in_an_info_are_told_once_and_other_infos_refused() {
    let mut up = Up::new().await;
    let relay = "Content-Type: application/dtmf-relay\r\n";
    for _ in 0..2 {
        up.send("INFO", 1, relay, "Signal=5\r\nDuration=160\r\n").await;
        assert_eq!(up.reply("INFO").await.status(), 200);
    }
    assert_eq!(up.rig.event().await, SipEvent::InfoDigit { call: CALL, digit: '5' });
    up.send("INFO", 2, "Content-Type: application/dtmf\r\n", "#").await;
    assert_eq!(up.reply("INFO").await.status(), 200);
    assert_eq!(up.rig.event().await, SipEvent::InfoDigit { call: CALL, digit: '#' });
    up.send("INFO", 3, relay, "Signal=what\r\n").await;
    assert_eq!(up.reply("INFO").await.status(), 400);
    up.send("INFO", 4, "Content-Type: application/media_control+xml\r\n", "<x/>").await;
    let refused = up.reply("INFO").await;
    assert_eq!((refused.status(), refused.get("Accept")), (415, "application/dtmf-relay, application/dtmf"));
    up.rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn a_message_in_a_call_goes_through_its_dialog() {
    let mut up = Up::new().await;
    let target = MessageTarget::Call(CALL);
    up.rig.agent.perform(SipAction::SendMessage { message: MESSAGE, target, text: "grüß dich\r\nBob".to_owned() });
    let message = up.rig.peer.expect("MESSAGE").await;
    assert_eq!((message.get("CSeq"), message.get("Call-ID")), ("2 MESSAGE", up.invite.get("Call-ID")));
    assert_eq!((message.get("Content-Type"), message.body()), ("text/plain;charset=UTF-8", "grüß dich\r\nBob"));
    assert_eq!(message.get("Content-Length"), "16", "bytes");
    assert!(message.all("Contact").is_empty(), "RFC 3428 section 9");
    up.rig.peer.respond(&message, "200 OK", "", "", "").await;
    assert_eq!(up.rig.event().await, SipEvent::MessageDone { message: MESSAGE, status: status(200, "OK") });
}

#[tokio::test]
async fn a_message_of_the_peers_waits_for_the_agents_answer() {
    let mut up = Up::new().await;
    up.send("MESSAGE", 1, "Content-Type: text/plain\r\n", "hi").await;
    let from = format!("sip:bob@{}", up.rig.peer.address);
    let told = |n, text: &str| SipEvent::MessageReceived {
        message: MessageHandle(n),
        call: Some(CALL),
        from: from.clone(),
        text: text.to_owned(),
    };
    assert_eq!(up.rig.event().await, told(1, "hi"));
    assert!(up.rig.peer.collect(2 * T1).await.is_empty(), "nothing is promised yet");
    up.rig.agent.perform(SipAction::AnswerMessage { message: MessageHandle(1), status: status(200, "OK") });
    assert_eq!(up.reply("MESSAGE").await.status(), 200);
    up.send("MESSAGE", 2, "Content-Type: text/plain\r\n", "again").await;
    assert_eq!(up.rig.event().await, told(2, "again"));
    up.rig
        .agent
        .perform(SipAction::AnswerMessage { message: MessageHandle(2), status: status(405, "Method Not Allowed") });
    let refused = up.reply("MESSAGE").await;
    assert_eq!(refused.status(), 405);
    assert!(refused.get("Allow").contains("INVITE") && !refused.get("Allow").contains("MESSAGE"), "{}", refused.text);
    up.send("MESSAGE", 3, "Content-Type: text/html\r\n", "<b>").await;
    let refused = up.reply("MESSAGE").await;
    assert_eq!((refused.status(), refused.get("Accept")), (415, "text/plain"));
    up.rig.no_event(2 * T1).await;
}

#[tokio::test]
async fn a_message_outside_of_calls_is_sent_with_credentials_when_asked_for_them() {
    let mut rig = Rig::new().await;
    let target = MessageTarget::Address(format!("\"Bob\" <sip:bob@{}>", rig.peer.address));
    rig.agent.perform(SipAction::SendMessage { message: MESSAGE, target, text: "hello".to_owned() });
    let first = rig.peer.expect("MESSAGE").await;
    assert_eq!(first.start(), format!("MESSAGE sip:bob@{} SIP/2.0", rig.peer.address));
    assert_eq!((first.get("To"), first.body()), (format!("\"Bob\" <sip:bob@{}>", rig.peer.address).as_str(), "hello"));
    assert!(first.get("From").contains("\"Alice A\" <sip:alice@") && first.all("Contact").is_empty());
    let challenge = "WWW-Authenticate: Digest realm=\"127.0.0.1\", nonce=\"n\", qop=\"auth\"\r\n";
    rig.peer.respond(&first, "401 Unauthorized", "p", challenge, "").await;
    let second = rig.peer.expect("MESSAGE").await;
    assert_eq!(
        (second.get("CSeq"), second.get("Call-ID"), second.body()),
        ("2 MESSAGE", first.get("Call-ID"), "hello")
    );
    assert!(second.get("Authorization").contains("response="));
    rig.peer.respond(&second, "202 Accepted", "p", "", "").await;
    assert_eq!(rig.event().await, SipEvent::MessageDone { message: MESSAGE, status: status(202, "Accepted") });
}

#[tokio::test]
async fn a_message_that_cannot_arrive_fails_with_a_status() {
    let mut rig = Rig::new().await;
    let send = |target: String| {
        rig.agent.perform(SipAction::SendMessage {
            message: MESSAGE,
            target: MessageTarget::Address(target),
            text: "x".to_owned(),
        });
    };
    send(format!("sip:bob@{}", rig.peer.address));
    assert_eq!(
        rig.events.recv().await,
        Some(SipEvent::MessageDone { message: MESSAGE, status: status(408, "Request timeout") })
    );
    send("nonsense".to_owned());
    assert_eq!(
        rig.events.recv().await,
        Some(SipEvent::MessageDone { message: MESSAGE, status: status(400, "Invalid destination") })
    );
    send("sip:bob@nowhere.invalid".to_owned());
    assert!(matches!(rig.events.recv().await, Some(SipEvent::MessageDone { status, .. }) if status.code == 503));
    rig.agent.perform(SipAction::SendMessage {
        message: MESSAGE,
        target: MessageTarget::Call(CALL),
        text: "x".to_owned(),
    });
    assert_eq!(
        rig.event().await,
        SipEvent::MessageDone { message: MESSAGE, status: status(481, "Call Does Not Exist") }
    );
}

/// A MESSAGE outside of calls, with a number of its own.
async fn page(rig: &Rig, uri: &str, n: u32) {
    let peer = rig.peer.address;
    let text = format!(
        "MESSAGE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {peer};rport;branch=z9hG4bKpage{n}\r\nMax-Forwards: 70\r\n\
         From: \"Bob B\" <sip:bob@{peer}>;tag=b{n}\r\nTo: <{uri}>\r\nCall-ID: page-{n}\r\nCSeq: 1 MESSAGE\r\n\
         Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
    );
    rig.peer.send(&text, rig.gateway).await;
}

#[tokio::test]
async fn a_message_from_outside_reaches_the_agent_whose_contact_it_names() {
    let (mut rig, uri) = Rig::registered().await;
    page(&rig, &uri, 1).await;
    let from = format!("\"Bob B\" <sip:bob@{}>", rig.peer.address);
    let told = SipEvent::MessageReceived { message: MessageHandle(1), call: None, from, text: "hi".to_owned() };
    assert_eq!(rig.event().await, told);
    rig.agent.perform(SipAction::AnswerMessage { message: MessageHandle(1), status: status(200, "OK") });
    let ok = rig.peer.expect("SIP/2.0 200").await;
    assert!(ok.get("CSeq") == "1 MESSAGE" && !ok.tag("To").is_empty());
    // A repetition gets the same answer, and is told no second time.
    page(&rig, &uri, 1).await;
    assert_eq!(rig.peer.expect("SIP/2.0 200").await.text, ok.text);
    rig.no_event(2 * T1).await;
    page(&rig, &format!("sip:nobody@{}", rig.gateway), 2).await;
    assert_eq!(rig.peer.expect("SIP/2.0 4").await.status(), 404);
}

#[tokio::test]
async fn an_agent_that_is_not_registered_or_gone_takes_no_messages() {
    let rig = Rig::new().await;
    page(&rig, rig.agent.contact_uri(), 1).await;
    assert_eq!(rig.peer.expect("SIP/2.0 4").await.status(), 480);
    let (mut rig, uri) = Rig::registered().await;
    page(&rig, &uri, 1).await;
    assert!(matches!(rig.event().await, SipEvent::MessageReceived { .. }));
    let Rig { agent, events, peer, .. } = rig;
    drop((agent, events));
    assert_eq!(peer.expect("SIP/2.0 4").await.status(), 480, "what it had not answered");
}

#[tokio::test]
async fn messages_that_nobody_answers_do_not_pile_up() {
    let (rig, uri) = Rig::registered().await;
    for n in 0..33 {
        page(&rig, &uri, n).await;
    }
    let refused = rig.peer.expect("SIP/2.0 503").await;
    assert_eq!(refused.get("Call-ID"), "page-32");
}
