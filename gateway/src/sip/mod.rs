//! Our face to the SIP network: `SipAction` in, `SipEvent` out, one [`SipAgent`] per RTMP connection, all on the same sockets.
//!
//! ```text
//!  phone task --SipAction--> SipAgent --> agent task --> transaction tasks --> rsipstack's state machines --> front --> UDP
//!  phone task <--SipEvent--- SipAgent <-- agent task <-- transaction tasks <-- rsipstack's state machines <-- front <-- UDP
//!                                                                                     local domain (filter) <--'
//! ```
//!
//! Transactions (RFC 3261 section 17, RFC 6026) are rsipstack's. Around it, ours: the front cleans and judges every datagram before
//! the stack sees it, and the dialogs, registration and digest are kept here (docs/dependencies.md says what was measured).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use phone_agent::{SipAction, SipEvent};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

mod address;
mod agent;
mod call;
mod callees;
mod counters;
mod dialog;
mod digest;
mod endpoint;
mod established;
mod filter;
mod front;
mod incoming;
mod info;
mod limits;
pub mod local;
mod mail;
mod message;
mod outgoing;
mod refer;
mod registration;
mod reply;
mod request;
mod resolve;
mod socket;
mod text;
mod transaction;
mod via;

pub use counters::SipCounters;
pub use filter::{DatagramFilter, DatagramSender, Verdict};
pub use limits::SipLimits;

use endpoint::Shared;

/// How often a shutdown looks whether all agents have finished.
const SHUTDOWN_POLL: Duration = Duration::from_millis(10);

/// What the SIP side needs to know at start.
#[derive(Clone)]
pub struct SipConfig {
    /// UDP sockets to bind; the first one of an address family sends to that family. Port 0 asks the system for one.
    pub listen: Vec<SocketAddr>,
    /// The address that Via, Contact and (by the app) SDP carry. `None`: the bound address, or for a wildcard socket the address of
    /// the interface with the default route.
    pub advertised_ip: Option<IpAddr>,
    /// Where every request outside a dialog goes first: `sip:host[:port]` or `host[:port]`.
    pub outbound_proxy: Option<String>,
    /// User-Agent and Server header.
    pub user_agent: String,
    /// Round-trip estimate, RFC 3261 section 17.1.1.1: 500 ms. Tests shorten it, and every timer with it.
    pub t1: Duration,
    /// What a peer may make grow.
    pub limits: SipLimits,
    /// Host names that are served by `filter` on our own socket: they resolve to [`SipStack::local_addr`] when no port is given.
    pub own_domains: Vec<String>,
    /// Sees every well-formed message before the user agents do; the local domain (registrar and proxy) lives behind it.
    pub filter: Option<Arc<dyn DatagramFilter>>,
}

impl Default for SipConfig {
    fn default() -> Self {
        SipConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5060))],
            advertised_ip: None,
            outbound_proxy: None,
            user_agent: concat!("rtmp-sip-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
            t1: Duration::from_millis(500),
            limits: SipLimits::default(),
            own_domains: Vec::new(),
            filter: None,
        }
    }
}

/// Who an agent is towards the SIP network.
#[derive(Clone)]
pub struct Identity {
    /// Address-of-record without scheme: `user@domain[:port]`.
    pub address: String,
    /// Digest user name; `None` or empty: the user part of the address.
    pub login: Option<String>,
    /// Digest password; `None` or empty: challenges are never answered.
    pub password: Option<String>,
    /// Display name of From.
    pub display_name: Option<String>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Why the stack did not start.
#[derive(Debug, thiserror::Error)]
pub enum SipStartError {
    /// A socket could not be bound.
    #[error("cannot bind SIP socket udp:{address}: {error}")]
    Bind {
        /// Asked for.
        address: SocketAddr,
        /// The system's reason.
        error: std::io::Error,
    },
    /// No listener was configured.
    #[error("no SIP listener configured")]
    NoListener,
    /// The outbound proxy is not a SIP URI.
    #[error("outbound proxy {0:?} is not a SIP address")]
    BadProxy(String),
}

/// Why an agent could not be attached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    /// The address, login or display name cannot stand in a SIP header.
    #[error("{0}")]
    BadIdentity(String),
    /// [`SipLimits::agents`] is reached, or the stack is shutting down.
    #[error("no room for another SIP user agent")]
    NoRoom,
}

/// The SIP side of the process. Clones are handles to the same one.
#[derive(Clone)]
pub struct SipStack {
    shared: Arc<Shared>,
    tasks: Arc<Tasks>,
}

/// Receive loops and timers; they end with the last handle.
struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl SipStack {
    /// Binds the sockets and starts serving. Must be called inside a tokio runtime.
    pub async fn start(config: SipConfig) -> Result<SipStack, SipStartError> {
        let shared = Shared::bind(config).await?;
        let mut tasks = vec![tokio::spawn(shared.clone().run_timers()).abort_handle()];
        for at in 0..shared.sockets.len() {
            tasks.push(tokio::spawn(front::receive(shared.clone(), at)).abort_handle());
        }
        Ok(SipStack { shared, tasks: Arc::new(Tasks(tasks)) })
    }

    /// A user agent of its own on the shared sockets. Events are awaited into `events`: a receiver that lags holds up its own agent
    /// only, one that is dropped ends the agent. Must be called inside a tokio runtime.
    pub fn attach(&self, identity: Identity, events: mpsc::Sender<SipEvent>) -> Result<SipAgent, AttachError> {
        agent::start(&self.shared, identity, agent::Reach::Registered, events)
    }

    /// An agent of the gateway's own, which takes up to `calls` calls at its contact without ever registering.
    pub fn attach_service(
        &self,
        identity: Identity,
        calls: usize,
        events: mpsc::Sender<SipEvent>,
    ) -> Result<SipAgent, AttachError> {
        agent::start(&self.shared, identity, agent::Reach::Always { calls }, events)
    }

    /// Where the first socket is bound.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.sockets[0].bound
    }

    /// The address that peers are told (Contact, Via); SDP should carry the same.
    pub fn advertised_ip(&self) -> IpAddr {
        self.shared.sockets[0].advertised.ip()
    }

    /// What came in, what was refused.
    pub fn counters(&self) -> &SipCounters {
        &self.shared.counters
    }

    /// Transactions that run or are remembered for their retransmissions.
    pub fn transactions(&self) -> usize {
        let stats = self.shared.stack.get_stats();
        stats.running_transactions + stats.finished_transactions
    }

    /// Hangs up what the agents left open, waits for the answers (at most `deadline`), then closes the sockets. Registrations end
    /// with the phones' own `Unregister`, which should come first.
    pub async fn shutdown(self, deadline: Duration) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        let end = tokio::time::Instant::now() + deadline;
        for mailbox in self.shared.mailboxes() {
            let _ = mailbox.try_send(mail::Mail::Stop);
        }
        while !self.shared.mailboxes().is_empty() && tokio::time::Instant::now() < end {
            tokio::time::sleep(SHUTDOWN_POLL).await;
        }
        self.tasks.0.iter().for_each(AbortHandle::abort);
    }
}

/// One user agent. Dropping it forgets the registration and ends open calls as well as may be (CANCEL, BYE, 480).
pub struct SipAgent {
    actions: mpsc::UnboundedSender<SipAction>,
    contact: String,
}

impl SipAgent {
    /// Hands an action to the agent; never blocks. An action for a call that is gone is ignored.
    pub fn perform(&self, action: SipAction) {
        let _ = self.actions.send(action);
    }

    /// The SIP URI at which this agent is reached directly.
    pub fn contact_uri(&self) -> &str {
        &self.contact
    }
}
