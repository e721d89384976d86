//! The window of a channel: whether it is open now and when that changes, for users who would join it.

use axum::Json;
use axum::extract::State;
use parlor_proto::{Channel, ChannelId, Timestamp};
use parlor_rooms::access;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::At;
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Visitor;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;

/// Routes for administrators and users.
pub fn visitor_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(voice_window))
}

/// When a channel can be joined. The fields have the same names as in a channel.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Window)]
pub struct WindowView {
    #[schema(value_type = schema::Id)]
    channel_id: ChannelId,
    /// The name people see.
    name: String,
    /// Whether the channel is open at the moment.
    voice_active: bool,
    /// The room to join: the id of the channel while it is open; null while it is closed.
    #[schema(value_type = Option<schema::Id>, required = true)]
    room_id: Option<ChannelId>,
    /// The first moment the channel can be joined; null: there is none, it always could be.
    #[schema(required = true)]
    opens_at: Option<When>,
    /// The first moment the channel cannot be joined any more; null: never.
    #[schema(required = true)]
    closes_at: Option<When>,
}

impl WindowView {
    /// The window as it is shown at a moment.
    fn at(channel: Channel, now: Timestamp) -> Self {
        let room_id = channel.room_at(now).cloned();
        let Channel { id: channel_id, name, window, .. } = channel;
        let (opens_at, closes_at) = (window.opens_at.map(When), window.closes_at.map(When));
        Self { channel_id, name, voice_active: room_id.is_some(), room_id, opens_at, closes_at }
    }
}

/// Reads whether a channel is open now, for those who may join it when it is
#[utoipa::path(get, path = "/api/voice/{id}/window", tag = "calls", params(("id" = schema::Id, Path, description = "The channel")),
    responses((status = 200, description = "Whether it is open, and when that changes", body = WindowView)))]
async fn voice_window(State(api): State<Api>, visitor: Visitor, At(id): At<ChannelId>) -> Answer<Json<WindowView>> {
    let channel = match &visitor {
        // The page asks before the first join makes the channel.
        Visitor::User(user) if api.registry().makes_channels() && api.store().channel(&id).await?.is_none() => {
            access::granted(&id, user)?;
            Channel::new(id.clone(), id.to_string())
        }
        _ => api.shown(&visitor, &id).await?,
    };
    Ok(Json(WindowView::at(channel, api.now())))
}
