//! The thread of the TURN server: sockets, clock and one `Turn`, and it survives a panic of that.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};
use parlor_turn::{Authenticate, ClientPath, Config, Event, Limits, Listener, PeerPolicy, Socket, Turn};
use parlor_udp::{Entry, Grouper, Inbox, Piece, SendBatch, SendQueue, UdpSender};

use crate::media::Pace;
use crate::turn::handle::{Order, Shared};
use crate::turn::relays::{self, Relays};
use crate::turn::sockets::Entrance;
use crate::turn::streams::{self, Progress, Streams};
use crate::turn::tls::Tls;

/// The token of the thread's waker: above every socket's.
pub const WAKER: Token = Token(usize::MAX);
/// Poll events taken at once; further ones come with the next poll.
const EVENTS: usize = 1_024;
/// Datagrams of one listener handled between two looks at everything else.
const TURN: usize = 256;
/// Messages of one relay socket received at once. What came for one client since the last look is seldom more.
const RELAY_MESSAGES: usize = 8;
/// Orders carried out between two looks at the sockets.
const AT_ONCE: usize = 256;
/// How often connections without an allocation are looked for, and the time of day is looked up.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the log mentions dropped packets.
const MENTION: Duration = Duration::from_secs(10);
/// Nanoseconds by which the kernel may end a wait late, as for media threads.
const TIMER_SLACK: libc::c_ulong = 1_000;
/// A panic within this time of the last start doubles the pause before the next one.
const STABLE: Duration = Duration::from_secs(60);
/// The first pause after a panic, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// What a `Turn` is made with, as often as one is made.
pub struct Plan {
    /// Relay addresses: as they are told, and as they are bound.
    pub relays: Vec<(IpAddr, IpAddr)>,
    /// The ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// How much of everything.
    pub limits: Limits,
    /// Who may be relayed to.
    pub policy: PeerPolicy,
    /// Who may ask.
    pub authenticate: Arc<dyn Authenticate>,
    /// The media plane: as it is told, and as it is reached.
    pub media: Vec<(SocketAddr, SocketAddr)>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("relays", &self.relays).field("media", &self.media).finish_non_exhaustive()
    }
}

/// What follows when a `Turn` is given up in order.
enum Next {
    /// The thread ends.
    End,
    /// Another `Turn` is made in its place.
    Anew,
}

/// The thread's state. Listeners and orders outlive a panic; the rest is made anew.
pub struct Worker {
    poll: Poll,
    entrances: Vec<(Listener, Entrance)>,
    tls: Option<Tls>,
    plan: Plan,
    orders: Receiver<Order>,
    shared: Arc<Shared>,
}

/// The part that a panic destroys.
struct Plane {
    turn: Turn,
    relays: Relays,
    streams: Streams,
    /// Listeners with something to read.
    readable: Vec<bool>,
    /// Relay sockets and connections with something to read.
    unread: Vec<Token>,
    inboxes: Vec<Option<Inbox>>,
    relay_inbox: Inbox,
    grouper: Grouper,
    /// One for each listener, and one for all relay sockets.
    queues: Vec<SendQueue>,
    senders: Vec<UdpSender>,
    calls: SendBatch,
    pace: Pace,
    swept: Instant,
    mentioned: (Instant, u64),
}

impl Worker {
    /// Registers the listeners. The waker of `poll` has the token [`WAKER`].
    pub fn new(
        poll: Poll,
        mut entrances: Vec<(Listener, Entrance)>,
        tls: Option<Tls>,
        plan: Plan,
        orders: Receiver<Order>,
        shared: Arc<Shared>,
    ) -> io::Result<Self> {
        for (n, (_, entrance)) in entrances.iter_mut().enumerate() {
            match entrance {
                Entrance::Datagrams(socket, _) => poll.registry().register(socket, Token(n), Interest::READABLE)?,
                Entrance::Connections(listener) => poll.registry().register(listener, Token(n), Interest::READABLE)?,
            }
        }
        Ok(Self { poll, entrances, tls, plan, orders, shared })
    }

