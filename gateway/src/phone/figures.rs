//! How a call is doing, in numbers: what the phone is told by `stats`.

use std::time::Duration;

use call_media::codec::Codec;
use call_media::stats::PathStats;

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
    pub fn opinion_score(&self) -> f64 {
        score(93.2 - self.delay_impairment() - self.equipment_impairment())
    }

    /// G.107 section 7.4, in the usual two lines for a connection without echo.
    fn delay_impairment(&self) -> f64 {
        let one_way = self.path.round_trip.unwrap_or_default() / 2 + self.path.downlink.jitter + OWN_DELAY;
        let ms = one_way.as_secs_f64() * 1_000.0;
        0.024 * ms + 0.11 * (ms - 177.3).max(0.0)
    }

    /// G.107 section 7.5 with random loss: equipment impairment and robustness against loss of the codec (G.113 appendix I).
    fn equipment_impairment(&self) -> f64 {
        let (impairment, robustness) = match self.codec {
            // G.711 with concealment.
            Codec::Pcmu | Codec::Pcma => (0.0, 25.1),
            // As G.729A.
            Codec::SpeexNarrowband => (11.0, 19.0),
            // The scale is that of telephone band: more cannot be heard on it.
            Codec::SpeexWideband => (0.0, 19.0),
        };
        let (lost, came) = (self.path.downlink.lost as f64, self.path.downlink.packets as f64);
        let percent = if lost > 0.0 { 100.0 * lost / (lost + came) } else { 0.0 };
        impairment + (95.0 - impairment) * percent / (percent + robustness)
    }
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
    use super::*;

    fn figures(codec: Codec, lost: u64, round_trip_ms: u64) -> Figures {
        let mut path = PathStats { round_trip: Some(Duration::from_millis(round_trip_ms)), ..PathStats::default() };
        path.downlink.packets = 1_000 - lost;
        path.downlink.lost = lost;
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
        let good = figures(Codec::Pcmu, 0, 20).opinion_score();
        assert!((4.38..4.42).contains(&good), "{good}");
        let lossy = figures(Codec::Pcmu, 50, 20).opinion_score();
        let late = figures(Codec::Pcmu, 0, 800).opinion_score();
        assert!(lossy < good - 0.4 && late < good - 0.8, "{good} {lossy} {late}");
        assert!(figures(Codec::SpeexNarrowband, 0, 20).opinion_score() < good);
        let nothing = figures(Codec::Pcma, 1_000, 5_000).opinion_score();
        assert!((nothing - 1.0).abs() < f64::EPSILON, "{nothing}");
    }
}
