//! Mesh calls over real sockets: two dialects of plain WebSockets and socket.io in the same calls.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use parlor::Server;
use parlor_bots::mesh::{MeshBot, MeshDialect, MeshOptions};
use parlor_bots::{AudioOptions, Engine, TokenSource};
use parlor_proto::{Access, MemberRole, Topology};
use parlor_testkit::wait::until;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::{Client, assert_refused};
use super::dev_server;
use super::stored::{ADMIN, Shared, now, user};

/// How long a message may take.
pub(super) const SOON: Duration = Duration::from_secs(10);

/// A client of a plain WebSocket.
pub(super) struct Plain {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Plain {
    pub(super) async fn open(server: &Server, path: &str, user: &str) -> Self {
        let token = server.issue_token(user, None, false).expect("a token");
        Self::open_with(server, path, &token).await
    }

    async fn open_with(server: &Server, path: &str, token: &str) -> Self {
        let url = format!("ws://{}{path}?token={token}", server.http_addresses()[0]);
        Self { stream: connect_async(url).await.expect("a WebSocket").0 }
    }

    pub(super) async fn send(&mut self, message: Value) {
        self.stream.send(Message::text(message.to_string())).await.expect("sends");
    }

    /// The next message; the code if the connection was closed instead.
    pub(super) async fn next(&mut self) -> Result<Value, u16> {
        loop {
            match timeout(SOON, self.stream.next()).await.expect("soon") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(_)) => {}
                other => panic!("the connection broke: {other:?}"),
            }
        }
    }

    /// The next message of this type, past others.
    pub(super) async fn of(&mut self, name: &str) -> Value {
        loop {
            let message = self.next().await.unwrap_or_else(|code| panic!("closed with {code} instead of {name}"));
            if message["type"] == name {
                return message;
            }
        }
    }

    /// The code with which the server closes the connection, past other messages.
    async fn code(&mut self) -> u16 {
        loop {
            if let Err(code) = self.next().await {
                return code;
            }
        }
    }
}

pub(super) async fn in_call(server: &Server, user: &str) -> Plain {
    let mut client = Plain::open(server, "/ws/call/den/", user).await;
    client.send(json!({"type": "join_call", "data": {}})).await;
    inside(server, user).await;
    client
}

pub(super) async fn in_voice(server: &Server, user: &str) -> Plain {
    let mut client = Plain::open(server, "/ws/voice/den", user).await;
    client.send(json!({"type": "hello"})).await;
    inside(server, user).await;
    client
}

/// Waits until the room shows somebody.
pub(super) async fn inside(server: &Server, user: &str) {
    until("the participant is in the call", async || users(server, user).await.iter().any(|one| one == user)).await;
}

/// The users in the call, asked with a token of this user.
async fn users(server: &Server, user: &str) -> Vec<String> {
    let token = server.issue_token(user, None, false).expect("a token");
    let url = format!("{}/api/voice/den/participants", server.url());
    let shown: Value = reqwest::Client::new().get(url).bearer_auth(token).send().await.expect("answers").json().await.expect("JSON");
    let all = shown["participants"].as_array().into_iter().flatten();
    all.filter_map(|one| one["userId"].as_str()).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_flow_of_ws_call_those_who_are_there_make_offers_to_whoever_comes() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let mut bob = in_call(&server, "bob").await;
    assert_eq!(alice.of("user_joined").await["data"], json!({"user": {"id": "bob", "username": "bob"}}));
    alice.send(json!({"type": "offer", "data": {"target_user_id": "bob", "sdp": "v=0", "from_user_id": "mallory"}})).await;
    let offer =
        json!({"type": "offer", "from_user_id": "alice", "data": {"sdp": "v=0", "from_user_id": "alice", "from_username": "alice"}});
    assert_eq!(bob.of("offer").await, offer);
    bob.send(json!({"type": "answer", "data": {"target_user_id": "alice", "sdp": "v=1"}})).await;
    assert_eq!(alice.of("answer").await["data"]["sdp"], "v=1");
    for n in 0..20 {
        bob.send(json!({"type": "ice_candidate", "data": {"target_user_id": "alice", "candidate": {"candidate": n.to_string()}}})).await;
    }
    for n in 0..20 {
        assert_eq!(alice.of("ice_candidate").await["data"]["candidate"]["candidate"], n.to_string(), "in order");
    }
    bob.send(json!({"type": "leave_call"})).await;
    assert_eq!(alice.of("user_left").await["data"], json!({"user_id": "bob"}));
    bob.send(json!({"type": "join_call"})).await;
    alice.of("user_joined").await;
    drop(bob);
    assert_eq!(alice.of("user_left").await["data"], json!({"user_id": "bob"}), "whose connection breaks has left at once");
}

