//! Bitrates of what arrives: measured, and held to what is allowed.

use std::time::{Duration, Instant};

/// Long enough to average over a key frame, short enough to see a layer stop.
const WINDOW: Duration = Duration::from_millis(1_000);

/// Measures a stream over whole windows.
#[derive(Debug)]
pub(crate) struct Meter {
    since: Instant,
    bytes: u64,
    rate: u64,
}

impl Meter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, rate: 0 }
    }

    pub(crate) fn add(&mut self, bytes: usize, now: Instant) {
        self.roll(now);
        self.bytes += bytes as u64;
    }

    /// In bit/s; 0 when nothing has arrived for a window or two.
    pub(crate) fn rate(&mut self, now: Instant) -> u64 {
        self.roll(now);
        self.rate
    }

    fn roll(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < WINDOW {
            return;
        }
        // After a silence of several windows the average over all of it is near 0, as it should be.
        self.rate = self.bytes * 8_000 / u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
        self.since = now;
        self.bytes = 0;
    }
}

/// Encoders miss their target by some tens of percent for seconds; only what is clearly beyond is dropped.
const TOLERANCE_PERCENT: u64 = 150;
/// Room for key frames of all layers at once, and for a ramp-up.
const BURST: Duration = Duration::from_secs(2);
/// Whatever the limit is, a few full packets must pass.
const MIN_BURST_BYTES: u64 = 16 * 1_500;

/// The last resort against a sender that ignores its limit: a token bucket.
///
/// The sender is told its limit by REMB; this only catches one that does not listen.
#[derive(Debug)]
pub(crate) struct Limit {
    bytes_per_second: u64,
    capacity: u64,
    tokens: u64,
    last: Instant,
}

impl Limit {
    pub(crate) fn new(max_bitrate: u32, now: Instant) -> Self {
        let bytes_per_second = u64::from(max_bitrate) * TOLERANCE_PERCENT / 100 / 8;
        let capacity = (bytes_per_second * BURST.as_secs()).max(MIN_BURST_BYTES);
        Self { bytes_per_second, capacity, tokens: capacity, last: now }
    }

    /// Whether a packet of this size may pass.
    pub(crate) fn admit(&mut self, bytes: usize, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.last);
        let earned = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX).saturating_mul(self.bytes_per_second) / 1_000_000;
        if earned > 0 {
            self.tokens = self.tokens.saturating_add(earned).min(self.capacity);
            self.last = now;
        }
        let fits = self.tokens >= bytes as u64;
        if fits {
            self.tokens -= bytes as u64;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    #[test]
    fn a_meter_measures_and_forgets() {
        let now = start();
        let mut meter = Meter::new(now);
        for ms in 0..2_000 {
            meter.add(125, now + Duration::from_millis(ms));
        }
        let rate = meter.rate(now + Duration::from_millis(2_000));
        assert!((990_000..=1_010_000).contains(&rate), "{rate}");
        meter.rate(now + Duration::from_secs(4));
        assert_eq!(meter.rate(now + Duration::from_secs(6)), 0);
    }

    #[test]
    fn a_sender_within_its_limit_loses_nothing() {
        let now = start();
        let mut limit = Limit::new(1_000_000, now);
        assert!((0..10_000).all(|ms| limit.admit(125, now + Duration::from_millis(ms))));
    }

    #[test]
    fn a_sender_far_over_its_limit_is_held_near_it() {
        let now = start();
        let mut limit = Limit::new(1_000_000, now);
        let seconds = 20;
        let passed = (0..seconds * 1_000).filter(|ms| limit.admit(1_250, now + Duration::from_millis(*ms))).count() as u64 * 1_250;
        let allowed = u64::from(1_000_000_u32) / 8 * TOLERANCE_PERCENT / 100 * (seconds + BURST.as_secs());
        assert!(passed <= allowed + 1_250 && passed > allowed / 2, "{passed} of {allowed}");
    }
}
