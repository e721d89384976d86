//! What an `Sfu` is set up with, and the limits that keep one client from taking too much of it.

use std::net::SocketAddr;
use std::time::Duration;

use parlor_proto::transport::Protocol;

use crate::audio::talkers::TalkerLimit;

/// An address at which clients reach this `Sfu`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalCandidate {
    /// What carries datagrams to it: UDP or TCP.
    pub protocol: Protocol,
    /// The announced address: what clients are told, and what datagrams and transmits name as `local`.
    pub address: SocketAddr,
}

/// What an `Sfu` is set up with.
#[derive(Clone, Debug)]
pub struct SfuConfig {
    /// Every address clients may use, the preferred ones first.
    pub candidates: Vec<LocalCandidate>,
    /// Who is forwarded in large rooms.
    pub talkers: TalkersConfig,
    /// The time of day when it is made, since the epoch of Unix: what RTCP tells receivers.
    pub wall_clock: Duration,
}

impl SfuConfig {
    /// A configuration with these candidates and everything else at its default.
    #[must_use]
    pub fn new(candidates: Vec<LocalCandidate>) -> Self {
        Self { candidates, talkers: TalkersConfig::default(), wall_clock: Duration::ZERO }
    }
}

/// How many are heard at once, and from which size of room on not all are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TalkersConfig {
    /// The loudest this many are forwarded; 0 forwards all, whatever the size of the room.
    pub loudest: usize,
    /// Rooms with up to this many microphones forward all.
    pub all_up_to: usize,
}

impl TalkersConfig {
    pub(crate) fn limit(self) -> Option<TalkerLimit> {
        (self.loudest > 0).then_some(TalkerLimit { places: self.loudest, above: self.all_up_to })
    }
}

impl Default for TalkersConfig {
    /// Nobody follows more than a few voices at once; below fifty microphones forwarding all is cheap enough, and
    /// no choice can be wrong.
    fn default() -> Self {
        Self { loudest: 5, all_up_to: 50 }
    }
}

/// Why an `Sfu` could not be made.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SfuError {
    /// No candidate was given: nobody could reach it.
    NoCandidates,
    /// A candidate's address cannot be announced (unspecified, or port 0).
    BadCandidate(SocketAddr),
    /// The DTLS certificate could not be made.
    Certificate,
}

impl std::fmt::Display for SfuError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoCandidates => f.write_str("no media address is configured; set media.announced_ip"),
            Self::BadCandidate(address) => write!(f, "{address} cannot be announced to clients; set media.announced_ip to a real address"),
            Self::Certificate => f.write_str("the DTLS certificate could not be made"),
        }
    }
}

impl std::error::Error for SfuError {}
