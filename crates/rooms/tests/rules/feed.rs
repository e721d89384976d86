//! What the host application is told: every beginning has one end, in an order that makes sense.

use std::time::Duration;

use parlor_proto::media::Source;
use parlor_proto::{Actor, MediaKind, Moderation, Request, SessionId, Tier};
use parlor_rooms::{Happening, Ledger};
use parlor_testkit::test_room::{TestRoom, config, user_id};

/// What was told, in short.
fn told(room: &TestRoom) -> Vec<String> {
    let short = |happening: &Happening| match happening {
        Happening::RoomStarted => "room started".to_owned(),
        Happening::RoomEnded => "room ended".to_owned(),
        Happening::ParticipantJoined { user, name, .. } => format!("{user} ({name}) joined"),
        Happening::ParticipantLeft { user, reason, .. } => format!("{user} left: {reason}"),
        Happening::ProducerStarted { user, source, .. } => format!("{user} started {source:?}"),
        Happening::ProducerStopped { user, source, reason, .. } => format!("{user} stopped {source:?}: {reason}"),
        Happening::Moderation { by, action } => format!("{by}: {}", action.name()),
    };
    room.feed.iter().map(short).collect()
}

#[test]
fn a_call_from_its_beginning_to_its_end() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Pro);
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("may");
    room.produce(alice, MediaKind::Video, Source::Camera).expect("may");
    let bob = room.join("bob", Tier::Free);
    room.ask(alice, Request::CloseProducer { producer: mic }).expect("closes");
    room.ask(alice, Request::Leave { channel: None }).expect("leaves");
    room.disconnect(bob);
    let expected = [
        "room started",
        "alice (Alice) joined",
        "alice started Mic",
        "alice started Camera",
        "bob (Bob) joined",
        "alice stopped Mic: closed",
        "alice stopped Camera: left",
        "alice left: left",
        "bob left: disconnected",
        "room ended",
    ];
    assert_eq!(told(&room), expected);
}

#[test]
fn a_stay_has_one_name_also_when_it_was_resumed() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.lose(alice);
    let back = room.connect();
    room.resume(alice, back).expect("in time");
    room.disconnect(back);
    let stays: Vec<SessionId> = room.feed.iter().filter_map(stay).collect();
    assert_eq!(stays, [alice, alice]);
}

fn stay(happening: &Happening) -> Option<SessionId> {
    match happening {
        Happening::ParticipantJoined { session, .. } | Happening::ParticipantLeft { session, .. } => Some(*session),
        _ => None,
    }
}

#[test]
fn a_refused_first_join_starts_nothing() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(0);
    let mut room = TestRoom::new(config);
    let session = room.connect();
    room.try_join(session, "alice", Tier::Free).expect_err("full");
    assert!(room.closed && room.feed.is_empty());
}

#[test]
fn every_way_out_has_its_reason() {
    let mut room = TestRoom::free();
    let mallory = room.join("mallory", Tier::Free);
    room.produce(mallory, MediaKind::Audio, Source::Mic).expect("may");
    let lost = room.join("lost", Tier::Free);
    room.join("last", Tier::Free);
    room.feed.clear();
    room.moderate(&Moderation::Kick { user: user_id("mallory"), reason: None }, &Actor::Key("k1".into()));
    room.lose(lost);
    room.advance(Duration::from_secs(10));
    room.media_dies();
    let expected = [
        "key:k1: kick",
        "mallory stopped Mic: kicked",
        "mallory left: kicked",
        "lost left: disconnected",
        "last left: media-lost",
        "room ended",
    ];
    assert_eq!(told(&room), expected);
}

#[test]
fn a_room_that_ends_at_once_owes_nothing() {
    for end in [TestRoom::media_dies, TestRoom::shut_down] {
        let mut room = TestRoom::free();
        let alice = room.join("alice", Tier::Pro);
        room.produce(alice, MediaKind::Video, Source::Camera).expect("may");
        let bob = room.join("bob", Tier::Free);
        room.lose(bob);
        end(&mut room);
        assert_eq!(told(&room).last().map(String::as_str), Some("room ended"));
    }
}

#[test]
fn a_ledger_knows_what_a_room_that_broke_owes() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Pro);
    room.produce(alice, MediaKind::Video, Source::Camera).expect("may");
    let mut ledger = Ledger::default();
    for happening in &room.feed {
        ledger.note(happening).expect("follows");
    }
    let owed = ledger.owed("server-error");
    for happening in &owed {
        ledger.note(happening).expect("follows");
    }
    assert!(matches!(owed.as_slice(), [Happening::ProducerStopped { .. }, Happening::ParticipantLeft { .. }, Happening::RoomEnded]));
    assert!(ledger.owed("server-error").is_empty());
}
