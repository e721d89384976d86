//! Arbitrary payloads of engine.io.

use parlor_proto::codec::engineio::{Packet, SEPARATOR, decode_payload, push_packet};

/// The bytes are a payload, as far as they are text.
pub fn run(data: &[u8]) {
    let Ok(payload) = std::str::from_utf8(data) else { return };
    let read: Vec<_> = decode_payload(payload).collect();
    assert_eq!(read.len(), payload.matches(SEPARATOR).count() + 1, "each piece is a packet or is told to be none");
    // What was read is written again as it came, so that nothing is lost and nothing is invented.
    let mut written = String::new();
    for (packet, text) in read.iter().zip(payload.split(SEPARATOR)) {
        match packet {
            Some(Packet::Message(message)) => push_packet(&mut written, &format!("4{message}")),
            Some(_) => push_packet(&mut written, text),
            None => return,
        }
    }
    assert_eq!(written, payload);
}
