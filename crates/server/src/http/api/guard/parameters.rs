//! Refuses a request with a parameter that its operation does not have.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::http::api::extract::query::Params;
use crate::http::api::state::Api;

/// Checks the parameters in front of every operation, behind the guard that asks for a key.
pub async fn check(State(api): State<Api>, path: MatchedPath, request: Request, next: Next) -> Response {
    match api.parameters().map_or(Ok(()), |known| known.check(path.as_str(), request.method(), request.uri())) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// Refuses every parameter, in front of routes that are in no document and have none.
pub async fn check_none(request: Request, next: Next) -> Response {
    match Params::check(request.uri(), &[]) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}
