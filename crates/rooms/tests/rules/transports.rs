//! One transport to send and one to receive.

use parlor_proto::event::{CloseReason, Event, Reply};
use parlor_proto::media::Source;
use parlor_proto::transport::{Direction, TransportFailure, TransportState};
use parlor_proto::{ErrorCode, MediaEvent, MediaKind, Request, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, client_dtls, user_id};

use crate::refused;

#[test]
fn a_session_has_one_transport_of_each_direction() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    for direction in [Direction::Send, Direction::Recv] {
        room.ask(alice, Request::CreateTransport { direction }).expect("the first");
        assert_eq!(refused(room.ask(alice, Request::CreateTransport { direction })), ErrorCode::InvalidState);
    }
    assert_eq!(room.media.transports.len(), 2);
}

#[test]
fn both_transports_can_be_asked_for_at_once() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.media.answer(Operation::CreateTransport, Answer::After(std::time::Duration::from_millis(20)));
    let requests = [Direction::Send, Direction::Recv].map(|direction| room.send(alice, Request::CreateTransport { direction }));
    room.advance(std::time::Duration::from_millis(20));
    for request in requests {
        assert!(matches!(room.reply(alice, request), Some(Ok(Reply::TransportCreated { .. }))));
    }
}

#[test]
fn one_that_is_still_being_made_counts() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.media.answer(Operation::CreateTransport, Answer::Never);
    room.send(alice, Request::CreateTransport { direction: Direction::Send });
    let again = room.ask(alice, Request::CreateTransport { direction: Direction::Send });
    assert_eq!(refused(again), ErrorCode::InvalidState);
}

#[test]
fn a_transport_is_connected_once() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let transport = room.transport(alice, Direction::Send);
    let again = room.ask(alice, Request::ConnectTransport { transport, dtls: client_dtls() });
    assert_eq!(refused(again), ErrorCode::InvalidState);
    assert!(room.media.transports.contains_key(&transport), "the refusal must not hurt the transport");
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("it still works");
}

#[test]
fn connecting_twice_at_once_is_refused_too() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let Ok(Reply::TransportCreated { transport_id: transport, .. }) =
        room.ask(alice, Request::CreateTransport { direction: Direction::Send })
    else {
        panic!("created")
    };
    room.media.answer(Operation::ConnectTransport, Answer::Never);
    room.send(alice, Request::ConnectTransport { transport, dtls: client_dtls() });
    let again = room.ask(alice, Request::ConnectTransport { transport, dtls: client_dtls() });
    assert_eq!(refused(again), ErrorCode::InvalidState);
}

#[test]
fn ice_can_be_restarted_again_and_again() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let transport = room.transport(alice, Direction::Recv);
    let restart = |room: &mut TestRoom| match room.ask(alice, Request::RestartIce { transport }) {
        Ok(Reply::IceRestarted { ice_parameters, .. }) => ice_parameters.username_fragment,
        other => panic!("{other:?}"),
    };
    assert_ne!(restart(&mut room), restart(&mut room));
}

#[test]
fn a_transport_that_cannot_be_made_is_said_and_can_be_tried_again() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    room.media.answer(Operation::CreateTransport, Answer::Fail(ErrorCode::ServerError));
    let body = Request::CreateTransport { direction: Direction::Send };
    assert_eq!(refused(room.ask(alice, body.clone())), ErrorCode::ServerError);
    room.media.answer(Operation::CreateTransport, Answer::Now);
    room.ask(alice, body).expect("works now");
}

#[test]
fn the_owner_alone_hears_how_a_transport_is() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let transport = room.transport(alice, Direction::Send);
    room.events(alice);
    room.report(MediaEvent::TransportState { transport, state: TransportState::Connected, protocol: None, reason: None });
    room.report(MediaEvent::TransportState { transport, state: TransportState::Disconnected, protocol: None, reason: None });
    let expected = [TransportState::Connected, TransportState::Disconnected].map(|state| Event::TransportState {
        transport_id: transport,
        state,
        reason: None,
    });
    assert_eq!(room.events(alice), expected);
    assert!(room.events(bob).is_empty());
}

#[test]
fn a_send_transport_that_fails_takes_its_producers_along() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    room.consume(bob, mic).expect("consumes");
    let transport = room.model(alice).send.expect("has one");
    room.events(alice);
    room.events(bob);
    let (state, reason) = (TransportState::Failed, Some(TransportFailure::CertificateMismatch));
    room.report(MediaEvent::TransportState { transport, state, protocol: None, reason });
    assert_eq!(room.events(alice), [Event::TransportState { transport_id: transport, state, reason }], "with its reason");
    assert_eq!(room.events(bob), [Event::ProducerClosed { producer_id: mic, user_id: user_id("alice"), reason: Some(CloseReason::Media) }]);
    assert!(room.is_inside(alice), "the session goes on");
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("on a new transport");
}

#[test]
fn a_receive_transport_that_fails_takes_its_consumers_along() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let consumer = room.consume(bob, mic).expect("consumes");
    let transport = room.model(bob).recv.expect("has one");
    room.events(alice);
    room.report(MediaEvent::TransportState {
        transport,
        state: TransportState::Failed,
        protocol: None,
        reason: Some(TransportFailure::Silent),
    });
    assert!(room.events(alice).is_empty());
    assert_eq!(refused(room.ask(bob, Request::PauseConsumer { consumer })), ErrorCode::NotFound);
    room.consume(bob, mic).expect("on a new transport");
}

#[test]
fn a_transport_that_its_owner_closed_can_be_made_anew_and_nobody_sees_a_receiver_s() {
    let mut room = TestRoom::pro();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    let camera = room.produce(bob, MediaKind::Video, Source::Camera).expect("produces");
    room.consume(alice, camera).expect("consumes");
    let recv = room.model(alice).recv.expect("has one");
    room.events(bob);
    let closed = room.ask(alice, Request::CloseTransport { transport: recv });
    assert!(matches!(closed, Ok(Reply::TransportClosed { transport_id }) if transport_id == recv));
    assert!(!room.media.transports.contains_key(&recv) && room.media.consumers.is_empty());
    assert_eq!(refused(room.ask(alice, Request::CloseTransport { transport: recv })), ErrorCode::NotFound);
    room.consume(alice, camera).expect("once more, on another");
    assert_ne!(room.model(alice).recv, Some(recv));
    assert_eq!(room.events(bob), []);
}

#[test]
fn closing_the_send_transport_closes_what_was_sent_and_frees_its_video_slot() {
    let mut room = TestRoom::pro();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    let send = room.model(alice).send.expect("has one");
    room.events(bob);
    room.ask(alice, Request::CloseTransport { transport: send }).expect("closes");
    let told = room.events(bob);
    assert!(
        told.iter().any(|e| matches!(e, Event::ProducerClosed { producer_id, reason: None, .. } if *producer_id == camera)),
        "{told:?}"
    );
    room.produce(alice, MediaKind::Video, Source::Camera).expect("the slot is free, and so is the direction");
}
