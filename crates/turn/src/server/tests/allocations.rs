//! Allocations: what is asked for, how long they last, and how they end.

use stun_types::AddressFamily;
use stun_types::attribute::RawAttribute;
use stun_types::message::TransactionId;
use turn_types::attribute::{
    AdditionalAddressFamily, DontFragment, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
};
use turn_types::message::{ALLOCATE, REFRESH};

use super::*;

fn udp() -> RequestedTransport {
    RequestedTransport::new(RequestedTransport::UDP)
}

fn allocate(with: &[&dyn stun_types::attribute::AttributeWrite]) -> (World, Client, Reply) {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let reply = world.ask(&mut client, ALLOCATE, with);
    (world, client, reply)
}

#[test]
fn an_allocation_has_an_address_a_lifetime_and_tells_the_client_its_own_address() {
    let (world, client, reply) = allocate(&[&udp()]);
    let relayed = reply.relayed.expect("an address");
    assert_eq!(relayed.ip(), RELAY.parse::<IpAddr>().expect("an address"));
    assert!((49_152..=65_535).contains(&relayed.port()));
    assert_eq!((reply.mapped, reply.lifetime), (Some(client.path.remote), Some(600)));
    assert!(reply.is_signed_by(&client));
    assert_eq!(world.relays.len(), 1);
}

#[test]
fn a_request_that_comes_twice_is_answered_alike_and_another_one_is_a_mismatch() {
    let (mut world, client, _) = allocate(&[&udp()]);
    let mut other = Client::new(UDP, "alice", "198.51.100.7:4001");
    other.nonce = None;
    world.ask(&mut other, REFRESH, &[]);
    let transaction = TransactionId::generate();
    let request = other.request_as(transaction, ALLOCATE, &[&udp()]);
    world.handle(other.path, &request);
    let first = world.reply(&other).expect("an answer");
    world.handle(other.path, &request);
    let second = world.reply(&other).expect("an answer");
    assert_eq!((first.code, first.bytes), (0, second.bytes));
    assert_eq!(world.turn.stats().allocations, 2);
    let again = client.request(ALLOCATE, &[&udp()]);
    world.handle(client.path, &again);
    assert_eq!(world.reply(&client).expect("an answer").code, 437);
}

#[test]
fn only_udp_is_relayed() {
    assert_eq!(allocate(&[]).2.code, 400);
    assert_eq!(allocate(&[&RequestedTransport::new(RequestedTransport::TCP)]).2.code, 442);
}

#[test]
fn a_family_is_as_asked_for_or_refused() {
    let (_, _, reply) = allocate(&[&udp(), &RequestedAddressFamily::new(AddressFamily::IPV6)]);
    assert_eq!(reply.relayed.map(|address| address.ip()), Some(RELAY_V6.parse().expect("an address")));
    let (_, _, reply) = allocate(&[&udp(), &RequestedAddressFamily::new(AddressFamily::IPV4)]);
    assert!(reply.relayed.is_some_and(|address| address.is_ipv4()));
    let unknown = RawAttribute::new(0x0017.into(), &[9, 0, 0, 0]);
    assert_eq!(allocate(&[&udp(), &unknown]).2.code, 440);
    let mut only_v4 = config(Peers::Mesh, Limits::default());
    only_v4.relays.pop();
    let mut world = World::new(Peers::Mesh);
    world.turn = Turn::new(only_v4, world.now);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let reply = world.ask(&mut client, ALLOCATE, &[&udp(), &RequestedAddressFamily::new(AddressFamily::IPV6)]);
    assert_eq!(reply.code, 440);
}

#[test]
fn a_second_address_of_the_other_family_is_refused_beside_the_first() {
    let additional = AdditionalAddressFamily::new(AddressFamily::IPV6);
    let (_, _, reply) = allocate(&[&udp(), &additional]);
    assert_eq!((reply.code, reply.additional), (0, Some(440)));
    assert!(reply.relayed.is_some_and(|address| address.is_ipv4()));
    assert_eq!(allocate(&[&udp(), &additional, &RequestedAddressFamily::new(AddressFamily::IPV4)]).2.code, 400);
    assert_eq!(allocate(&[&udp(), &additional, &EvenPort::new(true)]).2.code, 400);
}

#[test]
fn an_even_port_is_given_and_none_is_reserved() {
    for _ in 0..8 {
        let (_, _, reply) = allocate(&[&udp(), &EvenPort::new(false)]);
        assert!(reply.relayed.is_some_and(|address| address.port().is_multiple_of(2)));
    }
    assert_eq!(allocate(&[&udp(), &EvenPort::new(true)]).2.code, 508);
    assert_eq!(allocate(&[&udp(), &ReservationToken::new(7)]).2.code, 508);
    assert_eq!(allocate(&[&udp(), &ReservationToken::new(7), &EvenPort::new(false)]).2.code, 400);
    assert_eq!(allocate(&[&udp(), &ReservationToken::new(7), &RequestedAddressFamily::new(AddressFamily::IPV4)]).2.code, 400);
}

