//! Consumers: who receives what, and when not.

use parlor_proto::event::{AppData, Event, Reply};
use parlor_proto::media::{Layers, Source, StreamType};
use parlor_proto::transport::Direction;
use parlor_proto::{ErrorCode, MediaCommand, MediaEvent, MediaKind, ProducerId, Request, SessionId, Tier};
use parlor_testkit::fake_media::{Answer, Operation};
use parlor_testkit::test_room::{TestRoom, user_id};
use std::sync::Arc;
use std::time::Duration;

use crate::refused;

fn camera_and_viewer() -> (TestRoom, SessionId, SessionId, ProducerId) {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Pro), room.join("bob", Tier::Free));
    let camera = room.produce(alice, MediaKind::Video, Source::Camera).expect("produces");
    (room, alice, bob, camera)
}

#[test]
fn the_reply_says_what_it_is_and_whose() {
    let (mut room, alice, bob, camera) = camera_and_viewer();
    room.ask(alice, Request::PauseProducer { producer: camera }).expect("pauses");
    let body = room.consume_request(bob, camera);
    let Ok(Reply::Consumed { producer_id, user_id: user, kind, stream_type, app_data, paused, producer_paused, .. }) = room.ask(bob, body)
    else {
        panic!("consumed")
    };
    assert_eq!((producer_id, user, kind), (camera, user_id("alice"), MediaKind::Video));
    assert_eq!((stream_type, app_data), (StreamType::Simulcast, AppData { source: Source::Camera }));
    assert_eq!((paused, producer_paused), (false, true));
}

#[test]
fn consuming_does_not_wait_for_the_transport_to_be_connected() {
    let (mut room, _, bob, camera) = camera_and_viewer();
    room.ask(bob, Request::CreateTransport { direction: Direction::Recv }).expect("created");
    let body = Request::Consume { producer: camera, transport: None, capabilities: None, paused: false };
    assert!(matches!(room.ask(bob, body), Ok(Reply::Consumed { .. })));
}

#[test]
fn consuming_needs_a_receive_transport() {
    let (mut room, _, bob, producer) = camera_and_viewer();
    let body = |transport| Request::Consume { producer, transport, capabilities: None, paused: false };
    assert_eq!(refused(room.ask(bob, body(None))), ErrorCode::InvalidState);
    let send = room.transport(bob, Direction::Send);
    assert_eq!(refused(room.ask(bob, body(Some(send)))), ErrorCode::InvalidState);
}

#[test]
fn capabilities_come_with_the_request_or_with_join() {
    let (mut room, _, bob, producer) = camera_and_viewer();
    let transport = Some(room.transport(bob, Direction::Recv));
    let own = Arc::new(parlor_proto::rtp::RtpCapabilities::default());
    room.ask(bob, Request::Consume { producer, transport, capabilities: Some(Arc::clone(&own)), paused: false }).expect("consumes");
    let given = room.media.commands.iter().rev().find_map(|c| match c {
        MediaCommand::Consume { capabilities, .. } => Some(Arc::clone(capabilities)),
        _ => None,
    });
    assert_eq!(given, Some(own));
}

#[test]
fn a_producer_is_consumed_once_by_each() {
    let (mut room, _, bob, camera) = camera_and_viewer();
    let consumer = room.consume(bob, camera).expect("the first");
    assert_eq!(refused(room.consume(bob, camera)), ErrorCode::InvalidState);
    room.ask(bob, Request::CloseConsumer { consumer }).expect("closes");
    room.consume(bob, camera).expect("again after a close");
}

#[test]
fn one_s_own_producer_is_not_consumed() {
    let (mut room, alice, _, camera) = camera_and_viewer();
    assert_eq!(refused(room.consume(alice, camera)), ErrorCode::InvalidState);
}

#[test]
fn a_producer_that_is_still_being_made_cannot_be_consumed() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let body = room.produce_request(alice, MediaKind::Audio, Source::Mic);
    room.media.answer(Operation::Produce, Answer::Never);
    room.send(alice, body);
    let guessed = *room.media.producers.keys().next().expect("being made");
    assert_eq!(refused(room.consume(bob, guessed)), ErrorCode::NotFound);
}

