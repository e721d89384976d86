//! Senders whose packets are lost, or who lie or flood: nobody gets a broken picture, and nobody else a worse one.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Browser, Camera, Client, Sending, World, assert_contiguous, fixtures, origin};
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;

const SSRC: u32 = 2_222;

/// A packet of a frame that is a key frame or not; `first` of its packets or a later one.
fn send(world: &mut World, client: usize, seq: u64, frame: u32, first: bool, key: bool) {
    let start = if first { 0x10 } else { 0 };
    let payload = [start, u8::from(!key), 0, 0, seq as u8];
    let sending =
        Sending { ssrc: SSRC, payload_type: 96, seq, timestamp: frame * 3_000, marker: false, audio_level: None, payload: &payload };
    let now = world.now();
    world.clients[client].send(&sending, now);
    world.run(Duration::from_millis(10));
}

#[test]
fn nobody_begins_at_a_key_frame_of_which_packets_were_left_out() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", SSRC));
    let consumed = world.consume(bob, producer);
    world.run(Duration::from_millis(600));
    let asked = world.clients[alice].key_frames_wanted();
    // The first packet of the key frame was lost; it is repaired after the second one, and a frame goes on from it.
    for (seq, frame, first, key) in [(99, 0, true, false), (101, 1, false, true), (100, 1, true, true), (102, 2, true, false)] {
        send(&mut world, alice, seq, frame, first, key);
    }
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 0, "what cannot be decoded is not sent");
    world.run(Duration::from_millis(700));
    assert!(world.clients[alice].key_frames_wanted() > asked, "another one is asked for at once");
    for (seq, frame, first, key) in [(103, 3, true, true), (104, 3, false, true), (105, 4, true, false)] {
        send(&mut world, alice, seq, frame, first, key);
    }
    world.run(Duration::from_millis(100));
    assert_contiguous(&world.clients[bob], &consumed);
    let received: Vec<u8> = world.clients[bob].received_of(&consumed.rtp).map(|packet| packet.payload[4]).collect();
    assert_eq!(received, [103, 104, 105]);
}

#[test]
fn what_comes_late_from_before_the_starting_key_frame_stops_no_picture() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", SSRC));
    let consumed = world.consume(bob, producer);
    world.run(Duration::from_millis(600));
    let asked = world.clients[alice].key_frames_wanted();
    for (seq, frame, first, key) in [(100, 2, true, true), (99, 1, true, false), (101, 3, true, false), (102, 4, true, false)] {
        send(&mut world, alice, seq, frame, first, key);
    }
    world.run(Duration::from_millis(700));
    assert_contiguous(&world.clients[bob], &consumed);
    let received: Vec<u8> = world.clients[bob].received_of(&consumed.rtp).map(|packet| packet.payload[4]).collect();
    assert_eq!(received, [100, 101, 102], "it goes on, without what nobody could decode");
    assert_eq!(world.clients[alice].key_frames_wanted(), asked, "no other key frame is needed");
}

#[test]
fn after_a_hole_that_is_closed_the_picture_goes_on_with_a_key_frame() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", SSRC));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simple(alice, SSRC);
    camera.film(&mut world, Duration::from_secs(2));
    let before = world.clients[bob].received_of(&consumed.rtp).count();
    camera.lose(1_000);
    camera.film(&mut world, Duration::from_secs(2));
    let received: Vec<_> = world.clients[bob].received_of(&consumed.rtp).collect();
    assert!(received.len() > before + 30, "it goes on");
    assert!(origin(&received[before].payload).2, "with a key frame");
    assert_contiguous(&world.clients[bob], &consumed);
}

/// The layer of the simulcast camera that a receiver has, whose link holds 3 Mbit/s, beside the picture of a bad sender.
fn layer_beside(bad: &RtpParameters, max_bitrate: u32, camera_of: impl FnOnce(usize) -> Camera) -> usize {
    let mut world = World::new();
    let router = world.router();
    let (alice, mallory) = (world.connected(router, Direction::Send), world.connected(router, Direction::Send));
    let narrow = Conditions { rate: Some(3_000_000), queue: Duration::from_millis(300), ..Conditions::GOOD };
    let bob = world.connected_behind(router, Direction::Recv, narrow, Browser::Chrome);
    let good = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let bad = world.try_produce_within(mallory, MediaKind::Video, bad, max_bitrate).expect("produced");
    let consumed = world.consume(bob, good);
    world.consume(bob, bad);
    let (mut camera, mut other) = (Camera::simulcast(alice), camera_of(mallory));
    for _ in 0..15 * 30 {
        other.frame(&mut world);
        camera.film(&mut world, Duration::from_millis(1));
    }
    let last = world.clients[bob].received_of(&consumed.rtp).last().expect("received");
    let (ssrc, _, _) = origin(&last.payload);
    (0..3).find(|layer| Client::unsignaled_ssrc(*layer) == ssrc).expect("a layer")
}

#[test]
fn a_sender_who_announces_the_largest_bitrate_there_is_lowers_nobody_elses_picture() {
    let mut rtp = fixtures::video("2", SSRC);
    rtp.encodings[0].max_bitrate = Some(u64::MAX);
    assert_eq!(layer_beside(&rtp, 300_000, |client| Camera::simple(client, SSRC)), 2);
}

#[test]
fn a_flood_that_is_not_passed_on_lowers_nobody_elses_picture() {
    assert_eq!(layer_beside(&fixtures::video("2", SSRC), 100_000, |client| Camera::flood(client, SSRC)), 2);
}
