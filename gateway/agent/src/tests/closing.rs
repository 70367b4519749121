use super::*;

const ONE: CallHandle = CallHandle(1);
const TWO: CallHandle = CallHandle(2);

#[test]
fn a_phone_that_goes_in_a_call_hangs_up_then_unregisters_then_is_finished() {
    let mut rig = Rig::in_outgoing_call(PCMU_PHONE);
    assert_eq!(rig.command(Command::Disconnect), ["stop", "1 BYE"]);
    assert_eq!(rig.sip(SipEvent::Ended { call: ONE }), ["un-REGISTER"]);
    assert_eq!(rig.sip(SipEvent::Unregistered), ["finished"]);
    assert_eq!(rig.agent.poll_timeout(), None);
    assert!(rig.command(invite("bob", None)).is_empty());
}

#[test]
fn an_idle_phone_that_goes_unregisters_at_once() {
    let mut rig = Rig::registered();
    assert_eq!(rig.command(Command::Disconnect), ["un-REGISTER"]);
    assert_eq!(rig.sip(SipEvent::Unregistered), ["finished"]);
}

#[test]
fn a_phone_that_vanishes_while_ringing_cancels() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    assert_eq!(rig.command(Command::Disconnect), ["1 CANCEL"]);
    let failed = SipEvent::Failed { call: ONE, status: status(487, "Request Terminated") };
    assert_eq!(rig.sip(failed), ["un-REGISTER"]);
}

#[test]
fn a_phone_that_vanishes_with_a_call_pending_is_unavailable() {
    let mut rig = Rig::registered();
    rig.sip(incoming(2, Some(PCMU_PHONE)));
    assert_eq!(rig.command(Command::Disconnect), ["2 480 Temporarily Unavailable", "un-REGISTER"]);
}

#[test]
fn a_phone_that_vanishes_before_the_ack_still_hangs_up_in_time() {
    let mut rig = Rig::registered();
    rig.sip(incoming(2, Some(PCMU_PHONE)));
    rig.command(accept(None));
    assert_eq!(rig.command(Command::Disconnect), ["stop"]);
    assert_eq!(rig.wait(Duration::from_secs(2)), ["2 BYE", "un-REGISTER"]);
    assert!(rig.sip(SipEvent::Ended { call: TWO }).is_empty());
    assert_eq!(rig.sip(SipEvent::Unregistered), ["finished"]);
}

#[test]
fn silence_of_the_network_cannot_hold_the_end_up() {
    let mut rig = Rig::in_outgoing_call(PCMU_PHONE);
    rig.command(Command::Disconnect);
    assert_eq!(rig.wait(Duration::from_secs(2)), ["un-REGISTER"]);
    assert!(rig.wait(Duration::from_millis(1_999)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1)), ["finished"]);
}

#[test]
fn a_register_on_its_way_is_waited_for_and_undone() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(alice()));
    assert!(rig.command(Command::Disconnect).is_empty());
    assert_eq!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(180) }), ["un-REGISTER"]);

    let mut rig = Rig::new();
    rig.command(Command::Connect(alice()));
    rig.command(Command::Disconnect);
    assert_eq!(rig.sip(SipEvent::RegisterFailed(status(403, "Forbidden"))), ["finished"]);
}

#[test]
fn a_refresh_that_fails_while_closing_still_unregisters() {
    let mut rig = Rig::registered();
    rig.wait(Duration::from_secs(3595));
    assert!(rig.command(Command::Disconnect).is_empty());
    assert_eq!(rig.sip(SipEvent::RegisterFailed(status(500, "Oops"))), ["un-REGISTER"]);
}

#[test]
fn a_phone_that_never_connected_is_finished_at_once() {
    assert_eq!(Rig::new().command(Command::Disconnect), ["finished"]);
}

#[test]
fn a_caller_during_the_end_is_turned_away() {
    let mut rig = Rig::registered();
    rig.command(Command::Disconnect);
    assert_eq!(rig.sip(incoming(2, Some(PCMU_PHONE))), ["2 480 Temporarily Unavailable"]);
}
