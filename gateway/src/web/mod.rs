//! HTTP: the web phone and its guide, RTMP for browsers at /rtmp, /metrics and /healthz.
//!
//! ```text
//! / and files   files.rs, places filled in by page.rs
//! /rtmp         rtmp.rs -> listen::WebSocketStream -> phone::Connection
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::app::Addresses;
use crate::config::Config;
use crate::phone::Gateway;

mod files;
mod forwarded;
mod page;
mod rtmp;

use files::{Files, NO_SNIFF};
use forwarded::Proxies;
use page::Places;
use rtmp::Origins;

/// Connections at one time; more wait in the system's queue.
const CONNECTIONS: usize = 256;

/// A request's header has to be there by then (reliability X16).
const HEADER_TIME: Duration = Duration::from_secs(5);

/// A connection is not kept longer.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

/// After the system refused a connection, how long until the next try.
const PAUSE: Duration = Duration::from_millis(100);

/// What requests are answered from.
struct Site {
    gateway: Arc<Gateway>,
    files: Files,
    origins: Origins,
    proxies: Proxies,
}

/// Who asks: an extension of each request.
#[derive(Debug, Clone, Copy)]
struct Peer(SocketAddr);

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

    /// Serves until dropped: the phone for this configuration, and the numbers of this gateway.
    pub async fn run(self, gateway: Arc<Gateway>, config: Config, at: Addresses) {
        let files = Files::new(Places::new(&config, &at), &config.frame_ancestors);
        let origins = Origins::new(config.web_origins, at.http);
        let proxies = Proxies { trusted: config.trusted_proxies, header: config.forwarded_header };
        let routes = routes(Arc::new(Site { gateway, files, origins, proxies }));
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let routes = routes.clone();
                    tokio::spawn(async move {
                        if let Err(error) = serve(stream, peer, routes).await {
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

async fn serve(stream: TcpStream, peer: SocketAddr, routes: Router) -> hyper::Result<()> {
    let routes = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        routes.call(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::time::timeout(CONNECTION_TIME, connection).await.unwrap_or(Ok(()))
}

fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(file))
        .route("/{*path}", get(file))
        .route("/rtmp", get(rtmp::upgrade))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { ([NO_SNIFF], "ok\n") }))
        .with_state(site)
}

async fn file(State(site): State<Arc<Site>>, request: Request) -> Response {
    site.files.answer(request.uri().path(), request.headers())
}

async fn metrics(State(site): State<Arc<Site>>) -> impl IntoResponse {
    let page = site.gateway.metrics.render(site.gateway.sip.counters());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), NO_SNIFF], page)
}
