//! What was sent lately, by transport-wide sequence number.

/// Four seconds of a thousand packets a second; a report on anything older says nothing about the present.
const MAX_PACKETS: usize = 4_096;
/// A second of a call with little video; grows when that is too little. A power of two, as every size it takes.
const FIRST_PACKETS: usize = 128;
/// A packet this young may still be reported on, so the ring grows instead of forgetting it.
const KEEP_MICROS: u32 = 2_000_000;

/// A bounded memory of packets sent.
#[derive(Debug)]
pub(super) struct History {
    /// The packet `number` is at `number % len`; the length is a power of two.
    ring: Vec<Entry>,
    next: u64,
}

/// Eight bytes: 4,096 of them are 32 KiB.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Microseconds since the epoch, wrapped.
    sent: u32,
    bytes: u16,
    probe: u8,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Unreported,
    Lost,
    Received,
}

/// A packet that was reported on, in a way it was not before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported {
    pub(super) number: u64,
    /// Microseconds since the epoch.
    pub(super) sent: u64,
    pub(super) bytes: u64,
    /// The probe it was part of; 0 for none.
    pub(super) probe: u8,
    /// The packet had been reported lost, and was only late.
    pub(super) was_lost: bool,
}

impl History {
    pub(super) const fn new() -> Self {
        Self { ring: Vec::new(), next: 0 }
    }

    /// The number the next packet gets.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    /// The numbers that are known, on the wire: the first, and how many.
    pub(super) fn window(&self) -> (u16, u16) {
        let known = self.next.min(self.ring.len() as u64);
        #[allow(clippy::cast_possible_truncation, reason = "the number on the wire is the low 16 bits; the ring is shorter")]
        let window = ((self.next - known) as u16, known as u16);
        window
    }

    /// Remembers a packet.
    pub(super) fn push(&mut self, bytes: usize, now: u64, probe: u8) {
        #[allow(clippy::cast_possible_truncation, reason = "wraps after 71 minutes; entries live for seconds")]
        let sent = now as u32;
        self.grow_for(sent);
        let entry = Entry { sent, bytes: u16::try_from(bytes).unwrap_or(u16::MAX), probe, state: State::Unreported };
        let at = self.place(self.next);
        if let Some(slot) = self.ring.get_mut(at) {
            *slot = entry;
        }
        self.next += 1;
    }

    /// Looks up what a receiver says about a number. `None` for one that is unknown, or of which this was known.
    pub(super) fn report(&mut self, number: u16, received: bool, now: u64) -> Option<Reported> {
        #[allow(clippy::cast_possible_truncation, reason = "the number on the wire is the low 16 bits")]
        let behind = u64::from((self.next as u16).wrapping_sub(number));
        if behind == 0 || behind > self.ring.len() as u64 {
            return None;
        }
        let number = self.next.checked_sub(behind)?;
        let at = self.place(number);
        let entry = self.ring.get_mut(at)?;
        let before = entry.state;
        let after = if received { State::Received } else { State::Lost };
        if before == after || before == State::Received {
            return None;
        }
        entry.state = after;
        #[allow(clippy::cast_possible_truncation, reason = "the difference of wrapped times")]
        let age = (now as u32).wrapping_sub(entry.sent);
        Some(Reported {
            number,
            sent: now.saturating_sub(u64::from(age)),
            bytes: u64::from(entry.bytes),
            probe: entry.probe,
            was_lost: before == State::Lost,
        })
    }

    #[allow(clippy::cast_possible_truncation, reason = "masked to less than the length")]
    const fn place(&self, number: u64) -> usize {
        (number & (self.ring.len() as u64).wrapping_sub(1)) as usize
    }

    /// Doubles the ring if the packet to be forgotten next is too young for that.
    fn grow_for(&mut self, now: u32) {
        let len = self.ring.len();
        let is_full = self.next >= len as u64;
        let oldest_is_young = self.ring.get(self.place(self.next)).is_none_or(|oldest| now.wrapping_sub(oldest.sent) < KEEP_MICROS);
        if len >= MAX_PACKETS || !is_full || !oldest_is_young {
            return;
        }
        let old = std::mem::take(&mut self.ring);
        self.ring = vec![Entry::default(); (len * 2).max(FIRST_PACKETS)];
        for number in self.next.saturating_sub(len as u64)..self.next {
            let from = old.get(usize::try_from(number % len as u64).unwrap_or(0)).copied();
            let to = self.place(number);
            if let (Some(entry), Some(slot)) = (from, self.ring.get_mut(to)) {
                *slot = entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_reported_on_once() {
        let mut history = History::new();
        history.push(100, 5, 3);
        let first = history.report(0, true, 50).expect("known");
        assert_eq!((first.number, first.sent, first.bytes, first.probe, first.was_lost), (0, 5, 100, 3, false));
        assert!(history.report(0, true, 60).is_none(), "known already");
        assert!(history.report(0, false, 60).is_none(), "what arrived is not lost");
        assert!(history.report(1, true, 60).is_none(), "never sent");
    }

    #[test]
    fn a_lost_packet_may_turn_out_to_be_late() {
        let mut history = History::new();
        history.push(100, 0, 0);
        assert!(!history.report(0, false, 10).expect("known").was_lost);
        assert!(history.report(0, false, 10).is_none());
        assert!(history.report(0, true, 20).expect("known").was_lost);
    }

    #[test]
    fn numbers_and_times_go_on_over_their_wraps() {
        let mut history = History::new();
        for number in 0..200_000_u64 {
            // 200,000 packets of 50 ms are nearly three hours.
            let now = number * 50_000;
            history.push(100, now, 0);
            #[allow(clippy::cast_possible_truncation, reason = "as on the wire")]
            let reported = history.report(number as u16, true, now + 30_000).expect("known");
            assert_eq!((reported.number, reported.sent), (number, now));
        }
        assert_eq!(history.ring.len(), FIRST_PACKETS, "twenty packets a second need no more");
    }

    #[test]
    fn the_ring_grows_with_the_packet_rate_up_to_its_bound() {
        let mut history = History::new();
        for number in 0..20_000_u64 {
            history.push(100, number * 100, 0);
            // Whatever was within the kept time (or the bound) is still known.
            let back = number.min(3_000);
            #[allow(clippy::cast_possible_truncation, reason = "as on the wire")]
            let old = history.report((number - back) as u16, false, number * 100);
            assert!(old.is_none_or(|old| old.number == number - back));
        }
        assert_eq!(history.ring.len(), MAX_PACKETS);
        assert!(MAX_PACKETS * size_of::<Entry>() + 4_096 <= 64 * 1_024);
    }
}
