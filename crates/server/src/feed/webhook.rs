//! The deliveries to one endpoint: in order, one at a time, and tried again until the endpoint accepts them.
//!
//! The store is the outbox: a delivery is read from it by cursor, and the cursor moves only after the endpoint
//! answered. So no state in memory has to survive, and each endpoint has a cursor of its own.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use parlor_store::{FeedEvent, Store, StoreError};
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::wall;
use crate::config::Webhook;
use crate::feed::event::{Event, Events};
use crate::feed::ownership::{Taken, Turn};
use crate::feed::pause::Backoff;
use crate::feed::running::Running;
use crate::hook::kind::Pattern;
use crate::hook::sign::{ID_HEADER, SIGNATURE_HEADER, Signer, TIMESTAMP_HEADER};

/// The most events of one delivery: at 600 bytes each as many as fit into a body of 64 KiB.
pub const PAGE: u32 = 100;
/// How many events that the endpoint does not want are passed over before the store is told, so that a restart need not
/// look at them again.
const PASSED_OVER: i64 = 1000;
/// Bytes of a hash that make a delivery's id: as many as a random id would have.
const ID_BYTES: usize = 16;
/// The most bytes that are read of an answer, so that its connection can be used again.
const MAX_ANSWER: usize = 64 * 1024;

/// The times of deliveries; tests have shorter ones.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The time to connect.
    pub connect: Duration,
    /// The time to the answer, connecting included.
    pub answer: Duration,
    /// The pause after the first failure.
    pub first_pause: Duration,
    /// The longest pause: an endpoint that comes back gets its events within this time.
    pub longest_pause: Duration,
    /// The time between two looks into the store for events that other nodes wrote.
    pub look: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(15),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(300),
            look: Duration::from_secs(2),
        }
    }
}

/// An endpoint, and the events it wants.
pub struct Endpoint {
    name: String,
    label: String,
    url: Url,
    signer: Signer,
    patterns: Vec<Pattern>,
}

impl Endpoint {
    /// Makes an endpoint of its configuration.
    pub fn new(config: &Webhook) -> anyhow::Result<Self> {
        let url = config.address().map_err(|reason| anyhow::anyhow!("the webhook {}: its address {reason}", config.label()))?;
        let signer = config.signer().map_err(|reason| anyhow::anyhow!("the webhook {}: its secret {reason}", config.label()))?;
        let (name, label) = (config.name().to_owned(), config.label());
        Ok(Self { name, label, url, signer, patterns: config.patterns() })
    }

    /// Sets the cursor of an endpoint that the store does not know: it begins with the next event. A host application
    /// does not want to hear of last week as if it were today; if it does, it can read the feed by REST.
    pub async fn begin(&self, store: &Store, last: i64) -> Result<(), StoreError> {
        // The store answers 0 for an unknown endpoint: the cursor of a known one is never 0, even if there is no event yet.
        match store.delivered(&self.name).await? {
            0 => store.set_delivered(&self.name, if last > 0 { last } else { -1 }).await,
            _ => Ok(()),
        }
    }

    fn wants(&self, event: &FeedEvent) -> bool {
        self.patterns.is_empty() || self.patterns.iter().any(|pattern| pattern.matches(&event.kind))
    }
}

/// Makes the HTTP client for all endpoints. Redirects are not followed: they would carry signed events to any place.
pub fn client(timing: &Timing) -> anyhow::Result<Client> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(timing.connect)
        .timeout(timing.answer)
        .user_agent(concat!("Parlor/", env!("CARGO_PKG_VERSION")));
    Ok(client.build()?)
}

/// The result of one try.
enum Answer {
    Taken,
    Gone,
    Failed { reason: String, wait: Option<Duration> },
}

/// The result of a look into the store.
enum Look {
    /// There may be more to deliver at once.
    More,
    /// There is nothing to deliver.
    Nothing,
    /// The endpoint gets no more.
    Over,
}

/// The task that delivers to an endpoint.
pub struct Courier {
    store: Store,
    endpoint: Endpoint,
    client: Client,
    /// The number of the last event in the store; it changes when there are new ones.
    written: watch::Receiver<i64>,
    /// Cancelled when the server stops: deliver what is in the store, wait for nothing.
    finishing: CancellationToken,
    timing: Timing,
    turn: Turn,
    /// The last event that was delivered or passed over; unknown until this node has the turn.
    seen: Option<i64>,
    /// The last event that the store knows to be delivered or passed over.
    noted: i64,
}

impl Courier {
    /// A courier that has not begun. `shared` says that other nodes use the same store and have a courier to the same endpoint.
    pub fn new(store: Store, endpoint: Endpoint, client: Client, feed: &Running, timing: Timing, shared: bool) -> Self {
        let turn = Turn::new(store.clone(), shared.then(|| format!("webhook:{}", endpoint.name)));
        let (written, finishing) = (feed.written.subscribe(), feed.finishing.clone());
        Self { store, endpoint, client, written, finishing, timing, turn, seen: None, noted: 0 }
    }

