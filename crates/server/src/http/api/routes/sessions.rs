//! Connections of a user: listed, and closed by signing the user out.

use axum::Json;
use axum::extract::State;
use parlor_proto::{ChannelId, SessionId, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::At;
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;
use crate::rooms::SessionInfo;

/// The routes of connections.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_sessions, revoke_sessions))
}

/// The connections of a user.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sessions {
    items: Vec<SessionView>,
}

/// A connection of a user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub struct SessionView {
    #[schema(value_type = schema::ObjectId)]
    id: SessionId,
    /// When the connection began.
    connected_at: When,
    /// The channel the connection is in.
    #[schema(value_type = Option<schema::Id>, required = true)]
    channel_id: Option<ChannelId>,
}

/// How many connections were closed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Revoked {
    /// The connections to this server that were open and are closed now.
    closed: usize,
}

/// Lists the connections of a user to this server
#[utoipa::path(get, path = "/api/users/{user}/sessions", tag = "sessions", params(("user" = schema::Id, Path, description = "The user")),
    responses((status = 200, description = "Their connections", body = Sessions)))]
async fn list_sessions(State(api): State<Api>, At(user): At<UserId>) -> Answer<Json<Sessions>> {
    let view =
        |SessionInfo { session, connected_at, channel }| SessionView { id: session, connected_at: When(connected_at), channel_id: channel };
    let items = api.registry().sessions(&user).await.into_iter().map(view).collect();
    Ok(Json(Sessions { items }))
}

/// Signs a user out everywhere
///
/// Their connections are closed, and tokens issued until now are worthless.
#[utoipa::path(delete, path = "/api/users/{user}/sessions", tag = "sessions", params(("user" = schema::Id, Path, description = "The user")),
    responses((status = 200, description = "They are signed out", body = Revoked)))]
async fn revoke_sessions(State(api): State<Api>, caller: Caller, At(user): At<UserId>) -> Answer<Json<Revoked>> {
    let closed = api.registry().revoke(&user, &caller.actor()).await?;
    Ok(Json(Revoked { closed }))
}
