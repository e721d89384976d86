//! What was sent under which number, and which of it may be repeated.

use std::time::{Duration, Instant};

use crate::payload::NewCounters;

use crate::producer::rtx_buffer::MAX_AGE;

/// Two seconds (what [`crate::producer::rtx_buffer`] keeps) of a thousand packets each.
const MAX_ENTRIES: usize = 2_048;
/// Two seconds of a small layer; a power of two, doubled as needed.
const FIRST_ENTRIES: usize = 128;
/// A packet lost so often is lost on a path that repeating does not help.
const MAX_REPEATS: u8 = 8;
/// A wrong round-trip time must not keep back what is needed.
const MAX_WAIT: Duration = Duration::from_millis(500);
/// Repairs may use this share of what is sent: enough for a third lost with its repairs; a liar costs no more.
const REPAIR_PERCENT: u64 = 50;
/// What a packet has beside its payload: header, extensions, tag, UDP and IP. Without it, empty packets would be repeated for nothing.
const OVERHEAD: u64 = 80;
/// Saved up at most, and given at the start: 200 ms of 2.5 Mbit/s lost as a whole, or a key frame.
const BURST_BYTES: u64 = 64 * 1_024;

/// A packet as it was sent to one consumer; the rest of it is in the [`crate::producer::rtx_buffer::RtxBuffer`] of its layer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// Extended sequence number it was sent under.
    pub(crate) out_seq: u64,
    /// Extended sequence number it came with.
    pub(crate) in_seq: u64,
    /// The timestamp the packet left with.
    pub(crate) timestamp: u32,
    pub(crate) layer: u8,
    pub(crate) marker: bool,
    pub(crate) counters: Option<NewCounters>,
    /// The length of the payload.
    pub(crate) len: u16,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    sent: Sent,
    /// Milliseconds since the history's beginning, as are all times here.
    sent_at: u32,
    repeated_at: u32,
    repeats: u8,
}

/// The packets sent in the last seconds, by number.
#[derive(Debug)]
pub(super) struct History {
    epoch: Instant,
    /// The packets by sequence number; the length of the list is a power of two.
    entries: Vec<Option<Entry>>,
    highest: u64,
    /// Bytes that may be repeated.
    tokens: u64,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self { epoch: now, entries: vec![None; FIRST_ENTRIES], highest: 0, tokens: BURST_BYTES }
    }

    pub(super) fn remember(&mut self, sent: Sent, now: Instant) {
        let now = self.millis(now);
        self.tokens = self.tokens.saturating_add(cost(sent.len) * REPAIR_PERCENT / 100).min(BURST_BYTES);
        self.highest = self.highest.max(sent.out_seq);
        while self.entries.len() < MAX_ENTRIES && self.would_cost(sent.out_seq, now) {
            self.grow();
        }
        if let Some(slot) = self.slot_mut(sent.out_seq) {
            // A late packet is not worth a newer one.
            if slot.is_none_or(|entry| entry.sent.out_seq <= sent.out_seq) {
                *slot = Some(Entry { sent, sent_at: now, repeated_at: now, repeats: 0 });
            }
        }
    }

    pub(super) fn find(&mut self, seq: u16, now: Instant, rtt: Duration) -> Option<Sent> {
        let now = self.millis(now);
        let highest = self.highest;
        #[allow(clippy::cast_possible_truncation, reason = "sequence numbers wrap")]
        let behind = (highest as u16).wrapping_sub(seq);
        let seq = highest.checked_sub(behind.into())?;
        let tokens = self.tokens;
        let entry = self.slot_mut(seq)?.as_mut().filter(|entry| entry.sent.out_seq == seq)?;
        let wait = rtt.min(MAX_WAIT);
        let too_soon = entry.repeats > 0 && since(entry.repeated_at, now) < wait;
        if since(entry.sent_at, now) > MAX_AGE || entry.repeats >= MAX_REPEATS || too_soon {
            return None;
        }
        let left = tokens.checked_sub(cost(entry.sent.len))?;
        entry.repeats += 1;
        entry.repeated_at = now;
        let sent = entry.sent;
        self.tokens = left;
        Some(sent)
    }

    /// Whether the slot of a number holds another packet that may still be asked for.
    fn would_cost(&mut self, seq: u64, now: u32) -> bool {
        self.slot_mut(seq).is_some_and(|slot| slot.is_some_and(|entry| entry.sent.out_seq < seq && since(entry.sent_at, now) <= MAX_AGE))
    }

    fn grow(&mut self) {
        let larger = vec![None; self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, larger).into_iter().flatten() {
            if let Some(slot) = self.slot_mut(entry.sent.out_seq) {
                *slot = Some(entry);
            }
        }
    }

    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    fn slot_mut(&mut self, seq: u64) -> Option<&mut Option<Entry>> {
        let mask = self.entries.len().wrapping_sub(1);
        self.entries.get_mut(seq as usize & mask)
    }

    /// Wraps after 49 days; only differences of seconds matter.
    #[allow(clippy::cast_possible_truncation, reason = "wraps on purpose")]
    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }
}

