//! The tables of docs/performance.md, section "Speech on bad networks".

use crate::{
    chains::{Chain, DOWN, Speech, UP, speeches},
    ears::rate_of,
    forwarding, gateway,
    judge::{Judge, Pair, Score, Wanted},
    network::{FRAME_MS, TcpWeather, Trace, Weather},
    playout::{Frame, Heard, percentile, rtmp_phone, sip_phone},
};

const BOTH: Wanted = Wanted { pesq: true, stoi: true };
/// Where the delay moves on the way: PESQ follows it, STOI does not.
const PESQ: Wanted = Wanted { pesq: true, stoi: false };

/// What one receiver made of one weather, over all patterns and recordings.
pub(crate) struct Figures {
    pub(crate) score: Score,
    delays_ms: Vec<f64>,
}

impl Figures {
    fn score(&self) -> String {
        format!("{:.2} / {:.2}", self.score.pesq, self.score.stoi)
    }

    fn pesq(&self) -> String {
        format!("{:.2}", self.score.pesq)
    }

    fn delay(&self) -> String {
        let mean = self.delays_ms.iter().sum::<f64>() / self.delays_ms.len().max(1) as f64;
        format!("{mean:.0} / {:.0}", percentile(&self.delays_ms, 0.95))
    }
}

/// Judges everything that one receiver heard.
fn judged(
    judge: &mut Judge,
    wanted: Wanted,
    rate: u32,
    speeches: &[&Speech],
    from_ms: f64,
    heard: Vec<Heard>,
) -> Figures {
    let from = (from_ms * f64::from(rate) / 1000.0) as usize;
    let delays_ms = heard.iter().flat_map(|heard| heard.delays_ms.iter().copied()).collect();
    let pairs: Vec<_> = heard
        .into_iter()
        .zip(speeches)
        .map(|(heard, speech)| Pair { rate, said: &speech.said[from..], heard: heard.pcm })
        .collect();
    Figures { score: Score::mean(&judge.scores(wanted, &pairs)), delays_ms }
}

/// The three receivers of one weather on the way to the phone.
pub(crate) struct Down {
    pub(crate) gateway: Figures,
    /// What siprtmp has the codecs for.
    forwarded: Option<Figures>,
    pub(crate) bare: Figures,
}

/// Lets all three receive the same: every recording in so many patterns of the weather.
pub(crate) fn down(judge: &mut Judge, wanted: Wanted, chain: Chain, weather: Weather, patterns: usize) -> Down {
    let Chain { peer, phone, .. } = chain;
    let spoken = speeches(peer, phone, 1);
    let as_sent = speeches(peer, peer, 1);
    let (mut gateways, mut forwards, mut bares, mut said) = (vec![], vec![], vec![], vec![]);
    // Where nothing is drawn by chance, one pattern is all.
    let patterns = if weather == Weather::Random(0.0) { 1 } else { patterns };
    for (number, speech) in spoken.iter().enumerate() {
        let length_ms = speech.packets.len() as f64 * FRAME_MS;
        for pattern in 0..patterns {
            let seed = (number * 100 + pattern + 1) as u64;
            let arrivals = weather.arrivals(speech.packets.len(), seed);
            let frames = gateway::downlink(peer, phone, &speech.packets, &arrivals);
            gateways.push(rtmp_phone(phone, &frames, length_ms));
            if chain.siprtmp_has_it() {
                forwards.push(rtmp_phone(peer, &forwarding::downlink(&speech.packets, &arrivals), length_ms));
            }
            bares.push(forwarding::bare(peer, phone, &speech.packets, &arrivals));
            said.push((speech, &as_sent[number]));
        }
    }
    let for_phone: Vec<_> = said.iter().map(|(speech, _)| *speech).collect();
    let as_sent: Vec<_> = said.iter().map(|(_, speech)| *speech).collect();
    let (phone_rate, peer_rate) = (rate_of(phone).hz(), rate_of(peer).hz());
    Down {
        gateway: judged(judge, wanted, phone_rate, &for_phone, 0.0, gateways),
        forwarded: chain.siprtmp_has_it().then(|| judged(judge, wanted, peer_rate, &as_sent, 0.0, forwards)),
        bare: judged(judge, wanted, phone_rate, &for_phone, 0.0, bares),
    }
}

