//! Everything that comes in over HTTP: health, the web app, development helpers, and the way to socket.io.

mod dev;
mod guard;
pub mod listen;
mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutBody;

use crate::auth::Authenticator;
use crate::config;
use crate::media::Pool;
use crate::rooms::Registry;
use crate::signal::SocketIo;

pub use listen::{MAX_CONNECTIONS, bind, serve};

/// A request's body outside socket.io. The only one there is has a name and a few flags.
const MAX_BODY: usize = 16 * 1024;
/// Silence within a request's body after which it is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

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
pub fn router(app: &App, config: &config::Http, dev: DevRoutes) -> Router {
    let mut router = Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready));
    if dev.enabled {
        router = router.merge(dev::routes(dev.crash));
    }
    router
        .fallback(web::serve)
        .with_state(app.clone())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(app.socketio.layer())
        .layer(middleware::from_fn(limit_body_time))
        .layer(cors(config, dev.enabled))
        .layer(header_if_absent(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(header_if_absent(HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY))
        .layer(header_if_absent(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(header_if_absent(header::REFERRER_POLICY, "no-referrer"))
        .layer(header_if_absent(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
}

async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.stopping.is_cancelled() { (StatusCode::SERVICE_UNAVAILABLE, "stopping\n") } else { (StatusCode::OK, "ready\n") }
}

/// A client that sends its body a byte a minute would keep a connection and a buffer for ever.
async fn limit_body_time(request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::new(TimeoutBody::new(BODY_TIMEOUT, body)))).await
}

fn header_if_absent(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}

/// Pages of other origins may talk to us only if they are listed; tokens, not cookies, say who somebody is.
fn cors(config: &config::Http, dev: bool) -> CorsLayer {
    let allowed = config.cors_origins.clone();
    let listed =
        move |origin: &HeaderValue| origin.to_str().is_ok_and(|origin| allowed.iter().any(|a| a == origin) || dev && is_localhost(origin));
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, _| listed(origin)))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .allow_credentials(true)
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
    use super::*;

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
