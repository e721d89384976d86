//! Bans of a channel: listed, set, lifted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{ChannelId, Moderation, Timestamp, UserId};
use parlor_store::BanRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::page::{List, PageParams, Wanted};
use crate::http::api::extract::text::ReasonText;
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;

/// The routes of bans.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_bans)).routes(routes!(put_ban, delete_ban))
}

/// For how long somebody is to be kept out, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewBan {
    /// The first moment the user may come back. Not set: never.
    #[serde(default)]
    until: Option<When>,
    /// The reason the user is told.
    #[serde(default)]
    #[schema(value_type = Option<schema::Reason>)]
    reason: Option<ReasonText>,
}

/// A ban of a user from a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Ban)]
pub struct BanView {
    #[schema(value_type = schema::Id)]
    user_id: UserId,
    /// The first moment the user may come back; null: never.
    #[schema(required = true)]
    until: Option<When>,
    /// The reason the user is told.
    #[schema(required = true)]
    reason: Option<String>,
}

/// Lists the bans of a channel that hold now, sorted by user id
#[utoipa::path(get, path = "/api/channels/{id}/bans", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), PageParams),
    responses((status = 200, description = "A page of bans", body = List<BanView>)))]
async fn list_bans(State(api): State<Api>, At(id): At<ChannelId>, wanted: Wanted) -> Answer<Json<List<BanView>>> {
    api.channel(&id).await?;
    let found = api.store().bans(&id, &wanted.page, api.now()).await?;
    let view = |BanRecord { user, until, reason, .. }| show(user, until, reason);
    Ok(Json(wanted.answer(found, |ban| ban.user.to_string(), view)))
}

/// Bans somebody
///
/// Whoever is in the channel is put out, and told the reason. A ban there is gets this end and this reason.
#[utoipa::path(put, path = "/api/channels/{id}/bans/{user}", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = NewBan, responses((status = 200, description = "They are banned", body = BanView),
    (status = 422, description = "The end of the ban has passed")))]
async fn put_ban(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(NewBan { until, reason }): Body<NewBan>,
) -> Answer<Json<BanView>> {
    let until = until.map(|until| until.0);
    if until.is_some_and(|until| until <= api.now()) {
        return Err(Problem::impossible("until", "must be in the future"));
    }
    let reason = reason.map(|reason| reason.0);
    let ban = Moderation::Ban { user: user.clone(), until, reason: reason.clone() };
    api.registry().moderate(&id, &caller.actor(), ban).await?;
    Ok(Json(show(user, until, reason)))
}

/// Ends a ban
#[utoipa::path(delete, path = "/api/channels/{id}/bans/{user}", tag = "moderation",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    responses((status = 204, description = "They are not banned any more")))]
async fn delete_ban(State(api): State<Api>, caller: Caller, At((id, user)): At<(ChannelId, UserId)>) -> Answer<StatusCode> {
    api.store().delete_ban(&id, &user, &caller.actor(), api.now()).await?;
    api.settled(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn show(user_id: UserId, until: Option<Timestamp>, reason: Option<String>) -> BanView {
    BanView { user_id, until: until.map(When), reason }
}
