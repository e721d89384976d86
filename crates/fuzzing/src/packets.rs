//! Arbitrary packets of socket.io.

use parlor_proto::codec::socketio::packet::{self, Packet};
use serde_json::Value;

/// Attachments that one event may announce.
const MAX_ATTACHMENTS: u32 = 10;

/// The bytes are one packet, as far as they are text.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match packet::decode(text) {
        Some(Packet::Connect { namespace, auth }) => {
            check_namespace(namespace);
            assert!(auth.is_empty() || serde_json::from_str::<Value>(auth).map_or(true, |auth| auth.is_object()), "{auth}");
        }
        Some(Packet::Disconnect { namespace }) => check_namespace(namespace),
        Some(Packet::Event { namespace, arguments, attachments, .. }) => {
            check_namespace(namespace);
            assert!(attachments.is_none_or(|attachments| attachments <= MAX_ATTACHMENTS));
            check_arguments(arguments);
        }
        Some(Packet::Ack) | None => {}
    }
}

fn check_namespace(namespace: &str) {
    assert!(namespace.starts_with('/'), "{namespace}");
}

/// What is read of an event is an event, and is the same when it is written and read again.
fn check_arguments(arguments: &str) {
    let Some((name, rest)) = packet::decode_arguments(arguments) else { return };
    let [payload] = rest.as_slice() else { return };
    let written = packet::event(&name, payload);
    let message = written.strip_prefix('4').expect("a message of engine.io");
    let Some(Packet::Event { namespace: "/", ack: None, arguments, attachments: None }) = packet::decode(message) else {
        panic!("our own event is not read as one: {written}")
    };
    assert_eq!(packet::decode_arguments(arguments), Some((name, rest)), "two readings differ");
}
