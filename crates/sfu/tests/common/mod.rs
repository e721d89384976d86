//! A world in virtual time: one `Sfu`, or two that share rooms, and clients on str0m behind lossy links.
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
pub mod heap;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::error::Error;
use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{Layers, MediaCommand, MediaEvent, MediaKind, Origin, Source, StreamType};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{Direction, IceParameters, Protocol, TransportState};
use parlor_sfu::{Datagram, LocalCandidate, PipeBatch, Sfu, SfuConfig, TalkersConfig};
use parlor_testkit::clock::Clock;
use parlor_testkit::link::{Conditions, Link};

pub use camera::{Camera, FRAME, origin};
pub use client::{Browser, Checks, Client, Sending, Special};

/// Where the `Sfu` is.
pub fn sfu_address() -> SocketAddr {
    ([10, 0, 0, 1], 7401).into()
}

/// Where the `Sfu` is, by IPv6.
pub fn sfu_address_6() -> SocketAddr {
    ([0xfd00, 0, 0, 0, 0, 0, 0, 1], 7401).into()
}

/// What is called of an `Sfu`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    Rtp,
    /// Another datagram.
    Datagram,
    Command,
    Timeout,
    /// What was sent is forgotten.
    Clear,
}

/// Is told when something is called, and when it returns.
pub type Watch = fn(call: Call, begins: bool);

/// A consumer as its client is told of it.
#[derive(Clone, Debug)]
pub struct Consumed {
    pub consumer: ConsumerId,
    pub rtp: RtpParameters,
    pub stream_type: StreamType,
}

/// An `Sfu`, or two, and all their clients, with one clock.
pub struct World {
    pub clock: Clock,
    pub sfu: Sfu,
    /// The `Sfu` of another thread, reached at the same address.
    pub second: Option<Sfu>,
    /// Commands are for the second.
    pub at_second: bool,
    pub clients: Vec<Client>,
    pub events: Vec<MediaEvent>,
    /// All that was ever reported, with whose it is.
    pub reported: Vec<(RouterId, MediaEvent)>,
    /// The router that was made last: commands are for it where no other is named.
    pub last_router: RouterId,
    /// The transport each consumer is on.
    transports: HashMap<ConsumerId, TransportId>,
    pub watch: Watch,
    /// Bytes that were sent to where no client is.
    pub astray: HashMap<SocketAddr, usize>,
    pub last_astray: Vec<u8>,
    /// RTP packets that were kept from the `Sfu`, while there is a recording.
    recording: Option<Vec<Recorded>>,
    next_id: u128,
}

/// An RTP packet that came to the `Sfu`.
pub struct Recorded {
    pub at: Instant,
    pub datagram: OwnedDatagram,
}

/// A datagram that can be kept.
pub struct OwnedDatagram {
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
    bytes: Vec<u8>,
}

