//! Who can be reached where: the location table of the local domain (RFC 3261 section 10.3).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What registrants may make grow.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) users: usize,
    pub(super) bindings_per_user: usize,
    pub(super) longest: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { users: 20_000, bindings_per_user: 8, longest: Duration::from_secs(7200) }
    }
}

/// One registered contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binding {
    /// The contact URI as registered: the Request-URI of what is forwarded.
    pub(super) uri: String,
    /// Where datagrams for it go.
    pub(super) target: SocketAddr,
    call_id: String,
    cseq: u32,
    expires: Instant,
    /// Order of the last refresh; the newest binding is the one that rings.
    refreshed: u64,
}

impl Binding {
    /// Whole seconds left, rounded up.
    pub(super) fn seconds_left(&self, now: Instant) -> u64 {
        let left = self.expires.saturating_duration_since(now);
        left.as_secs() + u64::from(left.subsec_nanos() > 0)
    }
}

/// One contact of a REGISTER.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) uri: String,
    pub(super) target: SocketAddr,
    /// Zero removes.
    pub(super) lifetime: Duration,
}

/// Why a REGISTER changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// A request of the same Call-ID with a higher CSeq was here already (RFC 3261 section 10.3 step 7).
    OutOfOrder,
    /// A limit is reached.
    Full,
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct Registrar {
    users: HashMap<String, Vec<Binding>>,
    limits: Limits,
    counter: u64,
}

impl Registrar {
    /// Adds, refreshes and removes contacts, all or none.
    pub(super) fn update(
        &mut self,
        now: Instant,
        user: &str,
        call_id: &str,
        cseq: u32,
        contacts: &[Request],
    ) -> Result<(), Refused> {
        self.drop_expired(now, user);
        let known = self.users.get(user).map_or(&[][..], Vec::as_slice);
        let stale = |b: &Binding| b.call_id == call_id && b.cseq > cseq;
        if known.iter().any(|b| stale(b) && contacts.iter().any(|c| c.uri == b.uri)) {
            return Err(Refused::OutOfOrder);
        }
        let fresh = contacts.iter().filter(|c| !c.lifetime.is_zero() && known.iter().all(|b| b.uri != c.uri)).count();
        if known.len() + fresh > self.limits.bindings_per_user {
            return Err(Refused::Full);
        }
        if known.is_empty() && fresh > 0 && self.users.len() >= self.limits.users {
            self.users.retain(|_, bindings| bindings.iter().any(|b| b.expires > now));
            if self.users.len() >= self.limits.users {
                return Err(Refused::Full);
            }
        }
        for contact in contacts {
            self.counter += 1;
            let bindings = self.users.entry(user.to_owned()).or_default();
            bindings.retain(|b| b.uri != contact.uri);
            if !contact.lifetime.is_zero() {
                bindings.push(Binding {
                    uri: contact.uri.clone(),
                    target: contact.target,
                    call_id: call_id.to_owned(),
                    cseq,
                    expires: now + contact.lifetime.min(self.limits.longest),
                    refreshed: self.counter,
                });
            }
        }
        self.forget_empty(user);
        Ok(())
    }

    /// A binding of our own, which no REGISTER made and no time ends.
    pub(super) fn assign(&mut self, now: Instant, user: &str, uri: &str, target: SocketAddr) {
        const YEARS: Duration = Duration::from_secs(100 * 365 * 86_400);
        let binding = Binding {
            uri: uri.to_owned(),
            target,
            call_id: String::new(),
            cseq: 0,
            expires: now + YEARS,
            refreshed: 0,
        };
        self.users.insert(user.to_owned(), vec![binding]);
    }

    /// `Contact: *` (RFC 3261 section 10.2.2).
    pub(super) fn clear(&mut self, user: &str) {
        self.users.remove(user);
    }

