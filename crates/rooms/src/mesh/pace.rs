//! How much one participant of a mesh may send another: whoever floods one person is stopped before that person's queue is full.

use std::time::{Duration, Instant};

use parlor_proto::Error;

use crate::pace;

/// What one message costs: ten a second, on average.
const MESSAGE: Duration = Duration::from_millis(100);
/// What a KiB costs besides: 64 KiB a second, on average. An offer of sound is about 3 KiB.
const KIB: Duration = Duration::from_micros(15_625);
/// What may be spent at once: an offer with some fifty candidates, or seven of the largest offers there may be. In a larger call
/// it is less for each, so that all others together never spend more than [`OTHERS`] times as much.
const AT_ONCE: Duration = Duration::from_secs(6);
/// So many others may each spend all of [`AT_ONCE`]. That fills less than a session's queue of 512 messages, with at most 3 MiB.
const OTHERS: u32 = 7;

/// What one participant has sent another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace(pace::Pace);

impl Pace {
    /// Nothing is spent.
    pub(super) const fn new(now: Instant) -> Self {
        Self(pace::Pace::new(now))
    }

    /// Whether nothing is spent that is not earned again.
    pub(super) fn is_earned(&self, now: Instant) -> bool {
        self.0.is_earned(now)
    }

    /// Spends what a message of so many bytes costs, where so many others can send to the same receiver. The refusal says how
    /// long to wait.
    pub(super) fn take(&mut self, bytes: usize, senders: usize, now: Instant) -> Result<(), Error> {
        let kib = u32::try_from(bytes / 1024).unwrap_or(u32::MAX);
        let cost = MESSAGE.saturating_add(KIB.saturating_mul(kib));
        let at_once = AT_ONCE * OTHERS / u32::try_from(senders).unwrap_or(u32::MAX).max(OTHERS);
        // In a call so large that this is less than a message costs, one at a time still passes.
        self.0.take(cost, at_once.max(cost), now)
    }
}

#[cfg(test)]
mod tests {
    use parlor_testkit::clock::Clock;

    use super::*;

    #[test]
    fn sixty_messages_at_once_and_then_ten_a_second() {
        let start = Clock::new().now();
        let mut pace = Pace::new(start);
        let mut fits = |n: usize, at: Instant| (0..n).filter(|_| pace.take(100, 7, at).is_ok()).count();
        assert_eq!(fits(100, start), 60);
        assert_eq!(fits(100, start + Duration::from_secs(1)), 10);
        assert_eq!(fits(100, start + Duration::from_secs(100)), 60, "no more is saved up");
    }

    #[test]
    fn however_many_they_are_others_do_not_send_more_at_once_than_seven_would() {
        let start = Clock::new().now();
        for senders in [1, 7, 8, 24, 99, 1_000] {
            let all = (0..senders).map(|_| {
                let mut pace = Pace::new(start);
                (0..100).filter(|_| pace.take(100, senders, start).is_ok()).count()
            });
            let all: usize = all.sum();
            assert!(all <= 420.max(senders) && all >= senders.min(7) * 42, "{senders} others send {all}");
        }
    }

    #[test]
    fn the_largest_message_passes_in_the_largest_call_once_all_is_earned() {
        let start = Clock::new().now();
        let mut pace = Pace::new(start);
        pace.take(48 * 1024, 999, start).expect("nothing is spent yet");
        assert!(pace.take(48 * 1024, 999, start).is_err());
        pace.take(48 * 1024, 999, start + Duration::from_secs(1)).expect("all is earned again");
    }

    #[test]
    fn large_messages_cost_more_and_a_refusal_says_how_long_to_wait() {
        let start = Clock::new().now();
        let mut pace = Pace::new(start);
        assert_eq!((0..100).filter(|_| pace.take(48 * 1024, 7, start).is_ok()).count(), 7);
        let error = pace.take(48 * 1024, 7, start).expect_err("spent");
        let wait = error.details["retryAfterMs"].as_u64().expect("a number");
        assert!(pace.take(48 * 1024, 7, start + Duration::from_millis(wait - 1)).is_err());
        assert!(pace.take(48 * 1024, 7, start + Duration::from_millis(wait)).is_ok());
    }
}
