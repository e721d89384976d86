//! ICE and DTLS parameters of a transport, in the field names that `mediasoup-client` reads.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::error::Error;
use crate::limits;

/// Which way media flows on a transport, seen from the client.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The client sends: it carries producers.
    Send,
    /// The client receives: it carries consumers.
    Recv,
}

/// The server's ICE credentials for one transport.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IceParameters {
    /// The ufrag a client's STUN requests begin with.
    pub username_fragment: String,
    /// The key of the STUN message integrity.
    pub password: String,
    /// Always true: the server answers checks and makes none (RFC 8445, section 2.5).
    pub ice_lite: bool,
}

/// The password never reaches a log.
impl std::fmt::Debug for IceParameters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceParameters").field("username_fragment", &self.username_fragment).finish_non_exhaustive()
    }
}

/// Below ICE: what carries the packets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, IntoStaticStr, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Protocol {
    /// UDP: datagrams carry the packets.
    Udp,
    /// TCP: a stream with RFC 4571 framing, opened by the client.
    Tcp,
}

/// One address at which the SFU can be reached.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// Equal for candidates of the same kind and base (RFC 8445, section 5.1.1.3).
    pub foundation: String,
    /// Candidates with a higher priority are tried first.
    pub priority: u32,
    /// The address that clients are told.
    pub ip: IpAddr,
    /// `ip` again, under the name that newer clients read.
    pub address: IpAddr,
    /// Whether it is for UDP or for TCP.
    pub protocol: Protocol,
    /// The port that clients are told.
    pub port: u16,
    /// The kind of candidate; always `host`.
    #[serde(rename = "type")]
    pub kind: CandidateKind,
    /// Always `passive`, on TCP only: clients connect, the server listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_type: Option<TcpType>,
}

/// The kinds of candidate an ICE-lite server has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum CandidateKind {
    /// An address of the server itself.
    Host,
}

/// Who opens a TCP connection (RFC 6544).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TcpType {
    /// The other side does.
    Passive,
}

/// Which side begins the DTLS handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum DtlsRole {
    /// Leaves it to the other side.
    Auto,
    /// This side begins the handshake.
    Client,
    /// This side waits.
    Server,
}

/// A hash of the certificate that will be shown in the handshake.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DtlsFingerprint {
    /// The hash function: `sha-256`, `sha-384`, `sha-512`…
    pub algorithm: String,
    /// Upper or lower case hexadecimal bytes, separated by colons.
    pub value: String,
}

/// What one side says of its DTLS end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DtlsParameters {
    /// The role of the side that says it.
    #[serde(default = "auto")]
    pub role: DtlsRole,
    /// At least one, or nothing could be verified.
    pub fingerprints: Vec<DtlsFingerprint>,
}

fn auto() -> DtlsRole {
    DtlsRole::Auto
}

/// Hash functions a fingerprint may use, with their length in bytes. SHA-1 and MD5 are refused: a second
/// preimage of the certificate would be a man in the middle.
const HASHES: [(&str, usize); 3] = [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)];

impl DtlsParameters {
    /// The strongest usable fingerprint, or what is wrong with the list.
    pub fn strongest_fingerprint(&self) -> Result<(&'static str, Vec<u8>), Error> {
        let field = "dtlsParameters.fingerprints";
        if self.fingerprints.is_empty() {
            return Err(Error::invalid(field, "must not be empty"));
        }
        if self.fingerprints.len() > limits::MAX_FINGERPRINTS {
            return Err(Error::invalid(field, format!("has more than {} entries", limits::MAX_FINGERPRINTS)));
        }
        for (name, length) in HASHES.iter().rev() {
            let mut named = self.fingerprints.iter().filter(|f| f.algorithm.eq_ignore_ascii_case(name));
            if let Some(fingerprint) = named.next() {
                return match parse_hex(&fingerprint.value) {
                    Some(bytes) if bytes.len() == *length => Ok((name, bytes)),
                    _ => Err(Error::invalid(field, format!("the {name} value is not {length} hexadecimal bytes separated by colons"))),
                };
            }
        }
        Err(Error::invalid(field, "has none of sha-256, sha-384, sha-512"))
    }
}

