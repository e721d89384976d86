//! Key-frame requests, throttled: many receivers ask, the sender is asked rarely.

use std::time::{Duration, Instant};

/// A key frame is many times the size of others; two a second are already a burden.
pub(crate) const INTERVAL: Duration = Duration::from_millis(500);

/// The requests to the sender of one stream.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    last: Option<Instant>,
    waiting: bool,
}

impl Requests {
    /// Somebody needs a key frame: true if the sender is to be asked now. Otherwise the request waits for
    /// [`Requests::due`]; it is not lost.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        self.waiting = true;
        self.due(now)
    }

    /// Whether a request that waited is to be sent now.
    pub(crate) fn due(&mut self, now: Instant) -> bool {
        let free = self.last.is_none_or(|last| now.saturating_duration_since(last) >= INTERVAL);
        if !self.waiting || !free {
            return false;
        }
        self.waiting = false;
        self.last = Some(now);
        true
    }

    /// A key frame begins: whoever waited for one gets it.
    pub(crate) fn satisfied(&mut self) {
        self.waiting = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_requests_becomes_one_now_and_one_later() {
        let now = parlor_testkit::clock::Clock::new().now();
        let mut requests = Requests::default();
        assert!(requests.ask(now));
        assert!(!requests.ask(now + Duration::from_millis(100)));
        assert!(!requests.due(now + Duration::from_millis(499)));
        assert!(requests.due(now + INTERVAL), "the trailing request is not lost");
        assert!(!requests.due(now + INTERVAL * 3), "nobody asked again");
    }

    #[test]
    fn a_key_frame_answers_those_who_wait() {
        let now = parlor_testkit::clock::Clock::new().now();
        let mut requests = Requests::default();
        assert!(requests.ask(now));
        assert!(!requests.ask(now));
        requests.satisfied();
        assert!(!requests.due(now + INTERVAL));
    }
}
