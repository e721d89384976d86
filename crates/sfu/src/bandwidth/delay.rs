//! How long packets wait in the queue before the bottleneck, seen from when they were sent and when they arrived.
//!
//! The one-way delay is known up to a constant; its minimum over the last seconds is taken for the empty queue.
//! The judgement rests on the least wait within a window: neither jitter nor the burst of a large frame makes
//! every packet wait, a link that is too slow does.

/// How long a minimum is believed: clocks drift (100 ppm are 2 ms in this time) and routes change.
const BASE_MICROS: u64 = 10_000_000;
/// A window of packets that is judged; long enough for five packets of audio.
const WINDOW_MICROS: u64 = 100_000;
const WINDOW_PACKETS: u32 = 4;
/// Where every packet waits longer than this beyond what is usual, the queue does not empty: well below the
/// 100 ms from which on people notice a delay.
const OVERUSE_MICROS: i64 = 45_000;
/// Windows in a row with such a wait that make it overuse: a large frame that came all at once makes a queue too, but one that
/// soon empties.
const OVERUSE_WINDOWS: u32 = 3;
/// Fewer windows are enough if the wait is longer by [`HIGH_MICROS`].
const HIGH_WINDOWS: u32 = 2;
const HIGH_MICROS: i64 = 50_000;
/// What is usual (on a radio link with jitter, even the least wait is long), as an average over so many windows, ...
const USUAL_WINDOWS: i64 = 16;
/// ... but a standing queue is not to become usual.
const MAX_USUAL_MICROS: i64 = 50_000;
/// Below this the queue is empty but for jitter.
const CLEAR_MICROS: i64 = 20_000;
/// A queue that falls by this much in a window empties within a second or two by itself.
const FALL_MICROS: i64 = 8_000;
/// A packet that waited this long was behind others all the time: the link was busy.
pub(super) const BUSY_MICROS: i64 = 10_000;
/// Delays that differ by more are two clocks (a restarted receiver, a wrapped reference time, a liar).
const MAX_STEP_MICROS: i64 = 5_000_000;
/// Waits that differ by less are equal, ...
const FLAT_MICROS: i64 = 4_000;
/// ... and a queue that stays equal for so many windows without losing anything is no queue but a longer way.
const FLAT_WINDOWS: u32 = 6;

/// What a window of packets says about the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DelayTrend {
    /// No queue to speak of.
    Clear,
    /// A small one, or one that empties.
    Hold,
    /// More is sent than the link carries.
    Overuse,
}

/// The delay of one path.
#[derive(Debug, Default)]
pub(super) struct Delay {
    /// The least delay of this period and of the one before.
    base: Option<[i64; 2]>,
    base_since: u64,
    window: Option<Window>,
    previous: Option<i64>,
    /// The average of the least waits.
    usual: i64,
    windows: i64,
    /// The average of how much longer than the least packets wait, as long as there is no queue: the jitter.
    spread: i64,
    /// Windows in a row with a wait that is too long, and how many of them with the same.
    over: u32,
    flat: u32,
    /// Packets sent before this are not judged.
    ignore_before: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: u64,
    packets: u32,
    least: i64,
    sum: i64,
    lost: bool,
}

impl Delay {
    /// A packet arrived: how long it waited in µs, and the verdict if it completes a window.
    pub(super) fn on_packet(&mut self, sent: u64, arrival: i64) -> (i64, Option<DelayTrend>) {
        let delay = arrival.saturating_sub(i64::try_from(sent).unwrap_or(i64::MAX));
        let wait = delay.saturating_sub(self.base_with(delay, sent));
        if sent < self.ignore_before {
            return (wait, None);
        }
        let window = self.window.get_or_insert(Window { since: sent, packets: 0, least: i64::MAX, sum: 0, lost: false });
        window.packets = window.packets.saturating_add(1);
        window.least = window.least.min(wait);
        window.sum = window.sum.saturating_add(wait);
        let done = *window;
        if done.packets < WINDOW_PACKETS || sent.saturating_sub(done.since) < WINDOW_MICROS {
            return (wait, None);
        }
        self.window = None;
        (wait, Some(self.judge(done)))
    }

    /// A packet did not arrive.
    pub(super) fn on_lost(&mut self) {
        if let Some(window) = &mut self.window {
            window.lost = true;
        }
    }

    /// By how much the delay of a packet differs without any queue, in µs.
    pub(super) fn spread(&self) -> u64 {
        u64::try_from(self.spread).unwrap_or(0)
    }

    /// What is sent before `time` is not judged: the queue it finds was made on purpose, or is known already.
    pub(super) fn ignore_until(&mut self, time: u64) {
        self.ignore_before = self.ignore_before.max(time);
        self.window = None;
        self.previous = None;
    }

    fn base_with(&mut self, delay: i64, now: u64) -> i64 {
        let leapt = self.base.is_some_and(|[current, _]| delay.saturating_sub(current).saturating_abs() > MAX_STEP_MICROS);
        let [current, before] = match self.base {
            Some(base) if !leapt => base,
            _ => {
                self.base_since = now;
                self.window = None;
                self.previous = None;
                [delay, delay]
            }
        };
        let is_over = now.saturating_sub(self.base_since) >= BASE_MICROS;
        let base = if is_over { [delay, current] } else { [current.min(delay), before] };
        if is_over {
            self.base_since = now;
        }
        self.base = Some(base);
        base.into_iter().min().unwrap_or(delay)
    }

