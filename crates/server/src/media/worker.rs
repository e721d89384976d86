//! A media thread: it owns sockets, clock and one `Sfu`, and survives a panic of the `Sfu`.

pub mod handle;
pub mod pace;
pub mod pipes;

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mio::{Events, Interest, Poll, Token};
use parlor_proto::transport::Protocol;
use parlor_proto::{MediaCommand, MediaEvent, RouterId};
use parlor_sfu::{Datagram, LocalCandidate, Sfu, SfuConfig, TalkersConfig};
use parlor_udp::{Entry, Grouper, Inbox, Piece, Received, SendBatch, SendQueue, UdpSender};
use tokio::sync::mpsc;

use crate::media::net::sockets::{self, Bound};
use crate::media::net::tcp::{Connections, Progress};
use crate::media::worker::handle::{Command, Counters, Phase, Report, WAKER};
use crate::media::worker::pace::Pace;
use crate::media::worker::pipes::Pipes;

/// Poll events taken at once; further ones come with the next poll.
const EVENTS: usize = 256;
/// Datagrams of one socket handled between two looks at timers, commands and the other sockets, so that a flood on one
/// socket starves nothing.
const TURN: usize = 64;
/// Commands carried out between two looks at the sockets.
const COMMANDS: usize = 256;
/// How often idle TCP connections are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the log mentions dropped datagrams.
const MENTION: Duration = Duration::from_secs(10);
/// Nanoseconds by which the kernel may end a wait late: its usual 50 µs are a good part of how long packets gather.
const TIMER_SLACK: libc::c_ulong = 1_000;
/// A panic within this time of the last start doubles the pause before the next one.
const STABLE: Duration = Duration::from_secs(60);
/// The first pause after a panic, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(10));

/// The time of day, looked up once, so that times in reports mean the same on all workers, and after a restart of one.
/// A clock before 1970 is wrong by more than RTCP could express.
static START: LazyLock<(Instant, Duration)> =
    LazyLock::new(|| (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()));

/// The configuration that a worker needs while it runs.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The least time between two flushes, so that each has more to send.
    pub interval: Duration,
    /// The choice of who is heard in large rooms.
    pub talkers: TalkersConfig,
}

/// A media thread's state. Sockets, commands and pipes outlive a panic; the rest is made anew.
pub struct Worker {
    index: usize,
    poll: Poll,
    bound: Vec<Bound>,
    by_announced: HashMap<SocketAddr, usize>,
    /// What clients are told by now, if it is not what the sockets were made with.
    told: Option<Vec<LocalCandidate>>,
    settings: Settings,
    mail: Mail,
    counters: Arc<Counters>,
    phase: Arc<Phase>,
}

/// The inputs of a worker from other threads.
pub struct Mail {
    /// Orders of rooms.
    pub commands: mpsc::Receiver<Command>,
    /// Packets from other workers, and packets for them.
    pub pipes: Pipes,
}

/// The part of a worker that a panic destroys.
struct Plane {
    sfu: Sfu,
    /// The mailbox for the reports about each router.
    mailboxes: HashMap<RouterId, mpsc::Sender<Report>>,
    tcp: Connections,
    readable: Vec<bool>,
    unread: Vec<Token>,
    inboxes: Vec<Inbox>,
    grouper: Grouper,
    queues: Vec<SendQueue>,
    senders: Vec<UdpSender>,
    batch: SendBatch,
    pace: Pace,
    swept: Instant,
    mentioned: (Instant, u64),
    /// Reports that rooms did not take, and connections that the system failed to accept, since the log mentioned them last.
    behind: u64,
    not_accepted: u64,
    warned: Instant,
}

impl Worker {
    /// Registers the sockets. The waker of `poll` has the token [`WAKER`].
    pub fn new(
        index: usize,
        poll: Poll,
        mut bound: Vec<Bound>,
        settings: Settings,
        mail: Mail,
        counters: Arc<Counters>,
        phase: Arc<Phase>,
    ) -> io::Result<Self> {
        for (n, sockets) in bound.iter_mut().enumerate() {
            poll.registry().register(&mut sockets.udp, Token(2 * n), Interest::READABLE)?;
            poll.registry().register(&mut sockets.tcp, Token(2 * n + 1), Interest::READABLE)?;
        }
        let by_announced = bound.iter().enumerate().flat_map(|(n, b)| b.announced.iter().map(move |a| (*a, n))).collect();
        Ok(Self { index, poll, bound, by_announced, told: None, settings, mail, counters, phase })
    }

