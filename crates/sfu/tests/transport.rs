//! The ways a client can connect, and what nobody can do to a connection from outside.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use common::{Camera, Special, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::media::{MediaCommand, MediaKind};
use parlor_proto::transport::{Direction, Protocol, TransportState};
use parlor_testkit::link::Conditions;
use str0m::config::DtlsVersion;

/// Somebody speaks from one connection of a kind to another; everything must arrive.
fn assert_sound_passes(special: Special, protocol: Protocol) {
    let mut world = World::new();
    let router = world.router();
    let mut connect = |direction| {
        let client = world.client_with(router, direction, special);
        world.clients[client].protocol = protocol;
        world.connect(client);
        world.until("a connection", |world| world.clients[client].connected);
        // Either end may be the first to know.
        world.run(Duration::from_millis(50));
        client
    };
    let (alice, bob) = (connect(Direction::Send), connect(Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 30, -30);
    world.run(Duration::from_millis(100));
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 30, "{special:?} {protocol:?}");
    assert_contiguous(&world.clients[bob], &consumed);
}

#[test]
fn either_side_can_begin_dtls_in_every_version() {
    for dtls in [DtlsVersion::Auto, DtlsVersion::Dtls12, DtlsVersion::Dtls13] {
        for begins in [true, false] {
            assert_sound_passes(Special { dtls, begins, ..Special::default() }, Protocol::Udp);
        }
    }
}

#[test]
fn ipv6_and_tcp_carry_a_call() {
    for (ipv6, protocol) in [(true, Protocol::Udp), (false, Protocol::Tcp), (true, Protocol::Tcp)] {
        assert_sound_passes(Special { ipv6, ..Special::default() }, protocol);
    }
}

#[test]
fn fingerprints_stronger_than_sha_256_are_verified() {
    for algorithm in ["sha-384", "sha-512"] {
        for right in [true, false] {
            let mut world = World::new();
            let router = world.router();
            let client = world.client(router, Direction::Send);
            let mut dtls = world.clients[client].dtls_parameters();
            let mut fingerprint = world.clients[client].fingerprint(algorithm);
            if !right {
                let flipped = if fingerprint.value.starts_with('0') { "1" } else { "0" };
                fingerprint.value.replace_range(0..1, flipped);
            }
            // The right one of a weaker hash beside it must not help.
            dtls.fingerprints.push(fingerprint);
            let transport = world.clients[client].transport;
            world.command(MediaCommand::ConnectTransport { transport, dtls });
            world.run(Duration::from_secs(3));
            let wanted = if right { TransportState::Connected } else { TransportState::Failed };
            assert_eq!(world.state(client), wanted, "{algorithm}");
        }
    }
}

#[test]
fn a_hello_from_an_address_without_a_check_takes_no_handshake_over() {
    let mut world = World::new();
    let router = world.router();
    let client = world.client(router, Direction::Send);
    world.clients[client].recorded = Some(Vec::new());
    world.connect(client);
    let hello = |world: &World| {
        let recorded = world.clients[client].recorded.as_ref().expect("recorded");
        recorded.iter().find(|bytes| bytes.first() == Some(&22)).cloned()
    };
    world.until("a hello", |world| hello(world).is_some());
    let hello = hello(&world).expect("there is one");
    let (before, mallory) = (world.sfu.stats(), SocketAddr::from(([203, 0, 113, 9], 4_242)));
    (0..100).for_each(|_| world.inject(mallory, &hello));
    let after = world.sfu.stats();
    assert_eq!(after.drops.unknown_address, before.drops.unknown_address + 100);
    assert_eq!(after.datagrams_out, before.datagrams_out, "not one answer");
    world.until("a connection", |world| world.clients[client].connected);
}

/// Bytes without a pattern, the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.next() as u8);
    }
}

/// A datagram that looks like the client's own, from its own address, without its keys.
fn forged(noise: &mut Noise, ssrc: u32, near: u16) -> Vec<u8> {
    let mut bytes = vec![0; 60 + noise.next() as usize % 100];
    noise.fill(&mut bytes);
    let seq = near.wrapping_add(noise.next() as u16 % 2_000).wrapping_sub(500);
    match noise.next() % 5 {
        0 | 1 => {
            bytes[..4].copy_from_slice(&[0x80, 96, (seq >> 8) as u8, seq as u8]);
            bytes[8..12].copy_from_slice(&ssrc.to_be_bytes());
        }
        2 => {
            let kind = 200 + noise.next() as u8 % 7;
            bytes[..4].copy_from_slice(&[0x81, kind, 0, 6]);
            bytes[4..8].copy_from_slice(&ssrc.to_be_bytes());
        }
        3 => bytes[..5].copy_from_slice(&[20 + noise.next() as u8 % 6, 0xfe, 0xfd, 0, noise.next() as u8 % 2]),
        // The unified header of DTLS 1.3.
        _ => bytes[0] = 0x2c + noise.next() as u8 % 4,
    }
    bytes
}

