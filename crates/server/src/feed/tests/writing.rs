//! Tests of the way from rooms into the store, when the store answers and when it does not.

use std::sync::Mutex;
use std::time::Duration;

use parlor_proto::Timestamp;
use parlor_store::{FeedEvent, NewFeedEvent, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::feed::pause::Backoff;
use crate::feed::tests::{channel, joined, publish, start, store, stored};
use crate::feed::writer::{Outbox, Writer};
use crate::feed::{FeedHandle, event};

/// The fate of an attempt to append events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// The store does not answer, and has not written.
    Away,
    /// The store has written, and its answer is lost.
    DoneButLost,
    /// The store refuses the events.
    Refused,
}

/// A store that fails before it works. An event with the name "bad" is refused whenever it comes.
struct Flaky {
    store: Store,
    fates: Mutex<Vec<Fate>>,
}

impl Outbox for Flaky {
    async fn append(&self, node: &str, events: &[NewFeedEvent]) -> Result<i64, StoreError> {
        if events.iter().any(|event| event.data["name"] == "bad") {
            return Err(StoreError::Failed("a value it cannot store"));
        }
        let fate = self.fates.lock().expect("not poisoned").pop();
        match fate {
            Some(Fate::Away) => Err(StoreError::Unavailable("away")),
            Some(Fate::DoneButLost) => {
                self.store.append_feed(node, events).await?;
                Err(StoreError::Unavailable("the answer is lost"))
            }
            Some(Fate::Refused) => Err(StoreError::Failed("for once")),
            None => self.store.append_feed(node, events).await,
        }
    }

    async fn after(&self, seq: i64) -> Result<Vec<FeedEvent>, StoreError> {
        self.store.feed_after(seq, 2).await
    }
}

/// Writes events of these names to a store that meets these fates; returns the names that were stored.
async fn written(fates: &[Fate], names: &[&str]) -> Vec<String> {
    let store = store().await;
    let events: Vec<_> = (0..).zip(names).map(|(at, name)| new(at, name)).collect();
    let (queue, inbox) = mpsc::channel(100);
    let fates = Mutex::new(fates.iter().rev().copied().collect());
    let writer = Writer {
        store: Flaky { store: store.clone(), fates },
        node: "node".to_owned(),
        queue: inbox,
        written: watch::channel(0).0,
        pauses: pauses(),
    };
    for event in events {
        queue.send(event).await.expect("open");
    }
    let stopping = CancellationToken::new();
    stopping.cancel();
    writer.run(stopping).await;
    stored(&store).await.into_iter().map(|event| event.data["name"].as_str().expect("a name").to_owned()).collect()
}

fn pauses() -> Backoff {
    Backoff::new(Duration::from_millis(1), Duration::from_millis(5))
}

fn new(at: i64, name: &str) -> NewFeedEvent {
    let mut event = event::stored(&channel(), Timestamp(at), &joined(1));
    event.data["name"] = name.into();
    event
}

#[tokio::test]
async fn while_the_store_is_away_events_wait_in_order() {
    assert_eq!(written(&[Fate::Away; 20], &["a", "b", "c"]).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_lost_answer_does_not_double_events() {
    let fates = [Fate::DoneButLost, Fate::Away, Fate::Away];
    assert_eq!(written(&fates, &["a", "b", "c"]).await, ["a", "b", "c"]);
    assert_eq!(written(&[Fate::Away, Fate::DoneButLost], &["a", "b", "c"]).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn an_event_the_store_never_takes_does_not_hold_up_the_others() {
    assert_eq!(written(&[Fate::Refused], &["a", "b"]).await, ["a", "b"]);
    assert_eq!(written(&[], &["a", "bad", "b", "bad", "c"]).await, ["a", "b", "c"]);
}

#[tokio::test]
async fn publishing_waits_only_for_a_full_queue() {
    let store = store().await;
    let (queue, inbox) = mpsc::channel(2);
    let handle = FeedHandle { queue };
    let (id, brief) = (channel(), Duration::from_millis(50));
    handle.publish(&id, &joined(1)).await;
    handle.publish(&id, &joined(2)).await;
    let third = joined(3);
    let mut waiting = std::pin::pin!(handle.publish(&id, &third));
    assert!(tokio::time::timeout(brief, &mut waiting).await.is_err(), "there is no room for a third");
    let stopping = CancellationToken::new();
    let writer = Writer { store: store.clone(), node: "node".to_owned(), queue: inbox, written: watch::channel(0).0, pauses: pauses() };
    let writer = tokio::spawn(writer.run(stopping.clone()));
    waiting.await;
    stopping.cancel();
    writer.await.expect("ends");
    let users: Vec<_> = stored(&store).await.into_iter().map(|event| event.data["userId"].clone()).collect();
    assert_eq!(users, ["user-1", "user-2", "user-3"]);
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_end() {
    let store = store().await;
    let feed = start(&store, &[]).await;
    let many: Vec<_> = (0..3_000).map(joined).collect();
    publish(&feed, &many).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    assert_eq!(store.feed_range().await.expect("reads").last, 3_000);
}

#[tokio::test]
async fn old_events_are_removed_at_the_start() {
    let store = store().await;
    let feed = start(&store, &[]).await;
    publish(&feed, &[joined(1), joined(2), joined(3)]).await;
    feed.shut_down(crate::feed::tests::soon()).await;
    let keep = crate::config::Feed { keep_events: 1, ..crate::config::Feed::default() };
    let begin = crate::feed::tests::Start { node: "other", shared: false, feed: &keep, webhooks: &[] };
    let feed = crate::feed::tests::Feed::start(&store, &begin).await.expect("starts");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while store.feed_range().await.expect("reads").first != 3 {
        assert!(tokio::time::Instant::now() < deadline, "trimmed in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    feed.shut_down(crate::feed::tests::soon()).await;
}
