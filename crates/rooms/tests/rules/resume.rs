//! A lost connection that comes back in time: the others notice nothing.

use std::time::Duration;

use parlor_proto::event::{Event, LeftReason, ParticipantState, Resumed};
use parlor_proto::media::Source;
use parlor_proto::transport::Direction;
use parlor_proto::{Actor, Entitlement, ErrorCode, MediaKind, Moderation, Request, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, client_dtls, config, identity, user_id};

use crate::refused;

const GRACE: Duration = Duration::from_secs(10);

/// Two who send and receive each other's sound.
fn call() -> (TestRoom, SessionId, SessionId) {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Free));
    for (from, to) in [(alice, bob), (bob, alice)] {
        let mic = room.produce(from, MediaKind::Audio, Source::Mic).expect("may");
        room.consume(to, mic).expect("may");
    }
    drop((room.events(alice), room.events(bob)));
    (room, alice, bob)
}

#[test]
fn who_comes_back_in_time_goes_on_with_everything_and_the_others_notice_nothing() {
    let (mut room, alice, bob) = call();
    let before = room.model(alice);
    room.lose(alice);
    room.advance(GRACE - Duration::from_millis(1));
    let back = room.connect();
    let Resumed { joined, own } = room.resume(alice, back).expect("in time");
    assert!(joined.resumed);
    assert_eq!((own.transports.len(), own.producers.len(), own.consumers.len()), (2, 1, 1));
    assert_eq!(joined.participants.len(), 1, "the others");
    assert!(room.events(bob).is_empty());
    assert_eq!(room.model(back).consumers, before.consumers);
    let producer = *before.producers.first().expect("a microphone");
    room.ask(back, Request::PauseProducer { producer }).expect("is one's own");
    room.advance(GRACE * 2);
    assert!(room.is_inside(back));
}

#[test]
fn who_does_not_come_back_in_time_is_gone() {
    let (mut room, alice, bob) = call();
    room.lose(alice);
    room.advance(GRACE);
    assert!(matches!(room.events(bob).as_slice(), [Event::ProducerClosed { reason: None, .. }, Event::ParticipantLeft { .. }]));
    let back = room.connect();
    assert_eq!(refused(room.resume(alice, back)), ErrorCode::SessionExpired);
    assert!(room.is_inside(bob) && !room.is_inside(back));
}

#[test]
fn whose_page_went_away_has_less_time_to_come_back() {
    const AWAY: Duration = Duration::from_millis(2500);
    let (mut room, alice, bob) = call();
    room.go_away(alice);
    room.advance(AWAY - Duration::from_millis(1));
    let back = room.connect();
    assert!(room.resume(alice, back).expect("in time").joined.resumed);
    assert!(room.events(bob).is_empty());
    room.go_away(back);
    room.advance(AWAY);
    assert!(!room.is_inside(back));
    assert!(matches!(room.events(bob).as_slice(), [Event::ProducerClosed { .. }, Event::ParticipantLeft { .. }]));
}

#[test]
fn the_time_somebody_was_silent_before_it_was_noticed_counts() {
    let (mut room, alice, bob) = call();
    room.lose_silent(alice, GRACE - Duration::from_secs(2));
    room.advance(Duration::from_millis(1_999));
    assert!(room.events(bob).is_empty());
    room.advance(Duration::from_millis(1));
    assert!(matches!(room.events(bob).as_slice(), [Event::ProducerClosed { .. }, Event::ParticipantLeft { .. }]));
    room.lose_silent(bob, GRACE * 2);
    assert!(!room.is_inside(bob));
}

#[test]
fn a_grace_of_zero_means_gone_at_once() {
    let mut config = config("den", 1);
    config.policy.resume_grace = Duration::ZERO;
    let mut room = TestRoom::new(config);
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.events(bob);
    room.lose(alice);
    assert_eq!(room.events(bob), [Event::ParticipantLeft { user_id: user_id("alice"), name: "Alice".into(), peer_id: None }]);
}

#[test]
fn the_last_one_in_may_come_back_too() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.lose(alice);
    assert!(!room.closed);
    let back = room.connect();
    room.resume(alice, back).expect("in time");
    room.lose(back);
    room.advance(GRACE);
    assert!(room.closed);
}

#[test]
fn the_lost_are_told_nothing_and_ask_for_nothing() {
    let (mut room, alice, bob) = call();
    room.lose(alice);
    room.ask(bob, Request::UpdateState { muted: Some(true), deafened: None, speaking: None }).expect("may");
    room.join("carol", Tier::Free);
    assert!(room.events(alice).is_empty());
    assert_eq!(refused(room.ask(alice, Request::GetRouterRtpCapabilities)), ErrorCode::NotInChannel);
    let back = room.connect();
    let joined = room.resume(alice, back).expect("in time").joined;
    let bob = joined.participants.iter().find(|p| p.user_id == user_id("bob")).expect("is here");
    assert_eq!((bob.state.muted, joined.participants.len()), (true, 2), "the reply has what was missed");
}

#[test]
fn only_the_same_user_with_the_same_token_goes_on() {
    let (mut room, alice, bob) = call();
    room.lose(alice);
    let (token, other) = (room.token(alice).expect("has one"), room.token(bob).expect("has one"));
    assert_ne!(token, other);
    assert_eq!(refused(room.resume_as(identity("mallory", Tier::Pro), token)), ErrorCode::SessionExpired);
    assert_eq!(refused(room.resume_as(identity("bob", Tier::Free), token)), ErrorCode::SessionExpired);
    assert_eq!(refused(room.resume_as(identity("alice", Tier::Pro), other)), ErrorCode::SessionExpired);
    room.resume_as(identity("mallory", Tier::Pro), other).expect_err("neither");
}

