//! The registry of running rooms: one task for each, found by channel, made on the first join and gone with the last leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{ChannelId, Error, Identity, SessionId, Timestamp, UserId};
use parlor_rooms::{JoinLimiter, Policy};
use parlor_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock;
use crate::config::Config;
use crate::counters::Counters;
use crate::feed::FeedHandle;
use crate::ice::Ice;
use crate::media::Pool;
use crate::rooms::channel_locks::ChannelLocks;
use crate::rooms::directory::history::History;
use crate::rooms::directory::presence::Presence;
use crate::rooms::directory::watched::Watched;
use crate::rooms::follow_store::backlog::Backlog;
use crate::rooms::follow_store::recent::Recent;
use crate::rooms::handle::RoomHandle;
use crate::rooms::peer::Peer;
use crate::turn::TurnHandle;

/// How many connections that are for one channel each a user may open for each join they may make: a page opens one to show how far
/// a call is, and another to join.
const WATCHES_FOR_A_JOIN: u32 = 3;

/// What every room shares.
#[derive(Debug)]
pub struct Registry {
    pub(super) rooms: Mutex<HashMap<ChannelId, RoomHandle>>,
    /// Development mode: every channel id exists, because a join makes the channel if it is missing.
    pub(super) open: bool,
    /// How many channels joins have made.
    pub(super) made: AtomicUsize,
    pub(super) store: Store,
    /// How long a line of the audit log is kept, and how many lines at the most.
    pub(super) audit_kept: (Duration, u64),
    pub(super) feed: FeedHandle,
    pub(super) presence: Presence,
    pub(super) history: History,
    pub(super) watched: Watched,
    /// The turns in each channel: moderators, and the task that brings the store's changes to the room, act one after
    /// the other. No room waits.
    pub(super) locks: ChannelLocks,
    /// The last change of the store that was read here. Rooms may not have applied it yet: a user on the way into a
    /// room must learn of it before nobody looks for that user any more.
    pub(super) noticed: AtomicI64,
    pub(super) changed: Notify,
    /// The changes that were read lately.
    pub(super) recent: Recent,
    /// Changes that rooms have not applied yet.
    pub(super) backlog: Backlog,
    pub(super) limiter: Mutex<JoinLimiter>,
    /// How often users open connections that are for one channel each: each is a question to the store.
    pub(super) watches: Mutex<JoinLimiter>,
    pub(super) pool: Arc<Pool>,
    pub(super) capabilities: Arc<RtpCapabilities>,
    pub(super) policy: Policy,
    pub(super) ice: Ice,
    pub(super) sfu_endpoint: String,
    /// What is counted of media connections.
    pub(super) counters: Counters,
    /// The embedded TURN server, if there is one.
    turn: Option<TurnHandle>,
    pub(super) stopping: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Registry {
    /// A registry without rooms. In development mode every channel id exists.
    pub fn new(config: &Config, dev: bool, pool: Arc<Pool>, store: Store, feed: FeedHandle, ice: Ice) -> Self {
        let policy = config.limits.policy(config.ice.policy());
        Self {
            rooms: Mutex::default(),
            open: dev,
            made: AtomicUsize::new(0),
            store,
            audit_kept: config.store.audit_kept(),
            feed,
            presence: Presence::default(),
            history: History::default(),
            watched: Watched::default(),
            locks: ChannelLocks::default(),
            noticed: AtomicI64::new(0),
            changed: Notify::new(),
            recent: Recent::default(),
            backlog: Backlog::default(),
            limiter: Mutex::new(JoinLimiter::new(&policy)),
            watches: Mutex::new(JoinLimiter::new(&Policy {
                joins_per_minute: policy.joins_per_minute.saturating_mul(WATCHES_FOR_A_JOIN),
                ..policy.clone()
            })),
            pool,
            capabilities: Arc::new(parlor_sfu::ortc::router_capabilities()),
            policy,
            ice,
            // The name is opaque to clients; it tells apart the nodes of a cluster.
            sfu_endpoint: format!("sfu-{:08x}", rand::random::<u32>()),
            counters: Counters::new(config.node.region(), clock::wall()),
            turn: None,
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Has this TURN server end the relays of whoever is sent out of a call.
    #[must_use]
    pub fn with_turn(self, turn: Option<TurnHandle>) -> Self {
        Self { turn, ..self }
    }

    /// Takes back what a user was given for a call they were sent out of.
    pub(super) fn sent_out(&self, user: &UserId) {
        if let Some(turn) = &self.turn {
            turn.revoke(user.as_str());
        }
    }

    /// Takes back what a user was given before a moment, in a call or not.
    pub(super) fn signed_out(&self, user: &UserId, before: Timestamp) {
        if let Some(turn) = &self.turn {
            turn.sign_out(user.as_str(), before);
        }
    }

    /// Counts a connection that a user opens to one channel. Refuses it if they open too many.
    pub fn check_watch(&self, user: &UserId) -> Result<(), Error> {
        let checked = self.watches.lock().unwrap_or_else(PoisonError::into_inner).check_join(user, Instant::now());
        checked.map_err(|error| error.say("You opened too many connections. Wait a moment and try again."))
    }

    /// Whether every channel is there as soon as somebody joins it, as in development mode.
    pub const fn makes_channels(&self) -> bool {
        self.open
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms().len()
    }

    /// The policy's numbers.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The STUN and TURN servers of clients.
    pub const fn ice(&self) -> &Ice {
        &self.ice
    }

    /// What is counted of media connections.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What the media plane can forward.
    pub const fn capabilities(&self) -> &Arc<RtpCapabilities> {
        &self.capabilities
    }

    /// Notes that a connection began. Refuses it if the user has too many.
    pub fn connected(&self, identity: &Identity, peer: Arc<dyn Peer>, now: Timestamp) -> Result<(), Error> {
        self.presence.connected(&identity.user, identity.issued_at, peer, now)
    }

    /// Notes that a connection ended and is in no room any more.
    pub fn disconnected(&self, user: &UserId, session: SessionId) {
        self.presence.disconnected(user, session);
    }

    /// Puts everybody out, tells them that the server stops, and waits for the rooms to end.
    pub async fn shut_down(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The room of a channel, if one runs.
    pub(super) fn running(&self, channel: &ChannelId) -> Option<RoomHandle> {
        self.rooms().get(channel).cloned()
    }

    /// Forgets a room that ends, unless another room has its place already.
    pub(super) fn forget(&self, room: &RoomHandle) {
        let mut rooms = self.rooms();
        if rooms.get(room.channel()).is_some_and(|current| current.router() == room.router()) {
            rooms.remove(room.channel());
        }
        drop(rooms);
        self.call_changed(room.channel());
    }

    pub(super) fn rooms(&self) -> MutexGuard<'_, HashMap<ChannelId, RoomHandle>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limiter(&self) -> MutexGuard<'_, JoinLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
