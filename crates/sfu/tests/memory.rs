//! What a participant costs in memory.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr,
    reason = "a test that cannot go on has failed; figures are shown"
)]

mod common;

use std::time::Duration;

use common::heap::{Counting, taken};
use common::{Sending, World, fixtures};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::Direction;

#[global_allocator]
static HEAP: Counting = Counting;

/// Everyone of a room of so many speaks and hears all others.
const PARTICIPANTS: usize = 25;
/// What one of them may cost.
const MAX_BYTES: i64 = 64 * 1_024;

/// How far a room is set up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
enum Stage {
    /// Every participant has a transport for each direction.
    Transports,
    /// The transports of all participants are connected.
    Connected,
    /// Every participant has a producer of sound.
    Producers,
    /// Every participant has a consumer of each other's sound.
    Consumers,
    /// Every participant speaks.
    Speech,
}

/// Bytes of the heap.
#[derive(Clone, Copy, Debug)]
struct Heap {
    /// What our code took.
    own: i64,
    /// What our code took, with what AWS-LC took for keys, and what the allocator adds to everything.
    with_all: Option<i64>,
}

/// What the heap of an `Sfu` holds for each of so many participants.
fn heap(participants: usize, stage: Stage) -> Heap {
    let mut world = World::new();
    let router = world.router();
    let clients: Vec<(usize, usize)> =
        (0..participants).map(|_| (world.client(router, Direction::Send), world.client(router, Direction::Recv))).collect();
    if stage >= Stage::Connected {
        (0..2 * participants).for_each(|client| world.connect(client));
        world.until("connections", |world| world.clients.iter().all(|client| client.connected));
        world.run(Duration::from_millis(100));
    }
    let ssrc = |number: usize| 1_000 + 10 * number as u32;
    let mut producers = Vec::new();
    if stage >= Stage::Producers {
        let produce = |number: usize| world.produce(clients[number].0, MediaKind::Audio, &fixtures::audio("0", ssrc(number)));
        producers.extend((0..participants).map(produce));
    }
    if stage >= Stage::Consumers {
        for (own, (_, recv)) in clients.iter().enumerate() {
            let others = producers.iter().enumerate().filter(|(other, _)| *other != own);
            others.for_each(|(_, producer)| drop(world.consume(*recv, *producer)));
        }
    }
    // What they get is of no interest here, and they would take most of the time.
    clients.iter().for_each(|(_, recv)| world.clients[*recv].killed = true);
    let packets = if stage == Stage::Speech { 40 } else { 0 };
    for seq in 0..packets {
        // One after the other, as people are not in step: what is sent at once is the worker's, not theirs.
        for (number, (send, _)) in clients.iter().enumerate() {
            let now = world.now();
            let (ssrc, timestamp, payload) = (ssrc(number), seq as u32 * 960, [seq as u8; 120]);
            let sending = Sending { ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(-30), payload: &payload };
            world.clients[*send].send(&sending, now);
            world.run(Duration::from_micros(800));
        }
    }
    let World { sfu, clients, events, .. } = world;
    drop((clients, events));
    let (before, with_all_before) = (taken().live, in_use());
    drop(sfu);
    let each = |bytes: i64| bytes / participants as i64;
    Heap { own: each(before - taken().live), with_all: in_use().zip(with_all_before).map(|(after, before)| each(before - after)) }
}

/// Bytes in use of the heap as the C library sees it: what AWS-LC takes is in it, and what the allocator adds.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn in_use() -> Option<i64> {
    /// `struct mallinfo2` of glibc: the sizes of what was mapped and of what is in use are the fifth and the eighth.
    #[repr(C)]
    struct Info([usize; 10]);
    unsafe extern "C" {
        fn mallopt(parameter: i32, value: i32) -> i32;
        fn mallinfo2() -> Info;
    }
    const M_ARENA_MAX: i32 = -8;
    // SAFETY: both take and return plain numbers. With one arena, the figures are of all threads.
    let Info(figures) = unsafe {
        mallopt(M_ARENA_MAX, 1);
        mallinfo2()
    };
    i64::try_from(figures[4] + figures[7]).ok()
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn in_use() -> Option<i64> {
    None
}

#[test]
fn an_audio_participant_costs_at_most_64_kib() {
    in_use();
    for (participants, stage) in [(5, Stage::Transports), (5, Stage::Connected), (5, Stage::Producers), (PARTICIPANTS, Stage::Consumers)] {
        eprintln!("of {participants:>2} participants up to {stage:?}, each: {:?}", heap(participants, stage));
    }
    let all = heap(PARTICIPANTS, Stage::Speech);
    eprintln!("of {PARTICIPANTS} participants who speak, each: {all:?}");
    assert!((1_000..=MAX_BYTES).contains(&all.own), "{all:?}");
    assert!(all.with_all.is_none_or(|bytes| (all.own..=MAX_BYTES).contains(&bytes)), "{all:?}");
}
