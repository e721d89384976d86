//! What a client tells of a media connection that it made, or could not make: the kinds of candidates, and how far ICE and DTLS came. Each
//! part is one of a few words or a small number: there is no place for an address.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::transport::Protocol;

/// What became of a connection, by the client's account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ConnectionOutcome {
    /// ICE and DTLS work.
    Connected,
    /// The browser gave it up, or lost it.
    Failed,
    /// The client closed it before it was one or the other.
    Closed,
}

/// The type of a candidate (RFC 8445, section 5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, IntoStaticStr, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CandidateType {
    /// An address of the machine itself.
    Host,
    /// Its address as a STUN server sees it.
    Srflx,
    /// Its address as the other side sees it, found by a check.
    Prflx,
    /// An address at a TURN server.
    Relay,
}

/// How a client reaches its TURN server.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize, IntoStaticStr, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum RelayProtocol {
    /// TURN over UDP.
    Udp,
    /// TURN over TCP.
    Tcp,
    /// TURN over TLS.
    Tls,
}

/// The state of ICE, as browsers name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, IntoStaticStr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum IceState {
    /// Nothing has begun.
    New,
    /// Checks are sent.
    Checking,
    /// A pair works.
    Connected,
    /// A pair works, and no better one is looked for.
    Completed,
    /// The pair that worked does not answer.
    Disconnected,
    /// No pair works.
    Failed,
    /// The client closed it.
    Closed,
}

/// The state of DTLS, as browsers name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, IntoStaticStr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DtlsState {
    /// The handshake has not begun.
    New,
    /// The handshake is under way.
    Connecting,
    /// The handshake is over.
    Connected,
    /// One side has ended it.
    Closed,
    /// It failed.
    Failed,
}

/// What became of the connectivity checks of ICE.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, IntoStaticStr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Checks {
    /// None was sent.
    None,
    /// Some were sent, and none was answered.
    Sent,
    /// One was answered at least.
    Answered,
}

/// The network of a client, as far as its browser tells: its type (`navigator.connection.type`) or else how fast it is (`effectiveType`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum NetworkType {
    /// A phone's or computer's link by Bluetooth.
    Bluetooth,
    /// A mobile network.
    Cellular,
    /// A cable.
    Ethernet,
    /// A wireless local network.
    Wifi,
    /// A network by WiMAX.
    Wimax,
    /// A network of a type that has no name here.
    Other,
    /// The browser says that there is no network.
    None,
    /// Of unknown type, as slow as the slowest mobile networks.
    #[serde(rename = "slow-2g")]
    #[strum(serialize = "slow-2g")]
    Slow2g,
    /// Of unknown type, as fast as mobile networks of the second generation.
    #[serde(rename = "2g")]
    #[strum(serialize = "2g")]
    As2g,
    /// Of unknown type, as fast as mobile networks of the third generation.
    #[serde(rename = "3g")]
    #[strum(serialize = "3g")]
    As3g,
    /// Of unknown type, as fast as mobile networks of the fourth generation, or faster.
    #[serde(rename = "4g")]
    #[strum(serialize = "4g")]
    As4g,
    /// The browser does not tell.
    #[default]
    Unknown,
}

/// How many candidates of one type a client gathered, by what carries them. Of a relay it is what leads to the TURN server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ByProtocol {
    /// Over UDP.
    pub udp: u8,
    /// Over TCP.
    pub tcp: u8,
    /// Over TLS, of relays only.
    pub tls: u8,
}

/// The candidates that a client gathered for a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Candidates {
    /// Addresses of its own.
    pub host: ByProtocol,
    /// Addresses that a STUN server saw.
    pub srflx: ByProtocol,
    /// Addresses at TURN servers.
    pub relay: ByProtocol,
}

/// The pair of candidates by which media goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChosenPair {
    /// The client's own candidate.
    pub local: CandidateType,
    /// That of the other side.
    pub remote: CandidateType,
    /// What carries the packets between the two.
    pub protocol: Protocol,
    /// If the own candidate is a relay: how the client reaches it.
    pub relay_protocol: Option<RelayProtocol>,
}

/// What a client tells of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionReport {
    /// What became of it.
    pub outcome: ConnectionOutcome,
    /// The candidates that were gathered.
    pub candidates: Candidates,
    /// What became of the checks.
    pub checks: Checks,
    /// The state of ICE, if the browser tells.
    pub ice: Option<IceState>,
    /// The state of DTLS, if the browser tells.
    pub dtls: Option<DtlsState>,
    /// The pair in use, if there is one.
    pub pair: Option<ChosenPair>,
    /// From the begin of ICE until the connection was there, in milliseconds.
    pub connect_ms: Option<u32>,
    /// The network of the client.
    pub network: NetworkType,
}

impl Candidates {
    /// What was gathered for this or for another connection.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let more = |a: ByProtocol, b: ByProtocol| ByProtocol { udp: a.udp.max(b.udp), tcp: a.tcp.max(b.tcp), tls: a.tls.max(b.tls) };
        Self { host: more(self.host, other.host), srflx: more(self.srflx, other.srflx), relay: more(self.relay, other.relay) }
    }
}

/// As the log has it: `host/udp 2, relay/tls 1`.
impl std::fmt::Display for Candidates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let each = [("host", self.host), ("srflx", self.srflx), ("relay", self.relay)];
        let each = each.into_iter().flat_map(|(kind, n)| [(kind, "udp", n.udp), (kind, "tcp", n.tcp), (kind, "tls", n.tls)]);
        let mut first = true;
        for (kind, protocol, count) in each.filter(|(.., count)| *count > 0) {
            let comma = if std::mem::take(&mut first) { "" } else { ", " };
            write!(f, "{comma}{kind}/{protocol} {count}")?;
        }
        if first { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_written_by_type_and_protocol() {
        let udp = |udp| ByProtocol { udp, ..ByProtocol::default() };
        let few = Candidates { host: udp(2), ..Candidates::default() };
        let others = Candidates { host: udp(1), relay: ByProtocol { tls: 1, ..ByProtocol::default() }, ..Candidates::default() };
        assert_eq!(few.or_more(others).to_string(), "host/udp 2, relay/tls 1");
        assert_eq!(Candidates::default().to_string(), "none");
    }

    #[test]
    fn a_network_has_one_name_on_the_wire_and_in_the_log() {
        for network in NetworkType::VARIANTS {
            assert_eq!(serde_json::to_value(network).expect("is written"), <&str>::from(network));
        }
    }
}
