//! What all rules of a room stand on, whatever carries its media: who is in, the video slots, and how to answer and tell.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use parlor_proto::event::{Event, Reply, VideoSlots};
use parlor_proto::transport::{Protocol, TransportFailure, TransportState};
use parlor_proto::{Channel, ConnectionReport, Error, ErrorCode, SessionId, Source, TransportId, UserId};

use crate::connectivity::{ConnectionKey, Connectivity, Tally};
use crate::feed::Happening;
use crate::ids::Ids;
use crate::output::{Output, RequestId};
use crate::participant::Participant;
use crate::policy::Policy;
use crate::slots::{Slot, SlotQueue};

/// The room without its media.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) channel: Channel,
    pub(crate) policy: Policy,
    pub(crate) ids: Ids,
    pub(crate) participants: BTreeMap<SessionId, Participant>,
    pub(crate) slots: SlotQueue,
    /// How often somebody came.
    pub(crate) joins: u64,
    /// Somebody was in it, and the host application knows of it.
    pub(crate) started: bool,
    pub(crate) closed: bool,
    /// The time of the input that is being handled.
    pub(crate) now: Instant,
    /// When the first came.
    pub(crate) began: Option<Instant>,
    /// How the connections of everybody came about.
    pub(crate) connections: Tally,
    outputs: VecDeque<Output>,
}

/// A request that is to be answered, and whose it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asker {
    pub(crate) session: SessionId,
    pub(crate) request: RequestId,
}

/// The answer of a rule: now, or (`None`) given by the rule itself or once somebody else has answered.
pub(crate) type Answer = Result<Option<Reply>, Error>;

/// What is not there, was closed, or is somebody else's: one answer for all, so that it tells nothing.
pub(crate) fn not_found() -> Error {
    Error::new(ErrorCode::NotFound)
}

/// A refusal because of the order of requests; the reason is for the developer of a client.
pub(crate) fn invalid_state(reason: &str) -> Error {
    Error::new(ErrorCode::InvalidState).with("reason", reason)
}

/// The refusal of a request for a mesh, where there is none.
pub(crate) fn not_a_mesh() -> Error {
    invalid_state("in this call media goes by the SFU: make transports")
        .say("This call goes by the server, and this app is made for calls from browser to browser. Use another app, or another channel.")
}

impl Core {
    /// Nobody is in.
    pub(crate) fn new(channel: Channel, policy: Policy, seed: [u8; 32], now: Instant) -> Self {
        Self {
            ids: Ids::new(seed),
            slots: SlotQueue::new(policy.videos(channel.tier)),
            channel,
            policy,
            participants: BTreeMap::new(),
            joins: 0,
            started: false,
            closed: false,
            now,
            began: None,
            connections: Tally::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The participant of a session.
    pub(crate) fn participant(&mut self, session: SessionId) -> Result<&mut Participant, Error> {
        self.participants.get_mut(&session).ok_or_else(|| Error::new(ErrorCode::NotInChannel))
    }

    /// The session of a user who is here, also of one whose connection is lost.
    pub(crate) fn session_of(&self, user: &UserId) -> Option<SessionId> {
        self.participants.iter().find(|(_, p)| p.identity.user == *user).map(|(session, _)| *session)
    }

    /// Every camera and every shared screen takes a slot, from the moment it is asked for: two that ask at
    /// the same time cannot both get the last one.
    pub(crate) fn take_slot(&mut self, session: SessionId, source: Source) -> Result<(), Error> {
        if self.slots.take(Slot { session, source }) {
            return Ok(());
        }
        let VideoSlots { current, max } = self.slots.slots();
        Err(Error::new(ErrorCode::VideoLimitReached).with("current", current).with("max", max))
    }

    /// Answers a request.
    pub(crate) fn reply(&mut self, to: Asker, result: Result<Reply, Error>) {
        self.output(Output::Reply { session: to.session, request: to.request, result });
    }

    /// Tells one session, unless its connection is lost.
    pub(crate) fn tell(&mut self, session: SessionId, event: Event) {
        if self.participants.get(&session).is_some_and(Participant::is_connected) {
            self.output(Output::Event { to: vec![session], event });
        }
    }

    /// Tells everybody but one, and those whose connection is lost.
    pub(crate) fn tell_others(&mut self, session: SessionId, event: Event) {
        let to = self.connected().filter(|other| *other != session).collect();
        self.tell_these(to, event);
    }

    /// Tells everybody but those whose connection is lost.
    pub(crate) fn tell_everybody(&mut self, event: Event) {
        let to = self.connected().collect();
        self.tell_these(to, event);
    }

    /// Tells these, if there are any.
    pub(crate) fn tell_these(&mut self, to: Vec<SessionId>, event: Event) {
        if !to.is_empty() {
            self.output(Output::Event { to, event });
        }
    }

    /// The sessions whose connection is there.
    pub(crate) fn connected(&self) -> impl Iterator<Item = SessionId> {
        self.participants.iter().filter(|(_, p)| p.is_connected()).map(|(session, _)| *session)
    }

    /// Tells the host application.
    pub(crate) fn feed(&mut self, happening: Happening) {
        self.output(Output::Feed(happening));
    }

    /// Notes something of the connections of somebody, and has what follows counted.
    pub(crate) fn note<T>(&mut self, session: SessionId, note: impl FnOnce(&mut Connectivity) -> T) -> Option<T> {
        let connectivity = &mut self.participants.get_mut(&session)?.connectivity;
        let noted = note(connectivity);
        while let Some(fact) = connectivity.poll_fact() {
            self.connections.add(&fact);
            self.outputs.push_back(Output::Connection(fact));
        }
        Some(noted)
    }

    /// Notes what the media plane reports of somebody's transport.
    pub(crate) fn note_transport(
        &mut self,
        owner: Option<SessionId>,
        id: TransportId,
        state: TransportState,
        protocol: Option<Protocol>,
        reason: Option<TransportFailure>,
    ) {
        let now = self.now;
        owner.and_then(|session| self.note(session, |connectivity| connectivity.moved(id, state, protocol, reason, now)));
    }

    /// Notes what a client tells of a connection of its own.
    pub(crate) fn take_report(&mut self, session: SessionId, key: ConnectionKey, report: ConnectionReport) -> Result<(), Error> {
        let now = self.now;
        let noted = self.note(session, |connectivity| connectivity.reported(key, report, now));
        noted.ok_or_else(|| Error::new(ErrorCode::NotInChannel))?
    }

    /// Has the stay of somebody who leaves told, with what became of its connections.
    pub(crate) fn tell_stay(&mut self, session: SessionId, reason: &'static str) {
        let Some(stay) = self.participants.get(&session).map(|participant| participant.stay) else { return };
        let now = self.now;
        if let Some(summary) = self.note(session, |connectivity| connectivity.finish(stay, reason, now)) {
            self.output(Output::StayEnded(Box::new(summary)));
        }
    }

    /// Has something done, after all that was to be done before.
    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// What is to be done next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
