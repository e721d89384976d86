//! Pauses that grow with each failure.

use std::time::Duration;

/// A pause that doubles from the first to the longest. Each is shortened at random by up to a half, so that clients
/// which failed together do not come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// A backoff without a failure yet.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// How many failures there were since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts a failure, and returns how long to wait now.
    pub fn next(&mut self) -> Duration {
        let factor = 2_u32.saturating_pow(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.first.saturating_mul(factor).min(self.longest).mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Notes a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_fall_below_half() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(300));
        for failure in 0..100 {
            let full = Duration::from_secs(1 << failure.min(40)).min(Duration::from_secs(300));
            let pause = backoff.next();
            assert!(pause <= full && pause >= full / 2, "{failure}: {pause:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
