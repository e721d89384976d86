//! Calls: who may look at them, and what can be done to them.

use reqwest::Method;
use serde_json::{Value, json};

use super::super::client::{Client, assert_refused};
use super::Rest;

#[tokio::test]
async fn who_may_join_sees_who_is_in() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"access": "members"})).await.is(201);
    rest.put("/api/channels/den/members/alice", json!({})).await.is(201);
    let (alice, stranger) = (rest.token("alice"), rest.token("mallory"));
    let (_client, _) = Client::joined(&rest.server, "alice", "den").await;
    for path in ["/api/voice/den/participants", "/api/rooms/den/call-state/"] {
        let look = async |bearer: &str| rest.call_as(bearer, Method::GET, path, None).await;
        let seen = look(&alice).await.is(200);
        assert_eq!(seen, look(&rest.key).await.is(200));
        let first = &seen["participants"][0];
        assert!(first["userId"] == "alice" || first["user_id"] == "alice", "{seen}");
        let nothing = look(&stranger).await.refused(404, "CHANNEL_NOT_FOUND");
        let nowhere = path.replace("den", "none");
        let none = rest.call_as(&stranger, Method::GET, &nowhere, None).await.refused(404, "CHANNEL_NOT_FOUND");
        assert_eq!(nothing, none, "a stranger cannot tell whether there is one");
        look("").await.refused(401, "UNAUTHENTICATED");
        look("nonsense").await.refused(401, "UNAUTHENTICATED");
        look(&format!("{alice}x")).await.refused(401, "UNAUTHENTICATED");
        rest.send(&Method::GET, path, rest.request(Method::GET, path)).await.refused(401, "UNAUTHENTICATED");
        let elsewhere = path.replace("den", "none");
        rest.call_as(&alice, Method::GET, &elsewhere, None).await.refused(404, "CHANNEL_NOT_FOUND");
        rest.call_as(&rest.key, Method::GET, &elsewhere, None).await.refused(404, "CHANNEL_NOT_FOUND");
    }
    // A user's token is no API key.
    rest.call_as(&alice, Method::GET, "/api/channels/den/participants", None).await.refused(401, "UNAUTHENTICATED");
    rest.put("/api/channels/den/bans/alice", json!({})).await.is(200);
    rest.call_as(&alice, Method::GET, "/api/voice/den/participants", None).await.refused(403, "PERMISSION_DENIED");
    rest.end().await;
}

#[tokio::test]
async fn who_was_signed_out_cannot_tell_whether_there_is_a_channel() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"access": "members"})).await.is(201);
    let (mallory, alice) = (rest.token("mallory"), rest.token("alice"));
    rest.put("/api/channels/den/members/alice", json!({})).await.is(201);
    for user in ["mallory", "alice"] {
        rest.delete(&format!("/api/users/{user}/sessions")).await.is(200);
    }
    for path in ["/api/voice/den/participants", "/api/rooms/den/call-state/"] {
        let look = async |bearer: &str, path: &str| rest.call_as(bearer, Method::GET, path, None).await;
        let nowhere = look(&mallory, &path.replace("den", "none")).await.refused(404, "CHANNEL_NOT_FOUND");
        assert_eq!(look(&mallory, path).await.refused(404, "CHANNEL_NOT_FOUND"), nowhere);
        look(&alice, path).await.refused(401, "UNAUTHENTICATED");
    }
    rest.end().await;
}

#[tokio::test]
async fn a_closed_channel_is_not_shown() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({"closesAt": "2020-01-01T00:00:00Z"})).await.is(201);
    rest.call_as(&rest.token("alice"), Method::GET, "/api/voice/den/participants", None).await.refused(403, "CHANNEL_CLOSED");
    rest.get("/api/channels/den/participants").await.is(200);
    rest.end().await;
}

#[tokio::test]
async fn participants_are_shown_as_they_are() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    assert_eq!(rest.get("/api/channels/den/participants").await.is(200), json!({"channelId": "den", "participants": []}));
    assert_eq!(rest.get("/api/rooms/den/call-state/").await.is(200), json!({"room_state": "idle", "participants": []}));
    rest.get("/api/channels/none/participants").await.refused(404, "CHANNEL_NOT_FOUND");
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    alice.request("voice:state:update", json!({"muted": true})).await;
    let seen = rest.get("/api/channels/den/participants").await.is(200);
    let wanted = json!({
        "userId": "alice", "name": "alice", "role": "speaker", "moderator": false, "muted": true, "deafened": false, "speaking": false,
        "serverMuted": {"audio": false, "video": false, "screen": false}, "serverDeafened": false, "producers": [],
    });
    assert_eq!(seen["participants"], json!([wanted]));
    let state = rest.get("/api/rooms/den/call-state/").await.is(200);
    assert_eq!(state, json!({"room_state": "active", "participants": [{"user_id": "alice", "username": "alice", "state": "active"}]}));
    alice.request("voice:leave", json!({"channelId": "den"})).await;
    assert_eq!(rest.get("/api/rooms/den/call-state/").await.is(200)["participants"][0]["state"], "ended");
    rest.end().await;
}

