use super::*;

const ONE: CallHandle = CallHandle(1);

fn reinvited(lines: &str) -> SipEvent {
    SipEvent::Reinvited { call: ONE, sdp: Some(peer_sdp(lines)) }
}

fn reanswered(lines: &str) -> SipEvent {
    SipEvent::Reanswered { call: ONE, sdp: Some(peer_sdp(lines)) }
}

fn reinvite_failed(code: u16) -> SipEvent {
    SipEvent::ReinviteFailed { call: ONE, status: status(code, "No") }
}

#[test]
fn hold_offers_sendonly_and_resume_both_ways() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    assert_eq!(rig.command(Command::Hold(true)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendonly"]);
    assert_eq!(rig.sip(reanswered("m=audio 4000 RTP/AVP 0|a=recvonly")), ["update Pcmu sendonly"]);
    assert!(rig.command(Command::Hold(true)).is_empty(), "held already");
    assert_eq!(rig.command(Command::Hold(false)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendrecv"]);
    assert_eq!(rig.sip(reanswered("m=audio 4000 RTP/AVP 0")), ["update Pcmu sendrecv"]);
}

#[test]
fn the_address_stays_while_holding() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    let sent = rig.raw(Input::Command(Command::Hold(true)));
    let Output::Sip(SipAction::Reinvite { sdp, .. }) = &sent[0] else { panic!("{sent:?}") };
    assert!(sdp.contains("c=IN IP4 198.51.100.7\r\n"), "{sdp}");
    assert!(sdp.contains("o=- 501 2 IN IP4"), "a new version of the same session: {sdp}");
}

#[test]
fn hold_without_a_call_does_nothing() {
    let mut rig = Rig::registered();
    assert!(rig.command(Command::Hold(true)).is_empty());
    rig.command(invite("bob", None));
    assert!(rig.command(Command::Hold(true)).is_empty());
}

#[test]
fn a_change_of_mind_while_the_hold_is_open_follows_it() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    assert!(rig.command(Command::Hold(false)).is_empty());
    let next = rig.sip(reanswered("m=audio 4000 RTP/AVP 0|a=recvonly"));
    assert_eq!(next, ["update Pcmu sendonly", "1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendrecv"]);
}

#[test]
fn a_refused_hold_leaves_the_call_as_it_was() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    assert!(rig.sip(reinvite_failed(488)).is_empty());
    assert_eq!(rig.sip(reinvited("m=audio 4000 RTP/AVP 0")), ["1 re-200 [0] sendrecv"]);
    assert_eq!(rig.command(Command::Hold(true)), ["1 re-INVITE [0] sendonly"]);
}

#[test]
fn a_reinvite_that_finds_no_dialog_ends_the_call() {
    for code in [408, 481] {
        let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
        rig.command(Command::Hold(true));
        assert_eq!(rig.sip(reinvite_failed(code)), ["stop", "1 BYE", "tell byed"]);
    }
}

#[test]
fn a_glare_is_tried_again_after_the_callers_pause() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    assert_eq!(rig.sip(reinvited("m=audio 4000 RTP/AVP 0|a=sendonly")), ["1 re-491 Request Pending"]);
    assert!(rig.sip(reinvite_failed(491)).is_empty());
    assert!(rig.wait(Duration::from_millis(2_099)).is_empty());
    assert_eq!(rig.wait(Duration::from_millis(1_901)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendonly"]);
}

#[test]
fn a_callee_backs_off_shorter() {
    let mut rig = Rig::registered();
    rig.sip(incoming(2, Some(PCMU_PHONE)));
    rig.command(accept(None));
    rig.sip(SipEvent::Acknowledged { call: CallHandle(2), sdp: None });
    rig.command(Command::Hold(true));
    rig.sip(SipEvent::ReinviteFailed { call: CallHandle(2), status: status(491, "Request Pending") });
    assert_eq!(rig.wait(Duration::from_secs(2)), ["2 re-INVITE [0 101] sendonly"]);
}

#[test]
fn the_peers_offer_is_answered_while_ours_waits_for_its_next_try() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    rig.sip(reinvite_failed(491));
    let answered = rig.sip(reinvited("m=audio 4000 RTP/AVP 0|a=sendonly"));
    assert_eq!(answered, ["update Pcmu recvonly", "tell holded true", "1 re-200 [0] recvonly"]);
    assert_eq!(rig.wait(Duration::from_secs(4)), ["1 re-INVITE [0] sendonly"]);
}

#[test]
fn holded_is_told_on_change_only() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    let hold = "m=audio 4000 RTP/AVP 0|a=sendonly";
    assert_eq!(rig.sip(reinvited(hold)), ["update Pcmu recvonly", "tell holded true", "1 re-200 [0] recvonly"]);
    assert_eq!(rig.sip(reinvited(hold)), ["1 re-200 [0] recvonly"]);
    let resume = rig.sip(reinvited("m=audio 4000 RTP/AVP 0"));
    assert_eq!(resume, ["update Pcmu sendrecv", "tell holded false", "1 re-200 [0] sendrecv"]);
    assert_eq!(rig.sip(reinvited("m=audio 4000 RTP/AVP 0")), ["1 re-200 [0] sendrecv"]);
}

#[test]
fn every_way_to_hold_is_understood() {
    let ways = [
        "m=audio 4000 RTP/AVP 0|a=inactive",
        "m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0",
        "a=sendonly|m=audio 4000 RTP/AVP 0",
        "a=inactive|m=audio 4000 RTP/AVP 0",
    ];
    for way in ways {
        let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
        assert!(rig.sip(reinvited(way)).contains(&"tell holded true".to_owned()), "{way}");
    }
}

