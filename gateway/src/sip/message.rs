//! From datagram to message: cleaned, judged, and with the words to say what is wrong (RFC 3261 sections 7, 18.3, 20; RFC 4475).
//!
//! rsipstack's parser is not asked: it ends the header section at the first line that is not UTF-8, drops the body of a UDP request
//! without Content-Length, takes `SIP/3.0`, and has no word for unknown methods. Its header and transaction types are used.

use std::borrow::Cow;

use rsipstack::sip::headers::make_header;
use rsipstack::sip::{
    Domain, Header, Headers, Host, HostWithPort, Method, Request, Response, StatusCode, Uri, Version,
};

use super::address::NameAddr;
use super::limits::SipLimits;
use super::via::Via;

/// RFC 3261 section 8.1.1.5: a sequence number is below 2^31.
const CSEQ_LIMIT: u32 = 1 << 31;

/// Stands in for the tag that a caller of RFC 2543 did not send; [`without_placeholder`] takes it out of what goes back.
const NO_TAG: &str = ";tag=0none-rfc2543";

/// Whether the sender of a request follows RFC 2543 only.
pub(crate) fn is_rfc2543(headers: &Headers) -> bool {
    text(headers, "From").is_some_and(|from| from.ends_with(NO_TAG))
}

/// What is really sent for a message of ours.
pub(crate) fn without_placeholder(datagram: &[u8]) -> Cow<'_, [u8]> {
    let marker = NO_TAG.as_bytes();
    match datagram.windows(marker.len()).position(|window| window == marker) {
        Some(at) => Cow::Owned([&datagram[..at], &datagram[at + marker.len()..]].concat()),
        None => Cow::Borrowed(datagram),
    }
}

/// First line of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Start {
    /// Method and Request-URI as written.
    Request { method: String, uri: String },
    /// Code and phrase as written.
    Response { code: u16, phrase: String },
}

/// A message with the headers that every message must have.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) start: Start,
    /// Compact names spelt out, one Via a line, the top one in canonical form.
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// Why a datagram goes no further.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Nobody can be told.
    Drop(&'static str),
    /// A request that can be answered: what to say, and its headers as far as they go.
    Answer { code: u16, phrase: String, headers: Headers },
}

/// Value of the first header of that name.
pub(crate) fn text<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|h| h.name().eq_ignore_ascii_case(name)).map(|h| h.value().trim())
}

/// Values of all headers of that name, line by line.
pub(crate) fn all<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.iter().filter(move |h| h.name().eq_ignore_ascii_case(name)).map(|h| h.value().trim())
}

/// The tag of From or To.
pub(crate) fn tag(headers: &Headers, name: &str) -> Option<String> {
    NameAddr::parse(text(headers, name)?)?.tag().map(str::to_owned)
}

/// Number and method of CSeq.
pub(crate) fn cseq(headers: &Headers) -> Option<(u32, &str)> {
    let (number, method) = text(headers, "CSeq")?.split_once(|c: char| c.is_ascii_whitespace())?;
    let digits = number.bytes().all(|b| b.is_ascii_digit());
    let number = number.parse::<u32>().ok().filter(|n| digits && *n < CSEQ_LIMIT)?;
    Some((number, method.trim()))
}

/// A URI that rsipstack serialises exactly as written. Its own type would re-encode escapes; where a request goes is decided by us,
/// so nothing there looks inside.
pub(crate) fn verbatim_uri(uri: &str) -> Uri {
    let host_with_port = HostWithPort { host: Host::Domain(Domain(uri.to_owned())), port: None };
    Uri { host_with_port, ..Uri::default() }
}

/// Names are case-sensitive (RFC 3261 section 7.1), which rsipstack's parser is not.
pub(crate) fn known_method(name: &str) -> Option<Method> {
    Method::all().into_iter().find(|method| method.to_string() == name)
}

/// The phrase of a response as it came.
pub(crate) fn phrase(response: &Response) -> String {
    response.wire_reason.clone().unwrap_or_else(|| response.status_code.text().to_owned())
}

