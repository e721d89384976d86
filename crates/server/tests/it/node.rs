//! Tests that one living process at a time has a node's place in the store.

use std::time::Duration;

use parlor::config::{Config, Store as StoreConfig};
use parlor::{Options, Server};
use parlor_store::{NewFeedEvent, Owes, Store};
use parlor_testkit::postgres::create_database;
use parlor_testkit::wait::seen;
use serde_json::json;

use super::client::Client;
use super::process::{LEASE_MS, Line, Process, leasing};
use super::stored::{Shared, channel, fresh_file, now, user};
use super::test_config;

async fn start(config: &Config) -> anyhow::Result<Server> {
    Server::start(config, Options { dev: true, ..Options::default() }).await
}

async fn kinds(store: &Store) -> Vec<String> {
    store.feed_after(0, 100).await.expect("is read").into_iter().map(|event| event.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_while_the_first_one_lives() {
    let shared = Shared::start("twice", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("it-twice-{}.db", std::process::id()));
    let mut config = test_config();
    config.store = StoreConfig::at(&format!("sqlite:{}", path.display()));
    // Another name does not make this process a second node: the store is not a shared one.
    config.feed.node = "another".to_owned();
    let refused = start(&config).await.expect_err("refused").to_string();
    assert!(refused.contains("another Parlor is running") && refused.contains("store.url"), "{refused}");
    alice.request("voice:state:update", json!({"muted": true})).await;
    assert_eq!(kinds(&shared.store).await, ["room.started", "participant.joined"], "nobody was said to have left");
    // A goodbye leaves the place free at once.
    shared.stop().await;
    let began = std::time::Instant::now();
    start(&config).await.expect("starts").shut_down().await;
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_start_that_fails_settles_nothing() {
    let url = format!("sqlite:{}", fresh_file("fails").display());
    let store = Store::open(&url).await.expect("opens");
    let owes = Owes::Opens { debt: "room".to_owned(), kind: "room.ended", data: json!({}) };
    let event = NewFeedEvent { channel: channel("den"), at: now(), kind: "room.started", data: json!({}), owes: Some(owes) };
    store.append_feed("parlor", &[event]).await.expect("is written");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    config.media.port = taken.local_addr().expect("an address").port();
    start(&config).await.expect_err("the media port is taken");
    assert_eq!(kinds(&store).await, ["room.started"]);

    drop(taken);
    // A process that was killed when the clock was an hour ahead.
    let later = parlor_proto::Timestamp(now().0 + 3_600_000);
    assert!(store.lease("node", later, Duration::from_secs(1)).await.expect("asked").is_some());
    start(&config).await.expect("the dead do not renew").shut_down().await;
    assert_eq!(kinds(&store).await, ["room.started", "room.ended"]);
}

#[tokio::test]
async fn a_ban_of_the_configuration_holds_where_an_old_one_is_over() {
    let url = format!("sqlite:{}", fresh_file("old-ban").display());
    let mut config = test_config();
    config.store = StoreConfig::at(&url);
    config.channels = serde_json::from_value(json!([{"id": "den", "banned": ["mallory"]}])).expect("valid");
    let store = Store::open(&url).await.expect("opens");
    let (den, mallory) = (channel("den"), user("mallory"));
    store.put_channel(&config.channels[0].channel(), None, &super::stored::ADMIN, now()).await.expect("is put");
    store.put_ban(&den, &mallory, Some(parlor_proto::Timestamp(now().0 + 1)), None, &super::stored::ADMIN, now()).await.expect("is put");
    start(&config).await.expect("starts").shut_down().await;
    let parlor_store::Found { facts, .. } = store.admission(&den, &mallory).await.expect("is read").expect("is there");
    assert!(facts.ban.is_some_and(|ban| ban.until.is_none()), "for good");
}

/// How long a process is paused, or cut off: long enough to lose its place.
const AWAY: Duration = Duration::from_millis(LEASE_MS + 500);

/// Asserts that a replaced process tells its people to join again, ends with a sentence, and wrote nothing beside its successor.
async fn is_replaced(old: Process, mut alice: Client, store: &Store) {
    assert_eq!(alice.event("voice:left").await["rejoin"], true);
    let (status, said) = old.ended().await;
    assert!(!status.success() && said.contains("has taken the place of this one") && said.contains("store.lease_ms"), "{said}");
    let story: Vec<String> = store
        .feed_after(0, 100)
        .await
        .expect("is read")
        .into_iter()
        .map(|event| format!("{} {}", event.kind, event.data["reason"].as_str().unwrap_or("-")))
        .collect();
    let expected = [
        "room.started -",
        "participant.joined -",
        "participant.left crashed",
        "room.ended crashed",
        "room.started -",
        "participant.joined -",
    ];
    assert_eq!(story, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_paused_for_longer_than_its_lease_makes_way_for_its_successor() {
    let url = format!("sqlite:{}", fresh_file("paused").display());
    let store = Store::open(&url).await.expect("opens");
    let old = Process::start(leasing(&url));
    let alice = Client::guest(&old.address, "alice", "den").await;
    seen("so many events", async || kinds(&store).await, |kinds| kinds.len() >= 2).await;
    old.signal(nix::sys::signal::Signal::SIGSTOP);
    tokio::time::sleep(AWAY).await;
    let new = Process::start(leasing(&url));
    let _bob = Client::guest(&new.address, "bob", "den").await;
    seen("so many events", async || kinds(&store).await, |kinds| kinds.len() >= 6).await;
    old.signal(nix::sys::signal::Signal::SIGCONT);
    is_replaced(old, alice, &store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_cut_off_from_postgresql_for_longer_than_its_lease_makes_way_for_its_successor() {
    let database = create_database("cut_off").await;
    let (line, url) = (Line::to(&database).await, database.url.clone());
    let store = Store::open(&url).await.expect("opens");
    let old = Process::start(leasing(&line.url(&database)));
    let alice = Client::guest(&old.address, "alice", "den").await;
    seen("so many events", async || kinds(&store).await, |kinds| kinds.len() >= 2).await;
    line.cut.send_replace(true);
    tokio::time::sleep(AWAY).await;
    let new = Process::start(leasing(&url));
    let _bob = Client::guest(&new.address, "bob", "den").await;
    seen("so many events", async || kinds(&store).await, |kinds| kinds.len() >= 6).await;
    line.cut.send_replace(false);
    is_replaced(old, alice, &store).await;
}
