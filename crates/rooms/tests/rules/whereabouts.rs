//! One user in one channel at a time, over all devices.

use parlor_proto::event::{Event, LeftReason};
use parlor_proto::media::Source;
use parlor_proto::{Actor, ChannelId, ErrorCode, MediaKind, Moderation, Request, SessionId, Tier};
use parlor_rooms::{Ban, Stay, Whereabouts};
use parlor_testkit::test_room::{TestRoom, config, identity, user_id};

use crate::refused;

fn channel(id: &str) -> ChannelId {
    ChannelId::new(id).expect("an id")
}

fn stay(id: &str, session: u128) -> Stay {
    Stay { channel: channel(id), session: SessionId::from_random(session) }
}

fn enter(user: &mut Whereabouts, id: &str, session: u128) -> Vec<Stay> {
    user.enter(&channel(id), SessionId::from_random(session))
}

#[test]
fn who_enters_a_channel_leaves_the_one_before_whatever_the_device() {
    let mut user = Whereabouts::default();
    assert_eq!(enter(&mut user, "a", 1), []);
    assert_eq!(enter(&mut user, "b", 2), [stay("a", 1)]);
    user.leave(&channel("a"));
    assert_eq!(enter(&mut user, "c", 2), [stay("b", 2)], "and with the same");
    assert_eq!(user.channel_of(SessionId::from_random(2)), Some(&channel("c")), "the latest counts");
    user.leave(&channel("b"));
    user.leave(&channel("c"));
    assert!(user.is_empty());
}

#[test]
fn of_two_devices_that_enter_two_channels_at_once_one_is_left() {
    let mut user = Whereabouts::default();
    let told = [enter(&mut user, "a", 1), enter(&mut user, "b", 2)];
    assert_eq!(told.concat(), [stay("a", 1)]);
}

#[test]
fn a_session_that_goes_on_in_its_channel_is_the_same_stay() {
    let mut user = Whereabouts::default();
    assert_eq!(enter(&mut user, "a", 1), []);
    assert_eq!(enter(&mut user, "a", 2), []);
    assert_eq!(user.channels().collect::<Vec<_>>(), [&channel("a")]);
}

#[test]
fn who_moved_to_another_device_is_told_and_the_others_see_them_leave() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Free));
    drop((room.events(alice), room.events(bob)));
    room.move_device(alice);
    let told = room.events(alice);
    assert!(matches!(told.as_slice(), [Event::Left { reason: LeftReason::MovedDevice, rejoin: false, .. }]), "{told:?}");
    assert!(matches!(room.events(bob).as_slice(), [Event::ParticipantLeft { .. }]));
    assert!(!room.is_inside(alice));
    // One that was lost is told nothing, and does not come back.
    room.lose(bob);
    room.move_device(bob);
    let back = room.connect();
    assert!(room.events(bob).is_empty() && room.resume(bob, back).is_err());
}

#[test]
fn who_takes_a_call_over_is_in_it_once_and_the_first_device_is_told() {
    let mut room = TestRoom::free();
    let (phone, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let voice = room.produce(phone, MediaKind::Audio, Source::Mic).expect("speaks");
    room.consume(bob, voice).expect("is heard");
    drop((room.events(phone), room.events(bob)));
    let desk = room.connect();
    assert_eq!(refused(room.try_join(desk, "alice", Tier::Free)), ErrorCode::AlreadyInChannel, "not unasked");
    assert!(room.is_inside(phone) && room.events(phone).is_empty());
    room.take_over(desk, identity("alice", Tier::Free)).expect("goes on here");
    let told = room.events(phone);
    assert!(matches!(told.last(), Some(Event::Left { reason: LeftReason::MovedDevice, rejoin: false, .. })), "{told:?}");
    assert!(!room.is_inside(phone) && room.is_inside(desk));
    // The others see one leave before the other comes: never both.
    let seen = room.events(bob);
    let leaves = seen.iter().position(|event| matches!(event, Event::ParticipantLeft { .. }));
    let comes = seen.iter().position(|event| matches!(event, Event::ParticipantJoined(_)));
    assert!(leaves.is_some() && leaves < comes, "{seen:?}");
    assert_eq!(room.room.size().producers, 0, "nothing of the first device is left");
}

#[test]
fn a_device_that_was_put_out_for_another_does_not_come_back_unasked() {
    let mut room = TestRoom::free();
    let phone = room.join("alice", Tier::Free);
    let desk = room.connect();
    room.take_over(desk, identity("alice", Tier::Free)).expect("goes on here");
    // Neither with what it was given, nor by a join of its own, nor when both happen at the break of the other.
    let again = room.connect();
    assert_eq!(refused(room.resume(phone, again)), ErrorCode::SessionExpired);
    assert_eq!(refused(room.try_join(again, "alice", Tier::Free)), ErrorCode::AlreadyInChannel);
    assert!(room.is_inside(desk) && room.events(desk).is_empty());
    // Its user may want it back.
    room.take_over(again, identity("alice", Tier::Free)).expect("there again");
    assert!(!room.is_inside(desk));
    assert_eq!(room.room.participants().len(), 1);
}

#[test]
fn ones_own_seat_is_taken_over_in_a_full_channel_and_nobody_elses() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(2);
    let mut room = TestRoom::new(config);
    room.join("bob", Tier::Free);
    let phone = room.join("alice", Tier::Free);
    let stranger = room.connect();
    assert_eq!(refused(room.take_over(stranger, identity("mallory", Tier::Pro))), ErrorCode::ChannelFull);
    assert!(room.is_inside(phone));
    let desk = room.connect();
    room.take_over(desk, identity("alice", Tier::Free)).expect("the same seat");
    assert_eq!(room.room.participants().len(), 2);
    assert_eq!(refused(room.take_over(desk, identity("alice", Tier::Free))), ErrorCode::AlreadyInChannel, "it is here");
    assert!(room.is_inside(desk));
}

#[test]
fn what_moderators_decided_holds_for_who_takes_over() {
    let mut room = TestRoom::free();
    let phone = room.join("alice", Tier::Free);
    room.moderate(&Moderation::Mute { user: user_id("alice"), audio: Some(true), video: None, screen: None }, &Actor::CommandLine);
    let desk = room.connect();
    let joined = room.take_over(desk, identity("alice", Tier::Free)).expect("goes on here");
    assert!(joined.state.server_muted.audio);
    // One that is refused leaves everything as it was.
    room.facts("alice").ban = Some(Ban { until: None, reason: None });
    let other = room.connect();
    assert_eq!(refused(room.take_over(other, identity("alice", Tier::Free))), ErrorCode::PermissionDenied);
    assert!(room.is_inside(desk) && !room.is_inside(phone));
}

#[test]
fn a_slot_of_the_first_device_goes_to_who_waits_for_one() {
    let mut room = TestRoom::pro();
    let phone = room.join("alice", Tier::Pro);
    room.produce(phone, MediaKind::Video, Source::Camera).expect("a slot");
    for user in ["b", "c", "d", "e", "f"] {
        let session = room.join(user, Tier::Pro);
        room.produce(session, MediaKind::Video, Source::Camera).expect("a slot");
    }
    let late = room.join("late", Tier::Pro);
    room.ask(late, Request::RequestSlot { source: Source::Camera }).expect("waits");
    drop(room.events(late));
    let desk = room.connect();
    room.take_over(desk, identity("alice", Tier::Pro)).expect("goes on here");
    assert!(room.events(late).iter().any(|event| matches!(event, Event::SlotGranted { .. })));
}
