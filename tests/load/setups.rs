//! Calls that begin and end at once: how many a second, and what is left of many of them.

use crate::agents::{self, Agents, BUSY};
use crate::analysis::Delays;
use crate::options::Options;
use crate::phones::LoadPhone;
use crate::{process, run};
use gateway_tests::gateway::Gateway;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Phones that take turns.
const PHONES: usize = 64;
/// Ports below those that the system gives to others: room for 3,000 calls a second, whose ports rest 5 s.
const PORTS: (u16, u16) = (2_000, 32_000);
/// SIP transactions that are over are remembered for 64*T1, ports rest 5 s.
const FORGETTING: Duration = Duration::from_secs(38);
/// G4: growth of memory allowed for 1,000 calls.
const SLOPE_LIMIT: f64 = 1024.0;
/// Looks at the memory while the calls go by.
const LOOKS: usize = 20;

/// What a series of calls came to.
struct Series {
    /// From `invite` to `accepted` or `rejected`, ms.
    took: Delays,
    failures: Vec<String>,
    wall: Duration,
}

/// `--setups`.
pub(crate) async fn setups(options: &Options, rate: f64) -> ExitCode {
    let bench = Bench::start(options).await;
    let pid = bench.gateway.pid();
    let warm = bench.series((rate / 2.0) as usize, rate / 2.0, "warm").await;
    let (cpu, own) = (process::cpu(pid), process::cpu(std::process::id()));
    let calls = (rate * options.seconds as f64) as usize;
    let series = bench.series(calls, rate, "u").await;
    let cpu = process::cpu(pid) - cpu;
    let own = process::cpu(std::process::id()) - own;
    let achieved = calls as f64 / series.wall.as_secs_f64();
    let each = cpu.as_secs_f64() * 1000.0 / calls as f64;
    println!(
        "{calls} calls begun and ended in {:.1} s: {achieved:.0} a second of {rate:.0}",
        series.wall.as_secs_f64()
    );
    for failure in warm.failures.iter().chain(&series.failures).take(5) {
        println!("  call failed: {failure}");
    }
    println!("  calls failed            {:>9}", series.failures.len());
    println!(
        "  invite to accepted      {:>9.2} ms p50, {:.2} ms p99",
        series.took.percentile(0.5),
        series.took.percentile(0.99)
    );
    println!("  gateway CPU per setup   {each:>9.3} ms: one core would do {:.0} a second", 1000.0 / each);
    println!("  CPU of this tool        {:>9.0} % of a core", own.as_secs_f64() / series.wall.as_secs_f64() * 100.0);
    let failed = series.failures.len();
    println!(
        "{}",
        serde_json::json!({"setups": calls, "failed": failed, "per_second": achieved, "gateway_cpu_ms": each,
            "accepted_p50_ms": series.took.percentile(0.5), "accepted_p99_ms": series.took.percentile(0.99)})
    );
    bench.end().await;
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `--soak`.
pub(crate) async fn soak(options: &Options, calls: usize) -> ExitCode {
    let bench = Bench::start(options).await;
    let pid = bench.gateway.pid();
    // Everything that is made once is made now, and as many ended calls are remembered as will ever be.
    let warm = (options.rate * FORGETTING.as_secs_f64()) as usize;
    let mut failures = bench.series(warm, options.rate, "warm").await.failures;
    failures.extend(bench.series(warm, options.rate, BUSY).await.failures);
    tokio::time::sleep(FORGETTING).await;
    let (before, things) = (bench.gateway.resident(), process::threads_and_files(pid));
    println!("memory {} kB, threads and files {things:?}", before / 1024);
    for look in 1..=LOOKS {
        failures.extend(bench.series(calls / LOOKS, options.rate, "u").await.failures);
        failures.extend(bench.series(calls / LOOKS / 2, options.rate, BUSY).await.failures);
        println!("  after {:>6} calls: {} kB", calls / LOOKS * look, bench.gateway.resident() / 1024);
    }
    tokio::time::sleep(FORGETTING).await;
    let (after, left) = (bench.gateway.resident(), process::threads_and_files(pid));
    let all = calls as f64 * 1.5;
    let slope = (after as f64 - before as f64) / all * 1000.0;
    println!("memory {} kB, threads and files {left:?}: {slope:.0} bytes for 1,000 calls", after / 1024);
    println!("{calls} calls and {} refused ones: {} went wrong", calls / 2, failures.len());
    for failure in failures.iter().take(5) {
        println!("  {failure}");
    }
    bench.end().await;
    let sound = failures.is_empty() && slope <= SLOPE_LIMIT && left == things;
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Bench {
    gateway: Gateway,
    agents: Agents,
    words: &'static [&'static str],
}

impl Bench {
    async fn start(options: &Options) -> Self {
        let (format, words, _) = run::codec_words(options.codec);
        let sockets = agents::rtp_sockets(1);
        let agents = Agents::start(&sockets, format, None);
        let gateway = run::start_gateway(options, 2 * PHONES, PORTS).await;
        Self { gateway, agents, words }
    }

    /// Calls, so many a second, by phones that connect for it and take turns; whoever is called so answers or is busy.
    async fn series(&self, calls: usize, rate: f64, callee: &'static str) -> Series {
        let sip = self.agents.sip;
        let mut phones = Vec::new();
        for number in 0..PHONES {
            phones.push(LoadPhone::connected(self.gateway.rtmp, &format!("s{number}@{sip}"), None).await.unwrap());
        }
        let (words, begin) = (self.words, tokio::time::Instant::now());
        let turns = phones.into_iter().enumerate().map(|(first, mut phone)| {
            tokio::spawn(async move {
                let (mut took, mut failures) = (Vec::new(), Vec::new());
                for number in (first..calls).step_by(PHONES) {
                    tokio::time::sleep_until(begin + Duration::from_secs_f64(number as f64 / rate)).await;
                    match one_call(&mut phone, sip, callee, number, words).await {
                        Ok(ms) => took.push(ms),
                        Err(failure) => failures.push(failure),
                    }
                }
                (took, failures)
            })
        });
        let tasks: Vec<_> = turns.collect();
        let (mut took, mut failures) = (Vec::new(), Vec::new());
        for task in tasks {
            let (some, wrong) = task.await.unwrap();
            took.extend(some);
            failures.extend(wrong);
        }
        Series { took: Delays::new(took), failures, wall: begin.elapsed() }
    }

    async fn end(mut self) {
        self.gateway.interrupt();
        self.gateway.wait_end(Duration::from_secs(8)).await;
        self.agents.finish();
    }
}

async fn one_call(
    phone: &mut LoadPhone,
    sip: SocketAddr,
    callee: &str,
    number: usize,
    words: &[&str],
) -> Result<f64, String> {
    let begin = Instant::now();
    let outcome = phone.call(&format!("sip:{callee}{number}@{sip}"), words).await;
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    match outcome {
        Ok(()) if callee == BUSY => Err("a busy callee answered".into()),
        Ok(()) => phone.bye().await.map(|()| took),
        Err(reason) if callee == BUSY && reason.contains("486") => Ok(took),
        Err(reason) => Err(reason),
    }
}
