//! Orders of the rules, carried out.

use std::sync::Arc;
use std::time::Instant;

use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{Layers, MediaCommand, MediaEvent, MediaKind, Origin};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{Direction, DtlsParameters, DtlsRole};

use crate::audio::audio_level::{Level, Speakers};
use crate::audio::talkers::Talkers;
use crate::consumer::egress::ReceiverExtensions;
use crate::consumer::{Consumer, Fixed, RtxStream};
use crate::ortc::{self, ConsumerStreams, RED_PAYLOAD_TYPE};
use crate::payload::h264;
use crate::plane::{Router, Sfu};
use crate::producer::{Mirrored, Producer, Sender};
use crate::table::{ConsumerIndex, ProducerIndex, TransportIndex};
use crate::transport::{Credentials, Format, HandshakeOutput, Transport, cname};
use crate::video::layers::OperatingPoint;

/// Far above what the rules allow one participant to send; a bug there shall not fill the memory here.
const MAX_PRODUCERS_PER_TRANSPORT: usize = 16;
/// Enough for the largest rooms, each participant with four tracks.
const MAX_CONSUMERS_PER_TRANSPORT: usize = 1_024;

/// What a producer is made of.
struct NewProducer {
    transport: TransportId,
    producer: ProducerId,
    kind: MediaKind,
    rtp: Arc<RtpParameters>,
    paused: bool,
    max_bitrate: u32,
}

/// What a consumer is made of.
struct NewConsumer {
    transport: TransportId,
    consumer: ConsumerId,
    producer: ProducerId,
    capabilities: Arc<RtpCapabilities>,
    paused: bool,
}

impl Sfu {
    /// Carries out an order of the rules about a router and what belongs to it.
    pub fn handle_command(&mut self, router: RouterId, command: MediaCommand, now: Instant) {
        match command {
            MediaCommand::CreateRouter => self.create_router(router, now),
            MediaCommand::CloseRouter => self.close_router(router, now),
            MediaCommand::CreateTransport { transport, direction } => self.create_transport(router, transport, direction, now),
            MediaCommand::ConnectTransport { transport, dtls } => {
                let event = match self.connect_transport((router, transport), &dtls, now) {
                    Ok(()) => MediaEvent::TransportConnected { transport },
                    Err(error) => MediaEvent::TransportFailed { transport, error },
                };
                self.report(router, event);
            }
            MediaCommand::RestartIce { transport } => self.restart_ice(router, transport),
            MediaCommand::CloseTransport { transport } => {
                self.close_transport_of(router, transport, now);
            }
            MediaCommand::Produce { transport, producer, kind, source: _, rtp, paused, max_bitrate } => {
                let event = match self.produce(router, NewProducer { transport, producer, kind, rtp, paused, max_bitrate }, now) {
                    Ok(()) => MediaEvent::Produced { producer },
                    Err(error) => MediaEvent::ProduceFailed { producer, error },
                };
                self.report(router, event);
            }
            MediaCommand::SetProducerPaused { producer, paused } => self.set_producer_paused((router, producer), paused, now),
            MediaCommand::SetProducerMaxBitrate { producer, max_bitrate } => self.set_max_bitrate((router, producer), max_bitrate, now),
            MediaCommand::CloseProducer { producer } => {
                if let Some(index) = self.producer_ids.get(&(router, producer)).copied() {
                    self.close_producer(index);
                }
            }
            MediaCommand::Consume { transport, consumer, producer, origin: _, capabilities, paused } => {
                let event = match self.consume(router, NewConsumer { transport, consumer, producer, capabilities, paused }, now) {
                    Ok(consumed) => consumed,
                    Err(error) => MediaEvent::ConsumeFailed { consumer, error },
                };
                self.report(router, event);
            }
            MediaCommand::SetConsumerPaused { transport, consumer, paused } => {
                if let Some(index) = self.consumer_on((router, transport), consumer) {
                    self.set_consumer_paused(index, paused, now);
                }
            }
            MediaCommand::CloseConsumer { transport, consumer } => {
                if let Some(index) = self.consumer_on((router, transport), consumer) {
                    self.close_consumer(index);
                }
            }
            MediaCommand::SetPreferredLayers { transport, consumer, layers } => {
                if let Some(index) = self.consumer_on((router, transport), consumer) {
                    self.set_preferred_layers(index, layers, now);
                }
            }
            MediaCommand::RequestKeyFrame { transport, consumer } => {
                if let Some(index) = self.consumer_on((router, transport), consumer) {
                    self.ask_for_consumer(index, now);
                }
            }
        }
    }

