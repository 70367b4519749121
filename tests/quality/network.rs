//! What happens to packets and bytes under way: seeded, so that every receiver of a comparison sees the same.

use gateway_tests::network::Chance;

/// Packet time of everything here, milliseconds.
pub(crate) const FRAME_MS: f64 = 20.0;
/// Packets lost in a row, on average, in a burst.
const MEAN_BURST: f64 = 3.0;

/// A bad way for RTP packets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// This share of packets is lost, each by its own chance.
    Random(f64),
    /// This share of packets is lost in bursts of three on average (Gilbert: a good state that loses nothing, a bad one
    /// that loses all).
    Bursts(f64),
    /// Every packet waits up to this many ms, evenly drawn, each by its own chance: packets overtake one another.
    Overtaking(f64),
    /// The same waits in a queue: a packet waits at least as long as the one before it still does.
    Queue(f64),
    /// What was written down, a part of it for each seed.
    Written(Trace),
}

/// The networks of `gateway/media/fixtures/networks`: three out of models and a recording (`make.py` there says which).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// A crowded cell of Wi-Fi.
    Wifi,
    /// LTE.
    Mobile,
    /// Loss in bursts that does not take everything.
    Gilbert,
    /// UMTS in a moving car, recorded.
    Umts,
}

impl Trace {
    pub(crate) const ALL: [Self; 4] = [Self::Wifi, Self::Mobile, Self::Gilbert, Self::Umts];

    fn name(self) -> &'static str {
        match self {
            Self::Wifi => "Wi-Fi",
            Self::Mobile => "LTE",
            Self::Gilbert => "lossy bursts",
            Self::Umts => "UMTS, recorded",
        }
    }

    /// What `count` packets in a row wait, from a place that the seed chooses; milliseconds, nothing if lost.
    fn waits(self, count: usize, seed: u64) -> impl Iterator<Item = Option<f64>> {
        /// Apart enough for the parts that neighbouring seeds choose to begin in different weather.
        const STEP: usize = 211;
        let text = match self {
            Self::Wifi => include_str!("../../gateway/media/fixtures/networks/wifi.txt"),
            Self::Mobile => include_str!("../../gateway/media/fixtures/networks/mobile.txt"),
            Self::Gilbert => include_str!("../../gateway/media/fixtures/networks/gilbert.txt"),
            Self::Umts => include_str!("../../gateway/media/fixtures/networks/umts.txt"),
        };
        let start = seed as usize * STEP % (text.lines().count() - count + 1);
        text.lines().skip(start).take(count).map(|line| line.parse().ok())
    }
}

impl Weather {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Random(0.0) => "clean".into(),
            Self::Random(share) => format!("random {:.0} %", share * 100.0),
            Self::Bursts(share) => format!("bursts {:.0} %", share * 100.0),
            Self::Overtaking(ms) => format!("jitter {ms:.0} ms"),
            Self::Queue(ms) => format!("queue {ms:.0} ms"),
            Self::Written(trace) => trace.name().into(),
        }
    }

    /// When each of `count` packets, sent every 20 ms from 0, arrives: milliseconds, nothing if lost.
    pub(crate) fn arrivals(self, count: usize, seed: u64) -> Vec<Option<f64>> {
        if let Self::Written(trace) = self {
            let sent = (0..).map(|n| f64::from(n) * FRAME_MS);
            return sent.zip(trace.waits(count, seed)).map(|(sent, wait)| wait.map(|wait| sent + wait)).collect();
        }
        let mut chance = Chance::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (mut bad, mut queue_free) = (false, 0.0f64);
        (0..count)
            .map(|n| {
                let sent = n as f64 * FRAME_MS;
                match self {
                    Self::Random(share) => (!chance.happens(share)).then_some(sent),
                    Self::Bursts(share) => {
                        let (enter, leave) = (share / (MEAN_BURST * (1.0 - share)), 1.0 / MEAN_BURST);
                        bad = if bad { !chance.happens(leave) } else { chance.happens(enter) };
                        (!bad).then_some(sent)
                    }
                    Self::Overtaking(ms) => Some(sent + ms * chance.unit()),
                    Self::Queue(ms) => {
                        queue_free = queue_free.max(sent + ms * chance.unit());
                        Some(queue_free)
                    }
                    Self::Written(_) => unreachable!("taken out above"),
                }
            })
            .collect()
    }
}