#[tokio::test]
async fn the_flow_of_ws_voice_the_newcomer_makes_an_offer_to_each_who_is_present() {
    let server = dev_server().await;
    let mut alice = in_voice(&server, "alice").await;
    let mut bob = in_voice(&server, "bob").await;
    let hello = alice.of("hello").await;
    let present = bob.of("present").await;
    let (bobs, alices) = (hello["source"].clone(), present["source"].clone());
    assert_eq!(bobs.as_str().map(str::len), Some(36), "a UUID");
    assert_ne!(bobs, alices);
    alice.send(json!({"type": "present", "target": bobs})).await;
    bob.send(json!({"type": "offer", "target": alices, "sdp": {"type": "offer", "sdp": "v=0"}, "source": "mallory"})).await;
    let offer = alice.of("offer").await;
    assert_eq!((&offer["source"], &offer["sdp"]), (&bobs, &json!({"type": "offer", "sdp": "v=0"})));
    alice.send(json!({"type": "answer", "target": bobs, "sdp": "v=1"})).await;
    assert_eq!(bob.of("answer").await["source"], alices);
    bob.send(json!({"type": "ice", "target": alices, "candidate": null})).await;
    assert_eq!(alice.of("ice").await["candidate"], Value::Null);
    bob.stream.close(None).await.expect("closes");
    assert_eq!(alice.of("left").await, json!({"type": "left", "source": bobs}));
}

#[tokio::test]
async fn clients_of_three_dialects_meet_in_one_call_and_of_each_pair_exactly_one_makes_the_offer() {
    let server = dev_server().await;
    // The first makes the channel, and so decides that it is a mesh.
    let mut call = in_call(&server, "anna").await;
    let mut voice = in_voice(&server, "vera").await;
    let (mut socketio, joined) = Client::joined(&server, "sam", "den").await;
    assert_eq!((&joined["topology"], &joined["mesh"]), (&json!("mesh"), &json!({"participants": 3, "links": 3, "sfuRecommended": false})));
    let offers = |user: &str| {
        let others = joined["participants"].as_array().expect("a list");
        others.iter().find(|one| one["userId"] == user).map(|one| one["mesh"]["makeOffer"].clone()).expect("there")
    };
    assert_eq!((offers("anna"), offers("vera")), (json!(false), json!(true)));
    assert_eq!(call.of("user_joined").await["data"]["user"]["id"], "vera", "anna makes the offers to whoever comes");
    assert_eq!(call.of("user_joined").await["data"]["user"]["id"], "sam");
    let first = voice.next().await.expect("a message");
    assert_eq!((&first["type"], &first["user"]["id"]), (&json!("hello"), &json!("anna")), "vera waits for anna's");
    let second = voice.next().await.expect("a message");
    assert_eq!((&second["type"], &second["user"]["id"]), (&json!("hello"), &json!("sam")), "and for sam's");

    call.send(json!({"type": "offer", "data": {"target_user_id": "vera", "sdp": "from anna"}})).await;
    let offer = voice.of("offer").await;
    assert_eq!((&offer["source"], &offer["sdp"]), (&first["source"], &json!("from anna")));
    voice.send(json!({"type": "answer", "target": first["source"], "sdp": {"type": "answer", "sdp": "from vera"}})).await;
    assert_eq!(call.of("answer").await["data"]["sdp"], "from vera", "as a text, as this dialect has it");
    let sent = socketio.request("voice:mesh:offer", json!({"userId": "vera", "sdp": "from sam"})).await;
    assert_eq!(sent, json!({"userId": "vera"}));
    assert_eq!(voice.of("offer").await["source"], second["source"]);
    voice.send(json!({"type": "ice", "target": second["source"], "candidate": {"candidate": "c", "sdpMid": "0"}})).await;
    assert_eq!(socketio.event("voice:mesh:ice").await, json!({"userId": "vera", "candidate": {"candidate": "c", "sdpMid": "0"}}));
    call.send(json!({"type": "toggle_audio", "data": {"is_muted": true}})).await;
    assert_eq!(socketio.event("voice:participant:state").await["muted"], true);
    drop(voice);
    assert_eq!(socketio.event("voice:participant:left").await, json!({"userId": "vera"}));
    call.of("user_left").await;
}

