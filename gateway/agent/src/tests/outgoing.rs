use super::*;

const ONE: CallHandle = CallHandle(1);

fn progress(code: u16, phrase: &str, sdp: Option<&str>) -> SipEvent {
    SipEvent::Progress { call: ONE, status: status(code, phrase), sdp: sdp.map(peer_sdp) }
}

fn answered(sdp: Option<&str>) -> SipEvent {
    SipEvent::Answered { call: ONE, sdp: sdp.map(peer_sdp) }
}

fn failed(code: u16, phrase: &str) -> SipEvent {
    SipEvent::Failed { call: ONE, status: status(code, phrase) }
}

#[test]
fn a_call_without_a_list_is_accepted_without_arguments() {
    let mut rig = Rig::registered();
    let sent = rig.command(invite("sip:bob@home.com;transport=udp", None));
    assert_eq!(sent, ["1 INVITE sip:bob@home.com;transport=udp [96 9 98 0 8 111 101 100 106 13] sendrecv"]);
    assert_eq!(rig.agent.rtp_in_use(), Some(our_rtp()));
    assert_eq!(rig.sip(progress(180, "Ringing", None)), ["tell ringing 180 Ringing"]);
    let up = rig.sip(answered(Some(SPEEX_PHONE)));
    assert_eq!(up, ["start SpeexWideband to SIP, SpeexWideband to the phone", "tell accepted"]);
    assert_eq!(rig.sip(SipEvent::Byed { call: ONE }), ["stop", "tell byed"]);
    assert_eq!(rig.agent.rtp_in_use(), None);
}

#[test]
fn each_180_and_183_is_told_and_no_other_provisional() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    assert_eq!(rig.sip(progress(183, "Session Progress", None)), ["tell ringing 183 Session Progress"]);
    assert_eq!(rig.sip(progress(180, "Ringing", None)), ["tell ringing 180 Ringing"]);
    assert_eq!(rig.sip(progress(180, "Ringing", None)), ["tell ringing 180 Ringing"]);
    for code in [181, 182, 199] {
        assert!(rig.sip(progress(code, "Whatever", None)).is_empty());
    }
}

#[test]
fn early_media_runs_from_the_183_and_is_only_updated_by_a_different_200() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    let early = rig.sip(progress(183, "Session Progress", Some(PCMU_PHONE)));
    assert_eq!(early, ["tell ringing 183 Session Progress", "start Pcmu to SIP, SpeexNarrowband to the phone"]);
    assert!(!rig.sip(progress(180, "Ringing", Some(PCMU_PHONE))).contains(&"stop".to_owned()));
    assert_eq!(rig.sip(answered(Some(PCMU_PHONE))), ["tell accepted"]);

    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.sip(progress(183, "Session Progress", Some(PCMU_PHONE)));
    assert_eq!(rig.sip(answered(Some(SPEEX_PHONE))), ["update SpeexWideband sendrecv", "tell accepted"]);
}

#[test]
fn early_media_ends_with_a_failed_call() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.sip(progress(183, "Session Progress", Some(PCMU_PHONE)));
    assert_eq!(rig.sip(failed(486, "Busy Here")), ["stop", "tell rejected 486 Busy Here"]);
    assert_eq!(rig.agent.rtp_in_use(), None);
}

#[test]
fn a_failure_is_told_by_code_and_phrase() {
    for (code, phrase) in [(486, "Busy Here"), (408, "Request timeout"), (302, "Moved"), (603, "Decline")] {
        let mut rig = Rig::registered();
        rig.command(invite("bob", None));
        assert_eq!(rig.sip(failed(code, phrase)), [format!("tell rejected {code} {phrase}")]);
        assert_eq!(rig.command(invite("bob", None)).len(), 1, "the phone may call again");
    }
}

#[test]
fn bye_while_ringing_cancels_and_tells_nothing() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.sip(progress(180, "Ringing", None));
    assert_eq!(rig.command(Command::Bye), ["1 CANCEL"]);
    assert!(rig.sip(progress(180, "Ringing", None)).is_empty());
    assert!(rig.sip(failed(487, "Request Terminated")).is_empty());
}

#[test]
fn an_answer_that_crosses_the_cancel_is_ended() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.command(Command::Bye);
    assert_eq!(rig.sip(answered(Some(SPEEX_PHONE))), ["1 BYE"]);
    assert!(rig.sip(SipEvent::Ended { call: ONE }).is_empty());
}

#[test]
fn the_phone_may_call_again_while_the_cancelled_call_still_ends() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.command(Command::Bye);
    assert_eq!(
        rig.command(invite("carol", None)),
        ["3 INVITE sip:carol@example.com [96 9 98 0 8 111 101 100 106 13] sendrecv"]
    );
    assert!(rig.sip(failed(487, "Request Terminated")).is_empty());
    assert_eq!(rig.agent.rtp_in_use(), Some(our_rtp()));
}

