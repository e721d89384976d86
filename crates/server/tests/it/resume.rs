//! A connection that breaks, and the call that goes on with the next one; and what ends a call instead.

use std::time::{Duration, Instant};

use parlor::Server;
use serde_json::{Value, json};

use super::client::{Client, assert_refused};
use super::ownership::{microphone, transport};
use super::stored::{ADMIN, Shared, channel, now, user};
use super::{dev_server, server_without_join_limit};

/// A time that is longer than anything takes that happens at once.
const MOMENT: Duration = Duration::from_millis(500);

fn resume(joined: &Value) -> Value {
    json!({"channelId": joined["channelId"], "resumeToken": joined["resumeToken"]})
}

async fn resumed(server: &Server, user: &str, joined: &Value) -> (Client, Value) {
    let mut client = Client::connect(server, user, true).await;
    let answer = client.request("voice:resume", resume(joined)).await;
    (client, answer)
}

fn of_others(events: Vec<(String, Value)>) -> Vec<String> {
    let about = |name: &String| name.starts_with("voice:participant") || name.starts_with("voice:producer") || name == "voice:newProducer";
    events.into_iter().map(|(name, _)| name).filter(about).collect()
}

#[tokio::test]
async fn a_cut_connection_goes_on_with_the_next_one_and_nobody_sees_it() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (mut bob, joined) = Client::joined(&server, "bob", "lobby").await;
    assert_eq!((joined["resumed"].as_bool(), joined["resumeGraceMs"].as_u64()), (Some(false), Some(10_000)), "{joined}");
    let send = transport(&mut bob, "send").await;
    let producer = microphone(&mut bob, &send, 1001).await;
    assert_eq!(alice.event("voice:newProducer").await["producerId"], producer.as_str());
    let recv = transport(&mut bob, "recv").await;
    bob.sever();
    tokio::time::sleep(MOMENT).await;

    let (mut bob, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "{back}");
    assert_eq!(back["participants"][0]["userId"], "alice", "{back}");
    assert_eq!(back["own"], json!({"transports": [send, recv], "producers": [producer], "consumers": [], "slots": []}));
    // The session's own objects are its own on the new connection.
    let paused = bob.request("voice:rtc:pauseProducer", json!({ "producerId": producer })).await;
    assert_eq!(paused["producerId"], producer.as_str(), "{paused}");
    alice.event("voice:producerPaused").await;
    bob.request("voice:state:update", json!({"muted": true})).await;
    assert_eq!(alice.event("voice:participant:state").await["userId"], "bob");
    assert_eq!(of_others(alice.events_so_far()), Vec::<String>::new(), "nothing else was told");

    // The token is good once more, and the old connection has no session.
    bob.sever();
    tokio::time::sleep(MOMENT).await;
    let (bob, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "{back}");
    bob.cut().await;
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    server.shut_down().await;
}

