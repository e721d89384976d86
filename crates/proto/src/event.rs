//! What the server says: replies to requests, and events pushed to a session or a room.

use std::sync::Arc;

use serde::Serialize;
use strum::{EnumDiscriminants, VariantArray};

use crate::ids::{ChannelId, ConsumerId, ProducerId, ResumeToken, TransportId, UserId};
#[cfg(test)]
use crate::media::VideoSource;
use crate::media::{Layers, MediaKind, Source, StreamType};
use crate::moderation::{ModerationAction, Restrictions};
use crate::people::{Permissions, Role};
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, TransportFailure, TransportState};

/// A server a client may ask for its own address or a relay (`RTCIceServer` of the browser).
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` addresses.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
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
    /// Every candidate.
    #[default]
    All,
    /// Relays only: the server does not learn the client's address.
    Relay,
}

/// What a client's `RTCPeerConnection` is made with.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtcConfig {
    /// STUN and TURN servers; empty is fine, the SFU is reached directly.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates to use.
    pub ice_transport_policy: IceTransportPolicy,
}

/// A track somebody sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProducerInfo {
    /// Its id, to consume it.
    pub producer_id: ProducerId,
    /// Whose it is.
    pub user_id: UserId,
    /// Sound or picture.
    pub kind: MediaKind,
    /// `{source}`, as it was given with `produce`.
    pub app_data: AppData,
    /// Nothing is sent at the moment.
    pub paused: bool,
}

/// The part of a producer's `appData` that the server understands and passes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AppData {
    /// What the track shows.
    pub source: Source,
}

/// How a participant is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ParticipantState {
    /// Nothing of the microphone is heard.
    pub muted: bool,
    /// Hears nobody.
    pub deafened: bool,
    /// Speaks at the moment, by the client's own account.
    pub speaking: bool,
    /// What moderators have silenced.
    pub server_muted: ServerMuted,
    /// A moderator lets them hear nothing.
    pub server_deafened: bool,
}

/// What of somebody moderators have silenced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerMuted {
    /// Every sound.
    pub audio: bool,
    /// The camera.
    pub video: bool,
    /// The shared screen, picture and sound.
    pub screen: bool,
}

impl ParticipantState {
    /// The part that moderators decide.
    #[must_use]
    pub const fn restrictions(self) -> Restrictions {
        let ServerMuted { audio, video, screen } = self.server_muted;
        Restrictions { audio, video, screen, deafened: self.server_deafened }
    }

    /// The same under other restrictions. Nobody hears the silenced, so to the others they do not speak.
    #[must_use]
    pub const fn restricted(self, restrictions: Restrictions) -> Self {
        let Restrictions { audio, video, screen, deafened } = restrictions;
        let server_muted = ServerMuted { audio, video, screen };
        Self { speaking: self.speaking && !audio, server_muted, server_deafened: deafened, ..self }
    }
}

/// Somebody in a room.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub user_id: UserId,
    /// The name to show.
    pub name: String,
    /// How they are.
    #[serde(flatten)]
    pub state: ParticipantState,
    /// Speaks, or listens only.
    pub role: Role,
    /// May moderate.
    pub moderator: bool,
    /// What they send.
    pub producers: Vec<ProducerInfo>,
}

/// Whether media is encrypted end to end, or recorded. Both are off until the features exist; the fields
/// are there so that a client can always say truly which it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// No.
    #[default]
    Off,
}

/// Everything a client needs to go on after it joined, in one message.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// Where one is now.
    pub channel_id: ChannelId,
    /// What people call it.
    pub channel_name: String,
    /// Which SFU holds the room: an opaque name.
    pub sfu_endpoint: String,
    /// Who one is, as the others see it.
    pub user_id: UserId,
    /// The others, with what they send.
    pub participants: Vec<Participant>,
    /// What one may do.
    pub permissions: Permissions,
    /// How to make peer connections.
    pub rtc_config: RtcConfig,
    /// RFC 3339, or null when there is no TURN credential.
    pub turn_credential_expires_at: Option<String>,
    /// What `getRouterRtpCapabilities` would answer: saves a round trip.
    pub router_rtp_capabilities: Arc<RtpCapabilities>,
    /// End-to-end encryption of this channel.
    pub e2ee: Policy,
    /// Recording of this channel.
    pub recording: Policy,
    /// Speaks, or listens only.
    pub role: Role,
    /// May moderate.
    pub moderator: bool,
    /// How one is: what moderators decided before holds from the first moment.
    pub state: ParticipantState,
    /// The video slots of the channel.
    pub video_slots: VideoSlots,
    /// What takes the session up again after its connection was lost.
    pub resume_token: ResumeToken,
    /// For how long after the loss, in milliseconds; 0 if not at all.
    pub resume_grace_ms: u64,
    /// This is a session taken up again, not a new one.
    pub resumed: bool,
}

/// Everything a client needs to go on after it came back.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Resumed {
    /// How things are now.
    #[serde(flatten)]
    pub joined: Joined,
    /// What of one's own is still there.
    pub own: Own,
}

/// How many show video, and how many can.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VideoSlots {
    /// Slots held.
    pub current: u32,
    /// Slots there are.
    pub max: u32,
}

/// What a session has that outlived its connection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Own {
    /// Transports.
    pub transports: Vec<TransportId>,
    /// Producers.
    pub producers: Vec<ProducerId>,
    /// Consumers.
    pub consumers: Vec<ConsumerId>,
    /// The sources one holds a video slot for.
    #[cfg_attr(test, schemars(with = "Vec<VideoSource>"))]
    pub slots: Vec<Source>,
}

/// How a wish for a video slot stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum SlotStatus {
    /// One has it.
    Granted,
    /// One waits.
    Queued,
    /// One neither has it nor waits.
    Released,
}

/// The answer to a request that succeeded.
#[derive(Clone, PartialEq, Debug, Serialize, EnumDiscriminants)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[strum_discriminants(name(ReplyKind), doc = "Which reply it is.", derive(Hash, VariantArray), allow(missing_docs))]
#[serde(untagged, rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "each field is what its name says; docs/protocol/socketio.md has them all")]
pub enum Reply {
    /// In the channel.
    Joined(Box<Joined>),
    /// Back in it, as if one had not been away.
    Resumed(Box<Resumed>),
    /// Out of it.
    Left { channel_id: ChannelId },
    /// What the SFU can forward.
    RouterRtpCapabilities { rtp_capabilities: Arc<RtpCapabilities> },
    /// A transport to connect to.
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
    /// The new ICE credentials.
    IceRestarted { transport_id: TransportId, ice_parameters: IceParameters },
    /// The transport is no more.
    TransportClosed { transport_id: TransportId },
    /// The producer's id.
    Produced { producer_id: ProducerId },
    /// The producer is paused.
    ProducerPaused { producer_id: ProducerId },
    /// The producer goes on.
    ProducerResumed { producer_id: ProducerId },
    /// The producer is no more.
    ProducerClosed { producer_id: ProducerId },
    /// What `mediasoup-client`'s `transport.consume` takes, and who it is from.
    Consumed {
        /// What `mediasoup-client` calls it.
        id: ConsumerId,
        /// The same, as every request about it calls it.
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
    /// The consumer goes on.
    ConsumerResumed { consumer_id: ConsumerId },
    /// The consumer is no more.
    ConsumerClosed { consumer_id: ConsumerId },
    /// The wish is noted.
    PreferredLayersSet {
        consumer_id: ConsumerId,
        #[serde(flatten)]
        layers: Layers,
    },
    /// A key frame is asked for, or was a moment ago.
    KeyFrameRequested { consumer_id: ConsumerId },
    /// One's state, as the others see it now.
    StateUpdated {
        #[serde(flatten)]
        state: ParticipantState,
    },
    /// How one's wish for a slot stands; `position` counts from 1, for those who wait.
    Slot {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        status: SlotStatus,
        position: Option<u32>,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// It is done.
    Moderated { action: ModerationAction, user_id: Option<UserId> },
}

/// Something a client is told without having asked.
#[derive(Clone, PartialEq, Debug, Serialize, EnumDiscriminants)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[strum_discriminants(name(EventKind), doc = "Which event it is.", derive(Hash, VariantArray), allow(missing_docs))]
#[serde(untagged, rename_all_fields = "camelCase")]
#[allow(missing_docs, reason = "each field is what its name says; docs/protocol/socketio.md has them all")]
pub enum Event {
    /// Somebody came.
    ParticipantJoined(Participant),
    /// Somebody went.
    ParticipantLeft { user_id: UserId },
    /// Somebody muted, deafened, began or ceased to speak.
    ParticipantState {
        user_id: UserId,
        #[serde(flatten)]
        state: ParticipantState,
    },
    /// Somebody sends a new track: consume it.
    NewProducer(ProducerInfo),
    /// A track is no more: drop its consumer.
    ProducerClosed {
        producer_id: ProducerId,
        user_id: UserId,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<CloseReason>,
    },
    /// A track is silent for now.
    ProducerPaused { producer_id: ProducerId, user_id: UserId },
    /// It goes on.
    ProducerResumed { producer_id: ProducerId, user_id: UserId },
    /// Who is heard, loudest first; empty when all are silent.
    ActiveSpeakers { speakers: Vec<Speaker> },
    /// A transport of one's own moved on.
    TransportState {
        transport_id: TransportId,
        state: TransportState,
        /// Why, if it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<TransportFailure>,
    },
    /// One's consumer gets other layers now; null while it gets nothing.
    LayersChanged { consumer_id: ConsumerId, layers: Option<Layers> },
    /// One is no longer in the channel, not by one's own doing; join again if `rejoin`.
    Left {
        channel_id: ChannelId,
        reason: LeftReason,
        rejoin: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<ChannelId>,
    },
    /// A slot one waited for is one's own now: produce.
    SlotGranted {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// One's place among those who wait for a slot has changed; it counts from 1.
    SlotQueue {
        #[cfg_attr(test, schemars(with = "VideoSource"))]
        source: Source,
        position: u32,
        #[serde(flatten)]
        slots: VideoSlots,
    },
    /// One may do more or less than before.
    Entitlement { permissions: Permissions, reason: EntitlementReason },
    /// One was moderated.
    Moderation { action: ModerationAction, by_user_id: Option<UserId>, restrictions: Restrictions, reason: Option<String> },
}

/// Why the server closed a producer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CloseReason {
    /// Its owner's tier, or the channel's, does not include it any more.
    Entitlement,
    /// Its owner was put out.
    Moderation,
    /// Its transport failed.
    Media,
}

impl CloseReason {
    /// As it is sent.
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
    /// What was paid for is over.
    Expired,
    /// The host application said so.
    Changed,
}

/// Why a session was put out of its room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, VariantArray)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LeftReason {
    /// The media thread of the room died.
    MediaLost,
    /// The server stops.
    ShuttingDown,
    /// A moderator put one out.
    Kicked,
    /// A moderator put one out, and one cannot come back for now.
    Banned,
    /// A moderator sends one to another channel.
    Moved,
    /// A moderator ended the call.
    CallEnded,
    /// One was signed out.
    SessionRevoked,
    /// The channel is no more.
    ChannelDeleted,
    /// One may not be in the channel any more.
    AccessLost,
    /// One took the session up on another connection.
    Replaced,
    /// One joined another channel with another connection: a user is in one at a time, over all devices.
    MovedDevice,
}

impl LeftReason {
    /// As it is sent.
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
            Self::MovedDevice => "moved-device",
        }
    }

    /// Whether a client should join again by itself. Where a person decided, a person decides to come back.
    #[must_use]
    pub const fn rejoin(self) -> bool {
        matches!(self, Self::MediaLost | Self::ShuttingDown)
    }
}

/// One who is heard.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Speaker {
    /// Who.
    pub user_id: UserId,
    /// On which track.
    pub producer_id: ProducerId,
    /// How loud, in dBov: -127 (silence) to 0.
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
