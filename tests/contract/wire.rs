//! RTMP as a Flash Player writes and reads it, byte by byte and without the gateway's own session code.
//!
//! ```text
//!   FlashWriter: message -> chunks of 128 bytes      Flash: socket <-> gateway, chunks -> Got
//! ```

use crate::amf::{Amf, object, text};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long a test waits for what comes at once if it comes at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(8);

/// Chunk streams as a Flash Player uses them: commands of the connection, audio, commands of a stream.
pub(crate) const CONNECTION: u8 = 3;
pub(crate) const AUDIO: u8 = 4;
pub(crate) const STREAM: u8 = 8;

/// Message types (RTMP 1.0 section 7.1).
pub(crate) const AMF0_COMMAND: u8 = 20;
pub(crate) const AMF3_COMMAND: u8 = 17;

/// The body of a command of type 20, or of type 17 with its zero byte.
pub(crate) fn command(kind: u8, name: &str, id: f64, args: &[Amf]) -> Vec<u8> {
    let mut body = if kind == AMF3_COMMAND { vec![0] } else { Vec::new() };
    text(name).put(&mut body);
    Amf::Number(id).put(&mut body);
    Amf::Null.put(&mut body);
    args.iter().for_each(|arg| arg.put(&mut body));
    body
}

/// The body of `connect` as Flash Player 11 fills it; `encoding` is `objectEncoding`, if any is sent.
pub(crate) fn connect(app: &str, encoding: Option<f64>, args: &[Amf]) -> Vec<u8> {
    let mut properties = vec![
        ("app", text(app)),
        ("flashVer", text("LNX 11,2,202,644")),
        ("swfUrl", text("http://example.com/phone.swf")),
        ("tcUrl", text(&format!("rtmp://127.0.0.1/{app}"))),
        ("fpad", Amf::Boolean(false)),
        ("capabilities", Amf::Number(239.0)),
        ("audioCodecs", Amf::Number(3575.0)),
        ("videoCodecs", Amf::Number(252.0)),
        ("videoFunction", Amf::Number(1.0)),
        ("pageUrl", text("http://example.com/")),
    ];
    properties.extend(encoding.map(|number| ("objectEncoding", Amf::Number(number))));
    let mut body = Vec::new();
    text("connect").put(&mut body);
    Amf::Number(1.0).put(&mut body);
    object(&properties).put(&mut body);
    args.iter().for_each(|arg| arg.put(&mut body));
    body
}

/// The chunks of a client: a full header for the first message of a chunk stream, then header form 1 with the difference in time.
#[derive(Debug, Default)]
pub(crate) struct FlashWriter {
    last: HashMap<u8, (u32, u32)>,
}

impl FlashWriter {
    /// A message in chunks of 128 bytes, the size that holds until somebody says otherwise.
    pub(crate) fn message(&mut self, chunk_stream: u8, time: u32, kind: u8, stream: u32, body: &[u8]) -> Vec<u8> {
        let u24 = |number: u32| number.to_be_bytes()[1..].to_vec();
        let length = u24(body.len() as u32);
        let mut bytes = match self.last.insert(chunk_stream, (stream, time)) {
            Some((before, last)) if before == stream && time >= last => {
                [vec![0x40 | chunk_stream], u24(time - last), length, vec![kind]].concat()
            }
            _ => [vec![chunk_stream], u24(time), length, vec![kind], stream.to_le_bytes().to_vec()].concat(),
        };
        for (number, piece) in body.chunks(128).enumerate() {
            if number > 0 {
                bytes.push(0xC0 | chunk_stream);
            }
            bytes.extend(piece);
        }
        bytes
    }
}

/// A message that the gateway sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Got {
    pub(crate) chunk_stream: u8,
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) time: u32,
    pub(crate) body: Vec<u8>,
}

impl Got {
    /// The values of a command, name first.
    pub(crate) fn values(&self) -> Vec<Amf> {
        match (self.kind, &self.body[..]) {
            (AMF0_COMMAND, body) => Amf::take_all(body),
            (AMF3_COMMAND, [0, body @ ..]) => Amf::take_all(body),
            _ => panic!("no command: {self:?}"),
        }
    }

    /// Name of the command; empty for anything else.
    pub(crate) fn name(&self) -> String {
        if !matches!(self.kind, AMF0_COMMAND | AMF3_COMMAND) {
            return String::new();
        }
        match self.values().swap_remove(0) {
            Amf::Text(name) => name,
            other => panic!("a command whose name is {other}"),
        }
    }

    fn is_ping(&self) -> bool {
        self.kind == 4 && self.body.starts_with(&[0, 6])
    }
}

