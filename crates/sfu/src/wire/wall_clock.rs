//! Wall-clock time as RTCP writes it, from the monotonic time that is put in.

use std::time::{Duration, Instant};

/// Seconds from the epoch of NTP (1900) to that of Unix (RFC 5905, section 6).
const NTP_OFFSET: u64 = 2_208_988_800;

/// Ties the two clocks together, once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WallClock {
    /// The time of the start, since the epoch of Unix.
    start: Duration,
    started: Instant,
}

impl WallClock {
    pub(crate) fn new(since_epoch: Duration, now: Instant) -> Self {
        Self { start: since_epoch, started: now }
    }

    /// Seconds since 1900, in 32.32 bits; wraps as NTP's eras do.
    pub(crate) fn ntp(&self, now: Instant) -> u64 {
        let time = self.start + now.saturating_duration_since(self.started);
        let fraction = (u64::from(time.subsec_nanos()) << 32) / 1_000_000_000;
        (time.as_secs().wrapping_add(NTP_OFFSET) << 32) | fraction
    }
}

/// Seconds in 6.18 bits: how header extensions tell when a packet left (abs-send-time).
pub(crate) fn abs_send_time(ntp: u64) -> [u8; 3] {
    let [.., high, middle, low] = u32::to_be_bytes(u32::try_from((ntp >> 14) & 0x00ff_ffff).unwrap_or(0));
    [high, middle, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_from_the_epoch_of_ntp() {
        let now = parlor_testkit::clock::Clock::new().now();
        let clock = WallClock::new(Duration::from_secs(1), now);
        assert_eq!(clock.ntp(now), (NTP_OFFSET + 1) << 32);
        let half = clock.ntp(now + Duration::from_millis(500));
        assert_eq!(half & 0xffff_ffff, 1 << 31);
    }

    #[test]
    fn the_short_form_has_six_bits_of_seconds_and_eighteen_of_fraction() {
        assert_eq!(abs_send_time(1 << 32), [0x04, 0, 0]);
        assert_eq!(abs_send_time((64 << 32) | (1 << 31)), [0x02, 0, 0]);
    }
}