#[test]
fn a_connection_the_server_still_believes_in_is_replaced_by_its_client() {
    let (mut room, alice, bob) = call();
    let back = room.connect();
    room.resume(alice, back).expect("shows the token");
    assert!(matches!(room.events(alice).as_slice(), [Event::Left { reason: LeftReason::Replaced, rejoin: false, .. }]));
    assert!(!room.is_inside(alice) && room.is_inside(back) && room.events(bob).is_empty());
    // Its end, when the server learns of it, changes nothing.
    room.lose(alice);
    room.disconnect(alice);
    assert!(room.is_inside(back) && room.events(bob).is_empty());
}

#[test]
fn a_plain_join_while_the_old_connection_is_lost_begins_anew() {
    let (mut room, alice, bob) = call();
    room.lose(alice);
    let again = room.connect();
    let joined = room.try_join(again, "alice", Tier::Pro).expect("the old one is lost");
    assert!(!joined.resumed);
    let told = room.events(bob);
    let expected = matches!(told.as_slice(), [Event::ProducerClosed { .. }, Event::ParticipantLeft { .. }, Event::ParticipantJoined(_)]);
    assert!(expected, "{told:?}");
    let back = room.connect();
    assert_eq!(refused(room.resume(alice, back)), ErrorCode::SessionExpired);
}

#[test]
fn the_lost_make_room_for_their_own_return_in_a_full_channel() {
    let mut config = config("den", 1);
    config.channel.max_participants = Some(1);
    let mut room = TestRoom::new(config);
    let alice = room.join("alice", Tier::Free);
    room.lose(alice);
    let other = room.connect();
    assert_eq!(refused(room.try_join(other, "bob", Tier::Free)), ErrorCode::ChannelFull, "the place is kept");
    room.join("alice", Tier::Free);
}

#[test]
fn what_was_being_made_when_the_connection_went_is_given_up() {
    let (mut room, alice, bob) = call();
    let camera = room.produce_request(alice, MediaKind::Video, Source::Camera);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_secs(1)));
    let request = room.send(alice, camera);
    room.lose(alice);
    assert!(room.reply(alice, request).is_some(), "nothing waits for somebody who is gone");
    assert_eq!(room.room.size().pending, 0);
    room.advance(Duration::from_secs(2));
    let back = room.connect();
    let own = room.resume(alice, back).expect("in time").own;
    assert_eq!((own.producers.len(), room.media.producers.len()), (1, 2), "the microphones");
    assert_eq!(room.room.slots().slots().current, 0);
    assert!(room.events(bob).is_empty());
}

#[test]
fn a_transport_half_connected_is_not_one_s_own_any_more() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.ask(alice, Request::CreateTransport { direction: Direction::Send }).expect("makes one");
    let transport = room.model(alice).send.expect("has one");
    room.media.answer(Operation::ConnectTransport, Answer::Never);
    room.send(alice, Request::ConnectTransport { transport, dtls: client_dtls() });
    room.lose(alice);
    let back = room.connect();
    assert!(room.resume(alice, back).expect("in time").own.transports.is_empty());
    assert!(room.media.transports.is_empty());
    room.media.answer(Operation::ConnectTransport, Answer::Now);
    room.produce(back, MediaKind::Audio, Source::Mic).expect("makes another");
}

#[test]
fn what_happens_to_the_lost_holds_when_they_come_back() {
    let (mut room, alice, bob) = call();
    room.produce(alice, MediaKind::Video, Source::Camera).expect("may");
    room.events(bob);
    room.lose(alice);
    room.entitle("alice", Entitlement::FREE);
    let mute = Moderation::Mute { user: user_id("alice"), audio: Some(true), video: None, screen: None };
    room.moderate(&mute, &Actor::CommandLine);
    assert!(matches!(
        room.events(bob).as_slice(),
        [Event::ProducerClosed { .. }, Event::ParticipantState { .. }, Event::ProducerPaused { .. }]
    ));
    let back = room.connect();
    let Resumed { joined, own } = room.resume(alice, back).expect("in time");
    assert!(!joined.permissions.video && joined.state.server_muted.audio);
    assert_eq!(own.producers.len(), 1);
}

#[test]
fn who_is_kicked_while_lost_does_not_come_back_unseen() {
    let (mut room, alice, bob) = call();
    room.lose(alice);
    room.moderate(&Moderation::Kick { user: user_id("alice"), reason: None }, &Actor::CommandLine);
    assert!(matches!(room.events(bob).last(), Some(Event::ParticipantLeft { .. })));
    let back = room.connect();
    assert_eq!(refused(room.resume(alice, back)), ErrorCode::SessionExpired);
}

#[test]
fn who_is_banned_while_lost_is_told_so() {
    let (mut room, alice, _) = call();
    room.lose(alice);
    room.moderate(&Moderation::Ban { user: user_id("alice"), until: None, reason: None }, &Actor::CommandLine);
    let back = room.connect();
    assert_eq!(refused(room.resume(alice, back)), ErrorCode::PermissionDenied);
}

#[test]
fn one_s_state_is_as_one_left_it() {
    let (mut room, alice, _) = call();
    room.ask(alice, Request::UpdateState { muted: Some(true), deafened: Some(true), speaking: None }).expect("may");
    room.lose(alice);
    let back = room.connect();
    let joined = room.resume(alice, back).expect("in time").joined;
    assert_eq!(joined.state, ParticipantState { muted: true, deafened: true, ..ParticipantState::default() });
}
