//! Connections without a session, and packets that are no requests: how much they may use.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use parlor::Server;
use serde_json::json;

use super::client::{Client, assert_refused};
use super::{base, dev_server};

/// The most waiting connections from one address.
const FROM_SOURCE: usize = 256;

/// Opens a connection from an address of this machine; returns whether it stays open.
async fn opens_from(server: &Server, last: u8) -> bool {
    let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    let http = reqwest::Client::builder().local_address(from).build().expect("a client");
    let url = base(server) + "/socket.io/?EIO=4&transport=polling";
    let opened = http.get(&url).send().await.expect("answers").text().await.expect("text");
    let url = format!("{url}&sid={}", opened.split('"').nth(3).expect("a sid"));
    // Sends a pong, as after a ping.
    http.post(url).body("3").send().await.expect("answers").status().is_success()
}

#[tokio::test]
async fn who_shows_no_token_takes_the_places_of_one_address_only() {
    let server = dev_server().await;
    let _with_sessions = [Client::connect(&server, "alice", false).await, Client::connect(&server, "bob", false).await];
    let mut strangers = Vec::new();
    for _ in 0..FROM_SOURCE {
        strangers.push(Client::open(&server).await);
    }
    assert!(!opens_from(&server, 1).await, "one more of the same");
    assert!(opens_from(&server, 2).await, "another address has places of its own");
    let token = server.issue_token("carol", None, false).expect("token");
    let mut carol = strangers.pop().expect("one");
    assert!(carol.authenticate(&token).await.starts_with("40{"));
    assert!(opens_from(&server, 1).await, "who has a session waits no more");
    server.shut_down().await;
}

#[tokio::test]
async fn who_leaves_the_namespace_waits_again() {
    let server = dev_server().await;
    let mut alice = Client::connect(&server, "alice", false).await;
    let mut strangers = Vec::new();
    for _ in 0..FROM_SOURCE {
        strangers.push(Client::open(&server).await);
    }
    alice.leave_namespace().await;
    tokio::time::timeout(Duration::from_secs(5), alice.closed()).await.expect("there is no place to wait in");
    server.shut_down().await;
}

#[tokio::test]
async fn another_namespace_is_named_in_short_and_tried_a_few_times() {
    let server = dev_server().await;
    let mut client = Client::open(&server).await;
    for _ in 0..5 {
        client.send(&format!("40/{},{{}}", "x".repeat(60_000))).await;
        assert_eq!(client.packet().await, Some(format!("44/{},{}", "x".repeat(63), json!({"message": "Invalid namespace"}))));
    }
    client.send("40/x").await;
    tokio::time::timeout(Duration::from_secs(5), client.closed()).await.expect("cut off");
    server.shut_down().await;
}

#[tokio::test]
async fn packets_that_are_no_events_are_counted_too() {
    let server = dev_server().await;
    for packet in ["43[]", "41/x", "42/x,[\"a\"]", "40{}"] {
        let mut client = Client::connect(&server, "alice", false).await;
        for _ in 0..3000 {
            if !client.try_send(packet).await {
                break;
            }
        }
        tokio::time::timeout(Duration::from_secs(5), client.closed()).await.expect("cut off");
    }
    server.shut_down().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_kept_is_refused_with_all_reasons_there_are() {
    let server = dev_server().await;
    let mut alice = Client::connect(&server, "alice", false).await;
    let deep = "[".repeat(5_000) + &"]".repeat(5_000);
    for payload in [r#"{"channelId":"\ud800"}"#, r#"{"channelId":1e999}"#, &deep] {
        let refused = alice.request_raw("voice:join", payload).await;
        assert_refused(&refused, "INVALID_REQUEST");
        let reason = refused["details"]["reason"].as_str().expect("a reason");
        assert!(["deep", "surrogate", "number"].iter().all(|why| reason.contains(why)), "{reason}");
    }
    server.shut_down().await;
}
