//! What a client can ask for, whatever dialect it speaks.

use std::sync::Arc;

use strum::{EnumDiscriminants, VariantArray};

use crate::connection::ConnectionReport;
use crate::event::ReplyKind;
use crate::ids::{ChannelId, ConsumerId, ProducerId, ResumeToken, TransportId};
use crate::media::{Layers, MediaKind, Source};
use crate::mesh::{MeshTerms, Signal, Target};
use crate::moderation::Moderation;
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters};

/// A request, well-formed but not yet allowed: every id in it is a claim.
#[derive(Clone, PartialEq, Debug, EnumDiscriminants)]
#[strum_discriminants(name(RequestKind), doc = "Which request it is.", derive(Hash, VariantArray), allow(missing_docs))]
pub enum Request {
    /// Enter a channel.
    Join {
        /// The channel it is about.
        channel: ChannelId,
        /// What the client can decode, if it knows already; `Consume` may bring it later.
        capabilities: Option<Arc<RtpCapabilities>>,
        /// Whether the user's other session in this channel, if there is one, is to be put out for it.
        take_over: bool,
        /// What the client can do with mesh calls.
        mesh: MeshTerms,
    },
    /// Leave the channel.
    Leave {
        /// The channel, if the client names one; it must be the one the session is in.
        channel: Option<ChannelId>,
    },
    /// Ask what the SFU can forward.
    GetRouterRtpCapabilities,
    /// Ask for the STUN and TURN servers anew, before a credential ends.
    GetIceServers,
    /// Make a transport.
    CreateTransport {
        /// Which way the transport carries media; a session has one of each at the most.
        direction: Direction,
    },
    /// Give a transport the client's DTLS parameters.
    ConnectTransport {
        /// The transport it is about.
        transport: TransportId,
        /// The client's DTLS parameters.
        dtls: DtlsParameters,
    },
    /// Get new ICE credentials for a transport, after the client's network changed.
    RestartIce {
        /// The transport it is about.
        transport: TransportId,
    },
    /// Close a transport with all that is on it; another may be made then.
    CloseTransport {
        /// The transport it is about.
        transport: TransportId,
    },
    /// Start to send a track.
    Produce {
        /// The send transport to send it on.
        transport: TransportId,
        /// Whether the track is sound or picture.
        kind: MediaKind,
        /// What the track shows or lets hear.
        source: Source,
        /// The RTP parameters it will be sent with.
        rtp: Arc<RtpParameters>,
        /// Whether the producer begins paused.
        paused: bool,
    },
    /// Stop sending a track for now.
    PauseProducer {
        /// The producer it is about.
        producer: ProducerId,
    },
    /// Send a paused track again.
    ResumeProducer {
        /// The producer it is about.
        producer: ProducerId,
    },
    /// Stop sending it for good.
    CloseProducer {
        /// The producer it is about.
        producer: ProducerId,
    },
    /// Start to receive somebody's track.
    Consume {
        /// The producer to receive.
        producer: ProducerId,
        /// On which transport; the session's receive transport if not said.
        transport: Option<TransportId>,
        /// What the client can decode; what it said at join if not said.
        capabilities: Option<Arc<RtpCapabilities>>,
        /// Whether the consumer begins paused.
        paused: bool,
    },
    /// Stop receiving a track for now.
    PauseConsumer {
        /// The consumer it is about.
        consumer: ConsumerId,
    },
    /// Receive a paused track again.
    ResumeConsumer {
        /// The consumer it is about.
        consumer: ConsumerId,
    },
    /// Stop receiving it for good.
    CloseConsumer {
        /// The consumer it is about.
        consumer: ConsumerId,
    },
    /// Say which layers of a track are wanted at the most.
    SetPreferredLayers {
        /// The consumer it is about.
        consumer: ConsumerId,
        /// The highest layers that are wanted.
        layers: Layers,
    },
    /// Ask for a key frame, after a decoder lost its way.
    RequestKeyFrame {
        /// The consumer it is about.
        consumer: ConsumerId,
    },
    /// Tell the room how one is. What is left out stays as it is.
    UpdateState {
        /// Nothing of the microphone is to be heard.
        muted: Option<bool>,
        /// Nothing of the others is heard here.
        deafened: Option<bool>,
        /// The client hears its user speak.
        speaking: Option<bool>,
    },
    /// Take up again what the user's own connection left when it broke.
    Resume {
        /// The channel it is about.
        channel: ChannelId,
        /// The token that the reply to the join has.
        token: ResumeToken,
    },
    /// Ask for a video slot: it is granted at once, or as soon as it is one's turn.
    RequestSlot {
        /// For the camera or the screen.
        source: Source,
    },
    /// Give a slot back, or stop waiting for one.
    ReleaseSlot {
        /// For the camera or the screen.
        source: Source,
    },
    /// Moderate the call.
    Moderate {
        /// The act of moderation.
        action: Moderation,
    },
    /// Offer another participant of a mesh call a connection.
    MeshOffer {
        /// The participant it is for.
        to: Target,
        /// The session description.
        signal: Signal,
    },
    /// Answer another participant's offer.
    MeshAnswer {
        /// The participant it is for.
        to: Target,
        /// The session description.
        signal: Signal,
    },
    /// Tell another participant an address that can be tried.
    MeshIce {
        /// The participant it is for.
        to: Target,
        /// The candidate.
        signal: Signal,
    },
    /// Tell how a media connection came about, or why it did not: for the log and the counters, and for nothing else.
    ReportConnection {
        /// Which connection it is.
        of: Connection,
        /// What the client tells of it.
        report: Box<ConnectionReport>,
    },
    /// Ask for a sign of life, in a channel or before any.
    Ping {
        /// A number that the answer is to repeat, so that a client with several pings under way knows which one it is for.
        echo: Option<u32>,
    },
}

