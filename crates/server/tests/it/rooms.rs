//! Rooms over real sockets: joining, leaving, meeting, and the ways a join is refused.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parlor::config::{Secret, Sources, Store, load};
use parlor::{Options, Server};
use parlor_rooms::Policy;
use parlor_testkit::wait::seen;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::client::{Client, assert_refused};
use super::stored::{Shared, file_of};
use super::{base, dev_server, server_without_join_limit, server_without_resumption, test_config};

async fn stats(server: &Server) -> Value {
    reqwest::get(base(server) + "/api/dev/stats").await.expect("answers").json().await.expect("json")
}

/// Waits until the counters satisfy a condition.
async fn eventually(server: &Server, what: &str, condition: impl Fn(&Value) -> bool) {
    seen(what, async || stats(server).await, condition).await;
}

#[tokio::test]
async fn two_sessions_see_each_other_come_and_go() {
    let server = dev_server().await;
    let (mut alice, joined) = Client::joined(&server, "alice", "lobby").await;
    assert_eq!(joined["participants"], json!([]));
    let (mut bob, joined) = Client::joined(&server, "bob", "lobby").await;
    assert_eq!(joined["participants"][0]["userId"], "alice");
    assert_eq!(alice.event("voice:participant:joined").await["userId"], "bob");
    assert_eq!(bob.request("voice:state:update", json!({"muted": true})).await["muted"], true);
    let state = alice.event("voice:participant:state").await;
    assert_eq!((state["userId"].as_str(), state["muted"].as_bool()), (Some("bob"), Some(true)));
    assert_eq!(bob.request("voice:leave", json!({})).await["channelId"], "lobby");
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert_refused(&bob.request("voice:leave", json!({})).await, "NOT_IN_CHANNEL");
    server.shut_down().await;
}