    /// Runs until it is told to stop. A panic ends the allocations, not the server.
    pub fn run(mut self) {
        let _span = tracing::error_span!("turn").entered();
        if let Err(error) = nix::sys::prctl::set_timerslack(TIMER_SLACK) {
            tracing::debug!(%error, "waits are longer than asked for");
        }
        let mut pause = BACKOFF.0;
        while !self.shared.stopping.load(Ordering::Relaxed) {
            let started = Instant::now();
            // Only the plane is left half-changed by a panic, and the plane is dropped with the closure.
            match catch_unwind(AssertUnwindSafe(|| self.run_once())) {
                Ok(Ok(Next::End)) => return,
                Ok(Ok(Next::Anew)) => continue,
                Ok(Err(error)) => tracing::error!(%error, "the TURN server failed; its allocations are lost, it starts again"),
                Err(_) => tracing::error!("the TURN server panicked; its allocations are lost, it starts again"),
            }
            self.shared.restarts.fetch_add(1, Ordering::Relaxed);
            pause = if started.elapsed() > STABLE { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
            // Parked and not asleep, so that a stopping server can wake it at once.
            std::thread::park_timeout(pause);
        }
    }

    fn run_once(&mut self) -> anyhow::Result<Next> {
        let mut plane = self.plane();
        let mut events = Events::with_capacity(EVENTS);
        while !self.shared.stopping.load(Ordering::Relaxed) {
            self.wait(&mut plane, &mut events)?;
            for event in &events {
                plane.note_ready(event, self.entrances.len());
            }
            self.receive(&mut plane);
            self.receive_from_relays_and_streams(&mut plane);
            if let Some(next) = self.carry_out(&mut plane) {
                return Ok(next);
            }
            let now = Instant::now();
            plane.turn.handle_timeout(now);
            self.settle(&mut plane, now);
            self.flush(&mut plane);
            self.write_streams(&mut plane);
            self.sweep(&mut plane, now);
        }
        Ok(Next::End)
    }

    fn plane(&self) -> Plane {
        let now = Instant::now();
        let config = Config {
            listeners: self.entrances.iter().map(|(listener, _)| *listener).collect(),
            relays: self.plan.relays.iter().map(|(told, _)| *told).collect(),
            ports: self.plan.ports.clone(),
            limits: self.plan.limits,
            policy: self.plan.policy.clone(),
            authenticate: Arc::clone(&self.plan.authenticate),
            seed: rand::random(),
            wall_clock: wall_clock(),
        };
        let cuts_up = |entrance: &Entrance| matches!(entrance, Entrance::Datagrams(_, true));
        let all_cut_up = self.entrances.iter().any(|(_, entrance)| cuts_up(entrance));
        let inbox = |entrance: &Entrance| matches!(entrance, Entrance::Datagrams(..)).then(Inbox::default);
        Plane {
            turn: Turn::new(config, now),
            relays: Relays::new(self.plan.relays.clone(), &self.plan.media, all_cut_up),
            streams: Streams::default(),
            // After a panic, what was announced before it may be waiting.
            readable: vec![true; self.entrances.len()],
            unread: Vec::new(),
            inboxes: self.entrances.iter().map(|(_, entrance)| inbox(entrance)).collect(),
            relay_inbox: Inbox::with_room(RELAY_MESSAGES),
            grouper: Grouper::default(),
            queues: (0..=self.entrances.len()).map(|_| SendQueue::default()).collect(),
            senders: self.entrances.iter().map(|(_, entrance)| UdpSender::new(!cuts_up(entrance))).collect(),
            calls: SendBatch::default(),
            pace: Pace::new(Duration::ZERO, now),
            swept: now,
            mentioned: (now, 0),
        }
    }

    fn wait(&mut self, plane: &mut Plane, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        // Poll reports an event once (edge-triggered), so what was not read to the end is read on without waiting.
        let busy = plane.readable.iter().any(|readable| *readable)
            || plane.inboxes.iter().flatten().any(|inbox| !inbox.is_empty())
            || !plane.unread.is_empty();
        let timeout = if busy { Duration::ZERO } else { SWEEP };
        let entrances = &self.entrances;
        plane.pace.wait(&mut self.poll, events, (now, timeout), |token| !busy && is_udp(token, entrances))
    }

    /// Gives each listener with something to read a turn.
    fn receive(&self, plane: &mut Plane) {
        for (n, (_, entrance)) in self.entrances.iter().enumerate() {
            let Ok(number) = u16::try_from(n) else { continue };
            match entrance {
                Entrance::Datagrams(socket, _) => plane.receive_datagrams(n, number, socket.as_fd()),
                Entrance::Connections(listener) => {
                    let Some(readable) = plane.readable.get_mut(n).filter(|readable| **readable) else { continue };
                    let is_tls = matches!(self.entrances.get(n), Some((listener, _)) if listener.protocol == parlor_turn::Protocol::Tls);
                    let tls = self.tls.as_ref().filter(|_| is_tls).map(Tls::config);
                    *readable = plane.streams.accept(listener, number, tls.as_ref(), self.poll.registry(), Instant::now());
                }
            }
        }
    }

    /// Gives each relay socket and each connection with something to read a turn.
    fn receive_from_relays_and_streams(&self, plane: &mut Plane) {
        if plane.unread.is_empty() {
            return;
        }
        let now = Instant::now();
        // An event and a leftover are one turn: who always has more to read gets no second one.
        let mut tokens = std::mem::take(&mut plane.unread);
        tokens.sort_unstable();
        tokens.dedup();
        let mut taken = 0;
        for token in tokens {
            if token.0 < streams::FIRST {
                taken += plane.receive_from_relay(token, now);
                continue;
            }
            let Plane { turn, streams, .. } = plane;
            let take = |path: ClientPath, message: &[u8]| {
                turn.handle_client(path, message, now);
                turn.is_client(&path)
            };
            match streams.read(token, take) {
                Progress::Drained => {}
                Progress::More => plane.unread.push(token),
                Progress::Over => self.close_stream(plane, token, now),
            }
        }
        plane.pace.took(taken, plane.unread.is_empty(), now);
    }

    fn close_stream(&self, plane: &mut Plane, token: Token, now: Instant) {
        // What was answered before goes out first.
        self.settle(plane, now);
        self.flush(plane);
        if let Some(path) = plane.streams.close(token, self.poll.registry()) {
            plane.turn.handle_closed(path);
            self.settle(plane, now);
        }
    }

    /// Does with sockets what the rules ask for.
    fn settle(&self, plane: &mut Plane, now: Instant) {
        while let Some(event) = plane.turn.poll_event() {
            match event {
                Event::OpenRelay { relay, relayed } => {
                    let opened = plane.relays.open(relay, relayed, self.poll.registry());
                    if let Err(error) = &opened {
                        tracing::debug!(%error, "a relay port cannot be opened");
                    }
                    plane.turn.handle_relay(relay, opened.is_ok(), now);
                }
                Event::CloseRelay { relay } => {
                    // What is to be sent from the socket has to go before it. And its number may be another's next.
                    self.flush(plane);
                    plane.relays.close(relay, self.poll.registry());
                }
                Event::CloseClient { path } => {
                    self.flush(plane);
                    if let Some(token) = plane.streams.of(&path) {
                        plane.streams.close(token, self.poll.registry());
                    }
                }
                Event::Ended { why, .. } => tracing::debug!(?why, "an allocation ended"),
            }
        }
    }

    /// Hands everything that is to be sent to the sockets.
    fn flush(&self, plane: &mut Plane) {
        let Plane { turn, streams, relays, grouper, queues, senders, calls, .. } = plane;
        let batch = turn.batch();
        if batch.segments.is_empty() {
            return;
        }
        let of_relays = self.entrances.len();
        let is_datagrams = |n: u16| matches!(self.entrances.get(usize::from(n)), Some((_, Entrance::Datagrams(..))));
        for segment in batch.segments {
            if let Socket::Listener(listener) = segment.from
                && !is_datagrams(listener)
            {
                let bytes = batch.bytes.get(segment.start..).and_then(|rest| rest.get(..segment.len));
                streams.send(&ClientPath { listener, remote: segment.to }, bytes.unwrap_or_default());
            }
        }
        grouper.group(batch.segments, queues, |segment| {
            let piece = Piece { start: segment.start, len: segment.len };
            // Client and peers of an allocation have a number each.
            let number = segment.destination.saturating_mul(2);
            Some(match segment.from {
                Socket::Listener(n) if is_datagrams(n) => Entry { destination: number, to: segment.to, piece, queue: n.into() },
                Socket::Listener(_) => return None,
                Socket::Relay(_) => {
                    Entry { destination: number.saturating_add(1), to: relays.reached(segment.to), piece, queue: of_relays }
                }
            })
        });
        let mut unsent = 0;
        for (((_, entrance), queue), sender) in self.entrances.iter().zip(queues.iter()).zip(senders) {
            if let Entrance::Datagrams(socket, _) = entrance
                && !queue.messages.is_empty()
            {
                unsent += sender.send_all(queue, |messages| calls.send(socket.as_fd(), batch.bytes, queue, messages)).unsent;
            }
        }
        if let Some(queue) = queues.get(of_relays) {
            let index = |destination: u32| usize::try_from(destination / 2).unwrap_or(usize::MAX);
            unsent += relays.send(queue, batch.bytes, calls, index).unsent;
        }
        if unsent > 0 {
            self.shared.unsent.fetch_add(unsent, Ordering::Relaxed);
        }
        turn.clear_batch();
    }

    fn write_streams(&self, plane: &mut Plane) {
        for token in plane.streams.flush() {
            self.close_stream(plane, token, Instant::now());
        }
        let dropped = std::mem::take(&mut plane.streams.dropped);
        self.shared.unsent.fetch_add(dropped, Ordering::Relaxed);
    }

    /// Carries out waiting orders. Says what follows if this `Turn` is over: also when nobody is left to give any.
    fn carry_out(&mut self, plane: &mut Plane) -> Option<Next> {
        for _ in 0..AT_ONCE {
            match self.orders.try_recv() {
                Ok(Order::Revoke(user)) => plane.turn.revoke(&user),
                Ok(Order::Move(plan)) => {
                    self.plan = *plan;
                    return Some(Next::Anew);
                }
                Ok(Order::Stats(answer)) => _ = answer.send(plane.turn.stats()),
                #[expect(clippy::panic, reason = "what the order is for")]
                Ok(Order::Crash) => panic!("a test asked for this"),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return Some(Next::End),
                Err(std::sync::mpsc::TryRecvError::Empty) => break,
            }
        }
        None
    }

    fn sweep(&mut self, plane: &mut Plane, now: Instant) {
        if now.saturating_duration_since(plane.swept) < SWEEP {
            return;
        }
        plane.swept = now;
        plane.turn.set_wall_clock(wall_clock(), now);
        if let Some(tls) = &mut self.tls {
            tls.look(now);
        }
        let Plane { turn, streams, .. } = plane;
        for token in streams.idle(now, |path| turn.is_client(path)) {
            self.close_stream(plane, token, now);
        }
        let dropped = self.shared.unsent.load(Ordering::Relaxed);
        let (last, before) = plane.mentioned;
        if dropped > before && now.saturating_duration_since(last) >= MENTION {
            tracing::info!(dropped = dropped - before, "relayed packets were dropped: the network did not take them");
            plane.mentioned = (now, dropped);
        }
    }
}

impl Plane {
    fn note_ready(&mut self, event: &mio::event::Event, listeners: usize) {
        let token = event.token();
        if token == WAKER {
            return;
        }
        if token.0 < listeners {
            if let Some(readable) = self.readable.get_mut(token.0) {
                *readable = true;
            }
            return;
        }
        if token.0 >= streams::FIRST && event.is_writable() {
            self.streams.writable(token);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.unread.push(token);
        }
    }