    fn judge(&mut self, window: Window) -> DelayTrend {
        let least = window.least;
        let previous = self.previous.replace(least);
        let usual = self.usual.min(MAX_USUAL_MICROS);
        let (clear, limit) = (usual + CLEAR_MICROS, usual + OVERUSE_MICROS);
        if least < limit {
            self.windows = (self.windows + 1).min(USUAL_WINDOWS);
            self.usual += least.saturating_sub(self.usual) / self.windows;
        }
        if least < clear {
            let mean = window.sum / i64::from(window.packets.max(1));
            self.spread += mean.saturating_sub(least).saturating_sub(self.spread) / self.windows.max(1);
            self.flat = 0;
            self.over = 0;
            return DelayTrend::Clear;
        }
        let change = previous.map_or(0, |previous| least.saturating_sub(previous));
        if least < limit || change <= -FALL_MICROS {
            self.flat = 0;
            self.over = 0;
            return DelayTrend::Hold;
        }
        self.over = self.over.saturating_add(1);
        if self.over < if least < limit + HIGH_MICROS { OVERUSE_WINDOWS } else { HIGH_WINDOWS } {
            return DelayTrend::Hold;
        }
        let is_flat = !window.lost && change.abs() < FLAT_MICROS;
        self.flat = if is_flat { self.flat + 1 } else { 0 };
        if self.flat >= FLAT_WINDOWS {
            self.accept(least);
            return DelayTrend::Hold;
        }
        DelayTrend::Overuse
    }

    /// Takes the present delay for that of an empty queue.
    fn accept(&mut self, least: i64) {
        self.flat = 0;
        self.over = 0;
        self.previous = None;
        if let Some(base) = &mut self.base {
            let present = base.iter().min().copied().unwrap_or(0).saturating_add(least);
            *base = [present, present];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Verdicts of packets every 20 ms that wait as told.
    fn verdicts(delay: &mut Delay, from: u64, waits: impl IntoIterator<Item = i64>) -> Vec<DelayTrend> {
        let send = |(number, wait): (u64, i64)| {
            let sent = (from + number) * 20_000;
            delay.on_packet(sent, i64::try_from(sent).expect("small") + 7_000_000_000 + wait).1
        };
        (0..).zip(waits).filter_map(send).collect()
    }

    #[test]
    fn a_growing_queue_is_overuse_and_an_emptying_one_is_not() {
        let mut delay = Delay::default();
        assert!(verdicts(&mut delay, 0, [0; 50]).iter().all(|verdict| *verdict == DelayTrend::Clear));
        let growing = verdicts(&mut delay, 50, (0..30).map(|step| step * 10_000));
        assert_eq!(growing.last(), Some(&DelayTrend::Overuse));
        let falling = verdicts(&mut delay, 80, (0..24).map(|step| 290_000 - step * 10_000));
        assert!(falling.iter().skip(1).all(|verdict| *verdict == DelayTrend::Hold), "{falling:?}");
    }

    #[test]
    fn jitter_and_bursts_are_no_overuse() {
        let mut delay = Delay::default();
        let jitter = verdicts(&mut delay, 0, (0..1_000).map(|number: i64| number * 7_919 % 61 * 1_000));
        assert!(!jitter.contains(&DelayTrend::Overuse));
        let bursts = verdicts(&mut delay, 1_000, (0..1_000).map(|number| if number % 6 < 4 { 150_000 } else { 5_000 }));
        assert!(!bursts.contains(&DelayTrend::Overuse));
    }

    #[test]
    fn a_longer_way_is_accepted_soon() {
        let mut delay = Delay::default();
        verdicts(&mut delay, 0, [0; 100]);
        let longer = verdicts(&mut delay, 100, [80_000; 100]);
        let overused = longer.iter().filter(|verdict| **verdict == DelayTrend::Overuse).count();
        assert!((1..10).contains(&overused), "{longer:?}");
        assert_eq!(longer.last(), Some(&DelayTrend::Clear));
    }

    #[test]
    fn a_full_queue_that_loses_is_not_mistaken_for_a_longer_way() {
        let mut delay = Delay::default();
        verdicts(&mut delay, 0, [0; 100]);
        for round in 0..40 {
            verdicts(&mut delay, 100 + round * 3, [200_000; 3]);
            delay.on_lost();
        }
        let verdict = verdicts(&mut delay, 300, [200_000; 12]);
        assert!(verdict.contains(&DelayTrend::Overuse), "{verdict:?}");
    }

    #[test]
    fn another_clock_begins_anew() {
        let mut delay = Delay::default();
        verdicts(&mut delay, 0, [0; 100]);
        let other = verdicts(&mut delay, 100, [900_000_000; 100]);
        assert!(other.iter().all(|verdict| *verdict == DelayTrend::Clear), "{other:?}");
    }
}
