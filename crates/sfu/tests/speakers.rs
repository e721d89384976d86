//! Active speakers: who is reported to be heard, and how loud.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Sending, World, fixtures, speak};
use parlor_proto::ids::ProducerId;
use parlor_proto::media::{MediaCommand, MediaEvent, MediaKind};
use parlor_proto::transport::Direction;

fn reports(world: &World) -> Vec<Vec<(ProducerId, i8)>> {
    let of = |event: &MediaEvent| match event {
        MediaEvent::Speakers { levels, .. } => Some(levels.clone()),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

#[test]
fn speakers_are_reported_loudest_first_and_their_end_once() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Send));
    let quiet = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let loud = world.produce(bob, MediaKind::Audio, &fixtures::audio("0", 2_222));
    for seq in 0..100_u64 {
        for (client, ssrc, level) in [(alice, 1_111, -40), (bob, 2_222, -20)] {
            let timestamp = u32::try_from(seq * 960).expect("small");
            let now = world.now();
            let sending = Sending { ssrc, payload_type: 111, seq, timestamp, marker: false, audio_level: Some(level), payload: &[1, 2, 3] };
            world.clients[client].send(&sending, now);
        }
        world.run(Duration::from_millis(20));
    }
    let both: Vec<_> = reports(&world).into_iter().filter(|levels| levels.len() == 2).collect();
    assert_eq!(both[0], [(loud, -20), (quiet, -40)]);
    assert!(reports(&world).len() <= 8, "at most four a second");
    world.run(Duration::from_secs(3));
    assert_eq!(reports(&world).last(), Some(&Vec::new()));
    let ends = reports(&world).iter().filter(|levels| levels.is_empty()).count();
    assert_eq!(ends, 1, "silence is told once");
}

#[test]
fn a_muted_microphone_is_not_a_speaker() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    world.command(MediaCommand::SetProducerPaused { producer, paused: true });
    speak(&mut world, alice, 1_111, 0, 100, -20);
    assert_eq!(reports(&world), Vec::<Vec<_>>::new());
}

#[test]
fn the_speakers_of_a_room_are_its_own() {
    let mut world = World::new();
    let (one, two) = (world.router(), world.router());
    let alice = world.connected(one, Direction::Send);
    world.connected(two, Direction::Send);
    world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    speak(&mut world, alice, 1_111, 0, 50, -20);
    let rooms: Vec<_> = world
        .reported
        .iter()
        .filter_map(|(router, event)| match event {
            MediaEvent::Speakers { .. } => Some(*router),
            _ => None,
        })
        .collect();
    assert!(!rooms.is_empty() && rooms.iter().all(|router| *router == one));
}
