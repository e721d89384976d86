//! The rooms there are: one task for each, found by channel, made on the first join and gone with the last leave.

mod task;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use parlor_proto::event::{Event, Reply, RtcConfig};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Channel, ChannelId, Error, ErrorCode, Request, SessionId, Tier, UserId, codec};
use parlor_rooms::{Join, JoinLimiter, Policy, RequestId};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{ChannelConfig, Config};
use crate::media::Pool;

/// Inputs that wait for a room. Each session has at most a handful outstanding; who sends more waits.
const MAILBOX: usize = 256;
/// Rooms of the development mode, where every name is a channel.
const MAX_DEV_CHANNELS: usize = 10_000;
/// How often a join may meet a room that is just closing before it is given up.
const JOIN_TRIES: usize = 5;

/// A connection as rooms see it, whatever dialect it speaks. Nothing here waits.
pub trait Peer: Send + Sync + 'static {
    /// Which session it is.
    fn id(&self) -> SessionId;
    /// Answers a request. A request that was answered already, or never made, changes nothing.
    fn reply(&self, request: RequestId, result: Result<Reply, Error>);
    /// Tells something it did not ask for.
    fn push(&self, broadcast: &Broadcast);
}

/// An event for several sessions, encoded once for each dialect among them.
#[derive(Debug)]
pub struct Broadcast {
    event: Event,
    socketio: OnceLock<engineioxide::Str>,
}

impl Broadcast {
    /// Wraps an event.
    #[must_use]
    pub const fn new(event: Event) -> Self {
        Self { event, socketio: OnceLock::new() }
    }

    /// The event as a socket.io packet; `encode` makes it the first time.
    pub fn socketio(&self, encode: impl FnOnce(&str, &Event) -> String) -> engineioxide::Str {
        self.socketio.get_or_init(|| encode(codec::socketio::event_name(&self.event), &self.event).into()).clone()
    }
}

