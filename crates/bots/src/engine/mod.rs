//! The media thread: many peers on one thread, each with its own socket, woken by what arrives and what is due.
//!
//! One thread, because bots share the machine with the server they measure: it can be pinned to a core, and
//! its load is known.

mod described;
mod link;
mod peer;
mod receiver;
mod rtp;
mod session;
mod track;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Registry, Token, Waker};
use tokio::sync::oneshot;

pub use receiver::{Delays, StreamStats};
pub use session::PeerState;

pub(crate) use described::{Agreed, Offered};
pub(crate) use peer::Peer;
pub(crate) use receiver::Receiver;
pub(crate) use track::Track;

use crate::affinity::{self, CpuTime};
use crate::error::BotError;

/// The token of the waker; peers count up from 0.
const WAKER: Token = Token(usize::MAX);
/// Socket events taken at once.
const EVENTS: usize = 256;
/// The longest the thread sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce(&mut Peers, Instant) + Send>;

/// A handle on a media thread. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

struct Shared {
    jobs: Option<mpsc::Sender<Job>>,
    waker: Waker,
    next_peer: AtomicUsize,
    thread: Option<JoinHandle<()>>,
}

/// Names a peer inside an engine.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct PeerId(usize);

/// What the thread owns.
pub(crate) struct Peers {
    peers: HashMap<usize, Entry>,
    registry: Registry,
    /// The times at which peers are to be woken, the earliest first. What does not agree with [`Entry::queued`] is out of date.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
}

struct Entry {
    peer: Peer,
    /// The time under which it stands in the queue.
    queued: Option<Instant>,
}

/// The sums over all peers of an engine.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Processor time the media thread has used.
    pub cpu: CpuTime,
    /// How many packets were sent.
    pub sent: u64,
    /// Frames not sent because the thread was late.
    pub skipped: u64,
    /// How many packets were received.
    pub received: u64,
    /// How many sequence numbers are missing.
    pub lost: u64,
}

impl Engine {
    /// Starts a media thread, on one core if it is named.
    pub fn start(core: Option<usize>) -> io::Result<Self> {
        Self::start_coalescing(core, Duration::ZERO)
    }

    /// Starts a media thread that lets arrived packets lie for this long before it reads them, many at once: that
    /// is cheaper, and times stay true, as the kernel takes them. What is due is sent on time.
    pub fn start_coalescing(core: Option<usize>, pause: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let peers = Peers { peers: HashMap::new(), registry: poll.registry().try_clone()?, queue: BinaryHeap::new() };
        let (jobs, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("bots-media".to_owned()).spawn(move || {
            if let Some(Err(error)) = core.map(affinity::pin_current_thread) {
                tracing::warn!(%error, "cannot pin the media thread");
            }
            run(poll, peers, &inbox, pause);
        })?;
        Ok(Self { shared: Arc::new(Shared { jobs: Some(jobs), waker, next_peer: AtomicUsize::new(0), thread: Some(thread) }) })
    }

    /// What all peers have sent and received so far.
    pub async fn totals(&self) -> Result<Totals, BotError> {
        let (sender, answer) = oneshot::channel();
        self.post(Box::new(|peers, _| {
            let _ = sender.send(peers.totals());
        }));
        answer.await.map_err(|_| BotError::Closed)
    }

    /// The one-way delays that all peers recorded since the last call.
    pub async fn take_delays(&self) -> Result<Delays, BotError> {
        let (sender, answer) = oneshot::channel();
        self.post(Box::new(|peers, _| {
            let mut all = Delays::new();
            for Entry { peer, .. } in peers.peers.values_mut() {
                all.add(peer.session().delays());
                peer.session().delays().reset();
            }
            let _ = sender.send(all);
        }));
        answer.await.map_err(|_| BotError::Closed)
    }

    /// Hands a peer to the thread.
    pub(crate) fn add(&self, mut peer: Peer) -> PeerId {
        let id = self.shared.next_peer.fetch_add(1, Ordering::Relaxed);
        self.post(Box::new(move |peers, now| match peer.register(&peers.registry, Token(id)) {
            Ok(()) => {
                peer.settle(now);
                peers.peers.insert(id, Entry { peer, queued: None });
                peers.schedule(id);
            }
            Err(error) => tracing::warn!(%error, "cannot watch a socket"),
        }));
        PeerId(id)
    }

    /// Closes a peer's socket and forgets it.
    pub(crate) fn remove(&self, id: PeerId) {
        self.post(Box::new(move |peers, _| {
            if let Some(mut entry) = peers.peers.remove(&id.0) {
                entry.peer.deregister(&peers.registry);
            }
        }));
    }

    /// Does something with a peer on its thread and gives back what came of it.
    pub(crate) async fn with<R: Send + 'static>(
        &self,
        id: PeerId,
        job: impl FnOnce(&mut Peer, &Registry, Instant) -> R + Send + 'static,
    ) -> Result<R, BotError> {
        let (sender, answer) = oneshot::channel();
        self.post(Box::new(move |peers, now| {
            if let Some(Entry { peer, .. }) = peers.peers.get_mut(&id.0) {
                let result = job(peer, &peers.registry, now);
                peer.settle(now);
                peers.schedule(id.0);
                // The one who asked may be gone.
                let _ = sender.send(result);
            }
        }));
        answer.await.map_err(|_| BotError::Closed)
    }

