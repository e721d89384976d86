//! Where a client is sent to, when its address changes and when somebody says that it did.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::net::SocketAddr;
use std::time::Duration;

use common::{Camera, Checks, Consumed, Special, World, fixtures, speak};
use parlor_proto::media::{MediaEvent, MediaKind};
use parlor_proto::transport::{Direction, TransportFailure, TransportState};
use str0m::ice::{StunMessage, TransId};

/// A check of somebody who knows the password.
fn check(ufrag: &str, password: &str, nominates: bool) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let user = format!("{ufrag}:abcd");
    let message = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, nominates);
    let mut bytes = vec![0; 300];
    let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let len = message.to_bytes(Some(password.as_bytes()), &mut bytes, hmac).expect("fits");
    bytes.truncate(len);
    bytes
}

fn victim() -> SocketAddr {
    ([203, 0, 113, 9], 4_242).into()
}

/// Alice speaks, Bob listens.
struct Call {
    world: World,
    alice: usize,
    bob: usize,
    consumed: Consumed,
    spoken: u64,
}

impl Call {
    fn new(special: Special) -> Self {
        let mut world = World::new();
        let router = world.router();
        let (alice, bob) = (world.connected(router, Direction::Send), world.connected_with(router, Direction::Recv, special));
        let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
        let consumed = world.consume(bob, producer);
        let mut call = Self { world, alice, bob, consumed, spoken: 0 };
        assert_eq!(call.speak(2), 100);
        call
    }

    /// Speaks for a time; the result is how many of the 50 packets a second Bob heard.
    fn speak(&mut self, seconds: u64) -> usize {
        let before = self.heard();
        speak(&mut self.world, self.alice, 1_111, self.spoken, seconds * 50, -30);
        self.spoken += seconds * 50;
        self.world.run(Duration::from_millis(50));
        self.heard() - before
    }

    fn heard(&self) -> usize {
        self.world.clients[self.bob].received_of(&self.consumed.rtp).count()
    }

    /// Whoever is behind it, what comes from a client has another port from now on.
    fn rebind(&mut self, client: usize) {
        let port = self.world.clients[client].address.port() + 1;
        self.world.clients[client].address.set_port(port);
    }

    /// Somebody who knows Bob's password writes another's address into a check.
    fn spoof(&mut self, nominates: bool) -> usize {
        let bob = &self.world.clients[self.bob];
        let bytes = check(bob.ufrag(), bob.password(), nominates);
        self.world.inject(victim(), &bytes);
        bytes.len()
    }

    fn sent_to_victim(&self) -> usize {
        self.world.astray.get(&victim()).copied().unwrap_or(0)
    }
}

#[test]
fn after_a_nat_gave_another_port_sound_goes_there_though_no_check_nominates_it() {
    let mut call = Call::new(Special::default());
    call.world.clients[call.bob].checks = Checks::Plain;
    for round in 0..3 {
        call.rebind(call.bob);
        // By then it was checked, the old one was silent for 5 s, and a probe was answered.
        call.speak(8);
        assert_eq!(call.speak(10), 500, "{round}");
        assert_eq!(call.world.state(call.bob), TransportState::Connected);
    }
}

#[test]
fn a_client_that_answers_no_probes_is_followed_by_the_dates_of_its_reports() {
    let special = Special { answers_probes: false, reports_every: Duration::from_secs(1), ..Special::default() };
    let mut call = Call::new(special);
    call.world.clients[call.bob].checks = Checks::Plain;
    call.rebind(call.bob);
    call.speak(10);
    assert_eq!(call.speak(10), 500);
}

#[test]
fn feedback_follows_a_sender_whose_port_changed_within_two_seconds() {
    for answers_probes in [true, false] {
        let mut world = World::new();
        let router = world.router();
        let special = Special { answers_probes, ..Special::default() };
        let (alice, bob) = (world.connected_with(router, Direction::Send, special), world.connected(router, Direction::Recv));
        let producer = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
        let consumed = world.consume(bob, producer);
        let mut camera = Camera::of(alice, 2_222, 2, 300);
        camera.film(&mut world, Duration::from_secs(2));
        world.clients[alice].checks = Checks::Plain;
        // Its media comes by the new port at once, its checks only later.
        let port = world.clients[alice].address.port() + 1;
        let (old, check) = (world.clients[alice].address, check(world.clients[alice].ufrag(), world.clients[alice].password(), false));
        world.clients[alice].address.set_port(port);
        world.inject(world.clients[alice].address, &check);
        camera.film(&mut world, Duration::from_millis(1_500));
        let (before, lost) = (world.clients[alice].sent_to, world.astray.get(&old).copied());
        camera.film(&mut world, Duration::from_secs(2));
        assert!(world.clients[alice].sent_to > before + 10, "{answers_probes}");
        assert_eq!(world.astray.get(&old).copied(), lost, "and nothing to the old one");
        let asked = camera.key_frames(0);
        world.clients[bob].request_key_frame(&consumed.rtp);
        camera.film(&mut world, Duration::from_secs(1));
        assert_eq!(camera.key_frames(0), asked + 1, "it hears what is asked of it");
    }
}

