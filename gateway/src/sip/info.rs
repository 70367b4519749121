//! INFO in a call: digits of phones that send them so (`application/dtmf-relay`, `application/dtmf`: no RFC, but everywhere). Both are
//! older than RFC 6086's packages, which leaves them as they are (section 2).

use phone_agent::{CallHandle, SipEvent};
use rsipstack::sip::{Header, Headers};

use super::agent::Agent;
use super::mail::ServerTransaction;
use super::message;
use super::request::response;

/// Bodies of an INFO that are understood.
const KINDS: &str = "application/dtmf-relay, application/dtmf";

/// What an INFO says.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Digit(char),
    /// Nothing that we must know: no body, or a flash of the hook.
    Nothing,
    /// Something of no sense in a body that we know.
    Nonsense,
    /// A body that we do not know.
    Foreign,
}

impl Agent {
    pub(super) fn on_info(&mut self, call: CallHandle, server: &ServerTransaction) {
        let request = &server.request;
        let said = said(&request.headers, &request.body);
        let (status, extra) = match said {
            Said::Digit(_) | Said::Nothing => ((200, "OK"), Vec::new()),
            Said::Nonsense => ((400, "Bad Digit"), Vec::new()),
            Said::Foreign => ((415, "Unsupported Media Type"), vec![Header::Accept(KINDS.into())]),
        };
        server.respond(response(request, status, "", extra, ""));
        if let Said::Digit(digit) = said {
            self.emit(SipEvent::InfoDigit { call, digit });
        }
    }
}

fn said(headers: &Headers, body: &[u8]) -> Said {
    let text = String::from_utf8_lossy(body);
    let kind =
        message::text(headers, "Content-Type").and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    if text.trim().is_empty() {
        Said::Nothing
    } else if kind.eq_ignore_ascii_case("application/dtmf-relay") {
        let signal = text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| is_signal(name));
        signal.map_or(Said::Nonsense, |(_, value)| read_signal(value))
    } else if kind.eq_ignore_ascii_case("application/dtmf") {
        read_signal(text.split_once('=').filter(|(name, _)| is_signal(name)).map_or(&*text, |(_, value)| value))
    } else {
        Said::Foreign
    }
}

fn is_signal(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case("signal")
}

/// A key's own sign, or the number of its event (RFC 4733 section 3.2), as some send above 9.
fn read_signal(value: &str) -> Said {
    const EVENTS: [char; 6] = ['*', '#', 'A', 'B', 'C', 'D'];
    let value = value.lines().next().unwrap_or_default().trim();
    let mut signs = value.chars().map(|c| c.to_ascii_uppercase());
    match (signs.next(), signs.next()) {
        (Some(digit @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Said::Digit(digit),
        _ => match value.parse::<usize>() {
            Ok(event @ 10..=15) => Said::Digit(EVENTS[event - 10]),
            Ok(16) => Said::Nothing,
            Ok(_) => Said::Nonsense,
            Err(_) if value.eq_ignore_ascii_case("hf") => Said::Nothing,
            Err(_) => Said::Nonsense,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, body: &str) -> Said {
        said(&vec![Header::ContentType(kind.into())].into(), body.as_bytes())
    }

    #[test]
    fn digits_are_read_however_phones_write_them() {
        let relays = [
            ("Signal=5\r\nDuration=160\r\n", '5'),
            ("Duration= 100\nSignal= *\n", '*'),
            ("signal = #", '#'),
            ("Signal=d\r\n", 'D'),
            ("Signal=10\r\n", '*'),
            ("Signal=15\r\n", 'D'),
        ];
        for (body, digit) in relays {
            assert_eq!(read("application/dtmf-relay", body), Said::Digit(digit), "{body:?}");
        }
        for (body, digit) in [("7", '7'), ("a\r\n", 'A'), ("11", '#'), ("Signal=3", '3')] {
            assert_eq!(read("Application/DTMF;x=y", body), Said::Digit(digit), "{body:?}");
        }
    }

    #[test]
    fn what_is_no_digit_is_told_apart() {
        for body in ["Signal=16", "Signal=hf"] {
            assert_eq!(read("application/dtmf-relay", body), Said::Nothing, "{body}");
        }
        for body in ["Duration=1", "Signal=", "Signal=17", "Signal=12345678901234567890", "Signal=é", "Signal=55x"] {
            assert_eq!(read("application/dtmf-relay", body), Said::Nonsense, "{body}");
        }
        assert_eq!(read("application/media_control+xml", "<x/>"), Said::Foreign);
        assert_eq!(said(&Headers::default(), b""), Said::Nothing);
        assert_eq!(said(&Headers::default(), &[0xff; 9]), Said::Foreign);
    }
}
