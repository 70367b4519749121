//! Our UDP sockets, and the shape in which rsipstack takes them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;

use rsipstack::platform::net::UdpSocket as PlatformSocket;
use rsipstack::transport::connection::SipConnection;
use rsipstack::transport::udp::UdpConnection;

use super::counters::SipCounters;
use super::message::without_placeholder;

/// One bound socket. Sending never waits: what the system does not take at once is lost, like any datagram may be.
pub(crate) struct Socket {
    send: UdpSocket,
    pub(crate) receive: tokio::net::UdpSocket,
    pub(crate) bound: SocketAddr,
    /// What Via and Contact say.
    pub(crate) advertised: SocketAddr,
    counters: Arc<SipCounters>,
}

impl Socket {
    pub(crate) fn bind(
        address: SocketAddr,
        advertised_ip: Option<IpAddr>,
        counters: Arc<SipCounters>,
    ) -> io::Result<Socket> {
        let send = UdpSocket::bind(address)?;
        send.set_nonblocking(true)?;
        let receive = tokio::net::UdpSocket::from_std(send.try_clone()?)?;
        let bound = send.local_addr()?;
        let ip = advertised_ip.filter(|ip| ip.is_ipv4() == bound.is_ipv4()).unwrap_or_else(|| own_ip(bound.ip()));
        Ok(Socket { send, receive, bound, advertised: SocketAddr::new(ip, bound.port()), counters })
    }

    /// Whether the system would send from here to there.
    pub(crate) fn reaches(&self, to: SocketAddr) -> bool {
        self.bound.is_ipv4() == to.is_ipv4() && (to.ip().is_loopback() || !self.bound.ip().is_loopback())
    }

    pub(crate) fn send(&self, datagram: &[u8], to: SocketAddr) {
        crate::logging::sip_message("->", to, datagram);
        match self.send.send_to(&without_placeholder(datagram), to) {
            Ok(_) => self.counters.sent.add(),
            Err(error) => {
                self.counters.send_errors.add();
                tracing::debug!(%to, %error, "SIP datagram not sent");
            }
        }
    }
}

/// A wildcard socket is reached at the address of the interface with the default route. Connecting a UDP socket sends nothing.
fn own_ip(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let (any, elsewhere) = match bound {
        IpAddr::V4(_) => ("0.0.0.0:0", "192.0.2.1:9"),
        IpAddr::V6(_) => ("[::]:0", "[2001:db8::1]:9"),
    };
    let probe = || UdpSocket::bind(any).and_then(|s| s.connect(elsewhere).and_then(|()| s.local_addr()));
    probe().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

/// A socket to the stack. It only sends: datagrams come to the stack through the front, already parsed.
struct StackSocket(Arc<Socket>);

type Pending<'a, T> = Pin<Box<dyn Future<Output = rsipstack::Result<T>> + Send + 'a>>;

impl PlatformSocket for StackSocket {
    fn recv_from<'s, 'b, 'f>(&'s self, _: &'b mut [u8]) -> Pending<'f, (usize, SocketAddr)>
    where
        's: 'f,
        'b: 'f,
        Self: 'f,
    {
        Box::pin(std::future::pending())
    }

    fn send_to<'s, 'b, 'f>(&'s self, datagram: &'b [u8], to: SocketAddr) -> Pending<'f, usize>
    where
        's: 'f,
        'b: 'f,
        Self: 'f,
    {
        self.0.send(datagram, to);
        Box::pin(std::future::ready(Ok(datagram.len())))
    }

    fn local_addr(&self) -> rsipstack::Result<SocketAddr> {
        Ok(self.0.bound)
    }
}

/// The connection that the stack's transactions send through.
pub(crate) async fn stack_connection(socket: Arc<Socket>) -> rsipstack::Result<SipConnection> {
    let advertised = socket.advertised;
    Ok(UdpConnection::from_socket(Arc::new(StackSocket(socket)), Some(advertised), None).await?.into())
}
