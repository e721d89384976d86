//! Tokens: who a connection is, from a signed JWT and from nothing else (features 3).

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use parlor_proto::ids::check_name;
use parlor_proto::{Error, ErrorCode, Identity, Tier, UserId, limits};
use serde::{Deserialize, Serialize};

use crate::config::{self, Secret};

/// The least length of the secret: a key of HMAC-SHA256 should have the length of its hash (RFC 7518, 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// Different bytes a secret must have: `openssl rand -hex 32` has 16 digits to choose from and shows
/// nearly all of them; a repeated character or two is a placeholder somebody forgot.
const MIN_DIFFERENT_BYTES: usize = 8;
/// How far the clocks of the issuer and this server may differ, in seconds.
const CLOCK_LEEWAY: u64 = 30;
/// A token, in bytes: ours have about 300; a bigger one is not worth the hashing.
const MAX_TOKEN_BYTES: usize = 4096;
/// How long a token of the development mode is valid, in seconds: a working day.
const DEV_TOKEN_LIFETIME: u64 = 12 * 60 * 60;

/// Verifies tokens, and in development mode issues them.
pub struct Authenticator {
    decoding: DecodingKey,
    encoding: EncodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
}

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

/// A verified token: who a connection is, and for how long it may enter channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pass {
    /// Who.
    pub identity: Identity,
    /// Seconds since 1970.
    expires: u64,
}

impl Pass {
    /// Whether the token is still valid. A join asks again (features 3); a call that is under way goes on.
    pub fn check(&self) -> Result<(), Error> {
        self.check_at(jsonwebtoken::get_current_timestamp())
    }

    fn check_at(&self, now: u64) -> Result<(), Error> {
        if now.saturating_sub(CLOCK_LEEWAY) > self.expires { Err(refused(EXPIRED)) } else { Ok(()) }
    }
}

/// What is read of a token; times, issuer and audience are checked by the library.
#[derive(Debug, Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    name: Option<String>,
    #[serde(default)]
    pro: bool,
}

/// What we write into a token.
#[derive(Debug, Serialize)]
struct IssuedClaims<'a> {
    sub: &'a str,
    name: &'a str,
    pro: bool,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    iss: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    aud: &'a str,
}

/// The secret of the configuration is missing or weak.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0} Make one with `openssl rand -hex 32` and set it as auth.secret in parlor.toml or as PARLOR_AUTH__SECRET. To try Parlor without one, start it with `parlor serve --dev`."
)]
pub struct WeakSecret(String);

impl Authenticator {
    /// Takes the configured secret; in development mode a missing one is made.
    pub fn new(config: &config::Auth, dev: bool) -> Result<Self, WeakSecret> {
        let secret = match config.secret.reveal() {
            "" if dev => Secret::new(random_secret()),
            text => {
                check_secret(text).map_err(WeakSecret)?;
                config.secret.clone()
            }
        };
        let key = secret.reveal().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = CLOCK_LEEWAY;
        validation.validate_nbf = true;
        validation.set_required_spec_claims(&["exp", "sub"]);
        // `aud` is refused by the library unless it is expected or the check is off.
        validation.validate_aud = !config.audience.is_empty();
        if validation.validate_aud {
            validation.set_audience(&[&config.audience]);
            validation.required_spec_claims.insert("aud".to_owned());
        }
        if !config.issuer.is_empty() {
            validation.set_issuer(&[&config.issuer]);
            validation.required_spec_claims.insert("iss".to_owned());
        }
        Ok(Self {
            decoding: DecodingKey::from_secret(key),
            encoding: EncodingKey::from_secret(key),
            validation,
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
        })
    }

