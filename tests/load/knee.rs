//! The knee: the most calls at which delay and loss hold. Doubling finds a number that is too many, halving the distance the last one
//! that is not.

use crate::figures::Figures;
use crate::options::Options;
use crate::run;
use std::process::ExitCode;

/// Frames that may be lost.
const LOSS_LIMIT: f64 = 0.001;
/// Doubling ends here: so many phones need more ports than the gateway is given.
const CALLS_MAX: usize = 8_000;
/// The search ends when the two numbers are this close, as a share of the lower one.
const CLOSE: f64 = 0.06;
/// A probe that fails is tried again before it is believed: the machine may have been busy with something else.
const TRIES: usize = 2;

/// Searches, and says what stands in the way.
pub(crate) async fn find(options: &Options) -> ExitCode {
    println!(
        "the most calls with added delay p99 <= {} ms and <= {} % lost, {} on SIP, {} s each",
        options.delay_limit,
        LOSS_LIMIT * 100.0,
        options.codec.word(),
        options.seconds
    );
    println!("   calls  up p50/p99 ms  down p50/p99 ms  lost %  failed  CPU %: gateway  tool  others  tool late p99");
    let (mut good, mut bad) = (0, None);
    let mut calls = options.calls.max(10);
    let mut last = None;
    loop {
        let holds = probe(options, calls, &mut last).await;
        if holds {
            good = calls
        } else {
            bad = Some(calls)
        }
        calls = match bad {
            None if calls >= CALLS_MAX => break,
            None => (calls * 2).min(CALLS_MAX),
            Some(bad) if (bad - good) as f64 <= (good as f64 * CLOSE).max(4.0) => break,
            Some(bad) => good.midpoint(bad),
        };
    }
    println!("knee: {good} calls");
    if let Some((figures, calls)) = last {
        println!("  {}", limit(&figures, calls));
    }
    println!(
        "{}",
        serde_json::json!({"knee_calls": good, "codec": options.codec.word(), "delay_limit_ms": options.delay_limit})
    );
    if good > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether so many calls hold; the figures of a run that did not are kept.
async fn probe(options: &Options, calls: usize, failed: &mut Option<(Figures, usize)>) -> bool {
    for _ in 0..TRIES {
        let rate = (calls as f64 / 4.0).clamp(50.0, 400.0);
        let figures = run::measure(&Options { calls, rate, baseline: false, ..options.clone() }).await;
        let (up, down) = (&figures.up.delays, &figures.down.delays);
        println!(
            "{calls:>8}  {:>6.2} {:>6.2}   {:>6.2} {:>6.2}   {:>6.3}  {:>6}        {:>6.0} {:>6.0} {:>6.0}   {:>6.2} ms",
            up.percentile(0.5),
            up.percentile(0.99),
            down.percentile(0.5),
            down.percentile(0.99),
            figures.lost_share() * 100.0,
            figures.failed_calls,
            figures.cpu_per_call * calls as f64,
            figures.own_cpu,
            figures.others_cpu,
            figures.lateness.percentile(0.99),
        );
        for failure in figures.failures.iter().take(5) {
            println!("          call failed: {failure}");
        }
        let late = up.percentile(0.99).max(down.percentile(0.99));
        if figures.failed_calls == 0 && figures.lost_share() <= LOSS_LIMIT && late <= options.delay_limit {
            return true;
        }
        *failed = Some((figures, calls));
    }
    false
}

/// What was full when it did not hold any more.
fn limit(figures: &Figures, calls: usize) -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let gateway = figures.cpu_per_call * calls as f64;
    let busy = (gateway + figures.own_cpu + figures.others_cpu) / cores;
    let late = figures.lateness.percentile(0.99);
    if figures.others_cpu > 25.0 {
        format!("not the gateway alone: other programs used {:.0} % of a core", figures.others_cpu)
    } else if busy > 85.0 {
        format!(
            "the machine was full ({busy:.0} % of {cores} cores): the tool had {:.0} % of a core, the gateway {gateway:.0} %",
            figures.own_cpu
        )
    } else if late > 2.0 {
        format!("the tool itself was late (p99 {late:.1} ms), so this is a lower bound")
    } else {
        format!("the gateway, at {gateway:.0} % of a core; the machine had room ({busy:.0} % used)")
    }
}
