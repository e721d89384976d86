//! An event as the host application gets it, by webhook and by REST, and how it is made from a happening in a room.

use parlor_proto::{ChannelId, Moderation, ProducerId, SessionId, Timestamp};
use parlor_rooms::Happening;
use parlor_store::{FeedEvent, NewFeedEvent, Owes};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// The reason of ends that a crashed server could not report itself.
pub const CRASHED: &str = "crashed";
/// The debt of a channel whose room has started: the event of its end.
const ROOM_DEBT: &str = "room";

/// One event of the feed.
#[derive(Clone, PartialEq, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// The number of the event in the order of all events: the next event has the next number.
    pub sequence: i64,
    /// The id of the event, the same however often it is delivered.
    pub id: String,
    /// The type of the event, such as `participant.joined`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The time of the event, as `2026-01-31T12:00:00.25Z`.
    pub at: String,
    /// The channel in which the event happened.
    pub channel_id: String,
    /// The details of the event; their fields depend on the type.
    #[schema(value_type = Object)]
    pub data: Value,
}

/// The body of a delivery.
#[derive(Debug, Serialize)]
pub struct Events {
    /// The events, the oldest first.
    pub events: Vec<Event>,
}

impl From<FeedEvent> for Event {
    fn from(event: FeedEvent) -> Self {
        let FeedEvent { seq, id, at, kind, channel, data } = event;
        Self { sequence: seq, id, kind, at: at.to_rfc3339(), channel_id: channel.as_str().to_owned(), data }
    }
}

/// An event as it is stored, made from a happening in a room. The event of a beginning names the end that is owed for
/// it if this process dies.
#[must_use]
pub fn stored(channel: &ChannelId, at: Timestamp, happening: &Happening) -> NewFeedEvent {
    let (kind, data, owes) = match happening {
        Happening::RoomStarted => ("room.started", json!({}), Some(opens(ROOM_DEBT.to_owned(), "room.ended", json!({})))),
        Happening::RoomEnded => ("room.ended", json!({}), Some(Owes::Closes { debt: ROOM_DEBT.to_owned() })),
        Happening::ParticipantJoined { user, name, session } => {
            let end = json!({ "userId": user, "sessionId": session });
            let data = json!({ "userId": user, "name": name, "sessionId": session });
            ("participant.joined", data, Some(opens(session_debt(*session), "participant.left", end)))
        }
        Happening::ParticipantLeft { user, session, reason, .. } => {
            let data = json!({ "userId": user, "sessionId": session, "reason": reason });
            ("participant.left", data, Some(Owes::Closes { debt: session_debt(*session) }))
        }
        Happening::ProducerStarted { user, producer, kind, source } => {
            let data = json!({ "userId": user, "producerId": producer, "kind": kind, "source": source });
            ("producer.started", data.clone(), Some(opens(producer_debt(*producer), "producer.stopped", data)))
        }
        Happening::ProducerStopped { user, producer, kind, source, reason } => {
            let data = json!({ "userId": user, "producerId": producer, "kind": kind, "source": source, "reason": reason });
            ("producer.stopped", data, Some(Owes::Closes { debt: producer_debt(*producer) }))
        }
        Happening::Moderation { by, action } => {
            let (kind, mut data) = moderation(action);
            data.insert("by".to_owned(), json!(by));
            (kind, Value::Object(data), None)
        }
    };
    NewFeedEvent { channel: channel.clone(), at, kind, data, owes }
}

fn opens(debt: String, kind: &'static str, mut data: Value) -> Owes {
    if let Value::Object(fields) = &mut data {
        fields.insert("reason".to_owned(), CRASHED.into());
    }
    Owes::Opens { debt, kind, data }
}

fn session_debt(session: SessionId) -> String {
    format!("session:{}", session.to_wire())
}

fn producer_debt(producer: ProducerId) -> String {
    format!("producer:{}", producer.to_wire())
}

/// The type and the details of a moderator's act; what the act does not state is not in the details.
fn moderation(action: &Moderation) -> (&'static str, Map<String, Value>) {
    let (kind, data) = match action {
        Moderation::Mute { user, audio, video, screen } => {
            ("moderation.mute", json!({ "userId": user, "audio": audio, "video": video, "screen": screen }))
        }
        Moderation::Deafen { user, deafened } => ("moderation.deafen", json!({ "userId": user, "deafened": deafened })),
        Moderation::Kick { user, reason } => ("moderation.kick", json!({ "userId": user, "reason": reason })),
        Moderation::Ban { user, until, reason } => {
            ("moderation.ban", json!({ "userId": user, "until": until.map(Timestamp::to_rfc3339), "reason": reason }))
        }
        Moderation::Move { user, to } => ("moderation.move", json!({ "userId": user, "to": to })),
        Moderation::EndCall { reason } => ("moderation.end-call", json!({ "reason": reason })),
    };
    let fields = match data {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    };
    (kind, fields)
}
