//! Digest credentials of one account (RFC 3261 section 22, RFC 7616, RFC 8760): which challenge is answered, and with what.
//!
//! The hashes are `digest_auth`'s; its header parser is not used, since it slices by character index and panics on a challenge that
//! is not ASCII. Strings between quotes are hashed and sent back exactly as they came (RFC 7616 section 3.4, `unq`).

use std::collections::HashMap;
use std::fmt;

use digest_auth::{
    Algorithm, AlgorithmType, AuthContext, AuthorizationHeader, Charset, HttpMethod, Qop, WwwAuthenticateHeader,
};
use rsipstack::sip::Headers;

use super::address::split_list;
use super::message;

/// Challenges that are looked at in one response.
const CHALLENGES: usize = 20;
/// Realms whose nonce is kept for the next request.
const REALMS: usize = 4;

/// One `Digest` challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// From Proxy-Authenticate, so the answer is Proxy-Authorization.
    pub(crate) proxy: bool,
    pub(crate) realm: String,
    pub(crate) nonce: String,
    pub(crate) stale: bool,
    opaque: Option<String>,
    algorithm: String,
    qop: Option<String>,
}

/// A password that no log shows.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The account's login, and a nonce for each realm that was answered.
#[derive(Debug)]
pub(crate) struct Credentials {
    login: String,
    password: Secret,
    sessions: HashMap<String, (Challenge, WwwAuthenticateHeader)>,
}

/// A header to put into a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// The digest challenges of a 401 or 407 that we could answer, strongest first.
pub(crate) fn challenges(headers: &Headers) -> Vec<Challenge> {
    let mut found = Vec::new();
    for (name, proxy) in [("WWW-Authenticate", false), ("Proxy-Authenticate", true)] {
        for line in message::all(headers, name).take(CHALLENGES) {
            found.extend(digest_params(line).filter_map(|params| read_challenge(params, proxy)));
        }
    }
    found.truncate(CHALLENGES);
    found.retain(|c| algorithm(&c.algorithm).is_some() && qop(c).is_ok());
    // Stable: of equals, the server's first.
    found.sort_by_key(|c| std::cmp::Reverse(algorithm(&c.algorithm).map_or(0, strength)));
    found
}

/// The parameters of each `Digest` challenge or credentials in one header line, names in lower case, values without their quotes.
/// Several may stand in it, each begun by its scheme (RFC 7235 section 4.1).
pub(crate) fn digest_params(line: &str) -> impl Iterator<Item = HashMap<String, String>> {
    let mut schemes: Vec<(String, HashMap<String, String>)> = Vec::new();
    for entry in split_list(line).unwrap_or_default() {
        let before_value = entry.split('=').next().unwrap_or_default().trim();
        let entry = match before_value.split_once(char::is_whitespace) {
            Some((scheme, _)) => {
                schemes.push((scheme.to_owned(), HashMap::new()));
                entry[scheme.len()..].trim_start()
            }
            None => entry,
        };
        if let (Some((_, params)), Some((name, value))) = (schemes.last_mut(), entry.split_once('=')) {
            let value = value.trim();
            let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            params.entry(name.trim().to_ascii_lowercase()).or_insert_with(|| inner.to_owned());
        }
    }
    schemes.into_iter().filter(|(scheme, _)| scheme.eq_ignore_ascii_case("Digest")).map(|(_, params)| params)
}

fn read_challenge(mut params: HashMap<String, String>, proxy: bool) -> Option<Challenge> {
    Some(Challenge {
        proxy,
        realm: params.remove("realm")?,
        nonce: params.remove("nonce")?,
        stale: params.get("stale").is_some_and(|v| v.eq_ignore_ascii_case("true")),
        opaque: params.remove("opaque"),
        algorithm: params.remove("algorithm").unwrap_or_else(|| "MD5".to_owned()),
        qop: params.remove("qop"),
    })
}

