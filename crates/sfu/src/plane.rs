//! The media plane of one thread: what comes in, what goes out, and when.

pub(crate) mod audio;
pub(crate) mod candidate;
pub(crate) mod checks;
pub(crate) mod command;
pub(crate) mod config;
pub(crate) mod failures;
pub(crate) mod forward;
pub(crate) mod mirror;
pub(crate) mod receive;
pub(crate) mod redundancy;
pub(crate) mod resend;
pub(crate) mod rtcp;
pub(crate) mod stats;
pub(crate) mod tick;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::MediaEvent;
use parlor_proto::transport::{IceCandidate, Protocol};

use crate::audio::audio_level::Speakers;
use crate::audio::talkers::Talkers;
use crate::consumer::Consumer;
use crate::consumer::egress::Egress;
use crate::pipe::{PipeBatch, WantedKeyFrame};
use crate::plane::checks::Refusals;
use crate::plane::config::{LocalCandidate, SfuConfig, SfuError, TalkersConfig};
use crate::plane::failures::HandshakeFailures;
use crate::plane::forward::Forwarder;
use crate::plane::receive::Ingress;
use crate::plane::stats::SfuStats;
use crate::producer::Producer;
use crate::table::{ConsumerIndex, ProducerIndex, RouterIndex, Table, TransportIndex};
use crate::transport::demux::Demux;
use crate::transport::send_buffer::{Batch, MAX_DATAGRAM, SendBuffer};
use crate::transport::timers::Timers;
use crate::transport::{HandshakeOutput, Identity, Path, Transport};
use crate::wire::rtcp::{ReportBlock, SenderInfo};
use crate::wire::rtp::{is_dtls, is_rtcp, is_rtp_or_rtcp};
use crate::wire::scratch::Scratch;
use crate::wire::stun::is_stun;
use crate::wire::wall_clock::WallClock;

/// How often what needs no exactness is looked after: silence, layers, speakers, repeated requests.
const TICK: Duration = Duration::from_millis(100);
/// Datagrams of one handshake at once: far more than a flight has, and an end whatever the library does.
const MAX_DRAINED: u32 = 64;
/// A connection has its next turn this much later at the earliest, whatever it asks for.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// Numbers of selected paths; replies to others are numbered above.
const LAST_DESTINATION: u32 = (1 << 31) - 1;

/// One UDP datagram or one RFC 4571 frame that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What carried the datagram.
    pub protocol: Protocol,
    /// The announced candidate it arrived at.
    pub local: SocketAddr,
    /// The address it comes from.
    pub remote: SocketAddr,
    /// The content of the datagram.
    pub bytes: &'a [u8],
}

impl Datagram<'_> {
    pub(crate) fn path(&self) -> Path {
        Path { protocol: self.protocol, local: self.local, remote: self.remote }
    }
}

/// A datagram or frame to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// What is to carry it. On TCP it goes into the connection from `remote`.
    pub protocol: Protocol,
    /// The announced candidate to send from.
    pub local: SocketAddr,
    /// The address to send to.
    pub remote: SocketAddr,
    /// The content of the datagram.
    pub bytes: Vec<u8>,
}

/// The media side of one room.
pub(crate) struct Router {
    pub(crate) id: RouterId,
    pub(crate) transports: Vec<TransportIndex>,
    /// Indexes of its audio producers.
    pub(crate) audio: Vec<ProducerIndex>,
    /// Indexes of mirrors of producers on other threads.
    pub(crate) mirrors: Vec<ProducerIndex>,
    pub(crate) speakers: Speakers<ProducerId>,
    pub(crate) talkers: Talkers,
}

