//! What somebody has paid for changes in mid-call.

use std::time::Duration;

use parlor_proto::event::{CloseReason, EntitlementReason, Event};
use parlor_proto::media::Source;
use parlor_proto::{Entitlement, ErrorCode, Identity, MediaCommand, MediaKind, SessionId, Tier, Timestamp};
use parlor_rooms::access;
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, identity, user_id};

use crate::refused;

/// Somebody with a microphone, a camera and a screen with sound, and somebody who watches.
fn call(pro: Entitlement) -> (TestRoom, SessionId, SessionId) {
    let mut room = TestRoom::free();
    let alice = room.join_as(Identity { entitlement: pro, ..identity("alice", Tier::Free) });
    let bob = room.join("bob", Tier::Free);
    for (kind, source) in TRACKS {
        let track = room.produce(alice, kind, source).expect("may");
        room.consume(bob, track).expect("may");
    }
    drop((room.events(alice), room.events(bob)));
    (room, alice, bob)
}

const TRACKS: [(MediaKind, Source); 4] = [
    (MediaKind::Audio, Source::Mic),
    (MediaKind::Video, Source::Camera),
    (MediaKind::Video, Source::Screen),
    (MediaKind::Audio, Source::Screen),
];

fn lasting(room: &TestRoom, time: Duration) -> Entitlement {
    let expires_at = Timestamp(room.wall().0 + i64::try_from(time.as_millis()).expect("short"));
    Entitlement { pro: true, expires_at: Some(expires_at) }
}

/// Only the microphone is left, at the bitrate of the free.
fn is_free_now(room: &mut TestRoom, alice: SessionId, bob: SessionId, why: EntitlementReason) {
    let told = room.events(alice);
    let Some(Event::Entitlement { permissions, reason }) = told.first() else { panic!("{told:?}") };
    assert_eq!((permissions.video, permissions.screenshare, permissions.audio, *reason), (false, false, true, why));
    for told in [&told[1..], &room.events(bob)] {
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told.iter().all(|e| matches!(e, Event::ProducerClosed { reason: Some(CloseReason::Entitlement), .. })), "{told:?}");
    }
    let left: Vec<_> = room.media.producers.values().map(|p| (p.source, p.paused, p.max_bitrate)).collect();
    assert_eq!(left, [(Source::Mic, false, 32_000)]);
    assert!(room.is_inside(alice) && room.is_inside(bob), "nobody is dropped");
    assert_eq!(room.room.slots().slots().current, 0);
}

#[test]
fn an_entitlement_that_ends_stops_video_and_screen_at_that_moment_and_no_sound() {
    let entitlement = lasting(&TestRoom::free(), Duration::from_secs(60));
    let (mut room, alice, bob) = call(entitlement);
    room.advance(Duration::from_millis(59_999));
    assert!(room.events(alice).is_empty());
    room.advance(Duration::from_millis(1));
    is_free_now(&mut room, alice, bob, EntitlementReason::Expired);
    let paused = room.media.commands.iter().filter(|c| matches!(c, MediaCommand::SetProducerPaused { .. })).count();
    assert_eq!(paused, 0, "no sound is interrupted");
}

#[test]
fn an_entitlement_that_is_taken_away_does_the_same() {
    let (mut room, alice, bob) = call(Entitlement::PRO);
    room.entitle("alice", Entitlement::FREE);
    is_free_now(&mut room, alice, bob, EntitlementReason::Changed);
    assert_eq!(refused(room.produce(alice, MediaKind::Video, Source::Camera)), ErrorCode::CapabilityRequired);
}

#[test]
fn an_upgrade_takes_effect_at_once() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("may");
    room.entitle("alice", Entitlement::PRO);
    let told = room.events(alice);
    assert!(
        matches!(told.as_slice(), [Event::Entitlement { permissions, reason: EntitlementReason::Changed }] if permissions.video),
        "{told:?}"
    );
    assert_eq!(room.media.producers[&mic].max_bitrate, 64_000);
    room.produce(alice, MediaKind::Video, Source::Camera).expect("may now");
}

#[test]
fn an_entitlement_that_is_prolonged_ends_later() {
    let entitlement = lasting(&TestRoom::free(), Duration::from_secs(60));
    let (mut room, alice, bob) = call(entitlement);
    let longer = lasting(&room, Duration::from_secs(120));
    room.entitle("alice", longer);
    let told = room.events(alice);
    assert!(matches!(told.as_slice(), [Event::Entitlement { permissions, .. }] if permissions.expires_at == longer.expires_at), "{told:?}");
    room.advance(Duration::from_secs(119));
    assert!(room.events(bob).is_empty());
    room.advance(Duration::from_secs(1));
    is_free_now(&mut room, alice, bob, EntitlementReason::Expired);
}

#[test]
fn what_changes_nothing_is_not_told() {
    let (mut room, alice, bob) = call(Entitlement::PRO);
    room.entitle("alice", Entitlement::PRO);
    room.entitle("bob", Entitlement::FREE);
    room.entitle("somebody who is not here", Entitlement::FREE);
    assert!(room.events(alice).is_empty() && room.events(bob).is_empty());
}

#[test]
fn a_video_that_is_still_being_made_is_refused_when_the_tier_ends() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Pro);
    let camera = room.produce_request(alice, MediaKind::Video, Source::Camera);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_secs(1)));
    let request = room.send(alice, camera);
    room.entitle("alice", Entitlement::FREE);
    assert_eq!(refused(room.reply(alice, request).expect("answered")), ErrorCode::CapabilityRequired);
    room.advance(Duration::from_secs(2));
    assert!(room.media.producers.is_empty() && room.model(alice).producers.is_empty());
}

#[test]
fn who_joins_is_told_when_their_entitlement_ends() {
    let mut room = TestRoom::free();
    let entitlement = lasting(&room, Duration::from_secs(60));
    let session = room.connect();
    let joined = room.try_enter(session, Identity { entitlement, ..Identity::new(user_id("alice"), "Alice") }).expect("joins");
    assert_eq!(joined.permissions.expires_at, entitlement.expires_at);
    let json = serde_json::to_value(joined.permissions).expect("serializes");
    assert_eq!(json["expiresAt"], entitlement.expires_at.expect("it ends").to_rfc3339());
}

#[test]
fn a_channel_that_is_downgraded_ends_the_newest_videos() {
    let mut room = TestRoom::pro();
    let senders: Vec<SessionId> = (0..6).map(|n| room.join(&format!("user{n}"), Tier::Pro)).collect();
    for sender in &senders {
        room.produce(*sender, MediaKind::Video, Source::Camera).expect("a slot is free");
    }
    let mut channel = room.channel.clone();
    channel.tier = Tier::Free;
    room.change_channel(channel);
    let left: Vec<bool> = senders.iter().map(|s| !room.model(*s).producers.is_empty()).collect();
    assert_eq!(left, [true, true, true, true, false, false]);
}

#[test]
fn what_is_paid_for_ends_when_the_wall_clock_says_so() {
    let (now, wall) = (parlor_testkit::clock::Clock::new().now(), Timestamp(1_000));
    let until = |at, pro| access::pro_until(Entitlement { pro, expires_at: Some(Timestamp(at)) }, wall, now);
    assert_eq!(until(1_500, true), Some(now + Duration::from_millis(500)));
    assert_eq!(until(500, true), Some(now), "what is over ends now");
    assert_eq!((until(1_500, false), access::pro_until(Entitlement::PRO, wall, now)), (None, None));
}