    /// Makes the media plane of a fresh start. It is made once before the thread starts, so that a bad configuration is
    /// an error of the start and not of the thread.
    pub fn plane(bound: &[Bound], settings: Settings) -> Result<Sfu, parlor_sfu::SfuError> {
        let now = Instant::now();
        let candidates = sockets::candidates(bound.iter().flat_map(|b| &b.announced));
        let wall_clock = START.1 + now.saturating_duration_since(START.0);
        Sfu::new(SfuConfig { talkers: settings.talkers, wall_clock, ..SfuConfig::new(candidates) }, now)
    }

    /// Runs until it is told to stop. A panic ends the calls of this worker, not the worker.
    pub fn run(mut self) {
        // Every log line that this thread writes says which worker it is, at every level.
        let _span = tracing::error_span!("media", worker = self.index).entered();
        if let Err(error) = nix::sys::prctl::set_timerslack(TIMER_SLACK) {
            tracing::debug!(%error, "waits are longer than asked for");
        }
        let mut pause = BACKOFF.0;
        loop {
            let started = Instant::now();
            // Only the plane is left half-changed by a panic, and the plane is dropped with the closure.
            match catch_unwind(AssertUnwindSafe(|| self.run_once())) {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    tracing::error!(%error, "a media worker failed; its calls are lost, it starts again")
                }
                Err(_) => tracing::error!("a media worker panicked; its calls are lost, it starts again"),
            }
            self.counters.restarts.fetch_add(1, Ordering::Relaxed);
            pause = if started.elapsed() > STABLE { BACKOFF.0 } else { (pause * 2).min(BACKOFF.1) };
            self.phase.resting.store(true, Ordering::Relaxed);
            // Parked and not asleep, so that a stopping server can wake it at once.
            std::thread::park_timeout(pause);
            self.phase.resting.store(false, Ordering::Relaxed);
        }
    }

    fn run_once(&mut self) -> anyhow::Result<()> {
        let mut sfu = Self::plane(&self.bound, self.settings)?;
        if let Some(told) = &self.told {
            sfu.tell(told)?;
        }
        let mut plane = Plane::new(sfu, &self.bound, self.settings.interval);
        let mut events = Events::with_capacity(EVENTS);
        for n in 0..self.bound.len() {
            // After a panic, connections that were announced before it may be waiting.
            Self::note_ready(&mut plane, Token(2 * n + 1));
        }
        while !self.phase.stopping.load(Ordering::Relaxed) {
            self.wait(&mut plane, &mut events)?;
            for event in &events {
                Self::note_ready(&mut plane, event.token());
            }
            self.receive_udp(&mut plane);
            self.receive_tcp(&mut plane);
            if !self.carry_out(&mut plane) {
                return Ok(());
            }
            let now = Instant::now();
            // Packets are taken after the commands, because a mirror is announced by a command before its packets come.
            self.mail.pipes.take(&mut plane.sfu, now);
            if plane.sfu.poll_timeout().is_some_and(|at| at <= now) {
                plane.sfu.handle_timeout(now);
            }
            // Packets for other workers are handed over first: those seal and send while this worker does.
            self.mail.pipes.hand_over(&mut plane.sfu);
            if !plane.sfu.batch().segments.is_empty() {
                self.flush(&mut plane);
            }
            self.report(&mut plane);
            self.write_tcp(&mut plane);
            self.sweep(&mut plane, now);
        }
        Ok(())
    }

    fn wait(&mut self, plane: &mut Plane, events: &mut Events) -> io::Result<()> {
        let now = Instant::now();
        // Poll reports an event once (edge-triggered), so a socket that was not read to the end is read on without waiting.
        let busy = plane.readable.iter().any(|r| *r)
            || plane.inboxes.iter().any(|inbox| !inbox.is_empty())
            || !plane.unread.is_empty()
            || self.mail.pipes.is_busy()
            || !self.mail.commands.is_empty();
        let due = plane.sfu.poll_timeout().into_iter().chain(self.mail.pipes.retry(now)).min();
        let mut due = due.map_or(SWEEP, |at| at.saturating_duration_since(now).min(SWEEP));
        if busy {
            due = Duration::ZERO;
        }
        let sockets = self.bound.len();
        plane.pace.wait(&mut self.poll, events, (now, due), |token| !busy && is_udp(token, sockets))
    }

    fn note_ready(plane: &mut Plane, token: Token) {
        if token == WAKER {
            return;
        }
        match plane.readable.get_mut(token.0 / 2) {
            Some(flag) if token.0.is_multiple_of(2) => *flag = true,
            // The token is that of a listener or a connection.
            _ => plane.unread.push(token),
        }
    }

    /// Gives each readable socket a turn. The rest of a batch waits for the next turn.
    fn receive_udp(&self, plane: &mut Plane) {
        let Plane { sfu, readable, inboxes, pace, .. } = plane;
        for ((sockets, readable), inbox) in self.bound.iter().zip(readable).zip(inboxes) {
            let Some(local) = sockets.label().filter(|_| *readable || !inbox.is_empty()) else { continue };
            if inbox.is_empty() {
                *readable = inbox.receive(sockets.udp.as_fd()).unwrap_or_else(|error| {
                    if error.kind() != ErrorKind::WouldBlock {
                        tracing::debug!(%error, "receiving failed");
                    }
                    false
                });
            }
            let now = Instant::now();
            let mut taken = 0;
            for _ in 0..TURN {
                let Some(datagram) = inbox.next() else { break };
                taken += 1;
                let Some(Received { bytes, from: remote, .. }) = datagram else {
                    self.counters.oversized.fetch_add(1, Ordering::Relaxed);
                    continue;
                };
                sfu.handle_datagram(Datagram { protocol: Protocol::Udp, local, remote, bytes }, now);
            }
            pace.took(taken, !*readable && inbox.is_empty(), now);
        }
    }

    /// Gives a turn to each listener and each connection with something to read.
    fn receive_tcp(&self, plane: &mut Plane) {
        let now = Instant::now();
        // An event and a leftover of one connection are one turn: a connection that always has more to read gets no second one.
        let mut tokens = std::mem::take(&mut plane.unread);
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            let Plane { sfu, tcp, unread, .. } = plane;
            if let Some(sockets) = self.bound.get(token.0 / 2) {
                let first = Token(2 * self.bound.len());
                if let Some(local) = sockets.label()
                    && tcp.accept(&sockets.tcp, local, self.poll.registry(), first, now)
                {
                    unread.push(token);
                }
                continue;
            }
            let take = |local, remote, bytes: &[u8]| {
                sfu.handle_datagram(Datagram { protocol: Protocol::Tcp, local, remote, bytes }, now);
                sfu.is_clients(Protocol::Tcp, remote)
            };
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

    /// Carries out waiting commands. Returns false if nobody is left to give any.
    fn carry_out(&mut self, plane: &mut Plane) -> bool {
        for _ in 0..COMMANDS {
            match self.mail.commands.try_recv() {
                Ok(Command::Open(router, mailbox)) => _ = plane.mailboxes.insert(router, mailbox),
                Ok(Command::Media(router, command)) => {
                    if command == MediaCommand::CloseRouter {
                        plane.mailboxes.remove(&router);
                    }
                    plane.sfu.handle_command(router, command, Instant::now());
                    // Reported at once: requests one after the other would otherwise wait for each other's events.
                    self.report(plane);
                }
                Ok(Command::Mirror(router, producer, origin, from)) => {
                    plane.sfu.mirror(router, producer, &origin, from, Instant::now());
                }
                Ok(Command::Pipe(router, producer, to)) => plane.sfu.pipe(router, producer, to),
                Ok(Command::Tell(candidates)) => match plane.sfu.tell(&candidates) {
                    Ok(()) => self.told = Some(candidates),
                    Err(error) => tracing::warn!(%error, "clients are told the addresses from before"),
                },
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

    /// Seals everything that is to be sent, and hands it to the sockets.
    fn flush(&self, plane: &mut Plane) {
        let Plane { sfu, tcp, grouper, queues, senders, batch: calls, .. } = plane;
        let batch = sfu.batch();
        for frame in batch.segments.iter().filter(|segment| segment.protocol == Protocol::Tcp) {
            let bytes = batch.bytes.get(frame.start..).and_then(|rest| rest.get(..frame.len));
            tcp.send(frame.remote, bytes.unwrap_or_default());
        }
        grouper.group(batch.segments, queues, |segment| {
            let queue = self.by_announced.get(&segment.local).filter(|_| segment.protocol == Protocol::Udp)?;
            let piece = Piece { start: segment.start, len: segment.len };
            Some(Entry { destination: segment.destination, to: segment.remote, piece, queue: *queue })
        });
        for ((sockets, queue), sender) in self.bound.iter().zip(queues).zip(senders) {
            let sent = sender.send_all(queue, |messages| calls.send(sockets.udp.as_fd(), batch.bytes, queue, messages));
            self.counters.messages.fetch_add(sent.messages, Ordering::Relaxed);
            self.counters.unsent.fetch_add(sent.unsent, Ordering::Relaxed);
            self.counters.refused.fetch_add(sent.refused, Ordering::Relaxed);
            if let Some(code) = sent.first {
                let error = io::Error::from_raw_os_error(code);
                tracing::info!(%error, "the kernel cannot cut up messages for every destination; single datagrams go there");
            }
        }
        sfu.clear_batch();
    }

    /// Writes the bytes that wait on each connection.
    fn write_tcp(&self, plane: &mut Plane) {
        let broken = plane.tcp.flush();
        for token in broken {
            self.close_tcp(plane, token, Instant::now());
        }
        let dropped = std::mem::take(&mut plane.tcp.dropped);
        self.counters.unsent.fetch_add(dropped, Ordering::Relaxed);
    }

    fn report(&self, plane: &mut Plane) {
        while let Some((router, event)) = plane.sfu.poll_event() {
            let Some(mailbox) = plane.mailboxes.get(&router) else { continue };
            // Sending never waits: a room that is behind by a full mailbox loses reports, and its deadlines clean up.
            if let Err(mpsc::error::TrySendError::Full((_, event))) = mailbox.try_send((router, event)) {
                self.counters.lost_events.fetch_add(1, Ordering::Relaxed);
                if !matches!(event, MediaEvent::Speakers { .. }) {
                    plane.behind += 1;
                }
            }
        }
    }

    fn sweep(&self, plane: &mut Plane, now: Instant) {
        if now.saturating_duration_since(plane.swept) < SWEEP {
            return;
        }
        plane.swept = now;
        for token in plane.tcp.idle(now, |remote| plane.sfu.is_clients(Protocol::Tcp, remote)) {
            self.close_tcp(plane, token, now);
        }
        self.counters.connections.store(plane.tcp.len(), Ordering::Relaxed);
        self.mention_drops(plane, now);
    }

    fn mention_drops(&self, plane: &mut Plane, now: Instant) {
        let dropped = self.counters.unsent.load(Ordering::Relaxed) + self.counters.oversized.load(Ordering::Relaxed);
        let (last, before) = plane.mentioned;
        if dropped > before && now.saturating_duration_since(last) >= MENTION {
            tracing::info!(dropped = dropped - before, "datagrams were dropped: the network did not take them, or they were too long");
            plane.mentioned = (now, dropped);
        }
        let refused = std::mem::take(&mut plane.tcp.not_accepted);
        plane.not_accepted += refused;
        if (plane.behind, plane.not_accepted) != (0, 0) && now.saturating_duration_since(plane.warned) >= MENTION {
            let (reports, connections) = (std::mem::take(&mut plane.behind), std::mem::take(&mut plane.not_accepted));
            tracing::warn!(
                reports,
                connections,
                "reports of media were lost by rooms that do not keep up, or connections could not be accepted"
            );
            plane.warned = now;
        }
    }
}

impl Plane {
    fn new(sfu: Sfu, bound: &[Bound], interval: Duration) -> Self {
        Self {
            sfu,
            mailboxes: HashMap::new(),
            tcp: Connections::default(),
            // After a panic, datagrams that were announced before it may be waiting.
            readable: vec![true; bound.len()],
            unread: Vec::new(),
            inboxes: bound.iter().map(|_| Inbox::default()).collect(),
            grouper: Grouper::default(),
            queues: bound.iter().map(|_| SendQueue::default()).collect(),
            senders: bound.iter().map(|sockets| UdpSender::new(!sockets.cuts_up)).collect(),
            batch: SendBatch::default(),
            pace: Pace::new(interval, Instant::now()),
            swept: Instant::now(),
            mentioned: (Instant::now(), 0),
            behind: 0,
            not_accepted: 0,
            warned: Instant::now(),
        }
    }
}

/// Whether a token is a UDP socket's, of so many pairs of sockets.
fn is_udp(token: Token, sockets: usize) -> bool {
    token.0.is_multiple_of(2) && token.0 < 2 * sockets
}