/// The media plane of one thread.
///
/// After a batch of inputs, send what [`Sfu::batch`] shows, and drain [`Sfu::poll_event`].
pub struct Sfu {
    /// Where packets come to, by the names that datagrams have for it.
    pub(crate) candidates: Vec<IceCandidate>,
    /// The same, as clients are told.
    pub(crate) told: Vec<IceCandidate>,
    pub(crate) identity: Identity,
    pub(crate) clock: WallClock,
    pub(crate) talkers: TalkersConfig,
    pub(crate) demux: Demux,
    pub(crate) routers: Table<RouterIndex, Router>,
    pub(crate) transports: Table<TransportIndex, Transport>,
    pub(crate) producers: Table<ProducerIndex, Producer>,
    pub(crate) consumers: Table<ConsumerIndex, Consumer>,
    pub(crate) router_ids: HashMap<RouterId, RouterIndex>,
    /// What belongs to a router is found by that router's id and its own: an id of another room leads nowhere.
    pub(crate) transport_ids: HashMap<(RouterId, TransportId), TransportIndex>,
    pub(crate) producer_ids: HashMap<(RouterId, ProducerId), ProducerIndex>,
    pub(crate) consumer_ids: HashMap<(RouterId, ConsumerId), ConsumerIndex>,
    events: VecDeque<(RouterId, MediaEvent)>,
    /// What goes to other threads, by their number.
    pub(crate) pipes: Vec<PipeBatch>,
    pub(crate) wanted: VecDeque<WantedKeyFrame>,
    pub(crate) stats: SfuStats,
    pub(crate) send_buffer: SendBuffer,
    /// Segments of the batch that were taken one by one.
    taken: usize,
    /// Where packets are opened.
    pub(crate) scratch: Scratch,
    /// Where reports are written before they are sealed.
    pub(crate) reports: Vec<u8>,
    pub(crate) blocks: Vec<ReportBlock>,
    /// Sender reports to be written, each with the index of its producer.
    pub(crate) infos: Vec<(SenderInfo, ProducerIndex)>,
    pub(crate) lost: Vec<u16>,
    pub(crate) refusals: Refusals,
    pub(crate) failures: HandshakeFailures,
    timers: Timers,
    next_destination: u32,
    next_tick: Instant,
}

