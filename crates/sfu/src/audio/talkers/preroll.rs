//! The last packets of who is not heard, so that its first syllable is not lost when it is.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Two packets until a voice is known for one, and the soft beginning of a word before them.
pub(super) const KEPT: Duration = Duration::from_millis(120);
/// Longer than between two packets of somebody silent (DTX: 400 ms).
const FREED_AFTER: Duration = Duration::from_secs(2);
/// How many packets are kept: those of [`KEPT`] if each is of 10 ms, half as many of the usual 20 ms.
const MAX_PACKETS: usize = 12;
/// Opus at 64 kbit/s with as much redundancy is 320 bytes in 20 ms. Larger ones are music, which has no first syllable.
const MAX_PAYLOAD: usize = 400;

/// What is known of a held packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Held {
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Sound may come with and without redundancy.
    pub(crate) payload_type: u8,
    /// dBov and voice, as it claims.
    pub(crate) level: Option<(i8, bool)>,
    pub(crate) arrival: Instant,
}

/// The last packets of one producer, by sequence number.
#[derive(Debug, Default)]
pub(crate) struct Preroll {
    /// The packets, as few as were needed; each has its room for a payload.
    packets: VecDeque<(Held, Payload)>,
}

#[derive(Debug)]
struct Payload {
    len: usize,
    bytes: [u8; MAX_PAYLOAD],
}

impl Preroll {
    /// The held packets, in order.
    pub(crate) fn packets(&self) -> impl Iterator<Item = (Held, &[u8])> {
        self.packets.iter().map(|(held, payload)| (*held, payload.bytes.get(..payload.len).unwrap_or_default()))
    }

    pub(super) fn put(&mut self, held: Held, payload: &[u8]) {
        let mut bytes = [0; MAX_PAYLOAD];
        let Some(room) = bytes.get_mut(..payload.len()) else { return };
        room.copy_from_slice(payload);
        self.forget_old(held.arrival);
        if self.packets.len() >= MAX_PACKETS {
            self.packets.pop_front();
        }
        // Almost always the last.
        let place = self.packets.iter().rposition(|(other, _)| other.seq <= held.seq).map_or(0, |before| before + 1);
        let is_again = place.checked_sub(1).and_then(|before| self.packets.get(before)).is_some_and(|(other, _)| other.seq == held.seq);
        if !is_again {
            self.packets.insert(place, (held, Payload { len: payload.len(), bytes }));
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while self.packets.front().is_some_and(|(held, _)| now.saturating_duration_since(held.arrival) > KEPT) {
            self.packets.pop_front();
        }
    }

    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.packets.iter().all(|(held, _)| now.saturating_duration_since(held.arrival) > FREED_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(seq: u64, arrival: Instant) -> Held {
        Held { seq, timestamp: 0, marker: false, payload_type: 111, level: None, arrival }
    }

    fn seqs(preroll: &Preroll) -> Vec<u64> {
        preroll.packets().map(|(held, _)| held.seq).collect()
    }

    #[test]
    fn the_last_packets_are_kept_in_order_and_once() {
        let now = parlor_testkit::clock::Clock::new().now();
        let mut preroll = Preroll::default();
        for (at, seq) in [1, 2, 4, 3, 4, 5].into_iter().enumerate() {
            preroll.put(held(seq, now + Duration::from_millis(20) * at as u32), &[seq as u8; 3]);
        }
        assert_eq!(seqs(&preroll), [1, 2, 3, 4, 5]);
        assert!(preroll.packets().all(|(held, payload)| payload == [held.seq as u8; 3]));
        preroll.forget_old(now + Duration::from_millis(150));
        assert_eq!(seqs(&preroll), [3, 4, 5], "in the order of arrival what is old goes first");
    }

    #[test]
    fn a_packet_too_large_is_not_kept() {
        let now = parlor_testkit::clock::Clock::new().now();
        let mut preroll = Preroll::default();
        preroll.put(held(1, now), &[0; MAX_PAYLOAD + 1]);
        preroll.put(held(2, now), &[0; MAX_PAYLOAD]);
        assert_eq!(seqs(&preroll), [2]);
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_it_is_bounded_and_in_order(packets in proptest::collection::vec((0u64..40, 0u64..30, 0usize..500), 0..200)) {
            let mut now = parlor_testkit::clock::Clock::new().now();
            let mut preroll = Preroll::default();
            for (seq, later, len) in packets {
                now += Duration::from_millis(later);
                preroll.put(held(seq, now), &vec![0; len]);
                proptest::prop_assert!(preroll.packets.len() <= MAX_PACKETS);
                proptest::prop_assert!(seqs(&preroll).is_sorted_by(|a, b| a < b));
            }
        }
    }
}
