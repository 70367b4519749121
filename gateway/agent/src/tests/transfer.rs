use super::*;

const ONE: CallHandle = CallHandle(1);

fn transfer(destination: &str) -> Command {
    Command::Transfer { destination: destination.to_owned() }
}

fn answered(code: u16, phrase: &str, reports: bool) -> SipEvent {
    SipEvent::ReferAnswered { call: ONE, status: status(code, phrase), reports }
}

fn report(code: u16, phrase: &str, last: bool) -> SipEvent {
    SipEvent::ReferProgress { call: ONE, status: status(code, phrase), last }
}

/// In a call, with a transfer that the peer has taken on.
fn transferring() -> Rig {
    let mut rig = Rig::in_subscribed_call();
    assert_eq!(rig.command(transfer("carol")), ["1 REFER sip:carol@example.com"]);
    assert!(rig.sip(answered(202, "Accepted", true)).is_empty());
    rig
}

#[test]
fn a_transfer_tells_its_progress_and_ends_the_call_when_the_other_one_answered() {
    let mut rig = transferring();
    assert_eq!(rig.sip(report(100, "Trying", false)), ["tell transferred 100 Trying"]);
    assert_eq!(rig.sip(report(180, "Ringing", false)), ["tell transferred 180 Ringing"]);
    assert_eq!(rig.sip(report(200, "OK", true)), ["tell transferred 200 OK", "stop", "1 BYE", "tell byed"]);
    assert_eq!(rig.command(invite("dave", None)).len(), 1, "the phone is free");
}

#[test]
fn a_transfer_that_fails_leaves_the_call_and_may_be_tried_again() {
    let mut rig = transferring();
    rig.sip(report(100, "Trying", false));
    assert_eq!(rig.sip(report(486, "Busy Here", true)), ["tell transferred 486 Busy Here"]);
    assert_eq!(rig.command(Command::SendDtmf { digits: "1".to_owned() }), ["digits 1"]);
    assert_eq!(rig.command(transfer("dave")), ["1 REFER sip:dave@example.com"]);
}

#[test]
fn a_refused_refer_is_told_and_leaves_the_call() {
    for (code, phrase) in [(403, "Forbidden"), (405, "Method Not Allowed"), (603, "Decline"), (503, "No way out")] {
        let mut rig = Rig::in_subscribed_call();
        rig.command(transfer("carol"));
        assert_eq!(rig.sip(answered(code, phrase, false)), [format!("tell transferred {code} {phrase}")]);
        assert_eq!(rig.command(Command::Bye), ["stop", "1 BYE"]);
    }
}

#[test]
fn a_refer_that_finds_no_dialog_ends_the_call() {
    for (code, phrase) in [(408, "Request timeout"), (481, "Call Does Not Exist")] {
        let mut rig = Rig::in_subscribed_call();
        rig.command(transfer("carol"));
        let told = [&format!("tell transferred {code} {phrase}"), "stop", "1 BYE", "tell byed"];
        assert_eq!(rig.sip(answered(code, phrase, false)), told);
    }
}

#[test]
fn a_peer_that_will_not_report_is_left_as_soon_as_it_agreed() {
    let mut rig = Rig::in_subscribed_call();
    rig.command(transfer("carol"));
    let told = ["tell transferred 202 Accepted", "stop", "1 BYE", "tell byed"];
    assert_eq!(rig.sip(answered(202, "Accepted", false)), told);
}

#[test]
fn reports_that_overtake_the_answer_count() {
    let mut rig = Rig::in_subscribed_call();
    rig.command(transfer("carol"));
    assert_eq!(rig.sip(report(100, "Trying", false)), ["tell transferred 100 Trying"]);
    assert_eq!(rig.sip(report(200, "OK", true))[0], "tell transferred 200 OK");
    assert!(rig.sip(answered(202, "Accepted", true)).is_empty());
}

#[test]
fn a_peer_that_stops_reporting_without_an_outcome_counts_as_silent() {
    let mut rig = transferring();
    assert_eq!(rig.sip(report(100, "Trying", true)), ["tell transferred 408 Request timeout"]);
    assert_eq!(rig.command(transfer("carol")).len(), 1);
}

#[test]
fn a_transfer_of_which_nothing_is_heard_any_more_ends_and_the_call_goes_on() {
    let mut rig = transferring();
    assert!(rig.wait(Duration::from_secs(100)).is_empty());
    rig.sip(report(180, "Ringing", false));
    assert!(rig.wait(Duration::from_secs(179)).is_empty(), "each report gives it time again");
    assert_eq!(rig.wait(Duration::from_secs(1)), ["tell transferred 408 Request timeout"]);
    assert!(rig.sip(report(200, "OK", true)).is_empty(), "too late");
    assert_eq!(rig.command(Command::Bye), ["stop", "1 BYE"]);
}

#[test]
fn a_peer_that_hangs_up_ends_the_transfer_with_the_call() {
    let mut rig = transferring();
    assert_eq!(rig.sip(SipEvent::Byed { call: ONE }), ["stop", "tell byed"]);
    assert!(rig.sip(report(200, "OK", true)).is_empty());
    assert!(rig.wait(Duration::from_secs(200)).is_empty());
}

#[test]
fn what_cannot_be_a_transfer_never_reaches_sip() {
    let mut rig = Rig::in_subscribed_call();
    let cases = [("", "invalid dest URI"), ("carol@x\r\nX: y", "bad destination: control character at 7")];
    for (destination, reason) in cases {
        assert_eq!(rig.command(transfer(destination)), [format!("tell transferred {reason}")]);
    }
    rig.command(transfer("carol"));
    assert_eq!(rig.command(transfer("dave")), ["tell transferred a transfer is under way"]);
    rig.command(Command::Bye);
    assert_eq!(rig.command(transfer("dave")), ["tell transferred no call"]);
}

#[test]
fn a_hold_goes_on_beside_a_transfer() {
    let mut rig = transferring();
    assert_eq!(rig.command(Command::Hold(true)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendonly"]);
    rig.sip(SipEvent::ReinviteFailed { call: ONE, status: status(491, "Request Pending") });
    assert_eq!(rig.wait(Duration::from_secs(4)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendonly"]);
    assert_eq!(rig.sip(report(200, "OK", true))[0], "tell transferred 200 OK");
}
