//! A hostile session tries every request with another session's ids, in the same room and from another room:
//! it is told that nothing is there, and its victim does not notice.

use std::sync::Arc;

use parlor_proto::media::{Layers, Source};
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, ErrorCode, MediaKind, ProducerId, Request, SessionId, Tier, TransportId};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::rtp;
use parlor_testkit::test_room::{TestRoom, client_dtls, config};

use crate::refused;

/// Everything a session can own.
#[derive(Clone, Copy)]
struct Belongings {
    send: TransportId,
    recv: TransportId,
    producer: ProducerId,
    consumer: ConsumerId,
}

/// A victim who sends a microphone and receives a friend's camera.
fn victim(room: &mut TestRoom) -> (SessionId, Belongings) {
    let (victim, friend) = (room.join("victim", Tier::Pro), room.join("friend", Tier::Pro));
    let producer = room.produce(victim, MediaKind::Audio, Source::Mic).expect("produces");
    let camera = room.produce(friend, MediaKind::Video, Source::Camera).expect("produces");
    let consumer = room.consume(victim, camera).expect("consumes");
    let model = room.model(victim);
    let (send, recv) = (model.send.expect("has one"), model.recv.expect("has one"));
    (victim, Belongings { send, recv, producer, consumer })
}

/// Every request that names an object, aimed at somebody's belongings.
fn attacks(of: Belongings, known: ProducerId) -> Vec<Request> {
    let Belongings { send, recv, producer, consumer } = of;
    let produce =
        |kind, source| Request::Produce { transport: send, kind, source, rtp: Arc::new(rtp::for_source(kind, source)), paused: false };
    let layers = Layers { spatial_layer: 0, temporal_layer: None };
    vec![
        Request::ConnectTransport { transport: send, dtls: client_dtls() },
        Request::ConnectTransport { transport: recv, dtls: client_dtls() },
        Request::RestartIce { transport: send },
        Request::RestartIce { transport: recv },
        Request::CloseTransport { transport: send },
        Request::CloseTransport { transport: recv },
        produce(MediaKind::Audio, Source::Mic),
        produce(MediaKind::Video, Source::Camera),
        Request::PauseProducer { producer },
        Request::ResumeProducer { producer },
        Request::CloseProducer { producer },
        Request::Consume { producer: known, transport: Some(recv), capabilities: None, paused: false },
        Request::Consume { producer: known, transport: Some(send), capabilities: None, paused: false },
        Request::PauseConsumer { consumer },
        Request::ResumeConsumer { consumer },
        Request::CloseConsumer { consumer },
        Request::SetPreferredLayers { consumer, layers },
        Request::RequestKeyFrame { consumer },
    ]
}

/// What the victim has in the media plane and sees of the room.
fn picture(room: &TestRoom, victim: SessionId) -> String {
    let media = (&room.media.transports, &room.media.producers, &room.media.consumers);
    format!("{media:?} {:?} {:?}", room.model(victim), room.room.participants())
}

/// The victim's own requests still work.
fn goes_on(room: &mut TestRoom, victim: SessionId, of: Belongings) {
    for body in [
        Request::PauseProducer { producer: of.producer },
        Request::ResumeProducer { producer: of.producer },
        Request::PauseConsumer { consumer: of.consumer },
        Request::RequestKeyFrame { consumer: of.consumer },
        Request::RestartIce { transport: of.send },
        Request::CloseConsumer { consumer: of.consumer },
        Request::CloseProducer { producer: of.producer },
    ] {
        room.ask(victim, body).expect("the victim goes on");
    }
}

#[test]
fn in_the_same_room_every_request_with_another_s_id_is_not_found() {
    let mut room = TestRoom::pro();
    let (victim, of) = victim(&mut room);
    let mallory = room.join("mallory", Tier::Pro);
    // With transports of one's own and without: the answer is the same.
    for equipped in [false, true] {
        if equipped {
            room.transport(mallory, Direction::Send);
            room.transport(mallory, Direction::Recv);
        }
        room.events(victim);
        let (before, commands) = (picture(&room, victim), room.media.commands.len());
        for body in attacks(of, of.producer) {
            let error = room.ask(mallory, body.clone()).expect_err("refused");
            assert_eq!(error.code, ErrorCode::NotFound, "{body:?}");
            assert!(error.details.is_empty(), "{body:?} was told more than that it is not there");
        }
        assert_eq!(room.media.commands.len(), commands, "the media plane was bothered");
        assert_eq!(picture(&room, victim), before);
        assert!(room.events(victim).is_empty());
    }
    goes_on(&mut room, victim, of);
}