/// A bad way for the phone's bytes: TCP loses nothing and keeps order, so all that can happen is that they come late.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TcpWeather {
    /// Every message waits up to this many ms, evenly drawn, and for the one before it.
    Jitter(f64),
    /// Nothing moves for this many ms from [`STALL_AT_MS`] on, then all comes at once.
    Stall(f64),
    /// A written-down network on which TCP sends again what was lost, [`AGAIN_MS`] later, and holds what came behind it.
    Written(Trace),
}

/// From a segment's loss to its coming: three more behind it (RFC 5681 section 3.2), and a round trip.
const AGAIN_MS: f64 = 100.0;

/// When a stall begins.
pub(crate) const STALL_AT_MS: f64 = 3000.0;

impl TcpWeather {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Jitter(0.0) => "clean".into(),
            Self::Jitter(ms) => format!("jitter {ms:.0} ms"),
            Self::Stall(ms) => format!("stall {} s", ms / 1000.0),
            Self::Written(trace) => trace.name().into(),
        }
    }

    /// When each of `count` messages, written every 20 ms from 0, arrives: milliseconds.
    pub(crate) fn arrivals(self, count: usize, seed: u64) -> Vec<f64> {
        let written = (0..count).map(|n| n as f64 * FRAME_MS);
        match self {
            Self::Jitter(ms) => Weather::Queue(ms).arrivals(count, seed).into_iter().flatten().collect(),
            Self::Stall(ms) => {
                let end = STALL_AT_MS + ms;
                written.map(|at| if at >= STALL_AT_MS { at.max(end) } else { at }).collect()
            }
            Self::Written(trace) => {
                let mut free = 0.0f64;
                written
                    .zip(trace.waits(count, seed))
                    .map(|(at, wait)| {
                        free = free.max(at + wait.unwrap_or(AGAIN_MS));
                        free
                    })
                    .collect()
            }
        }
    }

    /// From when on speech is judged: two seconds after a stall's end.
    pub(crate) fn judged_from_ms(self) -> f64 {
        match self {
            Self::Jitter(_) | Self::Written(_) => 0.0,
            Self::Stall(ms) => STALL_AT_MS + ms + 2000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_lose_the_share_that_was_asked_for_three_at_a_time() {
        let arrivals = Weather::Bursts(0.2).arrivals(100_000, 3);
        let lost = arrivals.iter().filter(|arrival| arrival.is_none()).count();
        let bursts = arrivals.windows(2).filter(|pair| pair[0].is_some() && pair[1].is_none()).count();
        assert!((19_000..21_000).contains(&lost), "{lost}");
        assert!((2.8..3.2).contains(&(lost as f64 / bursts as f64)), "{lost} in {bursts}");
    }

    #[test]
    fn the_same_seed_gives_the_same_weather_and_a_queue_keeps_order() {
        let written = Trace::ALL.map(Weather::Written);
        let drawn = [Weather::Random(0.1), Weather::Bursts(0.1), Weather::Overtaking(50.0), Weather::Queue(50.0)];
        for weather in drawn.into_iter().chain(written) {
            assert_eq!(weather.arrivals(500, 7), weather.arrivals(500, 7), "{}", weather.name());
            assert_ne!(weather.arrivals(500, 7), weather.arrivals(500, 8), "{}", weather.name());
        }
        assert!(Weather::Queue(200.0).arrivals(500, 1).windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn over_tcp_nothing_of_a_written_network_is_lost_and_order_is_kept() {
        for trace in Trace::ALL {
            let (rtp, tcp) = (Weather::Written(trace).arrivals(400, 3), TcpWeather::Written(trace).arrivals(400, 3));
            assert!(rtp.iter().zip(&tcp).all(|(rtp, tcp)| rtp.is_none_or(|at| at <= *tcp)), "{trace:?}");
            assert!(tcp.len() == 400 && tcp.windows(2).all(|pair| pair[0] <= pair[1]), "{trace:?}");
        }
        assert!(Weather::Written(Trace::Gilbert).arrivals(400, 3).iter().any(Option::is_none));
    }

    #[test]
    fn a_stall_holds_what_is_written_in_it_to_its_end() {
        let arrivals = TcpWeather::Stall(300.0).arrivals(300, 0);
        assert_eq!((arrivals[149], arrivals[150], arrivals[165], arrivals[166]), (2980.0, 3300.0, 3300.0, 3320.0));
    }
}
