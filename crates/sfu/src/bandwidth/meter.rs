//! A rate over the latest intervals that were really observed.

/// The length of a slot; also the usual distance of two reports.
const SLOT_MICROS: u64 = 100_000;
/// With [`SLOT_MICROS`] half a second: several frames of video, and still short beside the two seconds within
/// which a drop of the link has to be followed.
const SLOTS: usize = 5;
/// Less than this is a packet or two, and says nothing about a rate.
const MIN_MICROS: u64 = 60_000;
/// No pause counts for more, and nor does a liar's leap into the future.
const MAX_STEP_MICROS: u64 = 1_000_000;

/// Sums up bytes and the time they took to arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    slots: [Slot; SLOTS],
    at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    bytes: u64,
    micros: u64,
}

impl Meter {
    /// Bytes that arrived `micros` after those before them.
    pub(super) fn add(&mut self, bytes: u64, micros: u64) {
        if let Some(slot) = self.slots.get_mut(self.at) {
            slot.bytes = slot.bytes.saturating_add(bytes);
            slot.micros += micros.min(MAX_STEP_MICROS);
            if slot.micros < SLOT_MICROS {
                return;
            }
        }
        self.at = (self.at + 1) % SLOTS;
        if let Some(slot) = self.slots.get_mut(self.at) {
            *slot = Slot::default();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The rate in bit/s; `None` while too little was observed.
    pub(super) fn rate(&self) -> Option<u64> {
        let (bytes, micros) =
            self.slots.iter().fold((0_u64, 0), |(bytes, micros), slot| (bytes.saturating_add(slot.bytes), micros + slot.micros));
        (micros >= MIN_MICROS).then(|| bytes.saturating_mul(8_000_000) / micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_half_second_counts() {
        let mut meter = Meter::default();
        assert_eq!(meter.rate(), None);
        for _ in 0..100 {
            meter.add(1_250, 10_000);
        }
        assert_eq!(meter.rate(), Some(1_000_000));
        for _ in 0..50 {
            meter.add(125, 10_000);
        }
        assert_eq!(meter.rate(), Some(100_000), "what was before is forgotten");
        meter.clear();
        assert_eq!(meter.rate(), None);
    }

    #[test]
    fn a_leap_counts_as_a_second() {
        let mut meter = Meter::default();
        meter.add(1_250, u64::MAX);
        assert_eq!(meter.rate(), Some(10_000));
    }
}
