//! Which SRTCP packets of a transport were there already (RFC 3711, section 3.3.2).

/// A window for each sender. Some browsers report every stream they receive under an SSRC of its own; these are
/// as many as no transport carries, and 32 KiB.
const MAX_SSRCS: usize = 1_024;
/// Twice what RFC 3711 asks for; compound packets are few and hardly overtake each other.
const WINDOW: u32 = u128::BITS;

/// Windows of all SSRCs that authenticated packets came from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct RtcpReplay {
    /// The windows in order of their SSRCs.
    windows: Vec<Window>,
    /// Packets accepted, to tell which window is the longest unused.
    accepted: u64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    ssrc: u32,
    highest: u32,
    /// The lowest bit is `highest`, the next the index before it.
    seen: u128,
    used: u64,
}

impl RtcpReplay {
    /// Whether the index was not accepted before; what is older than the window counts as seen.
    pub(super) fn is_new(&self, ssrc: u32, index: u32) -> bool {
        self.find(ssrc).ok().and_then(|at| self.windows.get(at)).is_none_or(|window| window.is_new(index))
    }

    /// A packet was authenticated. A window too many takes the place of the longest unused: an SSRC that ended,
    /// unless the peer itself does all it can to have its old packets replayed.
    pub(super) fn accept(&mut self, ssrc: u32, index: u32) {
        self.accepted = self.accepted.saturating_add(1);
        let used = self.accepted;
        if let Ok(at) = self.find(ssrc) {
            if let Some(window) = self.windows.get_mut(at) {
                window.accept(index);
                window.used = used;
            }
            return;
        }
        if self.windows.len() >= MAX_SSRCS {
            let oldest = self.windows.iter().map(|window| window.used).min();
            self.windows.retain(|window| Some(window.used) != oldest);
        }
        let at = self.find(ssrc).unwrap_or_else(|at| at);
        self.windows.insert(at, Window { ssrc, highest: index, seen: 1, used });
    }

    fn find(&self, ssrc: u32) -> Result<usize, usize> {
        self.windows.binary_search_by_key(&ssrc, |window| window.ssrc)
    }
}

impl Window {
    fn is_new(&self, index: u32) -> bool {
        match self.highest.checked_sub(index) {
            Some(age) => age < WINDOW && self.seen & (1 << age) == 0,
            None => true,
        }
    }

    fn accept(&mut self, index: u32) {
        match self.highest.checked_sub(index) {
            Some(age) => self.seen |= 1_u128.checked_shl(age).unwrap_or(0),
            None => {
                self.seen = self.seen.checked_shl(index - self.highest).unwrap_or(0) | 1;
                self.highest = index;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_ssrc_has_its_own_window() {
        let mut replay = RtcpReplay::default();
        replay.accept(1, 7);
        assert!(!replay.is_new(1, 7));
        assert!(replay.is_new(2, 7));
    }

    #[test]
    fn what_is_older_than_the_window_is_not_new() {
        let mut replay = RtcpReplay::default();
        replay.accept(1, 1_000);
        assert!(replay.is_new(1, 1_000 - WINDOW + 1));
        assert!(!replay.is_new(1, 1_000 - WINDOW));
    }

    #[test]
    fn the_longest_unused_window_makes_room() {
        let mut replay = RtcpReplay::default();
        for ssrc in 0..MAX_SSRCS as u32 {
            replay.accept(ssrc, 5);
        }
        replay.accept(0, 6);
        for ssrc in MAX_SSRCS as u32..MAX_SSRCS as u32 + 10 {
            replay.accept(ssrc, 5);
        }
        assert_eq!(replay.windows.len(), MAX_SSRCS);
        assert!(!replay.is_new(0, 5) && !replay.is_new(0, 6), "in use");
        assert!((1..=10).all(|ssrc| replay.is_new(ssrc, 5)), "forgotten");
        assert!((11..MAX_SSRCS as u32 + 10).all(|ssrc| !replay.is_new(ssrc, 5)));
    }

    proptest! {
        #[test]
        fn each_index_is_accepted_once(packets in prop::collection::vec((0u32..4, 0u32..400), 1..300)) {
            let (mut replay, mut seen) = (RtcpReplay::default(), HashSet::new());
            for (ssrc, index) in packets {
                let highest = seen.iter().filter(|(of, _)| *of == ssrc).map(|(_, index)| *index).max();
                let new = !seen.contains(&(ssrc, index)) && highest.is_none_or(|highest| index + WINDOW > highest);
                prop_assert_eq!(replay.is_new(ssrc, index), new);
                if new {
                    replay.accept(ssrc, index);
                    seen.insert((ssrc, index));
                }
            }
        }
    }
}
