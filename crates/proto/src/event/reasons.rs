//! Why the server did something that nobody asked it for at that moment.

use serde::Serialize;
use strum::VariantArray;

/// Why the server closed a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// The tier of its owner, or of the channel, does not include such a producer any more.
    Entitlement,
    /// A moderator silenced its owner or put them out.
    Moderation,
    /// The transport it was on failed.
    Media,
}

impl CloseReason {
    /// The reason as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entitlement => "entitlement",
            Self::Moderation => "moderation",
            Self::Media => "media",
        }
    }
}

/// Why permissions changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntitlementReason {
    /// What the user has paid for has ended.
    Expired,
    /// The host application has changed it.
    Changed,
}

/// Why a session was put out of its room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LeftReason {
    /// The media thread of the room died.
    MediaLost,
    /// The server is shutting down.
    ShuttingDown,
    /// A moderator put the user out; they may come back.
    Kicked,
    /// A moderator banned the user, who cannot come back for now.
    Banned,
    /// A moderator sends the user to another channel.
    Moved,
    /// A moderator ended the call.
    CallEnded,
    /// The host application has signed the user out.
    SessionRevoked,
    /// The channel was deleted.
    ChannelDeleted,
    /// The user may not be in the channel any more.
    AccessLost,
    /// The user resumed the session on another connection.
    Replaced,
    /// The way that the channel's media takes was changed.
    TopologyChanged,
    /// The user joined with another connection: a user is in one channel at a time, over all devices.
    MovedDevice,
}

impl LeftReason {
    /// The reason as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MediaLost => "media-lost",
            Self::ShuttingDown => "shutting-down",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Moved => "moved",
            Self::CallEnded => "call-ended",
            Self::SessionRevoked => "session-revoked",
            Self::ChannelDeleted => "channel-deleted",
            Self::AccessLost => "access-lost",
            Self::Replaced => "replaced",
            Self::TopologyChanged => "topology-changed",
            Self::MovedDevice => "moved-device",
        }
    }

    /// Whether what the user was given for calls is taken back, relays for one: somebody decided that they may not be here.
    #[must_use]
    pub const fn takes_access(self) -> bool {
        matches!(self, Self::Kicked | Self::Banned | Self::SessionRevoked | Self::AccessLost)
    }

    /// Whether a client should join again by itself. Where a person decided, a person decides to come back.
    #[must_use]
    pub const fn rejoin(self) -> bool {
        matches!(self, Self::MediaLost | Self::ShuttingDown | Self::TopologyChanged)
    }
}