#[test]
fn one_spoofed_check_moves_no_media_and_the_call_goes_on() {
    for nominates in [true, false] {
        let mut call = Call::new(Special::default());
        let spoofed = call.spoof(nominates);
        assert_eq!(call.speak(60), 3_000, "not one packet went elsewhere");
        assert!(call.sent_to_victim() <= 4 * spoofed, "{} bytes for {spoofed}", call.sent_to_victim());
    }
}

#[test]
fn who_spoofs_without_end_and_keeps_still_otherwise_gets_no_media_sent_there_either() {
    let mut call = Call::new(Special::default());
    call.world.clients[call.bob].killed = true;
    let mut spoofed = 0;
    for _ in 0..60 {
        spoofed += call.spoof(true);
        call.speak(1);
    }
    let sent = call.sent_to_victim();
    // Three times as much, and the answers, which are shorter than the checks.
    assert!(sent > 0 && sent <= 4 * spoofed, "{sent} bytes for {spoofed}");
}

#[test]
fn who_has_the_keys_and_writes_anothers_address_gets_no_flood_sent_there() {
    for answers_probes in [true, false] {
        let mut call = Call::new(Special { answers_probes, reports_every: Duration::from_secs(1), ..Special::default() });
        // All its packets are authentic, its reports too; only nothing that is sent there comes back.
        call.rebind(call.bob);
        call.world.clients[call.bob].deaf = true;
        let before = call.world.clients[call.bob].bytes;
        call.speak(60);
        let after = call.world.clients[call.bob].bytes;
        let (sent, received) = (after.0 - before.0, after.1 - before.1);
        assert!(received > 1_000 && sent <= 4 * received, "{sent} bytes for {received}");
    }
}

#[test]
fn sending_to_a_path_ends_when_nothing_comes_by_it_any_more() {
    let mut call = Call::new(Special::default());
    call.world.clients[call.bob].killed = true;
    call.speak(17);
    let before = call.world.clients[call.bob].sent_to;
    call.speak(5);
    assert_eq!(call.world.clients[call.bob].sent_to, before);
    assert_eq!(call.world.state(call.bob), TransportState::Failed);
}

/// Checks are one sign of life, media is another.
#[test]
fn an_address_by_which_media_comes_is_not_given_to_another_transport() {
    let mut call = Call::new(Special::default());
    call.world.clients[call.alice].checks = Checks::Lost;
    let router = call.world.router();
    let mallory = call.world.client(router, Direction::Send);
    call.world.clients[mallory].killed = true;
    let address = call.world.clients[call.alice].address;
    for _ in 0..4 {
        assert_eq!(call.speak(5), 250);
        let check = check(call.world.clients[mallory].ufrag(), call.world.clients[mallory].password(), true);
        call.world.inject(address, &check);
    }
    assert_eq!(call.world.sfu.stats().drops.taken_address, 4);
    assert_eq!(call.world.state(mallory), TransportState::Failed, "it has no address of its own");
    assert_eq!(call.world.state(call.alice), TransportState::Connected);
}

/// As a client does that has one UDP socket for both of its transports.
#[test]
fn a_second_transport_behind_one_address_fails_with_that_reason_and_the_first_goes_on() {
    let mut call = Call::new(Special::default());
    let router = call.world.router();
    let second = call.world.client(router, Direction::Send);
    call.world.clients[second].address = call.world.clients[call.bob].address;
    call.world.connect(second);
    assert_eq!(call.speak(9), 450);
    assert_eq!(call.world.state(second), TransportState::New, "the first may be dead");
    assert_eq!(call.speak(6), 300);
    let transport = call.world.clients[second].transport;
    let reason = call.world.events.iter().find_map(|event| match event {
        MediaEvent::TransportState { transport: of, reason, .. } if *of == transport => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(Some(TransportFailure::AddressInUse)));
    assert_eq!(call.world.state(call.bob), TransportState::Connected);
}
