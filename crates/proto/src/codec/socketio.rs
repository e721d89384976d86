//! The main dialect: `voice:*` events over socket.io (features 1.1, `docs/protocol/socketio.md`).
//!
//! Requests are an event name and one JSON object. A request with an acknowledgement is answered by it: the
//! reply's object, or `{error, code, details}`. One without gets the event named by [`reply_name`], or
//! [`ERROR_EVENT`].

mod moderate;
pub mod packet;

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, ErrorCode};
use crate::event::{Event, Reply};
use crate::ids::{ChannelId, ConsumerId, ProducerId, ResumeToken, TransportId};
use crate::media::{Layers, MediaKind, Source};
use crate::request::Request;
use crate::rtp::{RtpCapabilities, RtpParameters};
use crate::transport::{Direction, DtlsParameters};

/// The event that carries a refusal when the request had no acknowledgement.
pub const ERROR_EVENT: &str = "voice:rtc:error";

/// Every event a client may send.
pub const REQUEST_EVENTS: [&str; 22] = [
    "voice:join",
    "voice:leave",
    "voice:rtc:getRouterRtpCapabilities",
    "voice:rtc:createTransport",
    "voice:rtc:connectTransport",
    "voice:rtc:restartIce",
    "voice:rtc:closeTransport",
    "voice:rtc:produce",
    "voice:rtc:pauseProducer",
    "voice:rtc:resumeProducer",
    "voice:rtc:closeProducer",
    "voice:rtc:consume",
    "voice:rtc:pauseConsumer",
    "voice:rtc:resumeConsumer",
    "voice:rtc:closeConsumer",
    "voice:rtc:setPreferredLayers",
    "voice:rtc:requestKeyFrame",
    "voice:state:update",
    "voice:resume",
    "voice:slot:request",
    "voice:slot:release",
    "voice:moderate",
];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    channel_id: ChannelId,
    rtp_capabilities: Option<Arc<RtpCapabilities>>,
    #[serde(default)]
    take_over: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resume {
    channel_id: ChannelId,
    resume_token: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Leave {
    channel_id: Option<ChannelId>,
}

#[derive(Deserialize)]
struct CreateTransport {
    direction: Direction,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectTransport {
    transport_id: String,
    dtls_parameters: DtlsParameters,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfTransport {
    transport_id: String,
}

#[derive(Deserialize)]
struct WantedAppData {
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Produce {
    transport_id: String,
    kind: MediaKind,
    rtp_parameters: Arc<RtpParameters>,
    app_data: WantedAppData,
    #[serde(default)]
    paused: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfProducer {
    producer_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Consume {
    producer_id: String,
    transport_id: Option<String>,
    rtp_capabilities: Option<Arc<RtpCapabilities>>,
    #[serde(default)]
    paused: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfConsumer {
    consumer_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SetPreferredLayers {
    consumer_id: String,
    #[serde(flatten)]
    layers: Layers,
}

#[derive(Deserialize)]
struct UpdateState {
    muted: Option<bool>,
    deafened: Option<bool>,
    speaking: Option<bool>,
}

#[derive(Deserialize)]
struct OfSlot {
    source: Source,
}

/// Reads a request. The size of the message is checked before, where it is read from the socket.
pub fn decode_request(event: &str, payload: &Value) -> Result<Request, Error> {
    // Many libraries write `null` for what is not there: it is read as if it were not, everywhere.
    let payload = &*without_nulls(payload);
    Ok(match event {
        "voice:join" => {
            let Join { channel_id, rtp_capabilities, take_over } = read(payload)?;
            Request::Join { channel: channel_id, capabilities: checked(rtp_capabilities)?, take_over }
        }
        "voice:resume" => {
            let Resume { channel_id, resume_token } = read(payload)?;
            // A token that cannot be one is answered like one that is over.
            let token = ResumeToken::parse(&resume_token).ok_or_else(|| Error::new(ErrorCode::SessionExpired))?;
            Request::Resume { channel: channel_id, token }
        }
        "voice:leave" => Request::Leave { channel: read::<Leave>(payload)?.channel_id },
        "voice:rtc:getRouterRtpCapabilities" => Request::GetRouterRtpCapabilities,
        "voice:rtc:createTransport" => Request::CreateTransport { direction: read::<CreateTransport>(payload)?.direction },
        "voice:rtc:connectTransport" => {
            let ConnectTransport { transport_id, dtls_parameters } = read(payload)?;
            dtls_parameters.strongest_fingerprint()?;
            Request::ConnectTransport { transport: transport(&transport_id)?, dtls: dtls_parameters }
        }
        "voice:rtc:restartIce" => Request::RestartIce { transport: transport(&read::<OfTransport>(payload)?.transport_id)? },
        "voice:rtc:closeTransport" => Request::CloseTransport { transport: transport(&read::<OfTransport>(payload)?.transport_id)? },
        "voice:rtc:produce" => decode_produce(payload)?,
        "voice:rtc:pauseProducer" => Request::PauseProducer { producer: of_producer(payload)? },
        "voice:rtc:resumeProducer" => Request::ResumeProducer { producer: of_producer(payload)? },
        "voice:rtc:closeProducer" => Request::CloseProducer { producer: of_producer(payload)? },
        "voice:rtc:consume" => {
            let Consume { producer_id, transport_id, rtp_capabilities, paused } = read(payload)?;
            Request::Consume {
                producer: producer(&producer_id)?,
                transport: transport_id.as_deref().map(transport).transpose()?,
                capabilities: checked(rtp_capabilities)?,
                paused,
            }
        }
        "voice:rtc:pauseConsumer" => Request::PauseConsumer { consumer: of_consumer(payload)? },
        "voice:rtc:resumeConsumer" => Request::ResumeConsumer { consumer: of_consumer(payload)? },
        "voice:rtc:closeConsumer" => Request::CloseConsumer { consumer: of_consumer(payload)? },
        "voice:rtc:setPreferredLayers" => {
            let SetPreferredLayers { consumer_id, layers } = read(payload)?;
            Request::SetPreferredLayers { consumer: consumer(&consumer_id)?, layers }
        }
        "voice:rtc:requestKeyFrame" => Request::RequestKeyFrame { consumer: of_consumer(payload)? },
        "voice:state:update" => {
            let UpdateState { muted, deafened, speaking } = read(payload)?;
            Request::UpdateState { muted, deafened, speaking }
        }
        "voice:slot:request" => Request::RequestSlot { source: slot_source(read::<OfSlot>(payload)?.source)? },
        "voice:slot:release" => Request::ReleaseSlot { source: slot_source(read::<OfSlot>(payload)?.source)? },
        "voice:moderate" => Request::Moderate { action: moderate::decode(payload)? },
        _ => return Err(Error::new(ErrorCode::UnknownEvent)),
    })
}

/// Slots are for pictures.
fn slot_source(source: Source) -> Result<Source, Error> {
    match source {
        Source::Camera | Source::Screen => Ok(source),
        Source::Mic => Err(Error::invalid("source", "must be camera or screen")),
    }
}

fn decode_produce(payload: &Value) -> Result<Request, Error> {
    let Produce { transport_id, kind, rtp_parameters, app_data: WantedAppData { source }, paused } = read(payload)?;
    rtp_parameters.validate(kind)?;
    if matches!((source, kind), (Source::Mic, MediaKind::Video) | (Source::Camera, MediaKind::Audio)) {
        return Err(Error::invalid("appData.source", "does not fit the kind"));
    }
    Ok(Request::Produce { transport: transport(&transport_id)?, kind, source, rtp: rtp_parameters, paused })
}

/// The event that carries a reply when the request had no acknowledgement.
#[must_use]
pub const fn reply_name(reply: &Reply) -> &'static str {
    match reply {
        Reply::Joined(_) => "voice:joined",
        Reply::Resumed(_) => "voice:resumed",
        Reply::Left { .. } => "voice:left",
        Reply::RouterRtpCapabilities { .. } => "voice:routerRtpCapabilities",
        Reply::TransportCreated { .. } => "voice:transportCreated",
        Reply::TransportConnected { .. } => "voice:transportConnected",
        Reply::IceRestarted { .. } => "voice:iceRestarted",
        Reply::TransportClosed { .. } => "voice:transportClosed",
        Reply::Produced { .. } => "voice:produced",
        Reply::ProducerPaused { .. } => "voice:producerPaused",
        Reply::ProducerResumed { .. } => "voice:producerResumed",
        Reply::ProducerClosed { .. } => "voice:producerClosed",
        Reply::Consumed { .. } => "voice:consumed",
        Reply::ConsumerPaused { .. } => "voice:consumerPaused",
        Reply::ConsumerResumed { .. } => "voice:consumerResumed",
        Reply::ConsumerClosed { .. } => "voice:consumerClosed",
        Reply::PreferredLayersSet { .. } => "voice:preferredLayersSet",
        Reply::KeyFrameRequested { .. } => "voice:keyFrameRequested",
        Reply::StateUpdated { .. } => "voice:stateUpdated",
        Reply::Slot { .. } => "voice:slot",
        Reply::Moderated { .. } => "voice:moderated",
    }
}

/// The name of a pushed event.
#[must_use]
pub const fn event_name(event: &Event) -> &'static str {
    match event {
        Event::ParticipantJoined(_) => "voice:participant:joined",
        Event::ParticipantLeft { .. } => "voice:participant:left",
        Event::ParticipantState { .. } => "voice:participant:state",
        Event::NewProducer(_) => "voice:newProducer",
        Event::ProducerClosed { .. } => "voice:producerClosed",
        Event::ProducerPaused { .. } => "voice:producerPaused",
        Event::ProducerResumed { .. } => "voice:producerResumed",
        Event::ActiveSpeakers { .. } => "voice:activeSpeakers",
        Event::TransportState { .. } => "voice:transportState",
        Event::LayersChanged { .. } => "voice:layersChanged",
        Event::Left { .. } => "voice:left",
        Event::SlotGranted { .. } => "voice:slot:granted",
        Event::SlotQueue { .. } => "voice:slot:queue",
        Event::Entitlement { .. } => "voice:entitlement",
        Event::Moderation { .. } => "voice:moderation",
    }
}

/// Reads a payload; an error names the field by its path.
fn read<T: DeserializeOwned>(payload: &Value) -> Result<T, Error> {
    if !payload.is_object() {
        return Err(Error::invalid("", "the payload must be one JSON object"));
    }
    serde_path_to_error::deserialize(payload).map_err(|e| {
        let path = e.path().to_string();
        let path = if path == "." { "" } else { &path };
        let reason = e.inner().to_string();
        match reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) if path.is_empty() => Error::invalid(field, "is missing"),
            Some(field) => Error::invalid(&format!("{path}.{field}"), "is missing"),
            None => Error::invalid(path, truncated(reason)),
        }
    })
}

/// The same without fields that are `null`; a copy only where there are any.
fn without_nulls(value: &Value) -> Cow<'_, Value> {
    fn has_null(value: &Value) -> bool {
        match value {
            Value::Object(fields) => fields.values().any(|field| field.is_null() || has_null(field)),
            Value::Array(items) => items.iter().any(has_null),
            _ => false,
        }
    }
    fn remove(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|_, field| !field.is_null());
                fields.values_mut().for_each(remove);
            }
            Value::Array(items) => items.iter_mut().for_each(remove),
            _ => {}
        }
    }
    if !has_null(value) {
        return Cow::Borrowed(value);
    }
    let mut copy = value.clone();
    remove(&mut copy);
    Cow::Owned(copy)
}

