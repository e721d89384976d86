//! What the server says: replies to requests, and events pushed to a session or a room.

use std::sync::Arc;

use serde::Serialize;
use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use crate::channel::{Channel, Privacy};
use crate::ids::{ChannelId, ConsumerId, PeerId, ProducerId, ResumeToken, TransportId, UserId};
#[cfg(test)]
use crate::media::VideoSource;
use crate::media::{Layers, MediaKind, Source, StreamType};
use crate::mesh::{MeshCandidate, MeshDescription, MeshLinks, MeshPeer};
use crate::moderation::{ModerationAction, Restrictions};
use crate::people::{Permissions, Role};
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, TransportFailure, TransportState};

/// A server a client may ask for its own address or a relay (`RTCIceServer` of the browser).
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IceServer {
    /// The server's addresses: `stun:`, `turn:` or `turns:`.
    pub urls: Vec<String>,
    /// The user name at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password at a TURN server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The password never reaches a log.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).field("username", &self.username).finish_non_exhaustive()
    }
}

/// Whether the client may try every candidate or relays only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum IceTransportPolicy {
    /// Every candidate is tried.
    #[default]
    All,
    /// Only relays are used: the server does not learn the client's address.
    Relay,
}

impl IceTransportPolicy {
    /// What holds in a channel, where this is what holds in all: a channel can be stricter.
    #[must_use]
    pub const fn within(self, channel: &Channel) -> Self {
        match channel.privacy {
            Privacy::Relay => Self::Relay,
            Privacy::Standard => self,
        }
    }
}

/// What a client's `RTCPeerConnection` is made with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtcConfig {
    /// STUN and TURN servers; none are needed where the client reaches the SFU directly.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates the client may try.
    pub ice_transport_policy: IceTransportPolicy,
}

/// What a client's peer connections are made with, and how long the TURN credential in it lasts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct IceSetup {
    /// What the client's peer connections are made with.
    pub rtc_config: RtcConfig,
    /// When the TURN credential ends (RFC 3339); null when there is none that ends.
    pub turn_credential_expires_at: Option<String>,
    /// In how many seconds it ends, for who does not trust their clock; null when there is none that ends.
    pub turn_credential_ttl: Option<u32>,
}

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

/// Why the server closed a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// The tier of its owner, or of the channel, does not include such a producer any more.
    Entitlement,
    /// A moderator silenced its owner or put them out.
    Moderation,
    /// The transport it was on failed.
    Media,
}

impl CloseReason {
    /// The reason as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entitlement => "entitlement",
            Self::Moderation => "moderation",
            Self::Media => "media",
        }
    }
}

/// Why permissions changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EntitlementReason {
    /// What the user has paid for has ended.
    Expired,
    /// The host application has changed it.
    Changed,
}

/// Why a session was put out of its room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LeftReason {
    /// The media thread of the room died.
    MediaLost,
    /// The server is shutting down.
    ShuttingDown,
    /// A moderator put the user out; they may come back.
    Kicked,
    /// A moderator banned the user, who cannot come back for now.
    Banned,
    /// A moderator sends the user to another channel.
    Moved,
    /// A moderator ended the call.
    CallEnded,
    /// The host application has signed the user out.
    SessionRevoked,
    /// The channel was deleted.
    ChannelDeleted,
    /// The user may not be in the channel any more.
    AccessLost,
    /// The user resumed the session on another connection.
    Replaced,
    /// The way that the channel's media takes was changed.
    TopologyChanged,
    /// The user joined with another connection: a user is in one channel at a time, over all devices.
    MovedDevice,
}

impl LeftReason {
    /// The reason as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MediaLost => "media-lost",
            Self::ShuttingDown => "shutting-down",
            Self::Kicked => "kicked",
            Self::Banned => "banned",
            Self::Moved => "moved",
            Self::CallEnded => "call-ended",
            Self::SessionRevoked => "session-revoked",
            Self::ChannelDeleted => "channel-deleted",
            Self::AccessLost => "access-lost",
            Self::Replaced => "replaced",
            Self::TopologyChanged => "topology-changed",
            Self::MovedDevice => "moved-device",
        }
    }

    /// Whether what the user was given for calls is taken back, relays for one: somebody decided that they may not be here.
    #[must_use]
    pub const fn takes_access(self) -> bool {
        matches!(self, Self::Kicked | Self::Banned | Self::SessionRevoked | Self::AccessLost)
    }

    /// Whether a client should join again by itself. Where a person decided, a person decides to come back.
    #[must_use]
    pub const fn rejoin(self) -> bool {
        matches!(self, Self::MediaLost | Self::ShuttingDown | Self::TopologyChanged)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_shows_a_relay_password() {
        let server = IceServer { urls: vec!["turn:x".into()], username: Some("u".into()), credential: Some("hush".into()) };
        let shown = format!("{:?}", RtcConfig { ice_servers: vec![server], ..RtcConfig::default() });
        assert!(shown.contains("turn:x") && !shown.contains("hush"), "{shown}");
    }
}
