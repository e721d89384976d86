//! The way of a packet takes nothing from the heap.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::cell::Cell;
use std::time::Duration;

use common::heap::{Counting, taken};
use common::{Call, Camera, Sending, Special, World, fixtures, speak};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::Direction;
use parlor_sfu::TalkersConfig;
use parlor_testkit::link::Conditions;

#[global_allocator]
static HEAP: Counting = Counting;

thread_local! {
    static BEGAN: Cell<u64> = const { Cell::new(0) };
    /// Packets that came, and how often something was allocated for them, their forwarding and for forgetting them.
    static COUNTED: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
}

fn count(call: Call, begins: bool) {
    if !matches!(call, Call::Rtp | Call::Clear) {
        return;
    }
    if begins {
        return BEGAN.set(taken().times);
    }
    let (packets, allocations) = COUNTED.get();
    COUNTED.set((packets + u64::from(call == Call::Rtp), allocations + taken().times - BEGAN.get()));
}

/// What was counted while something happened.
fn counted(world: &mut World, happens: impl FnOnce(&mut World)) -> (u64, u64) {
    COUNTED.set((0, 0));
    world.watch = count;
    happens(world);
    world.watch = |_, _| {};
    COUNTED.get()
}

#[test]
fn what_is_allocated_is_counted() {
    let mut world = World::new();
    let (packets, allocations) = counted(&mut world, |_| {
        count(Call::Rtp, true);
        drop(std::hint::black_box(vec![1_u8; 10]));
        count(Call::Rtp, false);
    });
    assert_eq!((packets, allocations), (1, 1));
}

#[test]
fn sound_of_25_to_25_allocates_nothing_per_packet() {
    const TALKERS: u32 = 25;
    let mut world = World::new();
    let router = world.router();
    let speakers: Vec<(usize, u32)> = (0..TALKERS).map(|n| (world.connected(router, Direction::Send), 1_000 + 10 * n)).collect();
    let of = |world: &mut World, (client, ssrc): &(usize, u32)| world.produce(*client, MediaKind::Audio, &fixtures::audio("0", *ssrc));
    let producers: Vec<_> = speakers.iter().map(|speaker| of(&mut world, speaker)).collect();
    let mut listeners = Vec::new();
    for own in 0..producers.len() {
        let listener = world.connected(router, Direction::Recv);
        let others = producers.iter().enumerate().filter(|(other, _)| *other != own);
        others.for_each(|(_, producer)| drop(world.consume(listener, *producer)));
        listeners.push(listener);
    }
    // What they get is of no interest here, and they would take most of the time.
    listeners.iter().for_each(|listener| world.clients[*listener].killed = true);
    let talk = |world: &mut World, from: u64, rounds: u64| {
        for seq in from..from + rounds {
            let now = world.now();
            for (client, ssrc) in &speakers {
                let payload = [seq as u8; 80];
                let timestamp = seq as u32 * 960;
                let sending =
                    Sending { ssrc: *ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(-30), payload: &payload };
                world.clients[*client].send(&sending, now);
            }
            world.run(Duration::from_millis(20));
        }
    };
    talk(&mut world, 0, 20);
    let forwarded = world.sfu.stats().rtp_forwarded;
    let (packets, allocations) = counted(&mut world, |world| talk(world, 20, 80));
    let forwarded = world.sfu.stats().rtp_forwarded - forwarded;
    assert_eq!((packets, forwarded), (80 * 25, 80 * 25 * 24));
    assert_eq!(allocations, 0, "in {packets} packets to 24 receivers each");
}

#[test]
fn redundancy_for_who_loses_packets_allocates_nothing_per_packet() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let special = Special { reports_every: Duration::from_secs(1), ..Special::default() };
    let [lossy, other] = [(); 2].map(|()| world.connected_with(router, Direction::Recv, special));
    let (_, with_red) = fixtures::red("0", 1);
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = [lossy, other].map(|client| world.try_consume(client, producer, with_red.clone()).expect("consumed"));
    world.clients[lossy].down.set_conditions(Conditions { loss: 0.15, ..Conditions::GOOD });
    speak(&mut world, alice, 1_111, 0, 300, -30);
    let (packets, allocations) = counted(&mut world, |world| speak(world, alice, 1_111, 300, 300, -30));
    assert_eq!((packets, allocations), (300, 0));
    let newest = world.clients[lossy].received_of(&consumed[0].rtp).last().expect("heard");
    assert_eq!(*newest.header.payload_type, 63);
}

#[test]
fn a_picture_to_20_allocates_nothing_per_packet() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let viewers: Vec<usize> = (0..20).map(|_| world.connected(router, Direction::Recv)).collect();
    viewers.iter().for_each(|viewer| drop(world.consume(*viewer, producer)));
    // About 500 kbit/s. What is kept for repairs and for feedback grows until it holds what its time asks for.
    let mut camera = Camera::of(alice, 2_222, 4, 520);
    camera.film(&mut world, Duration::from_secs(4));
    let before = world.sfu.stats().rtp_forwarded;
    let (packets, allocations) = counted(&mut world, |world| camera.film(world, Duration::from_secs(3)));
    let forwarded = world.sfu.stats().rtp_forwarded - before;
    assert!(packets > 350 && forwarded >= 20 * 350, "{packets} packets, {forwarded} forwarded");
    assert_eq!(allocations, 0, "in {packets} packets to 20 receivers each");
}

#[test]
fn who_is_not_heard_in_a_large_room_costs_no_allocation_either() {
    let mut world = World::with(TalkersConfig { loudest: 3, all_up_to: 6 });
    let router = world.router();
    let listener = world.connected(router, Direction::Recv);
    let speakers: Vec<(usize, u32)> = (0..10).map(|n| (world.connected(router, Direction::Send), 1_000 + 10 * n)).collect();
    for (client, ssrc) in &speakers {
        let producer = world.produce(*client, MediaKind::Audio, &fixtures::audio("0", *ssrc));
        world.consume(listener, producer);
    }
    let talk = |world: &mut World, from: u64, rounds: u64| {
        for seq in from..from + rounds {
            let now = world.now();
            for (number, (client, ssrc)) in speakers.iter().enumerate() {
                let level = if number < 3 { -30 } else { -127 };
                let (timestamp, payload) = (seq as u32 * 960, [seq as u8; 80]);
                let sending =
                    Sending { ssrc: *ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(level), payload: &payload };
                world.clients[*client].send(&sending, now);
            }
            world.run(Duration::from_millis(20));
        }
    };
    talk(&mut world, 0, 100);
    let forwarded = world.sfu.stats().rtp_forwarded;
    let (packets, allocations) = counted(&mut world, |world| talk(world, 100, 100));
    assert_eq!((packets, world.sfu.stats().rtp_forwarded - forwarded), (1_000, 300));
    assert_eq!(allocations, 0, "in {packets} packets");
}

#[test]
fn loss_makes_lists_grow_but_costs_no_allocation_per_packet() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let bob = world.connected(router, Direction::Recv);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    world.consume(bob, producer);
    let mut camera = Camera::of(alice, 2_222, 4, 520);
    camera.film(&mut world, Duration::from_secs(1));
    world.clients[alice].up.set_conditions(Conditions::BAD);
    camera.film(&mut world, Duration::from_secs(4));
    let (packets, allocations) = counted(&mut world, |world| camera.film(world, Duration::from_secs(5)));
    assert!(packets > 500 && world.clients[alice].up.lost() > 40, "{packets}");
    // Lists of what is missing and of timers double now and then, to their bounds.
    assert!(allocations <= 4, "{allocations} in {packets} packets");
}
