//! Video slots in a room: the six rules of the queue.

use std::time::Duration;

use parlor_proto::event::{Event, Reply, SlotStatus, VideoSlots};
use parlor_proto::media::Source;
use parlor_proto::{Entitlement, ErrorCode, MediaKind, Request, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, config};

use crate::refused;

/// A room with two slots, both used by `a` and `b`, and two who wait, `c` before `d`.
fn full() -> (TestRoom, [SessionId; 4]) {
    let mut config = config("den", 1);
    config.policy.videos_free = 2;
    let mut room = TestRoom::new(config);
    let people = ["a", "b", "c", "d"].map(|user| room.join(user, Tier::Pro));
    for user in &people[..2] {
        room.produce(*user, MediaKind::Video, Source::Camera).expect("a slot is free");
    }
    for (user, place) in people[2..].iter().zip(1..) {
        assert_eq!(ask(&mut room, *user, Source::Camera), (SlotStatus::Queued, Some(place)));
    }
    people.iter().for_each(|user| drop(room.events(*user)));
    (room, people)
}

fn ask(room: &mut TestRoom, who: SessionId, source: Source) -> (SlotStatus, Option<u32>) {
    match room.ask(who, Request::RequestSlot { source }).expect("may ask") {
        Reply::Slot { status, position, .. } => (status, position),
        other => panic!("{other:?}"),
    }
}

const FULL: VideoSlots = VideoSlots { current: 2, max: 2 };

fn granted(source: Source) -> Event {
    Event::SlotGranted { source, slots: FULL }
}

fn moved(position: u32) -> Event {
    Event::SlotQueue { source: Source::Camera, position, slots: FULL }
}

fn camera(room: &TestRoom, who: SessionId) -> parlor_proto::ProducerId {
    *room.model(who).producers.first().expect("has a camera")
}

#[test]
fn a_free_slot_is_granted_at_once_and_kept_until_it_is_used() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Pro);
    assert_eq!(ask(&mut room, alice, Source::Camera), (SlotStatus::Granted, None));
    assert_eq!(ask(&mut room, alice, Source::Camera), (SlotStatus::Granted, None));
    assert_eq!(room.room.slots().slots(), VideoSlots { current: 1, max: 4 });
    room.advance(Duration::from_secs(3_600));
    room.produce(alice, MediaKind::Video, Source::Camera).expect("uses it");
    assert_eq!(room.room.slots().slots().current, 1);
}

#[test]
fn the_first_who_waits_gets_what_becomes_free_and_the_others_move_up() {
    let (mut room, [a, _, c, d]) = full();
    let producer = camera(&room, a);
    room.ask(a, Request::CloseProducer { producer }).expect("closes");
    assert_eq!(room.events(c).last(), Some(&granted(Source::Camera)));
    assert_eq!(room.events(d).last(), Some(&moved(1)));
    room.produce(c, MediaKind::Video, Source::Camera).expect("the slot is c's");
}

#[test]
fn nobody_gets_past_the_queue_by_just_producing() {
    let (mut room, [a, _, c, d]) = full();
    assert_eq!(refused(room.produce(d, MediaKind::Video, Source::Camera)), ErrorCode::VideoLimitReached);
    let producer = camera(&room, a);
    room.ask(a, Request::CloseProducer { producer }).expect("closes");
    // The slot is held for c, though c does not use it yet.
    assert_eq!(refused(room.produce(a, MediaKind::Video, Source::Camera)), ErrorCode::VideoLimitReached);
    assert_eq!(refused(room.produce(d, MediaKind::Video, Source::Camera)), ErrorCode::VideoLimitReached);
    room.produce(c, MediaKind::Video, Source::Camera).expect("c waited longest");
}

#[test]
fn a_disconnect_frees_the_slot_and_the_place() {
    let (mut room, [a, _, c, d]) = full();
    room.disconnect(c);
    assert_eq!(room.events(d).last(), Some(&moved(1)));
    room.disconnect(a);
    assert!(room.events(d).contains(&granted(Source::Camera)));
}

#[test]
fn who_comes_back_is_the_last_in_the_queue() {
    let (mut room, [_, _, c, d]) = full();
    room.disconnect(c);
    room.events(d);
    let again = room.join("c", Tier::Pro);
    assert_eq!(ask(&mut room, again, Source::Camera), (SlotStatus::Queued, Some(2)));
}

#[test]
fn a_lost_connection_loses_its_place_in_the_queue() {
    let (mut room, [_, _, c, d]) = full();
    room.lose(c);
    assert_eq!(room.events(d), [moved(1)]);
    let back = room.connect();
    room.resume(c, back).expect("in time");
    assert_eq!(ask(&mut room, back, Source::Camera), (SlotStatus::Queued, Some(2)));
}

#[test]
fn a_slot_and_a_place_can_be_given_back() {
    let (mut room, [_, b, c, d]) = full();
    let reply = room.ask(c, Request::ReleaseSlot { source: Source::Camera });
    let released = Reply::Slot { source: Source::Camera, status: SlotStatus::Released, position: None, slots: FULL };
    assert_eq!(reply, Ok(released.clone()));
    assert_eq!(room.events(d), [moved(1)]);
    assert_eq!(room.ask(c, Request::ReleaseSlot { source: Source::Camera }), Ok(released), "once more changes nothing");
    let with_video = room.ask(b, Request::ReleaseSlot { source: Source::Camera });
    assert_eq!(refused(with_video), ErrorCode::InvalidState, "the producer is to be closed");
}

