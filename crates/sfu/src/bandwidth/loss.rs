//! The share of packets that get lost, over windows that are large enough to tell.

/// Packets in a window at least: among fewer, one more or less lost is more than the steps between the rules.
const MIN_PACKETS: i64 = 60;
const MIN_MICROS: u64 = 400_000;

/// Counts what was reported.
#[derive(Debug, Default)]
pub(super) struct Loss {
    since: Option<u64>,
    packets: i64,
    /// What is merely late is counted as lost at first, and given back when it arrives: perhaps in the next window,
    /// which ends with others that are late.
    lost: i64,
    /// The share that was lost in the last full window.
    fraction: f32,
}

impl Loss {
    pub(super) fn on_received(&mut self, was_lost: bool) {
        if was_lost {
            self.lost = self.lost.saturating_sub(1);
        } else {
            self.packets = self.packets.saturating_add(1);
        }
    }

    pub(super) fn on_lost(&mut self) {
        self.packets = self.packets.saturating_add(1);
        self.lost = self.lost.saturating_add(1);
    }

    /// The share lost in a window that just became full.
    pub(super) fn poll(&mut self, now: u64) -> Option<f32> {
        let since = *self.since.get_or_insert(now);
        if self.packets < MIN_PACKETS || now.saturating_sub(since) < MIN_MICROS {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of one window")]
        let fraction = self.lost.max(0) as f32 / self.packets as f32;
        *self = Self { since: Some(now), packets: 0, lost: 0, fraction };
        Some(fraction)
    }

    /// The share lost in the last full window.
    pub(super) const fn fraction(&self) -> f32 {
        self.fraction
    }

    pub(super) const fn set(&mut self, fraction: f32) {
        self.fraction = fraction;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_late_is_not_lost() {
        let mut loss = Loss::default();
        assert_eq!(loss.poll(0), None);
        (0..72).for_each(|_| loss.on_received(false));
        (0..8).for_each(|_| loss.on_lost());
        (0..4).for_each(|_| loss.on_received(true));
        assert_eq!(loss.poll(MIN_MICROS - 1), None);
        assert_eq!(loss.poll(MIN_MICROS), Some(0.05));
        assert!((loss.fraction() - 0.05).abs() < 1e-6);
        assert_eq!(loss.poll(MIN_MICROS * 3), None, "nothing new");
    }

    #[test]
    fn reordering_is_not_loss_in_the_long_run() {
        let (mut loss, mut now) = (Loss::default(), 0);
        for round in 0..100 {
            // Of each ten, three are late and arrive with the next ten.
            (0..7).for_each(|_| loss.on_received(false));
            (0..3).for_each(|_| loss.on_lost());
            now += 100_000;
            if let Some(fraction) = loss.poll(now).filter(|_| round > 10) {
                assert!(fraction < 0.01, "{fraction}");
            }
            (0..3).for_each(|_| loss.on_received(true));
        }
    }
}
