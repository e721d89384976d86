//! A hostile session tries every request with another session's ids, in the same room and in another: the answers are
//! those for ids that never existed.

use std::collections::HashSet;

use parlor_proto::codec::socketio::REQUEST_EVENTS;
use serde_json::{Value, json};

use super::client::{Client, assert_refused};
use super::server_without_join_limit;

/// Requests that name no object.
const WITHOUT_IDS: [&str; 14] = [
    "voice:join",
    // The token is the client's own: what happens to a stolen one is in the tests of resumption.
    "voice:resume",
    "voice:leave",
    "voice:rtc:getIceServers",
    "voice:rtc:getRouterRtpCapabilities",
    "voice:rtc:createTransport",
    "voice:state:update",
    "voice:slot:request",
    "voice:slot:release",
    "voice:moderate",
    "voice:ping",
    // Addressed to people; who can be reached is in the tests of mesh calls.
    "voice:mesh:offer",
    "voice:mesh:answer",
    "voice:mesh:ice",
];

/// Ids of a session's objects.
struct Ids {
    send: String,
    recv: String,
    producer: String,
    consumer: String,
}

pub fn opus(transport: &str, ssrc: u32) -> Value {
    let codec =
        json!({"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2, "parameters": {}, "rtcpFeedback": []});
    let rtp = json!({"mid": "0", "codecs": [codec], "headerExtensions": [], "encodings": [{"ssrc": ssrc}], "rtcp": {"cname": "c"}});
    json!({"transportId": transport, "kind": "audio", "rtpParameters": rtp, "appData": {"source": "mic"}})
}

fn dtls() -> Value {
    let value = ["AB"; 32].join(":");
    json!({"role": "client", "fingerprints": [{"algorithm": "sha-256", "value": value}]})
}

pub async fn transport(client: &mut Client, direction: &str) -> String {
    let answer = client.request("voice:rtc:createTransport", json!({ "direction": direction })).await;
    answer["id"].as_str().unwrap_or_else(|| panic!("no transport: {answer}")).to_owned()
}

pub async fn microphone(client: &mut Client, transport: &str, ssrc: u32) -> String {
    let connect = json!({"transportId": transport, "dtlsParameters": dtls()});
    let answer = client.request("voice:rtc:connectTransport", connect).await;
    assert_eq!(answer["transportId"], transport, "{answer}");
    let answer = client.request("voice:rtc:produce", opus(transport, ssrc)).await;
    answer["producerId"].as_str().unwrap_or_else(|| panic!("no producer: {answer}")).to_owned()
}

/// Every request that names an object, with these ids of another session.
fn attacks(ids: &Ids, foreign_producer: &str) -> Vec<(&'static str, Value)> {
    let (transport, producer, consumer) =
        (json!({"transportId": ids.send}), json!({"producerId": ids.producer}), json!({"consumerId": ids.consumer}));
    vec![
        ("voice:rtc:connectTransport", json!({"transportId": ids.recv, "dtlsParameters": dtls()})),
        ("voice:rtc:restartIce", transport.clone()),
        ("voice:rtc:reportConnection", json!({"transportId": ids.send, "outcome": "failed", "checks": "sent"})),
        ("voice:rtc:closeTransport", transport),
        ("voice:rtc:produce", opus(&ids.send, 77)),
        ("voice:rtc:pauseProducer", producer.clone()),
        ("voice:rtc:resumeProducer", producer.clone()),
        ("voice:rtc:closeProducer", producer),
        (
            "voice:rtc:consume",
            json!({"producerId": foreign_producer, "transportId": ids.recv, "rtpCapabilities": {"codecs": [], "headerExtensions": []}}),
        ),
        ("voice:rtc:pauseConsumer", consumer.clone()),
        ("voice:rtc:resumeConsumer", consumer.clone()),
        ("voice:rtc:closeConsumer", consumer.clone()),
        ("voice:rtc:setPreferredLayers", json!({"consumerId": ids.consumer, "spatialLayer": 0})),
        ("voice:rtc:requestKeyFrame", consumer),
    ]
}

#[tokio::test]
async fn nobody_can_touch_what_belongs_to_another_session() {
    let server = server_without_join_limit().await;
    let (mut bob, _) = Client::joined(&server, "bob", "here").await;
    let bobs_send = transport(&mut bob, "send").await;
    let bobs_producer = microphone(&mut bob, &bobs_send, 1001).await;

    let (mut alice, joined) = Client::joined(&server, "alice", "here").await;
    assert_eq!(joined["participants"][0]["producers"][0]["producerId"], bobs_producer.as_str(), "{joined}");
    let capabilities = joined["routerRtpCapabilities"].clone();
    let (send, recv) = (transport(&mut alice, "send").await, transport(&mut alice, "recv").await);
    let producer = microphone(&mut alice, &send, 2001).await;
    assert_eq!(bob.event("voice:newProducer").await["producerId"], producer.as_str());
    let wish = json!({"producerId": bobs_producer, "transportId": recv, "rtpCapabilities": capabilities});
    let consumed = alice.request("voice:rtc:consume", wish).await;
    let consumer = consumed["id"].as_str().unwrap_or_else(|| panic!("no consumer: {consumed}")).to_owned();
    let ids = Ids { send, recv, producer, consumer };
    let nothing = Ids { send: "a".repeat(32), recv: "b".repeat(32), producer: "c".repeat(32), consumer: "d".repeat(32) };

    let tried: HashSet<&str> = attacks(&ids, &bobs_producer).iter().map(|(event, _)| *event).chain(WITHOUT_IDS).collect();
    assert_eq!(tried, REQUEST_EVENTS.into_iter().collect(), "a new request must be attacked here, too");

    for room in ["here", "elsewhere"] {
        let (mut eve, _) = Client::joined(&server, "eve", room).await;
        transport(&mut eve, "send").await;
        transport(&mut eve, "recv").await;
        let guesses = attacks(&nothing, &"e".repeat(32));
        for ((event, payload), (_, guess)) in attacks(&ids, &bobs_producer).into_iter().zip(guesses) {
            let answer = eve.request(event, payload).await;
            assert_refused(&answer, "NOT_FOUND");
            assert_eq!(
                answer,
                eve.request(event, guess).await,
                "{event} in {room}: an id that is there must not be told from one that is not"
            );
        }
        if room == "elsewhere" {
            let wish = json!({"producerId": ids.producer, "rtpCapabilities": capabilities});
            assert_refused(&eve.request("voice:rtc:consume", wish).await, "NOT_FOUND");
        }
        // Identity is not taken from a payload.
        let update = json!({"userId": "alice", "sessionId": "x", "muted": true});
        assert_eq!(eve.request("voice:state:update", update).await["muted"], true);
        assert_refused(&eve.request("voice:leave", json!({"channelId": "not-this-one", "userId": "alice"})).await, "NOT_IN_CHANNEL");
        eve.cut().await;
    }
    let mut outside = Client::connect(&server, "eve", true).await;
    for (event, payload) in attacks(&ids, &bobs_producer) {
        assert_refused(&outside.request(event, payload).await, "NOT_IN_CHANNEL");
    }

    // No attack had an effect: everything is in the state in which its owner left it.
    let touched = |(name, payload): &(String, Value)| {
        matches!(name.as_str(), "voice:producerClosed" | "voice:producerPaused" | "voice:producerResumed" | "voice:left")
            || name == "voice:participant:state" && payload["userId"] != "eve"
    };
    for (event, id) in [("voice:rtc:pauseProducer", &ids.producer), ("voice:rtc:resumeProducer", &ids.producer)] {
        assert_eq!(alice.request(event, json!({ "producerId": id })).await["producerId"], id.as_str());
    }
    assert_eq!(alice.request("voice:rtc:pauseConsumer", json!({"consumerId": ids.consumer})).await["consumerId"], ids.consumer.as_str());
    assert!(alice.request("voice:rtc:restartIce", json!({"transportId": ids.send})).await["iceParameters"].is_object());
    let strange: Vec<_> = alice.events_so_far().into_iter().filter(touched).collect();
    assert_eq!(strange, []);
    server.shut_down().await;
}
