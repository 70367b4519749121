//! RTCP with PJSIP: what each end says of the other's stream is what the other one knows of it.

use crate::pj_phone::{Habits, PjPhone};
use crate::place::{anna_speaks, gateway};
use gateway_tests::phone::{Login, Phone};
use std::time::Duration;

/// Everything is on one machine; a busy one may let a report lie.
const LARGEST_ROUND_TRIP_MS: f64 = 200.0;
const LARGEST_JITTER_MS: f64 = 60.0;

/// The figures of both ends after eleven seconds, in which each has sent two reports or more, and the gateway's last line about it.
async fn call_with_reports(codec: &str, word: &str, loss_percent: u32) -> (Figures, String) {
    let gateway = gateway().await;
    let mut pj = PjPhone::with(Habits { loss_percent, ..Habits::codec(codec) }).await;
    let mut phone = Phone::connected(gateway.rtmp, Login::anonymous("alice@198.18.0.1")).await;
    phone.invite(&pj.uri(), &[word]).await;
    phone.expect("accepted").await;
    phone.start_media().await;
    anna_speaks(&phone).await;
    let (theirs, ours) = (pj.stats().await, phone.stats().await);
    println!("{codec}: {theirs}\n{ours:?}");
    phone.bye().await;
    let line = gateway.wait_log("media down", Duration::from_secs(3)).await;
    println!("{line}");
    let ours = |name: &str| ours.get_number(name).unwrap_or_else(|| panic!("no {name}: {ours:?}"));
    let theirs = |name: &str| theirs[name].as_f64().unwrap();
    let figures = Figures {
        sent: theirs("sent"),
        came: ours("packetsReceived"),
        lost: ours("lost"),
        reported_to_peer: theirs("sent_lost"),
        lost_at_peer: theirs("came_lost"),
        came_to_peer: theirs("came"),
        reported_to_us: ours("remoteLost"),
        mos: (ours("mos"), ours("remoteMos")),
        round_trips_ms: (theirs("round_trip_ms"), ours("rttMs")),
        jitters_ms: [theirs("sent_jitter_ms"), theirs("came_jitter_ms"), ours("jitterMs"), ours("remoteJitterMs")],
    };
    assert!(theirs("reports") >= 1.0 && theirs("round_trips") >= 1.0, "pjsua2 read our reports");
    let (pj_round_trip, our_round_trip) = figures.round_trips_ms;
    for round_trip in [pj_round_trip, our_round_trip] {
        assert!((0.0..LARGEST_ROUND_TRIP_MS).contains(&round_trip), "{round_trip} ms");
    }
    for jitter in figures.jitters_ms {
        assert!((0.0..LARGEST_JITTER_MS).contains(&jitter), "jitter of {jitter} ms");
    }
    (figures, line)
}

/// Packets of either direction, by what each end knows.
struct Figures {
    sent: f64,
    came: f64,
    lost: f64,
    reported_to_peer: f64,
    lost_at_peer: f64,
    came_to_peer: f64,
    reported_to_us: f64,
    mos: (f64, f64),
    round_trips_ms: (f64, f64),
    jitters_ms: [f64; 4],
}

#[tokio::test]
async fn pjsua2_and_the_gateway_report_no_loss_where_there_is_none_and_little_jitter() {
    for_each_clock(&[("speex/16000", "wideband"), ("g722/16000", "g722")]).await;
}

/// The unit of jitter is that of the RTP clock: 16000 of Speex; 8000 of G.722, whatever it samples at.
async fn for_each_clock(codecs: &[(&str, &str)]) {
    let calls = codecs.iter().map(|&(codec, word)| {
        let (codec, word) = (codec.to_owned(), word.to_owned());
        tokio::spawn(async move { call_with_reports(&codec, &word, 0).await })
    });
    for call in calls.collect::<Vec<_>>() {
        let (figures, line) = call.await.unwrap();
        let losses = [figures.lost, figures.reported_to_peer, figures.lost_at_peer, figures.reported_to_us];
        assert_eq!(losses, [0.0; 4]);
        assert!(figures.mos.0 > 4.0 && figures.mos.1 > 4.0, "{:?}", figures.mos);
        for word in ["sent_lost=0", "lost=0", "round_trip_ms="] {
            assert!(line.contains(word), "{word}: {line}");
        }
    }
}

#[tokio::test]
async fn loss_is_reported_by_each_end_as_the_other_end_has_it() {
    const LOSS: u32 = 10;
    let (figures, _) = call_with_reports("pcmu/8000", "ulaw", LOSS).await;
    // What pjsua2 lost on the way to us: all that it sent and that did not come. A packet or two are on their way.
    let never_came = figures.sent - figures.came;
    assert!((never_came - figures.lost).abs() <= 3.0, "{} lost, {never_came} never came", figures.lost);
    let expected = figures.sent * f64::from(LOSS) / 100.0;
    assert!((expected * 0.4..expected * 2.0).contains(&figures.lost), "{} of {}", figures.lost, figures.sent);
    // Each report is up to 7.5 s old (RFC 3550 section 6.2): of eleven seconds it knows the first three at least.
    for (what, reported, known) in [
        ("to pjsua2", figures.reported_to_peer, figures.lost),
        ("to the gateway", figures.reported_to_us, figures.lost_at_peer),
    ] {
        assert!(reported <= known + 1.0 && reported >= known * 0.15, "{what}: {reported} of {known}");
    }
    let total = figures.came_to_peer + figures.lost_at_peer;
    assert!((0.04..0.2).contains(&(figures.lost_at_peer / total)), "{} of {total}", figures.lost_at_peer);
    assert!(figures.mos.0 < 3.9 && figures.mos.1 < 4.0, "{:?}", figures.mos);
}
