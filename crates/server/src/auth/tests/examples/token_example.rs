//! token.rs: signs a token for Parlor. Needs the crates jsonwebtoken (with "aws_lc_rs") and serde_json.
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

pub fn parlor_token(secret: &str, user: &str, name: &str) -> Result<String, Box<dyn std::error::Error>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let claims = json!({
        "sub": user,
        "name": name,
        "iat": now,
        "exp": now + 3600,
        "entitlement": { "pro": true, "expires_at": "2100-01-31T12:00:00Z" },
        "channels": ["lobby", { "id": "stage", "role": "spectator" }],
    });
    Ok(jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(secret.as_bytes()))?)
}
