//! What the rules tell the media plane to do, and what it answers: the only thing the two share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ids::{ConsumerId, ProducerId, TransportId};
pub use crate::media_kind::MediaKind;
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, Protocol, TransportFailure, TransportState};

/// What a producer shows or lets hear; decides permissions and limits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Sound of a microphone.
    Mic,
    /// Picture of a camera.
    Camera,
    /// A shared screen (or the sound that comes with it).
    Screen,
}

/// A source of pictures: what needs one of the channel's video slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum VideoSource {
    /// Picture of a camera.
    Camera,
    /// Picture of a shared screen.
    Screen,
}

impl From<VideoSource> for Source {
    fn from(source: VideoSource) -> Self {
        match source {
            VideoSource::Camera => Self::Camera,
            VideoSource::Screen => Self::Screen,
        }
    }
}

/// A layer of a simulcast or SVC stream; 0 is the smallest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Layers {
    /// The layer of picture size.
    pub spatial_layer: u8,
    /// Frame rate; `None` where the stream has no temporal layers or all are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temporal_layer: Option<u8>,
}

/// How a producer offers its quality levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StreamType {
    /// One stream, one quality.
    Simple,
    /// Several streams of the same picture.
    Simulcast,
    /// One stream with layers inside.
    Svc,
}

/// An order to the media plane. It is given together with the [`RouterId`](crate::RouterId) it is for, and reaches only
/// what belongs to that router. Ids are made by the rules; commands for ids the router does not know (because they
/// closed a moment ago) change nothing.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaCommand {
    /// Makes the router this command is for.
    CreateRouter,
    /// Closes the router and all in it. Nothing is answered, no further event of it follows.
    CloseRouter,
    /// Makes a transport; answered by `TransportCreated` or `TransportFailed`.
    CreateTransport {
        /// The new transport's id.
        transport: TransportId,
        /// Which way the transport carries media, seen from the client.
        direction: Direction,
    },
    /// Gives the client's DTLS parameters; answered by `TransportConnected` or `TransportFailed`.
    ConnectTransport {
        /// The transport to connect.
        transport: TransportId,
        /// What the client said.
        dtls: DtlsParameters,
    },
    /// New ICE credentials; answered by `IceRestarted`.
    RestartIce {
        /// The transport to restart.
        transport: TransportId,
    },
    /// Closes a transport with its producers and consumers. Nothing is answered.
    CloseTransport {
        /// The transport to close.
        transport: TransportId,
    },
    /// Starts to take a track; answered by `Produced` or `ProduceFailed`.
    Produce {
        /// The send transport it arrives on.
        transport: TransportId,
        /// The new producer's id.
        producer: ProducerId,
        /// Whether the track is sound or picture.
        kind: MediaKind,
        /// What the track shows or lets hear.
        source: Source,
        /// What the client says it will send; validated on its own, not yet against other producers.
        rtp: Arc<RtpParameters>,
        /// Whether the producer begins paused.
        paused: bool,
        /// The bitrate the sender may use, in bit/s; enforced on what arrives.
        max_bitrate: u32,
    },
    /// Stops or goes on forwarding what a producer sends.
    SetProducerPaused {
        /// The producer to pause or resume.
        producer: ProducerId,
        /// Whether it is to be silent.
        paused: bool,
    },
    /// Sets the bitrate a producer may use from now on, because its owner's tier changed. Nothing is answered.
    SetProducerMaxBitrate {
        /// The producer whose bitrate is set.
        producer: ProducerId,
        /// In bit/s; enforced on what arrives.
        max_bitrate: u32,
    },
    /// Closes a producer and every consumer of it. Nothing is answered.
    CloseProducer {
        /// The producer to close.
        producer: ProducerId,
    },
    /// Starts to send a producer's track to somebody; answered by `Consumed` or `ConsumeFailed`.
    Consume {
        /// The receive transport to send on.
        transport: TransportId,
        /// The new consumer's id.
        consumer: ConsumerId,
        /// The producer to send from.
        producer: ProducerId,
        /// Enough of the producer to forward it on another thread.
        origin: Origin,
        /// What the receiver can decode.
        capabilities: Arc<RtpCapabilities>,
        /// Whether the consumer begins paused.
        paused: bool,
    },
    /// Stops or goes on sending.
    SetConsumerPaused {
        /// The receive transport it sends on.
        transport: TransportId,
        /// The receive transport that carries the consumer.
        consumer: ConsumerId,
        /// Whether it is to be silent.
        paused: bool,
    },
    /// Stops sending for good. Nothing is answered.
    CloseConsumer {
        /// The receive transport it sends on.
        transport: TransportId,
        /// The consumer the command is for.
        consumer: ConsumerId,
    },
    /// The layers a receiver wants at the most. Nothing is answered; `LayersChanged` follows when they change.
    SetPreferredLayers {
        /// The receive transport it sends on.
        transport: TransportId,
        /// The consumer the command is for.
        consumer: ConsumerId,
        /// The highest layers to send.
        layers: Layers,
    },
    /// Asks the producer's sender for a key frame (throttled).
    RequestKeyFrame {
        /// The receive transport it sends on.
        transport: TransportId,
        /// The consumer that needs the key frame.
        consumer: ConsumerId,
    },
}