#[tokio::test]
async fn whoever_has_a_connection_is_told_how_far_the_call_is_and_shown_as_connecting() {
    let server = dev_server().await;
    let mut alice = Plain::open(&server, "/ws/call/den/", "alice").await;
    let mut told = async |expected: Value| loop {
        let state = alice.of("call_state").await["data"].clone();
        let people = state["participants"].as_array().expect("a list").iter().map(|one| json!([one["user_id"], one["state"]]));
        let mut people: Vec<Value> = people.collect();
        people.sort_by_key(ToString::to_string);
        if json!([state["room_state"], state["links"], people]) == expected {
            break;
        }
    };
    told(json!(["connecting", 0, [["alice", "connecting"]]])).await;
    let mut bob = in_call(&server, "bob").await;
    told(json!(["active", 0, [["alice", "connecting"], ["bob", "active"]]])).await;
    let carol = in_voice(&server, "carol").await;
    told(json!(["active", 1, [["alice", "connecting"], ["bob", "active"], ["carol", "active"]]])).await;
    bob.send(json!({"type": "leave_call"})).await;
    told(json!(["active", 0, [["alice", "connecting"], ["bob", "connecting"], ["carol", "active"]]])).await;
    drop((bob, carol));
    told(json!(["connecting", 0, [["alice", "connecting"], ["bob", "ended"], ["carol", "ended"]]])).await;
}

