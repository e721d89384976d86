//! The rooms there are: one task for each, found by channel, made on the first join and gone with the last leave.

mod admission;
mod backlog;
mod board;
mod changes;
pub mod control;
mod join;
mod people;
mod recent;
mod task;
#[cfg(test)]
mod tests;
mod turns;

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use parlor_proto::event::{Event, Reply, RtcConfig};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{
    Actor, Channel, ChannelId, Error, ErrorCode, Identity, Moderation, Participant, Request, ResumeToken, SessionId, Timestamp, UserId,
};
use parlor_rooms::{Join, JoinLimiter, Policy, RequestId, Resume};
use parlor_store::{Found, Store};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::config::Config;
use crate::feed::FeedHandle;
use crate::media::Pool;

#[allow(unused_imports, reason = "what the parts of the REST interface name")]
pub use board::{CallParticipant, CallState, Stage};
pub use join::{JoinWish, ResumeWish};
pub use people::SessionInfo;

/// Inputs that wait for a room. Each session has at most a handful outstanding; who sends more waits.
const MAILBOX: usize = 256;
/// Rooms at the same time. Each has a task, and a router on a media thread.
const MAX_ROOMS: usize = 10_000;

/// A connection as rooms see it, whatever dialect it speaks. Nothing here waits.
pub trait Peer: Send + Sync + 'static {
    /// Which session it is.
    fn id(&self) -> SessionId;
    /// Answers a request. A request that was answered already, or never made, changes nothing.
    fn reply(&self, request: RequestId, result: Result<Reply, Error>);
    /// Tells something it did not ask for.
    fn push(&self, broadcast: &Broadcast);
    /// Says goodbye and closes the connection.
    fn close(&self);
}

/// An event for several sessions, encoded once for each dialect among them.
#[derive(Debug)]
pub struct Broadcast {
    event: Event,
    /// What dialects made of it, each of a type of its own.
    encoded: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Broadcast {
    /// Wraps an event.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self { event, encoded: Mutex::new(Vec::new()) }
    }

    /// The event as a dialect sends it; `encode` makes it the first time. The type is the dialect's own.
    pub fn encoded<T: Clone + Send + 'static>(&self, encode: impl FnOnce(&Event) -> T) -> T {
        let mut all = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = all.iter().find_map(|made| made.downcast_ref::<T>()) {
            return made.clone();
        }
        let made = encode(&self.event);
        all.push(Box::new(made.clone()));
        made
    }
}

/// For how long a connection is asked for a sign of life until it counts as broken.
pub const HEARTBEAT: Duration = Duration::from_secs(8);

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Ending {
    /// It broke. The client may come back and go on.
    #[default]
    Lost,
    /// Nothing was heard of it for [`HEARTBEAT`]; otherwise the same.
    Silent,
    /// It was closed as a page that goes away closes it, and a proxy that does: the client comes back at once, or not.
    Away,
    /// We would not have any more of it.
    CutOff,
    /// The client said goodbye.
    Goodbye,
}

/// What a room's task is told.
enum Message {
    /// Somebody wants to enter; `outcome` says whether they are in. It is dropped when the room closes first, and when
    /// what was looked up for them does not hold any more: then it is to be looked up again.
    Join { peer: Arc<dyn Peer>, join: Box<Join>, record: Box<Record>, outcome: oneshot::Sender<bool> },
    /// Asks whether there is something to go on with for this user and token.
    HasStay { user: UserId, token: ResumeToken, answer: oneshot::Sender<bool> },
    /// Somebody wants to go on where their last connection broke.
    Resume { peer: Arc<dyn Peer>, resume: Box<Resume>, record: Box<Record>, outcome: oneshot::Sender<bool> },
    /// A session asks for something.
    Request { peer: Arc<dyn Peer>, request: RequestId, body: Request },
    /// A session is gone; `done` says whether it was in the room.
    Disconnect { session: SessionId, ending: Ending, done: oneshot::Sender<bool> },
    /// Somebody moderates, and what is to be kept of it is kept; it is no `news` if all was so already. `answer` is whose
    /// request that was.
    Moderate { action: Moderation, by: Actor, news: bool, answer: Option<(SessionId, RequestId)>, done: oneshot::Sender<()> },
    /// A moderator's wish that failed.
    Refuse { session: SessionId, request: RequestId, error: Error },
    /// What the store has of a user and the channel now; nothing if there is no such channel any more.
    Facts { user: UserId, found: Option<Box<Found>>, done: oneshot::Sender<()> },
    /// The channel's record changed; asks for who is here.
    Channel { record: Box<Record>, present: oneshot::Sender<Vec<UserId>> },
    /// A ban was written with this number, and may have been lifted since: who was let in before is put out.
    Banned { seq: i64, ban: Moderation, done: oneshot::Sender<()> },
    /// The channel was removed with the write of this number: puts everybody out, unless it was made anew since.
    Removed { seq: i64, done: oneshot::Sender<()> },
    /// The user of a session has joined another channel, with another one.
    MovedDevice { session: SessionId },
    /// Asks who is here, as they show themselves.
    Show { shown: oneshot::Sender<Vec<Participant>> },
}

/// A channel as it was found.
#[derive(Clone, Debug)]
pub struct Record {
    channel: Channel,
    /// Which one of this id.
    made: i64,
    /// The last write that is in it.
    as_of: i64,
}

/// The way to a room's task.
#[derive(Clone, Debug)]
pub struct RoomHandle {
    channel: ChannelId,
    generation: u64,
    mailbox: mpsc::Sender<Message>,
}

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
    generation: AtomicU64,
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
            generation: AtomicU64::new(0),
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
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let room = RoomHandle { channel: record.channel.id.clone(), generation, mailbox };
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
        if rooms.get(&room.channel).is_some_and(|current| current.generation == room.generation) {
            rooms.remove(&room.channel);
        }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<ChannelId, RoomHandle>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> MutexGuard<'_, JoinLimiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RoomHandle {
    /// The channel this is the room of.
    pub const fn channel(&self) -> &ChannelId {
        &self.channel
    }

    /// Passes a request on; false if the room is gone.
    pub async fn request(&self, peer: Arc<dyn Peer>, request: RequestId, body: Request) -> bool {
        self.mailbox.send(Message::Request { peer, request, body }).await.is_ok()
    }

    /// Takes a session out and waits until it is; says whether it was in. One that is only lost may be resumed.
    pub async fn disconnect(&self, session: SessionId, ending: Ending) -> bool {
        self.ask(|done| Message::Disconnect { session, ending, done }).await.unwrap_or(false)
    }

    /// Sends a message that needs no answer.
    async fn send(&self, message: Message) {
        let _ = self.mailbox.send(message).await;
    }

    /// Sends a message and waits for its answer; none comes if the room is gone.
    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (sender, answer) = oneshot::channel();
        self.mailbox.send(message(sender)).await.ok()?;
        answer.await.ok()
    }
}
