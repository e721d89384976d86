//! The event feed for catching up: the events that webhooks deliver, in the same order, for as long as they are kept.

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use parlor_proto::ErrorCode;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::feed::Event;
use crate::http::api::extract::page::MAX_LIMIT;
use crate::http::api::extract::query::Params;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;

/// The greatest number of an event or an entry that a request may name: every number that fits into 18 digits.
pub const MAX_SEQ: i64 = 999_999_999_999_999_999;
/// The longest wait for an event, in seconds: shorter than the silence after which proxies cut a connection.
const MAX_WAIT: i64 = 25;
/// How often a waiting request looks for an event: events of other processes are found in the store only.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The events of an answer when the request does not say how many.
const DEFAULT_LIMIT: u32 = 100;

/// The routes of the event feed.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(read_events))
}

/// Which events are wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the document reads its shape only")]
pub struct EventParams {
    /// The `next` of the answer before; 0, or not set: from the oldest event that is kept.
    #[param(required = false, minimum = 0, maximum = 999999999999999999i64, default = 0)]
    after: i64,
    /// The most events to answer.
    #[param(required = false, minimum = 1, maximum = 200, default = 100)]
    limit: u32,
    /// Seconds to wait for an event if there is none yet.
    #[param(required = false, minimum = 0, maximum = 25, default = 0)]
    wait: u32,
}

/// A request for events.
#[derive(Debug)]
pub struct Wish {
    after: i64,
    limit: u32,
    wait: Duration,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params = Params::read(parts)?;
        let after = params.number("after", 0, MAX_SEQ)?.unwrap_or(0);
        let limit = params.number("limit", 1, MAX_LIMIT)?.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        let wait = params.number("wait", 0, MAX_WAIT)?.and_then(|wait| u64::try_from(wait).ok()).unwrap_or(0);
        Ok(Self { after, limit, wait: Duration::from_secs(wait) })
    }
}

/// Some events, and the number from which to continue.
#[derive(Debug, Serialize, ToSchema)]
pub struct Events {
    /// The events, in their order.
    items: Vec<Event>,
    /// The `after` of the next request, also if there was no event.
    next: i64,
}

/// Reads the event feed
///
/// Give `next` as `after` of the next request, and no event is missed and none comes twice.
#[utoipa::path(get, path = "/api/events", tag = "events", params(EventParams),
    responses((status = 200, description = "Events that came after the one given", body = Events),
        (status = 410, description = "Events after this one are not kept any more, or it is of another store: begin anew with `details.after`")))]
async fn read_events(State(api): State<Api>, Wish { after, limit, wait }: Wish) -> Answer<Json<Events>> {
    check_kept(&api, after).await?;
    let end = Instant::now() + wait;
    loop {
        let found = api.store().feed_after(after, limit).await?;
        if !found.is_empty() || Instant::now() >= end {
            let next = found.last().map_or(after, |event| event.seq);
            return Ok(Json(Events { items: found.into_iter().map(Event::from).collect(), next }));
        }
        tokio::select! {
            () = sleep(LOOK_INTERVAL) => {}
            // A stopping server waits for its requests, so this one ends now.
            () = api.stopping() => return Ok(Json(Events { items: Vec::new(), next: after })),
        }
    }
}

/// Refuses a number from which events are missing: the client was away for longer than events are kept, or its number
/// is from a store that was replaced. 0 stands for whatever there is.
async fn check_kept(api: &Api, after: i64) -> Answer<()> {
    let range = api.store().feed_range().await?;
    if after == 0 || (range.first - 1..=range.last).contains(&after) {
        return Ok(());
    }
    let (sentence, go_on) = if after > range.last {
        ("There was no such event yet: this number is of another store. Read the state anew, then go on from `details.after`.", range.last)
    } else {
        ("Some events after this one are not kept any more. Read the state anew, then go on from `details.after`.", range.first - 1)
    };
    let problem = Problem::new(ErrorCode::NotFound).with_status(StatusCode::GONE).say(sentence).of_field("after");
    Err(problem.with("after", go_on).with("last", range.last))
}
