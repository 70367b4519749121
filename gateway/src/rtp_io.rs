//! RTP and RTCP sockets: an even port and the one above it for each call (RFC 3550 section 11), never blocking.
//!
//! Ports of a call that ended rest for [`REST`], so that its peer's last packets do not fall into the next call.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use socket2::{SockAddr, SockRef};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::config::PortRange;

/// How long the ports of an ended call are not used again.
pub const REST: Duration = Duration::from_secs(5);

/// Ends of calls that are remembered; more calls than this ending within [`REST`] shorten the rest of the oldest.
const RESTING_MAX: usize = 4_096;

/// Ports that the system may offer before we give up finding an even one with a free neighbour.
const TRIES: usize = 64;

/// Where calls get their ports. One for the process.
#[derive(Debug)]
pub struct RtpPorts {
    ip: IpAddr,
    /// Even ports; empty: the system chooses.
    even_ports: Vec<u16>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Index of the port that is tried next: going round makes a port rest as long as can be.
    next: usize,
    resting: VecDeque<(Instant, u16)>,
}

/// The two sockets of one call.
#[derive(Debug)]
pub struct RtpSockets {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    port: u16,
    ports: Arc<RtpPorts>,
}

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// The even port.
    Rtp,
    /// The odd port.
    Rtcp,
}

impl RtpPorts {
    /// Ports on `ip`, from the range or as the system gives them.
    pub fn new(ip: IpAddr, range: Option<&PortRange>) -> Arc<RtpPorts> {
        let even_ports: Vec<u16> = range.map(|range| range.even_ports().collect()).unwrap_or_default();
        // Not from the bottom after each restart: peers of the calls before may still be sending.
        let next = if even_ports.is_empty() { 0 } else { rand::random_range(0..even_ports.len()) };
        Arc::new(RtpPorts { ip, even_ports, state: Mutex::new(State { next, resting: VecDeque::new() }) })
    }

