//! STUN and TURN servers on their way to clients: with a join, on request in a call, and by REST; and what they never show.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use parlor::config::{Config, Provider, Secret};
use parlor::{Options, Server};
use parlor_proto::{Actor, Timestamp, UserId};
use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, assert_refused};
use super::process::{Process, dev_server};
use super::rest::Rest;
use super::stored::now;
use super::test_config;

const SECRET: &str = "5b3f0d6c-a-secret-of-coturn";
const URLS: [&str; 2] = ["turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:443?transport=tcp"];

fn coturn(config: &mut Config) {
    config.turn.provider = Provider::Coturn;
    config.turn.secret = Secret::new(SECRET.into());
    config.turn.urls = URLS.map(str::to_owned).to_vec();
}

async fn server(change: impl FnOnce(&mut Config)) -> Server {
    let mut config = test_config();
    config.limits.reconnect_interval_ms = 0;
    change(&mut config);
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// The TURN server of an answer; checked for a credential of this user that lasts this long.
#[track_caller]
fn relay<'a>(servers: &'a Value, user: &str, ttl: i64, expires_at: &Value) -> &'a Value {
    let is_relay =
        |server: &&Value| server["urls"].as_array().expect("addresses").iter().any(|url| url.as_str().expect("text").starts_with("turn"));
    let server = servers.as_array().expect("servers").iter().find(is_relay).expect("a TURN server");
    let name = server["username"].as_str().expect("a user name");
    let (expiry, of) = name.split_once(':').expect("an expiry");
    assert_eq!(of, user);
    let expiry: i64 = expiry.parse().expect("seconds");
    let left = expiry - now().0 / 1_000;
    assert!((ttl - 60..=ttl).contains(&left), "{left}");
    assert_eq!(Timestamp::parse_rfc3339(expires_at.as_str().expect("a time")), Some(Timestamp(expiry * 1_000)), "{expires_at}");
    assert_eq!(server["credential"].as_str().map(str::len), Some(28), "the base64 of 20 bytes");
    server
}

#[tokio::test]
async fn a_join_brings_a_credential_and_a_request_the_next_one() {
    let server = server(coturn).await;
    let mut alice = Client::connect(&server, "alice", true).await;
    assert_refused(&alice.request("voice:rtc:getIceServers", json!({})).await, "NOT_IN_CHANNEL");
    let joined = alice.request("voice:join", json!({"channelId": "lobby"})).await;
    let config = &joined["rtcConfig"];
    let first = relay(&config["iceServers"], "alice", 3_600, &joined["turnCredentialExpiresAt"]);
    assert_eq!((&first["urls"], &config["iceTransportPolicy"]), (&json!(URLS), &json!("all")));
    assert_eq!(joined["turnCredentialTtl"], 3_600);
    assert!(config["iceServers"].as_array().expect("servers").contains(&json!({"urls": ["stun:turn.example.com:3478"]})), "{config}");

    let next = alice.request("voice:rtc:getIceServers", json!({})).await;
    relay(&next["rtcConfig"]["iceServers"], "alice", 3_600, &next["turnCredentialExpiresAt"]);
    assert_eq!(next.as_object().expect("an object").len(), 3, "{next}");
    // Without an acknowledgement, as an event.
    alice.send("42[\"voice:rtc:getIceServers\"]").await;
    let told = alice.event("voice:iceServers").await;
    relay(&told["rtcConfig"]["iceServers"], "alice", 3_600, &told["turnCredentialExpiresAt"]);
    alice.request("voice:leave", json!({})).await;
    assert_refused(&alice.request("voice:rtc:getIceServers", json!({})).await, "NOT_IN_CHANNEL");
    server.shut_down().await;
}

