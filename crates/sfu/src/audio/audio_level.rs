//! Who is heard: the senders' own measurements (RFC 6464), gathered over a short window.

use std::time::{Duration, Instant};

/// Between two reports of a router: four a second is as fast as an eye follows.
pub(crate) const INTERVAL: Duration = Duration::from_millis(250);
/// Average level, in dBov, from which a sender counts as heard. Speech is at -20 to -45, a quiet room's noise below -60.
const HEARD: i32 = -55;
/// Packets of a window below which a level means nothing: a single click is no speech.
const MIN_PACKETS: u32 = 2;
/// Smaller changes of a level are not worth a report.
const SAME_LEVEL: i32 = 3;

/// The level of one producer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level {
    sum: i32,
    packets: u32,
}

impl Level {
    /// `dbov` is -127 (silence) to 0.
    pub(crate) fn add(&mut self, dbov: i8) {
        self.sum += i32::from(dbov);
        self.packets += 1;
    }

    /// The window's average if it is heard; begins the next window.
    pub(crate) fn take(&mut self) -> Option<i8> {
        let Self { sum, packets } = std::mem::take(self);
        if packets < MIN_PACKETS {
            return None;
        }
        let average = sum / i32::try_from(packets).unwrap_or(i32::MAX);
        (average >= HEARD).then(|| i8::try_from(average).unwrap_or(-127))
    }
}

/// What a router reported last; decides whether there is something new to say.
#[derive(Debug)]
pub(crate) struct Speakers<Id> {
    last: Vec<(Id, i8)>,
    next: Instant,
}

impl<Id: Copy + Eq> Speakers<Id> {
    pub(crate) fn new(now: Instant) -> Self {
        Self { last: Vec::new(), next: now + INTERVAL }
    }

    /// Whether a window has ended.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = now >= self.next;
        if due {
            self.next = now + INTERVAL;
        }
        due
    }

    /// The report of a window, loudest first; `None` when it would say the same again.
    pub(crate) fn report(&mut self, mut levels: Vec<(Id, i8)>) -> Option<Vec<(Id, i8)>> {
        levels.sort_by_key(|(_, level)| std::cmp::Reverse(*level));
        let same = levels.len() == self.last.len()
            && levels.iter().zip(&self.last).all(|((id, level), (last_id, last_level))| {
                id == last_id && (i32::from(*level) - i32::from(*last_level)).abs() < SAME_LEVEL
            });
        if same {
            return None;
        }
        self.last.clone_from(&levels);
        Some(levels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_single_clicks_are_not_heard() {
        let mut level = Level::default();
        assert_eq!(level.take(), None);
        level.add(-10);
        assert_eq!(level.take(), None, "one packet");
        (0..12).for_each(|_| level.add(-90));
        assert_eq!(level.take(), None, "noise");
        (0..12).for_each(|_| level.add(-30));
        assert_eq!(level.take(), Some(-30));
    }

    #[test]
    fn reports_are_sorted_and_say_something_new() {
        let mut speakers = Speakers::new(parlor_testkit::clock::Clock::new().now());
        assert_eq!(speakers.report(vec![]), None, "silence from the beginning");
        assert_eq!(speakers.report(vec![(1, -40), (2, -20)]), Some(vec![(2, -20), (1, -40)]));
        assert_eq!(speakers.report(vec![(1, -41), (2, -21)]), None, "much the same");
        assert_eq!(speakers.report(vec![]), Some(vec![]), "the end is told once");
        assert_eq!(speakers.report(vec![]), None);
    }
}
