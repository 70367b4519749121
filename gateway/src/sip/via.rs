//! The top Via: who sent a message, and where its answer goes (RFC 3261 section 18.2, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::address::{Param, find_param, parse_host_port, parse_params};
use super::message::is_token;

/// One Via entry, printed in canonical form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Via {
    version: String,
    transport: String,
    host: String,
    port: Option<u16>,
    params: Vec<Param>,
}

impl Via {
    /// `SIP / 2.0 / UDP host : port ; branch = x`: white space is allowed in many places (RFC 4475 section 3.1.1.1).
    pub(crate) fn parse(text: &str) -> Option<Via> {
        let (protocol, rest) = text.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let version = version.trim();
        if !protocol.trim().eq_ignore_ascii_case("SIP") || !is_token(version) {
            return None;
        }
        let (transport, rest) = rest.trim_start().split_once(char::is_whitespace)?;
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        let sent_by: String = sent_by.chars().filter(|c| !c.is_whitespace()).collect();
        let (host, port) = parse_host_port(&sent_by)?;
        let params = parse_params(params)?;
        Some(Via { version: version.to_owned(), transport: transport.to_owned(), host, port, params })
    }

    /// Whether the sender speaks our version; another one is only good for saying so.
    pub(crate) fn is_current(&self) -> bool {
        self.version == "2.0"
    }

    /// Notes where the request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
    pub(crate) fn note_source(&mut self, from: SocketAddr) {
        let wants_port = find_param(&self.params, "rport").is_some();
        self.params.retain(|(name, _)| !name.eq_ignore_ascii_case("received") && !name.eq_ignore_ascii_case("rport"));
        if wants_port || self.host.parse::<IpAddr>().ok() != Some(from.ip()) {
            self.params.push(("received".to_owned(), Some(from.ip().to_string())));
        }
        if wants_port {
            self.params.push(("rport".to_owned(), Some(from.port().to_string())));
        }
    }

    /// Where the response goes once the source is noted (RFC 3261 section 18.2.2, RFC 3581 section 4).
    pub(crate) fn reply_address(&self, from: SocketAddr) -> SocketAddr {
        let port = match find_param(&self.params, "rport").and_then(|p| p.parse().ok()) {
            Some(port) => port,
            None => self.port.unwrap_or(5060),
        };
        SocketAddr::new(from.ip(), port)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "SIP/{}/{} {host}", self.version, self.transport)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_allowed_where_the_grammar_allows_it() {
        let via = Via::parse("SIP  / 2.0  /UDP    192.0.2.2 : 5070 ;branch=390skdjuw ; rport").unwrap();
        assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.2:5070;branch=390skdjuw;rport");
        for bad in
            ["", "SIP/2.0/UDP", "SIP/2.0/UDP ;branch=x", "SIP/2.0/UDP h;;;,", "HTTP/2.0/UDP h", "SIP/2.0/UDP h:port"]
        {
            assert_eq!(Via::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_answer_goes_to_the_source_port_only_if_rport_asks_for_it() {
        let from: SocketAddr = "203.0.113.9:40000".parse().unwrap();
        let mut plain = Via::parse("SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKx").unwrap();
        plain.note_source(from);
        assert_eq!(plain.to_string(), "SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKx;received=203.0.113.9");
        assert_eq!(plain.reply_address(from), "203.0.113.9:5070".parse().unwrap());
        let mut symmetric = Via::parse("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKx;received=1.2.3.4").unwrap();
        symmetric.note_source(from);
        assert_eq!(symmetric.reply_address(from), from);
        assert!(symmetric.to_string().ends_with(";received=203.0.113.9;rport=40000"));
    }

    #[test]
    fn an_ipv6_source_is_noted_without_brackets() {
        let from: SocketAddr = "[2001:db8::9]:5060".parse().unwrap();
        let mut via = Via::parse("SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKx").unwrap();
        via.note_source(from);
        assert_eq!(via.to_string(), "SIP/2.0/UDP [2001:db8::1];branch=z9hG4bKx;received=2001:db8::9");
    }
}
