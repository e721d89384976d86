//! A worker, seen from other threads: what it is told, and what it lets them know.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

use parlor_proto::media::Origin;
use parlor_proto::{MediaCommand, MediaEvent, ProducerId, RouterId};
use parlor_sfu::SfuStats;
use tokio::sync::{mpsc, oneshot};

/// The token of a worker's waker: above every socket's.
pub const WAKER: mio::Token = mio::Token(usize::MAX);
/// What a worker tells a room, and of which router.
pub type Report = (RouterId, MediaEvent);

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Events of this router go to this mailbox. A closed mailbox tells the room that its router is lost.
    Open(RouterId, mpsc::Sender<Report>),
    /// An order of the rules for a router.
    Media(RouterId, MediaCommand),
    /// Mirror a producer of the worker with this number.
    Mirror(RouterId, ProducerId, Box<Origin>, u16),
    /// Hand a producer's packets to the worker with this number as well.
    Pipe(RouterId, ProducerId, u16),
    /// Answer with the counters.
    Stats(oneshot::Sender<SfuStats>),
    /// Panic: tests prove with it that calls on other workers, and the server, survive.
    Crash,
}

/// One media thread, seen from outside.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    pub(in crate::media) commands: mpsc::Sender<Command>,
    pub(in crate::media) waker: Arc<mio::Waker>,
    pub(in crate::media) counters: Arc<Counters>,
    pub(in crate::media) phase: Arc<Phase>,
    /// Rooms whose senders it has.
    pub(in crate::media) rooms: Arc<AtomicUsize>,
    /// Receive transports it has.
    pub(in crate::media) receivers: Arc<AtomicUsize>,
    pub(in crate::media) announced: Arc<[SocketAddr]>,
}

/// What a worker and its handles tell each other beside commands, which may have to wait.
#[derive(Debug, Default)]
pub struct Phase {
    /// The server stops: the thread is to end.
    pub stopping: AtomicBool,
    /// The worker panicked and pauses before it starts again.
    pub resting: AtomicBool,
}

/// What a worker counts itself, beside its `Sfu`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Panics survived.
    pub restarts: AtomicU64,
    /// Datagrams longer than any of WebRTC, dropped.
    pub oversized: AtomicU64,
    /// Messages the network took, each of one datagram or of several that the kernel cut up.
    pub messages: AtomicU64,
    /// Datagrams and frames the network did not take.
    pub unsent: AtomicU64,
    /// Times the kernel refused to cut up a message of many datagrams, which were then sent one by one.
    pub refused: AtomicU64,
    /// Reports a room was too slow to take.
    pub lost_events: AtomicU64,
    /// TCP connections.
    pub connections: AtomicUsize,
}

impl WorkerHandle {
    /// The addresses clients are told, TCP and UDP alike.
    pub fn announced(&self) -> &[SocketAddr] {
        &self.announced
    }

    /// Its own counters.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The counters of its `Sfu`; nothing while it restarts.
    pub async fn stats(&self) -> Option<SfuStats> {
        let (answer, stats) = oneshot::channel();
        self.send(Command::Stats(answer)).await;
        stats.await.ok()
    }

    /// Makes it panic.
    pub async fn crash(&self) {
        self.send(Command::Crash).await;
    }

    /// Puts an order into the worker's queue, and waits for a place in it.
    pub(in crate::media) async fn send(&self, command: Command) {
        // Fails only when the server stops.
        let _ = self.commands.send(command).await;
        let _ = self.waker.wake();
    }
}
