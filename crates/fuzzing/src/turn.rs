//! Arbitrary messages, requests of several users in whatever order, packets of peers and time, for the TURN server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_turn::{
    ClientPath, Config, Event, Limits, Listener, PeerPolicy, Peers, Protocol, RelayId, SharedSecrets, Socket, Turn, credentials, framing,
};
use stun_types::attribute::{Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWriteVec, Method, TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{ChannelNumber, Data, EvenPort, Lifetime, RequestedTransport, XorPeerAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use crate::bytes::Bytes;
use crate::common::origin;

const MAX_STEPS: usize = 128;
const SECRET: &[u8] = b"fuzz";
const BEGIN: u64 = 1_700_000_000;
const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 1));
const MEDIA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 5)), 7401);
const CLIENTS: usize = 4;
const LIMITS: Limits = Limits { allocations: 3, per_user: 2, per_address: 3, bytes_per_second: 20_000 };

/// Bytes as one datagram, and as a stream cut up by them.
pub fn bytes(data: &[u8]) {
    let mut world = World::new(Peers::Mesh);
    let mut bytes = Bytes::new(data);
    let stream = bytes.flag();
    let mut unread = Vec::new();
    while !bytes.is_empty() {
        let len = usize::from(bytes.byte()) * 8;
        let piece = bytes.take(len);
        if !stream {
            world.message(0, piece, false);
            continue;
        }
        unread.extend_from_slice(piece);
        let mut frames = Vec::new();
        let in_order = framing::split(&mut unread, |frame| frames.push(frame.to_vec()));
        for frame in frames {
            assert!(frame.len() <= parlor_turn::limits::MAX_MESSAGE, "a frame that is longer than any");
            world.message(3, &frame, false);
        }
        if !in_order {
            break;
        }
        assert!(unread.len() <= parlor_turn::limits::MAX_MESSAGE, "more is kept than a message");
    }
    assert!(world.open.is_empty(), "a stranger has an allocation");
}

/// Runs the sequence that `data` spells.
pub fn operations(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(if bytes.flag() { Peers::Mesh } else { Peers::Sfu });
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
}

struct World {
    turn: Turn,
    now: Instant,
    peers: Peers,
    policy: PeerPolicy,
    /// Relay sockets there are.
    open: Vec<(RelayId, SocketAddr)>,
    nonces: [Option<String>; CLIENTS],
    transactions: u128,
    refuse_socket: bool,
}

impl World {
    fn new(peers: Peers) -> Self {
        let now = origin();
        let policy = PeerPolicy::new(vec![MEDIA], vec![MEDIA.ip(), RELAY], vec![RELAY], 50_000..=50_007);
        let listeners = [Protocol::Udp, Protocol::Tcp].map(|protocol| Listener { protocol, address: (RELAY, 3478).into() }).to_vec();
        let config = Config {
            listeners,
            relays: vec![RELAY],
            ports: 50_000..=50_007,
            limits: LIMITS,
            policy: policy.clone(),
            authenticate: Arc::new(SharedSecrets::new([SECRET], peers)),
            seed: [1; 32],
            wall_clock: Duration::from_secs(BEGIN),
        };
        let turn = Turn::new(config, now);
        Self { turn, now, peers, policy, open: Vec::new(), nonces: [const { None }; CLIENTS], transactions: 0, refuse_socket: false }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let client = bytes.below(CLIENTS);
        match bytes.below(12) {
            0 | 1 => self.allocate(client, bytes),
            2 => {
                let lifetime = if bytes.flag() { 600 } else { 0 };
                self.request(client, REFRESH, bytes, |message, _| add(message, &Lifetime::new(lifetime)));
            }
            3 => {
                let peers: Vec<SocketAddr> = (0..=bytes.below(3)).map(|_| self.peer(bytes)).collect();
                self.request(client, CREATE_PERMISSION, bytes, |message, transaction| {
                    peers.iter().for_each(|peer| add(message, &XorPeerAddress::new(*peer, transaction)));
                });
            }
            4 => {
                let (peer, number) = (self.peer(bytes), 0x3fff + u16::from(bytes.byte() % 8));
                self.request(client, CHANNEL_BIND, bytes, |message, transaction| {
                    add(message, &ChannelNumber::new(number));
                    add(message, &XorPeerAddress::new(peer, transaction));
                });
            }
            5 => {
                let peer = self.peer(bytes);
                let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
                let transaction = message.transaction_id();
                add(&mut message, &XorPeerAddress::new(peer, transaction));
                add(&mut message, &Data::new(bytes.take(40)));
                self.message(client, &message.finish(), true);
            }
            6 => {
                let number = 0x4000 + u16::from(bytes.byte() % 8);
                let data = bytes.take(60);
                let len = u16::try_from(data.len()).expect("short");
                self.message(client, &[&number.to_be_bytes(), &len.to_be_bytes(), data].concat(), true);
            }
            7 => {
                let (from, data) = (self.peer(bytes), bytes.take(60));
                if let Some((relay, _)) = self.open.get(bytes.below(self.open.len().max(1))).copied() {
                    self.turn.handle_peer(relay, from, data, self.now);
                    self.drain(usize::MAX);
                }
            }
            8 => {
                self.now += Duration::from_secs(u64::from(bytes.byte()) * 4);
                self.turn.handle_timeout(self.now);
                self.drain(0);
            }
            9 => {
                self.turn.revoke(&user(client));
                self.drain(0);
            }
            10 => {
                self.turn.handle_closed(path(client));
                self.drain(0);
            }
            _ => self.message(client, bytes.take(200), false),
        }
    }