/// What a room's task is told.
enum Message {
    /// Somebody wants to enter; `outcome` says whether they are in. It is dropped when the room closes first.
    Join { peer: Arc<dyn Peer>, join: Box<Join>, outcome: oneshot::Sender<bool> },
    /// A session asks for something.
    Request { peer: Arc<dyn Peer>, request: RequestId, body: Request },
    /// A session is gone; `done` says whether it was in the room.
    Disconnect { session: SessionId, done: oneshot::Sender<bool> },
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
    channels: HashMap<ChannelId, ChannelConfig>,
    open: bool,
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

/// A channel and who may not enter it.
struct Found {
    channel: Channel,
    banned: bool,
}

impl Registry {
    /// No rooms yet. In development mode every channel id exists.
    pub fn new(config: &Config, dev: bool, pool: Arc<Pool>) -> Self {
        let policy = config.limits.policy();
        Self {
            rooms: Mutex::default(),
            channels: config.channels.iter().map(|c| (c.id.clone(), c.clone())).collect(),
            open: dev,
            generation: AtomicU64::new(0),
            limiter: Mutex::new(JoinLimiter::new(&policy)),
            pool,
            capabilities: Arc::new(parlor_sfu::ortc::router_capabilities()),
            policy,
            rtc_config: config.ice.rtc_config(),
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

    /// Checks whether a user may try to join a channel now: it exists, and it is not too often.
    pub fn admit(&self, channel: &ChannelId, user: &UserId) -> Result<Admission, Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        let Found { channel, banned } = self.find(channel, user)?;
        self.limiter().check_join(user, Instant::now())?;
        Ok(Admission { channel, banned })
    }

    /// Joins the room of an admitted channel, making it if need be. The reply to the request goes to the peer;
    /// the answer here is the room if the session is in it now.
    pub async fn join(self: &Arc<Self>, peer: Arc<dyn Peer>, admission: &Admission, wish: JoinWish) -> Option<RoomHandle> {
        for _ in 0..JOIN_TRIES {
            let room = match self.room(&admission.channel) {
                Ok(room) => room,
                Err(error) => {
                    peer.reply(wish.request, Err(error));
                    return None;
                }
            };
            let join = Box::new(Join {
                session: peer.id(),
                request: wish.request,
                identity: wish.identity.clone(),
                banned: admission.banned,
                rtc_config: self.rtc_config.clone(),
                capabilities: wish.capabilities.clone(),
            });
            let (outcome, inside) = oneshot::channel();
            if room.mailbox.send(Message::Join { peer: Arc::clone(&peer), join, outcome }).await.is_err() {
                continue;
            }
            match inside.await {
                Ok(true) => return Some(room),
                Ok(false) => return None,
                // The room closed under us, with its last participant: the next one is fresh.
                Err(_) => tokio::task::yield_now().await,
            }
        }
        let code = if self.stopping.is_cancelled() { ErrorCode::ShuttingDown } else { ErrorCode::ServerError };
        peer.reply(wish.request, Err(Error::new(code)));
        None
    }

    /// Notes that a connection broke while its user was in a channel.
    pub fn left_uncleanly(&self, user: &UserId) {
        self.limiter().left_uncleanly(user, Instant::now());
    }

    /// Puts everybody out, telling them that the server stops, and waits for the rooms to end.
    pub async fn shut_down(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn find(&self, id: &ChannelId, user: &UserId) -> Result<Found, Error> {
        if let Some(known) = self.channels.get(id) {
            return Ok(Found { channel: known.channel(), banned: known.banned.contains(user) });
        }
        if !self.open {
            return Err(Error::new(ErrorCode::ChannelNotFound));
        }
        // A channel made by its first join is a pro one: development is for trying everything.
        let channel = Channel { id: id.clone(), name: id.as_str().to_owned(), tier: Tier::Pro, max_participants: None };
        Ok(Found { channel, banned: false })
    }

    /// The room of a channel. Looked up and made under one lock, so there is never a second one.
    fn room(self: &Arc<Self>, channel: &Channel) -> Result<RoomHandle, Error> {
        let mut rooms = self.rooms();
        if let Some(room) = rooms.get(&channel.id) {
            return Ok(room.clone());
        }
        if self.stopping.is_cancelled() || self.tasks.is_closed() {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        if rooms.len() >= MAX_DEV_CHANNELS.max(self.channels.len()) {
            return Err(Error::new(ErrorCode::LimitExceeded).say("This server has as many channels as it may have."));
        }
        let lease = self.pool.lease().ok_or_else(|| Error::new(ErrorCode::ServerError))?;
        let (mailbox, inbox) = mpsc::channel(MAILBOX);
        let generation = self.generation.fetch_add(1, Ordering::Relaxed);
        let room = RoomHandle { channel: channel.id.clone(), generation, mailbox };
        rooms.insert(channel.id.clone(), room.clone());
        let task = task::RoomTask::new(Arc::clone(self), room.clone(), channel.clone(), lease);
        self.tasks.spawn(task.run(inbox));
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

/// A join that passed the checks that need no room.
#[derive(Debug)]
pub struct Admission {
    channel: Channel,
    banned: bool,
}

impl Admission {
    /// Which channel.
    pub const fn channel(&self) -> &ChannelId {
        &self.channel.id
    }
}

/// What a session brings along to a join.
#[derive(Clone, Debug)]
pub struct JoinWish {
    /// Its request.
    pub request: RequestId,
    /// Who it is.
    pub identity: parlor_proto::Identity,
    /// What it can decode.
    pub capabilities: Option<Arc<RtpCapabilities>>,
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

    /// Takes a session out and waits until it is; says whether it was in.
    pub async fn disconnect(&self, session: SessionId) -> bool {
        let (done, was_inside) = oneshot::channel();
        self.mailbox.send(Message::Disconnect { session, done }).await.is_ok() && was_inside.await.unwrap_or(false)
    }
}
