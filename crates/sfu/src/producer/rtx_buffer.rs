//! What was received of a stream in the last seconds, stored once for all who may ask for it again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Who has waited longer for a packet has asked for a key frame since.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(2);
/// Payloads lie in blocks of this size, none across two: a block can be taken or freed without moving another.
/// A last packet that does not fit wastes 4 % of it on average.
const BLOCK_BYTES: usize = 16 * 1_024;
/// 1 MiB: two seconds of 4 Mbit/s, more than the largest layer of a camera (2.5 Mbit/s, 625 kB). What is faster
/// is kept for a shorter time.
const MAX_BLOCKS: usize = 64;
/// What comes out of a datagram is smaller; a jumbo one is not worth an eighth of a block.
const MAX_PACKET: usize = 2_048;
/// 2.5 Mbit/s in full packets are 570 in two seconds; small packets of several temporal layers are up to three times that.
const MAX_ENTRIES: usize = 2_048;
/// Two seconds of a small layer; a power of two, doubled as needed.
const FIRST_ENTRIES: usize = 128;

/// A packet, without what is different for each receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) orientation: Option<u8>,
    /// The AV1 dependency descriptor, up to 255 bytes.
    pub(crate) descriptor: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
}

/// The last packets of one stream.
#[derive(Debug)]
pub(crate) struct RtxBuffer {
    /// Times are kept as milliseconds since then.
    epoch: Instant,
    /// Where packets lie, by sequence number; the length of the list is a power of two.
    entries: Vec<Entry>,
    /// The payloads, from old to new; the last block is being filled.
    blocks: VecDeque<Block>,
    /// The number of the first of `blocks`: they are counted through.
    first_block: u32,
}

#[derive(Debug)]
struct Block {
    bytes: Vec<u8>,
    newest: u32,
}

/// Where a packet lies. 32 bytes: there are many.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    seq: u64,
    stored_at: u32,
    block: u32,
    timestamp: u32,
    offset: u16,
    payload_len: u16,
    descriptor_len: Option<u8>,
    orientation: Option<u8>,
    marker: bool,
    used: bool,
}

impl RtxBuffer {
    /// Takes no memory until something is put in.
    pub(crate) fn new(now: Instant) -> Self {
        Self { epoch: now, entries: Vec::new(), blocks: VecDeque::new(), first_block: 0 }
    }

    /// Stores a packet under its extended sequence number; one that is there already stays.
    pub(crate) fn put(&mut self, seq: u64, now: Instant, packet: &Stored<'_>) {
        let now = self.millis(now);
        let descriptor_len = match packet.descriptor.map(|descriptor| u8::try_from(descriptor.len())).transpose() {
            Ok(len) => len,
            Err(_) => return,
        };
        let len = packet.payload.len() + usize::from(descriptor_len.unwrap_or(0));
        let Ok(payload_len) = u16::try_from(packet.payload.len()) else { return };
        if len > MAX_PACKET || !self.make_room(seq, now) {
            return;
        }
        let number = self.block_for(len, now);
        let Some(block) = self.blocks.back_mut() else { return };
        let Ok(offset) = u16::try_from(block.bytes.len()) else { return };
        block.bytes.extend_from_slice(packet.descriptor.unwrap_or_default());
        block.bytes.extend_from_slice(packet.payload);
        block.newest = now;
        let &Stored { timestamp, marker, orientation, .. } = packet;
        let entry =
            Entry { seq, stored_at: now, block: number, timestamp, offset, payload_len, descriptor_len, orientation, marker, used: true };
        if let Some(slot) = slot_mut(&mut self.entries, seq) {
            *slot = entry;
        }
    }

