//! What the SIP side counts, for /metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// As of now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counted since start.
#[derive(Debug, Default)]
pub struct SipCounters {
    /// Datagrams received, keep-alives included.
    pub received: Counter,
    /// Datagrams sent, retransmissions included.
    pub sent: Counter,
    /// Datagrams that the system refused to send.
    pub send_errors: Counter,
    /// Dropped: no SIP message, or one that cannot be answered.
    pub malformed_dropped: Counter,
    /// Malformed requests answered 400, 413, 505 or 513.
    pub malformed_answered: Counter,
    /// Well-formed requests refused before a transaction was made (404, 405, 420, 481, 501, ...).
    pub refused: Counter,
    /// Refused with 503, or dropped, because a limit was reached.
    pub overload: Counter,
    /// Digest challenges that were not answered since they did not come from the account's own domain.
    pub foreign_challenges: Counter,
}
