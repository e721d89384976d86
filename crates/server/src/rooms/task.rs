//! The task that owns one room: it feeds it time, requests and media events, and carries out what it says.

mod agree;
mod entry;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parlor_proto::event::{Event, LeftReason, Reply};
use parlor_proto::{Actor, Error, ErrorCode, MediaCommand, MediaEvent, RouterId, SessionId, UserId};
use parlor_rooms::{Happening, Ledger, Output, Room, RoomConfig};
use tokio::sync::{mpsc, oneshot};

use self::entry::{Entry, Inside, Joining};
use super::{Broadcast, Ending, HEARTBEAT, Message, Peer, Record, Registry, RoomHandle};
use crate::media::Lease;

/// The longest sleep when the room has no deadline.
const NO_DEADLINE: Duration = Duration::from_secs(3600);
/// What the host application is told of participants whose room broke.
const BROKEN: &str = "server-error";

/// A room with what it needs around it.
pub struct RoomTask {
    registry: Arc<Registry>,
    handle: RoomHandle,
    room: Room,
    /// Its channel, as the room has it.
    record: Record,
    router: RouterId,
    lease: Lease,
    peers: HashMap<SessionId, Entry>,
    /// Who is in the room, also with a lost connection: by which token, and as what.
    inside: HashMap<UserId, Inside>,
    ledger: Ledger,
    /// Who waits until what they brought is carried out.
    waiting: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl RoomTask {
    /// A room with nobody in it.
    pub fn new(registry: Arc<Registry>, handle: RoomHandle, record: Record, lease: Lease) -> Self {
        let router = RouterId::from_random(rand::random());
        let config = RoomConfig {
            channel: record.channel.clone(),
            router,
            capabilities: Arc::clone(registry.capabilities()),
            policy: registry.policy().clone(),
            sfu_endpoint: registry.sfu_endpoint.clone(),
            seed: rand::random(),
        };
        let room = Room::new(config, Instant::now());
        let (peers, inside, ledger, waiting) = (HashMap::new(), HashMap::new(), Ledger::default(), Vec::new());
        Self { registry, handle, room, record, router, lease, peers, inside, ledger, waiting, closed: false }
    }

    /// Runs until the room is empty or the server stops. A panic of the rules ends this room alone.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        if AssertUnwindSafe(self.serve(&mut inbox)).catch_unwind().await.is_err() {
            tracing::error!("a room panicked; its participants are told to join again");
            self.give_up().await;
        }
        self.registry.forget(&self.handle);
        inbox.close();
        self.lease.command(self.router, MediaCommand::CloseRouter).await;
        // Nothing comes in any more. What is still there gets an answer; joins are retried by their senders.
        while let Some(message) = inbox.recv().await {
            if let Message::Request { peer, request, .. } = message {
                peer.reply(request, Err(Error::new(ErrorCode::NotInChannel)));
            }
        }
        for entry in self.peers.values_mut() {
            entry.answer_open();
        }
    }

    async fn serve(&mut self, inbox: &mut mpsc::Receiver<Message>) {
        let stopping = self.registry.stopping.clone();
        let (mut media_lost, mut shut_down) = (false, false);
        self.carry_out().await;
        while !self.closed {
            let wake = self.room.poll_timeout().unwrap_or_else(|| Instant::now() + NO_DEADLINE);
            tokio::select! {
                event = self.lease.event(), if !media_lost => {
                    // A worker that panics lost what it had of this room; without it the rest is of no use.
                    media_lost = event.is_none();
                    let (router, event) = event.unwrap_or((self.router, MediaEvent::RouterLost));
                    self.room.handle_media(router, event, Instant::now());
                }
                message = inbox.recv() => match message {
                    Some(message) => self.take(message),
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

    fn take(&mut self, message: Message) {
        let now = Instant::now();
        match message {
            // Its time was up before its turn came, and it was answered: now it may be on another way.
            Message::Join { outcome, .. } | Message::Resume { outcome, .. } if outcome.is_closed() => {}
            Message::Join { join, record, .. } if !self.is_current(&record, &join.identity.user, now) => {}
            Message::Resume { resume, record, .. } if !self.is_current(&record, &resume.identity.user, now) => {}
            Message::Join { peer, join, record, outcome } => {
                let (request, identity, as_of) = (join.request, join.identity.clone(), record.as_of);
                let joining = Joining { request, identity, admitted: join.admitted, as_of, outcome };
                self.entry(peer).begin(joining);
                self.room.handle_join(*join, now);
            }
            Message::HasStay { user, token, answer } => drop(answer.send(self.room.has_stay(&user, token))),
            Message::Resume { peer, resume, record, outcome } => {
                let (request, identity, as_of) = (resume.request, resume.identity.clone(), record.as_of);
                let joining = Joining { request, identity, admitted: resume.admitted, as_of, outcome };
                self.entry(peer).begin(joining);
                self.room.handle_resume(*resume, now);
            }
            Message::Request { peer, request, body } => {
                let session = peer.id();
                self.entry(peer).open.push(request);
                self.room.handle_request(session, request, body, now);
            }
            Message::Disconnect { session, ending, done } => {
                let was_inside = self.peers.get(&session).is_some_and(|entry| entry.inside);
                match ending {
                    Ending::Lost => self.room.handle_lost(session, Duration::ZERO, now),
                    Ending::Silent => self.room.handle_lost(session, HEARTBEAT, now),
                    Ending::Away => self.room.handle_away(session, now),
                    Ending::CutOff => self.room.handle_disconnect(session, now),
                    Ending::Goodbye => self.room.handle_goodbye(session, now),
                }
                let _ = done.send(was_inside);
            }
            Message::Moderate { action, by, news, answer, done } => {
                if news {
                    self.room.handle_moderation(&action, &by, now);
                }
                if let Some((entry, request)) = answer.and_then(|(session, request)| Some((self.peers.get_mut(&session)?, request))) {
                    entry.answer(request, Ok(Reply::Moderated { action: action.action(), user_id: action.user().cloned() }));
                }
                self.waiting.push(done);
            }
            Message::Refuse { session, request, error } => {
                if let Some(entry) = self.peers.get_mut(&session) {
                    entry.answer(request, Err(error));
                }
            }
            Message::Facts { user, found, done } => {
                self.agree(&user, found.map(|found| *found), now);
                self.waiting.push(done);
            }
            Message::Channel { record, present } => {
                self.take_over(*record, now);
                let _ = present.send(self.inside.keys().cloned().collect());
            }
            Message::MovedDevice { session } => self.room.handle_moved_device(session, now),
            Message::Banned { seq, ban, done } => {
                let before = |user: &UserId| self.inside.get(user).is_some_and(|inside| inside.as_of < seq);
                if ban.user().is_some_and(before) {
                    self.room.handle_moderation(&ban, &Actor::Server, now);
                }
                self.waiting.push(done);
            }
            Message::Removed { seq, done } => {
                if self.record.made < seq {
                    self.room.shut_down(LeftReason::ChannelDeleted, now);
                }
                self.waiting.push(done);
            }
            Message::Show { shown } => drop(shown.send(self.room.participants())),
        }
    }

    /// Whether somebody can be judged by what was looked up for them: nothing that concerns them was written since, and it
    /// was this channel and not another one of the same id. What is newer than the room knows it is the room's from now on.
    fn is_current(&mut self, found: &Record, user: &UserId, now: Instant) -> bool {
        if self.registry.recent.concerns(found.as_of, self.handle.channel(), user) {
            return false;
        }
        if found.made > self.record.made {
            // This is the call of a channel that was removed: they wait for the next room.
            self.room.shut_down(LeftReason::ChannelDeleted, now);
        }
        if found.made != self.record.made {
            return false;
        }
        self.take_over(found.clone(), now);
        true
    }

    /// Takes over a channel's record, if it is newer than the one there is.
    fn take_over(&mut self, record: Record, now: Instant) {
        if record.made == self.record.made && record.as_of > self.record.as_of {
            self.room.handle_channel(record.channel.clone(), now);
            self.record = record;
        }
    }

    fn entry(&mut self, peer: Arc<dyn Peer>) -> &mut Entry {
        self.peers.entry(peer.id()).or_insert_with(|| Entry::new(peer))
    }

    /// Carries out everything the room wants done.
    async fn carry_out(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Reply { session, request, result } => {
                    if let Some(entry) = self.peers.get_mut(&session)
                        && let Some(joined) = entry.answer(request, result)
                    {
                        self.entered(session, joined);
                    }
                }
                Output::Event { to, event } => {
                    let broadcast = Broadcast::new(event);
                    for peer in to.iter().filter_map(|session| self.peers.get(session)) {
                        peer.peer.push(&broadcast);
                    }
                }
                Output::Media(router, command) => self.lease.command(router, command).await,
                Output::Feed(happening) => self.publish(happening).await,
                Output::Moderate { session, request, by, action } => self.moderate(session, request, by, action),
                Output::Left { session } => {
                    if let Some(entry) = self.peers.get_mut(&session) {
                        entry.inside = false;
                    }
                }
                Output::Closed => self.closed = true,
            }
        }
        // Whoever is out and has no question open is no concern of this room any more.
        self.peers.retain(|_, entry| {
            let stays = entry.inside || entry.joining.is_some();
            if !stays {
                entry.answer_open();
            }
            stays
        });
        for done in self.waiting.drain(..) {
            let _ = done.send(());
        }
    }

    /// Passes on what happened, and notes who is in the room.
    async fn publish(&mut self, happening: Happening) {
        if let Err(error) = self.ledger.note(&happening) {
            tracing::error!(error, "what happened in a room does not fit together");
        }
        if let Happening::ParticipantLeft { user, .. } = &happening {
            self.left(user);
        }
        self.registry.feed.publish(self.handle.channel(), &happening).await;
    }

    /// The room is lost: those who were in it are told, and the host application gets the ends that are owed to it.
    async fn give_up(&mut self) {
        let (channel_id, reason) = (self.handle.channel().clone(), LeftReason::MediaLost);
        let broadcast = Broadcast::new(Event::Left { channel_id, reason, rejoin: reason.rejoin(), to: None });
        for entry in self.peers.values().filter(|entry| entry.inside) {
            entry.peer.push(&broadcast);
        }
        for happening in self.ledger.owed(BROKEN) {
            self.publish(happening).await;
        }
    }
}