/// Reads hexadecimal bytes with colons between them, as `AB:CD`.
fn parse_hex(text: &str) -> Option<Vec<u8>> {
    text.split(':').map(|pair| (pair.len() == 2).then(|| u8::from_str_radix(pair, 16).ok()).flatten()).collect()
}

/// How far a transport has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum TransportState {
    /// Made, no valid check has arrived.
    New,
    /// ICE works, DTLS is under way.
    Connecting,
    /// ICE and DTLS work; media can flow.
    Connected,
    /// No consent for some time; it may come back, or ICE be restarted.
    Disconnected,
    /// The transport is given up.
    Failed,
}

/// Why a transport failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TransportFailure {
    /// Nothing authentic came for too long: the client has gone, or its network has changed.
    Silent,
    /// All ICE checks came from addresses that another transport uses.
    AddressInUse,
    /// The client ended DTLS.
    Closed,
    /// The certificate the client showed is not the one whose fingerprint it gave.
    CertificateMismatch,
    /// The client's certificate, or what it signs with, is of a kind that is not accepted.
    CertificateUnsupported,
    /// The client did not prove that it has the key of its certificate.
    SignatureInvalid,
    /// No DTLS version, cipher suite, key exchange group or SRTP profile in common.
    NothingInCommon,
    /// The client gave the handshake up with an alert.
    RefusedByClient,
    /// The handshake did not come to an end in time.
    HandshakeTimeout,
    /// The client's messages contradict the protocol.
    ProtocolViolation,
    /// The server could not make or connect it.
    Server,
}

impl TransportFailure {
    /// All reasons, in the order in which they are documented.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The reason as it is written to clients and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::AddressInUse => "address-in-use",
            Self::Closed => "closed",
            Self::CertificateMismatch => "certificate-mismatch",
            Self::CertificateUnsupported => "certificate-unsupported",
            Self::SignatureInvalid => "signature-invalid",
            Self::NothingInCommon => "nothing-in-common",
            Self::RefusedByClient => "refused-by-client",
            Self::HandshakeTimeout => "handshake-timeout",
            Self::ProtocolViolation => "protocol-violation",
            Self::Server => "server",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_written_by_its_name() {
        for failure in TransportFailure::ALL.iter().copied() {
            assert_eq!(serde_json::to_value(failure).expect("is written"), failure.name());
        }
    }

    fn parameters(list: &[(&str, &str)]) -> DtlsParameters {
        let fingerprints = list.iter().map(|(a, v)| DtlsFingerprint { algorithm: (*a).into(), value: (*v).into() }).collect();
        DtlsParameters { role: DtlsRole::Client, fingerprints }
    }

    #[test]
    fn an_empty_fingerprint_list_is_refused() {
        assert!(parameters(&[]).strongest_fingerprint().is_err());
    }

    #[test]
    fn sha1_alone_is_refused() {
        let value = ["AB"; 20].join(":");
        assert!(parameters(&[("sha-1", &value)]).strongest_fingerprint().is_err());
    }

    #[test]
    fn the_strongest_hash_is_the_one_verified() {
        let (short, long) = (["AB"; 32].join(":"), ["cd"; 48].join(":"));
        let (name, bytes) = parameters(&[("sha-256", &short), ("SHA-384", &long)]).strongest_fingerprint().expect("usable");
        assert_eq!((name, bytes), ("sha-384", vec![0xcd; 48]));
    }

    #[test]
    fn a_fingerprint_of_the_wrong_length_is_refused() {
        assert!(parameters(&[("sha-256", "AB:CD")]).strongest_fingerprint().is_err());
        assert!(parameters(&[("sha-256", "zz")]).strongest_fingerprint().is_err());
        assert!(parameters(&[("sha-256", "é:é")]).strongest_fingerprint().is_err());
    }
}
