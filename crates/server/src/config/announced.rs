//! What clients are told as an address of this server: an address, or a name that is looked up.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::config::list::Written;

/// The longest name (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;
/// The longest part of a name between two dots.
const MAX_LABEL: usize = 63;

/// An entry of `media.announced_ip`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Announced {
    /// The address itself.
    Ip(IpAddr),
    /// A host name; its addresses are told, as they are at the time.
    Name(String),
}

impl FromStr for Announced {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.parse() {
            Ok(ip) => Ok(Self::Ip(ip)),
            Err(_) if is_name(text) => Ok(Self::Name(text.to_owned())),
            Err(_) => Err(()),
        }
    }
}

impl Written for Announced {
    const HOW: &'static str = "an IP address, as 203.0.113.9 or 2001:db8::9, or a host name, as media.example.com";
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for Announced {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether it can be the name of a host. One that ends in a number would be an address with a slip in it (RFC 1123, 2.1).
fn is_name(text: &str) -> bool {
    let fits = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    text.len() <= MAX_NAME && text.split('.').all(fits) && !text.rsplit('.').next().is_some_and(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_name_are_told_apart() {
        let read = |text: &str| text.parse::<Announced>().ok();
        for ip in ["203.0.113.9", "2001:db8::9"] {
            assert_eq!(read(ip), Some(Announced::Ip(ip.parse().expect("an address"))));
        }
        for name in ["media.example.com", "media", "a-1.example", "7.example"] {
            assert_eq!(read(name), Some(Announced::Name(name.to_owned())));
        }
        let long = format!("{}.example", "a".repeat(64));
        for neither in [
            "",
            "203.0.113",
            "203.0.113.9:7401",
            "[::1]",
            "a..example",
            "-a.example",
            "a b",
            "media.example.com.",
            "b\u{fc}cher.example",
            &long,
        ] {
            assert_eq!(read(neither), None, "{neither}");
        }
    }
}
