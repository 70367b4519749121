//! Whose SIP credentials a phone uses: its own, or those that a short-lived token stands for.
//!
//! ```text
//! page's own server --signs {sub, exp}--> page --connect(token, '')--> here --account of sub--> REGISTER, digest
//! ```
//!
//! A web page cannot keep a secret, so the SIP passwords stay in the gateway's configuration and the page gets a token: a JSON Web
//! Token signed with HMAC-SHA256 (RFC 7519, RFC 7515 `HS256`), which every web framework can make. It travels as `connect`'s first
//! argument beside an empty second one, never in a URL.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use phone_agent::Account;
use serde::Deserialize;
use sha2::Sha256;

use crate::config::WebAccount;

/// A token that is good for longer is no short-lived one.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(60 * 60);

/// Clocks may differ by so much.
const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// Why a phone is not let in: `connect`'s description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Altered, signed with another secret, or no token at all.
    #[error("403 The token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("403 The token has expired")]
    Expired,
    /// [`TOKEN_LIFE_MAX`].
    #[error("403 The token is good for too long: an hour is allowed")]
    TooLong,
    /// Made for another address than the phone's.
    #[error("403 The token is for another address")]
    OtherAddress,
    /// The configuration has no such account.
    #[error("403 The token's address has no account here")]
    NoAccount,
    /// `password-arguments = false`.
    #[error("403 Connect with a token")]
    TokenNeeded,
}

/// The rule that this gateway applies at `connect`.
#[derive(Default)]
pub struct WebAccess {
    secret: Option<String>,
    accounts: Vec<WebAccount>,
    tokens_only: bool,
}

/// `alg` of the header: anything but HS256 is refused, `none` above all (RFC 8725 section 3.1).
#[derive(Deserialize)]
struct Header {
    alg: String,
}

#[derive(Deserialize)]
struct Claims {
    /// Address-of-record, with or without `sip:`.
    sub: String,
    /// Seconds since 1970.
    exp: u64,
}

impl WebAccess {
    /// The rule of a configuration.
    pub fn new(secret: Option<String>, accounts: Vec<WebAccount>, tokens_only: bool) -> WebAccess {
        WebAccess { secret, accounts, tokens_only }
    }

    /// Whether `account`, as the phone wrote it, has something in it that could be guessed: a password or a token.
    pub fn are_credentials(&self, account: &Account) -> bool {
        account.password.is_some() || (self.secret.is_some() && account.login.as_deref().is_some_and(is_like_a_token))
    }

    /// What `account`, as the phone wrote it, is to be at `time`: with the credentials of its token, if it has one.
    ///
    /// # Errors
    /// Why the phone is not let in.
    pub fn exchange(&self, account: Account, time: SystemTime) -> Result<Account, AccessError> {
        match (&self.secret, &account.login, &account.password) {
            (Some(secret), Some(token), None) if is_like_a_token(token) => {
                let address = verify(token, secret.as_bytes(), time)?;
                if !account.address.eq_ignore_ascii_case(&address) {
                    return Err(AccessError::OtherAddress);
                }
                let known = self.accounts.iter().find(|known| known.address.eq_ignore_ascii_case(&address));
                let known = known.ok_or(AccessError::NoAccount)?;
                Ok(Account {
                    address: known.address.clone(),
                    login: known.login.clone(),
                    password: Some(known.password.clone()),
                    ..account
                })
            }
            _ if self.tokens_only => Err(AccessError::TokenNeeded),
            _ => Ok(account),
        }
    }
}

/// A login could be anything, but hardly three parts of which the first is an encoded `{"`.
fn is_like_a_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.matches('.').count() == 2
}

