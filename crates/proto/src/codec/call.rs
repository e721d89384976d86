//! The dialect of `/ws/call/{room_id}/`: mesh calls with user ids, one JSON object `{type, data}` a message
//! (`docs/protocol/call.md`).

use serde_json::{Map, Value, json};

use super::{Asked, CallState, TextCodec};
use crate::error::{Error, ErrorCode};
use crate::event::{Event, LeftReason, Reply};
use crate::ids::{ChannelId, UserId};
use crate::mesh::{MeshCandidate, MeshDescription, MeshLinks, MeshTerms, Offers, Sender, Signal, Target};
use crate::request::Request;

/// The fields of a relayed message by which the server addresses it: they never come from the sender.
const ADDRESSES: [&str; 4] = ["target_user_id", "to_user_id", "from_user_id", "from_username"];

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Call;

impl TextCodec for Call {
    const NAME: &'static str = "call";

    fn decode(text: &str, channel: &ChannelId) -> (&'static str, Result<Asked, Error>) {
        let mut message: Map<String, Value> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(_) => return ("", Err(Error::invalid("", "the message must be one JSON object"))),
        };
        let Some(name) = message.get("type").and_then(Value::as_str) else { return ("", Err(Error::invalid("type", "is missing"))) };
        let Some(name) = known_type(name) else { return ("", Err(Error::new(ErrorCode::UnknownEvent))) };
        let data = match message.remove("data") {
            Some(Value::Object(data)) => data,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return (name, Err(Error::invalid("data", "must be an object"))),
        };
        (name, asked(name, &message, data, channel))
    }

    /// Whom the client is to make an offer to, it is told as of somebody who has joined.
    fn encode_reply(reply: &Reply) -> Vec<String> {
        match reply {
            Reply::Joined(joined) => {
                let offered = joined.participants.iter().filter(|other| other.mesh.is_some_and(|peer| peer.make_offer));
                offered.map(|other| user_joined(&other.user_id, &other.name)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn encode_error(name: &str, error: &Error) -> String {
        json!({
            "type": "error",
            "detail": error.message,
            "data": {"type": name, "error": error.message, "code": error.code, "details": error.details},
        })
        .to_string()
    }

    fn encode_event(event: &Event) -> Option<String> {
        Some(match event {
            Event::ParticipantJoined(other) if other.mesh.is_some_and(|peer| peer.make_offer) => user_joined(&other.user_id, &other.name),
            Event::ParticipantLeft { user_id, .. } => message("user_left", &json!({"user_id": user_id})),
            Event::ParticipantState { user_id, state } => {
                let is_muted = state.muted || state.server_muted.audio;
                message("toggle_audio", &json!({"user_id": user_id, "is_muted": is_muted}))
            }
            Event::MeshOffer(told) => description("offer", told),
            Event::MeshAnswer(told) => description("answer", told),
            Event::MeshIce(MeshCandidate { from, signal }) => {
                let candidate = signal.candidate_init();
                if candidate.is_null() {
                    // Clients of this dialect take nothing but candidates.
                    return None;
                }
                relayed("ice_candidate", from, signal, "candidate", candidate.into_owned())
            }
            Event::Left { reason, rejoin, to, .. } => left(*reason, *rejoin, to.as_ref()),
            // Of no use to clients of this dialect.
            Event::ParticipantJoined(_)
            | Event::NewProducer(_)
            | Event::ProducerClosed { .. }
            | Event::ProducerPaused { .. }
            | Event::ProducerResumed { .. }
            | Event::ActiveSpeakers { .. }
            | Event::TransportState { .. }
            | Event::LayersChanged { .. }
            | Event::SlotGranted { .. }
            | Event::SlotQueue { .. }
            | Event::Entitlement { .. }
            | Event::MeshLinks(_)
            | Event::Moderation { .. } => return None,
        })
    }

    fn pong() -> String {
        message("pong", &json!({}))
    }

    fn encode_call_state(call: &CallState<'_>) -> Option<String> {
        let MeshLinks { links, sfu_recommended, .. } = call.links;
        let CallState { room_state, participants, .. } = call;
        Some(message(
            "call_state",
            &json!({"participants": participants, "room_state": room_state, "links": links, "sfu_recommended": sfu_recommended}),
        ))
    }
}

/// A message's type, if the dialect has it.
fn known_type(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 7] = ["join_call", "leave_call", "offer", "answer", "ice_candidate", "toggle_audio", "ping"];
    TYPES.into_iter().find(|known| *known == name)
}

fn asked(name: &str, message: &Map<String, Value>, data: Map<String, Value>, channel: &ChannelId) -> Result<Asked, Error> {
    let request = match name {
        "join_call" => Request::Join {
            channel: channel.clone(),
            capabilities: None,
            take_over: false,
            mesh: MeshTerms { offers: Offers::Present, only: true },
        },
        "leave_call" => Request::Leave { channel: None },
        "toggle_audio" => {
            let muted = data.get("is_muted").and_then(Value::as_bool);
            let muted = muted.ok_or_else(|| Error::invalid("data.is_muted", "must be true or false"))?;
            Request::UpdateState { muted: Some(muted), deafened: None, speaking: None }
        }
        "offer" => Request::MeshOffer { to: target(message, &data)?, signal: Signal::description(unaddressed(data)).map_err(of_data)? },
        "answer" => Request::MeshAnswer { to: target(message, &data)?, signal: Signal::description(unaddressed(data)).map_err(of_data)? },
        "ice_candidate" => Request::MeshIce { to: target(message, &data)?, signal: Signal::candidate(unaddressed(data)).map_err(of_data)? },
        _ => return Ok(Asked::Ping),
    };
    Ok(Asked::Request(request))
}

/// The user a message is for. Some clients name them beside the data, and applications with numbers for ids write numbers.
fn target(message: &Map<String, Value>, data: &Map<String, Value>) -> Result<Target, Error> {
    const FIELD: &str = "data.target_user_id";
    let beside = || message.get("to_user_id").or_else(|| message.get("target_user_id"));
    let id = match data.get("target_user_id").or_else(beside) {
        Some(Value::String(id)) => id.clone(),
        Some(Value::Number(id)) if id.is_u64() || id.is_i64() => id.to_string(),
        Some(_) => return Err(Error::invalid(FIELD, "must be a text")),
        None => return Err(Error::invalid(FIELD, "is missing")),
    };
    UserId::new(&id).map(Target::User).map_err(|reason| Error::invalid(FIELD, reason))
}

fn unaddressed(mut data: Map<String, Value>) -> Map<String, Value> {
    data.retain(|name, _| !ADDRESSES.contains(&name.as_str()));
    data
}

/// The fields of an error are those of `data`.
fn of_data(mut error: Error) -> Error {
    if let Some(Value::String(field)) = error.details.get_mut("field") {
        field.insert_str(0, if field.is_empty() { "data" } else { "data." });
    }
    error
}

fn user_joined(user: &UserId, name: &str) -> String {
    message("user_joined", &json!({"user": {"id": user, "username": name}}))
}

fn left(reason: LeftReason, rejoin: bool, to: Option<&ChannelId>) -> String {
    message("left", &json!({"reason": reason, "rejoin": rejoin, "to": to}))
}

fn description(name: &str, MeshDescription { from, signal }: &MeshDescription) -> String {
    relayed(name, from, signal, "sdp", signal.sdp().unwrap_or_default().into())
}

/// A relayed message: all that the sender wrote, one field in the form of this dialect, and then whom it is from.
fn relayed(name: &str, from: &Sender, signal: &Signal, field: &str, value: Value) -> String {
    let mut data = signal.fields().clone();
    data.insert(field.to_owned(), value);
    data.insert("from_user_id".to_owned(), json!(from.user_id));
    data.insert("from_username".to_owned(), json!(from.name));
    json!({"type": name, "from_user_id": from.user_id, "data": data}).to_string()
}

fn message(name: &str, data: &Value) -> String {
    json!({"type": name, "data": data}).to_string()
}
