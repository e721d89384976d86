//! Large rooms on several media workers: how they end, and what a worker's death does to them.

use parlor::{Options, Server};
use parlor_testkit::wait::seen;
use serde_json::{Value, json};

use super::client::Client;
use super::{base, test_config};

/// Receivers of a room that is on two workers: the first ones stay together.
const LARGE: usize = 12;

async fn server() -> Server {
    let mut config = test_config();
    config.media.workers = 2;
    config.limits.joins_per_minute = 1000;
    config.limits.reconnect_interval_ms = 0;
    Server::start(&config, Options { dev: true, ..Options::default() }).await.expect("starts")
}

/// A counter of each worker.
async fn held(server: &Server, what: &str) -> Vec<u64> {
    let stats: Value = reqwest::get(base(server) + "/api/dev/stats").await.expect("answers").json().await.expect("json");
    stats["workers"].as_array().expect("workers").iter().map(|worker| worker["sfu"][what].as_u64().expect("a number")).collect()
}

async fn until_held(server: &Server, what: &str, expected: [u64; 2]) {
    seen(what, async || held(server, what).await, |held| *held == expected).await;
}

/// So many participants, each with a transport to receive on.
async fn receivers(server: &Server, channel: &str, count: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for n in 0..count {
        let (mut client, _) = Client::joined(server, &format!("user{n}"), channel).await;
        let transport = client.request("voice:rtc:createTransport", json!({"direction": "recv"})).await;
        assert!(transport["id"].is_string(), "{transport}");
        clients.push(client);
    }
    clients
}

#[tokio::test]
async fn a_small_room_stays_on_one_worker_and_a_large_one_is_on_both() {
    let server = server().await;
    let mut clients = receivers(&server, "lobby", 8).await;
    assert_eq!(held(&server, "routers").await.iter().sum::<u64>(), 1);
    for client in clients.drain(..) {
        client.cut().await;
    }
    until_held(&server, "transports", [0, 0]).await;

    let clients = receivers(&server, "lobby", LARGE).await;
    until_held(&server, "routers", [1, 1]).await;
    let mut transports = held(&server, "transports").await;
    transports.sort_unstable();
    assert_eq!(transports, [3, 9]);
    for client in clients {
        client.cut().await;
    }
    until_held(&server, "routers", [0, 0]).await;
    until_held(&server, "transports", [0, 0]).await;
    server.shut_down().await;
}

/// The worker with so many transports dies: the room's senders are where most of its receivers are.
async fn ends_for_everybody_when_a_worker_dies(server: &Server, transports: u64) {
    let mut clients = receivers(server, "lobby", LARGE).await;
    until_held(server, "routers", [1, 1]).await;
    let worker = held(server, "transports").await.iter().position(|held| *held == transports).expect("a worker");
    server.crash_media_worker(worker).await;
    for client in &mut clients {
        let left = client.event("voice:left").await;
        assert_eq!((left["reason"].as_str(), left["rejoin"].as_bool()), (Some("media-lost"), Some(true)), "{left}");
    }
    until_held(server, "routers", [0, 0]).await;
    assert_eq!(clients[0].request("voice:join", json!({"channelId": "lobby"})).await["channelId"], "lobby");
    for client in clients {
        client.cut().await;
    }
    until_held(server, "routers", [0, 0]).await;
}

#[tokio::test]
async fn a_large_room_ends_for_everybody_when_either_of_its_workers_dies() {
    let server = server().await;
    for transports in [9, 3] {
        ends_for_everybody_when_a_worker_dies(&server, transports).await;
    }
    assert_eq!(server.media_restarts(), 2);
    server.shut_down().await;
}