#[tokio::test]
async fn whoever_may_not_join_any_more_is_told_nothing_further_of_the_call() {
    let shared = Shared::start("mesh-watch", |_| ()).await;
    let den = shared.channel("den", |channel| (channel.topology, channel.access) = (Topology::Mesh, Access::Members)).await;
    for name in ["alice", "bob"] {
        shared.member(&den, name, MemberRole::Member).await;
    }
    let mut alice = Plain::open(&shared.server, "/ws/call/den/", "alice").await;
    alice.of("call_state").await;
    shared.store.delete_member(&den, &user("alice"), &ADMIN, now()).await.expect("deleted");
    // Each change of the call is an occasion to look, and there are changes for as long as alice is told of them.
    let mut bob = Plain::open(&shared.server, "/ws/call/den/", "bob").await;
    let changes = async {
        loop {
            for name in ["join_call", "leave_call"] {
                bob.send(json!({ "type": name })).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let closed = async {
        let mut last = Value::Null;
        loop {
            match alice.next().await {
                Ok(message) => last = message,
                Err(code) => break (last, code),
            }
        }
    };
    let (last, code) = tokio::select! { _ = changes => unreachable!("it goes on for ever"), closed = closed => closed };
    assert_eq!((&last["data"]["code"], code), (&json!("CHANNEL_NOT_FOUND"), 4404), "to her there is no such channel");
    shared.stop().await;
}

#[tokio::test]
async fn who_may_not_join_is_told_why_and_disconnected_with_a_code() {
    let server = dev_server().await;
    let mut nobody = Plain::open_with(&server, "/ws/call/den/", "not-a-token").await;
    assert_eq!(nobody.next().await.expect("a word")["data"]["code"], "UNAUTHENTICATED");
    assert_eq!(nobody.code().await, 4401);
    let mut silent = Plain::open_with(&server, "/ws/voice/den", "").await;
    assert_eq!(silent.code().await, 4401);
    for path in [format!("/ws/call/{}/", "x".repeat(10_000)), "/ws/voice/a%00b".to_owned()] {
        let mut lost = Plain::open(&server, &path, "alice").await;
        assert_eq!(lost.next().await.expect("a word").get("type"), Some(&json!("error")), "{path:.40}");
        assert_eq!(lost.code().await, 4400, "{path:.40}");
    }
    let page = reqwest::get(format!("{}/ws/call/den/", server.url())).await.expect("answers");
    assert_eq!(page.status(), 426);
}

#[tokio::test]
async fn an_id_with_a_slash_is_one_id() {
    let server = dev_server().await;
    let mut alice = Plain::open(&server, "/ws/voice/team%2Fone", "alice").await;
    alice.send(json!({"type": "hello"})).await;
    let mut bob = Plain::open(&server, "/ws/voice/team%2Fone", "bob").await;
    bob.send(json!({"type": "hello"})).await;
    let first = tokio::select! { message = alice.next() => message, message = bob.next() => message };
    assert!(["hello", "present"].map(|name| json!(name)).contains(&first.expect("they meet")["type"]));
}

#[tokio::test]
async fn the_same_user_again_is_refused_and_a_channel_that_is_no_mesh_too() {
    let server = dev_server().await;
    let _alice = in_call(&server, "alice").await;
    let mut again = Plain::open(&server, "/ws/call/den/", "alice").await;
    again.send(json!({"type": "join_call"})).await;
    assert_eq!(again.of("error").await["data"]["code"], "ALREADY_IN_CHANNEL");
    let (_sam, _) = Client::joined(&server, "sam", "sfu-room").await;
    let mut lost = Plain::open(&server, "/ws/voice/sfu-room", "lena").await;
    lost.send(json!({"type": "hello"})).await;
    let refused = lost.of("error").await;
    assert_eq!((&refused["code"], &refused["of"]), (&json!("INVALID_STATE"), &json!("hello")));
}

#[tokio::test]
async fn joining_another_call_leaves_the_first() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let mut bob = in_call(&server, "bob").await;
    alice.of("user_joined").await;
    let mut elsewhere = Plain::open(&server, "/ws/voice/attic", "bob").await;
    elsewhere.send(json!({"type": "hello"})).await;
    assert_eq!(alice.of("user_left").await["data"]["user_id"], "bob");
    assert_eq!(bob.of("left").await["data"]["reason"], "moved-device");
    assert_eq!(bob.code().await, 4403);
}

#[tokio::test]
async fn nonsense_is_refused_and_binary_messages_end_the_connection() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    for (message, code) in [
        (json!({"type": "dance"}), "UNKNOWN_EVENT"),
        (json!([]), "INVALID_REQUEST"),
        (json!({"type": "offer", "data": {"target_user_id": "nobody", "sdp": "v=0"}}), "NOT_FOUND"),
        (json!({"type": "offer", "data": {"target_user_id": "alice", "sdp": "v=0"}}), "NOT_FOUND"),
    ] {
        alice.send(message).await;
        assert_eq!(alice.of("error").await["data"]["code"], code);
    }
    alice.send(json!({"type": "ping"})).await;
    alice.of("pong").await;
    alice.stream.send(Message::binary(vec![1, 2, 3])).await.expect("sends");
    assert_eq!(alice.code().await, 1003);
}

#[tokio::test]
async fn a_message_just_over_the_limit_is_said_to_be_too_long() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let long = json!({"type": "offer", "data": {"target_user_id": "bob", "sdp": "x".repeat(64 * 1024)}});
    alice.send(long).await;
    assert_eq!(alice.code().await, 1009);
}

