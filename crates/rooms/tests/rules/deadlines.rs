//! Every operation has a timeout, and what was half made is cleaned up.

use std::time::Duration;

use parlor_proto::event::{Event, Reply};
use parlor_proto::media::Source;
use parlor_proto::transport::{Direction, TransportFailure, TransportState};
use parlor_proto::{ErrorCode, MediaKind, Request, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, client_dtls};

use crate::refused;

const MOMENT: Duration = Duration::from_millis(1);

/// The request is not answered before its deadline, and with `TIMEOUT` on it.
fn expect_timeout(room: &mut TestRoom, session: SessionId, body: Request, deadline: Duration, name: &str) {
    let request = room.send(session, body);
    room.advance(deadline - MOMENT);
    assert_eq!(room.reply(session, request), None, "{name} gave up too early");
    room.advance(MOMENT);
    let error = room.reply(session, request).expect("answered").expect_err("refused");
    assert_eq!((error.code, &error.details["operation"]), (ErrorCode::Timeout, &name.into()));
    assert_eq!(room.room.poll_timeout(), None);
}

#[test]
fn create_transport_has_5_seconds_and_can_be_tried_again() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.media.answer(Operation::CreateTransport, Answer::Never);
    let body = Request::CreateTransport { direction: Direction::Send };
    expect_timeout(&mut room, alice, body.clone(), Duration::from_secs(5), "createTransport");
    assert!(room.media.transports.is_empty(), "the half-made transport is closed");
    room.media.answer(Operation::CreateTransport, Answer::Now);
    room.ask(alice, body).expect("works now");
}

#[test]
fn connect_transport_has_10_seconds_and_ends_the_transport() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let Ok(Reply::TransportCreated { transport_id: transport, .. }) =
        room.ask(alice, Request::CreateTransport { direction: Direction::Send })
    else {
        panic!("created")
    };
    room.media.answer(Operation::ConnectTransport, Answer::Never);
    let body = Request::ConnectTransport { transport, dtls: client_dtls() };
    expect_timeout(&mut room, alice, body.clone(), Duration::from_secs(10), "connectTransport");
    let told = room.events(alice);
    let (state, reason) = (TransportState::Failed, Some(TransportFailure::Server));
    assert_eq!(told, [Event::TransportState { transport_id: transport, state, reason }]);
    assert_eq!(refused(room.ask(alice, body)), ErrorCode::NotFound);
    assert!(room.media.transports.is_empty());
}

#[test]
fn restart_ice_has_5_seconds_and_leaves_the_transport() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let transport = room.transport(alice, Direction::Send);
    room.media.answer(Operation::RestartIce, Answer::Never);
    expect_timeout(&mut room, alice, Request::RestartIce { transport }, Duration::from_secs(5), "restartIce");
    room.media.answer(Operation::RestartIce, Answer::Now);
    room.ask(alice, Request::RestartIce { transport }).expect("works now");
}

#[test]
fn produce_has_5_seconds_and_a_late_answer_changes_nothing() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let body = room.produce_request(alice, MediaKind::Audio, Source::Mic);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_secs(6)));
    expect_timeout(&mut room, alice, body.clone(), Duration::from_secs(5), "produce");
    assert!(room.media.producers.is_empty(), "the half-made producer is closed");
    room.advance(Duration::from_secs(2));
    assert!(room.events(bob).is_empty(), "the late answer must not be announced");
    room.media.answer(Operation::Produce, Answer::Now);
    room.ask(alice, body).expect("works now");
}

#[test]
fn consume_has_5_seconds_and_can_be_tried_again() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let body = room.consume_request(bob, mic);
    room.media.answer(Operation::Consume, Answer::Never);
    expect_timeout(&mut room, bob, body.clone(), Duration::from_secs(5), "consume");
    assert!(room.media.consumers.is_empty(), "the half-made consumer is closed");
    room.media.answer(Operation::Consume, Answer::Now);
    room.ask(bob, body).expect("works now");
}

#[test]
fn an_answer_in_time_ends_the_deadline() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.media.answer(Operation::CreateTransport, Answer::After(Duration::from_secs(4)));
    let request = room.send(alice, Request::CreateTransport { direction: Direction::Send });
    assert!(room.room.poll_timeout().is_some());
    room.advance(Duration::from_secs(4));
    assert!(matches!(room.reply(alice, request), Some(Ok(Reply::TransportCreated { .. }))));
    assert_eq!(room.room.poll_timeout(), None);
}

#[test]
fn who_leaves_with_requests_under_way_gets_an_answer_to_each() {
    let mut room = TestRoom::free();
    let (alice, _bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.media.answer(Operation::CreateTransport, Answer::Never);
    let requests = [Direction::Send, Direction::Recv].map(|direction| room.send(alice, Request::CreateTransport { direction }));
    room.ask(alice, Request::Leave { channel: None }).expect("leaves");
    for request in requests {
        assert_eq!(refused(room.reply(alice, request).expect("answered")), ErrorCode::NotInChannel);
    }
    assert!(room.media.transports.is_empty());
    assert_eq!(room.room.poll_timeout(), None);
}