#[test]
fn a_hold_of_both_sides_is_inactive_until_both_resume() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    rig.sip(reanswered("m=audio 4000 RTP/AVP 0|a=recvonly"));
    let both = rig.sip(reinvited("m=audio 4000 RTP/AVP 0|a=sendonly"));
    assert_eq!(both, ["update Pcmu inactive", "tell holded true", "1 re-200 [0] inactive"]);
    assert_eq!(rig.command(Command::Hold(false)), ["1 re-INVITE [0] sendrecv"]);
    assert_eq!(rig.sip(reanswered("m=audio 4000 RTP/AVP 0|a=sendonly")), ["update Pcmu recvonly"]);
    let resumed = rig.sip(reinvited("m=audio 4000 RTP/AVP 0"));
    assert_eq!(resumed, ["update Pcmu sendrecv", "tell holded false", "1 re-200 [0] sendrecv"]);
}

#[test]
fn a_change_of_codec_and_address_is_followed() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    assert_eq!(rig.sip(reinvited("m=audio 4000 RTP/AVP 8")), ["update Pcma sendrecv", "1 re-200 [8] sendrecv"]);
    let moved = rig.sip(reinvited("m=audio 6000 RTP/AVP 8|c=IN IP4 192.0.2.9"));
    assert_eq!(moved, ["update Pcma sendrecv", "1 re-200 [8] sendrecv"]);
}

#[test]
fn a_reinvite_that_cannot_be_answered_leaves_the_call_as_it_was() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    assert_eq!(rig.sip(reinvited("m=audio 4000 RTP/AVP 3")), ["1 re-488 Incompatible SDP"]);
    assert_eq!(rig.sip(reinvited("m=audio 0 RTP/AVP 0")), ["1 re-488 Incompatible SDP"]);
    assert_eq!(rig.command(Command::Bye), ["stop", "1 BYE"]);
}

#[test]
fn an_empty_reinvite_is_offered_everything_and_its_ack_settles_it() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.sip(reinvited("m=audio 4000 RTP/AVP 0|a=sendonly"));
    let empty = SipEvent::Reinvited { call: ONE, sdp: None };
    assert_eq!(rig.sip(empty.clone()), ["1 re-200 [0 96 9 98 8 111 101 100 106 13] sendrecv"]);
    assert!(rig.command(Command::Hold(true)).is_empty(), "waits for the open exchange");
    assert_eq!(rig.sip(empty), ["1 re-491 Request Pending"]);
    let settled = rig.sip(SipEvent::Acknowledged { call: ONE, sdp: Some(peer_sdp(SPEEX_PHONE)) });
    let expected =
        ["update SpeexWideband sendrecv", "tell holded false", "1 re-INVITE [0 96 9 98 8 111 101 100 106 13] sendonly"];
    assert_eq!(settled, expected);
}

#[test]
fn an_empty_reinvite_whose_ack_brings_no_answer_ends_the_call() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.sip(SipEvent::Reinvited { call: ONE, sdp: None });
    let ended = rig.sip(SipEvent::Acknowledged { call: ONE, sdp: None });
    assert_eq!(ended, ["stop", "1 BYE", "tell byed"]);
}

#[test]
fn an_empty_reinvite_that_vanishes_does_not_block_a_hold_for_ever() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.sip(SipEvent::Reinvited { call: ONE, sdp: None });
    assert!(rig.command(Command::Hold(true)).is_empty());
    assert_eq!(rig.wait(Duration::from_secs(40)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendonly"]);
}

#[test]
fn an_ack_that_owes_nothing_is_nothing() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    assert!(rig.sip(SipEvent::Acknowledged { call: ONE, sdp: None }).is_empty());
}

#[test]
fn a_hold_answered_without_sdp_keeps_the_call() {
    let mut rig = Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0");
    rig.command(Command::Hold(true));
    assert!(rig.sip(SipEvent::Reanswered { call: ONE, sdp: None }).is_empty());
    assert_eq!(rig.command(Command::Hold(false)), ["1 re-INVITE [96 9 98 0 8 111 101 100 106 13] sendrecv"]);
}

#[test]
fn digits_are_checked_and_sent_in_order() {
    let mut rig = Rig::in_outgoing_call(PCMU_PHONE);
    let mut dtmf = |digits: &str| rig.command(Command::SendDtmf { digits: digits.to_owned() });
    assert_eq!(dtmf("0123456789*#ABCD"), ["digits 0123456789*#ABCD"]);
    assert_eq!(dtmf("abcd"), ["digits ABCD"]);
    for bad in ["", "x", "1 2", "12e", "\u{661}", &"1".repeat(65)] {
        assert!(dtmf(bad).is_empty(), "{bad:?}");
    }
}

#[test]
fn digits_need_a_call_and_a_peer_that_takes_them() {
    let one = Command::SendDtmf { digits: "1".to_owned() };
    assert!(Rig::registered().command(one.clone()).is_empty());
    assert!(Rig::in_outgoing_call("m=audio 4000 RTP/AVP 0").command(one).is_empty());
}

#[test]
fn events_of_an_ended_call_mean_nothing() {
    let mut rig = Rig::in_outgoing_call(PCMU_PHONE);
    assert_eq!(rig.command(Command::Bye), ["stop", "1 BYE"]);
    assert!(rig.sip(SipEvent::Byed { call: ONE }).is_empty(), "BYEs crossed");
    assert!(rig.sip(SipEvent::Ended { call: ONE }).is_empty());
    assert!(rig.sip(reinvited(PCMU_PHONE)).is_empty());
    assert!(rig.command(Command::Bye).is_empty());
}
