//! Golden transcripts of the main dialect: whole conversations, from the JSON a client sends to the JSON the
//! others get, through the real codec and the real room.
//!
//! `PARLOR_BLESS=1 cargo test -p parlor-rooms --test golden` writes the transcripts anew; look at the difference
//! before it is committed, because clients depend on every word of it.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "in a test, a broken expectation is the result")]

mod script;

use std::time::Duration;

use parlor_proto::media::{MediaEvent, Source};
use parlor_proto::transport::{TransportFailure, TransportState};
use parlor_proto::{Entitlement, ErrorCode, Identity, MediaKind, Moderation, Tier, Timestamp};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::rtp;
use parlor_testkit::test_room::{client_dtls, identity};
use serde_json::{Value, json};

use script::Script;

fn rtp_of(kind: MediaKind, source: Source) -> Value {
    serde_json::to_value(rtp::for_source(kind, source)).expect("serializes")
}

fn produce(transport: &Value, kind: &str, source: &str) -> Value {
    let (k, s) = match (kind, source) {
        ("audio", "mic") => (MediaKind::Audio, Source::Mic),
        ("video", "camera") => (MediaKind::Video, Source::Camera),
        _ => (MediaKind::Video, Source::Screen),
    };
    json!({"transportId": transport, "kind": kind, "rtpParameters": rtp_of(k, s), "appData": {"source": source}})
}

fn connect(transport: &Value) -> Value {
    json!({"transportId": transport, "dtlsParameters": client_dtls()})
}

/// Joins, makes a transport, connects it; gives its id.
fn transport(script: &mut Script, who: &str, direction: &str) -> Value {
    let id = script.ask(who, "voice:rtc:createTransport", json!({"direction": direction}))["id"].clone();
    script.ask(who, "voice:rtc:connectTransport", connect(&id));
    id
}

#[test]
fn a_whole_conversation() {
    let mut script = Script::new("conversation", Tier::Free);
    script.person("alice", Tier::Pro);
    script.person("bob", Tier::Free);
    script.ask("alice", "voice:join", json!({"channelId": "den"}));
    script.ask("alice", "voice:rtc:getRouterRtpCapabilities", json!({}));
    let send = transport(&mut script, "alice", "send");
    let mic = script.ask("alice", "voice:rtc:produce", produce(&send, "audio", "mic"))["producerId"].clone();
    let joined = script.ask("bob", "voice:join", json!({"channelId": "den", "rtpCapabilities": rtp::capabilities()}));
    assert_eq!(joined["participants"][0]["producers"][0]["producerId"], mic);
    let recv = script.ask("bob", "voice:rtc:createTransport", json!({"direction": "recv"}))["id"].clone();
    script.ask("bob", "voice:rtc:consume", json!({"producerId": mic}));
    script.ask("bob", "voice:rtc:connectTransport", connect(&recv));
    let camera = script.ask("alice", "voice:rtc:produce", produce(&send, "video", "camera"))["producerId"].clone();
    let consume = json!({"producerId": camera, "transportId": recv, "rtpCapabilities": rtp::capabilities(), "paused": true});
    let consumer = script.ask("bob", "voice:rtc:consume", consume)["id"].clone();
    script.ask("bob", "voice:rtc:resumeConsumer", json!({"consumerId": consumer}));
    script.ask("bob", "voice:rtc:setPreferredLayers", json!({"consumerId": consumer, "spatialLayer": 1, "temporalLayer": 0}));
    script.ask("bob", "voice:rtc:requestKeyFrame", json!({"consumerId": consumer}));
    script.ask("bob", "voice:rtc:pauseConsumer", json!({"consumerId": consumer}));
    script.ask("bob", "voice:rtc:closeConsumer", json!({"consumerId": consumer}));
    script.ask("bob", "voice:state:update", json!({"deafened": true}));
    script.ask("alice", "voice:state:update", json!({"speaking": true}));
    script.speaks(&mic, -23);
    script.ask("alice", "voice:state:update", json!({"muted": true}));
    script.ask("alice", "voice:rtc:pauseProducer", json!({"producerId": camera}));
    script.ask("alice", "voice:rtc:resumeProducer", json!({"producerId": camera}));
    script.ask("alice", "voice:rtc:restartIce", json!({"transportId": send}));
    script.ask("alice", "voice:rtc:closeProducer", json!({"producerId": camera}));
    script.ask("alice", "voice:leave", json!({"channelId": "den"}));
    script.ask("bob", "voice:leave", json!({}));
    script.finish();
}

