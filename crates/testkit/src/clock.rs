//! A clock that moves only when a test says so.

use std::time::{Duration, Instant};

/// A clock of virtual time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    now: Instant,
}

impl Clock {
    /// A clock that stands still.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "an Instant cannot be had otherwise; nothing depends on which one it is")]
    pub fn new() -> Self {
        let now = Instant::now();
        Self { start: now, now }
    }

    /// The time it shows.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// How far the clock has been moved on.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.start)
    }

    /// Moves the clock on.
    pub fn advance(&mut self, by: Duration) {
        self.now += by;
    }

    /// Moves it to a later time; never back.
    pub fn advance_to(&mut self, to: Instant) {
        self.now = self.now.max(to);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
