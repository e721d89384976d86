//! What senders do that are no browsers, and may.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Consumed, Sending, Special, World, fixtures, speak};
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{ParameterValue, RtpParameters};
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;

fn h264(sets: Option<&str>) -> RtpParameters {
    let mut rtp = fixtures::with(fixtures::parameters("chrome", "h264"), "1", 3_333);
    // The numbers that the client here has for it.
    (rtp.codecs[0].payload_type, rtp.codecs[1].payload_type) = (106, 107);
    rtp.codecs[1].parameters.insert("apt".into(), ParameterValue::Number(106));
    if let Some(sets) = sets {
        rtp.codecs[0].parameters.insert("sprop-parameter-sets".into(), ParameterValue::Text(sets.into()));
    }
    rtp
}

/// Sends a packet of a picture that comes 33 ms after the one before.
fn picture(world: &mut World, alice: usize, payload_type: u8, seq: u64, payload: &[u8]) {
    let sending = Sending { ssrc: 3_333, payload_type, seq, timestamp: seq as u32 * 3_000, marker: true, audio_level: None, payload };
    let now = world.now();
    world.clients[alice].send(&sending, now);
    world.run(Duration::from_millis(33));
}

fn received(world: &World, bob: usize, consumed: &Consumed) -> Vec<u8> {
    world.clients[bob].received_of(&consumed.rtp).filter_map(|packet| packet.payload.first().copied()).collect()
}

#[test]
fn a_receiver_of_h264_begins_where_its_parameter_sets_are() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let rtp = h264(None);
    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let consumed = world.consume(bob, producer);
    // An IDR slice alone, a slice, both sets in one packet, the picture they are for, a slice.
    for (seq, payload) in (0..).zip([&[0x65, 0x88, 1][..], &[0x41, 1], &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], &[0x65, 0x88, 2], &[0x41, 2]])
    {
        picture(&mut world, alice, rtp.codecs[0].payload_type, seq, payload);
    }
    world.run(Duration::from_millis(100));
    assert_eq!(received(&world, bob, &consumed), [0x78, 0x65, 0x41]);
}

#[test]
fn parameter_sets_out_of_band_reach_the_receiver_and_it_begins_with_the_picture() {
    const SETS: &str = "Z0IACpZTBYmI,aMljiA==";
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let rtp = h264(Some(SETS));
    let producer = world.produce(alice, MediaKind::Video, &rtp);
    let consumed = world.consume(bob, producer);
    assert_eq!(consumed.rtp.codecs[0].parameters.get("sprop-parameter-sets"), Some(&ParameterValue::Text(SETS.into())));
    picture(&mut world, alice, rtp.codecs[0].payload_type, 0, &[0x41, 1]);
    picture(&mut world, alice, rtp.codecs[0].payload_type, 1, &[0x65, 0x88, 2]);
    world.run(Duration::from_millis(100));
    assert_eq!(received(&world, bob, &consumed), [0x65]);
}

/// The packets before the wrap are lost, so the first that arrives is of the second round.
#[test]
fn a_sender_that_begins_just_below_the_wrap_is_heard() {
    for lost in [1, 40] {
        let mut world = World::new();
        let router = world.router();
        let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
        let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
        let consumed = world.consume(bob, producer);
        world.clients[alice].up.set_conditions(Conditions { loss: 1.0, ..Conditions::GOOD });
        speak(&mut world, alice, 1_111, 65_536 - lost, lost, -30);
        world.clients[alice].up.set_conditions(Conditions::GOOD);
        speak(&mut world, alice, 1_111, 65_536, 100, -30);
        world.run(Duration::from_millis(50));
        assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 100, "{lost} were lost before");
        assert_eq!(world.sfu.stats().drops.transport, 0);
    }
}

#[test]
fn packets_that_fill_an_ethernet_frame_pass() {
    for ipv6 in [false, true] {
        let mut world = World::new();
        let router = world.router();
        let special = Special { ipv6, ..Special::default() };
        let (alice, bob) = (world.connected(router, Direction::Send), world.connected_with(router, Direction::Recv, special));
        let rtp = fixtures::video("1", 3_333);
        let producer = world.try_produce_within(alice, MediaKind::Video, &rtp, 40_000_000).expect("produced");
        let consumed = world.consume(bob, producer);
        let mut lengths = Vec::new();
        for seq in 0.. {
            world.clients[alice].recorded = Some(Vec::new());
            // The descriptor of a key frame of VP8.
            let mut payload = vec![0x10, 0, 0, 0];
            payload.resize(1_350 + seq as usize, 0xaa);
            picture(&mut world, alice, 96, seq, &payload);
            let sent = world.clients[alice].recorded.take().expect("recorded");
            lengths.extend(sent.iter().filter(|bytes| matches!(bytes.first(), Some(0x80..=0xbf))).map(Vec::len).max());
            if lengths.last() == Some(&1_472) {
                break;
            }
        }
        world.run(Duration::from_millis(100));
        assert!(lengths[0] < 1_420, "{lengths:?}");
        assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), lengths.len());
        let longest = world.clients[bob].longest;
        assert!(longest <= 1_472, "{longest}: it does not grow by what we add");
    }
}
