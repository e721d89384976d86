//! Mesh calls: media goes from client to client, and the server carries what two clients need to agree on it.

mod relayed;

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::ids::{PeerId, UserId};
use crate::limits;

/// The participant of a mesh call that a message is for, as its sender knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A user; each is in a call once at the most.
    User(UserId),
    /// The stay of a user in the call.
    Peer(PeerId),
}

/// Which of two clients that meet in a call makes the offer, as a client expects it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Offers {
    /// Whoever comes makes an offer to each participant who is there.
    #[default]
    Newcomer,
    /// Whoever is there makes an offer to each participant who comes.
    Present,
    /// The one with the smaller user id, compared byte by byte, whoever came first. Such a client does so without being told.
    SmallerId,
}

/// What a client can do with mesh calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MeshTerms {
    /// Who makes the offers, as the client expects it.
    pub offers: Offers,
    /// Whether the client can take part in no other calls.
    pub only: bool,
}

/// The side of somebody who comes and somebody who is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// The participant who comes.
    Newcomer,
    /// The participant who is there.
    Present,
}

impl Offers {
    /// Which side makes the offer, so that both never do, and never neither. A client that decides by ids cannot be told
    /// otherwise; one that makes offers to those who come waits for nobody; every other client does as it is told.
    #[must_use]
    pub fn side(newcomer: (Self, &UserId), present: (Self, &UserId)) -> Side {
        let newcomer_offers = match (newcomer.0, present.0) {
            (Self::SmallerId, _) | (_, Self::SmallerId) => newcomer.1.as_str() < present.1.as_str(),
            (_, Self::Present) => false,
            (_, Self::Newcomer) => true,
        };
        if newcomer_offers { Side::Newcomer } else { Side::Present }
    }
}

/// A participant of a mesh call, as one other participant is told of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MeshPeer {
    /// The id of the participant's stay in this call.
    pub peer_id: PeerId,
    /// Whether the client that is told this makes the offer to the participant; otherwise it waits for theirs.
    pub make_offer: bool,
}

/// How many links a mesh call has, and whether it should be an SFU call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct MeshLinks {
    /// How many people are in the call.
    pub participants: u32,
    /// How many connections there are between them: n(n-1)/2.
    pub links: u32,
    /// Whether an SFU would serve so many people better: every client of a mesh sends its media to everybody else.
    pub sfu_recommended: bool,
}

impl MeshLinks {
    /// The most people for whom a mesh is recommended.
    pub const MAX_RECOMMENDED: u32 = 5;

    /// The links between so many people.
    #[must_use]
    pub const fn between(participants: u32) -> Self {
        let links = participants.saturating_mul(participants.saturating_sub(1)) / 2;
        Self { participants, links, sfu_recommended: participants > Self::MAX_RECOMMENDED }
    }
}

/// The participant of a mesh call who sent a message, by what the server knows of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The user.
    pub user_id: UserId,
    /// The name to show.
    #[serde(skip)]
    pub name: String,
    /// The user's stay in the call.
    #[serde(skip)]
    pub peer_id: PeerId,
}

/// An offer or an answer of another participant.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeshDescription {
    /// Who sent it.
    #[serde(flatten)]
    pub from: Sender,
    /// The session description.
    #[serde(rename = "sdp", serialize_with = "as_sdp")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub signal: Signal,
}

/// An ICE candidate of another participant.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeshCandidate {
    /// Who sent it.
    #[serde(flatten)]
    pub from: Sender,
    /// The candidate, as `RTCPeerConnection.addIceCandidate` takes it; null when there are no more.
    #[serde(rename = "candidate", serialize_with = "as_candidate")]
    #[cfg_attr(test, schemars(with = "Option<IceCandidateInit>"))]
    pub signal: Signal,
}

/// An ICE candidate as browsers write it (`RTCIceCandidateInit`).
#[cfg(test)]
#[derive(schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[allow(dead_code, reason = "the schema describes what is relayed unread")]
pub(crate) struct IceCandidateInit {
    /// The candidate (RFC 8839, section 5.1).
    candidate: String,
    /// The media description it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sdp_mid: Option<String>,
    /// The place of that description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sdp_m_line_index: Option<u16>,
    /// The user name fragment of the ICE credentials it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    username_fragment: Option<String>,
}

fn as_sdp<S: Serializer>(signal: &Signal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(signal.sdp().unwrap_or_default())
}

fn as_candidate<S: Serializer>(signal: &Signal, serializer: S) -> Result<S::Ok, S::Error> {
    signal.candidate_init().serialize(serializer)
}

/// What one client tells another: all fields of its message but the addresses. The server relays them as they are, whether
/// or not it knows them.
#[derive(Clone, PartialEq, Debug)]
pub struct Signal(Map<String, Value>);

