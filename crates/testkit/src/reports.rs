//! What clients tell of their connections, and whether a room counts each of them once.

use parlor_proto::ConnectionReport;
use parlor_proto::connection::{
    ByProtocol, CandidateType, Candidates, Checks, ChosenPair, ConnectionOutcome, DtlsState, IceState, NetworkType,
};
use parlor_proto::transport::Protocol;
use parlor_rooms::Output;
use parlor_rooms::connectivity::Tally;

/// A connection by UDP between two host candidates.
#[must_use]
pub const fn connected() -> ConnectionReport {
    ConnectionReport {
        outcome: ConnectionOutcome::Connected,
        candidates: candidates(),
        checks: Checks::Answered,
        ice: Some(IceState::Connected),
        dtls: Some(DtlsState::Connected),
        pair: Some(ChosenPair { local: CandidateType::Host, remote: CandidateType::Host, protocol: Protocol::Udp, relay_protocol: None }),
        connect_ms: Some(85),
        network: NetworkType::Wifi,
    }
}

/// A connection whose checks nobody answered.
#[must_use]
pub const fn unanswered() -> ConnectionReport {
    ConnectionReport {
        outcome: ConnectionOutcome::Failed,
        candidates: candidates(),
        checks: Checks::Sent,
        ice: Some(IceState::Failed),
        dtls: Some(DtlsState::New),
        pair: None,
        connect_ms: None,
        network: NetworkType::Cellular,
    }
}

const fn candidates() -> Candidates {
    let none = ByProtocol { udp: 0, tcp: 0, tls: 0 };
    Candidates { host: ByProtocol { udp: 2, tcp: 1, tls: 0 }, srflx: none, relay: none }
}

/// What a room had counted, beside what it says of its stays and of the call.
#[derive(Debug, Default)]
pub(crate) struct Account {
    counted: Tally,
    of_stays: Tally,
    stays: u64,
}

impl Account {
    /// Takes in what a room said; the error says what does not fit together.
    pub(crate) fn note(&mut self, output: &Output) -> Result<(), String> {
        match output {
            Output::Connection(fact) => self.counted.add(fact),
            Output::StayEnded(stay) => {
                self.stays += 1;
                let Tally { connected, failed, abandoned, lost, routed, relayed } = stay.tally;
                let sum = &mut self.of_stays;
                sum.connected += connected;
                sum.failed += failed;
                sum.abandoned += abandoned;
                sum.lost += lost;
                sum.routed += routed;
                sum.relayed += relayed;
            }
            Output::CallEnded(call) if (call.stays, call.tally) != (self.stays, self.counted) || self.counted != self.of_stays => {
                return Err(format!("the account of a call is wrong: {call:?} {self:?}"));
            }
            _ => {}
        }
        Ok(())
    }
}
