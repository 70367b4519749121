//! Whose SIP credentials a phone uses: its own, or those that a short-lived token stands for.
//!
//! ```text
//! page's own server --signs {sub, exp, ...}--> page --connect(token, '')--> here --account of sub--> REGISTER, digest
//! ```
//!
//! A web page cannot keep a secret, so the SIP passwords stay in the gateway's configuration and the page gets a token: a JSON Web
//! Token, which every web framework can make. It travels as `connect`'s first argument beside an empty second one, never in a URL. It
//! may be good once only, and may bound what its phone may do.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use phone_agent::Account;

use crate::config::{TokenSecret, WebAccount};

mod limits;
mod token;
mod used;

pub use limits::TOKEN_LIFE_MAX;

use token::Token;
use used::Used;

/// Why a phone is not let in: `connect`'s description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// Altered, signed with another secret, or no token at all.
    #[error("403 The token is not valid")]
    Invalid,
    /// Its time is over.
    #[error("403 The token has expired")]
    Expired,
    /// Its time has not come.
    #[error("403 The token is not valid yet")]
    TooEarly,
    /// [`TOKEN_LIFE_MAX`].
    #[error("403 The token is good for too long: an hour is allowed")]
    TooLong,
    /// It has an id, and has been here before.
    #[error("403 The token has been used before")]
    Used,
    /// More one-time tokens than are remembered.
    #[error("503 Too many tokens at once")]
    TooMany,
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
#[derive(Debug, Default)]
pub struct WebAccess {
    secrets: Vec<TokenSecret>,
    accounts: Vec<WebAccount>,
    tokens_only: bool,
    used: Mutex<Used>,
}

impl WebAccess {
    /// The rule of a configuration.
    pub fn new(secrets: Vec<TokenSecret>, accounts: Vec<WebAccount>, tokens_only: bool) -> WebAccess {
        WebAccess { secrets, accounts, tokens_only, used: Mutex::default() }
    }

    /// Whether `account`, as the phone wrote it, has something in it that could be guessed: a password or a token.
    pub fn are_credentials(&self, account: &Account) -> bool {
        account.password.is_some() || self.token(account).is_some()
    }

    /// What `account`, as the phone wrote it, is to be at `time`: with the credentials and bounds of its token, if it has one.
    ///
    /// # Errors
    /// Why the phone is not let in.
    pub fn exchange(&self, account: Account, time: SystemTime) -> Result<Account, AccessError> {
        let Some(token) = self.token(&account) else {
            return if self.tokens_only { Err(AccessError::TokenNeeded) } else { Ok(account) };
        };
        let now = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let Token { address, end, id, rights } = Token::read(token, &self.secrets, now)?;
        if !account.address.eq_ignore_ascii_case(&address) {
            return Err(AccessError::OtherAddress);
        }
        let known = self.accounts.iter().find(|known| known.address.eq_ignore_ascii_case(&address));
        let known = known.ok_or(AccessError::NoAccount)?;
        if let Some(id) = id {
            self.used.lock().unwrap_or_else(PoisonError::into_inner).take(&id, end, now)?;
        }
        Ok(Account {
            address: known.address.clone(),
            login: known.login.clone(),
            password: Some(known.password.clone()),
            rights,
            codecs: account
                .codecs
                .or_else(|| known.codecs.as_ref().map(|names| names.iter().map(|name| name.0).collect())),
            ..account
        })
    }

    /// The token in the place of the login, if there may be one.
    fn token<'a>(&self, account: &'a Account) -> Option<&'a str> {
        let login = account.login.as_deref().filter(|_| account.password.is_none() && !self.secrets.is_empty());
        login.filter(|login| is_like_a_token(login))
    }
}

