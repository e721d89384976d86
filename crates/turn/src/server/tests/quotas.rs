//! How much of the server one user, one address and everybody may have.

use super::*;

fn limits() -> Limits {
    Limits { allocations: 8, per_user: 3, per_address: 5, bytes_per_second: 0 }
}

fn allocate(world: &mut World, user: &str, remote: &str) -> u16 {
    Client::new(UDP, user, remote).allocate(world).code
}

#[test]
fn a_user_has_so_many_allocations_wherever_they_are() {
    let mut world = World::with(Peers::Mesh, limits());
    for n in 1..=3 {
        assert_eq!(allocate(&mut world, "alice", &format!("198.51.100.{n}:4000")), 0);
    }
    assert_eq!(allocate(&mut world, "alice", "198.51.100.4:4000"), 486);
    assert_eq!(allocate(&mut world, "bob", "198.51.100.4:4000"), 0);
    let mut first = Client::new(UDP, "alice", "198.51.100.1:4000");
    assert_eq!(first.refresh(&mut world, 0).code, 0);
    assert_eq!(allocate(&mut world, "alice", "198.51.100.4:4001"), 0, "one that ended counts no longer");
}

#[test]
fn a_storm_of_requests_of_one_user_makes_no_more_than_their_quota() {
    let mut world = World::new(Peers::Mesh);
    let mut made = 0;
    for n in 0..1_000_u16 {
        let mut client = Client::new(UDP, "eve", &format!("198.51.{}.{}:4000", n / 256, n % 256));
        made += usize::from(client.allocate(&mut world).code == 0);
    }
    assert_eq!(made, Limits::default().per_user);
    assert_eq!(world.turn.stats().allocations, made);
}

#[test]
fn an_address_has_so_many_and_an_ipv6_network_counts_as_one() {
    let mut world = World::with(Peers::Mesh, limits());
    for n in 0..5 {
        assert_eq!(allocate(&mut world, &format!("user-{n}"), &format!("[2001:db8:1:2::{n}]:4000")), 0);
    }
    assert_eq!(allocate(&mut world, "another", "[2001:db8:1:2:f::]:4000"), 486);
    assert_eq!(allocate(&mut world, "another", "[2001:db8:1:3::]:4000"), 0);
}

#[test]
fn all_together_have_so_many() {
    let mut world = World::with(Peers::Mesh, limits());
    for n in 0..8 {
        assert_eq!(allocate(&mut world, &format!("user-{n}"), &format!("198.51.100.{n}:4000")), 0);
    }
    assert_eq!(allocate(&mut world, "another", "198.51.100.100:4000"), 508);
}

#[test]
fn an_allocation_relays_so_many_bytes_in_each_direction() {
    let mut world = World::with(Peers::Mesh, Limits { bytes_per_second: 10_000, ..limits() });
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(client.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 0);
    let relay = world.relay_of(&client);
    let second = |world: &mut World, client: &Client| {
        let (mut up, mut down) = (0, 0);
        for _ in 0..30 {
            client.send_on(world, 0x4000, &[0; 1_000]);
            up += world.sent().len();
            world.handle_peer(relay, at("8.8.8.8:5001"), &[0; 1_000]);
            down += world.sent().len();
        }
        world.now += Duration::from_secs(1);
        (up, down)
    };
    assert_eq!(second(&mut world, &client), (10, 10));
    assert_eq!(second(&mut world, &client), (10, 10));
    assert_eq!(world.turn.stats().drops.over_bandwidth, 80);
    let mut other = world.allocated("bob", "198.51.100.8:4000");
    assert_eq!(other.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 0);
    other.send_on(&mut world, 0x4000, &[0; 1_000]);
    assert_eq!(world.sent().len(), 1, "others have their own");
}