#[test]
fn that_nothing_is_to_be_fragmented_is_not_understood() {
    let (_, client, reply) = allocate(&[&udp(), &DontFragment::new()]);
    assert_eq!(reply.code, 420);
    assert!(reply.unknown.as_ref().is_some_and(|unknown| unknown.has_attribute(0x001a.into())));
    assert!(reply.is_signed_by(&client));
}

#[test]
fn an_allocation_lasts_ten_minutes_whatever_is_asked_for() {
    for asked in [1, 30, 600, 3_600, u32::MAX] {
        let (mut world, mut client, reply) = allocate(&[&udp(), &Lifetime::new(asked)]);
        assert_eq!(reply.lifetime, Some(600));
        world.pass(Duration::from_secs(300));
        assert_eq!(client.refresh(&mut world, asked).lifetime, Some(600));
        world.pass(Duration::from_secs(599));
        assert_eq!(world.turn.stats().allocations, 1);
        world.pass(Duration::from_secs(1));
        assert_eq!((world.turn.stats().allocations, world.relays.len()), (0, 0));
        assert_eq!(client.refresh(&mut world, 600).code, 437);
    }
}

#[test]
fn an_allocation_that_is_over_is_of_no_use_even_before_it_is_swept_away() {
    let (mut world, mut client, _) = allocate(&[&udp()]);
    assert_eq!(client.permit(&mut world, &[at("8.8.8.8:5001")]), 0);
    world.now += Duration::from_secs(600);
    client.send(&mut world, at("8.8.8.8:5001"), b"late");
    assert!(world.sent().is_empty());
    assert_eq!(client.refresh(&mut world, 600).code, 437);
    assert_eq!(client.allocate(&mut world).code, 0, "and in the way of no other");
    assert_eq!(world.turn.stats().allocations, 1);
}

#[test]
fn a_client_ends_its_allocation_with_a_lifetime_of_nothing() {
    let (mut world, mut client, _) = allocate(&[&udp()]);
    let reply = client.refresh(&mut world, 0);
    assert_eq!((reply.code, reply.lifetime), (0, Some(0)));
    assert_eq!((world.turn.stats().allocations, world.relays.len()), (0, 0));
    assert_eq!(world.turn.poll_timeout(), None);
    assert_eq!(client.refresh(&mut world, 0).code, 437);
    assert_eq!(client.allocate(&mut world).code, 0);
}

#[test]
fn a_refresh_for_the_wrong_family_is_refused() {
    let (mut world, mut client, _) = allocate(&[&udp()]);
    let reply = world.ask(&mut client, REFRESH, &[&RequestedAddressFamily::new(AddressFamily::IPV6)]);
    assert_eq!(reply.code, 443);
    let reply = world.ask(&mut client, REFRESH, &[&RequestedAddressFamily::new(AddressFamily::IPV4)]);
    assert_eq!(reply.code, 0);
}

#[test]
fn the_end_of_a_connection_is_the_end_of_its_allocation() {
    let mut world = World::new(Peers::Mesh);
    let client = world.allocated_on(TCP, "alice", "198.51.100.7:4000");
    assert!(world.turn.is_client(&client.path));
    world.turn.handle_closed(client.path);
    world.settle();
    assert_eq!((world.turn.stats().allocations, world.relays.len()), (0, 0));
}

#[test]
fn another_port_is_taken_if_the_system_has_none_and_after_four_it_is_given_up() {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    world.opens = vec![false, false, false, true];
    let reply = client.allocate(&mut world);
    assert_eq!(reply.code, 0);
    assert_eq!(world.relays.iter().map(|(_, address)| *address).collect::<Vec<_>>(), [reply.relayed.expect("an address")]);
    let mut other = Client::new(UDP, "bob", "198.51.100.8:4000");
    world.opens = vec![false; 4];
    let reply = other.allocate(&mut world);
    assert_eq!(reply.code, 508);
    assert!(reply.is_signed_by(&other));
    assert_eq!((world.turn.stats().allocations, world.relays.len()), (1, 1));
}

#[test]
fn when_all_ports_are_taken_an_allocation_is_refused() {
    let mut few = config(Peers::Mesh, Limits::default());
    few.ports = 50_000..=50_001;
    let mut world = World::new(Peers::Mesh);
    world.turn = Turn::new(few, world.now);
    let codes: Vec<u16> =
        (0..3).map(|n| Client::new(UDP, "alice", &format!("198.51.100.7:{}", 4_000 + n)).allocate(&mut world).code).collect();
    assert_eq!(codes, [0, 0, 508]);
}

#[test]
fn clients_are_told_apart_by_their_port_and_by_the_listener() {
    let mut world = World::new(Peers::Mesh);
    let one = world.allocated("alice", "198.51.100.7:4000");
    let two = world.allocated("alice", "198.51.100.7:4001");
    let three = world.allocated_on(TCP, "alice", "198.51.100.7:4000");
    let mut relayed = [one, two, three].map(|client| client.relayed).to_vec();
    relayed.sort();
    relayed.dedup();
    assert_eq!(relayed.len(), 3);
}