#[test]
fn a_screen_waits_like_a_camera_and_one_may_wait_for_both() {
    let (mut room, [a, b, c, d]) = full();
    assert_eq!(ask(&mut room, c, Source::Screen), (SlotStatus::Queued, Some(3)));
    for who in [d, a, b] {
        room.disconnect(who);
    }
    let told = room.events(c);
    assert!(told.contains(&granted(Source::Camera)) && told.contains(&granted(Source::Screen)), "{told:?}");
}

#[test]
fn who_may_not_show_video_may_not_wait_for_it() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let error = room.ask(alice, Request::RequestSlot { source: Source::Camera }).expect_err("free");
    assert_eq!((error.code, &error.details["capability"]), (ErrorCode::CapabilityRequired, &"VIDEO_CALLING".into()));
}

#[test]
fn who_loses_pro_frees_slots_and_place() {
    let (mut room, [_, _, c, d]) = full();
    room.entitle("c", Entitlement::FREE);
    assert_eq!(room.events(d), [moved(1)]);
    assert!(room.model(c).queued.is_empty());
    room.entitle("a", Entitlement::FREE);
    assert!(room.events(d).contains(&granted(Source::Camera)));
}

#[test]
fn a_failed_attempt_does_not_cost_a_slot_that_was_waited_for() {
    let (mut room, [a, _, c, _]) = full();
    room.disconnect(a);
    let request = room.produce_request(c, MediaKind::Video, Source::Camera);
    room.media.answer(Operation::Produce, Answer::Fail(ErrorCode::Incompatible));
    assert_eq!(refused(room.ask(c, request)), ErrorCode::Incompatible);
    room.media.answer(Operation::Produce, Answer::Now);
    room.produce(c, MediaKind::Video, Source::Camera).expect("the slot is still c's");
}

#[test]
fn a_channel_upgraded_in_mid_call_has_more_slots_at_once() {
    let (mut room, [_, _, c, d]) = full();
    let mut channel = room.channel.clone();
    channel.tier = Tier::Pro;
    room.change_channel(channel);
    for who in [c, d] {
        assert!(matches!(room.events(who).as_slice(), [Event::SlotGranted { .. }]));
    }
}

#[test]
fn a_lost_connection_gives_its_slot_on_at_once_where_somebody_waits() {
    let (mut room, [a, b, c, d]) = full();
    room.lose(a);
    assert_eq!(room.events(c).last(), Some(&granted(Source::Camera)));
    assert_eq!(room.events(d).last(), Some(&moved(1)), "and moves up");
    assert!(room.events(b).iter().any(|event| matches!(event, Event::ProducerClosed { reason: None, .. })), "the picture has ended");
    // Back within the grace: everything else goes on, and the place is at the end of the queue.
    let back = room.connect();
    let own = room.resume(a, back).expect("in time").own;
    assert_eq!((own.slots, own.producers), (vec![], vec![]));
    assert_eq!(room.events(back), [moved(2)]);
    room.disconnect(b);
    assert_eq!(room.events(d).last(), Some(&granted(Source::Camera)));
    room.disconnect(c);
    assert_eq!(room.events(back).last(), Some(&granted(Source::Camera)));
    room.produce(back, MediaKind::Video, Source::Camera).expect("its turn");
}

#[test]
fn a_lost_connection_keeps_its_slot_until_somebody_waits() {
    let mut config = config("den", 1);
    config.policy.videos_free = 1;
    let mut room = TestRoom::new(config);
    let (a, b) = (room.join("a", Tier::Pro), room.join("b", Tier::Pro));
    room.produce(a, MediaKind::Video, Source::Camera).expect("a slot is free");
    room.lose(a);
    room.advance(Duration::from_secs(1));
    assert_eq!(room.room.slots().held_by(a), [Source::Camera]);
    let back = room.connect();
    assert_eq!(room.resume(a, back).expect("in time").own.slots, [Source::Camera]);
    room.lose(back);
    // The answer comes before the grant: both are told.
    assert_eq!(ask(&mut room, b, Source::Camera), (SlotStatus::Queued, Some(1)));
    let slots = VideoSlots { current: 1, max: 1 };
    assert!(room.events(b).contains(&Event::SlotGranted { source: Source::Camera, slots }));
    assert!(room.is_inside(b) && room.room.slots().held_by(back).is_empty());
}

#[test]
fn who_keeps_a_slot_in_the_place_of_a_lost_connection_is_told_nothing() {
    let mut config = config("den", 1);
    config.policy.videos_pro = 2;
    config.policy.videos_free = 1;
    config.channel.tier = Tier::Pro;
    let mut channel = config.channel.clone();
    let mut room = TestRoom::new(config);
    let (a, b) = (room.join("a", Tier::Pro), room.join("b", Tier::Pro));
    for who in [a, b] {
        assert_eq!(ask(&mut room, who, Source::Camera), (SlotStatus::Granted, None));
    }
    room.lose(a);
    drop(room.events(b));
    // The newer slot is one too many, but nobody uses the older one.
    channel.tier = Tier::Free;
    room.change_channel(channel);
    assert_eq!(room.room.slots().held_by(b), [Source::Camera]);
    assert_eq!(room.events(b), []);
}
