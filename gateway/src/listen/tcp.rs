//! RTMP over plain TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::warn;

/// Connections that wait to be accepted: a thousand phones that come back at once are to find room.
const BACKLOG: i32 = 1_024;

/// Bytes that the system may hold unsent for a phone. What it holds cannot be dropped any more when it gets late, so it is little:
/// 1 kB is 300 ms of Speex or 120 ms of G.711 (the phone's outbox drops what waits longer before that).
const UNSENT_MAX: u32 = 1_024;

/// After the system refused a connection (no descriptors left, most likely), how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// A TCP listener.
#[derive(Debug)]
pub struct TcpSource {
    listener: TcpListener,
}

impl TcpSource {
    /// Listens on `address`. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// The system's.
    pub fn bind(address: SocketAddr) -> io::Result<TcpSource> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the old process's connections to time out.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpSource { listener: TcpListener::from_std(socket.into())? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next phone. Goes on after what the system refuses.
    pub async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    prepare(&stream);
                    return (stream, peer);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    warn!(%error, "cannot accept RTMP connections");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Makes a phone's stream one for talking: small messages leave at once and do not pile up in the system. A stream that is reset
/// meanwhile shows it when it is read.
pub fn prepare(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_MAX);
}
