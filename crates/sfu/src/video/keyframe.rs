//! Key-frame requests, throttled: many receivers ask, the sender is asked rarely.

use std::time::{Duration, Instant};

/// A key frame is many times the size of others; two a second are already a burden.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// Requests to one sender in a row: a few join at the same time, and each climbs from layer to layer.
const IN_A_ROW: u32 = 6;
/// After those in a row, how often a sender may be asked. Browsers answer with key frames of all layers, which everybody pays for; and one receiver who loses them
/// again and again would ask without end.
const REFILL: Duration = Duration::from_millis(750);

/// What one sender may be asked for, over all its layers.
#[derive(Debug)]
pub(crate) struct KeyFrameAllowance {
    left: u32,
    since: Instant,
}

impl KeyFrameAllowance {
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: IN_A_ROW, since: now }
    }

    fn take(&mut self, now: Instant) -> bool {
        while self.left < IN_A_ROW && now.saturating_duration_since(self.since) >= REFILL {
            self.left += 1;
            self.since += REFILL;
        }
        if self.left == IN_A_ROW {
            self.since = now;
        }
        let taken = self.left > 0;
        self.left = self.left.saturating_sub(1);
        taken
    }
}

/// The requests to the sender of one stream.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: Option<Instant>,
    /// Since when somebody waits.
    waiting: Option<Instant>,
}

impl Requests {
    /// Somebody needs a key frame: true if the sender is to be asked now. Otherwise the request waits for
    /// [`Requests::due`]; it is not lost.
    pub(crate) fn ask(&mut self, now: Instant, allowance: &mut KeyFrameAllowance) -> bool {
        self.wait(now);
        self.due(now, allowance)
    }

    /// Somebody needs a key frame, when its turn comes.
    pub(crate) fn wait(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// Since when somebody waits.
    pub(crate) fn waiting(&self) -> Option<Instant> {
        self.waiting
    }

    /// Whether a request that waited is to be sent now.
    pub(crate) fn due(&mut self, now: Instant, allowance: &mut KeyFrameAllowance) -> bool {
        let free = self.last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if self.waiting.is_none() || !free || !allowance.take(now) {
            return false;
        }
        self.waiting = None;
        self.last = Some(now);
        true
    }

    /// A key frame begins: whoever waited for one gets it.
    pub(crate) fn satisfied(&mut self) {
        self.waiting = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_requests_becomes_one_now_and_one_later() {
        let now = parlor_testkit::clock::Clock::new().now();
        let (mut requests, mut allowance) = (Requests::default(), KeyFrameAllowance::new(now));
        assert!(requests.ask(now, &mut allowance));
        assert!(!requests.ask(now + Duration::from_millis(100), &mut allowance));
        assert!(!requests.due(now + Duration::from_millis(499), &mut allowance));
        assert!(requests.due(now + INTERVAL, &mut allowance), "the trailing request is not lost");
        assert!(!requests.due(now + INTERVAL * 3, &mut allowance), "nobody asked again");
    }

    #[test]
    fn a_key_frame_answers_those_who_wait() {
        let now = parlor_testkit::clock::Clock::new().now();
        let (mut requests, mut allowance) = (Requests::default(), KeyFrameAllowance::new(now));
        assert!(requests.ask(now, &mut allowance));
        assert!(!requests.ask(now, &mut allowance));
        requests.satisfied();
        assert!(!requests.due(now + INTERVAL, &mut allowance));
    }

    #[test]
    fn who_asks_without_end_is_answered_now_and_then() {
        let now = parlor_testkit::clock::Clock::new().now();
        let mut allowance = KeyFrameAllowance::new(now);
        let mut layers = [Requests::default(), Requests::default(), Requests::default()];
        let mut sent = 0;
        for ms in (0..60_000).step_by(50) {
            for layer in &mut layers {
                sent += u32::from(layer.ask(now + Duration::from_millis(ms), &mut allowance));
            }
        }
        assert!((80..=87).contains(&sent), "{sent} in a minute");
    }
}
