//! What comes from strangers, or is not what it claims to be, changes nothing and is counted.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Browser, Camera, Client, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::error::ErrorCode;
use parlor_proto::media::{Layers, MediaKind};
use parlor_proto::transport::{Direction, TransportState};
use parlor_testkit::link::Conditions;
use str0m::ice::{StunMessage, TransId};

fn stranger() -> SocketAddr {
    ([203, 0, 113, 9], 4_242).into()
}

fn binding_request(ufrag: &str, password: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let user = format!("{ufrag}:abcd");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, true);
    let mut bytes = vec![0; 300];
    let len = message
        .to_bytes(Some(password.as_bytes()), &mut bytes, |key, parts| crypto.sha1_hmac_provider.sha1_hmac(key, parts))
        .expect("fits");
    bytes.truncate(len);
    bytes
}

/// Alice's transport with the credentials of its last restart.
fn with_credentials(world: &mut World) -> (usize, String, String) {
    let router = world.router();
    let alice = world.client(router, Direction::Send);
    let ice = world.restart_ice(alice);
    (alice, ice.username_fragment, ice.password)
}

/// The code of an error that was answered, and whether it has an integrity.
fn refusal(bytes: &[u8]) -> Option<(u16, bool)> {
    let code = |bytes: &[u8]| match bytes {
        [1, 0x11, ..] => bytes.windows(8).find(|at| at[..2] == [0, 9]).map(|at| u16::from(at[6]) * 100 + u16::from(at[7])),
        _ => None,
    };
    let has_integrity = bytes.windows(4).any(|at| at == [0, 8, 0, 20]);
    code(bytes).map(|code| (code, has_integrity))
}

#[test]
fn stun_is_granted_only_with_the_right_password() {
    let mut world = World::new();
    let (alice, ufrag, password) = with_credentials(&mut world);
    let right = binding_request(&ufrag, &password);
    let wrong = binding_request(&ufrag, "a password that is not the right one");
    let nobodys = binding_request("nobody-here-has-it", &password);
    // RFC 8489, section 9.1.3: without an integrity, as there is no password that both know.
    for request in [&wrong, &nobodys] {
        world.astray.clear();
        world.inject(stranger(), request);
        assert_eq!(refusal(&world.last_astray), Some((401, false)));
        assert!(world.astray[&stranger()] <= request.len());
    }
    let out = world.sfu.stats().datagrams_out;
    // What follows the integrity is a checksum; that protects nothing, and is not needed.
    for at in 0..right.len() - 8 {
        let mut changed = right.clone();
        changed[at] ^= 0x55;
        world.inject(stranger(), &changed);
    }
    (0..right.len()).for_each(|len| world.inject(stranger(), &right[..len]));
    let stats = world.sfu.stats();
    assert_eq!(stats.datagrams_out, out, "what is damaged is no STUN");
    assert!(stats.drops.bad_integrity == 1 && stats.drops.unknown_ufrag == 1 && stats.drops.malformed > 10, "{:?}", stats.drops);
    assert_eq!(world.state(alice), TransportState::New);

    world.inject(stranger(), &right);
    assert_eq!(world.sfu.stats().datagrams_out, out + 1);
    assert_eq!(world.state(alice), TransportState::Connecting);
}

#[test]
fn strangers_are_refused_a_bounded_number_of_times_and_never_with_more_than_they_sent() {
    let mut world = World::new();
    let (_, ufrag, _) = with_credentials(&mut world);
    let request = binding_request(&ufrag, "a password that is not the right one");
    for _ in 0..5 {
        (0..1_000).for_each(|_| world.inject(stranger(), &request));
        world.run(Duration::from_secs(1));
    }
    let sent = world.astray[&stranger()];
    assert!(sent >= 400 * 40 && sent <= 600 * request.len(), "{sent} bytes for 5,000 requests");
    // The shortest request there is, with a right checksum, and nothing in it.
    let mut empty = vec![0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    let checksum = crc32(&empty) ^ 0x5354_554e;
    empty.extend([0x80, 0x28, 0, 4]);
    empty.extend(checksum.to_be_bytes());
    world.run(Duration::from_secs(2));
    world.inject(stranger(), &empty);
    assert_eq!(world.astray[&stranger()], sent, "a refusal would be longer");
}

/// CRC-32 as in ISO 3309.
fn crc32(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

#[test]
fn who_believes_to_be_controlled_is_told_that_the_roles_conflict() {
    let mut world = World::new();
    let (alice, ufrag, password) = with_credentials(&mut world);
    let crypto = str0m::crypto::from_feature_flags();
    let user = format!("{ufrag}:abcd");
    let message = StunMessage::binding_request(&user, TransId::new(), false, 1, 1, false);
    let mut bytes = vec![0; 300];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let len = message.to_bytes(Some(password.as_bytes()), &mut bytes, hmac).expect("fits");
    world.inject(stranger(), &bytes[..len]);
    assert_eq!(refusal(&world.last_astray), Some((487, true)));
    assert_eq!(world.state(alice), TransportState::New, "and nothing else comes of it");
}

#[test]
fn dtls_and_rtp_from_an_unknown_address_are_dropped() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    let mut hello = vec![22, 0xfe, 0xfd];
    hello.resize(200, 0);
    let mut rtp = vec![0x80, 111, 0, 9, 0, 0, 0, 0];
    rtp.extend(1_111_u32.to_be_bytes());
    rtp.resize(60, 0xaa);
    let rtcp = [0x80, 200, 0, 1, 0, 0, 0, 7];
    let before = world.sfu.stats();
    for bytes in [&hello[..], &rtp, &rtcp] {
        world.inject(stranger(), bytes);
    }
    let after = world.sfu.stats();
    assert_eq!(after.drops.unknown_address, before.drops.unknown_address + 3);
    assert_eq!((after.rtp_in, after.datagrams_out), (before.rtp_in, before.datagrams_out));
    speak(&mut world, alice, 1_111, 0, 20, -30);
    world.run(Duration::from_millis(50));
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 20, "the call goes on");
}