#[test]
fn from_another_room_every_request_with_another_s_id_is_not_found() {
    let (mut room, mut elsewhere) = (TestRoom::pro(), TestRoom::new(config("attic", 2)));
    let (victim, of) = victim(&mut room);
    let mallory = elsewhere.join("mallory", Tier::Pro);
    elsewhere.transport(mallory, Direction::Send);
    elsewhere.transport(mallory, Direction::Recv);
    let before = picture(&room, victim);
    let commands = elsewhere.media.commands.len();
    for body in attacks(of, of.producer) {
        assert_eq!(refused(elsewhere.ask(mallory, body.clone())), ErrorCode::NotFound, "{body:?}");
    }
    // A producer of another room cannot be received, on one's own transport either.
    assert_eq!(refused(elsewhere.consume(mallory, of.producer)), ErrorCode::NotFound);
    assert_eq!(elsewhere.media.commands.len(), commands);
    assert_eq!(picture(&room, victim), before);
    goes_on(&mut room, victim, of);
}

#[test]
fn somebody_outside_is_not_in_a_channel_whatever_id_they_name() {
    let mut room = TestRoom::pro();
    let (victim, of) = victim(&mut room);
    let stranger = room.connect();
    let before = picture(&room, victim);
    for body in attacks(of, of.producer) {
        assert_eq!(refused(room.ask(stranger, body.clone())), ErrorCode::NotInChannel, "{body:?}");
    }
    assert_eq!(picture(&room, victim), before);
    goes_on(&mut room, victim, of);
}

#[test]
fn a_closed_id_is_answered_like_one_that_never_was() {
    let mut room = TestRoom::pro();
    let (owner, of) = victim(&mut room);
    room.ask(owner, Request::CloseConsumer { consumer: of.consumer }).expect("closes");
    room.ask(owner, Request::CloseProducer { producer: of.producer }).expect("closes");
    let never = Belongings { producer: ProducerId::from_random(5), consumer: ConsumerId::from_random(5), ..of };
    let objects = |belongings| attacks(belongings, ProducerId::from_random(6)).into_iter().skip(8);
    for (closed, unknown) in objects(of).zip(objects(never)) {
        let (closed, unknown) = (room.ask(owner, closed), room.ask(owner, unknown));
        assert_eq!(closed.expect_err("refused"), unknown.expect_err("refused"));
    }
}

#[test]
fn the_ids_of_one_s_last_stay_in_the_channel_are_worthless() {
    let mut room = TestRoom::pro();
    let (victim, of) = victim(&mut room);
    room.ask(victim, Request::Leave { channel: None }).expect("leaves");
    room.try_join(victim, "victim", Tier::Pro).expect("comes back");
    for body in attacks(of, of.producer) {
        assert_eq!(refused(room.ask(victim, body.clone())), ErrorCode::NotFound, "{body:?}");
    }
}

#[test]
fn what_is_still_being_made_is_not_found_even_by_its_owner() {
    let mut room = TestRoom::pro();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Pro));
    let camera = room.produce(bob, MediaKind::Video, Source::Camera).expect("produces");
    let (produce, consume) = (room.produce_request(alice, MediaKind::Audio, Source::Mic), room.consume_request(alice, camera));
    for operation in [Operation::CreateTransport, Operation::Produce, Operation::Consume] {
        room.media.answer(operation, Answer::Never);
    }
    let known: Vec<TransportId> = room.media.transports.keys().copied().collect();
    room.send(alice, produce);
    room.send(alice, consume);
    room.send(bob, Request::CreateTransport { direction: Direction::Recv });
    let transport = *room.media.transports.keys().find(|id| !known.contains(id)).expect("being made");
    let producer = *room.media.producers.keys().find(|id| **id != camera).expect("being made");
    let consumer = *room.media.consumers.keys().next().expect("being made");
    assert_eq!(refused(room.ask(bob, Request::RestartIce { transport })), ErrorCode::NotFound);
    assert_eq!(refused(room.ask(alice, Request::CloseProducer { producer })), ErrorCode::NotFound);
    assert_eq!(refused(room.ask(alice, Request::CloseConsumer { consumer })), ErrorCode::NotFound);
}