/// A media connection, as its client knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Connection {
    /// To the SFU, by this transport.
    Transport(TransportId),
    /// To another participant of a mesh call.
    Peer(Target),
}

impl Request {
    /// Whether everybody else in the room is told of it if it succeeds: such requests have a limit of their own. Joins and goodbyes are
    /// limited by what they cost.
    #[must_use]
    pub const fn is_announced(&self) -> bool {
        match self {
            Self::UpdateState { .. }
            | Self::Produce { .. }
            | Self::PauseProducer { .. }
            | Self::ResumeProducer { .. }
            | Self::CloseProducer { .. }
            | Self::RequestSlot { .. }
            | Self::ReleaseSlot { .. }
            | Self::Moderate { .. } => true,
            Self::Join { .. }
            | Self::Resume { .. }
            | Self::Ping { .. }
            | Self::ReportConnection { .. }
            // Told to one participant; a mesh call has a limit for each pair.
            | Self::MeshOffer { .. }
            | Self::MeshAnswer { .. }
            | Self::MeshIce { .. }
            | Self::Leave { .. }
            | Self::GetRouterRtpCapabilities
            | Self::GetIceServers
            | Self::CreateTransport { .. }
            | Self::ConnectTransport { .. }
            | Self::RestartIce { .. }
            | Self::CloseTransport { .. }
            | Self::Consume { .. }
            | Self::PauseConsumer { .. }
            | Self::ResumeConsumer { .. }
            | Self::CloseConsumer { .. }
            | Self::SetPreferredLayers { .. }
            | Self::RequestKeyFrame { .. } => false,
        }
    }
}

impl RequestKind {
    /// The reply to a request of this kind that succeeds.
    #[must_use]
    pub const fn reply(self) -> ReplyKind {
        match self {
            Self::Join => ReplyKind::Joined,
            Self::Leave => ReplyKind::Left,
            Self::GetRouterRtpCapabilities => ReplyKind::RouterRtpCapabilities,
            Self::GetIceServers => ReplyKind::IceServers,
            Self::CreateTransport => ReplyKind::TransportCreated,
            Self::ConnectTransport => ReplyKind::TransportConnected,
            Self::RestartIce => ReplyKind::IceRestarted,
            Self::CloseTransport => ReplyKind::TransportClosed,
            Self::Produce => ReplyKind::Produced,
            Self::PauseProducer => ReplyKind::ProducerPaused,
            Self::ResumeProducer => ReplyKind::ProducerResumed,
            Self::CloseProducer => ReplyKind::ProducerClosed,
            Self::Consume => ReplyKind::Consumed,
            Self::PauseConsumer => ReplyKind::ConsumerPaused,
            Self::ResumeConsumer => ReplyKind::ConsumerResumed,
            Self::CloseConsumer => ReplyKind::ConsumerClosed,
            Self::SetPreferredLayers => ReplyKind::PreferredLayersSet,
            Self::RequestKeyFrame => ReplyKind::KeyFrameRequested,
            Self::UpdateState => ReplyKind::StateUpdated,
            Self::Resume => ReplyKind::Resumed,
            Self::RequestSlot | Self::ReleaseSlot => ReplyKind::Slot,
            Self::Moderate => ReplyKind::Moderated,
            Self::MeshOffer | Self::MeshAnswer | Self::MeshIce => ReplyKind::MeshRelayed,
            Self::ReportConnection => ReplyKind::ConnectionReported,
            Self::Ping => ReplyKind::Pong,
        }
    }
}
