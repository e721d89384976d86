//! The rooms there are: one task for each, found by channel, made on the first join and gone with the last leave.

mod admission;
mod backlog;
mod board;
mod changes;
pub mod control;
mod handle;
mod join;
mod mail;
mod peer;
mod people;
mod recent;
mod task;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_proto::event::RtcConfig;
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{ChannelId, Error, ErrorCode, Identity, RouterId, SessionId, Timestamp, UserId};
use parlor_rooms::{JoinLimiter, Policy};
use parlor_store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::config::Config;
use crate::feed::FeedHandle;
use crate::media::Pool;

#[allow(unused_imports, reason = "what the parts of the REST interface name")]
pub use board::{CallParticipant, CallState, Stage};
pub use handle::RoomHandle;
pub use join::{JoinWish, ResumeWish};
use mail::Record;
pub use mail::{Ending, HEARTBEAT};
pub use peer::{Broadcast, Peer};
pub use people::SessionInfo;

/// Rooms at the same time. Each has a task, and a router on a media thread.
const MAX_ROOMS: usize = 10_000;

/// What every room shares.
#[derive(Debug)]
pub struct Registry {
    rooms: Mutex<HashMap<ChannelId, RoomHandle>>,
    /// Every channel id exists: a join makes what is not there.
    open: bool,
    /// How often that was done.
    made: AtomicUsize,
    store: Store,
    /// How long a line of the audit log is kept, and how many at the most.
    audit_kept: (Duration, u64),
    feed: FeedHandle,
    people: people::People,
    board: board::Board,
    /// In each channel, moderators and whoever brings to its room what the store has act one after the other. No room waits.
    turns: turns::Turns,
    /// The last change of the store that was read here. Rooms may not have felt it yet: who is on the way into one must
    /// learn that there is something to look at before nobody looks for them any more.
    noticed: AtomicI64,
    changed: Notify,
    /// What changed lately.
    recent: recent::Recent,
    /// Changes that rooms have not felt yet.
    backlog: backlog::Backlog,
    limiter: Mutex<JoinLimiter>,
    pool: Arc<Pool>,
    capabilities: Arc<RtpCapabilities>,
    policy: Policy,
    rtc_config: RtcConfig,
    sfu_endpoint: String,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl Registry {
    /// No rooms yet. In development mode every channel id exists.
    pub fn new(config: &Config, dev: bool, pool: Arc<Pool>, store: Store, feed: FeedHandle) -> Self {
        let policy = config.limits.policy();
        Self {
            rooms: Mutex::default(),
            open: dev,
            made: AtomicUsize::new(0),
            store,
            audit_kept: config.store.audit_kept(),
            feed,
            people: people::People::default(),
            board: board::Board::default(),
            turns: turns::Turns::default(),
            noticed: AtomicI64::new(0),
            changed: Notify::new(),
            recent: recent::Recent::default(),
            backlog: backlog::Backlog::default(),
            limiter: Mutex::new(JoinLimiter::new(&policy)),
            pool,
            capabilities: Arc::new(parlor_sfu::ortc::router_capabilities()),
            policy,
            rtc_config: config.ice.rtc_config(),
            // Opaque to clients; it tells apart the nodes of a cluster.
            sfu_endpoint: format!("sfu-{:08x}", rand::random::<u32>()),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.rooms().len()
    }

    /// The policy's numbers.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the media plane can forward.
    pub const fn capabilities(&self) -> &Arc<RtpCapabilities> {
        &self.capabilities
    }

    /// A connection begins. Refused if the user has too many.
    pub fn connected(&self, identity: &Identity, peer: Arc<dyn Peer>, now: Timestamp) -> Result<(), Error> {
        self.people.connected(&identity.user, identity.issued_at, peer, now)
    }

    /// It ended, and is in no room any more.
    pub fn disconnected(&self, user: &UserId, session: SessionId) {
        self.people.disconnected(user, session);
    }

    /// Puts everybody out, telling them that the server stops, and waits for the rooms to end.
    pub async fn shut_down(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// The room of a channel, if one runs.
    fn running(&self, channel: &ChannelId) -> Option<RoomHandle> {
        self.rooms().get(channel).cloned()
    }

    /// The room of a channel. Looked up and made under one lock, so there is never a second one.
    fn room(self: &Arc<Self>, record: &Record) -> Result<RoomHandle, Error> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(&record.channel.id) {
            return Ok(room.clone());
        }
        if self.stopping.is_cancelled() || self.tasks.is_closed() {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        if rooms.len() >= MAX_ROOMS {
            return Err(Error::new(ErrorCode::LimitExceeded).say("There are as many calls on this server as there may be."));
        }
        let lease = self.pool.lease().ok_or_else(|| Error::new(ErrorCode::ServerError))?;
        let (room, inbox) = RoomHandle::local(record.channel.id.clone(), RouterId::from_random(rand::random()));
        rooms.insert(record.channel.id.clone(), room.clone());
        let task = task::RoomTask::new(Arc::clone(self), room.clone(), record.clone(), lease);
        // Every line of the log that is written for the room says which it is; at every level.
        let span = tracing::error_span!("room", channel = %room.channel());
        self.tasks.spawn(task.run(inbox).instrument(span));
        Ok(room)
    }

    /// Forgets a room that ends, unless another has its place already.
    fn forget(&self, room: &RoomHandle) {
        let mut rooms = self.rooms();
        if rooms.get(room.channel()).is_some_and(|current| current.router() == room.router()) {
            rooms.remove(room.channel());
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<ChannelId, RoomHandle>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> MutexGuard<'_, JoinLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
