//! The server's thread as others see it: what it is told, and what it counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};

use parlor_proto::Timestamp;
use parlor_turn::Stats;
use tokio::sync::oneshot;

use crate::turn::signed::SignedOut;
use crate::turn::worker::Plan;

/// The most orders that wait for the thread, which takes them within milliseconds.
pub const ORDERS: usize = 1_024;

/// An order to the thread.
#[derive(Debug)]
pub enum Order {
    /// Ends a user's allocations.
    Revoke(String),
    /// Goes on with another plan, and without the allocations of this one.
    Move(Box<Plan>),
    /// Answers with what was done so far.
    Stats(oneshot::Sender<Stats>),
    /// Panics: tests show with it what survives.
    Crash,
}

/// Flags and counters between the thread and its handles.
#[derive(Debug, Default)]
pub struct Shared {
    /// Whether the server stops, so that the thread is to end.
    pub stopping: AtomicBool,
    /// Panics the thread survived.
    pub restarts: AtomicU64,
    /// Datagrams and frames that the network did not take.
    pub unsent: AtomicU64,
}

/// The handle of a running TURN server.
#[derive(Clone, Debug)]
pub struct TurnHandle {
    pub(in crate::turn) orders: SyncSender<Order>,
    pub(in crate::turn) waker: Arc<mio::Waker>,
    pub(in crate::turn) shared: Arc<Shared>,
    pub(in crate::turn) listening: Arc<[(parlor_turn::Protocol, SocketAddr)]>,
    pub(in crate::turn) signed_out: Arc<SignedOut>,
}

impl TurnHandle {
    /// The addresses at which clients reach the server, as they are bound.
    #[must_use]
    pub fn listening(&self) -> &[(parlor_turn::Protocol, SocketAddr)] {
        &self.listening
    }

    /// The addresses at which clients reach the server over UDP, and over TCP as well.
    pub fn udp(&self) -> impl Iterator<Item = SocketAddr> {
        self.listening.iter().filter(|(protocol, _)| *protocol == parlor_turn::Protocol::Udp).map(|(_, address)| *address)
    }

    /// Ends all allocations of a user.
    pub fn revoke(&self, user: &str) {
        self.order(Order::Revoke(user.to_owned()));
    }

    /// Ends all allocations of a user, and refuses what they were given before a moment. Once for each such moment: what they get
    /// afterwards is theirs.
    pub fn sign_out(&self, user: &str, before: Timestamp) {
        if self.signed_out.note(user, before) {
            self.revoke(user);
        }
    }

    /// What was done so far; `None` while the thread restarts or has ended.
    pub async fn stats(&self) -> Option<Stats> {
        let (answer, stats) = oneshot::channel();
        self.order(Order::Stats(answer));
        stats.await.ok()
    }

    /// Makes the thread panic.
    pub fn crash(&self) {
        self.order(Order::Crash);
    }

    /// How many panics the thread survived.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.shared.restarts.load(Ordering::Relaxed)
    }

    pub(in crate::turn) fn order(&self, order: Order) {
        // A thread that is gone has no allocations, and one that takes no orders is about to be.
        if let Err(mpsc::TrySendError::Full(order)) = self.orders.try_send(order) {
            tracing::warn!(?order, "the TURN server does not keep up with its orders");
        }
        let _ = self.waker.wake();
    }
}
