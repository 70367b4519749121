//! Who a request is from when it came through proxies.
//!
//! ```text
//! X-Forwarded-For: 198.51.100.1, 203.0.113.7, 10.0.0.2      from 10.0.0.1
//!                  whatever the   the client  trusted        trusted
//!                  client wrote   <-------- read from the right, as far as we trust
//! ```

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName, header};

use crate::config::{ForwardedHeader, Network};

/// More hops than this are not followed.
const HOPS: usize = 16;

/// Whose word is taken, and in which header.
#[derive(Debug)]
pub(super) struct Proxies {
    pub(super) trusted: Vec<Network>,
    pub(super) header: ForwardedHeader,
}

impl Proxies {
    /// Whom limits and logs are to count: `peer`, or for whom a trusted `peer` says that it asks. The port is 0 where none is told.
    pub(super) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let name = match self.header {
            ForwardedHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            ForwardedHeader::Forwarded => header::FORWARDED,
        };
        let lines = headers.get_all(name).iter().rev().map(|line| line.to_str().unwrap_or_default());
        let mut hops = lines.flat_map(|line| line.rsplit(',')).take(HOPS).map(|hop| self.address(hop));
        let mut client = peer;
        // One that makes no sense ends it: what a trusted proxy cannot name, it answers for itself.
        while self.trusted.iter().any(|network| network.contains(client.ip()))
            && let Some(Some(next)) = hops.next()
        {
            client = next;
        }
        client
    }

    fn address(&self, hop: &str) -> Option<SocketAddr> {
        match self.header {
            ForwardedHeader::XForwardedFor => node(hop.trim()),
            ForwardedHeader::Forwarded => forwarded_for(hop),
        }
    }
}

/// `IP`, `IPv4:PORT` or `[IPv6]:PORT`, nothing else.
fn node(text: &str) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    let address = address.or_else(|_| text.parse()).ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

/// `for=` of one element (RFC 7239 section 4). Its values hold no comma that is quoted: addresses have none, and others are not read.
fn forwarded_for(element: &str) -> Option<SocketAddr> {
    let mut values = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = values.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
    node(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn client(header: ForwardedHeader, peer: &str, lines: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap()).to_vec();
        let name = match header {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        Proxies { trusted, header }.client(SocketAddr::new(peer.parse().unwrap(), 4_000), &headers).to_string()
    }

    fn x(peer: &str, lines: &[&str]) -> String {
        client(ForwardedHeader::XForwardedFor, peer, lines)
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(x("203.0.113.9", &["198.51.100.1"]), "203.0.113.9:4000");
        assert_eq!(x("10.0.0.1", &["198.51.100.1"]), "198.51.100.1:0");
        assert_eq!(x("10.0.0.1", &[]), "10.0.0.1:4000");
        assert_eq!(x("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1:0", "mapped");
    }

    #[test]
    fn what_the_client_wrote_itself_does_not_count() {
        assert_eq!(x("10.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]), "203.0.113.7:0");
        assert_eq!(x("10.0.0.1", &["1.1.1.1", "203.0.113.7", "10.0.0.2"]), "203.0.113.7:0");
        assert_eq!(x("10.0.0.1", &["nonsense, 203.0.113.7"]), "203.0.113.7:0");
        assert_eq!(x("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3:0", "all of them ours");
    }

    #[test]
    fn the_proxy_answers_for_what_it_cannot_name() {
        for nonsense in
            ["", "unknown", "203.0.113.7 ", "203.0.113", "203.0.113.7:x", "[2001:db8::1", "2001:db8::1]:1", "a,,", "é"]
        {
            let expected = if nonsense.trim() == "203.0.113.7" { "203.0.113.7:0" } else { "10.0.0.1:4000" };
            assert_eq!(x("10.0.0.1", &[&format!("203.0.113.1,{nonsense}")]), expected, "{nonsense:?}");
        }
        let many = vec!["10.0.0.2"; 1_000].join(",");
        assert_eq!(x("10.0.0.1", &[&format!("203.0.113.7,{many}")]), "10.0.0.2:0", "not followed for ever");
    }

    #[test]
    fn addresses_may_have_ports_and_brackets() {
        assert_eq!(x("::1", &["203.0.113.7:5000"]), "203.0.113.7:5000");
        assert_eq!(x("::1", &["2001:db8::1"]), "[2001:db8::1]:0");
        assert_eq!(x("::1", &["[2001:db8::1]:5000"]), "[2001:db8::1]:5000");
        assert_eq!(x("::1", &["[2001:db8::1]"]), "[2001:db8::1]:0");
    }

    #[test]
    fn the_standard_header_is_read_if_it_is_the_one_that_the_proxies_write() {
        let forwarded = |lines: &[&str]| client(ForwardedHeader::Forwarded, "10.0.0.1", lines);
        assert_eq!(forwarded(&["for=203.0.113.7"]), "203.0.113.7:0");
        assert_eq!(
            forwarded(&["for=1.1.1.1, For=\"[2001:db8::1]:5000\";proto=https;by=10.0.0.1"]),
            "[2001:db8::1]:5000"
        );
        assert_eq!(forwarded(&["proto=https; for=203.0.113.7, for=10.0.0.2"]), "203.0.113.7:0");
        for hidden in ["for=unknown", "for=_hidden", "proto=https", "for=\"203.0.113.7", "for"] {
            assert_eq!(forwarded(&[hidden]), "10.0.0.1:4000", "{hidden}");
        }
        assert_eq!(x("10.0.0.1", &[]), "10.0.0.1:4000");
    }
}
