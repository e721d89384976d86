//! What participants of a mesh call say and are told, and how each dialect has it, as its page of `docs/protocol` says.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::ValueEnum;
use parlor_proto::codec::envelope::generated::envelope::Payload;
use parlor_proto::codec::envelope::generated::{
    Envelope, VoiceIceCandidate, VoiceJoinRequest, VoiceLeaveRequest, VoiceSdpAnswer, VoiceSdpOffer,
};
use prost::Message as _;
use serde_json::{Map, Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::error::BotError;

/// A dialect for mesh calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum MeshDialect {
    /// `voice:*` over socket.io.
    #[value(name = "socketio")]
    SocketIo,
    /// `/ws/call/{room_id}/`: JSON, and people are known by their user ids.
    Call,
    /// `/ws/voice/{room_id}`: JSON, and people are known by their connections.
    Voice,
    /// `/ws`: protobuf, and people are known by their user ids.
    Envelope,
}

/// What a participant says. `to` is the id by which the dialect knows whom it is for, `sdp` a session description.
#[allow(missing_docs, reason = "the fields are explained above")]
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    /// Joins the call.
    Join,
    /// Leaves it.
    Leave,
    /// Offers a connection.
    Offer { to: String, sdp: String },
    /// Answers an offer.
    Answer { to: String, sdp: String },
    /// Names an address to try (RFC 8839, section 5.1).
    Candidate { to: String, candidate: String },
}

/// What a participant is told. `other` and `from` are the ids by which the dialect knows people, `sdp` is a session description.
#[allow(missing_docs, reason = "the fields are explained above")]
#[derive(Debug)]
pub enum Told {
    /// Somebody else is in the call, and whether to make them an offer.
    Met { other: String, make_offer: bool },
    /// Somebody is not in it any more.
    Left { other: String },
    /// Somebody offers a connection.
    Offer { from: String, sdp: String },
    /// Somebody answers an offer.
    Answer { from: String, sdp: String },
    /// Somebody names an address to try.
    Candidate { from: String, candidate: String },
    /// The bot was put out.
    Out { reason: String },
    /// Something was refused.
    Refused(BotError),
    /// Something that has no effect on connections.
    Other,
}

impl MeshDialect {
    /// Where its WebSocket is; nothing if it goes by socket.io.
    #[must_use]
    pub fn path(self, channel: &str) -> Option<String> {
        match self {
            Self::SocketIo => None,
            Self::Call => Some(format!("/ws/call/{}/", percent(channel))),
            Self::Voice => Some(format!("/ws/voice/{}", percent(channel))),
            Self::Envelope => Some("/ws".to_owned()),
        }
    }
}

/// An id as a part of a path: everything but letters, digits, `-`, `.`, `_` and `~` is encoded (RFC 3986, section 2.3).
fn percent(id: &str) -> String {
    let encoded = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    id.bytes().map(encoded).collect()
}

