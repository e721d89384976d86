//! Producers: what participants send, and within which limits.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{CloseReason, Event, Reply};
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_proto::{Error, ErrorCode, MediaCommand, MediaKind, ProducerId, SessionId, Source, TransportId, UserId};

use super::Sfu;
use super::owned::Producer;
use super::pending::Operation;
use crate::core::{Answer, Asker, Core, invalid_state, not_found};
use crate::ending::Ending;
use crate::feed::{CLOSED, Happening};
use crate::permission::check_produce;
use crate::slots::Slot;

/// A track somebody wants to send.
pub(super) struct TrackToSend {
    pub(super) transport: TransportId,
    pub(super) kind: MediaKind,
    pub(super) source: Source,
    pub(super) rtp: Arc<RtpParameters>,
    pub(super) paused: bool,
}

impl Sfu {
    pub(super) fn produce(&mut self, core: &mut Core, asker: Asker, track: TrackToSend, now: Instant) -> Answer {
        let session = asker.session;
        let max_bitrate = self.check_producer(core, session, &track)?;
        let TrackToSend { transport, kind, source, rtp, paused } = track;
        let id = ProducerId::from_random(core.ids.bits());
        let producer = Producer { id, kind, source, rtp: Arc::clone(&rtp), paused, live: false };
        let silent = producer.silent(core.participant(session)?.state);
        self.owned(session)?.producers.push(producer);
        self.owners.producers.insert(id, session);
        self.pending.begin(Operation::Produce(id), asker, core.policy.produce_timeout, now);
        self.order(core, MediaCommand::Produce { transport, producer: id, kind, source, rtp, paused: silent, max_bitrate });
        Ok(None)
    }

    fn check_producer(&mut self, core: &mut Core, session: SessionId, track: &TrackToSend) -> Result<u32, Error> {
        let owned = self.owned(session)?;
        let (direction, _) = owned.own_transport(track.transport)?;
        if direction != Direction::Send {
            return Err(invalid_state("this transport is for receiving"));
        }
        let permissions = core.participant(session)?.permissions;
        let max_bitrate = check_produce(&core.policy, permissions, track.kind, track.source)?;
        if owned.producers.iter().any(|p| p.source == track.source && p.kind == track.kind) {
            return Err(Error::new(ErrorCode::LimitExceeded).with("reason", "there is a producer of this source and kind"));
        }
        if track.kind == MediaKind::Video {
            core.take_slot(session, track.source)?;
        }
        Ok(max_bitrate)
    }

    /// The media plane takes it: now it is announced, once to everybody who is here. Whoever comes later
    /// finds it in the answer to `join`.
    pub(super) fn produced(&mut self, core: &mut Core, id: ProducerId) {
        let Some(session) = self.owners.producers.get(&id).copied() else { return };
        let (Some(participant), Some(owned)) = (core.participants.get(&session), self.owned.get_mut(&session)) else { return };
        let Some(producer) = owned.producers.iter_mut().find(|p| p.id == id && !p.live) else { return };
        producer.live = true;
        let (kind, source, info) = (producer.kind, producer.source, producer.show(participant));
        self.settle(core, Operation::Produce(id), Ok(Reply::Produced { producer_id: id }));
        core.feed(Happening::ProducerStarted { user: info.user_id.clone(), producer: id, kind, source });
        core.tell_others(session, Event::NewProducer(info));
    }

    pub(super) fn produce_failed(&mut self, core: &mut Core, id: ProducerId, error: Error) {
        if self.pending.contains(Operation::Produce(id)) {
            self.give_up_producer(core, id, error);
        }
    }

    /// Drops a producer that nobody has heard of yet.
    pub(super) fn give_up_producer(&mut self, core: &mut Core, id: ProducerId, error: Error) {
        if let Some(session) = self.owners.producers.remove(&id) {
            let producers = self.owned.get_mut(&session).map(|p| &mut p.producers);
            for producer in producers.into_iter().flat_map(|all| all.extract_if(.., |p| p.id == id)) {
                if producer.kind == MediaKind::Video {
                    core.slots.failed(Slot { session, source: producer.source });
                }
            }
            // Late or refused, the media plane may have made something of it.
            self.order(core, MediaCommand::CloseProducer { producer: id });
        }
        self.settle(core, Operation::Produce(id), Err(error));
    }

    pub(super) fn set_producer_paused(&mut self, core: &mut Core, session: SessionId, id: ProducerId, paused: bool) -> Answer {
        let state = core.participant(session)?.state;
        let producer = self.owned(session)?.own_producer(id)?;
        let before = producer.silent(state);
        producer.paused = paused;
        let after = producer.silent(state);
        if before != after {
            self.producer_silenced(core, session, id, after, true);
        }
        Ok(Some(if paused { Reply::ProducerPaused { producer_id: id } } else { Reply::ProducerResumed { producer_id: id } }))
    }

    /// Lets the media plane do it, and the others know if they know the producer.
    pub(super) fn producer_silenced(&mut self, core: &mut Core, session: SessionId, id: ProducerId, silent: bool, known: bool) {
        self.order(core, MediaCommand::SetProducerPaused { producer: id, paused: silent });
        let Some(user_id) = core.participants.get(&session).map(|p| p.identity.user.clone()).filter(|_| known) else { return };
        let event =
            if silent { Event::ProducerPaused { producer_id: id, user_id } } else { Event::ProducerResumed { producer_id: id, user_id } };
        core.tell_others(session, event);
    }

    pub(super) fn close_producer(&mut self, core: &mut Core, session: SessionId, id: ProducerId) -> Answer {
        self.owned(session)?.own_producer(id)?;
        self.end_producers(core, session, &Ending { error: not_found(), told: None, feed: CLOSED }, |p| p.id == id);
        Ok(Some(Reply::ProducerClosed { producer_id: id }))
    }

    /// Closes some of somebody's producers; those still being made are answered.
    pub(super) fn end_producers(&mut self, core: &mut Core, session: SessionId, ending: &Ending, which: impl Fn(&Producer) -> bool) {
        let (Some(participant), Some(owned)) = (core.participants.get(&session), self.owned.get_mut(&session)) else { return };
        let user = participant.identity.user.clone();
        let gone: Vec<Producer> = owned.producers.extract_if(.., |p| which(p)).collect();
        for producer in gone {
            self.settle(core, Operation::Produce(producer.id), Err(ending.error.clone()));
            self.producer_gone(core, session, &user, &producer, ending);
            let slot = Slot { session, source: producer.source };
            match producer.kind {
                MediaKind::Video if producer.live => core.slots.release(slot),
                MediaKind::Video => core.slots.failed(slot),
                MediaKind::Audio => {}
            }
        }
    }

    /// Ends what hangs on a producer that its owner has no more: the index, the media, everybody's consumers
    /// of it. Who has heard of it is told.
    fn producer_gone(&mut self, core: &mut Core, session: SessionId, user: &UserId, producer: &Producer, ending: &Ending) {
        let id = producer.id;
        self.owners.producers.remove(&id);
        self.order(core, MediaCommand::CloseProducer { producer: id });
        self.forget_consumers_of(core, id, &not_found());
        if !producer.live {
            return;
        }
        let closed = Event::ProducerClosed { producer_id: id, user_id: user.clone(), reason: ending.told };
        // Whose transport failed, or who is put out, is told that; who keeps both would not know otherwise.
        if ending.told == Some(CloseReason::Entitlement) {
            core.tell(session, closed.clone());
        }
        core.tell_others(session, closed);
        core.feed(producer.stopped(user, ending.feed));
    }
}
