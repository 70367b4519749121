//! Log lines: an operator's story at info, messages on the wire with `--debug`, secrets never.
//!
//! Two targets carry what went over the wire: `wire::rtmp` and `wire::sip`; they are written by whoever holds the message, with
//! passwords and digests already left out. rsipstack logs whole messages, Authorization included, so it never gets below warn,
//! whatever `RUST_LOG` says.

use std::io::IsTerminal;
use std::net::SocketAddr;

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

/// Logs a SIP message that came from or goes to `peer`, if asked for: credentials, media keys, keys that were pressed and texts left out.
pub fn sip_message(arrow: &'static str, peer: SocketAddr, datagram: &[u8]) {
    if tracing::enabled!(target: "wire::sip", tracing::Level::TRACE) {
        tracing::trace!(target: "wire::sip", "{arrow} {peer}\n{}", without_secrets(datagram));
    }
}

/// The text of a SIP message without digest credentials (RFC 3261 sections 20.7, 20.28), SDP keys (RFC 4566 section 5.12, RFC 4568),
/// and bodies that are somebody's own business: digits of an INFO, the text of a MESSAGE. Lines are judged one by one, folded ones with
/// the line that they continue.
fn without_secrets(datagram: &[u8]) -> String {
    const SECRET: [&str; 4] = ["authorization:", "proxy-authorization:", "a=crypto:", "k="];
    /// Kinds of bodies that are about the call itself.
    const OPEN: [&str; 2] = ["application/sdp", "message/sipfrag"];
    let text = String::from_utf8_lossy(datagram);
    let mut shown = String::with_capacity(text.len());
    let (mut secret, mut open, mut left) = (false, false, text.len());
    for line in text.split_inclusive('\n') {
        left -= line.len();
        if line.trim_end().is_empty() && left > 0 && !open {
            shown += line;
            shown += &format!("(body of {left} bytes left out)\n");
            return shown;
        }
        let folded = line.starts_with([' ', '\t']);
        if !folded {
            // White space may stand before the colon (RFC 3261 section 7.3.1).
            let start: String = line.chars().filter(|c| !matches!(c, ' ' | '\t')).take(24).collect();
            let start = start.to_ascii_lowercase();
            open |= ["content-type:", "c:"].iter().any(|name| start.starts_with(name))
                && line.split_once(':').is_some_and(|(_, kind)| {
                    OPEN.contains(&&*kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
                });
            secret = SECRET.iter().any(|name| start.starts_with(name));
            if secret {
                let name = line.split_inclusive([':', '=']).next().unwrap_or_default();
                shown += &format!("{name} (left out)\n");
            }
        }
        if !secret {
            shown += line;
        }
    }
    shown
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

    #[test]
    fn a_sip_message_is_shown_without_its_credentials_and_keys() {
        let message = "REGISTER sip:x SIP/2.0\r\nauthorization : Digest username=\"a\",\r\n response=\"0123\"\r\n\
            Proxy-Authorization: Digest response=\"4567\"\r\nContact: <sip:a@b>\r\nContent-Type: application/sdp\r\n\r\n\
            v=0\r\na=crypto:1 AES inline:KEY\r\nk=clear:KEY\r\na=sendrecv\r\n";
        let shown = without_secrets(message.as_bytes());
        for secret in ["0123", "4567", "KEY", "username"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        for kept in ["REGISTER sip:x", "Contact: <sip:a@b>", "a=sendrecv", "authorization : (left out)"] {
            assert!(shown.contains(kept), "{shown}");
        }
    }

    #[test]
    fn digits_and_texts_are_not_shown_and_what_is_about_the_call_is() {
        let message = |head: &str, body: &str| {
            without_secrets(format!("INFO sip:x SIP/2.0\r\n{head}\r\nVia: y\r\n\r\n{body}").as_bytes())
        };
        for head in ["Content-Type: application/dtmf-relay", "c: text/plain", "X: y", "Subject: c: application/sdp"] {
            let shown = message(head, "Signal=7\r\n\r\nc: application/sdp\r\n");
            assert!(!shown.contains("Signal") && shown.contains("left out") && shown.contains("Via: y"), "{shown}");
        }
        for head in ["Content-Type : Application/SDP ;x=y", "c:message/sipfrag"] {
            assert!(message(head, "SIP/2.0 200 OK\r\n").contains("200 OK"), "{head}");
        }
        assert!(!message("Content-Length: 0", "").contains("left out"), "nothing is there");
    }
}