/// Lost packets on the way to the phone.
pub(crate) fn loss(judge: &mut Judge, name: &str, patterns: usize) {
    println!("| SIP to phone | loss | gateway | forwarded | bare + PLC |\n|---|---|---|---|---|");
    let shares = [0.01, 0.05, 0.1, 0.2, 0.3];
    let random = [0.0].iter().chain(&shares).map(|share| Weather::Random(*share));
    let weathers: Vec<_> = random.chain(shares.map(Weather::Bursts)).collect();
    for chain in DOWN.into_iter().filter(|chain| chain.name.contains(name)) {
        for weather in &weathers {
            let Down { gateway, forwarded, bare } = down(judge, BOTH, chain, *weather, patterns);
            let (a, c) = (gateway.score(), bare.score());
            let b = forwarded.as_ref().map_or("–".into(), Figures::score);
            println!("| {} | {} | {a} | {b} | {c} |", chain.name, weather.name());
        }
    }
}

/// Late packets on the way to the phone.
pub(crate) fn jitter(judge: &mut Judge, name: &str, patterns: usize) {
    let waits = [20.0, 50.0, 100.0, 200.0];
    let weathers: Vec<_> = waits.map(Weather::Overtaking).into_iter().chain(waits.map(Weather::Queue)).collect();
    late(judge, name, patterns, &weathers);
}

/// Written-down networks, where packets are late and lost.
pub(crate) fn networks(judge: &mut Judge, name: &str, patterns: usize) {
    late(judge, name, patterns, &Trace::ALL.map(Weather::Written));
}

fn late(judge: &mut Judge, name: &str, patterns: usize, weathers: &[Weather]) {
    println!(
        "\n| SIP to phone | network | gateway | delay | forwarded | delay | bare + PLC |\n|---|---|---|---|---|---|---|"
    );
    for chain in DOWN.into_iter().filter(|chain| chain.name.contains(name)) {
        for weather in weathers {
            let Down { gateway, forwarded, bare } = down(judge, PESQ, chain, *weather, patterns);
            let (a, c) = (gateway.pesq(), bare.pesq());
            let b = forwarded.as_ref().map_or("–".into(), Figures::pesq);
            let (gateway, forwarded) = (gateway.delay(), forwarded.as_ref().map_or("–".into(), Figures::delay));
            println!("| {} | {} | {a} | {gateway} | {b} | {forwarded} | {c} |", chain.name, weather.name());
        }
    }
}

/// The phone's TCP on the way to the SIP peer.
pub(crate) fn uplink(judge: &mut Judge, name: &str, patterns: usize) {
    println!("\n| phone to SIP | TCP | gateway | delay | forwarded | delay |\n|---|---|---|---|---|---|");
    let jitters = [0.0, 20.0, 50.0, 100.0, 200.0].map(TcpWeather::Jitter);
    let stalls = [300.0, 1000.0, 5000.0].map(TcpWeather::Stall);
    let written = Trace::ALL.map(TcpWeather::Written);
    let weathers: Vec<_> = jitters.into_iter().chain(stalls).chain(written).collect();
    for chain in UP.into_iter().filter(|chain| chain.name.contains(name)) {
        for weather in &weathers {
            let Up { gateway, forwarded } = up(judge, chain, *weather, patterns);
            let (a, b) = (gateway.pesq(), forwarded.pesq());
            println!(
                "| {} | {} | {a} | {} | {b} | {} |",
                chain.name,
                weather.name(),
                gateway.delay(),
                forwarded.delay()
            );
        }
    }
}

/// The two receivers of one weather on the way to the SIP peer.
struct Up {
    gateway: Figures,
    forwarded: Figures,
}

fn up(judge: &mut Judge, chain: Chain, weather: TcpWeather, patterns: usize) -> Up {
    let Chain { peer, phone, .. } = chain;
    let by_chance = !matches!(weather, TcpWeather::Stall(_)) && weather != TcpWeather::Jitter(0.0);
    let patterns = if by_chance { patterns } else { 1 };
    let times = if matches!(weather, TcpWeather::Stall(_)) { 2 } else { 1 };
    let from_ms = weather.judged_from_ms();
    let spoken = speeches(phone, peer, times);
    let (mut gateways, mut forwards, mut said) = (vec![], vec![], vec![]);
    for (number, speech) in spoken.iter().enumerate() {
        let length_ms = speech.packets.len() as f64 * FRAME_MS;
        let hear = |frames: &[Frame]| sip_phone(peer, frames, from_ms, length_ms);
        for pattern in 0..patterns {
            let seed = (number * 100 + pattern + 1) as u64;
            let arrivals = weather.arrivals(speech.packets.len(), seed);
            gateways.push(hear(&gateway::uplink(phone, peer, &speech.packets, &arrivals)));
            forwards.push(hear(&forwarding::uplink(phone, peer, &speech.packets, &arrivals)));
            said.push(speech);
        }
    }
    let rate = rate_of(peer).hz();
    Up {
        gateway: judged(judge, PESQ, rate, &said, from_ms, gateways),
        forwarded: judged(judge, PESQ, rate, &said, from_ms, forwards),
    }
}
