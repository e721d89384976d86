//! Reading of what a client tells of a connection.

use serde_json::Value;

use super::payload::ReportConnection;
use super::read::read;
use super::transport;
use crate::connection::ConnectionReport;
use crate::error::Error;
use crate::limits::MAX_CONNECT_MS;
use crate::mesh::Target;
use crate::request::{Connection, Request};

/// Reads `voice:rtc:reportConnection`: of one transport, or of the connection to one participant of a mesh call.
pub(super) fn decode(payload: &Value) -> Result<Request, Error> {
    let wanted: ReportConnection = read(payload)?;
    let of = match (wanted.transport_id, wanted.user_id) {
        (Some(id), _) => Connection::Transport(transport(&id)?),
        (None, Some(user)) => Connection::Peer(Target::User(user)),
        (None, None) => return Err(Error::invalid("transportId", "is missing, and userId too: one of them says which connection it is")),
    };
    if wanted.connect_ms.is_some_and(|ms| ms > MAX_CONNECT_MS) {
        return Err(Error::invalid("connectMs", format!("must be at most {MAX_CONNECT_MS}")));
    }
    let report = ConnectionReport {
        outcome: wanted.outcome,
        candidates: wanted.candidates,
        checks: wanted.checks,
        ice: wanted.ice_state,
        dtls: wanted.dtls_state,
        pair: wanted.pair,
        connect_ms: wanted.connect_ms,
        network: wanted.network,
    };
    Ok(Request::ReportConnection { of, report: Box::new(report) })
}
