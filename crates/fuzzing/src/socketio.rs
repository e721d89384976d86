//! Arbitrary event names and payloads of the socket.io dialect.

use parlor_proto::codec::socketio::{REQUEST_EVENTS, decode_request};
use parlor_proto::rtp::{RtpCapabilities, RtpParameters};
use parlor_proto::{Error, ErrorCode, MediaKind, Request};
use parlor_sfu::ortc::{self, ConsumerStreams, ProducerFormat};
use serde_json::Value;

use crate::common;

/// Above every refusal the codec makes: a sentence, a field's path and a shortened reason. What a hostile payload
/// contains must not come back, or reach a log, at length.
const MAX_ERROR_BYTES: usize = 4096;

/// The first byte chooses the event (or one that does not exist), the rest is the payload's JSON.
pub fn run(data: &[u8]) {
    let Some((choice, json)) = data.split_first() else { return };
    let Ok(payload) = serde_json::from_slice::<Value>(json) else { return };
    let event = REQUEST_EVENTS.get(usize::from(*choice)).copied().unwrap_or("voice:no-such-event");
    match decode_request(event, &payload) {
        Ok(request) => check_request(event, &payload, &request),
        Err(error) => check_error(event, &error),
    }
}

fn check_request(event: &str, payload: &Value, request: &Request) {
    let again = decode_request(event, payload).expect("what was read once can be read again");
    assert_eq!(&again, request, "two readings of the same payload differ");
    match request {
        Request::Produce { kind, rtp, .. } => {
            rtp.validate(*kind).expect("a request holds valid parameters only");
            check_produced(*kind, rtp);
        }
        Request::Join { capabilities: Some(theirs), .. } | Request::Consume { capabilities: Some(theirs), .. } => {
            theirs.validate().expect("a request holds valid capabilities only");
            router_formats().iter().for_each(|(kind, format)| check_consumed(*kind, format, theirs));
        }
        Request::ConnectTransport { dtls, .. } => {
            dtls.strongest_fingerprint().expect("a request holds a usable fingerprint");
        }
        _ => {}
    }
}

/// What the matching of capabilities accepts, everybody whose browser has all codecs can receive.
fn check_produced(kind: MediaKind, rtp: &RtpParameters) {
    let Ok(format) = ortc::check_producer(kind, rtp) else { return };
    let all = ortc::router_capabilities();
    assert!(ortc::can_consume(&format, &all), "the router forwards a codec it does not list: {format:?}");
    check_consumed(kind, &format, &all);
}

/// A receiver gets parameters that we would take ourselves.
fn check_consumed(kind: MediaKind, format: &ProducerFormat, theirs: &RtpCapabilities) {
    let streams = ConsumerStreams { mid: "0".to_owned(), ssrc: 1, rtx: 2, cname: "cname".to_owned() };
    let parameters = ortc::consumer_parameters(format, theirs, &streams);
    assert_eq!(parameters.is_some(), ortc::can_consume(format, theirs), "the two answers differ for {format:?}");
    if let Some(parameters) = parameters {
        parameters.validate(kind).expect("parameters for a receiver are valid");
    }
}

/// A producer of each codec the router has.
fn router_formats() -> Vec<(MediaKind, ProducerFormat)> {
    let codecs = ortc::router_capabilities().codecs.into_iter().filter(|codec| !codec.mime_type.ends_with("/rtx"));
    let formats = codecs.filter_map(|codec| {
        let mut rtp = common::opus();
        for used in &mut rtp.codecs {
            used.mime_type.clone_from(&codec.mime_type);
            used.clock_rate = codec.clock_rate;
            used.channels = codec.channels;
            used.parameters.clone_from(&codec.parameters);
        }
        Some((codec.kind, ortc::check_producer(codec.kind, &rtp).ok()?))
    });
    formats.collect()
}

fn check_error(event: &str, error: &Error) {
    let wire = serde_json::to_string(error).expect("every error can be sent");
    assert!(wire.len() <= MAX_ERROR_BYTES, "{event}: a refusal of {} bytes", wire.len());
    let known = REQUEST_EVENTS.contains(&event);
    assert_eq!(error.code == ErrorCode::UnknownEvent, !known, "{event}: {error}");
}
