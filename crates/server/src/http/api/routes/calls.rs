//! Who is in a call, for those who only look.

use axum::Json;
use axum::extract::State;
use parlor_proto::event::ServerMuted;
use parlor_proto::{ChannelId, MediaKind, Participant, ProducerId, ProducerInfo, Role, Source, UserId};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::At;
use crate::http::api::guard::caller::Visitor;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;
use crate::rooms::{CallParticipant, CallStage};

/// Routes for administrators.
pub fn read_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_participants))
}

/// Routes for administrators and users.
pub fn visitor_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(voice_participants)).routes(routes!(call_state))
}

/// The participants of a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Participants {
    #[schema(value_type = schema::Id)]
    channel_id: ChannelId,
    /// The participants, in the order in which they came.
    participants: Vec<ParticipantView>,
}

/// A participant of a call.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Participant)]
pub struct ParticipantView {
    #[schema(value_type = schema::Id)]
    user_id: UserId,
    /// The name others see.
    name: String,
    #[schema(value_type = schema::CallRole)]
    role: Role,
    /// Whether the participant may moderate.
    moderator: bool,
    /// Whether the participant has turned the microphone off.
    muted: bool,
    /// Whether the participant hears nobody, by choice.
    deafened: bool,
    /// Whether the participant is speaking at the moment.
    speaking: bool,
    server_muted: Silenced,
    /// Whether the participant hears nobody, because a moderator wants it so.
    server_deafened: bool,
    /// The tracks the participant sends.
    producers: Vec<ProducerView>,
}

/// Which media of a participant moderators have silenced.
#[derive(Debug, Serialize, ToSchema)]
pub struct Silenced {
    audio: bool,
    video: bool,
    screen: bool,
}

/// A track that a participant sends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Producer)]
pub struct ProducerView {
    #[schema(value_type = schema::ObjectId)]
    producer_id: ProducerId,
    #[schema(value_type = schema::TrackKind)]
    kind: MediaKind,
    #[schema(value_type = schema::TrackSource)]
    source: Source,
    /// Whether nothing is sent on the track at the moment.
    paused: bool,
}

impl From<Participant> for ParticipantView {
    fn from(participant: Participant) -> Self {
        let Participant { user_id, name, state, role, moderator, producers, mesh: _ } = participant;
        let ServerMuted { audio, video, screen } = state.server_muted;
        Self {
            user_id,
            name,
            role,
            moderator,
            muted: state.muted,
            deafened: state.deafened,
            speaking: state.speaking,
            server_muted: Silenced { audio, video, screen },
            server_deafened: state.server_deafened,
            producers: producers.into_iter().map(ProducerView::from).collect(),
        }
    }
}

impl From<ProducerInfo> for ProducerView {
    fn from(producer: ProducerInfo) -> Self {
        let ProducerInfo { producer_id, kind, app_data, paused, .. } = producer;
        Self { producer_id, kind, source: app_data.source, paused }
    }
}

/// How far a call is. The names are those of the call-state endpoint other servers have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallState)]
pub struct CallStateView {
    #[schema(value_type = schema::CallStage)]
    room_state: CallStage,
    /// Everybody who has to do with the call.
    participants: Vec<CallerView>,
}

/// A person who has to do with a call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CallParticipant)]
pub struct CallerView {
    #[schema(value_type = schema::Id)]
    user_id: UserId,
    /// The name others see.
    username: String,
    #[schema(value_type = schema::CallStage)]
    state: CallStage,
}

/// Lists who is in the call of a channel
#[utoipa::path(get, path = "/api/channels/{id}/participants", tag = "calls", params(("id" = schema::Id, Path, description = "The channel")),
    responses((status = 200, description = "Everybody in the call; empty if there is none", body = Participants)))]
async fn list_participants(State(api): State<Api>, At(id): At<ChannelId>) -> Answer<Json<Participants>> {
    api.channel(&id).await?;
    participants(&api, id).await
}

/// Lists who is in the call of a channel, for those who may join it
#[utoipa::path(get, path = "/api/voice/{id}/participants", tag = "calls", params(("id" = schema::Id, Path, description = "The channel")),
    responses((status = 200, description = "Everybody in the call; empty if there is none", body = Participants)))]
async fn voice_participants(State(api): State<Api>, visitor: Visitor, At(id): At<ChannelId>) -> Answer<Json<Participants>> {
    api.let_in(&visitor, &id).await?;
    participants(&api, id).await
}

/// Reads how far the call of a channel is, for those who may join it
///
/// `connecting`: is about to enter; `active`: is in; `ended`: was in within the last hour. `room_state` is that of whoever
/// is furthest, `idle` if there is nobody.
#[utoipa::path(get, path = "/api/rooms/{id}/call-state/", tag = "calls", params(("id" = schema::Id, Path, description = "The channel")),
    responses((status = 200, description = "How far the call is", body = CallStateView)))]
async fn call_state(State(api): State<Api>, visitor: Visitor, At(id): At<ChannelId>) -> Answer<Json<CallStateView>> {
    api.let_in(&visitor, &id).await?;
    let state = api.registry().call_state(&id).await;
    let view = |CallParticipant { user, name, state }| CallerView { user_id: user, username: name, state };
    Ok(Json(CallStateView { room_state: state.room_state, participants: state.participants.into_iter().map(view).collect() }))
}

async fn participants(api: &Api, channel_id: ChannelId) -> Answer<Json<Participants>> {
    let inside = api.registry().participants(&channel_id).await;
    Ok(Json(Participants { channel_id, participants: inside.into_iter().map(ParticipantView::from).collect() }))
}
