//! Turns at an endpoint: where several nodes share a store, only one of them delivers at a time.

use std::time::{Duration, Instant};

use parlor_store::{Store, StoreError};

use crate::clock::wall;

/// How long a turn is taken for. If a node dies, another one can deliver to the endpoint after this time.
const LEASE: Duration = Duration::from_secs(30);
/// The least time a turn must have left; with less, it is taken again. No delivery takes longer: see
/// [`crate::feed::webhook::Timing`].
const RENEW: Duration = Duration::from_secs(20);

/// The result of asking for a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// This node has the turn, and has had it all the time since the last answer.
    Still,
    /// This node has the turn now; another node may have had it before.
    Anew,
    /// Another node has the turn.
    Not,
}

/// The turn of one endpoint.
pub struct Turn {
    store: Store,
    /// The name of the turn; `None` if there is no other node.
    name: Option<String>,
    until: Option<Instant>,
}

impl Turn {
    /// A turn that is not taken yet.
    pub const fn new(store: Store, name: Option<String>) -> Self {
        Self { store, name, until: None }
    }

    /// Takes the turn, or keeps it.
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

    /// Gives the turn back, so that another node can have it.
    pub async fn give_back(&mut self) {
        if let (Some(name), Some(_)) = (&self.name, self.until.take())
            && let Err(error) = self.store.lease(name, wall(), Duration::ZERO).await
        {
            tracing::debug!(%error, "a turn could not be given back; it ends by itself");
        }
    }
}
