//! Public keys that somebody else publishes: fetched, kept, and fetched again.
//!
//! One task fetches the keys; whoever verifies a token takes the latest ones without waiting. A token with a key that
//! is not among them makes the task fetch at once, but not every time: tokens cost nothing to invent, and each fetch is
//! a request to somebody else.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::auth::fetch::Fetcher;
use crate::auth::keys::{self, Key, KeySet};
use crate::config::{self, KeySource};
use crate::net::fetch::TIMEOUT;

/// The least time between two fetches that unknown keys cause.
const MIN_GAP: Duration = Duration::from_secs(30);
/// The least time between two reads of a file that unknown keys cause. The file is read so often anyway, because a read
/// costs a few microseconds.
const FILE_INTERVAL: Duration = Duration::from_secs(2);
/// The pause after the first failed fetch; each further failure doubles it, up to a minute.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How long a token waits for its key: the time of a fetch, and a little more.
const MAX_WAIT: Duration = TIMEOUT.saturating_add(Duration::from_secs(1));

/// The intervals of fetches, and how long keys are kept.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// The time between two regular fetches.
    pub refresh: Duration,
    /// How long keys count without a fetch that succeeds.
    pub keep: Duration,
    /// The least time between two fetches that were asked for.
    pub gap: Duration,
    /// The pause after a failed fetch.
    pub retry: Duration,
}

/// The latest public keys.
#[derive(Debug)]
pub struct Published {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
    asked: Notify,
    gap: Duration,
}

#[derive(Debug)]
struct State {
    keys: Arc<[Key]>,
    /// Fetches that have ended, well or not.
    attempts: u64,
    /// Whether a fetch is under way, or about to begin.
    pending: bool,
    /// When a fetch was last asked for.
    asked: Option<Instant>,
}

/// A fetch somebody waits for.
pub struct Waiting {
    state: watch::Receiver<State>,
    attempts: u64,
}

impl Waiting {
    /// Waits until the fetch has ended, or for [`MAX_WAIT`].
    pub async fn done(mut self) {
        let ended = self.state.wait_for(|state| state.attempts > self.attempts);
        let _ = timeout(MAX_WAIT, ended).await;
    }
}

impl Published {
    /// Starts to fetch keys. Needs a runtime.
    pub fn start(source: KeySource, config: &config::Auth) -> Result<Self, String> {
        let fetcher = Fetcher::new(source).map_err(|reason| format!("jwks: {reason}"))?;
        let times = if fetcher.is_cheap() {
            Times { refresh: FILE_INTERVAL, keep: config.jwks_keep.duration(), gap: FILE_INTERVAL, retry: FILE_INTERVAL }
        } else {
            Times { refresh: config.jwks_refresh.duration(), keep: config.jwks_keep.duration(), gap: MIN_GAP, retry: FIRST_RETRY }
        };
        Self::with_times(fetcher, times)
    }

    /// Starts to fetch keys, with intervals that need not be those of the configuration.
    pub fn with_times(fetcher: Fetcher, times: Times) -> Result<Self, String> {
        let runtime = Handle::try_current().map_err(|_| "jwks cannot be fetched without a runtime".to_owned())?;
        let state = State { keys: Arc::default(), attempts: 0, pending: true, asked: None };
        let shared = Arc::new(Shared { state: watch::Sender::new(state), asked: Notify::new(), gap: times.gap });
        let keeper = Keeper { fetcher, times, shared: Arc::clone(&shared), document: Vec::new(), fresh: None, failures: 0 };
        Ok(Self { shared, task: runtime.spawn(keeper.run()).abort_handle() })
    }

    /// The latest keys.
    pub fn keys(&self) -> Arc<[Key]> {
        Arc::clone(&self.shared.state.borrow().keys)
    }

    /// Asks for newer keys. `None` if that was asked a moment ago and no fetch is under way.
    pub fn ask(&self) -> Option<Waiting> {
        let mut attempts = None;
        self.shared.state.send_if_modified(|state| {
            if !state.pending && state.asked.is_none_or(|at| at.elapsed() >= self.shared.gap) {
                (state.pending, state.asked) = (true, Some(Instant::now()));
                self.shared.asked.notify_one();
            }
            attempts = state.pending.then_some(state.attempts);
            false
        });
        Some(Waiting { attempts: attempts?, state: self.shared.state.subscribe() })
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that fetches the keys.
struct Keeper {
    fetcher: Fetcher,
    times: Times,
    shared: Arc<Shared>,
    /// The document that was fetched last.
    document: Vec<u8>,
    /// When a fetch succeeded last.
    fresh: Option<Instant>,
    /// How many fetches have failed since the last success.
    failures: u32,
}

impl Keeper {
    async fn run(mut self) {
        loop {
            self.shared.state.send_if_modified(|state| {
                state.pending = true;
                false
            });
            let keys = match self.fetcher.get().await {
                Ok(document) => self.take(document),
                Err(reason) => Err(reason),
            };
            let keys = keys.unwrap_or_else(|reason| self.failed(&reason));
            self.shared.state.send_modify(|state| {
                state.keys = keys.unwrap_or_else(|| Arc::clone(&state.keys));
                state.attempts += 1;
                state.pending = false;
            });
            let pause = match self.failures {
                0 => self.times.refresh,
                failures => self.times.retry.saturating_mul(1 << (failures - 1).min(10)).min(LAST_RETRY).min(self.times.refresh),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = self.shared.asked.notified() => {}
            }
        }
    }

    /// The keys of a document, or `None` if the document is the same as before.
    fn take(&mut self, document: Vec<u8>) -> Result<Option<Arc<[Key]>>, String> {
        let unchanged = self.fresh.is_some() && self.document == document;
        let set = if unchanged { None } else { Some(keys::read_set(&document)?) };
        if self.failures > 0 {
            tracing::info!(from = %self.fetcher, "the public keys of tokens can be fetched again");
        }
        (self.fresh, self.failures, self.document) = (Some(Instant::now()), 0, document);
        Ok(set.map(|set| self.announce(set)))
    }

    fn announce(&self, KeySet { keys, skipped }: KeySet) -> Arc<[Key]> {
        for reason in &skipped {
            tracing::warn!(from = %self.fetcher, "a public key cannot be used: {reason}");
        }
        if keys.is_empty() {
            tracing::error!(from = %self.fetcher, "there is no public key that can be used: nobody's token is accepted");
        } else {
            tracing::info!(from = %self.fetcher, keys = keys.len(), "public keys of tokens were read");
        }
        keys.into()
    }

    /// The keys that are left after a failure: the old ones (`None`) for a while, and then no keys.
    fn failed(&mut self, reason: &str) -> Option<Arc<[Key]>> {
        let first = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        match self.fresh {
            Some(fresh) if fresh.elapsed() >= self.times.keep => {
                tracing::error!(from = %self.fetcher, "the public keys of tokens are too old to be used and cannot be fetched: {reason}");
                self.fresh = None;
                return Some(Arc::default());
            }
            // The log says this once; for a file that is gone it would otherwise be said every other second.
            Some(_) if first => {
                tracing::warn!(from = %self.fetcher, "the public keys of tokens cannot be fetched, the old ones are used: {reason}")
            }
            None if first || !self.fetcher.is_cheap() => {
                tracing::error!(from = %self.fetcher, "the public keys of tokens cannot be fetched, nobody's token is accepted: {reason}");
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests;
