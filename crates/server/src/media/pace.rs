//! When what was collected is sent.

use std::time::{Duration, Instant};

/// Inputs after which a flush waits for no more: what they cause may be a hundred times as many.
const MAX_COLLECTED: usize = 256;

/// How often a worker's load is looked at.
const LOAD_WINDOW: Duration = Duration::from_millis(100);
/// Up to this load, in percent, nothing waits on its account: there is time enough to send everything at once.
const CALM_PERCENT: u64 = 30;
/// From this load on everything waits up to [`MAX_UNDER_LOAD`].
const BUSY_PERCENT: u64 = 80;
/// Less than the jitter of any network; at the rates at which a worker is busy several packets come to every receiver in it.
const MAX_UNDER_LOAD: Duration = Duration::from_micros(1_000);

/// Keeps flushes apart, so that each has more to send: by the configured interval, or by more, the busier the worker is.
/// The first after a pause goes at once; nothing waits longer than the interval.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// The least there is.
    configured: Duration,
    window: Instant,
    idle: Duration,
    /// The last flush that had something to send.
    flushed: Instant,
    /// Inputs since then.
    collected: usize,
}

impl Pace {
    /// Makes one; with no interval every flush is due at once.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, configured: interval, window: now, idle: Duration::ZERO, flushed: now, collected: 0 }
    }

    /// Takes note that the worker waited, up to `now`, and had nothing to do.
    pub fn rested(&mut self, idle: Duration, now: Instant) {
        self.idle += idle;
        let span = now.saturating_duration_since(self.window);
        if span >= LOAD_WINDOW {
            let idle_percent = self.idle.as_micros() * 100 / span.as_micros().max(1);
            let load = 100_u64.saturating_sub(u64::try_from(idle_percent).unwrap_or(100));
            let above = load.clamp(CALM_PERCENT, BUSY_PERCENT) - CALM_PERCENT;
            let wait = MAX_UNDER_LOAD * u32::try_from(above).unwrap_or(0) / u32::try_from(BUSY_PERCENT - CALM_PERCENT).unwrap_or(1);
            // Halfway only: less to do makes a lower load, which asks for less waiting.
            self.interval = ((self.interval + wait) / 2).max(self.configured);
            (self.window, self.idle) = (now, Duration::ZERO);
        }
    }

    /// Takes note of inputs, each of which may cause something to send.
    pub fn collect(&mut self, inputs: usize) {
        self.collected += inputs;
    }

    /// When the next flush is due; nothing if there is nothing to send.
    pub fn due(&self) -> Option<Instant> {
        let waits = if self.collected >= MAX_COLLECTED { Duration::ZERO } else { self.interval };
        (self.collected > 0).then(|| self.flushed + waits)
    }

    /// Whether to flush now; then it has begun.
    pub fn begin(&mut self, now: Instant) -> bool {
        let due = self.due().is_some_and(|at| at <= now);
        if due {
            (self.flushed, self.collected) = (now, 0);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_micros(500);
    const STEP: Duration = Duration::from_micros(1);

    #[test]
    fn an_input_waits_at_most_the_interval_and_flushes_are_that_far_apart() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, start);
        let (mut waiting, mut last): (Option<u32>, Option<u32>) = (None, None);
        for micros in 0..20_000_u32 {
            let now = start + STEP * micros;
            if micros % 37 == 0 || micros % 4_001 < 3 {
                pace.collect(1);
                waiting = waiting.or(Some(micros));
            }
            if pace.begin(now) {
                let since = waiting.take().expect("nothing is flushed for nothing");
                assert!(micros - since <= 500, "waited {} us", micros - since);
                assert!(last.is_none_or(|last| micros - last >= 500));
                last = Some(micros);
            }
        }
        assert!(last.is_some_and(|last| last >= 19_000));
    }

    #[test]
    fn a_busy_worker_waits_longer_and_a_calm_one_not_at_all() {
        let mut now = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, now);
        let mut run = |pace: &mut Pace, idle_percent: u32| {
            for _ in 0..2_000 {
                now += Duration::from_millis(1);
                pace.rested(Duration::from_micros(10) * idle_percent, now);
            }
            pace.interval
        };
        assert_eq!(run(&mut pace, 75), Duration::ZERO);
        let half = run(&mut pace, 45);
        assert!((450..=550).contains(&half.as_micros()), "{half:?}");
        let full = run(&mut pace, 2);
        assert!(full <= MAX_UNDER_LOAD && full.as_micros() > 990, "{full:?}");
        assert!(run(&mut pace, 90).as_micros() < 2);
    }

    #[test]
    fn after_a_pause_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(INTERVAL, start);
        assert!(pace.due().is_none() && !pace.begin(start + INTERVAL * 9));
        pace.collect(1);
        assert!(pace.begin(start + INTERVAL * 9));
        assert!(pace.due().is_none());
        pace.collect(1);
        assert_eq!(pace.due(), Some(start + INTERVAL * 10));
        assert!(!pace.begin(start + INTERVAL * 10 - STEP) && pace.begin(start + INTERVAL * 10));
    }

    #[test]
    fn without_an_interval_or_with_a_lot_collected_nothing_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::ZERO, start);
        pace.collect(1);
        assert!(pace.begin(start));
        let mut pace = Pace::new(INTERVAL, start);
        pace.collect(MAX_COLLECTED - 1);
        assert!(!pace.begin(start));
        pace.collect(1);
        assert!(pace.begin(start));
    }
}
