//! What the server does with a message: from its bytes to the answer or the relayed packet.

mod allocate;
mod peers;
mod refresh;
mod relay;
mod requests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::credentials::Authenticate;
use crate::limits::{Limits, MAX_MESSAGE, SWEEP};
use crate::nonce::Nonces;
use crate::outbox::{Batch, Outbox, Socket};
use crate::policy::PeerPolicy;
use crate::table::{Allocation, ClientPath, Listener, Protocol, RelayId, Table};
use crate::wire;

/// What a server is made with.
pub struct Config {
    /// The addresses at which clients reach it. Their places in the list are their numbers.
    pub listeners: Vec<Listener>,
    /// The addresses that relayed addresses have, as clients are told them: one of a family.
    pub relays: Vec<IpAddr>,
    /// The ports that relayed addresses have.
    pub ports: RangeInclusive<u16>,
    /// How much of everything.
    pub limits: Limits,
    /// Who may be relayed to.
    pub policy: PeerPolicy,
    /// Who may ask.
    pub authenticate: Arc<dyn Authenticate>,
    /// Random bytes: the key of nonces, and the choice of ports.
    pub seed: [u8; 32],
    /// The time of day, since 1970.
    pub wall_clock: Duration,
}

/// What is to be done outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A socket is to be opened for this relayed address; [`Turn::handle_relay`] takes the result.
    OpenRelay {
        /// Its name.
        relay: RelayId,
        /// The address as clients are told it.
        relayed: SocketAddr,
    },
    /// The socket is of no use any more, and what waits in it neither.
    CloseRelay {
        /// Its name.
        relay: RelayId,
    },
    /// The connection of a client on a stream is to be closed.
    CloseClient {
        /// Which it is.
        path: ClientPath,
    },
    /// An allocation ended, for the log.
    Ended {
        /// Whose it was.
        user: Arc<str>,
        /// Why.
        why: Ended,
    },
}

/// Why an allocation ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The client said so.
    ByClient,
    /// It was not refreshed.
    Expired,
    /// Its connection was closed.
    Closed,
    /// The user was sent out of a call.
    Revoked,
    /// No socket could be opened for it.
    NoPort,
}

/// What a server has done so far, and what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Allocations there are.
    pub allocations: usize,
    /// Allocations that were made.
    pub made: u64,
    /// Packets that clients sent to peers, and their bytes.
    pub up: (u64, u64),
    /// Packets that peers sent to clients, and their bytes.
    pub down: (u64, u64),
    /// Requests that were answered with an error, those for a nonce included.
    pub refused: u64,
    /// What was dropped.
    pub drops: Drops,
}

/// Messages and packets that were dropped, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drops {
    /// Messages that make no sense, with a wrong fingerprint or of an unknown kind.
    pub malformed: u64,
    /// Requests of strangers that are too short for any answer.
    pub too_short: u64,
    /// Packets of clients without an allocation, or for a channel that is not bound.
    pub unknown: u64,
    /// Packets to or from peers without permission.
    pub not_permitted: u64,
    /// Packets to or from peers that are never allowed.
    pub denied: u64,
    /// Packets beyond the bandwidth of an allocation.
    pub over_bandwidth: u64,
}

/// A STUN and TURN server.
pub struct Turn {
    listeners: Vec<Listener>,
    relays: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    limits: Limits,
    policy: PeerPolicy,
    authenticate: Arc<dyn Authenticate>,
    nonces: Nonces,
    random: StdRng,
    started: Instant,
    wall_clock: (Instant, Duration),
    table: Table,
    outbox: Outbox,
    events: VecDeque<Event>,
    swept: Instant,
    stats: Stats,
}

