//! A media plane without media: it keeps account of what it is told to make and close, and answers as a test wants.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::media::{Source, StreamType};
use parlor_proto::rtp::{RtpEncoding, RtpParameters};
use parlor_proto::transport::{CandidateKind, Direction, DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceParameters, Protocol};
use parlor_proto::{ConsumerId, Error, ErrorCode, MediaCommand, MediaEvent, MediaKind, ProducerId, RouterId, TransportId};

/// A command that is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Operation {
    /// The command `CreateTransport`.
    CreateTransport,
    /// The command `ConnectTransport`.
    ConnectTransport,
    /// The command `RestartIce`.
    RestartIce,
    /// The command `Produce`.
    Produce,
    /// The command `Consume`.
    Consume,
}

impl Operation {
    /// All operations.
    pub const ALL: [Self; 5] = [Self::CreateTransport, Self::ConnectTransport, Self::RestartIce, Self::Produce, Self::Consume];
}

/// The way in which a command is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// With success, at once.
    Now,
    /// With success, after a time.
    After(Duration),
    /// With failure, at once. (`RestartIce` has no failure: it is not answered.)
    Fail(ErrorCode),
    /// It is never answered.
    Never,
}

/// A transport of the fake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeTransport {
    /// The direction of the transport.
    pub direction: Direction,
}

/// A producer of the fake.
#[derive(Clone, PartialEq, Debug)]
pub struct FakeProducer {
    /// The transport it arrives on.
    pub transport: TransportId,
    /// Whether the track is sound or picture.
    pub kind: MediaKind,
    /// What the track shows.
    pub source: Source,
    /// Whether nothing of the producer is forwarded.
    pub paused: bool,
    /// The most it may send, in bit/s.
    pub max_bitrate: u32,
    rtp: Arc<RtpParameters>,
}

/// A consumer of the fake.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeConsumer {
    /// The transport it is sent on.
    pub transport: TransportId,
    /// The producer that is sent.
    pub producer: ProducerId,
    /// Whether the consumer is paused.
    pub paused: bool,
}

/// The fake media plane.
#[derive(Debug, Default)]
pub struct FakeMedia {
    /// The router, while there is one.
    pub router: Option<RouterId>,
    /// The transports there are.
    pub transports: BTreeMap<TransportId, FakeTransport>,
    /// The producers there are.
    pub producers: BTreeMap<ProducerId, FakeProducer>,
    /// The consumers there are.
    pub consumers: BTreeMap<ConsumerId, FakeConsumer>,
    /// Orders that no correct set of rules gives.
    pub violations: Vec<String>,
    /// Every command, for tests that look at them.
    pub commands: Vec<MediaCommand>,
    answers: BTreeMap<Operation, Answer>,
    outbox: BTreeMap<(Instant, u64), (RouterId, MediaEvent)>,
    count: u64,
}

impl FakeMedia {
    /// A media plane that answers everything at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on answers an operation like this.
    pub fn answer(&mut self, operation: Operation, answer: Answer) {
        self.answers.insert(operation, answer);
    }

