//! One room: the inputs it takes, the outputs it gives, and what all its rules share.

mod entitlement;
mod entry;
mod moderate;
mod presence;
mod resume;
mod standing;
mod video;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::event::{Event, LeftReason, Reply};
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{
    Actor, Channel, ConsumerId, Entitlement, Error, ErrorCode, Identity, MediaCommand, MediaEvent, Moderation, ProducerId, Request,
    RouterId, SessionId, Timestamp, TransportId, UserId,
};

use crate::ending::Departure;
use crate::feed::Happening;
use crate::ids::Ids;
use crate::output::{Join, Output, RequestId, Resume};
use crate::participant::{Participant, invalid_state};
use crate::permission;
use crate::policy::Policy;
use crate::sfu::pending::{Operation, Pending};
use crate::slots::SlotQueue;

pub use standing::Standing;

/// What a room is made from.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The channel it is the room of.
    pub channel: Channel,
    /// The id its router gets.
    pub router: RouterId,
    /// What the media plane can forward.
    pub capabilities: Arc<RtpCapabilities>,
    /// The numbers of the rules.
    pub policy: Policy,
    /// The opaque name of the SFU, told to clients.
    pub sfu_endpoint: String,
    /// The seed of the ids of transports, producers and consumers: fresh secret random bytes for every room.
    pub seed: [u8; 32],
}

/// One room. Feed it inputs, and after each drain [`Room::poll_output`].
#[derive(Debug)]
pub struct Room {
    pub(crate) config: RoomConfig,
    pub(crate) ids: Ids,
    pub(crate) participants: BTreeMap<SessionId, Participant>,
    pub(crate) owners: Owners,
    pub(crate) pending: Pending,
    pub(crate) slots: SlotQueue,
    pub(crate) joins: u64,
    /// Somebody was in it, and the host application knows of it.
    pub(crate) started: bool,
    pub(crate) speakers_shown: bool,
    pub(crate) closed: bool,
    outputs: VecDeque<Output>,
}

/// The owner of each object: the way from a report of the media plane to the participant that holds the object.
/// Requests never go this way.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    pub(crate) transports: HashMap<TransportId, SessionId>,
    pub(crate) producers: HashMap<ProducerId, SessionId>,
    pub(crate) consumers: HashMap<ConsumerId, SessionId>,
}

/// How many objects a room holds; all zero when nobody is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RoomSize {
    /// Participants.
    pub participants: usize,
    /// Transports, those being made among them.
    pub transports: usize,
    /// Producers, those being made among them.
    pub producers: usize,
    /// Consumers, those being made among them.
    pub consumers: usize,
    /// Requests that wait for the media plane.
    pub pending: usize,
    /// Video slots held, and those who wait for one.
    pub slots: usize,
}

/// The answer of a rule: now, or (`None`) given by the rule itself or once the media plane has answered.
pub(crate) type Answer = Result<Option<Reply>, Error>;

impl Room {
    /// A room with nobody in it. Its first output makes the router.
    #[must_use]
    pub fn new(config: RoomConfig, _now: Instant) -> Self {
        let outputs = VecDeque::from([Output::Media(config.router, MediaCommand::CreateRouter)]);
        Self {
            ids: Ids::new(config.seed),
            slots: SlotQueue::new(config.policy.videos(config.channel.tier)),
            config,
            participants: BTreeMap::new(),
            owners: Owners::default(),
            pending: Pending::default(),
            joins: 0,
            started: false,
            speakers_shown: false,
            closed: false,
            outputs,
        }
    }

