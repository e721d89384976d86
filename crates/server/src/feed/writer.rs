//! The task that writes events to the store: in order, many in one transaction, and again until the store takes them.

use std::time::Duration;

use parlor_store::{FeedEvent, MAX_PAGE, NewFeedEvent, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::feed::pause::Backoff;

/// The most events of one transaction. While one is written the next ones gather, so a busy store gets larger ones.
const BATCH: usize = 500;
/// Pauses while the store does not answer: few events can wait, so the store is soon asked again.
pub const PAUSES: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// How often events are tried again that the store refuses although it answers.
const REFUSALS: u32 = 3;

/// The store of events, as an interface; tests have one that fails.
pub trait Outbox: Sync {
    /// Appends all events or none, and returns the number of the last.
    fn append(&self, node: &str, events: &[NewFeedEvent]) -> impl Future<Output = Result<i64, StoreError>> + Send;
    /// Reads a page of the events after a number.
    fn after(&self, seq: i64) -> impl Future<Output = Result<Vec<FeedEvent>, StoreError>> + Send;
}

impl Outbox for Store {
    fn append(&self, node: &str, events: &[NewFeedEvent]) -> impl Future<Output = Result<i64, StoreError>> + Send {
        self.append_feed(node, events)
    }

    fn after(&self, seq: i64) -> impl Future<Output = Result<Vec<FeedEvent>, StoreError>> + Send {
        self.feed_after(seq, MAX_PAGE)
    }
}

/// The task that writes the queued events.
pub struct Writer<S> {
    /// The store to which events are written.
    pub store: S,
    /// The name of the node whose events these are.
    pub node: String,
    /// The events that rooms published.
    pub queue: mpsc::Receiver<NewFeedEvent>,
    /// The number of the last event known to be in the store, for the couriers.
    pub written: watch::Sender<i64>,
    /// The pauses while the store does not answer: [`PAUSES`], or shorter ones in tests.
    pub pauses: Backoff,
}

impl<S: Outbox> Writer<S> {
    /// Writes until the server stops, and then what is still in the queue.
    pub async fn run(mut self, stopping: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                // A closed queue still gives what is in it.
                () = stopping.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                count = self.queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    if self.append(&batch).await == Err(StoreError::Superseded) {
                        return self.discard(stopping).await;
                    }
                    batch.clear();
                }
            }
        }
    }

    /// Tries until the store has all events. An event that the store will never take must not hold up the others for
    /// ever: when the store refuses a batch, each event is written by itself. The only error is that this process lost
    /// its place in the store.
    async fn append(&self, batch: &[NewFeedEvent]) -> Result<(), StoreError> {
        match self.append_patiently(batch).await {
            Ok(()) => return Ok(()),
            Err(StoreError::Superseded) => return Err(StoreError::Superseded),
            Err(_) => {}
        }
        for event in batch {
            match self.append_patiently(std::slice::from_ref(event)).await {
                Ok(()) => {}
                Err(StoreError::Superseded) => return Err(StoreError::Superseded),
                Err(error) => {
                    tracing::error!(%error, kind = event.kind, channel = %event.channel, "the store refuses an event: the feed lacks it");
                }
            }
        }
        Ok(())
    }

    /// Takes events and drops them until the server stops: the process that has this node's place reports the end of its rooms.
    async fn discard(mut self, stopping: CancellationToken) {
        tracing::error!("another Parlor writes the feed in the place of this one: nothing more is written here");
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                () = stopping.cancelled(), if !self.queue.is_closed() => self.queue.close(),
                count = self.queue.recv_many(&mut batch, BATCH) => {
                    if count == 0 {
                        return;
                    }
                    batch.clear();
                }
            }
        }
    }

    /// Tries for as long as the store does not answer, and some times when it refuses.
    async fn append_patiently(&self, events: &[NewFeedEvent]) -> Result<(), StoreError> {
        let mut backoff = self.pauses.clone();
        loop {
            let error = match self.append_once(events, backoff.failures() > 0).await {
                Ok(last) => {
                    if backoff.failures() > 0 {
                        tracing::info!("events are stored again");
                    }
                    self.written.send_replace(last);
                    return Ok(());
                }
                Err(error) => error,
            };
            let superseded = error == StoreError::Superseded;
            if superseded || (!matches!(error, StoreError::Unavailable(_)) && backoff.failures() >= REFUSALS) {
                return Err(error);
            }
            if backoff.failures() == 0 {
                let waiting = events.len() + self.queue.len();
                tracing::error!(%error, waiting, "events cannot be stored: they wait, and nothing is lost so far");
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Appends events, unless an attempt before this one did and only its answer was lost.
    async fn append_once(&self, events: &[NewFeedEvent], again: bool) -> Result<i64, StoreError> {
        if again && let Some(last) = self.found(events).await? {
            return Ok(last);
        }
        self.store.append(&self.node, events).await
    }

    /// Looks for events among those that came after the last one known, and returns the number of the last of them. All
    /// or none are there, so the first one tells; ids and times in it make it differ from every other.
    async fn found(&self, events: &[NewFeedEvent]) -> Result<Option<i64>, StoreError> {
        let Some(first) = events.first() else { return Ok(None) };
        let mut after = *self.written.borrow();
        loop {
            let page = self.store.after(after).await?;
            let same = |event: &&FeedEvent| {
                event.kind == first.kind && event.at == first.at && event.channel == first.channel && event.data == first.data
            };
            if let Some(found) = page.iter().find(same) {
                let others = i64::try_from(events.len()).unwrap_or(i64::MAX).saturating_sub(1);
                return Ok(Some(found.seq.saturating_add(others)));
            }
            match page.last() {
                Some(last) => after = last.seq,
                None => return Ok(None),
            }
        }
    }
}
