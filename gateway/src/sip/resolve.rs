//! From a SIP URI to the address that its request is sent to (RFC 3263 section 4): IP literal, own domain, host with port, SRV, host.
//!
//! Host names go through the system's resolver first, so that /etc/hosts and `localhost` need no DNS; SRV goes through hickory (as
//! rsipstack brings it). NAPTR is not asked: UDP is what this side speaks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use rsipstack::resolver::SipResolver;
use rsipstack::sip::{Domain, Transport};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::address::SipUri;

/// A resolver that answers later than this is treated like one that does not.
const DNS_PATIENCE: Duration = Duration::from_secs(5);
const SIP_PORT: u16 = 5060;

/// Nothing to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unresolvable;

/// Resolves names for all agents; remembers nothing itself (hickory caches by TTL).
pub(crate) struct Resolver {
    /// Served on our own socket.
    own_domains: Vec<String>,
    own_address: SocketAddr,
    /// Made when the first name needs it: it reads /etc/resolv.conf.
    srv: OnceCell<SipResolver>,
}

impl Resolver {
    pub(crate) fn new(own_domains: Vec<String>, own_address: SocketAddr) -> Resolver {
        Resolver { own_domains, own_address, srv: OnceCell::new() }
    }

    /// Without asking anybody: IP literals (maddr included, RFC 3263 section 4) and our own domains.
    pub(crate) fn literal(&self, uri: &SipUri) -> Option<SocketAddr> {
        let host = uri.param("maddr").filter(|m| !m.is_empty()).unwrap_or(&uri.host);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Some(SocketAddr::new(ip, uri.port.unwrap_or(SIP_PORT)));
        }
        let own = self.own_domains.iter().any(|domain| domain.eq_ignore_ascii_case(host));
        (own && uri.port.is_none()).then_some(self.own_address)
    }

    /// The address to try first.
    pub(crate) async fn resolve(&self, uri: &SipUri) -> Result<SocketAddr, Unresolvable> {
        if let Some(address) = self.literal(uri) {
            return Ok(address);
        }
        let host = uri.param("maddr").filter(|m| !m.is_empty()).unwrap_or(&uri.host).to_ascii_lowercase();
        if host == "localhost" {
            return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, uri.port.unwrap_or(SIP_PORT))));
        }
        // RFC 2606, RFC 7118 section 5: never a real name.
        if host.ends_with(".invalid") {
            return Err(Unresolvable);
        }
        let found = match uri.port {
            Some(port) => timeout(DNS_PATIENCE, host_address(&host, port)).await.ok().flatten(),
            None => timeout(2 * DNS_PATIENCE, self.by_srv(&host)).await.ok().flatten(),
        };
        found.ok_or(Unresolvable)
    }

    async fn by_srv(&self, host: &str) -> Option<SocketAddr> {
        // A name without a dot is of this machine or its local network: no SRV records there, and no waiting for them.
        if host.contains('.') {
            let resolver = self.srv.get_or_init(|| async { SipResolver::new() }).await;
            let domain = Domain(host.to_owned());
            let lookup = resolver.lookup(&domain, None, Some(Transport::Udp), false);
            if let Ok(Ok(targets)) = timeout(DNS_PATIENCE, lookup).await
                && let Some(target) = targets.first()
            {
                return Some(target.addr);
            }
        }
        host_address(host, SIP_PORT).await
    }
}

async fn host_address(host: &str, port: u16) -> Option<SocketAddr> {
    let addresses: Vec<_> = tokio::net::lookup_host((host, port)).await.ok()?.collect();
    addresses.iter().find(|a| a.is_ipv4()).or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver() -> Resolver {
        Resolver::new(vec!["home.test".to_owned()], "127.0.0.1:7777".parse().unwrap())
    }

    async fn resolve(uri: &str) -> Result<String, Unresolvable> {
        resolver().resolve(&SipUri::parse(uri).unwrap()).await.map(|a| a.to_string())
    }

    #[tokio::test]
    async fn literals_own_domains_and_localhost_need_no_dns() {
        assert_eq!(resolve("sip:a@10.1.2.3").await.unwrap(), "10.1.2.3:5060");
        assert_eq!(resolve("sip:a@[::1]:5070").await.unwrap(), "[::1]:5070");
        assert_eq!(resolve("sip:a@Home.Test").await.unwrap(), "127.0.0.1:7777");
        assert_eq!(resolve("sip:a@localhost:5090").await.unwrap(), "127.0.0.1:5090");
        assert_eq!(resolve("sip:a@example.com;maddr=10.0.0.9").await.unwrap(), "10.0.0.9:5060");
    }

    #[tokio::test]
    async fn what_cannot_be_resolved_says_so() {
        assert_eq!(resolve("sip:a@nowhere.invalid").await, Err(Unresolvable));
        assert_eq!(resolve("sip:a@nowhere.invalid:5060").await, Err(Unresolvable));
    }
}
