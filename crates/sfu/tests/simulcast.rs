//! Layers: chosen by the receiver and by its bandwidth, switched at key frames, without a seam.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Browser, Camera, Client, Consumed, World, assert_contiguous, fixtures, origin};
use parlor_proto::media::{Layers, MediaEvent, MediaKind, StreamType};
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;

struct Call {
    world: World,
    camera: Camera,
    bob: usize,
    consumed: Consumed,
}

fn call(conditions: Conditions) -> Call {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let bob = world.connected_behind(router, Direction::Recv, conditions, Browser::Chrome);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let consumed = world.consume(bob, producer);
    assert_eq!(consumed.stream_type, StreamType::Simulcast);
    Call { world, camera: Camera::simulcast(alice), bob, consumed }
}

impl Call {
    fn film(&mut self, seconds: u64) {
        self.camera.film(&mut self.world, Duration::from_secs(seconds));
    }

    fn prefer(&mut self, spatial_layer: u8) {
        let layers = Layers { spatial_layer, temporal_layer: None };
        self.world.prefer(self.consumed.consumer, layers);
    }

    /// The layer of the last packet that arrived.
    fn layer(&self) -> usize {
        let last = self.world.clients[self.bob].received_of(&self.consumed.rtp).last().expect("received");
        let (ssrc, _, _) = origin(&last.payload);
        (0..3).find(|layer| Client::unsignaled_ssrc(*layer) == ssrc).expect("a layer")
    }

    fn reported(&self) -> Option<Layers> {
        let mut changes = self.world.events.iter().filter_map(|event| match event {
            MediaEvent::LayersChanged { consumer, layers } if *consumer == self.consumed.consumer => Some(*layers),
            _ => None,
        });
        changes.next_back().flatten()
    }

    /// Whatever was switched: numbers, times and pictures go on, and another layer begins with a key frame.
    fn assert_seamless(&self) {
        let client = &self.world.clients[self.bob];
        assert_contiguous(client, &self.consumed);
        let mut packets: Vec<_> = client.received_of(&self.consumed.rtp).collect();
        packets.sort_by_key(|packet| packet.seq_no);
        for pair in packets.windows(2) {
            let (before, after) = (pair[0], pair[1]);
            let advance = after.header.timestamp.wrapping_sub(before.header.timestamp);
            assert!(advance < 90_000, "time goes on by {advance}");
            let (before_layer, _, _) = origin(&before.payload);
            let (after_layer, _, key) = origin(&after.payload);
            assert!(before_layer == after_layer || key, "another layer begins with a key frame");
            let picture = |payload: &[u8]| u16::from_be_bytes([payload[2] & 0x7f, payload[3]]);
            let pictures = picture(&after.payload).wrapping_sub(picture(&before.payload)) & 0x7fff;
            assert_eq!(pictures, u16::from(advance > 0), "one picture after the other");
            assert_eq!(after.payload[4].wrapping_sub(before.payload[4]), u8::from(advance > 0), "TL0PICIDX too");
        }
    }
}

#[test]
fn layers_go_up_to_the_preferred_one_and_down_again() {
    let mut call = call(Conditions::GOOD);
    call.film(12);
    assert_eq!(call.layer(), 2, "the best by itself");
    assert_eq!(call.reported(), Some(Layers { spatial_layer: 2, temporal_layer: None }));
    call.prefer(0);
    call.film(2);
    assert_eq!(call.layer(), 0);
    assert_eq!(call.reported(), Some(Layers { spatial_layer: 0, temporal_layer: None }));
    call.prefer(1);
    call.film(8);
    assert_eq!(call.layer(), 1);
    call.assert_seamless();
}

#[test]
fn a_preferred_layer_beyond_the_last_is_the_last() {
    let mut call = call(Conditions::GOOD);
    call.prefer(200);
    call.film(12);
    assert_eq!(call.layer(), 2);
}

#[test]
fn a_layer_the_browser_turned_off_is_left() {
    let mut call = call(Conditions::GOOD);
    call.film(12);
    assert_eq!(call.layer(), 2);
    call.camera.set_on(2, false);
    call.film(4);
    assert_eq!(call.layer(), 1);
    call.camera.set_on(2, true);
    call.film(10);
    assert_eq!(call.layer(), 2);
    call.assert_seamless();
}

