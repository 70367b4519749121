//! `/rtmp`: the opening handshake of a WebSocket (RFC 6455 section 4.2), after which the connection is a phone like any other.
//!
//! Browsers let any page open a WebSocket to any host, so the page's origin decides here. A client without an `Origin` header is no
//! browser and could as well use TCP.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tracing::{debug, info};

use super::{Peer, Site};
use crate::app;
use crate::config::WebOrigin;
use crate::config::web::normal;
use crate::listen::{WebSocketStream, prepare};
use crate::phone::Gateway;
use crate::phone::admission::PhonePermit;

/// The one sub-protocol that is known; none is as good.
const BINARY: &str = "binary";

const NO_WEBSOCKET: &str = "this is for WebSocket clients: RTMP in binary messages\n";
const FOREIGN_ORIGIN: &str =
    "pages of this origin may not connect here: name it in web-origins of the gateway's configuration\n";

/// Which pages may connect.
#[derive(Debug)]
pub(super) struct Origins {
    listed: Vec<WebOrigin>,
    /// The listener is reached from this machine only, so a name in `Host` that is not one of loopback's is somebody else's.
    loopback: bool,
}

impl Origins {
    pub(super) fn new(listed: Vec<WebOrigin>, listener: Option<SocketAddr>) -> Origins {
        Origins { listed, loopback: listener.is_some_and(|address| address.ip().is_loopback()) }
    }

    fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next().map(HeaderValue::to_str), origins.next()) {
            (None, _) => true,
            (Some(Ok(origin)), None) => {
                self.listed.iter().any(|listed| listed.matches(origin)) || self.is_own(origin, headers)
            }
            _ => false,
        }
    }

    /// The page came from the host that it connects to. Its scheme does not matter: a TLS proxy may stand in front.
    fn is_own(&self, origin: &str, headers: &HeaderMap) -> bool {
        let Some(Ok(host)) = headers.get(header::HOST).map(HeaderValue::to_str) else { return false };
        let Some((scheme, _)) = origin.split_once("://") else { return false };
        let (origin, own) = (normal(origin), normal(&format!("{scheme}://{host}")));
        origin.is_some() && origin == own && (!self.loopback || is_loopback_name(host))
    }
}

/// Whether no DNS server can give this name to another host's pages ("DNS rebinding", which would open a loopback gateway to every
/// page that its user visits).
fn is_loopback_name(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
    let name = name.to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Answers a request for `/rtmp`.
pub(super) async fn upgrade(State(site): State<Arc<Site>>, mut request: Request) -> Response {
    let Ok(mut response) = create_response_with_body(&request, Body::empty) else {
        let wanted = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
        return (StatusCode::UPGRADE_REQUIRED, wanted, NO_WEBSOCKET).into_response();
    };
    let Some(&Peer(peer)) = request.extensions().get() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let peer = site.proxies.client(peer, request.headers());
    if !site.origins.allow(request.headers()) {
        info!(%peer, origin = ?request.headers().get(header::ORIGIN), "WebSocket of a foreign origin refused");
        site.gateway.metrics.websocket_origins_refused.add();
        return (StatusCode::FORBIDDEN, FOREIGN_ORIGIN).into_response();
    }
    let permit = match app::admit(&site.gateway, peer) {
        Ok(permit) => permit,
        Err(refusal) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{refusal}\n")).into_response(),
    };
    if offers_binary(request.headers()) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(BINARY));
    }
    tokio::spawn(phone(site.gateway.clone(), hyper::upgrade::on(&mut request), peer, permit));
    response
}

fn offers_binary(headers: &HeaderMap) -> bool {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|offer| offer.to_str().ok());
    offers.flat_map(|offer| offer.split(',')).any(|offer| offer.trim() == BINARY)
}

/// Takes the connection over from HTTP when the response is out.
async fn phone(gateway: Arc<Gateway>, upgraded: OnUpgrade, peer: SocketAddr, permit: PhonePermit) {
    match upgraded.await.map(|upgraded| upgraded.downcast::<TokioIo<TcpStream>>()) {
        Ok(Ok(parts)) => {
            let socket = parts.io.into_inner();
            prepare(&socket);
            let dress = async move |socket| WebSocketStream::new(socket, &parts.read_buf).await;
            app::serve(&gateway, socket, peer, permit, dress);
        }
        Ok(Err(_)) => debug!(%peer, "WebSocket on something else than TCP"),
        Err(error) => debug!(%peer, %error, "WebSocket"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, host: &str, origin: &str) -> bool {
        let value = |text: &str| HeaderValue::try_from(text).unwrap();
        origins.allow(&HeaderMap::from_iter([(header::HOST, value(host)), (header::ORIGIN, value(origin))]))
    }

    fn origins(listed: &[&str], listener: &str) -> Origins {
        Origins::new(listed.iter().map(|origin| origin.parse().unwrap()).collect(), Some(listener.parse().unwrap()))
    }

    #[test]
    fn the_gateways_own_page_may_connect_and_others_may_not() {
        let origins = origins(&[], "0.0.0.0:8080");
        assert!(allowed(&origins, "gw.example:8080", "http://gw.example:8080"));
        assert!(allowed(&origins, "GW.example", "https://gw.example:443"));
        assert!(allowed(&origins, "[::1]:8080", "http://[::1]:8080"));
        for foreign in
            ["http://evil.example", "http://gw.example", "http://gw.example:8080.evil", "null", "file://", ""]
        {
            assert!(!allowed(&origins, "gw.example:8080", foreign), "{foreign}");
        }
    }

    #[test]
    fn no_name_that_points_to_loopback_for_a_moment_opens_a_loopback_gateway() {
        let origins = origins(&[], "127.0.0.1:8080");
        for own in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "phone.localhost:8080"] {
            assert!(allowed(&origins, own, &format!("http://{own}")), "{own}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example:8080"] {
            assert!(!allowed(&origins, foreign, &format!("http://{foreign}")), "{foreign}");
        }
    }

    #[test]
    fn a_listed_origin_may_connect_whatever_the_host_and_so_may_what_is_no_browser() {
        let origins = origins(&["https://phone.example.com"], "127.0.0.1:8080");
        assert!(allowed(&origins, "gw:8080", "https://phone.example.com"));
        assert!(origins.allow(&HeaderMap::new()));
        let origin = |text| (header::ORIGIN, HeaderValue::from_static(text));
        let mut two = HeaderMap::from_iter([origin("https://phone.example.com")]);
        two.append(header::ORIGIN, HeaderValue::from_static("https://evil.example"));
        assert!(!origins.allow(&two), "two origins");
    }
}
