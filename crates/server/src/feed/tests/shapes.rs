//! Tests that events are as the documentation describes them.

use parlor_proto::{Actor, Moderation, ProducerId, Timestamp};
use parlor_rooms::Happening;
use serde_json::{Value, json};

use crate::feed::event;
use crate::feed::tests::{camera, channel, joined, left, user};
use crate::hook::kind::{KINDS, Pattern};

fn moderation(action: Moderation) -> Happening {
    Happening::Moderation { by: Actor::Session(user("mod")), action }
}

/// One happening of each kind.
fn all() -> Vec<Happening> {
    let mallory = || user("mallory");
    let Happening::ProducerStarted { user, producer, kind, source } = camera(1) else { unreachable!() };
    vec![
        Happening::RoomStarted,
        joined(1),
        camera(1),
        Happening::ProducerStopped { user, producer, kind, source, reason: "closed" },
        left(1),
        Happening::RoomEnded,
        moderation(Moderation::Mute { user: mallory(), audio: Some(true), video: None, screen: Some(false) }),
        moderation(Moderation::Deafen { user: mallory(), deafened: true }),
        moderation(Moderation::Kick { user: mallory(), reason: None }),
        moderation(Moderation::Ban { user: mallory(), until: Some(Timestamp(1_772_388_000_250)), reason: Some("spam".to_owned()) }),
        moderation(Moderation::Move { user: mallory(), to: channel() }),
        moderation(Moderation::EndCall { reason: None }),
    ]
}

fn data(happening: &Happening) -> Value {
    event::stored(&channel(), Timestamp(0), happening).data
}

#[test]
fn every_type_is_known_and_documented() {
    let mut made: Vec<_> = all().iter().map(|happening| event::stored(&channel(), Timestamp(0), happening).kind).collect();
    let mut known = KINDS.to_vec();
    made.sort_unstable();
    known.sort_unstable();
    assert_eq!(made, known);
    let docs = include_str!("../../../../../docs/events.md");
    for kind in KINDS {
        assert!(docs.contains(&format!("| `{kind}` |")), "docs/events.md says nothing of {kind}");
    }
}

#[test]
fn data_says_who_and_what() {
    let session = "00000000000000000000000000000001";
    assert_eq!(data(&joined(1)), json!({ "userId": "user-1", "name": "A name", "sessionId": session }));
    assert_eq!(data(&left(1)), json!({ "userId": "user-1", "sessionId": session, "reason": "left" }));
    let producer = ProducerId::from_random(1).to_wire();
    assert_eq!(data(&camera(1)), json!({ "userId": "user-1", "producerId": producer, "kind": "video", "source": "camera" }));
}

#[test]
fn moderation_says_by_whom_and_only_what_was_said() {
    let by = json!({ "type": "session", "id": "mod" });
    let all: Vec<Value> = all()[6..].iter().map(data).collect();
    assert_eq!(all[0], json!({ "by": by, "userId": "mallory", "audio": true, "screen": false }));
    assert_eq!(all[3], json!({ "by": by, "userId": "mallory", "until": "2026-03-01T18:00:00.25Z", "reason": "spam" }));
    assert_eq!(all[5], json!({ "by": by }));
}

#[test]
fn a_pattern_is_a_type_a_group_or_all() {
    let of = |text: &str| Pattern::parse(text).map(|pattern| KINDS.iter().filter(|kind| pattern.matches(kind)).count());
    assert_eq!(of("*"), Some(KINDS.len()));
    assert_eq!(of("participant.*"), Some(2));
    assert_eq!(of("room.ended"), Some(1));
    for wrong in ["", "room", "room*", "r*", "rooms.*", "room.", "*.ended", ".*"] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}
