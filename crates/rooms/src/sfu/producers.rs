//! Producers: what participants send, and within which limits.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{CloseReason, Event, Reply};
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_proto::{Error, ErrorCode, MediaCommand, MediaKind, ProducerId, SessionId, Source, TransportId, UserId};

use crate::ending::Ending;
use crate::feed::{CLOSED, Happening};
use crate::output::RequestId;
use crate::participant::{Producer, invalid_state, not_found};
use crate::permission::check_produce;
use crate::room::{Answer, Room};
use crate::sfu::pending::{Operation, Waiting};
use crate::slots::Slot;

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
        let producer = Producer { id, kind, source, rtp: Arc::clone(&rtp), paused, live: false };
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
            self.take_slot(session, wanted.source)?;
        }
        Ok(max_bitrate)
    }

    /// The media plane takes it: now it is announced, once to everybody who is here. Whoever comes later
    /// finds it in the answer to `join`.
    pub(crate) fn produced(&mut self, id: ProducerId) {
        let Some(session) = self.owners.producers.get(&id).copied() else { return };
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let Some(index) = participant.producers.iter().position(|p| p.id == id && !p.live) else { return };
        let Some(producer) = participant.producers.get_mut(index) else { return };
        producer.live = true;
        let (kind, source) = (producer.kind, producer.source);
        let Some(info) = participant.producers.get(index).map(|p| participant.show_producer(p)) else { return };
        self.settle(Operation::Produce(id), Ok(Reply::Produced { producer_id: id }));
        self.feed(Happening::ProducerStarted { user: info.user_id.clone(), producer: id, kind, source });
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
            let producers = self.participants.get_mut(&session).map(|p| &mut p.producers);
            for producer in producers.into_iter().flat_map(|all| all.extract_if(.., |p| p.id == id)) {
                if producer.kind == MediaKind::Video {
                    self.slots.failed(Slot { session, source: producer.source });
                }
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
        self.participant(session)?.own_producer(id)?;
        self.end_producers(session, &Ending { error: not_found(), told: None, feed: CLOSED }, |p| p.id == id);
        Ok(Some(Reply::ProducerClosed { producer_id: id }))
    }

    /// Closes some of somebody's producers; those still being made are answered.
    pub(crate) fn end_producers(&mut self, session: SessionId, ending: &Ending, which: impl Fn(&Producer) -> bool) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let user = participant.identity.user.clone();
        let gone: Vec<Producer> = participant.producers.extract_if(.., |p| which(p)).collect();
        for producer in gone {
            self.settle(Operation::Produce(producer.id), Err(ending.error.clone()));
            self.producer_gone(session, &user, &producer, ending);
            let slot = Slot { session, source: producer.source };
            match producer.kind {
                MediaKind::Video if producer.live => self.slots.release(slot),
                MediaKind::Video => self.slots.failed(slot),
                MediaKind::Audio => {}
            }
        }
    }

    /// Ends what hangs on a producer that its owner has no more: the index, the media, everybody's consumers
    /// of it. Who has heard of it is told.
    fn producer_gone(&mut self, session: SessionId, user: &UserId, producer: &Producer, ending: &Ending) {
        let id = producer.id;
        self.owners.producers.remove(&id);
        self.media(MediaCommand::CloseProducer { producer: id });
        self.forget_consumers_of(id, &not_found());
        if !producer.live {
            return;
        }
        let closed = Event::ProducerClosed { producer_id: id, user_id: user.clone(), reason: ending.told };
        // Whose transport failed, or who is put out, is told that; who keeps both would not know otherwise.
        if ending.told == Some(CloseReason::Entitlement) {
            self.tell(session, closed.clone());
        }
        self.tell_others(session, closed);
        self.feed(producer.stopped(user, ending.feed));
    }
}
