//! What a bare program would need for the same frames: the codecs alone, or the moving of packets alone.

use crate::options::SipCodec;
use gateway_tests::speech::{self, Speaker};
use gateway_tests::voice::PhoneVoice;
use gateway_tests::{g711, libspeex};
use speex_codec::Mode;
use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

/// CPU time for one 20 ms frame of both directions: Speex wideband decoded and companded, G.711 expanded and encoded.
pub(crate) struct CodecCost {
    pub(crate) decode: Duration,
    pub(crate) encode: Duration,
    pub(crate) g711: Duration,
}

impl CodecCost {
    /// Share of a core that one call needs, percent.
    pub(crate) fn percent_of_a_core(&self) -> f64 {
        (self.decode + self.encode + self.g711).as_secs_f64() * 50.0 * 100.0
    }
}

const ROUNDS: usize = 8;

/// The work with Debian's libspeex. `encode_mode` is what the gateway encodes for the phone.
pub(crate) fn libspeex(encode_mode: Mode) -> CodecCost {
    let (wide, out) = material(encode_mode);
    let packets = PhoneVoice::SpeexWideband.frames(&wide, 8);
    let mut decoder = libspeex::Decoder::new(Mode::Wideband);
    let mut encoder = libspeex::Encoder::new(encode_mode);
    let mut pcm = Vec::new();
    let decode = per_frame(packets.len(), || {
        for packet in &packets {
            pcm.clear();
            black_box(decoder.decode(black_box(packet), &mut pcm));
        }
    });
    let mut bytes = Vec::new();
    let frames: Vec<&[i16]> = out.chunks_exact(encode_mode.frame_samples()).collect();
    let encode = per_frame(frames.len(), || {
        for frame in &frames {
            bytes.clear();
            encoder.encode(black_box(frame), &mut bytes);
            black_box(&bytes);
        }
    });
    CodecCost { decode, encode, g711: companding() }
}

/// The same with our own codec.
pub(crate) fn ours(encode_mode: Mode) -> CodecCost {
    let (wide, out) = material(encode_mode);
    let packets = PhoneVoice::SpeexWideband.frames(&wide, 8);
    let mut decoder = speex_codec::Decoder::new(Mode::Wideband);
    let mut encoder = speex_codec::Encoder::new(encode_mode);
    let mut pcm = [0; 640];
    let decode = per_frame(packets.len(), || {
        for packet in &packets {
            black_box(decoder.decode(black_box(packet), &mut pcm).unwrap());
        }
    });
    let mut bytes = [0; 256];
    let frames: Vec<&[i16]> = out.chunks_exact(encode_mode.frame_samples()).collect();
    let encode = per_frame(frames.len(), || {
        for frame in &frames {
            black_box(encoder.encode(black_box(frame), &mut bytes).unwrap());
        }
    });
    CodecCost { decode, encode, g711: companding() }
}

fn material(encode_mode: Mode) -> (Vec<i16>, Vec<i16>) {
    (speech::pcm(Speaker::Anna, 16_000), speech::pcm(Speaker::Ben, encode_mode.sample_rate()))
}

/// One frame to mu-law and one frame from it.
fn companding() -> Duration {
    let pcm = speech::pcm(Speaker::Ben, 8000);
    let bytes: Vec<u8> = pcm.iter().map(|sample| g711::ulaw_encode(*sample)).collect();
    // Expanding by table, as everybody does; companding by arithmetic.
    let table: Vec<i16> = (0..=255).map(g711::ulaw_decode).collect();
    per_frame(pcm.len() / 160, || {
        for sample in &pcm {
            black_box(g711::ulaw_encode(black_box(*sample)));
        }
        for byte in &bytes {
            black_box(table[usize::from(black_box(*byte))]);
        }
    })
}

fn per_frame(frames: usize, mut work: impl FnMut()) -> Duration {
    work();
    // The quickest round is the one that nobody disturbed.
    let quickest = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        work();
        begin.elapsed()
    });
    quickest.min().unwrap_or_default() / frames as u32
}

/// The bare mover, in a process of its own: each TCP connection has a UDP socket, and 2-byte-framed packets go from one to the other.
pub(crate) async fn mover(listen: SocketAddr, target: SocketAddr) {
    let listener = TcpListener::bind(listen).await.unwrap();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let _ = move_packets(stream, target).await;
        });
    }
}

async fn move_packets(mut stream: TcpStream, target: SocketAddr) -> std::io::Result<()> {
    let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    udp.connect(target).await?;
    let (mut pending, mut read_buffer, mut datagram) = (Vec::new(), vec![0; 8192], [0; 2048]);
    loop {
        tokio::select! {
            read = stream.read(&mut read_buffer) => {
                let length = read?;
                if length == 0 {
                    return Ok(());
                }
                pending.extend_from_slice(&read_buffer[..length]);
                while let Some(packet) = framed(&pending) {
                    let length = packet.len();
                    udp.send(packet).await?;
                    pending.drain(..length + 2);
                }
            }
            received = udp.recv(&mut datagram[2..]) => {
                let length = received?;
                datagram[..2].copy_from_slice(&(length as u16).to_be_bytes());
                stream.write_all(&datagram[..length + 2]).await?;
            }
        }
    }
}

fn framed(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    bytes.get(2..2 + length)
}

/// Share of a core that the mover needs for one call, percent: `calls` connections, 50 packets a second each way.
pub(crate) async fn moving(calls: usize, seconds: u64, codec: SipCodec) -> f64 {
    let echo = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let target = echo.local_addr().unwrap();
    let listen = gateway_tests::gateway::free_tcp(Ipv4Addr::LOCALHOST.into());
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--mover", &listen.to_string(), &target.to_string()])
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // The far end answers each packet with one of the same length.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    echo.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let echoing = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            if let Ok((length, from)) = echo.recv_from(&mut buffer) {
                let _ = echo.send_to(&buffer[..length], from);
            }
        }
    });
    while TcpStream::connect(listen).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let body = if codec == SipCodec::Speex { 70 + 12 } else { 160 + 12 };
    let clients: Vec<_> = (0..calls).map(|number| tokio::spawn(mover_client(listen, body, number))).collect();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pid = child.id().unwrap();
    let (begin, before) = (Instant::now(), crate::process::cpu(pid));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = crate::process::cpu(pid) - before;
    let wall = begin.elapsed();
    clients.iter().for_each(tokio::task::JoinHandle::abort);
    let _ = child.kill().await;
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    echoing.join().unwrap();
    used.as_secs_f64() / wall.as_secs_f64() / calls as f64 * 100.0
}

async fn mover_client(mover: SocketAddr, body: usize, number: usize) {
    let mut stream = TcpStream::connect(mover).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let packet = [&(body as u16).to_be_bytes()[..], &vec![0x55; body]].concat();
    let mut buffer = [0; 8192];
    tokio::time::sleep(Duration::from_millis(number as u64 % 20)).await;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tokio::select! {
            _ = tick.tick() => if stream.write_all(&packet).await.is_err() { return },
            read = stream.read(&mut buffer) => if !matches!(read, Ok(1..)) { return },
        }
    }
}
