//! Channels, the people in them, and what they may do.

use serde::{Deserialize, Serialize};

use crate::ids::{ChannelId, UserId};

/// What a channel or a person has paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Voice for everyone.
    #[default]
    Free,
    /// Voice, video and screen sharing, in larger rooms.
    Pro,
}

/// A channel as the store knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Channel {
    /// The host application's id of it.
    pub id: ChannelId,
    /// What people call it.
    pub name: String,
    /// Decides the participant and video limits.
    pub tier: Tier,
    /// A limit of its own; `None` means the tier's.
    pub max_participants: Option<u32>,
}

/// Who a session is: fixed when the socket connects, from a verified token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The name others see.
    pub name: String,
    /// What the user has paid for.
    pub tier: Tier,
}

/// What a participant may do in a room, derived on the server (features 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Permissions {
    /// May speak.
    pub audio: bool,
    /// May turn a camera on.
    pub video: bool,
    /// May share the screen.
    pub screenshare: bool,
    /// Audio bitrate at the most, in bit/s.
    #[serde(rename = "maxBitrate")]
    pub max_bitrate: u32,
}