/// The user of a token, unchecked.
pub(super) fn user_of(token: &str) -> Option<String> {
    let claims = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// Something said, in a dialect of plain WebSockets.
pub(super) fn write(dialect: MeshDialect, channel: &str, say: &Say) -> Message {
    match dialect {
        MeshDialect::Call | MeshDialect::SocketIo => Message::text(in_call(say).to_string()),
        MeshDialect::Voice => Message::text(in_voice(say).to_string()),
        MeshDialect::Envelope => {
            Message::binary(Envelope { request_id: String::new(), payload: Some(payload(channel, say)) }.encode_to_vec())
        }
    }
}

fn in_call(say: &Say) -> Value {
    match say {
        Say::Join => json!({"type": "join_call", "data": {}}),
        Say::Leave => json!({"type": "leave_call", "data": {}}),
        Say::Offer { to, sdp } => json!({"type": "offer", "data": {"target_user_id": to, "sdp": sdp}}),
        Say::Answer { to, sdp } => json!({"type": "answer", "data": {"target_user_id": to, "sdp": sdp}}),
        Say::Candidate { to, candidate } => {
            json!({"type": "ice_candidate", "data": {"target_user_id": to, "candidate": {"candidate": candidate, "sdpMLineIndex": 0}}})
        }
    }
}

fn in_voice(say: &Say) -> Value {
    match say {
        Say::Join => json!({"type": "hello"}),
        Say::Leave => json!({"type": "left"}),
        Say::Offer { to, sdp } => json!({"type": "offer", "target": to, "sdp": sdp}),
        Say::Answer { to, sdp } => json!({"type": "answer", "target": to, "sdp": sdp}),
        Say::Candidate { to, candidate } => json!({"type": "ice", "target": to, "candidate": {"candidate": candidate, "sdpMLineIndex": 0}}),
    }
}

fn payload(channel: &str, say: &Say) -> Payload {
    let channel_id = channel.to_owned();
    match say.clone() {
        Say::Join => Payload::VoiceJoinRequest(VoiceJoinRequest { channel_id }),
        Say::Leave => Payload::VoiceLeaveRequest(VoiceLeaveRequest { channel_id }),
        Say::Offer { to: target_user_id, sdp } => {
            Payload::VoiceSdpOffer(VoiceSdpOffer { target_user_id, sdp, channel_id, ..VoiceSdpOffer::default() })
        }
        Say::Answer { to: target_user_id, sdp } => {
            Payload::VoiceSdpAnswer(VoiceSdpAnswer { target_user_id, sdp, channel_id, ..VoiceSdpAnswer::default() })
        }
        Say::Candidate { to: target_user_id, candidate } => {
            let candidate_json = json!({"candidate": candidate, "sdpMLineIndex": 0}).to_string();
            Payload::VoiceIceCandidate(VoiceIceCandidate { target_user_id, candidate_json, channel_id, ..VoiceIceCandidate::default() })
        }
    }
}

/// What a message of a dialect of plain WebSockets tells its user.
pub(super) fn read(dialect: MeshDialect, message: &Message, user: &str) -> Result<Vec<Told>, BotError> {
    let unfit = |reason: String| BotError::Protocol { event: "a message".to_owned(), reason };
    match message {
        Message::Binary(bytes) => {
            let envelope = Envelope::decode(bytes.clone()).map_err(|e| unfit(e.to_string()))?;
            Ok(envelope.payload.map(|payload| of_payload(payload, user)).unwrap_or_default())
        }
        Message::Text(text) => {
            let message: Value = serde_json::from_str(text).map_err(|e| unfit(e.to_string()))?;
            Ok(vec![if dialect == MeshDialect::Voice { of_voice(&message) } else { of_call(&message) }])
        }
        _ => Ok(Vec::new()),
    }
}

fn text(value: &Value, path: &str) -> String {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A description is a text, or an object that holds the text.
fn sdp(value: &Value, path: &str) -> String {
    let plain = text(value, path);
    if plain.is_empty() { text(value, &format!("{path}/sdp")) } else { plain }
}

fn refused(event: String, code: String, message: String, details: Option<Map<String, Value>>) -> Told {
    // Whoever it was for has left meanwhile.
    if code == "NOT_FOUND" {
        return Told::Other;
    }
    Told::Refused(BotError::Refused { event, code, message, details: details.unwrap_or_default() })
}

fn of_call(message: &Value) -> Told {
    let from = || text(message, "/data/from_user_id");
    match message.get("type").and_then(Value::as_str) {
        Some("user_joined") => Told::Met { other: text(message, "/data/user/id"), make_offer: true },
        Some("user_left") => Told::Left { other: text(message, "/data/user_id") },
        Some("offer") => Told::Offer { from: from(), sdp: sdp(message, "/data/sdp") },
        Some("answer") => Told::Answer { from: from(), sdp: sdp(message, "/data/sdp") },
        Some("ice_candidate") => Told::Candidate { from: from(), candidate: text(message, "/data/candidate/candidate") },
        Some("left") => Told::Out { reason: text(message, "/data/reason") },
        Some("error") => {
            let details = message.pointer("/data/details").and_then(Value::as_object).cloned();
            refused(text(message, "/data/type"), text(message, "/data/code"), text(message, "/detail"), details)
        }
        _ => Told::Other,
    }
}

fn of_voice(message: &Value) -> Told {
    let from = || text(message, "/source");
    match message.get("type").and_then(Value::as_str) {
        Some("present") => Told::Met { other: from(), make_offer: true },
        Some("hello") => Told::Met { other: from(), make_offer: false },
        Some("left") => Told::Left { other: from() },
        Some("offer") => Told::Offer { from: from(), sdp: sdp(message, "/sdp") },
        Some("answer") => Told::Answer { from: from(), sdp: sdp(message, "/sdp") },
        Some("ice") => Told::Candidate { from: from(), candidate: text(message, "/candidate/candidate") },
        Some("out") => Told::Out { reason: text(message, "/reason") },
        Some("error") => {
            let details = message.get("details").and_then(Value::as_object).cloned();
            refused(text(message, "/of"), text(message, "/code"), text(message, "/error"), details)
        }
        _ => Told::Other,
    }
}

fn of_payload(payload: Payload, user: &str) -> Vec<Told> {
    // Whose id is smaller makes the offer.
    let met = |other: String| Told::Met { make_offer: user < other.as_str(), other };
    vec![match payload {
        Payload::VoiceJoinResponse(joined) => return joined.participants.into_iter().map(|one| met(one.user_id)).collect(),
        Payload::VoiceParticipantJoinedEvent(event) => met(event.participant.unwrap_or_default().user_id),
        Payload::VoiceLeaveEvent(event) if event.user_id == user => Told::Out { reason: event.reason },
        Payload::VoiceLeaveEvent(event) => Told::Left { other: event.user_id },
        Payload::VoiceSdpOffer(offer) => Told::Offer { from: offer.sender_user_id, sdp: offer.sdp },
        Payload::VoiceSdpAnswer(answer) => Told::Answer { from: answer.sender_user_id, sdp: answer.sdp },
        Payload::VoiceIceCandidate(told) => {
            let init: Value = serde_json::from_str(&told.candidate_json).unwrap_or_default();
            Told::Candidate { from: told.sender_user_id, candidate: text(&init, "/candidate") }
        }
        Payload::Error(error) => {
            let details = serde_json::from_str(&error.details_json).ok();
            refused("a message".to_owned(), error.name, error.message, details)
        }
        _ => Told::Other,
    }]
}

/// What a pushed event of socket.io tells.
pub(super) fn read_event(name: &str, payload: &Value) -> Told {
    let from = || text(payload, "/userId");
    match name {
        "voice:participant:joined" => read_participant(payload).unwrap_or(Told::Other),
        "voice:participant:left" => Told::Left { other: from() },
        "voice:mesh:offer" => Told::Offer { from: from(), sdp: sdp(payload, "/sdp") },
        "voice:mesh:answer" => Told::Answer { from: from(), sdp: sdp(payload, "/sdp") },
        "voice:mesh:ice" => Told::Candidate { from: from(), candidate: text(payload, "/candidate/candidate") },
        "voice:left" => Told::Out { reason: text(payload, "/reason") },
        _ => Told::Other,
    }
}

/// A participant, as socket.io has them.
pub(super) fn read_participant(participant: &Value) -> Option<Told> {
    let make_offer = participant.pointer("/mesh/makeOffer")?.as_bool()?;
    Some(Told::Met { other: text(participant, "/userId"), make_offer })
}
