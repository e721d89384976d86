//! Tokens: who a connection is, from a signed JWT and from nothing else (features 3).

pub mod claims;
mod fetch;
mod issue;
mod jwks;
mod keys;
mod secrets;

use std::sync::Arc;

use parlor_proto::{Error, ErrorCode, Identity, Timestamp};

use claims::{Claims, Refusal, Rules};
use jwks::Published;
use keys::{Key, Unverified, Verdict};

use crate::config::{self, NamedSecret};

pub use crate::clock::wall as now;
pub use issue::{DEFAULT_LIFETIME, Issued, Issuer, NotIssued, Wish};
pub use keys::MAX_TOKEN_BYTES;
pub use secrets::MIN_SECRET_BYTES;

/// Verifies tokens, and issues them if it has a secret.
#[derive(Debug)]
pub struct Authenticator {
    secrets: Vec<Key>,
    published: Option<Published>,
    rules: Arc<Rules>,
    issuer: Option<Issuer>,
}

/// A verified token: who a connection is, and for how long it may enter channels.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Who.
    pub identity: Identity,
    expires: Timestamp,
    rules: Arc<Rules>,
}

impl Pass {
    /// Whether the token is still valid. A join asks again (features 3); a call that is under way goes on.
    pub fn check(&self) -> Result<(), Error> {
        self.check_at(now())
    }

    /// When the token ends.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires
    }

    fn check_at(&self, now: Timestamp) -> Result<(), Error> {
        if self.rules.is_over(self.expires, now) { Err(Refusal::expired().unauthenticated()) } else { Ok(()) }
    }
}

/// `[auth]` cannot be used as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// A secret is missing or weak.
    #[error(
        "{0} Make one with `openssl rand -hex 32` and set it as auth.secret in parlor.toml or as PARLOR_AUTH__SECRET. To try Parlor without one, start it with `parlor serve --dev`."
    )]
    Secret(String),
    /// There is no secret to sign with.
    #[error(
        "this server takes the tokens of the keys in auth.jwks, and their private halves are elsewhere: Parlor cannot sign with them. Let your application sign, or set auth.secret as well, then the server takes both."
    )]
    NothingToSignWith,
    /// Another key of the section.
    #[error("auth.{0}")]
    Other(String),
}

/// What a token is worth with the keys at hand.
#[derive(Debug)]
pub enum Checked {
    /// Decided.
    Now(Result<Pass, Error>),
    /// Signed with a key that is not here, but may be where the others came from: it is being looked for, and
    /// [`Authenticator::verify`] waits for it.
    UnknownKey,
}

impl Checked {
    /// Nothing is waited for any more.
    fn or_refused(self) -> Result<Pass, Error> {
        match self {
            Self::Now(result) => result,
            Self::UnknownKey => Err(not_ours()),
        }
    }
}

impl Authenticator {
    /// Takes the configured keys; in development mode a missing secret is made. Public keys are fetched from now on,
    /// for which a runtime must be there; it is not waited for.
    pub fn new(config: &config::Auth, dev: bool) -> Result<Self, Unusable> {
        let source = config.key_source().map_err(|reason| Unusable::Other(format!("jwks {reason}")))?;
        let mut secrets = secrets::checked(config).map_err(Unusable::Secret)?;
        if secrets.is_empty() && dev {
            secrets.push(secrets::random());
        }
        if secrets.is_empty() && source.is_none() {
            return Err(Unusable::Secret("auth.secret is not set, nor auth.jwks: nobody could sign tokens.".to_owned()));
        }
        if source.is_some() && config.audience.is_empty() {
            tracing::warn!("auth.jwks is set without auth.audience: every token those keys sign counts here, also one for another service");
        }
        Ok(Self {
            issuer: secrets.first().map(|secret| Issuer::new(secret, config)),
            secrets: secrets.iter().map(|NamedSecret { kid, secret }| Key::secret(kid, secret.reveal())).collect(),
            published: source.map(|source| Published::start(source, config)).transpose().map_err(Unusable::Other)?,
            rules: Arc::new(Rules::new(config)),
        })
    }

    /// Verifies a token; the identity in it is the session's for good. Waits, for seconds at the most, when its key has
    /// to be fetched first.
    pub async fn verify(&self, token: &str) -> Result<Pass, Error> {
        match (self.check_at(token, now()), &self.published) {
            (Checked::Now(result), _) => result,
            (Checked::UnknownKey, Some(published)) => {
                if let Some(waiting) = published.ask() {
                    waiting.done().await;
                }
                self.check_at(token, now()).or_refused()
            }
            (Checked::UnknownKey, None) => Err(not_ours()),
        }
    }

    /// Verifies a token without waiting. If its key is not known it is looked for from now on.
    pub fn check(&self, token: &str) -> Checked {
        match (self.check_at(token, now()), &self.published) {
            (Checked::UnknownKey, Some(published)) if published.ask().is_some() => Checked::UnknownKey,
            // Looked for a moment ago: it will not be there now, unless it came in between.
            (Checked::UnknownKey, _) => Checked::Now(self.check_at(token, now()).or_refused()),
            (checked, _) => checked,
        }
    }

    /// Issues a token that says what is wished.
    pub fn issue_for(&self, wish: &Wish) -> Result<Issued, Error> {
        let issuer = self.issuer.as_ref().ok_or(ErrorCode::ServerError)?;
        Ok(issuer.issue(wish, now())?)
    }

    /// Issues one for a user with nothing special.
    pub fn issue(&self, user: &str, name: Option<&str>, pro: bool) -> Result<String, Error> {
        let wish = Wish { user: user.to_owned(), name: name.map(str::to_owned), pro, ..Wish::default() };
        Ok(self.issue_for(&wish)?.token)
    }

    fn check_at(&self, token: &str, now: Timestamp) -> Checked {
        if token.len() > MAX_TOKEN_BYTES {
            return Checked::Now(Err(unsigned("the token is too long")));
        }
        let Some(token) = Unverified::read(token) else { return Checked::Now(Err(not_ours())) };
        let verdict = match (token.verify(&self.secrets), &self.published) {
            (Verdict::UnknownKey, Some(published)) => token.verify(&published.keys()),
            (Verdict::UnknownKey, None) => Verdict::Forged,
            (verdict, _) => verdict,
        };
        match verdict {
            Verdict::Signed(claims) => Checked::Now(self.pass(&claims, now)),
            Verdict::Forged => Checked::Now(Err(not_ours())),
            Verdict::UnknownKey => Checked::UnknownKey,
        }
    }

    fn pass(&self, claims: &serde_json::Map<String, serde_json::Value>, now: Timestamp) -> Result<Pass, Error> {
        let Claims { identity, expires } = claims::read(claims, &self.rules, now).map_err(Refusal::unauthenticated)?;
        Ok(Pass { identity, expires, rules: Arc::clone(&self.rules) })
    }
}

/// Signs tokens with the first secret of the configuration, without a server.
pub fn issuer(config: &config::Auth) -> Result<Issuer, Unusable> {
    match secrets::checked(config).map_err(Unusable::Secret)?.first() {
        Some(secret) => Ok(Issuer::new(secret, config)),
        None if config.jwks.is_empty() => Err(Unusable::Secret("auth.secret is not set.".to_owned())),
        None => Err(Unusable::NothingToSignWith),
    }
}

/// What anybody may know of why a token was refused that none of our keys signed.
fn unsigned(reason: &'static str) -> Error {
    Error::new(ErrorCode::Unauthenticated).with("reason", reason)
}

fn not_ours() -> Error {
    unsigned("the token is not one of this server")
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
