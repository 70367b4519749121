use super::*;
use crate::rights::Pattern;

fn restricted(rights: Rights) -> Rig {
    let mut rig = Rig::new();
    rig.command(Command::Subscribe(Topics::all()));
    rig.command(Command::Connect(Account { rights, ..alice() }));
    rig.sip(SipEvent::Registered { expires: Duration::from_secs(36_000) });
    rig
}

fn only(pattern: &str) -> Rights {
    Rights { destinations: Some(vec![Pattern::parse(pattern).unwrap()]), ..Rights::default() }
}

fn answered(call: u64) -> SipEvent {
    SipEvent::Answered { call: CallHandle(call), sdp: Some(peer_sdp(SPEEX_PHONE)) }
}

#[test]
fn a_phone_with_a_list_of_destinations_reaches_those_and_nobody_else_by_any_method() {
    let mut rig = restricted(only("bob"));
    assert_eq!(rig.command(invite("eve", None)), ["tell rejected 403 sip:eve@example.com is not allowed"]);
    assert_eq!(rig.command(invite("bob", None)).len(), 1);
    rig.sip(answered(1));
    let transfer = Command::Transfer { destination: "sip:bob@evil.example".to_owned() };
    assert_eq!(rig.command(transfer), ["tell transferred 403 sip:bob@evil.example is not allowed"]);
    let text = |destination: &str| Command::SendPagingMessage {
        message: MessageHandle(1),
        destination: destination.to_owned(),
        text: "hi".to_owned(),
    };
    assert_eq!(rig.command(text("eve")), ["tell failed 1: 403 sip:eve@example.com is not allowed"]);
    assert_eq!(rig.command(text("bob")), ["MESSAGE 1 sip:bob@example.com: hi"]);
}

#[test]
fn a_phone_makes_no_more_calls_than_it_may_and_takes_any_number() {
    let mut rig = restricted(Rights { calls: Some(2), ..Rights::default() });
    for call in [1, 3] {
        assert_eq!(rig.command(invite("bob", None)).len(), 1);
        rig.sip(SipEvent::Failed { call: CallHandle(call), status: status(486, "Busy Here") });
    }
    assert_eq!(rig.command(invite("bob", None)), ["tell rejected 403 No more calls are allowed"]);
    rig.sip(incoming(2, Some(SPEEX_PHONE)));
    assert!(rig.command(accept(None)).iter().any(|line| line.starts_with("2 200")));
}

#[test]
fn a_call_ends_when_it_has_lasted_as_long_as_it_may() {
    let mut rig = restricted(Rights { call_length: Some(Duration::from_secs(60)), ..Rights::default() });
    rig.command(invite("bob", None));
    rig.wait(Duration::from_secs(100));
    rig.sip(answered(1));
    rig.command(Command::Hold(true));
    assert!(rig.wait(Duration::from_millis(59_999)).is_empty(), "ringing and holding change nothing");
    assert_eq!(rig.wait(Duration::from_millis(1)), ["stop", "1 BYE", "tell byed"]);
    assert_eq!(rig.command(invite("bob", None)).len(), 1, "the next one may last as long again");
}
