//! People: who a session is, what they have paid for, and what they may do.

use serde::{Deserialize, Serialize};

use crate::channel::Tier;
use crate::ids::{ChannelId, UserId};
use crate::time::{Timestamp, rfc3339_or_null};

/// What a person has paid for, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entitlement {
    /// May send video and share the screen.
    pub pro: bool,
    /// The first moment at which that is over; `None` if it does not end.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

impl Entitlement {
    /// Pro without an end.
    pub const PRO: Self = Self { pro: true, expires_at: None };
    /// An entitlement to nothing.
    pub const FREE: Self = Self { pro: false, expires_at: None };

    /// The entitlement at this moment: an expired one is free.
    #[must_use]
    pub fn at(self, wall: Timestamp) -> Self {
        if self.pro && self.expires_at.is_none_or(|end| wall < end) { self } else { Self::FREE }
    }

    /// The tier it stands for.
    #[must_use]
    pub const fn tier(self) -> Tier {
        if self.pro { Tier::Pro } else { Tier::Free }
    }
}

/// Who a session is: fixed when the socket connects, from a verified token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The user of the session.
    pub user: UserId,
    /// The name others see.
    pub name: String,
    /// What the user has paid for, by the token.
    pub entitlement: Entitlement,
    /// A moderator of every channel.
    pub moderator: bool,
    /// `None`: the store decides everywhere. Otherwise these channels and no others, and each stands for membership.
    pub grants: Option<Vec<Grant>>,
    /// When the token was made: who was signed out after that needs a new one.
    pub issued_at: Timestamp,
}

impl Identity {
    /// Somebody with nothing special.
    #[must_use]
    pub fn new(user: UserId, name: impl Into<String>) -> Self {
        let (entitlement, issued_at) = (Entitlement::FREE, Timestamp::default());
        Self { user, name: name.into(), entitlement, moderator: false, grants: None, issued_at }
    }

    /// What a token says of one channel.
    #[must_use]
    pub fn grant(&self, channel: &ChannelId) -> Option<GrantRole> {
        self.grants.iter().flatten().find(|g| g.channel == *channel).map(|g| g.role)
    }
}

/// A channel a token lets its bearer into.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The channel it lets into.
    pub channel: ChannelId,
    /// What the bearer is there.
    #[serde(default)]
    pub role: GrantRole,
}

/// What a grant makes of its bearer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantRole {
    /// The bearer may listen.
    Spectator,
    /// The bearer may speak.
    #[default]
    Member,
    /// The bearer may speak and moderate.
    Moderator,
}

/// What a member of a channel is, by the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberRole {
    /// The member has no further rights.
    #[default]
    Member,
    /// The member may moderate.
    Moderator,
}

/// How far an invitation has come. An invitation only ever goes on: from `Invited` to `Present` to `Left`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Invitation {
    /// The invitation is not answered.
    #[default]
    Invited,
    /// Accepted: the token is deposited.
    Present,
    /// The guest has left for good.
    Left,
}

/// Whether a participant may speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A speaker may send what the tier includes.
    #[default]
    Speaker,
    /// A spectator listens and watches only.
    Spectator,
}

/// What a participant may do in a channel, as the server derived it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Permissions {
    /// Whether the participant may speak.
    pub audio: bool,
    /// Whether the participant may turn a camera on.
    pub video: bool,
    /// Whether the participant may share the screen.
    pub screenshare: bool,
    /// The most that the microphone may send, in bit/s.
    #[serde(rename = "maxBitrate")]
    pub max_bitrate: u32,
    /// When `video` and `screenshare` end (RFC 3339); null if they do not.
    #[serde(rename = "expiresAt", serialize_with = "rfc3339_or_null")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub expires_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entitlement_ends_at_its_moment() {
        let until = Entitlement { pro: true, expires_at: Some(Timestamp(10)) };
        assert_eq!(until.at(Timestamp(9)), until);
        assert_eq!(until.at(Timestamp(10)), Entitlement::FREE);
        assert_eq!(Entitlement::PRO.at(Timestamp(i64::MAX)).tier(), Tier::Pro);
    }
}