    /// Somebody wants to enter. A refused join leaves an empty room closed. `wall` is the time of day, by which entitlements end.
    pub fn handle_join(&mut self, join: Join, wall: Timestamp, now: Instant) {
        self.join(join, wall, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A client wants to go on with the session its last connection had. In an empty room there is none, and it closes.
    pub fn handle_resume(&mut self, resume: Resume, wall: Timestamp, now: Instant) {
        self.resume(resume, wall, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session asks for something. It gets exactly one reply, now or later.
    pub fn handle_request(&mut self, session: SessionId, request: RequestId, body: Request, now: Instant) {
        let answer = if self.participants.get(&session).is_some_and(|p| p.lost.is_none()) {
            self.dispatch(session, request, body, now)
        } else {
            Err(Error::new(ErrorCode::NotInChannel))
        };
        match answer {
            Ok(Some(reply)) => self.reply(session, request, Ok(reply)),
            Ok(None) => {}
            Err(error) => self.reply(session, request, Err(error)),
        }
        self.settle_down();
    }

    /// A session said goodbye, or goes elsewhere.
    pub fn handle_goodbye(&mut self, session: SessionId, _now: Instant) {
        self.remove(session, Departure::Goodbye);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session is out of the room for good, without a word of its own.
    pub fn handle_disconnect(&mut self, session: SessionId, _now: Instant) {
        self.remove(session, Departure::Disconnected);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session's connection is gone, but its client may come back within [`Policy::resume_grace`], counted from when it
    /// was last heard: it has been `silent` for so long.
    pub fn handle_lost(&mut self, session: SessionId, silent: Duration, now: Instant) {
        self.lose(session, silent, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session's connection was closed because its page, or a proxy on the way, goes away: the client is back within
    /// [`Policy::away_grace`], or has left.
    pub fn handle_away(&mut self, session: SessionId, now: Instant) {
        let policy = &self.config.policy;
        self.handle_lost(session, policy.resume_grace.saturating_sub(policy.away_grace), now);
    }

    /// What a user has paid for changed. `until` is when it ends, if it is pro and ends.
    pub fn handle_entitlement(&mut self, user: &UserId, entitlement: Entitlement, until: Option<Instant>, _now: Instant) {
        self.entitlement_changed(user, entitlement, until);
        self.settle_down();
    }

    /// Somebody moderates: a participant, whose wish came out as [`Output::Moderate`] before, or an administrator.
    /// Whoever it concerns need not be here.
    pub fn handle_moderation(&mut self, action: &Moderation, by: &Actor, _now: Instant) {
        self.moderated(action, by);
        self.settle_down();
    }

    /// A user has to go: signed out, or no longer among those who may be here.
    pub fn handle_eviction(&mut self, user: &UserId, reason: LeftReason, _now: Instant) {
        if let Some(session) = self.session_of(user) {
            self.remove(session, Departure::PutOut(reason, None));
        }
        self.settle_down();
    }

    /// The user of a session has joined another channel, with another one.
    pub fn handle_moved_device(&mut self, session: SessionId, _now: Instant) {
        self.remove(session, Departure::PutOut(LeftReason::MovedDevice, None));
        self.settle_down();
        self.close_if_empty();
    }

    /// The channel's record changed.
    pub fn handle_channel(&mut self, channel: Channel, _now: Instant) {
        self.channel_changed(channel);
        self.settle_down();
    }

    /// The media plane reports. What it says of another router, or of objects that were closed meanwhile, is ignored: the
    /// order to close follows the order to make, so nothing stays behind.
    pub fn handle_media(&mut self, router: RouterId, event: MediaEvent, _now: Instant) {
        if router != self.config.router {
            return;
        }
        match event {
            MediaEvent::TransportCreated { transport, ice, candidates, dtls } => self.transport_created(transport, ice, candidates, dtls),
            MediaEvent::TransportConnected { transport } => self.transport_connected(transport),
            MediaEvent::TransportFailed { transport, error } => self.transport_failed(transport, &error),
            MediaEvent::IceRestarted { transport, ice } => self.ice_restarted(transport, ice),
            MediaEvent::TransportState { transport, state, reason } => self.transport_state(transport, state, reason),
            MediaEvent::Produced { producer } => self.produced(producer),
            MediaEvent::ProduceFailed { producer, error } => self.produce_failed(producer, error),
            MediaEvent::Consumed { consumer, rtp, stream_type } => self.consumed(consumer, rtp, stream_type),
            MediaEvent::ConsumeFailed { consumer, error } => self.consume_failed(consumer, error),
            MediaEvent::LayersChanged { consumer, layers } => self.layers_changed(consumer, layers),
            MediaEvent::Speakers { levels } => self.speakers(&levels),
            MediaEvent::RouterLost => self.router_lost(),
        }
        self.settle_down();
    }

    /// The time of [`Room::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(operation) = self.pending.expired(now) {
            let error = operation.timed_out();
            match operation {
                Operation::CreateTransport(transport) | Operation::ConnectTransport(transport) => self.transport_failed(transport, &error),
                Operation::RestartIce(_) => self.settle(operation, Err(error)),
                Operation::Produce(producer) => self.give_up_producer(producer, error),
                Operation::Consume(consumer) => self.give_up_consumer(consumer, error),
            }
            // Whatever the rules above did, an expired deadline must not come back.
            self.pending.end(operation);
        }
        self.remove_overdue(now);
        self.expire_entitlements(now);
        self.settle_down();
    }

    /// Puts everybody out and finishes the room.
    pub fn shut_down(&mut self, reason: LeftReason, _now: Instant) {
        self.evict(reason, ErrorCode::ShuttingDown);
        self.close_if_empty();
    }

    /// What is to be done next. Drain it after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Room::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let people = self.participants.values().flat_map(|p| p.lost.into_iter().chain(p.pro_until));
        people.chain(self.pending.next_deadline()).min()
    }

    /// Nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }

    /// The participants, in the order in which they came, with what they send: what `join` would show.
    #[must_use]
    pub fn participants(&self) -> Vec<parlor_proto::Participant> {
        let mut all: Vec<&Participant> = self.participants.values().collect();
        all.sort_by_key(|p| p.number);
        all.into_iter().map(Participant::show).collect()
    }

    /// The users who are in it, also those whose connection is lost.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.participants.values().map(|p| &p.identity.user)
    }

    /// The identity of a session; nothing if it is not in the room.
    #[must_use]
    pub fn identity_of(&self, session: SessionId) -> Option<&Identity> {
        self.participants.get(&session).map(|p| &p.identity)
    }

    /// The video slots of the room, and who waits for one.
    #[must_use]
    pub const fn slots(&self) -> &SlotQueue {
        &self.slots
    }

    /// How many objects the room holds.
    #[must_use]
    pub fn size(&self) -> RoomSize {
        RoomSize {
            participants: self.participants.len(),
            transports: self.owners.transports.len(),
            producers: self.owners.producers.len(),
            consumers: self.owners.consumers.len(),
            pending: self.pending.len(),
            slots: self.slots.len(),
        }
    }

    fn dispatch(&mut self, session: SessionId, request: RequestId, body: Request, now: Instant) -> Answer {
        match body {
            Request::Join { .. } | Request::Resume { .. } => Err(invalid_state("in a channel already")),
            Request::Leave { channel } => self.leave(session, request, channel.as_ref()),
            Request::GetRouterRtpCapabilities => {
                let permissions = self.participant(session)?.permissions;
                Ok(Some(Reply::RouterRtpCapabilities {
                    rtp_capabilities: permission::capabilities(&self.config.capabilities, permissions),
                }))
            }
            Request::CreateTransport { direction } => self.create_transport(session, request, direction, now),
            Request::ConnectTransport { transport, dtls } => self.connect_transport(session, request, transport, dtls, now),
            Request::RestartIce { transport } => self.restart_ice(session, request, transport, now),
            Request::CloseTransport { transport } => self.close_own_transport(session, transport),
            Request::Produce { transport, kind, source, rtp, paused } => {
                self.produce(session, request, crate::sfu::producers::Wanted { transport, kind, source, rtp, paused }, now)
            }
            Request::PauseProducer { producer } => self.set_producer_paused(session, producer, true),
            Request::ResumeProducer { producer } => self.set_producer_paused(session, producer, false),
            Request::CloseProducer { producer } => self.close_producer(session, producer),
            Request::Consume { producer, transport, capabilities, paused } => {
                self.consume(session, request, crate::sfu::consumers::Wanted { producer, transport, capabilities, paused }, now)
            }
            Request::PauseConsumer { consumer } => self.set_consumer_paused(session, consumer, true),
            Request::ResumeConsumer { consumer } => self.set_consumer_paused(session, consumer, false),
            Request::CloseConsumer { consumer } => self.close_consumer(session, consumer),
            Request::SetPreferredLayers { consumer, layers } => self.set_preferred_layers(session, consumer, layers),
            Request::RequestKeyFrame { consumer } => self.request_key_frame(session, consumer),
            Request::UpdateState { muted, deafened, speaking } => self.update_state(session, muted, deafened, speaking),
            Request::RequestSlot { source } => self.request_slot(session, source),
            Request::ReleaseSlot { source } => self.release_slot(session, source),
            Request::Moderate { action } => self.moderate(session, request, action),
        }
    }

    /// The participant of a session: the only place where a request's ids are looked up.
    pub(crate) fn participant(&mut self, session: SessionId) -> Result<&mut Participant, Error> {
        self.participants.get_mut(&session).ok_or_else(|| Error::new(ErrorCode::NotInChannel))
    }

    pub(crate) fn reply(&mut self, session: SessionId, request: RequestId, result: Result<Reply, Error>) {
        self.outputs.push_back(Output::Reply { session, request, result });
    }

    /// Answers the request that waits for an operation, if one does.
    pub(crate) fn settle(&mut self, operation: Operation, result: Result<Reply, Error>) {
        if let Some(waiting) = self.pending.end(operation) {
            self.reply(waiting.session, waiting.request, result);
        }
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn media(&mut self, command: MediaCommand) {
        self.outputs.push_back(Output::Media(self.config.router, command));
    }

    pub(crate) fn feed(&mut self, happening: Happening) {
        self.outputs.push_back(Output::Feed(happening));
    }

    /// Tells one session, unless its connection is lost.
    pub(crate) fn tell(&mut self, session: SessionId, event: Event) {
        if self.participants.get(&session).is_some_and(|p| p.lost.is_none()) {
            self.outputs.push_back(Output::Event { to: vec![session], event });
        }
    }

    /// Tells everybody but one, and those whose connection is lost.
    pub(crate) fn tell_others(&mut self, session: SessionId, event: Event) {
        let others = self.participants.iter().filter(|(other, p)| **other != session && p.lost.is_none());
        let to: Vec<SessionId> = others.map(|(other, _)| *other).collect();
        if !to.is_empty() {
            self.outputs.push_back(Output::Event { to, event });
        }
    }

    /// The session of a user who is here, also of one whose connection is lost.
    pub(crate) fn session_of(&self, user: &UserId) -> Option<SessionId> {
        self.participants.iter().find(|(_, p)| p.identity.user == *user).map(|(session, _)| *session)
    }

    /// The end of every input: whose turn it is gets a slot, and a room that the last one left closes.
    fn settle_down(&mut self) {
        self.give_slots_on();
        self.tell_slot_news();
        if self.started {
            self.close_if_empty();
        }
    }
}
