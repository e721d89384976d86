//! A media thread: it owns sockets, clock and one `Sfu`, and survives a panic of the latter.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use parlor_proto::transport::Protocol;
use parlor_proto::{MediaCommand, MediaEvent, RouterId};
use parlor_sfu::{Datagram, Sfu, SfuConfig, SfuStats, Transmit};
use tokio::sync::{mpsc, oneshot};

use super::batch::{self, BATCH, RecvBatch};
use super::routes::Routes;
use super::sockets::{self, Bound};
use super::tcp::{Connections, Progress};
use super::{Counters, Phase, WAKER};

/// Poll events taken at once; what does not fit comes with the next poll.
const EVENTS: usize = 256;
/// Commands carried out between two looks at the sockets.
const COMMANDS: usize = 256;
/// How often idle TCP connections are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often dropped datagrams are mentioned in the log.
const MENTION: Duration = Duration::from_secs(10);
/// A panic within this time of the last start doubles the pause before the next one.
const STABLE: Duration = Duration::from_secs(60);
/// The first pause after a panic, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Events of this router go to this mailbox. A closed mailbox tells the room that its router is lost.
    Open(RouterId, mpsc::Sender<MediaEvent>),
    /// An order of the rules.
    Media(MediaCommand),
    /// Answer with the counters.
    Stats(oneshot::Sender<SfuStats>),
    /// Panic: tests prove with it that calls on other workers, and the server, survive.
    Crash,
}

/// A media thread's state. Sockets and commands outlive a panic, the rest is made anew.
pub struct Worker {
    index: usize,
    poll: Poll,
    bound: Vec<Bound>,
    by_announced: HashMap<SocketAddr, usize>,
    commands: mpsc::Receiver<Command>,
    counters: Arc<Counters>,
    phase: Arc<Phase>,
}

/// What a panic destroys.
struct Plane {
    sfu: Sfu,
    routes: Routes<mpsc::Sender<MediaEvent>>,
    tcp: Connections,
    readable: Vec<bool>,
    unread: Vec<Token>,
    outgoing: Vec<Vec<Transmit>>,
    batch: RecvBatch,
    swept: Instant,
    mentioned: (Instant, u64),
}

impl Worker {
    /// Registers the sockets. The waker of `poll` has the token [`WAKER`].
    pub fn new(
        index: usize,
        poll: Poll,
        mut bound: Vec<Bound>,
        commands: mpsc::Receiver<Command>,
        counters: Arc<Counters>,
        phase: Arc<Phase>,
    ) -> io::Result<Self> {
        for (n, sockets) in bound.iter_mut().enumerate() {
            poll.registry().register(&mut sockets.udp, Token(2 * n), Interest::READABLE)?;
            poll.registry().register(&mut sockets.tcp, Token(2 * n + 1), Interest::READABLE)?;
        }
        let by_announced = bound.iter().enumerate().flat_map(|(n, b)| b.announced.iter().map(move |a| (*a, n))).collect();
        Ok(Self { index, poll, bound, by_announced, commands, counters, phase })
    }

    /// The media plane of a fresh start; made once before the thread starts, so that a bad configuration is
    /// an error of the start and not of the thread.
    pub fn plane(bound: &[Bound]) -> Result<Sfu, parlor_sfu::SfuError> {
        Sfu::new(SfuConfig::new(sockets::candidates(bound)), Instant::now())
    }

    /// Runs until it is told to stop. A panic ends the calls of this worker, not the worker.
    pub fn run(mut self) {
        let mut pause = BACKOFF.0;
        loop {
            let started = Instant::now();
            // What a panic leaves half-changed is the plane, and that is dropped with the closure.
            match catch_unwind(AssertUnwindSafe(|| self.run_once())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::error!(worker = self.index, %error, "a media worker failed; its calls are lost, it starts again")
                }
                Err(_) => tracing::error!(worker = self.index, "a media worker panicked; its calls are lost, it starts again"),
            }
            self.counters.restarts.fetch_add(1, Ordering::Relaxed);
            pause = if started.elapsed() > STABLE { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
            self.phase.resting.store(true, Ordering::Relaxed);
            // Not asleep: the end of the server need not wait for it.
            std::thread::park_timeout(pause);
            self.phase.resting.store(false, Ordering::Relaxed);
        }
    }