    /// A packet that is not too old.
    pub(crate) fn get(&self, seq: u64, now: Instant) -> Option<Stored<'_>> {
        let entry = self.entries.get(index(seq, self.entries.len()))?;
        if !entry.used || entry.seq != seq || !is_fresh(entry.stored_at, self.millis(now)) {
            return None;
        }
        // The distance to a block that was overwritten is negative: beyond any length.
        let block = self.blocks.get(usize::try_from(entry.block.wrapping_sub(self.first_block)).ok()?)?;
        let rest = block.bytes.get(usize::from(entry.offset)..)?;
        let (descriptor, rest) = rest.split_at_checked(usize::from(entry.descriptor_len.unwrap_or(0)))?;
        Some(Stored {
            timestamp: entry.timestamp,
            marker: entry.marker,
            orientation: entry.orientation,
            descriptor: entry.descriptor_len.map(|_| descriptor),
            payload: rest.get(..usize::from(entry.payload_len))?,
        })
    }

    /// Forgets everything: the numbers that come next are another encoder's.
    pub(crate) fn clear(&mut self) {
        self.entries.fill(Entry::default());
        self.blocks.iter_mut().for_each(|block| block.bytes.clear());
    }

    /// Gives the memory back when nothing has come for longer than anything is kept; to be called now and then.
    pub(crate) fn trim(&mut self, now: Instant) {
        let now = self.millis(now);
        if self.blocks.back().is_some_and(|block| !is_fresh(block.newest, now)) {
            self.entries = Vec::new();
            self.blocks = VecDeque::new();
        }
    }

    /// The memory it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.blocks.iter().map(|block| block.bytes.capacity()).sum::<usize>()
    }

    /// Whether the slot of a number can be taken; grows while it would cost a packet that may still be asked for.
    fn make_room(&mut self, seq: u64, now: u32) -> bool {
        if self.entries.is_empty() {
            self.entries.resize(FIRST_ENTRIES, Entry::default());
        }
        loop {
            let len = self.entries.len();
            let Some(entry) = self.entries.get(index(seq, len)) else { return false };
            if !entry.used || !is_fresh(entry.stored_at, now) {
                return true;
            }
            if entry.seq >= seq {
                return false;
            }
            if len >= MAX_ENTRIES {
                return true;
            }
            let mut larger = vec![Entry::default(); len * 2];
            for entry in self.entries.iter().filter(|entry| entry.used) {
                if let Some(slot) = slot_mut(&mut larger, entry.seq) {
                    *slot = *entry;
                }
            }
            self.entries = larger;
        }
    }

    /// The number of the block, the last one, that has room for so much.
    fn block_for(&mut self, len: usize, now: u32) -> u32 {
        if self.blocks.back().is_none_or(|block| block.bytes.len() + len > BLOCK_BYTES) {
            let old = self.blocks.iter().take_while(|block| !is_fresh(block.newest, now)).count();
            // After a fall of the bitrate the surplus goes, one at a time; a steady one never has half of them old.
            if self.blocks.len() > 2 && old > self.blocks.len() / 2 {
                self.pop_block();
            }
            let reused = if old > 0 || self.blocks.len() >= MAX_BLOCKS { self.pop_block() } else { None };
            let mut bytes = reused.map_or_else(|| Vec::with_capacity(BLOCK_BYTES), |block| block.bytes);
            bytes.clear();
            self.blocks.push_back(Block { bytes, newest: now });
        }
        let last = u32::try_from(self.blocks.len().saturating_sub(1)).unwrap_or(0);
        self.first_block.wrapping_add(last)
    }

    fn pop_block(&mut self) -> Option<Block> {
        self.first_block = self.first_block.wrapping_add(1);
        self.blocks.pop_front()
    }

    /// Wraps after 49 days; only differences of seconds matter.
    #[allow(clippy::cast_possible_truncation, reason = "wraps on purpose")]
    fn millis(&self, now: Instant) -> u32 {
        now.saturating_duration_since(self.epoch).as_millis() as u32
    }
}

fn is_fresh(stored_at: u32, now: u32) -> bool {
    // Up to half the range "ahead" is a clock read a moment earlier.
    let age = now.wrapping_sub(stored_at);
    Duration::from_millis(age.into()) <= MAX_AGE || age > u32::MAX / 2
}

/// `len` is a power of two or 0.
#[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
fn index(seq: u64, len: usize) -> usize {
    seq as usize & len.wrapping_sub(1)
}

