//! Command line of the load tool.

use std::path::PathBuf;

/// What stands on the SIP side of every call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SipCodec {
    /// PCMU: the gateway transcodes from and to Speex.
    Pcmu,
    /// Speex wideband: the gateway relays.
    Speex,
}

impl SipCodec {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pcmu => "pcmu",
            Self::Speex => "speex",
        }
    }
}

/// What is to be found out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Task {
    /// What so many calls cost.
    Measure,
    /// How many calls are too many.
    FindKnee,
    /// Calls that begin and end, so many a second.
    Setups(f64),
    /// So many good calls, and half as many that fail: what is left of them.
    Soak(usize),
}

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) task: Task,
    pub(crate) calls: usize,
    pub(crate) seconds: u64,
    pub(crate) codec: SipCodec,
    pub(crate) idle: usize,
    /// Calls begun a second.
    pub(crate) rate: f64,
    pub(crate) together: bool,
    /// What the knee is the last to hold: added delay of 99 % of the frames, ms.
    pub(crate) delay_limit: f64,
    pub(crate) gateway: Option<PathBuf>,
    /// More arguments for it.
    pub(crate) gateway_args: Vec<String>,
    pub(crate) baseline: bool,
}

pub(crate) const USAGE: &str =
    "load [--calls N] [--seconds S] [--codec pcmu|speex] [--idle N] [--rate CALLS-PER-SECOND] [--together]
     [--gateway BINARY] [--gateway-arg ARGUMENT]... [--no-baseline]
  Runs N calls of S seconds through a gateway of its own: Speex wideband phones on RTMP, answering agents on SIP.
  Prints what they cost the gateway, what they cost a bare program, how much later audio came, and what was lost.
  --together: all phones speak at the same moment, instead of spread over the 20 ms of a frame.
load --find-knee [--delay-limit MS] [...]
  The most calls at which 99 % of the frames are not later than MS (5) and no more than 0.1 % are lost.
load --setups CALLS-PER-SECOND [--seconds S] [...]
  Calls that begin and end at once: how many fail, how long they take, and how many a second one core would do.
load --soak CALLS [--rate CALLS-PER-SECOND] [...]
  So many calls, and half as many that are refused: what memory, files and threads are left of them.";

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            task: Task::Measure,
            calls: 50,
            seconds: 10,
            codec: SipCodec::Pcmu,
            idle: 0,
            rate: 100.0,
            together: false,
            delay_limit: 5.0,
            gateway: std::env::var_os("RTMP_SIP_GATEWAY").map(PathBuf::from),
            gateway_args: Vec::new(),
            baseline: true,
        };
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--calls" => options.calls = number(&name, &value()?)?,
                "--seconds" => options.seconds = number(&name, &value()?)?,
                "--idle" => options.idle = number(&name, &value()?)?,
                "--rate" => options.rate = number(&name, &value()?)?,
                "--together" => options.together = true,
                "--find-knee" => options.task = Task::FindKnee,
                "--delay-limit" => options.delay_limit = number(&name, &value()?)?,
                "--setups" => options.task = Task::Setups(number(&name, &value()?)?),
                "--soak" => options.task = Task::Soak(number(&name, &value()?)?),
                "--gateway" => options.gateway = Some(value()?.into()),
                "--gateway-arg" => options.gateway_args.push(value()?),
                "--no-baseline" => options.baseline = false,
                "--codec" => {
                    options.codec = match value()?.as_str() {
                        "pcmu" => SipCodec::Pcmu,
                        "speex" | "relay" => SipCodec::Speex,
                        other => return Err(format!("no codec {other}")),
                    }
                }
                _ => return Err(format!("no option {name}")),
            }
        }
        Ok(options)
    }
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: {text} is no number for it"))
}
