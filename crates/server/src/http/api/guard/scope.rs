//! Scopes: what an API key may do.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One permission. A key has several, or [`Scope::All`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Everything, also scopes that are added later.
    All,
    /// See channels, who belongs to them, and who is in a call.
    ChannelsRead,
    /// Make, change and delete channels, members, invitations and seats.
    ChannelsWrite,
    /// Bans, and what a moderator can do in a call.
    Moderation,
    /// Entitlements of people.
    People,
    /// Connections of people, and their revocation.
    Sessions,
    /// Read the event feed.
    Events,
    /// Read the audit log.
    Audit,
    /// Read what the server counts.
    Counters,
    /// Make, list and remove API keys.
    Keys,
}

impl Scope {
    /// Every scope there is.
    pub const EACH: &'static [Self] = &[
        Self::All,
        Self::ChannelsRead,
        Self::ChannelsWrite,
        Self::Moderation,
        Self::People,
        Self::Sessions,
        Self::Events,
        Self::Audit,
        Self::Counters,
        Self::Keys,
    ];

    /// The name of the scope on the wire and in the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "*",
            Self::ChannelsRead => "channels:read",
            Self::ChannelsWrite => "channels:write",
            Self::Moderation => "moderation",
            Self::People => "people",
            Self::Sessions => "sessions",
            Self::Events => "events",
            Self::Audit => "audit",
            Self::Counters => "counters",
            Self::Keys => "keys",
        }
    }

    /// Finds a scope by its name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::EACH.iter().copied().find(|scope| scope.name() == name)
    }

    /// Whether a key with the `granted` scopes may do what needs this scope. Names from a newer version grant nothing.
    pub fn is_in(self, granted: &[String]) -> bool {
        granted.iter().filter_map(|name| Self::parse(name)).any(|scope| scope == Self::All || scope == self)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&name).ok_or_else(|| {
            let known: Vec<_> = Self::EACH.iter().map(|scope| scope.name()).collect();
            de::Error::custom(format_args!("is not a scope; the scopes are {}", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_granted_by_its_name_or_by_the_one_for_all() {
        let granted = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(Scope::Audit.is_in(&granted(&["audit"])));
        assert!(Scope::Audit.is_in(&granted(&["keys", "*"])));
        assert!(!Scope::Audit.is_in(&granted(&["keys", "channels:read", "aud", "AUDIT", ""])));
        assert!(!Scope::ChannelsWrite.is_in(&granted(&["channels:read"])));
        assert!(!Scope::All.is_in(&granted(&["audit"])));
        assert!(!Scope::Audit.is_in(&[]));
    }

    #[test]
    fn every_name_finds_its_scope() {
        for scope in Scope::EACH {
            assert_eq!(Scope::parse(scope.name()), Some(*scope));
        }
    }
}