    /// Finds a consumer for an order, which names the transport that the consumer is on: with another one it finds nothing.
    fn consumer_on(&self, transport: (RouterId, TransportId), consumer: ConsumerId) -> Option<ConsumerIndex> {
        let on = self.transport_ids.get(&transport)?;
        let index = self.consumer_ids.get(&(transport.0, consumer)).copied()?;
        self.consumers.get(index).filter(|consumer| consumer.transport == *on).map(|_| index)
    }

    fn create_router(&mut self, id: RouterId, now: Instant) {
        if !self.router_ids.contains_key(&id) {
            let index = self.routers.insert(Router {
                id,
                transports: Vec::new(),
                audio: Vec::new(),
                mirrors: Vec::new(),
                speakers: Speakers::new(now),
                talkers: Talkers::new(self.talkers.limit()),
            });
            self.router_ids.insert(id, index);
        }
    }

    fn close_router(&mut self, id: RouterId, now: Instant) {
        let Some(index) = self.router_ids.remove(&id) else { return };
        let (transports, mirrors) = self.routers.get(index).map(|r| (r.transports.clone(), r.mirrors.clone())).unwrap_or_default();
        transports.into_iter().for_each(|transport| self.close_transport(transport, now));
        mirrors.into_iter().for_each(|mirror| self.close_producer(mirror));
        self.routers.remove(index);
    }

    fn create_transport(&mut self, router: RouterId, id: TransportId, direction: Direction, now: Instant) {
        if self.transport_ids.contains_key(&(router, id)) {
            return;
        }
        let Some((index, entry)) = self.router_ids.get(&router).and_then(|index| Some((*index, self.routers.get_mut(*index)?))) else {
            return self.report(router, MediaEvent::TransportFailed { transport: id, error: ErrorCode::NotFound.into() });
        };
        let transport = Transport::new(id, index, direction, &self.identity, now);
        let ice = transport.ice.parameters();
        let index = self.transports.insert_large(transport);
        entry.transports.push(index);
        self.transport_ids.insert((router, id), index);
        self.demux.add_ufrag(ice.username_fragment.clone(), index);
        let candidates = self.told.clone();
        let dtls = DtlsParameters { role: DtlsRole::Auto, fingerprints: vec![self.identity.fingerprint.clone()] };
        self.report(router, MediaEvent::TransportCreated { transport: id, ice, candidates, dtls });
    }

    fn connect_transport(&mut self, id: (RouterId, TransportId), dtls: &DtlsParameters, now: Instant) -> Result<(), Error> {
        let index = self.transport_ids.get(&id).copied().ok_or(ErrorCode::NotFound)?;
        let transport = self.transports.get_mut(index).ok_or(ErrorCode::NotFound)?;
        transport.connect(dtls, now)?;
        self.drive_handshake(index, now);
        Ok(())
    }

    fn restart_ice(&mut self, router: RouterId, id: TransportId) {
        let Some(index) = self.transport_ids.get(&(router, id)).copied() else { return };
        let Some(transport) = self.transports.get_mut(index) else { return };
        if let Some(ufrag) = transport.ice.restart(Credentials::random()) {
            self.demux.remove_ufrag(&ufrag);
        }
        let ice = transport.ice.parameters();
        self.demux.add_ufrag(ice.username_fragment.clone(), index);
        self.report(router, MediaEvent::IceRestarted { transport: id, ice });
    }