#[tokio::test]
async fn who_does_not_come_back_in_time_has_left() {
    let shared = Shared::start("grace", |config| config.limits.resume_grace_ms = 1500).await;
    let (mut alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (bob, joined) = Client::joined(&shared.server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    let lost = Instant::now();
    bob.sever();
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert!(lost.elapsed() > Duration::from_millis(1400), "{:?}", lost.elapsed());
    let (mut bob, late) = resumed(&shared.server, "bob", &joined).await;
    assert_refused(&late, "SESSION_EXPIRED");
    assert_eq!(bob.request("voice:join", json!({"channelId": "lobby"})).await["resumed"], false, "a join is what is left");
    shared.stop().await;
}

#[tokio::test]
async fn a_goodbye_leaves_at_once_and_leaves_nothing_to_resume() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    for (way, user) in ["bob", "carol", "dave"].into_iter().enumerate() {
        let (mut client, joined) = Client::joined(&server, user, "lobby").await;
        alice.event("voice:participant:joined").await;
        let began = Instant::now();
        match way {
            0 => client.leave_namespace().await,
            1 => client.cut().await,
            _ => drop(client.request("voice:leave", json!({})).await),
        }
        assert_eq!(alice.event("voice:participant:left").await["userId"], user);
        assert!(began.elapsed() < Duration::from_secs(2), "{user}: {:?}", began.elapsed());
        let (_, refused) = resumed(&server, user, &joined).await;
        assert_refused(&refused, "SESSION_EXPIRED");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_connection_that_is_closed_without_a_goodbye_goes_on_with_the_next_one() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (mut bob, joined) = Client::joined(&server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    // Close codes a browser sends when it is offline, or a proxy when it is told to load its configuration again.
    for code in [None, Some(1000), Some(1001), Some(1011), Some(1012)] {
        bob.close(code).await;
        tokio::time::sleep(MOMENT).await;
        let (client, back) = resumed(&server, "bob", &joined).await;
        assert_eq!(back["resumed"], true, "{code:?}: {back}");
        bob = client;
    }
    // The packet socket.io-client sends when it polls and one poll failed.
    bob.send("1").await;
    bob.closed().await;
    let (_bob, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "{back}");
    assert_eq!(of_others(alice.events_so_far()), Vec::<String>::new());
    server.shut_down().await;
}

#[tokio::test]
async fn a_page_that_goes_away_has_left_when_it_is_not_back_in_a_moment() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    for (close_packet, least, most) in [(true, 0, 2_000), (false, 2_000, 6_000)] {
        let (mut bob, joined) = Client::joined(&server, "bob", "lobby").await;
        alice.event("voice:participant:joined").await;
        let began = Instant::now();
        if close_packet {
            bob.send("1").await;
        }
        bob.close(Some(1001)).await;
        assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
        let took = began.elapsed();
        assert!(Duration::from_millis(least) <= took && took < Duration::from_millis(most), "{close_packet}: {took:?}");
        let (_, refused) = resumed(&server, "bob", &joined).await;
        assert_refused(&refused, "SESSION_EXPIRED");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn only_the_same_user_with_the_token_takes_a_session_up() {
    let server = dev_server().await;
    let (_alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, joined) = Client::joined(&server, "bob", "lobby").await;
    bob.sever();
    let (_, stolen) = resumed(&server, "eve", &joined).await;
    assert_refused(&stolen, "SESSION_EXPIRED");
    for token in [json!("0".repeat(32)), json!(""), json!("x")] {
        let guessed = json!({"channelId": "lobby", "resumeToken": token});
        let (_, refused) = resumed(&server, "bob", &guessed).await;
        assert_refused(&refused, "SESSION_EXPIRED");
    }
    let elsewhere = json!({"channelId": "nowhere", "resumeToken": joined["resumeToken"]});
    let (_, refused) = resumed(&server, "bob", &elsewhere).await;
    assert_refused(&refused, "SESSION_EXPIRED");
    let (_, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "the tries of others changed nothing: {back}");
    server.shut_down().await;
}

#[tokio::test]
async fn a_client_may_come_back_before_the_server_noticed_that_it_was_gone() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (mut old, joined) = Client::joined(&server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    let (mut new, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "{back}");
    assert_eq!(old.event("voice:left").await["reason"], "replaced");
    assert_refused(&old.request("voice:state:update", json!({"muted": true})).await, "NOT_IN_CHANNEL");
    old.cut().await;
    assert_eq!(new.request("voice:state:update", json!({"muted": true})).await["muted"], true, "the end of the old one ends nothing");
    alice.event("voice:participant:state").await;
    assert_eq!(of_others(alice.events_so_far()), Vec::<String>::new());
    server.shut_down().await;
}

#[tokio::test]
async fn a_join_of_who_was_lost_takes_their_place_at_once() {
    let server = server_without_join_limit().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, _) = Client::joined(&server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    bob.sever();
    tokio::time::sleep(MOMENT).await;
    let (_bob, joined) = Client::joined(&server, "bob", "lobby").await;
    assert_eq!(joined["participants"].as_array().map(Vec::len), Some(1), "not oneself: {joined}");
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert_eq!(alice.event("voice:participant:joined").await["userId"], "bob");
    server.shut_down().await;
}

#[tokio::test]
async fn resuming_is_no_join_and_is_not_counted() {
    let server = dev_server().await;
    let (_alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (mut bob, joined) = Client::joined(&server, "bob", "lobby").await;
    for _ in 0..15 {
        bob.sever();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (client, back) = resumed(&server, "bob", &joined).await;
        assert_eq!(back["resumed"], true, "{back}");
        bob = client;
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_guess_tells_nothing_and_asks_the_store_nothing() {
    let shared = Shared::start("guess", |_| {}).await;
    let (_alice, _) = Client::joined(&shared.server, "alice", "lobby").await;
    let (bob, joined) = Client::joined(&shared.server, "bob", "lobby").await;
    let mut eve = Client::connect(&shared.server, "eve", true).await;
    shared.store.put_ban(&channel("lobby"), &user("eve"), None, None, &ADMIN, now()).await.expect("is put");
    let guess = |channel: &str| json!({"channelId": channel, "resumeToken": "0".repeat(32)});
    for channel in ["lobby", "nowhere"] {
        assert_refused(&eve.request("voice:resume", guess(channel)).await, "SESSION_EXPIRED");
    }
    bob.sever();
    let mut back = Client::connect(&shared.server, "bob", true).await;
    shared.server.close_store().await;
    assert_refused(&eve.request("voice:resume", guess("lobby")).await, "SESSION_EXPIRED");
    assert_refused(&back.request("voice:resume", resume(&joined)).await, "SERVER_ERROR");
    shared.stop().await;
}

#[tokio::test]
async fn who_resumed_has_not_reconnected() {
    let server = dev_server().await;
    let (_alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, _) = Client::joined(&server, "bob", "lobby").await;
    bob.sever();
    tokio::time::sleep(MOMENT).await;
    // The first reconnect is free, the next one would have to wait for five seconds.
    let (bob, joined) = Client::joined(&server, "bob", "lobby").await;
    bob.sever();
    tokio::time::sleep(MOMENT).await;
    let (mut bob, back) = resumed(&server, "bob", &joined).await;
    assert_eq!(back["resumed"], true, "{back}");
    bob.request("voice:leave", json!({})).await;
    let joined = bob.request("voice:join", json!({"channelId": "lobby"})).await;
    assert_eq!(joined["channelId"], "lobby", "{joined}");
    server.shut_down().await;
}
