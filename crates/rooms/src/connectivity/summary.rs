//! What is told of connections: facts to be counted, and summaries of a stay and of a call for the log. None has an address.

use std::fmt;
use std::time::Duration;

use parlor_proto::SessionId;
use parlor_proto::connection::{CandidateType, Candidates, ConnectionReport, NetworkType, RelayProtocol};
use parlor_proto::event::CallTopology;
use parlor_proto::transport::{Direction, Protocol, TransportFailure};
use strum::{IntoStaticStr, VariantArray};

/// Between whom a connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Way {
    /// From the client to the SFU.
    Send,
    /// From the SFU to the client.
    Recv,
    /// To another client.
    Peer,
}

/// What became of a connection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    /// ICE and DTLS worked.
    Connected,
    /// It did not come about, though there was time.
    Failed,
    /// It ended before it could be known: the client left, or closed it.
    Abandoned,
}

/// How far a connection came; each includes those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "lowercase")]
pub enum Reached {
    /// Candidates were gathered at the most: nobody knows of a check.
    Gathered,
    /// The client sent checks, and none was answered.
    Checked,
    /// ICE worked, DTLS did not.
    Answered,
    /// DTLS worked too.
    Connected,
}

/// By what a connection goes, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Route {
    /// The client's own candidate, by its account.
    pub local: Option<CandidateType>,
    /// That of the other side, by the client's account.
    pub remote: Option<CandidateType>,
    /// What carries the packets; of a connection to the server as the server sees it.
    pub protocol: Option<Protocol>,
    /// How the client reaches its relay, by its account.
    pub relay: Option<RelayProtocol>,
}

/// Something to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionFact {
    /// It is known what became of a connection. Each is counted once.
    Settled {
        /// The topology of the call.
        topology: CallTopology,
        /// The network of the client.
        network: NetworkType,
        /// What became of it.
        verdict: Verdict,
        /// How far it came.
        reached: Reached,
        /// By what it goes, if it is connected.
        route: Option<Route>,
    },
    /// A connection that was there is lost.
    Lost {
        /// The topology of the call.
        topology: CallTopology,
        /// The network of the client.
        network: NetworkType,
    },
}

/// How many connections there were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those that worked.
    pub connected: u32,
    /// Those that did not come about.
    pub failed: u32,
    /// Those that ended before it could be known.
    pub abandoned: u32,
    /// Those that worked and were lost.
    pub lost: u32,
    /// Those that worked, by candidates that the client told.
    pub routed: u32,
    /// Those of them that went by a relay.
    pub relayed: u32,
}

/// One connection of a stay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionSummary {
    /// Between whom.
    pub way: Way,
    /// What became of it.
    pub verdict: Verdict,
    /// How far it came.
    pub reached: Reached,
    /// By what it went.
    pub route: Route,
    /// How long it took until it was there.
    pub took: Option<Duration>,
    /// A check came to the server.
    pub heard: bool,
    /// Why the server gave it up, if it did.
    pub failure: Option<TransportFailure>,
    /// What the client told of it.
    pub report: Option<ConnectionReport>,
    /// It was there, and was lost.
    pub lost: bool,
}

/// One stay of somebody in a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StaySummary {
    /// The session that joined.
    pub session: SessionId,
    /// The topology of the call.
    pub topology: CallTopology,
    /// The dialect of the session that joined.
    pub dialect: &'static str,
    /// Why it ended, as the host application is told.
    pub reason: &'static str,
    /// How long it was.
    pub lasted: Duration,
    /// The network of the client, by its account.
    pub network: NetworkType,
    /// The candidates that the client gathered, by its account: for each type the most of any connection.
    pub candidates: Candidates,
    /// Its first connections that ended.
    pub connections: Vec<ConnectionSummary>,
    /// How many more there were.
    pub more_connections: u32,
    /// How often the client asked for new ICE credentials.
    pub ice_restarts: u32,
    /// Its connections, counted.
    pub tally: Tally,
}

/// One call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallSummary {
    /// The topology of the call.
    pub topology: CallTopology,
    /// From the first that came until the last that left.
    pub lasted: Duration,
    /// How often somebody came.
    pub stays: u64,
    /// The connections of all.
    pub tally: Tally,
}

impl From<Direction> for Way {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Send => Self::Send,
            Direction::Recv => Self::Recv,
        }
    }
}

impl Route {
    /// Whether it goes by a relay; nothing if the client has not told.
    #[must_use]
    pub fn is_relayed(&self) -> Option<bool> {
        let (local, remote) = (self.local?, self.remote?);
        Some([local, remote].contains(&CandidateType::Relay))
    }
}

impl Tally {
    /// Counts something.
    pub fn add(&mut self, fact: &ConnectionFact) {
        let place = match fact {
            ConnectionFact::Lost { .. } => &mut self.lost,
            ConnectionFact::Settled { verdict: Verdict::Connected, .. } => &mut self.connected,
            ConnectionFact::Settled { verdict: Verdict::Failed, .. } => &mut self.failed,
            ConnectionFact::Settled { verdict: Verdict::Abandoned, .. } => &mut self.abandoned,
        };
        *place = place.saturating_add(1);
        if let ConnectionFact::Settled { route: Some(route), .. } = fact
            && let Some(relayed) = route.is_relayed()
        {
            self.routed = self.routed.saturating_add(1);
            self.relayed = self.relayed.saturating_add(relayed.into());
        }
    }

    /// How many of a hundred connections went by a relay, of those of which it is known.
    #[must_use]
    pub fn relayed_percent(&self) -> Option<u32> {
        (u64::from(self.relayed) * 100).checked_div(self.routed.into()).and_then(|percent| u32::try_from(percent).ok())
    }
}

/// As the log has it: `relay/tls to host by udp`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.local.map_or("unknown", Into::into))?;
        if let Some(relay) = self.relay {
            write!(f, "/{}", <&str>::from(relay))?;
        }
        write!(f, " to {} by {}", self.remote.map_or("unknown", Into::into), self.protocol.map_or("unknown", Into::into))
    }
}

/// As the log has it: `send connected host to host by udp in 85 ms`, or `recv failed, checked; client: ICE failed, DTLS new; server: no check`.
impl fmt::Display for ConnectionSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", <&str>::from(self.way), <&str>::from(self.verdict))?;
        if self.verdict == Verdict::Connected {
            write!(f, " {}", self.route)?;
            if let Some(took) = self.took {
                write!(f, " in {} ms", took.as_millis())?;
            }
        } else {
            write!(f, ", {}", <&str>::from(self.reached))?;
            if let Some(report) = &self.report {
                let (ice, dtls) = (report.ice.map_or("unknown", Into::into), report.dtls.map_or("unknown", Into::into));
                write!(f, "; client: ICE {ice}, DTLS {dtls}, checks {}", <&str>::from(report.checks))?;
            }
            if self.way != Way::Peer {
                write!(f, "; server: {}", if self.heard { "checks came" } else { "no check came" })?;
            }
        }
        if self.lost {
            f.write_str(", lost")?;
        }
        // Whoever leaves ends DTLS: that says nothing of a connection that worked.
        let told = |failure: &TransportFailure| self.verdict != Verdict::Connected || *failure != TransportFailure::Closed;
        self.failure.filter(told).map_or(Ok(()), |failure| write!(f, " ({})", failure.name()))
    }
}
