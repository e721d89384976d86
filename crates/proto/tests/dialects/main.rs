//! The dialects of plain WebSockets: every message as it is read and written, compared with `tests/golden/call.json`,
//! `tests/golden/voice.json` and `tests/golden/envelope.json`.
//!
//! `PARLOR_BLESS=1 cargo test -p parlor-proto --test dialects` writes the files anew; clients depend on every word.
#![allow(clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "in a test, a broken expectation is the result")]

mod envelope;
mod hostile;
mod pages;
mod schema;

use std::path::PathBuf;

use parlor_proto::codec::call::Call;
use parlor_proto::codec::voice::Voice;
use parlor_proto::codec::{Asked, CallMember, CallState, TextCodec};
use parlor_proto::event::{
    CallTopology, Event, IceSetup, Joined, LeftReason, Participant, ParticipantState, Policy, Reply, ServerMuted, VideoSlots,
};
use parlor_proto::mesh::{MeshCandidate, MeshDescription, MeshLinks, MeshPeer, Sender, Signal};
use parlor_proto::{ChannelId, Error, ErrorCode, PeerId, Permissions, ResumeToken, Role, UserId};
use serde_json::{Value, json};

const PEER: PeerId = PeerId::random_uuid(5);

fn channel() -> ChannelId {
    ChannelId::new("den").expect("an id")
}

