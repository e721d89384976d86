//! One connection: from what both sides say to what became of it.

use std::time::{Duration, Instant};

use parlor_proto::connection::{CandidateType, Checks, ConnectionOutcome, ConnectionReport, DtlsState, IceState};
use parlor_proto::transport::{Protocol, TransportFailure, TransportState};

use super::summary::{ConnectionSummary, Reached, Route, Verdict, Way};

/// For how long a connection is tried before its end counts as a failure: browsers connect within two seconds, over TURN and TLS too, and
/// who goes earlier has changed their mind.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the client may take to tell of a connection that is there. Then it is counted without: other clients tell nothing.
const REPORT_WAIT: Duration = Duration::from_secs(5);

/// What is to be counted of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fact {
    /// It is known what became of it.
    Settled(Verdict),
    /// It was there, and is lost.
    Lost,
}

/// One connection that a client makes.
#[derive(Debug)]
pub(super) struct Attempt {
    way: Way,
    began: Instant,
    /// Since when it is there; between two clients by the account of the one whose it is.
    connected: Option<Instant>,
    /// A check came to the server.
    heard: bool,
    protocol: Option<Protocol>,
    failure: Option<TransportFailure>,
    /// What the client told last.
    report: Option<ConnectionReport>,
    verdict: Option<Verdict>,
    /// It is lost, and that is counted.
    lost: bool,
    /// It failed after it was there, and that is not counted.
    newly_lost: bool,
}

impl Attempt {
    pub(super) const fn new(way: Way, now: Instant) -> Self {
        Self {
            way,
            began: now,
            connected: None,
            heard: false,
            protocol: None,
            failure: None,
            report: None,
            verdict: None,
            lost: false,
            newly_lost: false,
        }
    }

    /// The media plane reports.
    pub(super) fn moved(&mut self, state: TransportState, protocol: Option<Protocol>, reason: Option<TransportFailure>, now: Instant) {
        self.protocol = protocol.or(self.protocol);
        match state {
            TransportState::New => {}
            TransportState::Connecting | TransportState::Disconnected => self.heard = true,
            TransportState::Connected => {
                self.heard = true;
                self.connected.get_or_insert(now);
            }
            TransportState::Failed => {
                self.failure = reason;
                // A client that ends DTLS wants it so.
                self.newly_lost |= self.connected.is_some() && reason != Some(TransportFailure::Closed);
            }
        }
    }

    /// The client tells of it. Of a connection to the server it is the server that knows whether it is there.
    pub(super) fn reported(&mut self, report: ConnectionReport, now: Instant) {
        match (self.way, report.outcome) {
            (Way::Peer, ConnectionOutcome::Connected) => drop(self.connected.get_or_insert(now)),
            (Way::Peer, ConnectionOutcome::Failed) => self.newly_lost |= self.connected.is_some(),
            (Way::Peer, ConnectionOutcome::Closed) | (Way::Send | Way::Recv, _) => {}
        }
        // How a connection came about is not forgotten for how it is lost.
        let tells_less = report.outcome != ConnectionOutcome::Connected && self.tells_of_connection();
        if !tells_less {
            self.report = Some(report);
        }
    }

    /// Until when the client is waited for.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.connected.filter(|_| self.verdict.is_none()).map(|at| at + REPORT_WAIT)
    }

    /// What is to be counted now, if it is known: that it is there.
    pub(super) fn settle(&mut self, now: Instant) -> Option<Fact> {
        let waits = self.deadline().is_some_and(|until| now < until) && !self.tells_of_connection();
        (self.connected.is_some() && !waits).then(|| self.decide(Verdict::Connected)).flatten()
    }

    /// What is to be counted of its loss.
    pub(super) const fn lose(&mut self) -> Option<Fact> {
        let lost = std::mem::replace(&mut self.newly_lost, false) && !self.lost;
        self.lost |= lost;
        if lost { Some(Fact::Lost) } else { None }
    }

    /// It is over: what is to be counted, unless that was before.
    pub(super) fn end(&mut self, now: Instant) -> Option<Fact> {
        let refused = self.failure.is_some_and(|reason| reason != TransportFailure::Closed);
        let told = self.report.is_some_and(|report| report.outcome == ConnectionOutcome::Failed);
        let tried = self.report.and_then(|report| report.connect_ms).map(|ms| Duration::from_millis(ms.into()));
        let tried = now.saturating_duration_since(self.began).max(tried.unwrap_or_default());
        self.decide(match self.connected {
            Some(_) => Verdict::Connected,
            None if refused || told || tried >= PATIENCE => Verdict::Failed,
            None => Verdict::Abandoned,
        })
    }

    /// How far it came.
    pub(super) fn reached(&self) -> Reached {
        let client = self.report.map_or(Reached::Gathered, |report| reached(&report));
        match (self.way, self.connected) {
            (_, Some(_)) => Reached::Connected,
            (Way::Peer, None) => client,
            // The server would know of the rest.
            (Way::Send | Way::Recv, None) => {
                client.min(Reached::Answered).max(if self.heard { Reached::Answered } else { Reached::Gathered })
            }
        }
    }

    /// By which candidates and protocol it goes.
    pub(super) fn route(&self) -> Route {
        let pair = self.report.and_then(|report| report.pair);
        // Whatever a client tells: the server has no other candidates, and only a relay is reached by something.
        let remote = |told| if self.way == Way::Peer { told } else { CandidateType::Host };
        Route {
            local: pair.map(|pair| pair.local),
            remote: pair.map(|pair| remote(pair.remote)),
            protocol: self.protocol.or(pair.map(|pair| pair.protocol)),
            relay: pair.filter(|pair| pair.local == CandidateType::Relay).and_then(|pair| pair.relay_protocol),
        }
    }

    /// What the log tells of it, once it is settled.
    pub(super) fn summary(&self) -> Option<ConnectionSummary> {
        let verdict = self.verdict?;
        let by_server = self.connected.map(|at| at.saturating_duration_since(self.began));
        let by_client = self.report.filter(|_| self.tells_of_connection()).and_then(|report| report.connect_ms);
        let by_client = by_client.map(|ms| Duration::from_millis(ms.into()));
        Some(ConnectionSummary {
            way: self.way,
            verdict,
            reached: self.reached(),
            route: self.route(),
            took: if self.way == Way::Peer { by_client } else { by_client.or(by_server) },
            heard: self.heard,
            failure: self.failure,
            report: self.report,
            lost: self.lost,
        })
    }

    fn tells_of_connection(&self) -> bool {
        self.report.is_some_and(|report| report.outcome == ConnectionOutcome::Connected)
    }

    fn decide(&mut self, verdict: Verdict) -> Option<Fact> {
        if self.verdict.is_some() {
            return None;
        }
        self.verdict = Some(verdict);
        Some(Fact::Settled(verdict))
    }
}

/// How far a connection came, by its client's account.
fn reached(report: &ConnectionReport) -> Reached {
    let ice = matches!(report.ice, Some(IceState::Connected | IceState::Completed | IceState::Disconnected));
    match report {
        ConnectionReport { outcome: ConnectionOutcome::Connected, .. } | ConnectionReport { dtls: Some(DtlsState::Connected), .. } => {
            Reached::Connected
        }
        ConnectionReport { checks: Checks::Answered, .. } => Reached::Answered,
        _ if ice => Reached::Answered,
        ConnectionReport { checks: Checks::Sent, .. } => Reached::Checked,
        ConnectionReport { checks: Checks::None, .. } => Reached::Gathered,
    }
}
