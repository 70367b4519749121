//! Speech on bad networks: the gateway's media core beside siprtmp-style forwarding and a bare decoder, on the same speech
//! and the same lost and late packets, in virtual time.
//!
//! ```text
//!  speech -> encoder -> bad network -+-> gateway (MediaPath) ----> phone's buffer, libspeex ... -> heard -+
//!            (ours)     (seeded)     +-> forwarded as it comes --> the same phone --------------> heard -+-> PESQ, STOI
//!                                    +-> 60 ms buffer, library's decoder and concealment -------> heard -+
//! ```
//! `quality` prints the tables of docs/performance.md, `quality gate` holds the media core to the targets (G5).
#![allow(clippy::unwrap_used)]

mod chains;
mod ears;
mod forwarding;
mod gate;
mod gateway;
mod judge;
mod network;
mod playout;
mod tables;

use std::process::ExitCode;

const USAGE: &str = "usage: quality [all|loss|jitter|networks|up|gate] [--patterns N] [--chain PART_OF_ITS_NAME]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut patterns = 12;
    let mut chain = "";
    let mut part = "all";
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "all" | "loss" | "jitter" | "networks" | "up" | "gate" => part = arg,
            "--patterns" => patterns = args.next().and_then(|number| number.parse().ok()).unwrap_or(patterns),
            "--chain" => chain = args.next().map_or("", String::as_str),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let mut judge = judge::Judge::start();
    if part == "gate" {
        return gate::run(&mut judge);
    }
    if matches!(part, "all" | "loss") {
        tables::loss(&mut judge, chain, patterns);
    }
    if matches!(part, "all" | "jitter") {
        tables::jitter(&mut judge, chain, patterns);
    }
    if matches!(part, "all" | "networks") {
        tables::networks(&mut judge, chain, patterns);
    }
    if matches!(part, "all" | "up") {
        tables::uplink(&mut judge, chain, patterns);
    }
    ExitCode::SUCCESS
}
