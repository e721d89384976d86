//! The wall clock of a sender, seen from ours: one constant offset for all of its streams.

use std::time::{Duration, Instant};

/// A second of NTP time: 32 bits of seconds, 32 of fraction (RFC 3550, section 4).
const SECOND: i64 = 1 << 32;
/// A report's way takes longer at times, never shorter: the least of so long is the truest. It also forgets, so that a
/// clock that runs slow is followed.
const WINDOW: Duration = Duration::from_secs(10);
/// How fast the offset moves, per second: ten times the drift of a bad crystal, and between the reports of
/// two streams, up to five seconds apart, too little to be seen (45 ms is where lips begin to look wrong).
const SLEW: i64 = SECOND / 1_000;
/// What differs by more is a clock that was set.
const STEP: i64 = SECOND;
/// A later clock may be a late report: believed when so many say the same.
const STEP_REPORTS: u8 = 3;

/// A moment of a stream: its timestamp (of the sender) at a time of our wall clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reference {
    pub(crate) wall: u64,
    pub(crate) rtp: u32,
}

/// How far our wall clock is ahead of a sender's, one for each sending transport.
///
/// It includes the shortest way of a report, as the arrival of media does; and it changes slowly, since streams
/// report at different times: between them, a jump would move sound against picture.
#[derive(Debug, Default)]
pub(crate) struct SenderClock {
    /// Differences wrap: a sender's clock may start anywhere.
    offset: Option<i64>,
    updated: Option<Instant>,
    /// The least difference of this window and of the one before.
    least: Option<i64>,
    least_before: Option<i64>,
    window_start: Option<Instant>,
    later: u8,
}

impl SenderClock {
    /// A sender report came, of any stream: `ntp` is the sender's time, `wall` ours, both as NTP timestamps.
    pub(crate) fn on_sender_report(&mut self, ntp: u64, wall: u64, now: Instant) {
        let sample = wall.wrapping_sub(ntp).cast_signed();
        let Some(offset) = self.offset else { return self.set(sample, now) };
        let ahead = sample.wrapping_sub(offset);
        self.later = if ahead > STEP { self.later.saturating_add(1) } else { 0 };
        if ahead < -STEP || self.later >= STEP_REPORTS {
            return self.set(sample, now);
        }
        if self.window_start.is_none_or(|start| now.saturating_duration_since(start) >= WINDOW) {
            self.least_before = self.least.take();
            self.window_start = Some(now);
        }
        // Compared as distances from the offset, which are small; the values themselves may be anywhere.
        let nearest = |other: Option<i64>| other.map_or(ahead, |other| other.wrapping_sub(offset).min(ahead));
        let least = nearest(self.least);
        self.least = Some(offset.wrapping_add(least));
        let least = least.min(nearest(self.least_before));
        let elapsed = self.updated.map_or(Duration::ZERO, |updated| now.saturating_duration_since(updated));
        let millis = i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX);
        let most = SLEW.saturating_mul(millis) / 1_000;
        self.offset = Some(offset.wrapping_add(least.clamp(-most, most)));
        self.updated = Some(now);
    }

    /// Where a stream's report stands on our clock; `None` while no report came.
    pub(crate) fn reference(&self, ntp: u64, rtp: u32) -> Option<Reference> {
        self.offset.map(|offset| Reference { wall: ntp.wrapping_add_signed(offset), rtp })
    }

    fn set(&mut self, sample: i64, now: Instant) {
        *self =
            Self { offset: Some(sample), updated: Some(now), least: Some(sample), least_before: None, window_start: Some(now), later: 0 };
    }
}

/// A duration in ticks of a clock, as timestamps count: wrapping.
#[allow(clippy::cast_possible_truncation, reason = "timestamps wrap")]
pub(crate) fn ticks(duration: Duration, clock_rate: u32) -> u32 {
    (duration.as_micros() * u128::from(clock_rate) / 1_000_000) as u32
}

/// A difference of NTP timestamps, which may be negative, in ticks of a clock.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "timestamps wrap")]
pub(crate) fn ntp_ticks(difference: u64, clock_rate: u32) -> u32 {
    ((i128::from(difference.cast_signed()) * i128::from(clock_rate)) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn millis(ms: i64) -> u64 {
        (i128::from(ms) * i128::from(SECOND) / 1_000) as u64
    }

    /// How late a clock holds things to be, in ms, after reports a second apart that took so long.
    fn settled(clock: &mut SenderClock, from: i64, delays: &[i64]) -> i64 {
        let begin = start();
        for (ms, delay) in (from..).step_by(1_000).zip(delays) {
            let at = ms + delay;
            clock.on_sender_report(millis(ms), millis(at), begin + Duration::from_millis(at as u64));
        }
        clock.reference(0, 0).map_or(0, |reference| {
            let rounded = i128::from(reference.wall.cast_signed()) * 1_000 + i128::from(SECOND / 2);
            rounded.div_euclid(i128::from(SECOND)) as i64
        })
    }

    #[test]
    fn nothing_is_known_before_a_report() {
        assert_eq!(SenderClock::default().reference(1, 2), None);
    }

    #[test]
    fn the_quickest_report_counts_and_is_approached_slowly() {
        let mut clock = SenderClock::default();
        assert_eq!(settled(&mut clock, 0, &[80]), 80);
        let few = settled(&mut clock, 1_000, &[20, 90, 60, 20, 70]);
        assert!((74..80).contains(&few), "{few}");
        let many = settled(&mut clock, 6_000, &[60, 20, 90, 25].repeat(30));
        assert!((19..=25).contains(&many), "{many}");
        let late = settled(&mut clock, 200_000, &[900, 900]);
        assert!((19..=27).contains(&late), "two late reports say nothing: {late}");
    }

    #[test]
    fn a_clock_that_was_set_is_followed_at_once_or_when_sure() {
        let mut clock = SenderClock::default();
        settled(&mut clock, 0, &[20, 20]);
        assert_eq!(settled(&mut clock, 2_000, &[-3_600_000 + 20_000_000, 20]), 20, "one wrong report");
        let behind = settled(&mut clock, 4_000, &[5_000; 3]);
        assert_eq!(behind, 5_000, "set back");
        assert_eq!(settled(&mut clock, 20_000, &[-3_000]), -3_000, "set forward");
    }

    #[test]
    fn ticks_wrap_in_both_directions() {
        assert_eq!(ntp_ticks(millis(1_000), 90_000), 90_000);
        assert_eq!(ntp_ticks(0u64.wrapping_sub(millis(1_000)), 90_000), 0u32.wrapping_sub(90_000));
        assert_eq!(ticks(Duration::from_secs(100_000), 90_000), (9_000_000_000u64 % (1 << 32)) as u32);
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_reported_nothing_overflows(reports in proptest::collection::vec((proptest::num::u64::ANY, proptest::num::u64::ANY, 0u64..100_000), 1..50)) {
            let mut clock = SenderClock::default();
            let mut now = start();
            for (ntp, wall, later) in reports {
                now += Duration::from_millis(later);
                clock.on_sender_report(ntp, wall, now);
                proptest::prop_assert!(clock.reference(ntp, 0).is_some());
            }
        }
    }
}
