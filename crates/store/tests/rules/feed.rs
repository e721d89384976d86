//! The event feed: numbers without gaps, readers that miss nothing, and debts that are paid.

use std::collections::BTreeSet;

use parlor_store::{FeedRange, NewFeedEvent, Owes, Store};
use serde_json::{Value, json};

use crate::database::Database;
use crate::{at, id, on_both};

on_both![
    events_are_numbered_without_gaps,
    a_reader_never_skips_an_event_that_is_committed_later,
    a_dead_node_pays_what_it_owes_and_nothing_else,
    trimming_leaves_the_newest,
    a_clock_that_was_wrong_costs_no_event_that_is_new,
    much_is_trimmed_in_steps,
    deliveries_never_go_back,
];

fn event(channel: &str, kind: &'static str, data: Value) -> NewFeedEvent {
    NewFeedEvent { channel: id(channel), at: at(1), kind, data, owes: None }
}

fn opens(channel: &str, debt: &str, kind: &'static str, then: &'static str) -> NewFeedEvent {
    let owes = Owes::Opens { debt: debt.to_owned(), kind: then, data: json!({ "of": debt }) };
    NewFeedEvent { owes: Some(owes), ..event(channel, kind, json!({ "of": debt })) }
}

fn closes(channel: &str, debt: &str, kind: &'static str) -> NewFeedEvent {
    NewFeedEvent { owes: Some(Owes::Closes { debt: debt.to_owned() }), ..event(channel, kind, json!({ "of": debt })) }
}

/// Kinds and debts of everything there is.
async fn story(store: &Store) -> Vec<String> {
    let events = store.feed_after(0, 1_000).await.expect("listed");
    events.into_iter().map(|e| format!("{} {} {}", e.channel, e.kind, e.data["of"].as_str().unwrap_or("-"))).collect()
}

async fn events_are_numbered_without_gaps(db: Database) {
    let store = db.open().await;
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 1, last: 0 }));
    assert_eq!(store.append_feed("n1", &[]).await, Ok(0));
    let first = [event("den", "a", json!({ "text": "ä\u{0}'\"" })), event("attic", "b", json!([1, null]))];
    assert_eq!(store.append_feed("n1", &first).await, Ok(2));
    assert_eq!(store.append_feed("n2", &[event("den", "c", json!({}))]).await, Ok(3));
    let events = store.feed_after(0, 100).await.expect("listed");
    assert_eq!(events.iter().map(|e| (e.seq, e.kind.as_str())).collect::<Vec<_>>(), [(1, "a"), (2, "b"), (3, "c")]);
    assert_eq!((&events[0].channel, events[0].at, &events[0].data), (&id("den"), at(1), &first[0].data));
    let ids: BTreeSet<_> = events.iter().map(|e| e.id.clone()).collect();
    assert_eq!(ids.len(), 3, "each has an id of its own");
    assert_eq!(store.feed_after(1, 1).await.expect("listed"), events[1..2]);
    assert_eq!(db.open().await.feed_after(0, 100).await.expect("listed"), events, "and it stays the same");
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 1, last: 3 }));
}

async fn a_reader_never_skips_an_event_that_is_committed_later(db: Database) {
    const WRITERS: usize = 6;
    const BATCHES: usize = 25;
    const PER_BATCH: usize = 3;
    let total = WRITERS * BATCHES * PER_BATCH;
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let store = db.open().await;
        writers.push(tokio::spawn(async move {
            for batch in 0..BATCHES {
                let events: Vec<_> = (0..PER_BATCH).map(|n| event("den", "e", json!([writer, batch, n]))).collect();
                store.append_feed(&format!("n{writer}"), &events).await.expect("appended");
            }
        }));
    }
    let mut readers = Vec::new();
    for _ in 0..3 {
        let store = db.open().await;
        readers.push(tokio::spawn(async move {
            let mut seen: Vec<(i64, Value)> = Vec::new();
            while seen.len() < total {
                let after = seen.last().map_or(0, |last| last.0);
                let events = store.feed_after(after, 7).await.expect("read");
                seen.extend(events.into_iter().map(|e| (e.seq, e.data)));
            }
            seen
        }));
    }
    for writer in writers {
        writer.await.expect("a writer");
    }
    for reader in readers {
        let seen = reader.await.expect("a reader");
        assert!(seen.iter().map(|s| s.0).eq(1..=i64::try_from(total).expect("small")), "without gaps, in order");
        for writer in 0..WRITERS {
            let own: Vec<_> = seen.iter().filter(|s| s.1[0] == writer).map(|s| (s.1[1].as_u64(), s.1[2].as_u64())).collect();
            assert!(own.is_sorted() && own.len() == BATCHES * PER_BATCH, "each writer\'s, in the order it wrote them");
        }
    }
}

