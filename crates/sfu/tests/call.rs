//! Calls from end to end: real DTLS, SRTP and RTCP between str0m clients and the `Sfu`, in virtual time.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::time::Duration;

use common::{Browser, Camera, Consumed, Sending, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::{Direction, TransportState};
use parlor_testkit::link::Conditions;

#[test]
fn a_client_connects_with_ice_and_dtls() {
    let mut world = World::new();
    let router = world.router();
    let client = world.connected(router, Direction::Send);
    world.run(Duration::from_millis(50));
    assert_eq!(world.state(client), TransportState::Connected);
}

#[test]
fn sound_arrives_as_it_was_sent() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 500, 100, -30);
    world.run(Duration::from_millis(100));

    assert_contiguous(&world.clients[bob], &consumed);
    let received: Vec<_> = world.clients[bob].received_of(&consumed.rtp).collect();
    assert_eq!(received.len(), 100);
    for (packet, seq) in received.iter().zip(500_u64..) {
        assert_eq!(packet.payload[..], [0xf8, 0xff, 0xfe, seq as u8]);
        assert_eq!(packet.header.ext_vals.audio_level, Some(-30));
        assert_eq!(packet.header.marker, seq == 500);
    }
    let times: Vec<u32> = received.iter().map(|packet| packet.header.timestamp).collect();
    assert!(times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == 960));
}

/// The pacer below gives out one packet a turn: turns must not be rationed while there is something to send.
#[test]
fn what_many_say_at_once_reaches_a_receiver_at_once() {
    const TALKERS: u32 = 16;
    let mut world = World::new();
    let router = world.router();
    let bob = world.connected(router, Direction::Recv);
    let talkers: Vec<(usize, u32)> = (1..=TALKERS).map(|n| (world.connected(router, Direction::Send), n * 1_111)).collect();
    for (talker, ssrc) in &talkers {
        let producer = world.produce(*talker, MediaKind::Audio, &fixtures::audio("0", *ssrc));
        world.consume(bob, producer);
    }
    for seq in 0..50 {
        let now = world.now();
        for (talker, ssrc) in &talkers {
            let timestamp = seq as u32 * 960;
            let sending =
                Sending { ssrc: *ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(-30), payload: &[1, 2, 3] };
            world.clients[*talker].send(&sending, now);
        }
        let before = world.clients[bob].received.len();
        // Both links together take all of this but a millisecond.
        world.run(2 * Conditions::GOOD.delay + Duration::from_millis(1));
        assert_eq!(world.clients[bob].received.len() - before, TALKERS as usize, "packet {seq} of everybody");
    }
}

#[test]
fn a_picture_arrives_from_its_first_key_frame_on() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(1));
    let consumed = world.consume(bob, producer);
    camera.film(&mut world, Duration::from_secs(1));

    assert_contiguous(&world.clients[bob], &consumed);
    let first = world.clients[bob].received_of(&consumed.rtp).next().expect("received");
    assert!(common::origin(&first.payload).2, "the first packet begins a key frame");
    let received = world.clients[bob].received_of(&consumed.rtp).count();
    assert!(received > 20, "{received} of 30 frames");
    assert_eq!(camera.key_frames(0), 2, "the first one, and the one that was asked for");
}

#[test]
fn the_numbers_of_firefox_are_understood() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected_behind(router, Direction::Send, Conditions::GOOD, Browser::Firefox);
    let bob = world.connected(router, Direction::Recv);
    let rtp = fixtures::with(fixtures::parameters("firefox", "simulcast"), "1", 0);
    assert_eq!(rtp.codecs[0].payload_type, 120);
    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simulcast(alice).with_payload_type(120);
    camera.film(&mut world, Duration::from_secs(2));

    assert_contiguous(&world.clients[bob], &consumed);
    let received: Vec<_> = world.clients[bob].received_of(&consumed.rtp).collect();
    assert!(received.len() > 50, "{}", received.len());
    assert!(received.iter().all(|packet| *packet.header.payload_type == 96), "under the router's payload type");
    assert_eq!(world.sfu.stats().drops.unknown_stream, 0, "{:?}", world.sfu.stats());
}

#[test]
fn loss_both_ways_is_repaired() {
    let mut world = World::new();
    let router = world.router();
    let lossy = Conditions { loss: 0.05, delay: Duration::from_millis(20), ..Conditions::GOOD };
    let alice = world.connected_behind(router, Direction::Send, lossy, Browser::Chrome);
    let bob = world.connected_behind(router, Direction::Recv, lossy, Browser::Chrome);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(20));
    world.run(Duration::from_millis(500));

    let mut sent: Vec<u64> = world.clients[bob].received_of(&consumed.rtp).map(|packet| common::origin(&packet.payload).1).collect();
    sent.sort_unstable();
    sent.dedup();
    let span = sent[sent.len() - 1] - sent[0] + 1;
    assert!(span > 500, "{span} of 600 frames");
    let missing = span - sent.len() as u64;
    assert!(missing * 500 <= span, "{missing} of {span} were not repaired");
    let (up, down) = (world.clients[alice].up.lost(), world.clients[bob].down.lost());
    assert!(up > 20 && down > 20, "the links lost {up} and {down}");
}

