//! Who is in a call, in Redis: a real one, which is killed, stopped, wiped and refuses in mid-call.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use parlor::config::Secret;
use parlor::{Options, Server};
use parlor_testkit::redis::{Reach, RedisServer};
use parlor_testkit::wait::{seen, until};
use serde_json::json;

use super::client::Client;
use super::process::{Process, dev_server};
use super::support::test_config;

const KEY: &str = "call:state:den";
/// The shortest lifetime of a key: everything is written again each second then.
const SHORT_S: u64 = 4;
/// What a join takes at the most when it waits for nothing that is away.
const AT_ONCE: Duration = Duration::from_secs(1);
/// The time within which a server promises to end.
const PROMISED: Duration = Duration::from_secs(8);

async fn server(redis: &str, ttl_s: u64) -> Server {
    let mut config = test_config();
    config.limits.joins_per_minute = 1_000;
    config.limits.reconnect_interval_ms = 0;
    config.limits.resume_grace_ms = 0;
    config.redis.url = Secret::new(redis.to_owned());
    config.redis.call_state_ttl_s = ttl_s;
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// The fields of people who are in a call.
fn inside(users: &[&str]) -> Vec<(String, String)> {
    users.iter().map(|user| ((*user).to_owned(), format!("{{\"state\":\"active\",\"username\":\"{user}\"}}"))).collect()
}

async fn shows(redis: &RedisServer, users: &[&str]) {
    let expected = inside(users);
    seen("Redis has the truth", async || redis.hash(KEY), |fields| *fields == expected).await;
}

async fn join_at_once(server: &Server, user: &str) -> Client {
    let began = Instant::now();
    let (client, _) = Client::joined(server, user, "den").await;
    assert!(began.elapsed() < AT_ONCE, "a join took {:?}", began.elapsed());
    client
}

async fn leave(mut client: Client) {
    client.request("voice:leave", json!({})).await;
}

fn seconds(redis: &RedisServer, key: &str) -> i64 {
    redis.cli(&["TTL", key]).trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_has_who_is_in_a_call_until_it_ends() {
    let redis = RedisServer::start(Reach::Socket);
    let _ = redis.cli(&["HSET", "call:state:elsewhere", "eve", "{}"]);
    let server = server(&redis.url(), 3_600).await;
    let alice = join_at_once(&server, "alice").await;
    shows(&redis, &["alice"]).await;
    let bob = join_at_once(&server, "bob").await;
    shows(&redis, &["alice", "bob"]).await;
    for key in [KEY, "call:writer:den"] {
        assert!((3_590..=3_600).contains(&seconds(&redis, key)), "{key} lives {} s", seconds(&redis, key));
    }
    leave(alice).await;
    shows(&redis, &["bob"]).await;
    leave(bob).await;
    until("the keys are gone", async || redis.cli(&["EXISTS", KEY, "call:writer:den"]).trim() == "0").await;
    let _carol = join_at_once(&server, "carol").await;
    shows(&redis, &["carol"]).await;
    server.shut_down().await;
    assert_eq!(redis.cli(&["KEYS", "*"]).trim(), "call:state:elsewhere", "a server that stops removes its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_whatever_happens_to_redis_which_is_told_afterwards() {
    let mut redis = RedisServer::start(Reach::Password("sesame"));
    let server = server(&redis.url(), SHORT_S).await;
    let mut alice = join_at_once(&server, "alice").await;
    let bob = join_at_once(&server, "bob").await;
    shows(&redis, &["alice", "bob"]).await;

    let _ = redis.cli(&["FLUSHALL"]);
    shows(&redis, &["alice", "bob"]).await;
    let _ = redis.cli(&["HSET", KEY, "mallory", "{}"]);
    shows(&redis, &["alice", "bob"]).await;

    redis.kill();
    leave(bob).await;
    let carol = join_at_once(&server, "carol").await;
    redis.start_again();
    shows(&redis, &["alice", "carol"]).await;

    redis.hang();
    leave(carol).await;
    let dave = join_at_once(&server, "dave").await;
    // Longer than an answer is waited for, so that connections were given up and tried again.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let erin = join_at_once(&server, "erin").await;
    leave(dave).await;
    redis.go_on();
    shows(&redis, &["alice", "erin"]).await;

    leave(erin).await;
    let muted = alice.request("voice:state:update", json!({ "muted": true })).await;
    assert_eq!(muted["code"], json!(null), "the call was never broken: {muted}");
    leave(alice).await;
    until("the key is gone", async || redis.hash(KEY).is_empty()).await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_refreshed_while_the_call_lives_and_ends_by_itself_after_a_crash() {
    let redis = RedisServer::start(Reach::Socket);
    let mut command = dev_server("sqlite::memory:");
    command.env("PARLOR_REDIS__URL", redis.url()).env("PARLOR_REDIS__CALL_STATE_TTL_S", SHORT_S.to_string());
    let server = Process::start(command);
    let _alice = Client::guest(&server.address, "alice", "den").await;
    until("it is there", async || !redis.hash(KEY).is_empty()).await;
    let left = |redis: &RedisServer| redis.cli(&["PTTL", KEY]).trim().parse::<i64>().expect("a number");
    let mut last = left(&redis);
    until("it is refreshed", async || std::mem::replace(&mut last, left(&redis)) < last).await;
    assert!(last > 2_000, "long before it ends: {last} ms are left");
    server.kill();
    until("it has ended", async || redis.hash(KEY).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_has_written_since_is_left_alone() {
    let redis = RedisServer::start(Reach::Socket);
    let (old, new) = (server(&redis.url(), 3_600).await, server(&redis.url(), 3_600).await);
    let alice = join_at_once(&old, "alice").await;
    shows(&redis, &["alice"]).await;
    let _bob = join_at_once(&new, "bob").await;
    shows(&redis, &["bob"]).await;
    leave(alice).await;
    old.shut_down().await;
    assert_eq!(redis.hash(KEY), inside(&["bob"]), "it is the other's call now");
    new.shut_down().await;
    assert!(redis.hash(KEY).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_a_database_and_a_prefix_are_used_as_configured() {
    let redis = RedisServer::start(Reach::Tls);
    let mut config = test_config();
    config.redis.url = Secret::new(format!("{}/3", redis.url()));
    config.redis.prefix = "parlor:".to_owned();
    config.redis.ca_file = redis.certificate();
    let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
    let _alice = join_at_once(&server, "alice").await;
    let there = async || redis.cli_in(3, &["HGET", "parlor:call:state:den", "alice"]).trim() == r#"{"state":"active","username":"alice"}"#;
    until("it is in database 3", there).await;
    server.shut_down().await;
    assert_eq!(redis.cli(&["INFO", "keyspace"]).lines().filter(|line| line.starts_with("db")).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_documented_rights_is_enough() {
    let redis = RedisServer::start(Reach::Password("sesame"));
    let document = include_str!("../../../../docs/redis.md");
    let rights = document.split_once("needs no more than `").and_then(|(_, rest)| rest.split_once('`')).expect("is documented").0;
    let mut user = vec!["ACL", "SETUSER", "parlor", "on", ">p@ss/word"];
    user.extend(rights.split(' '));
    assert_eq!(redis.cli(&user).trim(), "OK");
    let server = server(&format!("{}/1", redis.url().replace(":sesame@", "parlor:p%40ss%2Fword@")), 3_600).await;
    let alice = join_at_once(&server, "alice").await;
    until("it is there", async || redis.cli_in(1, &["HLEN", KEY]).trim() == "1").await;
    leave(alice).await;
    until("it is gone", async || redis.cli_in(1, &["DBSIZE"]).trim() == "0").await;
    server.shut_down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_once_that_redis_is_away_and_once_that_it_is_back_and_never_its_password() {
    let password = "correct-horse-battery";
    let mut redis = RedisServer::start(Reach::Password(password));
    let mut command = dev_server("sqlite::memory:");
    command.env("PARLOR_REDIS__URL", redis.url()).env("PARLOR_REDIS__CALL_STATE_TTL_S", SHORT_S.to_string());
    command.env("PARLOR_LOG__LEVEL", "trace");
    let server = Process::start(command);
    let _alice = Client::guest(&server.address, "alice", "den").await;
    until("it is there", async || !redis.hash(KEY).is_empty()).await;
    redis.kill();
    let _bob = Client::guest(&server.address, "bob", "den").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    redis.start_again();
    until("it is back", async || redis.hash(KEY).len() == 2).await;
    let log = server.stop().await;
    assert!(redis.hash(KEY).is_empty());
    for said in ["who is in a call is mirrored to Redis", "Redis is away", "Redis is back"] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert!(!log.contains(password), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_refuses_is_away_and_the_log_says_what_it_answers() {
    let redis = RedisServer::start(Reach::Password("right"));
    let mut command = dev_server("sqlite::memory:");
    command.env("PARLOR_REDIS__URL", redis.url().replace(":right@", ":wrong-horse@"));
    let server = Process::start(command);
    let _alice = Client::guest(&server.address, "alice", "den").await;
    let log = server.stop().await;
    assert!(log.contains("Redis is away") && !log.contains("wrong-horse"), "{log}");
    let redis_at = redis.cli(&["DBSIZE"]);
    assert_eq!(redis_at.trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_stops_in_time_though_redis_does_not_answer() {
    let redis = RedisServer::start(Reach::Socket);
    let mut command = dev_server("sqlite::memory:");
    command.env("PARLOR_REDIS__URL", redis.url());
    let server = Process::start(command);
    let mut alice = Client::guest(&server.address, "alice", "den").await;
    until("it is there", async || !redis.hash(KEY).is_empty()).await;
    redis.hang();
    let asked = Instant::now();
    server.signal(Signal::SIGTERM);
    assert_eq!(alice.event("voice:left").await["reason"], "shutting-down");
    let (status, log) = server.ended().await;
    assert!(status.success() && asked.elapsed() < PROMISED, "{:?}: {log}", asked.elapsed());
    redis.go_on();
}
