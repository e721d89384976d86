//! The audit log: who changed what, when.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use parlor_proto::{ChannelId, Timestamp, UserId};
use parlor_store::{AuditEntry, Page};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::page::{DEFAULT_LIMIT, List, MAX_LIMIT};
use crate::http::api::extract::query::Params;
use crate::http::api::extract::when::When;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;

/// The routes of the audit log.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(read_audit))
}

/// Which part of the log is wanted.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "the document reads its shape only")]
pub struct AuditParams {
    /// The most entries to answer.
    #[param(required = false, minimum = 1, maximum = 200, default = 50)]
    limit: u32,
    /// The `next` of the page before.
    #[param(required = false, pattern = "^(0|[1-9][0-9]{0,17})$")]
    after: String,
    /// The channel to which the entries are limited.
    #[param(required = false, value_type = schema::Id)]
    channel: String,
}

/// A request for entries.
#[derive(Debug)]
pub struct Wish {
    limit: u32,
    before: Option<i64>,
    channel: Option<ChannelId>,
}

impl<S: Send + Sync> FromRequestParts<S> for Wish {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let params = Params::read(parts)?;
        let limit = params.number("limit", 1, MAX_LIMIT)?.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_LIMIT);
        let before = params.number("after", 0, crate::http::api::routes::events::MAX_SEQ)?;
        let channel = params.text("channel").map(ChannelId::new).transpose();
        Ok(Self { limit, before, channel: channel.map_err(|reason| Problem::invalid("channel", reason))? })
    }
}

/// An entry of the audit log: something that was done.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AuditEntry)]
pub struct EntryView {
    /// The number of the entry: its place in the log, counting up.
    seq: i64,
    at: When,
    /// Who did it: `user:…`, `key:…`, `command-line` or `server`.
    by: String,
    /// The kind of action, such as `channel.create`.
    action: String,
    /// The channel it concerns.
    #[schema(value_type = Option<schema::Id>, required = true)]
    channel_id: Option<ChannelId>,
    /// The user it concerns.
    #[schema(value_type = Option<schema::Id>, required = true)]
    user_id: Option<UserId>,
    /// The details of the action; their shape depends on the action. Times in them are RFC 3339.
    #[schema(value_type = Value)]
    details: Value,
}

/// Reads the audit log, the newest entry first
#[utoipa::path(get, path = "/api/audit", tag = "audit", params(AuditParams),
    responses((status = 200, description = "A page of the log", body = List<EntryView>)))]
async fn read_audit(State(api): State<Api>, Wish { limit, before, channel }: Wish) -> Answer<Json<List<EntryView>>> {
    let page = Page { after: before.map(|seq| seq.to_string()), limit: limit.saturating_add(1) };
    let mut found = api.store().audit(channel.as_ref(), &page).await?;
    let limit = usize::try_from(limit).unwrap_or(1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|entry| entry.seq.to_string());
    Ok(Json(List { items: found.into_iter().map(show).collect(), next }))
}

fn show(entry: AuditEntry) -> EntryView {
    let AuditEntry { seq, at, by, action, channel, user, details } = entry;
    EntryView { seq, at: When(at), by: by.to_string(), action, channel_id: channel, user_id: user, details: with_times(details) }
}

/// The fields of details that are moments. The store has them in milliseconds.
const MOMENTS: [&str; 5] = ["until", "before", "expiresAt", "opensAt", "closesAt"];

/// The details with their moments as every other answer has them.
fn with_times(details: Value) -> Value {
    match details {
        Value::Object(fields) => {
            let shown = fields.into_iter().map(|(name, value)| match value.as_i64() {
                Some(millis) if MOMENTS.contains(&name.as_str()) => (name, Timestamp(millis).to_rfc3339().into()),
                _ => (name, with_times(value)),
            });
            Value::Object(shown.collect())
        }
        Value::Array(all) => Value::Array(all.into_iter().map(with_times).collect()),
        other => other,
    }
}
