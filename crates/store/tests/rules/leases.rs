//! Leases: one process at a time has one, and whoever lost it writes nothing any more.

use std::time::Duration;

use parlor_proto::{Moderation, Timestamp, UserId};
use parlor_store::{Lease, LeaseEnd, NewFeedEvent, Page, Store, StoreError};
use serde_json::{Value, json};

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    one_process_at_a_time_has_a_lease,
    a_lease_counts_who_takes_it,
    whoever_lost_its_lease_writes_nothing,
    a_successor_waits_for_a_write_that_began_before,
    a_lease_is_renewed_beside_writes,
];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

async fn one_process_at_a_time_has_a_lease(db: Database) {
    let (one, other) = (db.open().await, db.open().await);
    let taken = async |store: &Store, name, now, lasts| store.lease(name, at(now), ms(lasts)).await.expect("asked").is_some();
    assert!(taken(&one, "webhooks", 0, 10).await);
    assert!(!taken(&other, "webhooks", 5, 10).await);
    assert!(taken(&other, "else", 5, 10).await);
    assert!(taken(&one, "webhooks", 8, 12).await, "kept by asking again");
    assert!(!taken(&other, "webhooks", 19, 11).await);
    let end = LeaseEnd { until: at(20), lasts: ms(12) };
    assert_eq!((other.lease_end("webhooks").await, other.lease_end("none").await), (Ok(Some(end)), Ok(None)));
    assert!(taken(&other, "webhooks", 20, 10).await, "whoever is not heard of loses it");
    assert!(!taken(&one, "webhooks", 21, 10).await);
    assert!(taken(&other, "webhooks", 22, 0).await, "given back");
    assert!(taken(&one, "webhooks", 22, 10).await);
}

async fn take(store: &Store, now: i64) -> Lease {
    store.lease("node", at(now), ms(10)).await.expect("asked").expect("is free")
}

async fn a_lease_counts_who_takes_it(db: Database) {
    let (one, other) = (db.open().await, db.open().await);
    let first = take(&one, 0).await;
    assert_eq!(take(&one, 5).await, first, "renewed");
    assert_eq!(take(&one, 100).await, first, "late, and nobody was there meanwhile");
    let second = take(&other, 200).await;
    assert_ne!(second, first);
    let third = take(&one, 300).await;
    assert!(third != first && third != second, "who gets it back is not who had it");
    let fenced = one.fenced(first);
    assert_eq!(fenced.record(&admin(), "test", None, None, Value::Null, at(300)).await, Err(StoreError::Superseded));
    one.fenced(third).record(&admin(), "test", None, None, Value::Null, at(300)).await.expect("written");
}

fn event(kind: &'static str) -> NewFeedEvent {
    NewFeedEvent { channel: id("den"), at: at(1), kind, data: json!({}), owes: None }
}

async fn whoever_lost_its_lease_writes_nothing(db: Database) {
    let (one, other) = (db.open().await, db.open().await);
    let old = one.fenced(take(&one, 0).await);
    old.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    old.append_feed("n1", &[event("before")]).await.expect("appended");
    let new = other.fenced(take(&other, 100).await);
    new.append_feed("n1", &[event("after")]).await.expect("appended");

    let (den, mallory, now) = (id("den"), user("mallory"), at(101));
    let lost = Err(StoreError::Superseded);
    assert_eq!(old.append_feed("n1", &[event("late")]).await.map(drop), lost);
    assert_eq!(old.settle_owed("n1", now).await.map(drop), lost);
    assert_eq!(old.set_delivered("https://a.example", 5).await, lost);
    assert_eq!(old.trim_feed(at(1_000), 0).await.map(drop), lost);
    assert_eq!(old.trim_audit(at(1_000), 0).await.map(drop), lost);
    assert_eq!(old.trim_changes(at(1_000)).await.map(drop), lost);
    assert_eq!(old.put_ban(&den, &mallory, None, None, &admin(), now).await.map(drop), lost);
    assert_eq!(old.command(&den, &Moderation::EndCall { reason: None }, &admin(), now).await, lost);
    assert_eq!(old.revoke(&mallory, Timestamp(1), &admin(), now).await, lost);
    assert_eq!(old.delete_channel(&den, &admin(), now).await, lost);
    assert_eq!(old.lease("webhook:a", now, ms(10)).await.map(drop), lost);
    assert_eq!(old.lease("node", at(1_000), ms(10)).await.map(drop), lost, "nor does it take its place again");
    assert_eq!(old.ping().await, lost);
    assert_eq!(old.admission(&den, &mallory).await.map(drop), lost, "nor lets anybody in");

    let kinds: Vec<String> = new.feed_after(0, 10).await.expect("read").into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["before", "after"]);
    assert_eq!(new.audit(None, &Page::first(10)).await.expect("read").len(), 1);
    assert!(new.admission(&den, &UserId::new("alice").expect("valid")).await.expect("read").is_some());
    // A command line has no lease, and needs none.
    db.open().await.put_ban(&den, &mallory, None, None, &admin(), now).await.expect("banned");
}

/// A write that began before another process took the lease is done or refused before that one has it.
async fn a_successor_waits_for_a_write_that_began_before(db: Database) {
    let (one, other) = (db.open().await, db.open().await);
    let old = one.fenced(take(&one, 0).await);
    let writer = tokio::spawn(async move {
        let mut written = 0;
        while old.append_feed("n1", &[event("old")]).await.is_ok() {
            written += 1;
        }
        written
    });
    while other.feed_range().await.expect("read").last < 5 {
        tokio::time::sleep(ms(1)).await;
    }
    let lease = take(&other, 100).await;
    let seen = other.feed_range().await.expect("read").last;
    assert_eq!(other.fenced(lease).append_feed("n1", &[event("new")]).await, Ok(seen + 1), "nothing came in between");
    assert_eq!(writer.await.expect("ended"), seen);
    assert_eq!(other.feed_range().await.expect("read").last, seen + 1);
}

async fn a_lease_is_renewed_beside_writes(db: Database) {
    let store = db.open().await;
    let lease = take(&store, 0).await;
    let fenced = store.fenced(lease.clone());
    let writers = (0..4).map(|_| {
        let fenced = fenced.clone();
        tokio::spawn(async move {
            for _ in 0..20 {
                fenced.append_feed("n1", &[event("e")]).await.expect("appended");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    for round in 1..20 {
        assert_eq!(fenced.lease("node", at(round), ms(10)).await, Ok(Some(lease.clone())));
    }
    for writer in writers {
        writer.await.expect("no panic");
    }
}
