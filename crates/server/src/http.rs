//! The HTTP service: the REST API, the web app, development helpers, and the way to socket.io.

pub mod api;
mod app;
mod conditions;
mod dev;
mod enter;
mod policy;
mod sockets;
pub mod web;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::timeout::DeadlineBody;

use crate::config;
use crate::net::source::Trusted;

pub use app::{App, DevRoutes};

/// The largest body of a request outside socket.io: the largest there is describes a channel.
const MAX_BODY: usize = 16 * 1024;
/// Time to send a request's whole body: at most 64 KiB, which the slowest network of a call carries in a few seconds. A
/// body that trickles in for ever would keep a connection, a buffer and, in signaling, a place.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The whole HTTP service.
pub fn router(app: &App, config: &config::Http, api: &config::Api, trusted: &Trusted, dev: DevRoutes) -> Router {
    let mut router = Router::new();
    if dev.enabled {
        router = router.merge(
            dev::routes(dev.crash).method_not_allowed_fallback(api::wrong_method).route_layer(middleware::from_fn(api::check_no_query)),
        );
    }
    let router = router
        .merge(sockets::routes())
        .fallback(web::serve)
        .with_state(app.clone())
        .merge(api::routes(app, api))
        .layer(DefaultBodyLimit::max(MAX_BODY));
    let router = app.socketio.mount(router);
    let listed: Arc<[String]> = config.cors_origins.clone().into();
    let router = if dev.enabled { router.layer(middleware::from_fn_with_state(listed, dev::local::only)) } else { router };
    router
        .layer(middleware::from_fn_with_state(trusted.clone(), enter::enter))
        .layer(middleware::from_fn(limit_body_time))
        .layer(cors(config, dev.enabled))
        .layer(middleware::from_fn(policy::apply))
}

async fn limit_body_time(request: Request, next: Next) -> Response {
    next.run(request.map(in_time)).await
}

/// Wraps a body so that it fails when it is not complete in time.
fn in_time(body: Body) -> Body {
    Body::new(DeadlineBody::new(BODY_TIMEOUT, body))
}

/// Rules for pages of other origins (CORS): they may use this server only if they are listed. No cookies are involved:
/// tokens say who a user is. Administration is for servers: no page has a key to it.
fn cors(config: &config::Http, dev: bool) -> CorsLayer {
    let allowed = config.cors_origins.clone();
    let listed = move |origin: &HeaderValue| {
        origin.to_str().is_ok_and(|origin| allowed.iter().any(|a| a == origin) || dev && dev::local::is_localhost(origin))
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin, request| listed(origin) && is_for_pages(request.uri.path())))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::AUTHORIZATION])
        .allow_credentials(true)
}

/// Whether a path is for pages, because users ask it with their own tokens.
fn is_for_pages(path: &str) -> bool {
    let users = ["/api/voice/", "/api/rooms/", "/api/dev/"];
    !path.starts_with("/api/") || users.iter().any(|begin| path.starts_with(begin))
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
}
