//! Which room an event of the media plane belongs to: the plane reports ids, rooms have mailboxes.

use std::collections::{HashMap, HashSet};

use parlor_proto::{ConsumerId, MediaCommand, MediaEvent, ProducerId, RouterId, TransportId};

/// For each id of the media plane the router it belongs to; follows the commands that make and close them.
#[derive(Debug)]
pub struct Routes<M> {
    routers: HashMap<RouterId, Router<M>>,
    transports: HashMap<TransportId, Transport>,
    producers: HashMap<ProducerId, Producer>,
    consumers: HashMap<ConsumerId, Consumer>,
}

#[derive(Debug)]
struct Router<M> {
    mailbox: M,
    transports: HashSet<TransportId>,
    mirrors: HashSet<ProducerId>,
}

#[derive(Debug)]
struct Transport {
    router: RouterId,
    created: bool,
    producers: HashSet<ProducerId>,
    consumers: HashSet<ConsumerId>,
}

#[derive(Debug)]
struct Producer {
    of: Origin,
    consumers: HashSet<ConsumerId>,
}

/// Where a producer comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// A transport here.
    Transport(TransportId),
    /// Another worker, to a router here: the mirror of a producer there.
    Worker(u16, RouterId),
}

#[derive(Debug)]
struct Consumer {
    transport: TransportId,
    producer: ProducerId,
}

impl<M> Default for Routes<M> {
    fn default() -> Self {
        Self { routers: HashMap::new(), transports: HashMap::new(), producers: HashMap::new(), consumers: HashMap::new() }
    }
}

impl<M> Routes<M> {
    /// Events of this router go to this mailbox.
    pub fn open(&mut self, router: RouterId, mailbox: M) {
        self.routers.insert(router, Router { mailbox, transports: HashSet::new(), mirrors: HashSet::new() });
    }

    /// Learns from a command what will belong where.
    pub fn note_command(&mut self, command: &MediaCommand) {
        match *command {
            MediaCommand::CloseRouter { router } => self.close_router(router),
            MediaCommand::CreateTransport { router, transport, .. } => self.add_transport(router, transport),
            MediaCommand::CloseTransport { transport } => self.close_transport(transport),
            MediaCommand::Produce { transport, producer, .. } => self.add_producer(transport, producer),
            MediaCommand::CloseProducer { producer } => self.close_producer(producer),
            MediaCommand::Consume { transport, consumer, producer, .. } => self.add_consumer(transport, consumer, producer),
            MediaCommand::CloseConsumer { consumer } => self.close_consumer(consumer),
            _ => {}
        }
    }

    /// A producer on the worker with this number has a mirror here.
    pub fn note_mirror(&mut self, router: RouterId, producer: ProducerId, worker: u16) {
        if let Some(entry) = self.routers.get_mut(&router).filter(|_| !self.producers.contains_key(&producer)) {
            entry.mirrors.insert(producer);
            self.producers.insert(producer, Producer { of: Origin::Worker(worker, router), consumers: HashSet::new() });
        }
    }

    /// The worker of the producer of a mirror.
    pub fn origin_of(&self, producer: ProducerId) -> Option<u16> {
        match self.producers.get(&producer)?.of {
            Origin::Transport(_) => None,
            Origin::Worker(worker, _) => Some(worker),
        }
    }

    /// The mailbox an event goes to, if its room still exists.
    pub fn mailbox_of(&mut self, event: &MediaEvent) -> Option<&M> {
        let router = match *event {
            MediaEvent::Speakers { router, .. } | MediaEvent::RouterLost { router } => Some(router),
            MediaEvent::TransportCreated { transport, .. } => {
                let entry = self.transports.get_mut(&transport)?;
                entry.created = true;
                Some(entry.router)
            }
            MediaEvent::TransportConnected { transport }
            | MediaEvent::TransportFailed { transport, .. }
            | MediaEvent::IceRestarted { transport, .. }
            | MediaEvent::TransportState { transport, .. } => self.router_of_transport(transport),
            MediaEvent::Produced { producer } | MediaEvent::ProduceFailed { producer, .. } => {
                self.producers.get(&producer).and_then(|p| self.router_of(p.of))
            }
            MediaEvent::Consumed { consumer, .. }
            | MediaEvent::ConsumeFailed { consumer, .. }
            | MediaEvent::LayersChanged { consumer, .. } => {
                self.consumers.get(&consumer).and_then(|c| self.router_of_transport(c.transport))
            }
        }?;
        self.forget_failed(event);
        self.routers.get(&router).map(|r| &r.mailbox)
    }

