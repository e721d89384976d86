//! What the server says: replies to requests, and events pushed to a session or a room.

mod ice;
mod reasons;

use std::sync::Arc;

use serde::Serialize;
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use crate::ids::{ChannelId, ConsumerId, PeerId, ProducerId, ResumeToken, TransportId, UserId};
#[cfg(test)]
use crate::media::VideoSource;
use crate::media::{Layers, MediaKind, Source, StreamType};
use crate::mesh::{MeshCandidate, MeshDescription, MeshLinks, MeshPeer};
use crate::moderation::{ModerationAction, Restrictions};
use crate::people::{Permissions, Role};
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, TransportFailure, TransportState};
pub use ice::{IceServer, IceSetup, IceTransportPolicy, RtcConfig};
pub use reasons::{CloseReason, EntitlementReason, LeftReason};

/// A track somebody sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProducerInfo {
    /// The producer's id, with which it is consumed.
    pub producer_id: ProducerId,
    /// The user who sends it.
    pub user_id: UserId,
    /// Whether the track is sound or picture.
    pub kind: MediaKind,
    /// The `appData` that was given with `produce`.
    pub app_data: AppData,
    /// Whether the sender has paused the track: nothing is sent at the moment.
    pub paused: bool,
}

/// The part of a producer's `appData` that the server understands and passes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AppData {
    /// What the track shows.
    pub source: Source,
}

/// What a participant says of themselves, and what moderators have taken from them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ParticipantState {
    /// Whether the participant's microphone is off.
    pub muted: bool,
    /// Whether the participant hears nobody.
    pub deafened: bool,
    /// Whether the participant speaks at the moment, by the client's own account.
    pub speaking: bool,
    /// What moderators have silenced of the participant.
    pub server_muted: ServerMuted,
    /// Whether a moderator lets the participant hear nothing.
    pub server_deafened: bool,
}

/// What moderators have silenced of a participant: nothing of it passes the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerMuted {
    /// Whether every sound is silenced.
    pub audio: bool,
    /// Whether the camera is.
    pub video: bool,
    /// Whether the shared screen is, picture and sound.
    pub screen: bool,
}

impl ParticipantState {
    /// The part of the state that moderators decide.
    #[must_use]
    pub const fn restrictions(self) -> Restrictions {
        let ServerMuted { audio, video, screen } = self.server_muted;
        Restrictions { audio, video, screen, deafened: self.server_deafened }
    }

    /// This state under other restrictions. Nobody hears who is silenced, so to the others they do not speak.
    #[must_use]
    pub const fn restricted(self, restrictions: Restrictions) -> Self {
        let Restrictions { audio, video, screen, deafened } = restrictions;
        let server_muted = ServerMuted { audio, video, screen };
        Self { speaking: self.speaking && !audio, server_muted, server_deafened: deafened, ..self }
    }
}

/// A participant of a channel, as the others see them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The participant's user id.
    pub user_id: UserId,
    /// The name to show.
    pub name: String,
    /// Whether they are muted, deafened, speaking or restricted.
    #[serde(flatten)]
    pub state: ParticipantState,
    /// Whether the participant may speak, or listens only.
    pub role: Role,
    /// Whether the participant may moderate.
    pub moderator: bool,
    /// The tracks the participant sends.
    pub producers: Vec<ProducerInfo>,
    /// How to connect to the participant, in a mesh call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshPeer>,
}

/// Whether media is encrypted end to end, or recorded. Both are off until the features exist; the fields
/// are there so that a client can always say truly which it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// It is off.
    #[default]
    Off,
}

/// The way that the media of a call takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, IntoStaticStr)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum CallTopology {
    /// By the SFU.
    Sfu,
    /// From client to client.
    Mesh,
}

