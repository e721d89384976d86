//! Tests that an answer holds: for a user who comes with the next packet, and for one who was on the way in.

use reqwest::Method;
use serde_json::json;

use super::super::client::{Client, assert_refused};
use super::Rest;

/// How often a test is repeated, to see what holds only nearly always.
const TIMES: usize = 30;

async fn start() -> Rest {
    let rest = Rest::start_with(|config| {
        config.limits.joins_per_minute = 1_000;
        config.limits.reconnect_interval_ms = 0;
    });
    let rest = rest.await;
    rest.put("/api/channels/den", json!({"tier": "pro"})).await.is(201);
    rest
}

#[tokio::test]
async fn a_limit_holds_for_the_next_join() {
    let rest = start().await;
    let (_alice, _) = Client::joined(&rest.server, "alice", "den").await;
    let mut bob = Client::connect(&rest.server, "bob", true).await;
    for _ in 0..TIMES {
        rest.put("/api/channels/den", json!({"tier": "pro", "maxParticipants": 1})).await.is(200);
        assert_refused(&bob.request("voice:join", json!({"channelId": "den"})).await, "CHANNEL_FULL");
        rest.put("/api/channels/den", json!({"tier": "pro", "maxParticipants": 2})).await.is(200);
        assert_eq!(bob.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den");
        bob.request("voice:leave", json!({})).await;
    }
    rest.end().await;
}

#[tokio::test]
async fn a_limit_of_spectators_holds_for_the_next_who_listens() {
    let rest = start().await;
    let set = async |max: u32| {
        let body = json!({"access": "members", "spectators": true, "maxParticipants": 1, "maxSpectators": max});
        rest.put("/api/channels/hall", body).await
    };
    set(1).await.is(201);
    rest.put("/api/channels/hall/members/mia", json!({})).await.is(201);
    let (_ann, joined) = Client::joined(&rest.server, "ann", "hall").await;
    assert_eq!(joined["role"], "spectator");
    let mut bob = Client::connect(&rest.server, "bob", true).await;
    for _ in 0..3 {
        let full = bob.request("voice:join", json!({"channelId": "hall"})).await;
        assert_refused(&full, "CHANNEL_FULL");
        assert_eq!(full["details"]["max"], 1, "{full}");
        set(2).await.is(200);
        assert_eq!(bob.request("voice:join", json!({"channelId": "hall"})).await["role"], "spectator");
        set(1).await.is(200);
        assert_eq!(bob.request("voice:leave", json!({})).await["channelId"], "hall", "who was in stayed in");
    }
    let (_mia, joined) = Client::joined(&rest.server, "mia", "hall").await;
    assert_eq!(joined["role"], "speaker", "no spectator has her place");
    rest.end().await;
}

#[tokio::test]
async fn an_entitlement_holds_for_the_next_request() {
    let rest = start().await;
    let mut alice = Client::connect(&rest.server, "alice", true).await;
    for _ in 0..TIMES {
        for pro in [false, true] {
            // In the call, and by what the next join is told.
            rest.put("/api/users/alice/entitlement", json!({ "pro": !pro })).await;
            alice.request("voice:join", json!({"channelId": "den"})).await;
            rest.put("/api/users/alice/entitlement", json!({ "pro": pro })).await;
            alice.request("voice:leave", json!({})).await;
            let joined = alice.request("voice:join", json!({"channelId": "den"})).await;
            assert_eq!(joined["permissions"]["video"], pro, "{joined}");
            alice.request("voice:leave", json!({})).await;
        }
    }
    let (mut bob, _) = Client::joined(&rest.server, "bob", "den").await;
    for _ in 0..5 {
        rest.put("/api/users/bob/entitlement", json!({"pro": false})).await;
        assert_refused(&bob.request("voice:slot:request", json!({"source": "camera"})).await, "CAPABILITY_REQUIRED");
        rest.put("/api/users/bob/entitlement", json!({"pro": true})).await;
        assert!(bob.request("voice:slot:request", json!({"source": "camera"})).await["code"].is_null());
        bob.request("voice:slot:release", json!({"source": "camera"})).await;
    }
    rest.end().await;
}

#[tokio::test]
async fn a_ban_that_races_with_a_join_holds_once_it_is_answered_though_it_is_lifted_at_once() {
    let rest = start().await;
    let (_alice, _) = Client::joined(&rest.server, "alice", "den").await;
    for round in 0..TIMES {
        let name = format!("mallory-{round}");
        let (mut mallory, path) = (Client::connect(&rest.server, &name, true).await, format!("/api/channels/den/bans/{name}"));
        let (joined, banned) = tokio::join!(mallory.request("voice:join", json!({"channelId": "den"})), rest.put(&path, json!({})));
        banned.is(200);
        let seen = rest.get("/api/channels/den/participants").await.is(200);
        assert_eq!(seen["participants"].as_array().map(Vec::len), Some(1), "round {round}: {seen}, {joined}");
        rest.delete(&path).await.is(204);
        if joined["code"].is_null() {
            assert_eq!(mallory.event("voice:left").await["reason"], "banned", "round {round}");
        }
    }
    rest.end().await;
}

#[tokio::test]
async fn a_channel_that_is_removed_and_made_anew_has_another_call() {
    let rest = start().await;
    for round in 0..TIMES {
        let (mut alice, _) = Client::joined(&rest.server, &format!("alice-{round}"), "den").await;
        rest.delete("/api/channels/den").await.is(204);
        rest.put("/api/channels/den", json!({"tier": "pro"})).await.is(201);
        assert_eq!(alice.event("voice:left").await["reason"], "channel-deleted", "round {round}");
        let (mut bob, joined) = Client::joined(&rest.server, "bob", "den").await;
        assert_eq!(joined["participants"], json!([]), "round {round}");
        bob.request("voice:leave", json!({})).await;
    }
    rest.end().await;
}

#[tokio::test]
async fn what_changes_nothing_is_no_event_and_a_goodbye_is_no_broken_connection() {
    let rest = start().await;
    rest.put("/api/channels/attic", json!({})).await.is(201);
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    for (body, what) in [(json!({}), "mute"), (json!({"audio": false}), "mute"), (json!({"deafened": false}), "deafen")] {
        rest.call(Method::POST, &format!("/api/channels/den/participants/alice/{what}"), Some(body)).await.is(204);
    }
    alice.request("voice:join", json!({"channelId": "attic"})).await;
    alice.close(Some(1001)).await;
    let events = loop {
        let feed = rest.get("/api/events?after=0&wait=1").await.is(200);
        let events = feed["items"].as_array().expect("a list").clone();
        if events.iter().filter(|event| event["type"] == "participant.left").count() == 2 {
            break events;
        }
    };
    assert!(events.iter().all(|event| !event["type"].as_str().unwrap_or_default().starts_with("moderation.")), "{events:?}");
    let first = events.iter().find(|event| event["type"] == "participant.left").expect("she left");
    assert_eq!(first["data"]["reason"], "left", "{events:?}");
    rest.end().await;
}
