//! The targets that speech must meet (G5): the mean of twelve fixed patterns and two recordings.

use call_media::codec::Codec;
use std::process::ExitCode;

use crate::{
    chains::speeches,
    forwarding, gateway,
    judge::{Judge, Pair, Score, Wanted},
    network::{FRAME_MS, Weather},
    playout::rtmp_phone,
};

const PATTERNS: u64 = 12;

/// A chain, a share of packets lost at random, and the least that must be left.
struct Target {
    what: &'static str,
    peer: Codec,
    phone: Codec,
    loss: f64,
    least: Least,
}

#[derive(Debug, Clone, Copy)]
enum Least {
    Pesq(f64),
    Stoi(f64),
}

const TARGETS: [Target; 5] = [
    Target { what: "PCMU", peer: Codec::Pcmu, phone: Codec::Pcmu, loss: 0.1, least: Least::Pesq(2.8) },
    Target { what: "PCMU", peer: Codec::Pcmu, phone: Codec::Pcmu, loss: 0.3, least: Least::Stoi(0.85) },
    Target {
        what: "Speex narrowband",
        peer: Codec::SpeexNarrowband,
        phone: Codec::Pcmu,
        loss: 0.1,
        least: Least::Pesq(2.55),
    },
    Target {
        what: "Speex narrowband",
        peer: Codec::SpeexNarrowband,
        phone: Codec::Pcmu,
        loss: 0.3,
        least: Least::Stoi(0.79),
    },
    Target {
        what: "Speex q8 to PCMU",
        peer: Codec::SpeexNarrowband,
        phone: Codec::Pcmu,
        loss: 0.0,
        least: Least::Pesq(4.05),
    },
];

/// Prints a line for each target, then how many were met.
pub(crate) fn run(judge: &mut Judge) -> ExitCode {
    let missed = TARGETS.iter().filter(|target| !met(judge, target)).count();
    println!("{} passed, {missed} failed", TARGETS.len() - missed);
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn met(judge: &mut Judge, target: &Target) -> bool {
    let wanted = match target.least {
        Least::Pesq(_) => Wanted { pesq: true, stoi: false },
        Least::Stoi(_) => Wanted { pesq: false, stoi: true },
    };
    let (gateway, bare) = measure(judge, target, wanted);
    let (name, value, bare, least) = match target.least {
        Least::Pesq(least) => ("PESQ", gateway.pesq, bare.pesq, least),
        Least::Stoi(least) => ("STOI", gateway.stoi, bare.stoi, least),
    };
    let (verdict, percent) = (if value >= least { "ok" } else { "MISSED" }, target.loss * 100.0);
    println!(
        "{verdict:7} {}, {percent} % lost: {name} {value:.3}, target {least}, bare library {bare:.3}",
        target.what
    );
    value >= least
}

/// The gateway's score and the bare library's.
fn measure(judge: &mut Judge, target: &Target, wanted: Wanted) -> (Score, Score) {
    let Target { peer, phone, loss, .. } = *target;
    let spoken = speeches(peer, phone, 1);
    let patterns = if loss == 0.0 { 1 } else { PATTERNS };
    let (mut gateways, mut bares) = (Vec::new(), Vec::new());
    for speech in &spoken {
        for pattern in 1..=patterns {
            let arrivals = Weather::Random(loss).arrivals(speech.packets.len(), pattern);
            let frames = gateway::downlink(peer, phone, &speech.packets, &arrivals);
            let pair = |heard| Pair { rate: phone.sample_rate().hz(), said: &speech.said, heard };
            gateways.push(pair(rtmp_phone(phone, &frames, speech.packets.len() as f64 * FRAME_MS).pcm));
            bares.push(pair(forwarding::bare(peer, phone, &speech.packets, &arrivals).pcm));
        }
    }
    (Score::mean(&judge.scores(wanted, &gateways)), Score::mean(&judge.scores(wanted, &bares)))
}