    /// Verifies a token; the identity in it is the session's for good.
    pub fn verify(&self, token: &str) -> Result<Pass, Error> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(refused("the token is too long"));
        }
        let token = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map_err(|e| refused(reason(e.kind())))?;
        let Claims { sub, exp, name, pro } = token.claims;
        let identity = identity(&sub, name.as_deref(), pro).map_err(|what| refused(&what))?;
        // RFC 7519 allows a fraction; the cast saturates, and the library has refused what is in the past.
        Ok(Pass { identity, expires: exp as u64 })
    }

    /// Issues a token, for `POST /api/dev/token`.
    pub fn issue(&self, user: &str, name: Option<&str>, pro: bool) -> Result<String, Error> {
        let identity = identity(user, name, pro).map_err(|reason| Error::new(ErrorCode::InvalidRequest).with("reason", reason))?;
        let now = jsonwebtoken::get_current_timestamp();
        let claims = IssuedClaims {
            sub: identity.user.as_str(),
            name: &identity.name,
            pro,
            iat: now,
            exp: now + DEV_TOKEN_LIFETIME,
            iss: &self.issuer,
            aud: &self.audience,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(|_| Error::new(ErrorCode::ServerError))
    }
}

fn identity(user: &str, name: Option<&str>, pro: bool) -> Result<Identity, String> {
    let user = UserId::new(user).map_err(|what| format!("the user id {what}"))?;
    let name = match name {
        Some(name) => {
            check_name(name, limits::MAX_NAME_CHARS).map_err(|what| format!("the name {what}"))?;
            name.to_owned()
        }
        None => user.as_str().chars().take(limits::MAX_NAME_CHARS).collect(),
    };
    Ok(Identity { user, name, tier: if pro { Tier::Pro } else { Tier::Free } })
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorCode::Unauthenticated).with("reason", reason)
}

const EXPIRED: &str = "the token has expired";

/// What an honest client may know of why its token was refused.
const fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => EXPIRED,
        ErrorKind::ImmatureSignature => "the token is not valid yet",
        ErrorKind::InvalidIssuer => "the token is of another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => "the token lacks a claim, or one is of the wrong type",
        _ => "the token is not one of this server",
    }
}

fn check_secret(secret: &str) -> Result<(), String> {
    let mut bytes = secret.as_bytes().to_vec();
    if bytes.is_empty() {
        return Err("auth.secret is not set: nobody could sign tokens.".to_owned());
    }
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(format!("auth.secret has {} bytes; it must have at least {MIN_SECRET_BYTES}.", bytes.len()));
    }
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() < MIN_DIFFERENT_BYTES {
        return Err("auth.secret repeats the same few characters: anybody could guess it.".to_owned());
    }
    Ok(())
}

