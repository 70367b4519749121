//! A token's text: a JSON Web Token signed with HMAC-SHA256 (RFC 7519, RFC 7515 `HS256`).

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use phone_agent::Rights;
use phone_agent::rights::Pattern;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::Sha256;

use super::AccessError;
use super::limits::{CLOCK_SKEW, TOKEN_LIFE_MAX};
use crate::config::TokenSecret;

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// Address-of-record without `sip:`.
    pub(super) address: String,
    /// When it ends, since 1970.
    pub(super) end: Duration,
    /// With it the token is good once.
    pub(super) id: Option<String>,
    pub(super) rights: Rights,
}

#[derive(Deserialize)]
struct Header {
    /// Anything but HS256 is refused, `none` above all (RFC 8725 section 3.1).
    alg: String,
    /// Which secret.
    kid: Option<String>,
    /// Extensions that must be understood, and are not (RFC 7515 section 4.1.11).
    crit: Option<IgnoredAny>,
}

/// Times are seconds since 1970, with a fraction if need be (RFC 7519 section 2, NumericDate).
#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    iat: Option<f64>,
    jti: Option<String>,
    #[serde(default)]
    phone: Phone,
}

/// What the phone may do. A word that is not known would be a bound that is not kept: the token is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Phone {
    /// Whom it may reach.
    to: Option<Vec<String>>,
    /// How many calls it may make.
    calls: Option<u64>,
    /// How long each may last.
    seconds: Option<u32>,
}

impl Token {
    /// Reads a token that is signed with one of these secrets and good at `now`, since 1970.
    pub(super) fn read(text: &str, secrets: &[TokenSecret], now: Duration) -> Result<Token, AccessError> {
        let (signed, signature) = text.rsplit_once('.').ok_or(AccessError::Invalid)?;
        let (header, claims) = signed.split_once('.').ok_or(AccessError::Invalid)?;
        // The signature first: nothing unsigned is parsed, so the key's name is looked at when the key is known.
        let signature = decoded(signature)?;
        let secret = secrets.iter().find(|TokenSecret { secret, .. }| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()).expect("HMAC takes keys of any length");
            mac.update(signed.as_bytes());
            mac.verify_slice(&signature).is_ok()
        });
        let secret = secret.ok_or(AccessError::Invalid)?;
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| AccessError::Invalid)?;
        let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| AccessError::Invalid)?;
        let other_key = header.kid.zip(secret.id.as_ref()).is_some_and(|(named, id)| named != *id);
        if header.alg != "HS256" || header.crit.is_some() || other_key {
            return Err(AccessError::Invalid);
        }
        Ok(Token {
            end: claims.check_time(now)?,
            rights: claims.phone.rights()?,
            address: claims.sub.strip_prefix("sip:").unwrap_or(&claims.sub).to_owned(),
            id: claims.jti,
        })
    }
}

impl Claims {
    /// When the token ends, if it is good at `now`.
    fn check_time(&self, now: Duration) -> Result<Duration, AccessError> {
        let end = moment(self.exp)?;
        if now >= end.saturating_add(CLOCK_SKEW) {
            return Err(AccessError::Expired);
        }
        if end.saturating_sub(now) > TOKEN_LIFE_MAX + CLOCK_SKEW {
            return Err(AccessError::TooLong);
        }
        for begin in [self.nbf, self.iat].into_iter().flatten() {
            if moment(begin)? > now + CLOCK_SKEW {
                return Err(AccessError::TooEarly);
            }
        }
        Ok(end)
    }
}

impl Phone {
    fn rights(self) -> Result<Rights, AccessError> {
        let patterns = self.to.map(|to| to.iter().map(|text| Pattern::parse(text)).collect::<Option<Vec<_>>>());
        Ok(Rights {
            destinations: patterns.map(|patterns| patterns.ok_or(AccessError::Invalid)).transpose()?,
            calls: self.calls,
            call_length: self.seconds.map(|seconds| Duration::from_secs(seconds.into())),
        })
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, AccessError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| AccessError::Invalid)
}

fn moment(seconds: f64) -> Result<Duration, AccessError> {
    // What is too large for a Duration is far enough in the future.
    if seconds.is_finite() && seconds > 1e15 {
        return Ok(Duration::MAX);
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| AccessError::Invalid)
}
