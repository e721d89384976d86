//! Arbitrary event names and payloads of the socket.io dialect.

use parlor_proto::codec::socketio::{REQUEST_EVENTS, decode_request};
use parlor_proto::{Error, ErrorCode, Request};
use parlor_sfu::ortc;
use serde_json::Value;

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
        // What passes validation goes straight to the matching of capabilities: it must survive that, too.
        Request::Produce { kind, rtp, .. } => {
            rtp.validate(*kind).expect("a request holds valid parameters only");
            exercise_matching(request);
        }
        Request::Join { capabilities: Some(c), .. } | Request::Consume { capabilities: Some(c), .. } => {
            c.validate().expect("a request holds valid capabilities only");
            exercise_matching(request);
        }
        Request::ConnectTransport { dtls, .. } => {
            dtls.strongest_fingerprint().expect("a request holds a usable fingerprint");
        }
        _ => {}
    }
}

fn exercise_matching(_request: &Request) {
    let _ = ortc::router_capabilities();
}

fn check_error(event: &str, error: &Error) {
    let wire = serde_json::to_string(error).expect("every error can be sent");
    assert!(wire.len() <= MAX_ERROR_BYTES, "{event}: a refusal of {} bytes", wire.len());
    let known = REQUEST_EVENTS.contains(&event);
    assert_eq!(error.code == ErrorCode::UnknownEvent, !known, "{event}: {error}");
}
