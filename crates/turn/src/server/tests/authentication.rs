//! Who may ask: credentials, their time, nonces, and revoked users.

use turn_types::message::{ALLOCATE, REFRESH};

use super::*;
use crate::credentials::password;

#[test]
fn who_shows_no_password_gets_realm_and_nonce_and_nothing_is_remembered_of_them() {
    let mut world = World::new(Peers::Mesh);
    let client = Client::new(UDP, "alice", "198.51.100.7:4000");
    let request = client.request(ALLOCATE, &[&turn_types::attribute::RequestedTransport::new(17)]);
    world.handle(client.path, &request);
    let reply = world.reply(&client).expect("an answer");
    assert_eq!((reply.code, reply.realm.as_deref()), (401, Some("parlor")));
    assert_eq!(reply.nonce.map(|nonce| nonce.len()), Some(12));
    assert_eq!((world.turn.stats().allocations, world.turn.poll_timeout()), (0, None));
}

#[test]
fn a_wrong_password_an_unknown_realm_and_a_malformed_name_are_refused() {
    let mut world = World::new(Peers::Mesh);
    let fine = || Client::new(UDP, "alice", "198.51.100.7:4000");
    let mut wrong_password = fine();
    wrong_password.password = password(b"another secret", &wrong_password.username);
    let mut wrong_realm = fine();
    wrong_realm.realm = "example.org".to_owned();
    let mut changed_name = fine();
    changed_name.username = format!("{}:bob", BEGIN + 3_600);
    let mut longer = fine();
    longer.username = format!("{}:alice", BEGIN + 7_200);
    let no_expiry = Client::until(UDP, "alice", "198.51.100.7:4000");
    for mut client in [wrong_password, wrong_realm, changed_name, longer, no_expiry] {
        let reply = client.allocate(&mut world);
        assert_eq!(reply.code, 401, "{}", client.username);
        assert!(reply.nonce.is_some(), "a client can try again");
    }
    assert_eq!(world.turn.stats().allocations, 0);
}

#[test]
fn both_secrets_are_good_while_one_is_replaced() {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    client.password = password(OLD_SECRET, &client.username);
    let reply = client.allocate(&mut world);
    assert_eq!(reply.code, 0);
    assert!(reply.is_signed_by(&client));
}

#[test]
fn an_expired_credential_is_refused_for_refreshes_as_well() {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::until(UDP, &format!("{}:alice", BEGIN + 100), "198.51.100.7:4000");
    assert_eq!(client.allocate(&mut world).code, 0);
    world.pass(Duration::from_secs(99));
    assert_eq!(client.refresh(&mut world, 600).code, 0);
    world.pass(Duration::from_secs(1));
    assert_eq!(client.refresh(&mut world, 600).code, 401);
    assert_eq!(client.permit(&mut world, &[at("8.8.8.8:5001")]), 401);
    world.pass(Duration::from_secs(600));
    assert_eq!(world.turn.stats().allocations, 0, "its last lifetime is over");
}

#[test]
fn a_clock_that_is_set_counts_from_then_on() {
    let mut world = World::new(Peers::Mesh);
    let mut client = Client::new(UDP, "alice", "198.51.100.7:4000");
    world.turn.set_wall_clock(Duration::from_secs(BEGIN + 3_599), world.now);
    assert_eq!(client.allocate(&mut world).code, 0);
    world.turn.set_wall_clock(Duration::from_secs(BEGIN + 3_600), world.now);
    assert_eq!(client.refresh(&mut world, 600).code, 401);
}

#[test]
fn a_newer_credential_of_the_same_user_carries_an_allocation_on() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    client.username = format!("{}:alice", BEGIN + 86_400);
    client.password = password(SECRET, &client.username);
    assert_eq!(client.refresh(&mut world, 600).code, 0);
}

