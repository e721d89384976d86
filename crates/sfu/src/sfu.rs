//! The media plane of one thread: what comes in, what goes out, and when.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::MediaEvent;
use parlor_proto::transport::{IceCandidate, Protocol};
use slab::Slab;

use crate::audio_level::Speakers;
use crate::candidate;
use crate::config::{SfuConfig, SfuError};
use crate::consumer::Consumer;
use crate::demux::Demux;
use crate::producer::Producer;
use crate::stats::SfuStats;
use crate::transport::{Identity, Path, PeerOutput, Received, Request, Transport, is_dtls, is_rtp_or_rtcp, is_stun};

/// How often what needs no exactness is looked after: silence, layers, speakers, repeated requests.
const TICK: Duration = Duration::from_millis(100);
/// A connection that wants to act at once, again and again, and has nothing to show for it, gets its turn this
/// often within one drain. One that sends goes on: its pacer gives out one packet a turn, and what waited here
/// for the next millisecond would grow without bound in a large room.
const MAX_SPINS: u32 = 8;
/// Datagrams of one connection in one drain: far more than one batch of arrivals can cause, and an end whatever
/// the library below does.
const MAX_DRAINED: u32 = 4_096;
/// What is due sooner than this is due now; and whoever has had all its turns waits this long.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// One UDP datagram or one RFC 4571 frame that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// What carried it.
    pub protocol: Protocol,
    /// The announced candidate it arrived at.
    pub local: SocketAddr,
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Its content.
    pub bytes: &'a [u8],
}

/// A datagram or frame to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// What is to carry it. On TCP it goes into the connection from `remote`.
    pub protocol: Protocol,
    /// The announced candidate to send from.
    pub local: SocketAddr,
    /// Where to.
    pub remote: SocketAddr,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The media side of one room.
pub(crate) struct Router {
    pub(crate) id: RouterId,
    pub(crate) transports: Vec<usize>,
    /// Indexes of its audio producers.
    pub(crate) audio: Vec<usize>,
    pub(crate) speakers: Speakers<ProducerId>,
}

