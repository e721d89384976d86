//! What a client may make us do by what it reports, asks for and checks. What it sends is authentic then, and costs it next to
//! nothing; so there are bounds for what it costs us.
//!
//! Honest clients stay far below all of them. What is beyond is ignored and counted.

use std::time::Instant;

use crate::budget::Budget;

/// RTCP datagrams. Browsers send a report each second for each of their streams, feedback twenty times a second, and NACKs
/// as losses come: some hundreds with dozens of streams and a bad link.
const DATAGRAMS: u64 = 1_000;
/// What is in them and costs a search: reports, report blocks, requests for a key frame, bitrates.
const ITEMS: u64 = 4_000;
/// Packets that transport-wide feedback speaks of. All that is sent to one client at 50 Mbit/s, twice.
const STATUSES: u64 = 10_000;
/// Numbers asked for again. Six cameras at 30 % loss have 500, each asked for a few times.
const NACKED: u64 = 4_000;
/// Valid STUN checks. A browser with a dozen addresses sends one every 50 ms for each pair while it connects, some in a second for each later.
const CHECKS: u64 = 50;
const CHECKS_AT_ONCE: u64 = 500;
/// What a network held back comes at once.
const AT_ONCE_SECONDS: u64 = 2;

/// The allowances of one transport.
#[derive(Debug)]
pub(crate) struct Allowances {
    pub(crate) datagrams: Budget,
    pub(crate) items: Budget,
    pub(crate) statuses: Budget,
    pub(crate) nacked: Budget,
    pub(crate) checks: Budget,
}

impl Allowances {
    pub(crate) fn new(now: Instant) -> Self {
        let of = |per_second: u64| Budget::new(per_second, per_second * AT_ONCE_SECONDS, now);
        Self {
            datagrams: of(DATAGRAMS),
            items: of(ITEMS),
            statuses: of(STATUSES),
            nacked: of(NACKED),
            checks: Budget::new(CHECKS, CHECKS_AT_ONCE, now),
        }
    }
}
