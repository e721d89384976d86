//! What the server counts of media connections since it started, with labels of closed lists: so many rows there can be and no more,
//! whatever clients tell.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use parlor_proto::Timestamp;
use parlor_proto::connection::NetworkType;
use parlor_proto::event::CallTopology;
use parlor_rooms::connectivity::{ConnectionFact, Reached, Route, Verdict};

/// The labels that every row has: the topology of the call, and the network of the client by its account. The region is that of the process.
pub type Labels = (CallTopology, NetworkType);

/// The counts of one kind.
pub type Rows<K> = BTreeMap<(Labels, K), u64>;

/// What was counted so far. The numbers only grow.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// What became of each connection, and how far it came.
    pub outcomes: Rows<(Verdict, Reached)>,
    /// By what those that worked go.
    pub routes: Rows<Route>,
    /// Those that worked and were lost.
    pub lost: Rows<()>,
    /// Calls that have ended.
    pub calls: u64,
    /// Stays in calls that have ended.
    pub stays: u64,
}

/// The counters of the process.
#[derive(Debug)]
pub struct Counters {
    region: String,
    since: Timestamp,
    counts: Mutex<Counts>,
}

impl Counters {
    /// Nothing is counted.
    pub fn new(region: &str, since: Timestamp) -> Self {
        Self { region: region.to_owned(), since, counts: Mutex::default() }
    }

    /// The region of this process.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Since when it counts.
    pub const fn since(&self) -> Timestamp {
        self.since
    }

    /// What was counted so far.
    pub fn read(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what became of a connection.
    pub fn connection(&self, fact: &ConnectionFact) {
        self.count(|counts| match *fact {
            ConnectionFact::Settled { topology, network, verdict, reached, route } => {
                add(&mut counts.outcomes, ((topology, network), (verdict, reached)));
                if let Some(route) = route {
                    add(&mut counts.routes, ((topology, network), route));
                }
            }
            ConnectionFact::Lost { topology, network } => add(&mut counts.lost, ((topology, network), ())),
        });
    }

    /// Counts a stay that has ended.
    pub fn stay(&self) {
        self.count(|counts| counts.stays = counts.stays.saturating_add(1));
    }

    /// Counts a call that has ended.
    pub fn call(&self) {
        self.count(|counts| counts.calls = counts.calls.saturating_add(1));
    }

    fn count(&self, count: impl FnOnce(&mut Counts)) {
        count(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn add<K: Ord>(rows: &mut Rows<K>, row: (Labels, K)) {
    let count = rows.entry(row).or_default();
    *count = count.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use parlor_proto::connection::CandidateType;
    use parlor_proto::transport::Protocol;

    use super::*;

    #[test]
    fn each_outcome_and_each_route_is_counted_by_topology_and_network() {
        let counters = Counters::new("eu", Timestamp(0));
        let route = Route { local: Some(CandidateType::Host), protocol: Some(Protocol::Udp), ..Route::default() };
        let (topology, network) = (CallTopology::Sfu, NetworkType::Wifi);
        let settled = |verdict, reached, route| ConnectionFact::Settled { topology, network, verdict, reached, route };
        for _ in 0..2 {
            counters.connection(&settled(Verdict::Connected, Reached::Connected, Some(route)));
        }
        counters.connection(&settled(Verdict::Failed, Reached::Checked, None));
        counters.connection(&ConnectionFact::Lost { topology, network });
        let counts = counters.read();
        let labels = (topology, network);
        assert_eq!(counts.outcomes[&(labels, (Verdict::Connected, Reached::Connected))], 2);
        assert_eq!(counts.outcomes[&(labels, (Verdict::Failed, Reached::Checked))], 1);
        assert_eq!(counts.routes, BTreeMap::from([((labels, route), 2)]));
        assert_eq!(counts.lost, BTreeMap::from([((labels, ()), 1)]));
    }
}
