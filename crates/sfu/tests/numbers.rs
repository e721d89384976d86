//! Whatever is paused, resumed, switched or lost: each receiver sees one stream, its numbers, times and pictures in one
//! row.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Camera, Consumed, World, fixtures, origin};
use parlor_proto::ids::ProducerId;
use parlor_proto::media::{Layers, MediaCommand, MediaKind};
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;
use proptest::prelude::*;
use str0m::rtp::RtpPacket;

#[derive(Clone, Copy, Debug)]
enum Step {
    Film(u8),
    PauseConsumer(bool),
    PauseProducer(bool),
    Prefer(u8),
    Layer(u8, bool),
    LossIn(bool),
    LossOut(bool),
    /// Packets nobody can repair.
    Hole(u8),
    AskForKeyFrame,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (2_u8..12).prop_map(Step::Film),
        2 => any::<bool>().prop_map(Step::PauseConsumer),
        1 => any::<bool>().prop_map(Step::PauseProducer),
        3 => (0_u8..3).prop_map(Step::Prefer),
        2 => (0_u8..3, any::<bool>()).prop_map(|(layer, on)| Step::Layer(layer, on)),
        1 => any::<bool>().prop_map(Step::LossIn),
        1 => any::<bool>().prop_map(Step::LossOut),
        1 => (1_u8..40).prop_map(Step::Hole),
        1 => Just(Step::AskForKeyFrame),
    ];
    proptest::collection::vec(step, 5..25)
}

struct Call {
    world: World,
    alice: usize,
    bob: usize,
    producer: ProducerId,
    consumed: Consumed,
    camera: Camera,
    /// Whether something was lost that may not have been repaired.
    holes: bool,
}

fn call() -> Call {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let consumed = world.consume(bob, producer);
    Call { world, alice, bob, producer, consumed, camera: Camera::simulcast(alice), holes: false }
}

impl Call {
    fn film(&mut self, frames: u32) {
        self.camera.film(&mut self.world, common::FRAME * frames);
    }

    fn take(&mut self, step: Step) {
        let (producer, consumer) = (self.producer, self.consumed.consumer);
        let conditions = |on| if on { Conditions::BAD } else { Conditions::GOOD };
        match step {
            Step::Film(tenths) => self.film(u32::from(tenths) * 3),
            Step::PauseConsumer(paused) => self.world.pause_consumer(consumer, paused),
            Step::PauseProducer(paused) => self.world.command(MediaCommand::SetProducerPaused { producer, paused }),
            Step::Prefer(spatial_layer) => {
                let layers = Layers { spatial_layer, temporal_layer: None };
                self.world.prefer(consumer, layers);
            }
            Step::Layer(layer, on) => self.camera.set_on(layer.into(), on),
            Step::LossIn(on) => {
                self.holes |= on;
                self.world.clients[self.alice].up.set_conditions(conditions(on));
            }
            Step::LossOut(on) => {
                self.holes |= on;
                self.world.clients[self.bob].down.set_conditions(conditions(on));
            }
            Step::Hole(packets) => {
                self.holes = true;
                self.camera.lose(packets.into());
            }
            Step::AskForKeyFrame => self.world.request_key_frame(consumer),
        }
    }

    /// At the end everything is well again, so that what can be repaired is.
    fn settle(&mut self) {
        for step in [Step::LossIn(false), Step::LossOut(false), Step::PauseProducer(false), Step::PauseConsumer(false)] {
            let holes = self.holes;
            self.take(step);
            self.holes = holes;
        }
        (0..3).for_each(|layer| self.camera.set_on(layer, true));
        self.film(60);
        self.world.run(Duration::from_millis(200));
    }
}

fn picture(packet: &RtpPacket) -> u16 {
    u16::from_be_bytes([packet.payload[2] & 0x7f, packet.payload[3]])
}

