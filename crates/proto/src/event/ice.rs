//! The STUN and TURN servers that a client's peer connections are made with.

use serde::Serialize;

use crate::channel::{Channel, Privacy};

/// A server a client may ask for its own address or a relay (`RTCIceServer` of the browser).
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IceServer {
    /// The server's addresses: `stun:`, `turn:` or `turns:`.
    pub urls: Vec<String>,
    /// The user name at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The password never reaches a log.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).field("username", &self.username).finish_non_exhaustive()
    }
}

/// Whether the client may try every candidate or relays only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// Every candidate is tried.
    #[default]
    All,
    /// Only relays are used: the server does not learn the client's address.
    Relay,
}

impl IceTransportPolicy {
    /// What holds in a channel, where this is what holds in all: a channel can be stricter.
    #[must_use]
    pub const fn within(self, channel: &Channel) -> Self {
        match channel.privacy {
            Privacy::Relay => Self::Relay,
            Privacy::Standard => self,
        }
    }
}

/// What a client's `RTCPeerConnection` is made with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtcConfig {
    /// STUN and TURN servers; none are needed where the client reaches the SFU directly.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates the client may try.
    pub ice_transport_policy: IceTransportPolicy,
}

/// What a client's peer connections are made with, and how long the TURN credential in it lasts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IceSetup {
    /// What the client's peer connections are made with.
    pub rtc_config: RtcConfig,
    /// When the TURN credential ends (RFC 3339); null when there is none that ends.
    pub turn_credential_expires_at: Option<String>,
    /// In how many seconds it ends, for who does not trust their clock; null when there is none that ends.
    pub turn_credential_ttl: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_shows_a_relay_password() {
        let server = IceServer { urls: vec!["turn:x".into()], username: Some("u".into()), credential: Some("hush".into()) };
        let shown = format!("{:?}", RtcConfig { ice_servers: vec![server], ..RtcConfig::default() });
        assert!(shown.contains("turn:x") && !shown.contains("hush"), "{shown}");
    }
}
