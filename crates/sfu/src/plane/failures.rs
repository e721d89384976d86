//! Handshakes that failed, in the log: each with its reason, but no more lines than anybody should be able to cause.

use std::time::{Duration, Instant};

use parlor_proto::ids::TransportId;
use parlor_proto::transport::TransportFailure;

/// How often lines are counted anew.
const EVERY: Duration = Duration::from_secs(10);
/// Lines within that time: a client is enough to cause one, and an operator reads no more.
const LINES: u32 = 10;

/// Counts the lines about handshakes that failed.
#[derive(Default)]
pub(crate) struct HandshakeFailures {
    since: Option<Instant>,
    lines: u32,
    untold: u32,
}

impl HandshakeFailures {
    /// A handshake failed. `why` is of our own making: nothing in it was chosen by the client.
    pub(crate) fn note(&mut self, transport: TransportId, reason: TransportFailure, why: &str, now: Instant) {
        self.tell_if_due(now);
        if self.admit(now) {
            tracing::info!(?transport, reason = reason.name(), why, "a DTLS handshake failed");
        }
    }

    /// Mentions those that were not told one by one.
    pub(crate) fn tell_if_due(&mut self, now: Instant) {
        if let Some(untold) = self.begin_anew(now) {
            tracing::info!(count = untold, "more DTLS handshakes failed");
        }
    }

    fn admit(&mut self, now: Instant) -> bool {
        self.since.get_or_insert(now);
        let admitted = self.lines < LINES;
        *if admitted { &mut self.lines } else { &mut self.untold } += 1;
        admitted
    }

    fn begin_anew(&mut self, now: Instant) -> Option<u32> {
        if now.saturating_duration_since(self.since?) < EVERY {
            return None;
        }
        let untold = std::mem::take(self).untold;
        (untold > 0).then_some(untold)
    }
}

#[cfg(test)]
mod tests {
    use parlor_testkit::clock::Clock;

    use super::*;

    #[test]
    fn ten_in_ten_seconds_are_told_one_by_one_and_the_rest_is_counted() {
        let mut clock = Clock::new();
        let mut failures = HandshakeFailures::default();
        let told = (0..1_000).filter(|_| failures.admit(clock.now())).count();
        assert_eq!(told, 10);
        clock.advance(Duration::from_secs(9));
        assert_eq!(failures.begin_anew(clock.now()), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(failures.begin_anew(clock.now()), Some(990));
        assert_eq!(failures.begin_anew(clock.now()), None, "once");
        assert!(failures.admit(clock.now()));
    }
}
