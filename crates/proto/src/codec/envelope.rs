//! The dialect of `/ws`: mesh calls with user ids, one protobuf `Envelope` a message (`docs/protocol/envelope.md`).

#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "the file is generated from the schema")]
#[rustfmt::skip]
pub mod generated;

use prost::Message as _;
use serde_json::Value;

use self::generated::envelope::Payload;
use self::generated::{
    Envelope, IceServer, VoiceIceCandidate, VoiceJoinResponse, VoiceLeaveEvent, VoiceParticipant, VoiceParticipantJoinedEvent,
    VoiceSdpAnswer, VoiceSdpOffer, VoiceSpeakingEvent, VoiceStateUpdate,
};
use crate::error::{Error, ErrorCode};
use crate::event::{Event, IceTransportPolicy, Joined, Participant, ParticipantState, Reply};
use crate::ids::{ChannelId, UserId};
use crate::limits;
use crate::mesh::{MeshCandidate, MeshTerms, Offers, Sender, Signal, Target};
use crate::request::Request;

/// The password never reaches a log.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).field("username", &self.username).finish_non_exhaustive()
    }
}

/// The name of the message with which a client asks to join.
pub const JOIN: &str = "voice_join_request";

/// Which message of a client is answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tag {
    /// The id that the client chose for it.
    pub request_id: String,
    /// The field of the envelope in which it is; empty if there is none.
    pub name: &'static str,
}

/// The call in which a client is, as it was told when it joined. The messages of the dialect name it, while the vocabulary
/// leaves it out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inside {
    /// The channel.
    pub channel: ChannelId,
    /// The client's user.
    pub user: UserId,
}

/// Reads a message of a client that is in this channel, or asked to join it; `None` if it is in none.
pub fn decode(message: &[u8], channel: Option<&ChannelId>) -> (Tag, Result<Request, Error>) {
    let Ok(Envelope { request_id, payload }) = Envelope::decode(message) else {
        return (Tag::default(), Err(Error::invalid("", "the message must be an Envelope in the protobuf encoding")));
    };
    if request_id.len() > limits::MAX_TEXT_BYTES {
        return (Tag::default(), Err(Error::invalid("request_id", "is too long")));
    }
    let Some(payload) = payload else {
        return (Tag { request_id, name: "" }, Err(Error::new(ErrorCode::UnknownEvent)));
    };
    let name = name_of(&payload);
    (Tag { request_id, name }, request(payload, channel))
}

/// The field of the envelope in which a message is.
const fn name_of(payload: &Payload) -> &'static str {
    match payload {
        Payload::Error(_) => "error",
        Payload::VoiceJoinRequest(_) => JOIN,
        Payload::VoiceJoinResponse(_) => "voice_join_response",
        Payload::VoiceLeaveRequest(_) => "voice_leave_request",
        Payload::VoiceLeaveEvent(_) => "voice_leave_event",
        Payload::VoiceSdpOffer(_) => "voice_sdp_offer",
        Payload::VoiceSdpAnswer(_) => "voice_sdp_answer",
        Payload::VoiceIceCandidate(_) => "voice_ice_candidate",
        Payload::VoiceStateUpdate(_) => "voice_state_update",
        Payload::VoiceSpeakingEvent(_) => "voice_speaking_event",
        Payload::VoiceParticipantJoinedEvent(_) => "voice_participant_joined_event",
    }
}

