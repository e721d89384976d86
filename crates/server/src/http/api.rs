//! The REST API: administration for the host application by API key, and what users may look at.
//!
//! Routes are in groups. Each group has its guard, and the guard also writes its part of the document, so that no route
//! is without a guard and the document cannot say otherwise.

mod document;
mod extract;
mod guard;
mod problem;
mod ready;
mod routes;
mod state;

use std::net::IpAddr;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use parlor_proto::ErrorCode;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::document::openapi;
use self::extract::query::Known;
use self::guard::limit::Limits;
use self::guard::{key, parameters};
use self::problem::Problem;
use self::routes::{
    audit, bans, calls, channels, connection, connections, events, health, invitations, keys, members, moderation, people, seats, sessions,
    turn, window,
};
use self::state::Api;
use crate::config;
use crate::http::App;
use crate::net::source::Source;

pub use guard::parameters::check_none as check_no_query;
pub use guard::scope::Scope;
pub use routes::channels::ChannelView;

/// The routes, health among them, and refusals for every other path below `/api`.
pub fn routes(app: &App, config: &config::Api) -> Router {
    let api = Api::new(app, Limits::new(config));
    let (router, mut document) = all(&api).split_for_parts();
    openapi::complete(&mut document);
    // A document that cannot be written as JSON is served empty; a test reads it.
    api.keep_document(document.to_json().unwrap_or_default().into(), Known::of(&document));
    router
        .method_not_allowed_fallback(wrong_method)
        .route("/api", any(unknown))
        .route("/api/", any(unknown))
        .route("/api/{*path}", any(unknown))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(middleware::from_fn_with_state(api.clone(), limit_source))
        .with_state(api)
}

fn all(api: &Api) -> OpenApiRouter<Api> {
    let read = channels::read_routes().merge(members::read_routes()).merge(invitations::read_routes());
    let read = read.merge(seats::read_routes()).merge(calls::read_routes());
    let write = channels::write_routes().merge(members::write_routes()).merge(invitations::write_routes()).merge(seats::write_routes());
    OpenApiRouter::with_openapi(openapi::base())
        .merge(for_everybody(api, health::routes().routes(routes!(document))))
        .merge(for_keys(api, Scope::ChannelsRead, read))
        .merge(for_keys(api, Scope::ChannelsWrite, write))
        .merge(for_keys(api, Scope::Moderation, bans::routes().merge(moderation::routes())))
        .merge(for_keys(api, Scope::People, people::routes()))
        .merge(for_keys(api, Scope::Sessions, sessions::routes()))
        .merge(for_keys(api, Scope::Events, events::routes()))
        .merge(for_keys(api, Scope::Audit, audit::routes()))
        .merge(for_keys(api, Scope::Counters, connections::routes()))
        .merge(for_keys(api, Scope::Keys, keys::routes()))
        .merge(for_visitors(api, calls::visitor_routes().merge(window::visitor_routes())))
        .merge(for_users(api, turn::user_routes().merge(connection::user_routes())))
}

/// Routes that need neither a key nor a token.
fn for_everybody(api: &Api, routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    routes.route_layer(middleware::from_fn_with_state(api.clone(), parameters::check))
}

/// Routes that need an API key with a scope.
fn for_keys(api: &Api, scope: Scope, mut routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    openapi::need_key(routes.get_openapi_mut(), scope);
    for_everybody(api, routes).route_layer(middleware::from_fn_with_state((api.clone(), scope), key::require))
}

/// Routes that need a user's token or an API key.
fn for_visitors(api: &Api, mut routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    openapi::need_visitor(routes.get_openapi_mut());
    for_everybody(api, routes).route_layer(middleware::from_fn_with_state(api.clone(), key::require_visitor))
}

/// Routes that need a user's token.
fn for_users(api: &Api, mut routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    openapi::need_user(routes.get_openapi_mut());
    for_everybody(api, routes).route_layer(middleware::from_fn_with_state(api.clone(), key::require_user))
}

/// Counts the requests of each address. Health checks are not counted.
async fn limit_source(State(api): State<Api>, request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api") {
        return next.run(request).await;
    }
    let source = request.extensions().get::<Source>().map_or(IpAddr::from([0; 4]), |source| source.0);
    match api.limits().request(source) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn unknown() -> Problem {
    Problem::new(ErrorCode::NotFound).say("The API has no such path. GET /api/openapi.json describes those there are.")
}

/// Refuses a method that a path does not have. The header `Allow` says which methods it has.
pub async fn wrong_method() -> Problem {
    let problem = Problem::new(ErrorCode::InvalidRequest).with_status(StatusCode::METHOD_NOT_ALLOWED);
    problem.say("This path does not take this method; the header Allow names those it takes.")
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
async fn document(State(api): State<Api>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], api.document()).into_response()
}