#[test]
fn a_forger_at_a_clients_address_cannot_disturb_the_stream() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let consumed = world.consume(bob, producer);
    let address = world.clients[alice].address;
    let mut camera = Camera::simulcast(alice);
    for round in 0_u32..60 {
        // RTP with the right mid and rid, and another SSRC each time; forged sound; broken DTLS and RTCP.
        let mut forged = vec![0x90, 96, 0, 1, 0, 0, 0, 0];
        forged.extend((90_000 + round).to_be_bytes());
        forged.extend([0xbe, 0xde, 0, 2, 0x40, b'1', 0xa1, b'r', b'0', 0, 0, 0]);
        forged.resize(200, 0x11);
        world.inject(address, &forged);
        let mut same_ssrc = vec![0x80, 96, 0x7f, round as u8, 0, 0, 0, 0];
        same_ssrc.extend(7_000_u32.to_be_bytes());
        same_ssrc.resize(100, 0x22);
        world.inject(address, &same_ssrc);
        world.inject(address, &[20, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        // Alerts in plain text, "close notify" and "handshake failure", in the first epoch and in the keyed one.
        for (epoch, level, what) in [(0, 1, 0), (0, 2, 40), (1, 1, 0), (1, 2, 40)] {
            world.inject(address, &[21, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0x40, round as u8, 0, 2, level, what]);
        }
        world.inject(address, &[0x80, 201, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        camera.film(&mut world, Duration::from_millis(50));
    }
    world.run(Duration::from_millis(100));
    assert_eq!(world.state(alice), TransportState::Connected);
    assert_contiguous(&world.clients[bob], &consumed);
    assert!(world.clients[bob].received_of(&consumed.rtp).count() > 100);
}

/// Whoever can write an address as a source, and has a transport of their own, could take it from who uses it.
#[test]
fn an_address_in_use_is_not_given_to_another_transport() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, producer);
    let mallory = world.client(router, Direction::Send);
    let ice = world.restart_ice(mallory);
    let check = binding_request(&ice.username_fragment, &ice.password);
    let (address, out) = (world.clients[alice].address, world.sfu.stats().datagrams_out);
    world.inject(address, &check);
    let stats = world.sfu.stats();
    assert_eq!((stats.drops.taken_address, stats.datagrams_out), (1, out), "counted, and not answered");
    assert_eq!(world.state(mallory), TransportState::New);
    speak(&mut world, alice, 1_111, 0, 20, -30);
    world.run(Duration::from_millis(50));
    assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 20, "the call goes on");

    // A NAT gives a port to another when its first owner is silent.
    world.clients[alice].killed = true;
    world.run(Duration::from_millis(8_100));
    let out = world.sfu.stats().datagrams_out;
    world.inject(address, &check);
    let stats = world.sfu.stats();
    assert_eq!((stats.drops.taken_address, stats.datagrams_out), (1, out + 1));
    assert_eq!(world.state(mallory), TransportState::Connecting);
}

#[test]
fn addresses_of_one_transport_are_bounded() {
    let mut world = World::new();
    let (_, ufrag, password) = with_credentials(&mut world);
    for port in 1_000..1_200 {
        world.inject(([203, 0, 113, 9], port).into(), &binding_request(&ufrag, &password));
    }
    assert!(world.sfu.stats().drops.too_many_addresses > 150);
    let hello = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0];
    let before = world.sfu.stats().drops.unknown_address;
    (1_000..1_200).for_each(|port| world.inject(([203, 0, 113, 9], port).into(), &hello));
    assert!(world.sfu.stats().drops.unknown_address - before > 150, "the others are forgotten");
}

