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

/// One run.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) calls: usize,
    pub(crate) seconds: u64,
    pub(crate) codec: SipCodec,
    pub(crate) idle: usize,
    /// Calls begun a second.
    pub(crate) rate: f64,
    pub(crate) gateway: Option<PathBuf>,
    pub(crate) baseline: bool,
}

pub(crate) const USAGE: &str =
    "load [--calls N] [--seconds S] [--codec pcmu|speex] [--idle N] [--rate CALLS-PER-SECOND] \
[--gateway BINARY] [--no-baseline]
  Runs N calls of S seconds through a gateway of its own: Speex wideband phones on RTMP, answering agents on SIP.
  Prints what they cost the gateway, what they cost a bare program, how much later audio came, and what was lost.";

impl Options {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            calls: 50,
            seconds: 10,
            codec: SipCodec::Pcmu,
            idle: 0,
            rate: 50.0,
            gateway: std::env::var_os("RTMP_SIP_GATEWAY").map(PathBuf::from),
            baseline: true,
        };
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or(format!("{name} needs a value"));
            match name.as_str() {
                "--calls" => options.calls = number(&name, &value()?)?,
                "--seconds" => options.seconds = number(&name, &value()?)?,
                "--idle" => options.idle = number(&name, &value()?)?,
                "--rate" => options.rate = number(&name, &value()?)?,
                "--gateway" => options.gateway = Some(value()?.into()),
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