/// What a producer was made of: enough to forward it where it has not been made, on another thread of its router.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin {
    /// The send transport of its sender.
    pub transport: TransportId,
    /// Whether the producer is sound or picture.
    pub kind: MediaKind,
    /// What the producer's client says it sends, as it was when the producer was made.
    pub rtp: Arc<RtpParameters>,
    /// Whether nothing of it is forwarded at the moment.
    pub paused: bool,
}

/// What the media plane reports, together with the [`RouterId`](crate::RouterId) it is about.
#[derive(Clone, PartialEq, Debug)]
pub enum MediaEvent {
    /// A transport is there.
    TransportCreated {
        /// The transport it is about.
        transport: TransportId,
        /// The server's ICE credentials for it.
        ice: IceParameters,
        /// The addresses at which the server can be reached.
        candidates: Vec<IceCandidate>,
        /// The server's DTLS parameters for it.
        dtls: DtlsParameters,
    },
    /// The client's DTLS parameters are in place; the handshake may begin.
    TransportConnected {
        /// The transport it is about.
        transport: TransportId,
    },
    /// Creating or connecting a transport did not work.
    TransportFailed {
        /// The transport it is about.
        transport: TransportId,
        /// What went wrong, as the client is told.
        error: Error,
    },
    /// The transport has new ICE credentials.
    IceRestarted {
        /// The transport it is about.
        transport: TransportId,
        /// The new credentials.
        ice: IceParameters,
    },
    /// ICE or DTLS of a transport moved on.
    TransportState {
        /// The transport it is about.
        transport: TransportId,
        /// The state the transport is in now.
        state: TransportState,
        /// What carries the packets to the client, if that is known.
        protocol: Option<Protocol>,
        /// The reason, if the transport failed.
        reason: Option<TransportFailure>,
    },
    /// A producer is there.
    Produced {
        /// The producer it is about.
        producer: ProducerId,
    },
    /// A producer could not be made.
    ProduceFailed {
        /// The producer it is about.
        producer: ProducerId,
        /// What went wrong, as the client is told.
        error: Error,
    },
    /// A consumer is there.
    Consumed {
        /// The consumer it is about.
        consumer: ConsumerId,
        /// The RTP parameters its receiver will get.
        rtp: Box<RtpParameters>,
        /// How the consumer's quality can be chosen.
        stream_type: StreamType,
    },
    /// A consumer could not be made.
    ConsumeFailed {
        /// The consumer it is about.
        consumer: ConsumerId,
        /// What went wrong, as the client is told.
        error: Error,
    },
    /// Other layers are sent from now on; `None` while nothing is.
    LayersChanged {
        /// The consumer it is about.
        consumer: ConsumerId,
        /// The layers that are sent now.
        layers: Option<Layers>,
    },
    /// The producers that are heard, loudest first; at most a few times a second, and once more, empty, when all are silent.
    Speakers {
        /// The audio producers heard, with their level in dBov (-127 to 0).
        levels: Vec<(ProducerId, i8)>,
    },
    /// The media thread of the router died; all in it is gone.
    RouterLost,
}
