//! The wall clock, for what is stored and for what is compared with tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use parlor_proto::Timestamp;

/// The time of the wall clock now.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