/// A reason goes back to the client: a value quoted in it must not make it long.
fn truncated(mut reason: String) -> String {
    const MAX: usize = 200;
    if let Some((end, _)) = reason.char_indices().nth(MAX) {
        reason.truncate(end);
        reason.push('…');
    }
    reason
}

fn checked(capabilities: Option<Arc<RtpCapabilities>>) -> Result<Option<Arc<RtpCapabilities>>, Error> {
    capabilities.map(|c| c.validate().map(|()| c)).transpose()
}

// An id that cannot be one is answered like one that is not there: the sender learns nothing of the form.
fn transport(text: &str) -> Result<TransportId, Error> {
    TransportId::parse(text).ok_or_else(|| Error::new(ErrorCode::NotFound))
}

fn producer(text: &str) -> Result<ProducerId, Error> {
    ProducerId::parse(text).ok_or_else(|| Error::new(ErrorCode::NotFound))
}

fn consumer(text: &str) -> Result<ConsumerId, Error> {
    ConsumerId::parse(text).ok_or_else(|| Error::new(ErrorCode::NotFound))
}

fn of_producer(payload: &Value) -> Result<ProducerId, Error> {
    producer(&read::<OfProducer>(payload)?.producer_id)
}

fn of_consumer(payload: &Value) -> Result<ConsumerId, Error> {
    consumer(&read::<OfConsumer>(payload)?.consumer_id)
}
