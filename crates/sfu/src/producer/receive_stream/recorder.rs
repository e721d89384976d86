//! When the packets of a transport arrived, for transport-wide congestion control feedback.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// More than a second of the fastest sender; what jumps further is a liar or begins anew.
pub(super) const MAX_NUMBERS: usize = 8_192;
/// A jump further than this is no loss of an honest sender: that of a second at 10 Mbit/s. What it passes over is recorded
/// number by number.
pub(super) const MAX_GAP: usize = 1_000;
/// Packets in a report: at 2 bytes of delta and 2 bits of status each, one RTCP packet of 1,200 bytes holds them whatever they are.
pub(super) const MAX_REPORT: usize = 500;
/// Losses before the first arrival of a report; a report needs an arrival for its reference time.
const MAX_LEADING: usize = 250;
/// Reported numbers still known, so that what comes late can be reported after all.
const KEPT: u64 = 128;
const INTERVAL: Duration = Duration::from_millis(100);
const BUSY_INTERVAL: Duration = Duration::from_millis(50);
/// Waiting packets beyond which reports come faster.
const BUSY: usize = 100;
/// Deltas are 16 bits of 250 us: two arrivals further apart (8.19 s) do not fit one report.
const MAX_DELTA_MICROS: u64 = 8_000_000;

/// What to tell the sender: the arrivals in us, from `base` on, since the recorder's first packet.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub base: u16,
    pub arrivals: &'a [Option<i64>],
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    origin: Option<Instant>,
    /// Number of the first of `arrivals`.
    start: u64,
    arrivals: VecDeque<Option<i64>>,
    /// First number of the next report.
    next: u64,
    /// When the first packet came that waits for a report.
    since: Option<Instant>,
    waiting: usize,
    report: Vec<Option<i64>>,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn record(&mut self, seq: u16, arrival: Instant) {
        let origin = *self.origin.get_or_insert(arrival);
        let micros = signed_micros(origin, arrival);
        if self.arrivals.is_empty() {
            self.begin(u64::from(seq));
        }
        let end = self.end();
        let seq = super::extend(Some(end.saturating_sub(1).max(self.start)), seq);
        if seq >= end {
            let gap = usize::try_from(seq - end).unwrap_or(usize::MAX);
            if gap > MAX_GAP || gap.saturating_add(self.arrivals.len()) >= MAX_NUMBERS {
                self.begin(seq);
            } else {
                self.arrivals.extend(std::iter::repeat_n(None, gap));
            }
            self.arrivals.push_back(Some(micros));
        } else if let Some(at) = seq.checked_sub(self.start) {
            let Some(slot @ None) = self.arrivals.get_mut(at as usize) else { return };
            *slot = Some(micros);
            if seq < self.next {
                // Told as lost: the next report begins here, and those after it are told again.
                self.next = seq;
            }
        } else if self.start - seq > MAX_NUMBERS as u64 {
            self.begin(seq);
            self.arrivals.push_back(Some(micros));
        } else {
            return;
        }
        self.waiting += 1;
        self.since.get_or_insert(arrival);
    }

    /// When the next report is due; none while nothing waits.
    pub(crate) fn due(&self) -> Option<Instant> {
        let since = self.since?;
        if self.end().saturating_sub(self.next) >= MAX_REPORT as u64 {
            return Some(since);
        }
        Some(since + if self.waiting > BUSY { BUSY_INTERVAL } else { INTERVAL })
    }

    /// The report that is due; to be called until there is none.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Report<'_>> {
        if self.due()? > now {
            return None;
        }
        let mut at = self.next.saturating_sub(self.start) as usize;
        let leading = self.arrivals.iter().skip(at).take_while(|arrival| arrival.is_none()).count();
        at += leading.saturating_sub(MAX_LEADING);
        self.report.clear();
        let mut last: Option<i64> = None;
        for arrival in self.arrivals.iter().skip(at).take(MAX_REPORT) {
            if let (Some(last), Some(arrival)) = (last, *arrival)
                && arrival.abs_diff(last) > MAX_DELTA_MICROS
            {
                break;
            }
            last = arrival.or(last);
            self.report.push(*arrival);
        }
        let base = self.start + at as u64;
        self.next = base + self.report.len() as u64;
        if self.next >= self.end() {
            self.since = None;
            self.waiting = 0;
        }
        let done = self.next.saturating_sub(self.start).saturating_sub(KEPT) as usize;
        self.arrivals.drain(..done.min(self.arrivals.len()));
        self.start += done as u64;
        Some(Report { base: base as u16, arrivals: &self.report })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.arrivals.len()
    }

    fn end(&self) -> u64 {
        self.start + self.arrivals.len() as u64
    }

    /// Forgets what is recorded.
    fn begin(&mut self, seq: u64) {
        self.arrivals.clear();
        self.start = seq;
        self.next = seq;
        self.since = None;
        self.waiting = 0;
    }
}

fn signed_micros(origin: Instant, at: Instant) -> i64 {
    let ahead = i64::try_from(at.saturating_duration_since(origin).as_micros()).unwrap_or(i64::MAX);
    let behind = i64::try_from(origin.saturating_duration_since(at).as_micros()).unwrap_or(i64::MAX);
    ahead.saturating_sub(behind)
}