    /// Delivers until the server stops, or the endpoint is gone.
    pub async fn run(mut self) {
        let mut backoff = self.backoff();
        loop {
            self.written.mark_unchanged();
            let last_look = self.finishing.is_cancelled();
            match self.look().await {
                Ok(Look::More) => backoff.reset(),
                Ok(Look::Nothing) if !last_look => self.wait_for_more().await,
                Ok(Look::Nothing | Look::Over) => break,
                // Another process has this node's place and delivers instead.
                Err(StoreError::Superseded) => break,
                Err(error) => {
                    tracing::warn!(%error, webhook = self.endpoint.label, "events cannot be read, or what was delivered not noted");
                    if !self.rest(backoff.next()).await {
                        break;
                    }
                }
            }
        }
        self.turn.give_back().await;
    }

    /// Delivers one page.
    async fn look(&mut self) -> Result<Look, StoreError> {
        match self.turn.take().await? {
            Taken::Still => {}
            Taken::Anew => self.seen = None,
            Taken::Not => return Ok(Look::Nothing),
        }
        let seen = match self.seen {
            Some(seen) => seen,
            None => self.store.delivered(&self.endpoint.name).await?,
        };
        self.seen = Some(seen);
        let page = self.store.feed_after(seen, PAGE).await?;
        let Some(last) = page.last().map(|event| event.seq) else { return Ok(Look::Nothing) };
        let events: Vec<Event> = page.into_iter().filter(|event| self.endpoint.wants(event)).map(Event::from).collect();
        let any = !events.is_empty();
        if any {
            match self.deliver(&Events { events }).await? {
                Look::More => {}
                other => return Ok(other),
            }
        }
        self.seen = Some(last);
        if any || last - self.noted >= PASSED_OVER {
            self.store.set_delivered(&self.endpoint.name, last).await?;
            self.noted = last;
        }
        Ok(Look::More)
    }

    /// Tries until the endpoint accepts the delivery.
    async fn deliver(&mut self, events: &Events) -> Result<Look, StoreError> {
        let Ok(body) = serde_json::to_vec(events).map(Bytes::from) else { return Ok(Look::Over) };
        let id = id_of(&body);
        let mut backoff = self.backoff();
        loop {
            match self.post(&id, body.clone()).await {
                Answer::Taken => {
                    if backoff.failures() > 0 {
                        tracing::info!(webhook = self.endpoint.label, failures = backoff.failures(), "a webhook takes events again");
                    }
                    return Ok(Look::More);
                }
                Answer::Gone => {
                    tracing::error!(
                        webhook = self.endpoint.label,
                        "a webhook says 410, it is gone: it gets no events until the next start"
                    );
                    return Ok(Look::Over);
                }
                Answer::Failed { reason, wait } => {
                    if backoff.failures() == 0 {
                        tracing::warn!(webhook = self.endpoint.label, reason, "a webhook does not take events: they wait in the store");
                    }
                    let pause = backoff.next().max(wait.unwrap_or_default()).min(self.timing.longest_pause);
                    tracing::debug!(webhook = self.endpoint.label, reason, ?pause, "a delivery failed");
                    if !self.rest(pause).await {
                        return Ok(Look::Over);
                    }
                }
            }
            // During a long pause another node may have taken over, and have delivered more.
            if !matches!(self.turn.take().await?, Taken::Still) {
                self.turn.forget();
                return Ok(Look::Nothing);
            }
        }
    }

    async fn post(&self, id: &str, body: Bytes) -> Answer {
        // Each try is signed anew, because the receiver refuses an old signature.
        let now = wall().0 / 1000;
        let signature = self.endpoint.signer.header(id, now, &body);
        let request = self
            .client
            .post(self.endpoint.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(ID_HEADER, id)
            .header(TIMESTAMP_HEADER, now)
            .header(SIGNATURE_HEADER, signature)
            .body(body);
        match request.send().await {
            Ok(response) => {
                let answer = judge(&response);
                drain(response).await;
                answer
            }
            Err(error) => Answer::Failed { reason: causes(&error.without_url()), wait: None },
        }
    }

    /// Waits until there is a reason to look again.
    async fn wait_for_more(&mut self) {
        tokio::select! {
            () = self.finishing.cancelled() => {}
            _ = self.written.changed() => {}
            () = tokio::time::sleep(self.timing.look) => {}
        }
    }

    /// Waits for a time; returns false if the server stops.
    async fn rest(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.finishing.cancelled() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }

    const fn backoff(&self) -> Backoff {
        Backoff::new(self.timing.first_pause, self.timing.longest_pause)
    }
}

/// The id of a delivery: it follows from the events in it, so that it is the same after a restart too. Each event has a
/// random id of its own, so no other delivery has this id.
fn id_of(body: &[u8]) -> String {
    let hash = digest(&SHA256, body);
    hash.as_ref().iter().take(ID_BYTES).fold("msg_".to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

fn judge(response: &Response) -> Answer {
    match response.status() {
        status if status.is_success() => Answer::Taken,
        StatusCode::GONE => Answer::Gone,
        status => {
            let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
            Answer::Failed { reason: format!("it answers {status}"), wait: after.map(Duration::from_secs) }
        }
    }
}

/// Reads a short answer to its end, which frees the connection for the next delivery; after a long one the connection is closed.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > MAX_ANSWER {
            return;
        }
    }
}

/// The text of an error with its causes: the outermost alone says only that it failed.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
