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

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }

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
    /// One participant's stay in a mesh call, for those who address each other by connection and not by user.
    PeerId
);

impl PeerId {
    /// Makes the id from 128 bits of a random source the caller owns: a UUID of version 4 (RFC 9562, section 5.4).
    #[must_use]
    pub const fn random_uuid(bits: u128) -> Self {
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        Self(Uuid::from_u128((bits & !VERSION & !VARIANT) | (4 << 76) | (0b10 << 62)))
    }

    /// Reads the form of a UUID with hyphens and lower-case digits. Anything else is `None`.
    #[must_use]
    pub fn parse_uuid(text: &str) -> Option<Self> {
        let read = Self(Uuid::try_parse(text).ok()?);
        (read.to_uuid() == text).then_some(read)
    }

    /// The form of a UUID with hyphens.
    #[must_use]
    pub fn to_uuid(self) -> String {
        self.0.hyphenated().to_string()
    }
}

object_id!(
    /// Shows that a new connection is the old one's client, which lost it: to be kept to oneself.
    ResumeToken
);

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
        pub struct $name(Arc<str>);

        #[cfg(test)]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({"type": "string"})
            }
        }

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

/// Checks a text people choose (a display name, a reason): not empty, at most `max` characters, printable. What joins letters
/// or emoji and is not seen by itself may stand where it joins something.
pub fn check_name(text: &str, max: usize) -> Result<(), &'static str> {
    check_frame(text, max)?;
    if joins_what_is_seen(text) { Ok(()) } else { Err(UNSEEN) }
}

/// Checks an id: as a name, and without all that is not seen, because two ids that differ must look different.
pub fn check_id(text: &str) -> Result<(), &'static str> {
    check_frame(text, limits::MAX_ID_CHARS)?;
    if text.chars().any(|c| is_unseen(c) || is_selector(c)) { Err(UNSEEN) } else { Ok(()) }
}

const UNSEEN: &str = "must not contain control or invisible characters";

fn check_frame(text: &str, max: usize) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("must not be empty");
    }
    if text.chars().nth(max).is_some() {
        return Err("is too long");
    }
    if text.trim() != text {
        return Err("must not begin or end with white space");
    }
    Ok(())
}

/// Persian and Malayalam spell with joiners (U+200C, U+200D), emoji are made of parts with them, with selectors, and flags
/// with tags. Each may stand between what is seen, and nowhere else.
fn joins_what_is_seen(text: &str) -> bool {
    let mut rest = text;
    let mut before = Before::Nothing;
    while let Some(c) = rest.chars().next() {
        let tags = if c == FLAG { flag_tags(rest) } else { "" };
        rest = rest.get(c.len_utf8() + tags.len()..).unwrap_or_default();
        before = match (c, before) {
            (JOINER | NON_JOINER, Before::Seen | Before::Selected) => Before::Joined,
            (_, Before::Seen) if is_selector(c) => Before::Selected,
            (_, Before::Nothing | Before::Seen | Before::Selected) if c.is_whitespace() && !is_unseen(c) => Before::Nothing,
            _ if c.is_whitespace() || is_selector(c) || is_unseen(c) => return false,
            _ => Before::Seen,
        };
    }
    before != Before::Joined
}

/// What stands before a character of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// White space, or the beginning.
    Nothing,
    /// Something that is seen.
    Seen,
    /// Something that is seen, and how it is to be drawn.
    Selected,
    /// A joiner, to which something has to be joined.
    Joined,
}

const NON_JOINER: char = '\u{200c}';
const JOINER: char = '\u{200d}';
/// The emoji that flags of regions begin with (Unicode TS #51, "emoji tag sequence").
const FLAG: char = '\u{1f3f4}';
const TAGS_END: char = '\u{e007f}';
/// A region of CLDR has at most six letters and digits.
const MAX_TAGS: usize = 6;

/// The tags after a black flag: which region it is the flag of. Empty where they are none, or not ended.
fn flag_tags(text: &str) -> &str {
    let after = text.get(FLAG.len_utf8()..).unwrap_or_default();
    let is_tag = |c: char| matches!(c, '\u{e0030}'..='\u{e0039}' | '\u{e0061}'..='\u{e007a}');
    let Some((tags, _)) = after.split_once(TAGS_END) else { return "" };
    let fine = (1..=MAX_TAGS).contains(&tags.chars().count()) && tags.chars().all(is_tag);
    if fine { after.get(..tags.len() + TAGS_END.len_utf8()).unwrap_or_default() } else { "" }
}

/// Whether an emoji is drawn as a picture or as text.
fn is_selector(c: char) -> bool {
    matches!(c, '\u{fe0e}' | '\u{fe0f}')
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

    /// Of real people, from Persian to emoji families.
    const NAMES: [&str; 16] = [
        "\u{639}\u{644}\u{6cc}\u{200c}\u{631}\u{636}\u{627}",
        "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
        "\u{d36}\u{d4d}\u{d30}\u{d40}",
        "\u{dc1}\u{dca}\u{200d}\u{dbb}\u{dd3}",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
        "\u{1f469}\u{200d}\u{1f4bb}",
        "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
        "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
        "José",
        "Jürgen",
        "O'Brien",
        "Anne-Marie d’Arc",
        "李小龍",
        "יוסף כהן",
        "Zoë (she/her)",
        "நந்தினி",
    ];

    #[test]
    fn the_names_of_real_people_are_names_whatever_they_are_spelled_with() {
        for name in NAMES {
            assert_eq!(check_name(name, limits::MAX_NAME_CHARS), Ok(()), "{name}");
            assert_eq!(check_name(&format!("Dr {name} \u{2764}\u{fe0f}"), limits::MAX_NAME_CHARS), Ok(()), "{name}");
        }
    }

    #[test]
    fn what_joins_nothing_or_is_not_seen_is_no_part_of_a_name() {
        let tags = "\u{e0067}\u{e0062}";
        let refused = [
            "\u{200b}\u{200d}".to_owned(),
            " Ann".into(),
            "Ann\u{202e}evil".into(),
            "An\u{7}n".into(),
            "Ann\u{2066}".into(),
            "Ann\u{200d}".into(),
            "Ann\u{200c}".into(),
            "\u{200d}Ann".into(),
            "Ann\u{200d} Brown".into(),
            "Ann \u{200d}Brown".into(),
            "An\u{200d}\u{200d}n".into(),
            "An\u{200d}\u{fe0f}n".into(),
            "Ann \u{fe0f}".into(),
            "\u{fe0f}".into(),
            "Ann\u{3164}".into(),
            "x".repeat(65),
            format!("Ann{tags}\u{e007f}"),
            format!("\u{1f3f4}{tags}"),
            "\u{1f3f4}\u{e007f}".into(),
            format!("\u{1f3f4}{}\u{e007f}", tags.repeat(4)),
        ];
        for name in refused {
            assert!(check_name(&name, limits::MAX_NAME_CHARS).is_err(), "{name:?}");
        }
    }

    #[test]
    fn two_ids_that_differ_look_different() {
        for id in NAMES.iter().filter(|name| name.contains(['\u{200c}', '\u{200d}', '\u{e007f}'])) {
            assert!(UserId::new(id).is_err(), "{id:?}");
        }
    }
}