/// A status line's code and phrase that is written as given.
pub(crate) fn status(code: u16, phrase: &str) -> StatusCode {
    StatusCode::Other(code, phrase.to_owned())
}

impl Message {
    /// Reads one datagram. What comes back as a message has Via, From, To, Call-ID and CSeq, well formed.
    pub(crate) fn parse(datagram: &[u8], limits: &SipLimits) -> Result<Message, Fault> {
        let datagram = strip_leading_newlines(datagram);
        let (head, rest) = split_head(datagram);
        let mut lines = unfold(head, limits)?.into_iter();
        let start_line = lines.next().ok_or(Fault::Drop("empty"))?;
        let (headers, header_fault) = read_headers(lines, limits);
        let start = match read_start_line(&start_line) {
            Ok(start) => start,
            Err(StartFault::NotSip) => return Err(Fault::Drop("not SIP")),
            Err(StartFault::Response) => return Err(Fault::Drop("malformed status line")),
            Err(StartFault::Request(code, phrase)) => return answer(code, phrase, headers),
        };
        if datagram.len() > limits.message && matches!(start, Start::Request { .. }) {
            return answer(513, "Message Too Large", headers);
        }
        let judged = match header_fault {
            Some(fault) => Err(fault),
            None => judge(&start, headers.clone(), rest),
        };
        match (judged, &start) {
            (Ok((headers, body)), _) => Ok(Message { start, headers, body }),
            (Err(_), Start::Response { .. }) => Err(Fault::Drop("malformed response")),
            // An ACK is never answered (RFC 3261 section 17).
            (Err(_), Start::Request { method, .. }) if method == "ACK" => Err(Fault::Drop("malformed ACK")),
            (Err(what), Start::Request { .. }) => answer(400, what, headers),
        }
    }

    /// Canonical bytes: CRLF, long header names, right Content-Length.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let first = match &self.start {
            Start::Request { method, uri } => format!("{method} {uri} SIP/2.0"),
            Start::Response { code, phrase } => format!("SIP/2.0 {code} {phrase}"),
        };
        let mut bytes = format!("{first}\r\n{}\r\n", self.headers).into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// For the stack; `None` for a response or an unknown method.
    pub(crate) fn into_request(self) -> Option<Request> {
        let Start::Request { method, uri } = self.start else { return None };
        let method = known_method(&method)?;
        Some(Request { method, uri: verbatim_uri(&uri), version: Version::V2, headers: self.headers, body: self.body })
    }

    /// For the stack; `None` for a request.
    pub(crate) fn into_response(self) -> Option<Response> {
        let Start::Response { code, phrase } = self.start else { return None };
        let status_code = StatusCode::try_from((code, phrase.as_str())).ok()?;
        let wire_reason = (!phrase.is_empty() && phrase != status_code.text()).then_some(phrase);
        Some(Response { status_code, wire_reason, version: Version::V2, headers: self.headers, body: self.body })
    }
}

fn answer(code: u16, phrase: impl Into<String>, headers: Headers) -> Result<Message, Fault> {
    Err(Fault::Answer { code, phrase: phrase.into(), headers })
}

fn strip_leading_newlines(datagram: &[u8]) -> &[u8] {
    // RFC 3261 section 7.5: robust against CRLF before the start line.
    let start = datagram.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(datagram.len());
    &datagram[start..]
}

/// Header section and what follows the empty line. Bare LF is taken for CRLF.
fn split_head(datagram: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    while let Some(end) = datagram[at..].iter().position(|b| *b == b'\n').map(|n| at + n + 1) {
        let line = &datagram[at..end];
        if line == b"\r\n" || line == b"\n" {
            return (&datagram[..at], &datagram[end..]);
        }
        at = end;
    }
    (datagram, &[])
}