fn random_secret() -> String {
    use std::fmt::Write;
    rand::random::<[u8; MIN_SECRET_BYTES]>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef";

    fn with(change: impl FnOnce(&mut config::Auth)) -> config::Auth {
        let mut auth = config::Auth { secret: Secret::new(SECRET.to_owned()), ..config::Auth::default() };
        change(&mut auth);
        auth
    }

    fn sign(header: &Header, claims: &serde_json::Value, secret: &str) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(secret.as_bytes())).expect("signs")
    }

    fn hour(offset: i64) -> i64 {
        i64::try_from(jsonwebtoken::get_current_timestamp()).expect("fits") + offset * 3600
    }

    #[test]
    fn an_issued_token_verifies() {
        let auth = Authenticator::new(&with(|a| (a.issuer, a.audience) = ("host".into(), "parlor".into())), true).expect("strong");
        let identity = auth.verify(&auth.issue("alice", Some("Alice"), true).expect("issued")).expect("valid").identity;
        assert_eq!((identity.user.as_str(), identity.name.as_str(), identity.tier), ("alice", "Alice", Tier::Pro));
    }

    #[test]
    fn the_name_defaults_to_the_user_id() {
        let auth = Authenticator::new(&with(|_| ()), false).expect("strong");
        let token = sign(&Header::default(), &serde_json::json!({"sub": "bob", "exp": hour(1)}), SECRET);
        assert_eq!(auth.verify(&token).expect("valid").identity.name, "bob");
    }

    #[test]
    fn a_token_that_is_not_ours_is_refused() {
        let auth = Authenticator::new(&with(|_| ()), false).expect("strong");
        let good = serde_json::json!({"sub": "bob", "exp": hour(1)});
        let token = sign(&Header::default(), &good, SECRET);
        assert!(auth.verify(&token).is_ok());
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", token.split('.').nth(1).expect("payload"));
        let other = "f".repeat(16) + SECRET;
        for (what, token) in [
            ("expired", sign(&Header::default(), &serde_json::json!({"sub": "bob", "exp": hour(-1)}), SECRET)),
            ("no exp", sign(&Header::default(), &serde_json::json!({"sub": "bob"}), SECRET)),
            ("no sub", sign(&Header::default(), &serde_json::json!({"exp": hour(1)}), SECRET)),
            ("other key", sign(&Header::default(), &good, &other)),
            ("other algorithm", sign(&Header::new(Algorithm::HS512), &good, SECRET)),
            ("alg none", unsigned),
            ("bad id", sign(&Header::default(), &serde_json::json!({"sub": "a\u{202e}b", "exp": hour(1)}), SECRET)),
            ("bad name", sign(&Header::default(), &serde_json::json!({"sub": "a", "name": "", "exp": hour(1)}), SECRET)),
            ("garbage", "a.b.c".to_owned()),
            ("empty", String::new()),
            ("long", "x".repeat(MAX_TOKEN_BYTES + 1)),
        ] {
            assert_eq!(auth.verify(&token).map_err(|e| e.code), Err(ErrorCode::Unauthenticated), "{what}");
        }
    }

    #[test]
    fn a_pass_is_checked_again_with_the_same_leeway() {
        let auth = Authenticator::new(&with(|_| ()), false).expect("strong");
        let exp = u64::try_from(hour(1)).expect("fits");
        let pass = auth.verify(&sign(&Header::default(), &serde_json::json!({"sub": "bob", "exp": exp}), SECRET)).expect("valid");
        assert!(pass.check_at(exp + CLOCK_LEEWAY).is_ok());
        assert_eq!(pass.check_at(exp + CLOCK_LEEWAY + 1).map_err(|e| e.code), Err(ErrorCode::Unauthenticated));
    }

    #[test]
    fn issuer_and_audience_must_match_when_configured() {
        let auth = Authenticator::new(&with(|a| (a.issuer, a.audience) = ("host".into(), "parlor".into())), false).expect("strong");
        let claims = |iss: &str, aud: serde_json::Value| serde_json::json!({"sub": "bob", "exp": hour(1), "iss": iss, "aud": aud});
        assert!(auth.verify(&sign(&Header::default(), &claims("host", serde_json::json!(["x", "parlor"])), SECRET)).is_ok());
        assert!(auth.verify(&sign(&Header::default(), &claims("other", "parlor".into()), SECRET)).is_err());
        assert!(auth.verify(&sign(&Header::default(), &claims("host", "x".into()), SECRET)).is_err());
        assert!(auth.verify(&sign(&Header::default(), &serde_json::json!({"sub": "bob", "exp": hour(1)}), SECRET)).is_err());
    }

    #[test]
    fn a_missing_or_weak_secret_is_refused_with_the_way_out() {
        for secret in ["", "short", &"x".repeat(64), &"ab".repeat(32)] {
            let error = Authenticator::new(&with(|a| a.secret = Secret::new(secret.to_owned())), false).expect_err("weak");
            assert!(error.to_string().contains("openssl rand -hex 32"), "{error}");
        }
        assert!(Authenticator::new(&with(|a| a.secret = Secret::default()), true).is_ok());
        assert!(Authenticator::new(&with(|a| a.secret = Secret::new("short".into())), true).is_err());
    }
}