#[test]
fn a_narrow_receiver_gets_a_small_layer_and_the_best_when_it_is_wide_again() {
    let narrow = Conditions { rate: Some(400_000), queue: Duration::from_millis(300), ..Conditions::GOOD };
    let mut call = call(narrow);
    call.film(20);
    assert_eq!(call.layer(), 0, "400 kbit/s hold the first layer only");
    call.world.clients[call.bob].down.set_conditions(Conditions::GOOD);
    call.film(40);
    assert_eq!(call.layer(), 2, "up again by probing");
    call.world.clients[call.bob].down.set_conditions(narrow);
    call.film(20);
    assert_eq!(call.layer(), 0, "down when the estimate demands it");
}

#[test]
fn a_paused_consumer_reports_no_layers() {
    let mut call = call(Conditions::GOOD);
    call.film(5);
    let consumer = call.consumed.consumer;
    call.world.pause_consumer(consumer, true);
    call.film(1);
    assert_eq!(call.reported(), None);
    call.world.pause_consumer(consumer, false);
    call.film(1);
    assert!(call.reported().is_some());
}

#[test]
fn a_request_nobody_can_hear_does_not_use_up_the_turn_of_the_next() {
    let mut call = call(Conditions::GOOD);
    let ask = |call: &mut Call| call.world.request_key_frame(call.consumed.consumer);
    ask(&mut call);
    assert_eq!(call.world.sfu.stats().key_frame_requests, 0, "nothing has arrived whose sender could be asked");
    call.camera.film(&mut call.world, Duration::from_millis(200));
    let before = call.world.sfu.stats().key_frame_requests;
    ask(&mut call);
    assert_eq!(call.world.sfu.stats().key_frame_requests, before + 1, "asked at once");
}

/// The layers of which something arrived since so many packets.
fn layers_since(call: &Call, packets: usize) -> Vec<usize> {
    let received = call.world.clients[call.bob].received_of(&call.consumed.rtp).skip(packets);
    let layer = |payload: &[u8]| (0..3).find(|layer| Client::unsignaled_ssrc(*layer) == origin(payload).0).expect("a layer");
    let mut layers: Vec<usize> = received.map(|packet| layer(&packet.payload)).collect();
    layers.sort_unstable();
    layers.dedup();
    layers
}

#[test]
fn a_slow_layer_is_not_off_and_its_receiver_is_sent_no_more_than_it_wishes() {
    for every in [6, 10, 20, 30] {
        let mut call = call(Conditions::GOOD);
        call.prefer(0);
        call.film(2);
        let before = call.world.clients[call.bob].received_of(&call.consumed.rtp).count();
        let sent = call.camera.next_seq(0);
        for frame in 0..600 {
            // Five, three, one and a half and one frame a second; one in four is lost.
            call.camera.set_on(0, frame % every == 0 && (frame / every) % 4 != 3);
            call.camera.film(&mut call.world, Duration::from_millis(1));
        }
        call.world.run(Duration::from_millis(100));
        let after = call.world.clients[call.bob].received_of(&call.consumed.rtp).count();
        assert_eq!(layers_since(&call, before), [0], "one frame in {every}");
        assert_eq!((after - before) as u64, call.camera.next_seq(0) - sent, "all of them");
    }
}

#[test]
fn who_wishes_for_a_layer_that_is_off_is_sent_no_larger_one() {
    let mut call = call(Conditions::GOOD);
    call.film(4);
    assert_eq!(call.layer(), 2);
    call.camera.set_on(0, false);
    call.film(1);
    call.prefer(0);
    call.world.run(Duration::from_millis(50));
    let before = call.world.clients[call.bob].received_of(&call.consumed.rtp).count();
    let asked = call.camera.key_frames(2);
    call.film(5);
    assert_eq!(call.world.clients[call.bob].received_of(&call.consumed.rtp).count(), before, "nothing is sent");
    assert_eq!(call.camera.key_frames(2), asked, "and nobody pays for key frames meanwhile");
    call.camera.set_on(0, true);
    call.film(3);
    assert_eq!(layers_since(&call, before), [0]);
}