/// As the fixtures write it, without the time: chunk stream, type, message stream, and what it says.
impl fmt::Display for Got {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.chunk_stream, self.kind, self.stream)?;
        match self.kind {
            AMF0_COMMAND | AMF3_COMMAND => {
                let values: Vec<String> = self.values().iter().map(Amf::to_string).collect();
                f.write_str(&values.join(" "))
            }
            8 => write!(f, "audio {:02x} {}", self.body[0], self.body.len() - 1),
            _ => self.body.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct ChunkStream {
    time: u32,
    delta: u32,
    length: usize,
    kind: u8,
    stream: u32,
    body: Vec<u8>,
}

/// A connection of a Flash Player.
pub(crate) struct Flash {
    socket: TcpStream,
    read: Vec<u8>,
    chunk_size: usize,
    chunk_streams: HashMap<u8, ChunkStream>,
    writer: FlashWriter,
    opened: Instant,
    next_call: f64,
    /// Type of the commands that it sends, but for `connect`.
    pub(crate) kind: u8,
}

impl Flash {
    /// Connects and shakes hands by the digest scheme of Flash Player 10 and later.
    pub(crate) async fn open(gateway: SocketAddr) -> Self {
        Self::open_with(gateway, &c1(0)).await.0
    }

    /// Connects and shakes hands with this C1; S1 and S2 too.
    pub(crate) async fn open_with(gateway: SocketAddr, c1: &[u8]) -> (Self, Vec<u8>, Vec<u8>) {
        let mut socket = TcpStream::connect(gateway).await.unwrap();
        socket.write_all(&[&[3], c1].concat()).await.unwrap();
        let mut answer = vec![0; 3073];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[0], 3, "S0");
        let (s1, s2) = (answer[1..1537].to_vec(), answer[1537..].to_vec());
        socket.write_all(&s1).await.unwrap();
        let flash = Self {
            socket,
            read: Vec::new(),
            chunk_size: 128,
            chunk_streams: HashMap::new(),
            writer: FlashWriter::default(),
            opened: Instant::now(),
            next_call: 2.0,
            kind: AMF0_COMMAND,
        };
        (flash, s1, s2)
    }

    /// Connects in AMF0 to an app, which must succeed; what was sent before and with the answer is left behind.
    pub(crate) async fn connected(gateway: SocketAddr, app: &str, args: &[Amf]) -> Self {
        let mut flash = Self::open(gateway).await;
        flash.send_connect(app, None, args).await;
        let answer = flash.command().await;
        assert_eq!(answer.name(), "_result", "{answer}");
        flash
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// `connect` is of type 20, whatever comes later.
    pub(crate) async fn send_connect(&mut self, app: &str, encoding: Option<f64>, args: &[Amf]) {
        self.send(CONNECTION, AMF0_COMMAND, 0, &connect(app, encoding, args)).await;
        if encoding == Some(3.0) {
            self.kind = AMF3_COMMAND;
        }
    }

    pub(crate) async fn send(&mut self, chunk_stream: u8, kind: u8, stream: u32, body: &[u8]) {
        let time = self.opened.elapsed().as_millis() as u32;
        let bytes = self.writer.message(chunk_stream, time, kind, stream, body);
        self.send_raw(&bytes).await;
    }

    /// A method of the connection with a number for its answer.
    pub(crate) async fn call(&mut self, name: &str, args: &[Amf]) -> f64 {
        let id = self.next_call;
        self.next_call += 1.0;
        let body = command(self.kind, name, id, args);
        self.send(CONNECTION, self.kind, 0, &body).await;
        id
    }

    /// A command on a stream, without a number, as the NetStream of a Flash Player sends it.
    pub(crate) async fn on_stream(&mut self, stream: u32, name: &str, args: &[Amf]) {
        let body = command(self.kind, name, 0.0, args);
        self.send(STREAM, self.kind, stream, &body).await;
    }

    /// `createStream`; the number of the new stream.
    pub(crate) async fn create_stream(&mut self) -> u32 {
        let id = self.call("createStream", &[]).await;
        let answer = self.command().await.values();
        match answer[..] {
            [Amf::Text(ref name), Amf::Number(of), Amf::Null, Amf::Number(stream)] if name == "_result" && of == id => {
                stream as u32
            }
            _ => panic!("createStream was answered {answer:?}"),
        }
    }

    /// The next message, whatever it is but a ping; `None` at the end of the connection.
    pub(crate) async fn message(&mut self) -> Option<Got> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(got) = self.take_message() {
                if !got.is_ping() {
                    return Some(got);
                }
                continue;
            }
            let mut buffer = [0; 4096];
            match tokio::time::timeout_at(end.into(), self.socket.read(&mut buffer)).await {
                Ok(Ok(length @ 1..)) => self.read.extend(&buffer[..length]),
                Ok(_) => return None,
                Err(_) => panic!("nothing came for {PATIENCE:?}"),
            }
        }
    }

    /// The next command; what is no command is passed over.
    pub(crate) async fn command(&mut self) -> Got {
        loop {
            let got = self.message().await.expect("the connection is open");
            if matches!(got.kind, AMF0_COMMAND | AMF3_COMMAND) {
                return got;
            }
        }
    }

    /// The next command, as the fixtures write it.
    pub(crate) async fn says(&mut self) -> String {
        self.command().await.to_string()
    }

    /// What follows the number and the null of the next command of this name; `_result`s of calls and `onStatus` are passed over.
    pub(crate) async fn told(&mut self, name: &str) -> Vec<Amf> {
        loop {
            let got = self.command().await;
            let found = got.name();
            if found == name {
                return got.values().split_off(3);
            }
            assert!(["_result", "onStatus", "ringing"].contains(&found.as_str()), "waited for {name}, came {got}");
        }
    }

    /// Makes sure that no command comes for a while.
    pub(crate) async fn silence(&mut self, time: Duration) {
        let quiet = tokio::time::timeout(time, self.command()).await;
        assert!(quiet.is_err(), "nothing should have come, but: {}", quiet.unwrap());
    }

    /// Everything up to the end of the connection.
    pub(crate) async fn rest(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        while let Some(got) = self.message().await {
            all.push(got);
        }
        all
    }

    fn take_message(&mut self) -> Option<Got> {
        loop {
            let (chunk_stream, used) = self.take_chunk()?;
            self.read.drain(..used);
            let state = self.chunk_streams.get_mut(&chunk_stream).unwrap();
            if state.body.len() < state.length {
                continue;
            }
            let body = std::mem::take(&mut state.body);
            let got = Got { chunk_stream, kind: state.kind, stream: state.stream, time: state.time, body };
            if got.kind == 1 {
                self.chunk_size = u32::from_be_bytes(got.body[..4].try_into().unwrap()) as usize;
            }
            return Some(got);
        }
    }

    /// Reads a whole chunk into its state; its chunk stream and length. The gateway uses no chunk streams above 63.
    fn take_chunk(&mut self) -> Option<(u8, usize)> {
        let bytes = &self.read[..];
        let basic = *bytes.first()?;
        let (form, chunk_stream) = (basic >> 6, basic & 63);
        assert!(chunk_stream >= 2, "a chunk stream of two or three bytes");
        let header = [11, 7, 3, 0][usize::from(form)];
        if bytes.len() < 1 + header {
            return None;
        }
        let fields = &bytes[1..=header];
        let mut state = self.chunk_streams.get(&chunk_stream).cloned().unwrap_or_default();
        let u24 = |bytes: &[u8]| u32::from_be_bytes([0, bytes[0], bytes[1], bytes[2]]);
        let time = if form < 3 { u24(fields) } else { 0 };
        assert!(time < 0xFF_FFFF, "no test lasts long enough for an extended timestamp");
        if form < 2 {
            state.length = u24(&fields[3..]) as usize;
            state.kind = fields[6];
        }
        if form == 0 {
            state.stream = u32::from_le_bytes(fields[7..].try_into().unwrap());
            (state.time, state.delta) = (time, 0);
        } else if form < 3 {
            (state.time, state.delta) = (state.time.wrapping_add(time), time);
        } else if state.body.is_empty() {
            state.time = state.time.wrapping_add(state.delta);
        }
        let piece = (state.length - state.body.len()).min(self.chunk_size);
        let end = 1 + header + piece;
        state.body.extend(bytes.get(1 + header..end)?);
        self.chunk_streams.insert(chunk_stream, state);
        Some((chunk_stream, end))
    }
}

