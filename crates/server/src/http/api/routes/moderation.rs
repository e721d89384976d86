//! Moderation of calls by the host application: what a moderator can do in a call.

use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{ChannelId, Moderation, UserId};
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::text::ReasonText;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;

/// The routes of moderation.
pub fn routes() -> OpenApiRouter<Api> {
    let router = OpenApiRouter::default().routes(routes!(mute)).routes(routes!(deafen)).routes(routes!(kick));
    router.routes(routes!(move_user)).routes(routes!(end_call))
}

/// What is to be silenced (`true`), or to be heard and seen again (`false`). A kind that is not set stays as it is.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    /// Every sound the participant sends.
    #[serde(default)]
    audio: Option<bool>,
    /// The participant's camera.
    #[serde(default)]
    video: Option<bool>,
    /// The participant's shared screen, picture and sound.
    #[serde(default)]
    screen: Option<bool>,
}

/// Whether somebody is to hear nothing.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Deafen {
    deafened: bool,
}

/// The reason why somebody is put out.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Because {
    /// The reason the participant is told.
    #[serde(default)]
    #[schema(value_type = Option<schema::Reason>)]
    reason: Option<ReasonText>,
}

/// The channel to which somebody is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The channel to send the participant to.
    #[schema(value_type = schema::Id)]
    to: ChannelId,
}

/// Silences somebody, or lets them be heard again
///
/// The server drops what they send, whatever their client does, and also after they left and came back.
#[utoipa::path(post, path = "/api/channels/{id}/participants/{user}/mute", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = Mute, responses((status = 204, description = "It is so")))]
async fn mute(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(Mute { audio, video, screen }): Body<Mute>,
) -> Answer<StatusCode> {
    act(&api, &caller, &id, Moderation::Mute { user, audio, video, screen }).await
}

/// Lets somebody hear nothing, or hear again
#[utoipa::path(post, path = "/api/channels/{id}/participants/{user}/deafen", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = Deafen, responses((status = 204, description = "It is so")))]
async fn deafen(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(Deafen { deafened }): Body<Deafen>,
) -> Answer<StatusCode> {
    act(&api, &caller, &id, Moderation::Deafen { user, deafened }).await
}

/// Puts somebody out of a call
///
/// They may come back; to keep them out, ban them. 404 if they are not in the call.
#[utoipa::path(post, path = "/api/channels/{id}/participants/{user}/kick", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = Because, responses((status = 204, description = "They are out")))]
async fn kick(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(Because { reason }): Body<Because>,
) -> Answer<StatusCode> {
    act(&api, &caller, &id, Moderation::Kick { user, reason: reason.map(|reason| reason.0) }).await
}

/// Sends somebody to another channel
///
/// They are put out of this one and told where to go; the other one decides whether they get in.
#[utoipa::path(post, path = "/api/channels/{id}/participants/{user}/move", operation_id = "move", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = Move, responses((status = 204, description = "They are on their way")))]
async fn move_user(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(Move { to }): Body<Move>,
) -> Answer<StatusCode> {
    act(&api, &caller, &id, Moderation::Move { user, to }).await
}

/// Ends a call: everybody is put out
#[utoipa::path(post, path = "/api/channels/{id}/end-call", tag = "moderation", params(("id" = schema::Id, Path, description = "The channel")),
    request_body = Because, responses((status = 204, description = "Nobody is in a call there any more")))]
async fn end_call(
    State(api): State<Api>,
    caller: Caller,
    At(id): At<ChannelId>,
    Body(Because { reason }): Body<Because>,
) -> Answer<StatusCode> {
    act(&api, &caller, &id, Moderation::EndCall { reason: reason.map(|reason| reason.0) }).await
}

async fn act(api: &Api, caller: &Caller, id: &ChannelId, action: Moderation) -> Answer<StatusCode> {
    api.registry().moderate(id, &caller.actor(), action).await?;
    Ok(StatusCode::NO_CONTENT)
}
