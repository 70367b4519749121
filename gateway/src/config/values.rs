//! The values of options: parsed into types that cannot be wrong, with errors that say what is allowed.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use phone_agent::CodecWord;
use serde::Deserialize;

use crate::phone::dialect;

/// What is wrong with a value, and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(String);

impl ValueError {
    pub(super) fn new(text: String) -> ValueError {
        ValueError(text)
    }
}

/// A codec to prefer, by the word that phones use for it (docs/codecs.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CodecName(pub CodecWord);

impl FromStr for CodecName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        dialect::preference(text.trim()).map(CodecName).map_err(ValueError)
    }
}

/// A listener: where it listens, or that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    /// Not at all.
    Off,
    /// On this address.
    At(SocketAddr),
}

impl Listen {
    /// The address, unless it is off.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Listen::Off => None,
            Listen::At(address) => Some(address),
        }
    }
}

impl FromStr for Listen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == "off" {
            return Ok(Listen::Off);
        }
        text.parse().map(Listen::At).map_err(|_| {
            ValueError(format!("`{text}` is no address: write IP:PORT, such as 127.0.0.1:1935 or [::1]:1935, or off"))
        })
    }
}

/// A SIP listener: `udp:IP:PORT`; the prefix may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct SipListen(pub SocketAddr);

impl FromStr for SipListen {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.starts_with("tcp:") || text.starts_with("tls:") {
            return Err(ValueError(format!("`{text}`: this version serves SIP over UDP only: write udp:IP:PORT")));
        }
        text.strip_prefix("udp:").unwrap_or(text).parse().map(SipListen).map_err(|_| {
            ValueError(format!("`{text}` is no SIP listener: write udp:IP:PORT, such as udp:127.0.0.1:5060"))
        })
    }
}

/// The ports that RTP and RTCP may use: `LOW-HIGH`, both included. Each call takes an even port and the odd one above it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange(RangeInclusive<u16>);

impl PortRange {
    /// The even ports of the range that have their odd neighbour in it too.
    pub fn even_ports(&self) -> impl ExactSizeIterator<Item = u16> + use<> {
        let first = self.0.start() + self.0.start() % 2;
        (first..*self.0.end()).step_by(2)
    }
}

impl FromStr for PortRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError(format!(
                "`{text}` is no port range: write LOW-HIGH within 1024-65535, with room for at least one even port and the port above it"
            ))
        };
        let (low, high) = text.split_once('-').ok_or_else(wrong)?;
        let low: u16 = low.trim().parse().map_err(|_| wrong())?;
        let high: u16 = high.trim().parse().map_err(|_| wrong())?;
        if low < 1024 || low >= high {
            return Err(wrong());
        }
        let range = PortRange(low..=high);
        if range.even_ports().len() == 0 { Err(wrong()) } else { Ok(range) }
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0.start(), self.0.end())
    }
}

/// The address that peers outside are told: one that they can send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ExternalIp(pub IpAddr);

impl FromStr for ExternalIp {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.parse::<IpAddr>() {
            Ok(ip) if !ip.is_unspecified() && !ip.is_multicast() => Ok(ExternalIp(ip)),
            _ => Err(ValueError(format!(
                "`{text}` is no address to advertise: write one IP address that peers can send to"
            ))),
        }
    }
}

/// A DNS name, lower case: labels of letters, digits and hyphens (RFC 1123 section 2.1), or an IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DomainName(pub String);

impl FromStr for DomainName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        if text.len() <= 253 && text.split('.').all(label_ok) {
            Ok(DomainName(text.to_ascii_lowercase()))
        } else {
            Err(ValueError(format!(
                "`{text}` is no domain name: write letters, digits, hyphens and dots, such as example.com"
            )))
        }
    }
}

/// Where SIP requests go first: `sip:HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ProxyUri(pub String);

impl FromStr for ProxyUri {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError(format!(
                "`{text}` is no SIP proxy: write sip:HOST or sip:HOST:PORT, such as sip:proxy.example.com:5060"
            ))
        };
        let host_port = text.strip_prefix("sip:").unwrap_or(text);
        if host_port.parse::<SocketAddr>().is_err() {
            let (host, port) = match host_port.rsplit_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            };
            host.parse::<DomainName>().map_err(|_| wrong())?;
            if port.is_some_and(|port| port.parse::<u16>().is_err()) {
                return Err(wrong());
            }
        }
        Ok(ProxyUri(format!("sip:{host_port}")))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: one JSON object a line.
    Json,
}

macro_rules! try_from_string {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }
    )*};
}

try_from_string!(CodecName, Listen, SipListen, PortRange, ExternalIp, DomainName, ProxyUri);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_an_address_or_off() {
        assert_eq!("off".parse(), Ok(Listen::Off));
        assert_eq!("[::1]:1935".parse::<Listen>().unwrap().address(), Some("[::1]:1935".parse().unwrap()));
        for wrong in ["", "1935", "localhost:1935", "127.0.0.1", "127.0.0.1:99999"] {
            let error = wrong.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains("IP:PORT"), "{error}");
        }
    }

    #[test]
    fn a_sip_listener_is_udp_with_or_without_prefix() {
        let address = "127.0.0.1:5060".parse().unwrap();
        assert_eq!("udp:127.0.0.1:5060".parse(), Ok(SipListen(address)));
        assert_eq!("127.0.0.1:5060".parse(), Ok(SipListen(address)));
        assert!("tls:127.0.0.1:5061".parse::<SipListen>().unwrap_err().to_string().contains("UDP only"));
    }

    #[test]
    fn a_port_range_gives_even_ports_whose_neighbour_is_inside() {
        let ports = |text: &str| text.parse::<PortRange>().unwrap().even_ports().collect::<Vec<_>>();
        assert_eq!(ports("10000-10003"), [10000, 10002]);
        assert_eq!(ports("10001-10004"), [10002]);
        assert_eq!(ports("65530-65535"), [65530, 65532, 65534]);
        for wrong in ["", "5", "10-20", "20000-10000", "10001-10002", "1024-70000", "a-b"] {
            assert!(wrong.parse::<PortRange>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_is_a_host_with_or_without_scheme_and_port() {
        for right in ["sip:proxy.example.com", "proxy.example.com:5070", "sip:127.0.0.1:5060", "sip:[::1]:5060"] {
            assert!(right.parse::<ProxyUri>().unwrap().0.starts_with("sip:"), "{right}");
        }
        for wrong in ["", "sip:", "http://x", "sip:a b", "sip:host:port", "sip:u@host"] {
            assert!(wrong.parse::<ProxyUri>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_external_ip_can_be_sent_to() {
        assert!("203.0.113.7".parse::<ExternalIp>().is_ok());
        for wrong in ["0.0.0.0", "224.0.0.1", "example.com"] {
            assert!(wrong.parse::<ExternalIp>().is_err(), "{wrong}");
        }
    }
}
