//! Consumers: what participants receive of the others.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{AppData, Event, Reply};
use parlor_proto::media::{Layers, Origin, StreamType};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, Error, MediaCommand, MediaKind, ProducerId, SessionId, TransportId};

use super::Sfu;
use super::owned::{Consumer, Owned, Producer, Setup};
use super::pending::Operation;
use crate::core::{Answer, Asker, Core, invalid_state, not_found};

/// A track somebody wants to receive.
pub(super) struct TrackToReceive {
    pub(super) producer: ProducerId,
    pub(super) transport: Option<TransportId>,
    pub(super) capabilities: Option<Arc<RtpCapabilities>>,
    pub(super) paused: bool,
}

impl Sfu {
    pub(super) fn consume(&mut self, core: &mut Core, asker: Asker, wanted: TrackToReceive, now: Instant) -> Answer {
        let session = asker.session;
        let TrackToReceive { producer, transport, capabilities, paused } = wanted;
        let transport = receive_transport(self.owned(session)?, transport)?;
        let (owner, origin) = self.origin_of(core, producer).ok_or_else(not_found)?;
        if owner == session {
            return Err(invalid_state("this producer is one's own"));
        }
        let id = ConsumerId::from_random(core.ids.bits());
        let owned = self.owned(session)?;
        if owned.consumers.of(producer).is_some() {
            return Err(invalid_state("this producer is consumed already"));
        }
        let capabilities = capabilities
            .or_else(|| owned.capabilities.clone())
            .ok_or_else(|| Error::invalid("rtpCapabilities", "must be given here or with voice:join"))?;
        let consumer = Consumer { producer, kind: origin.kind, paused, live: false };
        let silent = consumer.silent(core.participant(session)?.state);
        owned.consumers.insert(id, consumer);
        self.owners.consumers.insert(id, session);
        self.pending.begin(Operation::Consume(id), asker, core.policy.consume_timeout, now);
        self.order(core, MediaCommand::Consume { transport, consumer: id, producer, origin, capabilities, paused: silent });
        Ok(None)
    }

    pub(super) fn consumed(&mut self, core: &mut Core, id: ConsumerId, rtp: Box<RtpParameters>, stream_type: StreamType) {
        let Some(consumer) = self.consumer_mut(id).filter(|c| !c.live) else { return };
        consumer.live = true;
        let (producer_id, kind, paused) = (consumer.producer, consumer.kind, consumer.paused);
        let Some((owner, producer)) = self.live_producer(producer_id) else { return };
        let Some(sender) = core.participants.get(&owner) else { return };
        let reply = Reply::Consumed {
            id,
            consumer_id: id,
            producer_id,
            user_id: sender.identity.user.clone(),
            kind,
            rtp_parameters: rtp,
            stream_type,
            app_data: AppData { source: producer.source },
            paused,
            producer_paused: producer.silent(sender.state),
        };
        self.settle(core, Operation::Consume(id), Ok(reply));
    }

    pub(super) fn consume_failed(&mut self, core: &mut Core, id: ConsumerId, error: Error) {
        if self.pending.contains(Operation::Consume(id)) {
            self.give_up_consumer(core, id, error);
        }
    }

    /// Drops a consumer whose id the client does not know.
    pub(super) fn give_up_consumer(&mut self, core: &mut Core, id: ConsumerId, error: Error) {
        if let Some(session) = self.owners.consumers.remove(&id) {
            if let Some(owned) = self.owned.get_mut(&session) {
                owned.consumers.remove(id);
            }
            // Late or refused, the media plane may have made something of it.
            self.order_receiver(core, session, |transport| MediaCommand::CloseConsumer { transport, consumer: id });
        }
        self.settle(core, Operation::Consume(id), Err(error));
    }

    pub(super) fn set_consumer_paused(&mut self, core: &mut Core, session: SessionId, id: ConsumerId, paused: bool) -> Answer {
        let state = core.participant(session)?.state;
        let consumer = self.owned(session)?.own_consumer(id)?;
        let before = consumer.silent(state);
        consumer.paused = paused;
        let after = consumer.silent(state);
        if before != after {
            self.order_receiver(core, session, |transport| MediaCommand::SetConsumerPaused { transport, consumer: id, paused: after });
        }
        Ok(Some(if paused { Reply::ConsumerPaused { consumer_id: id } } else { Reply::ConsumerResumed { consumer_id: id } }))
    }

