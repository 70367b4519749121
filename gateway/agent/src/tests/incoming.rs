use super::*;

const TWO: CallHandle = CallHandle(2);
const BOB_TO_ALICE: &str = "\"Bob B\" <sip:bob@192.0.2.1> / \"Alice A\" <sip:alice@example.com>";

fn acknowledged(sdp: Option<&str>) -> SipEvent {
    SipEvent::Acknowledged { call: TWO, sdp: sdp.map(peer_sdp) }
}

fn ringing(sdp: Option<&str>) -> Rig {
    let mut rig = Rig::registered();
    assert_eq!(rig.sip(incoming(2, sdp)), ["2 180".to_owned(), format!("tell invited {BOB_TO_ALICE}")]);
    rig
}

#[test]
fn an_accepted_call_is_told_after_the_ack_and_heard_before_it() {
    let mut rig = ringing(Some(PCMU_PHONE));
    let sent = rig.command(accept(None));
    assert_eq!(sent, ["start Pcmu to SIP, SpeexNarrowband to the phone", "2 200 [0 101] sendrecv"]);
    assert_eq!(rig.agent.rtp_in_use(), Some(our_rtp()));
    assert_eq!(rig.sip(acknowledged(None)), ["tell accepted"]);
    assert_eq!(rig.command(Command::Bye), ["stop", "2 BYE"]);
    assert!(rig.sip(SipEvent::Ended { call: TWO }).is_empty());
}

#[test]
fn accepted_has_two_arguments_iff_accept_had_a_list() {
    let mut rig = ringing(Some(PCMU_PHONE));
    rig.command(accept(Some(&[CodecWord::Wideband, CodecWord::Pcmu])));
    assert_eq!(rig.sip(acknowledged(None)), ["tell accepted Some(\"pcmu\") None"]);
}

#[test]
fn an_address_without_display_name_is_told_bare() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(Account { display_name: Some(" ".to_owned()), ..alice() }));
    rig.sip(SipEvent::Registered { expires: Duration::from_secs(3600) });
    let told = rig.sip(incoming(2, None));
    assert_eq!(told[1], "tell invited \"Bob B\" <sip:bob@192.0.2.1> / sip:alice@example.com");
}

#[test]
fn an_invite_without_sdp_is_offered_and_the_ack_brings_the_answer() {
    let mut rig = ringing(None);
    assert_eq!(rig.command(accept(None)), ["2 200 [96 9 98 0 8 111 101 100 106 13] sendrecv"]);
    let up = rig.sip(acknowledged(Some(SPEEX_PHONE)));
    assert_eq!(up, ["start SpeexWideband to SIP, SpeexWideband to the phone", "tell accepted"]);
}

#[test]
fn an_ack_that_owes_the_answer_and_brings_none_ends_the_call() {
    for sdp in [None, Some("m=audio 4000 RTP/AVP 3")] {
        let mut rig = ringing(None);
        rig.command(accept(None));
        assert_eq!(rig.sip(acknowledged(sdp)), ["2 BYE", "tell byed"]);
        assert_eq!(rig.agent.rtp_in_use(), None);
    }
}

#[test]
fn an_offer_that_nobody_here_can_answer_is_refused_before_it_rings() {
    let cases = [
        ("m=audio 4000 RTP/AVP 18", "2 488 Incompatible SDP"),
        ("m=video 4000 RTP/AVP 34", "2 488 Incompatible SDP"),
        ("m=audio 4000 RTP/SAVP 0", "2 488 Incompatible SDP"),
        ("m=audio 99999 RTP/AVP 0", "2 400 Malformed SDP"),
    ];
    for (sdp, refusal) in cases {
        let mut rig = Rig::registered();
        assert_eq!(rig.sip(incoming(2, Some(sdp))), [refusal], "{sdp}");
        assert!(rig.command(accept(None)).is_empty());
    }
}

#[test]
fn a_list_that_fits_nothing_of_the_offer_refuses_the_call_and_ends_it_for_the_phone() {
    for words in [&[CodecWord::Wideband][..], &[CodecWord::H264]] {
        let mut rig = ringing(Some(PCMU_PHONE));
        assert_eq!(rig.command(accept(Some(words))), ["2 488 Incompatible SDP", "tell byed"]);
        assert_eq!(rig.agent.rtp_in_use(), None);
    }
}