    /// What could not be made needs no route any more; the rules do not close it again.
    fn forget_failed(&mut self, event: &MediaEvent) {
        match *event {
            MediaEvent::TransportFailed { transport, .. } if self.transports.get(&transport).is_some_and(|t| !t.created) => {
                self.close_transport(transport);
            }
            MediaEvent::ProduceFailed { producer, .. } => self.close_producer(producer),
            MediaEvent::ConsumeFailed { consumer, .. } => self.close_consumer(consumer),
            _ => {}
        }
    }

    fn router_of_transport(&self, transport: TransportId) -> Option<RouterId> {
        self.transports.get(&transport).map(|t| t.router)
    }

    fn router_of(&self, origin: Origin) -> Option<RouterId> {
        match origin {
            Origin::Transport(transport) => self.router_of_transport(transport),
            Origin::Worker(_, router) => Some(router),
        }
    }

    fn add_transport(&mut self, router: RouterId, transport: TransportId) {
        if let Some(entry) = self.routers.get_mut(&router) {
            entry.transports.insert(transport);
            let fresh = Transport { router, created: false, producers: HashSet::new(), consumers: HashSet::new() };
            self.transports.insert(transport, fresh);
        }
    }

    fn add_producer(&mut self, transport: TransportId, producer: ProducerId) {
        if let Some(entry) = self.transports.get_mut(&transport) {
            entry.producers.insert(producer);
            self.producers.insert(producer, Producer { of: Origin::Transport(transport), consumers: HashSet::new() });
        }
    }

    fn add_consumer(&mut self, transport: TransportId, consumer: ConsumerId, producer: ProducerId) {
        if let Some(entry) = self.transports.get_mut(&transport) {
            entry.consumers.insert(consumer);
            self.consumers.insert(consumer, Consumer { transport, producer });
            if let Some(source) = self.producers.get_mut(&producer) {
                source.consumers.insert(consumer);
            }
        }
    }

    fn close_router(&mut self, router: RouterId) {
        let Some(Router { transports, mirrors, .. }) = self.routers.remove(&router) else { return };
        transports.into_iter().for_each(|transport| self.close_transport(transport));
        mirrors.into_iter().for_each(|mirror| self.close_producer(mirror));
    }

    fn close_transport(&mut self, transport: TransportId) {
        let Some(Transport { router, producers, consumers, .. }) = self.transports.remove(&transport) else { return };
        if let Some(entry) = self.routers.get_mut(&router) {
            entry.transports.remove(&transport);
        }
        producers.into_iter().for_each(|producer| self.close_producer(producer));
        consumers.into_iter().for_each(|consumer| self.close_consumer(consumer));
    }

    fn close_producer(&mut self, producer: ProducerId) {
        let Some(Producer { of, consumers }) = self.producers.remove(&producer) else { return };
        match of {
            Origin::Transport(transport) => {
                self.transports.get_mut(&transport).into_iter().for_each(|entry| {
                    entry.producers.remove(&producer);
                });
            }
            Origin::Worker(_, router) => {
                self.routers.get_mut(&router).into_iter().for_each(|entry| {
                    entry.mirrors.remove(&producer);
                });
            }
        }
        consumers.into_iter().for_each(|consumer| self.close_consumer(consumer));
    }

    fn close_consumer(&mut self, consumer: ConsumerId) {
        let Some(Consumer { transport, producer }) = self.consumers.remove(&consumer) else { return };
        if let Some(entry) = self.transports.get_mut(&transport) {
            entry.consumers.remove(&consumer);
        }
        if let Some(entry) = self.producers.get_mut(&producer) {
            entry.consumers.remove(&consumer);
        }
    }

