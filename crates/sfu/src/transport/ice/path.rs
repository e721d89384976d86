//! One path to a client: between which addresses, what was heard by it, and what may be sent there.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::transport::Protocol;

use super::nomination::Nomination;
use super::proof::Probe;

/// To an address of which it is not proved that the client is there, at most this many bytes leave for each that came from
/// there: nobody gains by sending in another's name (as in QUIC: RFC 9000, section 8.1).
pub(super) const CREDIT_FACTOR: u64 = 3;

/// Between which addresses, by what.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Path {
    pub(crate) protocol: Protocol,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
}

/// A path by which checks came.
pub(super) struct Known {
    pub(super) path: Path,
    /// The last authentic packet by it, a check or media.
    pub(super) last_heard: Instant,
    /// The last one that was no check.
    pub(super) media: Option<Instant>,
    /// The client asked for the path to be used, and has not asked for less since.
    pub(super) nomination: Option<Nomination>,
    /// The client is there.
    pub(super) proved: bool,
    pub(super) probe: Option<Probe>,
    /// Bytes that may be sent there while it is not proved.
    pub(super) credit: u64,
}

impl Known {
    pub(super) fn new(path: Path, now: Instant) -> Self {
        // Who made a TCP connection got what was sent to make it.
        let proved = path.protocol == Protocol::Tcp;
        Self { path, last_heard: now, media: None, nomination: None, proved, probe: None, credit: 0 }
    }

    pub(super) fn heard(&mut self, bytes: usize, now: Instant) {
        self.last_heard = now;
        if !self.proved {
            self.credit = self.credit.saturating_add(CREDIT_FACTOR * bytes as u64);
        }
    }

    pub(super) fn silence(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.last_heard)
    }

    pub(super) fn prove(&mut self) {
        self.proved = true;
        self.probe = None;
    }

    /// Takes from what may be sent there, if so much is left above `reserve`.
    pub(super) fn spend(&mut self, bytes: usize, reserve: u64) -> bool {
        let cost = bytes as u64;
        if !self.proved {
            if self.credit < cost.saturating_add(reserve) {
                return false;
            }
            self.credit -= cost;
        }
        true
    }
}