    fn allocate(&mut self, client: usize, bytes: &mut Bytes<'_>) {
        self.refuse_socket = bytes.below(8) == 7;
        let even = bytes.below(4) == 3;
        self.request(client, ALLOCATE, bytes, |message, _| {
            add(message, &RequestedTransport::new(RequestedTransport::UDP));
            if even {
                add(message, &EvenPort::new(false));
            }
        });
        self.refuse_socket = false;
    }

    /// An address that is often one that matters, and now and then any.
    fn peer(&self, bytes: &mut Bytes<'_>) -> SocketAddr {
        let port = 4_000 + u16::from(bytes.byte() % 2);
        match bytes.below(8) {
            0 => MEDIA,
            1 => (MEDIA.ip(), 7400).into(),
            2 => (RELAY, 50_000 + u16::from(bytes.byte() % 9)).into(),
            3 => ([127, 0, 0, 1], port).into(),
            4 => ([0, 0, 0, 0, 0, 0xffff, 0x7f00, 1], port).into(),
            5 => (Ipv4Addr::from_bits(u32::from(bytes.byte()) << 24 | 0x0001_0101), port).into(),
            _ => ([8, 8, 8, 8 + bytes.byte() % 4], port).into(),
        }
    }

    /// A request with a good password and, mostly, a good nonce.
    fn request(&mut self, client: usize, method: Method, bytes: &mut Bytes<'_>, with: impl Fn(&mut MessageWriteVec, TransactionId)) {
        for _ in 0..2 {
            self.transactions += u128::from(!bytes.flag());
            let transaction: TransactionId = self.transactions.into();
            let mut message =
                Message::builder(MessageType::from_class_method(MessageClass::Request, method), transaction, MessageWriteVec::new());
            with(&mut message, transaction);
            let nonce = self.nonces.get(client).cloned().flatten();
            if let Some(nonce) = &nonce {
                let username = format!("{}:{}", BEGIN + 3_600, user(client));
                let password = credentials::password(SECRET, &username);
                add(&mut message, &Username::new(&username).expect("short"));
                add(&mut message, &Realm::new(credentials::REALM).expect("short"));
                add(&mut message, &Nonce::new(nonce).expect("short"));
                let key = LongTermKeyCredentials::new(username, password, credentials::REALM.to_owned());
                let key = key.make_key(IntegrityAlgorithm::Sha1);
                message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1).expect("fits");
            }
            self.message(client, &message.finish(), nonce.is_some());
            if self.nonces.get(client).cloned().flatten() == nonce {
                break;
            }
        }
    }

    /// Hands over a message; `signed` if its sender may have shown a password.
    fn message(&mut self, client: usize, message: &[u8], signed: bool) {
        self.turn.handle_client(path(client), message, self.now);
        self.drain(if signed { usize::MAX } else { 2 * message.len() });
    }

    /// Takes all outputs and checks them; a stranger is answered with `most` bytes.
    fn drain(&mut self, most: usize) {
        for events in 0.. {
            assert!(events < 100, "one input causes events without end");
            match self.turn.poll_event() {
                Some(Event::OpenRelay { relay, relayed }) => {
                    assert!(!self.open.iter().any(|(_, address)| *address == relayed), "an address is given twice");
                    if !self.refuse_socket {
                        self.open.push((relay, relayed));
                    }
                    self.turn.handle_relay(relay, !self.refuse_socket, self.now);
                }
                Some(Event::CloseRelay { relay }) => self.open.retain(|(open, _)| *open != relay),
                Some(Event::CloseClient { .. } | Event::Ended { .. }) => {}
                None => break,
            }
        }
        assert_eq!(self.open.len(), self.turn.stats().allocations, "a socket for each allocation and no other");
        assert!(self.open.len() <= LIMITS.allocations, "more allocations than may be");
        let batch = self.turn.batch();
        assert!(batch.segments.len() <= 1, "one input is sent on twice");
        for segment in batch.segments {
            let bytes = batch.bytes.get(segment.start..segment.start + segment.len).expect("within the batch");
            match segment.from {
                Socket::Relay(relay) => {
                    assert!(self.open.iter().any(|(open, _)| *open == relay), "sent from a socket that is not open");
                    assert!(self.policy.allows(self.peers, segment.to), "sent to {}", segment.to);
                }
                Socket::Listener(_) => {
                    let is_client = (0..CLIENTS).any(|client| path(client).remote == segment.to);
                    assert!(is_client, "sent to who did not ask");
                    assert!(segment.destination != u32::MAX || bytes.len() <= most, "an answer to a stranger is too long");
                    remember_nonce(&mut self.nonces, segment.to, bytes);
                }
            }
        }
        self.turn.clear_batch();
    }
}

fn remember_nonce(nonces: &mut [Option<String>; CLIENTS], to: SocketAddr, bytes: &[u8]) {
    let Some(nonce) =
        Message::from_bytes(bytes).ok().and_then(|message| message.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned()))
    else {
        return;
    };
    for (client, known) in nonces.iter_mut().enumerate() {
        if path(client).remote == to {
            *known = Some(nonce.clone());
        }
    }
}

/// Two users with two clients each; the last client is on a stream.
fn user(client: usize) -> String {
    format!("user-{}", client / 2)
}

fn path(client: usize) -> ClientPath {
    let port = 1_000 + u16::try_from(client).unwrap_or(0);
    ClientPath { listener: u16::from(client == CLIENTS - 1), remote: ([198, 51, 100, 7], port).into() }
}

fn add(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    message.add_attribute(attribute).expect("fits");
}