    /// Closes a transport, and mirrors of what arrives on it if it is on another thread.
    fn close_transport_of(&mut self, router: RouterId, id: TransportId, now: Instant) {
        if let Some(index) = self.transport_ids.get(&(router, id)).copied() {
            return self.close_transport(index, now);
        }
        let Some(router) = self.router_ids.get(&router).and_then(|index| self.routers.get(*index)) else { return };
        let comes_from_it = |index: &ProducerIndex| {
            let mirrored = self.producers.get(*index).and_then(|producer| producer.mirrored);
            mirrored.is_some_and(|mirrored| mirrored.transport == id)
        };
        let mirrors: Vec<ProducerIndex> = router.mirrors.iter().copied().filter(comes_from_it).collect();
        mirrors.into_iter().for_each(|mirror| self.close_producer(mirror));
    }

    pub(crate) fn close_transport(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        transport.handshake().close(now);
        // What its state becomes is nobody's business any more.
        while let Some((HandshakeOutput::Transmit(bytes), to)) = transport.destination.map(|to| (transport.handshake().poll(), to)) {
            self.send_buffer.push(to.path, &bytes);
        }
        let (producers, consumers) = (std::mem::take(&mut transport.producers), std::mem::take(&mut transport.consumers));
        producers.into_iter().for_each(|producer| self.close_producer(producer));
        consumers.into_iter().for_each(|consumer| self.close_consumer(consumer));
        let Some(transport) = self.transports.remove(index) else { return };
        transport.ice.ufrags().for_each(|ufrag| self.demux.remove_ufrag(ufrag));
        transport.ice.paths().for_each(|path| self.demux.unbind(path, index));
        if let Some(router) = self.routers.get_mut(transport.router) {
            self.transport_ids.remove(&(router.id, transport.id));
            router.transports.retain(|other| *other != index);
        }
    }

