//! A world in virtual time: one `Sfu`, and clients on str0m behind lossy links.
#![allow(dead_code, unused_imports, reason = "every test file uses its own part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed"
)]

mod camera;
mod client;
pub mod fixtures;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::error::Error;
use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{MediaCommand, MediaEvent, MediaKind, Source, StreamType};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{Direction, IceParameters, Protocol, TransportState};
use parlor_sfu::{Datagram, LocalCandidate, Sfu, SfuConfig};
use parlor_testkit::clock::Clock;
use parlor_testkit::link::{Conditions, Link};

pub use camera::{Camera, origin};
pub use client::{Browser, Client, Sending};

/// Where the `Sfu` is.
pub fn sfu_address() -> SocketAddr {
    ([10, 0, 0, 1], 7401).into()
}

/// What `Consumed` says.
#[derive(Clone, Debug)]
pub struct Consumed {
    pub consumer: ConsumerId,
    pub rtp: RtpParameters,
    pub stream_type: StreamType,
}

/// Everything there is.
pub struct World {
    pub clock: Clock,
    pub sfu: Sfu,
    pub clients: Vec<Client>,
    pub events: Vec<MediaEvent>,
    next_id: u128,
}

impl World {
    pub fn new() -> Self {
        let clock = Clock::new();
        let candidates = vec![
            LocalCandidate { protocol: Protocol::Udp, address: sfu_address() },
            LocalCandidate { protocol: Protocol::Tcp, address: sfu_address() },
        ];
        let sfu = Sfu::new(SfuConfig::new(candidates), clock.now()).expect("an sfu");
        Self { clock, sfu, clients: Vec::new(), events: Vec::new(), next_id: 1 }
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }

    pub fn command(&mut self, command: MediaCommand) {
        self.sfu.handle_command(command, self.clock.now());
        self.collect();
    }

    pub fn router(&mut self) -> RouterId {
        let router = RouterId::from_random(self.id());
        self.command(MediaCommand::CreateRouter { router });
        router
    }

    /// A client with its transport, not connected yet. The result is its index.
    pub fn client(&mut self, router: RouterId, direction: Direction) -> usize {
        self.client_behind(router, direction, Conditions::GOOD, Browser::Chrome)
    }

    pub fn client_behind(&mut self, router: RouterId, direction: Direction, conditions: Conditions, browser: Browser) -> usize {
        let transport = TransportId::from_random(self.id());
        self.command(MediaCommand::CreateTransport { router, transport, direction });
        let Some(MediaEvent::TransportCreated { ice, dtls, .. }) = self.events.pop() else { panic!("no transport") };
        let index = self.clients.len();
        self.clients.push(Client::new(index, transport, &ice, &dtls, conditions, browser, self.now()));
        index
    }

    /// Lets the `Sfu` know the client's DTLS end.
    pub fn connect(&mut self, client: usize) {
        let (transport, dtls) = (self.clients[client].transport, self.clients[client].dtls_parameters());
        self.command(MediaCommand::ConnectTransport { transport, dtls });
    }

    /// A client whose transport is connected.
    pub fn connected(&mut self, router: RouterId, direction: Direction) -> usize {
        self.connected_behind(router, direction, Conditions::GOOD, Browser::Chrome)
    }

    pub fn connected_behind(&mut self, router: RouterId, direction: Direction, conditions: Conditions, browser: Browser) -> usize {
        let client = self.client_behind(router, direction, conditions, browser);
        self.connect(client);
        self.until("a connected transport", |world| world.clients[client].connected);
        client
    }

    pub fn produce(&mut self, client: usize, kind: MediaKind, rtp: &RtpParameters) -> ProducerId {
        self.try_produce(client, kind, rtp).expect("produced")
    }

    pub fn try_produce(&mut self, client: usize, kind: MediaKind, rtp: &RtpParameters) -> Result<ProducerId, Error> {
        self.try_produce_within(client, kind, rtp, 4_000_000)
    }

