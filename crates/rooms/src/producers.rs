//! Producers: what participants send, and within which limits.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{Event, Reply};
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_proto::{Error, ErrorCode, MediaCommand, MediaKind, ProducerId, SessionId, Source, TransportId};

use crate::output::RequestId;
use crate::participant::{Producer, invalid_state, not_found};
use crate::pending::{Operation, Waiting};
use crate::permission::check_produce;
use crate::room::{Answer, Room};

/// A track somebody wants to send.
pub(crate) struct Wanted {
    pub(crate) transport: TransportId,
    pub(crate) kind: MediaKind,
    pub(crate) source: Source,
    pub(crate) rtp: Arc<RtpParameters>,
    pub(crate) paused: bool,
}

impl Room {
    pub(crate) fn produce(&mut self, session: SessionId, request: RequestId, wanted: Wanted, now: Instant) -> Answer {
        let max_bitrate = self.check_producer(session, &wanted)?;
        let Wanted { transport, kind, source, rtp, paused } = wanted;
        let id = self.ids.producer();
        let participant = self.participant(session)?;
        let producer = Producer { id, kind, source, paused, live: false };
        let silent = producer.silent(participant.state);
        participant.producers.push(producer);
        self.owners.producers.insert(id, session);
        self.pending.begin(Operation::Produce(id), Waiting { session, request }, self.config.policy.produce_timeout, now);
        self.media(MediaCommand::Produce { transport, producer: id, kind, source, rtp, paused: silent, max_bitrate });
        Ok(None)
    }

    fn check_producer(&mut self, session: SessionId, wanted: &Wanted) -> Result<u32, Error> {
        let policy = self.config.policy.clone();
        let participant = self.participant(session)?;
        let (direction, _) = participant.own_transport(wanted.transport)?;
        if direction != Direction::Send {
            return Err(invalid_state("this transport is for receiving"));
        }
        let max_bitrate = check_produce(&policy, participant.permissions, wanted.kind, wanted.source)?;
        if participant.producers.iter().any(|p| p.source == wanted.source && p.kind == wanted.kind) {
            return Err(Error::new(ErrorCode::LimitExceeded).with("reason", "there is a producer of this source and kind"));
        }
        if wanted.kind == MediaKind::Video {
            self.check_video_slots()?;
        }
        Ok(max_bitrate)
    }

    /// Every camera and every shared screen takes a slot, from the moment it is asked for: two that ask at
    /// the same time cannot both get the last one.
    fn check_video_slots(&self) -> Result<(), Error> {
        let current = self.participants.values().flat_map(|p| &p.producers).filter(|p| p.kind == MediaKind::Video).count();
        let max = self.config.policy.videos(self.config.channel.tier);
        if u32::try_from(current).is_ok_and(|n| n < max) {
            return Ok(());
        }
        Err(Error::new(ErrorCode::VideoLimitReached).with("current", current).with("max", max))
    }

    /// The media plane takes it: now it is announced, once to everybody who is here. Whoever comes later
    /// finds it in the answer to `join`.
    pub(crate) fn produced(&mut self, id: ProducerId) {
        let Some(session) = self.owners.producers.get(&id).copied() else { return };
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let Some(index) = participant.producers.iter().position(|p| p.id == id && !p.live) else { return };
        let Some(producer) = participant.producers.get_mut(index) else { return };
        producer.live = true;
        let Some(info) = participant.producers.get(index).map(|p| participant.show_producer(p)) else { return };
        self.settle(Operation::Produce(id), Ok(Reply::Produced { producer_id: id }));
        self.tell_others(session, Event::NewProducer(info));
    }

    pub(crate) fn produce_failed(&mut self, id: ProducerId, error: Error) {
        if self.pending.contains(Operation::Produce(id)) {
            self.give_up_producer(id, error);
        }
    }

    /// Drops a producer that nobody has heard of yet.
    pub(crate) fn give_up_producer(&mut self, id: ProducerId, error: Error) {
        if let Some(session) = self.owners.producers.remove(&id) {
            if let Some(participant) = self.participants.get_mut(&session) {
                participant.producers.retain(|p| p.id != id);
            }
            // Late or refused, the media plane may have made something of it.
            self.media(MediaCommand::CloseProducer { producer: id });
        }
        self.settle(Operation::Produce(id), Err(error));
    }

    pub(crate) fn set_producer_paused(&mut self, session: SessionId, id: ProducerId, paused: bool) -> Answer {
        let participant = self.participant(session)?;
        let state = participant.state;
        let producer = participant.own_producer(id)?;
        let before = producer.silent(state);
        producer.paused = paused;
        let after = producer.silent(state);
        if before != after {
            self.producer_silenced(session, id, after, true);
        }
        Ok(Some(if paused { Reply::ProducerPaused { producer_id: id } } else { Reply::ProducerResumed { producer_id: id } }))
    }

    /// Lets the media plane do it, and the others know if they know the producer.
    pub(crate) fn producer_silenced(&mut self, session: SessionId, id: ProducerId, silent: bool, known: bool) {
        self.media(MediaCommand::SetProducerPaused { producer: id, paused: silent });
        let Some(user_id) = self.participants.get(&session).map(|p| p.identity.user.clone()).filter(|_| known) else { return };
        let event =
            if silent { Event::ProducerPaused { producer_id: id, user_id } } else { Event::ProducerResumed { producer_id: id, user_id } };
        self.tell_others(session, event);
    }

    pub(crate) fn close_producer(&mut self, session: SessionId, id: ProducerId) -> Answer {
        let participant = self.participant(session)?;
        participant.own_producer(id)?;
        participant.producers.retain(|p| p.id != id);
        self.producer_gone(session, id, true);
        Ok(Some(Reply::ProducerClosed { producer_id: id }))
    }

    /// Closes all of somebody's producers; those still being made are answered with `error`.
    pub(crate) fn close_all_producers(&mut self, session: SessionId, error: &Error) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        for producer in std::mem::take(&mut participant.producers) {
            self.settle(Operation::Produce(producer.id), Err(error.clone()));
            self.producer_gone(session, producer.id, producer.live);
        }
    }

    /// Ends what hangs on a producer that its owner has no more: the index, the media, everybody's consumers
    /// of it. Who has heard of it is told.
    fn producer_gone(&mut self, session: SessionId, id: ProducerId, known: bool) {
        self.owners.producers.remove(&id);
        self.media(MediaCommand::CloseProducer { producer: id });
        self.forget_consumers_of(id, &not_found());
        let Some(user_id) = self.participants.get(&session).map(|p| p.identity.user.clone()).filter(|_| known) else { return };
        self.tell_others(session, Event::ProducerClosed { producer_id: id, user_id });
    }
}
