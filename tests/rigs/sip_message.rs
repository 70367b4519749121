//! SIP text in and out (RFC 3261 section 7), no more than the rigs need.

use std::fmt;

/// A request or a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SipMessage {
    /// Request line or status line.
    pub start: String,
    /// Names as received, in order.
    pub headers: Vec<(String, String)>,
    /// Body, as text.
    pub body: String,
}

impl SipMessage {
    /// Reads a datagram; `None` if it is no SIP message.
    pub fn parse(datagram: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(datagram);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next()?.to_owned();
        if !start.contains("SIP/2.0") {
            return None;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { start, headers, body: body.to_owned() })
    }

    /// A request without headers.
    pub fn request(method: &str, uri: &str) -> Self {
        Self { start: format!("{method} {uri} SIP/2.0"), headers: Vec::new(), body: String::new() }
    }

    /// The answer to a request: Via, From, To (with `tag` if it has none), Call-ID and CSeq are taken over.
    pub fn response(request: &Self, code: u16, phrase: &str, tag: &str) -> Self {
        let mut response = Self { start: format!("SIP/2.0 {code} {phrase}"), headers: Vec::new(), body: String::new() };
        for (name, value) in &request.headers {
            match canonical(name).as_str() {
                "via" | "from" | "call-id" | "cseq" | "record-route" => response.push(name, value),
                "to" if code > 100 && !value.contains(";tag=") => response.push(name, &format!("{value};tag={tag}")),
                "to" => response.push(name, value),
                _ => {}
            }
        }
        response
    }

    /// Adds a header.
    pub fn push(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// This message with a header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.push(name, value.as_ref());
        self
    }

    /// This message with a session description.
    #[must_use]
    pub fn with_sdp(mut self, sdp: &str) -> Self {
        self.push("Content-Type", "application/sdp");
        self.body = sdp.to_owned();
        self
    }

    /// First header of this name (long form, any case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let wanted = name.to_ascii_lowercase();
        self.headers.iter().find(|(known, _)| canonical(known) == wanted).map(|(_, value)| value.as_str())
    }

    /// First header of this name, empty if it is missing.
    pub fn text(&self, name: &str) -> &str {
        self.header(name).unwrap_or_default()
    }

    /// Method of a request; `None` for a response.
    pub fn method(&self) -> Option<&str> {
        if self.start.starts_with("SIP/2.0") { None } else { self.start.split(' ').next() }
    }

    /// Request-URI; empty for a response.
    pub fn uri(&self) -> &str {
        if self.method().is_some() { self.start.split(' ').nth(1).unwrap_or_default() } else { "" }
    }

    /// Status code of a response.
    pub fn status(&self) -> Option<u16> {
        self.start.strip_prefix("SIP/2.0 ")?.split(' ').next()?.parse().ok()
    }

    /// Number and method of CSeq.
    pub fn cseq(&self) -> (u32, &str) {
        let mut words = self.text("CSeq").split_whitespace();
        (words.next().and_then(|word| word.parse().ok()).unwrap_or(0), words.next().unwrap_or_default())
    }

    /// The branch of the topmost Via.
    pub fn branch(&self) -> &str {
        tail_parameter(self.text("Via"), "branch").unwrap_or_default()
    }

    /// The tag of From or To.
    pub fn tag(&self, name: &str) -> &str {
        tail_parameter(self.text(name), "tag").unwrap_or_default()
    }

    /// The URI between the angle brackets of From, To or Contact, or the bare value up to its parameters.
    pub fn address(&self, name: &str) -> &str {
        let value = self.text(name);
        match value.split_once('<') {
            Some((_, rest)) => rest.split('>').next().unwrap_or_default(),
            None => value.split(';').next().unwrap_or_default(),
        }
    }
}

impl fmt::Display for SipMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\r\n", self.start)?;
        for (name, value) in &self.headers {
            write!(f, "{name}: {value}\r\n")?;
        }
        write!(f, "Content-Length: {}\r\n\r\n{}", self.body.len(), self.body)
    }
}

fn tail_parameter<'a>(value: &'a str, name: &str) -> Option<&'a str> {
    value.split(';').skip(1).find_map(|parameter| {
        let (key, value) = parameter.split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_end_matches('>'))
    })
}

/// Lower-case long form of a header name (RFC 3261 section 7.3.3).
fn canonical(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "v" => "via".into(),
        "f" => "from".into(),
        "t" => "to".into(),
        "i" => "call-id".into(),
        "m" => "contact".into(),
        "l" => "content-length".into(),
        "c" => "content-type".into(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_takes_over_what_names_its_transaction() {
        let request = SipMessage::request("INVITE", "sip:bob@host")
            .with("Via", "SIP/2.0/UDP host;branch=z9hG4bKx")
            .with("f", "\"A; B\" <sip:alice@host>;tag=1")
            .with("To", "<sip:bob@host>")
            .with("Call-ID", "c")
            .with("CSeq", "4 INVITE");
        let response = SipMessage::response(&request, 180, "Ringing", "t2");
        let response = SipMessage::parse(response.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), Some(180));
        assert_eq!(response.branch(), "z9hG4bKx");
        assert_eq!((response.tag("From"), response.tag("To")), ("1", "t2"));
        assert_eq!(response.address("From"), "sip:alice@host");
        assert_eq!(response.cseq(), (4, "INVITE"));
    }
}
