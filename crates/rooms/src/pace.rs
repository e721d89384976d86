//! How much somebody may do: a little for long, more at once.

use std::time::{Duration, Instant};

use parlor_proto::{Error, ErrorCode};

/// The generic cell rate algorithm (ITU-T I.371): the moment at which all that was spent is earned again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    paid_at: Instant,
}

impl Pace {
    /// Nothing is spent.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { paid_at: now }
    }

    /// Whether nothing is spent that is not earned again.
    pub(crate) fn is_earned(&self, now: Instant) -> bool {
        self.paid_at <= now
    }

    /// Spends the time that something costs; so much may be spent `at_once`. The refusal says how long to wait.
    pub(crate) fn take(&mut self, cost: Duration, at_once: Duration, now: Instant) -> Result<(), Error> {
        let paid_at = self.paid_at.max(now) + cost;
        let missing = paid_at.saturating_duration_since(now).saturating_sub(at_once);
        if !missing.is_zero() {
            let wait = u64::try_from(missing.as_millis()).unwrap_or(u64::MAX).max(1);
            return Err(Error::new(ErrorCode::RateLimited).with("retryAfterMs", wait));
        }
        self.paid_at = paid_at;
        Ok(())
    }
}
