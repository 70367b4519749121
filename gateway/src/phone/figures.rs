//! How a call is doing, in numbers: what the phone is told by `stats`, and what the log keeps of it.

use std::time::Duration;

use call_media::codec::Codec;
use call_media::stats::PathStats;
use tracing::info;

/// Sound between a packet's making and its playing that no network takes part in: the packet's own length and its decoding.
const OWN_DELAY: Duration = Duration::from_millis(25);

/// A call's media, counted since it began.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// What goes to the SIP side.
    pub codec: Codec,
    /// What the phone is sent.
    pub phone_codec: Codec,
    /// Since media began.
    pub up_for: Duration,
    /// What the media path counts.
    pub path: PathStats,
}

impl Figures {
    /// Mean opinion score of what comes from the SIP side, 1 to 4.41, by the E-model (ITU-T G.107) with its default values: 93.2 less
    /// what delay and loss take away. An estimate to compare calls by: G.113 has no impairment of Speex, a codec of its rate stands in.
    pub fn incoming_score(&self) -> f64 {
        let down = &self.path.downlink;
        // Late packets count as lost, and as received too.
        let expected = (down.packets + down.lost).saturating_sub(down.late + down.duplicated);
        self.opinion_score(down.jitter, share(down.lost as f64, expected as f64))
    }

    /// The same of what the SIP side hears of us, by what its RTCP reports; none as long as it reports nothing.
    pub fn outgoing_score(&self) -> Option<f64> {
        let remote = &self.path.remote;
        let lost = share(f64::from(remote.cumulative_lost.max(0)), f64::from(remote.expected));
        (remote.reports > 0).then(|| self.opinion_score(remote.jitter, lost))
    }

    /// The call's end record: loss, jitter and score of each direction, and the round trip. What the peer has not reported is left out.
    pub fn log(&self, strangers: u64) {
        let (up, down) = (&self.path.uplink, &self.path.downlink);
        let remote = Some(&self.path.remote).filter(|remote| remote.reports > 0);
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        info!(
            seconds = self.up_for.as_secs(),
            sent = up.packets,
            sent_lost = remote.map(|remote| remote.cumulative_lost),
            sent_jitter_ms = remote.map(|remote| rounded(ms(remote.jitter))),
            sent_mos = self.outgoing_score().map(rounded),
            dropped_ms = up.dropped_frames * 20,
            filled_ms = up.filled_frames * 20,
            received = down.packets,
            lost = down.lost,
            late = down.late,
            concealed_ms = down.concealed_frames * 20,
            jitter_ms = rounded(ms(down.jitter)),
            mos = rounded(self.incoming_score()),
            round_trip_ms = self.path.round_trip.map(|time| rounded(ms(time))),
            strangers,
            "media down"
        );
    }

    fn opinion_score(&self, jitter: Duration, lost: f64) -> f64 {
        score(93.2 - self.delay_impairment(jitter) - self.equipment_impairment(lost))
    }

    /// G.107 section 7.4, in the usual two lines for a connection without echo.
    fn delay_impairment(&self, jitter: Duration) -> f64 {
        let one_way = self.path.round_trip.unwrap_or_default() / 2 + jitter + OWN_DELAY;
        let ms = one_way.as_secs_f64() * 1_000.0;
        0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
    }

    /// G.107 section 7.5 with random loss: equipment impairment and robustness against loss of the codec (G.113 appendix I).
    fn equipment_impairment(&self, lost: f64) -> f64 {
        let (impairment, robustness) = match self.codec {
            // G.711 with concealment.
            Codec::Pcmu | Codec::Pcma | Codec::L16Narrowband | Codec::L16Wideband => (0.0, 25.1),
            // As G.729A.
            Codec::SpeexNarrowband => (11.0, 19.0),
            // The scale is that of telephone band: more cannot be heard on it.
            Codec::SpeexWideband | Codec::SpeexUltraWideband | Codec::Opus => (0.0, 19.0),
            // As G.711; its concealment is the same and its decoder takes longer to recover.
            Codec::G722 => (0.0, 20.0),
        };
        let percent = 100.0 * lost;
        impairment + (95.0 - impairment) * percent / (percent + robustness)
    }
}

/// To a hundredth, for people.
fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Part of a whole, 0 to 1; a peer may have told both.
fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 }
}

/// G.107 annex B.
fn score(rating: f64) -> f64 {
    match rating {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        // The cubic dips below 1 for ratings next to nothing.
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use call_media::stats::RemoteReport;

    use super::*;

    fn figures(codec: Codec, lost: u64, round_trip_ms: u64) -> Figures {
        let mut path = PathStats { round_trip: Some(Duration::from_millis(round_trip_ms)), ..PathStats::default() };
        path.downlink.packets = 1_000 - lost;
        path.downlink.lost = lost;
        path.remote = RemoteReport { cumulative_lost: 1_000 - lost as i32, expected: 1_000, ..RemoteReport::default() };
        Figures { codec, phone_codec: Codec::SpeexNarrowband, up_for: Duration::from_secs(20), path }
    }

    #[test]
    fn the_rating_becomes_the_scores_of_g_107() {
        for (rating, expected) in [(93.2, 4.41), (90.0, 4.34), (80.0, 4.02), (70.0, 3.60), (60.0, 3.10), (50.0, 2.58)] {
            assert!((score(rating) - expected).abs() < 0.01, "{rating}: {}", score(rating));
        }
        for rating in [-50.0, 0.0, 1.0, 100.0, 1_000.0] {
            assert!((1.0..=4.5).contains(&score(rating)), "{rating}");
        }
    }

    #[test]
    fn a_good_call_scores_high_and_loss_and_delay_take_from_it() {
        let good = figures(Codec::Pcmu, 0, 20).incoming_score();
        assert!((4.38..4.42).contains(&good), "{good}");
        let lossy = figures(Codec::Pcmu, 50, 20).incoming_score();
        let late = figures(Codec::Pcmu, 0, 800).incoming_score();
        assert!(lossy < good - 0.4 && late < good - 0.8, "{good} {lossy} {late}");
        assert!(figures(Codec::SpeexNarrowband, 0, 20).incoming_score() < good);
        let nothing = figures(Codec::Pcma, 1_000, 5_000).incoming_score();
        assert!((nothing - 1.0).abs() < f64::EPSILON, "{nothing}");
    }

    #[test]
    fn what_the_peer_hears_is_judged_by_its_reports_and_not_at_all_without() {
        let mut lossy = figures(Codec::Pcmu, 950, 20); // of us the peer loses 50 of 1,000
        assert_eq!(lossy.outgoing_score(), None);
        lossy.path.remote.reports = 1;
        let (outgoing, mirrored) = (lossy.outgoing_score().unwrap(), figures(Codec::Pcmu, 50, 20).incoming_score());
        assert!((outgoing - mirrored).abs() < 1e-9 && lossy.incoming_score() < 1.5, "{outgoing} {mirrored}");
        lossy.path.remote = RemoteReport { cumulative_lost: i32::MIN, expected: 0, ..lossy.path.remote };
        assert!(lossy.outgoing_score().unwrap() > 4.3, "nonsense that a peer reports does no harm");
    }

    #[test]
    fn packets_that_came_too_late_count_as_lost_once() {
        let mut call = figures(Codec::Pcmu, 50, 20);
        let lost = call.incoming_score();
        (call.path.downlink.packets, call.path.downlink.late) = (1_000, 50);
        assert!((call.incoming_score() - lost).abs() < 1e-9);
    }
}
