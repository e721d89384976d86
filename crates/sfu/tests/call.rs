//! Calls from end to end: real DTLS, SRTP and RTCP between str0m clients and the `Sfu`, in virtual time.

mod common;

use std::time::Duration;

use common::{Camera, Client, Consumed, Sending, World, fixtures};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::{Direction, TransportState};

const PACKET: Duration = Duration::from_millis(20);

/// Speaks for a number of packets; the payload tells the packet.
fn speak(world: &mut World, client: usize, ssrc: u32, from: u64, count: u64, level: i8) {
    for seq in from..from + count {
        let payload = [0xf8, 0xff, 0xfe, seq as u8];
        let timestamp = (seq as u32).wrapping_mul(960);
        let now = world.now();
        let sending = Sending { ssrc, payload_type: 111, seq, timestamp, marker: seq == from, audio_level: Some(level), payload: &payload };
        world.clients[client].send(&sending, now);
        world.run(PACKET);
    }
}

/// The extended sequence numbers of what a consumer received, sorted, must have no hole.
fn assert_contiguous(client: &Client, consumed: &Consumed) {
    let mut numbers: Vec<u64> = client.received_of(&consumed.rtp).map(|packet| *packet.seq_no).collect();
    assert!(!numbers.is_empty(), "nothing received");
    numbers.sort_unstable();
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "a gap or a repetition");
    }
}

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
