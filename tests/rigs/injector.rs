//! A TCP relay that slips commands into a real RTMP client's byte stream: ffmpeg and rtmpdump publish and play well, but cannot call.
//!
//! ```text
//!   ffmpeg --chunks--> [ boundary? put a command chunk here ] --> gateway
//!          <-------------------- as it comes --------------------
//! ```
//! A chunk on a chunk stream of its own may stand between any two chunks (RTMP specification 1.0, section 5.3.1).

use rtmp_session::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Chunk stream of what is slipped in; real clients use 2 to 8.
const OUR_CHUNK_STREAM: u8 = 40;

/// A relay for one client.
pub struct Injector {
    address: SocketAddr,
    commands: mpsc::UnboundedSender<Vec<u8>>,
    task: JoinHandle<()>,
}

impl Injector {
    /// A relay to the gateway. Commands wait until the client has sent a message of this type (8: audio, 20: command) and name.
    pub async fn new(gateway: SocketAddr, wait_for: &'static [u8]) -> Self {
        let listener = TcpListener::bind((gateway.ip(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (commands, queue) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let (client, _) = listener.accept().await.unwrap();
            let server = TcpStream::connect(gateway).await.unwrap();
            let (mut client_read, mut client_write) = client.into_split();
            let (mut server_read, server_write) = server.into_split();
            let back = tokio::spawn(async move { tokio::io::copy(&mut server_read, &mut client_write).await });
            forward(&mut client_read, server_write, queue, wait_for).await;
            back.abort();
        });
        Self { address, commands, task }
    }

    /// Where the client connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Calls a method in the client's name, as soon as the client has sent what the relay waits for.
    pub fn call(&self, name: &str, args: &[Value]) {
        let _ = self.commands.send(command_chunk(name, args));
    }
}

impl Drop for Injector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn command_chunk(name: &str, args: &[Value]) -> Vec<u8> {
    let mut body = Vec::new();
    let string = |body: &mut Vec<u8>, text: &str| {
        body.push(2);
        body.extend((text.len() as u16).to_be_bytes());
        body.extend(text.as_bytes());
    };
    string(&mut body, name);
    body.push(0);
    body.extend(0f64.to_be_bytes());
    body.push(5);
    for arg in args {
        string(&mut body, arg.as_str().expect("only strings are slipped in"));
    }
    assert!(body.len() <= 128, "one chunk of the default size");
    let mut chunk = vec![OUR_CHUNK_STREAM, 0, 0, 0];
    chunk.extend(&(body.len() as u32).to_be_bytes()[1..]);
    chunk.extend([20, 0, 0, 0, 0]);
    chunk.extend(body);
    chunk
}

/// Where chunks of a client end.
struct Boundaries {
    chunk_size: usize,
    /// By chunk stream: message length, type, bytes still to come, extended timestamp in use.
    streams: [(usize, u8, usize, bool); 64],
}

impl Boundaries {
    /// Length of the first whole chunk in `bytes`, if it is there, and the piece of the message in it.
    fn next<'a>(&mut self, bytes: &'a [u8]) -> Option<(usize, u8, &'a [u8])> {
        let first = *bytes.first()?;
        let (format, id) = (first >> 6, usize::from(first & 63));
        assert!(id >= 2, "clients of these tests use one-byte chunk stream ids");
        let header = 1 + [11, 7, 3, 0][usize::from(format)];
        if bytes.len() < header {
            return None;
        }
        let (mut length, mut kind, mut left, mut extended) = self.streams[id];
        if format < 3 {
            extended = bytes[1..4] == [0xFF; 3];
        }
        if format < 2 {
            length = bytes[4..7].iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            kind = bytes[7];
        }
        if left == 0 {
            left = length;
        }
        let start = header + if extended { 4 } else { 0 };
        let end = start + left.min(self.chunk_size);
        let piece = bytes.get(start..end)?;
        left -= piece.len();
        self.streams[id] = (length, kind, left, extended);
        if kind == 1 && piece.len() == 4 {
            self.chunk_size = u32::from_be_bytes(piece.try_into().unwrap()) as usize;
        }
        Some((end, kind, piece))
    }
}

async fn forward(
    from: &mut tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut commands: mpsc::UnboundedReceiver<Vec<u8>>,
    wait_for: &[u8],
) {
    let mut handshake = vec![0; 1537];
    if from.read_exact(&mut handshake).await.is_err() || to.write_all(&handshake).await.is_err() {
        return;
    }
    handshake.truncate(1536);
    if from.read_exact(&mut handshake).await.is_err() || to.write_all(&handshake).await.is_err() {
        return;
    }
    let mut boundaries = Boundaries { chunk_size: 128, streams: [(0, 0, 0, false); 64] };
    let (mut pending, mut buffer, mut open) = (Vec::new(), vec![0; 16_384], false);
    loop {
        while let Some((length, kind, piece)) = boundaries.next(&pending) {
            open |= match wait_for {
                b"audio" => kind == 8,
                name => kind == 20 && piece.windows(name.len()).any(|window| window == name),
            };
            let chunk: Vec<u8> = pending.drain(..length).collect();
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
        // Here no chunk is begun: `pending` holds nothing that was passed on in part.
        tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => pending.extend(&buffer[..length]),
                _ => return,
            },
            Some(command) = commands.recv(), if open => {
                if to.write_all(&command).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_follow_chunk_sizes_and_continued_messages() {
        let mut bytes = vec![4, 0, 0, 0, 0, 0, 200, 8, 1, 0, 0, 0];
        bytes.extend([1; 128]);
        bytes.push(0xC4);
        bytes.extend([2; 72]);
        bytes.extend([2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 1, 0]);
        bytes.extend([0x44, 0, 0, 20, 0, 0, 200, 8]);
        bytes.extend([3; 200]);
        let mut boundaries = Boundaries { chunk_size: 128, streams: [(0, 0, 0, false); 64] };
        let mut lengths = Vec::new();
        let mut rest = &bytes[..];
        while let Some((length, kind, _)) = boundaries.next(rest) {
            lengths.push((length, kind));
            rest = &rest[length..];
        }
        assert_eq!(lengths, [(140, 8), (73, 8), (16, 1), (208, 8)]);
        assert!(rest.is_empty());
    }
}
