//! A flood from one address costs a call that goes on nothing: no packet, no memory, and no answers.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use common::heap::{Counting, taken};
use common::{Call, Camera, World, assert_contiguous, fixtures, speak};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::{Direction, TransportState};
use str0m::ice::{StunMessage, TransId};

#[global_allocator]
static HEAP: Counting = Counting;

/// 50,000 datagrams in a second.
const PER_MILLISECOND: usize = 50;

fn mallory() -> SocketAddr {
    ([203, 0, 113, 9], 4_242).into()
}

fn binding_request(ufrag: &str, password: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let message = StunMessage::binding_request(ufrag, TransId::new(), true, 1, 1, true);
    let mut bytes = vec![0; 300];
    let sha1 = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let len = message.to_bytes(Some(password.as_bytes()), &mut bytes, sha1).expect("fits");
    bytes.truncate(len);
    bytes
}

/// One of each kind: checks for a transport there is and for none, hellos, media, reports, and what is nothing.
fn kinds(ufrag: &str) -> Vec<Vec<u8>> {
    let mut hello = vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 180, 1, 0, 0, 168, 0, 0, 0, 0, 0, 0, 0, 168, 0xfe, 0xfd];
    hello.resize(193, 7);
    let mut rtp = vec![0x80, 111, 0, 9, 0, 0, 0, 0];
    rtp.extend(1_111_u32.to_be_bytes());
    rtp.resize(120, 0xaa);
    let mut rtcp = vec![0x81, 206, 0, 2, 0, 0, 0, 7];
    rtcp.extend(1_111_u32.to_be_bytes());
    rtcp.resize(40, 0x55);
    vec![
        binding_request(&format!("{ufrag}:abcd"), "not the password, but as long"),
        binding_request("nobody-is-here:abcd", "whatever"),
        hello,
        rtp,
        rtcp,
        vec![0xff; 1_400],
        Vec::new(),
    ]
}

thread_local! {
    static BEGAN: Cell<i64> = const { Cell::new(0) };
    static KEPT: Cell<i64> = const { Cell::new(0) };
}

/// Sums up what is kept of what arrives.
fn watch(call: Call, begins: bool) {
    match (call, begins) {
        (Call::Rtp | Call::Datagram | Call::Clear, true) => BEGAN.set(taken().live),
        (Call::Rtp | Call::Datagram | Call::Clear, false) => KEPT.set(KEPT.get() + taken().live - BEGAN.get()),
        _ => {}
    }
}

#[test]
fn a_call_goes_on_through_a_flood_that_leaves_nothing_behind() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let sound = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let consumed = world.consume(bob, sound);
    speak(&mut world, alice, 1_111, 0, 50, -30);
    let ice = world.restart_ice(bob);
    let kinds = kinds(&ice.username_fragment);
    let before = world.sfu.stats();
    let (mut answers, mut flooded) = (0, 0_u64);
    for packet in 50..150 {
        for _ in 0..20 {
            let out = world.sfu.stats().datagrams_out;
            world.watch = watch;
            for number in 0..PER_MILLISECOND {
                world.inject(mallory(), &kinds[number % kinds.len()]);
            }
            world.watch = |_, _| {};
            flooded += PER_MILLISECOND as u64;
            answers += world.sfu.stats().datagrams_out - out;
            world.run(Duration::from_millis(1));
        }
        let now = world.now();
        let payload = [0xf8, 0xff, 0xfe, packet as u8];
        let sending = common::Sending {
            ssrc: 1_111,
            payload_type: 111,
            seq: packet,
            timestamp: packet as u32 * 960,
            marker: false,
            audio_level: Some(-30),
            payload: &payload,
        };
        world.clients[alice].send(&sending, now);
    }
    world.run(Duration::from_millis(100));
    assert_eq!(flooded, 100_000, "in two seconds");
    let after = world.sfu.stats();
    assert!(answers <= 300, "{answers} in two seconds: who has no password is refused at most a hundred times in each");
    assert_eq!(KEPT.get(), 0, "bytes kept of the flood");
    assert_eq!(
        (after.routers, after.transports, after.producers, after.consumers),
        (before.routers, before.transports, before.producers, before.consumers)
    );
    let drops = after.drops;
    assert!(drops.bad_integrity >= 14_000 && drops.unknown_ufrag >= 14_000, "{drops:?}");
    assert!(drops.unknown_address >= 42_000 && drops.malformed >= 28_000, "{drops:?}");

    let arrivals: Vec<_> = world.clients[bob].received_of(&consumed.rtp).map(|packet| packet.timestamp).collect();
    assert_eq!(arrivals.len(), 150, "every packet of the call");
    assert_contiguous(&world.clients[bob], &consumed);
    let late = arrivals[50..].windows(2).map(|pair| pair[1] - pair[0]).max().expect("some");
    assert!(late <= Duration::from_millis(21), "none of them later: {late:?}");
    assert_eq!((world.state(alice), world.state(bob)), (TransportState::Connected, TransportState::Connected));
}

#[test]
fn who_knows_a_password_gets_one_answer_for_each_check_and_no_more() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.client(router, Direction::Send);
    let ice = world.restart_ice(alice);
    let request = binding_request(&format!("{}:abcd", ice.username_fragment), &ice.password);
    let (out, mut bytes) = (world.sfu.stats(), 0);
    for _ in 0..1_000 {
        bytes += request.len() as u64;
        world.inject(mallory(), &request);
    }
    let stats = world.sfu.stats();
    assert!(stats.datagrams_out - out.datagrams_out <= 1_000);
    assert!(stats.bytes_out - out.bytes_out <= bytes, "an answer is no longer than the question: nothing is amplified");
}

#[test]
fn who_knows_a_password_is_answered_fifty_times_a_second_in_the_long_run() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.client(router, Direction::Send);
    let ice = world.restart_ice(alice);
    let request = binding_request(&format!("{}:abcd", ice.username_fragment), &ice.password);
    for _ in 0..4_000 {
        (0..4).for_each(|_| world.inject(mallory(), &request));
        world.run(Duration::from_millis(1));
    }
    let stats = world.sfu.stats();
    // Four seconds, and what a browser with a dozen addresses does while it connects.
    assert!((500..=500 + 4 * 50 + 20).contains(&stats.work.checks), "{:?}", stats.work);
    assert!(stats.drops.over_checks > 15_000, "{:?}", stats.drops);
}

#[test]
fn a_flood_from_a_clients_own_address_harms_nobody_elses_picture() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob, eve) =
        (world.connected(router, Direction::Send), world.connected(router, Direction::Recv), world.connected(router, Direction::Send));
    let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let consumed = world.consume(bob, producer);
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_millis(500));
    let already = world.clients[bob].received_of(&consumed.rtp).count() as u64;
    let first = camera.next_seq(0);
    let (from, kinds) = (world.clients[eve].address, kinds("nobody"));
    for _ in 0..30 {
        camera.film(&mut world, common::FRAME);
        (0..1_000).for_each(|number| world.inject(from, &kinds[number % kinds.len()]));
    }
    world.run(Duration::from_millis(100));
    let received = world.clients[bob].received_of(&consumed.rtp).count() as u64;
    assert!(received - already >= camera.next_seq(0) - first);
    assert_contiguous(&world.clients[bob], &consumed);
}
