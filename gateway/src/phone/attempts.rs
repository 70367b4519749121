//! How often a phone may try a password or a token: else the gateway would be a machine for finding out SIP passwords.
//!
//! ```text
//!             account known at this source?  -- yes -->  its own bucket
//!  connect --<
//!             no  -->  its own bucket and its source's
//! ```
//!
//! A source is an IPv4 address or an IPv6 /64 network. Each failure takes a token out of the buckets that were asked, and tokens come
//! back with time. Behind one address there may be many phones (NAT), hence the two buckets: a phone whose password is wrong empties
//! its own long before the common one, and an account that has connected from there is not touched by what its neighbours do.
//! Phones that all come back at the same moment are no attack: an attempt costs nothing until it has failed. What failed at once all
//! counts, so that the long run is the same.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::limits::{ATTEMPTS_REMEMBERED, ATTEMPTS_TIME, LONGEST_WAIT};

/// An account's bucket is so many times smaller than its source's, and fills so many times more slowly.
const SHARE: u32 = 4;

/// How many connects may fail.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// In a row, from one source. None: any number.
    pub burst: Option<u32>,
    /// After which time one more may.
    pub interval: Duration,
}

/// An attempt that was let through. What becomes of it is told to [`Attempts`].
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    source: IpAddr,
    account: u64,
    known: bool,
}

/// Too many attempts have failed: `connect`'s description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("403 Too many failed attempts: wait {} s", wait.as_secs() + u64::from(wait.subsec_nanos() > 0))]
pub struct TooManyAttempts {
    /// Until the next may be made.
    pub wait: Duration,
}

/// Remembers who failed. One for the process.
#[derive(Debug)]
pub struct Attempts {
    limits: AttemptLimits,
    /// Nobody who chooses the addresses can make their hashes meet.
    hasher: RandomState,
    memory: Mutex<Memory>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Source(IpAddr),
    Account(IpAddr, u64),
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// When all tokens are back: each that is missing is one interval.
    full_at: Instant,
    /// The account has connected from there.
    known: bool,
}

impl Attempts {
    /// Nobody has failed yet.
    pub fn new(limits: AttemptLimits) -> Attempts {
        Attempts { limits, hasher: RandomState::new(), memory: Mutex::default() }
    }

    /// Whether a phone of `source` (see [`super::admission::PhonePermit::source`]) may try its credentials for `address`.
    ///
    /// # Errors
    /// How long it is to wait.
    pub fn ask(&self, now: Instant, source: IpAddr, address: &str) -> Result<Attempt, TooManyAttempts> {
        let account = self.hasher.hash_one(address.to_ascii_lowercase());
        let memory = self.memory();
        let own = memory.get(Key::Account(source, account));
        let known = own.is_some_and(|bucket| bucket.known);
        let common = if known { None } else { memory.get(Key::Source(source)) };
        drop(memory);
        let wait = self.wait(now, own, SHARE).max(self.wait(now, common, 1));
        if wait.is_zero() { Ok(Attempt { source, account, known }) } else { Err(TooManyAttempts { wait }) }
    }

    /// The credentials were wrong.
    pub fn failed(&self, now: Instant, attempt: &Attempt) {
        self.pay(now, Key::Account(attempt.source, attempt.account), SHARE);
        if !attempt.known {
            self.pay(now, Key::Source(attempt.source), 1);
        }
    }

    /// The credentials were right: from now on the account is known there, and owes nothing.
    pub fn succeeded(&self, now: Instant, attempt: &Attempt) {
        if self.limits.burst.is_some() {
            self.memory().put(now, Key::Account(attempt.source, attempt.account), Bucket { full_at: now, known: true });
        }
    }

    /// Takes a token out of a bucket of the `share`th part.
    fn pay(&self, now: Instant, key: Key, share: u32) {
        let Some(burst) = self.limits.burst else { return };
        let mut memory = self.memory();
        let bucket = memory.get(key).unwrap_or(Bucket { full_at: now, known: false });
        let full_at = bucket.full_at.max(now) + self.limits.interval * share;
        let full_at = full_at.min(now + self.time_of_all_but_one(burst, share) + LONGEST_WAIT);
        memory.put(now, key, Bucket { full_at, ..bucket });
    }