    fn produce(&mut self, router: RouterId, new: NewProducer, now: Instant) -> Result<(), Error> {
        let transport_index = self.transport_ids.get(&(router, new.transport)).copied().ok_or(ErrorCode::NotFound)?;
        let transport = self.transports.get_mut(transport_index).ok_or(ErrorCode::NotFound)?;
        if transport.direction != Direction::Send || self.producer_ids.contains_key(&(router, new.producer)) {
            return Err(ErrorCode::InvalidState.into());
        }
        if transport.producers.len() >= MAX_PRODUCERS_PER_TRANSPORT {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let format = ortc::check_producer(new.kind, &new.rtp)?;
        if let Some(field) = transport.receive.conflict(&new.rtp) {
            return Err(Error::invalid(field, "is used by another producer of the transport"));
        }
        transport.learn_extensions(&new.rtp)?;
        let index = self.producers.next_index();
        transport.receive.add(index, &new.rtp, Format { clock_rate: format.codec.clock_rate(), repairs: new.kind == MediaKind::Video });
        transport.producers.push(index);
        transport.limit_sent = None;
        let (router_index, cname) = (transport.router, transport.cname.clone());
        let talker = self.routers.get_mut(router_index).filter(|_| new.kind == MediaKind::Audio).map(|router| {
            router.audio.push(index);
            router.talkers.join(now)
        });
        let sender = Sender { transport: Some(transport_index), mirrored: None, cname, talker };
        let producer = Producer::new(new.producer, router_index, format, sender, now);
        self.insert_producer(router, producer.within(Some(new.max_bitrate), &new.rtp, new.paused, now));
        self.allow_packets(transport_index, now);
        Ok(())
    }

    /// Allows a transport as many packets a second as its producers may send together.
    fn allow_packets(&mut self, index: TransportIndex, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let producers = transport.producers.iter().filter_map(|producer| self.producers.get(*producer));
        let packets = producers.map(|producer| producer.limit.packets()).fold(0, u64::saturating_add);
        transport.allow(packets, now);
    }

    /// Makes the mirror of a producer that is on the thread with this number, unless it is there. Returns false if it cannot
    /// be: its router is not here, or what its client said it sends is not valid.
    pub fn mirror(&mut self, router: RouterId, id: ProducerId, origin: &Origin, thread: u16, now: Instant) -> bool {
        let Some(router_index) = self.router_ids.get(&router).copied() else { return false };
        if self.producer_ids.contains_key(&(router, id)) {
            return true;
        }
        let Ok(format) = ortc::check_producer(origin.kind, &origin.rtp) else { return false };
        let mirrored = Some(Mirrored { thread, transport: origin.transport });
        let sender = Sender { transport: None, mirrored, cname: cname(origin.transport), talker: None };
        let producer = Producer::new(id, router_index, format, sender, now);
        let index = self.insert_producer(router, producer.within(None, &origin.rtp, origin.paused, now));
        if let Some(router) = self.routers.get_mut(router_index) {
            router.mirrors.push(index);
        }
        true
    }

    fn insert_producer(&mut self, router: RouterId, producer: Producer) -> ProducerIndex {
        let id = producer.id;
        let index = self.producers.insert(producer);
        self.producer_ids.insert((router, id), index);
        index
    }

    fn set_producer_paused(&mut self, id: (RouterId, ProducerId), paused: bool, now: Instant) {
        let Some(index) = self.producer_ids.get(&id).copied() else { return };
        let Some(producer) = self.producers.get_mut(index).filter(|producer| producer.paused != paused) else { return };
        producer.paused = paused;
        producer.level = Level::default();
        producer.interrupt_audio();
        let consumers = producer.consumers.clone();
        for consumer in consumers {
            if paused {
                if let Some(consumer) = self.consumers.get_mut(consumer) {
                    consumer.interrupt();
                }
            } else {
                self.ask_for_consumer(consumer, now);
            }
        }
    }

    /// Only where it arrives: a mirror passes on what got through there.
    fn set_max_bitrate(&mut self, id: (RouterId, ProducerId), max_bitrate: u32, now: Instant) {
        let Some(producer) = self.producer_ids.get(&id).and_then(|index| self.producers.get_mut(*index)) else { return };
        let Some(transport) = producer.transport.and_then(|index| self.transports.get_mut(index)) else { return };
        producer.limit_to(max_bitrate, now);
        // The sender is told with the next tick.
        transport.limit_sent = None;
        let index = producer.transport;
        index.into_iter().for_each(|index| self.allow_packets(index, now));
    }

    pub(crate) fn close_producer(&mut self, index: ProducerIndex) {
        let Some(consumers) = self.producers.get_mut(index).map(|producer| std::mem::take(&mut producer.consumers)) else { return };
        consumers.into_iter().for_each(|consumer| self.close_consumer(consumer));
        let Some(producer) = self.producers.remove(index) else { return };
        if let Some(router) = self.routers.get_mut(producer.router) {
            self.producer_ids.remove(&(router.id, producer.id));
            router.audio.retain(|other| *other != index);
            router.mirrors.retain(|other| *other != index);
            producer.talker.into_iter().for_each(|talker| router.talkers.leave(talker));
        }
        if let Some(transport) = producer.transport.and_then(|transport| self.transports.get_mut(transport)) {
            transport.producers.retain(|other| *other != index);
            transport.receive.remove(index);
        }
    }

    fn consume(&mut self, router: RouterId, new: NewConsumer, now: Instant) -> Result<MediaEvent, Error> {
        let transport_index = self.transport_ids.get(&(router, new.transport)).copied().ok_or(ErrorCode::NotFound)?;
        let producer_index = self.producer_ids.get(&(router, new.producer)).copied().ok_or(ErrorCode::NotFound)?;
        let producer = self.producers.get(producer_index).ok_or(ErrorCode::NotFound)?;
        let cname = producer.cname.clone();
        let transport = self.transports.get_mut(transport_index).ok_or(ErrorCode::NotFound)?;
        if transport.direction != Direction::Recv || self.consumer_ids.contains_key(&(router, new.consumer)) {
            return Err(ErrorCode::InvalidState.into());
        }
        if transport.consumers.len() >= MAX_CONSUMERS_PER_TRANSPORT {
            return Err(ErrorCode::LimitExceeded.into());
        }
        new.capabilities.validate()?;
        if !ortc::can_consume(&producer.format, &new.capabilities) {
            return Err(Error::new(ErrorCode::Incompatible));
        }
        let (ssrc, rtx) = (transport.next_ssrc(), transport.next_ssrc());
        let streams = ConsumerStreams { mid: transport.next_mid(), ssrc, rtx, cname };
        let mut rtp = ortc::consumer_parameters(&producer.format, &new.capabilities, &streams).ok_or(ErrorCode::Incompatible)?;
        if let Some((codec, sets)) = rtp.codecs.first_mut().zip(producer.parameter_sets.as_deref()) {
            h264::tell(&mut codec.parameters, sets);
        }
        let repaired = rtp.encodings.first().and_then(|encoding| encoding.rtx);
        let repair = repaired.zip(producer.format.router_rtx()).map(|(rtx, payload_type)| RtxStream { ssrc: rtx.ssrc, payload_type });
        transport.prepare_estimation(&new.capabilities, producer.kind() == MediaKind::Video, now);
        let fixed = Fixed {
            id: new.consumer,
            transport: transport_index,
            producer: producer_index,
            ssrc,
            rtx: repair,
            payload_type: rtp.codecs.first().map_or(producer.format.router_payload_type(), |codec| codec.payload_type),
            takes_red: rtp.codecs.iter().skip(1).any(|codec| codec.payload_type == RED_PAYLOAD_TYPE),
            extensions: ReceiverExtensions::of(&rtp),
        };
        let index = self.consumers.insert_large(Consumer::new(fixed, producer.kind(), producer.format.codec.clock_rate(), new.paused));
        transport.sent.insert(ssrc, index);
        let stream_type = producer.format.stream_type;
        self.consumer_ids.insert((router, new.consumer), index);
        transport.consumers.push(index);
        if producer.kind() == MediaKind::Video {
            transport.pictures.push(index);
        }
        let flows = transport.is_connected();
        if let Some(producer) = self.producers.get_mut(producer_index) {
            producer.consumers.push(index);
        }
        self.update_redundancy(index);
        if self.consumers.get(index).is_some_and(|consumer| consumer.selection.is_some()) {
            self.choose_layers(transport_index, now);
        }
        if flows {
            self.ask_for_consumer(index, now);
        }
        Ok(MediaEvent::Consumed { consumer: new.consumer, rtp: Box::new(rtp), stream_type })
    }

    fn set_consumer_paused(&mut self, index: ConsumerIndex, paused: bool, now: Instant) {
        let Some(consumer) = self.consumers.get_mut(index).filter(|consumer| consumer.paused != paused) else { return };
        consumer.paused = paused;
        consumer.interrupt();
        if !paused {
            let transport = consumer.transport;
            self.choose_layers(transport, now);
            self.ask_for_consumer(index, now);
        }
    }

    pub(crate) fn close_consumer(&mut self, index: ConsumerIndex) {
        let Some(consumer) = self.consumers.remove(index) else { return };
        if let Some(producer) = self.producers.get_mut(consumer.producer) {
            producer.consumers.retain(|other| *other != index);
        }
        if consumer.takes_red && consumer.with_red {
            self.update_packer(consumer.producer);
        }
        if let Some(transport) = self.transports.get_mut(consumer.transport) {
            if let Some(router) = self.routers.get(transport.router) {
                self.consumer_ids.remove(&(router.id, consumer.id));
            }
            transport.consumers.retain(|other| *other != index);
            transport.pictures.retain(|other| *other != index);
            transport.sent.remove(consumer.ssrc);
        }
    }

    fn set_preferred_layers(&mut self, index: ConsumerIndex, layers: Layers, now: Instant) {
        let Some(consumer) = self.consumers.get_mut(index) else { return };
        consumer.preferred = OperatingPoint { spatial: layers.spatial_layer, temporal: layers.temporal_layer.unwrap_or(u8::MAX) };
        let transport = consumer.transport;
        self.choose_layers(transport, now);
        self.repeat_requests(transport, now);
    }
}