#[tokio::test]
async fn who_resumes_or_asks_later_gets_a_credential_that_begins_then() {
    let server = server(|config| {
        coturn(config);
        config.turn.ttl = "20s".parse().expect("a period");
    })
    .await;
    let (mut alice, joined) = Client::joined(&server, "alice", "lobby").await;
    let user = |answer: &Value| answer["rtcConfig"]["iceServers"][0]["username"].as_str().expect("a name").to_owned();
    // The next second by the clock in the user name.
    while now().0 / 1_000 < user(&joined)[..10].parse::<i64>().expect("seconds") - 19 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = alice.request("voice:rtc:getIceServers", json!({})).await;
    assert!(user(&asked) > user(&joined), "{asked}");
    alice.sever();
    let mut alice = Client::connect(&server, "alice", true).await;
    let resumed = alice.request("voice:resume", json!({"channelId": "lobby", "resumeToken": joined["resumeToken"]})).await;
    assert_eq!(resumed["resumed"], true, "{resumed}");
    relay(&resumed["rtcConfig"]["iceServers"], "alice", 20, &resumed["turnCredentialExpiresAt"]);
    assert!(user(&resumed) > user(&joined), "{resumed}");
    server.shut_down().await;
}

#[tokio::test]
async fn a_channel_in_privacy_mode_tells_relays_alone_in_every_way() {
    let server = server(|config| {
        coturn(config);
        let file = "[[channels]]\nid = \"confessional\"\nprivacy = \"relay\"\n[[ice.servers]]\nurls = \"stun:stun.example.com\"\n";
        let sources = parlor::config::Sources { file: Some(("parlor.toml".into(), file.into())), ..Default::default() };
        let read = parlor::config::load(&sources).expect("valid");
        (config.channels, config.ice) = (read.channels, read.ice);
    })
    .await;
    let (mut alice, joined) = Client::joined(&server, "alice", "confessional").await;
    let asked = alice.request("voice:rtc:getIceServers", json!({})).await;
    alice.sever();
    let mut alice = Client::connect(&server, "alice", true).await;
    let resumed = alice.request("voice:resume", json!({"channelId": "confessional", "resumeToken": joined["resumeToken"]})).await;
    for answer in [joined, asked, resumed] {
        assert_eq!(answer["rtcConfig"]["iceTransportPolicy"], "relay", "{answer}");
        let servers = answer["rtcConfig"]["iceServers"].as_array().expect("servers");
        assert_eq!(servers.iter().map(|server| server["urls"].clone()).collect::<Vec<_>>(), [json!(URLS)], "{answer}");
        assert!(!answer["rtcConfig"].to_string().contains("stun:"), "{answer}");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn who_is_put_out_gets_no_further_credential() {
    let rest = Rest::start_with(coturn).await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    rest.put("/api/channels/den/bans/alice", json!({})).await.is(200);
    alice.event("voice:left").await;
    assert_refused(&alice.request("voice:rtc:getIceServers", json!({})).await, "NOT_IN_CHANNEL");
    rest.end().await;
}

#[tokio::test]
async fn signed_in_users_get_a_credential_for_a_day_by_rest_and_nobody_else_does() {
    let rest = Rest::start_with(coturn).await;
    for path in ["/api/voice/turn-credentials/", "/api/voice/turn-credentials"] {
        let answer = rest.call_as(&rest.token("alice"), Method::GET, path, None).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        let body = answer.is(200);
        let server = relay(&body["iceServers"], "alice", 86_400, &body["expiresAt"]);
        assert_eq!((&server["urls"], &body["ttl"]), (&json!(URLS), &json!(86_400)));
        for bearer in ["", "nonsense", &rest.key] {
            rest.call_as(bearer, Method::GET, path, None).await.refused(401, "UNAUTHENTICATED");
        }
        rest.send(&Method::GET, path, rest.request(Method::GET, path)).await.refused(401, "UNAUTHENTICATED");
        rest.call_as(&rest.token("alice"), Method::POST, path, None).await.refused(405, "INVALID_REQUEST");
        rest.call_as(&rest.token("alice"), Method::GET, &format!("{path}?ttl=1"), None).await.blames(400, "ttl");
    }
    let token = rest.token("mallory");
    let mallory = UserId::new("mallory").expect("an id");
    rest.store.revoke(&mallory, Timestamp(now().0 + 1_000), &Actor::CommandLine, now()).await.expect("written");
    rest.call_as(&token, Method::GET, "/api/voice/turn-credentials/", None).await.refused(401, "UNAUTHENTICATED");
    rest.end().await;
}

#[tokio::test]
async fn without_turn_the_list_is_empty_and_says_when_to_ask_again() {
    let rest = Rest::start().await;
    let body = rest.call_as(&rest.token("alice"), Method::GET, "/api/voice/turn-credentials/", None).await.is(200);
    assert_eq!(body, json!({"iceServers": [], "ttl": 86_400, "expiresAt": null}));
    rest.end().await;
}

#[tokio::test]
async fn a_provider_that_fails_fails_no_join() {
    // A port that nobody listens on.
    let closed = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let server = server(|config| {
        config.turn.provider = Provider::Metered;
        config.turn.api_url = format!("http://{closed}/api/v1/turn/credentials");
        config.turn.api_key = Secret::new("key".into());
    })
    .await;
    let (_alice, joined) = Client::joined(&server, "alice", "lobby").await;
    assert_eq!(joined["rtcConfig"], json!({"iceServers": [], "iceTransportPolicy": "all"}), "{joined}");
    assert_eq!((&joined["turnCredentialExpiresAt"], &joined["turnCredentialTtl"]), (&Value::Null, &Value::Null));
    server.shut_down().await;
}

#[tokio::test]
async fn the_log_has_neither_secrets_nor_credentials_at_any_level() {
    let mut command = dev_server("sqlite::memory:");
    command.env("TURN_PROVIDER", "coturn").env("TURN_SECRET", SECRET).env("TURN_URL", URLS.join(","));
    command.env("PARLOR_TURN__OLD_SECRETS", "an-older-secret-of-coturn").env("PARLOR_LOG__LEVEL", "trace");
    let server = Process::start(command);
    let token = super::client::dev_token(&server.address, "alice").await.expect("a token");
    let mut alice = Client::enter(&server.address, &token, "lobby").await.expect("joins");
    let told = alice.request("voice:rtc:getIceServers", json!({})).await;
    let credential = told["rtcConfig"]["iceServers"][0]["credential"].as_str().expect("a credential").to_owned();
    let path = format!("http://{}/api/voice/turn-credentials/", server.address);
    let answer = reqwest::Client::new().get(path).bearer_auth(&token).send().await.expect("answers");
    let other: Value = answer.json().await.expect("json");
    let other = other["iceServers"][0]["credential"].as_str().expect("a credential").to_owned();
    alice.cut().await;
    let log = server.stop().await;
    assert!(log.len() > 1_000, "the log is there: {log}");
    for secret in [SECRET, "an-older-secret-of-coturn", &credential, &other] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[tokio::test]
async fn the_log_says_that_a_provider_fails_and_not_with_which_key() {
    const KEY: &str = "a-key-of-metered-a1b2c3";
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let refuse = async move || {
        counter.fetch_add(1, Ordering::SeqCst);
        (StatusCode::UNAUTHORIZED, "{\"error\": \"Invalid API Key\"}")
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("http://{}/api/v1/turn/credentials", listener.local_addr().expect("an address"));
    tokio::spawn(axum::serve(listener, Router::new().route("/api/v1/turn/credentials", get(refuse))).into_future());

    let mut command = dev_server("sqlite::memory:");
    command.env("TURN_PROVIDER", "metered").env("TURN_API_URL", &url).env("TURN_API_KEY", KEY).env("PARLOR_LOG__LEVEL", "trace");
    let server = Process::start(command);
    let mut alice = Client::guest(&server.address, "alice", "lobby").await;
    let told = alice.request("voice:rtc:getIceServers", json!({})).await;
    assert_eq!(told["rtcConfig"]["iceServers"], json!([]), "{told}");
    alice.cut().await;
    let log = server.stop().await;
    assert!(asked.load(Ordering::SeqCst) > 0);
    let line = log.lines().find(|line| line.contains("the TURN servers cannot be fetched")).expect("is said");
    assert!(line.contains("WARN") && line.contains(&url) && line.contains("the answer is 401"), "{line}");
    assert!(!log.contains(KEY));
}
