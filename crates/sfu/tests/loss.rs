//! What networks do to packets: repaired where it can be, and felt by nobody else.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{Camera, Consumed, FRAME, Special, World, assert_contiguous, fixtures, origin};
use parlor_proto::ids::{ProducerId, RouterId};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;
use str0m::rtp::rtcp::Rtcp;

const SSRC: u32 = 2_222;

/// A client who films, with what was produced of it.
struct Filmed {
    client: usize,
    producer: ProducerId,
    camera: Camera,
}

fn film_by(world: &mut World, router: RouterId, ssrc: u32) -> Filmed {
    let client = world.connected_with(router, Direction::Send, Special { watched: true, ..Special::default() });
    let producer = world.produce(client, MediaKind::Video, &fixtures::video("1", ssrc));
    Filmed { client, producer, camera: Camera::of(client, ssrc, 2, 600) }
}

fn lossy(loss: f64) -> Conditions {
    Conditions { loss, delay: Duration::from_millis(20), ..Conditions::GOOD }
}

/// The sender's numbers of what arrived, and how many of them are missing.
fn arrived(world: &World, client: usize, consumed: &Consumed) -> (BTreeSet<u64>, u64) {
    let numbers: BTreeSet<u64> = world.clients[client].received_of(&consumed.rtp).map(|packet| origin(&packet.payload).1).collect();
    let missing = match (numbers.first(), numbers.last()) {
        (Some(first), Some(last)) => last - first + 1 - numbers.len() as u64,
        _ => 0,
    };
    (numbers, missing)
}

/// Numbers the `Sfu` asked a sender for again; one counts as often as it was asked for.
fn asked_again(world: &World, client: usize) -> u64 {
    let of = |rtcp: &Rtcp| match rtcp {
        Rtcp::Nack(nack) => nack.reports.iter().map(|entry| 1 + u64::from(entry.blp.count_ones())).sum(),
        _ => 0,
    };
    world.clients[client].rtcp.iter().map(|(_, rtcp)| of(rtcp)).sum()
}

#[test]
fn what_is_lost_on_the_way_in_is_asked_for_again_and_repaired() {
    for (loss, allowed_missing) in [(0.05, 0), (0.2, 3)] {
        let mut world = World::new();
        let router = world.router();
        let mut alice = film_by(&mut world, router, SSRC);
        let bob = world.connected(router, Direction::Recv);
        let consumed = world.consume(bob, alice.producer);
        alice.camera.film(&mut world, Duration::from_secs(1));
        world.clients[alice.client].up.set_conditions(lossy(loss));
        alice.camera.film(&mut world, Duration::from_secs(10));
        world.clients[alice.client].up.set_conditions(Conditions::GOOD);
        alice.camera.film(&mut world, Duration::from_secs(1));
        world.run(Duration::from_millis(500));

        let lost = world.clients[alice.client].up.lost();
        let asked = asked_again(&world, alice.client);
        // A few of what was lost is RTCP; what is lost again is asked for again.
        assert!(asked * 10 >= lost * 7 && asked <= lost * 2, "{asked} numbers were asked for, {lost} packets lost");
        let (numbers, missing) = arrived(&world, bob, &consumed);
        assert!(numbers.len() > 650 && missing <= allowed_missing, "at {loss}: {missing} of {}", numbers.len());
    }
}

#[test]
fn what_is_lost_on_the_way_out_is_repeated_from_the_store_and_costs_nobody_else_anything() {
    for (loss, allowed_missing) in [(0.05, 0), (0.2, 6)] {
        let mut world = World::new();
        let router = world.router();
        let mut alice = film_by(&mut world, router, SSRC);
        let (bob, carol) = (world.connected(router, Direction::Recv), world.connected(router, Direction::Recv));
        let (for_bob, for_carol) = (world.consume(bob, alice.producer), world.consume(carol, alice.producer));
        alice.camera.film(&mut world, Duration::from_secs(1));
        let key_frames = alice.camera.key_frames(0);
        world.clients[bob].down.set_conditions(lossy(loss));
        alice.camera.film(&mut world, Duration::from_secs(10));
        world.clients[bob].down.set_conditions(Conditions::GOOD);
        alice.camera.film(&mut world, Duration::from_secs(1));
        world.run(Duration::from_millis(500));

        let (numbers, missing) = arrived(&world, bob, &for_bob);
        assert!(numbers.len() > 650 && missing <= allowed_missing, "at {loss}: {missing} of {}", numbers.len());
        assert!(world.sfu.stats().rtp_repeated > 20);
        assert_eq!(asked_again(&world, alice.client), 0, "the sender is not asked for what is here");
        assert_eq!(alice.camera.key_frames(0), key_frames, "nobody needs another key frame");
        assert_contiguous(&world.clients[carol], &for_carol);
        let carols = world.clients[carol].received_of(&for_carol.rtp).count();
        assert_eq!(carols, arrived(&world, carol, &for_carol).0.len(), "once each");
        assert!(numbers.is_subset(&arrived(&world, carol, &for_carol).0));
    }
}

