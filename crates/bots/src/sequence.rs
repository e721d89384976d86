//! Which RTP sequence numbers arrived: loss and duplicates, over wrap-around and reordering.

/// How far behind the highest number a late packet is still told from a duplicate. Covers the repair of a
/// 2.5 Mbit/s stream over half a second.
const WINDOW: u64 = 128;

/// Follows the sequence numbers of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub struct SequenceTracker {
    first: Option<u64>,
    highest: u64,
    received: u64,
    duplicates: u64,
    /// Bit n: `highest - n` has arrived.
    seen: u128,
}

impl SequenceTracker {
    /// Takes note of a packet; false if it has been here before.
    pub fn insert(&mut self, sequence: u16) -> bool {
        if self.first.is_none() {
            // Begun one cycle up, so that packets older than the first have a place below it.
            let extended = 65_536 + u64::from(sequence);
            (self.first, self.highest, self.received, self.seen) = (Some(extended), extended, 1, 1);
            return true;
        }
        let extended = extend(self.highest, sequence);
        if extended > self.highest {
            let ahead = extended - self.highest;
            self.seen = if ahead < WINDOW { self.seen << ahead } else { 0 };
            self.seen |= 1;
            self.highest = extended;
        } else {
            let behind = self.highest - extended;
            if behind >= WINDOW || self.seen & (1 << behind) != 0 {
                self.duplicates += 1;
                return false;
            }
            self.seen |= 1 << behind;
            self.first = self.first.map(|first| first.min(extended));
        }
        self.received += 1;
        true
    }

    /// Different packets that arrived.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets that arrived more than once, or too late to tell.
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Numbers between the first and the highest that have not arrived.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        match self.first {
            Some(first) => (self.highest - first + 1).saturating_sub(self.received),
            None => 0,
        }
    }
}

/// The number nearest to `highest` that has these lower 16 bits (RFC 3711, section 3.3.1).
fn extend(highest: u64, sequence: u16) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the lower 16 bits are what is compared")]
    let ahead = sequence.wrapping_sub(highest as u16);
    if ahead < 0x8000 { highest + u64::from(ahead) } else { highest.saturating_sub(u64::from(ahead.wrapping_neg())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(sequence: impl IntoIterator<Item = u16>) -> SequenceTracker {
        let mut tracker = SequenceTracker::default();
        sequence.into_iter().for_each(|n| {
            tracker.insert(n);
        });
        tracker
    }

    #[test]
    fn a_gap_is_missing_until_it_is_filled() {
        let mut tracker = after([10, 11, 14]);
        assert_eq!((tracker.received(), tracker.missing()), (3, 2));
        assert!(tracker.insert(12));
        assert_eq!(tracker.missing(), 1);
        assert!(!tracker.insert(12), "a second copy is a duplicate");
        assert_eq!((tracker.missing(), tracker.duplicates()), (1, 1));
    }

    #[test]
    fn wrap_around_is_no_loss() {
        assert_eq!(after((65_500..=65_535).chain(0..40)).missing(), 0);
    }

    #[test]
    fn a_packet_older_than_the_first_moves_the_beginning() {
        let tracker = after([5, 4, 6]);
        assert_eq!((tracker.received(), tracker.missing()), (3, 0));
    }

    #[test]
    fn a_jump_counts_as_loss() {
        assert_eq!(after([0, 1000]).missing(), 999);
    }
}
