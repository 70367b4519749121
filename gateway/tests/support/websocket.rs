//! RTMP over a WebSocket, for a phone that knows TCP only.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

pub(crate) type Socket = WebSocketStream<TcpStream>;

/// A socket whose bytes travel in the messages of this WebSocket; it closes when either end does.
pub(crate) async fn bridge(mut web: Socket) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    tokio::spawn(async move {
        let mut space = [0; 4_096];
        loop {
            tokio::select! {
                count = far.read(&mut space) => match count {
                    Ok(count) if count > 0 => web.send(Message::binary(space[..count].to_vec())).await.unwrap(),
                    _ => return,
                },
                message = web.next() => match message {
                    Some(Ok(Message::Binary(bytes))) if far.write_all(&bytes).await.is_ok() => {}
                    Some(Ok(Message::Binary(_) | Message::Close(_)) | Err(_)) | None => return,
                    other => panic!("{other:?}"),
                },
            }
        }
    });
    near
}
