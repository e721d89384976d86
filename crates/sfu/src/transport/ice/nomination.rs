//! Which path a client asks for.

use std::time::{Duration, Instant};

use super::Ice;

/// A client that nominates aggressively (RFC 5245, section 8.1.1.2) does so for every pair that works, and means the one with the highest
/// priority. One that changes its mind stops nominating the other, and checks most often every 2.5 s.
const TOGETHER: Duration = Duration::from_secs(2);

/// A client's wish that a path be used (RFC 8445, section 8.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Nomination {
    at: Instant,
    /// The higher one counts, whatever the priorities.
    number: u32,
    priority: u64,
}

impl Ice {
    /// A check came by the path at `at`, and it asked for the path or did not.
    pub(super) fn nominate(&mut self, at: usize, number: Option<u32>, priority: u64, now: Instant) {
        let wanted = self.wanted.filter(|wanted| *wanted != at).and_then(|wanted| self.paths.get(wanted));
        let other = wanted.and_then(|known| known.nomination);
        let nomination = number.map(|number| Nomination { at: now, number, priority });
        if let Some(known) = self.paths.get_mut(at) {
            known.nomination = nomination;
        }
        if nomination.is_some_and(|this| other.is_none_or(|other| this.supersedes(other, now))) {
            self.wanted = Some(at);
        } else if self.wanted == Some(at) && nomination.is_none() {
            self.follow_another(now);
        }
    }

    /// The path in use is checked, but not asked for any more: another may be, and had to wait.
    fn follow_another(&mut self, now: Instant) {
        let asked_for = |at: &usize| {
            let nomination = self.paths.get(*at)?.nomination?;
            (now.saturating_duration_since(nomination.at) < TOGETHER).then_some((nomination.number, nomination.priority))
        };
        let best = (0..self.paths.len()).filter(|at| asked_for(at).is_some()).max_by_key(asked_for);
        self.wanted = best.or(self.wanted);
    }
}

impl Nomination {
    fn supersedes(self, other: Self, now: Instant) -> bool {
        let together = now.saturating_duration_since(other.at) < TOGETHER;
        match self.number.cmp(&other.number) {
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => !together || self.priority >= other.priority,
        }
    }
}
