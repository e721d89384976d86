//! The media plane goes, or the server does.

use parlor_proto::event::{Event, LeftReason};
use parlor_proto::media::Source;
use parlor_proto::transport::Direction;
use parlor_proto::{ErrorCode, MediaCommand, MediaEvent, MediaKind, Request, RouterId, SessionId, Tier};
use parlor_rooms::{Output, RoomSize};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, channel_id};

use crate::refused;

fn busy_room() -> (TestRoom, SessionId, SessionId, parlor_rooms::RequestId) {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    room.consume(bob, mic).expect("consumes");
    room.media.answer(Operation::CreateTransport, Answer::Never);
    let waiting = room.send(bob, Request::CreateTransport { direction: Direction::Send });
    room.events(alice);
    room.events(bob);
    (room, alice, bob, waiting)
}

fn left(reason: LeftReason) -> Event {
    Event::Left { channel_id: channel_id("den"), reason, rejoin: true, to: None }
}

#[test]
fn a_dead_media_thread_sends_everybody_to_rejoin() {
    let (mut room, alice, bob, waiting) = busy_room();
    room.media_dies();
    for session in [alice, bob] {
        assert_eq!(room.events(session), [left(LeftReason::MediaLost)]);
        assert!(!room.is_inside(session));
    }
    assert_eq!(refused(room.reply(bob, waiting).expect("answered")), ErrorCode::ServerError);
    assert!(room.closed);
    assert_eq!(room.room.size(), RoomSize::default());
    assert!(matches!(room.said.last(), Some(Output::Closed)));
}

#[test]
fn another_router_s_death_is_another_room_s_matter() {
    let (mut room, alice, _, _) = busy_room();
    room.report_of(RouterId::from_random(99), MediaEvent::RouterLost);
    assert!(room.is_inside(alice) && !room.closed);
}

#[test]
fn a_server_that_stops_tells_everybody_and_closes_the_router() {
    let (mut room, alice, bob, waiting) = busy_room();
    room.shut_down();
    for session in [alice, bob] {
        assert_eq!(room.events(session), [left(LeftReason::ShuttingDown)]);
    }
    assert_eq!(refused(room.reply(bob, waiting).expect("answered")), ErrorCode::ShuttingDown);
    assert!(room.closed && room.media.is_empty());
    assert!(matches!(room.media.commands.last(), Some(MediaCommand::CloseRouter)));
}

#[test]
fn a_room_finishes_once() {
    let (mut room, alice, _, _) = busy_room();
    room.shut_down();
    room.shut_down();
    room.media_dies();
    room.disconnect(alice);
    assert_eq!(room.said.iter().filter(|o| matches!(o, Output::Closed)).count(), 1);
    assert_eq!(refused(room.ask(alice, Request::GetRouterRtpCapabilities)), ErrorCode::NotInChannel);
}
