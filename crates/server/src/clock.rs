//! The wall clock, for what is stored and for what is compared with tokens.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parlor_proto::Timestamp;

/// Now.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// When a moment of the wall clock will come, on the clock that measures. One that is too far away to be
/// measured never comes.
#[must_use]
pub fn instant_of(moment: Timestamp, wall: Timestamp, now: Instant) -> Option<Instant> {
    now.checked_add(std::time::Duration::from_millis(wall.millis_until(moment)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_that_has_passed_is_now() {
        let now = Instant::now();
        assert_eq!(instant_of(Timestamp(1_500), Timestamp(1_000), now), Some(now + Duration::from_millis(500)));
        assert_eq!(instant_of(Timestamp(500), Timestamp(1_000), now), Some(now));
    }
}