fn slot_mut(entries: &mut [Entry], seq: u64) -> Option<&mut Entry> {
    let len = entries.len();
    entries.get_mut(index(seq, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = MAX_BLOCKS * BLOCK_BYTES + MAX_ENTRIES * size_of::<Entry>();

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn packet(payload: &[u8]) -> Stored<'_> {
        Stored { timestamp: 7, marker: true, orientation: Some(2), descriptor: None, payload }
    }

    #[test]
    fn a_packet_comes_back_as_it_was() {
        let now = start();
        let mut store = RtxBuffer::new(now);
        let first = Stored { descriptor: Some(&[1, 2, 3]), ..packet(&[4, 5]) };
        let second = Stored { marker: false, orientation: None, ..packet(&[]) };
        let third = Stored { descriptor: Some(&[]), ..packet(&[6]) };
        for (seq, packet) in [(65_535, first), (65_536, second), (65_538, third)] {
            store.put(seq, now, &packet);
        }
        assert_eq!(store.get(65_535, now), Some(first));
        assert_eq!(store.get(65_536, now), Some(second));
        assert_eq!(store.get(65_538, now), Some(third));
        assert_eq!(store.get(65_537, now), None, "never came");
        assert_eq!(store.get(65_538 - 65_536, now), None, "another round of the counter");
    }

    #[test]
    fn what_is_too_old_is_refused() {
        let now = start();
        let mut store = RtxBuffer::new(now);
        store.put(1, now, &packet(&[1]));
        assert!(store.get(1, now + MAX_AGE).is_some());
        assert!(store.get(1, now + MAX_AGE + Duration::from_millis(1)).is_none());
    }

    #[test]
    fn two_seconds_of_the_largest_layer_are_kept_and_memory_stays() {
        let mut now = start();
        let mut store = RtxBuffer::new(now);
        let payload = [9; 1_100];
        let mut settled = 0;
        for seq in 0..10_000u64 {
            // 2.5 Mbit/s.
            now += Duration::from_micros(3_520);
            store.put(seq, now, &packet(&payload));
            if let Some(old) = seq.checked_sub(560) {
                assert_eq!(store.get(old, now), Some(packet(&payload)), "{old}");
            }
            if seq == 3_000 {
                settled = store.bytes();
            }
        }
        assert_eq!(store.bytes(), settled, "no more is taken later");
        assert!(settled < 800_000, "{settled}");
    }

    #[test]
    fn a_stream_faster_than_the_bound_loses_the_oldest() {
        let now = start();
        let mut store = RtxBuffer::new(now);
        (0..3_000).for_each(|seq| store.put(seq, now, &packet(&[1; 1_200])));
        assert!(store.bytes() <= MAX_BYTES);
        assert!(store.get(2_999, now).is_some() && store.get(2_300, now).is_some());
        assert!(store.get(0, now).is_none() && store.get(1_500, now).is_none());
    }

    #[test]
    fn memory_is_small_for_a_small_layer_and_given_back_by_a_silent_one() {
        let mut now = start();
        let mut store = RtxBuffer::new(now);
        assert_eq!(store.bytes(), 0);
        for seq in 0..1_000 {
            // 150 kbit/s.
            now += Duration::from_millis(32);
            store.put(seq, now, &packet(&[1; 600]));
        }
        assert!(store.bytes() < 80_000, "{}", store.bytes());
        store.trim(now + MAX_AGE);
        assert!(store.get(999, now).is_some(), "nothing is taken from one in use");
        store.trim(now + MAX_AGE * 2);
        assert_eq!(store.bytes(), 0);
        store.put(1_000, now + MAX_AGE * 2, &packet(&[1]));
        assert!(store.get(1_000, now + MAX_AGE * 2).is_some());
    }

    #[test]
    fn surplus_memory_goes_after_a_fall_of_the_bitrate() {
        let mut now = start();
        let mut store = RtxBuffer::new(now);
        let mut seq = 0;
        let mut run = |seconds: u64, gap: u64, now: &mut Instant, store: &mut RtxBuffer| {
            for _ in 0..seconds * 1_000_000 / gap {
                *now += Duration::from_micros(gap);
                seq += 1;
                store.put(seq, *now, &packet(&[1; 1_100]));
            }
            store.bytes()
        };
        let high = run(5, 3_500, &mut now, &mut store);
        let low = run(60, 60_000, &mut now, &mut store);
        assert!(low < high / 3, "{low} of {high}");
    }

    #[test]
    fn another_encoder_begins_anew() {
        let now = start();
        let mut store = RtxBuffer::new(now);
        store.put(70_000, now, &packet(&[1]));
        store.clear();
        assert!(store.get(70_000, now).is_none());
        store.put(70_000 - 65_536, now, &packet(&[2]));
        assert_eq!(store.get(70_000 - 65_536, now).map(|stored| stored.payload), Some(&[2][..]));
    }

    proptest::proptest! {
        /// Whatever comes in whatever order: bounds hold, and what is handed out is what was stored under that number.
        #[test]
        fn bounds_hold_and_nothing_is_mixed_up(
            steps in proptest::collection::vec((0u64..6_000, 0usize..2_500, 0usize..300, 0u64..40), 1..400),
        ) {
            let mut now = start();
            let mut store = RtxBuffer::new(now);
            for (seq, len, descriptor, later) in steps {
                now += Duration::from_millis(later);
                let byte = |of: u64| (of % 251) as u8;
                let (payload, descriptor) = (vec![byte(seq); len], vec![byte(seq + 1); descriptor]);
                store.put(seq, now, &Stored { descriptor: Some(&descriptor), ..packet(&payload) });
                proptest::prop_assert!(store.bytes() <= MAX_BYTES);
                for seq in [seq, seq / 2, seq + 1] {
                    if let Some(stored) = store.get(seq, now) {
                        proptest::prop_assert!(stored.payload.iter().all(|other| *other == byte(seq)));
                        proptest::prop_assert!(stored.descriptor.into_iter().flatten().all(|other| *other == byte(seq + 1)));
                    }
                }
            }
        }
    }
}
