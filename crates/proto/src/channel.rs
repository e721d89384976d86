//! Channels, as the store knows them.

use serde::{Deserialize, Serialize};

use crate::ids::{ChannelId, UserId};
use crate::time::Timestamp;

/// What a channel or a person has paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The free tier: voice for everybody.
    #[default]
    Free,
    /// The pro tier: voice, video and screen sharing, in larger rooms.
    Pro,
}

/// What a channel is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelKind {
    /// A conversation of a few.
    Dm,
    /// A room people drop into.
    #[default]
    Voice,
}

/// The way that media takes from one participant to the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Topology {
    /// Media goes through the server.
    #[default]
    Sfu,
    /// From client to client.
    Mesh,
    /// From client to client between two who both allow it, otherwise through the server.
    Auto,
}

/// Who may speak in a channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Everybody who is signed in.
    #[default]
    Public,
    /// The members of the channel may speak.
    Members,
    /// The owner may speak, and who was invited and has accepted.
    Invited,
    /// The owner may speak, and who has one of the seats.
    Seated,
}

/// Whether clients may learn of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// Every candidate is used.
    #[default]
    Standard,
    /// Clients are told to use relays only.
    Relay,
}

/// Whether media is to be encrypted end to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum E2eePolicy {
    /// Media is not encrypted end to end.
    #[default]
    Off,
    /// Media is encrypted where all clients can do it.
    Optional,
    /// Clients that cannot encrypt are not let in.
    Required,
}

/// Whether the channel may be recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordingPolicy {
    /// The channel is never recorded.
    #[default]
    Off,
    /// The channel may be recorded, with everybody's knowledge.
    Allowed,
}

/// When a channel can be joined: from `opens_at` on, until just before `closes_at`. What is not set is no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Window {
    /// The first moment inside.
    pub opens_at: Option<Timestamp>,
    /// The first moment after it.
    pub closes_at: Option<Timestamp>,
}

impl Window {
    /// Whether a moment lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.opens_at.is_none_or(|opens| opens <= at) && self.closes_at.is_none_or(|closes| at < closes)
    }
}

/// A channel as the store knows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// The host application's id of it.
    pub id: ChannelId,
    /// What people call it.
    pub name: String,
    /// What the channel is for.
    #[serde(default)]
    pub kind: ChannelKind,
    /// The way that media takes.
    #[serde(default)]
    pub topology: Topology,
    /// Decides the participant and video limits.
    #[serde(default)]
    pub tier: Tier,
    /// A limit of its own; `None` means the tier's.
    #[serde(default)]
    pub max_participants: Option<u32>,
    /// Whether clients use relays only.
    #[serde(default)]
    pub privacy: Privacy,
    /// Whether media is to be encrypted end to end.
    #[serde(default)]
    pub e2ee: E2eePolicy,
    /// Whether the channel may be recorded.
    #[serde(default)]
    pub recording: RecordingPolicy,
    /// Who may speak in the channel.
    #[serde(default)]
    pub access: Access,
    /// Whether people to whom `access` gives no voice may come in all the same, to listen.
    #[serde(default)]
    pub spectators: bool,
    /// A limit of its own for those who only listen, however they come to; `None` means the server's.
    #[serde(default)]
    pub max_spectators: Option<u32>,
    /// When it can be joined.
    #[serde(default)]
    pub window: Window,
    /// The owner, who is always let in, and a moderator.
    #[serde(default)]
    pub owner: Option<UserId>,
}

impl Channel {
    /// A free voice channel open to everybody at all times.
    #[must_use]
    pub fn new(id: ChannelId, name: impl Into<String>) -> Self {
        Self {
            id,
            name: name.into(),
            kind: ChannelKind::default(),
            topology: Topology::default(),
            tier: Tier::default(),
            max_participants: None,
            privacy: Privacy::default(),
            e2ee: E2eePolicy::default(),
            recording: RecordingPolicy::default(),
            access: Access::default(),
            spectators: false,
            max_spectators: None,
            window: Window::default(),
            owner: None,
        }
    }

    /// The id of the room that can be entered at a moment: the channel's own while its window is open, none outside it.
    #[must_use]
    pub fn room_at(&self, at: Timestamp) -> Option<&ChannelId> {
        self.window.contains(at).then_some(&self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_includes_its_beginning_and_excludes_its_end() {
        let window = Window { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) };
        let inside: Vec<i64> = (0..30).filter(|at| window.contains(Timestamp(*at))).collect();
        assert_eq!((inside.first(), inside.last()), (Some(&10), Some(&19)));
        assert!(Window::default().contains(Timestamp(i64::MIN)));
    }

    #[test]
    fn a_channel_has_a_room_while_its_window_is_open() {
        let mut den = Channel::new(ChannelId::new("den").expect("an id"), "The den");
        assert_eq!(den.room_at(Timestamp(0)), Some(&den.id), "a channel without a window is always open");
        den.window = Window { opens_at: Some(Timestamp(10)), closes_at: Some(Timestamp(20)) };
        let rooms = [9, 10, 19, 20].map(|at| den.room_at(Timestamp(at)).map(ChannelId::as_str));
        assert_eq!(rooms, [None, Some("den"), Some("den"), None]);
    }

    #[test]
    fn a_channel_is_its_id_and_name_unless_it_says_more() {
        let read: Channel = serde_json::from_str(r#"{"id":"den","name":"The den"}"#).expect("enough");
        assert_eq!(read, Channel::new(ChannelId::new("den").expect("valid"), "The den"));
    }
}
