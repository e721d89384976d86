//! Messages that are no TURN requests, unknown attributes, fingerprints, and how long answers to strangers are.

use proptest::prelude::*;
use stun_types::attribute::{RawAttribute, Software, XorMappedAddress};
use stun_types::message::{BINDING, Message, MessageWriteVec};
use stun_types::prelude::*;
use turn_types::attribute::RequestedTransport;
use turn_types::message::{ALLOCATE, CONNECT, REFRESH};

use super::*;

#[test]
fn anybody_learns_their_address() {
    let mut world = World::new(Peers::Sfu);
    for (listener, remote) in [(UDP, "198.51.100.7:4000"), (UDP, "[2001:db8::7]:4000"), (TCP, "198.51.100.7:4000")] {
        let client = Client::new(listener, "nobody", remote);
        let request = client.request(BINDING, &[]);
        world.handle(client.path, &request);
        assert_eq!(world.reply(&client).expect("an answer").mapped, Some(at(remote)));
    }
}

#[test]
fn a_fingerprint_is_answered_with_one_and_a_wrong_one_not_at_all() {
    let mut world = World::new(Peers::Sfu);
    let mut client = Client::new(UDP, "nobody", "198.51.100.7:4000");
    client.fingerprint = true;
    let mut request = client.request(BINDING, &[]);
    world.handle(client.path, &request);
    let reply = world.reply(&client).expect("an answer");
    assert!(Message::from_bytes(&reply.bytes).expect("fine").has_attribute(stun_types::attribute::Fingerprint::TYPE));
    let last = request.len() - 1;
    request[last] ^= 1;
    world.handle(client.path, &request);
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.malformed, 1);
}

#[test]
fn what_has_to_be_understood_and_is_not_is_listed() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let (required, optional) = (RawAttribute::new(0x7001.into(), b"x"), RawAttribute::new(0xf001.into(), b"y"));
    for method in [REFRESH, BINDING] {
        let reply = world.ask(&mut client, method, &[&required, &optional]);
        let unknown = reply.unknown.expect("a list");
        assert_eq!(reply.code, 420);
        assert!(unknown.has_attribute(0x7001.into()) && !unknown.has_attribute(0xf001.into()));
        assert_eq!(world.ask(&mut client, method, &[&optional]).code, 0);
    }
}

#[test]
fn who_shows_no_password_is_not_told_what_is_understood() {
    let mut world = World::new(Peers::Mesh);
    let client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let request = client.request(ALLOCATE, &[&RequestedTransport::new(17), &RawAttribute::new(0x7001.into(), b"x")]);
    world.handle(client.path, &request);
    assert_eq!(world.reply(&client).expect("an answer").code, 401);
}

#[test]
fn a_method_that_is_not_served_is_a_bad_request() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    assert_eq!(world.ask(&mut client, CONNECT, &[]).code, 400);
}

#[test]
fn responses_unknown_indications_and_other_protocols_are_dropped() {
    let mut world = World::new(Peers::Mesh);
    let client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let request = Message::builder_request(BINDING, MessageWriteVec::new()).finish();
    let response = Message::builder_success(&Message::from_bytes(&request).expect("fine"), MessageWriteVec::new()).finish();
    let indication = Message::builder_indication(ALLOCATE, MessageWriteVec::new()).finish();
    let alive = Message::builder_indication(BINDING, MessageWriteVec::new()).finish();
    let too_long = [&[0, 1][..], &[0; 3_000]].concat();
    for bytes in [&response[..], &indication, &alive, &too_long, b"", b"\x16\x03\x01", b"GET / HTTP/1.1", &[0x80; 100], &[0x40, 0]] {
        world.handle(client.path, bytes);
    }
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.malformed, 8);
}

/// Attributes that a stranger may write, and more of them than fit anything.
fn filling() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..40)), 0..8)
}

proptest! {
    #[test]
    fn a_stranger_never_gets_more_than_twice_what_they_sent(
        method in 1u16..12, filling in filling(), fingerprint: bool, listener in 0u16..2, signed: bool
    ) {
        let mut world = World::new(Peers::Mesh);
        let mut client = Client::new(listener, "alice", "198.51.100.7:4000");
        client.fingerprint = fingerprint;
        client.password = "guessed".to_owned();
        client.nonce = signed.then(|| world.turn.nonces.make(&client.path, world.now));
        let own = [0x0006, 0x0008, 0x0014, 0x0015, 0x001c, 0x8028];
        let raw: Vec<RawAttribute<'_>> = filling.iter()
            .filter(|(kind, _)| !own.contains(kind))
            .map(|(kind, value)| RawAttribute::new((*kind).into(), value))
            .collect();
        let attributes: Vec<&dyn AttributeWrite> = raw.iter().map(|raw| raw as &dyn AttributeWrite).collect();
        let request = client.request(Method::new(method), &attributes);
        world.handle(client.path, &request);
        let sent: usize = world.sent().iter().map(|(_, _, bytes)| bytes.len()).sum();
        prop_assert!(sent <= 2 * request.len(), "{sent} for {}", request.len());
        prop_assert_eq!(world.turn.stats().allocations, 0);
    }

    #[test]
    fn arbitrary_bytes_change_nothing(bytes in prop::collection::vec(any::<u8>(), 0..300), first in 0u8..0x90) {
        let mut world = World::new(Peers::Mesh);
        let client = world.allocated("alice", "198.51.100.7:4000");
        let mut bytes = bytes;
        if let Some(byte) = bytes.first_mut() {
            *byte = first;
        }
        world.handle(client.path, &bytes);
        prop_assert!(world.sent().iter().all(|(from, ..)| *from == Socket::Listener(UDP)), "nothing reaches a peer");
        prop_assert_eq!(world.turn.stats().allocations, 1);
    }
}

#[test]
fn the_shortest_request_of_a_browser_is_answered() {
    let mut world = World::new(Peers::Mesh);
    let client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let request = client.request(ALLOCATE, &[&RequestedTransport::new(17)]);
    assert_eq!(request.len(), 28);
    world.handle(client.path, &request);
    assert_eq!(world.reply(&client).map(|reply| reply.bytes.len()), Some(56));
    let bare = client.request(ALLOCATE, &[]);
    world.handle(client.path, &bare);
    assert!(world.sent().is_empty());
    assert_eq!(world.turn.stats().drops.too_short, 1);
    let longer = client.request(ALLOCATE, &[&RequestedTransport::new(17), &Software::new("a browser").expect("short")]);
    world.handle(client.path, &longer);
    let reply = world.reply(&client).expect("an answer");
    assert!(Message::from_bytes(&reply.bytes).expect("fine").attribute::<XorMappedAddress>().is_err());
}