    fn post(&self, job: Job) {
        // If the thread has ended, whoever waits for the job sees that its answer never comes.
        if self.shared.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok()) {
            let _ = self.shared.waker.wake();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.jobs = None;
        let _ = self.waker.wake();
        // The last handle may be dropped by a job, on the thread itself.
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

fn run(mut poll: Poll, mut peers: Peers, inbox: &mpsc::Receiver<Job>, pause: Duration) {
    let mut events = Events::with_capacity(EVENTS);
    let mut arrived = parlor_udp::Inbox::default();
    let mut read_at = Instant::now();
    loop {
        let now = Instant::now();
        let due = peers.next_due().unwrap_or(now + IDLE);
        if now < read_at {
            std::thread::sleep(due.min(read_at).saturating_duration_since(now));
            peers.handle_timeouts(Instant::now());
            continue;
        }
        if let Err(error) = poll.poll(&mut events, Some(due.saturating_duration_since(now).min(IDLE)))
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "cannot wait for sockets");
            return;
        }
        let now = Instant::now();
        let mut woken = false;
        for event in &events {
            woken |= event.token() == WAKER;
            if let Some(Entry { peer, .. }) = peers.peers.get_mut(&event.token().0) {
                peer.handle_readable(&mut arrived, now);
                peers.schedule(event.token().0);
            }
        }
        if woken && !do_jobs(&mut peers, inbox, now) {
            return;
        }
        // With more to read, there is no pause.
        if events.iter().count() < EVENTS {
            read_at = now + pause;
        }
        peers.handle_timeouts(Instant::now());
    }
}

/// False when the last handle is gone.
fn do_jobs(peers: &mut Peers, inbox: &mpsc::Receiver<Job>, now: Instant) -> bool {
    loop {
        match inbox.try_recv() {
            Ok(job) => job(peers, now),
            Err(mpsc::TryRecvError::Empty) => return true,
            Err(mpsc::TryRecvError::Disconnected) => return false,
        }
    }
}

impl Peers {
    /// Puts a peer into the queue, unless it stands there early enough.
    fn schedule(&mut self, id: usize) {
        let Some(Entry { peer, queued }) = self.peers.get_mut(&id) else { return };
        if let Some(at) = peer.wake_at()
            && queued.is_none_or(|queued| at < queued)
        {
            *queued = Some(at);
            self.queue.push(Reverse((at, id)));
        }
    }

    fn next_due(&self) -> Option<Instant> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    fn handle_timeouts(&mut self, now: Instant) {
        let mut handled = Vec::new();
        while let Some(Reverse((at, id))) = self.queue.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.queue.pop();
            let Some(Entry { peer, queued }) = self.peers.get_mut(&id).filter(|entry| entry.queued == Some(at)) else { continue };
            *queued = None;
            if peer.wake_at().is_some_and(|at| at <= now) {
                peer.handle_timeout(now);
            }
            handled.push(id);
        }
        // Only now, so that one that is due again at once does not keep the others from being read.
        handled.into_iter().for_each(|id| self.schedule(id));
    }

    fn totals(&mut self) -> Totals {
        let mut all = Totals { cpu: CpuTime::of_this_thread().unwrap_or_default(), ..Totals::default() };
        for Entry { peer, .. } in self.peers.values_mut() {
            let (sent, _, skipped) = peer.sent_counts();
            (all.sent, all.skipped) = (all.sent + sent, all.skipped + skipped);
            for receiver in peer.session().receivers() {
                let (received, lost) = receiver.counts();
                (all.received, all.lost) = (all.received + received, all.lost + lost);
            }
        }
        all
    }
}
