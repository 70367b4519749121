//! Where phones come from: byte sources of any kind, all served by the same connection code.

use tokio::io::{AsyncRead, AsyncWrite};

mod tcp;

pub use tcp::TcpSource;

/// What a phone's bytes travel on: TCP today; TLS and WebSocket have the same face.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> ByteStream for T {}
