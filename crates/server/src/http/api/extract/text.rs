//! Texts of bodies that people read: checked while they are read, so that the error can name the field.

use std::borrow::Cow;

use parlor_proto::ids::check_name;
use parlor_proto::limits;
use serde::de::{self, DeserializeOwned, IntoDeserializer, value::StringDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

/// A text of at most so many characters, printable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(transparent)]
pub struct Text<const MAX: usize>(pub String);

/// The name people give to something.
pub type NameText = Text<{ limits::MAX_NAME_CHARS }>;
/// The reason why something was done.
pub type ReasonText = Text<{ limits::MAX_REASON_CHARS }>;

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        check_name(&text, MAX).map_err(de::Error::custom)?;
        Ok(Self(text.into_owned()))
    }
}

/// For `deserialize_with`: reads one of several words, and only from a text; serde alone takes `{"word": null}` as well.
pub fn word<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let text: StringDeserializer<D::Error> = String::deserialize(deserializer)?.into_deserializer();
    T::deserialize(text)
}

/// For `deserialize_with`: reads a whole number or null. In JSON, 8.0 is a whole number as well.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let fits = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was compared with both bounds")]
    fits.then_some(Some(number as u32)).ok_or_else(|| de::Error::custom("must be a whole number"))
}