async fn a_dead_node_pays_what_it_owes_and_nothing_else(db: Database) {
    let store = db.open().await;
    let happened = [
        opens("den", "room", "room.started", "room.ended"),
        opens("den", "s1", "joined", "left"),
        opens("den", "s2", "joined", "left"),
        opens("den", "p1", "started", "stopped"),
        closes("den", "s1", "left"),
        // The same name in another channel, or of another node, is another debt.
        opens("attic", "s2", "joined", "left"),
        closes("cellar", "s2", "left"),
    ];
    store.append_feed("n1", &happened).await.expect("appended");
    store.append_feed("n2", &[opens("den", "s2", "joined", "left")]).await.expect("appended");
    assert_eq!(store.settle_owed("n3", at(5)).await, Ok(0));

    let next = db.open().await;
    assert_eq!(next.settle_owed("n1", at(50)).await, Ok(4));
    let owed = story(&next).await.split_off(8);
    assert_eq!(owed, ["attic left s2", "den stopped p1", "den left s2", "den room.ended room"], "the youngest first");
    let last = next.feed_after(11, 1).await.expect("listed");
    assert_eq!((last[0].seq, last[0].at), (12, at(50)));
    assert_eq!(next.settle_owed("n1", at(60)).await, Ok(0), "once");
    assert_eq!(next.settle_owed("n2", at(60)).await, Ok(1));
    assert_eq!(next.feed_range().await, Ok(FeedRange { first: 1, last: 13 }));
}

async fn trimming_leaves_the_newest(db: Database) {
    let store = db.open().await;
    for n in 1..=10 {
        store.append_feed("n1", &[NewFeedEvent { at: at(n), ..event("den", "e", json!({})) }]).await.expect("appended");
    }
    assert_eq!(store.trim_feed(at(4), 100).await, Ok(3));
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 4, last: 10 }));
    assert_eq!(store.trim_feed(at(0), 2).await, Ok(5));
    assert_eq!(store.feed_after(0, 100).await.expect("listed").iter().map(|e| e.seq).collect::<Vec<_>>(), [9, 10]);
    assert_eq!(store.trim_feed(at(100), u64::MAX).await, Ok(2));
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 11, last: 10 }));
    assert_eq!(store.append_feed("n1", &[event("den", "e", json!({}))]).await, Ok(11), "numbers go on");
}

async fn a_clock_that_was_wrong_costs_no_event_that_is_new(db: Database) {
    let store = db.open().await;
    // The clock of the last one was set back.
    for n in [1, 2, 8, 9, 3] {
        store.append_feed("n1", &[NewFeedEvent { at: at(n), ..event("den", "e", json!({})) }]).await.expect("appended");
    }
    assert_eq!(store.trim_feed(at(5), 100).await, Ok(2));
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 3, last: 5 }));
}

async fn much_is_trimmed_in_steps(db: Database) {
    let store = db.open().await;
    let many: Vec<_> = (0..2_100).map(|_| event("den", "e", json!({}))).collect();
    for _ in 0..10 {
        store.append_feed("n1", &many).await.expect("appended");
    }
    assert_eq!(store.trim_feed(at(0), 5).await, Ok(20_995));
    assert_eq!(store.feed_range().await, Ok(FeedRange { first: 20_996, last: 21_000 }));
}

async fn deliveries_never_go_back(db: Database) {
    let store = db.open().await;
    assert_eq!(store.delivered("https://a.example").await, Ok(0));
    for (seq, then) in [(5, 5), (3, 5), (9, 9)] {
        store.set_delivered("https://a.example", seq).await.expect("noted");
        assert_eq!(db.open().await.delivered("https://a.example").await, Ok(then));
    }
    assert_eq!(store.delivered("https://b.example").await, Ok(0));
}
