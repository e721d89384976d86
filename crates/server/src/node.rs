//! The name of this node in the store. One living process at a time has it: the calls that a crashed run left open are found by the
//! name, and a second process that settled them would end calls that are still running. A process that lost the name stops.

use std::time::{Duration, Instant};

use parlor_store::{Lease, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::wall;

/// How many times a lease is renewed before it would end.
const RENEWALS: u32 = 3;
/// How much longer than a lease lasts a start waits for one that is not renewed: a dead process cannot have it then.
const BEYOND: Duration = Duration::from_secs(1);
/// The longest wait of a start: a lease that claims to last longer was never one of this server.
const MAX_PATIENCE: Duration = Duration::from_secs(61);
/// How often a start asks for the lease while it waits.
const ASK: Duration = Duration::from_millis(250);
/// How long a stopping server waits for the store to take the lease back; otherwise the lease ends by itself.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_millis(500);

/// The node's name, kept until it is given back, lost, or the process ends.
#[derive(Debug)]
pub struct Node {
    store: Store,
    lease: String,
    stopping: CancellationToken,
    lost: CancellationToken,
    renewing: JoinHandle<()>,
}

impl Node {
    /// Takes the name for `lasts`, and renews it. Fails if a living process has the name.
    pub async fn take(store: &Store, name: &str, shared: bool, lasts: Duration) -> anyhow::Result<Self> {
        // A store that is not shared has one node, whatever its name is.
        let lease = if shared { format!("node:{name}") } else { "node".to_owned() };
        let Some(taken) = claim(store, &lease, lasts).await? else {
            if shared {
                anyhow::bail!(
                    "another Parlor is running with this store as node \"{name}\". Stop it first, or give this one a name of its own \
                     (feed.node, PARLOR_FEED__NODE)."
                );
            }
            anyhow::bail!(
                "another Parlor is running with this store. Stop it first, or give this one a store of its own (store.url, \
                 PARLOR_STORE__URL)."
            );
        };
        let (stopping, lost) = (CancellationToken::new(), CancellationToken::new());
        let store = store.fenced(taken);
        let renewing = tokio::spawn(renew(store.clone(), lease.clone(), lasts, stopping.clone(), lost.clone()));
        Ok(Self { store, lease, stopping, lost, renewing })
    }

    /// The store, for as long as this process has the name: it takes no write from a process that lost it.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until another process has the name.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Gives the name back, so that the next process can have it at once.
    pub async fn give_back(self) {
        self.stopping.cancel();
        let end = async {
            let _ = self.renewing.await;
            self.store.lease(&self.lease, wall(), Duration::ZERO).await
        };
        if !matches!(tokio::time::timeout(GIVE_BACK_TIMEOUT, end).await, Ok(Ok(Some(_)))) {
            tracing::debug!("the name of this node could not be given back; it is free in some seconds");
        }
    }
}

/// Takes the lease as soon as it has ended. A lease that is not renewed for longer than it lasts belongs to a dead
/// process whatever the clocks say: they may have been set since.
async fn claim(store: &Store, lease: &str, lasts: Duration) -> Result<Option<Lease>, StoreError> {
    let (began, seen) = (Instant::now(), store.lease_end(lease).await?);
    let patience = seen.map_or(lasts, |seen| seen.lasts).saturating_add(BEYOND).min(MAX_PATIENCE);
    let mut told = false;
    while began.elapsed() < patience {
        if let Some(taken) = store.lease(lease, wall(), lasts).await? {
            return Ok(Some(taken));
        }
        if !std::mem::replace(&mut told, true) {
            tracing::info!("the last run ended without a goodbye a moment ago, or another one is going on: waiting to see which");
        }
        tokio::time::sleep(ASK).await;
        if seen.is_some() && store.lease_end(lease).await? != seen {
            // The lease is renewed by another process, unless it has just been given back.
            return store.lease(lease, wall(), lasts).await;
        }
    }
    match seen {
        Some(seen) => store.lease(lease, seen.until.max(wall()), lasts).await,
        None => Ok(None),
    }
}

/// Renews the lease until the server stops. A store that does not answer is asked again: no other process can take the
/// name unnoticed, and until the store answers it takes no writes from this process either.
async fn renew(store: Store, lease: String, lasts: Duration, stopping: CancellationToken, lost: CancellationToken) {
    let pause = lasts / RENEWALS;
    while stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        match tokio::time::timeout(pause, store.lease(&lease, wall(), lasts)).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None) | Err(StoreError::Superseded)) => {
                tracing::error!("another Parlor has taken the place of this one in the store");
                return lost.cancel();
            }
            Ok(Err(error)) => tracing::debug!(%error, "the name of this node could not be kept; trying again"),
            Err(_) => tracing::debug!("the name of this node could not be kept in time; trying again"),
        }
    }
}

/// The error of a server that lost its name to another process.
#[must_use]
pub fn superseded(lasts: Duration) -> anyhow::Error {
    anyhow::anyhow!(
        "another Parlor has taken the place of this one in the store: this one was paused, or cut off from the store, for longer than \
         {} ms (store.lease_ms), and another was started meanwhile. Its calls are over; people join again with the other one.",
        lasts.as_millis()
    )
}