fn request(payload: Payload, inside: Option<&ChannelId>) -> Result<Request, Error> {
    Ok(match payload {
        Payload::VoiceJoinRequest(join) => Request::Join {
            channel: channel(&join.channel_id)?,
            capabilities: None,
            take_over: false,
            mesh: MeshTerms { offers: Offers::SmallerId, only: true },
        },
        Payload::VoiceLeaveRequest(leave) if leave.channel_id.is_empty() => Request::Leave { channel: None },
        Payload::VoiceLeaveRequest(leave) => Request::Leave { channel: Some(channel(&leave.channel_id)?) },
        Payload::VoiceSdpOffer(VoiceSdpOffer { target_user_id, sdp, channel_id, .. }) => {
            is_inside(inside, &channel_id)?;
            Request::MeshOffer { to: target(&target_user_id)?, signal: Signal::of_sdp(&sdp)? }
        }
        Payload::VoiceSdpAnswer(VoiceSdpAnswer { target_user_id, sdp, channel_id, .. }) => {
            is_inside(inside, &channel_id)?;
            Request::MeshAnswer { to: target(&target_user_id)?, signal: Signal::of_sdp(&sdp)? }
        }
        Payload::VoiceIceCandidate(VoiceIceCandidate { target_user_id, candidate_json, channel_id, .. }) => {
            is_inside(inside, &channel_id)?;
            Request::MeshIce { to: target(&target_user_id)?, signal: candidate(candidate_json)? }
        }
        Payload::VoiceStateUpdate(VoiceStateUpdate { channel_id, muted, deafened, .. }) => {
            is_inside(inside, &channel_id)?;
            Request::UpdateState { muted: Some(muted), deafened: Some(deafened), speaking: None }
        }
        Payload::VoiceSpeakingEvent(VoiceSpeakingEvent { channel_id, speaking, .. }) => {
            is_inside(inside, &channel_id)?;
            Request::UpdateState { muted: None, deafened: None, speaking: Some(speaking) }
        }
        Payload::Error(_) | Payload::VoiceJoinResponse(_) | Payload::VoiceLeaveEvent(_) | Payload::VoiceParticipantJoinedEvent(_) => {
            return Err(Error::new(ErrorCode::UnknownEvent).with("reason", "only a server sends this"));
        }
    })
}

fn channel(id: &str) -> Result<ChannelId, Error> {
    ChannelId::new(id).map_err(|reason| Error::invalid("channel_id", reason))
}

fn target(id: &str) -> Result<Target, Error> {
    UserId::new(id).map(Target::User).map_err(|reason| Error::invalid("target_user_id", reason))
}

/// Refuses a message for another call than the one in which the client is. It may leave the channel out.
fn is_inside(inside: Option<&ChannelId>, id: &str) -> Result<(), Error> {
    if id.is_empty() {
        return Ok(());
    }
    let named = channel(id)?;
    match inside {
        Some(inside) if *inside != named => Err(ErrorCode::NotInChannel.into()),
        _ => Ok(()),
    }
}

/// A candidate as JSON; an empty text, or `null`, says that there are no more.
fn candidate(json: String) -> Result<Signal, Error> {
    let no_more = matches!(json.trim(), "" | "null");
    Signal::of_candidate(if no_more { Value::Null } else { Value::String(json) }).map_err(|error| error.with("field", "candidate_json"))
}

/// The message that a reply is written as, if it has one; and where the client is after it, if that changes.
pub fn encode_reply(tag: Tag, reply: &Reply, inside: Option<&Inside>) -> Option<Vec<u8>> {
    let payload = match reply {
        Reply::Joined(joined) => Payload::VoiceJoinResponse(joined_response(joined)),
        Reply::Left { channel_id } => Payload::VoiceLeaveEvent(VoiceLeaveEvent {
            channel_id: channel_id.to_string(),
            user_id: inside.map(|inside| inside.user.to_string()).unwrap_or_default(),
            ..VoiceLeaveEvent::default()
        }),
        _ => return None,
    };
    Some(envelope(tag.request_id, payload))
}

fn joined_response(joined: &Joined) -> VoiceJoinResponse {
    let config = &joined.ice.rtc_config;
    let ice_servers = config.ice_servers.iter().map(|server| IceServer {
        urls: server.urls.clone(),
        username: server.username.clone().unwrap_or_default(),
        credential: server.credential.clone().unwrap_or_default(),
    });
    VoiceJoinResponse {
        participants: joined.participants.iter().map(participant).collect(),
        ice_servers: ice_servers.collect(),
        relay_only: config.ice_transport_policy == IceTransportPolicy::Relay,
    }
}

