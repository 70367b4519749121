//! What a run found out, for people and for programs.

use crate::analysis::Delays;
use crate::baseline::Moving;
use crate::options::Options;
use speex_codec::Mode;

/// All that one run found out.
pub(crate) struct Figures {
    pub(crate) failed_calls: usize,
    pub(crate) failures: Vec<String>,
    pub(crate) cpu_per_call: f64,
    /// Context switches of the gateway for a frame of both directions.
    pub(crate) switches: f64,
    pub(crate) own_cpu: f64,
    pub(crate) others_cpu: f64,
    pub(crate) idle_bytes: Option<u64>,
    pub(crate) call_bytes: u64,
    pub(crate) base_bytes: u64,
    pub(crate) threads: usize,
    pub(crate) files: usize,
    pub(crate) up: Direction,
    pub(crate) down: Direction,
    pub(crate) setup: Delays,
    pub(crate) answer_to_accepted: Delays,
    pub(crate) byes: usize,
    pub(crate) phone_mode: Mode,
    pub(crate) overflows: u64,
    pub(crate) libspeex_percent: Option<f64>,
    pub(crate) ours_percent: Option<f64>,
    pub(crate) mover: Option<Moving>,
    pub(crate) lateness: Delays,
}

/// One direction of all calls.
#[derive(Default)]
pub(crate) struct Direction {
    pub(crate) sent: usize,
    pub(crate) received: usize,
    pub(crate) delays: Delays,
}

impl Figures {
    fn mover_percent(&self) -> Option<f64> {
        self.mover.as_ref().map(|mover| mover.percent)
    }

    /// Frames that did not come, of all that were sent.
    pub(crate) fn lost_share(&self) -> f64 {
        let lost = |direction: &Direction| direction.sent.saturating_sub(direction.received);
        (lost(&self.up) + lost(&self.down)) as f64 / (self.up.sent + self.down.sent).max(1) as f64
    }

    pub(crate) fn print(&self, options: &Options) {
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
            ("bare packet mover", self.mover_percent()),
        ] {
            if let Some(percent) = percent {
                println!(
                    "  {name:<23} {percent:>9.3} % of a core: the gateway needs {:.2} x",
                    self.cpu_per_call / percent
                );
            }
        }
        if let (Some(codec), Some(moving)) = (self.ours_percent, self.mover_percent()) {
            let both = codec + moving;
            let ratio = self.cpu_per_call / both;
            println!("  own codec and mover     {both:>9.3} % of a core: the gateway needs {ratio:.2} x");
        }
        println!("  context switches        {:>9.2} for 20 ms of a call", self.switches);
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
        if let Some(mover) = self.mover.as_ref().filter(|mover| mover.up.count() > 0) {
            println!(
                "  the mover: added delay p50 {:.2} ms, p99 {:.2} ms up; p50 {:.2} ms, p99 {:.2} ms down",
                mover.up.percentile(0.5),
                mover.up.percentile(0.99),
                mover.down.percentile(0.5),
                mover.down.percentile(0.99)
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
            "  CPU of this tool {:.0} %, of all others {:.0} % of a core; it sent p99 {:.2} ms late; datagrams dropped by full \
             sockets: {}",
            self.own_cpu,
            self.others_cpu,
            self.lateness.percentile(0.99),
            self.overflows
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
            "bare_mover_percent_per_call": self.mover_percent(),
            "memory_base_bytes": self.base_bytes,
            "memory_idle_phone_bytes": self.idle_bytes,
            "memory_call_bytes": self.call_bytes,
            "threads": self.threads,
            "phone_to_sip": direction(&self.up),
            "sip_to_phone": direction(&self.down),
            "answer_to_accepted_p50_ms": self.answer_to_accepted.percentile(0.5),
            "answer_to_accepted_p99_ms": self.answer_to_accepted.percentile(0.99),
            "context_switches_per_frame": self.switches,
            "tool_late_p99_ms": self.lateness.percentile(0.99),
            "tool_cpu_percent": self.own_cpu,
            "others_cpu_percent": self.others_cpu,
        })
    }
}
