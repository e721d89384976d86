//! The name of this node in the store, which one living process at a time has: what a crashed run owed is found by it, and
//! a second process that settled it would end calls that go on.

use std::time::{Duration, Instant};

use parlor_proto::Timestamp;
use parlor_store::{Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::wall;

/// For how long the name is taken: after a crash the next start waits at most so long.
const LEASE_MS: i64 = 5_000;
/// How often it is taken again.
const RENEW: Duration = Duration::from_secs(2);
/// How long a start waits for a name that another process has: longer than a dead one can have it.
const PATIENCE: Duration = Duration::from_millis(LEASE_MS.unsigned_abs() + 1_000);
/// How often it asks meanwhile.
const ASK: Duration = Duration::from_millis(250);
/// How long a server that stops waits for the store to take it back; without, it ends by itself.
const GIVE_BACK_TIMEOUT: Duration = Duration::from_secs(1);

/// The name, kept until it is given back or the process ends.
#[derive(Debug)]
pub struct Node {
    store: Store,
    lease: String,
    stopping: CancellationToken,
    renewing: JoinHandle<()>,
}

impl Node {
    /// Takes the name. Fails if a living process has it.
    pub async fn take(store: &Store, name: &str, shared: bool) -> anyhow::Result<Self> {
        // A store that is not shared has one node, whatever it is called.
        let lease = if shared { format!("node:{name}") } else { "node".to_owned() };
        if !claim(store, &lease).await? {
            let own = if shared {
                "a name of its own (feed.node, PARLOR_FEED__NODE)"
            } else {
                "a store of its own (store.url, PARLOR_STORE__URL)"
            };
            anyhow::bail!("another Parlor is running with this store as node \"{name}\". Stop it first, or give this one {own}.");
        }
        let stopping = CancellationToken::new();
        let renewing = tokio::spawn(renew(store.clone(), lease.clone(), stopping.clone()));
        Ok(Self { store: store.clone(), lease, stopping, renewing })
    }

    /// Lets the next process have it at once.
    pub async fn give_back(self) {
        self.stopping.cancel();
        let end = async {
            let _ = self.renewing.await;
            let now = wall();
            self.store.lease(&self.lease, now, now).await
        };
        if !matches!(tokio::time::timeout(GIVE_BACK_TIMEOUT, end).await, Ok(Ok(_))) {
            tracing::debug!("the name of this node could not be given back; it is free in some seconds");
        }
    }
}

/// Takes the lease as soon as it has ended. One that is not renewed all the time we wait belongs to a dead process whatever
/// the clocks say: they may have been set since.
async fn claim(store: &Store, lease: &str) -> Result<bool, StoreError> {
    let (began, seen) = (Instant::now(), store.lease_end(lease).await?);
    let mut told = false;
    while began.elapsed() < PATIENCE {
        if take(store, lease, wall()).await? {
            return Ok(true);
        }
        if !told {
            tracing::info!("the last run ended without a goodbye a moment ago, or another one is going on: waiting to see which");
            told = true;
        }
        tokio::time::sleep(ASK).await;
    }
    match seen {
        Some(end) => take(store, lease, end).await,
        None => Ok(false),
    }
}

/// Takes it, if it is ours or has ended by that moment.
async fn take(store: &Store, lease: &str, by: Timestamp) -> Result<bool, StoreError> {
    store.lease(lease, by, Timestamp(wall().0.saturating_add(LEASE_MS))).await
}

async fn renew(store: Store, lease: String, stopping: CancellationToken) {
    let mut kept = true;
    while stopping.run_until_cancelled(tokio::time::sleep(RENEW)).await.is_some() {
        match take(&store, &lease, wall()).await {
            Ok(taken) => {
                if kept && !taken {
                    tracing::error!("another Parlor has taken the place of this one in the store: one of them must be stopped");
                }
                kept = taken;
            }
            // Nobody else can take it from a store that does not answer.
            Err(error) => tracing::debug!(%error, "the name of this node could not be kept; trying again"),
        }
    }
}
