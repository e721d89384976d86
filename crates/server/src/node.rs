//! The name of this node in the store, which one living process at a time has: what a crashed run owed is found by it, and
//! a second process that settled it would end calls that go on. Whoever lost it stops.

use std::time::{Duration, Instant};

use parlor_store::{Lease, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::wall;

/// A lease is taken again this many times before it would end.
const RENEWALS: u32 = 3;
/// How much longer than a lease lasts a start waits for one that is not renewed: a dead process cannot have it then.
const BEYOND: Duration = Duration::from_secs(1);
/// The longest start: a lease that is said to last longer was never ours.
const MAX_PATIENCE: Duration = Duration::from_secs(61);
/// How often a start asks meanwhile.
const ASK: Duration = Duration::from_millis(250);
/// How long a server that stops waits for the store to take it back; without, it ends by itself.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_millis(500);

/// The name, kept until it is given back, lost, or the process ends.
#[derive(Debug)]
pub struct Node {
    store: Store,
    lease: String,
    stopping: CancellationToken,
    lost: CancellationToken,
    renewing: JoinHandle<()>,
}

impl Node {
    /// Takes the name for `lasts`, again and again. Fails if a living process has it.
    pub async fn take(store: &Store, name: &str, shared: bool, lasts: Duration) -> anyhow::Result<Self> {
        // A store that is not shared has one node, whatever it is called.
        let lease = if shared { format!("node:{name}") } else { "node".to_owned() };
        let Some(taken) = claim(store, &lease, lasts).await? else {
            let own = if shared {
                "a name of its own (feed.node, PARLOR_FEED__NODE)"
            } else {
                "a store of its own (store.url, PARLOR_STORE__URL)"
            };
            anyhow::bail!("another Parlor is running with this store as node \"{name}\". Stop it first, or give this one {own}.");
        };
        let (stopping, lost) = (CancellationToken::new(), CancellationToken::new());
        let store = store.fenced(taken);
        let renewing = tokio::spawn(renew(store.clone(), lease.clone(), lasts, stopping.clone(), lost.clone()));
        Ok(Self { store, lease, stopping, lost, renewing })
    }

    /// The store for as long as the name is ours: it takes nothing from a process that lost it.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Waits until another process has the name.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Lets the next process have it at once.
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

/// Takes the lease as soon as it has ended. One that is not renewed for longer than it lasts belongs to a dead process
/// whatever the clocks say: they may have been set since.
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
            // It is renewed, unless it has just been given back.
            return store.lease(lease, wall(), lasts).await;
        }
    }
    match seen {
        Some(seen) => store.lease(lease, seen.until.max(wall()), lasts).await,
        None => Ok(None),
    }
}

/// Keeps it. A store that does not answer is asked again: nobody else can take the name from it without being seen when it
/// answers, and until then it takes nothing from us either.
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

/// Why a server that lost its place ends.
#[must_use]
pub fn superseded(lasts: Duration) -> anyhow::Error {
    anyhow::anyhow!(
        "another Parlor has taken the place of this one in the store: this one was paused, or cut off from the store, for longer than \
         {} ms (store.lease_ms), and another was started meanwhile. Its calls are over; people join again with the other one.",
        lasts.as_millis()
    )
}
