//! What another process writes to the store is felt in running calls within about a second.

use std::time::{Duration, Instant};

use parlor_proto::{Access, Entitlement, MemberRole, Moderation, Restrictions};
use parlor_testkit::wait;
use serde_json::{Value, json};

use super::client::{Client, assert_refused};
use super::ownership::transport;
use super::stored::{ADMIN, Shared, channel, now, user};

/// How long a change may take until it is felt: the change log is read each second; the rest is for a busy machine.
const FELT: Duration = Duration::from_secs(4);

#[tokio::test]
async fn a_ban_puts_out_at_once_and_keeps_out_until_it_is_over() {
    let shared = Shared::start("ban", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (mut mallory, _) = Client::joined(&shared.server, "mallory", "lobby").await;
    let written = Instant::now();
    let until = parlor_proto::Timestamp(now().0 + 5_000);
    shared.store.put_ban(&channel("lobby"), &user("mallory"), Some(until), Some("spam"), &ADMIN, now()).await.expect("written");
    let told = mallory.event("voice:moderation").await;
    assert_eq!((told["action"].as_str(), told["reason"].as_str()), (Some("ban"), Some("spam")), "{told}");
    let left = mallory.event("voice:left").await;
    assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("banned"), Some(false)), "{left}");
    assert!(written.elapsed() < FELT, "{:?}", written.elapsed());
    assert_eq!(alice.event("voice:participant:left").await["userId"], "mallory");
    let refused = mallory.request("voice:join", json!({"channelId": "lobby"})).await;
    assert_refused(&refused, "PERMISSION_DENIED");
    assert!(refused["details"]["until"].is_string(), "{refused}");
    wait::until("the ban is over", async || now() > until).await;
    assert_eq!(mallory.request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
    shared.stop().await;
}

#[tokio::test]
async fn an_entitlement_that_is_taken_or_given_holds_in_the_running_call() {
    let shared = Shared::start("entitlement", |_| ()).await;
    let (mut alice, joined) = Client::joined(&shared.server, "alice", "lobby").await;
    assert_eq!(joined["permissions"]["video"], true, "{joined}");
    shared.store.put_entitlement(&user("alice"), &Entitlement::FREE, &ADMIN, now()).await.expect("written");
    let told = alice.event("voice:entitlement").await;
    assert_eq!((told["permissions"]["video"].as_bool(), told["reason"].as_str()), (Some(false), Some("changed")), "{told}");
    assert_refused(&alice.request("voice:slot:request", json!({"source": "camera"})).await, "CAPABILITY_REQUIRED");
    // The entitlement is for a short time, and ends by itself.
    let soon = Entitlement { pro: true, expires_at: Some(parlor_proto::Timestamp(now().0 + 4_000)) };
    shared.store.put_entitlement(&user("alice"), &soon, &ADMIN, now()).await.expect("written");
    let told = alice.event("voice:entitlement").await;
    assert_eq!(told["permissions"]["video"], true, "{told}");
    assert!(told["permissions"]["expiresAt"].is_string(), "{told}");
    let told = alice.event("voice:entitlement").await;
    assert_eq!((told["permissions"]["video"].as_bool(), told["reason"].as_str()), (Some(false), Some("expired")), "{told}");
    assert!(now() >= soon.expires_at.expect("it ends"), "not too early");
    transport(&mut alice, "send").await;
    shared.stop().await;
}

#[tokio::test]
async fn a_revocation_ends_the_sessions_of_one_user_and_no_others() {
    let shared = Shared::start("revoked", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (mut bob, _) = Client::joined(&shared.server, "bob", "lobby").await;
    let mut idle = Client::connect(&shared.server, "bob", true).await;
    let token = shared.server.issue_token("bob", None, true).expect("token");
    shared.store.revoke(&user("bob"), parlor_proto::Timestamp(now().0 + 1_000), &ADMIN, now()).await.expect("written");
    let left = bob.event("voice:left").await;
    assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("session-revoked"), Some(false)), "{left}");
    bob.closed().await;
    idle.closed().await;
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert_eq!(alice.request("voice:state:update", json!({"muted": true})).await["muted"], true);
    // A token issued before the revocation does not get in again.
    let answer = Client::open(&shared.server).await.authenticate(&token).await;
    let error: Value = serde_json::from_str(answer.strip_prefix("44").expect("a connect error")).expect("json");
    assert_refused(&error["data"], "UNAUTHENTICATED");
    shared.stop().await;
}

