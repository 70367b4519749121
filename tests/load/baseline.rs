//! What a bare program would need for the same frames: the codecs alone, or the moving of packets alone.

use crate::agents;
use crate::analysis::{self, Delays};
use crate::engine::{Engine, Manner, Order, Phone, Wire, framed};
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
/// Speex that the gateway makes for a phone (docs/decisions/0004).
const QUALITY_TO_PHONE: u8 = 10;

/// The work with Debian's libspeex. `encode_mode` is what the gateway encodes for the phone.
pub(crate) fn libspeex(encode_mode: Mode) -> CodecCost {
    let (wide, out) = material(encode_mode);
    let packets = PhoneVoice::SpeexWideband.frames(&wide, 8);
    let mut decoder = libspeex::Decoder::new(Mode::Wideband);
    let mut encoder = libspeex::Encoder::new(encode_mode);
    encoder.set_quality(QUALITY_TO_PHONE.into());
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
    encoder.set_quality(QUALITY_TO_PHONE);
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

/// The bare mover, in a process of its own: each TCP connection has a UDP socket, and packets behind their length in two bytes go from
/// one to the other. `targets` are taken in turn.
pub(crate) async fn mover(listen: SocketAddr, targets: &[SocketAddr]) {
    let listener = TcpListener::bind(listen).await.unwrap();
    let mut next = targets.iter().cycle();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let target = *next.next().unwrap();
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

/// What the mover needs and how long it takes.
pub(crate) struct Moving {
    /// Share of a core for one call, percent.
    pub(crate) percent: f64,
    pub(crate) up: Delays,
    pub(crate) down: Delays,
}

/// The same load as the gateway's, by the same engine, on the mover.
pub(crate) async fn moving(calls: usize, seconds: u64, manner: &Manner) -> Moving {
    let sockets = agents::rtp_sockets(calls);
    let targets = sockets.iter().map(|socket| socket.local_addr().unwrap().to_string());
    let listen = gateway_tests::gateway::free_tcp(Ipv4Addr::LOCALHOST.into());
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--mover", &listen.to_string()])
        .args(targets)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    while TcpStream::connect(listen).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let engine = Engine::start(sockets, manner.clone(), true);
    for number in 0..calls {
        let stream = TcpStream::connect(listen).await.unwrap().into_std().unwrap();
        stream.set_nodelay(true).unwrap();
        engine.tell(Order::Phone(Box::new(Phone::new(number, Wire::Framed { pending: Vec::new() }, stream))));
    }
    engine.tell(Order::Speak);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pid = child.id().unwrap();
    let (begin, before) = (Instant::now(), crate::process::cpu(pid));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = crate::process::cpu(pid) - before;
    let wall = begin.elapsed();
    engine.tell(Order::Silence);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let findings = engine.finish();
    let _ = child.kill().await;
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for call in &findings.calls {
        let Some(phone) = findings.phones.iter().find(|phone| call.user == format!("u{}", phone.number)) else {
            continue;
        };
        up.extend(analysis::uplink_relayed(&manner.uplink, &phone.track.sent, &call.received));
        down.extend(analysis::downlink_relayed(&manner.downlink, &call.sent, &phone.track.heard));
    }
    let percent = used.as_secs_f64() / wall.as_secs_f64() / calls as f64 * 100.0;
    Moving { percent, up: Delays::new(up), down: Delays::new(down) }
}
