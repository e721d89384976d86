//! Media through the real server: bots hear each other over UDP, and a dying media thread is survived.

use std::time::{Duration, Instant};

use parlor::Server;
use serde_json::json;

use super::client::Client;
use super::{base, server_without_join_limit};

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn survives_a_panic(server: &Server) {
    let (mut alice, _) = Client::joined(server, "alice", "lobby").await;
    let (mut bob, _) = Client::joined(server, "bob", "lobby").await;
    let restarts = server.media_restarts();
    server.crash_media().await;
    for client in [&mut alice, &mut bob] {
        let left = client.event("voice:left").await;
        assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("media-lost"), Some(true)), "{left}");
    }
    until("the panic is counted", async || server.media_restarts() == restarts + 1).await;
    assert_eq!(reqwest::get(base(server) + "/healthz").await.expect("answers").status(), 200);
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
        let transport = client.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
        assert!(transport["iceCandidates"][0]["port"].is_u64(), "{transport}");
    }
    alice.cut().await;
    bob.cut().await;
}

#[tokio::test]
async fn a_media_worker_that_panics_is_survived_more_than_once() {
    let server = server_without_join_limit().await;
    survives_a_panic(&server).await;
    survives_a_panic(&server).await;
    server.shut_down().await;
}

#[tokio::test]
async fn the_restarted_worker_has_the_same_addresses() {
    let server = server_without_join_limit().await;
    let announced = server.media_addresses();
    server.crash_media().await;
    until("restarted", async || server.media_restarts() == 1).await;
    let (mut alice, _) = Client::joined(&server, "alice", "lobby").await;
    let transport = alice.request("voice:rtc:createTransport", json!({"direction": "send"})).await;
    let candidates = transport["iceCandidates"].as_array().expect("candidates");
    let ports: Vec<u64> = candidates.iter().filter_map(|c| c["port"].as_u64()).collect();
    assert!(ports.iter().all(|port| *port == u64::from(announced[0].port())), "{transport}");
    let protocols: Vec<&str> = candidates.iter().filter_map(|c| c["protocol"].as_str()).collect();
    assert_eq!(protocols, ["udp", "tcp"]);
    server.shut_down().await;
}
