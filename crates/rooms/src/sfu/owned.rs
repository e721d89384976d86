//! What a session owns at the SFU.
//!
//! Transports, producers and consumers live inside their owner. A request is looked up in what its own session
//! owns and nowhere else, so somebody else's id is not found, exactly like one that never was.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_proto::event::{AppData, ParticipantState, ProducerInfo};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, Error, MediaKind, ProducerId, Source, TransportId, UserId};

use crate::core::not_found;
use crate::feed::Happening;
use crate::participant::Participant;
use crate::slots::Slot;

/// All that one session owns.
#[derive(Debug, Default)]
pub(super) struct Owned {
    /// What the client can decode, if it said so when it joined.
    pub(super) capabilities: Option<Arc<RtpCapabilities>>,
    pub(super) send: Option<Transport>,
    pub(super) recv: Option<Transport>,
    /// At most one of each source and kind.
    pub(super) producers: Vec<Producer>,
    pub(super) consumers: Consumers,
}

/// The stage that a transport's set-up has reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Setup {
    /// The media plane makes it; the client does not know its id.
    Creating,
    /// There, without the client's DTLS parameters.
    Created,
    /// The DTLS parameters were given; that is done once.
    Connected,
}

#[derive(Debug)]
pub(super) struct Transport {
    pub(super) id: TransportId,
    pub(super) setup: Setup,
}

#[derive(Debug)]
pub(super) struct Producer {
    pub(super) id: ProducerId,
    pub(super) kind: MediaKind,
    pub(super) source: Source,
    /// What its owner said they send.
    pub(super) rtp: Arc<RtpParameters>,
    /// Paused by its owner. What is sent depends on the owner's mute as well.
    pub(super) paused: bool,
    /// The media plane has made it: it is announced and can be consumed.
    pub(super) live: bool,
}

#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) producer: ProducerId,
    pub(super) kind: MediaKind,
    /// Paused by its owner. What is sent depends on the owner's deafness as well.
    pub(super) paused: bool,
    /// The media plane has made it: the client knows its id.
    pub(super) live: bool,
}

impl Producer {
    /// A muted microphone is silent, and so is all that moderators silenced, whatever the client sends and
    /// whatever its own pause says.
    pub(super) fn silent(&self, state: ParticipantState) -> bool {
        let muted = match self.source {
            Source::Mic => state.muted,
            Source::Camera => state.server_muted.video,
            Source::Screen => state.server_muted.screen,
        };
        self.paused || muted || (self.kind == MediaKind::Audio && state.server_muted.audio)
    }

    /// Whether it is what a video slot is held for.
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.kind == MediaKind::Video && self.source == slot.source
    }

    /// The producer of a participant as the others see it.
    pub(super) fn show(&self, owner: &Participant) -> ProducerInfo {
        ProducerInfo {
            producer_id: self.id,
            user_id: owner.identity.user.clone(),
            kind: self.kind,
            app_data: AppData { source: self.source },
            paused: self.silent(owner.state),
        }
    }

    /// What the host application is told when it ends.
    pub(super) fn stopped(&self, user: &UserId, reason: &'static str) -> Happening {
        Happening::ProducerStopped { user: user.clone(), producer: self.id, kind: self.kind, source: self.source, reason }
    }
}

impl Consumer {
    /// Whether the consumer is sent nothing: it is paused, or it is sound and its owner is deafened.
    pub(super) fn silent(&self, state: ParticipantState) -> bool {
        self.paused || (self.kind == MediaKind::Audio && (state.deafened || state.server_deafened))
    }
}

/// The consumers of one participant, found by their id or by what they consume.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    by_id: BTreeMap<ConsumerId, Consumer>,
    by_producer: BTreeMap<ProducerId, ConsumerId>,
}

impl Consumers {
    pub(super) fn insert(&mut self, id: ConsumerId, consumer: Consumer) {
        self.by_producer.insert(consumer.producer, id);
        self.by_id.insert(id, consumer);
    }

    pub(super) fn remove(&mut self, id: ConsumerId) -> Option<Consumer> {
        let consumer = self.by_id.remove(&id)?;
        self.by_producer.remove(&consumer.producer);
        Some(consumer)
    }

    pub(super) fn get_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.by_id.get_mut(&id)
    }

    pub(super) fn of(&self, producer: ProducerId) -> Option<ConsumerId> {
        self.by_producer.get(&producer).copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ConsumerId, &Consumer)> {
        self.by_id.iter().map(|(id, consumer)| (*id, consumer))
    }

    pub(super) fn ids(&self) -> Vec<ConsumerId> {
        self.by_id.keys().copied().collect()
    }
}

impl Owned {
    pub(super) fn transport_mut(&mut self, direction: Direction) -> &mut Option<Transport> {
        match direction {
            Direction::Send => &mut self.send,
            Direction::Recv => &mut self.recv,
        }
    }

    /// The direction of one of their transports.
    pub(super) fn direction(&self, id: TransportId) -> Option<Direction> {
        let is = |transport: &Option<Transport>| transport.as_ref().is_some_and(|t| t.id == id);
        match (is(&self.send), is(&self.recv)) {
            (true, _) => Some(Direction::Send),
            (_, true) => Some(Direction::Recv),
            _ => None,
        }
    }

    /// The participant's own transport, if the client can know its id.
    pub(super) fn own_transport(&mut self, id: TransportId) -> Result<(Direction, &mut Transport), Error> {
        let send = self.send.as_mut().map(|t| (Direction::Send, t));
        let recv = self.recv.as_mut().map(|t| (Direction::Recv, t));
        send.into_iter().chain(recv).find(|(_, t)| t.id == id && t.setup != Setup::Creating).ok_or_else(not_found)
    }

    /// The participant's own producer, if the client can know its id.
    pub(super) fn own_producer(&mut self, id: ProducerId) -> Result<&mut Producer, Error> {
        self.producers.iter_mut().find(|p| p.id == id && p.live).ok_or_else(not_found)
    }

    /// The participant's own consumer, if the client can know its id.
    pub(super) fn own_consumer(&mut self, id: ConsumerId) -> Result<&mut Consumer, Error> {
        self.consumers.get_mut(id).filter(|c| c.live).ok_or_else(not_found)
    }
}
