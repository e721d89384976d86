//! The task that owns one room: it feeds it time, requests and media events, and carries out what it says.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parlor_proto::event::{Event, LeftReason, Reply};
use parlor_proto::{Channel, Error, ErrorCode, MediaCommand, MediaEvent, RouterId, SessionId};
use parlor_rooms::{Output, RequestId, Room, RoomConfig};
use tokio::sync::{mpsc, oneshot};

use super::{Broadcast, Message, Peer, Registry, RoomHandle};
use crate::media::Lease;

/// The longest sleep when the room has no deadline.
const NO_DEADLINE: Duration = Duration::from_secs(3600);

/// A room with what it needs around it.
pub struct RoomTask {
    registry: Arc<Registry>,
    handle: RoomHandle,
    room: Room,
    router: RouterId,
    lease: Lease,
    peers: HashMap<SessionId, Entry>,
    closed: bool,
}

/// A session this room has to answer, or that is in it.
struct Entry {
    peer: Arc<dyn Peer>,
    open: Vec<RequestId>,
    joining: Option<(RequestId, oneshot::Sender<bool>)>,
    inside: bool,
}

impl RoomTask {
    /// A room with nobody in it.
    pub fn new(registry: Arc<Registry>, handle: RoomHandle, channel: Channel, lease: Lease) -> Self {
        let router = RouterId::from_random(rand::random());
        let config = RoomConfig {
            channel,
            router,
            capabilities: Arc::clone(registry.capabilities()),
            policy: registry.policy().clone(),
            sfu_endpoint: registry.sfu_endpoint.clone(),
            seed: rand::random(),
        };
        let room = Room::new(config, Instant::now());
        Self { registry, handle, room, router, lease, peers: HashMap::new(), closed: false }
    }

    /// Runs until the room is empty or the server stops. A panic of the rules ends this room alone.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>) {
        if AssertUnwindSafe(self.serve(&mut inbox)).catch_unwind().await.is_err() {
            tracing::error!("a room panicked; its participants are told to join again");
            self.tell_all_to_rejoin();
        }
        self.registry.forget(&self.handle);
        inbox.close();
        self.lease.command(MediaCommand::CloseRouter { router: self.router }).await;
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
                    let event = event.unwrap_or(MediaEvent::RouterLost { router: self.router });
                    self.room.handle_media(event, Instant::now());
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
            Message::Join { peer, join, outcome } => {
                let entry = self.entry(peer);
                entry.open.push(join.request);
                entry.joining = Some((join.request, outcome));
                self.room.handle_join(*join, now);
            }
            Message::Request { peer, request, body } => {
                let session = peer.id();
                self.entry(peer).open.push(request);
                self.room.handle_request(session, request, body, now);
            }
            Message::Disconnect { session, done } => {
                let was_inside = self.peers.get(&session).is_some_and(|entry| entry.inside);
                self.room.handle_disconnect(session, now);
                let _ = done.send(was_inside);
            }
        }
    }

    fn entry(&mut self, peer: Arc<dyn Peer>) -> &mut Entry {
        self.peers.entry(peer.id()).or_insert_with(|| Entry { peer, open: Vec::new(), joining: None, inside: false })
    }

    /// Carries out everything the room wants done.
    async fn carry_out(&mut self) {
        while let Some(output) = self.room.poll_output() {
            match output {
                Output::Reply { session, request, result } => {
                    if let Some(entry) = self.peers.get_mut(&session) {
                        entry.answer(request, result);
                    }
                }
                Output::Event { to, event } => {
                    let broadcast = Broadcast::new(event);
                    for peer in to.iter().filter_map(|session| self.peers.get(session)) {
                        peer.peer.push(&broadcast);
                    }
                }
                Output::Media(command) => self.lease.command(command).await,
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
    }

    fn tell_all_to_rejoin(&self) {
        let left = Event::Left { channel_id: self.handle.channel().clone(), reason: LeftReason::MediaLost, rejoin: true };
        let broadcast = Broadcast::new(left);
        for entry in self.peers.values().filter(|entry| entry.inside) {
            entry.peer.push(&broadcast);
        }
    }
}

impl Entry {
    fn answer(&mut self, request: RequestId, result: Result<Reply, Error>) {
        self.open.retain(|open| *open != request);
        if let Some((_, outcome)) = self.joining.take_if(|(join, _)| *join == request) {
            // A refused second join of somebody who is in changes nothing.
            self.inside |= result.is_ok();
            let _ = outcome.send(self.inside);
        }
        self.peer.reply(request, result);
    }

    /// The room answers every request, unless it broke: then this does, so that no client waits for ever.
    fn answer_open(&mut self) {
        for request in self.open.drain(..) {
            self.peer.reply(request, Err(Error::new(ErrorCode::NotInChannel)));
        }
        if let Some((_, outcome)) = self.joining.take() {
            let _ = outcome.send(false);
        }
    }
}
