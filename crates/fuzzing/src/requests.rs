//! Chooses requests: of every kind, with ids the world has seen, whosever they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use parlor_proto::event::Event;
use parlor_proto::ids::{ChannelId, ConsumerId, ProducerId, SessionId, TransportId};
use parlor_proto::media::{Layers, Source};
use parlor_proto::rtp::{RtcpParameters, RtpCodecParameters, RtpEncoding, RtpParameters};
use parlor_proto::{MediaKind, Request, event::Reply};
use parlor_sfu::ortc;

use crate::bytes::Bytes;
use crate::rooms::{direction, dtls, stranger};

/// Ids that were told to somebody, with their owners.
#[derive(Default)]
pub(crate) struct Pool {
    transports: BTreeMap<TransportId, SessionId>,
    producers: BTreeMap<ProducerId, Option<SessionId>>,
    consumers: BTreeMap<ConsumerId, SessionId>,
}

impl Pool {
    pub(crate) fn learn_reply(&mut self, session: SessionId, reply: &Reply) {
        match reply {
            Reply::TransportCreated { transport_id, .. } => {
                assert!(self.transports.insert(*transport_id, session).is_none(), "a transport id was given out twice");
            }
            Reply::Produced { producer_id } => {
                let known = self.producers.insert(*producer_id, Some(session)).flatten();
                assert!(known.is_none(), "a producer id was given out twice");
            }
            Reply::Consumed { consumer_id, .. } => {
                assert!(self.consumers.insert(*consumer_id, session).is_none(), "a consumer id was given out twice");
            }
            _ => {}
        }
    }

    pub(crate) fn learn_event(&mut self, event: &Event) {
        if let Event::NewProducer(info) = event {
            self.producers.entry(info.producer_id).or_insert(None);
        }
    }

    /// Who owns the object that a request acts on, where only the owner may.
    pub(crate) fn owner_of_target(&self, request: &Request) -> Option<SessionId> {
        match request {
            Request::ConnectTransport { transport, .. } | Request::RestartIce { transport } | Request::Produce { transport, .. } => {
                self.transports.get(transport).copied()
            }
            Request::Consume { transport: Some(transport), .. } => self.transports.get(transport).copied(),
            Request::PauseProducer { producer } | Request::ResumeProducer { producer } | Request::CloseProducer { producer } => {
                self.producers.get(producer).copied().flatten()
            }
            Request::PauseConsumer { consumer }
            | Request::ResumeConsumer { consumer }
            | Request::CloseConsumer { consumer }
            | Request::SetPreferredLayers { consumer, .. }
            | Request::RequestKeyFrame { consumer } => self.consumers.get(consumer).copied(),
            _ => None,
        }
    }

    fn transport(&self, bytes: &mut Bytes<'_>) -> TransportId {
        let known: Vec<_> = self.transports.keys().copied().collect();
        bytes.pick(&known).unwrap_or(stranger())
    }

    fn producer(&self, bytes: &mut Bytes<'_>) -> ProducerId {
        let known: Vec<_> = self.producers.keys().copied().collect();
        bytes.pick(&known).unwrap_or(ProducerId::from_random(1))
    }

    fn consumer(&self, bytes: &mut Bytes<'_>) -> ConsumerId {
        let known: Vec<_> = self.consumers.keys().copied().collect();
        bytes.pick(&known).unwrap_or(ConsumerId::from_random(1))
    }
}

/// A request of any kind.
pub(crate) fn choose(bytes: &mut Bytes<'_>, pool: &Pool) -> Request {
    match bytes.below(19) {
        0 => Request::Leave { channel: bytes.flag().then(|| ChannelId::new("another").expect("a valid id")) },
        1 => Request::GetRouterRtpCapabilities,
        2..=4 => Request::CreateTransport { direction: direction(bytes) },
        5 => Request::ConnectTransport { transport: pool.transport(bytes), dtls: dtls() },
        6 => Request::RestartIce { transport: pool.transport(bytes) },
        7..=8 => produce(bytes, pool),
        9 => Request::PauseProducer { producer: pool.producer(bytes) },
        10 => Request::ResumeProducer { producer: pool.producer(bytes) },
        11 => Request::CloseProducer { producer: pool.producer(bytes) },
        12..=13 => Request::Consume {
            producer: pool.producer(bytes),
            transport: bytes.flag().then(|| pool.transport(bytes)),
            capabilities: (!bytes.flag()).then(|| Arc::new(ortc::router_capabilities())),
            paused: bytes.flag(),
        },
        14 => Request::PauseConsumer { consumer: pool.consumer(bytes) },
        15 => Request::ResumeConsumer { consumer: pool.consumer(bytes) },
        16 => Request::CloseConsumer { consumer: pool.consumer(bytes) },
        17 => {
            let layers = Layers { spatial_layer: bytes.byte(), temporal_layer: bytes.flag().then(|| bytes.byte()) };
            Request::SetPreferredLayers { consumer: pool.consumer(bytes), layers }
        }
        _ => {
            let mut choice = || bytes.flag().then(|| bytes.flag());
            Request::UpdateState { muted: choice(), deafened: choice(), speaking: choice() }
        }
    }
}

fn produce(bytes: &mut Bytes<'_>, pool: &Pool) -> Request {
    let transport = pool.transport(bytes);
    let (kind, source) = match bytes.below(4) {
        0 => (MediaKind::Audio, Source::Mic),
        1 => (MediaKind::Video, Source::Camera),
        2 => (MediaKind::Video, Source::Screen),
        _ => (MediaKind::Audio, Source::Screen),
    };
    Request::Produce { transport, kind, source, rtp: Arc::new(opus()), paused: bytes.flag() }
}

/// Some valid parameters; a room does not look into them.
pub(crate) fn opus() -> RtpParameters {
    let codec = RtpCodecParameters {
        mime_type: "audio/opus".to_owned(),
        payload_type: 111,
        clock_rate: 48_000,
        channels: Some(2),
        parameters: std::collections::BTreeMap::new(),
        rtcp_feedback: Vec::new(),
    };
    RtpParameters {
        mid: Some("0".to_owned()),
        codecs: vec![codec],
        header_extensions: Vec::new(),
        encodings: vec![RtpEncoding { ssrc: Some(1), ..RtpEncoding::default() }],
        rtcp: RtcpParameters::default(),
    }
}

/// The router's codecs of these payload types, as a producer would use them.
pub(crate) fn codecs(wanted: impl Fn(u8) -> bool) -> Vec<RtpCodecParameters> {
    let all = ortc::router_capabilities().codecs.into_iter();
    all.filter_map(|codec| {
        let payload_type = codec.preferred_payload_type.filter(|pt| wanted(*pt))?;
        Some(RtpCodecParameters {
            mime_type: codec.mime_type,
            payload_type,
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            parameters: codec.parameters,
            rtcp_feedback: codec.rtcp_feedback,
        })
    })
    .collect()
}