/// Bytes a packet takes on the wire.
fn cost(payload: u16) -> u64 {
    u64::from(payload) + OVERHEAD
}

fn since(then: u32, now: u32) -> Duration {
    Duration::from_millis(now.wrapping_sub(then).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(50);

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn sent(out_seq: u64, len: u16) -> Sent {
        let counters = Some(NewCounters { picture_id: 3, tl0_index: 4 });
        Sent { out_seq, in_seq: out_seq + 1_000, timestamp: 5, layer: 1, marker: true, counters, len }
    }

    #[test]
    fn what_was_sent_is_found_over_the_wrap_and_nothing_else() {
        let now = start();
        let mut history = History::new(now);
        (65_500..65_600).filter(|seq| *seq != 65_550).for_each(|seq| history.remember(sent(seq, 100), now));
        assert_eq!(history.find(65_535, now, RTT), Some(sent(65_535, 100)));
        assert_eq!(history.find(3, now, RTT), Some(sent(65_539, 100)));
        assert_eq!(history.find(14, now, RTT), None, "left out");
        assert_eq!(history.find(64, now, RTT), None, "not sent yet");
        assert_eq!(history.find(65_499, now, RTT), None, "before the first");
        assert_eq!(history.find(65_535, now + MAX_AGE * 2, RTT), None, "too old");
    }

    #[test]
    fn nothing_is_repeated_twice_in_a_round_trip_nor_for_ever() {
        let mut now = start();
        let mut history = History::new(now);
        history.remember(sent(9, 100), now);
        assert!(history.find(9, now, RTT).is_some());
        assert!(history.find(9, now + RTT / 2, RTT).is_none());
        let times = (0..30).filter(|_| {
            now += RTT;
            history.find(9, now, RTT).is_some()
        });
        assert_eq!(times.count(), usize::from(MAX_REPEATS) - 1);
    }

    #[test]
    fn a_wrong_round_trip_time_does_not_keep_repairs_back() {
        let now = start();
        let mut history = History::new(now);
        history.remember(sent(9, 100), now);
        assert!(history.find(9, now, Duration::from_secs(60)).is_some());
        assert!(history.find(9, now + MAX_WAIT, Duration::from_secs(60)).is_some());
    }

    #[test]
    fn a_short_heavy_loss_is_repaired_whole() {
        let mut now = start();
        let mut history = History::new(now);
        for seq in 0..600 {
            now += Duration::from_micros(3_520);
            history.remember(sent(seq, 1_100), now);
        }
        // All of the last 200 ms.
        assert!((545..600).all(|seq| history.find(seq, now, RTT).is_some()));
    }

    #[test]
    fn two_seconds_are_kept_in_as_little_as_it_takes() {
        let mut now = start();
        let mut small = History::new(now);
        let mut large = History::new(now);
        for seq in 0..5_000 {
            now += Duration::from_millis(2);
            large.remember(sent(seq, 0), now);
            if seq % 16 == 0 {
                small.remember(sent(seq / 16, 0), now);
            }
        }
        assert_eq!(small.entries.len(), FIRST_ENTRIES);
        assert_eq!(large.entries.len(), 1_024);
        assert!(large.find(4_005, now, RTT).is_some());
        assert!(size_of::<Option<Entry>>() <= 48, "{}", size_of::<Option<Entry>>());
    }

    proptest::proptest! {
        /// Whatever is asked for: repairs stay within their share, and within a round trip nothing goes twice.
        #[test]
        fn repairs_stay_within_their_budget(
            steps in proptest::collection::vec((1u64..4, 0u16..1_300, 0u64..20, proptest::collection::vec(0u16..300, 0..30)), 1..300),
            first in 1u64..140_000,
        ) {
            let mut now = start();
            let mut history = History::new(now);
            let (mut seq, mut media, mut repeated) = (first, 0, 0);
            let mut last = std::collections::HashMap::new();
            for (by, len, later, asked) in steps {
                seq += by;
                now += Duration::from_millis(later);
                history.remember(sent(seq, len), now);
                media += cost(len);
                for back in asked {
                    let Some(found) = history.find((seq as u16).wrapping_sub(back), now, RTT) else { continue };
                    repeated += cost(found.len);
                    proptest::prop_assert_eq!(found.out_seq, seq - u64::from(back));
                    if let Some(before) = last.insert(found.out_seq, now) {
                        proptest::prop_assert!(now - before >= RTT);
                    }
                }
                proptest::prop_assert!(repeated <= BURST_BYTES + media * REPAIR_PERCENT / 100);
                proptest::prop_assert!(history.entries.len() <= MAX_ENTRIES);
            }
        }
    }
}
