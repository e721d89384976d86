//! What becomes of somebody in a call when what the store has of them changes.

use parlor_proto::event::{Event, LeftReason};
use parlor_proto::{
    Access, Channel, ErrorCode, Identity, MediaKind, MemberRole, Moderation, Request, Restrictions, Role, Source, Tier, Timestamp, Window,
};
use parlor_rooms::{Admitted, Ban, Facts, Standing};
use parlor_testkit::test_room::{TestRoom, channel_id, identity, user_id};

const NOW: Timestamp = Timestamp(1_000);

fn speaker() -> Admitted {
    Admitted { role: Role::Speaker, ..Admitted::default() }
}

fn channel(access: Access) -> Channel {
    Channel { access, ..Channel::new(channel_id("den"), "The den".to_owned()) }
}

fn of(channel: Option<&Channel>, facts: &Facts) -> Standing {
    let alice = Identity { issued_at: Timestamp(500), ..identity("alice", Tier::Free) };
    Standing::of(Role::Speaker, &alice, channel.map(|channel| (channel, facts)), NOW)
}

#[test]
fn who_may_still_be_here_stays_as_what_they_came_as() {
    assert_eq!(of(Some(&channel(Access::Public)), &Facts::default()), Standing::Stays(speaker()));
    let listens = Admitted { role: Role::Spectator, ..speaker() };
    let alice = identity("alice", Tier::Free);
    let standing = Standing::of(listens.role, &alice, Some((&channel(Access::Public), &Facts::default())), NOW);
    assert_eq!(standing, Standing::Stays(listens), "who came to listen does not begin to speak");
}

#[test]
fn a_window_that_closes_ends_no_call() {
    let window = Window { opens_at: None, closes_at: Some(Timestamp(999)) };
    assert_eq!(of(Some(&Channel { window, ..channel(Access::Public) }), &Facts::default()), Standing::Stays(speaker()));
}

#[test]
fn who_may_not_be_here_any_more_is_out_and_told_why() {
    assert_eq!(of(None, &Facts::default()), Standing::Out(LeftReason::ChannelDeleted));
    assert_eq!(of(Some(&channel(Access::Members)), &Facts::default()), Standing::Out(LeftReason::AccessLost));
    let listening = Channel { spectators: true, ..channel(Access::Members) };
    assert_eq!(of(Some(&listening), &Facts::default()), Standing::Out(LeftReason::AccessLost), "they come back as who may listen");
    let signed_out = Facts { revoked_before: Some(Timestamp(501)), ..Facts::default() };
    assert_eq!(of(Some(&channel(Access::Public)), &signed_out), Standing::Out(LeftReason::SessionRevoked));
    let ban = Ban { until: Some(Timestamp(2_000)), reason: Some("spam".to_owned()) };
    let banned = Facts { ban: Some(ban.clone()), ..Facts::default() };
    assert_eq!(of(Some(&channel(Access::Public)), &banned), Standing::Banned(ban));
    let over = Facts { ban: Some(Ban { until: Some(Timestamp(1_000)), reason: None }), ..Facts::default() };
    assert_eq!(of(Some(&channel(Access::Public)), &over), Standing::Stays(speaker()));
}

#[test]
fn restrictions_written_elsewhere_hold_in_the_call_and_are_told_once() {
    let mut room = TestRoom::pro();
    let alice = room.join("alice", Tier::Pro);
    let bob = room.join("bob", Tier::Pro);
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("may speak");
    let restrictions = Restrictions { audio: true, deafened: true, ..Restrictions::default() };
    room.facts("alice").restrictions = restrictions;
    for told in [2, 0] {
        room.events(alice);
        room.look_again("alice", 1);
        let acts = room.events(alice).into_iter().filter(|event| matches!(event, Event::Moderation { .. })).count();
        assert_eq!(acts, told);
    }
    let state = room.room.participants().into_iter().find(|shown| shown.user_id == user_id("alice")).expect("here").state;
    assert_eq!(state.restrictions(), restrictions);
    assert!(room.media.producers.values().all(|producer| producer.paused));
    assert!(room.is_inside(bob));
}

#[test]
fn who_is_out_or_banned_leaves_and_the_others_stay() {
    let changes: [fn(&mut TestRoom); 2] =
        [|room| room.channel.access = Access::Members, |room| room.facts("alice").ban = Some(Ban::default())];
    for change in changes {
        let mut room = TestRoom::free();
        let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
        change(&mut room);
        room.look_again("alice", 1);
        assert!(!room.is_inside(alice) && room.is_inside(bob));
    }
}

#[test]
fn what_is_older_than_what_somebody_came_with_says_nothing_of_them() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.facts("alice").ban = Some(Ban::default());
    room.look_again("alice", -1);
    assert!(room.is_inside(alice), "they were let in by something newer");
    room.look_again("alice", 0);
    assert!(!room.is_inside(alice));
}

#[test]
fn a_ban_that_was_written_puts_out_who_came_before_it_even_if_it_is_lifted() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let ban = Moderation::Ban { user: user_id("alice"), until: None, reason: None };
    room.ban_written(0, &ban);
    assert!(room.is_inside(alice), "they were let in with it, or after it");
    room.ban_written(1, &ban);
    assert!(!room.is_inside(alice));
}

#[test]
fn who_is_no_moderator_any_more_is_refused_at_once() {
    let mut room = TestRoom::free();
    room.facts("bob").member = Some(MemberRole::Moderator);
    let (bob, carol) = (room.join("bob", Tier::Free), room.join("carol", Tier::Free));
    room.facts("bob").member = None;
    room.look_again("bob", 1);
    let kick = Request::Moderate { action: Moderation::Kick { user: user_id("carol"), reason: None } };
    assert_eq!(room.ask(bob, kick).expect_err("is none any more").code, ErrorCode::PermissionDenied);
    assert!(room.is_inside(carol));
}
