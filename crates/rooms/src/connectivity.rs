//! How the media connections of a call come about, for the log and the counters of the operator, and for nothing else: what the media plane
//! sees, and what the clients tell. Each connection is counted once, when it is there or when it ends.

mod attempt;
mod summary;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use parlor_proto::connection::{Candidates, ConnectionReport, NetworkType};
use parlor_proto::event::CallTopology;
use parlor_proto::transport::{Direction, Protocol, TransportFailure, TransportState};
use parlor_proto::{Error, PeerId, SessionId, TransportId};

use crate::pace::Pace;
use attempt::Attempt;
pub use summary::{CallSummary, ConnectionFact, ConnectionSummary, Reached, Route, StaySummary, Tally, Verdict, Way};

/// What one report costs: a client tells each connection once, and each failure.
const REPORT: Duration = Duration::from_secs(2);
/// What may be spent at once: a report of each connection in a mesh call of 25, and some failures.
const REPORTS_AT_ONCE: Duration = Duration::from_secs(60);
/// The most connections of a stay that are told one by one; of the others the log has the number. A stay has two, and a mesh call of
/// eight people seven.
const MAX_TOLD: usize = 8;

/// Which connection of a stay it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum ConnectionKey {
    /// To the SFU.
    Transport(TransportId),
    /// To another participant.
    Peer(PeerId),
}

/// The connections of one stay.
#[derive(Debug)]
pub(crate) struct Connectivity {
    began: Instant,
    topology: CallTopology,
    dialect: &'static str,
    /// Those that have not ended.
    open: BTreeMap<ConnectionKey, Attempt>,
    /// The first of those that have.
    told: Vec<ConnectionSummary>,
    untold: u32,
    tally: Tally,
    ice_restarts: u32,
    network: NetworkType,
    candidates: Candidates,
    reports: Pace,
    facts: VecDeque<ConnectionFact>,
}

impl Connectivity {
    /// Somebody came.
    pub(crate) fn new(topology: CallTopology, dialect: &'static str, now: Instant) -> Self {
        Self {
            began: now,
            topology,
            dialect,
            open: BTreeMap::new(),
            told: Vec::new(),
            untold: 0,
            tally: Tally::default(),
            ice_restarts: 0,
            network: NetworkType::Unknown,
            candidates: Candidates::default(),
            reports: Pace::new(now),
            facts: VecDeque::new(),
        }
    }

    /// The client has all it needs to connect a transport, and the server too.
    pub(crate) fn asked(&mut self, transport: TransportId, direction: Direction, now: Instant) {
        self.open.insert(ConnectionKey::Transport(transport), Attempt::new(direction.into(), now));
    }

    /// The media plane reports of a transport.
    pub(crate) fn moved(
        &mut self,
        transport: TransportId,
        state: TransportState,
        protocol: Option<Protocol>,
        reason: Option<TransportFailure>,
        now: Instant,
    ) {
        if let Some(attempt) = self.open.get_mut(&ConnectionKey::Transport(transport)) {
            attempt.moved(state, protocol, reason, now);
            self.look_at(ConnectionKey::Transport(transport), now);
        }
    }

    /// The client wants new credentials for a transport.
    pub(crate) const fn restarted(&mut self) {
        self.ice_restarts = self.ice_restarts.saturating_add(1);
    }

    /// The client tells of a connection.
    pub(crate) fn reported(&mut self, key: ConnectionKey, report: ConnectionReport, now: Instant) -> Result<(), Error> {
        self.reports.take(REPORT, REPORTS_AT_ONCE, now)?;
        self.network = report.network;
        self.candidates = self.candidates.or_more(report.candidates);
        let attempt = match key {
            // One that was never to be connected has nothing to tell.
            ConnectionKey::Transport(_) => self.open.get_mut(&key),
            ConnectionKey::Peer(_) => Some(self.open.entry(key).or_insert_with(|| Attempt::new(Way::Peer, now))),
        };
        if let Some(attempt) = attempt {
            attempt.reported(report, now);
            self.look_at(key, now);
        }
        Ok(())
    }

    /// A connection has ended, or the other side of it has left.
    pub(crate) fn ended(&mut self, key: ConnectionKey, now: Instant) {
        let Some(mut attempt) = self.open.remove(&key) else { return };
        let fact = attempt.end(now);
        self.count(fact, &attempt);
        let Some(summary) = attempt.summary() else { return };
        if self.told.len() < MAX_TOLD {
            self.told.push(summary);
        } else {
            self.untold = self.untold.saturating_add(1);
        }
    }

    /// When [`Connectivity::handle_timeout`] is to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.open.values().filter_map(Attempt::deadline).min()
    }

    /// Whose client has not told of a connection in time is counted without.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let due = |(key, attempt): (&ConnectionKey, &Attempt)| attempt.deadline().is_some_and(|at| at <= now).then_some(*key);
        let due: Vec<_> = self.open.iter().filter_map(due).collect();
        for key in due {
            self.look_at(key, now);
        }
    }

    /// What is to be counted.
    pub(crate) fn poll_fact(&mut self) -> Option<ConnectionFact> {
        self.facts.pop_front()
    }

    /// The stay is over, and so are its connections.
    pub(crate) fn finish(&mut self, session: SessionId, reason: &'static str, now: Instant) -> StaySummary {
        while let Some(key) = self.open.keys().next().copied() {
            self.ended(key, now);
        }
        StaySummary {
            session,
            topology: self.topology,
            dialect: self.dialect,
            reason,
            lasted: now.saturating_duration_since(self.began),
            network: self.network,
            candidates: self.candidates,
            connections: std::mem::take(&mut self.told),
            more_connections: self.untold,
            ice_restarts: self.ice_restarts,
            tally: self.tally,
        }
    }

    fn look_at(&mut self, key: ConnectionKey, now: Instant) {
        let Some(mut attempt) = self.open.remove(&key) else { return };
        let facts = [attempt.settle(now), attempt.lose()];
        for fact in facts {
            self.count(fact, &attempt);
        }
        self.open.insert(key, attempt);
    }

    fn count(&mut self, fact: Option<attempt::Fact>, attempt: &Attempt) {
        let (topology, network) = (self.topology, self.network);
        let fact = match fact {
            Some(attempt::Fact::Settled(verdict)) => {
                let route = (verdict == Verdict::Connected).then(|| attempt.route());
                ConnectionFact::Settled { topology, network, verdict, reached: attempt.reached(), route }
            }
            Some(attempt::Fact::Lost) => ConnectionFact::Lost { topology, network },
            None => return,
        };
        self.tally.add(&fact);
        self.facts.push_back(fact);
    }
}
