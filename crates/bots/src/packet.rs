//! The engine.io v4 and socket.io v5 packets a client of one namespace needs, as text.
//!
//! Written out here because no library fits: `rust_socketio` brings OpenSSL, and `socketioxide-parser-common`
//! is the server's half (it cannot read a refused connect). It is also the code our server is built on; the
//! bots are to be an independent peer.

use serde::Deserialize;
use serde_json::Value;

/// A packet, either way.
#[derive(Clone, PartialEq, Debug)]
pub enum Packet {
    /// The server opens the engine.io session.
    Open(Open),
    /// The engine.io session ends.
    EngineClose,
    /// The server asks whether we are alive.
    Ping,
    /// The answer to a ping.
    Pong,
    /// A packet without a meaning.
    Noop,
    /// Enter the namespace: with the auth payload from the client, with the socket id from the server.
    Connect(Value),
    /// The server does not let us in: `{message, data}`.
    ConnectError(Value),
    /// The namespace is left.
    Disconnect,
    /// An event with its first argument.
    Event {
        /// The name of the event.
        name: String,
        /// The first argument; null if there is none.
        payload: Value,
        /// The acknowledgement asked for.
        ack: Option<u64>,
    },
    /// An acknowledgement with its first argument.
    Ack {
        /// The number of the event that is acknowledged.
        id: u64,
        /// The first argument; null if there is none.
        payload: Value,
    },
}

/// What the server says when it opens the session.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Open {
    /// The time between pings in milliseconds.
    pub ping_interval: u64,
    /// Milliseconds a ping may be late.
    pub ping_timeout: u64,
}

/// A packet that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a socket.io packet: {0}")]
pub struct MalformedPacket(String);

fn malformed(text: &str) -> MalformedPacket {
    MalformedPacket(text.chars().take(80).collect())
}

impl Packet {
    /// The text of the packet.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Open(open) => format!(r#"0{{"pingInterval":{},"pingTimeout":{}}}"#, open.ping_interval, open.ping_timeout),
            Self::EngineClose => "1".to_owned(),
            Self::Ping => "2".to_owned(),
            Self::Pong => "3".to_owned(),
            Self::Noop => "6".to_owned(),
            Self::Connect(auth) => format!("40{auth}"),
            Self::ConnectError(error) => format!("44{error}"),
            Self::Disconnect => "41".to_owned(),
            Self::Event { name, payload, ack } => {
                let ack = ack.map(|id| id.to_string()).unwrap_or_default();
                format!("42{ack}[{},{payload}]", Value::from(name.as_str()))
            }
            Self::Ack { id, payload } => format!("43{id}[{payload}]"),
        }
    }

    /// Reads the text of a packet of the main namespace.
    pub fn decode(text: &str) -> Result<Self, MalformedPacket> {
        let (kind, rest) = split_first(text).ok_or_else(|| malformed(text))?;
        Ok(match kind {
            '0' => Self::Open(serde_json::from_str(rest).map_err(|_| malformed(text))?),
            '1' => Self::EngineClose,
            '2' => Self::Ping,
            '3' => Self::Pong,
            '4' => return Self::decode_message(rest).ok_or_else(|| malformed(text)),
            '6' => Self::Noop,
            _ => return Err(malformed(text)),
        })
    }

    fn decode_message(text: &str) -> Option<Self> {
        let (kind, rest) = split_first(text)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (id, json) = rest.split_at_checked(digits)?;
        let id = if id.is_empty() { None } else { Some(id.parse::<u64>().ok()?) };
        Some(match kind {
            '0' => Self::Connect(if json.is_empty() { Value::Null } else { serde_json::from_str(json).ok()? }),
            '1' => Self::Disconnect,
            '2' => {
                let mut arguments: std::vec::IntoIter<Value> = serde_json::from_str::<Vec<Value>>(json).ok()?.into_iter();
                let name = arguments.next()?.as_str()?.to_owned();
                Self::Event { name, payload: arguments.next().unwrap_or_default(), ack: id }
            }
            '3' => {
                let arguments: Vec<Value> = serde_json::from_str(json).ok()?;
                Self::Ack { id: id?, payload: arguments.into_iter().next().unwrap_or_default() }
            }
            '4' => Self::ConnectError(serde_json::from_str(json).ok()?),
            _ => return None,
        })
    }
}

fn split_first(text: &str) -> Option<(char, &str)> {
    let mut chars = text.chars();
    chars.next().map(|first| (first, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_packet_is_read_back_as_it_was_written() {
        for packet in [
            Packet::Open(Open { ping_interval: 25_000, ping_timeout: 20_000 }),
            Packet::EngineClose,
            Packet::Ping,
            Packet::Pong,
            Packet::Noop,
            Packet::Connect(json!({"token": "a.b.c"})),
            Packet::ConnectError(json!({"message": "no", "data": {"code": "UNAUTHENTICATED"}})),
            Packet::Disconnect,
            Packet::Event { name: "voice:join".into(), payload: json!({"channelId": "t[1]\"ü"}), ack: Some(17) },
            Packet::Event { name: "voice:left".into(), payload: json!({}), ack: None },
            Packet::Ack { id: 0, payload: json!({"producerId": "00"}) },
        ] {
            assert_eq!(Packet::decode(&packet.encode()).as_ref(), Ok(&packet));
        }
    }

    #[test]
    fn packets_of_the_specification_are_read() {
        let open = r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
        assert_eq!(Packet::decode(open), Ok(Packet::Open(Open { ping_interval: 25_000, ping_timeout: 20_000 })));
        assert_eq!(Packet::decode("4212[\"hi\"]"), Ok(Packet::Event { name: "hi".into(), payload: Value::Null, ack: Some(12) }));
        assert_eq!(Packet::decode("431[]"), Ok(Packet::Ack { id: 1, payload: Value::Null }));
        assert_eq!(Packet::decode("40"), Ok(Packet::Connect(Value::Null)));
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for text in ["", "4", "9", "é", "42", "42[]", "42[1]", "43[]", "4299999999999999999999[\"a\"]", "42/admin,[\"a\"]", "4é", "0{"] {
            assert!(Packet::decode(text).is_err(), "{text}");
        }
    }
}