/// The refusal of a message; of the connection, if there was none.
pub fn encode_error(tag: Tag, error: &Error) -> Vec<u8> {
    let payload = generated::Error {
        code: u32::from(error.code.status()),
        message: error.message.clone(),
        request_id: tag.request_id.clone(),
        name: error.code.as_str().to_owned(),
        details_json: Value::Object(error.details.clone()).to_string(),
    };
    envelope(tag.request_id, Payload::Error(payload))
}

/// The messages that an event is written as for those who are in this call; none if the dialect has no words for it.
pub fn encode_event(event: &Event, inside: &Inside) -> Vec<Vec<u8>> {
    let channel_id = inside.channel.to_string();
    let payload = match event {
        Event::ParticipantJoined(other) => {
            let participant = Some(participant(other));
            Payload::VoiceParticipantJoinedEvent(VoiceParticipantJoinedEvent { channel_id, participant })
        }
        Event::ParticipantLeft { user_id, name, .. } => Payload::VoiceLeaveEvent(VoiceLeaveEvent {
            channel_id,
            user_id: user_id.to_string(),
            display_name: name.clone(),
            ..VoiceLeaveEvent::default()
        }),
        Event::ParticipantState { user_id, state } => return state_messages(&channel_id, user_id, state),
        Event::MeshOffer(told) => {
            let (sender_user_id, target_user_id, sdp) = described(&told.from, &told.signal, inside);
            Payload::VoiceSdpOffer(VoiceSdpOffer { target_user_id, sdp, channel_id, sender_user_id })
        }
        Event::MeshAnswer(told) => {
            let (sender_user_id, target_user_id, sdp) = described(&told.from, &told.signal, inside);
            Payload::VoiceSdpAnswer(VoiceSdpAnswer { target_user_id, sdp, channel_id, sender_user_id })
        }
        Event::MeshIce(MeshCandidate { from, signal }) => {
            // Clients of this dialect take nothing but candidates.
            let Some(candidate) = signal.candidate_text() else { return Vec::new() };
            Payload::VoiceIceCandidate(VoiceIceCandidate {
                target_user_id: inside.user.to_string(),
                candidate_json: candidate.into_owned(),
                channel_id,
                sender_user_id: from.user_id.to_string(),
            })
        }
        Event::Left { channel_id, reason, rejoin, to } => Payload::VoiceLeaveEvent(VoiceLeaveEvent {
            channel_id: channel_id.to_string(),
            user_id: inside.user.to_string(),
            reason: reason.as_str().to_owned(),
            rejoin: *rejoin,
            to_channel_id: to.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..VoiceLeaveEvent::default()
        }),
        // Of no use to clients of this dialect.
        Event::NewProducer(_)
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
        | Event::Moderation { .. } => return Vec::new(),
    };
    vec![envelope(String::new(), payload)]
}

/// How somebody is, in the two messages that the dialect has for it.
fn state_messages(channel_id: &str, user_id: &UserId, state: &ParticipantState) -> Vec<Vec<u8>> {
    let (channel_id, user_id) = (channel_id.to_owned(), user_id.to_string());
    let muted = state.muted || state.server_muted.audio;
    let update = VoiceStateUpdate { channel_id: channel_id.clone(), user_id: user_id.clone(), muted, deafened: state.deafened };
    let speaking = VoiceSpeakingEvent { channel_id, user_id, speaking: state.speaking };
    [Payload::VoiceStateUpdate(update), Payload::VoiceSpeakingEvent(speaking)].map(|payload| envelope(String::new(), payload)).into()
}

fn described(from: &Sender, signal: &Signal, inside: &Inside) -> (String, String, String) {
    (from.user_id.to_string(), inside.user.to_string(), signal.sdp().unwrap_or_default().to_owned())
}

fn participant(other: &Participant) -> VoiceParticipant {
    VoiceParticipant {
        user_id: other.user_id.to_string(),
        display_name: other.name.clone(),
        pubkey: Vec::new(),
        muted: other.state.muted || other.state.server_muted.audio,
        deafened: other.state.deafened,
    }
}

fn envelope(request_id: String, payload: Payload) -> Vec<u8> {
    Envelope { request_id, payload: Some(payload) }.encode_to_vec()
}