#[test]
fn nobody_acts_on_the_allocation_of_another_user() {
    let mut world = World::new(Peers::Mesh);
    let alice = world.allocated("alice", "198.51.100.7:4000");
    // The address of somebody else can be had, behind the same NAT for one.
    let mut eve = Client::new(UDP, "eve", "198.51.100.7:4000");
    eve.nonce.clone_from(&alice.nonce);
    assert_eq!(eve.refresh(&mut world, 0).code, 441);
    assert_eq!(eve.permit(&mut world, &[at("8.8.8.8:5001")]), 441);
    assert_eq!(eve.bind(&mut world, 0x4000, at("8.8.8.8:5001")), 441);
    assert_eq!(eve.allocate(&mut world).code, 437);
    assert_eq!(world.turn.stats().allocations, 1);
}

#[test]
fn a_nonce_grows_old_and_is_renewed_in_mid_call() {
    let mut world = World::new(Peers::Mesh);
    let mut client = world.allocated("alice", "198.51.100.7:4000");
    let first = client.nonce.clone();
    for _ in 0..4 {
        world.pass(Duration::from_secs(500));
        assert_eq!(client.refresh(&mut world, 600).code, 0);
    }
    assert_ne!(client.nonce, first);
    client.nonce = first;
    let request = client.request(REFRESH, &[]);
    world.handle(client.path, &request);
    let reply = world.reply(&client).expect("an answer");
    assert_eq!((reply.code, reply.realm.as_deref()), (438, Some("parlor")));
    assert!(reply.nonce.is_some());
}

#[test]
fn the_nonce_of_another_client_is_stale() {
    let mut world = World::new(Peers::Mesh);
    let alice = world.allocated("alice", "198.51.100.7:4000");
    let mut stolen = Client::new(UDP, "alice", "198.51.100.8:4000");
    stolen.nonce.clone_from(&alice.nonce);
    let request = stolen.request(ALLOCATE, &[&turn_types::attribute::RequestedTransport::new(17)]);
    world.handle(stolen.path, &request);
    assert_eq!(world.reply(&stolen).expect("an answer").code, 438);
}

#[test]
fn a_signed_request_that_lacks_name_realm_or_nonce_is_a_bad_one() {
    use stun_types::attribute::{Nonce, Realm, Username};
    use stun_types::message::{IntegrityAlgorithm, Message, MessageWriteVec};
    use stun_types::prelude::*;
    let mut world = World::new(Peers::Mesh);
    let client = world.allocated("alice", "198.51.100.7:4000");
    let nonce = client.nonce.clone().expect("there");
    for left_out in 0..3 {
        let mut message = Message::builder_request(REFRESH, MessageWriteVec::new());
        let all: [&dyn AttributeWrite; 3] = [
            &Username::new(&client.username).expect("fits"),
            &Realm::new(&client.realm).expect("fits"),
            &Nonce::new(&nonce).expect("fits"),
        ];
        for (n, attribute) in all.into_iter().enumerate() {
            if n != left_out {
                message.add_attribute(attribute).expect("fits");
            }
        }
        message.add_message_integrity_with_key(&client.key(), IntegrityAlgorithm::Sha1).expect("fits");
        world.handle(client.path, &message.finish());
        assert_eq!(world.reply(&client).expect("an answer").code, 400);
    }
}

#[test]
fn a_user_who_is_sent_out_loses_all_allocations_and_nobody_else_does() {
    let mut world = World::new(Peers::Mesh);
    let mut phone = world.allocated("eve", "198.51.100.7:4000");
    let laptop = world.allocated_on(TCP, "eve", "198.51.100.7:4001");
    let mut other = world.allocated("alice", "198.51.100.7:4002");
    world.turn.revoke("eve");
    world.settle();
    assert_eq!(world.turn.stats().allocations, 1);
    assert_eq!(world.relays.len(), 1, "the sockets are closed");
    assert!(world.events.contains(&Event::CloseClient { path: laptop.path }), "and so is the connection");
    assert_eq!(phone.refresh(&mut world, 600).code, 437);
    assert_eq!(other.refresh(&mut world, 600).code, 0);
}
