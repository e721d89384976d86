//! Entitlements of people, and their sessions.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::super::client::{Client, assert_refused};
use super::Rest;

#[tokio::test]
async fn an_entitlement_is_set_read_and_forgotten() {
    let rest = Rest::start().await;
    rest.get("/api/users/alice/entitlement").await.refused(404, "NOT_FOUND");
    let pro = json!({"pro": true, "expiresAt": "2030-01-01T00:00:00Z"});
    assert_eq!(rest.put("/api/users/alice/entitlement", pro.clone()).await.is(200), pro);
    assert_eq!(rest.put("/api/users/alice/entitlement", pro.clone()).await.is(200), pro);
    assert_eq!(rest.get("/api/users/alice/entitlement").await.is(200), pro);
    assert_eq!(rest.put("/api/users/alice/entitlement", json!({"pro": false})).await.is(200), json!({"pro": false, "expiresAt": null}));
    rest.delete("/api/users/alice/entitlement").await.is(204);
    rest.delete("/api/users/alice/entitlement").await.refused(404, "NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn an_entitlement_changes_a_call_that_is_under_way() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"tier": "pro"})).await.is(201);
    let (mut alice, joined) = Client::joined(&rest.server, "alice", "den").await;
    assert_eq!(joined["permissions"]["video"], true);
    rest.put("/api/users/alice/entitlement", json!({"pro": false})).await.is(200);
    let told = alice.event("voice:entitlement").await;
    assert_eq!((&told["permissions"]["video"], &told["reason"]), (&json!(false), &json!("changed")));
    rest.delete("/api/users/alice/entitlement").await.is(204);
    assert_eq!(alice.event("voice:entitlement").await["permissions"]["video"], true);
    rest.end().await;
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    assert_eq!(rest.get("/api/users/alice/sessions").await.is(200), json!({"items": []}));
    let token = rest.token("alice");
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    let mut phone = Client::connect(&rest.server, "alice", false).await;
    let (mut bob, _) = Client::joined(&rest.server, "bob", "den").await;
    let sessions = rest.get("/api/users/alice/sessions").await.is(200);
    let channels: Vec<_> = sessions["items"].as_array().expect("items").iter().map(|session| session["channelId"].clone()).collect();
    assert!(channels.contains(&json!("den")) && channels.contains(&Value::Null), "{sessions}");

    assert_eq!(rest.delete("/api/users/alice/sessions").await.is(200)["closed"], 2);
    alice.closed().await;
    phone.closed().await;
    assert_eq!(bob.event("voice:participant:left").await["userId"], "alice");
    assert_eq!(rest.get("/api/users/alice/sessions").await.is(200), json!({"items": []}));
    // The user's old token opens nothing any more.
    rest.call_as(&token, Method::GET, "/api/voice/den/participants", None).await.refused(401, "UNAUTHENTICATED");
    let mut again = Client::open(&rest.server).await;
    for _ in 0..4 {
        let answer = again.authenticate(&token).await;
        let error: Value = serde_json::from_str(answer.strip_prefix("44").expect("a connect error")).expect("json");
        assert_refused(&error["data"], "UNAUTHENTICATED");
    }
    // The old token takes no place among the user's connections either, and a new token is good on the same connection.
    assert_eq!(rest.get("/api/users/alice/sessions").await.is(200), json!({"items": []}));
    // Tokens say in seconds when they were made.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let fresh = rest.token("alice");
    assert!(again.authenticate(&fresh).await.starts_with("40{"));
    rest.end().await;
}
