//! HTTP: the page that says how to connect, /metrics and /healthz.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::app::Addresses;
use crate::config::Config;
use crate::phone::Gateway;

mod page;

/// Connections at one time; more wait in the system's queue.
const CONNECTIONS: usize = 256;

/// A request's header has to be there by then (reliability X16).
const HEADER_TIME: Duration = Duration::from_secs(5);

/// A connection is not kept longer.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// After the system refused a connection, how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// What the page may load: nothing but itself.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const CSP: (HeaderName, &str) = (header::CONTENT_SECURITY_POLICY, POLICY);
const NO_SNIFF: (HeaderName, &str) = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
const NO_REFERRER: (HeaderName, &str) = (header::REFERRER_POLICY, "no-referrer");

/// The HTTP listener.
pub struct WebServer {
    listener: TcpListener,
}

impl WebServer {
    /// Listens on `address`.
    ///
    /// # Errors
    /// The system's.
    pub async fn bind(address: SocketAddr) -> io::Result<WebServer> {
        Ok(WebServer { listener: TcpListener::bind(address).await? })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until dropped: the page for this configuration, and the numbers of this gateway.
    pub async fn run(self, gateway: Arc<Gateway>, config: Config, at: Addresses) {
        let routes = routes(gateway, page::render(&config, &at));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let routes = routes.clone();
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, routes).await {
                            debug!(%peer, %error, "HTTP connection");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "cannot accept HTTP connections");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, routes: Router) -> hyper::Result<()> {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    tokio::time::timeout(CONNECTION_TIME, connection).await.unwrap_or(Ok(()))
}

fn routes(gateway: Arc<Gateway>, page: String) -> Router {
    let page: Bytes = page.into();
    let metrics = move || async move {
        let page = gateway.metrics.render(gateway.sip.counters());
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page)
    };
    Router::new()
        .route("/", get(move || async move { file("text/html; charset=utf-8", page) }))
        .route("/guide.css", get(|| async { file("text/css; charset=utf-8", page::STYLE) }))
        .route("/icon.svg", get(|| async { file("image/svg+xml", page::ICON) }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
}

/// A file of the page, with the headers that keep it what it is.
fn file(kind: &'static str, body: impl IntoResponse) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), CSP, NO_SNIFF, NO_REFERRER], body)
}
