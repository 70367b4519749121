//! Digits out (RFC 4733), read back by tshark.

use crate::stage::{PCMU, Stage};
use gateway_tests::capture::Capture;
use gateway_tests::voice::PhoneVoice;
use std::time::Duration;

#[tokio::test]
async fn digits_are_read_back_in_order_each_with_a_marker_and_three_end_packets() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu", "dtmf"], PCMU).await;
    let capture = Capture::start(&[stage.peer.address().port(), call.rtp.address().port()]).await;
    // tshark learns the payload types from an offer that it sees: renew the call within the capture.
    let mut dialog = call.dialog.clone();
    let local = gateway_tests::sdp::AudioSdp::new(call.rtp.address(), PCMU);
    stage.peer.reinvite(&mut dialog, &local).await;
    stage.phone.start_media().await;

    let digits = "19#*0A5";
    for digit in digits.chars() {
        stage.phone.call("sendDTMF", &[digit.to_string().into()]).await.unwrap();
    }
    // Speech goes on around them: events and audio share one RTP stream.
    stage.phone.speak(&PhoneVoice::Pcmu.bodies(&vec![0; 8000 * 4], 8)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let captured = capture.stop().await;
    let events = captured.events_to(stage.peer.address().port(), call.rtp.address());
    let read: String = events.iter().map(|event| event.digit).collect();
    assert_eq!(read, digits, "{events:#?}");
    for event in &events {
        assert!(event.markers[0], "RFC 4733 2.5.1.1: the first packet has the marker: {event:?}");
        assert_eq!(event.markers.iter().filter(|marker| **marker).count(), 1, "{event:?}");
        assert_eq!(event.ends.iter().filter(|end| **end).count(), 3, "RFC 4733 2.5.1.4: {event:?}");
        assert!(event.ends[event.ends.len() - 3..].iter().all(|end| *end), "the last three: {event:?}");
        assert!(event.durations.windows(2).all(|pair| pair[0] <= pair[1]), "{event:?}");
        let last = event.durations[event.durations.len() - 1];
        assert!((320..=2400).contains(&last), "40 to 300 ms at 8000 Hz: {event:?}");
    }
}

#[tokio::test]
async fn several_digits_in_one_call_are_sent_one_after_another() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu", "dtmf"], PCMU).await;
    stage.phone.call("sendDTMF", &["123".into()]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1800)).await;
    let mut events: Vec<(u32, u8, usize)> = Vec::new();
    for packet in call.rtp.seen().iter().filter(|packet| packet.payload_type == 101) {
        if events.last().is_none_or(|last| last.0 != packet.timestamp) {
            events.push((packet.timestamp, packet.payload[0], 0));
        }
        let last = events.len() - 1;
        events[last].2 += usize::from(packet.payload[1] >> 7);
    }
    let digits_and_ends: Vec<(u8, usize)> = events.iter().map(|(_, digit, ends)| (*digit, *ends)).collect();
    assert_eq!(digits_and_ends, [(1, 3), (2, 3), (3, 3)], "nothing is published, and still every digit ends");
}

#[tokio::test]
async fn a_peer_without_telephone_events_is_sent_none() {
    let mut stage = Stage::registered().await;
    let call = stage.call_out(&["pcmu", "dtmf"], &[(0, "PCMU/8000")]).await;
    let _ = stage.phone.call("sendDTMF", &["5".into()]).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    let strange: Vec<u8> = call.rtp.seen().iter().map(|p| p.payload_type).filter(|number| *number != 0).collect();
    assert_eq!(strange, [0u8; 0]);
}