/// The address that a token of `secret` names, if it is good at `time`.
fn verify(token: &str, secret: &[u8], time: SystemTime) -> Result<String, AccessError> {
    let (signed, signature) = token.rsplit_once('.').ok_or(AccessError::Invalid)?;
    let (header, claims) = signed.split_once('.').ok_or(AccessError::Invalid)?;
    let decoded = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| AccessError::Invalid);
    // The signature first: nothing unsigned is parsed.
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(signed.as_bytes());
    mac.verify_slice(&decoded(signature)?).map_err(|_| AccessError::Invalid)?;
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| AccessError::Invalid)?;
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| AccessError::Invalid)?;
    if header.alg != "HS256" {
        return Err(AccessError::Invalid);
    }
    let now = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let end = Duration::from_secs(claims.exp);
    if now >= end.saturating_add(CLOCK_SKEW) {
        return Err(AccessError::Expired);
    }
    if end.saturating_sub(now) > TOKEN_LIFE_MAX + CLOCK_SKEW {
        return Err(AccessError::TooLong);
    }
    Ok(claims.sub.strip_prefix("sip:").unwrap_or(&claims.sub).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_800_000_000;

    fn signed(header: &str, claims: &str, secret: &str) -> String {
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(claims.as_bytes()));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()))
    }

    fn token(address: &str, exp: u64) -> String {
        signed(r#"{"alg":"HS256","typ":"JWT"}"#, &format!(r#"{{"sub":"{address}","exp":{exp}}}"#), SECRET)
    }

    fn access(tokens_only: bool) -> WebAccess {
        let alice = WebAccount {
            address: "alice@example.com".into(),
            login: Some("alice-auth".into()),
            password: "wonderland".into(),
        };
        WebAccess::new(Some(SECRET.into()), vec![alice], tokens_only)
    }

    fn at_connect(access: &WebAccess, login: &str, password: Option<&str>) -> Result<Account, AccessError> {
        let account = Account {
            address: "alice@example.com".into(),
            login: Some(login.into()),
            password: password.map(Into::into),
            display_name: Some("Alice".into()),
            rate: phone_agent::SpeexRate::Wideband,
        };
        access.exchange(account, UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn a_token_stands_for_the_credentials_of_its_account() {
        for sub in ["alice@example.com", "sip:Alice@Example.com"] {
            let account = at_connect(&access(true), &token(sub, NOW + 60), None).unwrap();
            assert_eq!(account.login.as_deref(), Some("alice-auth"));
            assert_eq!(account.password.as_deref(), Some("wonderland"));
            assert_eq!(account.display_name.as_deref(), Some("Alice"));
        }
    }

    /// RFC 7515 appendix A.1: its key, header and claims, whose `exp` is of 2011 and which have no `sub`.
    #[test]
    fn a_signature_is_that_of_the_rfcs_example() {
        let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
                     cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let key = BASE64URL_NOPAD.decode(key.as_bytes()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(signed.as_bytes());
        assert_eq!(BASE64URL_NOPAD.encode(&mac.finalize().into_bytes()), signature);
        assert_eq!(verify(token, &key, UNIX_EPOCH), Err(AccessError::Invalid), "it has no sub");
    }

    #[test]
    fn a_token_that_is_not_good_now_is_refused_with_the_reason() {
        let refused = |token: &str| at_connect(&access(false), token, None).unwrap_err();
        assert_eq!(refused(&token("alice@example.com", NOW - 6)), AccessError::Expired);
        assert_eq!(refused(&token("alice@example.com", NOW + 3_700)), AccessError::TooLong);
        assert_eq!(refused(&token("alice@example.com", u64::MAX)), AccessError::TooLong);
        assert_eq!(refused(&token("bob@example.com", NOW + 60)), AccessError::OtherAddress);
        let nobody = WebAccess::new(Some(SECRET.into()), Vec::new(), false);
        assert_eq!(at_connect(&nobody, &token("alice@example.com", NOW + 60), None), Err(AccessError::NoAccount));
    }

    #[test]
    fn no_altered_token_is_accepted() {
        let good = token("alice@example.com", NOW + 60);
        let claims = format!(r#"{{"sub":"alice@example.com","exp":{}}}"#, NOW + 60);
        for forged in [
            signed(r#"{"alg":"HS256"}"#, &claims, "another secret of thirty-two bytes"),
            signed(r#"{"alg":"none"}"#, &claims, SECRET),
            signed(r#"{"alg":"HS512"}"#, &claims, SECRET),
            signed(r#"{"alg":"HS256"}"#, r#"{"sub":"alice@example.com"}"#, SECRET),
            format!("{}.", good.rsplit_once('.').unwrap().0),
            "eyJ..".into(),
            "eyJ.ä.ö".into(),
        ] {
            assert_eq!(at_connect(&access(false), &forged, None), Err(AccessError::Invalid), "{forged}");
        }
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(bytes).unwrap();
            let accepted = at_connect(&access(true), &altered, None);
            assert!(accepted.is_err(), "byte {at}");
        }
    }

    #[test]
    fn passwords_pass_unless_only_tokens_do() {
        assert_eq!(at_connect(&access(false), "alice", Some("pw")).unwrap().password.as_deref(), Some("pw"));
        assert_eq!(at_connect(&access(false), "alice", None).unwrap().login.as_deref(), Some("alice"));
        for password in [Some("pw"), None] {
            assert_eq!(at_connect(&access(true), "alice", password), Err(AccessError::TokenNeeded));
        }
        let beside_password = at_connect(&access(true), &token("alice@example.com", NOW + 60), Some("pw"));
        assert_eq!(beside_password, Err(AccessError::TokenNeeded));
    }
}
