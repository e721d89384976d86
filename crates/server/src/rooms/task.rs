//! The task that owns one room: it gives the room time, requests and media events, and carries out what the room wants done.

mod account;
mod addressee;
mod sessions;

use std::collections::{HashMap, hash_map};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parlor_proto::event::{Event, LeftReason, Reply};
use parlor_proto::{Error, ErrorCode, MediaCommand, MediaEvent, SessionId, Topology, UserId};
use parlor_rooms::{Happening, Ledger, MediaConfig, Output, RequestId, Room, RoomConfig, SfuConfig};
use tokio::sync::mpsc;

use crate::clock;
use crate::media::Placement;
use crate::rooms::handle::RoomHandle;
use crate::rooms::mail::{Answer, Ending, HEARTBEAT, Letter, Mail, Record, ReplyTo};
use crate::rooms::{Broadcast, Registry};
use addressee::{Addressee, Joining};

/// The longest sleep when the room has no deadline.
const NO_DEADLINE: Duration = Duration::from_secs(3600);
/// The reason the host application is given for participants whose room broke.
const BROKEN: &str = "server-error";

/// A room with what it needs around it.
pub struct RoomTask {
    registry: Arc<Registry>,
    handle: RoomHandle,
    room: Room,
    /// The channel's record, as the room has it.
    record: Record,
    placement: Placement,
    /// The way to each session that is in the room, or has an answer to get.
    peers: HashMap<SessionId, Addressee>,
    /// The stays that the host application was told of and that have not ended: it is owed their end even if the room breaks.
    ledger: Ledger,
    /// Letters whose answer waits until the room's effects are carried out.
    waiting: Vec<ReplyTo>,
    closed: bool,
}

impl RoomTask {
    /// Makes the task of an empty room.
    pub fn new(registry: Arc<Registry>, handle: RoomHandle, record: Record, placement: Placement) -> Self {
        let config = RoomConfig {
            channel: record.channel.clone(),
            media: match record.channel.topology {
                Topology::Mesh => MediaConfig::Mesh,
                // Nobody is admitted to a channel that is to choose for itself.
                Topology::Sfu | Topology::Auto => MediaConfig::Sfu(SfuConfig {
                    router: handle.router(),
                    capabilities: Arc::clone(registry.capabilities()),
                    endpoint: registry.sfu_endpoint.clone(),
                }),
            },
            policy: registry.policy().clone(),
            seed: rand::random(),
        };
        let room = Room::new(config, Instant::now());
        let (peers, ledger, waiting) = (HashMap::new(), Ledger::default(), Vec::new());
        Self { registry, handle, room, record, placement, peers, ledger, waiting, closed: false }
    }

