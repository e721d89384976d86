//! The named seats of a channel, and the users who have them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{ChannelId, ErrorCode, UserId};
use parlor_store::StoreError;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::page::{List, PageParams, Wanted};
use crate::http::api::extract::seat::Seat;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::{Api, created};

/// Routes that read.
pub fn read_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_seats))
}

/// Routes that write.
pub fn write_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(put_seat, delete_seat))
}

/// The user who is to have a seat.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewSeat {
    /// The user who is to have the seat. Not set: the seat exists and is free.
    #[serde(default)]
    #[schema(value_type = Option<schema::Id>)]
    user_id: Option<UserId>,
}

/// A seat of a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Seat)]
pub struct SeatView {
    #[schema(value_type = schema::Id)]
    seat: String,
    /// The user who has the seat; null: it is free.
    #[schema(value_type = Option<schema::Id>, required = true)]
    user_id: Option<UserId>,
}

/// Lists the seats of a channel, sorted by name
#[utoipa::path(get, path = "/api/channels/{id}/seats", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), PageParams),
    responses((status = 200, description = "A page of seats", body = List<SeatView>)))]
async fn list_seats(State(api): State<Api>, At(id): At<ChannelId>, wanted: Wanted) -> Answer<Json<List<SeatView>>> {
    api.channel(&id).await?;
    let found = api.store().seats(&id, &wanted.page).await?;
    let view = |parlor_store::Seat { seat, user, .. }| SeatView { seat, user_id: user };
    Ok(Json(wanted.answer(found, |seat| seat.seat.clone(), view)))
}

/// Makes a seat, gives it to somebody, or frees it
///
/// Nobody has two seats of a channel, and nobody takes one from another: free it first.
#[utoipa::path(put, path = "/api/channels/{id}/seats/{seat}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("seat" = schema::Id, Path, description = "The seat")),
    request_body = NewSeat, responses(
    (status = 201, description = "The seat was made"), (status = 204, description = "The seat was there, and is so now"),
    (status = 409, description = "Somebody else has the seat, or the user has another")))]
async fn put_seat(
    State(api): State<Api>,
    caller: Caller,
    At((id, seat)): At<(ChannelId, Seat)>,
    Body(NewSeat { user_id }): Body<NewSeat>,
) -> Answer<StatusCode> {
    match api.store().put_seat(&id, seat.as_str(), user_id.as_ref(), &caller.actor(), api.now()).await {
        Ok(new) => {
            api.settled(&id).await?;
            Ok(created(new))
        }
        Err(StoreError::Exists(_)) => {
            let sentence = "Somebody else has this seat. Free it first.";
            Err(Problem::new(ErrorCode::Conflict).say(sentence).of_field("userId"))
        }
        Err(error) => Err(error.into()),
    }
}

/// Removes a seat
///
/// Who is in a call by this seat only is put out.
#[utoipa::path(delete, path = "/api/channels/{id}/seats/{seat}", tag = "channels",
    params(("id" = schema::Id, Path, description = "The channel"), ("seat" = schema::Id, Path, description = "The seat")),
    responses((status = 204, description = "The seat is no more")))]
async fn delete_seat(State(api): State<Api>, caller: Caller, At((id, seat)): At<(ChannelId, Seat)>) -> Answer<StatusCode> {
    api.store().delete_seat(&id, seat.as_str(), &caller.actor(), api.now()).await?;
    api.settled(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