fn user(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

fn other(id: &str, peer_id: PeerId, make_offer: bool) -> Participant {
    Participant {
        user_id: user(id),
        name: id.to_uppercase(),
        state: ParticipantState::default(),
        role: Role::Speaker,
        moderator: false,
        producers: Vec::new(),
        mesh: Some(MeshPeer { peer_id, make_offer }),
    }
}

fn joined() -> Reply {
    Reply::Joined(Box::new(Joined {
        channel_id: channel(),
        channel_name: "The den".into(),
        topology: CallTopology::Mesh,
        sfu_endpoint: None,
        mesh: Some(MeshLinks::between(3)),
        user_id: user("bob"),
        participants: vec![other("alice", PEER, true), other("carol", PeerId::random_uuid(6), false)],
        permissions: Permissions { audio: true, video: false, screenshare: false, max_bitrate: 32_000, expires_at: None },
        ice: IceSetup::default(),
        router_rtp_capabilities: None,
        e2ee: Policy::Off,
        recording: Policy::Off,
        role: Role::Speaker,
        moderator: false,
        state: ParticipantState::default(),
        video_slots: VideoSlots::default(),
        resume_token: ResumeToken::from_random(4),
        resume_grace_ms: 10_000,
        resumed: false,
    }))
}

/// What a sender of any dialect can have written.
fn signals() -> Vec<Event> {
    let from = || Sender { user_id: user("alice"), name: "Alice".into(), peer_id: PEER };
    let description = |fields: Value| {
        let signal = Signal::description(fields.as_object().cloned().expect("an object")).expect("fine");
        MeshDescription { from: from(), signal }
    };
    let candidate = |candidate: Value| MeshCandidate { from: from(), signal: Signal::of_candidate(candidate).expect("fine") };
    let init = json!({"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0});
    vec![
        Event::MeshOffer(description(json!({"sdp": "v=0\r\n"}))),
        Event::MeshOffer(description(json!({"sdp": {"type": "offer", "sdp": "v=0\r\n"}, "restart": true, "nothing": null}))),
        Event::MeshAnswer(description(json!({"sdp": "v=0\r\n"}))),
        Event::MeshIce(candidate(init.clone())),
        Event::MeshIce(candidate(init.to_string().into())),
        Event::MeshIce(candidate("candidate:1 1 UDP 1 192.0.2.1 9 typ host".into())),
        Event::MeshIce(candidate(Value::Null)),
    ]
}

fn events() -> Vec<Event> {
    let state = ParticipantState { muted: true, ..ParticipantState::default() };
    let silenced = ParticipantState { server_muted: ServerMuted { audio: true, ..ServerMuted::default() }, ..ParticipantState::default() };
    let left = |reason, rejoin, to: Option<&str>| Event::Left {
        channel_id: channel(),
        reason,
        rejoin,
        to: to.and_then(|to| ChannelId::new(to).ok()),
    };
    let mut events = vec![
        Event::ParticipantJoined(other("alice", PEER, true)),
        Event::ParticipantJoined(other("alice", PEER, false)),
        Event::ParticipantLeft { user_id: user("alice"), name: "Alice".into(), peer_id: Some(PEER) },
        Event::ParticipantState { user_id: user("alice"), state },
        Event::ParticipantState { user_id: user("alice"), state: silenced },
        Event::MeshLinks(MeshLinks::between(3)),
        left(LeftReason::Kicked, false, None),
        left(LeftReason::Moved, false, Some("attic")),
        left(LeftReason::ShuttingDown, true, None),
    ];
    events.extend(signals());
    events
}

fn call_state() -> CallState<'static> {
    let member = |user_id, username, state| CallMember { user_id, username, state };
    let participants = vec![member("alice", "Alice", "active"), member("bob", "Bob", "connecting")];
    CallState { room_state: "active", participants, links: MeshLinks::between(1) }
}

/// A transcript: what is read as which request, and how every reply, event and refusal is written.
fn transcript<C: TextCodec>(messages: &[Value]) -> Value {
    let read = |message: &Value| {
        let (name, asked) = C::decode(&message.to_string(), &channel());
        let asked = match asked {
            Ok(Asked::Request(request)) => format!("{request:?}"),
            Ok(Asked::Ping) => "ping".to_owned(),
            Ok(Asked::Nothing) => "nothing".to_owned(),
            Err(error) => format!("{:?}: {}", error.code, Value::from(error.details)),
        };
        json!({"message": message, "name": name, "asks": asked})
    };
    let parse = |text: String| serde_json::from_str::<Value>(&text).expect("JSON");
    let written = |event: &Event| json!({"event": format!("{event:?}"), "message": C::encode_event(event).map(parse)});
    json!({
        "read": messages.iter().map(read).collect::<Vec<_>>(),
        "joined": C::encode_reply(&joined()).into_iter().map(parse).collect::<Vec<_>>(),
        "other replies": C::encode_reply(&Reply::Left { channel_id: channel() }),
        "pushed": events().iter().map(written).collect::<Vec<_>>(),
        "refused": parse(C::encode_error("offer", &Error::new(ErrorCode::NotFound).with("why", "gone"))),
        "refused connection": parse(C::encode_error("", &Error::new(ErrorCode::Unauthenticated))),
        "pong": parse(C::pong()),
        "call state": C::encode_call_state(&call_state()).map(parse),
    })
}

/// Compares with a file, or writes it if `PARLOR_BLESS` is set.
fn golden(name: &str, is: &Value) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os("PARLOR_BLESS").is_some() {
        return std::fs::write(&path, format!("{is:#}\n")).expect("the file can be written");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}; PARLOR_BLESS=1 writes it", path.display()));
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(*is, expected, "{} is other than what the codec does", path.display());
}

fn call_messages() -> Vec<Value> {
    let init = json!({"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0});
    vec![
        json!({"type": "join_call", "data": {}}),
        json!({"type": "join_call"}),
        json!({"type": "leave_call", "data": null}),
        json!({"type": "offer", "data": {"target_user_id": "alice", "sdp": "v=0\r\n"}}),
        json!({"type": "offer", "data": {"target_user_id": 7, "sdp": "v=0\r\n", "from_user_id": "mallory", "restart": true}}),
        json!({"type": "answer", "to_user_id": "alice", "data": {"sdp": {"type": "answer", "sdp": "v=0\r\n"}}}),
        json!({"type": "ice_candidate", "data": {"target_user_id": "alice", "candidate": init}}),
        json!({"type": "toggle_audio", "data": {"is_muted": true}}),
        json!({"type": "ping"}),
        json!({"type": "offer", "data": {"sdp": "v=0\r\n"}}),
        json!({"type": "offer", "data": {"target_user_id": "alice"}}),
        json!({"type": "offer", "data": {"target_user_id": ["alice"], "sdp": "v=0\r\n"}}),
        json!({"type": "ice_candidate", "data": {"target_user_id": "alice"}}),
        json!({"type": "toggle_audio", "data": {"is_muted": "yes"}}),
        json!({"type": "offer", "data": "v=0"}),
        json!({"type": "dance", "data": {}}),
        json!({"data": {}}),
        json!([1]),
    ]
}

fn voice_messages() -> Vec<Value> {
    let init = json!({"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": "0", "sdpMLineIndex": 0});
    vec![
        json!({"type": "hello"}),
        json!({"type": "present", "target": PEER.to_uuid()}),
        json!({"type": "left"}),
        json!({"type": "offer", "target": PEER.to_uuid(), "sdp": "v=0\r\n"}),
        json!({"type": "offer", "target": PEER.to_uuid(), "sdp": {"type": "offer", "sdp": "v=0\r\n"}, "source": "mallory", "mine": 1}),
        json!({"type": "answer", "target": PEER.to_uuid(), "sdp": "v=0\r\n"}),
        json!({"type": "ice", "target": PEER.to_uuid(), "candidate": init}),
        json!({"type": "ice", "target": PEER.to_uuid(), "candidate": null}),
        json!({"type": "ping"}),
        json!({"type": "offer", "sdp": "v=0\r\n"}),
        json!({"type": "offer", "target": "alice", "sdp": "v=0\r\n"}),
        json!({"type": "offer", "target": PEER.to_uuid().to_uppercase(), "sdp": "v=0\r\n"}),
        json!({"type": "offer", "target": PEER.to_uuid(), "sdp": ""}),
        json!({"type": "ice", "target": PEER.to_uuid()}),
        json!({"type": "dance"}),
        json!({}),
        json!("hello"),
    ]
}

#[test]
fn every_message_of_ws_call_is_as_it_is_on_file() {
    golden("call.json", &transcript::<Call>(&call_messages()));
}

#[test]
fn every_message_of_ws_voice_is_as_it_is_on_file() {
    golden("voice.json", &transcript::<Voice>(&voice_messages()));
}

#[test]
fn what_two_clients_of_one_dialect_tell_each_other_is_not_changed() {
    let init = json!({"candidate": "candidate:1 1 UDP 1 192.0.2.1 9 typ host", "sdpMid": null, "sdpMLineIndex": 0, "mine": [1, null]});
    let call = json!({"type": "ice_candidate", "data": {"target_user_id": "bob", "candidate": init, "more": {"x": null}}});
    let (_, asked) = Call::decode(&call.to_string(), &channel());
    let Ok(Asked::Request(parlor_proto::Request::MeshIce { signal, .. })) = asked else { panic!("{asked:?}") };
    let from = Sender { user_id: user("alice"), name: "Alice".into(), peer_id: PEER };
    let out = Call::encode_event(&Event::MeshIce(MeshCandidate { from, signal })).expect("written");
    let out: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&out["data"]["candidate"], &out["data"]["more"]), (&init, &json!({"x": null})));
}
