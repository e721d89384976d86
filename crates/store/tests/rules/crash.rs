//! Killed at any moment, a process loses nothing that it was told is written, and leaves nothing half written.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parlor_proto::MemberRole;
use parlor_store::{NewFeedEvent, Owes, Page, Store};
use serde_json::json;
use sqlx::Row as _;

use crate::database::Database;
use crate::{admin, at, channel, id, user};

/// The variables that tell the child where the database is, and its number.
const URL: &str = "PARLOR_STORE_TEST_URL";
const ROUND: &str = "PARLOR_STORE_TEST_ROUND";
/// What begins a line that says a write was acknowledged; the test harness prints others.
const MARK: &str = "acknowledged ";

/// This test is also what it kills: run with an address, it is the process that writes there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_process_loses_no_acknowledged_write_on_sqlite() {
    match (std::env::var(URL), std::env::var(ROUND)) {
        (Ok(url), Ok(round)) => write_until_killed(&url, &round).await,
        _ => lose_nothing(Database::sqlite()).await,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_process_loses_no_acknowledged_write_on_postgres() {
    lose_nothing(Database::postgres().await).await;
}

/// Three tasks at once write for ever, and say what was acknowledged.
async fn write_until_killed(url: &str, round: &str) {
    let store = Store::open(url).await.expect("opens");
    let mut tasks = Vec::new();
    for task in 0..3 {
        let (store, round) = (store.clone(), round.to_owned());
        tasks.push(tokio::spawn(async move {
            for n in 0.. {
                let name = format!("r{round}-t{task}-{n}");
                if task < 2 {
                    store.put_member(&id("den"), &user(&name), MemberRole::Member, &admin(), at(n)).await.expect("put");
                } else {
                    let owes = Owes::Opens { debt: name.clone(), kind: "left", data: json!(name) };
                    let joined = NewFeedEvent { channel: id("den"), at: at(n), kind: "joined", data: json!(name), owes: Some(owes) };
                    store.append_feed("node", &[joined]).await.expect("appended");
                }
                println!("{MARK}{name}");
            }
        }));
    }
    for task in tasks {
        task.await.expect("a task");
    }
}

async fn lose_nothing(db: Database) {
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    store.close().await;
    let mut acknowledged = BTreeSet::new();
    for round in 0..4 {
        let (url, lines) = (db.url.clone(), 40 + 25 * round);
        acknowledged.extend(tokio::task::spawn_blocking(move || write_and_die(&url, round, lines)).await.expect("ran"));
        let store = db.open().await;
        let stored = members(&store).await;
        let (joined, left) = events(&store).await;
        for name in &acknowledged {
            assert!(stored.contains(name) || joined.contains(name), "{name} was acknowledged, and is lost");
        }
        assert!(left.is_subset(&joined));
        let owed = joined.len() - left.len();
        assert_eq!(store.settle_owed("node", at(9)).await, Ok(owed), "each that joined leaves once");
        let (joined, left) = events(&store).await;
        assert_eq!(joined, left);
        nothing_is_half_written(&db, &store, stored.len()).await;
        store.close().await;
    }
}

/// Runs a child, kills it after so many lines, and tells what it said until its death.
fn write_and_die(url: &str, round: usize, lines: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["crash::a_killed_process_loses_no_acknowledged_write_on_sqlite", "--exact", "--nocapture"])
        .env(URL, url)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().expect("piped")).lines() {
        let line = line.expect("text");
        // The harness writes the name of the test and no line end before it runs it.
        if let Some((_, name)) = line.split_once(MARK) {
            said.push(name.to_owned());
        }
        if said.len() == lines {
            kill(pid, Signal::SIGKILL).expect("killed");
        }
    }
    child.wait().expect("dead");
    assert!(said.len() >= lines, "the child wrote: {said:?}");
    said
}

async fn members(store: &Store) -> BTreeSet<String> {
    let (mut all, mut page) = (BTreeSet::new(), Page::first(500));
    loop {
        let members = store.members(&id("den"), &page).await.expect("listed");
        let Some(last) = members.last() else { return all };
        page = Page::after(last.user.as_str(), 500);
        all.extend(members.iter().map(|m| m.user.to_string()));
    }
}

/// The names of who joined and who left, by the feed.
async fn events(store: &Store) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut joined, mut left, mut after) = (BTreeSet::new(), BTreeSet::new(), 0);
    loop {
        let events = store.feed_after(after, 500).await.expect("listed");
        let Some(last) = events.last() else { return (joined, left) };
        assert_eq!(last.seq, after + i64::try_from(events.len()).expect("small"), "no gaps");
        after = last.seq;
        for event in events {
            let name = event.data.as_str().expect("a name").to_owned();
            let new = if event.kind == "joined" { joined.insert(name) } else { left.insert(name) };
            assert!(new, "nobody joins or leaves twice");
        }
    }
}

async fn nothing_is_half_written(db: &Database, store: &Store, members: usize) {
    let mut connection = db.connect().await;
    for table in ["SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM audit", "SELECT COUNT(*), COALESCE(MAX(seq), 0) FROM changes"] {
        let row = sqlx::query(table).fetch_one(&mut connection).await.expect("a row");
        let expected = i64::try_from(members + 1).expect("small");
        assert_eq!((row.get::<i64, _>(0), row.get::<i64, _>(1)), (expected, expected), "a line for each member, and the channel's");
        assert_eq!(store.last_change().await, Ok(expected));
    }
    if db.is_sqlite() {
        let check = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection).await.expect("a row");
        assert_eq!(check.get::<String, _>(0), "ok");
    }
}

/// PostgreSQL ends the connections (a restart, an administrator): the store finds new ones and has lost nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_lost_connection_loses_no_acknowledged_write() {
    let db = Database::postgres().await;
    let store = db.open().await;
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let writer = {
        let store = store.clone();
        tokio::spawn(async move {
            let (mut acknowledged, mut refused) = (BTreeSet::new(), 0);
            for n in 0..400 {
                let name = format!("u{n:03}");
                match store.put_member(&id("den"), &user(&name), MemberRole::Member, &admin(), at(n)).await {
                    Ok(_) => drop(acknowledged.insert(name)),
                    Err(parlor_store::StoreError::Unavailable(_)) => refused += 1,
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            (acknowledged, refused)
        })
    };
    let mut killer = db.connect().await;
    let others =
        "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(30)).await;
        sqlx::query(others).execute(&mut killer).await.expect("done");
    }
    let (acknowledged, refused) = writer.await.expect("a writer");
    assert!(!acknowledged.is_empty());
    let stored = members(&store).await;
    assert!(acknowledged.is_subset(&stored), "lost: {:?}", acknowledged.difference(&stored));
    assert!(stored.len() <= acknowledged.len() + refused, "only what was in doubt may be there as well");
    nothing_is_half_written(&db, &store, stored.len()).await;
}