#[test]
fn a_connection_that_breaks() {
    let mut script = Script::new("disconnect", Tier::Free);
    for who in ["alice", "bob"] {
        script.person(who, Tier::Free);
        script.ask(who, "voice:join", json!({"channelId": "den"}));
    }
    let send = transport(&mut script, "alice", "send");
    script.ask("alice", "voice:rtc:produce", produce(&send, "audio", "mic"));
    script.disconnect("alice");
    script.finish();
}

#[test]
fn a_transport_that_fails() {
    let mut script = Script::new("transport-failed", Tier::Free);
    for who in ["alice", "bob"] {
        script.person(who, Tier::Free);
        script.ask(who, "voice:join", json!({"channelId": "den"}));
    }
    let send = transport(&mut script, "alice", "send");
    script.ask("alice", "voice:rtc:produce", produce(&send, "audio", "mic"));
    let id = *script.room.media.transports.keys().next().expect("there is one");
    for state in [TransportState::Connecting, TransportState::Connected, TransportState::Disconnected, TransportState::Failed] {
        let reason = (state == TransportState::Failed).then_some(TransportFailure::Silent);
        script.report(MediaEvent::TransportState { transport: id, state, protocol: None, reason });
    }
    script.finish();
}

#[test]
fn a_media_thread_that_dies() {
    let mut script = Script::new("media-lost", Tier::Free);
    for who in ["alice", "bob"] {
        script.person(who, Tier::Free);
        script.ask(who, "voice:join", json!({"channelId": "den"}));
    }
    script.media_dies();
    script.ask("alice", "voice:leave", json!({}));
    script.finish();
}

#[test]
fn a_server_that_stops() {
    let mut script = Script::new("shutting-down", Tier::Free);
    script.person("alice", Tier::Free);
    script.ask("alice", "voice:join", json!({"channelId": "den"}));
    script.shut_down();
    script.finish();
}

#[test]
fn every_refusal_of_a_join() {
    let mut script = Script::new("join-refused", Tier::Free);
    script.person("alice", Tier::Free);
    script.ask("alice", "voice:join", json!({"channelId": "den"}));
    script.banned_person("mallory");
    script.ask("mallory", "voice:join", json!({"channelId": "den"}));
    script.second_session("alice", "alice-again");
    script.ask("alice-again", "voice:join", json!({"channelId": "den"}));
    for n in 2..=8 {
        let name = format!("guest{n}");
        script.person(&name, Tier::Free);
        script.quietly(&name, "voice:join", &json!({"channelId": "den"}));
    }
    script.person("late", Tier::Free);
    script.ask("late", "voice:join", json!({"channelId": "den"}));
    script.ask("late", "voice:join", json!({"channelId": ""}));
    script.ask("late", "voice:rtc:createTransport", json!({"direction": "send"}));
    script.finish();
}

