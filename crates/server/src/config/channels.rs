//! `[[channels]]`: channels an operator writes down instead of making them at run time.

use parlor_proto::{
    Access, Channel, ChannelId, ChannelKind, E2eePolicy, Privacy, RecordingPolicy, Tier, Timestamp, Topology, UserId, Window,
};
use serde::{Deserialize, Serialize};

/// An entry of `[[channels]]`. At every start the store's channel of this id becomes like this.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// The id of the channel, as clients name it.
    pub id: ChannelId,
    /// The name people see. Not set: the id.
    #[serde(default)]
    pub name: String,
    /// The kind: `voice` or `dm`.
    #[serde(default)]
    pub kind: ChannelKind,
    /// The path of media: `sfu`, `mesh` or `auto`.
    #[serde(default)]
    pub topology: Topology,
    /// The tier: `free` or `pro`.
    #[serde(default)]
    pub tier: Tier,
    /// The most participants. 0: as many as the tier allows.
    #[serde(default)]
    pub max_participants: u32,
    /// The privacy of addresses: `standard`, or `relay`: clients use TURN only.
    #[serde(default)]
    pub privacy: Privacy,
    /// End-to-end encryption: `off`, `optional` or `required`.
    #[serde(default)]
    pub e2ee: E2eePolicy,
    /// Whether calls may be recorded: `off` or `allowed`.
    #[serde(default)]
    pub recording: RecordingPolicy,
    /// Who may speak: `public`, `members`, `invited` or `seated`.
    #[serde(default)]
    pub access: Access,
    /// Whether everybody else may listen.
    #[serde(default)]
    pub spectators: bool,
    /// The most spectators. 0: as many as `limits.spectators`.
    #[serde(default)]
    pub max_spectators: u32,
    /// When the channel opens, as `2100-01-31T18:00:00Z`. Not set: it always has been open.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    /// When the channel closes. Not set: never.
    #[serde(default, with = "moment", skip_serializing_if = "Option::is_none")]
    pub closes_at: Option<Timestamp>,
    /// The owner of the channel, who may always join and moderates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<UserId>,
    /// Users who may not join. A user who is taken off this list may come back at the next start, unless somebody else
    /// has banned them as well.
    #[serde(default)]
    pub banned: Vec<UserId>,
}

impl ChannelConfig {
    /// The channel as the rest of the server knows it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        let name = if self.name.is_empty() { self.id.as_str() } else { &self.name };
        Channel {
            id: self.id.clone(),
            name: name.to_owned(),
            kind: self.kind,
            topology: self.topology,
            tier: self.tier,
            max_participants: own_limit(self.max_participants),
            privacy: self.privacy,
            e2ee: self.e2ee,
            recording: self.recording,
            access: self.access,
            spectators: self.spectators,
            max_spectators: own_limit(self.max_spectators),
            window: Window { opens_at: self.opens_at, closes_at: self.closes_at },
            owner: self.owner.clone(),
        }
    }
}

/// A limit of the channel's own; 0 stands for none.
fn own_limit(max: u32) -> Option<u32> {
    (max > 0).then_some(max)
}

/// Reads and writes moments as RFC 3339.
mod moment {
    use parlor_proto::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de};

    #[allow(clippy::ref_option, reason = "the signature serde asks for")]
    pub fn serialize<S: Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.serialize_str(&moment.to_rfc3339()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let read = || Timestamp::parse_rfc3339(&text).ok_or_else(|| de::Error::custom("must look like 2100-01-31T18:00:00Z"));
        if text.is_empty() { Ok(None) } else { read().map(Some) }
    }
}