/// Everything a client needs to go on after it joined, in one message.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The channel the client is in now.
    pub channel_id: ChannelId,
    /// The channel's name for people.
    pub channel_name: String,
    /// The way that media takes.
    pub topology: CallTopology,
    /// An opaque name of the SFU that holds the room.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sfu_endpoint: Option<String>,
    /// How many links a mesh call has, with the client's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<MeshLinks>,
    /// The client's own user id, as the others see it.
    pub user_id: UserId,
    /// The other participants, with what they send.
    pub participants: Vec<Participant>,
    /// What the client may do in the channel.
    pub permissions: Permissions,
    /// What the client's peer connections are made with.
    #[serde(flatten)]
    pub ice: IceSetup,
    /// What `getRouterRtpCapabilities` would answer: saves a round trip. A mesh call has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub router_rtp_capabilities: Option<Arc<RtpCapabilities>>,
    /// Whether this channel is encrypted end to end.
    pub e2ee: Policy,
    /// Whether this channel is recorded.
    pub recording: Policy,
    /// Whether the client may speak, or listens only.
    pub role: Role,
    /// Whether the client may moderate.
    pub moderator: bool,
    /// The client's own state: what moderators decided before holds from the first moment.
    pub state: ParticipantState,
    /// The video slots of the channel.
    pub video_slots: VideoSlots,
    /// The token with which another connection resumes this session after its own was lost.
    pub resume_token: ResumeToken,
    /// For how many milliseconds after the loss the session can be resumed; 0 if it cannot.
    pub resume_grace_ms: u64,
    /// Whether this session was resumed; otherwise it is a new one.
    pub resumed: bool,
}

/// Everything a client needs to go on after it resumed its session.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Resumed {
    /// The channel as it is now.
    #[serde(flatten)]
    pub joined: Joined,
    /// The client's own objects that are still there.
    pub own: Own,
}

/// How many videos are shown in the channel, and how many can be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VideoSlots {
    /// How many slots are taken.
    pub current: u32,
    /// How many slots there are.
    pub max: u32,
}

/// What a session has that outlived its connection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Own {
    /// Ids of the transports that are still there.
    pub transports: Vec<TransportId>,
    /// Ids of the producers that are still there.
    pub producers: Vec<ProducerId>,
    /// Ids of the consumers that are still there.
    pub consumers: Vec<ConsumerId>,
    /// The sources that still have a video slot.
    #[cfg_attr(test, schemars(with = "Vec<VideoSource>"))]
    pub slots: Vec<Source>,
}

/// What became of a request for a video slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SlotStatus {
    /// The session has the slot.
    Granted,
    /// The session waits for a slot.
    Queued,
    /// The session neither has a slot nor waits for one.
    Released,
}