    /// Takes what came to a UDP listener. The rest of a batch waits for the next turn.
    fn receive_datagrams(&mut self, n: usize, listener: u16, socket: std::os::fd::BorrowedFd<'_>) {
        let Plane { turn, readable, inboxes, pace, .. } = self;
        let (Some(readable), Some(Some(inbox))) = (readable.get_mut(n), inboxes.get_mut(n)) else { return };
        if !*readable && inbox.is_empty() {
            return;
        }
        if inbox.is_empty() {
            *readable = received(inbox.receive(socket));
        }
        let now = Instant::now();
        let mut taken = 0;
        for _ in 0..TURN {
            let Some(datagram) = inbox.next() else { break };
            taken += 1;
            if let Some(datagram) = datagram {
                turn.handle_client(ClientPath { listener, remote: datagram.from }, datagram.bytes, now);
            }
        }
        pace.took(taken, !*readable && inbox.is_empty(), now);
    }

    /// Takes what came to a relayed address.
    fn receive_from_relay(&mut self, token: Token, now: Instant) -> usize {
        let Some((relay, socket)) = self.relays.at(token) else { return 0 };
        if received(self.relay_inbox.receive(socket.as_fd())) {
            self.unread.push(token);
        }
        let mut taken = 0;
        while let Some(datagram) = self.relay_inbox.next() {
            taken += 1;
            if let Some(datagram) = datagram {
                self.turn.handle_peer(relay, self.relays.told(datagram.from), datagram.bytes, now);
            }
        }
        taken
    }
}

/// Whether more may be waiting.
fn received(result: io::Result<bool>) -> bool {
    result.unwrap_or_else(|error| {
        if error.kind() != ErrorKind::WouldBlock {
            tracing::trace!(%error, "receiving failed");
        }
        false
    })
}

/// The time of day, since 1970; a clock before that is wrong, and no credential is good then.
fn wall_clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX / 2)
}

/// Whether a token is a relay's, or a listener's that takes datagrams.
fn is_udp(token: Token, entrances: &[(Listener, Entrance)]) -> bool {
    let takes_datagrams = || entrances.get(token.0).is_some_and(|(_, entrance)| matches!(entrance, Entrance::Datagrams(..)));
    (relays::FIRST..=relays::LAST).contains(&token.0) || takes_datagrams()
}
