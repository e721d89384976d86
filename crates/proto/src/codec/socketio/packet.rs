//! Packets of the socket.io protocol (version 5, the JSON encoding) as they travel inside engine.io messages.
//!
//! Pure text in, pure text out. Binary packets are recognized, because they must be answered, and not read:
//! nothing in the dialect is binary.

use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Attachments one event may announce.
const MAX_ATTACHMENTS: u32 = 10;

/// A packet a client sent.
#[derive(Clone, PartialEq, Debug)]
pub enum Packet<'a> {
    /// Opens a namespace; the text is the `auth` payload's JSON, empty if there is none.
    Connect {
        /// The namespace to open.
        namespace: &'a str,
        /// The JSON of the `auth` payload.
        auth: &'a str,
    },
    /// Closes a namespace.
    Disconnect {
        /// The namespace to close.
        namespace: &'a str,
    },
    /// An event. The text is the JSON array of name and arguments.
    Event {
        /// The namespace it is sent in.
        namespace: &'a str,
        /// The number an acknowledgement must carry, if one is wanted.
        ack: Option<u64>,
        /// The JSON array of name and arguments.
        arguments: &'a str,
        /// So many binary attachments follow, if it is a binary event; this server does not take them.
        attachments: Option<u32>,
    },
    /// An acknowledgement of an event of ours. We never ask for one.
    Ack,
}

/// Reads a packet; `None` if it is none.
#[must_use]
pub fn decode(text: &str) -> Option<Packet<'_>> {
    let kind = *text.as_bytes().first()?;
    let mut rest = text.get(1..)?;
    let mut attachments = None;
    if matches!(kind, b'5' | b'6') {
        let (count, after) = rest.split_once('-')?;
        attachments = Some(count.parse().ok().filter(|count| *count <= MAX_ATTACHMENTS)?);
        rest = after;
    }
    let namespace = match rest.starts_with('/') {
        true => match rest.split_once(',') {
            Some((namespace, after)) => {
                rest = after;
                namespace
            }
            None => std::mem::take(&mut rest),
        },
        false => "/",
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, payload) = rest.split_at_checked(digits)?;
    match kind {
        b'0' if rest.is_empty() || is_object(rest) => Some(Packet::Connect { namespace, auth: rest }),
        b'1' if rest.is_empty() => Some(Packet::Disconnect { namespace }),
        b'2' | b'5' => {
            let ack = if number.is_empty() { None } else { Some(number.parse().ok()?) };
            Some(Packet::Event { namespace, ack, arguments: payload, attachments })
        }
        b'3' | b'6' => {
            number.parse::<u64>().ok()?;
            serde_json::from_str::<Vec<IgnoredAny>>(payload).ok().map(|_| Packet::Ack)
        }
        _ => None,
    }
}

fn is_object(json: &str) -> bool {
    json.starts_with('{') && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

/// Reads an event's arguments: its name, and what follows it. `None` if they are not a JSON array that begins
/// with a text.
#[must_use]
pub fn decode_arguments(json: &str) -> Option<(String, Vec<Value>)> {
    let mut arguments: Vec<Value> = serde_json::from_str(json).ok()?;
    if arguments.is_empty() {
        return None;
    }
    let rest = arguments.split_off(1);
    match arguments.pop() {
        Some(Value::String(name)) => Some((name, rest)),
        _ => None,
    }
}

/// Whether an event that [`decode_arguments`] does not read is one all the same: nested too deep, say, or with a number out of range.
#[must_use]
pub fn is_event(json: &str) -> bool {
    json.starts_with("[\"") && serde_json::from_str::<IgnoredAny>(json).is_ok()
}

/// Writes that the namespace is open. These functions write messages of engine.io, so there is a 4 in front.
#[must_use]
pub fn connected(sid: &str) -> String {
    format!("40{}", json(&serde_json::json!({ "sid": sid })))
}

/// Writes that the namespace stays closed: `message` is for people, `data` for programs.
#[must_use]
pub fn connect_error(namespace: &str, message: &str, data: Option<&impl Serialize>) -> String {
    #[derive(Serialize)]
    struct Refusal<'a, D> {
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a D>,
    }
    let place = if namespace == "/" { String::new() } else { format!("{namespace},") };
    format!("44{place}{}", json(&Refusal { message, data }))
}

