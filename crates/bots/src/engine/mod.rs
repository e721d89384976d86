//! The media thread: many peers on one thread, each with its own socket, woken by what arrives and what is due.
//!
//! One thread, because bots share the machine with the server they measure: it can be pinned to a core, and
//! its load is known.

mod batch;
mod link;
mod peer;
mod receiver;
mod rtp;
mod session;
mod track;

use std::collections::HashMap;
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

pub(crate) use peer::Peer;
pub(crate) use receiver::Receiver;
pub(crate) use track::Track;

use crate::affinity::{self, CpuTime};
use crate::error::BotError;
use batch::Batch;

/// The token of the waker; peers count up from 0.
const WAKER: Token = Token(usize::MAX);
/// Socket events taken at once.
const EVENTS: usize = 256;
/// How long the thread sleeps when nothing is due.
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
    peers: HashMap<usize, Peer>,
    registry: Registry,
    wake_at: Instant,
}

impl Engine {
    /// Starts a media thread, on one core if it is named.
    pub fn start(core: Option<usize>) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let peers = Peers { peers: HashMap::new(), registry: poll.registry().try_clone()?, wake_at: Instant::now() };
        let (jobs, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("bots-media".to_owned()).spawn(move || {
            if let Some(Err(error)) = core.map(affinity::pin_current_thread) {
                tracing::warn!(%error, "cannot pin the media thread");
            }
            run(poll, peers, &inbox);
        })?;
        Ok(Self { shared: Arc::new(Shared { jobs: Some(jobs), waker, next_peer: AtomicUsize::new(0), thread: Some(thread) }) })
    }

    /// Processor time the media thread has used.
    pub async fn cpu_time(&self) -> Result<CpuTime, BotError> {
        let (sender, answer) = oneshot::channel();
        self.post(Box::new(|_, _| {
            let _ = sender.send(CpuTime::of_this_thread().unwrap_or_default());
        }));
        answer.await.map_err(|_| BotError::Closed)
    }

    /// Hands a peer to the thread.
    pub(crate) fn add(&self, mut peer: Peer) -> PeerId {
        let id = self.shared.next_peer.fetch_add(1, Ordering::Relaxed);
        self.post(Box::new(move |peers, now| match peer.register(&peers.registry, Token(id)) {
            Ok(()) => {
                peer.settle(now);
                peers.peers.insert(id, peer);
            }
            Err(error) => tracing::warn!(%error, "cannot watch a socket"),
        }));
        PeerId(id)
    }

    /// Closes a peer's socket and forgets it.
    pub(crate) fn remove(&self, id: PeerId) {
        self.post(Box::new(move |peers, _| {
            if let Some(mut peer) = peers.peers.remove(&id.0) {
                peer.deregister(&peers.registry);
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
            if let Some(peer) = peers.peers.get_mut(&id.0) {
                let result = job(peer, &peers.registry, now);
                peer.settle(now);
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

fn run(mut poll: Poll, mut peers: Peers, inbox: &mpsc::Receiver<Job>) {
    let mut events = Events::with_capacity(EVENTS);
    let mut batch = Batch::new();
    loop {
        let patience = peers.wake_at.saturating_duration_since(Instant::now()).min(IDLE);
        if let Err(error) = poll.poll(&mut events, Some(patience))
            && error.kind() != io::ErrorKind::Interrupted
        {
            tracing::error!(%error, "cannot wait for sockets");
            return;
        }
        let now = Instant::now();
        let mut woken = false;
        for event in &events {
            woken |= event.token() == WAKER;
            if let Some(peer) = peers.peers.get_mut(&event.token().0) {
                peer.handle_readable(&mut batch, now);
                peers.wake_at = peers.wake_at.min(peer.wake_at().unwrap_or(peers.wake_at));
            }
        }
        if woken && !do_jobs(&mut peers, inbox, now) {
            return;
        }
        if woken || peers.wake_at <= now {
            peers.handle_timeouts(Instant::now());
        }
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
    fn handle_timeouts(&mut self, now: Instant) {
        let mut next = now + IDLE;
        for peer in self.peers.values_mut() {
            if peer.wake_at().is_some_and(|at| at <= now) {
                peer.handle_timeout(now);
            }
            next = next.min(peer.wake_at().unwrap_or(next));
        }
        self.wake_at = next;
    }
}
