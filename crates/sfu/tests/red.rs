//! Redundant sound (RFC 2198): passed on to who has it, taken apart for who has not.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Consumed, Sending, World, assert_contiguous, fixtures};
use parlor_proto::ids::ProducerId;
use parlor_proto::media::{MediaCommand, MediaKind};
use parlor_proto::transport::Direction;

const SSRC: u32 = 1_111;
const RED: u8 = 63;
const OPUS: u8 = 111;
const TICKS: u32 = 960;

/// Alice sends redundancy; Bob takes it, Carol does not.
struct Call {
    world: World,
    alice: usize,
    bob: usize,
    carol: usize,
    producer: ProducerId,
    to_bob: Consumed,
    to_carol: Consumed,
    inner: u8,
}

/// Type, timestamp and payload of a packet.
type Heard = (u8, u32, Vec<u8>);

impl Call {
    /// `inner` is the sender's payload type of Opus.
    fn new(inner: u8) -> Self {
        let mut world = World::new();
        let router = world.router();
        let (mut rtp, with_red) = fixtures::red("0", SSRC);
        rtp.codecs[0].parameters.clear();
        rtp.codecs[1].payload_type = inner;
        let alice = world.connected(router, Direction::Send);
        let (bob, carol) = (world.connected(router, Direction::Recv), world.connected(router, Direction::Recv));
        let producer = world.produce(alice, MediaKind::Audio, &rtp);
        let to_bob = world.try_consume(bob, producer, with_red).expect("consumed");
        let to_carol = world.consume(carol, producer);
        Self { world, alice, bob, carol, producer, to_bob, to_carol, inner }
    }

    fn send(&mut self, payload_type: u8, seq: u64, payload: &[u8]) {
        let timestamp = u32::try_from(seq).expect("small") * TICKS;
        let sending = Sending { ssrc: SSRC, payload_type, seq, timestamp, marker: false, audio_level: Some(-20), payload };
        let now = self.world.now();
        self.world.clients[self.alice].send(&sending, now);
        self.world.run(Duration::from_millis(20));
    }

    /// A packet that repeats the `distance` before it.
    fn speak(&mut self, seq: u64, distance: u64) {
        let packet = packet(self.inner, seq, distance);
        self.send(RED, seq, &packet);
    }

    fn heard(&self, client: usize, consumed: &Consumed) -> Vec<Heard> {
        let packets = self.world.clients[client].received_of(&consumed.rtp);
        packets.map(|packet| (*packet.header.payload_type, packet.header.timestamp, packet.payload.to_vec())).collect()
    }

    fn bob(&self) -> Vec<Heard> {
        self.heard(self.bob, &self.to_bob)
    }

    fn carol(&self) -> Vec<Heard> {
        self.heard(self.carol, &self.to_carol)
    }

    /// The numbers of the packets Carol heard, each of which has to be plain Opus at its time.
    fn carol_heard(&self) -> Vec<u8> {
        let heard = self.carol();
        let (_, first, first_sound) = heard.first().expect("heard").clone();
        for (payload_type, timestamp, sound) in &heard {
            let steps = sound[0].wrapping_sub(first_sound[0]);
            assert_eq!((*payload_type, sound.len()), (OPUS, 3));
            assert_eq!(timestamp.wrapping_sub(first), u32::from(steps) * TICKS, "at the time it was spoken");
        }
        heard.iter().map(|(_, _, sound)| sound[0]).collect()
    }
}

fn sound(seq: u64) -> [u8; 3] {
    [u8::try_from(seq).expect("few"), 0xff, 0xfe]
}

fn packet(payload_type: u8, seq: u64, distance: u64) -> Vec<u8> {
    let mut packet = Vec::new();
    let len = u32::try_from(sound(0).len()).expect("short");
    for back in (1..=distance).rev() {
        let offset = u32::try_from(back).expect("small") * TICKS;
        packet.extend((u32::from(payload_type | 0x80) << 24 | offset << 10 | len).to_be_bytes());
    }
    packet.push(payload_type);
    (0..=distance).rev().for_each(|back| packet.extend(sound(seq - back)));
    packet
}

#[test]
fn who_has_redundancy_gets_it_with_the_routers_types_and_the_others_plain_opus() {
    for inner in [OPUS, 109] {
        let mut call = Call::new(inner);
        (5..15).for_each(|seq| call.speak(seq, 1));
        let bob = call.bob();
        assert_eq!((bob[0].0, &bob[0].2[..]), (OPUS, &sound(5)[..]), "what was before the first is nobody's");
        for ((payload_type, _, payload), seq) in bob[1..].iter().zip(6..) {
            assert_eq!((*payload_type, payload), (RED, &packet(OPUS, seq, 1)));
        }
        assert_eq!(call.carol_heard(), (5..15).collect::<Vec<_>>());
        assert_contiguous(&call.world.clients[call.bob], &call.to_bob);
        assert_contiguous(&call.world.clients[call.carol], &call.to_carol);
    }
}

