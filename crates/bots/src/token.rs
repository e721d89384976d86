//! Where a bot's token comes from: the development route, or the server's secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::BotError;

/// How long a minted token is valid: longer than any test or benchmark.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How to get a token.
#[derive(Clone, Debug, Default)]
pub enum TokenSource {
    /// Ask `POST /api/dev/token`: the server runs in development mode.
    #[default]
    Development,
    /// Sign one with the server's HMAC secret.
    Secret(String),
    /// Use this one, right or wrong.
    Given(String),
}

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    name: &'a str,
    pro: bool,
    iat: u64,
    exp: u64,
}

#[derive(Deserialize)]
struct Minted {
    token: String,
}

impl TokenSource {
    /// Gets a token for a user.
    pub async fn token(&self, server: &str, user: &str, name: &str, pro: bool) -> Result<String, BotError> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::Secret(secret) => sign(secret, user, name, pro),
            Self::Development => {
                let url = format!("{}/api/dev/token", server.trim_end_matches('/'));
                let failed = |reason: reqwest::Error| BotError::Connect { url: url.clone(), reason: reason.to_string() };
                let body = json!({ "user": user, "name": name, "pro": pro });
                let answer = reqwest::Client::new().post(&url).json(&body).send().await.map_err(failed)?;
                let answer = answer.error_for_status().map_err(failed)?;
                Ok(answer.json::<Minted>().await.map_err(failed)?.token)
            }
        }
    }
}

fn sign(secret: &str, user: &str, name: &str, pro: bool) -> Result<String, BotError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let claims = Claims { sub: user, name, pro, iat: now, exp: now + LIFETIME.as_secs() };
    jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))
        .map_err(|e| BotError::Protocol { event: "token".into(), reason: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signed_token_has_three_parts_and_the_user() {
        let token = TokenSource::Secret("0123456789abcdef0123456789abcdef".into()).token("", "ann", "Ann", true).await.expect("signs");
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
    }
}
