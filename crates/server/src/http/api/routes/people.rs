//! Entitlements: what people have paid for, as the host application says; stronger than their tokens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use parlor_proto::{Entitlement, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body};
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;

/// The routes of entitlements.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(read_entitlement, put_entitlement, delete_entitlement))
}

/// What somebody has paid for.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = Entitlement)]
pub struct EntitlementBody {
    /// Whether the user may show video and share the screen.
    pro: bool,
    /// The first moment at which `pro` is over. Not set: it does not end.
    #[serde(default)]
    expires_at: Option<When>,
}

impl From<Entitlement> for EntitlementBody {
    fn from(Entitlement { pro, expires_at }: Entitlement) -> Self {
        Self { pro, expires_at: expires_at.map(When) }
    }
}

/// Reads what somebody is entitled to
#[utoipa::path(get, path = "/api/users/{user}/entitlement", tag = "people", params(("user" = schema::Id, Path, description = "The user")),
    responses((status = 200, description = "What was set here", body = EntitlementBody)))]
async fn read_entitlement(State(api): State<Api>, At(user): At<UserId>) -> Answer<Json<EntitlementBody>> {
    let entitlement = api.store().entitlement(&user).await?;
    let entitlement = entitlement
        .ok_or_else(|| Problem::not_found("No entitlement was set for this user, so their token says it: an entitlement here"))?;
    Ok(Json(entitlement.into()))
}

/// Sets what somebody is entitled to
///
/// It holds for every session of theirs whatever their token says, at once, also in calls that are under way.
#[utoipa::path(put, path = "/api/users/{user}/entitlement", tag = "people", params(("user" = schema::Id, Path, description = "The user")),
    request_body = EntitlementBody, responses((status = 200, description = "It is set", body = EntitlementBody)))]
async fn put_entitlement(
    State(api): State<Api>,
    caller: Caller,
    At(user): At<UserId>,
    Body(EntitlementBody { pro, expires_at }): Body<EntitlementBody>,
) -> Answer<Json<EntitlementBody>> {
    let entitlement = Entitlement { pro, expires_at: expires_at.map(|at| at.0) };
    api.store().put_entitlement(&user, &entitlement, &caller.actor(), api.now()).await?;
    api.settled_for(&user).await?;
    Ok(Json(entitlement.into()))
}

/// Forgets what somebody is entitled to
///
/// From then on their token says it again.
#[utoipa::path(delete, path = "/api/users/{user}/entitlement", tag = "people", params(("user" = schema::Id, Path, description = "The user")),
    responses((status = 204, description = "It is forgotten")))]
async fn delete_entitlement(State(api): State<Api>, caller: Caller, At(user): At<UserId>) -> Answer<StatusCode> {
    api.store().delete_entitlement(&user, &caller.actor(), api.now()).await?;
    api.settled_for(&user).await?;
    Ok(StatusCode::NO_CONTENT)
}
