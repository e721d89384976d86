//! One room: its core and its media rules, put together. The inputs it takes, and the outputs it gives.

mod entitlement;
mod entry;
mod moderate;
mod presence;
mod resume;
pub(crate) mod standing;
mod video;

use std::time::{Duration, Instant};

use parlor_proto::event::LeftReason;
use parlor_proto::{
    Actor, Channel, Entitlement, Error, ErrorCode, Identity, MediaEvent, Moderation, Request, RouterId, SessionId, Timestamp, UserId,
};

use crate::core::{Answer, Asker, Core, invalid_state};
use crate::ending::Departure;
use crate::media::{MediaConfig, MediaRules};
use crate::output::{Join, Output, RequestId, Resume, RoomSize};
use crate::participant::Participant;
use crate::policy::Policy;
use crate::slots::SlotQueue;

/// What a room is made from.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The channel it is the room of.
    pub channel: Channel,
    /// What carries its media.
    pub media: MediaConfig,
    /// The numbers of the rules.
    pub policy: Policy,
    /// The seed of the ids of what is made in it: fresh secret random bytes for every room.
    pub seed: [u8; 32],
}

/// One room. Feed it inputs, and after each drain [`Room::poll_output`].
#[derive(Debug)]
pub struct Room {
    core: Core,
    media: MediaRules,
}

impl Room {
    /// A room with nobody in it. Its first outputs order what its media needs.
    #[must_use]
    pub fn new(config: RoomConfig, now: Instant) -> Self {
        let mut core = Core::new(config.channel, config.policy, config.seed, now);
        let media = MediaRules::open(config.media, &mut core);
        Self { core, media }
    }

