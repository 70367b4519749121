use super::*;

const ONE: CallHandle = CallHandle(1);

fn subscribe(topics: &[Topic]) -> Command {
    Command::Subscribe(topics.iter().copied().collect())
}

fn early_media() -> SipEvent {
    SipEvent::Progress { call: ONE, status: status(183, "Session Progress"), sdp: Some(peer_sdp(PCMU_PHONE)) }
}

fn info(digit: char) -> SipEvent {
    SipEvent::InfoDigit { call: ONE, digit }
}

#[test]
fn a_phone_that_asked_for_nothing_hears_no_word_that_siprtmp_does_not_know() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    assert_eq!(
        rig.sip(early_media()),
        ["tell ringing 183 Session Progress", "start Pcmu to SIP, SpeexNarrowband to the phone"]
    );
    rig.sip(SipEvent::Answered { call: ONE, sdp: Some(peer_sdp(PCMU_PHONE)) });
    assert!(rig.input(Input::DtmfReceived('5')).is_empty());
    assert!(rig.sip(info('5')).is_empty());
    rig.wait(Duration::from_secs(3595));
    assert!(rig.sip(SipEvent::RegisterFailed(status(408, "Request timeout"))).is_empty());
    assert_eq!(rig.wait(Duration::from_secs(3)), ["REGISTER 180"]);
    assert!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(180) }).is_empty());
    assert!(rig.command(Command::Transfer { destination: String::new() }).is_empty());
}

#[test]
fn only_what_was_asked_for_is_told_and_asking_again_adds_to_it() {
    let mut rig = Rig::in_outgoing_call(SPEEX_PHONE);
    rig.command(subscribe(&[Topic::Transferred]));
    assert!(rig.input(Input::DtmfReceived('1')).is_empty());
    rig.command(subscribe(&[Topic::Dtmf]));
    assert_eq!(rig.input(Input::DtmfReceived('2')), ["tell dtmf 2"]);
    assert!(rig.agent.topics().iter().eq([Topic::Dtmf, Topic::Transferred]));
}

#[test]
fn what_connect_asked_for_is_told_from_the_first_registration_on() {
    let mut rig = Rig::new();
    rig.command(subscribe(&[Topic::Registered, Topic::Unregistered]));
    rig.command(Command::Connect(alice()));
    let granted = SipEvent::Registered { expires: Duration::from_secs(180) };
    assert_eq!(rig.sip(granted), ["tell connected", "tell registered 180"]);
}

#[test]
fn a_lost_registration_is_told_once_and_its_return_too_but_no_refresh_that_goes_well() {
    let mut rig = Rig::registered();
    rig.command(subscribe(&[Topic::Registered, Topic::Unregistered]));
    rig.wait(Duration::from_secs(3595));
    assert!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(10) }).is_empty());
    rig.wait(Duration::from_millis(9_500));
    let lost = || SipEvent::RegisterFailed(status(503, "Service Unavailable"));
    assert_eq!(rig.sip(lost()), ["tell unregistered 503 Service Unavailable"]);
    assert_eq!(rig.wait(Duration::from_secs(3)), ["REGISTER 180"]);
    assert!(rig.sip(lost()).is_empty(), "still lost");
    assert_eq!(rig.wait(Duration::from_secs(5)), ["REGISTER 180"]);
    assert_eq!(rig.sip(SipEvent::Registered { expires: Duration::from_secs(60) }), ["tell registered 60"]);
    rig.wait(Duration::from_secs(57));
    assert_eq!(rig.sip(lost()), ["tell unregistered 503 Service Unavailable"], "lost again");
}

#[test]
fn without_a_password_no_registration_is_told() {
    let mut rig = Rig::new();
    rig.command(Command::Subscribe(Topics::all()));
    assert_eq!(rig.command(Command::Connect(Account { password: None, ..alice() })), ["tell connected"]);
}

#[test]
fn early_media_is_told_once_after_its_ringing_and_when_it_runs() {
    let mut rig = Rig::registered();
    rig.command(subscribe(&[Topic::EarlyMedia]));
    rig.command(invite("bob", None));
    assert_eq!(
        rig.sip(SipEvent::Progress { call: ONE, status: status(180, "Ringing"), sdp: None }),
        ["tell ringing 180 Ringing"]
    );
    let told = rig.sip(early_media());
    assert_eq!(
        told,
        ["tell ringing 183 Session Progress", "start Pcmu to SIP, SpeexNarrowband to the phone", "tell early media"]
    );
    assert_eq!(rig.sip(early_media()), ["tell ringing 183 Session Progress"]);
}

#[test]
fn digits_are_told_by_either_way_and_once_if_they_come_on_both() {
    let mut rig = Rig::in_outgoing_call(SPEEX_PHONE);
    rig.command(subscribe(&[Topic::Dtmf]));
    assert_eq!(rig.input(Input::DtmfReceived('1')), ["tell dtmf 1"]);
    assert!(rig.sip(info('1')).is_empty(), "the same press");
    assert_eq!(rig.sip(info('#')), ["tell dtmf #"]);
    assert!(rig.input(Input::DtmfReceived('#')).is_empty(), "the same press");
    assert_eq!(rig.sip(info('1')), ["tell dtmf 1"]);
}

#[test]
fn digits_outside_of_an_established_call_are_not_told() {
    let mut rig = Rig::registered();
    rig.command(subscribe(&[Topic::Dtmf]));
    assert!(rig.input(Input::DtmfReceived('1')).is_empty());
    rig.command(invite("bob", None));
    rig.sip(early_media());
    assert!(rig.input(Input::DtmfReceived('1')).is_empty());
    assert!(rig.sip(info('1')).is_empty());
}
