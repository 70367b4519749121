//! What all agents share: the sockets, rsipstack's transaction layer, and the table that finds an agent by its token.
//!
//! rsipstack is used from its transaction layer down to "send these bytes", through public parts of its API: the front calls
//! `on_received_message` itself, so its receive loop (8 KB buffer) never runs. Its senders log whole messages, credentials and all, at
//! info: `logging.rs` keeps that crate at warn whatever is asked for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use rsipstack::EndpointBuilder;
use rsipstack::sip::{Header, Headers, SipMessage};
use rsipstack::transaction::endpoint::{EndpointInnerRef, EndpointOption, MessageInspector};
use rsipstack::transport::{SipAddr, SipConnection};
use tokio::sync::mpsc;

use super::address::SipUri;
use super::callees::Callees;
use super::counters::SipCounters;
use super::filter::{DatagramFilter, DatagramSender};
use super::mail::Mail;
use super::message;
use super::reply::Replier;
use super::request::Draft;
use super::resolve::Resolver;
use super::socket::{Socket, stack_connection};
use super::{SipConfig, SipLimits, SipStartError};

/// rsipstack looks for due timers when it is woken; a wake-up can be lost between its look and its sleep (`Timer::wait_for_ready`
/// drops its lock before it listens). Looking again this often bounds what that costs.
const TIMER_HEARTBEAT: Duration = Duration::from_millis(200);
/// A call may ring as long as the callee's side lets it: RFC 3261 gives timer C to proxies only.
const NO_TIMER_C: Duration = Duration::from_secs(24 * 3600);
/// Marks a final response that the transaction layer made up because none came.
const LOCAL_TIMEOUT: &str = "Request timeout";

pub(crate) struct Shared {
    pub(crate) sockets: Vec<Arc<Socket>>,
    /// The stack's view of the sockets, in the same order.
    pub(crate) connections: Vec<SipConnection>,
    pub(crate) stack: EndpointInnerRef,
    pub(crate) resolver: Resolver,
    pub(crate) replier: Replier,
    pub(crate) counters: Arc<SipCounters>,
    pub(crate) limits: SipLimits,
    pub(crate) filter: Option<Arc<dyn DatagramFilter>>,
    pub(crate) user_agent: String,
    pub(crate) proxy: Option<SipUri>,
    pub(crate) t1: Duration,
    pub(crate) stopping: AtomicBool,
    /// By Contact token and by tag stem.
    agents: RwLock<HashMap<String, mpsc::Sender<Mail>>>,
    pub(crate) callees: Callees,
}

impl Shared {
    pub(crate) async fn bind(config: SipConfig) -> Result<Arc<Shared>, SipStartError> {
        let counters = Arc::new(SipCounters::default());
        let mut sockets = Vec::new();
        let mut connections = Vec::new();
        for address in config.listen.iter().copied() {
            let bound = Socket::bind(address, config.advertised_ip, counters.clone());
            let socket = Arc::new(bound.map_err(|error| SipStartError::Bind { address, error })?);
            let connection = stack_connection(socket.clone()).await;
            connections.push(
                connection.map_err(|e| SipStartError::Bind { address, error: std::io::Error::other(e.to_string()) })?,
            );
            sockets.push(socket);
        }
        let first = sockets.first().ok_or(SipStartError::NoListener)?;
        let proxy = config
            .outbound_proxy
            .as_deref()
            .map(|text| read_proxy(text).ok_or(SipStartError::BadProxy(text.to_owned())));
        let own = SocketAddr::new(first.advertised.ip(), first.bound.port());
        let shared = Arc::new(Shared {
            resolver: Resolver::new(config.own_domains, own),
            replier: Replier::new(&config.user_agent),
            stack: transaction_layer(&config.user_agent, config.t1),
            sockets,
            connections,
            counters,
            limits: config.limits,
            filter: config.filter,
            user_agent: config.user_agent,
            proxy: proxy.transpose()?,
            t1: config.t1,
            stopping: AtomicBool::new(false),
            agents: RwLock::default(),
            callees: Callees::default(),
        });
        if let Some(filter) = &shared.filter {
            filter.started(shared.sender());
        }
        Ok(shared)
    }

    fn sender(&self) -> DatagramSender {
        let sockets = self.sockets.clone();
        let send = move |datagram: &[u8], to: SocketAddr| socket_for(&sockets, to).send(datagram, to);
        DatagramSender::new(self.sockets[0].bound, send)
    }