    #[cfg(test)]
    fn is_clear(&self) -> bool {
        self.routers.is_empty() && self.transports.is_empty() && self.producers.is_empty() && self.consumers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parlor_proto::media::{MediaKind, Source};
    use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
    use parlor_proto::transport::{Direction, TransportState};

    use super::*;

    const ROUTER: RouterId = RouterId::from_random(1);
    const SEND: TransportId = TransportId::from_random(2);
    const RECV: TransportId = TransportId::from_random(3);
    const PRODUCER: ProducerId = ProducerId::from_random(4);
    const CONSUMER: ConsumerId = ConsumerId::from_random(5);

    fn produce() -> MediaCommand {
        let rtp = RtpParameters {
            mid: None,
            codecs: Vec::new(),
            header_extensions: Vec::new(),
            encodings: Vec::new(),
            rtcp: parlor_proto::rtp::RtcpParameters::default(),
        };
        let (kind, source) = (MediaKind::Audio, Source::Mic);
        MediaCommand::Produce { transport: SEND, producer: PRODUCER, kind, source, rtp: Arc::new(rtp), paused: false, max_bitrate: 1 }
    }

    fn call() -> Routes<&'static str> {
        let mut routes = Routes::default();
        routes.open(ROUTER, "room");
        routes.note_command(&MediaCommand::CreateTransport { router: ROUTER, transport: SEND, direction: Direction::Send });
        routes.note_command(&MediaCommand::CreateTransport { router: ROUTER, transport: RECV, direction: Direction::Recv });
        routes.note_command(&produce());
        let capabilities = Arc::new(RtpCapabilities::default());
        routes.note_command(&MediaCommand::Consume {
            transport: RECV,
            consumer: CONSUMER,
            producer: PRODUCER,
            capabilities,
            paused: false,
        });
        routes
    }

    #[test]
    fn an_event_goes_to_the_room_its_object_was_made_for() {
        let mut routes = call();
        let state = TransportState::Connected;
        assert_eq!(routes.mailbox_of(&MediaEvent::TransportState { transport: RECV, state, reason: None }), Some(&"room"));
        assert_eq!(routes.mailbox_of(&MediaEvent::Produced { producer: PRODUCER }), Some(&"room"));
        assert_eq!(routes.mailbox_of(&MediaEvent::LayersChanged { consumer: CONSUMER, layers: None }), Some(&"room"));
        let stranger = ProducerId::from_random(99);
        assert_eq!(routes.mailbox_of(&MediaEvent::Produced { producer: stranger }), None);
    }

    #[test]
    fn closing_a_producer_forgets_its_consumers() {
        let mut routes = call();
        routes.note_command(&MediaCommand::CloseProducer { producer: PRODUCER });
        assert_eq!(routes.mailbox_of(&MediaEvent::LayersChanged { consumer: CONSUMER, layers: None }), None);
        assert!(routes.consumers.is_empty() && routes.producers.is_empty());
    }

    #[test]
    fn closing_a_router_leaves_nothing_behind() {
        let mut routes = call();
        routes.note_command(&MediaCommand::CloseRouter { router: ROUTER });
        assert!(routes.is_clear());
    }

    #[test]
    fn a_mirror_is_forgotten_with_its_consumers_when_it_or_its_router_closes() {
        let consume = || {
            let capabilities = Arc::new(RtpCapabilities::default());
            MediaCommand::Consume { transport: RECV, consumer: CONSUMER, producer: PRODUCER, capabilities, paused: false }
        };
        let mut routes = Routes::default();
        routes.open(ROUTER, "room");
        routes.note_command(&MediaCommand::CreateTransport { router: ROUTER, transport: RECV, direction: Direction::Recv });
        for _ in 0..2 {
            routes.note_mirror(ROUTER, PRODUCER, 3);
            routes.note_command(&consume());
            assert_eq!(routes.origin_of(PRODUCER), Some(3));
            assert_eq!(routes.mailbox_of(&MediaEvent::LayersChanged { consumer: CONSUMER, layers: None }), Some(&"room"));
            routes.note_command(&MediaCommand::CloseProducer { producer: PRODUCER });
            assert!(routes.producers.is_empty() && routes.consumers.is_empty());
            assert_eq!(routes.origin_of(PRODUCER), None);
        }
        routes.note_mirror(ROUTER, PRODUCER, 3);
        routes.note_command(&MediaCommand::CloseRouter { router: ROUTER });
        assert!(routes.is_clear());
    }

    #[test]
    fn a_producer_of_this_worker_comes_from_no_other() {
        let mut routes = call();
        routes.note_mirror(ROUTER, PRODUCER, 3);
        assert_eq!(routes.origin_of(PRODUCER), None);
    }

    #[test]
    fn what_could_not_be_made_is_forgotten_after_it_was_reported() {
        let mut routes = call();
        let error = parlor_proto::Error::new(parlor_proto::ErrorCode::Incompatible);
        assert_eq!(routes.mailbox_of(&MediaEvent::ConsumeFailed { consumer: CONSUMER, error: error.clone() }), Some(&"room"));
        assert!(routes.consumers.is_empty());
        assert_eq!(routes.mailbox_of(&MediaEvent::TransportFailed { transport: SEND, error }), Some(&"room"));
        assert!(!routes.transports.contains_key(&SEND) && routes.producers.is_empty());
    }
}
