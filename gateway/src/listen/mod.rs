//! Where phones come from: byte sources of any kind, all served by the same connection code.

use tokio::io::{AsyncRead, AsyncWrite};

mod tcp;
mod websocket;

pub use tcp::{TcpSource, prepare};
pub use websocket::{MESSAGE_MAX, WebSocketStream};

/// What a phone's bytes travel on: TCP and WebSocket today; TLS has the same face.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for T {}
