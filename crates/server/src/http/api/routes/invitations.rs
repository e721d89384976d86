//! Invitations to a channel, and whether they were accepted.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{ChannelId, Invitation, UserId};
use parlor_store::Invitee;
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
    OpenApiRouter::default().routes(routes!(list_invitations))
}

/// Routes that write.
pub fn write_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(put_invitation, delete_invitation))
}

/// The state an invitation is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewInvitation {
    #[serde(default, deserialize_with = "word")]
    #[schema(value_type = schema::InvitationState, required = false)]
    state: Invitation,
}

/// An invitation of a user to a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Invitation)]
pub struct InvitationView {
    #[schema(value_type = schema::Id)]
    user_id: UserId,
    #[schema(value_type = schema::InvitationState)]
    state: Invitation,
    /// When the invitation got this state.
    updated_at: When,
}

/// Lists the invitations to a channel, sorted by user id
#[utoipa::path(get, path = "/api/channels/{id}/invitations", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), PageParams),
    responses((status = 200, description = "A page of invitations", body = List<InvitationView>)))]
async fn list_invitations(State(api): State<Api>, At(id): At<ChannelId>, wanted: Wanted) -> Answer<Json<List<InvitationView>>> {
    api.channel(&id).await?;
    let found = api.store().invitations(&id, &wanted.page).await?;
    let view = |Invitee { user, state, updated_at }| InvitationView { user_id: user, state, updated_at: When(updated_at) };
    Ok(Json(wanted.answer(found, |invitee| invitee.user.to_string(), view)))
}

/// Invites somebody, or notes that they accepted or left
///
/// `invited` invites who was not invited yet, `present` notes that they accepted, `left` that they are gone for good.
#[utoipa::path(put, path = "/api/channels/{id}/invitations/{user}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    request_body = NewInvitation, responses(
    (status = 201, description = "They are invited now"), (status = 204, description = "They were invited, and the invitation is in this state or further"),
    (status = 409, description = "An invitation does not go this way: from `invited` to `present` to `left` only")))]
async fn put_invitation(
    State(api): State<Api>,
    caller: Caller,
    At((id, user)): At<(ChannelId, UserId)>,
    Body(NewInvitation { state }): Body<NewInvitation>,
) -> Answer<StatusCode> {
    let (by, now) = (caller.actor(), api.now());
    let new = if state == Invitation::Invited {
        api.store().invite(&id, &user, &by, now).await?
    } else {
        api.channel(&id).await?;
        api.store().set_invitation(&id, &user, state, &by, now).await?;
        false
    };
    api.settled(&id).await?;
    Ok(created(new))
}

/// Takes an invitation back
#[utoipa::path(delete, path = "/api/channels/{id}/invitations/{user}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("user" = schema::Id, Path, description = "The user")),
    responses((status = 204, description = "They are not invited any more")))]
async fn delete_invitation(State(api): State<Api>, caller: Caller, At((id, user)): At<(ChannelId, UserId)>) -> Answer<StatusCode> {
    api.store().delete_invitation(&id, &user, &caller.actor(), api.now()).await?;
    api.settled(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
