//! A handshake against another DTLS endpoint, over a path that loses, repeats and reorders, in virtual time.

mod rsa;

use parlor_testkit::clock::Clock;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Version {
    V12,
    V13,
    Auto,
}
use Version::{Auto, V12, V13};

struct Client {
    dtls: Dtls,
    sent: Vec<Vec<u8>>,
    keys: Option<SrtpKeys>,
    connected: bool,
    closed: bool,
    timer: Option<Instant>,
}

impl Client {
    fn drain(&mut self) {
        let mut buffer = vec![0; 4_096];
        loop {
            let active = self.dtls.is_active();
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => self.sent.push(bytes.to_vec()),
                Output::Timeout(at) => {
                    self.timer = Some(at);
                    return;
                }
                Output::Connected => self.connected = true,
                Output::KeyingMaterial(material, profile) => self.keys = split(&material, profile, active),
                Output::CloseNotify => self.closed = true,
                _ => {}
            }
        }
    }
}

struct World {
    clock: Clock,
    client: Client,
    ours: Handshake,
    keys: Option<SrtpKeys>,
    closed: bool,
    reason: Option<TransportFailure>,
    sent: Vec<Vec<u8>>,
    timer: Option<Instant>,
    parameters: DtlsParameters,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

impl World {
    fn new(version: Version, role: DtlsRole, algorithm: &'static str) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
        Self::with(version, role, algorithm, Config::default(), certificate)
    }

    /// With a client of that configuration and certificate.
    fn with(version: Version, role: DtlsRole, algorithm: &'static str, config: Config, certificate: DtlsCertificate) -> Self {
        let clock = Clock::new();
        let identity = Identity::new().expect("an identity");
        let hash = match algorithm {
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => &digest::SHA256,
        };
        let value = hex(digest::digest(hash, &certificate.certificate).as_ref());
        let fingerprint = DtlsFingerprint { algorithm: algorithm.to_owned(), value };
        let parameters = DtlsParameters { role, fingerprints: vec![fingerprint] };
        let config = Arc::new(config);
        let mut dtls = match version {
            V12 => Dtls::new_12(config, certificate, clock.now()),
            V13 => Dtls::new_13(config, certificate, clock.now()),
            Auto => Dtls::new_auto(config, certificate, clock.now()),
        };
        dtls.set_active(role != DtlsRole::Server);
        let mut client = Client { dtls, sent: Vec::new(), keys: None, connected: false, closed: false, timer: None };
        client.dtls.handle_timeout(clock.now()).expect("alive");
        client.drain();
        let ours = Handshake::new(&identity, clock.now());
        Self { clock, client, ours, keys: None, closed: false, reason: None, sent: Vec::new(), timer: None, parameters }
    }

    fn start(&mut self) {
        self.ours.start(&self.parameters.clone(), self.clock.now()).expect("usable");
        self.poll();
    }

    fn poll(&mut self) {
        loop {
            match self.ours.poll() {
                HandshakeOutput::Idle(at) => {
                    self.timer = at;
                    return;
                }
                HandshakeOutput::Transmit(bytes) => self.sent.push(bytes),
                HandshakeOutput::Connected(keys) => self.keys = Some(*keys),
                HandshakeOutput::Closed(end) => {
                    self.closed = true;
                    self.reason = Some(end.reason);
                    return;
                }
            }
        }
    }

    fn give(&mut self, bytes: &[u8]) -> bool {
        let taken = self.ours.receive(bytes, self.clock.now());
        self.poll();
        taken
    }

