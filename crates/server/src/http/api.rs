//! The REST API: administration for the host application by API key, and what users may look at.
//!
//! Routes are in groups; each group has its guard, and the guard its words in the document, so that no route is
//! without one and the document cannot say otherwise.

mod audit;
mod bans;
mod calls;
mod channels;
mod events;
mod examples;
mod health;
mod input;
mod invitations;
mod key;
mod keys;
mod limit;
mod members;
mod moderation;
mod openapi;
mod page;
mod people;
mod problem;
mod query;
mod schema;
mod scope;
mod seats;
mod sessions;
mod text;
mod when;
mod window;

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use parlor_proto::{Channel, ChannelId, Error, ErrorCode, Identity, Timestamp, UserId, Window};
use parlor_rooms::access;
use parlor_store::{Found, Store, Stored};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{App, Source};
use crate::rooms::Registry;
use crate::{clock, config};
pub use channels::ChannelView;
use key::Visitor;
use limit::Limits;
use problem::Problem;
pub use query::check_none as check_no_query;
pub use scope::Scope;

/// What a handler answers.
type Answer<T> = Result<T, Problem>;

/// What handlers share.
#[derive(Clone, Debug)]
struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    app: App,
    limits: Limits,
    ready: health::Ready,
    document: OnceLock<Bytes>,
    parameters: OnceLock<query::Known>,
}

/// The routes, health among them, and refusals for every other path below `/api`.
pub fn routes(app: &App, config: &config::Api) -> Router {
    let limits = Limits::new(config);
    let (ready, document, parameters) = (health::Ready::default(), OnceLock::new(), OnceLock::new());
    let api = Api(Arc::new(Shared { app: app.clone(), limits, ready, document, parameters }));
    let (router, mut document) = all(&api).split_for_parts();
    openapi::complete(&mut document);
    let _ = api.0.parameters.set(query::Known::of(&document));
    // A document that cannot be written is none; a test reads it.
    let _ = api.0.document.set(document.to_json().unwrap_or_default().into());
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
        .merge(for_keys(api, Scope::Keys, keys::routes()))
        .merge(for_visitors(api, calls::visitor_routes().merge(window::visitor_routes())))
}

/// Routes that need nothing.
fn for_everybody(api: &Api, routes: OpenApiRouter<Api>) -> OpenApiRouter<Api> {
    routes.route_layer(middleware::from_fn_with_state(api.clone(), query::check))
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

/// Counts requests of each address. Health checks are not counted.
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

/// The header `Allow` says which ones there are.
pub async fn wrong_method() -> Problem {
    let problem = Problem::new(ErrorCode::InvalidRequest).with_status(StatusCode::METHOD_NOT_ALLOWED);
    problem.say("This path does not take this method; the header Allow names those it takes.")
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "health",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json")))]
async fn document(State(api): State<Api>) -> Response {
    let bytes = api.0.document.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

/// 201 for what is new, 204 for what was there.
const fn created(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }
}

impl Api {
    fn store(&self) -> &Store {
        &self.0.app.store
    }

    fn registry(&self) -> &Arc<Registry> {
        &self.0.app.registry
    }

    fn limits(&self) -> &Limits {
        &self.0.limits
    }

    #[allow(clippy::unused_self, reason = "handlers know one place for what comes from outside")]
    fn now(&self) -> Timestamp {
        clock::wall()
    }

    /// Whether the store answers, as of a moment ago.
    async fn is_ready(&self) -> Result<(), String> {
        self.0.ready.ask(|| self.store().ping()).await
    }

    fn is_stopping(&self) -> bool {
        self.0.app.stopping.is_cancelled()
    }

    async fn stopping(&self) {
        self.0.app.stopping.cancelled().await;
    }

    /// Something was written of a channel: waits until its call has felt it, so that what was answered holds.
    async fn settled(&self, channel: &ChannelId) -> Answer<()> {
        followed(self.registry().settled(std::slice::from_ref(channel)).await)
    }

    /// Waits until the calls that a user is in have followed what was written of them.
    async fn settled_for(&self, user: &UserId) -> Answer<()> {
        followed(self.registry().settled_for(user).await)
    }

    /// A channel that must be there.
    async fn channel(&self, id: &ChannelId) -> Answer<Stored<Channel>> {
        self.store().channel(id).await?.ok_or_else(|| Problem::new(ErrorCode::ChannelNotFound))
    }

    /// Who a user's token says they are.
    async fn verify(&self, token: &str) -> Result<Identity, Error> {
        self.0.app.authenticator.verify(token).await.map(|pass| pass.identity)
    }

    /// Refuses a user who could not join the channel now.
    async fn let_in(&self, visitor: &Visitor, id: &ChannelId) -> Answer<()> {
        let user = match visitor {
            Visitor::Key => return self.channel(id).await.map(drop),
            Visitor::User(identity) => identity,
        };
        let Found { channel, facts, .. } = self.found(id, user).await?;
        access::admit(&channel, user, &facts, self.now())?;
        Ok(())
    }

    /// A channel for who may join it, be it open now or not.
    async fn shown(&self, visitor: &Visitor, id: &ChannelId) -> Answer<Channel> {
        let user = match visitor {
            Visitor::Key => return Ok(self.channel(id).await?.value),
            Visitor::User(identity) => identity,
        };
        let Found { channel, facts, .. } = self.found(id, user).await?;
        let always = Channel { window: Window::default(), ..channel.clone() };
        access::admit(&always, user, &facts, self.now())?;
        Ok(channel)
    }

    /// What the store has of a channel and a user, if the user's token may be used for it.
    async fn found(&self, id: &ChannelId, user: &Identity) -> Answer<Found> {
        access::granted(id, user)?;
        let found = self.store().admission(id, &user.user).await?;
        found.ok_or_else(|| Problem::new(ErrorCode::ChannelNotFound))
    }
}

fn followed(settled: bool) -> Answer<()> {
    if settled {
        return Ok(());
    }
    let sentence = "It is written, and running calls have not followed yet. Ask again to see that they have.";
    Err(Problem::new(ErrorCode::ServerError).with_status(StatusCode::SERVICE_UNAVAILABLE).say(sentence))
}
