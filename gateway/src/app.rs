//! The whole program: binds everything, says where, serves until it is told to stop, and leaves nothing registered behind.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use crate::access::WebAccess;
use crate::config::{Config, Registrar};
use crate::listen::{ByteStream, TcpSource};
use crate::metrics::Metrics;
use crate::phone::admission::{Admission, AdmissionLimits, PhonePermit, Refusal};
use crate::phone::attempts::{AttemptLimits, Attempts};
use crate::phone::directory::Directory;
use crate::phone::{Connection, Gateway};
use crate::rtp_io::RtpPorts;
use crate::shutdown;
use crate::sip::local::{Access, LocalDomain, services};
use crate::sip::{AttachError, SipConfig, SipLimits, SipStack, SipStartError};
use crate::web::WebServer;
use crate::workers::{WorkerThreads, Workers};

/// Everything bound, nothing served yet.
pub struct App {
    gateway: Arc<Gateway>,
    rtmp: TcpSource,
    web: Option<WebServer>,
    addresses: Addresses,
    config: Config,
    threads: WorkerThreads,
}

/// Where the program can be reached: what was asked for, with the ports that the system chose for port 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// RTMP over TCP.
    pub rtmp: SocketAddr,
    /// SIP over UDP.
    pub sip: SocketAddr,
    /// HTTP, if served.
    pub http: Option<SocketAddr>,
}

/// Why the program did not start, and which option is meant.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A TCP listener.
    #[error("--{option}: cannot listen on {address}: {error}")]
    Listen {
        /// Name of the option.
        option: &'static str,
        /// Asked for.
        address: SocketAddr,
        /// The system's reason.
        error: io::Error,
    },
    /// The SIP side.
    #[error("--sip: {0}")]
    Sip(#[from] SipStartError),
    /// The threads of the media workers.
    #[error("--workers: {0}")]
    Workers(io::Error),
    /// The users that the local domain answers itself.
    #[error("--local-domain: {0}")]
    Services(#[from] AttachError),
}

impl App {
    /// Binds everything that the configuration names. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What could not be bound.
    pub async fn bind(config: Config) -> Result<App, StartError> {
        raise_file_limit(&config);
        let listen = |option, address| move |error| StartError::Listen { option, address, error };
        let rtmp = TcpSource::bind(config.rtmp).map_err(listen("rtmp", config.rtmp))?;
        let domain = Arc::new(local_domain(&config));
        let sip = SipStack::start(sip_config(&config, domain.clone())).await?;
        let ports = RtpPorts::new(sip.local_addr().ip(), config.rtp_ports.as_ref());
        services::start(&sip, &domain, &ports)?;
        let (workers, threads) = Workers::start(config.workers).map_err(StartError::Workers)?;
        let gateway = Arc::new(Gateway {
            workers,
            ports,
            sip,
            admission: Admission::new(AdmissionLimits {
                phones: config.max_phones,
                phones_per_ip: config.max_phones_per_ip.unwrap_or(config.max_phones),
                calls: config.max_calls,
            }),
            attempts: Attempts::new(AttemptLimits {
                burst: (config.failed_connects > 0).then_some(config.failed_connects),
                interval: config.failed_connect_interval,
            }),
            directory: Directory::new(config.max_phones_per_address),
            metrics: Metrics::leak(),
            limits: config.limits,
            codecs: config.codecs.clone(),
            access: WebAccess::new(
                config.token_secrets.clone(),
                config.web_accounts.clone(),
                !config.password_arguments,
            ),
        });
        let web = match config.http {
            Some(address) => Some(WebServer::bind(address).await.map_err(listen("http", address))?),
            None => None,
        };
        let addresses = Addresses {
            rtmp: rtmp.local_addr().map_err(listen("rtmp", config.rtmp))?,
            sip: gateway.sip.local_addr(),
            http: web.as_ref().and_then(|web| web.local_addr().ok()),
        };
        Ok(App { gateway, rtmp, web, addresses, config, threads })
    }

    /// Where the program can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What the program prints when it is up: where it listens, and what to try next.
    pub fn greeting(&self) -> String {
        let (config, at) = (&self.config, &self.addresses);
        let bound = Config {
            rtmp: at.rtmp,
            http: at.http,
            sip: std::iter::once(at.sip).chain(config.sip.iter().skip(1).copied()).collect(),
            ..config.clone()
        };
        let mut text = format!("rtmp-sip-gateway {}\n{}Try next:\n", env!("CARGO_PKG_VERSION"), bound.describe());
        let domain = &config.local_domain;
        if let Some(http) = at.http {
            let _ = writeln!(text, "  open http://{http}/ in a browser: a phone, and how to connect others");
        }
        if config.registrar == Registrar::Open {
            let (rtmp, sip) = (at.rtmp, at.sip);
            let _ =
                writeln!(text, "  register a softphone as sip:me@{domain}, proxy {sip}, and call sip:echo@{domain}");
            let _ = writeln!(
                text,
                "  connect an RTMP phone to rtmp://{rtmp}/sip/alice@{domain}, call it at sip:alice@{domain}"
            );
        } else {
            let _ = writeln!(text, "  connect an RTMP phone to rtmp://{}/sip/user@your.domain", at.rtmp);
        }
        text.push_str("Ctrl-C hangs up, un-registers and ends.\n");
        text
    }

    /// Serves until `stop` is ready, then hangs up, un-registers and ends, all within [`shutdown::GRACE`].
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let App { gateway, rtmp, web, addresses, config, threads } = self;
        info!(rtmp = %addresses.rtmp, sip = %addresses.sip, http = ?addresses.http, "started");
        let web = web.map(|web| tokio::spawn(web.run(gateway.clone(), config, addresses)));
        tokio::select! {
            () = stop => {}
            () = accept_phones(&gateway, &rtmp) => {}
        }
        let end = Instant::now() + shutdown::GRACE;
        drop(rtmp);
        gateway.directory.close();
        if timeout(shutdown::PHONES_GRACE, gateway.directory.empty()).await.is_err() {
            warn!(left = gateway.directory.len(), "phones whose calls or registrations did not end in time");
        }
        let rest = end.saturating_duration_since(Instant::now()).saturating_sub(Duration::from_millis(300));
        gateway.sip.clone().shutdown(rest).await;
        if let Some(web) = web {
            web.abort();
        }
        drop(threads);
        info!("ended");
    }
}

