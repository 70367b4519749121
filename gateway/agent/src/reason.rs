//! The one place where an outcome becomes words: SIP status to the phone's text, the phone's `reject` text to a SIP status.

use call_media::sdp::SdpError;

use crate::{SipStatus, limits::MAX_PHRASE};

/// `<code> <phrase>`: what the phone is told of a SIP response (contract section 4).
pub(crate) fn text(status: &SipStatus) -> String {
    clean(&status.to_string())
}

/// The argument of `reject` (contract section 3): `486 Busy Here` is code and phrase, anything else the phrase of a 603.
/// Codes that would not end the call by refusing it (below 400) or that no RFC knows count as phrase.
pub(crate) fn parse_reject(reason: Option<&str>) -> SipStatus {
    let text = clean(reason.unwrap_or_default());
    let (first, rest) = text.split_once(' ').unwrap_or((&text, ""));
    match first.parse::<u16>() {
        Ok(code @ 400..=699) => {
            let phrase = if rest.trim().is_empty() { standard_phrase(code) } else { rest.trim() };
            SipStatus::new(code, phrase)
        }
        _ if text.is_empty() => decline(),
        _ => SipStatus::new(603, text),
    }
}

/// The refusal of an offer.
pub(crate) fn refusal(error: &SdpError) -> SipStatus {
    match error {
        SdpError::Malformed(_) => SipStatus::new(400, "Malformed SDP"),
        SdpError::NothingInCommon(_) | SdpError::BadAnswer(_) => incompatible(),
    }
}

/// Nothing in common; the phrase is siprtmp's (contract section 5).
pub(crate) fn incompatible() -> SipStatus {
    SipStatus::new(488, "Incompatible SDP")
}

pub(crate) fn decline() -> SipStatus {
    SipStatus::new(603, "Decline")
}

pub(crate) fn busy() -> SipStatus {
    SipStatus::new(486, "Busy Here")
}

pub(crate) fn unavailable() -> SipStatus {
    SipStatus::new(480, "Temporarily Unavailable")
}

pub(crate) fn pending() -> SipStatus {
    SipStatus::new(491, "Request Pending")
}

fn standard_phrase(code: u16) -> &'static str {
    match code {
        404 => "Not Found",
        480 => "Temporarily Unavailable",
        486 => "Busy Here",
        488 => "Not Acceptable Here",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        _ => "Rejected",
    }
}

/// One short line without control characters, whoever wrote it.
fn clean(text: &str) -> String {
    let printable = |c: char| !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().filter(|c| printable(*c)).take(MAX_PHRASE).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reject_reasons_follow_the_contract() {
        let cases = [
            (None, 603, "Decline"),
            (Some(""), 603, "Decline"),
            (Some("Declined"), 603, "Declined"),
            (Some("486 Busy Here"), 486, "Busy Here"),
            (Some("486"), 486, "Busy Here"),
            (Some("  480 gone fishing "), 480, "gone fishing"),
            (Some("not 486"), 603, "not 486"),
        ];
        for (reason, code, phrase) in cases {
            assert_eq!(parse_reject(reason), SipStatus::new(code, phrase), "{reason:?}");
        }
    }

    #[test]
    fn a_reject_that_would_accept_or_break_the_response_declines() {
        for reason in ["200 OK", "100", "302 Elsewhere", "99999 x", "-1 x", "700"] {
            assert_eq!(parse_reject(Some(reason)), SipStatus::new(603, reason), "{reason:?}");
        }
        let injected = parse_reject(Some("486 Busy\r\nX-Evil: 1\0\u{2028}"));
        assert_eq!(injected, SipStatus::new(486, "BusyX-Evil: 1"));
        assert_eq!(parse_reject(Some(&"x".repeat(10_000))).phrase.len(), MAX_PHRASE);
    }

    #[test]
    fn a_status_is_told_as_code_and_phrase() {
        assert_eq!(text(&SipStatus::new(486, "Busy Here")), "486 Busy Here");
        assert_eq!(text(&SipStatus::new(408, "")), "408");
    }
}
