//! Readiness: whether the store takes writes, asked no more often than is useful.

use std::time::Duration;

use parlor_store::StoreError;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long the store may take to give a sign of life before this server is not ready for clients.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the store's last answer counts: health checks are not limited, and frequent ones must not keep the store busy.
const FRESH: Duration = Duration::from_secs(1);

/// The last answer to whether the store takes writes, and if not, why not.
#[derive(Debug, Default)]
pub struct Ready(Mutex<Option<(Instant, Result<(), String>)>>);

impl Ready {
    /// Asks the store, unless that was done a moment ago. Callers that come meanwhile wait for the same answer.
    pub async fn ask(&self, ping: impl AsyncFnOnce() -> Result<(), StoreError>) -> Result<(), String> {
        let mut known = self.0.lock().await;
        match known.as_ref() {
            Some((at, ready)) if at.elapsed() < FRESH => ready.clone(),
            _ => {
                let ready = match timeout(STORE_TIMEOUT, ping()).await {
                    Ok(answer) => answer.map_err(|error| why_not(&error)),
                    Err(_) => Err("the store does not answer".to_owned()),
                };
                *known = Some((Instant::now(), ready.clone()));
                ready
            }
        }
    }
}

/// Why the store would take no write. Anybody may read it: these sentences are a closed list, with nothing of a query,
/// an address or a user in it.
fn why_not(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(_) | StoreError::Superseded | StoreError::Failed(_) => error.to_string(),
        _ => "the store takes no writes; the log says more".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn however_many_ask_the_store_is_asked_once_a_second() {
        let (ready, pings) = (Ready::default(), AtomicU32::new(0));
        let ask = || {
            ready.ask(async || {
                pings.fetch_add(1, Ordering::Relaxed);
                sleep(Duration::from_millis(10)).await;
                Ok(())
            })
        };
        assert_eq!(join_all((0..100).map(|_| ask())).await, vec![Ok(()); 100]);
        assert_eq!(pings.load(Ordering::Relaxed), 1);
        advance(FRESH).await;
        assert_eq!(ask().await, Ok(()));
        assert_eq!(pings.load(Ordering::Relaxed), 2);
        advance(FRESH).await;
        let silent = ready.ask(async || std::future::pending().await).await;
        assert_eq!(silent, Err("the store does not answer".to_owned()), "it takes too long");
        advance(FRESH).await;
        let refused = ready.ask(async || Err(StoreError::Unavailable("it does not let this user write"))).await;
        assert_eq!(refused, Err("the database is not available: it does not let this user write".to_owned()));
    }
}
