//! SIP addresses as text that is known to be well formed: `sip:` URIs, name-addr, and comma-separated lists of them.
//!
//! rsipstack's own URI type is not used for what goes on the wire: it encodes `%20` a second time and splits a user part at its first
//! semicolon (RFC 4475 section 3.1.1.9). Here the text stays as it came and only its parts are looked at.

use std::net::Ipv6Addr;

/// A name and, maybe, a value: `;lr` or `;transport=udp`.
pub(crate) type Param = (String, Option<String>);

/// A checked `sip:` or `sips:` URI (RFC 3261 section 19.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SipUri {
    pub(crate) secure: bool,
    /// As written, percent escapes and all.
    pub(crate) user: Option<String>,
    /// IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) params: Vec<Param>,
    /// After `?`.
    pub(crate) headers: Option<String>,
}

impl SipUri {
    /// `None` for another scheme and for what RFC 3261 section 25.1 does not allow.
    pub(crate) fn parse(text: &str) -> Option<SipUri> {
        let (scheme, rest) = text.split_once(':')?;
        let secure = match scheme {
            s if s.eq_ignore_ascii_case("sip") => false,
            s if s.eq_ignore_ascii_case("sips") => true,
            _ => return None,
        };
        if rest.chars().any(|c| c.is_control() || c.is_whitespace() || "<>\"".contains(c)) {
            return None;
        }
        let (user, rest) = match rest.split_once('@') {
            Some(("", _)) => return None,
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = parse_host_port(host_port)?;
        Some(SipUri { secure, user, host, port, params: parse_params(params)?, headers })
    }

    /// The value of a parameter, `Some("")` for one without.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        find_param(&self.params, name)
    }

    /// `host[:port]` as it stands in a URI.
    pub(crate) fn host_port(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match self.port {
            Some(port) => format!("{host}:{port}"),
            None => host,
        }
    }
}

/// `host[:port]`, IPv6 in brackets.
pub(crate) fn parse_host_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (inner, rest) = rest.split_once(']')?;
        inner.parse::<Ipv6Addr>().ok()?;
        (inner, rest.strip_prefix(':').map_or(rest.is_empty().then_some(None), |p| Some(Some(p)))?)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return None;
        }
        (host, port)
    };
    let port = match port {
        None => None,
        Some(port) if port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    Some((host.to_owned(), port))
}

/// `name[=value]` between semicolons; values may be quoted.
pub(crate) fn parse_params(text: &str) -> Option<Vec<Param>> {
    let mut params = Vec::new();
    // One semicolon too many at the end does no harm; more are no parameter list.
    let text = text.trim();
    let text = text.strip_suffix(';').unwrap_or(text);
    for part in split_outside(text, ';')? {
        let part = part.trim();
        if part.is_empty() && !text.is_empty() {
            return None;
        } else if part.is_empty() {
            continue;
        }
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
            None => (part, None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return None;
        }
        params.push((name.to_owned(), value));
    }
    Some(params)
}

pub(crate) fn find_param<'a>(params: &'a [Param], name: &str) -> Option<&'a str> {
    params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_deref().unwrap_or(""))
}

/// From, To, Contact, Route: `"Bob" <sip:bob@host>;tag=x` (RFC 3261 section 20.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameAddr {
    /// As written, quotes included; empty if absent.
    pub(crate) display: String,
    /// Any scheme, as written.
    pub(crate) uri: String,
    pub(crate) params: Vec<Param>,
}

impl NameAddr {
    pub(crate) fn parse(text: &str) -> Option<NameAddr> {
        let text = text.trim();
        let (display, uri, params) = match find_outside_quotes(text, '<')? {
            Some(open) => {
                let (uri, rest) = text[open + 1..].split_once('>')?;
                let rest = rest.trim_start();
                if !(rest.is_empty() || rest.starts_with(';')) {
                    return None;
                }
                (text[..open].trim(), uri, rest.strip_prefix(';').unwrap_or_default())
            }
            // Without brackets the parameters are the header's, not the URI's.
            None => {
                let (uri, params) = text.split_once(';').unwrap_or((text, ""));
                ("", uri.trim_end(), params)
            }
        };
        let quoted = display.starts_with('"') && display.ends_with('"') && display.len() >= 2;
        if !quoted && !display.chars().all(is_display_token) {
            return None;
        }
        let scheme = uri.split_once(':')?.0;
        let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !scheme_ok || uri.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c)) {
            return None;
        }
        let is_sip = scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips");
        if is_sip && SipUri::parse(uri).is_none() {
            return None;
        }
        Some(NameAddr { display: display.to_owned(), uri: uri.to_owned(), params: parse_params(params)? })
    }

    /// The entries of all lines, in order; `None` if one is malformed.
    pub(crate) fn parse_all<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<NameAddr>> {
        let mut all = Vec::new();
        for line in lines {
            for entry in split_list(line)? {
                all.push(NameAddr::parse(entry)?);
            }
        }
        Some(all)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        find_param(&self.params, name)
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.param("tag").filter(|tag| !tag.is_empty())
    }

    /// `"Bob" <sip:bob@host>`: without header parameters; what a phone is shown, and what goes back into From or To.
    pub(crate) fn without_params(&self) -> String {
        match self.display.as_str() {
            "" => format!("<{}>", self.uri),
            display => format!("{display} <{}>", self.uri),
        }
    }
}

