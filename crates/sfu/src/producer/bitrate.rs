//! Bitrates of what arrives, measured.

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

    /// The bitrate in bit/s; 0 when nothing has arrived for a window or two.
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

/// Layers within one stream that are told apart: more are added to the last.
const WITHIN: usize = 4;

/// The bitrate of one incoming stream, and how it is divided among the layers within it.
#[derive(Debug)]
pub(crate) struct LayeredMeter {
    total: Meter,
    /// The rates of the last windows: one with a key frame in it is no reason to give a layer up.
    smooth: u64,
    /// The window that is in `smooth` already.
    smoothed: Instant,
    /// Bytes since `since`, by spatial and temporal layer; halved now and then, so that the past counts less.
    bytes: [[u64; WITHIN]; WITHIN],
    since: Instant,
}

impl LayeredMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { total: Meter::new(now), smooth: 0, smoothed: now, bytes: [[0; WITHIN]; WITHIN], since: now }
    }

    pub(crate) fn add(&mut self, bytes: usize, spatial: u8, temporal: u8, now: Instant) {
        self.total.add(bytes, now);
        let cell = self.bytes.get_mut(usize::from(spatial).min(WITHIN - 1)).and_then(|r| r.get_mut(usize::from(temporal).min(WITHIN - 1)));
        if let Some(cell) = cell {
            *cell += bytes as u64;
        }
        if now.saturating_duration_since(self.since) >= WINDOW {
            self.since = now;
            self.bytes.iter_mut().flatten().for_each(|bytes| *bytes /= 2);
        }
    }

    /// All of it, in bit/s, over about three windows; 0 when nothing has arrived for a window or two.
    pub(crate) fn rate(&mut self, now: Instant) -> u64 {
        let rate = self.total.rate(now);
        if self.total.since != self.smoothed {
            self.smoothed = self.total.since;
            self.smooth = if rate == 0 || self.smooth == 0 { rate } else { (2 * self.smooth + rate) / 3 };
        }
        self.smooth
    }

    /// The number of spatial and temporal layers seen; at least one each.
    pub(crate) fn layers(&self) -> (u8, u8) {
        let last = |used: &dyn Fn(usize) -> bool| (0..WITHIN).rev().find(|at| used(*at)).unwrap_or(0);
        let spatial = last(&|s| self.bytes.get(s).is_some_and(|row| row.iter().any(|bytes| *bytes > 0)));
        let temporal = last(&|t| self.bytes.iter().any(|row| row.get(t).is_some_and(|bytes| *bytes > 0)));
        let count = |last: usize| u8::try_from(last + 1).unwrap_or(1);
        (count(spatial), count(temporal))
    }

    /// What the layers up to these take of a rate of all.
    pub(crate) fn share(&self, rate: u64, spatial: u8, temporal: u8) -> u64 {
        let sum = |spatial: u8, temporal: u8| -> u64 {
            let rows = self.bytes.iter().take(usize::from(spatial) + 1);
            rows.flat_map(|row| row.iter().take(usize::from(temporal) + 1)).sum()
        };
        rate.saturating_mul(sum(spatial, temporal)).checked_div(sum(u8::MAX, u8::MAX)).unwrap_or(rate)
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
    fn a_layered_meter_tells_what_each_layer_takes() {
        let now = start();
        let mut meter = LayeredMeter::new(now);
        for ms in 0..3_000 {
            let temporal = u8::from(ms % 2 == 1);
            meter.add(if temporal == 0 { 300 } else { 100 }, 0, temporal, now + Duration::from_millis(ms));
        }
        assert_eq!(meter.layers(), (1, 2));
        let share = meter.share(1_000_000, 0, 0);
        assert!((740_000..=760_000).contains(&share), "{share}");
        assert_eq!(meter.share(1_000_000, 0, 1), 1_000_000);
        (3_000..40_000).for_each(|ms| meter.add(200, 0, 0, now + Duration::from_millis(ms)));
        assert_eq!(meter.layers(), (1, 1), "what was long ago is forgotten");
    }
}
