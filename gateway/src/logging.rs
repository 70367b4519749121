//! Log lines: an operator's story at info, messages on the wire with `--debug`, secrets never.
//!
//! Two targets carry what went over the wire: `wire::rtmp` and `wire::sip`; they are written by whoever holds the message, with
//! passwords and digests already left out. rsipstack logs whole messages, Authorization included, so it never gets below warn,
//! whatever `RUST_LOG` says.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::LogFormat;

/// Sends log lines of this process to stderr. A second call changes nothing.
pub fn start(format: LogFormat, debug: bool) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(std::env::var("RUST_LOG").ok().as_deref(), debug))
        .with_span_events(FmtSpan::NONE)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr);
    // An error means that a logger is in place already: tests in one process share it.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// What is logged: `RUST_LOG` if given, else info, and the wire with `debug`.
fn filter(rust_log: Option<&str>, debug: bool) -> EnvFilter {
    let usual = if debug { "debug,wire=trace,hyper=info,hickory=warn" } else { "info,hickory=error" };
    let filter = EnvFilter::builder().parse_lossy(rust_log.filter(|text| !text.is_empty()).unwrap_or(usual));
    ["rsipstack=warn", "digest_auth=off"]
        .into_iter()
        .fold(filter, |filter, directive| filter.add_directive(directive.parse().expect("a directive of our own")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sip_stack_stays_quiet_however_much_is_asked_for() {
        for asked in ["trace", "rsipstack=trace", "info,rsipstack=debug"] {
            let filter = filter(Some(asked), true).to_string();
            assert!(filter.contains("rsipstack=warn") && !filter.contains("rsipstack=trace"), "{filter}");
        }
    }

    #[test]
    fn the_wire_is_logged_only_on_request() {
        assert!(!filter(None, false).to_string().contains("wire"));
        assert!(filter(None, true).to_string().contains("wire=trace"));
    }
}
