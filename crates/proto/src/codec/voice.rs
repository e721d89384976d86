//! The dialect of `/ws/voice/{room_id}`: mesh calls with an id for each connection, one JSON object a message
//! (`docs/protocol/voice.md`).

use serde_json::{Map, Value, json};

use super::{Asked, CallState, TextCodec};
use crate::error::{Error, ErrorCode};
use crate::event::{Event, Participant, Reply};
use crate::ids::{ChannelId, PeerId, UserId};
use crate::mesh::{MeshCandidate, MeshDescription, MeshTerms, Offers, Sender, Signal, Target};
use crate::request::Request;

/// The fields by which the server addresses a message: they never come from the sender.
const ADDRESSES: [&str; 4] = ["type", "target", "source", "user"];

/// The dialect.
#[derive(Clone, Copy, Debug)]
pub struct Voice;

impl TextCodec for Voice {
    const NAME: &'static str = "voice";

    fn decode(text: &str, channel: &ChannelId) -> (&'static str, Result<Asked, Error>) {
        let message: Map<String, Value> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(_) => return ("", Err(Error::invalid("", "the message must be one JSON object"))),
        };
        let Some(name) = message.get("type").and_then(Value::as_str) else { return ("", Err(Error::invalid("type", "is missing"))) };
        match name {
            "hello" => {
                let mesh = MeshTerms { offers: Offers::Newcomer, only: true };
                let join = Request::Join { channel: channel.clone(), capabilities: None, take_over: false, mesh };
                ("hello", Ok(Asked::Request(join)))
            }
            // The server has answered the greeting in the name of everybody who was there.
            "present" => ("present", Ok(Asked::Nothing)),
            "left" => ("left", Ok(Asked::Request(Request::Leave { channel: None }))),
            "offer" => ("offer", relay(message, Signal::description, |to, signal| Request::MeshOffer { to, signal })),
            "answer" => ("answer", relay(message, Signal::description, |to, signal| Request::MeshAnswer { to, signal })),
            "ice" => ("ice", relay(message, Signal::candidate, |to, signal| Request::MeshIce { to, signal })),
            "ping" => ("ping", Ok(Asked::Ping)),
            _ => ("", Err(Error::new(ErrorCode::UnknownEvent))),
        }
    }

    /// Of each participant, whether the client is to make them an offer, or to wait for theirs.
    fn encode_reply(reply: &Reply) -> Vec<String> {
        match reply {
            Reply::Joined(joined) => joined.participants.iter().filter_map(met).collect(),
            _ => Vec::new(),
        }
    }

    fn encode_error(name: &str, error: &Error) -> String {
        json!({"type": "error", "of": name, "error": error.message, "code": error.code, "details": error.details}).to_string()
    }

    fn encode_event(event: &Event) -> Option<String> {
        Some(match event {
            Event::ParticipantJoined(other) => return met(other),
            Event::ParticipantLeft { peer_id: Some(peer), .. } => json!({"type": "left", "source": peer.to_uuid()}).to_string(),
            Event::MeshOffer(MeshDescription { from, signal }) => relayed("offer", from, signal.fields().clone()),
            Event::MeshAnswer(MeshDescription { from, signal }) => relayed("answer", from, signal.fields().clone()),
            Event::MeshIce(MeshCandidate { from, signal }) => {
                let mut fields = signal.fields().clone();
                // A candidate that a client of another dialect wrote as text is an object here.
                fields.insert("candidate".to_owned(), signal.candidate_init().into_owned());
                relayed("ice", from, fields)
            }
            Event::Left { reason, rejoin, .. } => json!({"type": "out", "reason": reason, "rejoin": rejoin}).to_string(),
            // Of no use to clients of this dialect.
            Event::ParticipantLeft { .. }
            | Event::ParticipantState { .. }
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
        json!({"type": "pong"}).to_string()
    }

    /// A client of this dialect knows the others by connection, and has no words for those who are not in.
    fn encode_call_state(_call: &CallState<'_>) -> Option<String> {
        None
    }
}

fn relay(
    mut message: Map<String, Value>,
    read: impl FnOnce(Map<String, Value>) -> Result<Signal, Error>,
    request: impl FnOnce(Target, Signal) -> Request,
) -> Result<Asked, Error> {
    let target = message.get("target").and_then(Value::as_str).ok_or_else(|| Error::invalid("target", "is missing"))?;
    // An id that cannot be one is answered like one that is not there.
    let target = PeerId::parse_uuid(target).ok_or_else(|| Error::new(ErrorCode::NotFound))?;
    message.retain(|name, _| !ADDRESSES.contains(&name.as_str()));
    Ok(Asked::Request(request(Target::Peer(target), read(message)?)))
}

/// A participant whom the client meets: `present` makes it make an offer, `hello` wait for one.
fn met(other: &Participant) -> Option<String> {
    let peer = other.mesh?;
    let name = if peer.make_offer { "present" } else { "hello" };
    Some(json!({"type": name, "source": peer.peer_id.to_uuid(), "user": user(&other.user_id, &other.name)}).to_string())
}

fn user(id: &UserId, name: &str) -> Value {
    json!({"id": id, "name": name})
}

/// A relayed message: all that the sender wrote, and then whom it is from.
fn relayed(name: &str, from: &Sender, mut message: Map<String, Value>) -> String {
    message.insert("type".to_owned(), name.into());
    message.insert("source".to_owned(), from.peer_id.to_uuid().into());
    message.insert("user".to_owned(), user(&from.user_id, &from.name));
    Value::Object(message).to_string()
}
