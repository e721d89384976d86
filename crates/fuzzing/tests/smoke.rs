//! Every fuzz target for a short while on stable: the seeds, changed at random a bounded number of times.
//!
//! Inputs depend on the fixed seed below alone, so a failure repeats. `make fuzz` searches deeper.

#![allow(clippy::panic, clippy::expect_used, clippy::indexing_slicing, reason = "a test reports by a panic")]

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use parlor_fuzzing::readers;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Runs `body` on every seed, then on `rounds` changed or random inputs.
fn smoke(target: &str, body: fn(&[u8]), rounds: usize) {
    let seeds = seeds(target);
    let mut random = StdRng::seed_from_u64(7);
    for seed in &seeds {
        attempt(target, body, seed);
    }
    for round in 0..rounds {
        let input = match seeds.get(round % (seeds.len() + 1)) {
            Some(seed) => changed(seed, &seeds, &mut random),
            None => {
                let len = random.random_range(0..2048);
                (0..len).map(|_| random.random()).collect()
            }
        };
        attempt(target, body, &input);
    }
}

fn attempt(target: &str, body: fn(&[u8]), input: &[u8]) {
    if catch_unwind(|| body(input)).is_err() {
        panic!("{target} fails on {input:?}");
    }
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// A few of: a byte replaced, a stretch removed, repeated, or taken from another seed.
fn changed(seed: &[u8], seeds: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = seed.to_vec();
    for _ in 0..random.random_range(1..=6) {
        let from = random.random_range(0..=input.len());
        let to = random.random_range(from..=input.len().min(from + 64));
        match random.random_range(0..4) {
            0 if from < input.len() => input[from] = random.random(),
            1 => drop(input.drain(from..to)),
            2 => {
                let stretch = input[from..to].to_vec();
                input.splice(from..from, stretch);
            }
            _ => {
                let other = &seeds[random.random_range(0..seeds.len())];
                let start = random.random_range(0..=other.len());
                let end = random.random_range(start..=other.len().min(start + 64));
                input.splice(from..to, other[start..end].iter().copied());
            }
        }
    }
    input
}

#[test]
fn arbitrary_payloads_are_read_or_refused() {
    smoke("socketio", parlor_fuzzing::socketio::run, 20_000);
    smoke("engineio", parlor_fuzzing::engineio::run, 5_000);
    smoke("envelope", parlor_fuzzing::envelope::run, 5_000);
    smoke("text", parlor_fuzzing::text::run, 5_000);
    smoke("packets", parlor_fuzzing::packets::run, 10_000);
}

#[test]
fn a_room_keeps_its_promises_whatever_happens_in_whatever_order() {
    smoke("rooms", parlor_fuzzing::rooms::run, 150);
}

#[test]
fn arbitrary_datagrams_never_harm_the_media_plane() {
    smoke("datagrams", parlor_fuzzing::datagrams::run, 1_000);
}

#[test]
fn arbitrary_media_of_a_client_with_keys_never_harms_a_call() {
    smoke("media", parlor_fuzzing::media::run, 120);
}

#[test]
fn whole_sequences_of_operations_on_two_threads_seal_no_number_twice() {
    smoke("operations", parlor_fuzzing::operations::run, 60);
}

#[test]
fn what_is_read_of_a_packet_and_written_again_reads_the_same() {
    smoke("rtp", readers::rtp, 10_000);
    smoke("rtcp", readers::rtcp, 10_000);
    smoke("red", readers::red, 4_000);
    smoke("stun", readers::stun, 500);
    smoke("framing", readers::framing, 2_000);
}

#[test]
fn streams_keep_their_promises_whatever_their_packets_say() {
    smoke("rtx", readers::rtx, 1_500);
    smoke("descriptor", readers::descriptor, 1_500);
    smoke("stream", readers::stream, 2_000);
}

#[test]
fn the_turn_server_relays_to_nobody_it_must_not_whatever_comes() {
    smoke("turn-bytes", parlor_fuzzing::turn::bytes, 5_000);
    smoke("turn-operations", parlor_fuzzing::turn::operations, 1_500);
}
