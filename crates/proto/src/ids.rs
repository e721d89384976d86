//! Ids as newtypes: which id is meant is a matter of type, and object ids cannot be guessed.
//!
//! Object ids are 128 random bits, written as 32 hexadecimal digits. Knowing one gives no right to it:
//! every request checks who owns the object. They are still shortened in logs, because a full id in a log
//! is one thing less an attacker has to learn.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use crate::limits;

macro_rules! object_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// Makes the id from 128 bits of a random source the caller owns.
            #[must_use]
            pub const fn from_random(bits: u128) -> Self {
                Self(Uuid::from_u128(bits))
            }

            /// Reads the form with 32 lower-case digits. Anything else is `None`.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                // `Uuid` also reads hyphens, braces, URNs and capitals; one object has one spelling here.
                let fine = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                fine.then(|| Uuid::try_parse(text).ok()).flatten().map(Self)
            }

            /// The 32 hexadecimal digits that go over the wire.
            #[must_use]
            pub fn to_wire(self) -> String {
                self.0.simple().to_string()
            }
        }

        /// Shortened to the first eight digits: enough to follow one object through a log.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:08x}…)", stringify!($name), self.0.as_u128() >> 96)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(&self.0.simple())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                Self::parse(&text).ok_or_else(|| de::Error::custom("not an id of 32 hexadecimal digits"))
            }
        }
    };
}

object_id!(
    /// One authenticated connection: a user on one device. It owns its transports, producers and consumers.
    SessionId
);
object_id!(
    /// The media side of one room: what is produced in it can be consumed in it, and nowhere else.
    RouterId
);
object_id!(
    /// One ICE + DTLS association between a session and the SFU, for one direction.
    TransportId
);
object_id!(
    /// One track a session sends.
    ProducerId
);
object_id!(
    /// One track a session receives: a producer's copy for one receiver.
    ConsumerId
);

object_id!(
    /// Shows that a new connection is the old one's client, which lost it: to be kept to oneself.
    ResumeToken
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text of 1 to [`limits::MAX_ID_CHARS`] characters without white space at its ends and
            /// without control characters; otherwise says in a few words what is wrong.
            pub fn new(text: &str) -> Result<Self, &'static str> {
                check_id(text).map(|()| Self(text.into()))
            }

            /// The id as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(d)?;
                Self::new(&text).map_err(de::Error::custom)
            }
        }
    };
}

name_id!(
    /// Who somebody is, given by the host application in a signed token; never by a payload.
    UserId
);
name_id!(
    /// A channel's id, chosen by the host application.
    ChannelId
);

/// Checks a text people choose (an id, a display name): not empty, at most `max` characters, printable.
pub fn check_name(text: &str, max: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.chars().nth(max).is_some() {
        return Err("is too long");
    }
    if text.trim() != text {
        return Err("must not begin or end with white space");
    }
    if text.chars().any(is_unseen) {
        return Err("must not contain control or invisible characters");
    }
    Ok(())
}

/// Checks an id: as a name, and without the selectors that names need for emoji, because they change nothing else one sees.
pub fn check_id(text: &str) -> Result<(), &'static str> {
    check_name(text, limits::MAX_ID_CHARS)?;
    if text.contains(['\u{fe0e}', '\u{fe0f}']) { Err("must not contain control or invisible characters") } else { Ok(()) }
}

/// What would let one name pass for another: bidirectional overrides, and what is not seen (`Default_Ignorable_Code_Point`
/// of Unicode, but for the two selectors of emoji).
fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_id_has_one_spelling() {
        let id = ProducerId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(ProducerId::parse(&id.to_wire()), Some(id));
        assert_eq!(ProducerId::parse("01234567-89ab-cdef-0123-456789abcdef"), None);
        assert_eq!(ProducerId::parse("0123456789ABCDEF0123456789ABCDEF"), None);
        assert_eq!(ProducerId::parse(""), None);
    }

    #[test]
    fn a_log_never_shows_a_whole_object_id() {
        let id = TransportId::from_random(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(format!("{id:?}"), "TransportId(01234567…)");
    }

    #[test]
    fn names_are_bounded_and_printable() {
        assert!(ChannelId::new("mysea-42").is_ok());
        assert!(ChannelId::new("Стол №5 🎲").is_ok());
        assert!(ChannelId::new("").is_err());
        assert!(ChannelId::new(" x").is_err());
        assert!(ChannelId::new("a\u{202e}b").is_err());
        assert!(ChannelId::new("a\nb").is_err());
        for unseen in ['\u{ad}', '\u{61c}', '\u{3164}', '\u{206a}', '\u{180e}', '\u{e0041}', '\u{fe0f}'] {
            assert!(UserId::new(&format!("alice{unseen}")).is_err(), "U+{:04X}", u32::from(unseen));
        }
        assert!(check_name("Heart \u{2764}\u{fe0f}", limits::MAX_NAME_CHARS).is_ok());
        assert!(ChannelId::new(&"x".repeat(limits::MAX_ID_CHARS)).is_ok());
        assert!(ChannelId::new(&"x".repeat(limits::MAX_ID_CHARS + 1)).is_err());
    }
}
