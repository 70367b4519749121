//! The real binary, started on ports of its own and ended by its process id.

use crate::tools::Peer;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::process::Command;

/// How a test wants its gateway.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Address of every listener.
    pub ip: IpAddr,
    /// More arguments.
    pub args: Vec<String>,
    /// `RUST_LOG` of the gateway.
    pub log: String,
    /// RTP ports; a range of its own if `None`.
    pub rtp_ports: Option<(u16, u16)>,
    /// The binary; the one under test if `None`.
    pub binary: Option<PathBuf>,
    /// Whether ports are chosen and given as arguments; if not, the gateway's own defaults apply.
    pub own_ports: bool,
}

impl Default for GatewayOptions {
    fn default() -> Self {
        Self {
            ip: Ipv4Addr::LOCALHOST.into(),
            args: Vec::new(),
            log: "debug".into(),
            rtp_ports: None,
            binary: None,
            own_ports: true,
        }
    }
}

/// A running gateway.
pub struct Gateway {
    process: Peer,
    /// Where RTMP phones connect.
    pub rtmp: SocketAddr,
    /// Its SIP address (UDP).
    pub sip: SocketAddr,
    /// Its HTTP address.
    pub http: SocketAddr,
}

impl Gateway {
    /// Starts one on loopback with free ports.
    pub async fn start() -> Self {
        Self::start_with(GatewayOptions::default()).await
    }

    /// Starts one, and waits until phones can connect.
    ///
    /// # Panics
    /// When the binary is missing, or listens on nothing within 10 s.
    pub async fn start_with(options: GatewayOptions) -> Self {
        let (rtmp, sip, http) = if options.own_ports {
            (free_tcp(options.ip), free_udp_and_tcp(options.ip), free_tcp(options.ip))
        } else {
            let at = |port| SocketAddr::new(options.ip, port);
            (at(1935), at(5060), at(8080))
        };
        let mut command = Command::new(options.binary.clone().unwrap_or_else(binary));
        if options.own_ports {
            let ports = options.rtp_ports.unwrap_or_else(rtp_ports);
            command.args(["--rtmp", &rtmp.to_string(), "--sip", &sip.to_string(), "--http", &http.to_string()]);
            command.args(["--rtp-ports", &format!("{}-{}", ports.0, ports.1)]);
        }
        command.args(&options.args).env("RUST_LOG", &options.log).env("NO_COLOR", "1");
        let mut process = Peer::start("gateway", &mut command);
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(rtmp).await.is_err() {
            assert!(process.is_running(), "the gateway ended at once:\n{}", process.said());
            assert!(Instant::now() < end, "the gateway does not listen on {rtmp}:\n{}", process.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, rtmp, sip, http }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// All that it printed.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// Waits for a line of its log.
    pub async fn wait_log(&self, text: &str, patience: Duration) -> String {
        self.process.wait_for(text, patience).await
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        self.process.signal("INT");
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits for its end.
    pub async fn wait_end(&mut self, patience: Duration) -> ExitStatus {
        self.process.wait_end(patience).await
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> u64 {
        resident(self.pid())
    }
}

/// Resident memory of a process in bytes (VmRSS).
pub fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The binary under test: `RTMP_SIP_GATEWAY`, or the newest that stands beside this test's own profile folders.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("RTMP_SIP_GATEWAY") {
        return path.into();
    }
    // .../target/PROFILE/deps/test-hash -> .../target
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    let built = |profile: &str| target.map(|folder| folder.join(profile).join("rtmp-sip-gateway"));
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let newest = [built("release"), built("debug")].into_iter().flatten().filter(|p| p.exists()).max_by_key(age);
    newest.unwrap_or_else(|| {
        panic!("no rtmp-sip-gateway under {target:?}: `cargo build --release`, or name one in RTMP_SIP_GATEWAY")
    })
}

/// A TCP port that is free now.
pub fn free_tcp(ip: IpAddr) -> SocketAddr {
    TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap()
}

/// A port that is free now for UDP and for TCP.
pub fn free_udp_and_tcp(ip: IpAddr) -> SocketAddr {
    loop {
        let address = UdpSocket::bind((ip, 0)).unwrap().local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// A range of its own for each gateway, below the ports that the kernel gives out by itself.
fn rtp_ports() -> (u16, u16) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(7) + COUNT.fetch_add(1, Ordering::Relaxed);
    let low = 10_000 + (number % 110) as u16 * 200;
    (low, low + 199)
}
