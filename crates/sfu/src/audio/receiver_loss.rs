//! Whether a receiver loses so much of its sound that it is better sent more than once.

use std::time::{Duration, Instant};

/// A receiver that loses one packet in so many is helped: at 2 % speech is half a point of PESQ below what it is without loss.
const LOSSY_ONE_IN: u32 = 64;
/// Fewer lost packets than this may be chance.
const LOSSY_LEAST: u32 = 2;
/// If one packet in so many is lost, each is repeated twice: more than one in a hundred is lost together with the packet that repeats it.
const HEAVY_ONE_IN: u32 = 10;
/// So many lost packets are not chance where a tenth of [`HEAVY_ONE_IN`] is usual.
const HEAVY_LEAST: u32 = 5;
/// A loss of one packet in so many is what a receiver makes up without being heard.
const CLEAN_ONE_IN: u32 = 100;
/// Reports are added up until they speak of so many packets: 4 s of one speaker. Browsers report on sound every 5 s, others
/// every second.
const WINDOW: u32 = 200;
/// Radio is bad again soon after it was, and redundancy costs only its receiver.
const KEPT_FOR: Duration = Duration::from_secs(10);

/// What the reports of one receiver come to. Loss is its network's, and so of all streams it is sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiverLoss {
    /// Sent and lost since the last judgement.
    sent: u32,
    lost: u32,
    /// When it was last more than little, and heavy.
    seen: Option<Instant>,
    heavy: Option<Instant>,
    repeats: u8,
}

impl ReceiverLoss {
    /// How often every packet of sound is to be repeated.
    pub(crate) fn repeats(&self) -> u8 {
        self.repeats
    }

    /// Takes what a report adds to the one before it; returns whether something else is to be done now.
    pub(crate) fn on_report(&mut self, sent: u32, lost: u32, now: Instant) -> bool {
        let before = self.repeats;
        self.sent = self.sent.saturating_add(sent);
        self.lost = self.lost.saturating_add(lost);
        let is_lossy = self.lost >= LOSSY_LEAST && self.is_one_in(LOSSY_ONE_IN);
        if !is_lossy && self.sent < WINDOW {
            return false;
        }
        if is_lossy {
            self.repeats = self.repeats.max(1);
        }
        if self.lost >= HEAVY_LEAST && self.is_one_in(HEAVY_ONE_IN) {
            self.heavy = Some(now);
            self.repeats = 2;
        }
        if is_lossy || self.is_one_in(CLEAN_ONE_IN) {
            self.seen = Some(now);
        }
        let is_over = |seen: Option<Instant>| seen.is_none_or(|seen| now.saturating_duration_since(seen) >= KEPT_FOR);
        if is_over(self.heavy) {
            self.repeats = self.repeats.min(1);
        }
        if is_over(self.seen) {
            self.repeats = 0;
        }
        (self.sent, self.lost) = (0, 0);
        self.repeats != before
    }

    fn is_one_in(&self, packets: u32) -> bool {
        self.lost > 0 && self.lost.saturating_mul(packets) >= self.sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports of (packets, lost, seconds since the last one), and how often is repeated after each.
    fn after(reports: &[(u32, u32, u64)]) -> Vec<u8> {
        let mut clock = parlor_testkit::clock::Clock::new();
        let mut loss = ReceiverLoss::default();
        let take = |(sent, lost, seconds): &(u32, u32, u64)| {
            clock.advance(Duration::from_secs(*seconds));
            let before = loss.repeats();
            assert_eq!(loss.on_report(*sent, *lost, clock.now()), loss.repeats() != before);
            loss.repeats()
        };
        reports.iter().map(take).collect()
    }

    #[test]
    fn one_report_of_two_lost_is_enough_and_one_of_one_is_not() {
        assert_eq!(after(&[(50, 0, 1), (50, 2, 1)]), [0, 1]);
        assert_eq!(after(&[(250, 4, 5)]), [1]);
        assert_eq!(after(&[(50, 1, 1), (50, 0, 1), (50, 0, 1), (50, 0, 1), (50, 1, 1)]), [0; 5]);
        assert_eq!(after(&[(50, 1, 1), (50, 1, 1)]), [0, 1], "two of two");
        assert_eq!(after(&[(250, 2, 5), (250, 2, 5), (1_000, 10, 20)]), [0; 3], "a percent");
    }

    #[test]
    fn it_ends_after_ten_seconds_of_little_loss() {
        let mut reports = vec![(50, 3, 1)];
        reports.extend([(50, 0, 1); 15]);
        let repeats = after(&reports);
        assert_eq!((&repeats[..10], repeats[12]), (&[1; 10][..], 0), "{repeats:?}");
        assert_eq!(after(&[(250, 5, 5), (250, 0, 5), (250, 0, 5)]), [1, 1, 0], "with a browser's reports");
        assert_eq!(after(&[(250, 5, 5), (250, 0, 5), (250, 3, 5), (250, 0, 5), (250, 0, 5)]), [1, 1, 1, 1, 0], "more than a percent");
    }

    #[test]
    fn what_is_lost_with_its_repetition_too_often_is_repeated_twice() {
        assert_eq!(after(&[(250, 24, 5), (250, 25, 5), (250, 24, 5), (250, 24, 5)]), [1, 2, 2, 1]);
        assert_eq!(after(&[(20, 4, 1), (50, 5, 1)]), [1, 2], "few packets say little");
        assert_eq!(after(&[(250, 25, 5), (250, 0, 5), (250, 0, 5)]), [2, 2, 0]);
    }

    #[test]
    fn reports_of_nothing_and_of_the_impossible_change_nothing_they_should_not() {
        assert_eq!(after(&[(0, 0, 1), (0, 0, 100), (u32::MAX, 0, 1), (u32::MAX, u32::MAX, 1), (u32::MAX, u32::MAX, 1)]), [0, 0, 0, 2, 2]);
    }
}
