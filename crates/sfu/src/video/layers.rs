//! What each consumer of a transport gets, within what its client has room for.

use crate::payload::Unit;

/// A step up is taken only if this share of the estimate holds it: bitrates waver, and a key frame comes first. The
/// difference to the next keeps the choice from swinging.
const UP_PERCENT: u64 = 92;
/// A step is given up when it takes more than this share of the estimate. An estimate that fell because a link was
/// full is 15 % below what the link carries, and what takes no more than that is not to be given up for it.
const KEEP_PERCENT: u64 = 115;

/// A spatial and a temporal layer, each with all below it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct OperatingPoint {
    pub(crate) spatial: u8,
    pub(crate) temporal: u8,
}

impl OperatingPoint {
    /// All layers there are.
    pub(crate) const ALL: Self = Self { spatial: u8::MAX, temporal: u8::MAX };

    pub(crate) fn contain(self, unit: &Unit) -> bool {
        unit.spatial <= self.spatial && unit.temporal <= self.temporal
    }

    pub(crate) fn min(self, other: Self) -> Self {
        Self { spatial: self.spatial.min(other.spatial), temporal: self.temporal.min(other.temporal) }
    }

    pub(crate) fn max(self, other: Self) -> Self {
        Self { spatial: self.spatial.max(other.spatial), temporal: self.temporal.max(other.temporal) }
    }
}

/// What one consumer could get: steps from little to much, known by their numbers.
#[derive(Clone, Debug)]
pub(crate) struct LayerCandidate {
    /// The bitrate of every step; 0 for one that is off.
    pub(crate) rates: Vec<u64>,
    /// The highest step its receiver wants.
    pub(crate) preferred: usize,
    /// The step it has.
    pub(crate) current: Option<usize>,
}

impl LayerCandidate {
    fn rate(&self, step: usize) -> u64 {
        self.rates.get(step).copied().unwrap_or(0)
    }

    fn active(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        (0..self.rates.len()).filter(|step| self.rate(*step) > 0)
    }

    /// The least it can get, and never more than is wanted. While nothing of that arrives, it waits for what it has, or for
    /// the smallest, which browsers begin with.
    fn lowest(&self) -> usize {
        let wanted = self.active().find(|step| *step <= self.preferred);
        wanted.unwrap_or_else(|| self.current.unwrap_or(0).min(self.preferred))
    }

    fn above(&self, step: usize) -> Option<usize> {
        self.active().find(|other| *other > step && *other <= self.preferred)
    }

    /// Whether this step is less than what it has and wants: because there is no more room, and not because what it
    /// had is off.
    pub(crate) fn falls_to(&self, step: usize) -> bool {
        self.current.is_some_and(|current| step < current && current <= self.preferred && self.rate(current) > 0)
    }
}

/// The step for each candidate. `budget` is what is left for them, in bit/s; `may_rise` is false shortly after
/// some had to go down.
///
/// Everybody gets a picture before anybody gets a better one; then all rise step by step, in order.
pub(crate) fn choose(candidates: &[LayerCandidate], budget: u64, may_rise: bool) -> Vec<usize> {
    let mut chosen: Vec<usize> = candidates.iter().map(LayerCandidate::lowest).collect();
    let mut spent: u64 = candidates.iter().zip(&chosen).map(|(candidate, step)| candidate.rate(*step)).sum();
    loop {
        let mut raised = false;
        for (candidate, step) in candidates.iter().zip(&mut chosen) {
            let Some(next) = candidate.above(*step) else { continue };
            let is_rise = candidate.current.is_none_or(|current| next > current);
            let limit = budget.saturating_mul(if is_rise { UP_PERCENT } else { KEEP_PERCENT }) / 100;
            let total = spent.saturating_sub(candidate.rate(*step)).saturating_add(candidate.rate(next));
            if total <= limit && (may_rise || !is_rise) {
                spent = total;
                *step = next;
                raised = true;
            }
        }
        if !raised {
            return chosen;
        }
    }
}

/// What the candidates would use if there were room for everything.
pub(crate) fn wanted(candidates: &[LayerCandidate]) -> u64 {
    candidates
        .iter()
        .map(|candidate| candidate.active().rfind(|step| *step <= candidate.preferred).map_or(0, |step| candidate.rate(step)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(preferred: usize, current: Option<usize>) -> LayerCandidate {
        LayerCandidate { rates: vec![150_000, 500_000, 1_500_000], preferred, current }
    }

    #[test]
    fn the_receivers_wish_is_the_upper_bound() {
        assert_eq!(choose(&[candidate(1, None)], 10_000_000, true), [1]);
        assert_eq!(choose(&[candidate(2, None)], 10_000_000, true), [2]);
    }

    #[test]
    fn everybody_gets_a_picture_before_anybody_gets_a_better_one() {
        let three = [candidate(2, None), candidate(2, None), candidate(2, None)];
        assert_eq!(choose(&three, 100_000, true), [0, 0, 0], "the smallest is not withheld");
        assert_eq!(choose(&three, 1_000_000, true), [1, 0, 0]);
        assert_eq!(choose(&three, 2_000_000, true), [1, 1, 1]);
    }

    #[test]
    fn a_layer_is_kept_at_an_estimate_that_would_not_raise_it() {
        assert_eq!(choose(&[candidate(2, Some(2))], 1_600_000, true), [2]);
        assert_eq!(choose(&[candidate(2, Some(1))], 1_600_000, true), [1]);
        assert_eq!(choose(&[candidate(2, Some(2))], 1_310_000, true), [2]);
        assert_eq!(choose(&[candidate(2, Some(2))], 1_290_000, true), [1]);
    }

    #[test]
    fn nothing_rises_shortly_after_a_fall() {
        assert_eq!(choose(&[candidate(2, Some(0))], 10_000_000, false), [0]);
        assert_eq!(choose(&[candidate(2, Some(2))], 10_000_000, false), [2]);
    }

    #[test]
    fn a_layer_that_is_off_is_not_chosen() {
        let mut off = candidate(2, Some(2));
        off.rates = vec![150_000, 0, 0];
        assert_eq!(choose(&[off.clone()], 10_000_000, true), [0]);
        off.rates = vec![0, 0, 900_000];
        assert_eq!(choose(&[off.clone()], 10_000_000, true), [2]);
        off.rates = vec![0; 3];
        assert_eq!(choose(&[off.clone()], 10_000_000, true), [2], "nothing arrives: it stays");
        off.current = None;
        assert_eq!(choose(&[off], 10_000_000, true), [0]);
    }

    #[test]
    fn more_than_the_wish_is_never_chosen_whatever_is_off() {
        for rates in [[0, 0, 900_000], [0, 500_000, 900_000], [0, 0, 0], [150_000, 0, 900_000]] {
            for current in [None, Some(0), Some(1), Some(2)] {
                for preferred in 0..3 {
                    let chosen = choose(&[LayerCandidate { rates: rates.to_vec(), preferred, current }], 10_000_000, true);
                    assert!(chosen[0] <= preferred, "{rates:?} {current:?} {preferred}: {chosen:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_wanted_is_the_preferred_of_what_is_on() {
        assert_eq!(wanted(&[candidate(2, None), candidate(0, None)]), 1_650_000);
    }
}