    /// Until there is a whole token in a bucket of the `share`th part.
    fn wait(&self, now: Instant, bucket: Option<Bucket>, share: u32) -> Duration {
        let (Some(burst), Some(bucket)) = (self.limits.burst, bucket) else { return Duration::ZERO };
        let missing = bucket.full_at.saturating_duration_since(now);
        missing.saturating_sub(self.time_of_all_but_one(burst, share))
    }

    fn time_of_all_but_one(&self, burst: u32, share: u32) -> Duration {
        self.limits.interval * share * (burst.div_ceil(share) - 1)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Buckets of two generations: when the young one is full, or old enough, it takes the place of the old one, which is forgotten. So
/// nothing is ever searched for what may go.
#[derive(Debug, Default)]
struct Memory {
    young: HashMap<Key, Bucket>,
    old: HashMap<Key, Bucket>,
    begun: Option<Instant>,
}

impl Memory {
    fn get(&self, key: Key) -> Option<Bucket> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    fn put(&mut self, now: Instant, key: Key, bucket: Bucket) {
        let begun = *self.begun.get_or_insert(now);
        let full = self.young.len() >= ATTEMPTS_REMEMBERED && !self.young.contains_key(&key);
        if full || now.saturating_duration_since(begun) >= ATTEMPTS_TIME {
            self.old = std::mem::take(&mut self.young);
            self.begun = Some(now);
        }
        self.young.insert(key, bucket);
    }
}

/// Whether this answer to a REGISTER says that login, password or address are wrong. A registrar that is out of order says nothing
/// about them.
pub fn is_refusal(reason: &str) -> bool {
    matches!(reason.split(' ').next(), Some("401" | "403" | "404" | "407" | "604"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn attempts(burst: u32) -> Attempts {
        Attempts::new(AttemptLimits { burst: Some(burst), interval: 10 * SECOND })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    const HERE: &str = "192.0.2.1";

    /// Tries `address` until it is told to wait: how often it failed before.
    fn guess(attempts: &Attempts, now: Instant, source: &str, address: &str) -> u32 {
        let mut failures = 0;
        while let Ok(attempt) = attempts.ask(now, ip(source), address) {
            attempts.failed(now, &attempt);
            failures += 1;
            assert!(failures < 1_000, "never told to wait");
        }
        failures
    }

    #[test]
    fn a_guesser_gets_its_burst_and_then_one_guess_in_an_interval() {
        let (attempts, begin) = (attempts(20), Instant::now());
        assert_eq!(guess(&attempts, begin, HERE, "alice@x"), 5, "a quarter for one account");
        let wait = attempts.ask(begin, ip(HERE), "ALICE@x").unwrap_err();
        assert_eq!(wait.to_string(), "403 Too many failed attempts: wait 40 s");
        let hour: u32 = (1..=3_600).map(|s| guess(&attempts, begin + s * SECOND, HERE, "alice@x")).sum();
        assert_eq!(hour, 90, "one in 40 s");
    }

    #[test]
    fn many_accounts_share_the_bucket_of_their_source_and_other_sources_have_their_own() {
        let (attempts, begin) = (attempts(20), Instant::now());
        let spray = |now| (0..100).map(|n| guess(&attempts, now, HERE, &format!("user{n}@x"))).sum::<u32>();
        assert_eq!(spray(begin), 20);
        assert_eq!(attempts.ask(begin, ip(HERE), "new@x").unwrap_err().wait, 10 * SECOND);
        assert_eq!(guess(&attempts, begin, "192.0.2.2", "new@x"), 5);
        let hour: u32 = (1..=3_600).map(|s| spray(begin + s * SECOND)).sum();
        assert_eq!(hour, 360, "one in 10 s");
    }

    #[test]
    fn who_connected_before_is_let_in_whatever_its_neighbours_do() {
        let (attempts, now) = (attempts(4), Instant::now());
        let alice = attempts.ask(now, ip(HERE), "alice@x").unwrap();
        attempts.succeeded(now, &alice);
        for n in 0..100 {
            guess(&attempts, now, HERE, &format!("user{n}@x"));
        }
        assert!(attempts.ask(now, ip(HERE), "new@x").is_err());
        assert!(attempts.ask(now, ip(HERE), "alice@x").is_ok());
        assert!(attempts.ask(now, ip("192.0.2.2"), "alice@x").is_ok(), "not touched at all");
        assert_eq!(guess(&attempts, now, HERE, "alice@x"), 1, "nor is a known account free to guess at");
    }

    #[test]
    fn one_phone_with_a_wrong_password_does_not_lock_out_the_others_behind_its_address() {
        let (attempts, begin) = (attempts(20), Instant::now());
        for second in 0..3_600 {
            let now = begin + second * SECOND;
            guess(&attempts, now, HERE, "broken@x");
            assert!(attempts.ask(now, ip(HERE), &format!("new{second}@x")).is_ok(), "{second} s");
        }
    }

    #[test]
    fn success_clears_the_account() {
        let (attempts, now) = (attempts(20), Instant::now());
        for _ in 0..100 {
            let attempt = attempts.ask(now, ip(HERE), "alice@x").unwrap();
            attempts.failed(now, &attempt);
            attempts.succeeded(now, &attempt);
        }
    }

    #[test]
    fn what_fails_at_once_all_counts_but_nobody_waits_for_ever() {
        let (attempts, now) = (attempts(20), Instant::now());
        let at_once: Vec<_> = (0..1_000).map(|n| attempts.ask(now, ip(HERE), &format!("user{n}@x")).unwrap()).collect();
        at_once.iter().for_each(|attempt| attempts.failed(now, attempt));
        let wait = attempts.ask(now, ip(HERE), "new@x").unwrap_err().wait;
        assert_eq!(wait, LONGEST_WAIT);
        assert!(attempts.ask(now + LONGEST_WAIT, ip(HERE), "new@x").is_ok());
    }

    #[test]
    fn no_flood_makes_it_remember_more_than_its_limit() {
        let (attempts, now) = (attempts(1), Instant::now());
        for n in 0..5 * ATTEMPTS_REMEMBERED as u128 {
            let source = IpAddr::from(std::net::Ipv6Addr::from_bits(n << 64));
            let attempt = attempts.ask(now, source, "a@x").unwrap();
            attempts.failed(now, &attempt);
        }
        let memory = attempts.memory();
        assert!(memory.young.len() + memory.old.len() <= 2 * ATTEMPTS_REMEMBERED);
        drop(memory);
        attempts.failed(now + 2 * ATTEMPTS_TIME, &Attempt { source: ip(HERE), account: 1, known: false });
        attempts.failed(now + 4 * ATTEMPTS_TIME, &Attempt { source: ip(HERE), account: 1, known: false });
        let memory = attempts.memory();
        assert!(memory.young.len() + memory.old.len() <= 4, "what is old is forgotten");
    }

    #[test]
    fn without_a_limit_nothing_is_remembered() {
        let attempts = Attempts::new(AttemptLimits { burst: None, interval: SECOND });
        for _ in 0..100 {
            let attempt = attempts.ask(Instant::now(), ip(HERE), "a@x").unwrap();
            attempts.failed(Instant::now(), &attempt);
        }
        assert!(attempts.memory().young.is_empty());
    }

    #[test]
    fn a_registrar_out_of_order_is_no_wrong_password() {
        for wrong in ["401 Unauthorized", "403 Forbidden", "404 Not Found", "407 Proxy Authentication Required"] {
            assert!(is_refusal(wrong), "{wrong}");
        }
        for passing in ["408 Request timeout", "503 Service Unavailable", "500 x", "4030 x", "bad login: empty", ""] {
            assert!(!is_refusal(passing), "{passing}");
        }
    }
}
