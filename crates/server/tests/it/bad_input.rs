//! Bad input over a real connection: each gets its documented error, and the session and the others go on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlor::config::Secret;
use parlor::{Options, Server};
use parlor_testkit::wait::seen;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::{Client, assert_refused};
use super::{base, dev_server, server_without_join_limit, test_config};

/// The session still answers.
async fn assert_alive(client: &mut Client) {
    let answer = client.request("voice:rtc:getRouterRtpCapabilities", json!({})).await;
    assert!(answer["rtpCapabilities"].is_object() || answer["code"] == "NOT_IN_CHANNEL", "{answer}");
}

#[tokio::test]
async fn every_malformed_payload_is_refused_and_the_session_goes_on() {
    let server = dev_server().await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    let deep = "[".repeat(5000) + &"]".repeat(5000);
    let cases = [
        ("voice:rtc:createTransport", ""),
        ("voice:rtc:createTransport", "null"),
        ("voice:rtc:createTransport", "5"),
        ("voice:rtc:createTransport", "\"send\""),
        ("voice:rtc:createTransport", "[]"),
        ("voice:rtc:createTransport", "{},{}"),
        ("voice:rtc:createTransport", "{}"),
        ("voice:rtc:createTransport", "{\"direction\":\"sideways\"}"),
        ("voice:rtc:createTransport", "{\"direction\":1}"),
        ("voice:rtc:createTransport", deep.as_str()),
        ("voice:join", "{}"),
        ("voice:join", "{\"channelId\":\"\"}"),
        ("voice:join", "{\"channelId\":\"a\\u0000b\"}"),
        ("voice:join", "{\"channelId\":{\"a\":1}}"),
        ("voice:join", "{\"channelId\":-1}"),
        ("voice:rtc:pauseProducer", "{}"),
        ("voice:rtc:pauseProducer", "{\"producerId\":7}"),
        ("voice:state:update", "{\"muted\":\"yes\"}"),
        ("voice:rtc:setPreferredLayers", "{\"consumerId\":\"x\",\"spatialLayer\":-1}"),
        ("voice:rtc:setPreferredLayers", "{\"consumerId\":\"x\",\"spatialLayer\":1e9}"),
        ("voice:rtc:produce", "{\"transportId\":\"x\",\"kind\":\"smell\",\"rtpParameters\":{},\"appData\":{\"source\":\"mic\"}}"),
    ];
    for (event, payload) in cases {
        let answer = client.request_raw(event, payload).await;
        assert_refused(&answer, "INVALID_REQUEST");
    }
    assert_alive(&mut client).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_request_that_needs_nothing_may_come_without_an_argument() {
    let server = dev_server().await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    assert!(client.request_raw("voice:rtc:getRouterRtpCapabilities", "").await["rtpCapabilities"].is_object());
    assert_eq!(client.request_raw("voice:leave", "").await["channelId"], "lobby");
    server.shut_down().await;
}

#[tokio::test]
async fn text_that_is_no_packet_ends_its_own_connection_only() {
    let server = server_without_join_limit().await;
    let (mut other, _) = Client::joined(&server, "bob", "lobby").await;
    let engineio = ["", "abc", "0", "2", "7"];
    let socketio =
        ["42", "42{", "42[", "42[]", "42[1,{}]", "42{\"a\":1}", "49", "4", "4é", "41{}", "43[]", "42[\"voice:join\",{\"channelId\":\"lob"];
    for text in engineio.into_iter().chain(socketio) {
        let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
        client.send(text).await;
        client.closed().await;
        // Bad input is not a network failure: there is nothing to resume.
        assert_eq!(other.event("voice:participant:left").await["userId"], "alice", "{text:?}");
    }
    assert_alive(&mut other).await;
    server.shut_down().await;
}

#[tokio::test]
async fn an_unknown_event_is_named_in_its_refusal() {
    let server = dev_server().await;
    let mut client = Client::connect(&server, "alice", false).await;
    assert_refused(&client.request("voice:explode", json!({})).await, "UNKNOWN_EVENT");
    client.send("42[\"voice:explode\",{}]").await;
    let error = client.event("voice:rtc:error").await;
    assert_refused(&error, "UNKNOWN_EVENT");
    assert_eq!(error["event"], "voice:explode");
    assert_alive(&mut client).await;
    server.shut_down().await;
}

#[tokio::test]
async fn binary_is_refused_and_the_session_goes_on() {
    let server = dev_server().await;
    let mut client = Client::connect(&server, "alice", false).await;
    client.send("451-7[\"voice:join\",{\"_placeholder\":true,\"num\":0}]").await;
    client.send_binary(&[0; 100]).await;
    assert_refused(&client.acknowledged(7).await, "INVALID_REQUEST");
    assert_alive(&mut client).await;
    client.send_binary(b"never announced").await;
    client.closed().await;
    // While an attachment is due, any other packet is an error.
    let mut client = Client::connect(&server, "alice", false).await;
    client.send("451-7[\"voice:join\",{\"_placeholder\":true,\"num\":0}]").await;
    client.send("42[\"voice:leave\"]").await;
    client.closed().await;
    server.shut_down().await;
}

#[tokio::test]
async fn an_oversized_message_ends_its_own_connection_only() {
    let server = dev_server().await;
    let (mut other, _) = Client::joined(&server, "bob", "lobby").await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    let fits = json!({ "channelId": "x".repeat(60_000) });
    assert_refused(&client.request("voice:join", fits).await, "INVALID_REQUEST");
    client.begin("voice:join", &json!({ "channelId": "x".repeat(70_000) }).to_string()).await;
    client.closed().await;
    assert_eq!(other.event("voice:participant:left").await["userId"], "alice");
    assert_alive(&mut other).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_flood_of_changes_does_not_reach_the_room() {
    let server = dev_server().await;
    let (mut other, _) = Client::joined(&server, "bob", "lobby").await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    let mut asked = Vec::new();
    for n in 0..200 {
        asked.push(client.begin("voice:state:update", &json!({ "muted": n % 2 == 0 }).to_string()).await);
    }
    let mut refused = 0;
    for ack in asked {
        let answer = client.acknowledged(ack).await;
        refused += u32::from(answer["code"] == "RATE_LIMITED" && answer["details"]["retryAfterMs"] == 100);
    }
    assert!(refused > 100, "{refused} of 200");
    assert_alive(&mut client).await;
    assert_alive(&mut other).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_flood_is_rate_limited_and_then_cut_off() {
    let server = dev_server().await;
    let (mut other, _) = Client::joined(&server, "bob", "lobby").await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    for _ in 0..450 {
        client.begin("voice:nonsense", "{}").await;
    }
    let last = client.begin("voice:nonsense", "{}").await;
    let answer = client.acknowledged(last).await;
    assert_refused(&answer, "RATE_LIMITED");
    assert!(answer["details"]["retryAfterMs"].as_u64().is_some_and(|ms| ms > 0), "{answer}");
    let wait = std::time::Duration::from_millis(answer["details"]["retryAfterMs"].as_u64().expect("a number"));
    tokio::time::sleep(wait * 3).await;
    assert_alive(&mut client).await;
    let mut flood = client;
    let cut = tokio::spawn(async move {
        for _ in 0..3000 {
            // Sending fails once the server has cut the connection, which the test waits for.
            if !flood.try_send("42[\"voice:nonsense\",{}]").await {
                break;
            }
        }
        flood.closed().await;
    });
    cut.await.expect("cut off");
    assert_eq!(other.event("voice:participant:left").await["userId"], "alice");
    assert_alive(&mut other).await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_bad_token_is_refused_with_the_error_object() {
    const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c";
    let mut config = test_config();
    config.auth.secret = Secret::new(SECRET.into());
    let server = Server::start(&config, Options::default()).await.expect("starts");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let sign = |claims: Value, secret: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signs")
    };
    let good = sign(json!({"sub": "alice", "exp": now + 60}), SECRET);
    let payload = good.split('.').nth(1).expect("payload").to_owned();
    let bad = [
        String::new(),
        "x".to_owned(),
        sign(json!({"sub": "alice", "exp": now - 3600}), SECRET),
        sign(json!({"sub": "alice"}), SECRET),
        sign(json!({"exp": now + 60}), SECRET),
        sign(json!({"sub": "alice", "exp": now + 60}), &SECRET.replace('9', "8")),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."),
        format!("{}.{payload}.", good.split('.').next().expect("header")),
    ];
    for token in &bad {
        let mut client = Client::open(&server).await;
        let answer = client.authenticate(token).await;
        let error: Value = serde_json::from_str(answer.strip_prefix("44").expect("a connect error")).expect("json");
        assert!(error["message"].as_str().is_some_and(|m| m.ends_with('.')), "{error}");
        assert_refused(&error["data"], "UNAUTHENTICATED");
        // The connection may try again with a better token.
        assert!(client.authenticate(&good).await.starts_with("40{"));
    }
    for auth in ["40", "40{}", "40{\"token\":5}", "40{\"token\":null}"] {
        let mut client = Client::open(&server).await;
        client.send(auth).await;
        assert!(client.packet().await.expect("an answer").starts_with("44{"), "{auth}");
    }
    for malformed in ["40[]", "40\"x\"", "40{\"tok", "4abc"] {
        let mut client = Client::open(&server).await;
        client.send(malformed).await;
        client.closed().await;
    }
    let mut stubborn = Client::open(&server).await;
    for _ in 0..5 {
        stubborn.send("40{\"token\":\"x\"}").await;
    }
    stubborn.closed().await;
    server.shut_down().await;
}

#[tokio::test]
async fn a_token_that_expires_ends_no_call_but_opens_no_other() {
    const SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c";
    let mut config = test_config();
    config.auth.secret = Secret::new(SECRET.into());
    let server = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts");
    // The token has expired, and is valid only by the 30 s that clocks may differ: it ends for good in a moment.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let claims = json!({"sub": "alice", "exp": now - 29});
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).expect("signs");
    let mut client = Client::open(&server).await;
    assert!(client.authenticate(&token).await.starts_with("40{"));
    assert_eq!(client.request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
    // A join of the channel one is in takes nothing away; its code tells whether the token still counts.
    let join = async || {
        // No faster than the server allows.
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.request("voice:join", json!({"channelId": "lobby"})).await
    };
    seen("the token expires", join, |answer| answer["code"] == "UNAUTHENTICATED").await;
    assert!(client.request("voice:rtc:getRouterRtpCapabilities", json!({})).await["rtpCapabilities"].is_object());
    assert_refused(&client.request("voice:join", json!({"channelId": "den"})).await, "UNAUTHENTICATED");
    server.shut_down().await;
}

#[tokio::test]
async fn requests_without_a_session_are_not_answered() {
    let server = dev_server().await;
    let mut client = Client::open(&server).await;
    client.send("420[\"voice:join\",{\"channelId\":\"lobby\"}]").await;
    let token = server.issue_token("alice", None, false).expect("token");
    assert!(client.authenticate(&token).await.starts_with("40{"), "the first packet back is the answer to the token");
    server.shut_down().await;
}

#[tokio::test]
async fn connecting_twice_changes_nothing() {
    let server = dev_server().await;
    let mut client = Client::connect(&server, "alice", false).await;
    let other = server.issue_token("mallory", None, true).expect("token");
    client.send(&format!("40{}", json!({ "token": other }))).await;
    let joined = client.request("voice:join", json!({"channelId": "lobby", "userId": "mallory"})).await;
    assert_eq!(joined["userId"], "alice");
    assert_eq!(joined["permissions"]["video"], false);
    server.shut_down().await;
}

#[tokio::test]
async fn who_comes_and_goes_for_ever_on_one_connection_is_cut_off() {
    let server = dev_server().await;
    let mut client = Client::open(&server).await;
    let token = server.issue_token("alice", None, false).expect("token");
    for _ in 0..5 {
        assert!(client.authenticate(&token).await.starts_with("40{"));
        client.leave_namespace().await;
    }
    client.send(&format!("40{}", json!({ "token": token }))).await;
    tokio::time::timeout(Duration::from_secs(10), client.closed()).await.expect("cut off");
    server.shut_down().await;
}

#[tokio::test]
async fn goodbyes_of_nobody_start_nothing() {
    let server = dev_server().await;
    let mut client = Client::open(&server).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..1000 {
        client.leave_namespace().await;
    }
    let token = server.issue_token("alice", None, false).expect("token");
    assert!(client.authenticate(&token).await.starts_with("40{"), "all of them were read");
    assert!(tasks() < before + 100, "{} tasks", tasks());
    server.shut_down().await;
}

#[tokio::test]
async fn what_comes_after_the_end_of_a_connection_begins_no_session() {
    let server = dev_server().await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let http = reqwest::Client::new();
    let opened = http.get(base(&server) + path).send().await.expect("answers").text().await.expect("text");
    let path = format!("{path}&sid={}", opened.split('"').nth(3).expect("a sid"));
    // A body of which a part comes late.
    let mut body = TcpStream::connect(server.http_addresses()[0]).await.expect("connects");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n");
    body.write_all((head + &chunk("40{\"token\":\"x\"}\u{1e}")).as_bytes()).await.expect("sent");
    // A second body beside the unfinished one ends the connection.
    let second = async || http.post(base(&server) + &path).body("3").send().await.expect("answers").status();
    while second().await == 200 {}
    assert_eq!(http.get(base(&server) + &path).send().await.expect("answers").status(), 400, "it is closed");
    let token = server.issue_token("alice", None, false).expect("token");
    let late = format!("40{}", json!({ "token": token }));
    let _ = body.write_all((chunk(&late) + "0\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = body.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 400"), "the body's connection is nobody's");
    // Had a session begun, nothing would ever end it.
    let stats: Value = http.get(base(&server) + "/api/dev/stats").send().await.expect("answers").json().await.expect("json");
    assert_eq!(stats["sessions"], 0, "{stats}");
    server.shut_down().await;
}

#[tokio::test]
async fn the_id_of_a_socket_says_nothing_of_the_connection_below() {
    let server = dev_server().await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let http = reqwest::Client::new();
    let opened = http.get(base(&server) + path).send().await.expect("answers").text().await.expect("text");
    let below = opened.split('"').nth(3).expect("a sid").to_owned();
    let mine = format!("{}{path}&sid={below}", base(&server));
    let token = server.issue_token("alice", None, false).expect("token");
    http.post(&mine).body(format!("40{}", json!({ "token": token }))).send().await.expect("answers");
    let connected = http.get(&mine).send().await.expect("answers").text().await.expect("text");
    let shown = connected.split('"').nth(3).expect("40{\"sid\":\"…\"").to_owned();
    assert!(shown.len() >= 20 && shown != below, "{connected}");
    // Whoever knows the shown id, a peer perhaps, can post nothing with it.
    let forged = http.post(format!("{}{path}&sid={shown}", base(&server))).body("41").send().await.expect("answers");
    assert_eq!(forged.status(), 400);
    assert_eq!(http.post(&mine).body("3").send().await.expect("answers").status(), 200);
    server.shut_down().await;
}

#[tokio::test]
async fn another_namespace_does_not_exist() {
    let server = dev_server().await;
    let mut client = Client::connect(&server, "alice", false).await;
    client.send("40/admin,{\"token\":\"x\"}").await;
    assert_eq!(client.packet().await.as_deref(), Some("44/admin,{\"message\":\"Invalid namespace\"}"));
    client.send("42/admin,[\"voice:join\",{}]").await;
    client.send("41/admin").await;
    assert_alive(&mut client).await;
    server.shut_down().await;
}

#[tokio::test]
async fn parameters_that_lie_are_refused_and_the_session_goes_on() {
    let server = dev_server().await;
    let (mut client, _) = Client::joined(&server, "alice", "lobby").await;
    let send = client.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    let id = send["id"].as_str().expect("a transport").to_owned();
    let empty = json!({"transportId": id, "dtlsParameters": {"role": "client", "fingerprints": []}});
    assert_refused(&client.request("voice:rtc:connectTransport", empty).await, "INVALID_REQUEST");
    let again = client.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    assert_refused(&again, "INVALID_STATE");

    let codec = |pt: i64| json!({"mimeType": "audio/opus", "payloadType": pt, "clockRate": 48000, "channels": 2});
    let produce = |codecs: Value, encodings: Value| {
        let rtp = json!({"mid": "0", "codecs": codecs, "headerExtensions": [], "encodings": encodings});
        json!({"transportId": id, "kind": "audio", "rtpParameters": rtp, "appData": {"source": "mic"}})
    };
    let many: Vec<Value> = (1..=1000).map(|n| json!({"ssrc": n})).collect();
    for (what, payload) in [
        ("duplicate ssrc", produce(json!([codec(111)]), json!([{"ssrc": 1, "rid": "a"}, {"ssrc": 1, "rid": "b"}]))),
        ("duplicate payload type", produce(json!([codec(111), codec(111)]), json!([{"ssrc": 1}]))),
        ("many encodings", produce(json!([codec(111)]), json!(many))),
        ("no encodings", produce(json!([codec(111)]), json!([]))),
        ("no codecs", produce(json!([]), json!([{"ssrc": 1}]))),
        ("negative payload type", produce(json!([codec(-1)]), json!([{"ssrc": 1}]))),
        ("negative ssrc", produce(json!([codec(111)]), json!([{"ssrc": -1}]))),
        ("ssrc too large", produce(json!([codec(111)]), json!([{"ssrc": 1u64 << 40}]))),
    ] {
        let answer = client.request("voice:rtc:produce", payload).await;
        assert_eq!(answer["code"], "INVALID_REQUEST", "{what}: {answer}");
    }
    assert_alive(&mut client).await;
    server.shut_down().await;
}
