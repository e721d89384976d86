//! How many bytes may be relayed: so many a second, and what was saved up for a second.

use std::time::Instant;

/// A token bucket of bytes that holds what is earned in a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    left: u64,
    last: Instant,
}

impl Budget {
    /// Makes one that is full.
    pub(crate) fn new(per_second: u64, now: Instant) -> Self {
        Self { left: per_second, last: now }
    }

    /// Takes so many bytes if they are left; 0 a second is no limit.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize, per_second: u64, now: Instant) -> bool {
        if per_second == 0 {
            return true;
        }
        let elapsed = now.saturating_duration_since(self.last).as_micros();
        let earned = u64::try_from(elapsed.saturating_mul(u128::from(per_second)) / 1_000_000).unwrap_or(u64::MAX);
        // The time counts on until it has earned a whole byte: asking often loses nothing.
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(per_second);
            self.last = now;
        }
        let left = self.left.checked_sub(bytes as u64);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use parlor_testkit::clock::Clock;

    use super::*;

    #[test]
    fn a_budget_gives_its_rate_and_a_second_at_once_however_often_it_is_asked() {
        let mut now = Clock::new().now();
        let mut budget = Budget::new(1_000, now);
        assert!(budget.take(1_000, 1_000, now));
        assert!(!budget.take(1, 1_000, now));
        let mut taken = 0;
        for _ in 0..100_000 {
            now += Duration::from_micros(100);
            taken += u64::from(budget.take(1, 1_000, now));
        }
        assert!((9_990..=10_000).contains(&taken), "{taken}");
        assert!(budget.take(1_000_000, 0, now), "no limit");
    }
}