#[test]
fn every_refusal_inside() {
    let mut script = Script::new("refused", Tier::Free);
    script.person("alice", Tier::Free);
    script.person("bob", Tier::Pro);
    for who in ["alice", "bob"] {
        script.quietly(who, "voice:join", &json!({"channelId": "den"}));
    }
    let send = script.quietly("alice", "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
    script.quietly("alice", "voice:rtc:connectTransport", &connect(&send));
    script.ask("alice", "voice:rtc:createTransport", json!({"direction": "send"}));
    script.ask("alice", "voice:rtc:createTransport", json!({"direction": "sideways"}));
    script.ask("alice", "voice:rtc:connectTransport", connect(&send));
    script.ask("alice", "voice:rtc:connectTransport", json!({"transportId": send, "dtlsParameters": {"fingerprints": []}}));
    script.ask("alice", "voice:rtc:produce", produce(&send, "video", "camera"));
    script.ask("alice", "voice:rtc:produce", produce(&send, "video", "screen"));
    script.quietly("alice", "voice:rtc:produce", &produce(&send, "audio", "mic"));
    script.ask("alice", "voice:rtc:produce", produce(&send, "audio", "mic"));
    script.ask("bob", "voice:rtc:restartIce", json!({"transportId": send}));
    script.ask("bob", "voice:rtc:closeProducer", json!({"producerId": "not an id"}));
    script.ask("bob", "voice:rtc:fly", json!({}));
    script.ask("bob", "voice:leave", json!({"channelId": "attic"}));
    script.finish();
}

#[test]
fn video_slots_that_are_taken() {
    let mut script = Script::new("video-limit", Tier::Free);
    for n in 1..=5 {
        let who = format!("sender{n}");
        script.person(&who, Tier::Pro);
        script.quietly(&who, "voice:join", &json!({"channelId": "den"}));
        let send = script.quietly(&who, "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
        let camera = produce(&send, "video", "camera");
        if n < 5 {
            script.quietly(&who, "voice:rtc:produce", &camera)
        } else {
            script.ask(&who, "voice:rtc:produce", camera)
        };
    }
    script.finish();
}

/// Joins with a transport to send on; gives its id.
fn sender(script: &mut Script, who: &str, tier: Tier) -> Value {
    script.person(who, tier);
    script.quietly(who, "voice:join", &json!({"channelId": "den"}));
    let send = script.quietly(who, "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
    script.quietly(who, "voice:rtc:connectTransport", &connect(&send));
    send
}

#[test]
fn a_connection_that_is_lost_and_resumed() {
    let mut script = Script::new("resume", Tier::Free);
    script.person("alice", Tier::Free);
    script.person("bob", Tier::Free);
    let token = script.ask("alice", "voice:join", json!({"channelId": "den"}))["resumeToken"].clone();
    script.quietly("bob", "voice:join", &json!({"channelId": "den"}));
    let send = script.quietly("alice", "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
    script.quietly("alice", "voice:rtc:connectTransport", &connect(&send));
    script.quietly("alice", "voice:rtc:produce", &produce(&send, "audio", "mic"));
    script.reconnect("alice");
    script.ask("bob", "voice:state:update", json!({"muted": true}));
    let resume = json!({"channelId": "den", "resumeToken": token});
    script.ask("alice", "voice:resume", resume.clone());
    script.ask("alice", "voice:resume", resume.clone());
    script.reconnect("alice");
    script.wait(Duration::from_secs(10));
    script.ask("alice", "voice:resume", resume);
    script.ask("alice", "voice:resume", json!({"channelId": "den", "resumeToken": "yesterday's"}));
    script.finish();
}

#[test]
fn a_queue_for_video() {
    let mut script = Script::with("slots", |config| config.policy.videos_free = 1);
    let transports: Vec<Value> = ["alice", "bob", "carol"].iter().map(|who| sender(&mut script, who, Tier::Pro)).collect();
    sender(&mut script, "dave", Tier::Free);
    script.ask("alice", "voice:slot:request", json!({"source": "camera"}));
    let camera = script.quietly("alice", "voice:rtc:produce", &produce(&transports[0], "video", "camera"))["producerId"].clone();
    script.ask("bob", "voice:slot:request", json!({"source": "camera"}));
    script.ask("carol", "voice:slot:request", json!({"source": "screen"}));
    script.ask("carol", "voice:rtc:produce", produce(&transports[2], "video", "screen"));
    script.ask("alice", "voice:slot:release", json!({"source": "camera"}));
    script.ask("alice", "voice:rtc:closeProducer", json!({"producerId": camera}));
    script.ask("bob", "voice:rtc:produce", produce(&transports[1], "video", "camera"));
    script.ask("carol", "voice:slot:release", json!({"source": "screen"}));
    script.ask("dave", "voice:slot:request", json!({"source": "camera"}));
    script.finish();
}

#[test]
fn a_tier_that_changes_in_mid_call() {
    let mut script = Script::new("entitlement", Tier::Free);
    let send = sender(&mut script, "alice", Tier::Pro);
    sender(&mut script, "bob", Tier::Free);
    script.quietly("alice", "voice:rtc:produce", &produce(&send, "audio", "mic"));
    script.quietly("alice", "voice:rtc:produce", &produce(&send, "video", "camera"));
    let soon = Timestamp(script.room.wall().0 + 60_000);
    script.entitle("alice", Entitlement { pro: true, expires_at: Some(soon) });
    script.wait(Duration::from_secs(60));
    script.ask("alice", "voice:rtc:produce", produce(&send, "video", "camera"));
    script.entitle("alice", Entitlement::PRO);
    script.finish();
}

#[test]
fn a_moderated_call() {
    let mut script = Script::new("moderation", Tier::Free);
    script.add("mia", Identity { moderator: true, ..identity("mia", Tier::Free) });
    script.quietly("mia", "voice:join", &json!({"channelId": "den"}));
    let send = sender(&mut script, "mallory", Tier::Free);
    script.quietly("mallory", "voice:rtc:produce", &produce(&send, "audio", "mic"));
    sender(&mut script, "trudy", Tier::Free);
    script.ask("mallory", "voice:moderate", json!({"action": "kick", "userId": "mia"}));
    script.ask("mia", "voice:moderate", json!({"action": "mute", "userId": "mallory", "audio": true}));
    script.ask("mallory", "voice:state:update", json!({"muted": false, "speaking": true}));
    script.ask("mia", "voice:moderate", json!({"action": "deafen", "userId": "mallory", "deafened": true}));
    script.ask("mia", "voice:moderate", json!({"action": "kick", "userId": "mallory", "reason": "Noise."}));
    script.ask("mia", "voice:moderate", json!({"action": "kick", "userId": "mallory"}));
    script.ask("mallory", "voice:join", json!({"channelId": "den"}));
    let ban = json!({"action": "ban", "userId": "mallory", "until": "2026-03-01T18:00:00Z", "reason": "More noise."});
    script.ask("mia", "voice:moderate", ban);
    script.ask("mallory", "voice:join", json!({"channelId": "den"}));
    script.ask("mia", "voice:moderate", json!({"action": "move", "userId": "trudy", "to": "attic"}));
    script.moderate(&Moderation::EndCall { reason: Some("Good night.".into()) });
    script.finish();
}

#[test]
fn a_media_plane_that_refuses_or_is_silent() {
    let mut script = Script::new("media-refuses", Tier::Free);
    for who in ["alice", "bob"] {
        script.person(who, Tier::Free);
        script.quietly(who, "voice:join", &json!({"channelId": "den"}));
    }
    let send = script.quietly("alice", "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
    script.room.media.answer(Operation::ConnectTransport, Answer::Fail(ErrorCode::TransportFailed));
    script.ask("alice", "voice:rtc:connectTransport", connect(&send));
    let send = script.quietly("alice", "voice:rtc:createTransport", &json!({"direction": "send"}))["id"].clone();
    let mic = script.quietly("alice", "voice:rtc:produce", &produce(&send, "audio", "mic"))["producerId"].clone();
    script.quietly("bob", "voice:rtc:createTransport", &json!({"direction": "recv"}));
    script.ask("bob", "voice:rtc:consume", json!({"producerId": mic}));
    script.room.media.answer(Operation::Consume, Answer::Fail(ErrorCode::Incompatible));
    script.ask("bob", "voice:rtc:consume", json!({"producerId": mic, "rtpCapabilities": {}}));
    script.room.media.answer(Operation::RestartIce, Answer::Never);
    script.send("alice", "voice:rtc:restartIce", json!({"transportId": send}));
    script.wait(Duration::from_secs(5));
    script.finish();
}
