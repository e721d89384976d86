//! Routes of the development mode: guest tokens and counters. Outside development mode they do not exist.

pub mod local;

use std::sync::atomic::Ordering;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Json, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parlor_proto::Error;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::auth::{Issued, Wish};
use crate::http::App;
use crate::media::WorkerHandle;

/// The routes of the development mode; `crash` adds the route that makes media workers panic.
pub fn routes(crash: bool) -> Router<App> {
    let router = Router::new().route("/api/dev/token", post(token)).route("/api/dev/stats", get(stats));
    if crash { router.route("/api/dev/crash", post(crash_workers)) } else { router }
}

/// The identity a guest asks for. `entitlement` and `channels` are as in a token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Guest {
    user: Option<String>,
    name: Option<String>,
    #[serde(default)]
    pro: bool,
    entitlement: Option<Value>,
    #[serde(default)]
    moderator: bool,
    channels: Option<Value>,
}

async fn token(State(app): State<App>, guest: Result<Json<Guest>, JsonRejection>) -> Response {
    let issued = match guest {
        Ok(Json(Guest { user: None, .. })) => Err(Error::invalid("user", "is missing: the id of the user")
            .say("Say who it is for: the body needs \"user\", as in {\"user\": \"alice\"}.")),
        Ok(Json(Guest { user: Some(user), name, pro, entitlement, moderator, channels })) => {
            app.authenticator.issue_for(&Wish { user, name, pro, entitlement, moderator, channels, lifetime: None })
        }
        Err(rejection) => Err(Error::invalid("", rejection.body_text()).say(
            "The body must be a JSON object with \"user\", and at most \"name\", \"pro\", \"entitlement\", \"moderator\" and \"channels\".",
        )),
    };
    match issued {
        Ok(Issued { token, expires_at }) => Json(json!({ "token": token, "expiresAt": expires_at.to_rfc3339() })).into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, Json(error)).into_response(),
    }
}

async fn stats(State(app): State<App>) -> Json<Value> {
    let mut workers = Vec::new();
    for worker in app.pool.workers() {
        workers.push(worker_stats(worker).await);
    }
    Json(json!({ "sessions": app.socketio.sessions() + app.plain.count(), "rooms": app.registry.len(), "workers": workers }))
}

async fn worker_stats(worker: &WorkerHandle) -> Value {
    let counters = worker.counters();
    let sfu = worker.stats().await.unwrap_or_default();
    json!({
        "restarts": counters.restarts.load(Ordering::Relaxed),
        "oversized": counters.oversized.load(Ordering::Relaxed),
        "messages": counters.messages.load(Ordering::Relaxed),
        "refused": counters.refused.load(Ordering::Relaxed),
        "unsent": counters.unsent.load(Ordering::Relaxed),
        "lostEvents": counters.lost_events.load(Ordering::Relaxed),
        "tcpConnections": counters.connections.load(Ordering::Relaxed),
        "sfu": {
            "datagramsIn": sfu.datagrams_in,
            "bytesIn": sfu.bytes_in,
            "datagramsOut": sfu.datagrams_out,
            "bytesOut": sfu.bytes_out,
            "rtpIn": sfu.rtp_in,
            "rtpPiped": sfu.rtp_piped,
            "rtpForwarded": sfu.rtp_forwarded,
            "keyFrameRequests": sfu.key_frame_requests,
            "drops": {
                "unknownAddress": sfu.drops.unknown_address,
                "unknownUfrag": sfu.drops.unknown_ufrag,
                "badIntegrity": sfu.drops.bad_integrity,
                "malformed": sfu.drops.malformed,
                "transport": sfu.drops.transport,
                "unknownStream": sfu.drops.unknown_stream,
                "overBitrate": sfu.drops.over_bitrate,
                "overRate": sfu.drops.over_rate,
                "tooManyAddresses": sfu.drops.too_many_addresses,
                "takenAddress": sfu.drops.taken_address,
                "overReports": sfu.drops.over_reports,
                "overChecks": sfu.drops.over_checks,
                "replayed": sfu.drops.replayed,
                "send": sfu.drops.send,
                "pipe": sfu.drops.pipe,
            },
            "routers": sfu.routers,
            "transports": sfu.transports,
            "producers": sfu.producers,
            "mirrors": sfu.mirrors,
            "consumers": sfu.consumers,
        },
    })
}

async fn crash_workers(State(app): State<App>) -> StatusCode {
    for worker in app.pool.workers() {
        worker.crash().await;
    }
    StatusCode::NO_CONTENT
}