/// Lines of the header section as UTF-8, continuation lines joined (RFC 3261 section 7.3.1).
fn unfold(head: &[u8], limits: &SipLimits) -> Result<Vec<String>, Fault> {
    let mut lines: Vec<String> = Vec::new();
    for raw in head.split(|b| *b == b'\n') {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.is_empty() {
            continue;
        }
        let line = decode(raw);
        match lines.last_mut() {
            Some(last) if lines_on(raw) => {
                if last.len() + line.len() > limits.header_line {
                    return Err(Fault::Drop("header line too long"));
                }
                last.push(' ');
                last.push_str(line.trim());
            }
            _ => lines.push(line.into_owned()),
        }
        if lines.len() > limits.headers {
            return Err(Fault::Drop("too many headers"));
        }
    }
    Ok(lines)
}

fn lines_on(raw: &[u8]) -> bool {
    matches!(raw.first(), Some(b' ' | b'\t'))
}

/// SIP is UTF-8; old phones send Latin-1 display names.
fn decode(raw: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(raw) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(raw.iter().map(|b| char::from(*b)).collect()),
    }
}

enum StartFault {
    NotSip,
    Response,
    Request(u16, &'static str),
}

fn read_start_line(line: &str) -> Result<Start, StartFault> {
    if line.chars().any(|c| c.is_control()) {
        return Err(StartFault::NotSip);
    }
    if line.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("SIP/")) {
        return read_status_line(line).ok_or(StartFault::Response);
    }
    let (method, rest) = line.split_once(' ').ok_or(StartFault::NotSip)?;
    let (uri, version) = rest.trim_end().rsplit_once(' ').ok_or(StartFault::NotSip)?;
    if !version.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("SIP/")) || !is_token(method) {
        return Err(StartFault::NotSip);
    }
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(StartFault::Request(505, "Version Not Supported"));
    }
    // One space between the parts, none around them (RFC 3261 section 7.1; RFC 4475 sections 3.1.2.8 to 3.1.2.10).
    let uri_ok =
        !uri.is_empty() && !uri.contains(|c: char| c.is_whitespace() || "<>\"".contains(c)) && uri.contains(':');
    if !uri_ok || rest.ends_with(' ') {
        return Err(StartFault::Request(400, "Bad Request-Line"));
    }
    Ok(Start::Request { method: method.to_owned(), uri: uri.to_owned() })
}

fn read_status_line(line: &str) -> Option<Start> {
    let rest = line.get(..8).filter(|v| v.eq_ignore_ascii_case("SIP/2.0 ")).map(|_| &line[8..])?;
    let (code, phrase) = rest.split_once(' ').unwrap_or((rest, ""));
    let code = (code.len() == 3).then(|| code.parse::<u16>().ok())??;
    (100..700).contains(&code).then(|| Start::Response { code, phrase: phrase.trim().to_owned() })
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c))
}

/// As many headers as can be read, and the first thing that is wrong with them.
fn read_headers(lines: impl Iterator<Item = String>, limits: &SipLimits) -> (Headers, Option<String>) {
    let mut headers = Headers::default();
    let mut fault = None;
    for line in lines {
        let parts = line.split_once(':').map(|(name, value)| (name.trim_end(), value.trim()));
        match parts {
            _ if line.len() > limits.header_line => fault = fault.or(Some("Header Line Too Long".to_owned())),
            Some((name, value)) if is_token(name) => match has_stray_control(value) {
                true => fault = fault.or(Some(format!("Bad {name}"))),
                false => headers.push(make_header(long_name(name), value.to_owned())),
            },
            _ => fault = fault.or(Some("Bad Header Line".to_owned())),
        }
    }
    (headers, fault)
}

/// Control characters may only stand behind a backslash in a quoted string (RFC 3261 section 25.1, quoted-pair).
fn has_stray_control(value: &str) -> bool {
    let mut before = ' ';
    value.chars().any(|c| {
        let stray = c.is_control() && c != '\t' && (before != '\\' || matches!(c, '\r' | '\n'));
        before = c;
        stray
    })
}

/// Compact forms that rsipstack does not spell out (RFC 3515, RFC 3265, RFC 3841).
fn long_name(name: &str) -> &str {
    match name {
        "u" | "U" => "Allow-Events",
        "a" | "A" => "Accept-Contact",
        "j" | "J" => "Reject-Contact",
        "d" | "D" => "Request-Disposition",
        name => name,
    }
}