    pub(super) fn close_consumer(&mut self, core: &mut Core, session: SessionId, id: ConsumerId) -> Answer {
        let owned = self.owned(session)?;
        owned.own_consumer(id)?;
        owned.consumers.remove(id);
        self.owners.consumers.remove(&id);
        self.order_receiver(core, session, |transport| MediaCommand::CloseConsumer { transport, consumer: id });
        Ok(Some(Reply::ConsumerClosed { consumer_id: id }))
    }

    pub(super) fn set_preferred_layers(&mut self, core: &mut Core, session: SessionId, id: ConsumerId, layers: Layers) -> Answer {
        self.own_video(session, id)?;
        self.order_receiver(core, session, |transport| MediaCommand::SetPreferredLayers { transport, consumer: id, layers });
        Ok(Some(Reply::PreferredLayersSet { consumer_id: id, layers }))
    }

    pub(super) fn request_key_frame(&mut self, core: &mut Core, session: SessionId, id: ConsumerId) -> Answer {
        self.own_video(session, id)?;
        self.order_receiver(core, session, |transport| MediaCommand::RequestKeyFrame { transport, consumer: id });
        Ok(Some(Reply::KeyFrameRequested { consumer_id: id }))
    }

    fn own_video(&mut self, session: SessionId, id: ConsumerId) -> Result<(), Error> {
        match self.owned(session)?.own_consumer(id)?.kind {
            MediaKind::Video => Ok(()),
            MediaKind::Audio => Err(invalid_state("only video has layers and key frames")),
        }
    }

    pub(super) fn layers_changed(&mut self, core: &mut Core, id: ConsumerId, layers: Option<Layers>) {
        let Some(session) = self.owners.consumers.get(&id).copied() else { return };
        if self.consumer_mut(id).is_some_and(|c| c.live) {
            core.tell(session, Event::LayersChanged { consumer_id: id, layers });
        }
    }

    /// Forgets everybody's consumers of a producer that is closed. The media plane closes them with it.
    pub(super) fn forget_consumers_of(&mut self, core: &mut Core, producer: ProducerId, error: &Error) {
        let found = |owned: &mut Owned| owned.consumers.of(producer).filter(|id| owned.consumers.remove(*id).is_some());
        let gone: Vec<ConsumerId> = self.owned.values_mut().filter_map(found).collect();
        for id in gone {
            self.owners.consumers.remove(&id);
            self.settle(core, Operation::Consume(id), Err(error.clone()));
        }
    }

    /// Forgets all of somebody's consumers, whose transport is closed. The media plane closes them with it.
    pub(super) fn forget_all_consumers(&mut self, core: &mut Core, session: SessionId, error: &Error) {
        let Some(owned) = self.owned.get_mut(&session) else { return };
        let gone = std::mem::take(&mut owned.consumers);
        for id in gone.ids() {
            self.owners.consumers.remove(&id);
            self.settle(core, Operation::Consume(id), Err(error.clone()));
        }
    }

    /// A producer that can be consumed, with its owner.
    pub(super) fn live_producer(&self, id: ProducerId) -> Option<(SessionId, &Producer)> {
        let owner = *self.owners.producers.get(&id)?;
        let producer = self.owned.get(&owner)?.producers.iter().find(|p| p.id == id && p.live)?;
        Some((owner, producer))
    }

    /// A producer that can be consumed, with its owner and what the media plane has to know of it where it has not been made.
    fn origin_of(&self, core: &Core, id: ProducerId) -> Option<(SessionId, Origin)> {
        let (owner, producer) = self.live_producer(id)?;
        let state = core.participants.get(&owner)?.state;
        let transport = self.owned.get(&owner)?.send.as_ref()?.id;
        let (kind, rtp, paused) = (producer.kind, Arc::clone(&producer.rtp), producer.silent(state));
        Some((owner, Origin { transport, kind, rtp, paused }))
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        let session = self.owners.consumers.get(&id)?;
        self.owned.get_mut(session)?.consumers.get_mut(id)
    }
}

/// The transport to receive on: the one named, or the one there is. It need not be connected, because
/// `mediasoup-client` connects it with the first consumer.
fn receive_transport(owned: &mut Owned, named: Option<TransportId>) -> Result<TransportId, Error> {
    if let Some(id) = named {
        let (direction, _) = owned.own_transport(id)?;
        return if direction == Direction::Recv { Ok(id) } else { Err(invalid_state("this transport is for sending")) };
    }
    let there = owned.recv.as_ref().filter(|t| t.setup != Setup::Creating);
    there.map(|t| t.id).ok_or_else(|| invalid_state("there is no transport for receiving"))
}