    /// Runs the stack's timers; ends with the task.
    pub(crate) async fn run_timers(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(TIMER_HEARTBEAT, self.stack.process_timer()).await;
        }
    }

    /// The socket that reaches an address, and its index.
    pub(crate) fn route(&self, to: SocketAddr) -> (usize, &Arc<Socket>) {
        let at = self.sockets.iter().position(|s| s.bound.is_ipv4() == to.is_ipv4()).unwrap_or(0);
        (at, &self.sockets[at])
    }

    /// `SIP/2.0/UDP host:port;rport;branch=...` for a request to `to`.
    pub(crate) fn via(&self, to: SocketAddr, branch: &str) -> String {
        format!("SIP/2.0/UDP {};rport;branch={branch}", self.route(to).1.advertised)
    }

    /// Sends a request that is no transaction: the ACK to a 2xx (RFC 3261 section 13.2.2.4).
    pub(crate) fn send_ack(self: &Arc<Self>, ack: &Draft, branch: &str) {
        let send = |shared: &Shared, ack: &Draft, branch: &str, to: SocketAddr| {
            let request = ack.to_request(&shared.via(to, branch), &shared.user_agent);
            shared.route(to).1.send(&request.to_bytes(), to);
        };
        if let Some(to) = self.resolver.literal(&ack.next_hop) {
            return send(self, ack, branch, to);
        }
        let (shared, ack, branch) = (self.clone(), ack.clone(), branch.to_owned());
        tokio::spawn(async move {
            match shared.resolver.resolve(&ack.next_hop).await {
                Ok(to) => send(&shared, &ack, &branch, to),
                Err(_) => tracing::warn!(host = ack.next_hop.host, "ACK not sent: host does not resolve"),
            }
        });
    }

    /// Enters an agent under its names; `false` if there is no room.
    pub(crate) fn enter(&self, names: [&str; 2], mailbox: &mpsc::Sender<Mail>) -> bool {
        let mut agents = self.agents.write().unwrap_or_else(|e| e.into_inner());
        if agents.len() >= 2 * self.limits.agents || self.stopping.load(Ordering::Relaxed) {
            return false;
        }
        agents.extend(names.map(|name| (name.to_owned(), mailbox.clone())));
        true
    }

    pub(crate) fn leave(&self, names: [&str; 2]) {
        let mut agents = self.agents.write().unwrap_or_else(|e| e.into_inner());
        for name in names {
            agents.remove(name);
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<mpsc::Sender<Mail>> {
        self.agents.read().unwrap_or_else(|e| e.into_inner()).get(name).cloned()
    }

    pub(crate) fn mailboxes(&self) -> Vec<mpsc::Sender<Mail>> {
        self.agents.read().unwrap_or_else(|e| e.into_inner()).values().cloned().collect()
    }

    /// 64*T1: how long a transaction may wait (RFC 3261 section 17).
    pub(crate) fn patience(&self) -> Duration {
        64 * self.t1
    }

    pub(crate) fn is_full(&self) -> bool {
        self.stack.transactions.len() + self.stack.finished_transactions.len() >= self.limits.transactions
    }
}

fn socket_for(sockets: &[Arc<Socket>], to: SocketAddr) -> &Socket {
    sockets.iter().find(|s| s.bound.is_ipv4() == to.is_ipv4()).unwrap_or(&sockets[0])
}

/// `sip:host[:port]` or the same without scheme.
fn read_proxy(text: &str) -> Option<SipUri> {
    let with_scheme = if text.contains("sip:") { text.to_owned() } else { format!("sip:{text}") };
    SipUri::parse(&with_scheme)
}

fn transaction_layer(user_agent: &str, t1: Duration) -> EndpointInnerRef {
    let option = EndpointOption {
        t1,
        t2: 8 * t1,
        t4: 10 * t1,
        t1x64: 64 * t1,
        timerc: NO_TIMER_C,
        // The ACK to a 2xx is the dialog's (RFC 3261 section 13.2.2.4), and so is every repetition and fork of the 2xx.
        auto_ack_2xx: false,
        ..EndpointOption::default()
    };
    EndpointBuilder::new()
        .with_user_agent(user_agent)
        .with_option(option)
        .with_inspector(Box::new(MarkLocal))
        .build()
        .inner
}

/// The stack tells its user of a timeout by a 408 of its own making, which comes from nowhere; it gets siprtmp's phrase.
struct MarkLocal;

impl MessageInspector for MarkLocal {
    fn before_send(&self, message: SipMessage, _: Option<&SipAddr>) -> SipMessage {
        message
    }

    fn after_received(&self, message: SipMessage, from: Option<&SipAddr>) -> SipMessage {
        match message {
            SipMessage::Response(mut response) if from.is_none() && response.status_code.code() == 408 => {
                response.status_code = message::status(408, LOCAL_TIMEOUT);
                response.into()
            }
            other => other,
        }
    }
}

/// The headers of a request that its response repeats (RFC 3261 section 8.2.6.2).
pub(crate) fn echoed(request: &Headers) -> Vec<Header> {
    let repeated = |h: &&Header| {
        matches!(
            h,
            Header::Via(_)
                | Header::From(_)
                | Header::To(_)
                | Header::CallId(_)
                | Header::CSeq(_)
                | Header::Timestamp(_)
        )
    };
    request.iter().filter(repeated).cloned().collect()
}
