//! The load tool: N calls through a gateway of its own, and what they cost.
//!
//! ```text
//!   this process                                    the gateway's process
//!   phones: one thread, N tasks  --- RTMP --->      measured: CPU, memory, threads, files
//!   agents: SIP, send and receive threads <-- SIP, RTP ---
//! ```
//! Everything that is sent was prepared before, and what comes is only stored with its time: the work of judging is done when the
//! calls are over. Beside the gateway's figures stand those of a bare program for the same work on the same machine in the same run.
#![allow(clippy::unwrap_used)]

mod agents;
mod analysis;
mod audio_plan;
mod baseline;
mod options;
mod phones;
mod process;

use analysis::Delays;
use gateway_tests::gateway::{Gateway, GatewayOptions};
use options::{Options, SipCodec, USAGE};
use phones::{CallOrders, Phase, PhoneReport};
use speex_codec::Mode;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Decoding what phones heard is the only dear part of the judging; this many calls are enough.
const DECODED_CALLS: usize = 24;
const WARM_UP: Duration = Duration::from_secs(2);
/// Longer than the gateway's ping interval: an idle phone's memory is that of one that was pinged and answered.
const IDLE_SETTLES: Duration = Duration::from_secs(12);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [first, listen, target] = args.as_slice()
        && first == "--mover"
    {
        baseline::mover(listen.parse().unwrap(), target.parse().unwrap()).await;
    }
    let options = match Options::parse(args.into_iter()) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let files = process::raise_file_limit();
    // A phone is one socket here and one there, a call three more there.
    let needed = options.idle + 4 * options.calls + 100;
    if needed > files {
        eprintln!("{needed} open files are needed in one process, but {files} are allowed here");
        return ExitCode::from(2);
    }
    let figures = measure(&options).await;
    figures.print(&options);
    if figures.failed_calls == 0 && figures.lost_share() < 0.01 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// All that one run found out.
struct Figures {
    failed_calls: usize,
    failures: Vec<String>,
    cpu_per_call: f64,
    own_cpu: f64,
    others_cpu: f64,
    idle_bytes: Option<u64>,
    call_bytes: u64,
    base_bytes: u64,
    threads: usize,
    files: usize,
    up: Direction,
    down: Direction,
    setup: Delays,
    answer_to_accepted: Delays,
    byes: usize,
    phone_mode: Mode,
    overflows: u64,
    libspeex_percent: Option<f64>,
    ours_percent: Option<f64>,
    mover_percent: Option<f64>,
}

#[derive(Default)]
struct Direction {
    sent: usize,
    received: usize,
    delays: Delays,
}

async fn start_gateway(options: &Options) -> Gateway {
    // The rig finds the binary itself unless it was named.
    let phones = options.calls + options.idle + 10;
    let top = 10_000 + 4 * options.calls.max(50) as u16;
    Gateway::start_with(GatewayOptions {
        args: ["--max-phones", &phones.to_string(), "--max-calls", &phones.to_string()].map(str::to_owned).to_vec(),
        log: "warn".into(),
        rtp_ports: Some((10_000, top)),
        binary: options.gateway.clone(),
        ..GatewayOptions::default()
    })
    .await
}