#[test]
fn calls_that_never_end_at_the_sip_side_are_bounded_and_forgotten() {
    let mut rig = Rig::registered();
    for _ in 0..8 {
        assert_eq!(rig.command(invite("bob", None)).len(), 1);
        rig.command(Command::Bye);
    }
    assert_eq!(rig.command(invite("bob", None)), ["tell rejected Already in an active or pending call"]);
    assert_eq!(rig.sip(incoming(2, None)), ["2 486 Busy Here"]);
    rig.wait(Duration::from_secs(41));
    assert_eq!(rig.command(invite("bob", None)).len(), 1);
}

#[test]
fn a_second_invite_is_refused_while_the_first_rings_and_while_it_talks() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    let refused = ["tell rejected Already in an active or pending call"];
    assert_eq!(rig.command(invite("carol", None)), refused);
    rig.sip(answered(Some(SPEEX_PHONE)));
    assert_eq!(rig.command(invite("carol", None)), refused);
    assert_eq!(rig.agent.rtp_in_use(), Some(our_rtp()));
}

#[test]
fn an_invite_while_an_incoming_call_rings_is_refused() {
    let mut rig = Rig::registered();
    rig.sip(incoming(2, Some(PCMU_PHONE)));
    assert_eq!(rig.command(invite("carol", None)), ["tell rejected Already in an active or pending call"]);
    assert_eq!(rig.agent.rtp_in_use(), None);
}

#[test]
fn an_answer_without_sdp_ends_the_call() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    assert_eq!(rig.sip(answered(None)), ["1 BYE", "tell rejected 488 Incompatible SDP"]);
    assert_eq!(rig.agent.rtp_in_use(), None);
}

#[test]
fn an_answer_without_sdp_after_early_media_keeps_what_the_183_said() {
    let mut rig = Rig::registered();
    rig.command(invite("bob", None));
    rig.sip(progress(183, "Session Progress", Some(PCMU_PHONE)));
    assert_eq!(rig.sip(answered(None)), ["tell accepted"]);
}

#[test]
fn an_answer_that_cannot_be_used_ends_the_call() {
    for sdp in ["m=audio 0 RTP/AVP 0", "m=audio 4000 RTP/AVP 3", "m=audio 99999 RTP/AVP 0"] {
        let mut rig = Rig::registered();
        rig.command(invite("bob", None));
        assert_eq!(rig.sip(answered(Some(sdp))), ["1 BYE", "tell rejected 488 Incompatible SDP"], "{sdp}");
    }
}

#[test]
fn bad_destinations_never_reach_sip() {
    let cases = [
        ("", "invalid dest URI"),
        ("  ", "invalid dest URI"),
        ("bob@x\r\nRoute: <sip:evil>", "bad destination: control character at 5"),
        ("sips:bob@x", "bad destination: sips is not supported"),
        ("bob@", "bad destination: no host at 4"),
    ];
    for (destination, reason) in cases {
        let mut rig = Rig::registered();
        assert_eq!(rig.command(invite(destination, None)), [format!("tell rejected {reason}")], "{destination:?}");
        assert_eq!(rig.agent.rtp_in_use(), None);
    }
}

#[test]
fn the_list_decides_what_is_offered_and_in_which_order() {
    use CodecWord::*;
    let cases: [(&[CodecWord], &str); 6] = [
        (&[Wideband, Narrowband, Pcmu, Pcma, Ulaw, Alaw, Dtmf, H264, Flv], "96 98 0 8 101 100"),
        (&[Pcma, Wideband], "8 96"),
        (&[Ulaw, Pcmu, Dtmf], "0 101"),
        (&[Narrowband], "98"),
        (&[Alaw, Ulaw], "8 0"),
        (&[Dtmf, Wideband], "96 101 100"),
    ];
    for (words, numbers) in cases {
        let mut rig = Rig::registered();
        let sent = rig.command(invite("bob", Some(words)));
        assert_eq!(sent, [format!("1 INVITE sip:bob@example.com [{numbers}] sendrecv")], "{words:?}");
    }
}

#[test]
fn the_rate_narrowband_swaps_the_default_offer() {
    let mut rig = Rig::new();
    rig.command(Command::Connect(Account { password: None, rate: SpeexRate::Narrowband, ..alice() }));
    let sent = rig.raw(Input::Command(invite("bob", None)));
    let Output::Sip(SipAction::Invite { sdp, .. }) = &sent[0] else { panic!("{sent:?}") };
    assert!(sdp.contains("m=audio 40000 RTP/AVP 96 9 98 0 8 111 101 100 106 13\r\n"));
    assert!(sdp.contains("a=rtpmap:96 speex/8000\r\n") && sdp.contains("a=rtpmap:98 speex/16000\r\n"));
}

