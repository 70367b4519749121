//! The one place that phones share: who is connected, and under which SIP address.
//!
//! A second connection for the same address replaces the first, which is told so (siprtmp contract section 12 item 7); the
//! configuration may allow several, and then the oldest goes. One exception: a phone that did not register, so proved nothing,
//! cannot push out one that did; both stay, and the address stays with the one that proved it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

/// Why a connection is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Another connection has its address now.
    Replaced,
    /// The process ends.
    Shutdown,
}

/// All connections of the process.
#[derive(Debug)]
pub struct Directory {
    phones_per_address: usize,
    table: Mutex<Table>,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    closed: bool,
    /// Every connection; `None` once it was asked to end.
    phones: HashMap<u64, Option<oneshot::Sender<Farewell>>>,
    /// Who stands for an address, oldest first: never empty, and never more than allowed.
    addresses: HashMap<String, Vec<Holder>>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    phone: u64,
    registered: bool,
}

/// A connection's entry; dropping it leaves the directory.
#[derive(Debug)]
pub struct Seat {
    directory: Arc<Directory>,
    phone: u64,
    address: Option<String>,
}

impl Directory {
    /// Nobody yet. `phones_per_address` is at least 1.
    pub fn new(phones_per_address: usize) -> Arc<Self> {
        Arc::new(Directory { phones_per_address, table: Mutex::default(), emptied: Notify::new() })
    }

    /// Enters a connection. The receiver hears when it shall end. `None` once the directory is closed.
    pub fn enter(self: &Arc<Self>) -> Option<(Seat, oneshot::Receiver<Farewell>)> {
        let mut table = self.table();
        if table.closed {
            return None;
        }
        let phone = table.next;
        table.next += 1;
        let (sender, receiver) = oneshot::channel();
        table.phones.insert(phone, Some(sender));
        Some((Seat { directory: self.clone(), phone, address: None }, receiver))
    }

    /// Lets nobody in any more and asks everybody to end.
    pub fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        for sender in table.phones.values_mut().filter_map(Option::take) {
            let _ = sender.send(Farewell::Shutdown);
        }
    }

    /// Waits until nobody is left.
    pub async fn empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.is_empty() {
                return;
            }
            emptied.await;
        }
    }

    /// Connections now.
    pub fn len(&self) -> usize {
        self.table().phones.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The connection's number in this process, for logs.
    pub fn number(&self) -> u64 {
        self.phone
    }

    /// The connection now stands for `address` (without scheme); the oldest that did before is asked to end, if it is one too many.
    pub fn claim(&mut self, address: &str, registered: bool) {
        let address = normalised(address);
        let mut table = self.directory.table();
        let Table { phones, addresses, .. } = &mut *table;
        let holders = addresses.entry(address.clone()).or_default();
        if holders.len() >= self.directory.phones_per_address {
            let may_go = |holder: &Holder| registered || !holder.registered;
            let Some(oldest) = holders.iter().position(may_go) else { return };
            let replaced = holders.remove(oldest);
            if let Some(sender) = phones.get_mut(&replaced.phone).and_then(Option::take) {
                let _ = sender.send(Farewell::Replaced);
            }
        }
        holders.push(Holder { phone: self.phone, registered });
        self.address = Some(address);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = self.directory.table();
        table.phones.remove(&self.phone);
        if let Some(address) = &self.address
            && let Some(holders) = table.addresses.get_mut(address)
        {
            holders.retain(|holder| holder.phone != self.phone);
            if holders.is_empty() {
                table.addresses.remove(address);
            }
        }
        if table.phones.is_empty() {
            self.directory.emptied.notify_waiters();
        }
    }
}

/// Host names compare without case, user names with it (RFC 3261 section 19.1.4).
fn normalised(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((user, host)) => format!("{user}@{}", host.to_ascii_lowercase()),
        None => address.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_connection_for_an_address_replaces_the_first() {
        let directory = Directory::new(1);
        let (mut first, mut told) = directory.enter().unwrap();
        first.claim("alice@Example.com", true);
        let (mut second, _receiver) = directory.enter().unwrap();
        second.claim("alice@example.COM", true);
        assert_eq!(told.try_recv(), Ok(Farewell::Replaced));

        drop(first);
        let (mut third, _receiver) = directory.enter().unwrap();
        third.claim("alice@example.com", true);
        assert_eq!(directory.table().addresses["alice@example.com"][0].phone, third.number());
    }

    #[test]
    fn where_several_are_allowed_the_oldest_goes_when_there_is_one_too_many() {
        let directory = Directory::new(2);
        let mut phones: Vec<_> = (0..4).map(|_| directory.enter().unwrap()).collect();
        for (seat, _) in &mut phones[..3] {
            seat.claim("alice@example.com", true);
        }
        let told: Vec<bool> = phones.iter_mut().map(|(_, told)| told.try_recv() == Ok(Farewell::Replaced)).collect();
        assert_eq!(told, [true, false, false, false]);
        // One that leaves by itself makes room.
        phones.remove(1);
        phones[2].0.claim("alice@example.com", true);
        assert!(phones[1..].iter_mut().all(|(_, told)| told.try_recv().is_err()));
        phones.clear();
        assert!(directory.table().addresses.is_empty());
    }

    #[test]
    fn other_addresses_are_left_alone() {
        let directory = Directory::new(1);
        let (mut first, mut told) = directory.enter().unwrap();
        first.claim("alice@example.com", false);
        let (mut second, _receiver) = directory.enter().unwrap();
        second.claim("Alice@example.com", false);
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn a_phone_that_proved_nothing_does_not_push_out_one_that_registered() {
        let directory = Directory::new(1);
        let (mut owner, mut told) = directory.enter().unwrap();
        owner.claim("alice@example.com", true);
        let (mut stranger, _receiver) = directory.enter().unwrap();
        stranger.claim("alice@example.com", false);
        drop(stranger);
        assert!(told.try_recv().is_err());
        assert_eq!(directory.table().addresses["alice@example.com"][0].phone, owner.number());
    }

    #[test]
    fn nothing_is_remembered_of_connections_that_ended() {
        let directory = Directory::new(1);
        let (mut seat, _receiver) = directory.enter().unwrap();
        seat.claim("alice@example.com", true);
        drop(seat);
        assert!(directory.is_empty() && directory.table().addresses.is_empty());
    }

    #[tokio::test]
    async fn closing_tells_everybody_and_empty_waits_for_the_last() {
        let directory = Directory::new(1);
        let (seat, told) = directory.enter().unwrap();
        directory.close();
        assert!(directory.enter().is_none());
        assert_eq!(told.await, Ok(Farewell::Shutdown));
        let waiting = tokio::spawn({
            let directory = directory.clone();
            async move { directory.empty().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(seat);
        waiting.await.unwrap();
    }
}