async fn measure(options: &Options) -> Figures {
    let uplink = Arc::new(audio_plan::uplink(options.codec));
    let downlink = Arc::new(audio_plan::downlink(options.codec, false));
    let (format, words, units): (_, &'static [&'static str], _) = match options.codec {
        SipCodec::Pcmu => ((0, "PCMU/8000"), &["wideband", "ulaw"], 160),
        SipCodec::Speex => ((96, "speex/16000"), &["wideband"], 320),
    };
    let agents = agents::Agents::start(options.calls, format, Arc::clone(&downlink), units);
    let mut gateway = start_gateway(options).await;
    let pid = gateway.pid();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let base_bytes = gateway.resident();
    let (phase, phases) = watch::channel(Phase::Gather);

    let idle_bytes = gather_idlers(options, &gateway, agents.sip, &phases).await;
    let before_calls = gateway.resident();
    let bodies = uplink.frames.iter().map(|frame| [&[0xB2][..], frame].concat().into()).collect();
    let orders = Arc::new(CallOrders { gateway: gateway.rtmp, agents: agents.sip, words, bodies });
    let (ready, mut readies) = mpsc::channel(options.calls.max(1));
    let callers: Vec<_> = (0..options.calls)
        .map(|number| {
            let (orders, phases, ready) = (Arc::clone(&orders), phases.clone(), ready.clone());
            let begin = tokio::time::Instant::now() + Duration::from_secs_f64(number as f64 / options.rate);
            tokio::spawn(async move {
                tokio::time::sleep_until(begin).await;
                phones::caller(&orders, number, phases, ready).await
            })
        })
        .collect();
    for _ in 0..options.calls {
        readies.recv().await;
    }
    agents.speak(true);
    phase.send_replace(Phase::Speak);
    tokio::time::sleep(WARM_UP).await;

    let overflows = process::udp_overflows();
    let (begin, cpu, own) = (Instant::now(), process::cpu(pid), process::cpu(std::process::id()));
    let machine = process::machine_cpu();
    tokio::time::sleep(Duration::from_secs(options.seconds)).await;
    let wall = begin.elapsed().as_secs_f64();
    let percent = |used: Duration| used.as_secs_f64() / wall * 100.0;
    let gateway_cpu = percent(process::cpu(pid) - cpu);
    let cpu_per_call = gateway_cpu / options.calls.max(1) as f64;
    let own_cpu = percent(process::cpu(std::process::id()) - own);
    let others_cpu = (percent(process::machine_cpu().saturating_sub(machine)) - own_cpu - gateway_cpu).max(0.0);
    let overflows = process::udp_overflows() - overflows;
    let call_bytes = gateway.resident().saturating_sub(before_calls) / options.calls.max(1) as u64;
    let (threads, files) = process::threads_and_files(pid);

    agents.speak(false);
    tokio::time::sleep(Duration::from_millis(300)).await;
    phase.send_replace(Phase::Leave);
    let mut reports = Vec::new();
    for caller in callers {
        reports.push(caller.await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    let calls = agents.finish();
    gateway.interrupt();
    gateway.wait_end(Duration::from_secs(8)).await;

    let failures: Vec<String> = reports.iter().filter_map(|report| report.failure.clone()).collect();
    let longest = reports.iter().flat_map(|r| &r.heard).map(|(_, _, body)| body.len()).max().unwrap_or(0);
    let phone_mode = if longest > 46 { Mode::Wideband } else { Mode::Narrowband };
    let mut figures = Figures {
        failed_calls: failures.len(),
        failures,
        cpu_per_call,
        own_cpu,
        others_cpu,
        idle_bytes,
        call_bytes,
        base_bytes,
        threads,
        files,
        up: Direction::default(),
        down: Direction::default(),
        setup: Delays::default(),
        answer_to_accepted: Delays::default(),
        byes: calls.iter().filter(|(call, _)| call.ended.lock().unwrap().is_some()).count(),
        phone_mode,
        overflows,
        libspeex_percent: None,
        ours_percent: None,
        mover_percent: None,
    };
    // Only now is it known which mode the gateway encodes for phones, and with it the delay of the bare codecs.
    let downlink = audio_plan::downlink(options.codec, phone_mode == Mode::Wideband);
    judge(options.codec, &uplink, &downlink, &reports, &calls, &mut figures);
    if options.baseline {
        if options.codec == SipCodec::Pcmu {
            figures.libspeex_percent = Some(baseline::libspeex(phone_mode).percent_of_a_core());
            figures.ours_percent = Some(baseline::ours(phone_mode).percent_of_a_core());
        }
        let seconds = options.seconds.min(10);
        figures.mover_percent = Some(baseline::moving(options.calls.max(1), seconds, options.codec).await);
    }
    figures
}

/// Memory of one phone that is registered and does nothing.
async fn gather_idlers(
    options: &Options,
    gateway: &Gateway,
    agents: std::net::SocketAddr,
    phases: &watch::Receiver<Phase>,
) -> Option<u64> {
    if options.idle == 0 {
        return None;
    }
    let before = gateway.resident();
    let (ready, mut readies) = mpsc::channel(options.idle);
    for number in 0..options.idle {
        tokio::spawn(phones::idler(gateway.rtmp, agents, number, phases.clone(), ready.clone()));
        if number % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    for _ in 0..options.idle {
        if let Some(Err(failure)) = readies.recv().await {
            eprintln!("idle phone: {failure}");
        }
    }
    tokio::time::sleep(IDLE_SETTLES).await;
    Some(gateway.resident().saturating_sub(before) / options.idle as u64)
}

fn judge(
    codec: SipCodec,
    uplink: &audio_plan::Plan,
    downlink: &audio_plan::Plan,
    reports: &[PhoneReport],
    calls: &[(Arc<agents::AgentCall>, agents::Received)],
    figures: &mut Figures,
) {
    let (mut up, mut down, mut setup, mut accepted) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (number, (call, received)) in calls.iter().enumerate() {
        let Some(report) = reports.iter().find(|report| report.user == call.user) else { continue };
        let sent_down = call.sent.lock().unwrap();
        figures.up.sent += report.sent.len();
        figures.up.received += received.len();
        figures.down.sent += sent_down.len();
        figures.down.received += report.heard.len();
        let ms = |from: Instant, to: Instant| to.saturating_duration_since(from).as_secs_f64() * 1000.0;
        if let (Some(invited), Some(done)) = (report.invited, report.accepted) {
            setup.push(ms(invited, done));
            accepted.push(ms(call.answered, done));
        }
        match codec {
            SipCodec::Speex => {
                let packets = received.iter().map(|(at, _, payload)| (*at, payload.as_slice()));
                up.extend(analysis::relay_delays(uplink, &report.sent, packets));
                let messages = report.heard.iter().map(|(at, _, body)| (*at, body.get(1..).unwrap_or_default()));
                down.extend(analysis::relay_delays(downlink, &sent_down, messages));
            }
            SipCodec::Pcmu => {
                up.extend(analysis::pcmu_delays(uplink, &report.sent, received));
                if number < DECODED_CALLS {
                    down.extend(analysis::speex_delays(downlink, &sent_down, &report.heard));
                }
            }
        }
    }
    figures.up.delays = Delays::new(up);
    figures.down.delays = Delays::new(down);
    figures.setup = Delays::new(setup);
    figures.answer_to_accepted = Delays::new(accepted);
}

impl Figures {
    fn lost_share(&self) -> f64 {
        let lost = |direction: &Direction| direction.sent.saturating_sub(direction.received);
        (lost(&self.up) + lost(&self.down)) as f64 / (self.up.sent + self.down.sent).max(1) as f64
    }

    fn print(&self, options: &Options) {
        let Options { calls, seconds, codec, idle, .. } = options;
        println!("{calls} calls for {seconds} s, Speex wideband on RTMP, {} on SIP; {idle} idle phones", codec.word());
        for failure in self.failures.iter().take(5) {
            println!("  call failed: {failure}");
        }
        println!("  calls failed            {:>9}", self.failed_calls);
        println!("  hung up by BYE          {:>9}", self.byes);
        println!("  gateway CPU per call    {:>9.3} % of a core", self.cpu_per_call);
        for (name, percent) in [
            ("bare libspeex + G.711", self.libspeex_percent),
            ("bare own Speex + G.711", self.ours_percent),
            ("bare packet mover", self.mover_percent),
        ] {
            if let Some(percent) = percent {
                println!(
                    "  {name:<23} {percent:>9.3} % of a core: the gateway needs {:.2} x",
                    self.cpu_per_call / percent
                );
            }
        }
        if let (Some(codec), Some(moving)) = (self.ours_percent, self.mover_percent) {
            let both = codec + moving;
            let ratio = self.cpu_per_call / both;
            println!("  own codec and mover     {both:>9.3} % of a core: the gateway needs {ratio:.2} x");
        }
        println!("  memory, empty gateway   {:>9.0} kB", self.base_bytes as f64 / 1024.0);
        if let Some(bytes) = self.idle_bytes {
            println!("  memory, idle phone      {:>9.1} kB", bytes as f64 / 1024.0);
        }
        println!("  memory, call            {:>9.1} kB", self.call_bytes as f64 / 1024.0);
        println!("  threads, open files     {:>9} {}", self.threads, self.files);
        println!("  frames towards phone    {:>9}", format!("{:?}", self.phone_mode));
        for (name, direction) in [("phone to SIP", &self.up), ("SIP to phone", &self.down)] {
            println!(
                "  {name}: added delay p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms ({} marks); {} frames sent, {} came",
                direction.delays.percentile(0.5),
                direction.delays.percentile(0.99),
                direction.delays.percentile(1.0),
                direction.delays.count(),
                direction.sent,
                direction.received
            );
        }
        println!(
            "  invite to accepted p50 {:.2} ms, p99 {:.2} ms; 200 OK to accepted p50 {:.2} ms, p99 {:.2} ms",
            self.setup.percentile(0.5),
            self.setup.percentile(0.99),
            self.answer_to_accepted.percentile(0.5),
            self.answer_to_accepted.percentile(0.99)
        );
        println!(
            "  CPU of this tool {:.0} %, of all others {:.0} % of a core; datagrams dropped by full sockets: {}",
            self.own_cpu, self.others_cpu, self.overflows
        );
        let busy = self.own_cpu + self.others_cpu + self.cpu_per_call * *calls as f64;
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        if busy > 80.0 * cores || self.others_cpu > 25.0 {
            println!(
                "  NOTE: the machine was busy ({busy:.0} %): delays and losses are its doing as much as the gateway's"
            );
        }
        println!("{}", self.json(options));
    }

    fn json(&self, options: &Options) -> serde_json::Value {
        let direction = |direction: &Direction| {
            serde_json::json!({
                "delay_p50_ms": direction.delays.percentile(0.5),
                "delay_p99_ms": direction.delays.percentile(0.99),
                "frames_sent": direction.sent,
                "frames_received": direction.received,
            })
        };
        serde_json::json!({
            "calls": options.calls,
            "seconds": options.seconds,
            "codec": options.codec.word(),
            "idle": options.idle,
            "failed_calls": self.failed_calls,
            "cpu_percent_per_call": self.cpu_per_call,
            "bare_libspeex_percent_per_call": self.libspeex_percent,
            "bare_own_codec_percent_per_call": self.ours_percent,
            "bare_mover_percent_per_call": self.mover_percent,
            "memory_base_bytes": self.base_bytes,
            "memory_idle_phone_bytes": self.idle_bytes,
            "memory_call_bytes": self.call_bytes,
            "threads": self.threads,
            "phone_to_sip": direction(&self.up),
            "sip_to_phone": direction(&self.down),
            "answer_to_accepted_p50_ms": self.answer_to_accepted.percentile(0.5),
            "answer_to_accepted_p99_ms": self.answer_to_accepted.percentile(0.99),
            "tool_cpu_percent": self.own_cpu,
            "others_cpu_percent": self.others_cpu,
        })
    }
}