/// The server closes the namespace.
pub const DISCONNECT: &str = "41";

/// Writes an event.
#[must_use]
pub fn event(name: &str, payload: &impl Serialize) -> String {
    format!("42{}", json(&(name, payload)))
}

/// Writes an acknowledgement.
#[must_use]
pub fn ack(number: u64, payload: &impl Serialize) -> String {
    format!("43{number}{}", json(&[payload]))
}

/// Our own types always serialize: they have text keys and no floats. Should that ever break, the client gets
/// `null` and not a dead connection.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "[null]".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_are_read_as_the_protocol_has_them() {
        assert_eq!(decode("0"), Some(Packet::Connect { namespace: "/", auth: "" }));
        assert_eq!(decode(r#"0{"token":"x"}"#), Some(Packet::Connect { namespace: "/", auth: r#"{"token":"x"}"# }));
        assert_eq!(decode("0/admin,{}"), Some(Packet::Connect { namespace: "/admin", auth: "{}" }));
        assert_eq!(decode("1"), Some(Packet::Disconnect { namespace: "/" }));
        let event = |ack, arguments, attachments| Some(Packet::Event { namespace: "/", ack, arguments, attachments });
        assert_eq!(decode(r#"2["a",{}]"#), event(None, r#"["a",{}]"#, None));
        assert_eq!(decode(r#"213["a"]"#), event(Some(13), r#"["a"]"#, None));
        assert_eq!(decode(r#"51-7["a"]"#), event(Some(7), r#"["a"]"#, Some(1)));
        assert_eq!(decode("31[]"), Some(Packet::Ack));
        let garbage = [
            "",
            "9",
            "é",
            "abc",
            "5x-[]",
            "599-[]",
            "2999999999999999999999[]",
            "4{}",
            "0[]",
            "0\"token\"",
            "0{",
            "0{}x",
            "1{}",
            "1x",
            "3[]",
            "31{}",
            "31",
        ];
        for garbage in garbage {
            assert_eq!(decode(garbage), None, "{garbage}");
        }
    }

    #[test]
    fn packets_are_written_as_the_protocol_has_them() {
        assert_eq!(connected("abc"), r#"40{"sid":"abc"}"#);
        assert_eq!(connect_error("/", "no", Some(&json!({"code": 1}))), r#"44{"message":"no","data":{"code":1}}"#);
        assert_eq!(connect_error("/x", "no", None::<&()>), r#"44/x,{"message":"no"}"#);
        assert_eq!(event("voice:left", &json!({"a": 1})), r#"42["voice:left",{"a":1}]"#);
        assert_eq!(ack(12, &json!({})), "4312[{}]");
    }

    #[test]
    fn arguments_begin_with_the_name() {
        assert_eq!(decode_arguments(r#"["a",{},1]"#), Some(("a".to_owned(), vec![json!({}), json!(1)])));
        for garbage in ["", "{}", "[]", "[1]", "[\"a\"", &"[".repeat(100_000)] {
            assert_eq!(decode_arguments(garbage), None);
            assert!(!is_event(garbage));
        }
        let deep = format!("[\"a\",{}{}]", "[".repeat(1000), "]".repeat(1000));
        assert!(decode_arguments(&deep).is_none() && is_event(&deep));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_decoder_panic(text in "\\PC{0,40}", head in "[0-9/,\\-]{0,6}") {
            let text = head + &text;
            if let Some(Packet::Event { arguments, .. }) = decode(&text) {
                let _ = decode_arguments(arguments);
            }
        }
    }
}