impl Turn {
    /// Makes a server without allocations.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let Config { listeners, relays, ports, limits, policy, authenticate, seed, wall_clock } = config;
        let mut random = StdRng::from_seed(seed);
        let nonces = Nonces::new(&random.random(), now);
        Self {
            listeners,
            relays,
            ports,
            limits,
            policy,
            authenticate,
            nonces,
            random,
            started: now,
            wall_clock: (now, wall_clock),
            table: Table::default(),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            swept: now,
            stats: Stats::default(),
        }
    }

    /// Takes a datagram of a client, or a message of a stream.
    pub fn handle_client(&mut self, path: ClientPath, bytes: &[u8], now: Instant) {
        match bytes.first() {
            Some(0x40..=0x7f) => self.relay_channel_data(&path, bytes, now),
            Some(0..=3) if wire::is_send(bytes) => self.relay_send(&path, bytes, now),
            Some(0..=3) if bytes.len() <= MAX_MESSAGE => self.handle_message(path, bytes, now),
            _ => self.stats.drops.malformed += 1,
        }
    }

    /// Takes a datagram that came to a relayed address.
    pub fn handle_peer(&mut self, relay: RelayId, from: SocketAddr, bytes: &[u8], now: Instant) {
        match self.table.of_relay(relay) {
            Some(index) => self.deliver(index, from, bytes, now),
            None => self.stats.drops.unknown += 1,
        }
    }

    /// Takes whether the socket of [`Event::OpenRelay`] was opened.
    pub fn handle_relay(&mut self, relay: RelayId, opened: bool, now: Instant) {
        self.finish_allocation(relay, opened, now);
    }

    /// Takes the end of a client's connection: its allocation ends with it (RFC 8656, section 3.1).
    pub fn handle_closed(&mut self, path: ClientPath) {
        if let Some(index) = self.table.of_client(&path) {
            self.end(index, Ended::Closed);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if now.saturating_duration_since(self.swept) < SWEEP {
            return;
        }
        self.swept = now;
        let over: Vec<u32> = self.table.iter().filter(|(_, a)| a.waiting.is_none() && a.expires <= now).map(|(index, _)| index).collect();
        for index in over {
            self.end(index, Ended::Expired);
        }
    }

    /// When [`Turn::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        (self.table.len() > 0).then_some(self.swept + SWEEP)
    }

    /// Takes the time of day, since 1970: it may have been set.
    pub fn set_wall_clock(&mut self, wall_clock: Duration, now: Instant) {
        self.wall_clock = (now, wall_clock);
    }

    /// Ends all allocations of a user, who was sent out of a call.
    pub fn revoke(&mut self, user: &str) {
        let all: Vec<u32> = self.table.iter().filter(|(_, allocation)| &*allocation.user == user).map(|(index, _)| index).collect();
        for index in all {
            self.end(index, Ended::Revoked);
        }
    }

    /// Whether a connection from this address has an allocation, so that it is more than a stranger's.
    #[must_use]
    pub fn is_client(&self, path: &ClientPath) -> bool {
        self.table.of_client(path).is_some()
    }

    /// What is to be sent.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.outbox.batch()
    }

    /// Forgets what was sent.
    pub fn clear_batch(&mut self) {
        self.outbox.clear();
    }

    /// What is to be done next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats { allocations: self.table.len(), ..self.stats }
    }

    fn unix(&self, now: Instant) -> u64 {
        let (at, wall_clock) = self.wall_clock;
        wall_clock.saturating_add(now.saturating_duration_since(at)).as_secs()
    }

    /// Whole seconds since the server began.
    #[inline]
    fn second(&self, now: Instant) -> u32 {
        u32::try_from(now.saturating_duration_since(self.started).as_secs()).unwrap_or(u32::MAX)
    }

    /// The second in which something is over that begins now: rounded up.
    fn over(&self, now: Instant, lasts: Duration) -> u32 {
        let at = now.saturating_duration_since(self.started) + lasts + Duration::from_nanos(999_999_999);
        u32::try_from(at.as_secs()).unwrap_or(u32::MAX)
    }

    /// The allocation of a client that has its socket and has not expired.
    #[inline]
    fn allocation(&self, path: &ClientPath, now: Instant) -> Option<(u32, &Allocation)> {
        let index = self.table.of_client(path)?;
        let allocation = self.table.get(index).filter(|a| a.waiting.is_none() && a.expires > now)?;
        Some((index, allocation))
    }

    fn is_stream(&self, path: &ClientPath) -> bool {
        self.listeners.get(usize::from(path.listener)).is_some_and(|listener| listener.protocol != Protocol::Udp)
    }

    fn end(&mut self, index: u32, why: Ended) {
        let Some(allocation) = self.table.remove(index) else { return };
        self.events.push_back(Event::CloseRelay { relay: allocation.relay });
        if allocation.padded && matches!(why, Ended::Revoked | Ended::Expired) {
            self.events.push_back(Event::CloseClient { path: allocation.path });
        }
        self.events.push_back(Event::Ended { user: allocation.user, why });
    }

    /// Sends an answer to a client.
    fn answer(&mut self, path: ClientPath, bytes: &[u8]) {
        let destination = self.table.of_client(&path).unwrap_or(u32::MAX);
        self.outbox.push(Socket::Listener(path.listener), path.remote, destination, |out| out.extend_from_slice(bytes));
    }
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Turn").field("listeners", &self.listeners).field("stats", &self.stats()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