#[test]
fn rooms_do_not_leak_into_each_other() {
    let mut world = World::new();
    let (one, two) = (world.router(), world.router());
    let (alice, bob) = (world.connected(one, Direction::Send), world.connected(one, Direction::Recv));
    let (mallory, eve) = (world.connected(two, Direction::Send), world.connected(two, Direction::Recv));
    let (hers, theirs) = (fixtures::audio("0", 1_111), fixtures::audio("0", 1_111));
    let in_one = world.produce(alice, MediaKind::Audio, &hers);
    let in_two = world.produce(mallory, MediaKind::Audio, &theirs);
    let refused = world.try_consume(eve, in_one, fixtures::chrome_capabilities()).expect_err("refused");
    assert_eq!(refused.code, ErrorCode::NotFound, "what is in another room does not exist");
    let (for_bob, for_eve) = (world.consume(bob, in_one), world.consume(eve, in_two));
    speak(&mut world, alice, 1_111, 0, 30, -30);
    world.run(Duration::from_millis(50));
    assert_eq!(world.clients[bob].received_of(&for_bob.rtp).count(), 30);
    assert_eq!(world.clients[eve].received_of(&for_eve.rtp).count(), 0);
    assert_eq!(world.clients[eve].received.len(), 0);
}

#[test]
fn a_sender_that_ignores_its_bitrate_is_limited() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    // The camera sends about 240 kbit/s.
    let rtp = fixtures::video("1", 2_222);
    let producer = world.try_produce_within(alice, MediaKind::Video, &rtp, 60_000).expect("produced");
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(10));
    let bytes: usize = world.clients[bob].received_of(&consumed.rtp).map(|packet| packet.payload.len()).sum();
    assert_eq!(world.clients[alice].limit, Some(66_000), "it was told, with room for headers and repair");
    assert!(world.sfu.stats().drops.over_bitrate > 100);
    assert!(bytes * 8 / 10 < 60_000 * 2, "{} bit/s", bytes * 8 / 10);
    let quiet = world.try_produce_within(alice, MediaKind::Audio, &fixtures::audio("0", 1), 32_000);
    assert!(quiet.is_ok());
}

#[test]
fn key_frame_requests_of_a_crowd_are_throttled() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let mut camera = Camera::simple(alice, 2_222);
    let mut crowd = Vec::new();
    for _ in 0..4 {
        let client = world.connected_behind(router, Direction::Recv, Conditions::GOOD, Browser::Chrome);
        crowd.push((client, world.consume(client, producer)));
    }
    camera.film(&mut world, Duration::from_secs(1));
    let before = (world.clients[alice].key_frames_wanted(), world.now());
    for _ in 0..20 {
        for (client, consumed) in &crowd {
            world.clients[*client].request_key_frame(&consumed.rtp);
            world.request_key_frame(consumed.consumer);
        }
        world.run(Duration::from_millis(50));
    }
    world.run(Duration::from_secs(1));
    let asked = world.clients[alice].key_frames_wanted() - before.0;
    assert!((2..=4).contains(&asked), "{asked} requests in a second of 160");
}

#[test]
fn who_asks_without_end_for_one_layer_keeps_nobody_from_the_key_frame_of_another() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let (mallory, bob) = (world.connected(router, Direction::Recv), world.connected(router, Direction::Recv));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::simulcast("1"));
    let (small, best) = (world.consume(mallory, producer), world.consume(bob, producer));
    let layers = Layers { spatial_layer: 0, temporal_layer: None };
    world.prefer(small.consumer, layers);
    let mut camera = Camera::simulcast(alice);
    camera.film(&mut world, Duration::from_secs(12));
    let last = world.clients[bob].received_of(&best.rtp).last().expect("received");
    assert_eq!(origin(&last.payload).0, Client::unsignaled_ssrc(2));
    let mut ask_on = |world: &mut World, seconds: u32| {
        for _ in 0..seconds * 30 {
            camera.frame(world);
            for _ in 0..6 {
                world.request_key_frame(small.consumer);
                world.run(common::FRAME / 6);
            }
        }
        [camera.key_frames(0), camera.key_frames(2)]
    };
    let before = ask_on(&mut world, 10);
    world.request_key_frame(best.consumer);
    let after = ask_on(&mut world, 5);
    assert_eq!(after[1], before[1] + 1, "its turn comes");
    assert!(after[0] > before[0], "and that of the other");
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 64, ..Default::default() })]

    /// From a stranger and from a client's own address: nothing breaks, and the call goes on.
    #[test]
    fn random_datagrams_break_nothing(
        datagrams in proptest::collection::vec((proptest::bool::ANY, 0_u8..5, proptest::collection::vec(proptest::num::u8::ANY, 0..120)), 1..40)
    ) {
        let mut world = World::new();
        let router = world.router();
        let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
        let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
        let consumed = world.consume(bob, producer);
        for (known, kind, mut bytes) in datagrams {
            // Random bytes seldom look like anything, so most get a first byte that does.
            if let (Some(first), Some(like)) = (bytes.first_mut(), [None, Some(0), Some(22), Some(0x90), Some(0x81)][usize::from(kind)]) {
                *first = like;
            }
            let from = if known { world.clients[alice].address } else { stranger() };
            world.inject(from, &bytes);
        }
        speak(&mut world, alice, 1_111, 0, 10, -30);
        world.run(Duration::from_millis(50));
        proptest::prop_assert_eq!(world.clients[bob].received_of(&consumed.rtp).count(), 10);
    }
}
