//! Authentication: the identity of a connection, taken from a signed token (JWT) and from nothing else.

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
use keys::{Key, SignatureCheck, Unverified};

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
    /// The user, and what the token says about the user.
    pub identity: Identity,
    expires: Timestamp,
    rules: Arc<Rules>,
}

impl Pass {
    /// Whether the token is still valid. A join checks it again; a call that is under way goes on after its end.
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

/// The reason why `[auth]` cannot be used as it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// A secret is missing or weak.
    #[error(
        "{0} Make one with `openssl rand -hex 32` and set it as auth.secret in parlor.toml or as PARLOR_AUTH__SECRET. To try Parlor without one, start it with `parlor serve --dev`; that hands tokens out at POST /api/dev/token (README, \"Tokens\")."
    )]
    Secret(String),
    /// There is no secret to sign with.
    #[error(
        "this server takes the tokens of the keys in auth.jwks, and their private halves are elsewhere: Parlor cannot sign with them. Let your application sign, or set auth.secret as well, then the server takes both."
    )]
    NothingToSignWith,
    /// A problem with another key of the section.
    #[error("auth.{0}")]
    Other(String),
}

/// The result of checking a token with the keys at hand.
#[derive(Debug)]
pub enum Checked {
    /// The token was accepted or refused.
    Now(Result<Pass, Error>),
    /// The token is signed with a key that is not here, but may be where the other keys came from: the key is being
    /// fetched, and [`Authenticator::verify`] waits for it.
    UnknownKey,
}

impl Checked {
    /// The result if no key is waited for any more: a token with an unknown key is refused.
    fn or_refused(self) -> Result<Pass, Error> {
        match self {
            Self::Now(result) => result,
            Self::UnknownKey => Err(not_ours()),
        }
    }
}

impl Authenticator {
    /// Takes the configured keys; in development mode a missing secret is made. Public keys are fetched from now on,
    /// which needs a runtime; the fetch is not waited for.
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

    /// Verifies a token; its identity is the session's for good. If the token's key has to be fetched first, this waits
    /// for it, for seconds at the most.
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

    /// Verifies a token without waiting. If its key is not known, the key is fetched from now on.
    pub fn check(&self, token: &str) -> Checked {
        match (self.check_at(token, now()), &self.published) {
            (Checked::UnknownKey, Some(published)) if published.ask().is_some() => Checked::UnknownKey,
            // The key was looked for a moment ago: it will not be there now, unless it came in between.
            (Checked::UnknownKey, _) => Checked::Now(self.check_at(token, now()).or_refused()),
            (checked, _) => checked,
        }
    }

    /// Issues a token with the claims of a wish.
    pub fn issue_for(&self, wish: &Wish) -> Result<Issued, Error> {
        let issuer = self.issuer.as_ref().ok_or(ErrorCode::ServerError)?;
        Ok(issuer.issue(wish, now())?)
    }

    /// Issues a token for a user, with nothing special in it.
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
            (SignatureCheck::UnknownKey, Some(published)) => token.verify(&published.keys()),
            (SignatureCheck::UnknownKey, None) => SignatureCheck::Forged,
            (verdict, _) => verdict,
        };
        match verdict {
            SignatureCheck::Signed(claims) => Checked::Now(self.pass(&claims, now)),
            SignatureCheck::Forged => Checked::Now(Err(not_ours())),
            SignatureCheck::UnknownKey => Checked::UnknownKey,
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

/// The refusal of a token that none of the server's keys signed; anybody may know this much of why.
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
