//! The caller of the REST API: the bearer of an API key, or a user with a token.

use parlor_proto::{Actor, ErrorCode, Identity};

use super::scope::Scope;
use crate::http::api::problem::Problem;

/// The bearer of an API key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    pub(super) key: String,
    pub(super) scopes: Vec<String>,
}

impl Caller {
    /// The name of the caller in the audit log.
    pub fn actor(&self) -> Actor {
        Actor::Key(self.key.clone())
    }

    /// Refuses a caller whose key does not have this scope.
    pub fn need(&self, scope: Scope) -> Result<(), Problem> {
        if scope.is_in(&self.scopes) {
            return Ok(());
        }
        let sentence = format!("This API key lacks the scope \"{scope}\". Use another key, or make one with this scope.");
        Err(Problem::new(ErrorCode::PermissionDenied).say(sentence).with("scope", scope.name()))
    }
}

/// Who may look at a call: an administrator, or a user.
#[derive(Clone, Debug)]
pub enum Visitor {
    /// An administrator, with an API key.
    Key,
    /// A user, with a token.
    User(Box<Identity>),
}

/// A user with a token.
#[derive(Clone, Debug)]
pub struct SignedIn(pub Box<Identity>);
