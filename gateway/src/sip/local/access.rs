//! Who may register: anybody on this machine, or the configured users by digest (RFC 3261 section 22, RFC 8760).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use digest_auth::{AuthContext, AuthorizationHeader, HttpMethod, Qop};

use crate::sip::digest::{algorithm, digest_params};

/// Who may register in the local domain.
#[derive(Clone)]
pub enum Access {
    /// Any user name, without a password, from loopback addresses only.
    Open,
    /// These users with these passwords, from anywhere.
    Users(HashMap<String, String>),
}

/// How long a nonce is good. The gate keeps no state, so within this time a captured request can be replayed: it refreshes a binding
/// that exists.
const NONCE_LIFETIME: Duration = Duration::from_secs(300);

/// The answer to a REGISTER's credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Granted,
    /// 403 with this phrase.
    Refused(&'static str),
    /// 401 with these header lines.
    Challenged(Vec<String>),
}

/// Judges credentials without keeping state: a nonce is its own time stamp and a keyed hash of it.
pub(super) struct Gate {
    access: Access,
    key: RandomState,
}

impl Gate {
    pub(super) fn new(access: Access) -> Self {
        Self { access, key: RandomState::new() }
    }

    /// Whether that user could be here at all.
    pub(super) fn knows(&self, user: &str) -> bool {
        matches!(&self.access, Access::Users(users) if users.contains_key(user))
    }

    /// `time` is any clock that never goes back; `authorizations` are the Authorization headers of a request for `user`.
    pub(super) fn admit<'a>(
        &self,
        time: Duration,
        from: SocketAddr,
        user: &str,
        realm: &str,
        mut authorizations: impl Iterator<Item = &'a str>,
    ) -> Admission {
        let users = match &self.access {
            Access::Open if from.ip().is_loopback() => return Admission::Granted,
            Access::Open => return Admission::Refused("Registration From This Machine Only"),
            Access::Users(users) => users,
        };
        let Some(given) =
            authorizations.find_map(|header| digest_params(header).filter_map(read).find(|given| given.realm == realm))
        else {
            return Admission::Challenged(self.challenges(time, realm, false));
        };
        let mut expected = given.clone();
        // An unknown user gets the same answer after the same work, so that names cannot be told from it.
        let password = users.get(user).map_or("", String::as_str);
        let context = AuthContext::new_with_method(
            user,
            password,
            given.uri.as_str(),
            None::<&[u8]>,
            HttpMethod::from("REGISTER"),
        );
        expected.digest(&context);
        if !users.contains_key(user) || given.username != user || !same(&expected.response, &given.response) {
            return Admission::Refused("Wrong User Or Password");
        }
        match self.nonce_age(time, &given.nonce) {
            Some(age) if age <= NONCE_LIFETIME => Admission::Granted,
            _ => Admission::Challenged(self.challenges(time, realm, true)),
        }
    }

    /// SHA-256 first, MD5 for the phones that know nothing else (RFC 8760 section 2.4).
    fn challenges(&self, time: Duration, realm: &str, stale: bool) -> Vec<String> {
        let nonce = self.nonce(time.as_secs());
        let stale = if stale { ", stale=true" } else { "" };
        ["SHA-256", "MD5"]
            .map(|algorithm| {
                format!("WWW-Authenticate: Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}")
            })
            .into()
    }

    fn nonce(&self, seconds: u64) -> String {
        format!("{seconds:x}-{:016x}", self.key.hash_one(seconds))
    }

    fn nonce_age(&self, time: Duration, nonce: &str) -> Option<Duration> {
        let seconds = u64::from_str_radix(nonce.split_once('-')?.0, 16).ok()?;
        (self.nonce(seconds) == nonce).then(|| time.saturating_sub(Duration::from_secs(seconds)))
    }
}

