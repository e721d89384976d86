//! A participant and everything that is theirs.
//!
//! Transports, producers and consumers live inside their owner. A request is looked up in the participant of
//! its own session and nowhere else, so somebody else's id is not found, exactly like one that never was.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{AppData, Participant as Shown, ParticipantState, ProducerInfo};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::Direction;
use parlor_proto::{
    ConsumerId, Error, ErrorCode, Identity, MediaKind, Permissions, ProducerId, ResumeToken, Role, SessionId, Source, TransportId, UserId,
};

use crate::access::Admitted;
use crate::feed::Happening;

/// Somebody in the room.
#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) identity: Identity,
    /// The session that joined: it names the stay, also when another took it up.
    pub(crate) stay: SessionId,
    /// Shows that somebody is the client of this stay.
    pub(crate) token: ResumeToken,
    pub(crate) role: Role,
    /// Came as a moderator: so the others see them.
    pub(crate) moderator: bool,
    /// Whether the participant may moderate now.
    pub(crate) moderates: bool,
    /// The last write to the store that is in what is known of them here.
    pub(crate) as_of: i64,
    /// When the entitlement ends.
    pub(crate) pro_until: Option<Instant>,
    /// The connection is lost; at this time they are taken out.
    pub(crate) lost: Option<Instant>,
    /// Video slots that were given to others while it was.
    pub(crate) given_on: Vec<Source>,
    /// Counts the joins of the room: who came first is listed first.
    pub(crate) number: u64,
    pub(crate) permissions: Permissions,
    pub(crate) capabilities: Option<Arc<RtpCapabilities>>,
    pub(crate) state: ParticipantState,
    pub(crate) send: Option<Transport>,
    pub(crate) recv: Option<Transport>,
    /// At most one of each source and kind.
    pub(crate) producers: Vec<Producer>,
    pub(crate) consumers: Consumers,
}

/// The stage that a transport's set-up has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// The media plane makes it; the client does not know its id.
    Creating,
    /// There, without the client's DTLS parameters.
    Created,
    /// The DTLS parameters were given; that is done once.
    Connected,
}

#[derive(Debug)]
pub(crate) struct Transport {
    pub(crate) id: TransportId,
    pub(crate) stage: Stage,
}

#[derive(Debug)]
pub(crate) struct Producer {
    pub(crate) id: ProducerId,
    pub(crate) kind: MediaKind,
    pub(crate) source: Source,
    /// What its owner said they send.
    pub(crate) rtp: Arc<RtpParameters>,
    /// Paused by its owner. What is sent depends on the owner's mute as well.
    pub(crate) paused: bool,
    /// The media plane has made it: it is announced and can be consumed.
    pub(crate) live: bool,
}

#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) producer: ProducerId,
    pub(crate) kind: MediaKind,
    /// Paused by its owner. What is sent depends on the owner's deafness as well.
    pub(crate) paused: bool,
    /// The media plane has made it: the client knows its id.
    pub(crate) live: bool,
}

impl Producer {
    /// A muted microphone is silent, and so is all that moderators silenced, whatever the client sends and
    /// whatever its own pause says.
    pub(crate) fn silent(&self, state: ParticipantState) -> bool {
        let muted = match self.source {
            Source::Mic => state.muted,
            Source::Camera => state.server_muted.video,
            Source::Screen => state.server_muted.screen,
        };
        self.paused || muted || (self.kind == MediaKind::Audio && state.server_muted.audio)
    }

    /// What the host application is told when it ends.
    pub(crate) fn stopped(&self, user: &UserId, reason: &'static str) -> Happening {
        Happening::ProducerStopped { user: user.clone(), producer: self.id, kind: self.kind, source: self.source, reason }
    }
}

impl Consumer {
    /// Whether the consumer is sent nothing: it is paused, or it is sound and its owner is deafened.
    pub(crate) fn silent(&self, state: ParticipantState) -> bool {
        self.paused || (self.kind == MediaKind::Audio && (state.deafened || state.server_deafened))
    }
}

/// The consumers of one participant, found by their id or by what they consume.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    by_id: BTreeMap<ConsumerId, Consumer>,
    by_producer: BTreeMap<ProducerId, ConsumerId>,
}

impl Consumers {
    pub(crate) fn insert(&mut self, id: ConsumerId, consumer: Consumer) {
        self.by_producer.insert(consumer.producer, id);
        self.by_id.insert(id, consumer);
    }