impl OwnedDatagram {
    pub fn borrow(&self) -> Datagram<'_> {
        let Self { protocol, local, remote, ref bytes } = *self;
        Datagram { protocol, local, remote, bytes }
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(TalkersConfig::default())
    }

    pub fn with(talkers: TalkersConfig) -> Self {
        let clock = Clock::new();
        let sfu = new_sfu(talkers, clock.now());
        Self {
            clock,
            sfu,
            second: None,
            at_second: false,
            clients: Vec::new(),
            events: Vec::new(),
            reported: Vec::new(),
            last_router: RouterId::from_random(0),
            transports: HashMap::new(),
            watch: |_, _| {},
            astray: HashMap::new(),
            last_astray: Vec::new(),
            recording: None,
            next_id: 1,
        }
    }

    /// A world in which two threads share every room.
    pub fn of_two() -> Self {
        let world = Self::new();
        Self { second: Some(new_sfu(TalkersConfig::default(), world.now())), ..world }
    }

    /// A client whose transport is on the second thread.
    pub fn at_second<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        self.at_second = true;
        let result = act(self);
        self.at_second = false;
        result
    }

    /// A command for both threads.
    pub fn command_both(&mut self, command: MediaCommand) {
        self.at_second(|world| world.command(command.clone()));
        self.command(command);
    }

    /// Mirrors a producer of the first thread on the second.
    pub fn mirror(&mut self, sender: usize, producer: ProducerId, kind: MediaKind, rtp: &RtpParameters) {
        let Client { transport, router, .. } = self.clients[sender];
        let origin = Origin { transport, kind, rtp: Arc::new(rtp.clone()), paused: false };
        let now = self.clock.now();
        assert!(self.second.as_mut().expect("of two").mirror(router, producer, &origin, 0, now), "mirrored");
        self.sfu.pipe(router, producer, 1);
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }

    pub fn command(&mut self, command: MediaCommand) {
        self.command_of(self.last_router, command);
    }

    pub fn pause_consumer(&mut self, consumer: ConsumerId, paused: bool) {
        self.command(MediaCommand::SetConsumerPaused { transport: self.transports[&consumer], consumer, paused });
    }

    pub fn close_consumer(&mut self, consumer: ConsumerId) {
        self.command(MediaCommand::CloseConsumer { transport: self.transports[&consumer], consumer });
    }

    pub fn prefer(&mut self, consumer: ConsumerId, layers: Layers) {
        self.command(MediaCommand::SetPreferredLayers { transport: self.transports[&consumer], consumer, layers });
    }

    pub fn request_key_frame(&mut self, consumer: ConsumerId) {
        self.command(MediaCommand::RequestKeyFrame { transport: self.transports[&consumer], consumer });
    }

    pub fn command_of(&mut self, router: RouterId, command: MediaCommand) {
        let now = self.clock.now();
        (self.watch)(Call::Command, true);
        match &mut self.second {
            Some(second) if self.at_second => second.handle_command(router, command, now),
            _ => self.sfu.handle_command(router, command, now),
        }
        (self.watch)(Call::Command, false);
        self.collect();
    }

    pub fn router(&mut self) -> RouterId {
        let router = RouterId::from_random(self.id());
        self.command_of(router, MediaCommand::CreateRouter);
        self.last_router = router;
        router
    }

    /// A client with its transport, not connected yet. The result is its index.
    pub fn client(&mut self, router: RouterId, direction: Direction) -> usize {
        self.client_behind(router, direction, Conditions::GOOD, Browser::Chrome)
    }

    pub fn client_behind(&mut self, router: RouterId, direction: Direction, conditions: Conditions, browser: Browser) -> usize {
        self.client_with(router, direction, Special { conditions, browser, ..Special::default() })
    }

    pub fn client_with(&mut self, router: RouterId, direction: Direction, special: Special) -> usize {
        let transport = TransportId::from_random(self.id());
        self.command_of(router, MediaCommand::CreateTransport { transport, direction });
        let Some(MediaEvent::TransportCreated { ice, dtls, .. }) = self.events.pop() else { panic!("no transport") };
        let index = self.clients.len();
        self.clients.push(Client::new(index, transport, &ice, &dtls, special, self.now()));
        self.clients[index].at_second = self.at_second;
        self.clients[index].router = router;
        index
    }

    /// Lets the `Sfu` know the client's DTLS end.
    pub fn connect(&mut self, client: usize) {
        let (transport, dtls) = (self.clients[client].transport, self.clients[client].dtls_parameters());
        self.command_of(self.clients[client].router, MediaCommand::ConnectTransport { transport, dtls });
    }

    /// A client whose transport is connected.
    pub fn connected(&mut self, router: RouterId, direction: Direction) -> usize {
        self.connected_behind(router, direction, Conditions::GOOD, Browser::Chrome)
    }

    pub fn connected_behind(&mut self, router: RouterId, direction: Direction, conditions: Conditions, browser: Browser) -> usize {
        self.connected_with(router, direction, Special { conditions, browser, ..Special::default() })
    }

    pub fn connected_with(&mut self, router: RouterId, direction: Direction, special: Special) -> usize {
        let client = self.client_with(router, direction, special);
        self.connect(client);
        // Either end may be the first to know.
        let both = |world: &Self| world.clients[client].connected && world.state(client) == TransportState::Connected;
        self.until("a connected transport", both);
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
        let Client { transport, router, .. } = self.clients[client];
        let producer = ProducerId::from_random(self.id());
        let source = if kind == MediaKind::Audio { Source::Mic } else { Source::Camera };
        let rtp = Arc::new(rtp.clone());
        let produce = MediaCommand::Produce { transport, producer, kind, source, rtp: Arc::clone(&rtp), paused: false, max_bitrate };
        self.command_of(router, produce);
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
        let Client { transport, router, .. } = self.clients[client];
        let consumer = ConsumerId::from_random(self.id());
        // What a thread needs that has no mirror yet: in these tests, mirrors are made by hand.
        let origin = Origin { transport, kind: MediaKind::Audio, rtp: Arc::new(fixtures::audio("0", 1)), paused: false };
        let capabilities = Arc::new(capabilities);
        self.transports.insert(consumer, transport);
        self.command_of(router, MediaCommand::Consume { transport, consumer, producer, origin, capabilities, paused: false });
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
        self.command_of(self.clients[client].router, MediaCommand::RestartIce { transport });
        let Some(MediaEvent::IceRestarted { ice, .. }) = self.events.pop() else { panic!("no restart") };
        ice
    }

    /// The last reported state of a client's transport.
    pub fn state(&self, client: usize) -> TransportState {
        let wanted = self.clients[client].transport;
        let mut states = self.events.iter().filter_map(|event| match event {
            MediaEvent::TransportState { transport, state, .. } if *transport == wanted => Some(*state),
            _ => None,
        });
        states.next_back().unwrap_or(TransportState::New)
    }

    /// Hands the `Sfu` a datagram out of nowhere.
    pub fn inject(&mut self, remote: SocketAddr, bytes: &[u8]) {
        self.hand_over(Datagram { protocol: Protocol::Udp, local: sfu_address(), remote, bytes });
        self.collect();
    }

    fn hand_over(&mut self, datagram: Datagram<'_>) {
        let is_rtp = matches!(datagram.bytes, [128..=191, second, ..] if !(192..=223).contains(second));
        if let Some(recording) = self.recording.as_mut().filter(|_| is_rtp) {
            let Datagram { protocol, local, remote, bytes } = datagram;
            let datagram = OwnedDatagram { protocol, local, remote, bytes: bytes.to_vec() };
            return recording.push(Recorded { at: self.clock.now(), datagram });
        }
        let call = if is_rtp { Call::Rtp } else { Call::Datagram };
        (self.watch)(call, true);
        self.sfu.handle_datagram(datagram, self.clock.now());
        (self.watch)(call, false);
    }

    /// The RTP packets that would have come to the `Sfu` meanwhile.
    pub fn record(&mut self, happens: impl FnOnce(&mut Self)) -> Vec<Recorded> {
        self.recording = Some(Vec::new());
        happens(self);
        self.recording.take().unwrap_or_default()
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
        (self.watch)(Call::Timeout, true);
        for sfu in [&mut self.sfu].into_iter().chain(&mut self.second) {
            if sfu.poll_timeout().is_some_and(|at| at <= now) {
                sfu.handle_timeout(now);
            }
        }
        (self.watch)(Call::Timeout, false);
        for index in 0..self.clients.len() {
            self.clients[index].step(now);
            while let Some((remote, bytes)) = self.clients[index].up.receive(now) {
                let (protocol, local) = (self.clients[index].protocol, self.clients[index].sfu);
                let datagram = Datagram { protocol, local, remote, bytes: &bytes };
                match &mut self.second {
                    Some(second) if self.clients[index].at_second => second.handle_datagram(datagram, now),
                    _ => self.hand_over(datagram),
                }
            }
        }
        self.exchange(now);
        // As a media thread does it: what arrived together is handled whole, then sent.
        self.collect();
    }

    /// What one thread has for the other.
    fn exchange(&mut self, now: Instant) {
        let Some(second) = &mut self.second else { return };
        assert_eq!(second.piped().count(), 0, "packets go one way only");
        while let Some(wanted) = second.poll_wanted() {
            assert_eq!(wanted.thread, 0, "told to the thread of the sender");
            self.sfu.want_key_frame(&wanted, now);
        }
        if let Ok(batch) = self.sfu.take_piped(1, PipeBatch::default()) {
            second.handle_piped(&batch, now);
        }
    }

    /// When something is due next. What is still due now gets a tenth of a millisecond, so that nothing spins without time
    /// passing; but no step passes over a later date, or a packet would arrive after the time that was let run for it.
    fn next_time(&self) -> Instant {
        let now = self.clock.now();
        let clients = self.clients.iter().filter_map(Client::next_time);
        let second = self.second.as_ref().and_then(Sfu::poll_timeout);
        let dates = || clients.clone().chain(self.sfu.poll_timeout()).chain(second);
        let still = dates().any(|at| at <= now).then_some(now + Duration::from_micros(100));
        let later = dates().filter(|at| *at > now).min();
        still.into_iter().chain(later).min().unwrap_or(now + Duration::from_secs(1))
    }

    fn collect(&mut self) {
        let now = self.clock.now();
        for sfu in [&mut self.sfu].into_iter().chain(&mut self.second) {
            let batch = sfu.batch();
            for segment in batch.segments {
                let to = (segment.protocol, segment.remote);
                if let Some(client) = self.clients.iter_mut().find(|client| (client.protocol, client.address) == to) {
                    assert_eq!(segment.local, client.sfu);
                    client.sent_to += 1;
                    client.down.send(batch.bytes[segment.start..segment.start + segment.len].to_vec(), segment.len, now);
                } else {
                    *self.astray.entry(segment.remote).or_default() += segment.len;
                    self.last_astray = batch.bytes[segment.start..segment.start + segment.len].to_vec();
                }
            }
            (self.watch)(Call::Clear, true);
            sfu.clear_batch();
            (self.watch)(Call::Clear, false);
            for (router, event) in std::iter::from_fn(|| sfu.poll_event()) {
                self.events.push(event.clone());
                self.reported.push((router, event));
            }
        }
    }
}

fn new_sfu(talkers: TalkersConfig, now: Instant) -> Sfu {
    let protocols = [Protocol::Udp, Protocol::Tcp].into_iter();
    let of = |protocol| [sfu_address(), sfu_address_6()].map(|address| LocalCandidate { protocol, address });
    let candidates = protocols.flat_map(of).collect();
    Sfu::new(SfuConfig { talkers, ..SfuConfig::new(candidates) }, now).expect("an sfu")
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
