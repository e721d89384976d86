//! Health checks for supervisors and load balancers: whether the server lives, and whether it takes new clients.

use axum::extract::State;
use axum::http::StatusCode;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::state::Api;

/// The routes of the health checks.
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
    (status = 503, description = "It stops, or its store takes no writes: the body says which, and why", body = String, content_type = "text/plain")))]
async fn readyz(State(api): State<Api>) -> (StatusCode, String) {
    if api.is_stopping() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n".to_owned());
    }
    match api.is_ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}
