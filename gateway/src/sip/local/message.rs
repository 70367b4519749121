//! A SIP message as lines: what a stateless element needs to read, and the small cuts that it makes.
//!
//! The front has judged every message before it comes here (version, mandatory headers, CRLF, UTF-8), so this reads leniently and
//! whatever it does not touch leaves exactly as it came.

use std::net::{IpAddr, SocketAddr};

/// One message, borrowed from the datagram.
#[derive(Debug, Clone)]
pub(super) struct Message<'a> {
    pub(super) start: &'a str,
    /// Header lines as they stand, folded lines joined to their first.
    lines: Vec<&'a str>,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// `None` if the head is not text or has no end.
    pub(super) fn parse(datagram: &'a [u8]) -> Option<Self> {
        let end = datagram.windows(4).position(|w| w == b"\r\n\r\n")?;
        let (start, rest) = match std::str::from_utf8(&datagram[..end]).ok()?.split_once("\r\n") {
            Some((start, rest)) => (start, rest),
            None => return None,
        };
        let mut lines = Vec::with_capacity(16);
        let mut from = 0;
        for (at, _) in rest.match_indices("\r\n") {
            let folded = rest[at + 2..].starts_with([' ', '\t']);
            if !folded {
                lines.push(&rest[from..at]);
                from = at + 2;
            }
        }
        lines.push(&rest[from..]);
        Some(Self { start, lines, body: &datagram[end + 4..] })
    }

    /// Method and Request-URI; `None` for a response.
    pub(super) fn request(&self) -> Option<(&'a str, &'a str)> {
        let mut words = self.start.split(' ');
        let (method, uri) = (words.next()?, words.next()?);
        (!method.starts_with("SIP/")).then_some((method, uri))
    }

    /// Values of every header of that name, in order, whole lines (a list in one line stays one).
    pub(super) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a str> + '_ {
        self.lines.iter().filter_map(move |line| value_of(line, name))
    }

    /// The first value of that name.
    pub(super) fn value(&self, name: &'static str) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The topmost Via value.
    pub(super) fn top_via(&self) -> Option<Via<'a>> {
        Via::parse(first_of_list(self.value("Via")?).0)
    }

    /// The topmost Route's URI.
    pub(super) fn top_route(&self) -> Option<&'a str> {
        address_uri(first_of_list(self.value("Route")?).0)
    }

    /// Writes the message again, each header line passed through `edit`: the lines to put in its place.
    pub(super) fn rewrite(&self, start: &str, mut edit: impl FnMut(&'a str) -> Edit) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            start.len() + self.body.len() + self.lines.iter().map(|l| l.len() + 2).sum::<usize>() + 256,
        );
        let mut push = |line: &str| {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        push(start);
        for line in &self.lines {
            match edit(line) {
                Edit::Keep => push(line),
                Edit::Drop => {}
                Edit::Replace(lines) => lines.iter().for_each(|l| push(l)),
            }
        }
        push("");
        out.extend_from_slice(self.body);
        out
    }
}

/// What becomes of one header line.
pub(super) enum Edit {
    Keep,
    Drop,
    Replace(Vec<String>),
}

/// Whether `line` is a header of that (long) name; compact forms of RFC 3261 section 7.3.3 count.
pub(super) fn is_header(line: &str, name: &str) -> bool {
    value_of(line, name).is_some()
}

/// The value of `line` if it is a header of that (long) name.
pub(super) fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    let found = found.trim_end();
    let compact = match name {
        "Via" => "v",
        "From" => "f",
        "To" => "t",
        "Call-ID" => "i",
        "Contact" => "m",
        _ => name,
    };
    (found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(compact)).then(|| value.trim())
}

/// Splits a comma-separated header value behind its first element (commas in quotes and in `<>` do not count).
pub(super) fn first_of_list(value: &str) -> (&str, Option<&str>) {
    let (mut quoted, mut escaped, mut angle) = (false, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angle = true,
            '>' if !quoted => angle = false,
            ',' if !quoted && !angle => return (value[..at].trim(), Some(value[at + 1..].trim())),
            _ => {}
        }
    }
    (value.trim(), None)
}

/// The URI of a name-addr or addr-spec (RFC 3261 section 25.1), without header parameters.
pub(super) fn address_uri(value: &str) -> Option<&str> {
    // A quoted display name may hold `<` itself.
    let unquoted = match value.trim_start().strip_prefix('"') {
        Some(rest) => {
            let mut escaped = false;
            let end = rest.char_indices().find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            })?;
            &rest[end.0 + 1..]
        }
        None => value,
    };
    match unquoted.split_once('<') {
        Some((_, rest)) => Some(rest.split_once('>')?.0.trim()),
        None => Some(unquoted.split(';').next()?.trim()),
    }
}