#[test]
fn pausing_a_consumer_is_its_own_matter() {
    let (mut room, alice, bob, camera) = camera_and_viewer();
    let consumer = room.consume(bob, camera).expect("consumes");
    room.events(alice);
    room.ask(bob, Request::PauseConsumer { consumer }).expect("pauses");
    assert!(room.media.consumers[&consumer].paused && !room.media.producers[&camera].paused);
    room.ask(bob, Request::ResumeConsumer { consumer }).expect("resumes");
    assert!(!room.media.consumers[&consumer].paused);
    assert!(room.events(alice).is_empty());
}

#[test]
fn closing_a_consumer_leaves_the_producer() {
    let (mut room, alice, bob, camera) = camera_and_viewer();
    let consumer = room.consume(bob, camera).expect("consumes");
    room.events(alice);
    room.ask(bob, Request::CloseConsumer { consumer }).expect("closes");
    assert!(room.media.consumers.is_empty() && room.media.producers.contains_key(&camera));
    assert!(room.events(alice).is_empty());
}

#[test]
fn layers_are_chosen_by_the_receiver_and_the_change_is_pushed_to_it_alone() {
    let (mut room, alice, bob, camera) = camera_and_viewer();
    let consumer = room.consume(bob, camera).expect("consumes");
    room.events(alice);
    let layers = Layers { spatial_layer: 1, temporal_layer: None };
    let reply = room.ask(bob, Request::SetPreferredLayers { consumer, layers });
    assert_eq!(reply, Ok(Reply::PreferredLayersSet { consumer_id: consumer, layers }));
    let told = room.events(bob);
    assert_eq!(told.last(), Some(&Event::LayersChanged { consumer_id: consumer, layers: Some(layers) }));
    assert!(room.events(alice).is_empty());
}

#[test]
fn a_key_frame_is_asked_of_the_media_plane() {
    let (mut room, _, bob, camera) = camera_and_viewer();
    let consumer = room.consume(bob, camera).expect("consumes");
    room.ask(bob, Request::RequestKeyFrame { consumer }).expect("asked");
    assert!(matches!(room.media.commands.last(), Some(MediaCommand::RequestKeyFrame { consumer: asked, .. }) if *asked == consumer));
}

#[test]
fn sound_has_no_layers_and_no_key_frames() {
    let mut room = TestRoom::free();
    let (alice, bob) = (room.join("alice", Tier::Free), room.join("bob", Tier::Free));
    let mic = room.produce(alice, MediaKind::Audio, Source::Mic).expect("produces");
    let consumer = room.consume(bob, mic).expect("consumes");
    let layers = Layers { spatial_layer: 0, temporal_layer: None };
    assert_eq!(refused(room.ask(bob, Request::SetPreferredLayers { consumer, layers })), ErrorCode::InvalidState);
    assert_eq!(refused(room.ask(bob, Request::RequestKeyFrame { consumer })), ErrorCode::InvalidState);
}

#[test]
fn a_consumer_whose_producer_closes_meanwhile_is_not_found_and_not_kept() {
    let (mut room, alice, bob, camera) = camera_and_viewer();
    let body = room.consume_request(bob, camera);
    room.media.answer(Operation::Consume, Answer::After(Duration::from_millis(100)));
    let request = room.send(bob, body);
    let consumer = *room.media.consumers.keys().next().expect("being made");
    room.ask(alice, Request::CloseProducer { producer: camera }).expect("closes");
    assert_eq!(refused(room.reply(bob, request).expect("answered")), ErrorCode::NotFound);
    room.advance(Duration::from_secs(1));
    room.report(MediaEvent::LayersChanged { consumer, layers: None });
    assert!(room.media.consumers.is_empty());
}

#[test]
fn a_consumer_that_cannot_be_made_can_be_tried_again() {
    let (mut room, _, bob, camera) = camera_and_viewer();
    room.media.answer(Operation::Consume, Answer::Fail(ErrorCode::Incompatible));
    assert_eq!(refused(room.consume(bob, camera)), ErrorCode::Incompatible);
    room.media.answer(Operation::Consume, Answer::Now);
    room.consume(bob, camera).expect("works now");
}