    /// Every live binding of a user.
    pub(super) fn bindings(&mut self, now: Instant, user: &str) -> &[Binding] {
        self.drop_expired(now, user);
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    /// The binding that a call goes to: the one refreshed last.
    pub(super) fn newest(&mut self, now: Instant, user: &str) -> Option<&Binding> {
        self.bindings(now, user).iter().max_by_key(|b| b.refreshed)
    }

    fn drop_expired(&mut self, now: Instant, user: &str) {
        if let Some(bindings) = self.users.get_mut(user) {
            bindings.retain(|b| b.expires > now);
        }
        self.forget_empty(user);
    }

    fn forget_empty(&mut self, user: &str) {
        if self.users.get(user).is_some_and(Vec::is_empty) {
            self.users.remove(user);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(uri: &str, seconds: u64) -> Request {
        Request {
            uri: uri.to_owned(),
            target: "127.0.0.1:5090".parse().unwrap(),
            lifetime: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_binding_is_gone_when_its_time_is_over() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        registrar.update(now, "bob", "c", 1, &[contact("sip:b@1", 60)]).unwrap();
        assert_eq!(registrar.newest(now, "bob").unwrap().seconds_left(now), 60);
        assert!(registrar.newest(now + Duration::from_secs(60), "bob").is_none());
        assert!(registrar.users.is_empty());
    }

    #[test]
    fn the_contact_refreshed_last_is_the_one_that_rings() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        registrar.update(now, "bob", "c1", 1, &[contact("sip:b@1", 60)]).unwrap();
        registrar.update(now, "bob", "c2", 1, &[contact("sip:b@2", 60)]).unwrap();
        assert_eq!(registrar.newest(now, "bob").unwrap().uri, "sip:b@2");
        registrar.update(now, "bob", "c1", 2, &[contact("sip:b@1", 60)]).unwrap();
        assert_eq!(registrar.newest(now, "bob").unwrap().uri, "sip:b@1");
        assert_eq!(registrar.bindings(now, "bob").len(), 2);
    }

    #[test]
    fn an_older_request_of_the_same_call_id_changes_nothing_and_a_repeated_one_is_harmless() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        registrar.update(now, "bob", "c", 5, &[contact("sip:b@1", 60)]).unwrap();
        assert_eq!(registrar.update(now, "bob", "c", 4, &[contact("sip:b@1", 0)]), Err(Refused::OutOfOrder));
        assert_eq!(registrar.update(now, "bob", "c", 5, &[contact("sip:b@1", 60)]), Ok(()));
        assert_eq!(registrar.bindings(now, "bob").len(), 1);
    }

    #[test]
    fn expires_zero_removes_one_contact_and_a_star_removes_all() {
        let (mut registrar, now) = (Registrar::default(), Instant::now());
        registrar.update(now, "bob", "c", 1, &[contact("sip:b@1", 60), contact("sip:b@2", 60)]).unwrap();
        registrar.update(now, "bob", "c", 2, &[contact("sip:b@1", 0)]).unwrap();
        assert_eq!(registrar.bindings(now, "bob").len(), 1);
        registrar.clear("bob");
        assert!(registrar.bindings(now, "bob").is_empty());
    }

    #[test]
    fn neither_users_nor_contacts_grow_past_their_limits() {
        let limits = Limits { users: 2, bindings_per_user: 2, longest: Duration::from_secs(10) };
        let (mut registrar, now) = (Registrar { limits, ..Registrar::default() }, Instant::now());
        for user in ["a", "b"] {
            registrar.update(now, user, "c", 1, &[contact("sip:1", 60), contact("sip:2", 60)]).unwrap();
        }
        assert_eq!(registrar.update(now, "a", "c", 2, &[contact("sip:3", 60)]), Err(Refused::Full));
        assert_eq!(registrar.update(now, "c", "c", 1, &[contact("sip:1", 60)]), Err(Refused::Full));
        assert_eq!(
            registrar.update(now + Duration::from_secs(11), "c", "c", 1, &[contact("sip:1", 60)]),
            Ok(()),
            "expired users make room"
        );
    }
}
