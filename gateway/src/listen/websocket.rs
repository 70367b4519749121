//! RTMP in binary WebSocket messages (RFC 6455): what browsers can speak.
//!
//! ```text
//! hyper (web/rtmp.rs) --upgraded TcpStream--> WebSocketStream --AsyncRead + AsyncWrite--> phone::Connection
//! ```
//!
//! The messages are a byte stream cut into pieces: where one ends means nothing. Outwards one write is one message, so that a
//! browser's `onmessage` has whole chunks. What is no binary message within [`MESSAGE_MAX`] ends the stream with the status code
//! that RFC 6455 section 7.4.1 has for it.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::WebSocketStream as Framed;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::debug;

/// Longest message that a browser may send.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// Read in one go, and held by every connection.
const READ_BUFFER: usize = 4 * 1024;

/// Messages without RTMP bytes in them (pings, pongs, empty ones) taken in one turn.
const IDLE_MESSAGES: usize = 32;

/// How long a refused peer may take to read why, before the system may answer what it still sends with a reset.
const REFUSED: Duration = Duration::from_millis(500);

/// A byte stream in the binary messages of a WebSocket.
#[derive(Debug)]
pub struct WebSocketStream<S> {
    framed: Framed<S>,
    /// The rest of a message that has not been read yet.
    rest: Bytes,
    /// All that was written has gone to the socket.
    flushed: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Open,
    /// The peer sent what is not allowed: it is told so.
    Refusing(CloseFrame),
    /// It has been told; what it still sends is passed over until it is gone.
    Refused(Pin<Box<Sleep>>),
    /// We said goodbye.
    Closed,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocketStream<S> {
    /// The server's side of `socket`, whose opening handshake is done; `read` came with it already.
    pub async fn new(socket: S, read: &[u8]) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX));
        let framed = Framed::from_partially_read(socket, read.to_vec(), Role::Server, Some(config)).await;
        WebSocketStream { framed, rest: Bytes::new(), flushed: true, state: State::Open }
    }

    /// Reads messages until there is one with bytes in it. Ready with none at the end of the stream.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..IDLE_MESSAGES {
            match ready!(self.framed.poll_next_unpin(cx)) {
                Some(Ok(Message::Binary(bytes))) if !bytes.is_empty() => {
                    self.rest = bytes;
                    return Poll::Ready(Ok(()));
                }
                // Pings are answered and closing is acknowledged while the next message is waited for.
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Close(_))) => {}
                Some(Ok(Message::Text(_) | Message::Frame(_))) => {
                    return self.refuse(cx, CloseCode::Unsupported, "RTMP needs binary messages");
                }
                Some(Err(Error::Capacity(_))) => {
                    return self.refuse(cx, CloseCode::Size, "messages of up to 65536 bytes are allowed");
                }
                Some(Err(Error::Protocol(error))) => {
                    debug!(%error, "WebSocket");
                    return self.refuse(cx, CloseCode::Protocol, "");
                }
                // Includes text that is not UTF-8: text is refused either way.
                Some(Err(Error::Utf8(_))) => return self.refuse(cx, CloseCode::Unsupported, ""),
                Some(Err(error)) => return Poll::Ready(Err(failure(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn refuse(&mut self, cx: &mut Context<'_>, code: CloseCode, reason: &'static str) -> Poll<io::Result<()>> {
        self.state = State::Refusing(CloseFrame { code, reason: reason.into() });
        self.poll_refused(cx)
    }

    /// Tells the peer why, then waits until it has gone. Ready at the end.
    fn poll_refused(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Refusing(frame) = &self.state {
            let message = Message::Close(Some(frame.clone()));
            ready!(self.framed.poll_ready_unpin(cx)).map_err(failure)?;
            self.framed.start_send_unpin(message).map_err(failure)?;
            self.flushed = false;
            self.state = State::Refused(Box::pin(sleep(REFUSED)));
        }
        let _ = self.poll_flushed(cx)?;
        let State::Refused(patience) = &mut self.state else { return Poll::Ready(Ok(())) };
        if patience.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        // Frames have lost their meaning: these are the socket's own bytes.
        let mut space = [0; 4 * 1024];
        for _ in 0..IDLE_MESSAGES {
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(self.framed.get_mut()).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.flushed {
            ready!(self.framed.poll_flush_unpin(cx)).map_err(failure)?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// One message. Pending while the one before waits, so at most one does.
    fn poll_send(&mut self, cx: &mut Context<'_>, message: impl FnOnce() -> Message) -> Poll<io::Result<()>> {
        ready!(self.poll_flushed(cx))?;
        ready!(self.framed.poll_ready_unpin(cx)).map_err(failure)?;
        self.framed.start_send_unpin(message()).map_err(failure)?;
        self.flushed = false;
        let _ = self.poll_flushed(cx)?;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Nobody else calls again when the socket has room: a writer's bytes were accepted already.
        let _ = this.poll_flushed(cx)?;
        if matches!(this.state, State::Refusing(_) | State::Refused(_)) {
            return this.poll_refused(cx);
        }
        if this.rest.is_empty() {
            ready!(this.poll_rest(cx))?;
        }
        let count = this.rest.len().min(buffer.remaining());
        buffer.put_slice(&this.rest[..count]);
        this.rest.advance(count);
        if this.rest.is_empty() {
            // An idle phone keeps no message.
            this.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !matches!(this.state, State::Open) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = pieces.iter().map(|piece| piece.len()).sum();
        ready!(this.poll_send(cx, || Message::Binary(joined(pieces, length))))?;
        Poll::Ready(Ok(length))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flushed(cx)
    }

    /// Says goodbye; the peer's own goodbye is the end of what can be read.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.state, State::Open) {
            let normal = CloseFrame { code: CloseCode::Normal, reason: "".into() };
            ready!(this.poll_send(cx, || Message::Close(Some(normal))))?;
            this.state = State::Closed;
        }
        this.poll_flushed(cx)
    }
}

fn joined(pieces: &[IoSlice<'_>], length: usize) -> Bytes {
    let mut message = Vec::with_capacity(length);
    for piece in pieces {
        message.extend_from_slice(piece);
    }
    message.into()
}

fn failure(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Our end and a browser's, with room for so many bytes between them.
    async fn pair(room: usize) -> (WebSocketStream<DuplexStream>, Framed<DuplexStream>) {
        let (ours, theirs) = duplex(room);
        (WebSocketStream::new(ours, &[]).await, Framed::from_raw_socket(theirs, Role::Client, None).await)
    }

    /// What a browser that sends this is told when the stream ends.
    async fn refusal(message: Message) -> CloseFrame {
        let (mut ours, mut theirs) = pair(1024 * 1024).await;
        theirs.send(message).await.unwrap();
        let told = async {
            let heard = theirs.next().await;
            drop(theirs);
            heard
        };
        let mut space = [0; 10];
        let (end, told) = tokio::join!(ours.read(&mut space), told);
        assert_eq!(end.unwrap(), 0);
        match told {
            Some(Ok(Message::Close(Some(frame)))) => frame,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn bytes_come_in_order_however_they_are_cut_into_messages() {
        let (mut ours, mut theirs) = pair(1024 * 1024).await;
        let expected: Vec<u8> = (0..200).collect();
        for (n, piece) in expected.chunks(7).enumerate() {
            theirs.send(Message::binary(piece.to_vec())).await.unwrap();
            theirs.send(Message::binary(Vec::new())).await.unwrap();
            theirs.send(Message::Ping(vec![n as u8].into())).await.unwrap();
        }
        let mut heard = vec![0; 200];
        for piece in heard.chunks_mut(3) {
            ours.read_exact(piece).await.unwrap();
        }
        assert_eq!(heard, expected);
    }

    #[tokio::test]
    async fn one_write_is_one_message_in_pieces_or_not() {
        let (mut ours, mut theirs) = pair(1024 * 1024).await;
        ours.write_all(b"one").await.unwrap();
        let pieces = [IoSlice::new(b"two"), IoSlice::new(b""), IoSlice::new(b"three")];
        assert_eq!(ours.write_vectored(&pieces).await.unwrap(), 8);
        assert_eq!(theirs.next().await.unwrap().unwrap(), Message::binary(&b"one"[..]));
        assert_eq!(theirs.next().await.unwrap().unwrap(), Message::binary(&b"twothree"[..]));
    }

    #[tokio::test]
    async fn a_browser_that_does_not_read_holds_the_writer_back_and_loses_nothing() {
        let (mut ours, mut theirs) = pair(64).await;
        let mut taken = 0;
        poll_fn(|cx| {
            while Pin::new(&mut ours).poll_write(cx, &[taken as u8; 50]).is_ready() {
                taken += 1;
                assert!(taken < 10, "written without end");
            }
            Poll::Ready(())
        })
        .await;
        let reader = async {
            for n in 0..taken {
                assert_eq!(theirs.next().await.unwrap().unwrap(), Message::binary(vec![n as u8; 50]));
            }
            theirs.send(Message::binary(&b"done"[..])).await.unwrap();
        };
        // A reader's poll flushes what waits, as the phone's driver relies on.
        let mut space = [0; 4];
        let (read, ()) = tokio::join!(ours.read_exact(&mut space), reader);
        read.unwrap();
        assert_eq!(&space, b"done");
    }

    #[tokio::test]
    async fn text_is_refused_as_unsupported_data() {
        assert_eq!(refusal(Message::text("hello")).await.code, CloseCode::Unsupported);
    }

    #[tokio::test]
    async fn a_message_beyond_the_bound_is_refused_as_too_big_and_one_at_it_passes() {
        assert_eq!(refusal(Message::binary(vec![0; MESSAGE_MAX + 1])).await.code, CloseCode::Size);
        let (mut ours, mut theirs) = pair(1024 * 1024).await;
        theirs.send(Message::binary(vec![7; MESSAGE_MAX])).await.unwrap();
        let mut heard = vec![0; MESSAGE_MAX];
        ours.read_exact(&mut heard).await.unwrap();
        assert!(heard.iter().all(|byte| *byte == 7));
    }

    #[tokio::test]
    async fn what_is_no_websocket_is_refused_as_a_protocol_error() {
        let (ours, mut theirs) = duplex(1024);
        let mut ours = WebSocketStream::new(ours, &[]).await;
        theirs.write_all(&[0xFF; 20]).await.unwrap();
        let mut heard = [0; 4];
        let mut space = [0; 10];
        let told = async {
            theirs.read_exact(&mut heard).await.unwrap();
            drop(theirs);
        };
        let (end, ()) = tokio::join!(ours.read(&mut space), told);
        assert_eq!(end.unwrap(), 0);
        assert_eq!((heard[0], &heard[2..]), (0x88, &1002_u16.to_be_bytes()[..]));
    }

    #[tokio::test]
    async fn either_side_may_say_goodbye_and_hears_the_other_do_so() {
        let (mut ours, mut theirs) = pair(1024).await;
        let (closed, heard) = tokio::join!(ours.shutdown(), theirs.next());
        closed.unwrap();
        assert!(matches!(heard, Some(Ok(Message::Close(Some(frame)))) if frame.code == CloseCode::Normal));
        let mut space = [0; 10];
        // A browser answers, and then waits for us to close the socket.
        let end = tokio::select! {
            end = ours.read(&mut space) => end,
            heard = theirs.next() => panic!("{heard:?}"),
        };
        assert_eq!(end.unwrap(), 0);

        let (mut ours, mut theirs) = pair(1024).await;
        theirs.close(None).await.unwrap();
        let (end, heard) = tokio::join!(ours.read(&mut space), theirs.next());
        assert_eq!(end.unwrap(), 0);
        assert!(matches!(heard, Some(Ok(Message::Close(_))) | None), "{heard:?}");
    }

    #[tokio::test]
    async fn a_refused_peer_that_goes_on_is_left_at_the_deadline() {
        let (mut ours, mut theirs) = pair(1024 * 1024).await;
        theirs.send(Message::text("hello")).await.unwrap();
        let begin = std::time::Instant::now();
        assert_eq!(ours.read(&mut [0; 10]).await.unwrap(), 0);
        assert!(begin.elapsed() >= REFUSED, "{:?}", begin.elapsed());
    }
}
