//! Producers: announced exactly once, paused, closed.

use parlor_proto::event::{AppData, Event, ProducerInfo, Reply};
use parlor_proto::media::Source;
use parlor_proto::transport::Direction;
use parlor_proto::{ErrorCode, MediaEvent, MediaKind, ProducerId, Request, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, user_id};
use std::time::Duration;

use crate::refused;

fn announcements(events: &[Event], producer: ProducerId) -> usize {
    events.iter().filter(|e| matches!(e, Event::NewProducer(info) if info.producer_id == producer)).count()
}

#[test]
fn a_new_producer_is_told_to_the_others() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.events(alice);
    let producer_id = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let info = ProducerInfo {
        producer_id,
        user_id: user_id("alice"),
        kind: MediaKind::Audio,
        app_data: AppData { source: Source::Mic },
        paused: false,
    };
    assert_eq!(room.events(bob), [Event::NewProducer(info)]);
    assert!(room.events(alice).is_empty());
}

#[test]
fn a_producer_that_comes_about_during_a_join_is_announced_exactly_once() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let request = room.produce_request(alice, MediaKind::Audio, Source::Mic);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_millis(50)));
    let request = room.send(alice, request);
    let early = room.connect();
    let snapshot = room.try_join(early, "early", Tier::Free).expect("joins");
    room.advance(Duration::from_millis(50));
    let Some(Ok(Reply::Produced { producer_id })) = room.reply(alice, request) else { panic!("produced") };
    assert!(snapshot.participants[0].producers.is_empty());
    assert_eq!(announcements(&room.events(early), producer_id), 1);
    let late = room.connect();
    let snapshot = room.try_join(late, "late", Tier::Free).expect("joins");
    assert_eq!(snapshot.participants[0].producers[0].producer_id, producer_id);
    room.advance(Duration::from_secs(1));
    assert_eq!(announcements(&room.events(late), producer_id), 0);
}

#[test]
fn a_session_sends_one_of_each_source_and_kind() {
    let mut room = TestRoom::pro();
    let alice = room.join("alice", Tier::Pro);
    for (kind, source) in [
        (MediaKind::Audio, Source::Mic),
        (MediaKind::Video, Source::Camera),
        (MediaKind::Video, Source::Screen),
        (MediaKind::Audio, Source::Screen),
    ] {
        room.produce(alice, kind, source).expect("the first");
        assert_eq!(refused(room.produce(alice, kind, source)), ErrorCode::LimitExceeded);
    }
}

#[test]
fn nothing_is_sent_on_a_receive_transport() {
    let mut room = TestRoom::free();
    let alice = room.join("alice", Tier::Free);
    let recv = room.transport(alice, Direction::Recv);
    let Request::Produce { kind, source, rtp, paused, .. } = room.produce_request(alice, MediaKind::Audio, Source::Mic) else {
        panic!("a produce request")
    };
    let wrong = Request::Produce { transport: recv, kind, source, rtp, paused };
    assert_eq!(refused(room.ask(alice, wrong)), ErrorCode::InvalidState);
}

#[test]
fn pausing_stops_the_forwarding_and_is_told_once() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let producer = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    room.events(bob);
    for _ in 0..2 {
        let reply = room.ask(alice, Request::PauseProducer { producer });
        assert_eq!(reply, Ok(Reply::ProducerPaused { producer_id: producer }), "pausing twice is no error");
    }
    assert!(room.media.producers[&producer].paused);
    room.ask(alice, Request::ResumeProducer { producer }).expect("resumes");
    assert!(!room.media.producers[&producer].paused);
    let user_id = user_id("alice");
    let expected = [
        Event::ProducerPaused { producer_id: producer, user_id: user_id.clone() },
        Event::ProducerResumed { producer_id: producer, user_id },
    ];
    assert_eq!(room.events(bob), expected);
}

#[test]
fn closing_a_producer_closes_everybody_s_consumers_of_it() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let producer = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let consumer = room.consume(bob, producer).expect("consumes");
    room.events(bob);
    room.ask(alice, Request::CloseProducer { producer }).expect("closes");
    assert_eq!(room.events(bob), [Event::ProducerClosed { producer_id: producer, user_id: user_id("alice"), reason: None }]);
    assert!(room.media.producers.is_empty() && room.media.consumers.is_empty());
    for body in [Request::PauseConsumer { consumer }, Request::RequestKeyFrame { consumer }, Request::CloseConsumer { consumer }] {
        assert_eq!(refused(room.ask(bob, body)), ErrorCode::NotFound);
    }
    assert_eq!(refused(room.ask(alice, Request::CloseProducer { producer })), ErrorCode::NotFound);
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("a new one can be made");
}

#[test]
fn a_producer_that_cannot_be_made_is_never_announced() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    room.media.answer(Operation::Produce, Answer::Fail(ErrorCode::Incompatible));
    assert_eq!(refused(room.produce(alice, MediaKind::Audio, Source::Mic)), ErrorCode::Incompatible);
    assert!(room.events(bob).is_empty());
    room.media.answer(Operation::Produce, Answer::Now);
    room.produce(alice, MediaKind::Audio, Source::Mic).expect("the place is free again");
}

#[test]
fn a_producer_whose_owner_left_before_it_came_about_is_closed_and_never_announced() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let body = room.produce_request(alice, MediaKind::Audio, Source::Mic);
    room.media.answer(Operation::Produce, Answer::After(Duration::from_millis(100)));
    let request = room.send(alice, body);
    let producer = *room.media.producers.keys().next().expect("being made");
    room.disconnect(alice);
    assert_eq!(refused(room.reply(alice, request).expect("answered")), ErrorCode::NotInChannel);
    room.advance(Duration::from_millis(100));
    room.report(MediaEvent::Produced { producer });
    assert!(room.media.producers.is_empty());
    assert_eq!(announcements(&room.events(bob), producer), 0);
}

#[test]
fn an_answer_of_the_media_plane_that_comes_twice_is_announced_once() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let producer = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    room.report(MediaEvent::Produced { producer });
    assert_eq!(announcements(&room.events(bob), producer), 1);
}

#[test]
fn a_producer_may_begin_paused() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let Request::Produce { transport, kind, source, rtp, .. } = room.produce_request(alice, MediaKind::Audio, Source::Mic) else {
        panic!("a produce request")
    };
    room.ask(alice, Request::Produce { transport, kind, source, rtp, paused: true }).expect("produces");
    assert!(room.media.producers.values().all(|p| p.paused));
    assert!(matches!(room.events(bob).as_slice(), [Event::NewProducer(info)] if info.paused));
}
