//! Who may use the web phone from where: origins (RFC 6454) and the pages that may frame it.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;

use super::{DomainName, ValueError};

/// The origin of pages: scheme, host, port; `*` stands for every origin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct WebOrigin(String);

impl WebOrigin {
    /// Whether a browser's `Origin` header is this one.
    pub fn matches(&self, origin: &str) -> bool {
        self.0 == "*" || normal(origin).is_some_and(|origin| origin == self.0)
    }
}

/// Lower case, without the port that the scheme has anyway; `None` for what is no http or https origin.
pub(crate) fn normal(origin: &str) -> Option<String> {
    let origin = origin.to_ascii_lowercase();
    let (scheme, authority) = origin.split_once("://")?;
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    let authority = authority.strip_suffix(port).unwrap_or(authority);
    is_authority(authority).then(|| format!("{scheme}://{authority}"))
}

/// HOST, HOST:PORT, or an IPv6 address in brackets.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address.parse::<std::net::Ipv6Addr>().is_ok(), port),
        None => {
            let end = text.find(':').unwrap_or(text.len());
            (text[..end].parse::<DomainName>().is_ok(), &text[end..])
        }
    };
    host && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()))
}

impl FromStr for WebOrigin {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let origin = if text == "*" { Some(text.to_owned()) } else { normal(text) };
        origin.map(WebOrigin).ok_or_else(|| {
            ValueError::new(format!(
                "`{text}` is no origin: write http://HOST[:PORT] or https://HOST[:PORT], or * for all"
            ))
        })
    }
}

/// A source of the Content-Security-Policy's `frame-ancestors`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct FrameAncestor(String);

impl FrameAncestor {
    /// The gateway's own pages.
    pub(super) fn own() -> FrameAncestor {
        FrameAncestor("'self'".into())
    }

    /// No page at all.
    pub(super) fn nobody() -> FrameAncestor {
        FrameAncestor("'none'".into())
    }
}

impl FromStr for FrameAncestor {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let source = match text {
            "self" | "none" => Some(format!("'{text}'")),
            "*" => Some(text.to_owned()),
            _ => match text.split_once("://*.") {
                Some((scheme, rest)) => normal(&format!("{scheme}://{rest}")).map(|o| o.replacen("://", "://*.", 1)),
                None => normal(text),
            },
        };
        source.map(FrameAncestor).ok_or_else(|| {
            ValueError::new(format!(
                "`{text}` cannot frame a page: write self, none, *, https://HOST[:PORT] or https://*.DOMAIN"
            ))
        })
    }
}

impl fmt::Display for FrameAncestor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for WebOrigin {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl TryFrom<String> for FrameAncestor {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> WebOrigin {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_is_compared_without_case_and_default_port() {
        assert!(origin("https://Phone.example.com:443").matches("https://phone.example.com"));
        assert!(origin("http://[::1]:8080").matches("http://[::1]:8080"));
        assert!(!origin("https://phone.example.com").matches("http://phone.example.com"));
        assert!(!origin("https://phone.example.com").matches("https://phone.example.com.evil.example"));
        assert!(!origin("https://phone.example.com").matches("null"));
        assert!(origin("*").matches("null"));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for wrong in
            ["", "phone.example.com", "https://", "ftp://a", "https://a/b", "https://a:b", "https://a b", "null"]
        {
            let error = wrong.parse::<WebOrigin>().unwrap_err().to_string();
            assert!(error.contains("https://HOST"), "{error}");
        }
    }

    #[test]
    fn a_frame_ancestor_cannot_smuggle_a_directive_into_the_policy() {
        let written = |text: &str| text.parse::<FrameAncestor>().map(|ancestor| ancestor.to_string());
        assert_eq!(written("self").unwrap(), "'self'");
        assert_eq!(written("https://*.Example.com").unwrap(), "https://*.example.com");
        assert_eq!(written("https://intranet:8443").unwrap(), "https://intranet:8443");
        for wrong in ["'self'", "https://a; script-src *", "https://a b", "https://*", "https://a.*.b", "a\nb", "data:"]
        {
            assert!(written(wrong).is_err(), "{wrong}");
        }
    }
}
