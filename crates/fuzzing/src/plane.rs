//! A media plane that only keeps the books: what exists, what waits for an answer, whose it is.

use std::collections::BTreeMap;

use parlor_proto::ids::{ConsumerId, ProducerId, SessionId, TransportId};
use parlor_proto::media::{Layers, MediaCommand, StreamType};
use parlor_proto::transport::{Direction, IceParameters, TransportState};
use parlor_proto::{MediaEvent, RouterId};

use crate::bytes::Bytes;
use crate::requests;
use crate::rooms::{dtls, failure, stranger};

/// The books. Commands that contradict them end in a panic.
#[derive(Default)]
pub(crate) struct Plane {
    /// Whose request is being handled.
    pub(crate) acting: Option<SessionId>,
    router: Option<RouterId>,
    router_closed: bool,
    transports: BTreeMap<TransportId, (Direction, Option<SessionId>)>,
    producers: BTreeMap<ProducerId, TransportId>,
    consumers: BTreeMap<ConsumerId, (TransportId, ProducerId)>,
    waiting: Vec<Waiting>,
    answered: Vec<MediaEvent>,
}

#[derive(Clone, Copy)]
enum Waiting {
    Create(TransportId),
    Connect(TransportId),
    Restart(TransportId),
    Produce(ProducerId),
    Consume(ConsumerId),
}

impl Plane {
    pub(crate) fn command(&mut self, command: MediaCommand) {
        assert!(!self.router_closed, "{command:?} after the router was closed");
        match command {
            MediaCommand::CreateRouter { router } => assert!(self.router.replace(router).is_none(), "a second router"),
            MediaCommand::CloseRouter { router } => self.close_router(router),
            MediaCommand::CreateTransport { router, transport, direction } => {
                assert_eq!(self.router, Some(router), "a transport on a router that is not there");
                assert!(self.transports.insert(transport, (direction, self.acting)).is_none(), "a transport id is used twice");
                self.waiting.push(Waiting::Create(transport));
            }
            MediaCommand::ConnectTransport { transport, .. } => {
                self.expect_transport(transport, None);
                self.waiting.push(Waiting::Connect(transport));
            }
            MediaCommand::RestartIce { transport } => {
                self.expect_transport(transport, None);
                self.waiting.push(Waiting::Restart(transport));
            }
            MediaCommand::CloseTransport { transport } => self.close_transport(transport),
            MediaCommand::Produce { transport, producer, .. } => {
                self.expect_transport(transport, Some(Direction::Send));
                assert!(self.producers.insert(producer, transport).is_none(), "a producer id is used twice");
                self.waiting.push(Waiting::Produce(producer));
            }
            MediaCommand::CloseProducer { producer } => self.close_producer(producer),
            MediaCommand::Consume { transport, consumer, producer, .. } => {
                self.expect_transport(transport, Some(Direction::Recv));
                assert!(self.producers.contains_key(&producer), "a consumer of a producer that is not there");
                assert!(self.consumers.insert(consumer, (transport, producer)).is_none(), "a consumer id is used twice");
                self.waiting.push(Waiting::Consume(consumer));
            }
            MediaCommand::CloseConsumer { consumer } => {
                self.consumers.remove(&consumer);
            }
            // These may cross the closing of their object on the way, and then change nothing.
            MediaCommand::SetProducerPaused { .. }
            | MediaCommand::SetConsumerPaused { .. }
            | MediaCommand::SetPreferredLayers { .. }
            | MediaCommand::RequestKeyFrame { .. } => {}
        }
    }

    /// An answer to one of the commands that wait, whichever; now and then a second one to a command that was answered.
    pub(crate) fn answer(&mut self, bytes: &mut Bytes<'_>) -> Option<MediaEvent> {
        let fails = bytes.byte() < 32;
        let repeat = bytes.byte() < 16;
        if repeat && !self.answered.is_empty() {
            let which = bytes.below(self.answered.len());
            return self.answered.get(which).cloned();
        }
        if self.waiting.is_empty() {
            return None;
        }
        let waiting = self.waiting.swap_remove(bytes.below(self.waiting.len()));
        let event = if fails { failed(waiting) } else { succeeded(waiting) };
        self.answered.push(event.clone());
        Some(event)
    }