    /// Exchanges what both have sent; `path` may drop, repeat and reorder it.
    fn exchange(&mut self, path: &mut impl FnMut(Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
        for bytes in path(std::mem::take(&mut self.client.sent)) {
            self.give(&bytes);
        }
        for bytes in path(std::mem::take(&mut self.sent)) {
            let _ = self.client.dtls.handle_timeout(self.clock.now());
            let _ = self.client.dtls.handle_packet(&bytes);
            self.client.drain();
        }
    }

    fn run(&mut self, path: &mut impl FnMut(Vec<Vec<u8>>) -> Vec<Vec<u8>>) {
        for _ in 0..400 {
            self.exchange(path);
            if (self.keys.is_some() && self.client.connected) || self.closed {
                return;
            }
            if self.sent.is_empty() && self.client.sent.is_empty() {
                self.clock.advance(Duration::from_millis(100));
                let _ = self.client.dtls.handle_timeout(self.clock.now());
                self.client.drain();
                self.ours.handle_timeout(self.clock.now());
                self.poll();
            }
        }
    }

    fn assert_connected(&self) {
        assert!(!self.closed);
        let (ours, theirs) = (self.keys.as_ref().expect("our keys"), self.client.keys.as_ref().expect("their keys"));
        assert!(ours.profile == theirs.profile && ours.local_key.len() == ours.profile.key_len());
        assert!(ours.local_key == theirs.remote_key && ours.remote_key == theirs.local_key && ours.local_key != ours.remote_key);
        assert!(ours.local_salt == theirs.remote_salt && ours.remote_salt == theirs.local_salt);
    }
}

fn all() -> impl Iterator<Item = (Version, DtlsRole)> {
    [V12, V13, Auto].into_iter().flat_map(|v| [DtlsRole::Client, DtlsRole::Server, DtlsRole::Auto].map(|r| (v, r)))
}

fn connected(version: Version, role: DtlsRole) -> World {
    let mut world = World::new(version, role, "sha-256");
    world.start();
    world.run(&mut |sent| sent);
    world.assert_connected();
    world
}

#[test]
fn both_versions_and_roles_connect_with_the_same_keys() {
    for (version, role) in all() {
        connected(version, role);
    }
}

#[test]
fn every_allowed_hash_verifies_the_certificate() {
    for algorithm in ["sha-256", "sha-384", "sha-512"] {
        let mut world = World::new(Auto, DtlsRole::Client, algorithm);
        world.start();
        world.run(&mut |sent| sent);
        world.assert_connected();
    }
}

#[test]
fn our_lost_last_flight_is_sent_again() {
    for (version, role) in all() {
        let mut world = World::new(version, role, "sha-256");
        world.start();
        let mut lost = 0;
        for _ in 0..400 {
            for bytes in std::mem::take(&mut world.client.sent) {
                world.give(&bytes);
            }
            // The first thing said once we hold the keys is lost.
            if world.keys.is_some() && lost == 0 && !world.sent.is_empty() {
                lost = world.sent.len();
                world.sent.clear();
            }
            world.exchange(&mut |sent| sent);
            if world.keys.is_some() && world.client.connected {
                break;
            }
            world.clock.advance(Duration::from_millis(100));
            let _ = world.client.dtls.handle_timeout(world.clock.now());
            world.client.drain();
            world.ours.handle_timeout(world.clock.now());
            world.poll();
        }
        world.assert_connected();
        assert!(role == DtlsRole::Server || version == V13 || lost > 0, "{version:?} {role:?}: no last flight");
    }
}

#[test]
fn another_certificate_closes_and_gives_no_keys() {
    for (algorithm, len) in [("sha-256", 32), ("sha-384", 48), ("sha-512", 64)] {
        for (version, role) in all() {
            let mut world = World::new(version, role, "sha-256");
            // The right one in a weaker hash does not help.
            let wrong = DtlsFingerprint { algorithm: algorithm.to_owned(), value: hex(&vec![0xab; len]) };
            world.parameters.fingerprints.insert(0, wrong);
            world.start();
            world.run(&mut |sent| sent);
            assert!(world.closed && world.keys.is_none(), "{version:?} {role:?} {algorithm}");
            assert_eq!(world.reason, Some(TransportFailure::CertificateMismatch));
        }
    }
}

#[test]
fn nothing_is_read_before_the_start_and_the_repeated_hello_connects() {
    let mut world = World::new(Auto, DtlsRole::Client, "sha-256");
    let hello = std::mem::take(&mut world.client.sent);
    assert!(!hello.is_empty());
    for bytes in hello {
        assert!(!world.give(&bytes));
    }
    assert!(world.sent.is_empty() && world.timer.is_none() && !world.closed);
    world.start();
    world.run(&mut |sent| sent);
    world.assert_connected();
}

#[test]
fn a_second_start_is_refused_and_changes_nothing() {
    let mut world = connected(Auto, DtlsRole::Client);
    let parameters = world.parameters.clone();
    assert!(world.ours.start(&parameters, world.clock.now()).is_err());
    world.poll();
    world.assert_connected();
}

#[test]
fn silence_ends_in_closed() {
    let mut world = World::new(Auto, DtlsRole::Server, "sha-256");
    world.start();
    world.run(&mut |_| Vec::new());
    assert!(world.closed && world.keys.is_none());
    assert_eq!(world.reason, Some(TransportFailure::HandshakeTimeout));
}

#[test]
fn a_client_that_refuses_is_named_as_the_reason() {
    for (version, role) in all() {
        let mut world = World::new(version, role, "sha-256");
        world.start();
        if role != DtlsRole::Server {
            world.exchange(&mut |sent| sent);
        }
        // handshake_failure in plain text, as OpenSSL says it; nothing comes after it.
        world.give(&[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40]);
        while !world.closed {
            let at = world.timer.expect("it ends by itself");
            world.clock.advance(at.saturating_duration_since(world.clock.now()));
            world.ours.handle_timeout(world.clock.now());
            world.poll();
        }
        assert_eq!(world.reason, Some(TransportFailure::RefusedByClient), "{version:?} {role:?}");
    }
}

#[test]
fn nothing_in_common_is_named_as_the_reason() {
    use dimpl::crypto::{Dtls12CipherSuite, Dtls13CipherSuite};
    let certificate = dimpl::certificate::generate_self_signed_certificate().expect("a certificate");
    // A client that could only talk to an RSA server.
    let config = Config::builder()
        .dtls12_cipher_suites(&[Dtls12CipherSuite::ECDHE_RSA_AES128_GCM_SHA256])
        .dtls13_cipher_suites(&[] as &[Dtls13CipherSuite]);
    let mut world = World::with(V12, DtlsRole::Client, "sha-256", config.build().expect("a configuration"), certificate);
    world.start();
    world.run(&mut |sent| sent);
    assert_eq!(world.reason, Some(TransportFailure::NothingInCommon));
}

#[test]
fn close_notify_closes_on_both_sides() {
    for (version, role) in all() {
        let mut world = connected(version, role);
        world.exchange(&mut |sent| sent);
        world.client.dtls.close().expect("closes");
        world.client.drain();
        world.exchange(&mut |sent| sent);
        assert!(world.closed, "{version:?} {role:?}");
        assert_eq!(world.reason, Some(TransportFailure::Closed));

        let mut world = connected(version, role);
        world.ours.close(world.clock.now());
        world.poll();
        assert!(world.closed);
        world.exchange(&mut |sent| sent);
        world.client.drain();
        assert!(world.client.closed, "{version:?} {role:?}");
    }
}

#[test]
fn forged_records_never_end_a_call_nor_make_us_deaf() {
    for (version, role) in all() {
        let mut world = connected(version, role);
        world.exchange(&mut |sent| sent);
        for number in 0..2_000_u32 {
            let kind = 19 + u8::try_from(number % 8).unwrap_or(0);
            let epoch = u8::try_from(number / 8 % 5).unwrap_or(0);
            let [_, _, high, low] = number.to_be_bytes();
            let mut bytes = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, high, low, 0, 14];
            bytes.extend([2, 40, 0, 0, 2, high, low, 0, 0, 0, 0, 2, 0, 0]);
            let mut twice = bytes.clone();
            twice.extend(&bytes);
            let unified =
                [0x20 | (low & 0x1f), high, low, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21];
            world.give(&bytes);
            world.give(&twice);
            world.give(&unified);
            assert!(!world.closed, "{version:?} {role:?} {bytes:?}");
        }
        assert!(world.sent.len() < 100, "{version:?} {role:?}: {} answers to forgeries", world.sent.len());
        world.sent.clear();
        world.client.dtls.close().expect("closes");
        world.client.drain();
        world.exchange(&mut |sent| sent);
        assert!(world.closed, "{version:?} {role:?}: the real end was not heard");
    }
}

#[test]
fn old_plain_handshake_records_are_not_even_read_once_nobody_can_need_them() {
    for version in [V12, V13, Auto] {
        let mut world = World::new(version, DtlsRole::Client, "sha-256");
        let hello = world.client.sent.first().expect("a hello").clone();
        world.start();
        world.run(&mut |sent| sent);
        world.assert_connected();
        assert!(world.give(&hello), "may be a repeated flight");
        world.sent.clear();
        world.clock.advance(LINGER);
        assert!(!world.give(&hello), "{version:?}");
        assert!(world.sent.is_empty() && !world.closed);
    }
}

#[test]
fn junk_during_a_handshake_does_not_disturb_it() {
    for (version, role) in all() {
        let mut world = World::new(version, role, "sha-256");
        world.start();
        world.give(&[22; 40]);
        world.give(&[63, 1, 2]);
        world.give(&[]);
        world.run(&mut |sent| sent);
        world.assert_connected();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn loss_repetition_and_disorder_only_delay(seed in any::<u64>(), which in 0..9_usize) {
        let (version, role) = all().nth(which).expect("nine");
        let mut world = World::new(version, role, "sha-256");
        world.start();
        let mut state = seed | 1;
        let mut next = move || { state ^= state << 13; state ^= state >> 7; state ^= state << 17; state };
        let mut losses = 4;
        world.run(&mut |sent| {
            let mut out = Vec::new();
            for bytes in sent {
                match next() % 6 {
                    0 if losses > 0 => losses -= 1,
                    1 => { out.push(bytes.clone()); out.push(bytes) }
                    2 => out.insert(0, bytes),
                    _ => out.push(bytes),
                }
            }
            out
        });
        world.assert_connected();
    }

    #[test]
    fn no_bytes_panic_and_none_end_a_call(junk in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..40), which in 0..9_usize) {
        let (version, role) = all().nth(which).expect("nine");
        let mut fresh = World::new(version, role, "sha-256");
        fresh.start();
        let mut world = connected(version, role);
        for bytes in junk {
            fresh.give(&bytes);
            world.give(&bytes);
            prop_assert!(!world.closed && fresh.keys.is_none());
        }
    }
}
