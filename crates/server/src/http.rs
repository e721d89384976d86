//! Everything that comes in over HTTP: the REST API, the web app, development helpers, and the way to socket.io.

pub mod api;
mod conditions;
mod dev;
mod guard;
pub mod listen;
mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use parlor_store::Store;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::DeadlineBody;

use crate::auth::Authenticator;
use crate::config;
use crate::media::Pool;
use crate::rooms::Registry;
use crate::signal::SocketIo;

pub use api::{PeerAddress, Source};
pub use listen::{MAX_CONNECTIONS, bind, serve};

/// A request's body outside socket.io. The largest there is describes a channel.
const MAX_BODY: usize = 16 * 1024;
/// Time to send a request's whole body: at most 64 KiB, which the slowest network of a call carries in a few seconds.
/// One that trickles in for ever would keep a connection, a buffer and, in signaling, a place.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Nothing from elsewhere, no plug-ins, no frames of others; what a call needs: WebSocket, blob media, wasm in
/// audio worklets. Inline styles are how components move things.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; \
     connect-src 'self' ws: wss:; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; style-src 'self' 'unsafe-inline'; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";
const PERMISSIONS_POLICY: &str = "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), geolocation=()";

/// What request handlers share.
#[derive(Clone, Debug)]
pub struct App {
    /// Verifies and, in development mode, issues tokens.
    pub authenticator: Arc<Authenticator>,
    /// The rooms.
    pub registry: Arc<Registry>,
    /// The media threads.
    pub pool: Arc<Pool>,
    /// The signaling connections.
    pub socketio: SocketIo,
    /// The server stops: not ready for new clients.
    pub stopping: CancellationToken,
    /// Channels, and what is known of people.
    pub store: Store,
}

/// Which routes there are beyond those that always are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DevRoutes {
    /// Tokens and counters for everybody.
    pub enabled: bool,
    /// A worker can be made to panic.
    pub crash: bool,
}

/// The whole HTTP service.
pub fn router(app: &App, config: &config::Http, api: &config::Api, dev: DevRoutes) -> Router {
    let mut router = Router::new();
    if dev.enabled {
        router = router.merge(
            dev::routes(dev.crash).method_not_allowed_fallback(api::wrong_method).route_layer(middleware::from_fn(api::check_no_query)),
        );
    }
    let router = router.fallback(web::serve).with_state(app.clone()).merge(api::routes(app, api)).layer(DefaultBodyLimit::max(MAX_BODY));
    app.socketio
        .mount(router)
        .layer(middleware::from_fn_with_state(api.trusted_proxies.clone().into(), api::note_signaling_source))
        .layer(middleware::from_fn(limit_body_time))
        .layer(cors(config, dev.enabled))
        .layer(header_if_absent(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(header_if_absent(HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY))
        .layer(header_if_absent(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_if_absent(header::REFERRER_POLICY, "no-referrer"))
        .layer(header_if_absent(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
}

async fn limit_body_time(request: Request, next: Next) -> Response {
    next.run(request.map(in_time)).await
}

/// A body that fails when it is not complete in time.
fn in_time(body: Body) -> Body {
    Body::new(DeadlineBody::new(BODY_TIMEOUT, body))
}

fn header_if_absent(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Pages of other origins may talk to us only if they are listed; tokens, not cookies, say who somebody is.
/// Administration is for servers: no page has a key to it.
fn cors(config: &config::Http, dev: bool) -> CorsLayer {
    let allowed = config.cors_origins.clone();
    let listed =
        move |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| allowed.iter().any(|a| a == origin) || dev && is_localhost(origin));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, request| listed(origin) && is_for_pages(request.uri.path())))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .allow_credentials(true)
}

/// What users ask with their own tokens.
fn is_for_pages(path: &str) -> bool {
    let users = ["/api/voice/", "/api/rooms/", "/api/dev/"];
    !path.starts_with("/api/") || users.iter().any(|begin| path.starts_with(begin))
}

fn is_localhost(origin: &str) -> bool {
    let Some(rest) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else { return false };
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next(),
        None => rest.split(':').next(),
    };
    matches!(host, Some("localhost" | "127.0.0.1" | "::1"))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::to_bytes;
    use futures_util::stream;
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_given_up() {
        let trickle = |pieces: usize| {
            let pieces = stream::unfold(pieces, |left| async move {
                sleep(Duration::from_secs(5)).await;
                Some((Ok::<_, Infallible>("x"), left.checked_sub(1)?))
            });
            to_bytes(in_time(Body::from_stream(pieces)), usize::MAX)
        };
        assert_eq!(trickle(4).await.expect("in time").len(), 4);
        let began = Instant::now();
        assert!(trickle(1_000_000).await.is_err());
        assert_eq!(began.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
    }

    #[test]
    fn only_this_machine_is_localhost() {
        for origin in ["http://localhost:5173", "https://localhost", "http://127.0.0.1:1", "http://[::1]:80"] {
            assert!(is_localhost(origin), "{origin}");
        }
        for origin in
            ["http://localhost.evil.example", "http://evil.example", "null", "http://127.0.0.1.evil.example:80", "file://localhost"]
        {
            assert!(!is_localhost(origin), "{origin}");
        }
    }
}
