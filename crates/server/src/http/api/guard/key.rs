//! Authentication of the REST API: the caller is identified by API key or token, or refused.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parlor_proto::{Error, ErrorCode, Identity};
use parlor_store::KeyText;

use crate::http::api::guard::caller::{Caller, SignedIn, Visitor};
use crate::http::api::guard::scope::Scope;
use crate::http::api::problem::{Answer, Problem};
use crate::http::api::state::Api;
use crate::net::source::Source;

/// The beginning of every API key; no token begins so.
const KEY_PREFIX: &str = "parlor_";
/// A hash that no key has. It is compared when there is no such key, so that a wrong id and a wrong secret take the same time.
const NO_HASH: [u8; 32] = [0; 32];

/// Lets a request through if it has an API key with this scope.
pub async fn require(State((api, scope)): State<(Api, Scope)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let allowed = match caller(&api, &parts).await {
        Ok(caller) => caller.need(scope).map(|()| caller),
        Err(problem) => Err(problem),
    };
    match allowed {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request through if it has an API key that may see channels, or a user's token.
pub async fn require_visitor(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match visitor(&api, &parts).await {
        Ok(visitor) => {
            parts.extensions.insert(visitor);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

/// Lets a request through if it has a user's token. An API key is nobody: what users get is theirs.
pub async fn require_user(State(api): State<Api>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let user = match bearer(&parts.headers).filter(|token| !token.starts_with(KEY_PREFIX)) {
        Some(token) => user(&api, &parts, token).await,
        None => Err(refused("Send a user's token as `Authorization: Bearer …`.")),
    };
    match user {
        Ok(identity) => {
            parts.extensions.insert(SignedIn(identity));
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn user(api: &Api, parts: &Parts, token: &str) -> Answer<Box<Identity>> {
    match api.verify(token).await {
        Ok(identity) => Ok(Box::new(identity)),
        Err(error) => Err(failed(api, parts, error.into())),
    }
}

async fn visitor(api: &Api, parts: &Parts) -> Answer<Visitor> {
    let token = bearer(&parts.headers).unwrap_or_default();
    if token.starts_with(KEY_PREFIX) {
        caller(api, parts).await?.need(Scope::ChannelsRead)?;
        return Ok(Visitor::Key);
    }
    if token.is_empty() {
        return Err(refused("Send a user's token or an API key as `Authorization: Bearer …`."));
    }
    user(api, parts, token).await.map(Visitor::User)
}

async fn caller(api: &Api, parts: &Parts) -> Answer<Caller> {
    let Some(text) = bearer(&parts.headers) else {
        return Err(refused("Send an API key as `Authorization: Bearer parlor_…`; `parlor key create` makes one."));
    };
    let Some(key) = KeyText::parse(text) else { return Err(failed(api, parts, unknown())) };
    let stored = api.store().key(key.id()).await?;
    let hash = stored.as_ref().map_or(NO_HASH, |stored| stored.hash);
    let right = verify_slices_are_equal(&hash, &key.hash()).is_ok();
    let Some(stored) = stored.filter(|_| right) else { return Err(failed(api, parts, unknown())) };
    api.limits().key(&stored.id)?;
    Ok(Caller { key: stored.id, scopes: stored.scopes })
}

/// Refuses a key without saying what is wrong with it: an unknown key, a wrong secret and nonsense look the same.
fn unknown() -> Problem {
    refused("This API key is not valid.")
}

fn failed(api: &Api, parts: &Parts, problem: Problem) -> Problem {
    let source = parts.extensions.get::<Source>().map_or(IpAddr::from([0; 4]), |source| source.0);
    // A failure of this server, such as a store that does not answer, does not count as a failure of the caller.
    if problem.status().is_server_error() {
        return problem;
    }
    api.limits().failure(source).err().unwrap_or(problem)
}

fn refused(sentence: &str) -> Problem {
    Error::new(ErrorCode::Unauthenticated).say(sentence).into()
}

/// The token in `Authorization: Bearer`; the case of the word does not matter (RFC 9110).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// Gives handlers the caller that the guard in front of them identified; a handler without a guard has no caller and cannot answer.
impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(ErrorCode::ServerError))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(ErrorCode::ServerError))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Problem::new(ErrorCode::ServerError))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_taken_as_it_is_meant() {
        let token = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().expect("a header"));
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc ").as_deref(), Some("abc"));
        for other in ["Bearer", "Bearer ", "Basic abc", "abc", ""] {
            assert_eq!(token(other), None, "{other}");
        }
    }
}
