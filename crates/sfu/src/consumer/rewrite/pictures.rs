//! Frame counters of an outgoing stream: continuous over pauses, layer switches and layers left out.

use super::ledger::Ledger;
use crate::payload::{Counters, NewCounters};

/// Ids wrap; counting on from here leaves room for ids from before the first.
const FIRST: u64 = 1 << 32;

/// Which of the last 256 pictures were left out: eight seconds at thirty a second.
type Numbers = Ledger<4>;

#[derive(Debug)]
pub(super) struct Pictures {
    /// Made with the first picture: sound has none.
    numbers: Option<Box<Numbers>>,
    /// The number that the newest picture left with.
    last: u64,
    last_tl0: u8,
    tl0_offset: u8,
}

impl Pictures {
    pub(super) const fn new() -> Self {
        Self { numbers: None, last: FIRST, last_tl0: 0, tl0_offset: 0 }
    }

    /// What comes next follows what was sent last, whatever was counted meanwhile.
    pub(super) fn begin(&mut self, counters: &Counters) {
        if let Some(picture_id) = counters.picture_id() {
            let numbers = Numbers::new(FIRST + u64::from(picture_id), self.last + 1);
            match &mut self.numbers {
                Some(before) => **before = numbers,
                None => self.numbers = Some(Box::new(numbers)),
            }
        }
        self.tl0_offset = self.last_tl0.wrapping_add(1).wrapping_sub(counters.tl0_index().unwrap_or(0));
    }

    /// The counters of a packet that is sent. `newest`: no later packet was seen before it.
    pub(super) fn send(&mut self, counters: &Counters, newest: bool) -> Option<NewCounters> {
        if counters.is_empty() {
            return None;
        }
        let picture = match self.extend(counters) {
            Some(incoming) => self.number(incoming, newest),
            None => self.last,
        };
        let tl0_index = counters.tl0_index().unwrap_or(0).wrapping_add(self.tl0_offset);
        if picture >= self.last {
            self.last = picture;
            if counters.tl0_index().is_some() {
                self.last_tl0 = tl0_index;
            }
        }
        Some(NewCounters { picture_id: masked(picture, counters.picture_bits()), tl0_index })
    }

    fn number(&mut self, incoming: u64, newest: bool) -> u64 {
        let Some(numbers) = &mut self.numbers else { return self.last };
        let age = numbers.next().saturating_sub(incoming + 1);
        if let Some(picture) = numbers.send(incoming) {
            return picture;
        }
        // The sender counts anew: so it goes on from what was sent. Or the packet is older than what is remembered.
        if newest {
            let mut anew = Numbers::new(incoming, self.last + 1);
            anew.send(incoming);
            **numbers = anew;
            return self.last + 1;
        }
        self.last.saturating_sub(age)
    }

    /// A packet is left out on purpose, and so is its picture.
    pub(super) fn leave_out(&mut self, counters: &Counters) {
        if counters.contiguous
            && let Some(incoming) = self.extend(counters)
            && let Some(numbers) = &mut self.numbers
        {
            numbers.leave_out(incoming);
        }
    }

    /// The id as if it did not wrap: the nearest to the newest.
    fn extend(&mut self, counters: &Counters) -> Option<u64> {
        let bits = counters.picture_bits();
        let picture_id = u64::from(counters.picture_id()?);
        let newest = self.numbers.get_or_insert_with(|| Box::new(Numbers::new(FIRST + picture_id, self.last + 1))).next().saturating_sub(1);
        let size = 1_u64 << bits;
        let ahead = picture_id.wrapping_sub(newest) & (size - 1);
        Some(if ahead < size / 2 { newest + ahead } else { (newest + ahead).saturating_sub(size) })
    }
}

/// The lowest bits of a number.
fn masked(number: u64, bits: u8) -> u16 {
    u16::try_from(number & ((1 << bits) - 1)).unwrap_or(0)
}
