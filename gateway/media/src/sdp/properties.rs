//! What holds for any offer and any answer.

use proptest::prelude::*;

use super::{
    Capabilities,
    description::{Description, Payload},
    golden::{NARROWBAND, PCMA, PCMU, WIDEBAND, everything, offer, session},
};

/// Lines that offers are made of, well-formed and not.
fn any_line() -> impl Strategy<Value = String> {
    let number = || prop_oneof![Just(0u32), Just(8), Just(96), Just(101), 0u32..300];
    prop_oneof![
        (
            prop_oneof![Just("audio".to_owned()), Just("video".to_owned()), "[a-z\u{e9}]{0,8}"],
            0u32..70_000,
            prop_oneof![Just("RTP/AVP"), Just("RTP/SAVP"), Just("RTP/AVPF"), Just("udptl")],
            prop::collection::vec(number(), 0..6)
        )
            .prop_map(|(media, port, proto, numbers)| {
                let numbers: Vec<String> = numbers.iter().map(u32::to_string).collect();
                format!("m={media} {port} {proto} {}", numbers.join(" "))
            }),
        (
            number(),
            prop_oneof![
                Just("speex/8000"),
                Just("SPEEX/16000"),
                Just("telephone-event/8000"),
                Just("x/1/2/3"),
                Just("")
            ]
        )
            .prop_map(|(number, encoding)| format!("a=rtpmap:{number} {encoding}")),
        prop_oneof![
            Just("a=sendonly"),
            Just("a=inactive"),
            Just("a=recvonly"),
            Just("c=IN IP4 0.0.0.0"),
            Just("c=IN IP4 192.0.2.3"),
            Just("c=IN IP6 ::"),
            Just("a=ptime:33"),
            Just("a=rtcp:0"),
            Just("a=rtcp:9 IN IP4 x"),
            Just("b=AS:x"),
            Just("o=a b"),
        ]
        .prop_map(str::to_owned),
        "\\PC{0,20}",
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_without_panic(text in any::<String>()) {
        let _ = session(everything()).answer(&text);
        let _ = session(everything()).accept_answer(&text);
    }

    #[test]
    fn any_answer_that_we_make_fits_its_offer(lines in prop::collection::vec(any_line(), 0..12)) {
        let text = offer(&format!("m=audio 4000 RTP/AVP 0|{}", lines.join("|")));
        let mut ours = session(everything());
        if let Ok((answer, agreement)) = ours.answer(&text) {
            let offered = Description::parse(&text).unwrap();
            let answered = Description::parse(&answer).unwrap();
            prop_assert_eq!(offered.media.len(), answered.media.len());
            let live: Vec<usize> = (0..answered.media.len()).filter(|&i| answered.media[i].port != 0).collect();
            prop_assert_eq!(live.len(), 1);
            let (asked, said) = (&offered.media[live[0]], &answered.media[live[0]]);
            prop_assert!(said.is_usable_audio());
            // The direction is the offer's, mirrored; formats are a subset of the offer's under the same numbers.
            prop_assert_eq!(said.direction, asked.direction.mirrored());
            let numbers: Vec<u8> = asked.payloads.iter().map(Payload::number).collect();
            prop_assert!(said.payloads.iter().all(|p| matches!(p, Payload::Known(row) if numbers.contains(&row.payload_type))));
            prop_assert!(agreement.negotiated.receive.contains(&agreement.negotiated.send));
            prop_assert!((10..=120).contains(&agreement.negotiated.ptime_ms));
            // Our own next offer parses as well and keeps the layout.
            let next = Description::parse(&ours.offer()).unwrap();
            prop_assert_eq!(next.media.len(), answered.media.len());
        }
    }

    #[test]
    fn two_of_us_always_agree(first in prop::collection::vec(0usize..4, 1..5), second in prop::collection::vec(0usize..4, 1..5)) {
        let all = [WIDEBAND, NARROWBAND, PCMU, PCMA];
        let capabilities = |picks: &[usize]| Capabilities::new(picks.iter().map(|&i| all[i]), true).unwrap();
        let (mut caller, mut callee) = (session(capabilities(&first)), session(capabilities(&second)));
        let common = first.iter().any(|pick| second.contains(pick));
        let answered = callee.answer(&caller.offer());
        prop_assert_eq!(answered.is_ok(), common);
        if let Ok((answer, theirs)) = answered {
            let ours = caller.accept_answer(&answer).unwrap();
            prop_assert_eq!(ours.negotiated.send, theirs.negotiated.send);
            prop_assert_eq!(ours.negotiated.telephone_event, theirs.negotiated.telephone_event);
        }
    }
}