/// The headers that must be there, once, and well formed; and the body that Content-Length says.
fn judge(start: &Start, mut headers: Headers, rest: &[u8]) -> Result<(Headers, Vec<u8>), String> {
    for name in ["From", "To", "Call-ID", "CSeq"] {
        match all(&headers, name).count() {
            0 => return Err(format!("Missing {name}")),
            1 => {}
            _ => return Err(format!("Repeated {name}")),
        }
    }
    for name in ["Max-Forwards", "Content-Type", "Expires", "Min-Expires"] {
        if all(&headers, name).count() > 1 {
            return Err(format!("Repeated {name}"));
        }
    }
    let vias = split_vias(&headers)?;
    let call_id = text(&headers, "Call-ID").unwrap_or_default();
    if call_id.is_empty() || call_id.contains(char::is_whitespace) {
        return Err("Bad Call-ID".to_owned());
    }
    let (_, cseq_method) = cseq(&headers).ok_or("Bad CSeq")?;
    match start {
        Start::Request { method, .. } => {
            if cseq_method != method {
                return Err("CSeq Method Mismatch".to_owned());
            }
            judge_request(&headers)?;
        }
        Start::Response { .. } if !is_token(cseq_method) => return Err("Bad CSeq".to_owned()),
        Start::Response { .. } => {}
    }
    make_addresses_readable(&mut headers, matches!(start, Start::Request { .. }))?;
    let body = read_body(&headers, rest)?;
    headers.retain(|h| !matches!(h, Header::Via(_) | Header::ContentLength(_)));
    let mut ordered: Vec<Header> = vias.into_iter().map(|via| Header::Via(via.as_str().into())).collect();
    ordered.extend(headers.0);
    ordered.push(Header::ContentLength((body.len() as u32).into()));
    Ok((ordered.into(), body))
}

fn judge_request(headers: &Headers) -> Result<(), String> {
    let number = |name: &str, limit: u64| match text(headers, name) {
        Some(value) if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) => Err(format!("Bad {name}")),
        Some(value) => match value.parse::<u64>() {
            Ok(n) if n <= limit => Ok(()),
            _ => Err(format!("Bad {name}")),
        },
        None => Ok(()),
    };
    number("Max-Forwards", 255)?;
    number("Expires", u64::from(u32::MAX))?;
    for name in ["Contact", "Route", "Record-Route"] {
        let star = name == "Contact" && text(headers, name) == Some("*");
        if !star && NameAddr::parse_all(all(headers, name)).is_none() {
            return Err(format!("Bad {name}"));
        }
    }
    Ok(())
}

/// One Via an entry. The top one must be understood; those below belong to others and stay as they are.
fn split_vias(headers: &Headers) -> Result<Vec<String>, String> {
    let mut vias = Vec::new();
    for line in all(headers, "Via") {
        let entries = super::address::split_list(line).ok_or("Bad Via")?;
        vias.extend(entries.into_iter().map(str::to_owned));
    }
    let top = vias.first_mut().ok_or("Missing Via")?;
    *top = Via::parse(top).filter(Via::is_current).ok_or("Bad Via")?.to_string();
    Ok(vias)
}

/// From and To must be well formed. rsipstack looks for their tags too, and stumbles over `<` in a quoted display name: then the
/// display name goes, which nothing but a reader of the answer would miss. A caller of RFC 2543 may have no tag; it gets one for as
/// long as its messages are in here.
fn make_addresses_readable(headers: &mut Headers, request: bool) -> Result<(), String> {
    for header in headers.iter_mut() {
        let (name, readable) = match header {
            Header::From(from) => ("From", from.tag().map(|t| t.map(|t| t.0))),
            Header::To(to) => ("To", to.tag().map(|t| t.map(|t| t.0))),
            _ => continue,
        };
        let address = NameAddr::parse(header.value()).ok_or_else(|| format!("Bad {name}"))?;
        let tag = address.tag().map(str::to_owned);
        let untagged = tag.is_none() && name == "From" && request;
        if !untagged && readable.is_ok_and(|found| found.filter(|t| !t.is_empty()) == tag) {
            continue;
        }
        let plain = match tag {
            Some(tag) => format!("<{}>;tag={tag}", address.uri),
            None if untagged => format!("{}{NO_TAG}", address.without_params()),
            None => format!("<{}>", address.uri),
        };
        *header = make_header(name, plain);
    }
    Ok(())
}