/// The media plane of one thread.
///
/// After every input, drain [`Sfu::poll_transmit`] and [`Sfu::poll_event`]; a batch of datagrams may be
/// handed in before that, and then what goes to one receiver is sealed in one go.
pub struct Sfu {
    pub(crate) candidates: Vec<IceCandidate>,
    pub(crate) identity: Identity,
    pub(crate) demux: Demux,
    pub(crate) routers: Slab<Router>,
    pub(crate) transports: Slab<Transport>,
    pub(crate) producers: Slab<Producer>,
    pub(crate) consumers: Slab<Consumer>,
    pub(crate) router_ids: HashMap<RouterId, usize>,
    pub(crate) transport_ids: HashMap<TransportId, usize>,
    pub(crate) producer_ids: HashMap<ProducerId, usize>,
    pub(crate) consumer_ids: HashMap<ConsumerId, usize>,
    pub(crate) events: VecDeque<MediaEvent>,
    pub(crate) stats: SfuStats,
    transmits: VecDeque<Transmit>,
    /// Transports with packets that were queued but not drained.
    dirty: Vec<usize>,
    timers: BinaryHeap<Reverse<(Instant, usize)>>,
    next_tick: Instant,
    last_now: Instant,
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
            candidates,
            identity,
            demux: Demux::default(),
            routers: Slab::new(),
            transports: Slab::new(),
            producers: Slab::new(),
            consumers: Slab::new(),
            router_ids: HashMap::new(),
            transport_ids: HashMap::new(),
            producer_ids: HashMap::new(),
            consumer_ids: HashMap::new(),
            events: VecDeque::new(),
            stats: SfuStats::default(),
            transmits: VecDeque::new(),
            dirty: Vec::new(),
            timers: BinaryHeap::new(),
            next_tick: now,
            last_now: now,
        })
    }

    /// Takes what arrived from the network. Whatever it is, it causes no panic.
    pub fn handle_datagram(&mut self, datagram: Datagram<'_>, now: Instant) {
        self.last_now = self.last_now.max(now);
        self.stats.datagrams_in += 1;
        self.stats.bytes_in += datagram.bytes.len() as u64;
        if is_stun(datagram.bytes) {
            self.handle_stun(datagram, now);
        } else if is_dtls(datagram.bytes) || is_rtp_or_rtcp(datagram.bytes) {
            let Some(index) = self.demux.by_address(datagram.protocol, datagram.remote) else {
                self.stats.drops.unknown_address += 1;
                return;
            };
            let Some(transport) = self.transports.get_mut(index) else { return };
            match transport.receive(datagram.bytes, now) {
                Received::Taken => {}
                Received::Refused => self.stats.drops.transport += 1,
                Received::UnknownStream => self.stats.drops.unknown_stream += 1,
            }
            self.drain(index, now);
        } else {
            self.stats.drops.malformed += 1;
        }
    }

    /// Nothing changes before the integrity of the request is verified.
    fn handle_stun(&mut self, datagram: Datagram<'_>, now: Instant) {
        let Some(request) = Request::parse(datagram.bytes) else {
            self.stats.drops.malformed += 1;
            return;
        };
        let Some(index) = self.demux.by_ufrag(request.ufrag()) else {
            self.stats.drops.unknown_ufrag += 1;
            return;
        };
        let crypto = &self.identity.crypto;
        let Some(transport) = self.transports.get_mut(index) else { return };
        let reply = match transport.ice.password(request.ufrag()) {
            Some(password) if request.verify(password, crypto) => request.reply(datagram.remote, password, crypto),
            _ => {
                self.stats.drops.bad_integrity += 1;
                return;
            }
        };
        let path = Path { protocol: datagram.protocol, local: datagram.local, remote: datagram.remote };
        let changes = transport.ice.accept(path, request.ufrag(), request.use_candidate(), now);
        if let Some(evicted) = changes.evicted {
            self.stats.drops.too_many_addresses += 1;
            self.demux.unbind(evicted, index);
        }
        if let Some(ufrag) = changes.retired {
            self.demux.remove_ufrag(&ufrag);
        }
        if let Some(other) = self.demux.bind(path, index).and_then(|other| self.transports.get_mut(other)) {
            other.ice.remove(|gone| (gone.protocol, gone.remote) == (path.protocol, path.remote));
        }
        if let Some(bytes) = reply {
            self.transmit(path, bytes);
        }
        self.update_state(index, now);
        // A handshake message may have waited for somewhere to go.
        self.mark_dirty(index);
    }

    /// The TCP connection from `remote` is gone.
    pub fn handle_tcp_closed(&mut self, remote: SocketAddr, now: Instant) {
        self.last_now = self.last_now.max(now);
        let Some(index) = self.demux.by_address(Protocol::Tcp, remote) else { return };
        let Some(transport) = self.transports.get_mut(index) else { return };
        let gone = |path: &Path| path.protocol == Protocol::Tcp && path.remote == remote;
        let paths: Vec<Path> = transport.ice.paths().filter(gone).collect();
        transport.ice.remove(gone);
        paths.into_iter().for_each(|path| self.demux.unbind(path, index));
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.last_now = self.last_now.max(now);
        while let Some(Reverse((at, index))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.scheduled == Some(at)) else { continue };
            transport.scheduled = None;
            self.turn(index, now);
        }
        if now >= self.next_tick && !self.transports.is_empty() {
            self.next_tick = now + TICK;
            self.tick(now);
        }
        self.flush(now);
    }

    /// When [`Sfu::handle_timeout`] is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.dirty.is_empty() {
            return Some(self.last_now);
        }
        let tick = (!self.transports.is_empty()).then_some(self.next_tick);
        let timer = self.timers.peek().map(|Reverse((at, _))| *at);
        tick.into_iter().chain(timer).min()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.transmits.is_empty() {
            self.flush(self.last_now);
        }
        let transmit = self.transmits.pop_front()?;
        self.stats.datagrams_out += 1;
        self.stats.bytes_out += transmit.bytes.len() as u64;
        Some(transmit)
    }

    /// The next report to the rules.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> SfuStats {
        SfuStats {
            routers: self.routers.len(),
            transports: self.transports.len(),
            producers: self.producers.len(),
            consumers: self.consumers.len(),
            ..self.stats
        }
    }

    /// Has the transport drained before anything is sent or waited for.
    pub(crate) fn mark_dirty(&mut self, index: usize) {
        if let Some(transport) = self.transports.get_mut(index).filter(|transport| !transport.dirty) {
            transport.dirty = true;
            self.dirty.push(index);
        }
    }

    fn flush(&mut self, now: Instant) {
        while let Some(index) = self.dirty.pop() {
            if let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.dirty) {
                transport.dirty = false;
                self.turn(index, now);
            }
        }
    }

    /// Gives a connection the time, and takes what it has to say.
    fn turn(&mut self, index: usize, now: Instant) {
        if let Some(peer) = self.transports.get_mut(index).and_then(Transport::peer) {
            peer.handle_timeout(now);
            self.drain(index, now);
        }
    }

    fn drain(&mut self, index: usize, now: Instant) {
        let (mut spins, mut drained) = (0, 0);
        loop {
            let Some(transport) = self.transports.get_mut(index) else { return };
            let Some(peer) = transport.peer() else { return };
            match peer.poll() {
                // The pacer's "at once" is a microsecond ahead.
                PeerOutput::Idle(at) if at < now + MIN_WAIT && spins < MAX_SPINS && drained < MAX_DRAINED => {
                    spins += 1;
                    peer.handle_timeout(at.max(now));
                }
                PeerOutput::Idle(at) => return self.schedule(index, at.max(now + MIN_WAIT)),
                PeerOutput::Transmit(bytes) => {
                    spins = 0;
                    drained += 1;
                    if let Some(path) = transport.ice.selected() {
                        self.transmit(path, bytes);
                    }
                }
                PeerOutput::Packet(packet) => self.handle_packet(index, &packet, now),
                PeerOutput::KeyFrameWanted(section) => self.handle_key_frame_wanted(index, section, now),
                PeerOutput::Estimate(bitrate) => transport.estimate = Some(bitrate),
                PeerOutput::Connected => {
                    transport.dtls_connected();
                    self.update_state(index, now);
                    self.wake_consumers(index, now);
                }
                PeerOutput::Closed => {
                    transport.closed();
                    self.update_state(index, now);
                    return;
                }
            }
        }
    }

    /// Keeps the earliest of a transport's times; when it comes, the transport says what comes after.
    fn schedule(&mut self, index: usize, at: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        if transport.scheduled.is_none_or(|scheduled| at < scheduled) {
            transport.scheduled = Some(at);
            self.timers.push(Reverse((at, index)));
        }
    }

    fn transmit(&mut self, path: Path, bytes: Vec<u8>) {
        let Path { protocol, local, remote } = path;
        self.transmits.push_back(Transmit { protocol, local, remote, bytes });
    }

    pub(crate) fn update_state(&mut self, index: usize, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let state = transport.current_state(now);
        if state != transport.state {
            transport.state = state;
            self.events.push_back(MediaEvent::TransportState { transport: transport.id, state });
        }
    }
}
