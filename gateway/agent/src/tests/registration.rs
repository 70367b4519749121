use super::*;

#[test]
fn connect_with_a_password_succeeds_only_after_the_registrar_said_so() {
    let mut rig = Rig::new();
    assert_eq!(rig.command(Command::Connect(alice())), ["REGISTER 180"]);
    let granted = SipEvent::Registered { expires: Duration::from_secs(180) };
    assert_eq!(rig.sip(granted), ["tell connected"]);
}

#[test]
fn connect_without_a_password_succeeds_at_once_and_never_registers() {
    for password in [None, Some(String::new())] {
        let mut rig = Rig::new();
        assert_eq!(rig.command(Command::Connect(Account { password, ..alice() })), ["tell connected"]);
        assert!(rig.wait(Duration::from_secs(1000)).is_empty());
        assert_eq!(
            rig.command(invite("bob", None))[0],
            "1 INVITE sip:bob@example.com [96 9 98 0 8 111 101 100 106 13] sendrecv"
        );
        assert_eq!(rig.command(Command::Disconnect), ["1 CANCEL"]);
        let cancelled = SipEvent::Failed { call: CallHandle(1), status: status(487, "Request Terminated") };
        assert_eq!(rig.sip(cancelled), ["finished"]);
    }
}

#[test]
fn a_refused_registration_is_told_once_with_the_status() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(alice()));
    let refused = SipEvent::RegisterFailed(status(403, "Forbidden"));
    assert_eq!(rig.sip(refused.clone()), ["tell connect rejected: 403 Forbidden"]);
    assert!(rig.sip(refused).is_empty());
    assert_eq!(rig.command(invite("bob", None)), ["tell rejected Registration required before making a call"]);
    assert_eq!(rig.command(Command::Disconnect), ["finished"]);
}

#[test]
fn an_account_that_cannot_stand_in_a_header_is_refused_without_a_sip_message() {
    let cases = [
        (Account { address: "alice".to_owned(), ..alice() }, "bad address: no @domain at 5"),
        (Account { address: "alice@x\r\nRoute: y".to_owned(), ..alice() }, "bad address: control character at 7"),
        (Account { login: Some("a\nb".to_owned()), ..alice() }, "bad login: control character at 1"),
        (Account { display_name: Some("A\0".to_owned()), ..alice() }, "bad display name: control character at 1"),
    ];
    for (account, reason) in cases {
        let mut rig = Rig::new();
        assert_eq!(rig.command(Command::Connect(account)), [format!("tell connect rejected: {reason}")]);
    }
}

#[test]
fn calls_before_the_registration_are_refused() {
    let mut rig = Rig::new();
    let refused = ["tell rejected Registration required before making a call"];
    assert_eq!(rig.command(invite("bob", None)), refused);
    rig.command(Command::Connect(alice()));
    assert_eq!(rig.command(invite("bob", None)), refused);
    assert_eq!(rig.sip(incoming(2, None)), ["2 480 Temporarily Unavailable"]);
}

#[test]
fn without_a_password_nobody_can_call() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(Account { password: None, ..alice() }));
    assert_eq!(rig.sip(incoming(2, None)), ["2 480 Temporarily Unavailable"]);
}

#[test]
fn a_registration_is_refreshed_before_it_ends() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(alice()));
    rig.sip(SipEvent::Registered { expires: Duration::from_secs(10) });
    assert!(rig.wait(Duration::from_millis(9_499)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1)), ["REGISTER 180"]);
    assert!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(180) }).is_empty());
    assert!(rig.wait(Duration::from_millis(174_999)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1)), ["REGISTER 180"]);
}

#[test]
fn a_failed_refresh_is_tried_again_and_costs_no_call() {
    let mut rig = Rig::in_outgoing_call(SPEEX_PHONE);
    assert_eq!(rig.wait(Duration::from_secs(3595)), ["REGISTER 180"]);
    for longest in [Duration::from_millis(2_500), Duration::from_secs(5)] {
        assert!(rig.sip(SipEvent::RegisterFailed(status(408, "Request timeout"))).is_empty());
        assert_eq!(rig.wait(longest), ["REGISTER 180"]);
    }
    assert_eq!(rig.command(Command::SendDtmf { digits: "1".to_owned() }), ["digits 1"]);
    assert!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(180) }).is_empty());
    assert_eq!(rig.command(Command::Bye), ["stop", "1 BYE"]);
}

#[test]
fn a_refused_refresh_waits_long() {
    let mut rig = Rig::registered();
    rig.wait(Duration::from_secs(3595));
    rig.sip(SipEvent::RegisterFailed(status(403, "Forbidden")));
    assert!(rig.wait(Duration::from_secs(20 * 60)).is_empty());
    assert_eq!(rig.wait(Duration::from_secs(20 * 60)), ["REGISTER 180"]);
}

#[test]
fn a_second_connect_changes_nothing() {
    let mut rig = Rig::registered();
    assert!(rig.command(Command::Connect(Account { password: None, ..alice() })).is_empty());
    assert_eq!(rig.command(Command::Disconnect), ["un-REGISTER"]);
}
