//! Addresses that a phone wrote, made safe: the types here cannot carry CR, LF, NUL or anything else that would break out of a SIP
//! header, so everything built from them is well-formed.
//!
//! ```text
//! sip:bob@host;p=1   "Bob" <sip:bob@host>      kept
//! bob@host           host:5070   10.0.0.1      -> sip:...
//! bob   +1 555 123   *98   tel:+1-555-123      -> sip:...@the account's own domain
//! ```

use std::{fmt, net::IpAddr};

use crate::limits::{MAX_ADDRESS, MAX_NAME};

/// Why a text is no address. Positions are byte offsets into what the phone wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing but blanks.
    #[error("empty")]
    Empty,
    /// Longer than we read.
    #[error("longer than {MAX_ADDRESS} bytes")]
    TooLong,
    /// CR, LF, NUL and their like, plain or percent-encoded, and Unicode's line separators.
    #[error("control character at {at}")]
    Control {
        /// Where.
        at: usize,
    },
    /// A character that has no place there.
    #[error("character {character:?} at {at}")]
    Character {
        /// Which.
        character: char,
        /// Where.
        at: usize,
    },
    /// A part that is needed.
    #[error("no {part} at {at}")]
    Missing {
        /// Its name.
        part: &'static str,
        /// Where it was looked for.
        at: usize,
    },
    /// No port number 1..=65535.
    #[error("bad port at {at}")]
    Port {
        /// Where.
        at: usize,
    },
    /// `?Header=value` would let a phone write headers of its own (RFC 3261 section 19.1.5).
    #[error("header part at {at}")]
    Headers {
        /// Where.
        at: usize,
    },
    /// `maddr` would send the call past every check of its host.
    #[error("parameter maddr at {at}")]
    Maddr {
        /// Where.
        at: usize,
    },
    /// `sips:` promises TLS on every hop, which is not there.
    #[error("sips is not supported")]
    Sips,
    /// Neither SIP nor a telephone number.
    #[error("scheme {0} is neither sip nor tel")]
    Scheme(String),
}

/// An address-of-record: `user@host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    user: String,
    host: String,
    port: Option<u16>,
}

impl Address {
    /// Reads `user@host[:port]`, with or without `sip:` before it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let piece = Piece::checked(text)?.trimmed();
        let piece = piece.after_scheme("sip:").unwrap_or(piece);
        let (user, host) =
            piece.split_at_char('@').ok_or(AddressError::Missing { part: "@domain", at: piece.end() })?;
        let (host, port) = parse_host_port(host)?;
        Ok(Self { user: encode_user(user)?, host, port })
    }

    /// User part, percent-encoded where needed.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Host name or IP address (IPv6 in brackets).
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port, if the address names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sip:{}@{}", self.user, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Where an outgoing call goes: a SIP URI, with a display name if the phone gave one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    display: Option<String>,
    uri: String,
}

impl Target {
    /// Reads the destination of `invite`. Numbers, `tel:` and bare names are called at `home`'s domain.
    pub fn parse(text: &str, home: &Address) -> Result<Self, AddressError> {
        let piece = Piece::checked(text)?.trimmed();
        if piece.text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (display, addr) = split_name_addr(piece)?;
        Ok(Self { display, uri: parse_uri(addr, home)? })
    }

    /// The SIP URI alone.
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display {
            Some(name) => write!(f, "{} <{}>", quoted(name), self.uri),
            None => f.write_str(&self.uri),
        }
    }
}

