//! The wall clock that both ends of a packet share.
//!
//! Send times travel inside the payload and are compared with the kernel's receive timestamps
//! (`SO_TIMESTAMPNS`), which are on `CLOCK_REALTIME`. Sender and receiver must run on one machine for the
//! difference to mean anything.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the Unix epoch.
#[must_use]
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
