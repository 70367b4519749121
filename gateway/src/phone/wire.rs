//! The phone's byte stream and its end: open, then closing (the last words are flushed and read off the wire), then gone.
//!
//! Closing is not just dropping the socket: bytes of the peer that nobody read make the system answer with a reset, and a reset may
//! overtake what we said last (why `connect` was rejected, for instance).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::outbox::{NotReading, Outbox};

/// How long the last words may take.
const CLOSING: Duration = Duration::from_secs(2);

/// How long the peer may take to close its side after them.
const PEER_CLOSING: Duration = Duration::from_millis(500);

/// A byte stream to a phone and what waits to go out on it.
#[derive(Debug)]
pub struct Wire<S> {
    state: State<S>,
    /// What waits to go out.
    pub outbox: Outbox,
}

#[derive(Debug)]
enum State<S> {
    Open(S),
    Closing { socket: S, until: Instant, said_all: bool },
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// An open stream.
    pub fn new(socket: S) -> Self {
        Wire { state: State::Open(socket), outbox: Outbox::default() }
    }

    /// Whether the phone's bytes are still listened to.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether nothing is left of it.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Adds bytes of the session, in order. Nothing listens any more once the stream is gone.
    ///
    /// # Errors
    /// The phone does not read; the stream is gone now.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), NotReading> {
        if self.is_gone() {
            return Ok(());
        }
        self.outbox.push(bytes).inspect_err(|_| self.abort())
    }

    /// Ends the stream when what waits is out.
    pub fn close(&mut self, now: Instant) {
        self.state = match std::mem::replace(&mut self.state, State::Gone) {
            State::Open(socket) => State::Closing { socket, until: now + CLOSING, said_all: false },
            other => other,
        };
    }

    /// Ends the stream at once.
    pub fn abort(&mut self) {
        self.state = State::Gone;
        self.outbox = Outbox::default();
    }

    /// When the stream ends by itself at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match &self.state {
            State::Closing { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The instant of [`Wire::poll_timeout`] may have come.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_some_and(|until| until <= now) {
            self.abort();
        }
    }

    /// Reads from an open stream; no bytes mean that the phone has ended it.
    ///
    /// # Errors
    /// The socket's.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Open(socket) => Pin::new(socket).poll_read(cx, buffer),
            _ => Poll::Pending,
        }
    }

    /// Moves everything outwards that can move now.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>, now: Instant) {
        let socket = match &mut self.state {
            State::Open(socket) | State::Closing { socket, said_all: false, .. } => socket,
            State::Closing { socket, said_all: true, .. } => {
                if is_at_end(cx, socket) {
                    self.abort();
                }
                return;
            }
            State::Gone => return,
        };
        match self.outbox.poll_write(cx, socket) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => self.abort(),
            Poll::Ready(Ok(())) => self.say_goodbye(cx, now),
        }
    }

    /// Everything is out: if closing, says so to the peer and waits for it to do the same.
    fn say_goodbye(&mut self, cx: &mut Context<'_>, now: Instant) {
        let State::Closing { socket, said_all, until } = &mut self.state else { return };
        match Pin::new(&mut *socket).poll_shutdown(cx) {
            Poll::Pending => {}
            Poll::Ready(Err(_)) => self.abort(),
            Poll::Ready(Ok(())) => {
                *said_all = true;
                *until = now + PEER_CLOSING;
                self.poll_flush(cx, now);
            }
        }
    }
}

/// Reads and forgets what the peer still sends; true at its end.
fn is_at_end<S: AsyncRead + Unpin>(cx: &mut Context<'_>, socket: &mut S) -> bool {
    /// A peer that goes on sending is cut off by the deadline, not by our patience within one wake-up.
    const ROUNDS: usize = 16;
    let mut space = [0; 1_024];
    for _ in 0..ROUNDS {
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut *socket).poll_read(cx, &mut buffer) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(_) => return true,
        }
    }
    cx.waker().wake_by_ref();
    false
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn until_gone<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>) {
        poll_fn(|cx| {
            wire.poll_flush(cx, Instant::now());
            if wire.is_gone() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    #[tokio::test]
    async fn the_last_words_arrive_although_the_peer_was_still_talking() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut theirs = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        theirs.write_all(&[7; 5_000]).await.unwrap();
        let mut wire = Wire::new(listener.accept().await.unwrap().0);
        wire.outbox.push(Bytes::from_static(b"rejected")).unwrap();
        wire.close(Instant::now());
        let mut heard = Vec::new();
        let reader = async {
            theirs.read_to_end(&mut heard).await.unwrap();
            drop(theirs);
        };
        tokio::join!(reader, until_gone(&mut wire));
        assert_eq!(heard, b"rejected");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_its_last_words_is_left_at_the_deadline() {
        let (ours, _theirs) = tokio::io::duplex(4);
        let mut wire = Wire::new(ours);
        wire.outbox.push(Bytes::from_static(b"rejected")).unwrap();
        let now = Instant::now();
        wire.close(now);
        poll_fn(|cx| {
            wire.poll_flush(cx, Instant::now());
            Poll::Ready(())
        })
        .await;
        assert_eq!(wire.poll_timeout(), Some(now + CLOSING));
        wire.handle_timeout(now + CLOSING - Duration::from_millis(1));
        assert!(!wire.is_gone());
        wire.handle_timeout(now + CLOSING);
        assert!(wire.is_gone());
    }
}
