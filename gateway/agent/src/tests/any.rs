//! Anything that a phone may say and a SIP stack may report, for the model.

use proptest::prelude::*;

use super::*;

const WORDS: [CodecWord; 9] = [
    CodecWord::Wideband,
    CodecWord::Narrowband,
    CodecWord::Pcmu,
    CodecWord::Pcma,
    CodecWord::Ulaw,
    CodecWord::Alaw,
    CodecWord::Dtmf,
    CodecWord::H264,
    CodecWord::Flv,
];

pub(super) fn any_words() -> impl Strategy<Value = Option<Vec<CodecWord>>> {
    prop::option::weighted(0.3, prop::sample::subsequence(WORDS.to_vec(), 0..9).prop_shuffle())
}

pub(super) fn any_command() -> impl Strategy<Value = Command> {
    let destination = prop_oneof![4 => Just("bob"), 1 => Just("x\r\ny"), 1 => Just("")];
    prop_oneof![
        4 => (destination, any_words())
            .prop_map(|(to, codecs)| Command::Invite { destination: to.to_owned(), codecs, rtp: our_rtp() }),
        4 => any_words().prop_map(|codecs| Command::Accept { codecs, rtp: our_rtp() }),
        1 => prop::option::of(Just("486 Busy Here".to_owned())).prop_map(|reason| Command::Reject { reason }),
        2 => Just(Command::Bye),
        1 => Just(Command::SendDtmf { digits: "12#".to_owned() }),
        4 => any::<bool>().prop_map(Command::Hold),
        1 => Just(Command::Connect(alice())),
        1 => any_topics().prop_map(Command::Subscribe),
        2 => prop_oneof![3 => Just("carol"), 1 => Just("x\r\ny")]
            .prop_map(|to| Command::Transfer { destination: to.to_owned() }),
        1 => (0u64..6).prop_map(|n| Command::SendMessage { message: MessageHandle(n), text: "hi".to_owned() }),
        1 => (0u64..6).prop_map(|n| Command::SendPagingMessage {
            message: MessageHandle(n),
            destination: "carol".to_owned(),
            text: "hi".to_owned(),
        }),
    ]
}

pub(super) fn any_topics() -> impl Strategy<Value = Topics> {
    let some = prop::sample::subsequence(Topic::ALL.to_vec(), 0..=Topic::ALL.len());
    prop_oneof![1 => Just(Topics::default()), 1 => Just(Topics::all()), 1 => some.prop_map(Topics::from_iter)]
}

pub(super) fn any_sdp() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        3 => Just(Some(SPEEX_PHONE)), 3 => Just(Some(PCMU_PHONE)), 2 => Just(Some("m=audio 4000 RTP/AVP 0|a=sendonly")),
        1 => Just(Some("m=audio 4000 RTP/AVP 0|c=IN IP4 0.0.0.0")), 1 => Just(Some("m=audio 4000 RTP/AVP 3")),
        1 => Just(Some("m=video 4000 RTP/AVP 34")), 1 => Just(Some("m=audio 999999 x")), 2 => Just(None),
    ]
    .prop_map(|lines| lines.map(peer_sdp))
}

pub(super) fn any_status() -> impl Strategy<Value = SipStatus> {
    prop_oneof![Just(486u16), Just(491), Just(481), Just(408), Just(488)].prop_map(|code| status(code, "No"))
}

/// Any event for any handle, in the order of no stack.
pub(super) fn any_event() -> impl Strategy<Value = SipEvent> {
    let call = || (1u64..8).prop_map(CallHandle);
    let progress = || prop_oneof![Just(180u16), Just(183), Just(182)].prop_map(|code| status(code, "Progress"));
    prop_oneof![
        (0u64..4000).prop_map(|s| SipEvent::Registered { expires: Duration::from_secs(s) }),
        any_status().prop_map(SipEvent::RegisterFailed),
        Just(SipEvent::Unregistered),
        (call(), progress(), any_sdp()).prop_map(|(call, status, sdp)| SipEvent::Progress { call, status, sdp }),
        (call(), any_sdp()).prop_map(|(call, sdp)| SipEvent::Answered { call, sdp }),
        (call(), any_status()).prop_map(|(call, status)| SipEvent::Failed { call, status }),
        (call(), any_sdp()).prop_map(|(call, sdp)| SipEvent::Incoming { call, from: "sip:x@y".to_owned(), sdp }),
        call().prop_map(|call| SipEvent::Cancelled { call }),
        (call(), any_sdp()).prop_map(|(call, sdp)| SipEvent::Acknowledged { call, sdp }),
        call().prop_map(|call| SipEvent::AckMissing { call }),
        (call(), any_sdp()).prop_map(|(call, sdp)| SipEvent::Reinvited { call, sdp }),
        (call(), any_sdp()).prop_map(|(call, sdp)| SipEvent::Reanswered { call, sdp }),
        (call(), any_status()).prop_map(|(call, status)| SipEvent::ReinviteFailed { call, status }),
        call().prop_map(|call| SipEvent::Byed { call }),
        call().prop_map(|call| SipEvent::Ended { call }),
        (call(), any_referral(), any::<bool>()).prop_map(|(call, status, reports)| SipEvent::ReferAnswered {
            call,
            status,
            reports
        }),
        (call(), any_referral(), any::<bool>()).prop_map(|(call, status, last)| SipEvent::ReferProgress {
            call,
            status,
            last
        }),
        call().prop_map(|call| SipEvent::InfoDigit { call, digit: '7' }),
        ((0u64..6).prop_map(MessageHandle), any_status())
            .prop_map(|(message, status)| SipEvent::MessageDone { message, status }),
        (0u64..100, prop::option::of(call())).prop_map(|(n, call)| text_message(n, call)),
    ]
}

pub(super) fn any_referral() -> impl Strategy<Value = SipStatus> {
    prop_oneof![Just(100u16), Just(180), Just(200), Just(202), Just(486), Just(481)].prop_map(|code| status(code, "Hm"))
}

pub(super) fn text_message(n: u64, call: Option<CallHandle>) -> SipEvent {
    SipEvent::MessageReceived { message: MessageHandle(n), call, from: "sip:x@y".to_owned(), text: "hi".to_owned() }
}