    fn run_once(&mut self) -> anyhow::Result<()> {
        let mut plane = Plane::new(Self::plane(&self.bound)?, self.bound.len());
        let mut events = Events::with_capacity(EVENTS);
        for n in 0..self.bound.len() {
            // After a panic connections may be waiting that were announced before it.
            self.note_ready(&mut plane, Token(2 * n + 1));
        }
        while !self.phase.stopping.load(Ordering::Relaxed) {
            self.wait(&mut plane, &mut events)?;
            for event in &events {
                self.note_ready(&mut plane, event.token());
            }
            self.receive_udp(&mut plane);
            self.receive_tcp(&mut plane);
            if !self.carry_out(&mut plane) {
                return Ok(());
            }
            let now = Instant::now();
            if plane.sfu.poll_timeout().is_some_and(|at| at <= now) {
                plane.sfu.handle_timeout(now);
            }
            self.flush(&mut plane);
            self.sweep(&mut plane, now);
        }
        Ok(())
    }

    fn wait(&mut self, plane: &mut Plane, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        // Events are told once (edge-triggered): what was not read to the end is read on without waiting.
        let busy = plane.readable.iter().any(|r| *r) || !plane.unread.is_empty() || !self.commands.is_empty();
        let due = plane.sfu.poll_timeout().map_or(SWEEP, |at| at.saturating_duration_since(now).min(SWEEP));
        match self.poll.poll(events, Some(if busy { Duration::ZERO } else { due })) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    fn note_ready(&self, plane: &mut Plane, token: Token) {
        if token == WAKER {
            return;
        }
        let first = 2 * self.bound.len();
        match self.bound.get(token.0 / 2) {
            Some(_) if token.0.is_multiple_of(2) => {
                if let Some(flag) = plane.readable.get_mut(token.0 / 2) {
                    *flag = true;
                }
            }
            Some(sockets) => {
                if let Some(local) = sockets.label() {
                    plane.tcp.accept(&sockets.tcp, local, self.poll.registry(), first, Instant::now());
                }
            }
            None => plane.unread.push(token),
        }
    }

    /// One batch of each readable socket, handled whole.
    fn receive_udp(&self, plane: &mut Plane) {
        let Plane { sfu, readable, batch, .. } = plane;
        for (sockets, readable) in self.bound.iter().zip(readable) {
            let Some(local) = sockets.label().filter(|_| *readable) else { continue };
            match batch.receive(sockets.udp.as_fd()) {
                Ok(()) => *readable = batch.is_full(),
                Err(e) => {
                    *readable = false;
                    if e.kind() != ErrorKind::WouldBlock {
                        tracing::debug!(error = %e, "receiving failed");
                    }
                    continue;
                }
            }
            let now = Instant::now();
            for datagram in batch.datagrams() {
                match datagram {
                    Some((bytes, remote)) => sfu.handle_datagram(Datagram { protocol: Protocol::Udp, local, remote, bytes }, now),
                    None => {
                        self.counters.oversized.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn receive_tcp(&self, plane: &mut Plane) {
        let now = Instant::now();
        // One event and one leftover are one turn: a connection that always has more to read gets no second one.
        let mut tokens = std::mem::take(&mut plane.unread);
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            let Plane { sfu, tcp, unread, .. } = plane;
            let take = |local, remote, bytes: &[u8]| sfu.handle_datagram(Datagram { protocol: Protocol::Tcp, local, remote, bytes }, now);
            match tcp.read(token, now, take) {
                Progress::Drained => {}
                Progress::More => unread.push(token),
                Progress::Over => self.close_tcp(plane, token, now),
            }
        }
    }

    fn close_tcp(&self, plane: &mut Plane, token: Token, now: Instant) {
        if let Some(remote) = plane.tcp.close(token, self.poll.registry()) {
            plane.sfu.handle_tcp_closed(remote, now);
        }
    }

    /// Carries out waiting commands; false if nobody is left to give any.
    fn carry_out(&mut self, plane: &mut Plane) -> bool {
        for _ in 0..COMMANDS {
            match self.commands.try_recv() {
                Ok(Command::Open(router, mailbox)) => plane.routes.open(router, mailbox),
                Ok(Command::Media(command)) => {
                    plane.routes.note_command(&command);
                    plane.sfu.handle_command(command, Instant::now());
                    // Requests one after the other would otherwise wait for each other's events.
                    self.report(plane);
                }
                Ok(Command::Stats(answer)) => {
                    let _ = answer.send(plane.sfu.stats());
                }
                #[expect(clippy::panic, reason = "what the command is for")]
                Ok(Command::Crash) => panic!("a test asked for this"),
                Err(mpsc::error::TryRecvError::Disconnected) => return false,
                Err(mpsc::error::TryRecvError::Empty) => break,
            }
        }
        true
    }

    /// Hands the plane's events to the rooms and its transmits to the sockets.
    fn flush(&self, plane: &mut Plane) {
        self.report(plane);
        while let Some(transmit) = plane.sfu.poll_transmit() {
            match transmit.protocol {
                Protocol::Tcp => plane.tcp.send(transmit.remote, &transmit.bytes),
                Protocol::Udp => {
                    let queue = self.by_announced.get(&transmit.local).and_then(|n| plane.outgoing.get_mut(*n));
                    if let Some(queue) = queue {
                        queue.push(transmit);
                    }
                }
            }
        }
        for (sockets, queue) in self.bound.iter().zip(&mut plane.outgoing) {
            self.send_all(sockets, queue);
        }
        let broken = plane.tcp.flush();
        for token in broken {
            self.close_tcp(plane, token, Instant::now());
        }
        let dropped = std::mem::take(&mut plane.tcp.dropped);
        self.counters.unsent.fetch_add(dropped, Ordering::Relaxed);
    }

    fn send_all(&self, sockets: &Bound, queue: &mut Vec<Transmit>) {
        let mut rest = queue.as_slice();
        while !rest.is_empty() {
            let next = rest.iter().take(BATCH).map(|t| (t.bytes.as_slice(), t.remote));
            let done = match batch::send(sockets.udp.as_fd(), next) {
                Ok(sent) => sent.max(1),
                // Media that cannot go now is not worth sending later: the queue in the kernel is the only one.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.counters.unsent.fetch_add(rest.len() as u64, Ordering::Relaxed);
                    break;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => 0,
                // Unreachable or forbidden: the fault of this one destination.
                Err(_) => {
                    self.counters.unsent.fetch_add(1, Ordering::Relaxed);
                    1
                }
            };
            rest = rest.get(done..).unwrap_or_default();
        }
        queue.clear();
    }

    fn report(&self, plane: &mut Plane) {
        while let Some(event) = plane.sfu.poll_event() {
            let Some(mailbox) = plane.routes.mailbox_of(&event) else { continue };
            // Never waits: a room that is behind by a full mailbox loses reports, and its deadlines clean up.
            if let Err(mpsc::error::TrySendError::Full(event)) = mailbox.try_send(event) {
                self.counters.lost_events.fetch_add(1, Ordering::Relaxed);
                if !matches!(event, MediaEvent::Speakers { .. }) {
                    tracing::warn!(worker = self.index, "a room does not keep up with the reports of its media");
                }
            }
        }
    }

    fn sweep(&self, plane: &mut Plane, now: Instant) {
        if now.saturating_duration_since(plane.swept) < SWEEP {
            return;
        }
        plane.swept = now;
        for token in plane.tcp.idle(now) {
            self.close_tcp(plane, token, now);
        }
        self.counters.connections.store(plane.tcp.len(), Ordering::Relaxed);
        self.mention_drops(plane, now);
    }

    fn mention_drops(&self, plane: &mut Plane, now: Instant) {
        let dropped = self.counters.unsent.load(Ordering::Relaxed) + self.counters.oversized.load(Ordering::Relaxed);
        let (last, before) = plane.mentioned;
        if dropped > before && now.saturating_duration_since(last) >= MENTION {
            tracing::info!(
                worker = self.index,
                dropped = dropped - before,
                "datagrams were dropped: the network did not take them, or they were too long"
            );
            plane.mentioned = (now, dropped);
        }
    }
}

impl Plane {
    fn new(sfu: Sfu, sockets: usize) -> Self {
        Self {
            sfu,
            routes: Routes::default(),
            tcp: Connections::default(),
            // After a panic datagrams may be waiting that were announced before it.
            readable: vec![true; sockets],
            unread: Vec::new(),
            outgoing: (0..sockets).map(|_| Vec::with_capacity(BATCH)).collect(),
            batch: RecvBatch::default(),
            swept: Instant::now(),
            mentioned: (Instant::now(), 0),
        }
    }
}