/// The key of the Flash Player and, with 32 bytes more, those of both sides' answers (as every RTMP server has them).
const PLAYER_KEY: &[u8; 30] = b"Genuine Adobe Flash Player 001";
const SERVER_KEY: &[u8; 36] = b"Genuine Adobe Flash Media Server 001";
const KEY_TAIL: [u8; 32] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57, 0x6E, 0xEC, 0x5D,
    0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];

/// Where a packet of the handshake carries its digest in scheme 0 and 1: the sum of four bytes says it.
fn digest_place(packet: &[u8], scheme: u8) -> usize {
    let first = if scheme == 0 { 8 } else { 772 };
    let sum: usize = packet[first..first + 4].iter().map(|byte| usize::from(*byte)).sum();
    sum % 728 + first + 4
}

fn digest_of(packet: &[u8], place: usize, key: &[u8]) -> [u8; 32] {
    hmac(key, &[&packet[..place], &packet[place + 32..]].concat())
}

/// C1 of Flash Player 11 with its digest in this scheme.
pub(crate) fn c1(scheme: u8) -> Vec<u8> {
    let mut packet: Vec<u8> = (0..1536u32).map(|n| (n * 167 + 13) as u8).collect();
    packet[..8].copy_from_slice(&[0, 0, 4, 210, 128, 0, 7, 2]);
    let place = digest_place(&packet, scheme);
    let digest = digest_of(&packet, place, PLAYER_KEY);
    packet[place..place + 32].copy_from_slice(&digest);
    packet
}

/// Whether S1 carries a digest of the server in this scheme, and S2 the signature of our C1.
pub(crate) fn answers_digest(c1: &[u8], s1: &[u8], s2: &[u8], scheme: u8) -> (bool, bool) {
    let place = digest_place(s1, scheme);
    let digest = digest_of(s1, place, SERVER_KEY) == s1[place..place + 32];
    let ours = digest_place(c1, scheme);
    let key = hmac(&[&SERVER_KEY[..], &KEY_TAIL].concat(), &c1[ours..ours + 32]);
    (digest, hmac(&key, &s2[..1504]) == s2[1504..])
}

/// RFC 2104.
fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > 64 {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(data).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5C)).chain_update(inner).finalize().into()
}
