//! Moderators in a call: what they may do, and that its effect lasts.

use std::time::Duration;

use parlor_proto::{Access, MemberRole, Restrictions};
use parlor_store::{MAX_BANS_BY_MODERATORS, MAX_RESTRICTED, Page};
use parlor_testkit::wait::seen;
use serde_json::{Value, json};
use sqlx::{Connection as _, Executor as _};

use super::base;
use super::client::{Client, assert_refused};
use super::ownership::{microphone, transport};
use super::stored::{ADMIN, Shared, channel, file_of, now, user};

/// A call with a moderator and somebody else.
async fn call(name: &str) -> (Shared, Client, Client, Value) {
    let shared = Shared::start(name, |_| ()).await;
    let den = shared.channel("den", |_| ()).await;
    shared.member(&den, "mod", MemberRole::Moderator).await;
    let (moderator, joined) = Client::joined(&shared.server, "mod", "den").await;
    assert_eq!(joined["moderator"], true, "{joined}");
    let (bob, joined) = Client::joined(&shared.server, "bob", "den").await;
    assert_eq!(joined["moderator"], false, "{joined}");
    (shared, moderator, bob, joined)
}

#[tokio::test]
async fn only_moderators_moderate_and_only_while_they_are_ones() {
    let (shared, mut moderator, mut bob, _) = call("may").await;
    assert_refused(&bob.request("voice:moderate", json!({"action": "kick", "userId": "mod"})).await, "PERMISSION_DENIED");
    assert_refused(&moderator.request("voice:moderate", json!({"action": "kick", "userId": "nobody"})).await, "NOT_FOUND");
    let refused = moderator.request("voice:moderate", json!({"action": "move", "userId": "bob", "to": "nowhere"})).await;
    assert_refused(&refused, "CHANNEL_NOT_FOUND");
    shared.store.put_member(&channel("den"), &user("mod"), MemberRole::Member, &ADMIN, now()).await.expect("written");
    let mute = async || {
        // No faster than the server allows.
        tokio::time::sleep(Duration::from_millis(100)).await;
        moderator.request("voice:moderate", json!({"action": "mute", "userId": "bob", "audio": true})).await
    };
    seen("who is no moderator any more does not moderate", mute, |answer| answer["code"] == "PERMISSION_DENIED").await;
    shared.stop().await;
}

#[tokio::test]
async fn a_moderator_of_one_channel_learns_of_no_other_by_moving_somebody_there() {
    let (shared, mut moderator, mut bob, _) = call("hidden").await;
    let cellar = shared.channel("cellar", |channel| channel.access = Access::Members).await;
    let send_to = |to: &str| json!({"action": "move", "userId": "bob", "to": to});
    let nowhere = moderator.request("voice:moderate", send_to("nowhere")).await;
    assert_refused(&nowhere, "CHANNEL_NOT_FOUND");
    assert_eq!(moderator.request("voice:moderate", send_to("cellar")).await, nowhere, "one cannot tell whether there is one");
    assert_eq!(bob.request("voice:state:update", json!({})).await["muted"], false, "who was to be moved is there still");
    // Who has to do with it may.
    shared.member(&cellar, "mod", MemberRole::Member).await;
    assert_eq!(moderator.request("voice:moderate", send_to("cellar")).await["action"], "move");
    assert_eq!(bob.event("voice:left").await["to"], "cellar");
    shared.stop().await;
}

#[tokio::test]
async fn a_token_for_some_channels_moves_nobody_to_others() {
    let (shared, _moderator, _bob, _) = call("granted").await;
    for id in ["cellar", "attic"] {
        shared.channel(id, |_| ()).await;
    }
    let guest = json!({"user": "carol", "channels": [{"id": "den", "role": "moderator"}, "attic"]});
    let issued = reqwest::Client::new().post(base(&shared.server) + "/api/dev/token").json(&guest).send().await.expect("answers");
    let issued: Value = issued.json().await.expect("json");
    let mut carol = Client::open(&shared.server).await;
    carol.authenticate(issued["token"].as_str().expect("a token")).await;
    assert_eq!(carol.request("voice:join", json!({"channelId": "den"})).await["moderator"], true);
    let send_to = |to: &str| json!({"action": "move", "userId": "bob", "to": to});
    let nowhere = carol.request("voice:moderate", send_to("nowhere")).await;
    assert_refused(&nowhere, "PERMISSION_DENIED");
    assert_eq!(carol.request("voice:moderate", send_to("cellar")).await, nowhere, "whether there is one or not");
    assert_eq!(carol.request("voice:moderate", send_to("attic")).await["action"], "move");
    shared.stop().await;
}