#[tokio::test]
async fn a_channel_that_is_deleted_ends_its_call() {
    let shared = Shared::start("deleted", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (mut bob, _) = Client::joined(&shared.server, "bob", "elsewhere").await;
    shared.store.delete_channel(&channel("lobby"), &ADMIN, now()).await.expect("written");
    assert_eq!(alice.event("voice:left").await["reason"], "channel-deleted");
    assert_eq!(bob.request("voice:state:update", json!({"muted": true})).await["muted"], true, "other channels go on");
    shared.stop().await;
}

#[tokio::test]
async fn who_is_no_member_any_more_is_out_and_a_channel_that_changes_is_checked_for_all() {
    let shared = Shared::start("access", |_| ()).await;
    let club = shared.channel("club", |channel| channel.access = Access::Members).await;
    for name in ["alice", "bob"] {
        shared.member(&club, name, MemberRole::Member).await;
    }
    let (mut alice, _) = Client::joined(&shared.server, "alice", "club").await;
    let (mut bob, _) = Client::joined(&shared.server, "bob", "club").await;
    let mut carol = Client::connect(&shared.server, "carol", true).await;
    let refused = carol.request("voice:join", json!({"channelId": "club"})).await;
    assert_refused(&refused, "CHANNEL_NOT_FOUND");
    shared.store.delete_member(&club, &user("bob"), &ADMIN, now()).await.expect("written");
    assert_eq!(bob.event("voice:left").await["reason"], "access-lost");
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    // With seats instead of members nobody may be here.
    shared.channel("club", |channel| channel.access = Access::Seated).await;
    assert_eq!(alice.event("voice:left").await["reason"], "access-lost");
    shared.stop().await;
}

#[tokio::test]
async fn a_spectator_who_was_a_member_for_a_while_stays_a_spectator() {
    let shared = Shared::start("spectator", |_| ()).await;
    let club = shared.channel("club", |channel| (channel.access, channel.spectators) = (Access::Members, true)).await;
    let (mut carol, joined) = Client::joined(&shared.server, "carol", "club").await;
    assert_eq!(joined["role"], "spectator", "{joined}");
    shared.member(&club, "carol", MemberRole::Member).await;
    // Changes are applied in order: once this one is, the one before is.
    let deaf = Restrictions { deafened: true, ..Restrictions::default() };
    shared.store.put_restrictions(&club, &user("carol"), &deaf, &ADMIN, now()).await.expect("written");
    assert_eq!(carol.event("voice:moderation").await["restrictions"]["deafened"], true);
    shared.store.delete_member(&club, &user("carol"), &ADMIN, now()).await.expect("written");
    shared.store.put_restrictions(&club, &user("carol"), &Restrictions::default(), &ADMIN, now()).await.expect("written");
    assert_eq!(carol.event("voice:moderation").await["restrictions"]["deafened"], false, "she is still there");
    assert_eq!(carol.request("voice:state:update", json!({"muted": true})).await["muted"], true);
    shared.stop().await;
}

#[tokio::test]
async fn restrictions_and_acts_of_the_command_line_reach_the_call() {
    let shared = Shared::start("acts", |_| ()).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (mut bob, _) = Client::joined(&shared.server, "bob", "lobby").await;
    let (lobby, silent) = (channel("lobby"), Restrictions { audio: true, deafened: true, ..Restrictions::default() });
    shared.store.put_restrictions(&lobby, &user("bob"), &silent, &ADMIN, now()).await.expect("written");
    while alice.event("voice:participant:state").await["serverDeafened"] != true {}
    assert_eq!(bob.event("voice:moderation").await["restrictions"]["audio"], true);
    shared.channel("stage", |_| ()).await;
    let act = Moderation::Move { user: user("bob"), to: channel("stage") };
    shared.store.command(&lobby, &act, &ADMIN, now()).await.expect("written");
    let left = bob.event("voice:left").await;
    assert_eq!((left["reason"].as_str(), left["to"].as_str()), (Some("moved"), Some("stage")), "{left}");
    let end = Moderation::EndCall { reason: Some("closing time".into()) };
    shared.store.command(&lobby, &end, &ADMIN, now()).await.expect("written");
    assert_eq!(alice.event("voice:left").await["reason"], "call-ended");
    shared.stop().await;
}

#[tokio::test]
async fn a_ban_that_is_written_while_its_user_joins_is_not_missed() {
    let shared = Shared::start("race", |_| ()).await;
    let (_alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let round = async |round| {
        let name = format!("mallory-{round}");
        let mut mallory = Client::connect(&shared.server, &name, true).await;
        let (lobby, banned) = (channel("lobby"), user(&name));
        let ban = shared.store.put_ban(&lobby, &banned, None, None, &ADMIN, now());
        let (joined, written) = tokio::join!(mallory.request("voice:join", json!({"channelId": "lobby"})), ban);
        written.expect("written");
        if joined["code"].is_null() {
            assert_eq!(mallory.event("voice:left").await["reason"], "banned", "round {round}");
        }
    };
    futures_util::future::join_all((0..10).map(round)).await;
    shared.stop().await;
}

#[tokio::test]
async fn a_ban_and_a_removal_that_are_undone_within_a_second_are_felt_all_the_same() {
    let shared = Shared::start("undone", |_| ()).await;
    shared.channel("club", |_| ()).await;
    let (mut mallory, _) = Client::joined(&shared.server, "mallory", "lobby").await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "club").await;
    shared.store.put_ban(&channel("lobby"), &user("mallory"), None, None, &ADMIN, now()).await.expect("written");
    shared.store.delete_ban(&channel("lobby"), &user("mallory"), &ADMIN, now()).await.expect("written");
    shared.store.delete_channel(&channel("club"), &ADMIN, now()).await.expect("written");
    shared.channel("club", |_| ()).await;
    assert_eq!(mallory.event("voice:left").await["reason"], "banned");
    assert_eq!(alice.event("voice:left").await["reason"], "channel-deleted");
    // They may come back, and stay.
    for (client, id) in [(&mut mallory, "lobby"), (&mut alice, "club")] {
        assert_eq!(client.request("voice:join", json!({"channelId": id})).await["channelId"], id);
    }
    shared.stop().await;
}