    /// Somebody wants to enter. A refused join leaves an empty room closed. `wall` is the time of day, by which entitlements end.
    pub fn handle_join(&mut self, join: Join, wall: Timestamp, now: Instant) {
        self.core.now = now;
        self.join(join, wall, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A client wants to go on with the session its last connection had. In an empty room there is none, and it closes.
    pub fn handle_resume(&mut self, resume: Resume, wall: Timestamp, now: Instant) {
        self.core.now = now;
        self.resume(resume, wall, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session asks for something. It gets exactly one reply, now or later.
    pub fn handle_request(&mut self, session: SessionId, request: RequestId, body: Request, now: Instant) {
        self.core.now = now;
        let asker = Asker { session, request };
        let here = self.core.participants.get(&session).is_some_and(Participant::is_connected);
        let answer = if here { self.dispatch(asker, body, now) } else { Err(Error::new(ErrorCode::NotInChannel)) };
        match answer {
            Ok(Some(reply)) => self.core.reply(asker, Ok(reply)),
            Ok(None) => {}
            Err(error) => self.core.reply(asker, Err(error)),
        }
        self.settle_down();
    }

    /// A session said goodbye, or goes elsewhere.
    pub fn handle_goodbye(&mut self, session: SessionId, now: Instant) {
        self.core.now = now;
        self.remove(session, Departure::Goodbye);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session is out of the room for good, without a word of its own.
    pub fn handle_disconnect(&mut self, session: SessionId, now: Instant) {
        self.core.now = now;
        self.remove(session, Departure::Disconnected);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session's connection is gone, but its client may come back within [`Policy::resume_grace`], counted from when it
    /// was last heard: it has been `silent` for so long.
    pub fn handle_lost(&mut self, session: SessionId, silent: Duration, now: Instant) {
        self.core.now = now;
        self.lose(session, silent, now);
        self.settle_down();
        self.close_if_empty();
    }

    /// A session's connection was closed because its page, or a proxy on the way, goes away: the client is back within
    /// [`Policy::away_grace`], or has left.
    pub fn handle_away(&mut self, session: SessionId, now: Instant) {
        let policy = &self.core.policy;
        self.handle_lost(session, policy.resume_grace.saturating_sub(policy.away_grace), now);
    }

    /// What a user has paid for changed. `until` is when it ends, if it is pro and ends.
    pub fn handle_entitlement(&mut self, user: &UserId, entitlement: Entitlement, until: Option<Instant>, now: Instant) {
        self.core.now = now;
        self.entitlement_changed(user, entitlement, until);
        self.settle_down();
    }

    /// Somebody moderates: a participant, whose wish came out as [`Output::Moderate`] before, or an administrator.
    /// Whoever it concerns need not be here.
    pub fn handle_moderation(&mut self, action: &Moderation, by: &Actor, now: Instant) {
        self.core.now = now;
        self.moderated(action, by);
        self.settle_down();
    }

    /// A user has to go: signed out, or no longer among those who may be here.
    pub fn handle_eviction(&mut self, user: &UserId, reason: LeftReason, now: Instant) {
        self.core.now = now;
        if let Some(session) = self.core.session_of(user) {
            self.remove(session, Departure::PutOut(reason, None));
        }
        self.settle_down();
    }

    /// The user of a session has joined another channel, with another one.
    pub fn handle_moved_device(&mut self, session: SessionId, now: Instant) {
        self.core.now = now;
        self.remove(session, Departure::PutOut(LeftReason::MovedDevice, None));
        self.settle_down();
        self.close_if_empty();
    }

    /// The channel's record changed.
    pub fn handle_channel(&mut self, channel: Channel, now: Instant) {
        self.core.now = now;
        self.channel_changed(channel);
        self.settle_down();
    }

    /// The media plane reports, of this router.
    pub fn handle_media(&mut self, router: RouterId, event: MediaEvent, now: Instant) {
        self.core.now = now;
        if let Err(reason) = self.media.handle_event(&mut self.core, router, event) {
            self.media_lost(reason);
        }
        self.settle_down();
    }

    /// The time of [`Room::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.core.now = now;
        self.media.handle_timeout(&mut self.core, now);
        self.stop_waiting_for_reports(now);
        self.remove_overdue(now);
        self.expire_entitlements(now);
        self.settle_down();
    }

    /// Puts everybody out and finishes the room.
    pub fn shut_down(&mut self, reason: LeftReason, now: Instant) {
        self.core.now = now;
        self.evict(reason, ErrorCode::ShuttingDown);
        self.close_if_empty();
    }

    /// What is to be done next. Drain it after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.core.poll_output()
    }

    /// When [`Room::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let of = |p: &Participant| p.lost.into_iter().chain(p.pro_until).chain(p.connectivity.poll_timeout()).min();
        let people = self.core.participants.values().filter_map(of);
        people.chain(self.media.poll_timeout()).min()
    }

    /// Nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.core.participants.is_empty()
    }

    /// The participants, in the order in which they came, with what they send: what `join` would show.
    #[must_use]
    pub fn participants(&self) -> Vec<parlor_proto::Participant> {
        let mut all: Vec<(SessionId, &Participant)> = self.core.participants.iter().map(|(session, p)| (*session, p)).collect();
        all.sort_by_key(|(_, p)| p.number);
        all.into_iter().map(|(session, p)| p.show(self.media.show(session, p))).collect()
    }

    /// The users who are in it, also those whose connection is lost.
    pub fn users(&self) -> impl Iterator<Item = &UserId> {
        self.core.participants.values().map(|p| &p.identity.user)
    }

    /// The identity of a session; nothing if it is not in the room.
    #[must_use]
    pub fn identity_of(&self, session: SessionId) -> Option<&Identity> {
        self.core.participants.get(&session).map(|p| &p.identity)
    }

    /// The video slots of the room, and who waits for one.
    #[must_use]
    pub const fn slots(&self) -> &SlotQueue {
        &self.core.slots
    }

    /// How many objects the room holds.
    #[must_use]
    pub fn size(&self) -> RoomSize {
        RoomSize { participants: self.core.participants.len(), slots: self.core.slots.len(), ..self.media.size() }
    }

    fn dispatch(&mut self, asker: Asker, body: Request, now: Instant) -> Answer {
        let session = asker.session;
        match body {
            Request::Join { .. } | Request::Resume { .. } => Err(invalid_state("in a channel already")),
            Request::Ping { .. } | Request::GetIceServers => Err(invalid_state("the session answers this, not the room")),
            Request::Leave { channel } => self.leave(asker, channel.as_ref()),
            Request::UpdateState { muted, deafened, speaking } => self.update_state(session, muted, deafened, speaking),
            Request::RequestSlot { source } => self.request_slot(session, source),
            Request::ReleaseSlot { source } => self.release_slot(session, source),
            Request::Moderate { action } => self.moderate(asker, action),
            Request::ReportConnection { .. }
            | Request::MeshOffer { .. }
            | Request::MeshAnswer { .. }
            | Request::MeshIce { .. }
            | Request::GetRouterRtpCapabilities
            | Request::CreateTransport { .. }
            | Request::ConnectTransport { .. }
            | Request::RestartIce { .. }
            | Request::CloseTransport { .. }
            | Request::Produce { .. }
            | Request::PauseProducer { .. }
            | Request::ResumeProducer { .. }
            | Request::CloseProducer { .. }
            | Request::Consume { .. }
            | Request::PauseConsumer { .. }
            | Request::ResumeConsumer { .. }
            | Request::CloseConsumer { .. }
            | Request::SetPreferredLayers { .. }
            | Request::RequestKeyFrame { .. } => self.media.handle_request(&mut self.core, asker, body, now),
        }
    }

    /// Counts the connections of which no client has told in time.
    fn stop_waiting_for_reports(&mut self, now: Instant) {
        let due = |(session, p): (&SessionId, &Participant)| p.connectivity.poll_timeout().is_some_and(|at| at <= now).then_some(*session);
        let due: Vec<SessionId> = self.core.participants.iter().filter_map(due).collect();
        for session in due {
            self.core.note(session, |connectivity| connectivity.handle_timeout(now));
        }
    }

    /// The end of every input: whose turn it is gets a slot, and a room that the last one left closes.
    fn settle_down(&mut self) {
        self.give_slots_on();
        self.tell_slot_news();
        if self.core.started {
            self.close_if_empty();
        }
    }
}