/// What follows each other at a receiver must look like one stream of one encoder.
fn check(packets: &[&RtpPacket], holes: bool) -> Result<(), TestCaseError> {
    for pair in packets.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let (from_ssrc, from, _) = origin(&before.payload);
        let (to_ssrc, to, key) = origin(&after.payload);
        let gap = *after.seq_no - *before.seq_no;
        prop_assert!(gap > 0, "number {} twice", *after.seq_no);
        let advance = after.header.timestamp.wrapping_sub(before.header.timestamp);
        let pictures = after_picture(before, after);
        let counted = after.payload[4].wrapping_sub(before.payload[4]);
        prop_assert!(advance < 20 * 90_000, "time goes on by {}", advance);
        if gap == 1 {
            prop_assert!(from_ssrc == to_ssrc || key, "another layer begins with a key frame");
            prop_assert!(from_ssrc != to_ssrc || to == from + 1 || key, "a hole that is not shown is followed by a key frame");
            prop_assert_eq!(pictures, u16::from(advance > 0), "one picture after the other");
            prop_assert_eq!(counted, u8::from(advance > 0), "TL0PICIDX too");
        } else {
            prop_assert!(holes, "a gap of {} where nothing was lost", gap - 1);
            prop_assert!(pictures < 1_000, "pictures go on by {}", pictures);
            prop_assert!(from_ssrc != to_ssrc || to - from >= gap, "more is missing than was sent: {} of {}", gap, to - from);
        }
    }
    Ok(())
}

fn after_picture(before: &RtpPacket, after: &RtpPacket) -> u16 {
    picture(after).wrapping_sub(picture(before)) & 0x7fff
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_receiver_sees_one_stream_whatever_happens(steps in steps()) {
        let mut call = call();
        call.film(15);
        steps.into_iter().for_each(|step| call.take(step));
        call.settle();
        let mut packets: Vec<&RtpPacket> = call.world.clients[call.bob].received_of(&call.consumed.rtp).collect();
        packets.sort_by_key(|packet| packet.seq_no);
        check(&packets, call.holes)?;
        let last = packets.last().expect("received");
        let late = call.world.now().saturating_duration_since(last.timestamp);
        prop_assert!(late < Duration::from_millis(600), "it goes on: the last came {:?} ago", late);
    }
}

/// Sound has no key frames: what is lost stays a gap, and a pause is none.
#[test]
fn sound_has_gaps_where_packets_were_lost_and_only_there() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    let mut seq = 65_400;
    for round in 0..20_u64 {
        common::speak(&mut world, alice, 1_111, seq, 10, -30);
        world.run(Duration::from_millis(30));
        match round % 4 {
            // Lost on the way.
            0 => seq += 10 + 3,
            1 => {
                seq += 10;
                world.pause_consumer(consumed.consumer, true);
                common::speak(&mut world, alice, 1_111, seq, 7, -30);
                world.run(Duration::from_millis(30));
                world.pause_consumer(consumed.consumer, false);
                seq += 7;
            }
            2 => {
                seq += 10;
                world.command(MediaCommand::SetProducerPaused { producer, paused: true });
                common::speak(&mut world, alice, 1_111, seq, 7, -30);
                world.run(Duration::from_millis(30));
                world.command(MediaCommand::SetProducerPaused { producer, paused: false });
                seq += 7;
            }
            _ => seq += 10,
        }
    }
    let packets: Vec<&RtpPacket> = world.clients[bob].received_of(&consumed.rtp).collect();
    assert_eq!(packets.len(), 200);
    let gaps: Vec<u64> = packets.windows(2).map(|pair| *pair[1].seq_no - *pair[0].seq_no).filter(|gap| *gap > 1).collect();
    assert_eq!(gaps, [4; 5], "three packets were lost five times");
    let steps = packets.windows(2).map(|pair| pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp));
    assert!(steps.clone().all(|step| step > 0 && step % 960 == 0), "{:?}", steps.collect::<Vec<_>>());
}
