//! Whether the server lives, and whether it wants new clients; for supervisors and load balancers.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;

/// How long the store may take to give a sign of life before this server is not ready for clients.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long its last answer counts: health is not limited, and whoever asks for it often must not keep the store busy.
const FRESH: Duration = Duration::from_secs(1);

/// Whether the store answers.
#[derive(Debug, Default)]
pub struct Ready(Mutex<Option<(Instant, bool)>>);

impl Ready {
    /// Asks, unless that was done a moment ago. Who comes meanwhile waits for that answer.
    pub async fn ask<E>(&self, ping: impl AsyncFnOnce() -> Result<(), E>) -> bool {
        let mut known = self.0.lock().await;
        match *known {
            Some((at, ready)) if at.elapsed() < FRESH => ready,
            _ => {
                let ready = matches!(timeout(STORE_TIMEOUT, ping()).await, Ok(Ok(())));
                *known = Some((Instant::now(), ready));
                ready
            }
        }
    }
}

/// All routes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(healthz)).routes(routes!(readyz))
}

/// Tells that the server lives
#[utoipa::path(get, path = "/healthz", tag = "health",
    responses((status = 200, description = "It does", body = String, content_type = "text/plain")))]
async fn healthz() -> &'static str {
    "ok\n"
}

/// Tells whether the server takes new clients
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, description = "It does", body = String, content_type = "text/plain"),
    (status = 503, description = "It stops, or its store does not answer", body = String, content_type = "text/plain")))]
async fn readyz(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match api.is_ready().await {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_the_store_is_asked_once_a_second() {
        let (ready, pings) = (Ready::default(), AtomicU32::new(0));
        let ask = || {
            ready.ask(async || {
                pings.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                Ok::<_, ()>(())
            })
        };
        assert_eq!(join_all((0..100).map(|_| ask())).await, [true; 100]);
        assert_eq!(pings.load(Ordering::Relaxed), 1);
        advance(FRESH).await;
        assert!(ask().await);
        assert_eq!(pings.load(Ordering::Relaxed), 2);
        advance(FRESH).await;
        assert!(!ready.ask(async || std::future::pending::<Result<(), ()>>().await).await, "it takes too long");
    }
}
