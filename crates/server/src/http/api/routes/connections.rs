//! What the server counts of media connections: whether they come about, by what, and how far those came that did not.

use axum::Json;
use axum::extract::State;
use parlor_rooms::connectivity::{Reached, Route, Verdict};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::counters::{Counts, Labels};
use crate::http::api::document::schema;
use crate::http::api::extract::when::When;
use crate::http::api::state::Api;

/// Routes for operators.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(connections))
}

/// What was counted of media connections since this process started. Every count only grows until it ends.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCounters {
    /// The region of this server (`node.region`).
    region: String,
    /// Since when it counts.
    since: When,
    /// Calls that have ended.
    calls: u64,
    /// Stays in calls that have ended.
    stays: u64,
    /// What became of each connection: two of a participant of a call by the SFU, one to each other participant of a mesh call.
    outcomes: Vec<OutcomeCount>,
    /// By what those that were connected go.
    routes: Vec<RouteCount>,
    /// Those that were connected and fell silent.
    lost: Vec<LostCount>,
}

/// How many connections came to this end.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCount {
    #[schema(value_type = schema::CallWay)]
    topology: &'static str,
    #[schema(value_type = schema::NetworkKind)]
    network: &'static str,
    #[schema(value_type = schema::ConnectionEnd)]
    outcome: &'static str,
    #[schema(value_type = schema::ConnectionStage)]
    reached: &'static str,
    count: u64,
}

/// How many connections go this way.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteCount {
    #[schema(value_type = schema::CallWay)]
    topology: &'static str,
    #[schema(value_type = schema::NetworkKind)]
    network: &'static str,
    /// The client's own candidate.
    #[schema(value_type = schema::CandidateKind)]
    local: &'static str,
    /// The candidate of the other side.
    #[schema(value_type = schema::CandidateKind)]
    remote: &'static str,
    /// What carries the packets between the two.
    #[schema(value_type = schema::Carrier)]
    protocol: &'static str,
    /// How the client reaches its relay, if `local` is one.
    #[schema(value_type = Option<schema::RelayCarrier>, required = true)]
    relay_protocol: Option<&'static str>,
    count: u64,
}

/// How many connections were lost.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LostCount {
    #[schema(value_type = schema::CallWay)]
    topology: &'static str,
    #[schema(value_type = schema::NetworkKind)]
    network: &'static str,
    count: u64,
}

/// Reads what was counted of media connections
///
/// Labels come from closed lists, so there are at most a few hundred rows. The network and the candidates are by the account of
/// the clients; what became of a connection to the SFU is by the server's own.
#[utoipa::path(get, path = "/api/connections", tag = "calls",
    responses((status = 200, description = "The counts of this process", body = ConnectionCounters)))]
async fn connections(State(api): State<Api>) -> Json<ConnectionCounters> {
    let counters = api.registry().counters();
    let Counts { outcomes, routes, lost, calls, stays } = counters.read();
    let outcome = |((labels, (verdict, reached)), count): ((Labels, (Verdict, Reached)), u64)| OutcomeCount {
        topology: labels.0.into(),
        network: labels.1.into(),
        outcome: verdict.into(),
        reached: reached.into(),
        count,
    };
    Json(ConnectionCounters {
        region: counters.region().to_owned(),
        since: When(counters.since()),
        calls,
        stays,
        outcomes: outcomes.into_iter().map(outcome).collect(),
        routes: routes.into_iter().map(|((labels, route), count)| route_count(labels, &route, count)).collect(),
        lost: lost
            .into_iter()
            .map(|(((topology, network), ()), count)| LostCount { topology: topology.into(), network: network.into(), count })
            .collect(),
    })
}

fn route_count((topology, network): Labels, route: &Route, count: u64) -> RouteCount {
    const UNKNOWN: &str = "unknown";
    RouteCount {
        topology: topology.into(),
        network: network.into(),
        local: route.local.map_or(UNKNOWN, Into::into),
        remote: route.remote.map_or(UNKNOWN, Into::into),
        protocol: route.protocol.map_or(UNKNOWN, Into::into),
        relay_protocol: route.relay.map(Into::into),
        count,
    }
}
