//! A bad network that is bad in the same way every time: relays for UDP (loss, repeats, disorder, delay) and TCP (stalls).

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Repeatable chance (SplitMix64).
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The same seed gives the same chances.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 even bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 0 to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True this often.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

/// How bad a path is; each direction draws its own chances.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Share of datagrams that vanish.
    pub loss: f64,
    /// Share that comes twice.
    pub repeat: f64,
    /// Every datagram waits this long.
    pub delay: Duration,
    /// And up to this much longer, evenly drawn: more than the spacing of packets means disorder.
    pub jitter: Duration,
}

/// What a relay did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Datagrams that came in.
    pub came: AtomicU64,
    /// Those that vanished.
    pub lost: AtomicU64,
}

/// Two UDP sockets back to back with weather between them.
///
/// ```text
///   gateway  <-->  near socket | weather | far socket  <-->  peer
/// ```
pub struct UdpRelay {
    near: SocketAddr,
    far: SocketAddr,
    gateway: watch::Sender<Option<SocketAddr>>,
    tally: Arc<Tally>,
    tasks: Vec<JoinHandle<()>>,
}

impl UdpRelay {
    /// A relay to `peer`. The gateway's address is learnt from what it sends, or told by [`UdpRelay::set_gateway`].
    pub async fn new(ip: IpAddr, peer: SocketAddr, weather: Weather, seed: u64) -> Self {
        let near_socket = Arc::new(UdpSocket::bind((ip, 0)).await.unwrap());
        let far_socket = Arc::new(UdpSocket::bind((ip, 0)).await.unwrap());
        let (near, far) = (near_socket.local_addr().unwrap(), far_socket.local_addr().unwrap());
        let tally = Arc::new(Tally::default());
        let (gateway, heard) = watch::channel(None);
        let learn = gateway.clone();
        let (_, always_peer) = watch::channel(Some(peer));
        let tasks = vec![
            tokio::spawn(carry(
                Arc::clone(&near_socket),
                Arc::clone(&far_socket),
                always_peer,
                Some(learn),
                weather,
                Chance::new(seed),
                Arc::clone(&tally),
            )),
            tokio::spawn(carry(
                far_socket,
                near_socket,
                heard,
                None,
                weather,
                Chance::new(seed ^ 0xFA2),
                Arc::clone(&tally),
            )),
        ];
        Self { near, far, gateway, tally, tasks }
    }

    /// Where the gateway sends.
    pub fn near(&self) -> SocketAddr {
        self.near
    }

    /// Where the peer sends.
    pub fn far(&self) -> SocketAddr {
        self.far
    }

    /// Tells where datagrams of the peer go, before the gateway has sent any.
    pub fn set_gateway(&self, address: SocketAddr) {
        self.gateway.send_replace(Some(address));
    }

    /// Datagrams that came and that vanished, both ways together.
    pub fn tally(&self) -> (u64, u64) {
        (self.tally.came.load(Ordering::Relaxed), self.tally.lost.load(Ordering::Relaxed))
    }
}

impl Drop for UdpRelay {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn carry(
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    target: watch::Receiver<Option<SocketAddr>>,
    learn: Option<watch::Sender<Option<SocketAddr>>>,
    weather: Weather,
    mut chance: Chance,
    tally: Arc<Tally>,
) {
    let mut buffer = [0; 65_536];
    while let Ok((length, source)) = from.recv_from(&mut buffer).await {
        if let Some(learn) = &learn {
            learn.send_replace(Some(source));
        }
        tally.came.fetch_add(1, Ordering::Relaxed);
        // All chances are drawn for each datagram, so that one setting does not shift the others.
        let (lost, repeated, late) = (chance.happens(weather.loss), chance.happens(weather.repeat), chance.unit());
        if lost {
            tally.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let Some(target) = *target.borrow() else { continue };
        let wait = weather.delay + weather.jitter.mul_f64(late);
        let datagram = buffer[..length].to_vec();
        for _ in 0..=usize::from(repeated) {
            if wait.is_zero() {
                let _ = to.send_to(&datagram, target).await;
            } else {
                let (to, datagram) = (Arc::clone(&to), datagram.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    let _ = to.send_to(&datagram, target).await;
                });
            }
        }
    }
}

/// A TCP relay whose bytes can be made to stand still, as on a mobile link: nothing is lost, all comes late and at once.
pub struct TcpRelay {
    address: SocketAddr,
    stalled_until: Arc<Mutex<Instant>>,
    task: JoinHandle<()>,
}

impl TcpRelay {
    /// A relay to a server.
    pub async fn new(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((server.ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stalled_until = Arc::new(Mutex::new(Instant::now()));
        let stall = Arc::clone(&stalled_until);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(upstream) = TcpStream::connect(server).await else { continue };
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = upstream.into_split();
                tokio::spawn(pump(client_read, server_write, Arc::clone(&stall)));
                tokio::spawn(pump(server_read, client_write, Arc::clone(&stall)));
            }
        });
        Self { address, stalled_until, task }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Nothing moves for this long, either way.
    pub fn stall(&self, time: Duration) {
        *self.stalled_until.lock().unwrap() = Instant::now() + time;
    }
}

impl Drop for TcpRelay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    stalled_until: Arc<Mutex<Instant>>,
) {
    let mut buffer = vec![0; 16_384];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        loop {
            let until = *stalled_until.lock().unwrap();
            if until <= Instant::now() {
                break;
            }
            tokio::time::sleep_until(until.into()).await;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_relay_loses_the_share_it_was_told_and_the_same_datagrams_each_time() {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let peer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let weather = Weather { loss: 0.3, ..Weather::default() };
            let relay = UdpRelay::new("127.0.0.1".parse().unwrap(), peer.local_addr().unwrap(), weather, 5).await;
            let gateway = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            for n in 0..100u8 {
                gateway.send_to(&[n], relay.near()).await.unwrap();
            }
            let mut came = Vec::new();
            let mut buffer = [0; 8];
            while let Ok(Ok(_)) = tokio::time::timeout(Duration::from_millis(200), peer.recv_from(&mut buffer)).await {
                came.push(buffer[0]);
            }
            assert_eq!(relay.tally().1, 100 - came.len() as u64);
            runs.push(came);
        }
        assert_eq!(runs[0], runs[1]);
        assert!((60..80).contains(&runs[0].len()), "{} of 100 came", runs[0].len());
    }
}