/// The hash that a challenge or credentials name (RFC 7616 section 6.1).
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    let upper = name.to_ascii_uppercase();
    let (base, session) = upper.strip_suffix("-SESS").map_or((upper.as_str(), false), |base| (base, true));
    let kind = match base {
        "MD5" => AlgorithmType::MD5,
        "SHA-256" => AlgorithmType::SHA2_256,
        "SHA-512-256" => AlgorithmType::SHA2_512_256,
        _ => return None,
    };
    Some(Algorithm::new(kind, session))
}

fn strength(algorithm: Algorithm) -> u8 {
    match algorithm.algo {
        AlgorithmType::MD5 => 1,
        AlgorithmType::SHA2_256 => 2,
        AlgorithmType::SHA2_512_256 => 3,
    }
}

/// `auth` if offered, else `auth-int`; none is RFC 2069.
fn qop(challenge: &Challenge) -> Result<Option<Vec<Qop>>, ()> {
    let Some(offered) = &challenge.qop else { return Ok(None) };
    let offers = |word: &str| offered.split(',').any(|o| o.trim().eq_ignore_ascii_case(word));
    match () {
        () if offers("auth") => Ok(Some(vec![Qop::AUTH])),
        () if offers("auth-int") => Ok(Some(vec![Qop::AUTH_INT])),
        () if offered.trim().is_empty() => Ok(None),
        () => Err(()),
    }
}

impl Credentials {
    pub(crate) fn new(login: &str, password: &str) -> Credentials {
        Credentials { login: login.to_owned(), password: Secret(password.to_owned()), sessions: HashMap::new() }
    }

    /// Answers a challenge; its nonce then serves later requests too, counted up (nc).
    pub(crate) fn answer(&mut self, challenge: &Challenge, method: &str, uri: &str, body: &[u8]) -> Option<Answer> {
        if self.sessions.len() >= REALMS && !self.sessions.contains_key(&challenge.realm) {
            self.sessions.clear();
        }
        let prompt = WwwAuthenticateHeader {
            domain: None,
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            opaque: challenge.opaque.clone(),
            stale: challenge.stale,
            algorithm: algorithm(&challenge.algorithm)?,
            qop: qop(challenge).ok()?,
            userhash: false,
            charset: Charset::ASCII,
            nc: 0,
        };
        self.sessions.insert(challenge.realm.clone(), (challenge.clone(), prompt));
        self.reuse(&challenge.realm, method, uri, body)
    }

    /// Credentials for a realm that was answered before, unasked (RFC 3261 section 22.2, RFC 7616 section 3.6).
    pub(crate) fn reuse(&mut self, realm: &str, method: &str, uri: &str, body: &[u8]) -> Option<Answer> {
        let (challenge, prompt) = self.sessions.get_mut(realm)?;
        let mut context = AuthContext::new_with_method(
            self.login.as_str(),
            self.password.0.as_str(),
            uri,
            Some(body),
            HttpMethod::from(method),
        );
        context.set_custom_cnonce(rsipstack::transaction::random_text(24));
        let header = prompt.respond(&context).ok()?;
        let name = if challenge.proxy { "Proxy-Authorization" } else { "Authorization" };
        Some(Answer { name, value: print(&header, challenge) })
    }

    pub(crate) fn forget(&mut self, realm: &str) {
        self.sessions.remove(realm);
    }
}

