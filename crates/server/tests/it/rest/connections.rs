//! The counters of media connections, and the lines of the log: what a client tells, and what the server sees when it tells nothing.

use serde_json::{Value, json};

use super::super::client::{Client, assert_refused};
use super::super::process::{Process, dev_server};
use super::Rest;

/// The client's side of DTLS. Nobody ever shows this certificate.
fn dtls() -> Value {
    let value = ["AB"; 32].join(":");
    json!({"role": "client", "fingerprints": [{"algorithm": "sha-256", "value": value}]})
}

/// Makes a transport that is to be connected, and never will be.
async fn transport(client: &mut Client, direction: &str) -> Value {
    let id = client.request("voice:rtc:createTransport", json!({"direction": direction})).await["id"].clone();
    client.request("voice:rtc:connectTransport", json!({"transportId": id, "dtlsParameters": dtls()})).await;
    id
}

/// A report that no check was answered.
fn unanswered(transport: &Value) -> Value {
    json!({
        "transportId": transport, "outcome": "failed", "checks": "sent", "iceState": "failed", "dtlsState": "new",
        "candidates": {"host": {"udp": 2}}, "network": "cellular",
    })
}

#[tokio::test]
async fn what_clients_tell_and_what_the_server_sees_is_counted_by_network_and_outcome() {
    let rest = Rest::start_with(|config| config.node.region = "eu-west".to_owned()).await;
    rest.put("/api/channels/den", json!({})).await.is(201);
    let empty = rest.get("/api/connections").await.is(200);
    assert_eq!((&empty["region"], &empty["outcomes"], &empty["calls"]), (&json!("eu-west"), &json!([]), &json!(0)));
    let (mut client, _) = Client::joined(&rest.server, "alice", "den").await;
    let send = transport(&mut client, "send").await;
    transport(&mut client, "recv").await;
    assert_eq!(client.request("voice:rtc:reportConnection", unanswered(&send)).await, json!({"transportId": send}));
    let elsewhere = json!({"transportId": "0".repeat(32), "outcome": "failed", "checks": "sent"});
    assert_refused(&client.request("voice:rtc:reportConnection", elsewhere).await, "NOT_FOUND");
    client.request("voice:leave", json!({})).await;
    let counted = rest.get("/api/connections").await.is(200);
    // Of the second the client tells nothing, and it was not tried for long.
    let rows = json!([
        {"topology": "sfu", "network": "cellular", "outcome": "failed", "reached": "checked", "count": 1},
        {"topology": "sfu", "network": "cellular", "outcome": "abandoned", "reached": "gathered", "count": 1},
    ]);
    assert_eq!(counted["outcomes"], rows, "{counted}");
    assert_eq!(
        (&counted["stays"], &counted["calls"], &counted["routes"], &counted["lost"]),
        (&json!(1), &json!(1), &json!([]), &json!([]))
    );
    rest.end().await;
}

#[tokio::test]
async fn a_stay_and_a_call_are_one_line_of_the_log_each_and_without_an_address() {
    let server = Process::start(dev_server("sqlite::memory:"));
    let mut client = Client::guest(&server.address, "alice", "den").await;
    let send = transport(&mut client, "send").await;
    client.request("voice:rtc:reportConnection", unanswered(&send)).await;
    client.request("voice:leave", json!({})).await;
    let log = server.stop().await;
    let line = |what: &str| {
        let found: Vec<_> = log.lines().filter(|line| line.contains(what)).collect();
        let [one] = found[..] else { panic!("one line says that {what}: {log}") };
        one.to_owned()
    };
    let (stay, call) = (line("a stay has ended"), line("a call has ended"));
    for part in [
        " INFO room{channel=den}: a stay has ended session=",
        r#"topology="sfu""#,
        r#"dialect="socketio""#,
        r#"reason="left""#,
        r#"network="cellular""#,
        "candidates=host/udp 2",
        r#"connections="send failed, checked; client: ICE failed, DTLS new, checks sent; server: no check came""#,
        "connected=0 failed=1 lost=0 ice_restarts=0",
    ] {
        assert!(stay.contains(part), "no {part}: {stay}");
    }
    for part in ["room{channel=den}", r#"topology="sfu""#, "stays=1 connected=0 failed=1 abandoned=0 lost=0"] {
        assert!(call.contains(part), "no {part}: {call}");
    }
    for line in [stay, call] {
        assert!(!line.contains("127.0.0.1") && !line.contains("alice"), "neither addresses nor people: {line}");
    }
}
