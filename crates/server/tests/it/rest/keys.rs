//! API keys: what each may do, and that secrets stay secret.

use std::io::Write;
use std::sync::{Arc, Mutex};

use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::Rest;

/// An operation for each scope.
fn needs() -> Vec<(&'static str, Method, &'static str, Option<Value>)> {
    vec![
        ("channels:read", Method::GET, "/api/channels/den", None),
        ("channels:read", Method::GET, "/api/channels/den/participants", None),
        ("channels:read", Method::GET, "/api/voice/den/participants", None),
        ("channels:write", Method::PUT, "/api/channels/den", Some(json!({}))),
        ("channels:write", Method::PUT, "/api/channels/den/members/a", Some(json!({}))),
        ("moderation", Method::PUT, "/api/channels/den/bans/a", Some(json!({}))),
        ("moderation", Method::POST, "/api/channels/den/participants/a/mute", Some(json!({"audio": true}))),
        ("people", Method::PUT, "/api/users/a/entitlement", Some(json!({"pro": true}))),
        ("sessions", Method::GET, "/api/users/a/sessions", None),
        ("events", Method::GET, "/api/events", None),
        ("audit", Method::GET, "/api/audit", None),
        ("counters", Method::GET, "/api/connections", None),
        ("keys", Method::GET, "/api/keys", None),
    ]
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    for scope in ["channels:read", "channels:write", "moderation", "people", "sessions", "events", "audit", "counters", "keys"] {
        let key = rest.key_with(&[scope]).await;
        for (needed, method, path, body) in needs() {
            let answer = rest.call_as(&key, method.clone(), path, body).await;
            if needed == scope {
                assert!(answer.status < 300, "{scope}: {method} {path}: {} {}", answer.status, answer.body);
            } else {
                let refused = answer.refused(403, "PERMISSION_DENIED");
                assert_eq!(refused["details"]["scope"], needed);
            }
        }
    }
    let none = rest.key_with(&[]).await;
    let later = rest.key_with(&["admin", "channels"]).await;
    for (_, method, path, body) in needs() {
        rest.call_as(&none, method.clone(), path, body.clone()).await.refused(403, "PERMISSION_DENIED");
        rest.call_as(&later, method, path, body).await.refused(403, "PERMISSION_DENIED");
    }
    rest.end().await;
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_is_answered_alike() {
    let rest = Rest::start().await;
    let (id, secret) = rest.key.strip_prefix("parlor_").and_then(|rest| rest.split_once('_')).expect("a key");
    let wrong_secret = format!("parlor_{id}_{}", secret.chars().rev().collect::<String>());
    let unknown_id = format!("parlor_{}_{secret}", "0".repeat(id.len()));
    let mut answers = Vec::new();
    for key in [
        wrong_secret.as_str(),
        &unknown_id,
        "parlor_",
        "parlor_x_y",
        "parlor_'; DROP TABLE api_keys; --_x",
        &rest.token("alice"),
        "nonsense",
    ] {
        let answer = rest.call_as(key, Method::GET, "/api/channels", None).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        answers.push(answer.refused(401, "UNAUTHENTICATED"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    for header in ["", "Bearer", "Basic cGFybG9yOng=", "parlor"] {
        let request = rest.request(Method::GET, "/api/channels").header(AUTHORIZATION, header);
        rest.send(&Method::GET, "/api/channels", request).await.refused(401, "UNAUTHENTICATED");
    }
    let in_query = format!("/api/channels?key={}", rest.key);
    rest.send(&Method::GET, "/api/channels", rest.request(Method::GET, &in_query)).await.refused(401, "UNAUTHENTICATED");
    rest.end().await;
}

#[tokio::test]
async fn keys_are_made_shown_once_and_removed() {
    let rest = Rest::start().await;
    let made = rest.post("/api/keys", json!({"name": "billing", "scopes": ["people", "events", "people"]})).await;
    assert_eq!(made.header("cache-control"), "no-store");
    let made = made.is(201);
    assert_eq!(made["scopes"], json!(["people", "events"]));
    let key = made["key"].as_str().expect("a key");
    rest.call_as(key, Method::GET, "/api/events", None).await.is(200);
    let list = rest.get("/api/keys").await.is(200);
    assert!(list["items"].as_array().expect("items").iter().any(|key| key["id"] == made["id"] && key["name"] == "billing"));
    let secret = key.rsplit('_').next().expect("a secret");
    assert!(!list.to_string().contains(secret) && !rest.get("/api/audit").await.is(200).to_string().contains(secret));
    rest.delete(&format!("/api/keys/{}", made["id"].as_str().expect("an id"))).await.is(204);
    rest.call_as(key, Method::GET, "/api/events", None).await.refused(401, "UNAUTHENTICATED");
    rest.delete("/api/keys/0123456789abcdef").await.refused(404, "NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn a_key_cannot_make_or_remove_one_that_may_do_more() {
    let rest = Rest::start().await;
    let lesser = rest.key_with(&["keys", "audit"]).await;
    let make = async |scopes: Value| rest.call_as(&lesser, Method::POST, "/api/keys", Some(json!({"name": "a", "scopes": scopes}))).await;
    make(json!(["audit", "keys"])).await.is(201);
    make(json!(["people"])).await.refused(403, "PERMISSION_DENIED");
    make(json!(["*"])).await.refused(403, "PERMISSION_DENIED");
    let greater = rest.key.split('_').nth(1).expect("an id");
    rest.call_as(&lesser, Method::DELETE, &format!("/api/keys/{greater}"), None).await.refused(403, "PERMISSION_DENIED");
    rest.get("/api/keys").await.is(200);
    rest.end().await;
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// All of the server's tasks run on this thread, and so all of its logs end here.
#[tokio::test]
async fn a_secret_is_in_no_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let rest = Rest::start().await;
    let made = rest.post("/api/keys", json!({"name": "a", "scopes": ["audit"]})).await.is(201);
    let key = made["key"].as_str().expect("a key").to_owned();
    rest.call_as(&key, Method::GET, "/api/audit", None).await.is(200);
    rest.call_as(&key, Method::GET, "/api/keys", None).await.refused(403, "PERMISSION_DENIED");
    rest.call_as(&format!("{key}0"), Method::GET, "/api/keys", None).await.refused(401, "UNAUTHENTICATED");
    let token = rest.token("alice");
    rest.call_as(&token, Method::GET, "/api/voice/den/participants", None).await.refused(404, "CHANNEL_NOT_FOUND");
    let secrets = [rest.key.clone(), key, token];
    rest.end().await;
    drop(guard);
    let log = String::from_utf8(log.0.lock().expect("no panic").clone()).expect("text");
    // The client of this test writes to the same log: its lines are not the server's.
    let ours: Vec<_> = log.lines().filter(|line| line.contains("parlor")).collect();
    assert!(!ours.is_empty(), "something is logged");
    for secret in secrets {
        // The part that makes it one: of a key what follows its id, of a token the signature. Either may have any of the
        // separators in it, so only the first ones count.
        let parts = if secret.contains('.') { secret.splitn(3, '.') } else { secret.splitn(3, '_') };
        let secret = parts.last().filter(|part| part.len() > 20).expect("a secret").to_owned();
        assert!(!log.contains(&secret), "a secret was logged");
    }
}