/// Quoted where RFC 3261 section 25.1 quotes; opaque strings as they came.
fn print(header: &AuthorizationHeader, challenge: &Challenge) -> String {
    let login = header.username.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = format!(
        "Digest username=\"{login}\", realm=\"{}\", nonce=\"{}\", uri=\"{}\", response=\"{}\", algorithm={}",
        header.realm, header.nonce, header.uri, header.response, challenge.algorithm
    );
    if let (Some(qop), Some(cnonce)) = (&header.qop, &header.cnonce) {
        out += &format!(", cnonce=\"{cnonce}\", qop={qop}, nc={:08x}", header.nc);
    }
    if let Some(opaque) = &header.opaque {
        out += &format!(", opaque=\"{opaque}\"");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsipstack::sip::headers::make_header;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        lines.iter().map(|(name, value)| make_header(name, (*value).to_owned())).collect::<Vec<_>>().into()
    }

    fn field<'a>(value: &'a str, name: &str) -> Option<&'a str> {
        let params = value.strip_prefix("Digest ")?.split(", ");
        params.filter_map(|p| p.split_once('=')).find(|(n, _)| *n == name).map(|(_, v)| v.trim_matches('"'))
    }

    fn one(line: &str) -> Challenge {
        challenges(&headers(&[("WWW-Authenticate", line)])).remove(0)
    }

    /// The formula of RFC 7616 section 3.4.1, spelt out again with the hash as a black box.
    fn expected(hash: fn(&str) -> String, a1: &str, method: &str, uri: &str, middle: &str) -> String {
        hash(&format!("{}:{middle}:{}", hash(a1), hash(&format!("{method}:{uri}"))))
    }

    fn md5(text: &str) -> String {
        Algorithm::new(AlgorithmType::MD5, false).hash(text.as_bytes())
    }

    fn sha256(text: &str) -> String {
        Algorithm::new(AlgorithmType::SHA2_256, false).hash(text.as_bytes())
    }

    #[test]
    fn the_example_of_rfc_2617_comes_out_right() {
        // RFC 2617 section 3.5, its figures.
        let challenge = one(
            r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093""#,
        );
        let mut prompt = WwwAuthenticateHeader {
            domain: None,
            realm: challenge.realm.clone(),
            nonce: challenge.nonce.clone(),
            opaque: None,
            stale: false,
            algorithm: algorithm(&challenge.algorithm).unwrap(),
            qop: qop(&challenge).unwrap(),
            userhash: false,
            charset: Charset::ASCII,
            nc: 0,
        };
        let mut context = AuthContext::new("Mufasa", "Circle Of Life", "/dir/index.html");
        context.set_custom_cnonce("0a4f113b");
        let header = prompt.respond(&context).unwrap();
        assert_eq!(header.response, "6629fae49393a05397450978507c4ef1");
    }

    #[test]
    fn the_examples_of_rfc_7616_come_out_right() {
        // RFC 7616 section 3.9.1, its figures.
        let expected = [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ];
        for (name, response) in expected {
            let line = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={name}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let mut credentials = Credentials::new("Mufasa", "Circle of Life");
            credentials.answer(&one(&line), "GET", "/dir/index.html", b"").unwrap();
            let (_, prompt) = credentials.sessions.get_mut("http-auth@example.org").unwrap();
            prompt.nc = 0;
            let mut context = AuthContext::new("Mufasa", "Circle of Life", "/dir/index.html");
            context.set_custom_cnonce("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ");
            assert_eq!(prompt.respond(&context).unwrap().response, response);
        }
    }

    #[test]
    fn each_kind_of_challenge_is_answered_by_its_own_formula() {
        type Hash = fn(&str) -> String;
        let cases: [(&str, Hash, bool, bool); 5] = [
            (r#"Digest realm="r", nonce="n""#, md5, false, false),
            (r#"Digest realm="r", nonce="n", algorithm=md5, qop="auth""#, md5, true, false),
            (r#"Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth""#, md5, true, true),
            (r#"Digest realm="r",nonce="n",algorithm=SHA-256,qop="auth""#, sha256, true, false),
            (r#"Digest realm="r", nonce="n", algorithm="SHA-256-sess", qop=auth, opaque="o""#, sha256, true, true),
        ];
        for (line, hash, qop, session) in cases {
            let answer = Credentials::new("bob", "secret").answer(&one(line), "REGISTER", "sip:h", b"").unwrap();
            let get = |name| field(&answer.value, name).unwrap_or_default().to_owned();
            let cnonce = get("cnonce");
            let plain = "bob:r:secret".to_owned();
            let a1 = if session { format!("{}:n:{cnonce}", hash(&plain)) } else { plain };
            let middle = if qop { format!("n:00000001:{cnonce}:auth") } else { "n".to_owned() };
            assert_eq!(get("response"), expected(hash, &a1, "REGISTER", "sip:h", &middle), "{line}");
            assert_eq!(answer.name, "Authorization");
            assert_eq!(qop, answer.value.contains("qop=auth"), "{line}");
        }
    }

    #[test]
    fn sha_512_256_is_known_and_the_strongest() {
        let line = r#"Digest realm="r", nonce="a", algorithm=MD5, Digest realm="r", nonce="b", algorithm=SHA-512-256, qop="auth""#;
        let found = challenges(&headers(&[
            ("WWW-Authenticate", line),
            ("WWW-Authenticate", r#"Digest realm="r",nonce="c",algorithm=SHA-256"#),
        ]));
        let nonces: Vec<_> = found.iter().map(|c| c.nonce.as_str()).collect();
        assert_eq!(nonces, ["b", "c", "a"]);
        let answer = Credentials::new("u", "p").answer(&found[0], "INVITE", "sip:x", b"").unwrap();
        assert_eq!(field(&answer.value, "response").map(str::len), Some(64));
    }

    #[test]
    fn challenges_are_found_in_every_header_and_unknown_ones_passed_over() {
        let found = challenges(&headers(&[
            ("WWW-Authenticate", r#"Basic realm="x", Digest realm="r", nonce="n1", algorithm=FOO"#),
            ("Proxy-Authenticate", r#"Negotiate, Digest nonce="n2", realm="r", qop="auth-int", stale=TRUE"#),
            ("WWW-Authenticate", r#"Digest realm="r", nonce="n3", qop="token""#),
        ]));
        assert_eq!(found.len(), 1);
        assert!(found[0].proxy && found[0].stale && found[0].nonce == "n2");
    }

    #[test]
    fn twenty_challenges_are_enough() {
        let lines: Vec<_> = (0..500).map(|_| ("WWW-Authenticate", r#"Digest realm="r", nonce="n""#)).collect();
        assert_eq!(challenges(&headers(&lines)).len(), CHALLENGES);
    }

    #[test]
    fn a_nonce_is_counted_up_and_a_new_one_starts_at_one() {
        let mut credentials = Credentials::new("bob", "secret");
        let first = one(r#"Digest realm="r", nonce="n1", qop="auth""#);
        let nc = |answer: Option<Answer>| field(&answer.unwrap().value, "nc").unwrap().to_owned();
        assert_eq!(nc(credentials.answer(&first, "REGISTER", "sip:h", b"")), "00000001");
        assert_eq!(nc(credentials.reuse("r", "REGISTER", "sip:h", b"")), "00000002");
        assert_eq!(nc(credentials.reuse("r", "REGISTER", "sip:h", b"")), "00000003");
        let second = one(r#"Digest realm="r", nonce="n2", qop="auth", stale=true"#);
        assert_eq!(nc(credentials.answer(&second, "REGISTER", "sip:h", b"")), "00000001");
        assert_eq!(credentials.reuse("other", "REGISTER", "sip:h", b""), None);
    }

    #[test]
    fn quotes_and_accents_in_a_realm_go_back_as_they_came() {
        let challenge = one("Digest realm=\"say \\\"hé\\\", ok\", nonce=\"n\"");
        let answer = Credentials::new("bob", "secret").answer(&challenge, "REGISTER", "sip:h", b"").unwrap();
        assert!(answer.value.contains("realm=\"say \\\"hé\\\", ok\""), "{}", answer.value);
        let a1 = "bob:say \\\"hé\\\", ok:secret";
        assert!(answer.value.contains(&expected(md5, a1, "REGISTER", "sip:h", "n")));
    }

    #[test]
    fn garbage_is_no_challenge() {
        for line in [
            "",
            "Digest",
            "Digest ,,,",
            "Digest realm",
            "Digest realm=\"open",
            "é=é",
            "Digest realm=r",
            "=",
            "Digest =x",
        ] {
            assert_eq!(challenges(&headers(&[("WWW-Authenticate", line)])), [], "{line:?}");
        }
    }

    #[test]
    fn no_debug_output_shows_the_password() {
        assert!(!format!("{:?}", Credentials::new("bob", "S3cr3t")).contains("S3cr3t"));
    }
}
