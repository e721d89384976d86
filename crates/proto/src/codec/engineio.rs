//! Packets of the engine.io protocol (version 4), which carry the messages of socket.io, and the payloads in which
//! long polling carries packets.
//!
//! Pure text in, pure text out. Binary packets are recognized, because they must be answered, and not read: nothing in
//! the dialect is binary.

/// Between two packets of a payload.
pub const SEPARATOR: char = '\x1e';
/// The server asks for a sign of life.
pub const PING: &str = "2";
/// A packet without a meaning: it ends a poll that has nothing to bring.
pub const NOOP: &str = "6";
/// The connection is over.
pub const CLOSE: &str = "1";
/// The packet with which a client tries out a WebSocket that is to take a poll's place.
pub const PROBE: &str = "2probe";
/// The answer to [`PROBE`].
pub const PROBED: &str = "3probe";

/// A packet a client may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packet<'a> {
    /// The client wants no more of this connection.
    Close,
    /// The client answers a ping.
    Pong,
    /// A packet of the protocol above.
    Message(&'a str),
    /// The WebSocket takes the poll's place from now on.
    Upgrade,
    /// A packet without meaning: it ends a poll that is open.
    Noop,
    /// Bytes, which are not read.
    Binary,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` if it is none that a client may send outside of a probe.
    #[must_use]
    pub fn decode(text: &'a str) -> Option<Self> {
        match text {
            "1" => Some(Self::Close),
            "3" => Some(Self::Pong),
            "5" => Some(Self::Upgrade),
            "6" => Some(Self::Noop),
            _ => match text.strip_prefix('4') {
                Some(message) => Some(Self::Message(message)),
                None => text.strip_prefix('b').filter(|base64| is_base64(base64)).map(|_| Self::Binary),
            },
        }
    }
}

/// The packets of a payload, in order; each `None` is none.
pub fn decode_payload(payload: &str) -> impl Iterator<Item = Option<Packet<'_>>> {
    payload.split(SEPARATOR).map(Packet::decode)
}

/// Adds a packet to a payload.
pub fn push_packet(payload: &mut String, packet: &str) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
    payload.push_str(packet);
}

/// RFC 4648, section 4, with padding.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_as_the_protocol_has_them() {
        assert_eq!(Packet::decode("1"), Some(Packet::Close));
        assert_eq!(Packet::decode("3"), Some(Packet::Pong));
        assert_eq!(Packet::decode("42[\"a\"]"), Some(Packet::Message("2[\"a\"]")));
        assert_eq!(Packet::decode("4"), Some(Packet::Message("")));
        assert_eq!(Packet::decode("5"), Some(Packet::Upgrade));
        assert_eq!(Packet::decode("6"), Some(Packet::Noop));
        assert_eq!(Packet::decode("bAQIDBA=="), Some(Packet::Binary));
        // A server opens and pings; a client does neither.
        for garbage in ["", "0", "0{}", "2", "2probe", "3probe", "11", "7", "abc", "é", "bA", "bA===", "b====", "b*AAA"] {
            assert_eq!(Packet::decode(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn a_payload_is_packets_with_a_separator_between() {
        let read: Vec<_> = decode_payload("4hello\x1e3\x1ebAQIDBA==\x1eabc").collect();
        assert_eq!(read, [Some(Packet::Message("hello")), Some(Packet::Pong), Some(Packet::Binary), None]);
        for incomplete in ["", "\x1e", "4a\x1e"] {
            assert!(decode_payload(incomplete).any(|packet| packet.is_none()), "{incomplete:?}");
        }
        let mut payload = String::new();
        push_packet(&mut payload, "4a");
        push_packet(&mut payload, PING);
        assert_eq!(payload, "4a\x1e2");
    }
}