/// A login could be anything, but hardly three parts of which the first is an encoded `{"`.
fn is_like_a_token(text: &str) -> bool {
    text.starts_with("eyJ") && text.matches('.').count() == 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use data_encoding::BASE64URL_NOPAD;
    use hmac::{Hmac, KeyInit, Mac};
    use sha2::Sha256;

    use super::*;
    use crate::config::Secret;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NEW_SECRET: &str = "a new secret of more than thirty-two bytes";
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

    fn secret(id: Option<&str>, secret: &str) -> TokenSecret {
        TokenSecret { id: id.map(Into::into), secret: Secret(secret.into()) }
    }

    /// A token with these claims besides `sub` and `exp`.
    fn with(more: &str) -> String {
        signed(r#"{"alg":"HS256"}"#, &format!(r#"{{"sub":"alice@example.com","exp":{}{more}}}"#, NOW + 60), SECRET)
    }

    fn access(tokens_only: bool) -> WebAccess {
        let alice = WebAccount {
            address: "alice@example.com".into(),
            login: Some("alice-auth".into()),
            password: "wonderland".into(),
            codecs: None,
        };
        let secrets = vec![secret(None, SECRET), secret(Some("new"), NEW_SECRET)];
        WebAccess::new(secrets, vec![alice], tokens_only)
    }

    fn at_connect(access: &WebAccess, login: &str, password: Option<&str>) -> Result<Account, AccessError> {
        let account = Account {
            address: "alice@example.com".into(),
            login: Some(login.into()),
            password: password.map(Into::into),
            display_name: Some("Alice".into()),
            rate: phone_agent::SpeexRate::Wideband,
            codecs: None,
            plays_opus: false,
            rights: phone_agent::Rights::default(),
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
    }

    #[test]
    fn a_token_that_is_not_good_now_is_refused_with_the_reason() {
        let refused = |token: &str| at_connect(&access(false), token, None).unwrap_err();
        assert_eq!(refused(&token("alice@example.com", NOW - 6)), AccessError::Expired);
        assert_eq!(refused(&token("alice@example.com", NOW + 3_700)), AccessError::TooLong);
        assert_eq!(refused(&token("alice@example.com", u64::MAX)), AccessError::TooLong);
        assert_eq!(refused(&with(&format!(r#","nbf":{}"#, NOW + 6))), AccessError::TooEarly);
        assert_eq!(refused(&with(&format!(r#","iat":{}"#, NOW + 6))), AccessError::TooEarly);
        assert_eq!(refused(&with(r#","nbf":1e300"#)), AccessError::TooEarly);
        assert_eq!(refused(&with(r#","nbf":-1"#)), AccessError::Invalid);
        assert_eq!(refused(&token("bob@example.com", NOW + 60)), AccessError::OtherAddress);
        let nobody = WebAccess::new(vec![secret(None, SECRET)], Vec::new(), false);
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
            signed(r#"{"alg":"HS256","crit":["x"]}"#, &claims, SECRET),
            signed(r#"{"alg":"HS256","kid":"old"}"#, &claims, NEW_SECRET),
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
    fn a_token_may_say_since_when_it_is_good_and_times_may_have_fractions() {
        let access = access(true);
        for times in [format!(r#","nbf":{},"iat":{}"#, NOW + 4, NOW - 1), format!(r#","iat":{}.75"#, NOW)] {
            assert!(at_connect(&access, &with(&times), None).is_ok(), "{times}");
        }
    }

    #[test]
    fn secrets_are_replaced_one_after_the_other() {
        let claims = format!(r#"{{"sub":"alice@example.com","exp":{}}}"#, NOW + 60);
        for (header, secret) in [
            (r#"{"alg":"HS256"}"#, SECRET),
            (r#"{"alg":"HS256","kid":"whatever"}"#, SECRET),
            (r#"{"alg":"HS256"}"#, NEW_SECRET),
            (r#"{"alg":"HS256","kid":"new"}"#, NEW_SECRET),
        ] {
            assert!(at_connect(&access(true), &signed(header, &claims, secret), None).is_ok(), "{header}");
        }
    }

    #[test]
    fn a_token_with_an_id_is_good_once() {
        let access = access(true);
        assert!(at_connect(&access, &with(r#","jti":"1""#), None).is_ok());
        assert_eq!(at_connect(&access, &with(r#","jti":"1""#), None), Err(AccessError::Used));
        assert!(at_connect(&access, &with(r#","jti":"2""#), None).is_ok());
        for _ in 0..2 {
            assert!(at_connect(&access, &with(""), None).is_ok(), "without one it may be used again");
        }
    }

    #[test]
    fn a_token_bounds_what_its_phone_may_do() {
        let rights = |phone: &str| at_connect(&access(true), &with(&format!(r#","phone":{phone}"#)), None);
        let bounded = rights(r#"{"to":["bob","*@sales.example"],"calls":3,"seconds":600}"#).unwrap().rights;
        assert_eq!(bounded.destinations.map(|patterns| patterns.len()), Some(2));
        assert_eq!((bounded.calls, bounded.call_length), (Some(3), Some(Duration::from_secs(600))));
        assert_eq!(rights("{}").unwrap().rights, phone_agent::Rights::default());
        for unclear in [r#"{"too":["bob"]}"#, r#"{"to":"bob"}"#, r#"{"to":["*@*"]}"#, r#"{"calls":-1}"#, "5"] {
            assert_eq!(rights(unclear), Err(AccessError::Invalid), "{unclear}");
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