#[test]
fn repeating_is_bounded_however_much_is_lost() {
    let mut world = World::new();
    let router = world.router();
    let mut alice = film_by(&mut world, router, SSRC);
    let bob = world.connected(router, Direction::Recv);
    world.consume(bob, alice.producer);
    alice.camera.film(&mut world, Duration::from_secs(1));
    let before = world.sfu.stats();
    world.clients[bob].down.set_conditions(lossy(0.7));
    alice.camera.film(&mut world, Duration::from_secs(10));
    let after = world.sfu.stats();
    let (forwarded, repeated) = (after.rtp_forwarded - before.rtp_forwarded, after.rtp_repeated - before.rtp_repeated);
    // Half of what is sent, and what may be saved up: 64 KiB of 600 bytes.
    assert!(repeated > 50 && repeated <= forwarded / 2 + 110, "{repeated} repeated of {forwarded}");
}

#[test]
fn the_bad_network_of_one_sender_is_felt_only_by_who_watches_it() {
    let mut world = World::new();
    let router = world.router();
    let (mut alice, mut dave) = (film_by(&mut world, router, SSRC), film_by(&mut world, router, 3_333));
    let bob = world.connected(router, Direction::Recv);
    world.consume(bob, alice.producer);
    let of_dave = world.consume(bob, dave.producer);
    dave.camera.film(&mut world, Duration::from_secs(1));
    let key_frames = dave.camera.key_frames(0);
    let already = world.clients[bob].received_of(&of_dave.rtp).count();
    world.clients[alice.client].up.set_conditions(lossy(0.3));
    for _ in 0..300 {
        dave.camera.frame(&mut world);
        alice.camera.frame(&mut world);
        world.run(FRAME);
    }
    world.run(Duration::from_millis(100));
    assert!(world.clients[alice.client].up.lost() > 100);
    let numbers: Vec<u64> = world.clients[bob].received_of(&of_dave.rtp).map(|packet| origin(&packet.payload).1).collect();
    assert_eq!(numbers.len() - already, 600, "everything");
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "in order");
    assert_contiguous(&world.clients[bob], &of_dave);
    assert_eq!(dave.camera.key_frames(0), key_frames);
    assert_eq!(asked_again(&world, dave.client), 0);
}

#[test]
fn what_comes_twice_or_out_of_order_is_sent_once_and_leaves_no_gap() {
    let mut world = World::new();
    let router = world.router();
    let mut alice = film_by(&mut world, router, SSRC);
    let bob = world.connected(router, Direction::Recv);
    let consumed = world.consume(bob, alice.producer);
    alice.camera.film(&mut world, Duration::from_millis(500));
    let key_frames = alice.camera.key_frames(0);
    let messy = Conditions { duplication: 0.2, reordering: 0.1, jitter: Duration::from_millis(15), ..Conditions::GOOD };
    world.clients[alice.client].up.set_conditions(messy);
    alice.camera.film(&mut world, Duration::from_secs(10));
    world.run(Duration::from_millis(500));

    assert_contiguous(&world.clients[bob], &consumed);
    let all = world.clients[bob].received_of(&consumed.rtp).count();
    let (numbers, missing) = arrived(&world, bob, &consumed);
    assert_eq!((numbers.len(), missing), (all, 0), "every packet once");
    assert_eq!(alice.camera.key_frames(0), key_frames, "and no key frame for it");
    // Whatever overtook it, a packet keeps its place.
    let mut packets: Vec<_> = world.clients[bob].received_of(&consumed.rtp).collect();
    packets.sort_by_key(|packet| packet.seq_no);
    assert!(packets.windows(2).all(|pair| origin(&pair[1].payload).1 == origin(&pair[0].payload).1 + 1));
    assert!(world.sfu.stats().drops.replayed > 50, "there were some to drop");
}

#[test]
fn a_hole_that_cannot_be_repaired_is_followed_by_a_key_frame() {
    let mut world = World::new();
    let router = world.router();
    let mut alice = film_by(&mut world, router, SSRC);
    let bob = world.connected(router, Direction::Recv);
    let consumed = world.consume(bob, alice.producer);
    alice.camera.film(&mut world, Duration::from_secs(1));
    let key_frames = alice.camera.key_frames(0);
    // The sender cannot repeat what it does not know.
    alice.camera.lose(5);
    let hole = alice.camera.next_seq(0);
    alice.camera.film(&mut world, Duration::from_secs(4));
    world.run(Duration::from_millis(100));
    assert_eq!(alice.camera.key_frames(0), key_frames + 1, "one is asked for");
    let asked = asked_again(&world, alice.client);
    assert!((5..=50).contains(&asked), "ten times each at the most: {asked}");
    let after: Vec<_> = world.clients[bob].received_of(&consumed.rtp).map(|packet| origin(&packet.payload)).collect();
    let key = after.iter().find(|(_, seq, key)| *seq >= hole && *key).expect("a key frame");
    assert!(key.1 <= hole + 2 * 30 * 2, "within two seconds: {} after {hole}", key.1);
    let last = after.last().expect("received").1;
    assert_eq!(last, alice.camera.next_seq(0) - 1, "and it goes on");
}
