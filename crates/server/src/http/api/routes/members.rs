//! Members of a channel.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{ChannelId, MemberRole, UserId};
use parlor_store::Member;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::page::{List, PageParams, Wanted};
use crate::http::api::extract::text::word;
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::Answer;
use crate::http::api::state::{Api, created};

/// Routes that read.
pub fn read_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_members))
}

/// Routes that write.
pub fn write_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(put_member, delete_member))
}

/// The role a member is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewMember {
    #[serde(default, deserialize_with = "word")]
    #[schema(value_type = schema::Membership, required = false)]
    role: MemberRole,
}

/// A member of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Member)]
pub struct MemberView {
    #[schema(value_type = schema::Id)]
    user_id: UserId,
    #[schema(value_type = schema::Membership)]
    role: MemberRole,
    /// When the member got this role.
    updated_at: When,
}

/// Lists the members of a channel, sorted by user id
#[utoipa::path(get, path = "/api/channels/{id}/members", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), PageParams),
    responses((status = 200, description = "A page of members", body = List<MemberView>)))]
async fn list_members(State(api): State<Api>, At(id): At<ChannelId>, wanted: Wanted) -> Answer<Json<List<MemberView>>> {
    api.channel(&id).await?;
    let found = api.store().members(&id, &wanted.page).await?;
    let view = |Member { user, role, updated_at }| MemberView { user_id: user, role, updated_at: When(updated_at) };
    Ok(Json(wanted.answer(found, |member| member.user.to_string(), view)))
}

/// Makes somebody a member, or gives a member another role
#[utoipa::path(put, path = "/api/channels/{id}/members/{user}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = NewMember, responses(
    (status = 201, description = "They are a member now"), (status = 204, description = "They were a member, and have this role now")))]
async fn put_member(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(NewMember { role }): Body<NewMember>,
) -> Answer<StatusCode> {
    let new = api.store().put_member(&id, &user, role, &caller.actor(), api.now()).await?;
    api.settled(&id).await?;
    Ok(created(new))
}

/// Ends a membership
///
/// Who is in a call that only members may be in is put out.
#[utoipa::path(delete, path = "/api/channels/{id}/members/{user}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    responses((status = 204, description = "They are no member any more")))]
async fn delete_member(State(api): State<Api>, caller: Caller, At((id, user)): At<(ChannelId, UserId)>) -> Answer<StatusCode> {
    api.store().delete_member(&id, &user, &caller.actor(), api.now()).await?;
    api.settled(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
