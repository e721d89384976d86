//! Two at once: one wins, the other is told, nothing is half done.

use std::future::Future;
use std::sync::Arc;

use parlor_proto::{Actor, MemberRole};
use parlor_store::{Page, Store, StoreError, What};
use tokio::sync::Barrier;

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

/// Contests in each test: losing a race must not be a matter of luck.
const ROUNDS: usize = 20;
/// How many take part in each contest.
const CONTENDERS: usize = 4;

on_both![
    of_those_who_create_a_channel_one_wins,
    of_those_who_claim_the_last_seat_one_wins,
    of_those_who_change_one_version_one_wins,
    of_those_who_take_several_seats_at_once_each_gets_one,
    an_abandoned_write_leaves_nothing_and_blocks_nobody,
    readers_do_not_wait_for_writers,
];

/// Runs the contenders at the same moment, each on a store of its own.
async fn contest<T, F>(stores: &[Store], act: impl Fn(Store, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(stores.len()));
    let mut running = Vec::new();
    for (n, store) in stores.iter().enumerate() {
        let (start, act) = (Arc::clone(&start), act(store.clone(), n));
        running.push(tokio::spawn(async move {
            start.wait().await;
            act.await
        }));
    }
    let mut results = Vec::new();
    for contender in running {
        results.push(contender.await.expect("a contender"));
    }
    results
}

/// As many processes, of which two are one: both ways to race are there.
async fn contenders(db: &Database) -> Vec<Store> {
    let mut stores = Vec::new();
    for _ in 1..CONTENDERS {
        stores.push(db.open().await);
    }
    stores.push(stores[0].clone());
    stores
}

async fn of_those_who_create_a_channel_one_wins(db: Database) {
    let stores = contenders(&db).await;
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        let results = contest(&stores, |store, n| {
            let mut wanted = channel(&name);
            wanted.name = format!("by {n}");
            async move { store.create_channel(&wanted, &Actor::Key(format!("k{n}")), at(1)).await.map(|made| made.value.name) }
        })
        .await;
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::Exists(What::Channel)))), "{results:?}");
        let stored = stores[0].channel(&id(&name)).await.expect("read").expect("is there");
        assert_eq!(&stored.value.name, won[0]);
        let log = stores[0].audit(Some(&id(&name)), &Page::first(10)).await.expect("listed");
        assert_eq!(log.len(), 1, "the log has the winner only");
    }
}

async fn of_those_who_claim_the_last_seat_one_wins(db: Database) {
    let stores = contenders(&db).await;
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        stores[0].create_channel(&channel(&name), &admin(), at(1)).await.expect("made");
        stores[0].put_seat(&id(&name), "last", None, &admin(), at(1)).await.expect("put");
        let results = contest(&stores, |store, n| {
            let (channel, user) = (id(&name), user(&format!("u{n}")));
            async move { store.put_seat(&channel, "last", Some(&user), &Actor::Session(user.clone()), at(2)).await.map(|_| user) }
        })
        .await;
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{results:?}");
        assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::Exists(What::Seat)))), "{results:?}");
        let seats = stores[1].seats(&id(&name), &Page::first(10)).await.expect("listed");
        assert_eq!(seats.iter().map(|s| s.user.as_ref()).collect::<Vec<_>>(), [Some(won[0])]);
    }
}

async fn of_those_who_change_one_version_one_wins(db: Database) {
    let stores = contenders(&db).await;
    stores[0].create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    for round in 1..=i64::try_from(ROUNDS).expect("small") {
        let results = contest(&stores, |store, n| {
            let mut wanted = channel("den");
            wanted.name = format!("{round} by {n}");
            async move { store.put_channel(&wanted, Some(round), &admin(), at(2)).await.map(|(stored, _)| stored.value.name) }
        })
        .await;
        let won: Vec<_> = results.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{results:?}");
        let stale = Err(StoreError::Stale { version: round + 1 });
        assert!(results.iter().all(|r| r.is_ok() || *r == stale), "{results:?}");
        let stored = stores[0].channel(&id("den")).await.expect("read").expect("is there");
        assert_eq!((stored.version, &stored.value.name), (round + 1, won[0]));
    }
}

async fn of_those_who_take_several_seats_at_once_each_gets_one(db: Database) {
    let stores = contenders(&db).await;
    for round in 0..ROUNDS {
        let name = format!("c{round}");
        stores[0].create_channel(&channel(&name), &admin(), at(1)).await.expect("made");
        // One person, from several devices.
        let results = contest(&stores, |store, n| {
            let (channel, seat) = (id(&name), format!("s{n}"));
            async move { store.put_seat(&channel, &seat, Some(&user("alice")), &admin(), at(2)).await }
        })
        .await;
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().all(|r| matches!(r, Ok(_) | Err(StoreError::Conflict(_)))), "{results:?}");
    }
}

async fn an_abandoned_write_leaves_nothing_and_blocks_nobody(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    for n in 0..150 {
        let (store, who) = (store.clone(), user(&format!("u{n}")));
        let write = tokio::spawn(async move { store.put_member(&id("den"), &who, MemberRole::Member, &admin(), at(2)).await });
        tokio::time::sleep(std::time::Duration::from_micros(u64::from(n % 30u32) * 60)).await;
        write.abort();
        let _ = write.await;
    }
    assert_eq!(store.put_member(&id("den"), &user("last"), MemberRole::Member, &admin(), at(3)).await, Ok(true));
    let members = store.members(&id("den"), &Page::first(1_000)).await.expect("listed");
    let log = store.audit(None, &Page::first(1_000)).await.expect("listed");
    let changes = store.changes_after(0, 1_000).await.expect("listed");
    assert_eq!(log.len(), members.len() + 1, "each member has a line, and there is that of the channel");
    assert_eq!(changes.len(), log.len());
    let seqs: Vec<_> = changes.iter().map(|c| c.seq).collect();
    assert!(seqs.iter().copied().eq(1..=i64::try_from(seqs.len()).expect("small")), "no number was lost: {seqs:?}");
}

async fn readers_do_not_wait_for_writers(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let mut writer = db.connect().await;
    let begin = if db.is_sqlite() { "BEGIN IMMEDIATE" } else { "BEGIN" };
    for statement in [begin, "UPDATE counters SET value = value + 1", "UPDATE channels SET name = 'half done'"] {
        sqlx::query(statement).execute(&mut writer).await.expect("done");
    }
    let read = tokio::time::timeout(std::time::Duration::from_secs(2), store.channel(&id("den"))).await.expect("at once");
    assert_eq!(read.expect("read").expect("is there").value, channel("den"), "as it was before");
    sqlx::query("ROLLBACK").execute(&mut writer).await.expect("done");
    store.delete_channel(&id("den"), &admin(), at(2)).await.expect("writable again");
}