async fn accept_phones(gateway: &Arc<Gateway>, source: &TcpSource) {
    loop {
        let (stream, peer) = source.accept().await;
        if let Ok(permit) = admit(gateway, peer) {
            serve(gateway, stream, peer, permit, std::future::ready);
        }
    }
}

/// A place for a phone at `peer`, if there is one left.
pub(crate) fn admit(gateway: &Gateway, peer: SocketAddr) -> Result<PhonePermit, Refusal> {
    gateway.metrics.connections.add();
    gateway.admission.phone(peer.ip()).inspect_err(|refusal| {
        gateway.metrics.connections_refused.add();
        debug!(%peer, %refusal, "phone turned away");
    })
}

/// Gives a phone that was let in a task of its own on a media worker. `dress` makes of its socket what its bytes travel on.
pub(crate) fn serve<S, D>(
    gateway: &Arc<Gateway>,
    socket: TcpStream,
    peer: SocketAddr,
    permit: PhonePermit,
    dress: impl FnOnce(TcpStream) -> D + Send + 'static,
) where
    S: ByteStream,
    D: Future<Output = S> + Send + 'static,
{
    let (gateway, socket) = (gateway.clone(), socket.into_std());
    gateway.workers.clone().place(async move |place| {
        // A socket belongs to the runtime that waits for it.
        let stream = match socket.and_then(TcpStream::from_std) {
            Ok(socket) => dress(socket).await,
            Err(error) => return warn!(%peer, %error, "a phone's socket cannot be moved to its worker"),
        };
        if let Some(connection) = Connection::new(gateway, stream, peer, permit, place) {
            tokio::spawn(connection);
        }
    });
}

fn local_domain(config: &Config) -> LocalDomain {
    let access = match &config.registrar {
        Registrar::Open => Access::Open,
        Registrar::Users(users) => {
            Access::Users(users.iter().map(|user| (user.name.clone(), user.password.clone())).collect())
        }
    };
    LocalDomain::new(&config.local_domain, config.external_ip, access, &services::USERS)
}

fn sip_config(config: &Config, domain: Arc<LocalDomain>) -> SipConfig {
    let standard = SipConfig::default();
    SipConfig {
        listen: config.sip.clone(),
        advertised_ip: config.external_ip,
        outbound_proxy: config.sip_proxy.clone(),
        own_domains: vec![config.local_domain.clone()],
        filter: Some(domain),
        // A replaced phone and its successor are there at the same time for a moment.
        limits: SipLimits {
            agents: standard.limits.agents.max(config.max_phones.saturating_mul(2)),
            ..standard.limits
        },
        ..standard
    }
}

/// Asks for as many descriptors as the administrator allows: one a phone, two a call. The usual soft limit of 1024 is there for
/// programs that use `select`, and this is none.
fn raise_file_limit(config: &Config) {
    let needed = config.max_phones.saturating_add(config.max_calls.saturating_mul(2)) as u64;
    match rlimit::increase_nofile_limit(needed.saturating_add(256)) {
        Ok(limit) if limit < needed => {
            info!(limit, needed, "open files are limited: not all of max-phones and max-calls will find room");
        }
        Ok(_) => {}
        Err(error) => warn!(%error, "cannot raise the limit of open files"),
    }
}