/// The field of an offer or an answer that holds the session description.
const SDP: &str = "sdp";
/// The field of an ICE message that holds the candidate.
const CANDIDATE: &str = "candidate";

impl Signal {
    /// What a client wrote, if it is no more than a message can need: a value is a hundred bytes of memory, however few it has on the wire.
    fn within_limits(fields: Map<String, Value>) -> Result<Self, Error> {
        if values(&fields) > limits::MAX_SIGNAL_VALUES {
            return Err(Error::invalid("", "has too many fields"));
        }
        Ok(Self(fields))
    }

    /// An offer or an answer: a session description as text, or as an object that holds the text (`RTCSessionDescriptionInit`).
    pub fn description(fields: Map<String, Value>) -> Result<Self, Error> {
        let signal = Self::within_limits(fields)?;
        match signal.sdp() {
            None | Some("") => Err(Error::invalid(SDP, "must be a session description, as text or in an object")),
            Some(text) if text.len() > limits::MAX_SDP_BYTES => Err(Error::invalid(SDP, "is too long")),
            // The one character that no description has (RFC 8866, section 9), and that ends a text where it is handled in C.
            Some(text) if text.contains('\0') => Err(Error::invalid(SDP, "must not contain NUL")),
            Some(_) => Ok(signal),
        }
    }

    /// An ICE candidate: as an object (`RTCIceCandidateInit`) or as text; `null` says that there are no more.
    pub fn candidate(fields: Map<String, Value>) -> Result<Self, Error> {
        let text = match fields.get(CANDIDATE) {
            Some(Value::Null) => return Self::within_limits(fields),
            Some(Value::Object(init)) => init.get(CANDIDATE).and_then(Value::as_str),
            Some(written) => written.as_str(),
            None => return Err(Error::invalid(CANDIDATE, "is missing")),
        };
        match text {
            None => Err(Error::invalid(CANDIDATE, "must be a candidate, as text or in an object, or null")),
            Some(text) if text.len() > limits::MAX_CANDIDATE_BYTES => Err(Error::invalid(CANDIDATE, "is too long")),
            Some(_) => Self::within_limits(fields),
        }
    }

    /// An offer or an answer that is nothing but this text.
    pub fn of_sdp(text: &str) -> Result<Self, Error> {
        Self::description(Map::from_iter([(SDP.to_owned(), text.into())]))
    }

    /// A message that is nothing but this candidate.
    pub fn of_candidate(candidate: Value) -> Result<Self, Error> {
        Self::candidate(Map::from_iter([(CANDIDATE.to_owned(), candidate)]))
    }

    /// The text of the session description, however it was written.
    #[must_use]
    pub fn sdp(&self) -> Option<&str> {
        match self.0.get(SDP)? {
            Value::String(text) => Some(text),
            Value::Object(description) => description.get(SDP)?.as_str(),
            _ => None,
        }
    }

    /// The candidate as an object (`RTCIceCandidateInit`), however it was written; `Null` when there are no more.
    #[must_use]
    pub fn candidate_init(&self) -> Cow<'_, Value> {
        match self.0.get(CANDIDATE) {
            Some(Value::String(text)) => Cow::Owned(read_candidate(text)),
            Some(written) => Cow::Borrowed(written),
            None => Cow::Owned(Value::Null),
        }
    }

    /// The candidate as a text that is JSON, however it was written; nothing when there are no more.
    #[must_use]
    pub fn candidate_text(&self) -> Option<Cow<'_, str>> {
        match self.0.get(CANDIDATE)? {
            Value::String(text) if text.starts_with('{') => Some(Cow::Borrowed(text)),
            Value::String(text) => Some(Cow::Owned(read_candidate(text).to_string())),
            Value::Object(fields) => serde_json::to_string(fields).ok().map(Cow::Owned),
            _ => None,
        }
    }

    /// About how many bytes it is long.
    #[must_use]
    pub fn len(&self) -> usize {
        bytes(&self.0)
    }

    /// Whether it says nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All fields, as they were written.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// How many values an object has, at every depth.
fn values(fields: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Object(fields) => 1 + values(fields),
            Value::Array(items) => 1 + items.iter().map(of).sum::<usize>(),
            _ => 1,
        }
    }
    fields.values().map(of).sum()
}

/// The length of the texts in an object, with the names of its fields; other values count as eight bytes.
fn bytes(fields: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::String(text) => text.len(),
            Value::Object(fields) => 8 + bytes(fields),
            Value::Array(items) => 8 + items.iter().map(of).sum::<usize>(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        }
    }
    fields.iter().map(|(name, value)| name.len() + of(value)).sum()
}