fn read_body(headers: &Headers, rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut length = None;
    for value in all(headers, "Content-Length") {
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let this = value.parse::<u64>().ok().filter(|_| digits).ok_or("Bad Content-Length")?;
        if length.is_some_and(|length| length != this) {
            return Err("Repeated Content-Length".to_owned());
        }
        length = Some(this);
    }
    match length {
        // RFC 3261 section 18.3: without the header, a datagram's body is the rest of it.
        None => Ok(rest.to_vec()),
        Some(length) if length <= rest.len() as u64 => Ok(rest[..length as usize].to_vec()),
        Some(_) => Err("Content-Length Beyond Message".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:a@b SIP/2.0\r\nv: SIP/2.0/UDP h:5070;branch=z9hG4bK1 , SIP/2.0/TCP far\r\nf: \"Bob\"\r\n <sip:b@h>;tag=1\r\n\
        t: <sip:a@b>\r\ni: c@h\r\nCSeq: 1\t INVITE\r\nX-Odd:  a\r\n\tb\r\nl: 4\r\n\r\nbodytail";

    fn parse(bytes: &[u8]) -> Result<Message, Fault> {
        Message::parse(bytes, &SipLimits::default())
    }

    #[test]
    fn a_message_is_made_canonical() {
        let message = parse(INVITE.as_bytes()).unwrap();
        let expected = "INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h:5070;branch=z9hG4bK1\r\nVia: SIP/2.0/TCP far\r\n\
            From: \"Bob\" <sip:b@h>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: c@h\r\nCSeq: 1\t INVITE\r\nX-Odd: a b\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(String::from_utf8(message.to_bytes()).unwrap(), expected);
        let again = parse(expected.as_bytes()).unwrap();
        assert_eq!(again.to_bytes(), expected.as_bytes());
    }

    #[test]
    fn no_cut_and_no_changed_byte_panics() {
        let bytes = INVITE.as_bytes();
        for end in 0..bytes.len() {
            let _ = parse(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            for byte in [0, b'\r', b'\n', b' ', b':', b'"', b'<', b'>', b';', b',', b'%', b'\\', 0xc3, 0xff] {
                let mut changed = bytes.to_vec();
                changed[at] = byte;
                if let Ok(message) = parse(&changed) {
                    // What is understood can be written and understood again, with as many lines.
                    let written = message.to_bytes();
                    let again =
                        parse(&written).unwrap_or_else(|f| panic!("{f:?}: {}", String::from_utf8_lossy(&written)));
                    assert_eq!(again.headers.len(), message.headers.len());
                }
            }
        }
    }

    #[test]
    fn a_caller_without_a_tag_never_sees_the_one_it_was_given() {
        let text = INVITE.replace(";tag=1", "");
        let message = parse(text.as_bytes()).unwrap();
        assert!(tag(&message.headers, "From").is_some());
        let sent = message.to_bytes();
        let sent = without_placeholder(&sent);
        assert!(String::from_utf8_lossy(&sent).contains("From: \"Bob\" <sip:b@h>\r\n"));
    }

    #[test]
    fn phrases_and_codes_of_responses_are_kept() {
        let text = INVITE.replace("INVITE sip:a@b SIP/2.0", "SIP/2.0 403 Caller not welcome");
        let response = parse(text.as_bytes()).unwrap().into_response().unwrap();
        assert_eq!((response.status_code.code(), phrase(&response).as_str()), (403, "Caller not welcome"));
    }
}
