//! An RTP end point under exact control: paced sending, and every packet that came kept with the time of its arrival.

use crate::g711;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// One received packet (RFC 3550 section 5.1).
#[derive(Debug, Clone)]
pub struct RtpSeen {
    /// When it came.
    pub at: Instant,
    /// Where it came from.
    pub from: SocketAddr,
    /// Payload type.
    pub payload_type: u8,
    /// Marker bit.
    pub marker: bool,
    /// Sequence number.
    pub sequence: u16,
    /// Clock units.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Payload without header, extension and padding.
    pub payload: Vec<u8>,
}

impl RtpSeen {
    /// Reads a datagram; `None` if it is no RTP version 2.
    pub fn parse(at: Instant, from: SocketAddr, datagram: &[u8]) -> Option<Self> {
        if datagram.len() < 12 || datagram[0] >> 6 != 2 {
            return None;
        }
        let mut start = 12 + 4 * usize::from(datagram[0] & 15);
        if datagram[0] & 0x10 != 0 {
            let words = u16::from_be_bytes(datagram.get(start + 2..start + 4)?.try_into().ok()?);
            start += 4 + 4 * usize::from(words);
        }
        let padding = if datagram[0] & 0x20 != 0 { usize::from(*datagram.last()?) } else { 0 };
        Some(Self {
            at,
            from,
            payload_type: datagram[1] & 0x7F,
            marker: datagram[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([datagram[2], datagram[3]]),
            timestamp: u32::from_be_bytes(datagram[4..8].try_into().ok()?),
            ssrc: u32::from_be_bytes(datagram[8..12].try_into().ok()?),
            payload: datagram.get(start..datagram.len().checked_sub(padding)?)?.to_vec(),
        })
    }
}

/// A packet with the usual header.
pub fn packet(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type | u8::from(marker) << 7];
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(timestamp.to_be_bytes());
    bytes.extend(ssrc.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A pair of RTP and RTCP sockets that keeps all it hears.
pub struct RtpPeer {
    rtp: Arc<UdpSocket>,
    seen: Arc<Mutex<Vec<RtpSeen>>>,
    rtcp_seen: Arc<Mutex<Vec<Vec<u8>>>>,
    address: SocketAddr,
    next: Mutex<(u16, u32)>,
    ssrc: u32,
    tasks: Vec<JoinHandle<()>>,
}

impl RtpPeer {
    /// Binds an even port and the one above it.
    pub async fn bind(ip: IpAddr) -> Self {
        let (rtp, rtcp) = loop {
            let rtp = UdpSocket::bind((ip, 0)).await.unwrap();
            let port = rtp.local_addr().unwrap().port();
            if port % 2 == 0
                && port < u16::MAX
                && let Ok(rtcp) = UdpSocket::bind((ip, port + 1)).await
            {
                break (Arc::new(rtp), rtcp);
            }
        };
        let address = rtp.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let rtcp_seen = Arc::new(Mutex::new(Vec::new()));
        let tasks = vec![
            tokio::spawn(keep_rtp(Arc::clone(&rtp), Arc::clone(&seen))),
            tokio::spawn(keep_rtcp(rtcp, Arc::clone(&rtcp_seen))),
        ];
        let ssrc = 0x5EED_0000 | u32::from(address.port());
        Self { rtp, seen, rtcp_seen, address, next: Mutex::new((65_530, 4_294_960_000)), ssrc, tasks }
    }

    /// Where RTP for us goes.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All packets so far, in order of arrival.
    pub fn seen(&self) -> Vec<RtpSeen> {
        self.seen.lock().unwrap().clone()
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// All RTCP datagrams so far.
    pub fn rtcp_seen(&self) -> Vec<Vec<u8>> {
        self.rtcp_seen.lock().unwrap().clone()
    }

    /// Waits until a packet of this payload type has come.
    ///
    /// # Panics
    /// When none came in `patience`.
    pub async fn wait_for(&self, payload_type: u8, patience: Duration) -> RtpSeen {
        let end = Instant::now() + patience;
        loop {
            if let Some(seen) = self.seen.lock().unwrap().iter().find(|p| p.payload_type == payload_type) {
                return seen.clone();
            }
            assert!(Instant::now() < end, "no RTP of payload type {payload_type} in {patience:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends one packet; `units` is how far the media clock moves on behind it. Sequence numbers and timestamps wrap early on purpose.
    pub async fn send(&self, target: SocketAddr, payload_type: u8, marker: bool, units: u32, payload: &[u8]) {
        let bytes = {
            let mut next = self.next.lock().unwrap();
            let bytes = packet(payload_type, marker, next.0, next.1, self.ssrc, payload);
            *next = (next.0.wrapping_add(1), next.1.wrapping_add(units));
            bytes
        };
        self.rtp.send_to(&bytes, target).await.unwrap();
    }

    /// Sends frames at their real pace, one every 20 ms.
    pub async fn play(&self, target: SocketAddr, payload_type: u8, units: u32, frames: &[Vec<u8>]) {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for (index, frame) in frames.iter().enumerate() {
            tick.tick().await;
            self.send(target, payload_type, index == 0, units, frame).await;
        }
    }

    /// Sends raw bytes from the RTP port.
    pub async fn send_raw(&self, target: SocketAddr, bytes: &[u8]) {
        self.rtp.send_to(bytes, target).await.unwrap();
    }
}

impl Drop for RtpPeer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn keep_rtp(socket: Arc<UdpSocket>, seen: Arc<Mutex<Vec<RtpSeen>>>) {
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(packet) = RtpSeen::parse(Instant::now(), from, &buffer[..length]) {
            seen.lock().unwrap().push(packet);
        }
    }
}

async fn keep_rtcp(socket: UdpSocket, seen: Arc<Mutex<Vec<Vec<u8>>>>) {
    let mut buffer = [0; 2048];
    while let Ok((length, _)) = socket.recv_from(&mut buffer).await {
        seen.lock().unwrap().push(buffer[..length].to_vec());
    }
}

/// G.711 packets of one payload type as samples on their timeline: a packet stands where its timestamp says, gaps are silence.
pub fn g711_timeline(packets: &[RtpSeen], payload_type: u8) -> Vec<i16> {
    let decode = if payload_type == 8 { g711::alaw_decode } else { g711::ulaw_decode };
    let mut audio = packets.iter().filter(|packet| packet.payload_type == payload_type).peekable();
    let Some(first) = audio.peek().map(|packet| packet.timestamp) else { return Vec::new() };
    let mut samples = Vec::new();
    for packet in audio {
        let offset = packet.timestamp.wrapping_sub(first) as i32;
        // A packet before the first, or a jump of more than a minute, belongs to no timeline of a test call.
        let Ok(offset) = usize::try_from(offset) else { continue };
        if offset > samples.len() + 8000 * 60 {
            continue;
        }
        if samples.len() < offset + packet.payload.len() {
            samples.resize(offset + packet.payload.len(), 0);
        }
        for (slot, byte) in samples[offset..].iter_mut().zip(&packet.payload) {
            *slot = decode(*byte);
        }
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_read_back_and_its_samples_stand_where_its_timestamp_says() {
        let from = "127.0.0.1:9".parse().unwrap();
        let seen = |sequence, timestamp| {
            let bytes = packet(0, sequence == 65_535, sequence, timestamp, 7, &[0x80; 160]);
            RtpSeen::parse(Instant::now(), from, &bytes).unwrap()
        };
        let first = seen(65_535, u32::MAX - 159);
        assert!(first.marker && first.ssrc == 7);
        let samples = g711_timeline(&[first, seen(1, 160)], 0);
        assert_eq!(samples.len(), 480);
        assert_eq!((samples[0], samples[200], samples[479]), (32_124, 0, 32_124));
    }
}
