//! The packet index of one received SSRC, and which of them were there already (RFC 3711, section 3.3).

/// Packets that a repair can come late by: 1,024 packets are a second of a busy video stream.
const WINDOW: u64 = 1_024;
const WORDS: usize = 16;
/// Half of all sequence numbers: what is farther away belongs to the round before or after.
const HALF: u64 = 1 << 15;
const ROUND: u64 = 1 << 16;

/// State of one SSRC. It has to live as long as the keys: a new one would forget the rollover counter, and would
/// take old packets again.
///
/// Only [`Replay::accept`] changes it, so it must hear of authenticated packets only.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Replay {
    /// The highest index that was accepted.
    highest: Option<u64>,
    /// One bit for each index of the window, at the index modulo its size.
    seen: [u64; WORDS],
}

impl Replay {
    /// The most likely index of a packet: the one nearest to the highest so far (RFC 3711, section 3.3.1).
    pub(crate) fn guess(&self, seq: u16) -> u64 {
        let seq = u64::from(seq);
        let Some(highest) = self.highest else { return seq };
        let (last, round) = (highest % ROUND, highest - highest % ROUND);
        if last < HALF && seq > last + HALF {
            // Before the first round there is none, so a number that high is yet to come.
            round.checked_sub(ROUND).unwrap_or(round) + seq
        } else if last >= HALF && seq < last - HALF {
            round.saturating_add(ROUND + seq)
        } else {
            round + seq
        }
    }

    /// The index a first packet may have instead of the guessed one. A sender that began just below the end of its first round is in the
    /// second by now if nothing arrived until then (RFC 3711, section 3.3.1, has no help for that).
    pub(crate) fn second_guess(&self, seq: u16) -> Option<u64> {
        let seq = u64::from(seq);
        (self.highest.is_none() && seq < HALF).then_some(ROUND + seq)
    }

    /// Whether the index was not accepted before; what is older than the window counts as seen.
    pub(crate) fn is_new(&self, index: u64) -> bool {
        match self.highest {
            Some(highest) if index <= highest => highest - index < WINDOW && !self.is_seen(index),
            _ => true,
        }
    }

    /// The packet with this index was authenticated.
    pub(crate) fn accept(&mut self, index: u64) {
        if !self.is_new(index) {
            return;
        }
        match self.highest {
            Some(highest) if index <= highest => {}
            Some(highest) if index - highest < WINDOW => {
                (highest + 1..index).for_each(|skipped| self.mark(skipped, false));
                self.highest = Some(index);
            }
            _ => {
                self.seen = [0; WORDS];
                self.highest = Some(index);
            }
        }
        self.mark(index, true);
    }

    fn is_seen(&self, index: u64) -> bool {
        let (word, bit) = place(index);
        self.seen.get(word).is_some_and(|word| word & bit != 0)
    }

    fn mark(&mut self, index: u64, seen: bool) {
        let (word, bit) = place(index);
        if let Some(word) = self.seen.get_mut(word) {
            *word = if seen { *word | bit } else { *word & !bit };
        }
    }
}

/// Word and bit of an index.
fn place(index: u64) -> (usize, u64) {
    ((index / 64) as usize % WORDS, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn at(index: u64) -> Replay {
        let mut replay = Replay::default();
        replay.accept(index);
        replay
    }

    #[test]
    fn the_first_packet_is_of_the_first_round() {
        assert_eq!(Replay::default().guess(0), 0);
        assert_eq!(Replay::default().guess(65_535), 65_535);
    }

    #[test]
    fn only_a_first_packet_may_be_of_the_second_round() {
        let fresh = Replay::default();
        assert_eq!([0, 32_767, 32_768, 65_535].map(|seq| fresh.second_guess(seq)), [Some(ROUND), Some(ROUND + 32_767), None, None]);
        assert_eq!(at(3).second_guess(4), None);
    }

    #[test]
    fn the_round_is_guessed_as_in_rfc_3711_section_3_3_1() {
        let round = 7 * ROUND;
        assert_eq!(at(round + 65_530).guess(3), round + ROUND + 3, "the number wrapped");
        assert_eq!(at(round + 3).guess(65_530), round - ROUND + 65_530, "late, of the round before");
        assert_eq!(at(round + 10).guess(10 + 32_768), round + 10 + 32_768, "exactly half a round is not beyond it");
        assert_eq!(at(round + 10).guess(10 + 32_769), round - ROUND + 10 + 32_769);
        assert_eq!(at(round + 40_000).guess(40_000 - 32_768), round + 40_000 - 32_768);
        assert_eq!(at(round + 40_000).guess(40_000 - 32_769), round + ROUND + 40_000 - 32_769);
    }

    #[test]
    fn there_is_no_round_before_the_first() {
        assert_eq!(at(3).guess(65_530), 65_530);
    }

    #[test]
    fn nothing_is_new_twice_or_when_older_than_the_window() {
        let mut replay = at(5_000);
        assert!(!replay.is_new(5_000));
        assert!(replay.is_new(5_001) && replay.is_new(5_000 - WINDOW + 1));
        assert!(!replay.is_new(5_000 - WINDOW));
        replay.accept(5_000 - WINDOW + 1);
        assert!(!replay.is_new(5_000 - WINDOW + 1));
    }

    #[test]
    fn a_jump_forgets_what_it_leaves_behind_and_nothing_else() {
        let mut replay = at(100);
        replay.accept(100 + WINDOW - 1);
        assert!(!replay.is_new(100), "still in the window");
        assert!((101..100 + WINDOW - 1).all(|index| replay.is_new(index)));
        replay.accept(100 + 10 * WINDOW);
        assert!((100 + 9 * WINDOW + 1..100 + 10 * WINDOW).all(|index| replay.is_new(index)));
    }

    proptest! {
        /// Against a set that forgets nothing.
        #[test]
        fn each_index_is_accepted_once(start in 0u64..1 << 47, steps in prop::collection::vec((-1_500i64..1_500, 0u8..20), 1..300)) {
            let (mut replay, mut seen, mut highest) = (at(start), HashSet::from([start]), start);
            for (step, leap) in steps {
                let step = if leap == 0 { step * 30 } else { step / 8 };
                let index = highest.saturating_add_signed(step);
                let new = !seen.contains(&index) && index + WINDOW > highest;
                prop_assert_eq!(replay.is_new(index), new);
                replay.accept(index);
                prop_assert!(!replay.is_new(index));
                if new {
                    seen.insert(index);
                    highest = highest.max(index);
                }
            }
        }

        /// Whatever was lost or came late, by less than half a round.
        #[test]
        fn the_index_is_guessed_over_all_rounds(start in 0u64..1 << 16, steps in prop::collection::vec(-32_767i64..32_768, 1..300)) {
            let (mut replay, mut highest) = (at(start), start);
            for step in steps {
                let index = highest.saturating_add_signed(step);
                // Before the first round there is nothing to be late from.
                prop_assume!(highest >= ROUND || step >= 0);
                prop_assert_eq!(replay.guess(index as u16), index);
                replay.accept(index);
                highest = highest.max(index);
            }
        }

        #[test]
        fn no_index_breaks_it(indexes in prop::collection::vec(any::<u64>(), 1..50), seq in any::<u16>()) {
            let mut replay = Replay::default();
            for index in indexes {
                replay.accept(index);
                replay.guess(seq);
                prop_assert!(!replay.is_new(index));
            }
        }
    }
}
