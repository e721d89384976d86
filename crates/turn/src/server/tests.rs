//! The rules in virtual time, one test for each, with a client made of the codecs alone.

mod allocations;
mod authentication;
mod client;
mod peers;
mod quotas;
mod relaying;
mod requests;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_testkit::clock::Clock;
use stun_types::message::Method;

use super::*;
use crate::credentials::SharedSecrets;
use crate::policy::Peers;
use client::{Client, Reply};

const SECRET: &[u8] = b"a secret of both";
const OLD_SECRET: &[u8] = b"the secret before";
/// The time of day when a world begins.
const BEGIN: u64 = 1_700_000_000;
const UDP: u16 = 0;
const TCP: u16 = 1;
const RELAY: &str = "93.184.216.1";
const RELAY_V6: &str = "2a00:1450:4001::1";
/// The media plane, at a private address.
const MEDIA: &str = "10.0.0.5:7401";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn policy() -> PeerPolicy {
    let relays = [RELAY, RELAY_V6].map(|ip| ip.parse().expect("an address"));
    let own = vec![at(MEDIA).ip(), relays[0], relays[1]];
    PeerPolicy::new(vec![at(MEDIA)], own, relays.to_vec(), 49_152..=65_535)
}

fn config(peers: Peers, limits: Limits) -> Config {
    Config {
        listeners: vec![
            Listener { protocol: Protocol::Udp, address: at("10.0.0.5:3478") },
            Listener { protocol: Protocol::Tcp, address: at("10.0.0.5:3478") },
        ],
        relays: [RELAY, RELAY_V6].map(|ip| ip.parse().expect("an address")).to_vec(),
        ports: 49_152..=65_535,
        limits,
        policy: policy(),
        authenticate: Arc::new(SharedSecrets::new([SECRET, OLD_SECRET], peers)),
        seed: [3; 32],
        wall_clock: Duration::from_secs(BEGIN),
    }
}

/// A server whose sockets open at once, and the time.
struct World {
    turn: Turn,
    now: Instant,
    /// Whether the next sockets open; afterwards all do.
    opens: Vec<bool>,
    /// Relay sockets there are.
    relays: Vec<(RelayId, SocketAddr)>,
    events: Vec<Event>,
    sent: Vec<(Socket, SocketAddr, Vec<u8>)>,
}

impl World {
    fn new(peers: Peers) -> Self {
        Self::with(peers, Limits::default())
    }

    fn with(peers: Peers, limits: Limits) -> Self {
        let now = Clock::new().now();
        let turn = Turn::new(config(peers, limits), now);
        Self { turn, now, opens: Vec::new(), relays: Vec::new(), events: Vec::new(), sent: Vec::new() }
    }

    /// Lets time pass, a second at a time.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = end.min(self.now + Duration::from_secs(1));
            self.turn.handle_timeout(self.now);
            self.settle();
        }
    }

    fn handle(&mut self, path: ClientPath, bytes: &[u8]) {
        self.turn.handle_client(path, bytes, self.now);
        self.settle();
    }

    fn handle_peer(&mut self, relay: RelayId, from: SocketAddr, bytes: &[u8]) {
        self.turn.handle_peer(relay, from, bytes, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(event) = self.turn.poll_event() {
            match event {
                Event::OpenRelay { relay, relayed } => {
                    let opened = if self.opens.is_empty() { true } else { self.opens.remove(0) };
                    if opened {
                        self.relays.push((relay, relayed));
                    }
                    self.turn.handle_relay(relay, opened, self.now);
                }
                Event::CloseRelay { relay } => self.relays.retain(|(open, _)| *open != relay),
                other => self.events.push(other),
            }
        }
        let batch = self.turn.batch();
        let bytes = |segment: &crate::Segment| batch.bytes[segment.start..][..segment.len].to_vec();
        self.sent.extend(batch.segments.iter().map(|segment| (segment.from, segment.to, bytes(segment))));
        self.turn.clear_batch();
    }

    /// What was sent since this was asked last.
    fn sent(&mut self) -> Vec<(Socket, SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.sent)
    }

    /// The one message that was sent to a client since this was asked last.
    fn reply(&mut self, client: &Client) -> Option<Reply> {
        let mut sent = self.sent();
        assert!(sent.len() <= 1, "{sent:?}");
        let (from, to, bytes) = sent.pop()?;
        assert_eq!((from, to), (Socket::Listener(client.path.listener), client.path.remote));
        Some(Reply::read(&bytes))
    }

    /// Has a client ask, with a nonce and once again if the server wants another one.
    fn ask(&mut self, client: &mut Client, method: Method, with: &[&dyn stun_types::attribute::AttributeWrite]) -> Reply {
        for _ in 0..2 {
            let request = client.request(method, with);
            self.handle(client.path, &request);
            let Some(reply) = self.reply(client) else {
                assert_eq!(client.nonce, None, "only a stranger is not answered");
                client.nonce = Some(self.turn.nonces.make(&client.path, self.now));
                continue;
            };
            if let (401 | 438, Some(nonce)) = (reply.code, reply.nonce.clone())
                && client.nonce.as_ref() != Some(&nonce)
            {
                client.nonce = Some(nonce);
                continue;
            }
            return reply;
        }
        panic!("a nonce that was just given is refused")
    }

    /// A client with an allocation.
    fn allocated(&mut self, user: &str, remote: &str) -> Client {
        self.allocated_on(UDP, user, remote)
    }

    fn allocated_on(&mut self, listener: u16, user: &str, remote: &str) -> Client {
        let mut client = Client::new(listener, user, remote);
        let reply = client.allocate(self);
        assert_eq!(reply.code, 0, "{reply:?}");
        client.relayed = reply.relayed;
        client
    }

    fn relay_of(&self, client: &Client) -> RelayId {
        let relayed = client.relayed.expect("allocated");
        self.relays.iter().find(|(_, address)| *address == relayed).expect("open").0
    }
}