/// Credentials as they were given; `None` if they cannot answer a challenge of ours.
fn read(mut params: HashMap<String, String>) -> Option<AuthorizationHeader> {
    let mut take = |name| params.remove(name);
    let qop = match take("qop") {
        Some(qop) => Some(qop.eq_ignore_ascii_case("auth").then_some(Qop::AUTH)?),
        None => None,
    };
    Some(AuthorizationHeader {
        realm: take("realm")?,
        nonce: take("nonce")?,
        opaque: take("opaque"),
        userhash: false,
        algorithm: algorithm(take("algorithm").as_deref().unwrap_or("MD5"))?,
        response: take("response")?,
        username: take("username")?,
        uri: take("uri")?,
        // Of interest with qop only, and without it our hash would make one up (RFC 2069).
        cnonce: take("cnonce").filter(|_| qop.is_some()),
        nc: u32::from_str_radix(take("nc").as_deref().unwrap_or("1"), 16).ok()?,
        qop,
    })
}

/// Equality in a time that does not tell where the first difference is.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |difference, (x, y)| difference | (x ^ y)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALM: &str = "example.org";

    fn gate() -> Gate {
        Gate::new(Access::Users([("bob".to_owned(), "secret".to_owned())].into()))
    }

    fn from() -> SocketAddr {
        "192.0.2.1:5060".parse().unwrap()
    }

    fn answer(challenge: &str, user: &str, password: &str) -> String {
        let mut prompt = digest_auth::parse(challenge.strip_prefix("WWW-Authenticate: ").unwrap()).unwrap();
        let context = AuthContext::new_with_method(
            user,
            password,
            "sip:example.org",
            None::<&[u8]>,
            HttpMethod::from("REGISTER"),
        );
        prompt.respond(&context).unwrap().to_string()
    }

    fn challenge(gate: &Gate, time: u64) -> Vec<String> {
        match gate.admit(Duration::from_secs(time), from(), "bob", REALM, std::iter::empty()) {
            Admission::Challenged(lines) => lines,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_right_password_is_admitted_with_either_algorithm() {
        let gate = gate();
        for line in challenge(&gate, 7) {
            let answer = answer(&line, "bob", "secret");
            let admission = gate.admit(Duration::from_secs(8), from(), "bob", REALM, std::iter::once(&*answer));
            assert_eq!(admission, Admission::Granted, "{line}");
        }
    }

    #[test]
    fn a_wrong_password_an_unknown_user_and_somebody_elses_credentials_are_refused_alike() {
        let gate = gate();
        let line = challenge(&gate, 7).remove(0);
        for (account, user, password) in
            [("bob", "bob", "wrong"), ("eve", "eve", ""), ("bob", "eve", "secret"), ("eve", "bob", "secret")]
        {
            let answer = answer(&line, user, password);
            let admission = gate.admit(Duration::from_secs(8), from(), account, REALM, std::iter::once(&*answer));
            assert_eq!(admission, Admission::Refused("Wrong User Or Password"), "{account} {user}");
        }
    }

    #[test]
    fn an_old_or_invented_nonce_is_challenged_again_as_stale() {
        let gate = gate();
        let old = answer(&challenge(&gate, 7)[0], "bob", "secret");
        let foreign = answer(&challenge(&Gate::new(Access::Open).as_users(), 7)[0], "bob", "secret");
        for (time, answer) in [(400, old), (8, foreign)] {
            match gate.admit(Duration::from_secs(time), from(), "bob", REALM, std::iter::once(&*answer)) {
                Admission::Challenged(lines) => assert!(lines[0].ends_with("stale=true"), "{lines:?}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_open_registrar_admits_this_machine_only() {
        let gate = Gate::new(Access::Open);
        let admit =
            |from: &str| gate.admit(Duration::ZERO, from.parse().unwrap(), "x", "localhost", std::iter::empty());
        assert_eq!(admit("127.0.0.1:5060"), Admission::Granted);
        assert!(matches!(admit("192.0.2.1:5060"), Admission::Refused(_)));
    }

    impl Gate {
        fn as_users(&self) -> Gate {
            gate()
        }
    }
}