    /// Something the plane says by itself, about an object that exists or does not.
    pub(crate) fn unasked(&mut self, bytes: &mut Bytes<'_>) -> MediaEvent {
        let transports: Vec<_> = self.transports.keys().copied().collect();
        let producers: Vec<_> = self.producers.keys().copied().collect();
        let consumers: Vec<_> = self.consumers.keys().copied().collect();
        match bytes.below(4) {
            0 => {
                let states = [TransportState::Connecting, TransportState::Connected, TransportState::Disconnected, TransportState::Failed];
                let state = bytes.pick(&states).unwrap_or(TransportState::New);
                MediaEvent::TransportState { transport: bytes.pick(&transports).unwrap_or(stranger()), state }
            }
            1 => {
                let consumer = bytes.pick(&consumers).unwrap_or(ConsumerId::from_random(1));
                let layers = bytes.flag().then(|| Layers { spatial_layer: bytes.byte(), temporal_layer: None });
                MediaEvent::LayersChanged { consumer, layers }
            }
            2 => {
                let router = self.router.unwrap_or(RouterId::from_random(0));
                let heard = bytes.below(4);
                let levels = (0..heard).map(|_| (bytes.pick(&producers).unwrap_or(ProducerId::from_random(1)), -40)).collect();
                MediaEvent::Speakers { router, levels }
            }
            _ => MediaEvent::TransportFailed { transport: bytes.pick(&transports).unwrap_or(stranger()), error: failure() },
        }
    }

    /// The owners of the transports there are.
    pub(crate) fn owners(&self) -> impl Iterator<Item = SessionId> {
        self.transports.values().filter_map(|(_, owner)| *owner)
    }

    /// Nothing is left but the router.
    pub(crate) fn is_clear(&self) -> bool {
        self.router_closed || (self.transports.is_empty() && self.producers.is_empty() && self.consumers.is_empty())
    }

    /// The thread of the router died, and everything in it with the thread.
    pub(crate) fn lose_router(&mut self) {
        if let Some(router) = self.router.filter(|_| !self.router_closed) {
            self.close_router(router);
        }
    }

    fn expect_transport(&self, transport: TransportId, wanted: Option<Direction>) {
        let found = self.transports.get(&transport).map(|(direction, _)| *direction);
        assert!(found.is_some(), "a command for {transport:?}, which is not there");
        assert!(wanted.is_none() || wanted == found, "a command for {transport:?}, which goes the other way");
    }

    fn close_router(&mut self, router: RouterId) {
        assert_eq!(self.router, Some(router), "the router that closes is not there");
        self.router_closed = true;
        self.transports.clear();
        self.producers.clear();
        self.consumers.clear();
    }

    fn close_transport(&mut self, transport: TransportId) {
        self.transports.remove(&transport);
        self.consumers.retain(|_, (on, _)| *on != transport);
        let closed: Vec<_> = self.producers.iter().filter(|(_, on)| **on == transport).map(|(id, _)| *id).collect();
        for producer in closed {
            self.close_producer(producer);
        }
    }

    fn close_producer(&mut self, producer: ProducerId) {
        self.producers.remove(&producer);
        self.consumers.retain(|_, (_, of)| *of != producer);
    }
}

fn succeeded(waiting: Waiting) -> MediaEvent {
    let ice = || IceParameters { username_fragment: "ufrag".to_owned(), password: "password".to_owned(), ice_lite: true };
    match waiting {
        Waiting::Create(transport) => MediaEvent::TransportCreated { transport, ice: ice(), candidates: Vec::new(), dtls: dtls() },
        Waiting::Connect(transport) => MediaEvent::TransportConnected { transport },
        Waiting::Restart(transport) => MediaEvent::IceRestarted { transport, ice: ice() },
        Waiting::Produce(producer) => MediaEvent::Produced { producer },
        Waiting::Consume(consumer) => MediaEvent::Consumed { consumer, rtp: Box::new(requests::opus()), stream_type: StreamType::Simple },
    }
}

fn failed(waiting: Waiting) -> MediaEvent {
    let error = failure();
    match waiting {
        Waiting::Create(transport) | Waiting::Connect(transport) | Waiting::Restart(transport) => {
            MediaEvent::TransportFailed { transport, error }
        }
        Waiting::Produce(producer) => MediaEvent::ProduceFailed { producer, error },
        Waiting::Consume(consumer) => MediaEvent::ConsumeFailed { consumer, error },
    }
}