#[test]
fn what_was_lost_on_the_way_in_is_filled_in_for_who_lacks_redundancy() {
    let mut call = Call::new(OPUS);
    for seq in [5, 6, 8, 9, 12, 13] {
        call.speak(seq, 2);
    }
    assert_eq!(call.carol_heard(), [5, 6, 7, 8, 9, 10, 11, 12, 13]);
    assert_contiguous(&call.world.clients[call.carol], &call.to_carol);
    assert_eq!(call.bob().len(), 6, "who has redundancy fills the holes himself");
}

#[test]
fn of_a_longer_hole_the_end_is_filled_and_the_rest_stays_one() {
    let mut call = Call::new(OPUS);
    for seq in [20, 21, 26, 27] {
        call.speak(seq, 2);
    }
    assert_eq!(call.carol_heard(), [20, 21, 24, 25, 26, 27]);
    let numbers: Vec<_> = call.world.clients[call.carol].received_of(&call.to_carol.rtp).map(|packet| *packet.seq_no).collect();
    assert_eq!(numbers.iter().map(|number| number - numbers[0]).collect::<Vec<_>>(), [0, 1, 4, 5, 6, 7]);
}

#[test]
fn a_packet_that_comes_late_is_not_sent_again() {
    let mut call = Call::new(OPUS);
    for seq in [30, 31, 33, 32, 34, 35] {
        call.speak(seq, 1);
    }
    assert_eq!(call.carol_heard(), [30, 31, 32, 33, 34, 35]);
    assert_contiguous(&call.world.clients[call.carol], &call.to_carol);
    assert_eq!(call.bob().len(), 6, "the packet itself");
}

#[test]
fn redundancy_that_lies_is_dropped_and_counted() {
    let mut call = Call::new(OPUS);
    (5..8).for_each(|seq| call.speak(seq, 1));
    let another = packet(110, 8, 1);
    call.send(RED, 8, &another);
    let mut too_long = packet(OPUS, 9, 1);
    too_long[2] |= 3;
    call.send(RED, 9, &too_long);
    call.send(RED, 10, &[0x80 | OPUS]);
    assert_eq!(call.world.sfu.stats().drops.malformed, 3);
    assert_eq!(call.carol_heard(), [5, 6, 7]);
    assert_eq!(call.bob().len(), 3);
    call.speak(11, 1);
    assert_eq!(call.carol_heard(), [5, 6, 7, 10, 11]);
}

#[test]
fn a_packet_without_redundancy_goes_to_everybody_as_it_is() {
    let mut call = Call::new(109);
    call.speak(5, 1);
    call.send(109, 6, &sound(6));
    call.speak(7, 1);
    assert_eq!(call.carol_heard(), [5, 6, 7]);
    let bob: Vec<_> = call.bob().into_iter().map(|(payload_type, _, payload)| (payload_type, payload)).collect();
    assert_eq!(bob, [(OPUS, sound(5).to_vec()), (OPUS, sound(6).to_vec()), (RED, packet(OPUS, 7, 1))]);
}

#[test]
fn what_was_said_while_muted_is_in_nobodys_redundancy() {
    let mut call = Call::new(OPUS);
    (5..8).for_each(|seq| call.speak(seq, 2));
    let producer = call.producer;
    call.world.command(MediaCommand::SetProducerPaused { producer, paused: true });
    (8..12).for_each(|seq| call.speak(seq, 2));
    call.world.command(MediaCommand::SetProducerPaused { producer, paused: false });
    // The eleventh was said before, the twelfth was lost.
    (13..18).for_each(|seq| call.speak(seq, 2));
    let carol: Vec<_> = call.carol().iter().map(|(_, _, sound)| sound[0]).collect();
    assert_eq!(carol, [5, 6, 7, 13, 14, 15, 16, 17]);
    for (_, _, payload) in call.bob() {
        assert!(payload.windows(3).all(|window| (8..13).all(|seq| window != sound(seq))), "{payload:?}");
    }
    assert_eq!(call.bob().iter().filter(|(payload_type, ..)| *payload_type == RED).count(), 4, "once there is something to repeat");
    assert_contiguous(&call.world.clients[call.carol], &call.to_carol);
    assert_contiguous(&call.world.clients[call.bob], &call.to_bob);
}
