//! Which of the last numbers of a stream have arrived.

/// More than a second of 15 Mbit/s: nothing older is asked for again.
pub(super) const WINDOW: u64 = 2_048;
const WORDS: usize = (WINDOW / 64) as usize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Next,
    Late,
    Again,
}

#[derive(Debug, Default)]
pub(super) struct Window {
    highest: Option<u64>,
    bits: [u64; WORDS],
}

impl Window {
    pub(super) fn highest(&self) -> Option<u64> {
        self.highest
    }

    pub(super) fn insert(&mut self, seq: u64) -> Seen {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.mark(seq, true);
            return Seen::Next;
        };
        if seq > highest {
            if seq - highest >= WINDOW {
                self.bits = [0; WORDS];
            } else {
                (highest + 1..seq).for_each(|passed| {
                    self.mark(passed, false);
                });
            }
            self.highest = Some(seq);
            self.mark(seq, true);
            return Seen::Next;
        }
        if highest - seq >= WINDOW || self.mark(seq, true) { Seen::Again } else { Seen::Late }
    }

    /// Returns what it was before.
    fn mark(&mut self, seq: u64, arrived: bool) -> bool {
        let mask = 1_u64 << (seq % 64);
        let Some(word) = self.bits.get_mut((seq / 64) as usize % WORDS) else { return false };
        let before = *word & mask != 0;
        *word = if arrived { *word | mask } else { *word & !mask };
        before
    }
}
