//! Numbers given to incoming ones: what is left out on purpose leaves no gap, what is missing does.

/// A run of incoming numbers, and the outgoing ones they have. Remembers of the last `64 * WORDS` which were left out.
#[derive(Clone, Debug)]
pub(super) struct Ledger<const WORDS: usize> {
    /// The first incoming number.
    start: u64,
    /// The one after the highest incoming number.
    next: u64,
    /// The one after the highest incoming number that was sent.
    sent: u64,
    /// The outgoing number of `start`.
    base: u64,
    /// How many were left out.
    left_out: u64,
    /// Whether a number was left out, at the place of its lowest bits.
    bits: [u64; WORDS],
}

/// What becomes of a number that is left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LeftOut {
    /// Nobody will miss it.
    Closed,
    /// Higher ones are on their way already: this outgoing number is missing there.
    Hole(u64),
}

impl<const WORDS: usize> Ledger<WORDS> {
    const WINDOW: u64 = 64 * WORDS as u64;

    pub(super) const fn new(start: u64, base: u64) -> Self {
        Self { start, next: start, sent: start, base, left_out: 0, bits: [0; WORDS] }
    }

    /// The one after the highest incoming number.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The outgoing number of one that is sent; `None` for one from before the run, from too long ago, or left out before.
    pub(super) fn send(&mut self, number: u64) -> Option<u64> {
        if number >= self.next {
            self.advance(number);
        }
        let outgoing = self.outgoing(number)?;
        self.sent = self.sent.max(number + 1);
        Some(outgoing)
    }

    /// Leaves one out; `None` if that was done before, or is past.
    pub(super) fn leave_out(&mut self, number: u64) -> Option<LeftOut> {
        if number >= self.next {
            self.advance(number);
        }
        let outgoing = self.outgoing(number)?;
        if number < self.sent {
            return Some(LeftOut::Hole(outgoing));
        }
        let (word, bit) = Self::place(number);
        *self.bits.get_mut(word)? |= bit;
        self.left_out += 1;
        Some(LeftOut::Closed)
    }

    fn outgoing(&self, number: u64) -> Option<u64> {
        let age = self.next.checked_sub(number)?;
        if number < self.start || age > Self::WINDOW || self.is_left_out(number) {
            return None;
        }
        // In order, this is a step of one.
        let after = (number..self.next).filter(|later| self.is_left_out(*later)).count() as u64;
        (self.base + (number - self.start)).checked_sub(self.left_out.checked_sub(after)?)
    }

    fn advance(&mut self, number: u64) {
        if number - self.next >= Self::WINDOW {
            self.bits = [0; WORDS];
        } else {
            for skipped in self.next..=number {
                let (word, bit) = Self::place(skipped);
                if let Some(word) = self.bits.get_mut(word) {
                    *word &= !bit;
                }
            }
        }
        self.next = number + 1;
    }

    fn is_left_out(&self, number: u64) -> bool {
        let (word, bit) = Self::place(number);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    const fn place(number: u64) -> (usize, u64) {
        ((number / 64 % WORDS as u64) as usize, 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_is_left_out_leaves_no_gap_and_what_is_missing_does() {
        let mut ledger = Ledger::<1>::new(10, 100);
        assert_eq!(ledger.send(10), Some(100));
        assert_eq!(ledger.leave_out(11), Some(LeftOut::Closed));
        assert_eq!(ledger.send(13), Some(102), "12 is missing");
        assert_eq!(ledger.send(12), Some(101));
        assert_eq!(ledger.send(9), None, "from before the run");
    }

    #[test]
    fn a_hole_that_others_know_of_is_told_and_one_that_nobody_knows_of_is_closed() {
        let mut ledger = Ledger::<1>::new(10, 100);
        ledger.send(10);
        ledger.leave_out(12);
        assert_eq!(ledger.leave_out(11), Some(LeftOut::Closed), "nothing was sent after it");
        assert_eq!(ledger.send(14), Some(102));
        assert_eq!(ledger.leave_out(13), Some(LeftOut::Hole(101)));
        assert_eq!(ledger.leave_out(12), None, "for the second time");
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_a_list_without_what_was_left_out(
            steps in prop::collection::vec((1u64..5, 0u8..4, 0u64..40), 1..300),
        ) {
            let mut ledger = Ledger::<2>::new(0, 0);
            let mut outgoing = BTreeMap::new();
            let mut next = 0;
            for (by, what, back) in steps {
                let number = if what < 2 { next + by - 1 } else { u64::saturating_sub(next, back + 1) };
                next = next.max(number + 1);
                if outgoing.contains_key(&number) {
                    continue;
                }
                let given = match what % 2 {
                    0 => ledger.send(number),
                    _ => match ledger.leave_out(number) {
                        Some(LeftOut::Hole(hole)) => Some(hole),
                        Some(LeftOut::Closed) => None,
                        None => continue,
                    },
                };
                outgoing.insert(number, given);
            }
            let mut last: Option<(u64, u64)> = None;
            for (number, given) in outgoing.iter().filter_map(|(number, given)| given.map(|given| (*number, given))) {
                if let Some((before, before_given)) = last {
                    let closed = outgoing.range(before..number).filter(|(_, given)| given.is_none()).count() as u64;
                    prop_assert_eq!(given - before_given, number - before - closed);
                }
                last = Some((number, given));
            }
        }
    }
}