    pub fn try_produce_within(
        &mut self,
        client: usize,
        kind: MediaKind,
        rtp: &RtpParameters,
        max_bitrate: u32,
    ) -> Result<ProducerId, Error> {
        let (producer, transport) = (ProducerId::from_random(self.id()), self.clients[client].transport);
        let source = if kind == MediaKind::Audio { Source::Mic } else { Source::Camera };
        let rtp = Arc::new(rtp.clone());
        self.command(MediaCommand::Produce { transport, producer, kind, source, rtp: Arc::clone(&rtp), paused: false, max_bitrate });
        match self.events.pop() {
            Some(MediaEvent::Produced { producer: made }) if made == producer => {
                self.clients[client].start_sending(kind, &rtp);
                Ok(producer)
            }
            Some(MediaEvent::ProduceFailed { error, .. }) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub fn consume(&mut self, client: usize, producer: ProducerId) -> Consumed {
        self.try_consume(client, producer, fixtures::chrome_capabilities()).expect("consumed")
    }

    pub fn try_consume(&mut self, client: usize, producer: ProducerId, capabilities: RtpCapabilities) -> Result<Consumed, Error> {
        let (consumer, transport) = (ConsumerId::from_random(self.id()), self.clients[client].transport);
        let capabilities = Arc::new(capabilities);
        self.command(MediaCommand::Consume { transport, consumer, producer, capabilities, paused: false });
        match self.events.pop() {
            Some(MediaEvent::Consumed { rtp, stream_type, .. }) => {
                self.clients[client].start_receiving(&rtp);
                Ok(Consumed { consumer, rtp: *rtp, stream_type })
            }
            Some(MediaEvent::ConsumeFailed { error, .. }) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    pub fn restart_ice(&mut self, client: usize) -> IceParameters {
        let transport = self.clients[client].transport;
        self.command(MediaCommand::RestartIce { transport });
        let Some(MediaEvent::IceRestarted { ice, .. }) = self.events.pop() else { panic!("no restart") };
        ice
    }

    /// The last reported state of a client's transport.
    pub fn state(&self, client: usize) -> TransportState {
        let wanted = self.clients[client].transport;
        let mut states = self.events.iter().filter_map(|event| match event {
            MediaEvent::TransportState { transport, state } if *transport == wanted => Some(*state),
            _ => None,
        });
        states.next_back().unwrap_or(TransportState::New)
    }

    /// Hands the `Sfu` a datagram out of nowhere.
    pub fn inject(&mut self, remote: SocketAddr, bytes: &[u8]) {
        let datagram = Datagram { protocol: Protocol::Udp, local: sfu_address(), remote, bytes };
        self.sfu.handle_datagram(datagram, self.clock.now());
        self.collect();
    }

    /// Lets the time run.
    pub fn run(&mut self, duration: Duration) {
        let end = self.clock.now() + duration;
        loop {
            self.settle();
            let next = self.next_time();
            if next > end {
                self.clock.advance_to(end);
                self.settle();
                return;
            }
            self.clock.advance_to(next);
        }
    }

    /// Lets the time run until a condition holds; 15 s are the most it may take.
    pub fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let end = self.clock.now() + Duration::from_secs(15);
        while !condition(self) {
            assert!(self.clock.now() < end, "waited in vain for {what}");
            self.run(Duration::from_millis(10));
        }
    }

    /// Everything that can happen without time passing.
    fn settle(&mut self) {
        let now = self.clock.now();
        if self.sfu.poll_timeout().is_some_and(|at| at <= now) {
            self.sfu.handle_timeout(now);
        }
        for index in 0..self.clients.len() {
            self.clients[index].step(now);
            while let Some((remote, bytes)) = self.clients[index].up.receive(now) {
                let protocol = self.clients[index].protocol;
                let datagram = Datagram { protocol, local: sfu_address(), remote, bytes: &bytes };
                self.sfu.handle_datagram(datagram, now);
            }
        }
        // As a media thread does it: what arrived together is handled whole, then sent.
        self.collect();
    }

    /// At least a tenth of a millisecond on: nothing may spin without time passing.
    fn next_time(&self) -> Instant {
        let clients = self.clients.iter().filter_map(Client::next_time);
        let next = clients.chain(self.sfu.poll_timeout()).min();
        next.unwrap_or(self.clock.now() + Duration::from_secs(1)).max(self.clock.now() + Duration::from_micros(100))
    }

    fn collect(&mut self) {
        let now = self.clock.now();
        while let Some(transmit) = self.sfu.poll_transmit() {
            assert_eq!(transmit.local, sfu_address());
            if let Some(client) =
                self.clients.iter_mut().find(|client| (client.protocol, client.address) == (transmit.protocol, transmit.remote))
            {
                let size = transmit.bytes.len();
                client.down.send(transmit.bytes, size, now);
            }
        }
        while let Some(event) = self.sfu.poll_event() {
            self.events.push(event);
        }
    }
}

pub type Up = Link<(SocketAddr, Vec<u8>)>;
pub type Down = Link<Vec<u8>>;

const PACKET: Duration = Duration::from_millis(20);

/// Speaks for a number of packets; the payload tells the packet.
pub fn speak(world: &mut World, client: usize, ssrc: u32, from: u64, count: u64, level: i8) {
    for seq in from..from + count {
        let payload = [0xf8, 0xff, 0xfe, seq as u8];
        let timestamp = (seq as u32).wrapping_mul(960);
        let now = world.now();
        let sending = Sending { ssrc, payload_type: 111, seq, timestamp, marker: seq == from, audio_level: Some(level), payload: &payload };
        world.clients[client].send(&sending, now);
        world.run(PACKET);
    }
}

/// The extended sequence numbers of what a consumer received, sorted, must have no hole.
pub fn assert_contiguous(client: &Client, consumed: &Consumed) {
    let mut numbers: Vec<u64> = client.received_of(&consumed.rtp).map(|packet| *packet.seq_no).collect();
    assert!(!numbers.is_empty(), "nothing received");
    numbers.sort_unstable();
    for pair in numbers.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "a gap or a repetition");
    }
}
