//! The way of packets: between client and peer, between two allocations, and what is not relayed.

use stun_types::message::Message;
use turn_types::attribute::{Data, XorPeerAddress};

use super::client::channel_data;
use super::*;

const PEER: &str = "8.8.8.8:5000";

/// The peer and the data of a Data indication.
fn indicated(bytes: &[u8]) -> (SocketAddr, Vec<u8>) {
    let message = Message::from_bytes(bytes).expect("well-formed");
    assert!(message.has_method(turn_types::message::DATA));
    let peer = message.attribute::<XorPeerAddress>().expect("there").addr(message.transaction_id());
    (peer, message.attribute::<Data>().expect("there").data().to_vec())
}

#[test]
fn a_client_and_its_peer_talk_in_indications() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.permit(&mut world, &[at(PEER)]), 0);
    client.send(&mut world, at(PEER), b"hello");
    let relay = world.relay_of(&client);
    assert_eq!(world.sent(), [(Socket::Relay(relay), at(PEER), b"hello".to_vec())]);
    world.handle_peer(relay, at(PEER), b"hello yourself");
    let sent = world.sent();
    assert_eq!((sent[0].0, sent[0].1), (Socket::Listener(UDP), client.path.remote));
    assert_eq!(indicated(&sent[0].2), (at(PEER), b"hello yourself".to_vec()));
}

#[test]
fn a_client_and_its_peer_talk_on_a_channel() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4abc, at(PEER)), 0);
    let relay = world.relay_of(&client);
    client.send_on(&mut world, 0x4abc, b"hello");
    assert_eq!(world.sent(), [(Socket::Relay(relay), at(PEER), b"hello".to_vec())]);
    world.handle_peer(relay, at(PEER), b"hey");
    assert_eq!(world.sent(), [(Socket::Listener(UDP), client.path.remote, channel_data(0x4abc, b"hey"))]);
    // Another port of the same address has the permission that came with the channel, but not the channel.
    world.handle_peer(relay, at("8.8.8.8:5001"), b"hey");
    assert_eq!(indicated(&world.sent()[0].2), (at("8.8.8.8:5001"), b"hey".to_vec()));
}

#[test]
fn on_a_stream_channel_data_is_padded_and_on_datagrams_it_is_not() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated_on(TCP, "alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at(PEER)), 0);
    world.handle_peer(world.relay_of(&client), at(PEER), b"hello");
    assert_eq!(world.sent()[0].2, [&channel_data(0x4000, b"hello")[..], &[0; 3]].concat());
}

#[test]
fn who_has_no_permission_is_not_relayed() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let relay = world.relay_of(&client);
    client.send(&mut world, at(PEER), b"x");
    world.handle_peer(relay, at(PEER), b"x");
    assert_eq!(client.permit(&mut world, &[at("8.8.4.4:5001")]), 0);
    client.send(&mut world, at(PEER), b"x");
    world.handle_peer(relay, at(PEER), b"x");
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.not_permitted, 4);
}

#[test]
fn nobody_without_an_allocation_is_relayed() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at(PEER)), 0);
    let stranger = Client::new(UDP, "alice", "198.51.100.8:4000");
    stranger.send(&mut world, at(PEER), b"x");
    stranger.send_on(&mut world, 0x4000, b"x");
    client.send_on(&mut world, 0x4001, b"x");
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.unknown, 3);
}

#[test]
fn a_socket_that_was_closed_belongs_to_nobody_after() {
    let mut world = World::new(Peers::Mesh);
    let mut first = world.allocated("alice", "198.51.100.7:4000");
    let relay = world.relay_of(&first);
    assert_eq!(first.refresh(&mut world, 0).code, 0);
    let mut second = world.allocated("bob", "198.51.100.8:4000");
    assert_eq!(second.permit(&mut world, &[at(PEER)]), 0);
    assert_eq!(relay.index, world.relay_of(&second).index, "the place is used again");
    world.handle_peer(relay, at(PEER), b"for the first");
    assert!(world.sent().is_empty());
}

#[test]
fn two_allocations_of_this_server_reach_each_other_without_a_socket() {
    let mut world = World::new(Peers::Mesh);
    let mut alice = world.allocated("alice", "198.51.100.7:4000");
    let mut bob = world.allocated_on(TCP, "bob", "198.51.100.8:4000");
    let (of_alice, of_bob) = (alice.relayed.expect("allocated"), bob.relayed.expect("allocated"));
    assert_eq!(alice.bind(&mut world, 0x4000, of_bob), 0);
    alice.send_on(&mut world, 0x4000, b"hello");
    assert!(world.sent().is_empty(), "the other has to permit it as well");
    assert_eq!(bob.permit(&mut world, &[of_alice]), 0);
    alice.send_on(&mut world, 0x4000, b"hello");
    let sent = world.sent();
    assert_eq!((sent.len(), sent[0].0, sent[0].1), (1, Socket::Listener(TCP), bob.path.remote));
    assert_eq!(indicated(&sent[0].2), (of_alice, b"hello".to_vec()));
    bob.send(&mut world, of_alice, b"hey");
    assert_eq!(world.sent(), [(Socket::Listener(UDP), alice.path.remote, channel_data(0x4000, b"hey"))]);
}

#[test]
fn a_relayed_address_that_nobody_has_swallows_what_is_sent_to_it() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let own = client.relayed.expect("allocated");
    let free = SocketAddr::new(own.ip(), if own.port() == 50_000 { 50_001 } else { 50_000 });
    assert_eq!(client.bind(&mut world, 0x4000, free), 0);
    client.send_on(&mut world, 0x4000, b"x");
    assert!(world.sent().is_empty());
    // To itself: it is an allocation like any other.
    assert_eq!(client.bind(&mut world, 0x4001, own), 0);
    client.send_on(&mut world, 0x4001, b"x");
    assert_eq!(world.sent(), [(Socket::Listener(UDP), client.path.remote, channel_data(0x4001, b"x"))]);
}

#[test]
fn what_was_relayed_is_counted() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at(PEER)), 0);
    client.send_on(&mut world, 0x4000, b"hello");
    world.handle_peer(world.relay_of(&client), at(PEER), b"hey");
    let stats = world.turn.stats();
    assert_eq!((stats.up, stats.down, stats.made, stats.drops), ((1, 5), (1, 3), 1, Drops::default()));
}
