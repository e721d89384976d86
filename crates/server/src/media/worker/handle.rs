//! A worker as other threads see it: its commands, its reports and its counters.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, PoisonError, RwLock};

use parlor_proto::media::Origin;
use parlor_proto::{MediaCommand, MediaEvent, ProducerId, RouterId};
use parlor_sfu::{LocalCandidate, SfuStats};
use tokio::sync::{mpsc, oneshot};

use crate::media::net::addresses::Binding;
use crate::media::net::sockets;

/// The token of a worker's waker: above every socket's.
pub const WAKER: mio::Token = mio::Token(usize::MAX);
/// A report of a worker to a room, with the router it is about.
pub type Report = (RouterId, MediaEvent);

/// A command to a worker.
#[derive(Debug)]
pub enum Command {
    /// Sends the events of this router to this mailbox. A closed mailbox tells the room that its router is lost.
    Open(RouterId, mpsc::Sender<Report>),
    /// Carries out an order of a room's rules for a router.
    Media(RouterId, MediaCommand),
    /// Mirrors a producer of the worker with this number.
    Mirror(RouterId, ProducerId, Box<Origin>, u16),
    /// Hands a producer's packets to the worker with this number as well.
    Pipe(RouterId, ProducerId, u16),
    /// Tells clients these addresses from now on.
    Tell(Vec<LocalCandidate>),
    /// Answers with the counters.
    Stats(oneshot::Sender<SfuStats>),
    /// Panics: tests prove with it that the server, and calls on other workers, survive.
    Crash,
}

/// The handle of one media thread.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    pub(in crate::media) commands: mpsc::Sender<Command>,
    pub(in crate::media) waker: Arc<mio::Waker>,
    pub(in crate::media) counters: Arc<Counters>,
    pub(in crate::media) phase: Arc<Phase>,
    /// Rooms whose senders are on this worker.
    pub(in crate::media) rooms: Arc<AtomicUsize>,
    /// Receive transports on this worker.
    pub(in crate::media) receivers: Arc<AtomicUsize>,
    pub(in crate::media) addresses: Arc<Addresses>,
}

/// Where a worker is reached.
#[derive(Debug)]
pub struct Addresses {
    /// Each bound address, with those under which clients know it.
    told: RwLock<Vec<(SocketAddr, Vec<SocketAddr>)>>,
}

impl Addresses {
    /// The addresses of a start.
    pub fn new(told: Vec<(SocketAddr, Vec<SocketAddr>)>) -> Self {
        Self { told: RwLock::new(told) }
    }

    fn pairs(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let told = self.told.read().unwrap_or_else(PoisonError::into_inner);
        told.iter().flat_map(|(bound, told)| told.iter().map(|told| (*told, *bound))).collect()
    }

    /// Takes what is told from now on; a bound address without anything new keeps what it had.
    fn change(&self, bindings: &[Binding]) {
        for (bound, told) in self.told.write().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            if let Some(binding) = bindings.iter().find(|binding| binding.bind == bound.ip()) {
                *told = binding.announced.iter().map(|ip| SocketAddr::new(*ip, bound.port())).collect();
            }
        }
    }
}

/// Flags between a worker and its handles. They do not go through the command queue, because a command may have to wait.
#[derive(Debug, Default)]
pub struct Phase {
    /// Whether the server stops, so that the thread is to end.
    pub stopping: AtomicBool,
    /// Whether the worker panicked and pauses before it starts again.
    pub resting: AtomicBool,
}

/// Counters of a worker, beside those of its `Sfu`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Panics the worker survived.
    pub restarts: AtomicU64,
    /// Datagrams that were dropped because they are longer than any of WebRTC.
    pub oversized: AtomicU64,
    /// Messages the network took, each of one datagram or of several into which the kernel cut it.
    pub messages: AtomicU64,
    /// Datagrams and frames the network did not take.
    pub unsent: AtomicU64,
    /// Times the kernel refused to cut up a message of many datagrams, which were then sent one by one.
    pub refused: AtomicU64,
    /// Reports that were lost because a room was too slow to take them.
    pub lost_events: AtomicU64,
    /// TCP connections that are open.
    pub connections: AtomicUsize,
}

impl WorkerHandle {
    /// The addresses clients are told, TCP and UDP alike.
    pub fn announced(&self) -> Vec<SocketAddr> {
        self.bound().into_iter().map(|(told, _)| told).collect()
    }

    /// The addresses clients are told, each with the one it is bound to.
    pub fn bound(&self) -> Vec<(SocketAddr, SocketAddr)> {
        self.addresses.pairs()
    }

    /// Has clients told these addresses from now on.
    pub(in crate::media) async fn tell(&self, bindings: &[Binding]) {
        self.addresses.change(bindings);
        self.send(Command::Tell(sockets::candidates(self.announced().iter()))).await;
    }

    /// The worker's own counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters of the worker's `Sfu`; `None` while the worker restarts.
    pub async fn stats(&self) -> Option<SfuStats> {
        let (answer, stats) = oneshot::channel();
        self.send(Command::Stats(answer)).await;
        stats.await.ok()
    }

    /// Makes the worker panic.
    pub async fn crash(&self) {
        self.send(Command::Crash).await;
    }

    /// Puts an order into the worker's queue, and waits for a place in it.
    pub(in crate::media) async fn send(&self, command: Command) {
        // Sending fails only when the server stops.
        let _ = self.commands.send(command).await;
        let _ = self.waker.wake();
    }
}
