//! HTTP digest (RFC 2617 with MD5, RFC 8760 with SHA-256) from the server's side.

use md5::Md5;
use sha2::{Digest, Sha256};

/// The hash of a challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `algorithm=MD5`.
    Md5,
    /// `algorithm=SHA-256` (RFC 8760).
    Sha256,
}

impl Algorithm {
    /// The word on the wire.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hex(self, text: &str) -> String {
        let bytes = match self {
            Self::Md5 => Md5::digest(text).to_vec(),
            Self::Sha256 => Sha256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A parameter of an Authorization or challenge header, without its quotes.
pub fn parameter(header: &str, name: &str) -> Option<String> {
    let parameters = header.trim().split_once(' ')?.1;
    let mut quoted = false;
    parameters
        .split(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        })
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim().trim_matches('"').to_owned())
}

/// Whether an `Authorization: Digest ...` value proves the password, for `qop=auth` and for none.
pub fn proves(header: &str, algorithm: Algorithm, method: &str, nonce: &str, realm: &str, password: &str) -> bool {
    let get = |name| parameter(header, name).unwrap_or_default();
    if get("nonce") != nonce || get("realm") != realm {
        return false;
    }
    let ha1 = algorithm.hex(&format!("{}:{realm}:{password}", get("username")));
    let ha2 = algorithm.hex(&format!("{method}:{}", get("uri")));
    let expected = if get("qop").is_empty() {
        algorithm.hex(&format!("{ha1}:{nonce}:{ha2}"))
    } else {
        algorithm.hex(&format!("{ha1}:{nonce}:{}:{}:{}:{ha2}", get("nc"), get("cnonce"), get("qop")))
    };
    get("response").eq_ignore_ascii_case(&expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_2617_section_3_5_is_proven_and_a_wrong_password_is_not() {
        let header = r#"Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
            uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1""#;
        let check = |password| {
            proves(header, Algorithm::Md5, "GET", "dcd98b7102dd2f0e8b11d0f600bfb0c093", "testrealm@host.com", password)
        };
        assert!(check("Circle Of Life"));
        assert!(!check("circle of life"));
    }
}
