//! The source of a bot's token: the development route, or the server's secret.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::BotError;

/// How long a minted token is valid: longer than any test or benchmark.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The way to get a token.
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
                let failed = |reason: reqwest::Error| BotError::Connect { url: url.clone(), reason: why(reason) };
                let body = json!({ "user": user, "name": name, "pro": pro });
                let answer = reqwest::Client::new().post(&url).json(&body).send().await.map_err(failed)?;
                let answer = answer.error_for_status().map_err(failed)?;
                Ok(answer.json::<Minted>().await.map_err(failed)?.token)
            }
        }
    }
}

/// What is in the way of a development token, in words that say what to do.
fn why(error: reqwest::Error) -> String {
    if error.status() == Some(reqwest::StatusCode::NOT_FOUND) {
        return "the server is not in development mode; sign tokens with its secret (--secret-file)".to_owned();
    }
    if error.is_connect() {
        return "nobody answers there; is the server running, and is the address right (--url)?".to_owned();
    }
    error.without_url().to_string()
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

    #[tokio::test]
    async fn a_server_that_gives_no_tokens_away_is_told_from_none() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let _ = client.read(&mut [0; 4096]).await;
            client.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await.expect("sent");
        });
        let said = TokenSource::Development.token(&url, "ann", "Ann", true).await.expect_err("no token").to_string();
        assert!(said.contains("--secret-file"), "{said}");
        server.await.expect("answered");
        let said = TokenSource::Development.token(&url, "ann", "Ann", true).await.expect_err("nobody listens any more").to_string();
        assert!(said.contains("nobody answers there"), "{said}");
    }
}