#[tokio::test]
async fn a_kick_a_ban_a_move_and_the_end_of_a_call() {
    let (shared, mut moderator, mut bob, _) = call("acts").await;
    shared.channel("stage", |_| ()).await;
    let kick = json!({"action": "kick", "userId": "bob", "reason": "mind your words"});
    assert_eq!(moderator.request("voice:moderate", kick).await, json!({"action": "kick", "userId": "bob"}));
    let told = bob.event("voice:moderation").await;
    assert_eq!((told["byUserId"].as_str(), told["reason"].as_str()), (Some("mod"), Some("mind your words")), "{told}");
    assert_eq!(bob.event("voice:left").await["reason"], "kicked");
    assert_eq!(moderator.event("voice:participant:left").await["userId"], "bob");
    assert_eq!(bob.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den", "a kick is no ban");

    moderator.request("voice:moderate", json!({"action": "move", "userId": "bob", "to": "stage"})).await;
    let left = bob.event("voice:left").await;
    assert_eq!((left["reason"].as_str(), left["to"].as_str()), (Some("moved"), Some("stage")), "{left}");

    bob.request("voice:join", json!({"channelId": "den"})).await;
    let banned = moderator.request("voice:moderate", json!({"action": "ban", "userId": "bob"})).await;
    assert_eq!(banned, json!({"action": "ban", "userId": "bob"}));
    assert_eq!(bob.event("voice:left").await["reason"], "banned");
    assert_refused(&bob.request("voice:join", json!({"channelId": "den"})).await, "PERMISSION_DENIED");

    let (mut carol, _) = Client::joined(&shared.server, "carol", "den").await;
    let ended = moderator.request("voice:moderate", json!({"action": "end-call"})).await;
    assert_eq!(ended, json!({"action": "end-call", "userId": null}));
    assert_eq!(carol.event("voice:left").await["reason"], "call-ended");
    assert_eq!(moderator.event("voice:left").await["reason"], "call-ended");

    let audit = shared.store.audit(Some(&channel("den")), &Page::first(50)).await.expect("is read");
    let by_moderator: Vec<&str> =
        audit.iter().rev().filter(|entry| entry.by.user() == Some(&user("mod"))).map(|entry| entry.action.as_str()).collect();
    assert_eq!(by_moderator, ["moderation.kick", "moderation.move", "ban.put", "moderation.end-call"]);
    shared.stop().await;
}

#[tokio::test]
async fn a_ban_that_changes_nothing_is_no_event_and_no_line_of_the_audit_log() {
    let (shared, mut moderator, bob, _) = call("same-ban").await;
    for reason in ["noise", "noise", "insults"] {
        let ban = json!({"action": "ban", "userId": "bob", "reason": reason});
        assert_eq!(moderator.request("voice:moderate", ban).await, json!({"action": "ban", "userId": "bob"}));
    }
    drop((moderator, bob));
    let Shared { server, store } = shared;
    server.shut_down().await;
    let feed = store.feed_after(0, 100).await.expect("is read");
    let told: Vec<_> = feed.iter().filter(|event| event.kind == "moderation.ban").map(|event| event.data["reason"].as_str()).collect();
    assert_eq!(told, [Some("noise"), Some("insults")]);
    let audit = store.audit(Some(&channel("den")), &Page::first(50)).await.expect("is read");
    assert_eq!(audit.iter().filter(|line| line.action == "ban.put").count(), 2);
    store.close().await;
}

#[tokio::test]
async fn a_ban_that_is_there_already_puts_out_who_is_still_inside() {
    let (shared, mut moderator, mut bob, _) = call("again-ban").await;
    // The ban is of another process: this one has not looked yet, or has just looked.
    shared.store.put_ban(&channel("den"), &user("bob"), None, None, &ADMIN, now()).await.expect("written");
    moderator.request("voice:moderate", json!({"action": "ban", "userId": "bob"})).await;
    assert_eq!(bob.event("voice:left").await["reason"], "banned");
    shared.stop().await;
}

#[tokio::test]
async fn moderators_ban_and_mute_so_many_people_and_the_operator_more() {
    let (shared, mut moderator, mut bob, _) = call("many").await;
    let url = format!("sqlite:{}", file_of("many").display());
    let mut other = sqlx::AnyConnection::connect(&url).await.expect("connects");
    let many = |count| format!("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
    for statement in [
        format!(
            "{} INSERT INTO bans (channel_id, user_id, actor, updated_at) SELECT 'den', 'invented-' || i, 'user:mod', 2 FROM n",
            many(MAX_BANS_BY_MODERATORS)
        ),
        format!("{} INSERT INTO restrictions SELECT 'den', 'invented-' || i, 1, 0, 0, 0, 2 FROM n", many(MAX_RESTRICTED)),
    ] {
        other.execute(sqlx::AssertSqlSafe(statement)).await.expect("written");
    }
    let (ban, mute) = (json!({"action": "ban", "userId": "bob"}), json!({"action": "mute", "userId": "bob", "audio": true}));
    for (act, way_out) in [(&mute, "give back"), (&ban, "ask who runs the server")] {
        let refused = moderator.request("voice:moderate", act.clone()).await;
        assert_refused(&refused, "LIMIT_EXCEEDED");
        assert!(refused["error"].as_str().is_some_and(|text| text.contains(way_out)), "{refused}");
    }
    assert_eq!(bob.request("voice:state:update", json!({"muted": true})).await["muted"], true, "still there");
    shared.store.put_ban(&channel("den"), &user("bob"), None, None, &ADMIN, now()).await.expect("the operator has no limit");
    assert_eq!(bob.event("voice:left").await["reason"], "banned");
    shared.stop().await;
}

#[tokio::test]
async fn a_server_mute_outlives_leaving_and_no_client_lifts_it() {
    let (shared, mut moderator, mut bob, _) = call("mute").await;
    let send = transport(&mut bob, "send").await;
    let producer = microphone(&mut bob, &send, 1001).await;
    moderator.event("voice:newProducer").await;
    let mute = json!({"action": "mute", "userId": "bob", "audio": true});
    assert_eq!(moderator.request("voice:moderate", mute).await["action"], "mute");
    assert_eq!(bob.event("voice:moderation").await["restrictions"]["audio"], true);
    while moderator.event("voice:participant:state").await["serverMuted"]["audio"] != true {}
    // A modified client tries all there is.
    bob.request("voice:rtc:resumeProducer", json!({ "producerId": producer })).await;
    bob.request("voice:state:update", json!({"muted": false, "serverMuted": {"audio": false}, "speaking": true})).await;
    assert_refused(&bob.request("voice:moderate", json!({"action": "mute", "userId": "bob", "audio": false})).await, "PERMISSION_DENIED");
    bob.request("voice:leave", json!({})).await;
    let joined = bob.request("voice:join", json!({"channelId": "den"})).await;
    assert_eq!(joined["state"]["serverMuted"]["audio"], true, "{joined}");
    let send = transport(&mut bob, "send").await;
    microphone(&mut bob, &send, 1002).await;
    let (_, joined) = Client::joined(&shared.server, "carol", "den").await;
    let shown = joined["participants"].as_array().expect("a list").iter().find(|one| one["userId"] == "bob").expect("is there").clone();
    assert_eq!((shown["serverMuted"]["audio"].as_bool(), shown["producers"][0]["paused"].as_bool()), (Some(true), Some(true)), "{shown}");
    let kept = shared.store.restrictions(&channel("den"), &user("bob")).await.expect("is read");
    assert_eq!(kept, Restrictions { audio: true, ..Restrictions::default() });

    moderator.request("voice:moderate", json!({"action": "mute", "userId": "bob", "audio": false})).await;
    while moderator.event("voice:participant:state").await["serverMuted"]["audio"] != false {}
    shared.stop().await;
}

#[tokio::test]
async fn without_the_store_nothing_is_half_done() {
    let (shared, mut moderator, mut bob, _) = call("down").await;
    shared.server.close_store().await;
    for action in [json!({"action": "ban", "userId": "bob"}), json!({"action": "mute", "userId": "bob", "audio": true})] {
        assert_refused(&moderator.request("voice:moderate", action).await, "SERVER_ERROR");
    }
    assert_eq!(bob.request("voice:state:update", json!({"muted": true})).await["muted"], true, "still there, and the call goes on");
    let heard: Vec<String> = bob.events_so_far().into_iter().map(|(name, _)| name).collect();
    assert!(!heard.iter().any(|name| name == "voice:moderation" || name == "voice:left"), "{heard:?}");
    let mut carol = Client::connect(&shared.server, "carol", true).await;
    assert_refused(&carol.request("voice:join", json!({"channelId": "den"})).await, "SERVER_ERROR");
    let ready = reqwest::get(super::base(&shared.server) + "/readyz").await.expect("answers");
    assert_eq!(ready.status(), 503);
    shared.stop().await;
}
