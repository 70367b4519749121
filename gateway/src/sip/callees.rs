//! Who may be called by name: some PBXs send `INVITE sip:alice@gateway` instead of using the Contact that was registered
//! (RFC 3261 section 16.5 has them use it). Only a registrar may do so, for those who are registered with it: the Contact of anybody else
//! cannot be guessed, and that keeps strangers from ringing phones.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};

use tokio::sync::mpsc;

use super::mail::Mail;

/// One phone of a user.
struct Callee {
    token: String,
    mailbox: mpsc::Sender<Mail>,
}

/// Registered agents by their registrar's address and their user part. An agent is in it once at most.
#[derive(Default)]
pub(crate) struct Callees(RwLock<HashMap<(IpAddr, String), Vec<Callee>>>);

impl Callees {
    pub(crate) fn enter(&self, registrar: IpAddr, user: &str, token: &str, mailbox: &mpsc::Sender<Mail>) {
        let callee = Callee { token: token.to_owned(), mailbox: mailbox.clone() };
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table.entry((registrar, user.to_owned())).or_default().push(callee);
    }

    pub(crate) fn leave(&self, registrar: IpAddr, user: &str, token: &str) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let key = (registrar, user.to_owned());
        if let Some(phones) = table.get_mut(&key) {
            phones.retain(|callee| callee.token != token);
            if phones.is_empty() {
                table.remove(&key);
            }
        }
    }

    /// The one phone that `from`, its registrar, can mean by `user`.
    pub(crate) fn only(&self, from: IpAddr, user: &str) -> Option<mpsc::Sender<Mail>> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match table.get(&(from, user.to_owned())).map(Vec::as_slice) {
            Some([callee]) => Some(callee.mailbox.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_a_phone_as_long_as_there_is_one_of_it_and_for_its_registrar_only() {
        let (callees, (mailbox, _mail)) = (Callees::default(), mpsc::channel(1));
        let (here, elsewhere) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let means = |from, user| callees.only(from, user).is_some();
        callees.enter(here, "alice", "1", &mailbox);
        assert!(means(here, "alice") && !means(elsewhere, "alice") && !means(here, "bob"));
        callees.enter(here, "alice", "2", &mailbox);
        assert!(!means(here, "alice"), "which one?");
        callees.leave(here, "alice", "1");
        assert!(means(here, "alice"));
        callees.leave(here, "alice", "2");
        callees.leave(here, "alice", "2");
        assert!(!means(here, "alice") && callees.0.read().unwrap().is_empty());
    }
}
