//! Consumers: what participants receive of the others.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::{AppData, Event, Reply};
use parlor_proto::media::{Layers, Origin, StreamType};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, Error, MediaCommand, MediaKind, ProducerId, SessionId, TransportId};

use crate::output::RequestId;
use crate::participant::{Consumer, Participant, Producer, Stage, invalid_state, not_found};
use crate::room::{Answer, Room};
use crate::sfu::pending::{Operation, Waiting};

/// A track somebody wants to receive.
pub(crate) struct Wanted {
    pub(crate) producer: ProducerId,
    pub(crate) transport: Option<TransportId>,
    pub(crate) capabilities: Option<Arc<RtpCapabilities>>,
    pub(crate) paused: bool,
}

impl Room {
    pub(crate) fn consume(&mut self, session: SessionId, request: RequestId, wanted: Wanted, now: Instant) -> Answer {
        let Wanted { producer, transport, capabilities, paused } = wanted;
        let transport = receive_transport(self.participant(session)?, transport)?;
        let (owner, origin) = self.origin_of(producer).ok_or_else(not_found)?;
        if owner == session {
            return Err(invalid_state("this producer is one's own"));
        }
        let id = self.ids.consumer();
        let participant = self.participant(session)?;
        if participant.consumers.of(producer).is_some() {
            return Err(invalid_state("this producer is consumed already"));
        }
        let capabilities = capabilities
            .or_else(|| participant.capabilities.clone())
            .ok_or_else(|| Error::invalid("rtpCapabilities", "must be given here or with voice:join"))?;
        let consumer = Consumer { producer, kind: origin.kind, paused, live: false };
        let silent = consumer.silent(participant.state);
        participant.consumers.insert(id, consumer);
        self.owners.consumers.insert(id, session);
        self.pending.begin(Operation::Consume(id), Waiting { session, request }, self.config.policy.consume_timeout, now);
        self.media(MediaCommand::Consume { transport, consumer: id, producer, origin, capabilities, paused: silent });
        Ok(None)
    }

    pub(crate) fn consumed(&mut self, id: ConsumerId, rtp: Box<RtpParameters>, stream_type: StreamType) {
        let Some(consumer) = self.consumer_mut(id).filter(|c| !c.live) else { return };
        consumer.live = true;
        let (producer_id, kind, paused) = (consumer.producer, consumer.kind, consumer.paused);
        let Some((owner, producer)) = self.live_producer(producer_id) else { return };
        let Some(sender) = self.participants.get(&owner) else { return };
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
        self.settle(Operation::Consume(id), Ok(reply));
    }

    pub(crate) fn consume_failed(&mut self, id: ConsumerId, error: Error) {
        if self.pending.contains(Operation::Consume(id)) {
            self.give_up_consumer(id, error);
        }
    }

    /// Drops a consumer whose id the client does not know.
    pub(crate) fn give_up_consumer(&mut self, id: ConsumerId, error: Error) {
        if let Some(session) = self.owners.consumers.remove(&id) {
            if let Some(participant) = self.participants.get_mut(&session) {
                participant.consumers.remove(id);
            }
            // Late or refused, the media plane may have made something of it.
            self.order_receiver(session, |transport| MediaCommand::CloseConsumer { transport, consumer: id });
        }
        self.settle(Operation::Consume(id), Err(error));
    }

    pub(crate) fn set_consumer_paused(&mut self, session: SessionId, id: ConsumerId, paused: bool) -> Answer {
        let participant = self.participant(session)?;
        let state = participant.state;
        let consumer = participant.own_consumer(id)?;
        let before = consumer.silent(state);
        consumer.paused = paused;
        let after = consumer.silent(state);
        if before != after {
            self.order_receiver(session, |transport| MediaCommand::SetConsumerPaused { transport, consumer: id, paused: after });
        }
        Ok(Some(if paused { Reply::ConsumerPaused { consumer_id: id } } else { Reply::ConsumerResumed { consumer_id: id } }))
    }

    pub(crate) fn close_consumer(&mut self, session: SessionId, id: ConsumerId) -> Answer {
        let participant = self.participant(session)?;
        participant.own_consumer(id)?;
        participant.consumers.remove(id);
        self.owners.consumers.remove(&id);
        self.order_receiver(session, |transport| MediaCommand::CloseConsumer { transport, consumer: id });
        Ok(Some(Reply::ConsumerClosed { consumer_id: id }))
    }

