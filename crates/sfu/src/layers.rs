//! Which simulcast layer each consumer of a transport gets, within what its client has room for.

/// A layer is taken in addition only if this share of the estimate holds it; it is given up when it no
/// longer fits the whole. The difference keeps layers from swinging.
const UP_PERCENT: u64 = 85;

/// What one consumer could get.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The bitrate of every layer, from small to large; 0 for one that is off.
    pub(crate) rates: Vec<u64>,
    /// The highest layer its receiver wants.
    pub(crate) preferred: u8,
    /// The layer it has.
    pub(crate) current: Option<u8>,
}

impl Candidate {
    fn rate(&self, layer: u8) -> u64 {
        self.rates.get(usize::from(layer)).copied().unwrap_or(0)
    }

    fn active(&self) -> impl DoubleEndedIterator<Item = u8> + '_ {
        let layers = u8::try_from(self.rates.len()).unwrap_or(u8::MAX);
        (0..layers).filter(|layer| self.rate(*layer) > 0)
    }

    /// The least it can get. While nothing arrives: the smallest, which browsers begin with.
    fn lowest(&self) -> u8 {
        self.active().next().unwrap_or(0)
    }

    fn above(&self, layer: u8) -> Option<u8> {
        self.active().find(|other| *other > layer && *other <= self.preferred)
    }
}

/// The layer for each candidate. `budget` is what is left for them, in bit/s; `may_rise` is false shortly after
/// layers had to go down.
///
/// Everybody gets a picture before anybody gets a better one; then all rise step by step, in order.
pub(crate) fn choose(candidates: &[Candidate], budget: u64, may_rise: bool) -> Vec<u8> {
    let mut chosen: Vec<u8> = candidates.iter().map(Candidate::lowest).collect();
    let mut spent: u64 = candidates.iter().zip(&chosen).map(|(candidate, layer)| candidate.rate(*layer)).sum();
    loop {
        let mut raised = false;
        for (candidate, layer) in candidates.iter().zip(&mut chosen) {
            let Some(next) = candidate.above(*layer) else { continue };
            let is_rise = candidate.current.is_none_or(|current| next > current);
            let limit = if is_rise { budget.saturating_mul(UP_PERCENT) / 100 } else { budget };
            let total = spent.saturating_sub(candidate.rate(*layer)).saturating_add(candidate.rate(next));
            if total <= limit && (may_rise || !is_rise) {
                spent = total;
                *layer = next;
                raised = true;
            }
        }
        if !raised {
            return chosen;
        }
    }
}

/// What the candidates would use if there were room for everything.
pub(crate) fn wanted(candidates: &[Candidate]) -> u64 {
    candidates
        .iter()
        .map(|candidate| candidate.active().rfind(|layer| *layer <= candidate.preferred).map_or(0, |l| candidate.rate(l)))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(preferred: u8, current: Option<u8>) -> Candidate {
        Candidate { rates: vec![150_000, 500_000, 1_500_000], preferred, current }
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
        assert_eq!(choose(&[candidate(2, Some(2))], 1_400_000, true), [1]);
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
        off.preferred = 0;
        assert_eq!(choose(&[off], 10_000_000, true), [2], "better one too large than none");
    }

    #[test]
    fn what_is_wanted_is_the_preferred_of_what_is_on() {
        assert_eq!(wanted(&[candidate(2, None), candidate(0, None)]), 1_650_000);
    }
}
