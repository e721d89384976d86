//! The answers of the main dialect, as a client reads them.
//!
//! Read by definitions of their own, not by the server's: a field the server renamed by mistake fails here.

use parlor_proto::media::{MediaKind, Source, StreamType};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::transport::{DtlsParameters, IceCandidate, IceParameters};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::BotError;

/// The answer to `voice:join`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Joined {
    /// The channel the bot is in.
    pub channel_id: String,
    /// The bot's own user id.
    pub user_id: String,
    /// The other participants.
    pub participants: Vec<Participant>,
    /// What it may do.
    pub permissions: Permissions,
    /// What the SFU forwards.
    pub router_rtp_capabilities: RtpCapabilities,
}

/// What a participant may do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Permissions {
    /// Whether the bot may speak.
    pub audio: bool,
    /// Whether the bot may turn a camera on.
    pub video: bool,
    /// Whether the bot may share a screen.
    pub screenshare: bool,
    /// The most that its microphone may send, in bit/s.
    pub max_bitrate: u32,
}

/// Somebody in the room.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// The user id of the participant.
    pub user_id: String,
    /// The name that is shown.
    pub name: String,
    /// Not to be heard.
    pub muted: bool,
    /// Whether the participant hears nobody.
    pub deafened: bool,
    /// The tracks the participant sends.
    pub producers: Vec<ProducerInfo>,
}

/// A track somebody sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerInfo {
    /// The id of the producer.
    pub producer_id: String,
    /// The user who sends it.
    pub user_id: String,
    /// Whether the track is sound or picture.
    pub kind: MediaKind,
    /// The `appData` it was produced with.
    pub app_data: AppData,
    /// Whether the track is paused.
    pub paused: bool,
}

/// The part of `appData` that the server understands.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AppData {
    /// What the track shows.
    pub source: Source,
}

/// The answer to `voice:rtc:createTransport`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportCreated {
    /// The id of the transport.
    pub id: String,
    /// The server's ICE credentials.
    pub ice_parameters: IceParameters,
    /// The addresses of the server.
    pub ice_candidates: Vec<IceCandidate>,
    /// The fingerprints of the server's certificate.
    pub dtls_parameters: DtlsParameters,
}

/// The answer to `voice:rtc:restartIce`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IceRestarted {
    /// The server's new credentials.
    pub ice_parameters: IceParameters,
}

/// The answer to `voice:rtc:produce`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Produced {
    /// The id of the new producer.
    pub producer_id: String,
}

/// The answer to `voice:rtc:consume`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumed {
    /// The id of the new consumer.
    pub id: String,
    /// The producer it receives.
    pub producer_id: String,
    /// The user whose producer that is.
    pub user_id: String,
    /// Whether the track is sound or picture.
    pub kind: MediaKind,
    /// The RTP parameters with which it will arrive.
    pub rtp_parameters: RtpParameters,
    /// How the consumer's quality can be chosen.
    #[serde(rename = "type")]
    pub stream_type: StreamType,
    /// Whether the consumer begins paused.
    pub paused: bool,
    /// The producer is paused.
    pub producer_paused: bool,
}

impl Consumed {
    /// A stream of another server, which does not speak the dialect.
    pub(crate) fn of_stream(id: &str, kind: MediaKind, rtp_parameters: RtpParameters) -> Self {
        Self {
            id: id.to_owned(),
            producer_id: id.to_owned(),
            user_id: String::new(),
            kind,
            rtp_parameters,
            stream_type: StreamType::Simple,
            paused: false,
            producer_paused: false,
        }
    }
}

/// Reads the answer to a request.
pub(crate) fn read<T: DeserializeOwned>(event: &str, answer: Value) -> Result<T, BotError> {
    serde_json::from_value(answer).map_err(|e| BotError::Protocol { event: event.to_owned(), reason: e.to_string() })
}
