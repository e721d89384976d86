//! The TURN servers of Metered, as its REST API tells them: fetched, kept, and fetched again.
//!
//! One task fetches; whoever joins takes the latest list without waiting. Only before the first answer somebody waits, and not
//! for long. The API does not say when a credential ends: a list counts for as long as a credential of one's own would.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::event::IceServer;
use reqwest::StatusCode;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::config::ice_url::IceUrl;
use crate::net::fetch::{Document, FetchError};

/// The time between two fetches: so late a change at Metered is noticed.
const REFRESH: Duration = Duration::from_secs(10 * 60);
/// The pause after the first failed fetch; each further failure doubles it, up to a minute.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// How long a join waits for the first answer: a call without TURN is better than one that begins late.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The most servers of an answer, addresses of a server, and bytes of a name or password: the API gives five servers with
/// one address each. All of it goes into every reply to a join.
const MAX_SERVERS: usize = 16;
const MAX_URLS: usize = 8;
const MAX_TEXT: usize = 512;

/// The latest list of servers.
#[derive(Debug)]
pub struct Metered {
    state: watch::Receiver<State>,
    task: AbortHandle,
}

#[derive(Clone, Default, Debug)]
struct State {
    servers: Option<Arc<[IceServer]>>,
    /// Whether a fetch has ended, well or not.
    tried: bool,
}

impl Metered {
    /// Begins to fetch the list. It counts for `keep` after a fetch that succeeded. Needs a runtime.
    pub fn start(document: Document, keep: Duration) -> Self {
        let (sender, state) = watch::channel(State::default());
        let name = document.to_string();
        let keeper = Keeper { name, keep, fresh: None, failures: 0 };
        let document = Arc::new(document);
        let fetch = move || {
            let document = Arc::clone(&document);
            async move { document.get().await }
        };
        Self { state, task: tokio::spawn(keeper.run(fetch, sender)).abort_handle() }
    }

    /// The latest servers; `None` if there are none.
    pub async fn servers(&self) -> Option<Arc<[IceServer]>> {
        let mut state = self.state.clone();
        let _ = timeout(FIRST_WAIT, state.wait_for(|state| state.tried)).await;
        self.state.borrow().servers.clone()
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The task that fetches the list.
struct Keeper {
    /// The address as the log names it.
    name: String,
    keep: Duration,
    /// When a fetch succeeded last.
    fresh: Option<Instant>,
    /// How many fetches have failed since.
    failures: u32,
}

impl Keeper {
    async fn run<F, Fetching>(mut self, fetch: F, state: watch::Sender<State>)
    where
        F: Fn() -> Fetching + Send,
        Fetching: Future<Output = Result<Vec<u8>, FetchError>> + Send,
    {
        loop {
            let answer = match fetch().await {
                Ok(document) => read(&document).map_err(FetchError::Failed),
                Err(error) => Err(error),
            };
            match answer {
                Ok(servers) => self.took(servers, &state),
                Err(error) => self.failed(&error, &state),
            }
            sleep(self.pause()).await;
        }
    }

    fn took(&mut self, servers: Vec<IceServer>, state: &watch::Sender<State>) {
        if self.failures > 0 {
            tracing::info!(from = %self.name, "the TURN servers can be fetched again");
        }
        (self.fresh, self.failures) = (Some(Instant::now()), 0);
        state.send_replace(State { servers: Some(servers.into()), tried: true });
    }

    /// The old list is told for a while, unless the API says that the key is none any more: then neither are its passwords.
    fn failed(&mut self, error: &FetchError, state: &watch::Sender<State>) {
        let refused = matches!(error, FetchError::Status(StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
        let over = refused || self.fresh.is_none_or(|fresh| fresh.elapsed() >= self.keep);
        // Said when it begins, and when the old list ends with it; what follows from it is counted at each join.
        if self.failures == 0 {
            tracing::warn!(from = %self.name, "the TURN servers cannot be fetched{}: {error}", if over { "" } else { ", the old ones are told" });
        } else if over && self.fresh.is_some() {
            tracing::warn!(from = %self.name, "the TURN servers cannot be fetched, and the old ones are too old to be told: {error}");
        }
        self.failures = self.failures.saturating_add(1);
        state.send_modify(|state| {
            state.tried = true;
            if over {
                state.servers = None;
            }
        });
        if over {
            self.fresh = None;
        }
    }

    fn pause(&self) -> Duration {
        match self.failures {
            0 => REFRESH,
            failures => FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10)).min(LAST_RETRY),
        }
    }
}

/// A server as the API writes it: one address, or a list of them.
#[derive(Deserialize)]
struct Given {
    urls: Urls,
    username: Option<String>,
    credential: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Urls {
    One(String),
    Many(Vec<String>),
}

/// Reads an answer of the API. A browser refuses a whole call for one address it cannot read, so everything is looked at. What
/// is said of a wrong answer quotes nothing of it: there are passwords in it.
fn read(document: &[u8]) -> Result<Vec<IceServer>, String> {
    let given: Vec<Given> = serde_json::from_slice(document).map_err(|_| "the answer is no list of ICE servers".to_owned())?;
    if given.len() > MAX_SERVERS {
        return Err(format!("the answer has more than {MAX_SERVERS} servers"));
    }
    let servers = given.into_iter().map(|Given { urls, username, credential }| {
        let urls = match urls {
            Urls::One(url) => vec![url],
            Urls::Many(urls) => urls,
        };
        let too_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT);
        if urls.is_empty() || urls.len() > MAX_URLS || too_long(&username) || too_long(&credential) {
            return Err("a server of the answer has no address, or too much of something".to_owned());
        }
        let parsed: Option<Vec<_>> = urls.iter().map(|url| IceUrl::parse(url)).collect();
        let parsed = parsed.ok_or_else(|| "an address of the answer is none".to_owned())?;
        if parsed.iter().any(|url| url.relay) && (username.is_none() || credential.is_none()) {
            return Err("a TURN server of the answer has no user name or password".to_owned());
        }
        Ok(IceServer { urls, username, credential })
    });
    let servers: Vec<_> = servers.collect::<Result<_, _>>()?;
    let relays = |server: &IceServer| server.urls.iter().any(|url| IceUrl::parse(url).is_some_and(|url| url.relay));
    if servers.iter().any(relays) { Ok(servers) } else { Err("the answer has no TURN server".to_owned()) }
}

#[cfg(test)]
mod tests;