/// A display name as a quoted-string (RFC 3261 section 25.1).
pub fn quoted(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 2);
    text.push('"');
    for character in name.chars() {
        if matches!(character, '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push('"');
    text
}

/// Refuses a display name, login or password that could break out of a header, or is absurdly long.
pub(crate) fn check_name(text: &str) -> Result<(), AddressError> {
    if text.len() > MAX_NAME { Err(AddressError::TooLong) } else { Piece::checked(text).map(|_| ()) }
}

/// A part of the phone's text that knows where it stood.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Piece<'a> {
    /// The whole text, once it is known to be short and without control characters.
    fn checked(text: &'a str) -> Result<Self, AddressError> {
        if text.len() > MAX_ADDRESS {
            return Err(AddressError::TooLong);
        }
        let control = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        match text.find(control) {
            Some(at) => Err(AddressError::Control { at }),
            None => Ok(Self { text, at: 0 }),
        }
    }

    fn end(self) -> usize {
        self.at + self.text.len()
    }

    fn from(self, offset: usize) -> Self {
        Self { text: &self.text[offset..], at: self.at + offset }
    }

    fn until(self, offset: usize) -> Self {
        Self { text: &self.text[..offset], at: self.at }
    }

    fn trimmed(self) -> Self {
        let start = self.text.len() - self.text.trim_start().len();
        let from = self.from(start);
        from.until(from.text.trim_end().len())
    }

    /// What stands before and behind the first `separator`.
    fn split_at_char(self, separator: char) -> Option<(Self, Self)> {
        let offset = self.text.find(separator)?;
        Some((self.until(offset), self.from(offset + separator.len_utf8())))
    }

    fn after_scheme(self, scheme: &str) -> Option<Self> {
        let head = self.text.get(..scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then(|| self.from(scheme.len()))
    }

    fn character(self, offset: usize) -> AddressError {
        let character = self.text[offset..].chars().next().unwrap_or(' ');
        AddressError::Character { character, at: self.at + offset }
    }
}

/// `"Bob" <uri>`, `Bob <uri>`, `<uri>` or `uri`.
fn split_name_addr(piece: Piece<'_>) -> Result<(Option<String>, Piece<'_>), AddressError> {
    let (display, bracket) = match piece.text.strip_prefix('"') {
        Some(_) => {
            let (name, behind) = read_quoted(piece)?;
            let rest = piece.from(behind);
            (name, rest.from(rest.text.len() - rest.text.trim_start().len()))
        }
        None => match piece.text.find('<') {
            Some(offset) => (piece.until(offset).text.trim().to_owned(), piece.from(offset)),
            None => return Ok((None, piece)),
        },
    };
    if !bracket.text.starts_with('<') {
        return Err(AddressError::Missing { part: "<", at: bracket.at });
    }
    let (uri, behind) =
        bracket.from(1).split_at_char('>').ok_or(AddressError::Missing { part: ">", at: bracket.end() })?;
    if !behind.text.is_empty() {
        return Err(behind.character(0));
    }
    if let Some(offset) = display.find(['<', '>']) {
        return Err(Piece { text: &display, at: piece.at }.character(offset));
    }
    check_name(&display)?;
    Ok(((!display.is_empty()).then_some(display), uri))
}

/// The content of a quoted-string at the start of `piece`, and the offset behind it.
fn read_quoted(piece: Piece<'_>) -> Result<(String, usize), AddressError> {
    let (mut name, mut escaped) = (String::new(), false);
    for (offset, character) in piece.text.char_indices().skip(1) {
        match character {
            _ if escaped => {
                name.push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return Ok((name, offset + 1)),
            _ => name.push(character),
        }
    }
    Err(AddressError::Missing { part: "closing quote", at: piece.end() })
}

fn parse_uri(piece: Piece<'_>, home: &Address) -> Result<String, AddressError> {
    let piece = piece.trimmed();
    if piece.text.is_empty() {
        return Err(AddressError::Missing { part: "address", at: piece.at });
    }
    if let Some(rest) = piece.after_scheme("sip:") {
        return parse_sip(rest);
    }
    if let Some(rest) = piece.after_scheme("tel:") {
        return parse_tel(rest, home);
    }
    if piece.after_scheme("sips:").is_some() {
        return Err(AddressError::Sips);
    }
    match foreign_scheme(piece.text) {
        Some(scheme) => Err(AddressError::Scheme(scheme.to_owned())),
        None if piece.text.contains('@') => parse_sip(piece),
        None => parse_bare(piece, home),
    }
}

/// `http` of `http://...`, `mailto` of `mailto:bob@x`; none for `host:5070`.
fn foreign_scheme(text: &str) -> Option<&str> {
    let (head, rest) = text.split_once(':')?;
    let scheme = head.starts_with(|c: char| c.is_ascii_alphabetic())
        && head.len() <= 16
        && head.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (scheme && !rest.starts_with(|c: char| c.is_ascii_digit())).then_some(head)
}

/// What stands behind `sip:` (RFC 3261 section 19.1).
fn parse_sip(piece: Piece<'_>) -> Result<String, AddressError> {
    let (user, rest) = match piece.split_at_char('@') {
        Some((user, rest)) => (Some(encode_user(user)?), rest),
        None => (None, piece),
    };
    let host_end = rest.text.find([';', '?']).unwrap_or(rest.text.len());
    let (host, port) = parse_host_port(rest.until(host_end))?;
    let parameters = rest.from(host_end);
    check_parameters(parameters)?;
    let user = user.map_or(String::new(), |user| user + "@");
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    Ok(format!("sip:{user}{host}{port}{}", parameters.text))
}

/// What stands behind `tel:` (RFC 3966): the number, with its parameters, becomes the user part (RFC 3261 section 19.1.6).
fn parse_tel(piece: Piece<'_>, home: &Address) -> Result<String, AddressError> {
    let end = piece.text.find(';').unwrap_or(piece.text.len());
    let number = dialled(piece.until(end).text).ok_or(AddressError::Missing { part: "number", at: piece.at })?;
    check_parameters(piece.from(end))?;
    let user = encode_user(Piece { text: &(number + &piece.text[end..]), at: piece.at })?;
    Ok(at_home(&user, home) + ";user=phone")
}

/// Neither scheme nor `@`: an IP address or `host:port` is a host, anything else a number or name at the account's own domain.
fn parse_bare(piece: Piece<'_>, home: &Address) -> Result<String, AddressError> {
    let host = piece.text.split(';').next().unwrap_or_default();
    if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4()) || host.contains(':') || host.starts_with('[') {
        return parse_sip(piece);
    }
    match dialled(piece.text) {
        Some(number) => Ok(at_home(&encode_user(Piece { text: &number, at: piece.at })?, home)),
        None => Ok(at_home(&encode_user(piece)?, home)),
    }
}

fn at_home(user: &str, home: &Address) -> String {
    Address { user: user.to_owned(), ..home.clone() }.to_string()
}

/// A telephone number without its visual separators (RFC 3966 section 5.1.1); `None` for any other text.
fn dialled(text: &str) -> Option<String> {
    let (plus, rest) = text.strip_prefix('+').map_or(("", text), |rest| ("+", rest));
    let dial = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#');
    let separator = |c: char| matches!(c, '-' | '.' | '(' | ')' | ' ');
    let whole = rest.chars().all(|c| dial(c) || separator(c)) && rest.contains(dial);
    whole.then(|| plus.chars().chain(rest.chars().filter(|c| dial(*c))).collect())
}

/// The user part as RFC 3261 section 25.1 lets it stand, the rest percent-encoded where that is harmless.
fn encode_user(piece: Piece<'_>) -> Result<String, AddressError> {
    if piece.text.is_empty() {
        return Err(AddressError::Missing { part: "user", at: piece.at });
    }
    let mut user = String::with_capacity(piece.text.len());
    for (offset, character) in piece.text.char_indices() {
        match character {
            // Legal, but a reader that looks for parameters and headers before the `@` would find them.
            '?' => return Err(AddressError::Headers { at: piece.at + offset }),
            ';' if is_maddr(piece.text, offset) => return Err(AddressError::Maddr { at: piece.at + offset + 1 }),
            '%' => {
                check_escape(piece, offset)?;
                user.push('%');
            }
            c if c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;/:".contains(c) => user.push(c),
            c if c == '#' || !c.is_ascii() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    user.push_str(&format!("%{byte:02X}"));
                }
            }
            _ => return Err(piece.character(offset)),
        }
    }
    Ok(user)
}

