//! Issues tokens: for `parlor token`, and for guests of the development mode.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use parlor_proto::{Error, ErrorCode, Timestamp};
use serde_json::{Map, Value, json};

use crate::auth::claims::{self, Refusal, Rules};
use crate::auth::keys::MAX_TOKEN_BYTES;
use crate::config::{self, NamedSecret, Period};

/// How long a token is valid if the wish does not say: a working day.
pub const DEFAULT_LIFETIME: Period = Period::hours(12);

/// The claims a token is to have. `entitlement` and `channels` are as in the token.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Wish {
    /// The user's id.
    pub user: String,
    /// The name others see; the id if there is none.
    pub name: Option<String>,
    /// Whether the user is pro without an end.
    pub pro: bool,
    /// The entitlement `{pro, expires_at}`; stronger than `pro`.
    pub entitlement: Option<Value>,
    /// Whether the user moderates everywhere.
    pub moderator: bool,
    /// The only channels the token is for.
    pub channels: Option<Value>,
    /// How long the token is valid.
    pub lifetime: Option<Period>,
}

/// A token, and the time until which it is valid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issued {
    /// The signed token.
    pub token: String,
    /// The time at which the token expires.
    pub expires_at: Timestamp,
}

/// Signs tokens with a secret of this server.
pub struct Issuer {
    key: EncodingKey,
    kid: String,
    issuer: String,
    audience: String,
    rules: Rules,
    longest: Option<Period>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The reason why a token was not issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NotIssued {
    /// The server would refuse the token.
    Refused(Refusal),
    /// Signing failed.
    Broken,
}

impl From<NotIssued> for Error {
    fn from(why: NotIssued) -> Self {
        match why {
            // The user's id is the one claim that has another name in a request than in a token.
            NotIssued::Refused(Refusal { claim, reason }) => Self::invalid(if claim == "sub" { "user" } else { &claim }, reason),
            NotIssued::Broken => Self::new(ErrorCode::ServerError),
        }
    }
}

impl Issuer {
    /// An issuer that signs with this secret.
    pub fn new(secret: &NamedSecret, config: &config::Auth) -> Self {
        Self {
            key: EncodingKey::from_secret(secret.secret.reveal().as_bytes()),
            kid: secret.kid.clone(),
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            rules: Rules::new(config),
            longest: (!config.max_lifetime.is_zero()).then_some(config.max_lifetime),
        }
    }

    /// Issues a token that this server will accept.
    pub fn issue(&self, wish: &Wish, now: Timestamp) -> Result<Issued, NotIssued> {
        let usual = self.longest.map_or(DEFAULT_LIFETIME, |longest| longest.min(DEFAULT_LIFETIME));
        let claims = self.claims(wish, wish.lifetime.unwrap_or(usual), now);
        // The claims are read as they will be when the token is used, so that a mistake is reported now.
        let expires_at = claims::read(&claims, &self.rules, now).map_err(NotIssued::Refused)?.expires;
        let kid = (!self.kid.is_empty()).then(|| self.kid.clone());
        let header = Header { kid, ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key).map_err(|_| NotIssued::Broken)?;
        if token.len() > MAX_TOKEN_BYTES {
            return Err(NotIssued::Refused(Refusal { claim: "channels".into(), reason: "make the token too long" }));
        }
        Ok(Issued { token, expires_at })
    }

    fn claims(&self, wish: &Wish, lifetime: Period, now: Timestamp) -> Map<String, Value> {
        let now = now.0 / 1000;
        let end = now.saturating_add(i64::try_from(lifetime.as_seconds()).unwrap_or(i64::MAX));
        let text = |text: &str| (!text.is_empty()).then(|| json!(text));
        let claims = [
            ("sub", Some(json!(wish.user))),
            ("name", wish.name.as_ref().map(|name| json!(name))),
            ("pro", wish.pro.then_some(json!(true))),
            ("entitlement", wish.entitlement.clone()),
            ("moderator", wish.moderator.then_some(json!(true))),
            ("channels", wish.channels.clone()),
            ("iat", Some(json!(now))),
            ("exp", Some(json!(end))),
            ("iss", text(&self.issuer)),
            ("aud", text(&self.audience)),
        ];
        claims.into_iter().filter_map(|(claim, value)| Some((claim.to_owned(), value?))).collect()
    }
}