    pub(crate) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        let consumer = self.by_id.remove(&id)?;
        self.by_producer.remove(&consumer.producer);
        Some(consumer)
    }

    pub(crate) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn of(&self, producer: ProducerId) -> Option<ConsumerId> {
        self.by_producer.get(&producer).copied()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_id.iter().map(|(id, consumer)| (*id, consumer))
    }

    pub(crate) fn ids(&self) -> Vec<ConsumerId> {
        self.by_id.keys().copied().collect()
    }
}

/// What is not there, was closed, or is somebody else's: one answer for all, so that it tells nothing.
pub(crate) fn not_found() -> Error {
    Error::new(ErrorCode::NotFound)
}

/// A refusal because of the order of requests; the reason is for the developer of a client.
pub(crate) fn invalid_state(reason: &str) -> Error {
    Error::new(ErrorCode::InvalidState).with("reason", reason)
}

/// What somebody brings along.
pub(crate) struct Entrant {
    pub(crate) session: SessionId,
    pub(crate) number: u64,
    pub(crate) identity: Identity,
    pub(crate) admitted: Admitted,
    pub(crate) as_of: i64,
    pub(crate) permissions: Permissions,
    pub(crate) pro_until: Option<Instant>,
    pub(crate) capabilities: Option<Arc<RtpCapabilities>>,
    pub(crate) token: ResumeToken,
}

impl Participant {
    pub(crate) fn new(entrant: Entrant) -> Self {
        let Entrant { session, number, identity, admitted, as_of, permissions, pro_until, capabilities, token } = entrant;
        Self {
            identity,
            stay: session,
            token,
            role: admitted.role,
            moderator: admitted.moderator,
            moderates: admitted.moderator,
            as_of,
            pro_until: pro_until.filter(|_| admitted.entitlement.pro),
            lost: None,
            given_on: Vec::new(),
            number,
            permissions,
            capabilities,
            state: ParticipantState::default().restricted(admitted.restrictions),
            send: None,
            recv: None,
            producers: Vec::new(),
            consumers: Consumers::default(),
        }
    }

    pub(crate) fn transport(&mut self, direction: Direction) -> &mut Option<Transport> {
        match direction {
            Direction::Send => &mut self.send,
            Direction::Recv => &mut self.recv,
        }
    }

    /// The direction of one of their transports.
    pub(crate) fn direction(&self, id: TransportId) -> Option<Direction> {
        let is = |transport: &Option<Transport>| transport.as_ref().is_some_and(|t| t.id == id);
        match (is(&self.send), is(&self.recv)) {
            (true, _) => Some(Direction::Send),
            (_, true) => Some(Direction::Recv),
            _ => None,
        }
    }

    /// The participant's own transport, if the client can know its id.
    pub(crate) fn own_transport(&mut self, id: TransportId) -> Result<(Direction, &mut Transport), Error> {
        let send = self.send.as_mut().map(|t| (Direction::Send, t));
        let recv = self.recv.as_mut().map(|t| (Direction::Recv, t));
        send.into_iter().chain(recv).find(|(_, t)| t.id == id && t.stage != Stage::Creating).ok_or_else(not_found)
    }

    /// The participant's own producer, if the client can know its id.
    pub(crate) fn own_producer(&mut self, id: ProducerId) -> Result<&mut Producer, Error> {
        self.producers.iter_mut().find(|p| p.id == id && p.live).ok_or_else(not_found)
    }

    /// The participant's own consumer, if the client can know its id.
    pub(crate) fn own_consumer(&mut self, id: ConsumerId) -> Result<&mut Consumer, Error> {
        self.consumers.get_mut(id).filter(|c| c.live).ok_or_else(not_found)
    }

    /// A producer as the others see it.
    pub(crate) fn show_producer(&self, producer: &Producer) -> ProducerInfo {
        ProducerInfo {
            producer_id: producer.id,
            user_id: self.identity.user.clone(),
            kind: producer.kind,
            app_data: AppData { source: producer.source },
            paused: producer.silent(self.state),
        }
    }

    /// The participant as the others see them.
    pub(crate) fn show(&self) -> Shown {
        Shown {
            user_id: self.identity.user.clone(),
            name: self.identity.name.clone(),
            state: self.state,
            role: self.role,
            moderator: self.moderator,
            producers: self.producers.iter().filter(|p| p.live).map(|p| self.show_producer(p)).collect(),
        }
    }
}
