//! The hook of the local domain: whoever implements [`DatagramFilter`] shares our sockets and sees each message first.

use std::net::SocketAddr;
use std::sync::Arc;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Not the filter's: it goes on to the user agents.
    Pass,
    /// The filter has dealt with it.
    Consumed,
}

/// A stateless element (registrar, proxy) on the user agents' own sockets.
///
/// Called from the receive loop, so it must not block. It sees what is a SIP message of version 2.0 with the headers that RFC 3261
/// section 8.1.1 demands, of any method; the rest has been answered 400 or 505, or dropped. Header bytes are UTF-8 (Latin-1 was
/// transcoded), Content-Length is present and right, and lines end in CRLF.
pub trait DatagramFilter: Send + Sync + 'static {
    /// The sockets are bound; `sender` sends from them. Called once, before the first `inspect`.
    fn started(&self, sender: DatagramSender);

    /// Looks at one message (requests and responses alike).
    fn inspect(&self, datagram: &[u8], from: SocketAddr) -> Verdict;
}

type SendFunction = dyn Fn(&[u8], SocketAddr) + Send + Sync;

/// Sends datagrams from the stack's own sockets.
#[derive(Clone)]
pub struct DatagramSender {
    local: SocketAddr,
    send: Arc<SendFunction>,
}

impl DatagramSender {
    /// A sender that hands everything to `send`; the stack makes the real one, tests make their own.
    pub fn new(local: SocketAddr, send: impl Fn(&[u8], SocketAddr) + Send + Sync + 'static) -> Self {
        DatagramSender { local, send: Arc::new(send) }
    }

    /// Sends `datagram` to `to` without blocking. What the system refuses is lost and counted, like a datagram lost on the way.
    pub fn send(&self, datagram: &[u8], to: SocketAddr) {
        (self.send)(datagram, to);
    }

    /// Where the first socket is bound: what Via of our proxy carries.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}