    /// Runs until the room is empty or the server stops. A panic in the room's rules ends this room alone.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Letter>) {
        if AssertUnwindSafe(self.serve(&mut inbox)).catch_unwind().await.is_err() {
            tracing::error!("a room panicked; its participants are told to join again");
            self.give_up().await;
        }
        self.registry.forget(&self.handle);
        inbox.close();
        self.placement.command(self.handle.router(), MediaCommand::CloseRouter).await;
        // No more mail comes in. What is still queued gets an answer; joins are retried by their senders.
        while let Some(letter) = inbox.recv().await {
            if let Mail::Request { session, request, .. } = letter.mail
                && let Some(peer) = self.registry.presence.peer(session)
            {
                peer.refuse(request, Error::new(ErrorCode::NotInChannel));
            }
        }
        for entry in self.peers.values_mut() {
            entry.answer_open();
        }
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<Letter>) {
        let stopping = self.registry.stopping.clone();
        let (mut media_lost, mut shut_down) = (false, false);
        self.carry_out().await;
        while !self.closed {
            let wake = self.room.poll_timeout().unwrap_or_else(|| Instant::now() + NO_DEADLINE);
            tokio::select! {
                event = self.placement.event(), if !media_lost => {
                    // A media worker that panics has lost its part of this room, and the rest of the room is of no use without it.
                    media_lost = event.is_none();
                    let (router, event) = event.unwrap_or((self.handle.router(), MediaEvent::RouterLost));
                    self.room.handle_media(router, event, Instant::now());
                }
                letter = inbox.recv() => match letter {
                    Some(letter) => self.take(letter),
                    None => break,
                },
                () = tokio::time::sleep_until(wake.into()) => self.room.handle_timeout(Instant::now()),
                () = stopping.cancelled(), if !shut_down => {
                    shut_down = true;
                    self.room.shut_down(LeftReason::ShuttingDown, Instant::now());
                }
            }
            self.carry_out().await;
            if self.room.is_empty() {
                break;
            }
        }
    }

    fn take(&mut self, Letter { mail, reply_to }: Letter) {
        let now = Instant::now();
        match mail {
            // The join's deadline passed before its turn came, and it was answered: the session may be on its way elsewhere.
            Mail::Join { .. } | Mail::Resume { .. } if reply_to.is_given_up() => {}
            Mail::Join { join, record } => {
                if self.begins(join.session, join.request, &join.identity.user, *record, reply_to, now) {
                    self.room.handle_join(*join, clock::wall(), now);
                }
            }
            Mail::HasStay { user, token } => drop(reply_to.answer(Answer::Yes(self.room.has_stay(&user, token)))),
            Mail::Resume { resume, record } => {
                if self.begins(resume.session, resume.request, &resume.identity.user, *record, reply_to, now) {
                    self.room.handle_resume(*resume, clock::wall(), now);
                }
            }
            Mail::Request { session, request, body } => {
                if let Some(entry) = self.entry(session) {
                    entry.open.push(request);
                    self.room.handle_request(session, request, body, now);
                }
            }
            Mail::Disconnect { session, ending } => {
                let was_inside = self.peers.get(&session).is_some_and(|entry| entry.inside);
                match ending {
                    Ending::Lost => self.room.handle_lost(session, Duration::ZERO, now),
                    Ending::Silent => self.room.handle_lost(session, HEARTBEAT, now),
                    Ending::Away => self.room.handle_away(session, now),
                    Ending::CutOff => self.room.handle_disconnect(session, now),
                    Ending::Goodbye => self.room.handle_goodbye(session, now),
                }
                reply_to.answer(Answer::Yes(was_inside));
            }
            Mail::Moderate { action, by, news, answer } => {
                if news {
                    self.room.handle_moderation(&action, &by, now);
                }
                if let Some((session, request)) = answer {
                    self.answer(session, request, Ok(Reply::Moderated { action: action.action(), user_id: action.user().cloned() }));
                }
                self.waiting.push(reply_to);
            }
            Mail::Refuse { session, request, error } => self.answer(session, request, Err(error)),
            Mail::Facts { user, found } => {
                let found = found.as_deref().map(|found| (&found.channel, &found.facts, found.as_of));
                self.room.handle_facts(&user, found, clock::wall(), now);
                self.waiting.push(reply_to);
            }
            Mail::Channel { record } => {
                if record.made > self.record.made {
                    // The channel of this call was removed, and there is another one of the same id.
                    self.room.shut_down(LeftReason::ChannelDeleted, now);
                }
                self.take_over(*record, now);
                reply_to.answer(Answer::Users(self.room.users().cloned().collect()));
            }
            Mail::MovedDevice { session } => self.room.handle_moved_device(session, now),
            Mail::Banned { seq, ban } => {
                self.room.handle_ban_written(seq, &ban, now);
                self.waiting.push(reply_to);
            }
            Mail::Removed { seq } => {
                if self.record.made < seq {
                    self.room.shut_down(LeftReason::ChannelDeleted, now);
                }
                self.waiting.push(reply_to);
            }
            Mail::ChannelOf { session } => {
                let inside = self.peers.get(&session).is_some_and(|entry| entry.inside);
                reply_to.answer(Answer::Channel(inside.then(|| Box::new(self.record.channel.clone()))));
            }
            Mail::Show => drop(reply_to.answer(Answer::Participants(self.room.participants()))),
        }
    }

    /// Whether a join, or a resumption, can be judged now. If not, the caller gets no answer, and looks everything up again.
    fn begins(&mut self, session: SessionId, request: RequestId, user: &UserId, record: Record, reply_to: ReplyTo, now: Instant) -> bool {
        if !self.is_current(&record, user, now) {
            return false;
        }
        let Some(entry) = self.entry(session) else { return false };
        entry.begin(Joining { request, reply_to });
        true
    }

    fn answer(&mut self, session: SessionId, request: RequestId, result: Result<Reply, Error>) {
        let router = self.handle.router();
        if let Some(joined) = self.peers.get_mut(&session).and_then(|entry| entry.answer(router, request, result)) {
            self.entered(session, joined);
        }
    }

    /// Whether a user can be judged by the records that were looked up: nothing that concerns the user was written
    /// since, and the channel is the one of this room and not another one of the same id. What is newer than the room
    /// knows is the room's from now on.
    fn is_current(&mut self, found: &Record, user: &UserId, now: Instant) -> bool {
        if self.registry.recent.concerns(found.as_of, self.handle.channel(), user) {
            return false;
        }
        if found.made > self.record.made {
            // This is the call of a channel that was removed: those who join wait for the next room.
            self.room.shut_down(LeftReason::ChannelDeleted, now);
        }
        if found.made != self.record.made {
            return false;
        }
        self.take_over(found.clone(), now);
        true
    }

    /// Takes over a channel's record, if it is newer than the one the room has.
    fn take_over(&mut self, record: Record, now: Instant) {
        if record.made == self.record.made && record.as_of > self.record.as_of {
            self.room.handle_channel(record.channel.clone(), now);
            self.record = record;
        }
    }

    /// The entry of a session; `None` if its connection has ended.
    fn entry(&mut self, session: SessionId) -> Option<&mut Addressee> {
        match self.peers.entry(session) {
            hash_map::Entry::Occupied(entry) => Some(entry.into_mut()),
            hash_map::Entry::Vacant(free) => Some(free.insert(Addressee::new(self.registry.presence.peer(session)?))),
        }
    }

    /// Carries out everything the room wants done.
    async fn carry_out(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Reply { session, request, result } => self.answer(session, request, result),
                Output::Event { to, event } => {
                    let broadcast = Broadcast::new(event);
                    for peer in to.iter().filter_map(|session| self.peers.get(session)) {
                        peer.peer.push(self.handle.router(), &broadcast);
                    }
                }
                Output::Media(router, command) => self.placement.command(router, command).await,
                Output::Feed(happening) => self.publish(happening).await,
                Output::Moderate { session, request, by, action } => self.moderate(session, request, by, action),
                Output::Left { session } => {
                    if let Some(entry) = self.peers.get_mut(&session) {
                        entry.inside = false;
                    }
                }
                Output::SentOut { user } => self.registry.sent_out(&user),
                Output::Connection(fact) => self.registry.counters.connection(&fact),
                Output::StayEnded(stay) => {
                    self.registry.counters.stay();
                    account::log_stay(&stay);
                }
                Output::CallEnded(call) => {
                    self.registry.counters.call();
                    account::log_call(&call);
                }
                Output::Closed => self.closed = true,
            }
        }
        // A session that is not in the room and has no open request is no concern of this room any more.
        self.peers.retain(|_, entry| {
            let stays = entry.inside || entry.joining.is_some();
            if !stays {
                entry.answer_open();
            }
            stays
        });
        for waits in self.waiting.drain(..) {
            waits.answer(Answer::Done);
        }
    }

    /// Passes on what happened to the host application, and notes who is in the room.
    async fn publish(&mut self, happening: Happening) {
        if let Err(error) = self.ledger.note(&happening) {
            tracing::error!(error, "what happened in a room does not fit together");
        }
        if let Happening::ParticipantLeft { user, name, .. } = &happening {
            self.left(user, name);
        }
        self.registry.feed.publish(self.handle.channel(), &happening).await;
    }

    /// Gives up a broken room: its participants are told, and the host application gets the ends that are owed to it.
    async fn give_up(&mut self) {
        let (channel_id, reason) = (self.handle.channel().clone(), LeftReason::MediaLost);
        let broadcast = Broadcast::new(Event::Left { channel_id, reason, rejoin: reason.rejoin(), to: None });
        for entry in self.peers.values().filter(|entry| entry.inside) {
            entry.peer.push(self.handle.router(), &broadcast);
        }
        for happening in self.ledger.owed(BROKEN) {
            self.publish(happening).await;
        }
    }
}