/// Token characters, the white space between words, and UTF-8 (RFC 3261 section 25.1, display-name without quotes; phones send
/// accented letters unquoted).
fn is_display_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~ \t".contains(c) || !c.is_ascii()
}

/// Where `wanted` first stands outside quotes; the outer `None` means that a quote is not closed.
fn find_outside_quotes(text: &str, wanted: char) -> Option<Option<usize>> {
    let mut quoted = false;
    let mut escaped = false;
    let mut found = None;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted && found.is_none() => found = Some(at),
            _ => {}
        }
    }
    (!quoted).then_some(found)
}

/// Entries of a comma-separated header value; quotes and angle brackets protect commas. `None` for an open quote or bracket.
pub(crate) fn split_list(text: &str) -> Option<Vec<&str>> {
    let entries = split_outside(text, ',')?;
    Some(entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty()).collect())
}

fn split_outside(text: &str, separator: char) -> Option<Vec<&str>> {
    let (mut quoted, mut escaped, mut bracketed, mut start) = (false, false, false, 0);
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            c if c == separator && !quoted && !bracketed => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted && !bracketed).then_some(parts)
}

/// A display name as a quoted string, or nothing. `None` if it holds a control character (CR, LF and NUL above all).
pub(crate) fn quote_display(name: &str) -> Option<String> {
    if name.chars().any(char::is_control) {
        return None;
    }
    Some(match name.trim() {
        "" => String::new(),
        name => format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_keeps_semicolons_and_escapes_of_its_user_part() {
        let uri = SipUri::parse("sip:user;par=u%40example.net@example.com:5062;transport=udp;lr?Subject=x").unwrap();
        assert_eq!(uri.user.as_deref(), Some("user;par=u%40example.net"));
        assert_eq!((uri.host.as_str(), uri.port), ("example.com", Some(5062)));
        assert_eq!(uri.param("TRANSPORT"), Some("udp"));
        assert_eq!(uri.param("lr"), Some(""));
        assert_eq!(uri.headers.as_deref(), Some("Subject=x"));
        let six = SipUri::parse("sips:[2001:db8::1]:5061").unwrap();
        assert_eq!(
            (six.secure, six.host.as_str(), six.host_port().as_str()),
            (true, "2001:db8::1", "[2001:db8::1]:5061")
        );
    }

    #[test]
    fn what_is_no_sip_uri_is_refused() {
        let bad = [
            "",
            "sip:",
            "bob",
            "http://a",
            "sip:@a",
            "sip:bob@",
            "sip:a b@c",
            "sip:a@b:99999",
            "sip:a@b:x",
            "sip:a@[::1",
            "sip:a@b/c",
            "sip:a@b\r\nRoute: <sip:evil>",
            "sip:a@b\0",
            "<sip:a@b>",
            "sip:a@::1",
            "sip:a@b:+5",
            "sip:[::1]5060",
        ];
        for text in bad {
            assert_eq!(SipUri::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn name_addr_forms_are_understood() {
        let bob = NameAddr::parse("\"Bob, \\\"B\\\" <x>\" <sip:bob@h;lr>;tag=1 ;q=\"a;b\"").unwrap();
        assert_eq!(bob.uri, "sip:bob@h;lr");
        assert_eq!((bob.tag(), bob.param("q")), (Some("1"), Some("\"a;b\"")));
        assert_eq!(bob.without_params(), "\"Bob, \\\"B\\\" <x>\" <sip:bob@h;lr>");
        let bare = NameAddr::parse("sip:bob@h;tag=2").unwrap();
        assert_eq!((bare.uri.as_str(), bare.tag()), ("sip:bob@h", Some("2")));
        assert_eq!(bare.without_params(), "<sip:bob@h>");
        assert_eq!(NameAddr::parse("Bob Bee<sip:b@h>").unwrap().display, "Bob Bee");
        assert_eq!(NameAddr::parse("<tel:+1>;tag=a").unwrap().uri, "tel:+1");
    }

    #[test]
    fn malformed_name_addrs_are_refused() {
        let bad = [
            "\"Mr. J. User <sip:j@example.com>",
            "Bell, Alexander <sip:a.g.bell@bell-tel.com>",
            "\"W\" < sip:w@example.org>",
            "<sip:a@b",
            "<bob>",
            "",
            "\"B\"<sip:a@b>junk",
            "<sip:a@b> <sip:c@d>",
            "<sip:a@b>;;;;",
        ];
        for text in bad {
            assert_eq!(NameAddr::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        let lines = ["\"a,b\" <sip:a@h;x=1,2>, <sip:b@h>", "sip:c@h"];
        let all = NameAddr::parse_all(lines.into_iter()).unwrap();
        let uris: Vec<_> = all.iter().map(|a| a.uri.as_str()).collect();
        assert_eq!(uris, ["sip:a@h;x=1,2", "sip:b@h", "sip:c@h"]);
        assert_eq!(NameAddr::parse_all(["<sip:a@h>, \"open"].into_iter()), None);
    }

    #[test]
    fn a_display_name_cannot_break_out_of_its_quotes() {
        assert_eq!(quote_display("A\" <sip:evil>\\").unwrap(), "\"A\\\" <sip:evil>\\\\\"");
        assert_eq!(quote_display("a\r\nb"), None);
        assert_eq!(quote_display(" ").unwrap(), "");
    }
}