#[tokio::test]
async fn a_ban_puts_somebody_out_and_keeps_them_out() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    let ban = json!({"until": "2099-01-01T00:00:00Z", "reason": "spam"});
    let banned = rest.put("/api/channels/den/bans/alice", ban).await.is(200);
    assert_eq!((&banned["userId"], &banned["until"], &banned["reason"]), (&json!("alice"), &json!("2099-01-01T00:00:00Z"), &json!("spam")));
    assert_eq!(alice.event("voice:left").await["reason"], "banned");
    assert_refused(&alice.request("voice:join", json!({"channelId": "den"})).await, "PERMISSION_DENIED");
    assert_eq!(rest.get("/api/channels/den/bans").await.is(200)["items"], json!([banned]));
    // Somebody who is not there can be banned as well, for good.
    assert_eq!(rest.put("/api/channels/den/bans/bob", json!({})).await.is(200)["until"], Value::Null);
    rest.delete("/api/channels/den/bans/alice").await.is(204);
    rest.delete("/api/channels/den/bans/alice").await.refused(404, "NOT_FOUND");
    assert_eq!(alice.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den");
    rest.put("/api/channels/none/bans/alice", json!({})).await.refused(404, "CHANNEL_NOT_FOUND");
    rest.get("/api/channels/none/bans").await.refused(404, "CHANNEL_NOT_FOUND");
    rest.end().await;
}

#[tokio::test]
async fn a_call_is_moderated() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    rest.put("/api/channels/other", json!({})).await.is(201);
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    let act = async |what: &str, body: Value| rest.post(&format!("/api/channels/den/participants/alice/{what}"), body).await;

    act("mute", json!({"audio": true, "screen": true})).await.is(204);
    assert_eq!(
        alice.event("voice:moderation").await["restrictions"],
        json!({"audio": true, "video": false, "screen": true, "deafened": false})
    );
    act("mute", json!({"screen": false})).await.is(204);
    assert_eq!(alice.event("voice:moderation").await["restrictions"]["audio"], true);
    act("deafen", json!({"deafened": true})).await.is(204);
    assert_eq!(alice.event("voice:moderation").await["restrictions"]["deafened"], true);
    let seen = &rest.get("/api/channels/den/participants").await.is(200)["participants"][0];
    assert_eq!((&seen["serverMuted"]["audio"], &seen["serverDeafened"]), (&json!(true), &json!(true)));

    act("kick", json!({"reason": "enough"})).await.is(204);
    assert_eq!(alice.event("voice:left").await["reason"], "kicked");
    act("kick", json!({})).await.refused(404, "NOT_FOUND");
    assert_eq!(alice.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den", "a kick is no ban");

    act("move", json!({"to": "none"})).await.refused(404, "CHANNEL_NOT_FOUND");
    act("move", json!({"to": "other"})).await.is(204);
    let left = alice.event("voice:left").await;
    assert_eq!((&left["reason"], &left["to"]), (&json!("moved"), &json!("other")));

    let (mut bob, _) = Client::joined(&rest.server, "bob", "den").await;
    rest.post("/api/channels/den/end-call", json!({})).await.is(204);
    assert_eq!(bob.event("voice:left").await["reason"], "call-ended");
    for path in ["participants/alice/mute", "participants/alice/kick", "end-call"] {
        rest.post(&format!("/api/channels/none/{path}"), json!({})).await.refused(404, "CHANNEL_NOT_FOUND");
    }
    let log = rest.get("/api/audit?channel=den&limit=200").await.is(200).to_string();
    for what in ["kick", "move", "end-call"] {
        assert!(log.contains(what), "{what}: {log}");
    }
    rest.end().await;
}

#[tokio::test]
async fn the_feed_can_be_caught_up_with() {
    let rest = Rest::start().await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    assert_eq!(rest.get("/api/events").await.is(200), json!({"items": [], "next": 0}));
    let (mut alice, _) = Client::joined(&rest.server, "alice", "den").await;
    let first = rest.get("/api/events?wait=20").await.is(200);
    assert_eq!(first["items"][0]["type"], "room.started", "{first}");
    alice.request("voice:leave", json!({"channelId": "den"})).await;
    let mut types = Vec::new();
    let mut next = 0;
    while types.last() != Some(&json!("room.ended")) {
        let page = rest.get(&format!("/api/events?after={next}&limit=1&wait=20")).await.is(200);
        types.extend(page["items"].as_array().expect("items").iter().map(|event| event["type"].clone()));
        next = page["next"].as_i64().expect("a number");
    }
    assert_eq!(types, ["room.started", "participant.joined", "participant.left", "room.ended"]);
    let gone = rest.get(&format!("/api/events?after={}", next + 1000)).await;
    let gone = gone.refused(410, "NOT_FOUND");
    assert_eq!((&gone["details"]["last"], &gone["details"]["after"]), (&json!(next), &json!(next)));
    assert!(gone["detail"].as_str().expect("a sentence").starts_with("There was no such event yet"), "{gone}");
    rest.end().await;
}
