//! Permissions and channels: which peers, for how long, and how many.

use stun_types::message::TransactionId;
use turn_types::attribute::{ChannelNumber, XorPeerAddress};
use turn_types::message::{CHANNEL_BIND, CREATE_PERMISSION};

use super::*;
use crate::limits::{MAX_CHANNELS, MAX_PERMISSIONS};

#[test]
fn denied_peers_are_answered_403_and_nothing_is_installed() {
    let mut world = World::new(Peers::Mesh);
    let mut v4 = world.allocated("alice", "198.51.100.7:4000");
    for peer in ["127.0.0.1:7400", "10.0.0.5:7400", "93.184.216.1:7400", "192.168.1.1:80", "169.254.169.254:80", "0.0.0.0:1", "224.0.0.1:1"]
    {
        assert_eq!(v4.permit(&mut world, &[at(peer)]), 403, "{peer}");
        assert_eq!(v4.permit(&mut world, &[at("8.8.8.8:5001"), at(peer)]), 403, "{peer}");
        assert_eq!(v4.bind(&mut world, 0x4000, at(peer)), 403, "{peer}");
    }
    v4.send(&mut world, at("8.8.8.8:5001"), b"x");
    assert!(world.sent().is_empty(), "a permission beside a denied one is none either");
    let mut v6 = Client::new(UDP, "alice", "198.51.100.7:4001");
    let family = turn_types::attribute::RequestedAddressFamily::new(stun_types::AddressFamily::IPV6);
    let transport = turn_types::attribute::RequestedTransport::new(17);
    assert_eq!(world.ask(&mut v6, turn_types::message::ALLOCATE, &[&transport, &family]).code, 0);
    for peer in
        ["[::1]:7400", "[::ffff:127.0.0.1]:1", "[::127.0.0.1]:1", "[64:ff9b::a00:1]:1", "[2002:a00:1::1]:1", "[2001::1]:1", "[fe80::1]:1"]
    {
        assert_eq!(v6.permit(&mut world, &[at(peer)]), 403, "{peer}");
        assert_eq!(v6.bind(&mut world, 0x4000, at(peer)), 403, "{peer}");
    }
}

#[test]
fn in_an_sfu_call_the_media_plane_is_the_only_peer() {
    let mut world = World::new(Peers::Sfu);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let other = world.allocated("bob", "198.51.100.8:4000");
    assert_eq!(client.permit(&mut world, &[at(MEDIA)]), 0);
    assert_eq!(client.bind(&mut world, 0x4000, at(MEDIA)), 0);
    for peer in [at("8.8.8.8:5001"), at("10.0.0.5:7400"), other.relayed.expect("allocated")] {
        assert_eq!(client.permit(&mut world, &[peer]), 403, "{peer}");
        assert_eq!(client.bind(&mut world, 0x4001, peer), 403, "{peer}");
    }
    // A permission is for the whole address, and what is sent is held against the port.
    client.send(&mut world, at("10.0.0.5:7400"), b"GET / HTTP/1.1");
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.denied, 1);
    world.handle_peer(world.relay_of(&client), at("10.0.0.5:6379"), b"+OK");
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.denied, 2);
}

#[test]
fn a_peer_of_the_other_family_is_a_mismatch() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.permit(&mut world, &[at("[2606:4700::1]:5001")]), 443);
    assert_eq!(client.bind(&mut world, 0x4000, at("[2606:4700::1]:5001")), 443);
}

#[test]
fn requests_without_what_they_are_about_are_bad_ones() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(world.ask(&mut client, CREATE_PERMISSION, &[]).code, 400);
    assert_eq!(world.ask(&mut client, CHANNEL_BIND, &[&ChannelNumber::new(0x4000)]).code, 400);
    let transaction = TransactionId::generate();
    let peer = XorPeerAddress::new(at("8.8.8.8:5001"), transaction);
    assert_eq!(client.ask_as(&mut world, transaction, CHANNEL_BIND, &[&peer]), 400);
}

#[test]
fn without_an_allocation_there_are_no_permissions_and_no_channels() {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    assert_eq!(client.refresh(&mut world, 600).code, 437);
    assert_eq!(client.permit(&mut world, &[at("8.8.8.8:5001")]), 437);
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 437);
}

#[test]
fn a_permission_lasts_five_minutes_and_as_long_again_when_it_is_asked_for() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.permit(&mut world, &[at("8.8.8.8:5001")]), 0);
    let reaches = |world: &mut World, client: &Client| {
        client.send(world, at("8.8.8.8:5009"), b"x");
        !world.sent().is_empty()
    };
    world.pass(Duration::from_secs(299));
    assert!(reaches(&mut world, &client), "any port of the address");
    assert_eq!(client.permit(&mut world, &[at("8.8.8.8:5001")]), 0);
    world.pass(Duration::from_secs(299));
    assert!(reaches(&mut world, &client));
    assert_eq!(client.refresh(&mut world, 600).code, 0);
    world.pass(Duration::from_secs(2));
    assert!(!reaches(&mut world, &client));
    assert_eq!(world.turn.stats().drops.not_permitted, 1);
}

#[test]
fn a_channel_lasts_ten_minutes_and_its_number_is_free_afterwards() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 0);
    world.pass(Duration::from_secs(300));
    assert_eq!(client.refresh(&mut world, 600).code, 0);
    world.pass(Duration::from_secs(299));
    client.send_on(&mut world, 0x4000, b"x");
    assert_eq!(world.sent().len(), 1);
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.4.4:5001")), 400);
    world.pass(Duration::from_secs(2));
    client.send_on(&mut world, 0x4000, b"x");
    assert!(world.sent().is_empty());
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.4.4:5001")), 0);
}

#[test]
fn a_number_has_one_peer_and_a_peer_one_number() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 0);
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 0, "again, to make it last");
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5002")), 400);
    assert_eq!(client.bind(&mut world, 0x4001, at("8.8.8.8:5001")), 400);
    assert_eq!(client.bind(&mut world, 0x7fff, at("8.8.8.8:5002")), 0);
    for wrong in [0x0000, 0x3fff, 0x8000, 0xffff] {
        assert_eq!(client.bind(&mut world, wrong, at("8.8.8.8:5003")), 400, "{wrong:x}");
    }
}

#[test]
fn a_storm_of_permissions_and_channels_is_bounded() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let peer = |n: usize| at(&format!("8.8.{}.{}:5001", n / 256, n % 256));
    let codes: Vec<u16> = (0..MAX_PERMISSIONS + 10).map(|n| client.permit(&mut world, &[peer(n)])).collect();
    assert!(codes[..MAX_PERMISSIONS].iter().all(|code| *code == 0) && codes[MAX_PERMISSIONS..].iter().all(|code| *code == 508));
    assert_eq!(client.permit(&mut world, &[peer(0), peer(1)]), 0, "those that are there are made to last");
    let codes: Vec<u16> = (0..MAX_CHANNELS + 5).map(|n| client.bind(&mut world, 0x4000 + n as u16, peer(n))).collect();
    assert!(codes[..MAX_CHANNELS].iter().all(|code| *code == 0) && codes[MAX_CHANNELS..].iter().all(|code| *code == 508));
    let many: Vec<SocketAddr> = (1_000..1_070).map(peer).collect();
    let mut other = world.allocated("alice", "198.51.100.7:4001");
    assert_eq!(other.permit(&mut world, &many), 508, "all or none");
    assert_eq!(other.permit(&mut world, &[at("8.8.8.8:5001"), at("8.8.8.8:5002")]), 0, "an address counts once");
}