#[test]
fn a_bad_network_breaks_nothing() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected_behind(router, Direction::Send, Conditions::BAD, Browser::Chrome);
    let bob = world.connected_behind(router, Direction::Recv, Conditions::BAD, Browser::Chrome);
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 500, -30);
    world.run(Duration::from_millis(300));

    let mut numbers: Vec<u64> = world.clients[bob].received_of(&consumed.rtp).map(|packet| *packet.seq_no).collect();
    numbers.sort_unstable();
    let all = numbers.len();
    numbers.dedup();
    assert_eq!(numbers.len(), all, "no packet arrives twice");
    assert!((430..=480).contains(&all), "{all} of 500 through twice 5 % loss");
}

#[test]
fn a_consumer_made_before_its_transport_is_connected_flows_when_it_is() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(2));
    let bob = world.client(router, Direction::Recv);
    let consumed = world.consume(bob, producer);
    let before = camera.key_frames(0);
    world.connect(bob);
    camera.film(&mut world, Duration::from_secs(1));

    let received: Vec<_> = world.clients[bob].received_of(&consumed.rtp).collect();
    assert!(received.len() > 15, "{}", received.len());
    assert!(common::origin(&received[0].payload).2, "the first packet begins a key frame");
    assert_eq!(camera.key_frames(0), before + 1, "asked for when the transport was connected");
}

/// A screen on which nothing changes sends nothing; who comes then sees nothing before the sender was asked, however many requests get lost.
#[test]
fn a_still_picture_is_asked_for_again_until_it_comes() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(2));
    world.run(Duration::from_secs(5));
    world.consume(bob, producer);
    let before = world.sfu.stats().key_frame_requests;
    assert!(before > 0, "asked at once");
    world.run(Duration::from_secs(4));
    assert!(world.sfu.stats().key_frame_requests >= before + 3, "and about once a second while nothing comes");
}

/// One packet of sound from everybody.
fn everybody_speaks(world: &mut World, speakers: &[(usize, u32)], seq: u64) {
    let now = world.now();
    for (client, ssrc) in speakers {
        let (timestamp, payload) = ((seq as u32).wrapping_mul(960), [0xf8, 0xff, 0xfe]);
        let sending = Sending { ssrc: *ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(-30), payload: &payload };
        world.clients[*client].send(&sending, now);
    }
}

#[test]
fn who_comes_late_into_a_busy_room_hears_everybody_and_sees_the_best_picture() {
    let mut world = World::new();
    let router = world.router();
    let mut producers = Vec::new();
    let mut speakers = Vec::new();
    for number in 0..8 {
        let (client, ssrc) = (world.connected(router, Direction::Send), 1_000 + 10 * number);
        producers.push(world.produce(client, MediaKind::Audio, &fixtures::audio("0", ssrc)));
        speakers.push((client, ssrc));
    }
    let shower = speakers[0].0;
    producers.push(world.produce(shower, MediaKind::Video, &fixtures::simulcast("1")));
    let mut camera = Camera::simulcast(shower);
    let mut seq = 0;
    // Frames are 33 ms apart, packets of sound 20: near enough.
    let mut talk = |world: &mut World, frames: u32| {
        for _ in 0..frames {
            everybody_speaks(world, &speakers, seq);
            seq += 1;
            camera.film(world, Duration::from_millis(1));
        }
    };
    let early = world.connected(router, Direction::Recv);
    for producer in &producers {
        world.consume(early, *producer);
    }
    talk(&mut world, 90);

    // All at once, as clients do it: the transport is connected after the consumers are made.
    let late = world.client(router, Direction::Recv);
    let consumed: Vec<Consumed> = producers.iter().map(|producer| world.consume(late, *producer)).collect();
    world.connect(late);
    talk(&mut world, 45);
    let client = &world.clients[late];
    for track in &consumed {
        assert!(client.received_of(&track.rtp).count() >= 20, "every track within 1.5 s");
        assert_contiguous(client, track);
    }
    let picture = consumed.last().expect("a picture");
    assert!(origin(&client.received_of(&picture.rtp).next().expect("received").payload).2, "from a key frame on");
    talk(&mut world, 10 * 30);
    let last = world.clients[late].received_of(&picture.rtp).last().expect("received");
    assert_eq!(origin(&last.payload).0, common::Client::unsignaled_ssrc(2), "the best layer");
}