#[test]
fn calls_without_a_list_offer_what_the_account_prefers_in_its_order() {
    use CodecWord::*;
    let cases: [(&[CodecWord], &str); 4] = [
        (&[Opus, Wideband, Pcmu], "111 96 0 101 100 106 13"),
        (&[Pcma], "8 101 13"),
        (&[L16, UltraWideband], "103 104 102 101 100 105 13"),
        (&[G722, Narrowband], "9 98 101 13"),
    ];
    for (codecs, numbers) in cases {
        let mut rig = Rig::new();
        rig.command(Command::Connect(Account { password: None, codecs: Some(codecs.to_vec()), ..alice() }));
        let sent = rig.command(invite("bob", None));
        assert_eq!(sent, [format!("1 INVITE sip:bob@example.com [{numbers}] sendrecv")], "{codecs:?}");
        assert_eq!(rig.command(invite("carol", Some(&[Pcmu]))).len(), 1, "busy");
    }
    let mut rig = Rig::new();
    let told = rig.command(Command::Connect(Account { codecs: Some(vec![Dtmf]), ..alice() }));
    assert_eq!(told, ["tell connect rejected: no audio codec in the list that can be used"]);
}

#[test]
fn a_phone_that_plays_opus_offers_it_first_and_is_played_it() {
    let rig_of = |codecs| {
        let mut rig = Rig::new();
        rig.command(Command::Connect(Account { password: None, plays_opus: true, ..alice() }));
        (rig.command(invite("bob", codecs)), rig)
    };
    let (sent, mut rig) = rig_of(None);
    assert_eq!(sent, ["1 INVITE sip:bob@example.com [111 96 9 98 0 8 101 100 106 13] sendrecv"]);
    let up = rig.sip(answered(Some("m=audio 4000 RTP/AVP 0")));
    assert!(up.contains(&"start Pcmu to SIP, Opus to the phone".to_owned()), "{up:?}");
    let (_, mut rig) = rig_of(Some(&[CodecWord::Pcmu, CodecWord::Opus][..]));
    let up = rig.sip(answered(Some("m=audio 4000 RTP/AVP 0")));
    assert!(up.contains(&"start Pcmu to SIP, Pcmu to the phone".to_owned()), "{up:?}");
}

#[test]
fn what_gains_a_phone_nothing_is_not_offered_but_taken() {
    let mut rig = Rig::registered();
    rig.sip(incoming(2, Some("m=audio 4000 RTP/AVP 97|a=rtpmap:97 L16/16000")));
    assert_eq!(
        rig.command(accept(None)),
        ["start L16Wideband to SIP, SpeexWideband to the phone", "2 200 [97] sendrecv"]
    );
}

#[test]
fn a_list_without_usable_audio_is_a_clear_refusal() {
    for words in [&[CodecWord::H264, CodecWord::Flv][..], &[CodecWord::Dtmf], &[]] {
        let mut rig = Rig::registered();
        let told = rig.command(invite("bob", Some(words)));
        assert_eq!(told, ["tell rejected no audio codec in the list that can be used"]);
    }
}

#[test]
fn accepted_names_the_first_word_of_the_list_that_the_peer_has() {
    use CodecWord::*;
    let stock = [Wideband, Narrowband, Pcmu, Pcma, Ulaw, Alaw, Dtmf, H264, Flv];
    let flash10 = [Wideband, Narrowband, Ulaw, Alaw, Dtmf, Flv];
    let pcma_first = "m=audio 4000 RTP/AVP 8 0";
    let both = "m=audio 4000 RTP/AVP 0 96|a=rtpmap:96 speex/16000";
    let narrow = "m=audio 4000 RTP/AVP 98|a=rtpmap:98 speex/8000";
    let cases: [(&[CodecWord], &str, &str, &str); 7] = [
        (&stock, SPEEX_PHONE, "start SpeexWideband to SIP, SpeexWideband to the phone", "Some(\"speex\") None"),
        (&stock, PCMU_PHONE, "start Pcmu to SIP, Pcmu to the phone", "Some(\"pcmu\") None"),
        (&flash10, PCMU_PHONE, "start Pcmu to SIP, SpeexNarrowband to the phone", "Some(\"speex\") None"),
        (&[Pcmu, Pcma], pcma_first, "start Pcma to SIP, Pcmu to the phone", "Some(\"pcmu\") None"),
        (&[Pcma, Pcmu], pcma_first, "start Pcma to SIP, Pcma to the phone", "Some(\"pcma\") None"),
        (&stock, both, "start Pcmu to SIP, SpeexNarrowband to the phone", "Some(\"speex\") None"),
        (&stock, narrow, "start SpeexNarrowband to SIP, SpeexNarrowband to the phone", "Some(\"speex\") None"),
    ];
    for (words, sdp, start, accepted) in cases {
        let mut rig = Rig::registered();
        rig.command(invite("bob", Some(words)));
        let told = rig.sip(answered(Some(sdp)));
        assert_eq!(told, [start.to_owned(), format!("tell accepted {accepted}")], "{words:?} {sdp}");
    }
}