/// The answer to a request that succeeded.
#[derive(Clone, PartialEq, Debug, Serialize, EnumDiscriminants)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[strum_discriminants(name(ReplyKind), doc = "Which reply it is.", derive(Hash, VariantArray), allow(missing_docs))]
#[serde(untagged, rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "each field is what its name says; docs/protocol/socketio.md has them all")]
pub enum Reply {
    /// The client has joined the channel.
    Joined(Box<Joined>),
    /// The client goes on with its session, as if it had not been away.
    Resumed(Box<Resumed>),
    /// The client has left the channel.
    Left { channel_id: ChannelId },
    /// What the SFU can forward.
    RouterRtpCapabilities { rtp_capabilities: Arc<RtpCapabilities> },
    /// What peer connections are made with from now on.
    IceServers {
        #[serde(flatten)]
        ice: IceSetup,
    },
    /// A new transport, and what the client needs to connect to it.
    TransportCreated {
        #[serde(rename = "id")]
        transport_id: TransportId,
        direction: Direction,
        ice_parameters: IceParameters,
        ice_candidates: Vec<IceCandidate>,
        dtls_parameters: DtlsParameters,
    },
    /// The server has the client's DTLS parameters.
    TransportConnected { transport_id: TransportId },
    /// The transport's new ICE credentials.
    IceRestarted { transport_id: TransportId, ice_parameters: IceParameters },
    /// The transport is closed.
    TransportClosed { transport_id: TransportId },
    /// The id of the new producer.
    Produced { producer_id: ProducerId },
    /// The producer is paused.
    ProducerPaused { producer_id: ProducerId },
    /// The producer is no longer paused.
    ProducerResumed { producer_id: ProducerId },
    /// The producer is closed.
    ProducerClosed { producer_id: ProducerId },
    /// A new consumer: what `mediasoup-client`'s `transport.consume` takes, and whose track it is.
    Consumed {
        /// The consumer's id, under the name `mediasoup-client` reads.
        id: ConsumerId,
        /// The consumer's id, under the name every request about a consumer has for it.
        consumer_id: ConsumerId,
        producer_id: ProducerId,
        user_id: UserId,
        kind: MediaKind,
        rtp_parameters: Box<RtpParameters>,
        #[serde(rename = "type")]
        stream_type: StreamType,
        app_data: AppData,
        paused: bool,
        producer_paused: bool,
    },
    /// The consumer is paused.
    ConsumerPaused { consumer_id: ConsumerId },
    /// The consumer is no longer paused.
    ConsumerResumed { consumer_id: ConsumerId },
    /// The consumer is closed.
    ConsumerClosed { consumer_id: ConsumerId },
    /// The layers the client now gets at the most.
    PreferredLayersSet {
        consumer_id: ConsumerId,
        #[serde(flatten)]
        layers: Layers,
    },
    /// A key frame is asked for, or has been a moment ago.
    KeyFrameRequested { consumer_id: ConsumerId },
    /// The client's own state, as the others see it now.
    StateUpdated {
        #[serde(flatten)]
        state: ParticipantState,
    },
    /// What became of the request for a slot; `position` counts those who wait, from 1, and is null for who does not wait.
    Slot {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        status: SlotStatus,
        position: Option<u32>,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// The act of moderation is done; `userId` is null when it concerned everybody.
    Moderated { action: ModerationAction, user_id: Option<UserId> },
    /// The message has been passed on to this participant.
    MeshRelayed { user_id: UserId },
    /// What was told of a connection is noted: of this transport, or of the one to this participant.
    ConnectionReported {
        #[serde(skip_serializing_if = "Option::is_none")]
        transport_id: Option<TransportId>,
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<UserId>,
    },
    /// A sign of life, with the time of day at the server in milliseconds since 1970 (UTC); `echo` is null if the ping had none.
    Pong { echo: Option<u32>, server_time_ms: i64 },
}

/// Something a client is told without having asked.
#[derive(Clone, PartialEq, Debug, Serialize, EnumDiscriminants)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[strum_discriminants(name(EventKind), doc = "Which event it is.", derive(Hash, VariantArray), allow(missing_docs))]
#[serde(untagged, rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "each field is what its name says; docs/protocol/socketio.md has them all")]
pub enum Event {
    /// A participant has joined the channel.
    ParticipantJoined(Participant),
    /// A participant has left the channel.
    ParticipantLeft {
        user_id: UserId,
        /// The name the participant had.
        #[serde(skip)]
        name: String,
        /// The id of the stay, if it was a mesh call.
        #[serde(skip)]
        peer_id: Option<PeerId>,
    },
    /// A participant's state has changed.
    ParticipantState {
        user_id: UserId,
        #[serde(flatten)]
        state: ParticipantState,
    },
    /// A participant sends a new track, which can be consumed now.
    NewProducer(ProducerInfo),
    /// A producer is closed, and its consumers with it; `reason` is there when the server closed it.
    ProducerClosed {
        producer_id: ProducerId,
        user_id: UserId,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<CloseReason>,
    },
    /// A producer is paused.
    ProducerPaused { producer_id: ProducerId, user_id: UserId },
    /// A producer is no longer paused.
    ProducerResumed { producer_id: ProducerId, user_id: UserId },
    /// The participants who are heard, loudest first; empty when all are silent.
    ActiveSpeakers { speakers: Vec<Speaker> },
    /// The state of one of the client's own transports has changed.
    TransportState {
        transport_id: TransportId,
        state: TransportState,
        /// Why the transport failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<TransportFailure>,
    },
    /// One of the client's own consumers gets other layers now; null while it gets nothing.
    LayersChanged { consumer_id: ConsumerId, layers: Option<Layers> },
    /// The server has put the client out of the channel. `rejoin` says whether to join again at once; `to` is where a
    /// moderator sends the user.
    Left {
        channel_id: ChannelId,
        reason: LeftReason,
        rejoin: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<ChannelId>,
    },
    /// The client has the slot it waited for, and can produce now.
    SlotGranted {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// The client's place among those who wait for a slot has changed; it counts from 1.
    SlotQueue {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        position: u32,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// The client may do more or less than before.
    Entitlement { permissions: Permissions, reason: EntitlementReason },
    /// How many links a mesh call has now, because somebody came or left.
    MeshLinks(MeshLinks),
    /// Another participant of the mesh call offers a connection.
    MeshOffer(MeshDescription),
    /// Another participant answers the client's offer.
    MeshAnswer(MeshDescription),
    /// Another participant names an address that can be tried.
    MeshIce(MeshCandidate),
    /// A moderator has done something to the client's user; `byUserId` is null when it was not a participant.
    Moderation { action: ModerationAction, by_user_id: Option<UserId>, restrictions: Restrictions, reason: Option<String> },
}

/// A participant who is heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    /// The participant's user id.
    pub user_id: UserId,
    /// The producer that is heard.
    pub producer_id: ProducerId,
    /// How loud it is, in dBov: -127 (silence) to 0.
    pub level: i8,
}