    /// Sockets for one call. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// No pair of ports is free, or the system gives no sockets.
    pub fn bind(self: &Arc<Self>, now: Instant) -> io::Result<RtpSockets> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.resting.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) >= REST) {
            state.resting.pop_front();
        }
        let mut failure = io::ErrorKind::AddrInUse.into();
        for _ in 0..if self.even_ports.is_empty() { TRIES } else { self.even_ports.len() } {
            let port = self.even_ports.get(state.next).copied();
            state.next = (state.next + 1).checked_rem(self.even_ports.len()).unwrap_or(0);
            if port.is_some_and(|port| state.rests(port)) {
                continue;
            }
            match self.bind_pair(port) {
                Ok((_, _, port)) if state.rests(port) => {}
                Ok((rtp, rtcp, port)) => {
                    return Ok(RtpSockets {
                        rtp: UdpSocket::from_std(rtp)?,
                        rtcp: UdpSocket::from_std(rtcp)?,
                        port,
                        ports: self.clone(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // Out of descriptors, no such address: another port would not help.
                Err(error) => {
                    failure = error;
                    break;
                }
            }
        }
        Err(failure)
    }

    /// Binds `port` (or what the system gives) and the port above it.
    fn bind_pair(&self, port: Option<u16>) -> io::Result<(StdSocket, StdSocket, u16)> {
        let rtp = StdSocket::bind((self.ip, port.unwrap_or(0)))?;
        let port = rtp.local_addr()?.port();
        if !port.is_multiple_of(2) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let rtcp = StdSocket::bind((self.ip, port + 1))?;
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        Ok((rtp, rtcp, port))
    }
}

impl State {
    fn rests(&self, port: u16) -> bool {
        self.resting.iter().any(|(_, resting)| *resting == port)
    }
}

impl RtpSockets {
    /// The RTP port; RTCP is the one above.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Takes a datagram: how long it is, and who sent it. Wakes the task of `cx` if there is none yet. Longer datagrams than `buffer`
    /// are cut.
    ///
    /// # Errors
    /// The system's; an ICMP error that came back for a packet of ours is none.
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        channel: Channel,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<SocketAddr>> {
        match self.socket(channel).poll_recv_from(cx, buffer) {
            Poll::Ready(Err(error)) if is_icmp(&error) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            other => other,
        }
    }

    /// Sends a datagram now or not at all: what the system has no room for is lost, as on the way.
    ///
    /// # Errors
    /// The system's.
    pub fn send(&self, channel: Channel, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        // Around tokio's readiness: a socket whose first writable event was not seen yet would refuse.
        match SockRef::from(self.socket(channel)).send_to(datagram, &SockAddr::from(to)) {
            Err(error) if !is_icmp(&error) => Err(error),
            _ => Ok(()),
        }
    }

    fn socket(&self, channel: Channel) -> &UdpSocket {
        match channel {
            Channel::Rtp => &self.rtp,
            Channel::Rtcp => &self.rtcp,
        }
    }
}

impl Drop for RtpSockets {
    fn drop(&mut self) {
        let mut state = self.ports.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.resting.len() == RESTING_MAX {
            state.resting.pop_front();
        }
        state.resting.push_back((Instant::now(), self.port));
    }
}

/// A port at the peer that is closed comes back as an error of our next call.
fn is_icmp(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const IP: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Two pairs that were free a moment ago.
    fn small_range() -> PortRange {
        let socket = StdSocket::bind((IP, 0)).unwrap();
        let low = (socket.local_addr().unwrap().port() & !1).min(65_500);
        format!("{low}-{}", low + 7).parse().unwrap()
    }

    #[tokio::test]
    async fn a_call_gets_an_even_port_and_the_one_above_it() {
        for _ in 0..20 {
            let sockets = RtpPorts::new(IP, None).bind(Instant::now()).unwrap();
            assert!(sockets.port().is_multiple_of(2));
            assert_eq!(sockets.rtcp.local_addr().unwrap().port(), sockets.port() + 1);
        }
    }

    #[tokio::test]
    async fn ports_of_the_range_rest_after_their_call_and_then_come_back() {
        let ports = RtpPorts::new(IP, Some(&small_range()));
        let now = Instant::now();
        let calls: Vec<RtpSockets> = std::iter::from_fn(|| ports.bind(now).ok()).collect();
        assert!(!calls.is_empty() && calls.len() <= 4);
        let count = calls.len();
        drop(calls);
        assert_eq!(ports.bind(now).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let later = Instant::now() + REST;
        let again: Vec<RtpSockets> = std::iter::from_fn(|| ports.bind(later).ok()).collect();
        assert_eq!(again.len(), count);
    }

    #[tokio::test]
    async fn datagrams_pass_both_ways_from_the_first_on() {
        let ports = RtpPorts::new(IP, None);
        let (one, other) = (ports.bind(Instant::now()).unwrap(), ports.bind(Instant::now()).unwrap());
        one.send(Channel::Rtcp, b"report", (IP, other.port() + 1).into()).unwrap();
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        let from = std::future::poll_fn(|cx| other.poll_recv(cx, Channel::Rtcp, &mut buffer)).await.unwrap();
        assert_eq!((buffer.filled(), from), (&b"report"[..], (IP, one.port() + 1).into()));
    }

    #[tokio::test]
    async fn a_closed_port_at_the_peer_is_no_error() {
        let ports = RtpPorts::new(IP, None);
        let sockets = ports.bind(Instant::now()).unwrap();
        let gone = ports.bind(Instant::now()).unwrap().port();
        for _ in 0..3 {
            sockets.send(Channel::Rtp, b"x", (IP, gone).into()).unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut space = [0; 8];
        let mut buffer = ReadBuf::new(&mut space);
        let outcome =
            std::future::poll_fn(|cx| Poll::Ready(sockets.poll_recv(cx, Channel::Rtp, &mut buffer).is_pending())).await;
        assert!(outcome);
    }
}
