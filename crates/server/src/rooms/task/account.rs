//! One line of the log for each stay in a call, and one for each call: how its media connections came about. No line has an address.

use std::time::Duration;

use parlor_rooms::connectivity::{CallSummary, ConnectionSummary, StaySummary};

/// Tells of a stay that has ended.
pub fn log_stay(stay: &StaySummary) {
    let (topology, network): (&'static str, &'static str) = (stay.topology.into(), stay.network.into());
    tracing::info!(
        session = ?stay.session,
        topology,
        dialect = stay.dialect,
        reason = stay.reason,
        seconds = seconds(stay.lasted),
        network,
        candidates = %stay.candidates,
        connections = connections(&stay.connections, stay.more_connections),
        connected = stay.tally.connected,
        failed = stay.tally.failed,
        lost = stay.tally.lost,
        ice_restarts = stay.ice_restarts,
        "a stay has ended"
    );
}

/// Tells of a call that has ended.
pub fn log_call(call: &CallSummary) {
    let topology: &'static str = call.topology.into();
    tracing::info!(
        topology,
        seconds = seconds(call.lasted),
        stays = call.stays,
        connected = call.tally.connected,
        failed = call.tally.failed,
        abandoned = call.tally.abandoned,
        lost = call.tally.lost,
        relayed_percent = call.tally.relayed_percent(),
        "a call has ended"
    );
}

/// Tenths are enough.
fn seconds(lasted: Duration) -> f64 {
    (lasted.as_secs_f64() * 10.0).round() / 10.0
}

fn connections(told: &[ConnectionSummary], more: u32) -> String {
    let mut parts: Vec<String> = told.iter().map(ToString::to_string).collect();
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join(" | ") }
}
