//! Our description as text, in the order of RFC 4566 section 5.

use std::fmt::Write;

use crate::codec::Codec;

use super::{
    format::{Format, Row},
    session::{LocalSession, Slot},
};

/// `v=` and `o=`: the part that names the version.
pub(super) fn head(session: &LocalSession) -> String {
    let (id, version) = (session.id, session.version);
    format!("v=0\r\no=- {id} {version} IN {}\r\n", address(session))
}

/// Everything behind the o= line.
pub(super) fn body(session: &LocalSession) -> String {
    let mut text = format!("s=-\r\nc=IN {}\r\nt=0 0\r\n", address(session));
    for slot in &session.slots {
        match slot {
            Slot::Audio { proto } => audio(&mut text, session, proto),
            Slot::Refused { media, proto, format } => line(&mut text, format_args!("m={media} 0 {proto} {format}")),
        }
    }
    text
}

fn audio(text: &mut String, session: &LocalSession, proto: &str) {
    let numbers: Vec<String> = session.rows.iter().map(|row| row.payload_type.to_string()).collect();
    line(text, format_args!("m=audio {} {proto} {}", session.rtp.port(), numbers.join(" ")));
    for Row { payload_type, format, spelling, .. } in &session.rows {
        line(text, format_args!("a=rtpmap:{payload_type} {spelling}"));
        match format {
            // The sixteen DTMF events (RFC 4733 section 3.2).
            Format::Event { .. } => line(text, format_args!("a=fmtp:{payload_type} 0-15")),
            // We make use of redundancy; a second channel would be mixed away (RFC 7587 section 6.1, where 0 is what is
            // meant without a word for it).
            Format::Audio(Codec::Opus) => line(text, format_args!("a=fmtp:{payload_type} useinbandfec=1")),
            Format::Audio(_) | Format::ComfortNoise => {}
        }
    }
    line(text, format_args!("a=ptime:{}", session.ptime_ms));
    line(text, format_args!("a={}", session.direction.attribute()));
}

fn address(session: &LocalSession) -> String {
    let family = if session.rtp.is_ipv4() { "IP4" } else { "IP6" };
    format!("{family} {}", session.rtp.ip())
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    write!(text, "{content}\r\n").expect("writing to a String cannot fail");
}
