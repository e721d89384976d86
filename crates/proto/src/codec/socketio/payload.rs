//! The payloads of the requests, as they are written on the wire.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::connection::{Candidates, Checks, ChosenPair, ConnectionOutcome, DtlsState, IceState, NetworkType};
use crate::ids::{ChannelId, UserId};
use crate::media::{Layers, MediaKind, Source, VideoSource};
#[cfg(test)]
use crate::mesh::IceCandidateInit;
use crate::moderation::ModerationAction;
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters};

/// The payload of `voice:join`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Join {
    pub(super) channel_id: ChannelId,
    pub(super) rtp_capabilities: Option<Arc<RtpCapabilities>>,
    #[serde(default)]
    pub(super) take_over: bool,
}

/// The payload of `voice:resume`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Resume {
    pub(super) channel_id: ChannelId,
    pub(super) resume_token: String,
}

/// The payload of `voice:mesh:offer` and `voice:mesh:answer`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct MeshDescription {
    pub(super) user_id: UserId,
    pub(super) sdp: String,
}

/// The payload of `voice:mesh:ice`. The candidate is what the browser gives, as an object; it is left out when there are no more.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct MeshIce {
    pub(super) user_id: UserId,
    #[cfg_attr(test, schemars(with = "Option<IceCandidateInit>"))]
    pub(super) candidate: Option<Map<String, Value>>,
}

/// The payload of `voice:rtc:reportConnection`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportConnection {
    pub(super) transport_id: Option<String>,
    pub(super) user_id: Option<UserId>,
    pub(super) outcome: ConnectionOutcome,
    #[serde(default)]
    pub(super) candidates: Candidates,
    pub(super) checks: Checks,
    pub(super) ice_state: Option<IceState>,
    pub(super) dtls_state: Option<DtlsState>,
    pub(super) pair: Option<ChosenPair>,
    pub(super) connect_ms: Option<u32>,
    #[serde(default)]
    pub(super) network: NetworkType,
}

/// The payload of `voice:leave`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Leave {
    pub(super) channel_id: Option<ChannelId>,
}

/// The payload of `voice:rtc:createTransport`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct CreateTransport {
    pub(super) direction: Direction,
}

/// The payload of `voice:rtc:connectTransport`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectTransport {
    pub(super) transport_id: String,
    pub(super) dtls_parameters: DtlsParameters,
}

/// The payload of every request about a transport that needs nothing else.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OfTransport {
    pub(super) transport_id: String,
}

/// The part of `appData` that the server understands.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct WantedAppData {
    pub(super) source: Source,
}

/// The payload of `voice:rtc:produce`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Produce {
    pub(super) transport_id: String,
    pub(super) kind: MediaKind,
    pub(super) rtp_parameters: Arc<RtpParameters>,
    pub(super) app_data: WantedAppData,
    #[serde(default)]
    pub(super) paused: bool,
}

/// The payload of every request about a producer that needs nothing else.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OfProducer {
    pub(super) producer_id: String,
}

/// The payload of `voice:rtc:consume`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Consume {
    pub(super) producer_id: String,
    pub(super) transport_id: Option<String>,
    pub(super) rtp_capabilities: Option<Arc<RtpCapabilities>>,
    #[serde(default)]
    pub(super) paused: bool,
}

/// The payload of every request about a consumer that needs nothing else.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct OfConsumer {
    pub(super) consumer_id: String,
}

/// The payload of `voice:rtc:setPreferredLayers`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct SetPreferredLayers {
    pub(super) consumer_id: String,
    #[serde(flatten)]
    pub(super) layers: Layers,
}

/// The payload of `voice:state:update`; what is left out stays as it is.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct UpdateState {
    pub(super) muted: Option<bool>,
    pub(super) deafened: Option<bool>,
    pub(super) speaking: Option<bool>,
}

/// The payload of every request about a video slot that needs nothing else.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct OfSlot {
    pub(super) source: VideoSource,
}

/// The payload of `voice:ping`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Ping {
    pub(super) echo: Option<u32>,
}

/// The part of `voice:moderate` that every action has.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Moderate {
    pub(super) action: ModerationAction,
}

/// The payload of `voice:moderate` with the action `mute`: one of the three is needed, and what is left out stays as it is.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Mute {
    pub(super) user_id: UserId,
    pub(super) audio: Option<bool>,
    pub(super) video: Option<bool>,
    pub(super) screen: Option<bool>,
}

/// The payload of `voice:moderate` with the action `deafen`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Deafen {
    pub(super) user_id: UserId,
    pub(super) deafened: bool,
}

/// The payload of `voice:moderate` with the action `kick`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Kick {
    pub(super) user_id: UserId,
    pub(super) reason: Option<String>,
}

/// The payload of `voice:moderate` with the action `ban`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Ban {
    pub(super) user_id: UserId,
    /// When the ban ends (RFC 3339); without it, never.
    pub(super) until: Option<String>,
    pub(super) reason: Option<String>,
}

/// The payload of `voice:moderate` with the action `move`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub(super) struct Move {
    pub(super) user_id: UserId,
    pub(super) to: ChannelId,
}

/// The payload of `voice:moderate` with the action `end-call`.
#[derive(Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct EndCall {
    pub(super) reason: Option<String>,
}
