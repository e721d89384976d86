//! Times on the wire: RFC 3339 in UTC, to the millisecond.

use std::borrow::Cow;

use parlor_proto::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// A time of the store as people and programs read it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When(pub Timestamp);

/// The first moment after the year 9999: RFC 3339 has four digits for the year.
const END: Timestamp = Timestamp(253_402_300_800_000);

impl When {
    fn read(text: &str) -> Option<Self> {
        let at = Timestamp::parse_rfc3339(text)?;
        (at >= Timestamp(0) && at < END).then_some(Self(at))
    }
}

impl Serialize for When {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        Self::read(&text).ok_or_else(|| de::Error::custom("must be a time such as 2100-01-31T18:00:00Z, from 1970 to 9999"))
    }
}

impl PartialSchema for When {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .pattern(Some(r"^(19[7-9][0-9]|[2-9][0-9]{3})-[0-9]{2}-[0-9]{2}[Tt ]"))
            .description(Some("A time (RFC 3339), from 1970 to 9999. Answers give it in UTC."))
            .examples([serde_json::json!("2100-01-31T18:00:00Z")])
            .into()
    }
}

impl ToSchema for When {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Time")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_any_offset_and_written_in_utc() {
        let written = |text: &str| When::read(text).map(|when| when.0.to_rfc3339());
        assert_eq!(written("2026-01-31T18:00:00Z").as_deref(), Some("2026-01-31T18:00:00Z"));
        assert_eq!(written("2026-01-31T18:00:00+02:00").as_deref(), Some("2026-01-31T16:00:00Z"));
        assert_eq!(written("2026-01-31T18:00:00.123456Z").as_deref(), Some("2026-01-31T18:00:00.123Z"));
        for bad in ["", "now", "2026-01-31", "2026-02-30T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59-01:00", "1767225600"] {
            assert_eq!(written(bad), None, "{bad}");
        }
    }
}
