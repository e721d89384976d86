//! The media plane of one thread: routers, and the demultiplexing of what arrives.

use std::net::SocketAddr;
use std::time::Instant;

use parlor_proto::media::{MediaCommand, MediaEvent};
use parlor_proto::transport::Protocol;

use crate::config::{SfuConfig, SfuError};
use crate::stats::SfuStats;

/// One UDP datagram or one RFC 4571 frame that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What carried it.
    pub protocol: Protocol,
    /// The announced candidate it arrived at.
    pub local: SocketAddr,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Its content.
    pub bytes: &'a [u8],
}

/// A datagram or frame to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// What is to carry it. On TCP it goes into the connection from `remote`.
    pub protocol: Protocol,
    /// The announced candidate to send from.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The media plane of one thread.
#[derive(Debug)]
pub struct Sfu {
    stats: SfuStats,
}

impl Sfu {
    /// Makes one; clients reach it at the configured candidates.
    pub fn new(config: SfuConfig, _now: Instant) -> Result<Self, SfuError> {
        if config.candidates.is_empty() {
            return Err(SfuError::NoCandidates);
        }
        Ok(Self { stats: SfuStats::default() })
    }

    /// Carries out an order of the rules.
    pub fn handle_command(&mut self, _command: MediaCommand, _now: Instant) {}

    /// Takes what arrived from the network. Whatever it is, it causes no panic.
    pub fn handle_datagram(&mut self, _datagram: Datagram<'_>, _now: Instant) {}

    /// The TCP connection from `remote` is gone.
    pub fn handle_tcp_closed(&mut self, _remote: SocketAddr, _now: Instant) {}

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// When [`Sfu::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        None
    }

    /// The next report to the rules.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        None
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> SfuStats {
        self.stats
    }
}
