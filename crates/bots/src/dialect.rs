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
    /// Where the bot is.
    pub channel_id: String,
    /// Who it is.
    pub user_id: String,
    /// The others.
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
    /// Speak.
    pub audio: bool,
    /// Camera.
    pub video: bool,
    /// Screen.
    pub screenshare: bool,
    /// Audio bit/s.
    pub max_bitrate: u32,
}

/// Somebody in the room.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub user_id: String,
    /// The name shown.
    pub name: String,
    /// Not to be heard.
    pub muted: bool,
    /// Hears nobody.
    pub deafened: bool,
    /// What they send.
    pub producers: Vec<ProducerInfo>,
}

/// A track somebody sends.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProducerInfo {
    /// Its id.
    pub producer_id: String,
    /// Whose.
    pub user_id: String,
    /// Sound or picture.
    pub kind: MediaKind,
    /// `{source}`.
    pub app_data: AppData,
    /// Silent for now.
    pub paused: bool,
}

/// `{source}`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct AppData {
    /// What the track shows.
    pub source: Source,
}

/// The answer to `voice:rtc:createTransport`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransportCreated {
    /// Its id.
    pub id: String,
    /// The server's credentials.
    pub ice_parameters: IceParameters,
    /// The server's addresses.
    pub ice_candidates: Vec<IceCandidate>,
    /// The server's certificate.
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
    /// The new producer.
    pub producer_id: String,
}

/// The answer to `voice:rtc:consume`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumed {
    /// The new consumer.
    pub id: String,
    /// Of what.
    pub producer_id: String,
    /// Of whom.
    pub user_id: String,
    /// Sound or picture.
    pub kind: MediaKind,
    /// How it will arrive.
    pub rtp_parameters: RtpParameters,
    /// How its quality can be chosen.
    #[serde(rename = "type")]
    pub stream_type: StreamType,
    /// Begins paused.
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

/// Reads an answer.
pub(crate) fn read<T: DeserializeOwned>(event: &str, answer: Value) -> Result<T, BotError> {
    serde_json::from_value(answer).map_err(|e| BotError::Protocol { event: event.to_owned(), reason: e.to_string() })
}
