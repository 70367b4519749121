//! Everything of the SIP side that a peer can make grow, in one place.

/// Limits of the SIP side. A request over one is answered 503 (or 513), a response over one is dropped; both are counted.
#[derive(Debug, Clone)]
pub struct SipLimits {
    /// Octets of one message. UDP cannot carry more than 65,507.
    pub message: usize,
    /// Header lines of one message.
    pub headers: usize,
    /// Octets of one unfolded header line.
    pub header_line: usize,
    /// Transactions that run or are remembered for their retransmissions (64*T1); beyond it new requests get 503.
    pub transactions: usize,
    /// User agents.
    pub agents: usize,
    /// Calls of one agent, pending and established, both directions.
    pub calls_per_agent: usize,
    /// Messages that wait for one agent; a request beyond it gets 503, a repeated 2xx is lost.
    pub mailbox: usize,
}

/// Seconds after which whoever got 503 may try again (RFC 3261 section 21.5.4).
pub(crate) const RETRY_AFTER: &str = "5";

impl Default for SipLimits {
    fn default() -> Self {
        SipLimits {
            message: 65_536,
            headers: 256,
            header_line: 8_192,
            transactions: 100_000,
            agents: 20_000,
            calls_per_agent: 8,
            mailbox: 256,
        }
    }
}
