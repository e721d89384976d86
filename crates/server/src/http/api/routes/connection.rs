//! What the server sees of whoever asks: where the request comes from, and where media would go. By it one finds out what stands
//! in between.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::guard::caller::SignedIn;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;
use crate::net::source::{Forwarded, Source};

/// Routes for users.
pub fn user_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(connection))
}

/// How a request reached the server, and where media would.
#[derive(Debug, Serialize, ToSchema)]
pub struct Connection {
    /// The address by which the server counts the request: the user's own, if every proxy on the way tells it. Of an IPv6 address the
    /// first 64 bits.
    address: String,
    /// What became of the header `X-Forwarded-For`.
    forwarded: ForwardedView,
    /// The addresses of the server's media, UDP and TCP, as clients are told them in calls.
    media: Vec<MediaAddress>,
}

/// What became of the header `X-Forwarded-For`: there was none; it is ignored, because it came from an address that is not in
/// `api.trusted_proxies`; or it is believed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Forwarded)]
#[serde(rename_all = "lowercase")]
pub enum ForwardedView {
    /// There was none.
    None,
    /// It came from a stranger.
    Ignored,
    /// It came from a proxy that is trusted.
    Believed,
}

/// An address of the server's media.
#[derive(Debug, Serialize, ToSchema)]
pub struct MediaAddress {
    /// The IP address.
    ip: String,
    /// The port, the same for UDP and TCP.
    port: u16,
}

/// Tells a user how their requests reach the server
///
/// Between the two are perhaps proxies and NATs: by this answer `parlor doctor` finds those that are set up wrong.
#[utoipa::path(get, path = "/api/voice/connection", tag = "calls",
    responses((status = 200, description = "What the server sees", body = Connection)))]
async fn connection(
    State(api): State<Api>,
    Extension(Source(source)): Extension<Source>,
    Extension(forwarded): Extension<Forwarded>,
    SignedIn(identity): SignedIn,
) -> Answer<Json<Connection>> {
    api.registry().check_revoked(&identity).await?;
    let media = api.media().map(|address| MediaAddress { ip: address.ip().to_string(), port: address.port() });
    let forwarded = match forwarded {
        Forwarded::None => ForwardedView::None,
        Forwarded::Ignored => ForwardedView::Ignored,
        Forwarded::Believed => ForwardedView::Believed,
    };
    Ok(Json(Connection { address: source.to_string(), forwarded, media: media.collect() }))
}
