//! What still has to go to the phone.
//!
//! ```text
//! commands, chunk control --------------------------> ready bytes -> socket
//! audio, while bytes wait ----> held audio --(space)--> ServerSession --^
//!                                  | older than 200 ms, oldest first
//!                                  v
//!                               dropped
//! ```
//!
//! TCP delivers everything, however late; a telephone conversation cannot use that. So audio waits *before* the session turns it into
//! chunks (each chunk header builds on the one before: bytes once made cannot be dropped), and what is older than
//! [`AUDIO_MAX_AGE`] goes, whole messages, oldest first. Commands always stay; a phone that reads none of them is cut off at
//! [`READY_MAX_BYTES`].

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// Audio that waited longer is worth less than the delay it would add (reliability T14).
pub const AUDIO_MAX_AGE: Duration = Duration::from_millis(200);

/// Messages of held audio at most: 200 ms of the shortest packets there are (2.5 ms), so in practice the age decides.
pub const AUDIO_MAX_MESSAGES: usize = 80;

/// Bytes that may wait for a phone. Beyond it the phone does not read at all.
pub const READY_MAX_BYTES: usize = 256 * 1024;

/// Pieces that go into one system call.
const PIECES: usize = 16;

/// Audio on its way to the phone, before it is made into chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhoneAudio {
    /// RTMP milliseconds.
    pub timestamp_ms: u32,
    /// Tag byte and frames.
    pub body: Bytes,
}

/// The phone does not read what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{READY_MAX_BYTES} bytes wait for the phone, and it does not read")]
pub struct NotReading;

/// Bytes and audio that wait for one phone.
#[derive(Debug, Default)]
pub struct Outbox {
    ready: VecDeque<Bytes>,
    ready_bytes: usize,
    /// The socket took less than there was.
    stalled: bool,
    held: VecDeque<(Instant, PhoneAudio)>,
    dropped: u64,
}

impl Outbox {
    /// Adds bytes of the session, in order.
    ///
    /// # Errors
    /// The phone has stopped reading.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), NotReading> {
        if self.ready_bytes + bytes.len() > READY_MAX_BYTES {
            return Err(NotReading);
        }
        self.ready_bytes += bytes.len();
        if !bytes.is_empty() {
            self.ready.push_back(bytes);
        }
        Ok(())
    }

    /// Whether the socket has room left, as far as is known: audio may be made into chunks.
    pub fn is_flowing(&self) -> bool {
        !self.stalled
    }

    /// Keeps audio until the bytes before it are gone.
    pub fn hold(&mut self, now: Instant, audio: PhoneAudio) {
        if self.held.len() == AUDIO_MAX_MESSAGES {
            self.held.pop_front();
            self.dropped += 1;
        }
        self.held.push_back((now, audio));
        self.drop_late(now);
    }

    /// The oldest held audio that is still worth sending.
    pub fn take_audio(&mut self, now: Instant) -> Option<PhoneAudio> {
        self.drop_late(now);
        let audio = self.held.pop_front().map(|(_, audio)| audio);
        if self.held.is_empty() {
            self.held.shrink_to(0);
        }
        audio
    }

    /// Forgets held audio: the call is over.
    pub fn forget_audio(&mut self) {
        self.held = VecDeque::new();
    }

    /// Audio messages dropped since this was last asked.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// Writes what the socket takes; ready when nothing is left.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_write<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S) -> Poll<io::Result<()>> {
        self.stalled = true;
        while !self.ready.is_empty() {
            let mut pieces = [IoSlice::new(&[]); PIECES];
            let mut count = 0;
            for (piece, bytes) in pieces.iter_mut().zip(&self.ready) {
                *piece = IoSlice::new(bytes);
                count += 1;
            }
            let socket = Pin::new(&mut *socket);
            let written = match &pieces[..count] {
                [single] => ready!(socket.poll_write(cx, single))?,
                several => ready!(socket.poll_write_vectored(cx, several))?,
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.stalled = false;
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.ready_bytes -= written;
        while let Some(first) = self.ready.front_mut() {
            if first.len() > written {
                first.advance(written);
                break;
            }
            written -= first.len();
            self.ready.pop_front();
        }
    }

    fn drop_late(&mut self, now: Instant) {
        while self.held.front().is_some_and(|(since, _)| now.saturating_duration_since(*since) > AUDIO_MAX_AGE) {
            self.held.pop_front();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn audio(ms: u32) -> PhoneAudio {
        PhoneAudio { timestamp_ms: ms, body: Bytes::from_static(&[0xB2, 1]) }
    }

    #[test]
    fn late_audio_goes_oldest_first_and_whole() {
        let start = Instant::now();
        let mut outbox = Outbox::default();
        for ms in (0..1_000).step_by(20) {
            outbox.hold(start + Duration::from_millis(ms.into()), audio(ms));
        }
        let now = start + Duration::from_millis(1_000);
        let left: Vec<u32> = std::iter::from_fn(|| outbox.take_audio(now)).map(|audio| audio.timestamp_ms).collect();
        assert_eq!(left, (800..1_000).step_by(20).collect::<Vec<_>>());
        assert_eq!(outbox.take_dropped(), 40);
        assert_eq!(outbox.take_dropped(), 0);
    }

    #[test]
    fn held_audio_is_bounded_in_number_too() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for ms in 0..1_000 {
            outbox.hold(now, audio(ms));
        }
        assert_eq!(outbox.take_audio(now).map(|a| a.timestamp_ms), Some(1_000 - AUDIO_MAX_MESSAGES as u32));
    }

    #[test]
    fn a_phone_that_never_reads_is_found_out() {
        let mut outbox = Outbox::default();
        let piece = Bytes::from(vec![0; 1_000]);
        let taken = (0..1_000).take_while(|_| outbox.push(piece.clone()).is_ok()).count();
        assert_eq!(taken, READY_MAX_BYTES / 1_000);
    }

    #[tokio::test]
    async fn bytes_arrive_in_order_however_little_the_socket_takes() {
        let (mut ours, mut theirs) = tokio::io::duplex(7);
        let mut outbox = Outbox::default();
        let expected: Vec<u8> = (0..200).collect();
        for piece in expected.chunks(9) {
            outbox.push(Bytes::copy_from_slice(piece)).unwrap();
        }
        let reader = tokio::spawn(async move {
            let mut got = vec![0; 200];
            theirs.read_exact(&mut got).await.unwrap();
            got
        });
        std::future::poll_fn(|cx| outbox.poll_write(cx, &mut ours)).await.unwrap();
        assert!(outbox.is_flowing());
        assert_eq!(outbox.ready_bytes, 0);
        assert_eq!(reader.await.unwrap(), expected);
    }
}
