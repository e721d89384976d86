//! The main dialect: `voice:*` events over socket.io (`docs/protocol/socketio.md`).
//!
//! Requests are an event name and one JSON object. A request with an acknowledgement is answered by it: the
//! reply's object, or `{error, code, details}`. One without gets the event named by [`reply_name`], or
//! [`ERROR_EVENT`].

mod connection;
mod moderate;
mod names;
pub mod packet;
mod payload;
mod read;
#[cfg(test)]
mod schema;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use self::names::request_named;
pub use self::names::{ERROR_EVENT, REQUEST_EVENTS, event_name, reply_name, request_name};
use self::payload::{
    ConnectTransport, Consume, CreateTransport, Join, Leave, MeshDescription, MeshIce, OfConsumer, OfProducer, OfSlot, OfTransport, Ping,
    Produce, Resume, SetPreferredLayers, UpdateState, WantedAppData,
};
use self::read::read;
use crate::error::{Error, ErrorCode};
use crate::ids::{ConsumerId, ProducerId, ResumeToken, TransportId};
use crate::media::{MediaKind, Source};
use crate::mesh::{MeshTerms, Signal, Target};
use crate::request::{Request, RequestKind};
use crate::rtp::RtpCapabilities;

/// Reads a request. The size of the message is checked before, where it is read from the socket.
pub fn decode_request(event: &str, payload: &Value) -> Result<Request, Error> {
    let request = request_named(event).ok_or_else(|| Error::new(ErrorCode::UnknownEvent))?;
    // Many libraries write `null` for what is not there: it is read as if it were not, everywhere.
    let payload = &*without_nulls(payload);
    Ok(match request {
        RequestKind::Join => {
            let Join { channel_id, rtp_capabilities, take_over } = read(payload)?;
            Request::Join { channel: channel_id, capabilities: checked(rtp_capabilities)?, take_over, mesh: MeshTerms::default() }
        }
        RequestKind::Resume => {
            let Resume { channel_id, resume_token } = read(payload)?;
            // A token that cannot be one is answered like one that is over.
            let token = ResumeToken::parse(&resume_token).ok_or_else(|| Error::new(ErrorCode::SessionExpired))?;
            Request::Resume { channel: channel_id, token }
        }
        RequestKind::Leave => Request::Leave { channel: read::<Leave>(payload)?.channel_id },
        RequestKind::GetRouterRtpCapabilities => Request::GetRouterRtpCapabilities,
        RequestKind::GetIceServers => Request::GetIceServers,
        RequestKind::CreateTransport => Request::CreateTransport { direction: read::<CreateTransport>(payload)?.direction },
        RequestKind::ConnectTransport => {
            let ConnectTransport { transport_id, dtls_parameters } = read(payload)?;
            dtls_parameters.strongest_fingerprint()?;
            Request::ConnectTransport { transport: transport(&transport_id)?, dtls: dtls_parameters }
        }
        RequestKind::RestartIce => Request::RestartIce { transport: transport(&read::<OfTransport>(payload)?.transport_id)? },
        RequestKind::CloseTransport => Request::CloseTransport { transport: transport(&read::<OfTransport>(payload)?.transport_id)? },
        RequestKind::Produce => decode_produce(payload)?,
        RequestKind::PauseProducer => Request::PauseProducer { producer: of_producer(payload)? },
        RequestKind::ResumeProducer => Request::ResumeProducer { producer: of_producer(payload)? },
        RequestKind::CloseProducer => Request::CloseProducer { producer: of_producer(payload)? },
        RequestKind::Consume => {
            let Consume { producer_id, transport_id, rtp_capabilities, paused } = read(payload)?;
            Request::Consume {
                producer: producer(&producer_id)?,
                transport: transport_id.as_deref().map(transport).transpose()?,
                capabilities: checked(rtp_capabilities)?,
                paused,
            }
        }
        RequestKind::PauseConsumer => Request::PauseConsumer { consumer: of_consumer(payload)? },
        RequestKind::ResumeConsumer => Request::ResumeConsumer { consumer: of_consumer(payload)? },
        RequestKind::CloseConsumer => Request::CloseConsumer { consumer: of_consumer(payload)? },
        RequestKind::SetPreferredLayers => {
            let SetPreferredLayers { consumer_id, layers } = read(payload)?;
            Request::SetPreferredLayers { consumer: consumer(&consumer_id)?, layers }
        }
        RequestKind::RequestKeyFrame => Request::RequestKeyFrame { consumer: of_consumer(payload)? },
        RequestKind::UpdateState => {
            let UpdateState { muted, deafened, speaking } = read(payload)?;
            Request::UpdateState { muted, deafened, speaking }
        }
        RequestKind::RequestSlot => Request::RequestSlot { source: read::<OfSlot>(payload)?.source.into() },
        RequestKind::ReleaseSlot => Request::ReleaseSlot { source: read::<OfSlot>(payload)?.source.into() },
        RequestKind::Moderate => Request::Moderate { action: moderate::decode(payload)? },
        RequestKind::MeshOffer => {
            let (to, signal) = mesh_description(payload)?;
            Request::MeshOffer { to, signal }
        }
        RequestKind::MeshAnswer => {
            let (to, signal) = mesh_description(payload)?;
            Request::MeshAnswer { to, signal }
        }
        RequestKind::MeshIce => {
            let MeshIce { user_id, candidate } = read(payload)?;
            let candidate = candidate.map(Value::Object).unwrap_or_default();
            Request::MeshIce { to: Target::User(user_id), signal: Signal::of_candidate(candidate)? }
        }
        RequestKind::ReportConnection => connection::decode(payload)?,
        RequestKind::Ping => Request::Ping { echo: read::<Ping>(payload)?.echo },
    })
}

fn mesh_description(payload: &Value) -> Result<(Target, Signal), Error> {
    let MeshDescription { user_id, sdp } = read(payload)?;
    Ok((Target::User(user_id), Signal::of_sdp(&sdp)?))
}

fn decode_produce(payload: &Value) -> Result<Request, Error> {
    let Produce { transport_id, kind, rtp_parameters, app_data: WantedAppData { source }, paused } = read(payload)?;
    rtp_parameters.validate(kind)?;
    if matches!((source, kind), (Source::Mic, MediaKind::Video) | (Source::Camera, MediaKind::Audio)) {
        return Err(Error::invalid("appData.source", "does not fit the kind"));
    }
    Ok(Request::Produce { transport: transport(&transport_id)?, kind, source, rtp: rtp_parameters, paused })
}

/// A payload without its fields that are `null`; a copy only where there are any.
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
