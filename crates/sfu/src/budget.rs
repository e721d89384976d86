//! How much of something may be done for one client: so much a second, saved up for a while, and owed where a thing
//! cannot be cut in two.

use std::time::{Duration, Instant};

/// What is left is counted in millionths, so that nothing is lost by asking often.
const FINE: i64 = 1_000_000;

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    per_second: u64,
    /// The most that can be saved up, in millionths.
    at_once: i64,
    /// What is owed, if negative.
    left: i64,
    last: Instant,
}

impl Budget {
    /// Makes a budget that is full.
    pub(crate) fn new(per_second: u64, at_once: u64, now: Instant) -> Self {
        let at_once = fine(at_once);
        Self { per_second, at_once, left: at_once, last: now }
    }

    /// Another rate from now on. What was saved up or is owed is kept only as far as the new one allows: a change is
    /// no new burst.
    pub(crate) fn change(&mut self, per_second: u64, at_once: u64, now: Instant) {
        self.earn(now);
        self.per_second = per_second;
        self.at_once = fine(at_once);
        self.left = self.left.clamp(-self.at_once, self.at_once);
    }

    pub(crate) const fn per_second(&self) -> u64 {
        self.per_second
    }

    /// The most that can be saved up.
    pub(crate) const fn at_once(&self) -> u64 {
        (self.at_once / FINE).cast_unsigned()
    }

    /// What may be done at once now.
    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        self.earn(now);
        u64::try_from(self.left / FINE).unwrap_or(0)
    }

    /// Whether so much may be done now, if this may be owed afterwards.
    #[inline]
    pub(crate) fn fits(&mut self, cost: u64, owed: u64, now: Instant) -> bool {
        self.earn(now);
        self.left.saturating_sub(fine(cost)) >= -fine(owed)
    }

    /// Notes that so much is done.
    pub(crate) fn spend(&mut self, cost: u64) {
        self.left = self.left.saturating_sub(fine(cost));
    }

    /// Notes that so much is done, if it may be.
    #[inline]
    pub(crate) fn take(&mut self, cost: u64, now: Instant) -> bool {
        let fits = self.fits(cost, 0, now);
        if fits {
            self.spend(cost);
        }
        fits
    }

    fn earn(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last);
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.left = self.left.saturating_add_unsigned(micros.saturating_mul(self.per_second)).min(self.at_once);
        // What is less than a microsecond counts the next time.
        self.last += Duration::from_micros(micros);
    }
}

fn fine(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX).saturating_mul(FINE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    #[test]
    fn so_much_a_second_is_given_however_often_it_is_asked() {
        for step in [7, 900, 33_333] {
            let now = start();
            let mut budget = Budget::new(150, 10, now);
            let asked = (0..20_000_000 / step).map(|turn| now + Duration::from_micros(turn * step));
            let taken = asked.flat_map(|at| std::iter::repeat_n(at, 8)).filter(|at| budget.take(1, *at)).count();
            let most = 150 * 20 + 10;
            assert!((most - 8..=most).contains(&taken), "{taken} at steps of {step} us");
        }
    }

    #[test]
    fn what_is_earned_in_less_than_a_microsecond_is_not_lost() {
        let now = start();
        let mut budget = Budget::new(1_000_000, 10, now);
        let taken = (0..10_000_u64).filter(|turn| budget.take(1, now + Duration::from_nanos(turn * 700))).count();
        assert!((7_000..=7_010).contains(&taken), "{taken}");
    }

    #[test]
    fn what_is_owed_is_paid_first_and_a_change_is_no_gift() {
        let now = start();
        let mut budget = Budget::new(100, 50, now);
        assert!(budget.fits(80, 30, now) && !budget.fits(81, 30, now));
        budget.spend(80);
        assert_eq!(budget.left(now + Duration::from_millis(299)), 0);
        assert_eq!(budget.left(now + Duration::from_millis(310)), 1);
        budget.change(1_000, 500, now + Duration::from_millis(310));
        assert_eq!(budget.left(now + Duration::from_millis(310)), 1);
        budget.change(1_000, u64::MAX, now);
        budget.change(u64::MAX, u64::MAX, now);
        assert!(budget.take(1, now + Duration::from_secs(1_000_000_000)));
    }
}