    pub(crate) fn set_preferred_layers(&mut self, session: SessionId, id: ConsumerId, layers: Layers) -> Answer {
        self.own_video(session, id)?;
        self.order_receiver(session, |transport| MediaCommand::SetPreferredLayers { transport, consumer: id, layers });
        Ok(Some(Reply::PreferredLayersSet { consumer_id: id, layers }))
    }

    pub(crate) fn request_key_frame(&mut self, session: SessionId, id: ConsumerId) -> Answer {
        self.own_video(session, id)?;
        self.order_receiver(session, |transport| MediaCommand::RequestKeyFrame { transport, consumer: id });
        Ok(Some(Reply::KeyFrameRequested { consumer_id: id }))
    }

    fn own_video(&mut self, session: SessionId, id: ConsumerId) -> Result<(), Error> {
        match self.participant(session)?.own_consumer(id)?.kind {
            MediaKind::Video => Ok(()),
            MediaKind::Audio => Err(invalid_state("only video has layers and key frames")),
        }
    }

    pub(crate) fn layers_changed(&mut self, id: ConsumerId, layers: Option<Layers>) {
        let Some(session) = self.owners.consumers.get(&id).copied() else { return };
        if self.consumer_mut(id).is_some_and(|c| c.live) {
            self.tell(session, Event::LayersChanged { consumer_id: id, layers });
        }
    }

    /// Forgets everybody's consumers of a producer that is closed. The media plane closes them with it.
    pub(crate) fn forget_consumers_of(&mut self, producer: ProducerId, error: &Error) {
        let found = |p: &mut Participant| p.consumers.of(producer).filter(|id| p.consumers.remove(*id).is_some());
        let gone: Vec<ConsumerId> = self.participants.values_mut().filter_map(found).collect();
        for id in gone {
            self.owners.consumers.remove(&id);
            self.settle(Operation::Consume(id), Err(error.clone()));
        }
    }

    /// Forgets all of somebody's consumers, whose transport is closed. The media plane closes them with it.
    pub(crate) fn forget_all_consumers(&mut self, session: SessionId, error: &Error) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let gone = std::mem::take(&mut participant.consumers);
        for id in gone.ids() {
            self.owners.consumers.remove(&id);
            self.settle(Operation::Consume(id), Err(error.clone()));
        }
    }

    /// A producer that can be consumed, with its owner.
    pub(crate) fn live_producer(&self, id: ProducerId) -> Option<(SessionId, &Producer)> {
        let owner = *self.owners.producers.get(&id)?;
        let producer = self.participants.get(&owner)?.producers.iter().find(|p| p.id == id && p.live)?;
        Some((owner, producer))
    }

    /// A producer that can be consumed, with its owner and what the media plane has to know of it where it has not been made.
    fn origin_of(&self, id: ProducerId) -> Option<(SessionId, Origin)> {
        let (owner, producer) = self.live_producer(id)?;
        let sender = self.participants.get(&owner)?;
        let transport = sender.send.as_ref()?.id;
        let (kind, rtp, paused) = (producer.kind, Arc::clone(&producer.rtp), producer.silent(sender.state));
        Some((owner, Origin { transport, kind, rtp, paused }))
    }

    /// An order about something that a participant receives. All of it is on their one receive transport.
    pub(crate) fn order_receiver(&mut self, session: SessionId, order: impl FnOnce(TransportId) -> MediaCommand) {
        let transport = self.participants.get(&session).and_then(|participant| participant.recv.as_ref()).map(|transport| transport.id);
        if let Some(transport) = transport {
            self.media(order(transport));
        }
    }

    fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        let session = self.owners.consumers.get(&id)?;
        self.participants.get_mut(session)?.consumers.get_mut(id)
    }
}

/// The transport to receive on: the one named, or the one there is. It need not be connected, because
/// `mediasoup-client` connects it with the first consumer.
fn receive_transport(participant: &mut Participant, named: Option<TransportId>) -> Result<TransportId, Error> {
    if let Some(id) = named {
        let (direction, _) = participant.own_transport(id)?;
        return if direction == Direction::Recv { Ok(id) } else { Err(invalid_state("this transport is for sending")) };
    }
    let there = participant.recv.as_ref().filter(|t| t.stage != Stage::Creating);
    there.map(|t| t.id).ok_or_else(|| invalid_state("there is no transport for receiving"))
}