#[test]
fn the_caller_cancels_with_the_same_two_strings() {
    let mut rig = ringing(Some(PCMU_PHONE));
    assert_eq!(rig.sip(SipEvent::Cancelled { call: TWO }), [format!("tell cancelled {BOB_TO_ALICE}")]);
    assert!(rig.command(accept(None)).is_empty());
    assert!(rig.command(Command::Reject { reason: None }).is_empty());
}

#[test]
fn reject_answers_as_the_phone_says_and_tells_nothing() {
    for (reason, status) in [(None, "603 Decline"), (Some("486 Busy Here"), "486 Busy Here"), (Some("No"), "603 No")] {
        let mut rig = ringing(Some(PCMU_PHONE));
        let reject = Command::Reject { reason: reason.map(str::to_owned) };
        assert_eq!(rig.command(reject), [format!("2 {status}")]);
    }
}

#[test]
fn bye_on_a_pending_call_declines_it() {
    let mut rig = ringing(Some(PCMU_PHONE));
    assert_eq!(rig.command(Command::Bye), ["2 603 Decline"]);
}

#[test]
fn accept_and_reject_without_a_pending_call_are_ignored() {
    let mut rig = Rig::registered();
    assert!(rig.command(accept(None)).is_empty());
    assert!(rig.command(Command::Reject { reason: None }).is_empty());
    assert!(rig.command(Command::Bye).is_empty());
    assert_eq!(rig.agent.rtp_in_use(), None);
}

#[test]
fn a_second_caller_gets_busy_and_disturbs_nothing() {
    let mut rig = ringing(Some(PCMU_PHONE));
    assert_eq!(rig.sip(incoming(4, Some(PCMU_PHONE))), ["4 486 Busy Here"]);
    rig.command(accept(None));
    assert_eq!(rig.sip(incoming(6, Some(PCMU_PHONE))), ["6 486 Busy Here"]);
    rig.sip(acknowledged(None));
    assert_eq!(rig.sip(incoming(8, Some(PCMU_PHONE))), ["8 486 Busy Here"]);
    assert_eq!(rig.command(Command::Bye), ["stop", "2 BYE"]);
    assert_eq!(rig.sip(incoming(10, Some(PCMU_PHONE))).len(), 2);
}

#[test]
fn a_handle_used_twice_by_the_stack_does_no_harm() {
    let mut rig = ringing(Some(PCMU_PHONE));
    assert!(rig.sip(incoming(2, Some(PCMU_PHONE))).is_empty());
}

#[test]
fn a_long_ringing_call_is_kept_alive_each_minute() {
    let mut rig = ringing(Some(PCMU_PHONE));
    assert!(rig.wait(Duration::from_millis(59_999)).is_empty());
    assert_eq!(rig.wait(Duration::from_secs(61)), ["2 180", "2 180"]);
}

#[test]
fn a_missing_ack_ends_the_call_without_a_bye_of_ours() {
    let mut rig = ringing(Some(PCMU_PHONE));
    rig.command(accept(None));
    assert_eq!(rig.sip(SipEvent::AckMissing { call: TWO }), ["stop", "tell byed"]);

    let mut rig = ringing(None);
    rig.command(accept(None));
    assert_eq!(rig.sip(SipEvent::AckMissing { call: TWO }), ["tell byed"]);
}

#[test]
fn a_bye_before_the_ack_waits_for_it() {
    let mut rig = ringing(Some(PCMU_PHONE));
    rig.command(accept(None));
    assert_eq!(rig.command(Command::Bye), ["stop"]);
    let reinvited = SipEvent::Reinvited { call: TWO, sdp: None };
    assert_eq!(rig.sip(reinvited), ["2 re-491 Request Pending"]);
    assert_eq!(rig.sip(acknowledged(None)), ["2 BYE"]);
}

#[test]
fn a_reinvite_before_the_ack_is_put_off() {
    let mut rig = ringing(Some(PCMU_PHONE));
    rig.command(accept(None));
    let reinvited = SipEvent::Reinvited { call: TWO, sdp: Some(peer_sdp(PCMU_PHONE)) };
    assert_eq!(rig.sip(reinvited), ["2 re-491 Request Pending"]);
    assert_eq!(rig.sip(acknowledged(None)), ["tell accepted"]);
}

#[test]
fn a_call_that_begins_on_hold_says_so() {
    let mut rig = ringing(Some("m=audio 4000 RTP/AVP 0|a=sendonly"));
    rig.command(accept(None));
    assert_eq!(rig.sip(acknowledged(None)), ["tell accepted", "tell holded true"]);
}