/// A Via value (RFC 3261 section 20.42, RFC 3581).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Via<'a> {
    text: &'a str,
    /// host[:port] as the sender wrote it.
    pub(super) sent_by: &'a str,
}

impl<'a> Via<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let sent_by = text.split(';').next()?.split_whitespace().last()?;
        Some(Self { text, sent_by })
    }

    /// A parameter's value; `Some("")` for one without.
    pub(super) fn param(&self, name: &str) -> Option<&'a str> {
        self.text.split(';').skip(1).find_map(|param| {
            let (key, value) = param.split_once('=').unwrap_or((param, ""));
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Where a response to this Via goes (RFC 3261 section 18.2.2, RFC 3581 section 4); a name in sent-by without `received` is
    /// nowhere, as a stateless element resolves nothing.
    pub(super) fn response_target(&self) -> Option<SocketAddr> {
        let (host, port) = split_host_port(self.sent_by)?;
        let ip = match self.param("received") {
            Some(received) => parse_ip(received)?,
            None => parse_ip(host)?,
        };
        let port = match self.param("rport") {
            Some(rport) if !rport.is_empty() => rport.parse().ok()?,
            _ => port.unwrap_or(5060),
        };
        Some(SocketAddr::new(ip, port))
    }

    /// The value as the next element must see it: `received` and `rport` filled from where the datagram came
    /// (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub(super) fn stamped(&self, from: SocketAddr) -> String {
        let mut out = String::with_capacity(self.text.len() + 48);
        for (i, param) in self.text.split(';').enumerate() {
            let key = param.split('=').next().unwrap_or_default().trim();
            match (i, key) {
                (0, _) => out.push_str(param.trim()),
                (_, key) if key.eq_ignore_ascii_case("received") => {}
                (_, key) if key.eq_ignore_ascii_case("rport") => out.push_str(&format!(";rport={}", from.port())),
                _ => out.push_str(&format!(";{}", param.trim())),
            }
        }
        out.push_str(&format!(";received={}", from.ip()));
        out
    }
}

/// `host`, `host:port`, `[v6]`, `[v6]:port`.
pub(super) fn split_host_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(port) => Some((host, Some(port.parse().ok()?))),
            None => Some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host, Some(port.trim().parse().ok()?))),
        None => Some((text, None)),
    }
}

/// An IP literal, with or without brackets.
pub(super) fn parse_ip(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:bob@localhost SIP/2.0\r\nv: SIP/2.0/UDP 10.0.0.1:5066;rport;branch=z9hG4bKx, SIP/2.0/UDP 10.0.0.2;branch=z9hG4bKy\r\n\
        Subject: one\r\n two\r\nFrom: \"a<b\" <sip:a@localhost>;tag=1\r\nContent-Length: 2\r\n\r\nhi";

    #[test]
    fn a_folded_header_is_one_line_and_leaves_as_it_came() {
        let message = Message::parse(INVITE).unwrap();
        assert_eq!(message.value("Subject"), Some("one\r\n two"));
        assert_eq!(message.rewrite(message.start, |_| Edit::Keep), INVITE);
    }

    #[test]
    fn the_first_of_several_vias_in_one_line_is_the_top_one() {
        let via = Message::parse(INVITE).unwrap().top_via().unwrap();
        assert_eq!(
            (via.sent_by, via.param("branch"), via.param("rport")),
            ("10.0.0.1:5066", Some("z9hG4bKx"), Some(""))
        );
    }

    #[test]
    fn a_stamped_via_leads_responses_to_where_the_request_came_from() {
        let message = Message::parse(INVITE).unwrap();
        let from: SocketAddr = "192.0.2.9:1234".parse().unwrap();
        let stamped = message.top_via().unwrap().stamped(from);
        assert_eq!(stamped, "SIP/2.0/UDP 10.0.0.1:5066;rport=1234;branch=z9hG4bKx;received=192.0.2.9");
        assert_eq!(Via::parse(&stamped).unwrap().response_target(), Some(from));
    }

    #[test]
    fn an_uri_is_found_behind_a_display_name_that_holds_a_bracket() {
        assert_eq!(address_uri("\"a\\\"<b\" <sip:a@localhost;x=1>;tag=1"), Some("sip:a@localhost;x=1"));
        assert_eq!(address_uri("sip:a@localhost;tag=1"), Some("sip:a@localhost"));
    }

    #[test]
    fn ipv6_sent_by_has_host_and_port() {
        assert_eq!(split_host_port("[::1]:5070"), Some(("::1", Some(5070))));
        assert_eq!(split_host_port("[::1]"), Some(("::1", None)));
        assert_eq!(split_host_port("host:x"), None);
    }
}