    /// There is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.router.is_none() && self.transports.is_empty() && self.producers.is_empty() && self.consumers.is_empty()
    }

    /// The thread dies: all is gone, and only this is reported.
    pub fn die(&mut self) -> Option<(RouterId, MediaEvent)> {
        self.clear();
        self.router.take().map(|router| (router, MediaEvent::RouterLost))
    }

    /// The next report that is due.
    pub fn poll_event(&mut self, now: Instant) -> Option<(RouterId, MediaEvent)> {
        let due = self.outbox.first_entry()?;
        (due.key().0 <= now).then(|| due.remove())
    }

    /// When the next report is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.outbox.keys().next().map(|(at, _)| *at)
    }

    /// Carries out a command.
    pub fn handle_command(&mut self, router: RouterId, command: MediaCommand, now: Instant) {
        let known = self.router == Some(router) || command == MediaCommand::CreateRouter;
        self.check(known, "orders something of a router that is not there");
        self.commands.push(command.clone());
        match command {
            MediaCommand::CreateRouter => {
                self.check(self.router.is_none(), "makes a second router");
                self.router = Some(router);
            }
            MediaCommand::CloseRouter => {
                self.router = None;
                self.clear();
            }
            MediaCommand::CreateTransport { transport, direction } => self.create_transport(transport, direction, now),
            MediaCommand::ConnectTransport { transport, .. } => {
                self.check(self.transports.contains_key(&transport), "connects a transport that is not there");
                let failure = |error| MediaEvent::TransportFailed { transport, error };
                self.reply(Operation::ConnectTransport, MediaEvent::TransportConnected { transport }, failure, now);
            }
            MediaCommand::RestartIce { transport } => {
                self.check(self.transports.contains_key(&transport), "restarts a transport that is not there");
                let ice = self.ice();
                if !matches!(self.how(Operation::RestartIce), Answer::Fail(_)) {
                    let failure = |error| MediaEvent::TransportFailed { transport, error };
                    self.reply(Operation::RestartIce, MediaEvent::IceRestarted { transport, ice }, failure, now);
                }
            }
            MediaCommand::CloseTransport { transport } => self.close_transport(transport),
            MediaCommand::Produce { transport, producer, kind, source, rtp, paused, max_bitrate } => {
                let made = FakeProducer { transport, kind, source, paused, max_bitrate, rtp };
                self.produce(producer, made, now);
            }
            MediaCommand::SetProducerPaused { producer, paused } => {
                if let Some(p) = self.producers.get_mut(&producer) {
                    p.paused = paused;
                }
            }
            MediaCommand::SetProducerMaxBitrate { producer, max_bitrate } => {
                if let Some(p) = self.producers.get_mut(&producer) {
                    p.max_bitrate = max_bitrate;
                }
            }
            MediaCommand::CloseProducer { producer } => {
                self.producers.remove(&producer);
                self.consumers.retain(|_, c| c.producer != producer);
            }
            MediaCommand::Consume { transport, consumer, producer, paused, .. } => {
                self.consume(consumer, FakeConsumer { transport, producer, paused }, now);
            }
            MediaCommand::SetConsumerPaused { consumer, paused, .. } => {
                if let Some(c) = self.consumers.get_mut(&consumer) {
                    c.paused = paused;
                }
            }
            MediaCommand::CloseConsumer { consumer, .. } => {
                self.consumers.remove(&consumer);
            }
            MediaCommand::SetPreferredLayers { consumer, layers, .. } => {
                if self.consumers.contains_key(&consumer) {
                    self.post(MediaEvent::LayersChanged { consumer, layers: Some(layers) }, now);
                }
            }
            MediaCommand::RequestKeyFrame { consumer, .. } => {
                self.check(self.consumers.contains_key(&consumer), "asks a key frame for a consumer that is not there");
            }
        }
    }

    fn create_transport(&mut self, transport: TransportId, direction: Direction, now: Instant) {
        self.check(!self.transports.contains_key(&transport), "makes a transport twice");
        if !matches!(self.how(Operation::CreateTransport), Answer::Fail(_)) {
            self.transports.insert(transport, FakeTransport { direction });
        }
        let success = MediaEvent::TransportCreated { transport, ice: self.ice(), candidates: vec![candidate()], dtls: dtls() };
        self.reply(Operation::CreateTransport, success, |error| MediaEvent::TransportFailed { transport, error }, now);
    }

    fn produce(&mut self, producer: ProducerId, made: FakeProducer, now: Instant) {
        let carried = self.transports.get(&made.transport).is_some_and(|t| t.direction == Direction::Send);
        self.check(carried, "produces on a transport that is not there or does not send");
        self.check(!self.producers.contains_key(&producer), "makes a producer twice");
        if !matches!(self.how(Operation::Produce), Answer::Fail(_)) {
            self.producers.insert(producer, made);
        }
        self.reply(Operation::Produce, MediaEvent::Produced { producer }, |error| MediaEvent::ProduceFailed { producer, error }, now);
    }

    fn consume(&mut self, consumer: ConsumerId, made: FakeConsumer, now: Instant) {
        let carried = self.transports.get(&made.transport).is_some_and(|t| t.direction == Direction::Recv);
        self.check(carried, "consumes on a transport that is not there or does not receive");
        let Some(producer) = self.producers.get(&made.producer).cloned() else {
            self.check(false, "consumes a producer that is not there");
            return;
        };
        if !matches!(self.how(Operation::Consume), Answer::Fail(_)) {
            self.consumers.insert(consumer, made);
        }
        self.count += 1;
        let ssrc = u32::try_from(100_000 + self.count).unwrap_or(1);
        let mut rtp = Box::new(RtpParameters::clone(&producer.rtp));
        rtp.encodings = vec![RtpEncoding { ssrc: Some(ssrc), ..RtpEncoding::default() }];
        let stream_type = if producer.rtp.encodings.len() > 1 { StreamType::Simulcast } else { StreamType::Simple };
        let success = MediaEvent::Consumed { consumer, rtp, stream_type };
        self.reply(Operation::Consume, success, |error| MediaEvent::ConsumeFailed { consumer, error }, now);
    }

    fn close_transport(&mut self, transport: TransportId) {
        self.transports.remove(&transport);
        let gone: Vec<_> = self.producers.iter().filter(|(_, p)| p.transport == transport).map(|(id, _)| *id).collect();
        self.producers.retain(|id, _| !gone.contains(id));
        self.consumers.retain(|_, c| c.transport != transport && !gone.contains(&c.producer));
    }

    fn how(&self, operation: Operation) -> Answer {
        self.answers.get(&operation).copied().unwrap_or(Answer::Now)
    }

    fn reply(&mut self, operation: Operation, success: MediaEvent, failure: impl FnOnce(Error) -> MediaEvent, now: Instant) {
        match self.how(operation) {
            Answer::Now => self.post(success, now),
            Answer::After(time) => self.post(success, now + time),
            Answer::Fail(code) => self.post(failure(Error::new(code)), now),
            Answer::Never => {}
        }
    }

    fn post(&mut self, event: MediaEvent, at: Instant) {
        self.count += 1;
        if let Some(router) = self.router {
            self.outbox.insert((at, self.count), (router, event));
        }
    }

    fn clear(&mut self) {
        self.transports.clear();
        self.producers.clear();
        self.consumers.clear();
        self.outbox.clear();
    }

    fn check(&mut self, right: bool, otherwise: &str) {
        if !right {
            self.violations.push(format!("the room {otherwise}"));
        }
    }

    fn ice(&mut self) -> IceParameters {
        self.count += 1;
        IceParameters {
            username_fragment: format!("fake{}", self.count),
            password: format!("fake-password-of-transport-{}", self.count),
            ice_lite: true,
        }
    }
}

fn candidate() -> IceCandidate {
    let ip = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    IceCandidate {
        foundation: "1".into(),
        priority: 2_130_706_431,
        ip,
        address: ip,
        protocol: Protocol::Udp,
        port: 7401,
        kind: CandidateKind::Host,
        tcp_type: None,
    }
}

fn dtls() -> DtlsParameters {
    let value = ["AB"; 32].join(":");
    DtlsParameters { role: DtlsRole::Auto, fingerprints: vec![DtlsFingerprint { algorithm: "sha-256".into(), value }] }
}