impl std::fmt::Debug for Sfu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sfu").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Sfu {
    /// Makes one; clients reach it at the configured candidates.
    pub fn new(config: SfuConfig, now: Instant) -> Result<Self, SfuError> {
        let candidates = candidate::announce(&config.candidates)?;
        let identity = Identity::new().ok_or(SfuError::Certificate)?;
        Ok(Self {
            told: candidates.clone(),
            candidates,
            identity,
            clock: WallClock::new(config.wall_clock, now),
            talkers: config.talkers,
            demux: Demux::default(),
            routers: Table::default(),
            transports: Table::default(),
            producers: Table::default(),
            consumers: Table::default(),
            router_ids: HashMap::new(),
            transport_ids: HashMap::new(),
            producer_ids: HashMap::new(),
            consumer_ids: HashMap::new(),
            events: VecDeque::new(),
            pipes: Vec::new(),
            wanted: VecDeque::new(),
            stats: SfuStats::default(),
            send_buffer: SendBuffer::default(),
            taken: 0,
            scratch: Scratch::new(),
            reports: Vec::with_capacity(MAX_DATAGRAM),
            blocks: Vec::new(),
            infos: Vec::new(),
            failures: HandshakeFailures::default(),
            lost: Vec::new(),
            refusals: Refusals::new(now),
            timers: Timers::default(),
            next_destination: 0,
            next_tick: now,
        })
    }

    /// From now on new transports tell clients these addresses for the configured candidates, one for each and in their order, as
    /// others see them. Datagrams are named as before.
    pub fn tell(&mut self, candidates: &[LocalCandidate]) -> Result<(), SfuError> {
        self.told = candidate::announce(candidates)?;
        Ok(())
    }

    /// Takes what arrived from the network. Whatever it is, it causes no panic.
    pub fn handle_datagram(&mut self, datagram: Datagram<'_>, now: Instant) {
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.bytes.len() as u64;
        if is_stun(datagram.bytes) {
            return self.handle_stun(datagram, now);
        }
        let (rtp, dtls) = (is_rtp_or_rtcp(datagram.bytes), is_dtls(datagram.bytes));
        if !rtp && !dtls {
            self.stats.drops.malformed += 1;
            return;
        }
        let Some(index) = self.demux.by_address(datagram.protocol, datagram.remote) else {
            self.stats.drops.unknown_address += 1;
            return;
        };
        if dtls {
            self.handle_dtls(index, &datagram, now);
        } else if is_rtcp(datagram.bytes) {
            self.handle_rtcp(index, &datagram, now);
        } else {
            self.handle_rtp(index, &datagram, now);
        }
    }

    /// Only a validated address gets here: a hello from anywhere else cannot take the handshake over.
    fn handle_dtls(&mut self, index: TransportIndex, datagram: &Datagram<'_>, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let had_keys = transport.secure.is_some();
        if !transport.handshake().receive(datagram.bytes, now) {
            self.stats.drops.transport += 1;
        }
        self.drive_handshake(index, now);
        let Some(transport) = self.transports.get_mut(index).filter(|transport| !had_keys && transport.secure.is_some()) else { return };
        transport.ice.handshake_completed(&datagram.path());
        self.look_after_paths(index, now);
    }

    /// Takes what the handshake has to say.
    pub(crate) fn drive_handshake(&mut self, index: TransportIndex, now: Instant) {
        // While there is nowhere to send to, what is to be sent waits in the handshake.
        let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.destination.is_some()) else { return };
        for _ in 0..MAX_DRAINED {
            match transport.handshake().poll() {
                HandshakeOutput::Idle(None) => return,
                HandshakeOutput::Idle(Some(at)) => return self.schedule(index, at.max(now + MIN_WAIT)),
                HandshakeOutput::Transmit(bytes) => {
                    // What is too much for an address that is not proved is sent again later, like what is lost.
                    if let Some(destination) = transport.destination.filter(|_| transport.ice.send_flight(bytes.len())) {
                        self.send_buffer.push(destination.path, &bytes);
                    }
                }
                HandshakeOutput::Connected(keys) => {
                    transport.secured(&keys);
                    self.update_state(index, now);
                    self.wake_consumers(index, now);
                    return self.schedule(index, now + MIN_WAIT);
                }
                HandshakeOutput::Closed(end) => {
                    transport.failed(end.reason);
                    if let Some(why) = end.why {
                        self.failures.note(transport.id, end.reason, &why, now);
                    }
                    return self.update_state(index, now);
                }
            }
        }
    }

    /// Whether an address is one of a transport's: a valid check came from there.
    #[must_use]
    pub fn is_clients(&self, protocol: Protocol, remote: SocketAddr) -> bool {
        self.demux.by_address(protocol, remote).is_some()
    }

    /// The TCP connection from `remote` is gone.
    pub fn handle_tcp_closed(&mut self, remote: SocketAddr, now: Instant) {
        let Some(index) = self.demux.by_address(Protocol::Tcp, remote) else { return };
        let Some(transport) = self.transports.get_mut(index) else { return };
        let gone = |path: &Path| path.protocol == Protocol::Tcp && path.remote == remote;
        let paths: Vec<Path> = transport.ice.paths().filter(gone).collect();
        transport.ice.remove(gone);
        paths.into_iter().for_each(|path| self.demux.unbind(path, index));
        self.look_after_paths(index, now);
        self.update_state(index, now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(index) = self.timers.due(&mut self.transports, now) {
            self.turn(index, now);
        }
        if now >= self.next_tick && !self.transports.is_empty() {
            self.next_tick = now + TICK;
            self.tick(now);
        }
    }

    /// One connection does what is due.
    fn turn(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        transport.handshake().handle_due(now);
        self.drive_handshake(index, now);
        if let Some(at) = self.send_rtcp(index, now) {
            self.schedule(index, at.max(now + MIN_WAIT));
        }
        if let Some(at) = self.send_padding(index, now) {
            self.schedule(index, at.max(now + MIN_WAIT));
        }
    }

    /// When [`Sfu::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let tick = (!self.transports.is_empty()).then_some(self.next_tick);
        tick.into_iter().chain(self.timers.next()).min()
    }

    /// All that is to be sent. It stays until [`Sfu::clear_batch`].
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        self.send_buffer.batch()
    }

    /// What [`Sfu::batch`] showed was sent.
    pub fn clear_batch(&mut self) {
        let batch = self.send_buffer.batch();
        self.stats.datagrams_out += batch.segments.len() as u64;
        self.stats.bytes_out += batch.bytes.len() as u64;
        self.send_buffer.clear();
        self.taken = 0;
    }

    /// The next datagram to send, for who takes them one by one.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        let batch = self.send_buffer.batch();
        let Some(segment) = batch.segments.get(self.taken) else {
            self.clear_batch();
            return None;
        };
        let bytes = batch.bytes.get(segment.start..segment.start + segment.len).unwrap_or_default().to_vec();
        self.taken += 1;
        Some(Transmit { protocol: segment.protocol, local: segment.local, remote: segment.remote, bytes })
    }

    /// The next report to the rules, with the router it is about.
    pub fn poll_event(&mut self) -> Option<(RouterId, MediaEvent)> {
        self.events.pop_front()
    }

    /// Reports something about a router to the rules.
    pub(crate) fn report(&mut self, router: RouterId, event: MediaEvent) {
        self.events.push_back((router, event));
    }

    /// Reports something about the router with this index in the table.
    pub(crate) fn report_of(&mut self, router: RouterIndex, event: MediaEvent) {
        if let Some(router) = self.routers.get(router) {
            self.events.push_back((router.id, event));
        }
    }

    /// What went through, what was dropped, and how much of everything there is.
    #[must_use]
    pub fn stats(&self) -> SfuStats {
        let mirrors = self.routers.values().map(|router| router.mirrors.len()).sum();
        SfuStats {
            routers: self.routers.len(),
            transports: self.transports.len(),
            producers: self.producers.len() - mirrors,
            mirrors,
            consumers: self.consumers.len(),
            ..self.stats
        }
    }

    /// Gives a transport a turn at this time, or before.
    pub(crate) fn schedule(&mut self, index: TransportIndex, at: Instant) {
        self.timers.schedule(&mut self.transports, index, at);
    }

    /// The producers, and what their packets need beside them.
    pub(crate) fn forwarder(&mut self, now: Instant) -> (&mut Table<ProducerIndex, Producer>, Forwarder<'_>) {
        let (_, Ingress { producers, forwarder, .. }) = self.ingress(now);
        (producers, forwarder)
    }

    /// Where a packet is opened, and what it needs from there on to its consumers.
    pub(crate) fn ingress(&mut self, now: Instant) -> (&mut Scratch, Ingress<'_>) {
        let Self { routers, transports, producers, consumers, pipes, stats, send_buffer, scratch, timers, clock, .. } = self;
        let egress = Egress { send_buffer, clock: *clock, now };
        (scratch, Ingress { producers, timers, forwarder: Forwarder { routers, transports, consumers, pipes, stats, egress } })
    }

    /// What is sent to a transport goes where its ICE side decided.
    pub(crate) fn follow_path(&mut self, index: TransportIndex) {
        if let Some(transport) = self.transports.get_mut(index) {
            self.next_destination = self.next_destination.wrapping_add(1) & LAST_DESTINATION;
            transport.follow_path(self.next_destination);
        }
    }

    pub(crate) fn update_state(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let state = transport.current_state(now);
        if state != transport.state {
            transport.state = state;
            let protocol = transport.ice.selected().map(|path| path.protocol);
            let (router, transport, reason) = (transport.router, transport.id, transport.failure());
            self.report_of(router, MediaEvent::TransportState { transport, state, protocol, reason });
        }
    }
}
