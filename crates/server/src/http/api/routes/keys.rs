//! API keys: made, listed, removed. A secret is shown once, when it is made.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use parlor_proto::ErrorCode;
use parlor_store::{ApiKey, KeyText, NewKey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::document::schema;
use crate::http::api::extract::input::{At, Body, PathPart};
use crate::http::api::extract::page::{List, PageParams, Wanted};
use crate::http::api::extract::text::NameText;
use crate::http::api::extract::when::When;
use crate::http::api::guard::caller::Caller;
use crate::http::api::guard::scope::Scope;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;

/// The routes of API keys.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::default().routes(routes!(list_keys, create_key)).routes(routes!(delete_key))
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewKey)]
pub struct KeyBody {
    /// The purpose of the key.
    #[schema(value_type = schema::Name)]
    name: NameText,
    /// What may be done with the key: nothing that the key which makes it may not do.
    #[serde(deserialize_with = "scopes")]
    #[schema(value_type = Vec<schema::Permission>, min_items = 1, max_items = 10)]
    scopes: Vec<Scope>,
}

/// An API key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ApiKey)]
pub struct KeyView {
    id: String,
    /// The purpose of the key.
    name: String,
    /// What may be done with the key.
    scopes: Vec<String>,
    /// The maker of the key: `key:…` or `command-line`.
    by: String,
    created_at: When,
}

impl From<ApiKey> for KeyView {
    fn from(key: ApiKey) -> Self {
        let ApiKey { id, name, scopes, by, created_at, .. } = key;
        Self { id, name, scopes, by: by.to_string(), created_at: When(created_at) }
    }
}

/// An API key that was just made, with its secret.
#[derive(Serialize, ToSchema)]
pub struct MadeKey {
    /// The key as it is to be sent: `Authorization: Bearer …`. It is shown only this once.
    key: String,
    #[serde(flatten)]
    about: KeyView,
}

/// The id of a key in a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyId(String);

impl PathPart for KeyId {
    const NAME: &'static str = "id";

    fn read(text: &str) -> Result<Self, &'static str> {
        parlor_proto::ids::check_id(text).map(|()| Self(text.to_owned()))
    }
}

/// Lists the API keys, sorted by id
#[utoipa::path(get, path = "/api/keys", tag = "keys", params(PageParams),
    responses((status = 200, description = "A page of keys", body = List<KeyView>)))]
async fn list_keys(State(api): State<Api>, wanted: Wanted) -> Answer<Json<List<KeyView>>> {
    let found = api.store().keys(&wanted.page).await?;
    Ok(Json(wanted.answer(found, |key| key.id.clone(), KeyView::from)))
}

/// Makes an API key
///
/// Its secret is in this answer and nowhere else: the server keeps only a hash of it.
#[utoipa::path(post, path = "/api/keys", tag = "keys", request_body = KeyBody, responses((status = 201, description = "It was made", body = MadeKey)))]
async fn create_key(State(api): State<Api>, caller: Caller, Body(KeyBody { name, scopes }): Body<KeyBody>) -> Answer<Response> {
    for scope in &scopes {
        // Otherwise a key that may make keys could give itself every scope, in two steps.
        caller.need(*scope).map_err(|problem| problem.of_field("scopes"))?;
    }
    let text = KeyText::generate().ok_or_else(|| Problem::new(ErrorCode::ServerError))?;
    let scopes = scopes.iter().map(|scope| scope.name().to_owned()).collect();
    let key = NewKey { id: text.id().to_owned(), name: name.0, hash: text.hash(), scopes };
    let stored = api.store().create_key(&key, &caller.actor(), api.now()).await?;
    let made = MadeKey { key: text.expose().to_owned(), about: stored.into() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(made)).into_response())
}

/// Removes an API key
///
/// It is worthless from then on.
#[utoipa::path(delete, path = "/api/keys/{id}", tag = "keys", params(("id" = schema::Id, Path, description = "The id of the key")),
    responses((status = 204, description = "It is gone"), (status = 403, description = "It may do what the key that asks may not")))]
async fn delete_key(State(api): State<Api>, caller: Caller, At(KeyId(id)): At<KeyId>) -> Answer<StatusCode> {
    let key = api.store().key(&id).await?;
    // A lesser key must not be able to lock out a greater one.
    for scope in key.iter().flat_map(|key| &key.scopes).filter_map(|name| Scope::parse(name)) {
        caller.need(scope)?;
    }
    api.store().delete_key(&id, &caller.actor(), api.now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads scopes: at least one, each once.
fn scopes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let mut scopes = Vec::<Scope>::deserialize(deserializer)?;
    if scopes.is_empty() || scopes.len() > Scope::EACH.len() {
        return Err(serde::de::Error::custom("must name at least one scope, and none more often than there are"));
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}
