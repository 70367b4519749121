use super::*;
use crate::limits::{MAX_MESSAGE_RECEIVED, MAX_MESSAGE_SENT, MAX_MESSAGES_UNDER_WAY, MESSAGE_BURST, MESSAGE_INTERVAL};

const ONE: CallHandle = CallHandle(1);

fn send(message: u64, text: &str) -> Command {
    Command::SendMessage { message: MessageHandle(message), text: text.to_owned() }
}

fn page(message: u64, destination: &str, text: &str) -> Command {
    let destination = destination.to_owned();
    Command::SendPagingMessage { message: MessageHandle(message), destination, text: text.to_owned() }
}

fn done(message: u64, code: u16, phrase: &str) -> SipEvent {
    SipEvent::MessageDone { message: MessageHandle(message), status: status(code, phrase) }
}

fn received(message: u64, call: Option<u64>, text: &str) -> SipEvent {
    let (message, call) = (MessageHandle(message), call.map(CallHandle));
    SipEvent::MessageReceived { message, call, from: "sip:bob@192.0.2.1".to_owned(), text: text.to_owned() }
}

#[test]
fn a_message_goes_to_the_peer_of_the_call_and_its_fate_is_told() {
    let mut rig = Rig::in_subscribed_call();
    assert_eq!(rig.command(send(1, "hello")), ["1 MESSAGE 1: hello"]);
    assert_eq!(rig.command(send(2, "grüß dich\nBob")), ["1 MESSAGE 2: grüß dich\nBob"]);
    assert_eq!(rig.sip(done(2, 415, "Unsupported Media Type")), ["tell failed 2: 415 Unsupported Media Type"]);
    assert_eq!(rig.sip(done(1, 202, "Accepted")), ["tell sent 1"]);
    assert!(rig.sip(done(1, 200, "OK")).is_empty(), "once");
}

#[test]
fn a_page_goes_to_anybody_with_or_without_a_call() {
    let mut rig = Rig::registered();
    rig.command(Command::Subscribe(Topics::all()));
    assert_eq!(rig.command(page(1, "carol", "hi")), ["MESSAGE 1 sip:carol@example.com: hi"]);
    assert_eq!(rig.sip(done(1, 404, "Not Found")), ["tell failed 1: 404 Not Found"]);
    rig.command(invite("bob", None));
    assert_eq!(rig.command(page(2, "\"D\" <sip:d@192.0.2.9>", "hi")), ["MESSAGE 2 \"D\" <sip:d@192.0.2.9>: hi"]);
}

#[test]
fn what_cannot_be_sent_fails_with_a_reason() {
    let mut rig = Rig::new();
    rig.command(Command::Subscribe(Topics::all()));
    assert_eq!(rig.command(page(1, "bob", "hi")), ["tell failed 1: not connected"]);
    rig.command(Command::Connect(Account { password: None, ..alice() }));
    let long = "x".repeat(MAX_MESSAGE_SENT + 1);
    let cases = [
        (send(2, "hi"), "tell failed 2: no call"),
        (page(3, "", "hi"), "tell failed 3: invalid dest URI"),
        (page(4, "a@b\r\nc", "hi"), "tell failed 4: bad destination: control character at 3"),
        (page(5, "bob", ""), "tell failed 5: empty message"),
        (page(6, "bob", &long), "tell failed 6: message longer than 800 bytes"),
    ];
    for (command, told) in cases {
        assert_eq!(rig.command(command), [told]);
    }
    assert_eq!(rig.command(page(7, "bob", &long[1..])).len(), 1, "the longest");
    rig.command(invite("bob", None));
    assert_eq!(rig.command(send(8, "hi")), ["tell failed 8: no call"], "it only rings");
}

#[test]
fn messages_without_answers_are_bounded() {
    let mut rig = Rig::in_subscribed_call();
    for n in 0..MAX_MESSAGES_UNDER_WAY as u64 {
        assert_eq!(rig.command(send(n, "x")), [format!("1 MESSAGE {n}: x")]);
    }
    assert_eq!(rig.command(send(100, "x")), ["tell failed 100: too many messages"]);
    rig.sip(done(0, 200, "OK"));
    assert_eq!(rig.command(send(101, "x")), ["1 MESSAGE 101: x"]);
}

#[test]
fn messages_are_sent_no_faster_than_their_pace() {
    let mut rig = Rig::in_subscribed_call();
    let mut number = 0;
    let mut try_one = |rig: &mut Rig| {
        number += 1;
        let sent = rig.command(send(number, "x"))[0].starts_with("1 MESSAGE");
        rig.sip(done(number, 200, "OK"));
        sent
    };
    let at_once = (0..100).filter(|_| try_one(&mut rig)).count();
    assert_eq!(at_once, MESSAGE_BURST as usize);
    rig.wait(MESSAGE_INTERVAL);
    assert!(try_one(&mut rig) && !try_one(&mut rig));
}

#[test]
fn a_text_is_told_by_the_name_for_its_place_and_answered_200() {
    let mut rig = Rig::in_subscribed_call();
    assert_eq!(rig.sip(received(2, Some(1), "hi")), ["tell message sip:bob@192.0.2.1: hi", "MESSAGE 2 200 OK"]);
    assert_eq!(rig.sip(received(4, None, "yo")), ["tell page sip:bob@192.0.2.1: yo", "MESSAGE 4 200 OK"]);
}

#[test]
fn a_text_for_a_phone_that_did_not_ask_for_such_is_refused_and_not_told() {
    let mut rig = Rig::in_outgoing_call(SPEEX_PHONE);
    assert_eq!(rig.sip(received(2, Some(1), "hi")), ["MESSAGE 2 405 Method Not Allowed"]);
    rig.command(Command::Subscribe([Topic::ReceivedMessage].into_iter().collect()));
    assert_eq!(rig.sip(received(4, None, "hi")), ["MESSAGE 4 405 Method Not Allowed"]);
    assert_eq!(rig.sip(received(6, Some(1), "hi")).len(), 2);
}

#[test]
fn texts_that_are_too_long_or_too_many_are_refused() {
    let mut rig = Rig::in_subscribed_call();
    let long = "x".repeat(MAX_MESSAGE_RECEIVED + 1);
    assert_eq!(rig.sip(received(2, None, &long)), ["MESSAGE 2 413 Request Entity Too Large"]);
    let taken = (0..100).filter(|n| rig.sip(received(4 + n, Some(1), "x")).len() == 2).count();
    assert_eq!(taken, MESSAGE_BURST as usize);
    assert_eq!(rig.sip(received(200, Some(1), "x")), ["MESSAGE 200 503 Too many messages"]);
    rig.wait(MESSAGE_INTERVAL);
    assert_eq!(rig.sip(received(202, Some(1), "x")).len(), 2);
}

#[test]
fn a_text_from_a_call_that_the_phone_has_left_is_not_told() {
    let mut rig = Rig::in_subscribed_call();
    rig.command(Command::Bye);
    assert_eq!(rig.sip(received(2, Some(1), "wait")), ["MESSAGE 2 480 Temporarily Unavailable"]);
}

#[test]
fn a_text_for_a_phone_that_is_gone_is_refused() {
    let mut rig = Rig::in_subscribed_call();
    rig.command(Command::Disconnect);
    assert_eq!(rig.sip(received(2, None, "hi")), ["MESSAGE 2 480 Temporarily Unavailable"]);
    assert!(rig.sip(SipEvent::InfoDigit { call: ONE, digit: '1' }).is_empty());
}
