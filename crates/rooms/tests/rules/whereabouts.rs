//! One user in one channel at a time, over all devices.

use parlor_proto::event::{Event, LeftReason};
use parlor_proto::{ChannelId, SessionId, Tier};
use parlor_rooms::{Stay, Whereabouts};
use parlor_testkit::test_room::TestRoom;

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