/// `%` must begin a whole escape, and not hide a control character.
fn check_escape(piece: Piece<'_>, offset: usize) -> Result<(), AddressError> {
    let digits = piece.text.get(offset + 1..offset + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let byte = digits.and_then(|hex| u8::from_str_radix(hex, 16).ok()).ok_or_else(|| piece.character(offset))?;
    if byte.is_ascii_control() { Err(AddressError::Control { at: piece.at + offset }) } else { Ok(()) }
}

fn parse_host_port(piece: Piece<'_>) -> Result<(String, Option<u16>), AddressError> {
    let end = match piece.text.find(']') {
        Some(bracket) if piece.text.starts_with('[') => bracket + 1,
        _ => piece.text.find(':').unwrap_or(piece.text.len()),
    };
    let (host, rest) = (piece.until(end), piece.from(end));
    check_host(host)?;
    let port = match rest.text.strip_prefix(':') {
        None if rest.text.is_empty() => None,
        None => return Err(rest.character(0)),
        Some(digits) => {
            let port = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
            Some(port.filter(|port| *port != 0).ok_or(AddressError::Port { at: rest.at + 1 })?)
        }
    };
    Ok((host.text.to_owned(), port))
}

fn check_host(host: Piece<'_>) -> Result<(), AddressError> {
    let missing = AddressError::Missing { part: "host", at: host.at };
    if host.text.is_empty() || host.text.len() > 253 {
        return Err(missing);
    }
    if let Some(inner) = host.text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return inner.parse::<std::net::Ipv6Addr>().map(|_| ()).map_err(|_| missing);
    }
    let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    match host.text.find(odd) {
        Some(offset) => Err(host.character(offset)),
        None if host.text.starts_with(['-', '.']) => Err(host.character(0)),
        None => Ok(()),
    }
}

/// `;name=value` pieces are kept as written (RFC 3261 section 25.1, uri-parameters).
fn check_parameters(piece: Piece<'_>) -> Result<(), AddressError> {
    for (offset, character) in piece.text.char_indices() {
        match character {
            '?' => return Err(AddressError::Headers { at: piece.at + offset }),
            '%' => check_escape(piece, offset)?,
            ';' if is_maddr(piece.text, offset) => return Err(AddressError::Maddr { at: piece.at + offset + 1 }),
            ';' => {}
            c if c.is_ascii_alphanumeric() || "-_.!~*'()[]/:&+$=".contains(c) => {}
            _ => return Err(piece.character(offset)),
        }
    }
    Ok(())
}

/// Whether the parameter behind the `;` at `offset` is `maddr`.
fn is_maddr(text: &str, offset: usize) -> bool {
    let name = text[offset + 1..].split([';', '=', '@', '?']).next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case("maddr")
}

#[cfg(test)]
#[path = "destination_tests.rs"]
mod tests;