#[tokio::test]
async fn who_is_signed_out_in_no_call_is_told_so_in_every_dialect() {
    let shared = Shared::start("mesh-revoked", |_| ()).await;
    shared.channel("den", |channel| channel.topology = parlor_proto::Topology::Mesh).await;
    let mut call = Plain::open(&shared.server, "/ws/call/den/", "bob").await;
    let mut voice = Plain::open(&shared.server, "/ws/voice/den", "bob").await;
    shared.store.revoke(&user("bob"), parlor_proto::Timestamp(now().0 + 1_000), &ADMIN, now()).await.expect("written");
    assert_eq!(call.of("error").await["data"]["code"], "UNAUTHENTICATED");
    assert_eq!(voice.of("error").await["code"], "UNAUTHENTICATED");
    assert_eq!((call.code().await, voice.code().await), (4401, 4401));
    shared.stop().await;
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_connection_and_the_others_are_not_affected() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let mut bob = in_call(&server, "bob").await;
    alice.of("user_joined").await;
    let huge = json!({"type": "offer", "data": {"target_user_id": "alice", "sdp": "x".repeat(1024 * 1024)}});
    // The server may have closed the connection before all of it is sent.
    let _ = bob.stream.send(Message::text(huge.to_string())).await;
    assert_eq!(alice.of("user_left").await["data"]["user_id"], "bob");
    alice.send(json!({"type": "ping"})).await;
    alice.of("pong").await;
}

#[tokio::test]
async fn one_who_floods_another_is_stopped_and_the_call_goes_on() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let mut mallory = in_call(&server, "mallory").await;
    alice.of("user_joined").await;
    for n in 0..300 {
        let candidate = json!({"candidate": n.to_string()});
        mallory.send(json!({"type": "ice_candidate", "data": {"target_user_id": "alice", "candidate": candidate}})).await;
    }
    assert_eq!(mallory.of("error").await["data"]["code"], "RATE_LIMITED");
    alice.send(json!({"type": "ping"})).await;
    let mut reached = 0;
    while let Ok(message) = alice.next().await {
        match message["type"].as_str() {
            Some("ice_candidate") => reached += 1,
            Some("pong") => break,
            _ => {}
        }
    }
    assert!(reached <= 80, "{reached} of 300 reached alice");
}

#[tokio::test]
async fn the_server_stops_and_tells_clients_to_come_back() {
    let server = dev_server().await;
    let mut alice = in_call(&server, "alice").await;
    let stopping = tokio::spawn(server.shut_down());
    assert_eq!(alice.code().await, 1012);
    stopping.await.expect("stops");
}

#[tokio::test]
async fn a_refused_request_of_socketio_in_a_mesh_says_what_to_do() {
    let server = dev_server().await;
    let _anna = in_call(&server, "anna").await;
    let (mut sam, _) = Client::joined(&server, "sam", "den").await;
    let refused = sam.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    assert_refused(&refused, "INVALID_STATE");
    assert!(refused["details"]["reason"].as_str().is_some_and(|reason| reason.contains("make offers")), "{refused}");
}

#[tokio::test]
async fn bots_on_each_dialect_hear_each_other_whoever_came_first() {
    let server = dev_server().await;
    let engine = Engine::start(None).expect("a media thread");
    // The first makes the channel, and a client that can do nothing but mesh makes it one.
    let order = [MeshDialect::Voice, MeshDialect::SocketIo, MeshDialect::Envelope, MeshDialect::Call];
    let mut bots = Vec::new();
    for (dialect, user) in order.into_iter().zip(["vera", "sam", "mia", "anna"]) {
        let options = MeshOptions {
            server: server.url(),
            channel: "den".to_owned(),
            user: user.to_owned(),
            token: TokenSource::Development,
            dialect,
            audio: Some(AudioOptions::default()),
        };
        bots.push(MeshBot::join(&engine, options).await.expect("takes part"));
        inside(&server, user).await;
    }
    for bot in &bots {
        bot.connected_to(3, SOON).await.expect("connected to all others");
        let hears_all = async || {
            let links = bot.stats().await.expect("counts");
            links.len() == 3 && links.iter().all(|link| link.received.iter().any(|stream| stream.packets > 20))
        };
        until("the bot hears all others", hears_all).await;
    }
    let first = bots.remove(0);
    first.leave().await.expect("was in the call");
    for bot in &bots {
        bot.connected_to(2, SOON).await.expect("told who left");
    }
}