/// A candidate from its text: JSON, or the attribute of a session description (RFC 8839, section 5.1), which is then one of
/// the first media description.
fn read_candidate(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Value::Object(fields),
        _ => json!({"candidate": text, "sdpMLineIndex": 0}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(value: Value) -> Map<String, Value> {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn of_two_clients_that_meet_exactly_one_makes_the_offer_and_each_as_its_dialect_has_it() {
        let [a, b] = ["a", "b"].map(|id| UserId::new(id).expect("an id"));
        use Offers::{Newcomer, Present, SmallerId};
        for (newcomer, present, expected) in [
            (Newcomer, Newcomer, Side::Newcomer),
            (Present, Present, Side::Present),
            (Newcomer, Present, Side::Present),
            (Present, Newcomer, Side::Newcomer),
        ] {
            for (one, other) in [(&a, &b), (&b, &a)] {
                assert_eq!(Offers::side((newcomer, one), (present, other)), expected, "{newcomer:?} meets {present:?}");
            }
        }
        for other in [Newcomer, Present, SmallerId] {
            assert_eq!(Offers::side((SmallerId, &a), (other, &b)), Side::Newcomer);
            assert_eq!(Offers::side((SmallerId, &b), (other, &a)), Side::Present);
            assert_eq!(Offers::side((other, &b), (SmallerId, &a)), Side::Present);
            assert_eq!(Offers::side((other, &a), (SmallerId, &b)), Side::Newcomer);
        }
    }

    #[test]
    fn links_grow_with_the_square_and_more_than_five_people_are_advised_to_use_an_sfu() {
        let links: Vec<u32> = [0, 1, 2, 3, 4, 5, 6, 10].into_iter().map(|n| MeshLinks::between(n).links).collect();
        assert_eq!(links, [0, 0, 1, 3, 6, 10, 15, 45]);
        assert!(!MeshLinks::between(5).sfu_recommended && MeshLinks::between(6).sfu_recommended);
        assert!(MeshLinks::between(u32::MAX).sfu_recommended);
    }

    #[test]
    fn a_description_is_a_text_or_an_object_with_the_text_and_nothing_of_it_is_lost() {
        for written in [json!({"sdp": "v=0", "mine": [1]}), json!({"sdp": {"type": "offer", "sdp": "v=0"}, "mine": null})] {
            let signal = Signal::description(fields(written.clone())).expect("a description");
            assert_eq!((signal.sdp(), Value::Object(signal.fields().clone())), (Some("v=0"), written));
        }
        for wrong in [
            json!({}),
            json!({"sdp": ""}),
            json!({"sdp": 1}),
            json!({"sdp": {"type": "offer"}}),
            json!({"sdp": "x".repeat(limits::MAX_SDP_BYTES + 1)}),
        ] {
            assert!(Signal::description(fields(wrong)).is_err());
        }
    }

    #[test]
    fn a_message_has_only_so_many_values_however_few_bytes_they_are() {
        let empty = |n: usize| json!({"sdp": "v=0", "x": vec![json!([]); n]});
        assert!(Signal::description(fields(empty(limits::MAX_SIGNAL_VALUES - 2))).is_ok());
        assert!(Signal::description(fields(empty(limits::MAX_SIGNAL_VALUES - 1))).is_err());
        let mut deep = json!({});
        for _ in 0..limits::MAX_SIGNAL_VALUES {
            deep = json!({ "": deep });
        }
        for candidate in [json!({"candidate": null, "x": deep}), json!({"candidate": {"candidate": "c", "x": deep}})] {
            assert!(Signal::candidate(fields(candidate)).is_err());
        }
        assert!(Signal::of_candidate(json!({"candidate": "", "x": [[], {}]})).expect("fine").len() > 24, "what is empty counts too");
    }

    #[test]
    fn a_candidate_is_an_object_a_text_or_the_word_that_there_are_no_more() {
        for fine in [
            json!({"candidate": {"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host"}}),
            json!({"candidate": "{}"}),
            json!({"candidate": null}),
        ] {
            assert_eq!(Signal::candidate(fields(fine.clone())).map(|signal| Value::Object(signal.fields().clone())), Ok(fine));
        }
        let read = |candidate: Value| {
            Signal::of_candidate(candidate)
                .map(|signal| (signal.candidate_init().into_owned(), signal.candidate_text().map(Cow::into_owned)))
        };
        let object = json!({"candidate": "candidate:1", "sdpMid": "0"});
        assert_eq!(read(object.clone()), Ok((object.clone(), Some(object.to_string()))));
        assert_eq!(read(object.to_string().into()), Ok((object.clone(), Some(object.to_string()))), "JSON in a text");
        let first = json!({"candidate": "candidate:1", "sdpMLineIndex": 0});
        assert_eq!(read("candidate:1".into()), Ok((first.clone(), Some(first.to_string()))), "the bare attribute");
        assert_eq!(read(Value::Null), Ok((Value::Null, None)));
        for wrong in [json!({}), json!({"candidate": 1}), json!({"candidate": "x".repeat(limits::MAX_CANDIDATE_BYTES + 1)})] {
            assert!(Signal::candidate(fields(wrong)).is_err());
        }
    }
}