#[tokio::test]
async fn a_ping_is_answered_with_the_time_in_a_channel_and_before_any() {
    let server = dev_server().await;
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("fits");
    let (stranger, (member, _)) = (Client::connect(&server, "bob", false).await, Client::joined(&server, "alice", "lobby").await);
    for mut client in [stranger, member] {
        let began = now();
        let pong = client.request("voice:ping", json!({"echo": 7})).await;
        let time = pong["serverTimeMs"].as_i64().expect("a time");
        assert!(pong["echo"] == 7 && (began..=now()).contains(&time), "{pong}");
        assert_eq!(client.request("voice:ping", json!({})).await["echo"], Value::Null);
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_closed_socket_leaves_at_once() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, _) = Client::joined(&server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    let began = Instant::now();
    bob.cut().await;
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let (mut carol, _) = Client::joined(&server, "carol", "lobby").await;
    carol.leave_namespace().await;
    assert_eq!(alice.event("voice:participant:left").await["userId"], "carol");
    server.shut_down().await;
}

#[tokio::test]
async fn an_empty_room_leaves_nothing_behind() {
    let server = dev_server().await;
    let (alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, _) = Client::joined(&server, "bob", "other").await;
    eventually(&server, "two rooms", |s| s["rooms"] == 2 && s["sessions"] == 2 && s["workers"][0]["sfu"]["routers"] == 2).await;
    alice.cut().await;
    bob.cut().await;
    eventually(&server, "nothing", |s| s["rooms"] == 0 && s["sessions"] == 0 && s["workers"][0]["sfu"]["routers"] == 0).await;
    server.shut_down().await;
}

#[tokio::test]
async fn joining_another_channel_leaves_the_first_one_before() {
    let server = dev_server().await;
    let (mut alice, _) = Client::joined(&server, "alice", "first").await;
    let (mut bob, _) = Client::joined(&server, "bob", "first").await;
    alice.event("voice:participant:joined").await;
    assert_eq!(bob.request("voice:join", json!({"channelId": "second"})).await["channelId"], "second");
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    // Bob moves back, and then joins a channel for the second time while in it.
    assert_eq!(bob.request("voice:join", json!({"channelId": "first"})).await["channelId"], "first");
    assert_refused(&bob.request("voice:join", json!({"channelId": "first"})).await, "ALREADY_IN_CHANNEL");
    assert_eq!(bob.request("voice:state:update", json!({"muted": true})).await["muted"], true, "the refused join changed nothing");
    server.shut_down().await;
}

#[tokio::test]
async fn a_second_join_of_the_same_user_is_refused_until_the_first_is_gone() {
    let server = dev_server().await;
    let (first, _) = Client::joined(&server, "alice", "lobby").await;
    let mut second = Client::connect(&server, "alice", false).await;
    assert_refused(&second.request("voice:join", json!({"channelId": "lobby"})).await, "ALREADY_IN_CHANNEL");
    first.cut().await;
    eventually(&server, "the first is gone", |s| s["rooms"] == 0).await;
    assert_eq!(second.request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
    server.shut_down().await;
}

#[tokio::test]
async fn requests_can_be_pipelined_and_are_handled_in_order() {
    let server = dev_server().await;
    let mut alice = Client::connect(&server, "alice", false).await;
    let join = alice.begin("voice:join", "{\"channelId\":\"lobby\"}").await;
    let send = alice.begin("voice:rtc:createTransport", "{\"direction\":\"send\"}").await;
    let recv = alice.begin("voice:rtc:createTransport", "{\"direction\":\"recv\"}").await;
    let leave = alice.begin("voice:leave", "{}").await;
    let after = alice.begin("voice:state:update", "{}").await;
    assert_eq!(alice.acknowledged(join).await["channelId"], "lobby");
    assert_eq!(alice.acknowledged(leave).await["channelId"], "lobby");
    assert_refused(&alice.acknowledged(after).await, "NOT_IN_CHANNEL");
    for ack in [send, recv] {
        // The leave may overtake the media plane; either way there is one answer.
        let answer = alice.acknowledged(ack).await;
        assert!(answer["id"].is_string() || answer["code"].is_string(), "{answer}");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_request_without_acknowledgement_is_answered_by_its_event() {
    let server = dev_server().await;
    let mut alice = Client::connect(&server, "alice", false).await;
    alice.send("42[\"voice:state:update\",{\"muted\":true}]").await;
    let error = alice.event("voice:rtc:error").await;
    assert_refused(&error, "NOT_IN_CHANNEL");
    assert_eq!(error["event"], "voice:state:update");
    alice.send("42[\"voice:join\",{\"channelId\":\"lobby\"}]").await;
    assert_eq!(alice.event("voice:joined").await["userId"], "alice");
    alice.send("42[\"voice:rtc:getRouterRtpCapabilities\",{}]").await;
    assert!(alice.event("voice:routerRtpCapabilities").await["rtpCapabilities"]["codecs"].is_array());
    server.shut_down().await;
}

#[tokio::test]
async fn configured_channels_have_their_rules() {
    let file = "[[channels]]\nid = \"small\"\nname = \"Small\"\nmax_participants = 1\nbanned = [\"mallory\"]\n";
    let mut config = load(&Sources { file: Some(("x".into(), file.into())), ..Sources::default() }).expect("valid");
    let base = test_config();
    (config.http, config.media, config.store) = (base.http, base.media, Store::at("sqlite::memory:"));
    config.auth.secret = Secret::new("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c".into());
    let server = Server::start(&config, Options::default()).await.expect("starts");
    let mut mallory = Client::connect(&server, "mallory", true).await;
    assert_refused(&mallory.request("voice:join", json!({"channelId": "small"})).await, "PERMISSION_DENIED");
    assert_refused(&mallory.request("voice:join", json!({"channelId": "unknown"})).await, "CHANNEL_NOT_FOUND");
    let (_alice, joined) = Client::joined(&server, "alice", "small").await;
    assert_eq!(joined["channelName"], "Small");
    let mut bob = Client::connect(&server, "bob", true).await;
    assert_refused(&bob.request("voice:join", json!({"channelId": "small"})).await, "CHANNEL_FULL");
    server.shut_down().await;
}

#[tokio::test]
async fn too_many_joins_are_refused_with_the_time_to_wait() {
    let server = dev_server().await;
    let mut alice = Client::connect(&server, "alice", false).await;
    for n in 0..10 {
        let answer = alice.request("voice:join", json!({"channelId": format!("room-{n}")})).await;
        assert_eq!(answer["channelId"], format!("room-{n}"), "{answer}");
    }
    let answer = alice.request("voice:join", json!({"channelId": "room-10"})).await;
    assert_refused(&answer, "RATE_LIMITED");
    assert!(answer["details"]["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0 && ms <= 60_000), "{answer}");
    assert_eq!(alice.request("voice:state:update", json!({})).await["muted"], false, "the refused join left the room alone");
    server.shut_down().await;
}

#[tokio::test]
async fn joins_that_meet_a_closing_room_get_a_fresh_one() {
    let server = server_without_join_limit().await;
    let mut everybody = Vec::new();
    for n in 0..6 {
        let mut client = Client::connect(&server, &format!("user-{n}"), false).await;
        everybody.push(tokio::spawn(async move {
            for round in 0..40 {
                let joined = client.request("voice:join", json!({"channelId": "busy"})).await;
                assert_eq!(joined["channelId"], "busy", "round {round}: {joined}");
                let left = client.request("voice:leave", json!({})).await;
                assert_eq!(left["channelId"], "busy", "round {round}: {left}");
            }
        }));
    }
    for one in everybody {
        one.await.expect("no join failed");
    }
    eventually(&server, "nothing", |s| s["rooms"] == 0 && s["workers"][0]["sfu"]["routers"] == 0).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off_before_much_is_kept_for_it() {
    let server = server_without_resumption().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    // Little room on the way, so that what is not read soon waits in the server: the kernel's buffers grow with
    // the segment size, which is 64 KiB on loopback.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
    socket.set_tcp_mss(536).expect("set");
    socket.set_recv_buffer_size(4096).expect("set");
    socket.set_nonblocking(true).expect("set");
    let mut bob = Client::open_on(tokio::net::TcpSocket::from_std_stream(socket.into()), &server).await;
    let token = server.issue_token("bob", None, false).expect("token");
    bob.authenticate(&token).await;
    bob.request("voice:join", json!({"channelId": "lobby"})).await;
    alice.event("voice:participant:joined").await;
    let began = Instant::now();
    // Asks and asks for something long, no faster than is allowed, and never reads an answer.
    let asking = tokio::spawn(async move {
        let mut asked = 0;
        while bob.try_send("42[\"voice:rtc:getRouterRtpCapabilities\",{}]").await {
            asked += 1;
            if asked > 350 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert!(began.elapsed() < Duration::from_secs(8), "only the missing heartbeat ended it");
    asking.abort();
    server.shut_down().await;
}

#[tokio::test]
async fn a_client_that_vanishes_without_closing_is_noticed_by_its_heartbeat() {
    let server = server_without_resumption().await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let (bob, _) = Client::joined(&server, "bob", "lobby").await;
    alice.event("voice:participant:joined").await;
    let began = Instant::now();
    assert_eq!(alice.event("voice:participant:left").await["userId"], "bob");
    assert!(began.elapsed() < Duration::from_secs(20), "features 4: within 20 s");
    drop(bob);
    server.shut_down().await;
}

#[tokio::test]
async fn of_two_who_race_for_the_last_place_exactly_one_gets_it() {
    let file = "[[channels]]\nid = \"small\"\nmax_participants = 2\n";
    let mut config = load(&Sources { file: Some(("x".into(), file.into())), ..Sources::default() }).expect("valid");
    let base = test_config();
    (config.http, config.media) = (base.http, base.media);
    config.limits.joins_per_minute = 1000;
    let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
    let (_host, _) = Client::joined(&server, "host", "small").await;
    let (mut alice, mut bob) = (Client::connect(&server, "alice", true).await, Client::connect(&server, "bob", true).await);
    let wish = json!({"channelId": "small"});
    for round in 0..30 {
        let (first, second) = tokio::join!(alice.request("voice:join", wish.clone()), bob.request("voice:join", wish.clone()));
        let (winner, refused) = if first["code"].is_null() { (&mut alice, second) } else { (&mut bob, first) };
        assert_refused(&refused, "CHANNEL_FULL");
        assert_eq!(winner.request("voice:leave", json!({})).await["channelId"], "small", "round {round}: exactly one is in");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn a_user_has_only_so_many_connections() {
    let server = dev_server().await;
    let mut connected = Vec::new();
    for _ in 0..10 {
        connected.push(Client::connect(&server, "alice", false).await);
    }
    let token = server.issue_token("alice", None, false).expect("token");
    let mut one_more = Client::open(&server).await;
    let refused = one_more.authenticate(&token).await;
    assert!(refused.starts_with("44") && refused.contains("LIMIT_EXCEEDED"), "{refused}");
    let _bob = Client::connect(&server, "bob", false).await;
    connected.pop().expect("ten").cut().await;
    eventually(&server, "one went", |s| s["sessions"] == 10).await;
    assert!(one_more.authenticate(&token).await.starts_with("40"), "there is a place again");
    server.shut_down().await;
}

#[tokio::test]
async fn a_refused_join_of_another_channel_leaves_one_in_the_first() {
    let file = "[[channels]]\nid = \"full\"\nmax_participants = 1\n\n[[channels]]\nid = \"closed\"\nopens_at = \"2999-01-01T00:00:00Z\"\n\n\
                [[channels]]\nid = \"banned\"\nbanned = [\"alice\"]\n\n[[channels]]\nid = \"first\"\n";
    let mut config = load(&Sources { file: Some(("x".into(), file.into())), ..Sources::default() }).expect("valid");
    let base = test_config();
    (config.http, config.media, config.store) = (base.http, base.media, Store::at("sqlite::memory:"));
    config.auth.secret = Secret::new("9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c".into());
    let server = Server::start(&config, Options::default()).await.expect("starts");
    let (_bob, _) = Client::joined(&server, "bob", "full").await;
    let (mut carol, _) = Client::joined(&server, "carol", "first").await;
    let (mut alice, _) = Client::joined(&server, "alice", "first").await;
    carol.event("voice:participant:joined").await;
    let refusals = [
        ("full", "CHANNEL_FULL"),
        ("closed", "CHANNEL_CLOSED"),
        ("banned", "PERMISSION_DENIED"),
        ("nowhere", "CHANNEL_NOT_FOUND"),
        ("", "INVALID_REQUEST"),
        ("first", "ALREADY_IN_CHANNEL"),
    ];
    for (channel, code) in refusals {
        assert_refused(&alice.request("voice:join", json!({ "channelId": channel })).await, code);
        let state = alice.request("voice:state:update", json!({"muted": true})).await;
        assert_eq!(state["muted"], true, "{channel}: {state}");
    }
    let told: Vec<_> = carol.events_so_far().into_iter().map(|(name, _)| name).filter(|name| name.ends_with(":left")).collect();
    assert_eq!(told, Vec::<String>::new());
    // Requests over the limit of joins too.
    let limited = async {
        while alice.request("voice:join", json!({ "channelId": "full" })).await["code"] != "RATE_LIMITED" {}
        alice.request("voice:state:update", json!({"muted": false})).await
    };
    assert_eq!(limited.await["muted"], false);
    server.shut_down().await;
}

#[tokio::test]
async fn a_user_is_in_one_channel_over_all_devices() {
    let server = server_without_join_limit().await;
    let (mut bob, _) = Client::joined(&server, "bob", "first").await;
    let (mut phone, _) = Client::joined(&server, "alice", "first").await;
    bob.event("voice:participant:joined").await;
    // A join of the same channel is no move.
    let mut desk = Client::connect(&server, "alice", true).await;
    assert_refused(&desk.request("voice:join", json!({"channelId": "first"})).await, "ALREADY_IN_CHANNEL");
    let joined = desk.request("voice:join", json!({"channelId": "second"})).await;
    assert_eq!(joined["channelId"], "second", "{joined}");
    let left = phone.event("voice:left").await;
    assert_eq!((&left["reason"], &left["rejoin"], &left["channelId"]), (&"moved-device".into(), &false.into(), &"first".into()), "{left}");
    assert_eq!(bob.event("voice:participant:left").await["userId"], "alice");
    assert_refused(&phone.request("voice:state:update", json!({"muted": true})).await, "NOT_IN_CHANNEL");
    assert_eq!(desk.request("voice:state:update", json!({"muted": true})).await["muted"], true);
    // On one connection a move makes no event.
    assert_eq!(desk.request("voice:join", json!({"channelId": "first"})).await["channelId"], "first");
    assert!(desk.events_so_far().into_iter().all(|(name, _)| name != "voice:left"));
    server.shut_down().await;
}

#[tokio::test]
async fn a_join_is_given_up_after_the_configured_time() {
    for configured in [200, 1_000] {
        let name = format!("deadline-{configured}");
        let shared = Shared::start(&name, |config| config.limits.join_timeout_ms = configured).await;
        let mut alice = Client::connect(&shared.server, "alice", true).await;
        // The first join makes the channel, and cannot while somebody else writes to the store.
        let mut other = sqlx::AnyConnection::connect(&format!("sqlite:{}", file_of(&name).display())).await.expect("opens");
        let writing = other.begin_with("BEGIN IMMEDIATE").await.expect("begins");
        let asked = Instant::now();
        let refused = alice.request("voice:join", json!({"channelId": "den"})).await;
        let waited = asked.elapsed();
        assert_refused(&refused, "TIMEOUT");
        assert!(waited >= Duration::from_millis(configured), "{waited:?} instead of {configured} ms");
        assert!(waited < Policy::default().join_timeout, "{waited:?}: that is what holds where nothing is configured");
        assert_refused(&alice.request("voice:state:update", json!({})).await, "NOT_IN_CHANNEL");
        writing.rollback().await.expect("ends");
        other.close().await.expect("closes");
        assert_eq!(alice.request("voice:join", json!({"channelId": "den"})).await["channelId"], "den");
        shared.stop().await;
    }
}

#[tokio::test]
async fn who_takes_a_call_over_is_in_it_with_the_new_device_alone() {
    let server = server_without_join_limit().await;
    let (mut bob, _) = Client::joined(&server, "bob", "first").await;
    let (mut phone, _) = Client::joined(&server, "alice", "first").await;
    let mut desk = Client::connect(&server, "alice", true).await;
    for wish in [json!({"channelId": "first", "takeOver": false}), json!({"channelId": "first", "takeOver": null})] {
        assert_refused(&desk.request("voice:join", wish).await, "ALREADY_IN_CHANNEL");
    }
    assert_refused(&desk.request("voice:join", json!({"channelId": "first", "takeOver": "yes"})).await, "INVALID_REQUEST");
    let joined = desk.request("voice:join", json!({"channelId": "first", "takeOver": true})).await;
    assert_eq!(joined["userId"], "alice", "{joined}");
    let left = phone.event("voice:left").await;
    assert_eq!((&left["reason"], &left["rejoin"], &left["channelId"]), (&"moved-device".into(), &false.into(), &"first".into()), "{left}");
    assert_eq!(bob.event("voice:participant:left").await["userId"], "alice");
    assert_refused(&phone.request("voice:state:update", json!({"muted": true})).await, "NOT_IN_CHANNEL");
    // The end of the first device's connection ends nothing of the second's stay.
    phone.cut().await;
    assert_eq!(desk.request("voice:state:update", json!({"muted": true})).await["muted"], true);
    assert_eq!(desk.request("voice:join", json!({"channelId": "second"})).await["channelId"], "second", "still one channel at a time");
    assert_eq!(bob.event("voice:participant:left").await["userId"], "alice");
    server.shut_down().await;
}
