//! Whose turn it is to tell an endpoint, where several nodes share a store.

use std::time::{Duration, Instant};

use parlor_store::{Store, StoreError};

use crate::clock::wall;

/// For how long a turn is taken. A node that dies leaves the endpoint to another one after this.
const LEASE: Duration = Duration::from_secs(30);
/// With less than this left it is taken again: a delivery takes no longer ([`crate::feed::webhook::Timing`]).
const RENEW: Duration = Duration::from_secs(20);

/// What came of asking for a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is ours, and was ours all the time since the last answer.
    Still,
    /// It is ours now; another node may have had it before.
    Anew,
    /// Another node has it.
    Not,
}

/// The turn of one endpoint.
pub struct Turn {
    store: Store,
    /// `None`: there is no other node.
    name: Option<String>,
    until: Option<Instant>,
}

impl Turn {
    /// Not taken yet.
    pub const fn new(store: Store, name: Option<String>) -> Self {
        Self { store, name, until: None }
    }

    /// Takes it, or keeps it.
    pub async fn take(&mut self) -> Result<Taken, StoreError> {
        let Some(name) = &self.name else { return Ok(Taken::Still) };
        let asked = Instant::now();
        let left = self.until.map(|until| until.saturating_duration_since(asked)).unwrap_or_default();
        if left > RENEW {
            return Ok(Taken::Still);
        }
        let taken = self.store.lease(name, wall(), LEASE).await?.is_some();
        self.until = taken.then(|| asked + LEASE);
        Ok(match taken {
            true if left > Duration::ZERO => Taken::Still,
            true => Taken::Anew,
            false => Taken::Not,
        })
    }

    /// Makes the next answer [`Taken::Anew`] or [`Taken::Not`].
    pub const fn forget(&mut self) {
        self.until = None;
    }

    /// Lets another node have it.
    pub async fn give_back(&mut self) {
        if let (Some(name), Some(_)) = (&self.name, self.until.take())
            && let Err(error) = self.store.lease(name, wall(), Duration::ZERO).await
        {
            tracing::debug!(%error, "a turn could not be given back; it ends by itself");
        }
    }
}