#[test]
fn a_hundred_thousand_forged_and_replayed_packets_disturb_nothing() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::of(alice, 2_222, 2, 300);
    camera.film(&mut world, Duration::from_millis(500));
    let addresses = [world.clients[alice].address, world.clients[bob].address];
    let forwarded_before = world.clients[bob].received_of(&consumed.rtp).count() as u64;
    let sent_before = camera.next_seq(0);
    let (mut noise, asked) = (Noise(1), camera.key_frames(0));
    world.clients[alice].recorded = Some(Vec::new());
    for round in 0..100_u64 {
        camera.film(&mut world, common::FRAME);
        let mut recorded = std::mem::take(world.clients[alice].recorded.as_mut().expect("recorded"));
        recorded.retain(|bytes| matches!(bytes.first(), Some(20..=191)));
        // What is on its way is not there yet: what comes first of it is not the replay.
        world.run(Conditions::GOOD.delay);
        for number in 0..1_000_usize {
            let from = addresses[number % 2];
            if number % 10 == 0 && !recorded.is_empty() {
                let replayed = recorded[number / 10 % recorded.len()].clone();
                world.inject(addresses[0], &replayed);
            } else {
                let ssrc = if number % 2 == 0 { 2_222 } else { consumed.rtp.encodings[0].ssrc.expect("an ssrc") };
                let forged = forged(&mut noise, ssrc, camera.next_seq(0) as u16);
                world.inject(from, &forged);
            }
        }
        assert_eq!(world.state(alice), TransportState::Connected, "after {round} rounds");
    }
    world.run(Duration::from_millis(200));
    assert_eq!(world.state(bob), TransportState::Connected);
    assert_contiguous(&world.clients[bob], &consumed);
    let received = world.clients[bob].received_of(&consumed.rtp).count() as u64;
    assert_eq!(received - forwarded_before, camera.next_seq(0) - sent_before, "everything, once");
    assert_eq!(camera.key_frames(0), asked, "nobody can ask in another's name");
    assert!(world.sfu.stats().drops.replayed > 5_000, "{:?}", world.sfu.stats());
}

#[test]
fn numbers_roll_over_under_loss_in_both_directions() {
    let mut world = World::new();
    let router = world.router();
    let lossy = Conditions { loss: 0.02, ..Conditions::GOOD };
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.try_produce_within(alice, MediaKind::Video, &fixtures::video("1", 2_222), 40_000_000).expect("produced");
    let consumed = world.consume(bob, producer);
    world.clients[alice].up.set_conditions(lossy);
    world.clients[bob].down.set_conditions(lossy);
    let mut camera = Camera::of(alice, 2_222, 50, 60).starting_at(65_500);
    let rolled = |world: &World| world.clients[bob].received.iter().any(|packet| *packet.seq_no > 66_000);
    // What is sent begins below 32,768: so many packets are enough, wherever it begins.
    for _ in 0..1_400 {
        camera.film(&mut world, common::FRAME);
        if rolled(&world) {
            break;
        }
    }
    assert!(rolled(&world), "the numbers of a receiver rolled over");
    world.clients[alice].up.set_conditions(Conditions::GOOD);
    world.clients[bob].down.set_conditions(Conditions::GOOD);
    camera.film(&mut world, Duration::from_secs(1));
    world.run(Duration::from_millis(300));
    assert_eq!((world.state(alice), world.state(bob)), (TransportState::Connected, TransportState::Connected));
    let received: BTreeSet<u64> = world.clients[bob].received_of(&consumed.rtp).map(|packet| origin(&packet.payload).1).collect();
    let (first, last) = (*received.first().expect("received"), *received.last().expect("received"));
    assert!(first < 65_600 && last == camera.next_seq(0) - 1, "{first} to {last}");
    let missing = last - first + 1 - received.len() as u64;
    // The client gives up what is a hundred packets late: here within a retry.
    assert!(missing * 400 <= last - first, "{missing} of {} were not repaired", last - first);
}

#[test]
fn who_falls_silent_is_disconnected_then_failed_and_sent_nothing_more() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    world.consume(bob, producer);
    speak(&mut world, alice, 1_111, 0, 50, -30);
    world.clients[bob].killed = true;
    speak(&mut world, alice, 1_111, 50, 500, -30);
    assert_eq!(world.state(bob), TransportState::Disconnected, "after 10 s");
    let before = world.clients[bob].sent_to;
    speak(&mut world, alice, 1_111, 550, 50, -30);
    assert!(world.clients[bob].sent_to >= before + 50, "it may come back");
    speak(&mut world, alice, 1_111, 600, 350, -30);
    assert_eq!(world.state(bob), TransportState::Failed, "after 18 s");
    let before = world.clients[bob].sent_to;
    speak(&mut world, alice, 1_111, 950, 100, -30);
    assert_eq!(world.clients[bob].sent_to, before, "its address may be somebody else's by now");
    assert_eq!(world.state(alice), TransportState::Connected);
}
