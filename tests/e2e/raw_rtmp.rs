//! RTMP bytes by hand, for what no well-behaved client would send.

use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct RawRtmp(TcpStream);

/// `"key" -> value` pairs are left to the caller: this is AMF0 text.
pub fn amf_string(text: &str) -> Vec<u8> {
    let mut bytes = vec![2];
    bytes.extend((text.len() as u16).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

pub fn amf_number(number: f64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(number.to_be_bytes());
    bytes
}

/// `connect` with an app, up to the end of the command object.
pub fn connect_command(app: &str) -> Vec<u8> {
    let mut body = [amf_string("connect"), amf_number(1.0), vec![3]].concat();
    body.extend(3u16.to_be_bytes());
    body.extend(b"app");
    body.extend(amf_string(app));
    body.extend([0, 0, 9]);
    body
}

/// A full chunk header (format 0) and as much of the body as given; `declared` is the length that the header claims.
pub fn chunk(chunk_stream: u8, kind: u8, declared: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![chunk_stream, 0, 0, 0];
    bytes.extend(&declared.to_be_bytes()[1..]);
    bytes.push(kind);
    bytes.extend([0, 0, 0, 0]);
    for (number, piece) in body.chunks(128).enumerate() {
        if number > 0 {
            bytes.push(0xC0 | chunk_stream);
        }
        bytes.extend(piece);
    }
    bytes
}

/// A whole command message.
pub fn command(body: &[u8]) -> Vec<u8> {
    chunk(3, 20, body.len() as u32, body)
}

impl RawRtmp {
    pub async fn open(gateway: SocketAddr) -> Self {
        Self(TcpStream::connect(gateway).await.unwrap())
    }

    /// With a simple handshake behind it.
    pub async fn shaken(gateway: SocketAddr) -> Self {
        let mut raw = Self::open(gateway).await;
        let mut c0c1 = vec![3, 0, 0, 0, 0, 0, 0, 0, 0];
        c0c1.resize(1537, 0x55);
        raw.send(&c0c1).await;
        let mut answer = vec![0; 3073];
        raw.0.read_exact(&mut answer).await.unwrap();
        raw.send(&answer[1..1537]).await;
        raw
    }

    /// Connected to an app without registration.
    pub async fn connected(gateway: SocketAddr, app: &str) -> Self {
        let mut raw = Self::shaken(gateway).await;
        raw.send(&command(&connect_command(app))).await;
        let answer = raw.read_until(b"NetConnection.Connect.Success").await;
        assert!(answer, "connect was not accepted");
        raw
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The gateway may close in the middle of what we send: that is what the tests wait for.
        let _ = self.0.write_all(bytes).await;
    }

    /// Reads until these bytes came; false when the connection ended before.
    pub async fn read_until(&mut self, wanted: &[u8]) -> bool {
        let mut all: Vec<u8> = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(Ok(length @ 1..)) = tokio::time::timeout(Duration::from_secs(5), self.0.read(&mut buffer)).await {
            all.extend(&buffer[..length]);
            if all.windows(wanted.len()).any(|window| window == wanted) {
                return true;
            }
        }
        false
    }

    /// How long the gateway left the connection open.
    pub async fn closed_after(&mut self, patience: Duration) -> Duration {
        let begin = Instant::now();
        let mut buffer = [0; 4096];
        loop {
            match tokio::time::timeout(patience.saturating_sub(begin.elapsed()), self.0.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return begin.elapsed(),
                Ok(Ok(_)) => {}
                Err(_) => panic!("still open after {patience:?}"),
            }
        }
    }
}
