//! The event feed: what happens in rooms goes to the store, in order, and from there to the host application.
//!
//! Rooms publish into one queue, one task writes the queue to the store in batches, and one task for each webhook reads
//! the store and delivers. Only the store is between the two halves, so rooms do not notice a slow endpoint.

mod event;
mod ownership;
mod pause;
mod running;
#[cfg(test)]
mod tests;
mod webhook;
mod writer;

use std::time::Duration;

use parlor_proto::{ChannelId, Timestamp};
use parlor_rooms::Happening;
use parlor_store::{NewFeedEvent, Store};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::wall;
use crate::config;

pub use event::Event;
pub use pause::Backoff;
use running::Running;
use webhook::{Courier, Endpoint, Timing};
use writer::{PAUSES, Writer};

/// The most events that wait for the store: 65,536 of about 300 bytes are 20 MiB, and minutes of a busy server.
const QUEUE: usize = 1 << 16;
/// Time for the last deliveries when the server stops; the rest is delivered after the next start.
const LAST_DELIVERIES: Duration = Duration::from_secs(3);
/// The time between two removals of events that are too old or too many.
const TRIM_INTERVAL: Duration = Duration::from_secs(600);
/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The handle by which rooms publish what happens.
#[derive(Clone, Debug)]
pub struct FeedHandle {
    queue: mpsc::Sender<NewFeedEvent>,
}

impl FeedHandle {
    /// Puts an event at the end of the queue, with the time it is now.
    ///
    /// Returns at once unless [`QUEUE`] events wait because the store does not take any; then it waits for room. The caller
    /// is the room's own task, so this room stands still meanwhile and others as soon as they have something to say:
    /// media flows on, and nobody new could come in without the store anyway. The two other ways out are to
    /// lose events, which makes the feed worthless, and to fill the memory, which ends all calls.
    pub async fn publish(&self, channel: &ChannelId, happening: &Happening) {
        let event = event::stored(channel, wall(), happening);
        if let Err(mpsc::error::SendError(event)) = self.queue.send(event).await {
            tracing::error!(kind = event.kind, %channel, "an event came after the feed was closed, and is lost");
        }
    }
}

#[cfg(test)]
impl FeedHandle {
    /// A handle that publishes nothing, for tests of something else.
    pub fn nowhere() -> Self {
        Self { queue: mpsc::channel(1).0 }
    }
}

/// The running feed.
#[derive(Debug)]
pub struct Feed {
    handle: FeedHandle,
    running: Running,
    writer: JoinHandle<()>,
    couriers: Vec<JoinHandle<()>>,
}

/// The parameters with which a feed is started.
#[derive(Debug)]
pub struct Start<'a> {
    /// The name of this node: the same at every start, and no other node's. The calls that a crashed run left open are found by it.
    pub node: &'a str,
    /// Whether other nodes may use the same store: then one of them delivers to an endpoint, not all.
    pub shared: bool,
    /// The configuration of how long events are kept.
    pub feed: &'a config::Feed,
    /// The endpoints that are told of events.
    pub webhooks: &'a [config::Webhook],
}

/// The name of this node. A store that is not shared has one node, whatever its name is.
#[must_use]
pub fn node_name(config: &config::Feed, shared: bool, port: u16) -> String {
    match config.node.as_str() {
        "" if shared => {
            let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            format!("{}:{port}", host.trim())
        }
        "" => "parlor".to_owned(),
        name => name.to_owned(),
    }
}

impl Feed {
    /// Settles the calls that a crashed run of this node left open, and begins to write and deliver. Has to be called
    /// before there are rooms.
    pub async fn start(store: &Store, start: &Start<'_>) -> anyhow::Result<Self> {
        Self::start_with(store, start, Timing::default()).await
    }

    async fn start_with(store: &Store, start: &Start<'_>, timing: Timing) -> anyhow::Result<Self> {
        let endpoints = start.webhooks.iter().map(Endpoint::new).collect::<anyhow::Result<Vec<_>>>()?;
        let client = webhook::client(&timing)?;
        let last = store.feed_range().await?.last;
        for endpoint in &endpoints {
            endpoint.begin(store, last).await?;
        }
        let owed = store.settle_owed(start.node, wall()).await?;
        if owed > 0 {
            tracing::warn!(events = owed, "the last run ended without a goodbye: the events it owed are in the feed now");
        }
        let (written, _) = watch::channel(store.feed_range().await?.last);
        let running = Running { written, stopping: CancellationToken::new(), finishing: CancellationToken::new() };
        let (queue, inbox) = mpsc::channel(QUEUE);
        let writer =
            Writer { store: store.clone(), node: start.node.to_owned(), queue: inbox, written: running.written.clone(), pauses: PAUSES };
        let writer = tokio::spawn(writer.run(running.stopping.clone()));
        let courier = |endpoint| {
            let courier = Courier::new(store.clone(), endpoint, client.clone(), &running, timing, start.shared);
            tokio::spawn(courier.run())
        };
        let couriers = endpoints.into_iter().map(courier).collect();
        tokio::spawn(trim(store.clone(), start.feed.clone(), running.stopping.clone()));
        Ok(Self { handle: FeedHandle { queue }, running, writer, couriers })
    }

    /// The handle by which rooms publish what happens.
    #[must_use]
    pub const fn handle(&self) -> &FeedHandle {
        &self.handle
    }

    /// Writes the queued events and delivers them if that is possible at once, until the deadline. Has to be called
    /// when no room is left.
    pub async fn shut_down(mut self, deadline: Instant) {
        self.running.stopping.cancel();
        if tokio::time::timeout_at(deadline, &mut self.writer).await.is_err() {
            let queued = QUEUE - self.handle.queue.capacity();
            tracing::error!(queued, "the store does not take the last events: the next start makes up for who left");
            self.writer.abort();
        }
        self.running.finishing.cancel();
        let deadline = deadline.min(Instant::now() + LAST_DELIVERIES);
        for mut courier in self.couriers {
            if tokio::time::timeout_at(deadline, &mut courier).await.is_err() {
                courier.abort();
            }
        }
    }
}

/// Removes events that are older or more than the configuration keeps.
async fn trim(store: Store, config: config::Feed, stopping: CancellationToken) {
    loop {
        let before = Timestamp(wall().0 - i64::from(config.keep_days) * DAY_MS);
        if let Err(error) = store.trim_feed(before, config.keep_events).await {
            tracing::warn!(%error, "old events cannot be removed");
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TRIM_INTERVAL) => {}
        }
    }
}
