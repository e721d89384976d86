//! The STUN and TURN servers of a user, for clients that join by other ways, or ask before they join.

use axum::Json;
use axum::extract::State;
use parlor_proto::Timestamp;
use parlor_proto::event::{IceServer, IceSetup};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::SignedIn;
use crate::http::api::problem::Answer;
use crate::http::api::state::Api;

/// Routes for users.
pub fn user_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(turn_credentials)).routes(routes!(turn_credentials_without_slash))
}

/// What a peer connection is made with.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnCredentials {
    /// The servers, as `RTCPeerConnection` takes them; empty if there are none.
    ice_servers: Vec<IceServerView>,
    /// Seconds after which to ask again.
    ttl: u64,
    /// The end of the TURN credential; null if there is none that ends.
    #[schema(required = true)]
    expires_at: Option<When>,
}

/// A STUN or TURN server.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = IceServer)]
pub struct IceServerView {
    /// The addresses of the server: `stun:`, `turn:` or `turns:`.
    urls: Vec<String>,
    /// The user name at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// The password at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl From<IceServer> for IceServerView {
    fn from(IceServer { urls, username, credential }: IceServer) -> Self {
        Self { urls, username, credential }
    }
}

/// Gives the user STUN and TURN servers, with a credential of their own
///
/// It works in every call of the user until it ends. The reply to a join brings one as well: only clients that join in
/// another way need this.
#[utoipa::path(get, path = "/api/voice/turn-credentials/", tag = "calls",
    responses((status = 200, description = "The servers", body = TurnCredentials)))]
async fn turn_credentials(State(api): State<Api>, user: SignedIn) -> Answer<Json<TurnCredentials>> {
    credentials(&api, user).await
}

/// Gives the user STUN and TURN servers, as the path with a slash at its end does
#[utoipa::path(get, path = "/api/voice/turn-credentials", tag = "calls",
    responses((status = 200, description = "The servers", body = TurnCredentials)))]
async fn turn_credentials_without_slash(State(api): State<Api>, user: SignedIn) -> Answer<Json<TurnCredentials>> {
    credentials(&api, user).await
}

async fn credentials(api: &Api, SignedIn(identity): SignedIn) -> Answer<Json<TurnCredentials>> {
    api.registry().check_revoked(&identity).await?;
    let ice = api.registry().ice();
    let IceSetup { rtc_config, turn_credential_expires_at, turn_credential_ttl } = ice.for_user(&identity.user, api.now()).await;
    Ok(Json(TurnCredentials {
        ice_servers: rtc_config.ice_servers.into_iter().map(IceServerView::from).collect(),
        ttl: turn_credential_ttl.map_or(ice.rest_ttl().as_seconds(), u64::from),
        expires_at: turn_credential_expires_at.as_deref().and_then(Timestamp::parse_rfc3339).map(When),
    }))
}
