//! Reads lists that may be written as a single value, with errors that say how to write an item.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::config::Secret;

/// A value that is read from a text, and how to write it: the error of the standard library only says that it is wrong.
pub trait Written: FromStr {
    /// The words after "must be" in the error.
    const HOW: &'static str;
}

impl Written for SocketAddr {
    const HOW: &'static str = "an IP address and a port, as 127.0.0.1:7400 or [::]:7400";
}

impl Written for IpAddr {
    const HOW: &'static str = "an IP address, as 203.0.113.9 or 2001:db8::9";
}

impl Written for IpNet {
    const HOW: &'static str = "a network, as 198.18.0.0/24, or as 198.18.0.7/32 for one address";
}

impl Written for Secret {
    const HOW: &'static str = "a text";
}

impl Written for String {
    const HOW: &'static str = "a text";
}

/// Reads one value; the error says how to write it.
pub fn written<T: Written>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("must be {}", T::HOW))
}

/// Reads `["a", "b"]`, `"a"`, or `""` for none.
pub fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Written,
{
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a list of texts")]
    enum Either {
        One(String),
        Many(Vec<String>),
    }
    let texts = match Either::deserialize(deserializer)? {
        Either::One(text) if text.is_empty() => Vec::new(),
        Either::One(text) => vec![text],
        Either::Many(texts) => texts,
    };
    let parse = |text: String| written(&text).map_err(|e| serde::de::Error::custom(format!("\"{text}\" {e}")));
    texts.into_iter().map(parse).collect()
}
