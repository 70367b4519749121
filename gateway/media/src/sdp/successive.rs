//! Descriptions that follow one another in a call: versions, hold, empty re-INVITEs, what a peer may add.

use super::{
    Capabilities, Direction, SdpError,
    golden::{PCMA, everything, offer, outcome, session},
};
use crate::codec::Codec;

#[test]
fn the_version_rises_only_with_a_change() {
    let version = |text: &str| text.lines().nth(1).unwrap().split(' ').nth(2).unwrap().parse::<u64>().unwrap();
    let mut session = session(everything());
    assert_eq!(version(&session.offer()), 1);
    assert_eq!(version(&session.offer()), 1);
    session.set_hold(true);
    assert_eq!(version(&session.offer()), 2);
    assert_eq!(version(&session.offer()), 2);
    session.set_hold(false);
    assert_eq!(version(&session.offer()), 3);
    let (answer, _) = session.answer(&offer("m=audio 4000 RTP/AVP 0")).unwrap();
    assert_eq!(version(&answer), 4);
    assert_eq!(version(&session.answer(&offer("m=audio 4000 RTP/AVP 0")).unwrap().0), 4);
}

#[test]
fn holding_offers_sendonly_with_our_address_and_resuming_both_ways() {
    let mut session = session(everything());
    session.offer();
    session.set_hold(true);
    let hold = session.offer();
    assert!(hold.contains("a=sendonly\r\n") && hold.contains("c=IN IP4 198.51.100.7\r\n"));
    let answered = session.accept_answer(&offer("m=audio 4000 RTP/AVP 0|a=recvonly")).unwrap();
    assert_eq!(answered.negotiated.direction, Direction::SendOnly);
    session.set_hold(false);
    assert!(session.offer().contains("a=sendrecv\r\n"));
}

#[test]
fn an_answer_cannot_widen_the_direction_that_was_offered() {
    let mut session = session(everything());
    session.set_hold(true);
    session.offer();
    for (said, expected) in [("sendrecv", Direction::SendOnly), ("sendonly", Direction::Inactive)] {
        let answered = session.accept_answer(&offer(&format!("m=audio 4000 RTP/AVP 0|a={said}"))).unwrap();
        assert_eq!(answered.negotiated.direction, expected, "{said}");
    }
}

#[test]
fn a_hold_of_ours_outlives_an_offer_of_the_peer() {
    let mut session = session(everything());
    session.set_hold(true);
    let (answer, agreement) = session.answer(&offer("m=audio 4000 RTP/AVP 0")).unwrap();
    assert!(answer.contains("a=sendonly\r\n"));
    assert_eq!(agreement.negotiated.direction, Direction::SendOnly);
    let (answer, agreement) = session.answer(&offer("m=audio 4000 RTP/AVP 0|a=sendonly")).unwrap();
    assert!(answer.contains("a=inactive\r\n"));
    assert!(agreement.peer_holds);
}

#[test]
fn our_later_offers_keep_the_order_of_media_lines() {
    let mut session = session(everything());
    session.answer(&offer("m=video 4002 RTP/AVP 34|m=audio 4000 RTP/AVP 110|a=rtpmap:110 speex/8000")).unwrap();
    let media: Vec<String> = session.offer().lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect();
    assert_eq!(media, ["m=video 0 RTP/AVP 34", "m=audio 40000 RTP/AVP 110"]);
    let answered =
        session.accept_answer(&offer("m=video 0 RTP/AVP 34|m=audio 4000 RTP/AVP 110|a=rtpmap:110 speex/8000")).unwrap();
    assert_eq!(answered.negotiated.send.codec, Codec::SpeexNarrowband);
}

#[test]
fn an_empty_reinvite_is_offered_everything_without_binding_a_number_anew() {
    let mut session = session(everything());
    session.answer(&offer("m=audio 4000 RTP/AVP 96 8|a=rtpmap:96 speex/8000")).unwrap();
    let text = session.full_offer();
    // 96 stays narrowband as the peer numbered it, so wideband takes the first free number.
    assert!(text.contains("m=audio 40000 RTP/AVP 96 8 97 0 101 100\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:96 speex/8000\r\n") && text.contains("a=rtpmap:97 speex/16000\r\n"), "{text}");
}

#[test]
fn the_audio_line_in_use_is_kept_when_the_peer_adds_another() {
    let mut session = session(everything());
    session.answer(&offer("m=audio 0 RTP/AVP 0|m=audio 4002 RTP/AVP 0")).unwrap();
    let (answer, agreement) = session.answer(&offer("m=audio 4000 RTP/AVP 0|m=audio 4002 RTP/AVP 0")).unwrap();
    assert!(answer.contains("m=audio 0 RTP/AVP 0\r\nm=audio 40000 RTP/AVP 0\r\n"), "{answer}");
    assert_eq!(agreement.negotiated.remote_rtp, Some("192.0.2.1:4002".parse().unwrap()));
}

#[test]
fn what_the_phone_did_not_list_is_not_answered() {
    let mut session = session(Capabilities::new([PCMA], false).unwrap());
    let lines = "m=audio 4000 RTP/AVP 96 98 0 8 101|a=rtpmap:96 speex/16000|a=rtpmap:98 speex/8000|a=rtpmap:101 telephone-event/8000";
    let (answer, agreement) = session.answer(&offer(lines)).unwrap();
    assert!(answer.contains("m=audio 40000 RTP/AVP 8\r\n"), "{answer}");
    assert_eq!(agreement.negotiated.telephone_event, None);
}

#[test]
fn too_much_is_malformed() {
    let long = offer(&format!("m=audio 4000 RTP/AVP 0|a=x:{}", "y".repeat(40_000)));
    let many = offer(&vec!["m=audio 4000 RTP/AVP 0"; 17].join("|"));
    for text in [long, many] {
        assert!(matches!(session(everything()).answer(&text), Err(SdpError::Malformed(_))));
    }
}

#[test]
fn formats_beyond_the_limit_are_as_if_absent() {
    let numbers: Vec<String> = (10..100).map(|n| n.to_string()).collect();
    let answered = session(everything()).answer(&offer(&format!("m=audio 4000 RTP/AVP {} 0", numbers.join(" "))));
    assert_eq!(outcome(answered), "no common audio");
}
