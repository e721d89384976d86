//! Sound sent more than once to who loses packets: redundancy (RFC 2198), packed once for all who need it.
//!
//! A sender hears of losses on its way to us only; what is lost behind us nobody else can do something about.

use crate::ortc::OPUS_PAYLOAD_TYPE;
use crate::packet::Packet;

/// What is lost as a row of more than this stays lost. Each costs the receiver as much as the sound itself.
pub(crate) const MAX_REPEATS: usize = 2;
/// The offset of a block has 14 bits (RFC 2198, section 3), a third of a second: what was before a pause is not repeated.
const MAX_OFFSET: u32 = (1 << 14) - 1;
/// The length of a block has 10 bits.
const MAX_BLOCK: usize = (1 << 10) - 1;
/// A packet with its redundancy passes every path, with all headers; speech takes a third of it.
const MAX_PACKED: usize = 1_100;

/// Packs the sound of one producer. There is one only while one of its receivers loses packets.
#[derive(Debug, Default)]
pub(crate) struct RedPacker {
    pub(crate) repeats: usize,
    /// The last packets, from the newest on.
    last: [Kept; MAX_REPEATS],
    packed: Vec<u8>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the packet; none if there is nothing to repeat.
    seq: Option<u64>,
    timestamp: u32,
    payload: Vec<u8>,
}

impl RedPacker {
    /// What comes next repeats nothing of what was before. Somebody may have been muted.
    pub(crate) fn interrupt(&mut self) {
        self.last.iter_mut().for_each(Kept::clear);
    }

    /// A packet with redundancy, if there is something right before it to be repeated.
    pub(crate) fn pack(&mut self, packet: &Packet<'_>) -> Option<&[u8]> {
        let blocks = self.blocks(packet);
        self.packed.clear();
        for kept in self.last.iter().take(blocks).rev() {
            let offset = packet.timestamp.wrapping_sub(kept.timestamp) & MAX_OFFSET;
            let len = u32::try_from(kept.payload.len() & MAX_BLOCK).unwrap_or(0);
            let header = u32::from(0x80 | OPUS_PAYLOAD_TYPE) << 24 | offset << 10 | len;
            self.packed.extend_from_slice(&header.to_be_bytes());
        }
        self.packed.push(OPUS_PAYLOAD_TYPE);
        self.last.iter().take(blocks).rev().for_each(|kept| self.packed.extend_from_slice(&kept.payload));
        self.packed.extend_from_slice(packet.payload);
        self.keep(packet);
        (blocks > 0).then_some(self.packed.as_slice())
    }

    /// How many of the last packets can be repeated in this one.
    fn blocks(&self, packet: &Packet<'_>) -> usize {
        let (mut nearer, mut len) = (0, packet.payload.len() + 1);
        let fits = |(back, kept): &(u64, &Kept)| {
            let offset = packet.timestamp.wrapping_sub(kept.timestamp);
            let in_order = nearer < offset && offset <= MAX_OFFSET;
            (nearer, len) = (offset, len + kept.payload.len() + 4);
            kept.seq.and_then(|seq| seq.checked_add(*back)) == Some(packet.seq) && in_order && len <= MAX_PACKED
        };
        // Padding has nothing in it.
        if packet.payload.is_empty() { 0 } else { (1..).zip(&self.last).take(self.repeats).take_while(fits).count() }
    }

    fn keep(&mut self, packet: &Packet<'_>) {
        // What comes late is not what the next one follows.
        if self.last.iter().filter_map(|kept| kept.seq).any(|seq| seq >= packet.seq) {
            return;
        }
        self.last.rotate_right(1);
        let Some(newest) = self.last.first_mut() else { return };
        newest.clear();
        if !packet.payload.is_empty() && packet.payload.len() <= MAX_BLOCK {
            newest.seq = Some(packet.seq);
            newest.timestamp = packet.timestamp;
            newest.payload.extend_from_slice(packet.payload);
        }
    }
}

impl Kept {
    fn clear(&mut self) {
        self.seq = None;
        self.payload.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::red::Red;
    use proptest::prelude::*;

    fn packet(seq: u64, timestamp: u32, payload: &[u8]) -> Packet<'_> {
        Packet {
            payload_type: 111,
            repaired: false,
            late: false,
            seq,
            timestamp,
            marker: false,
            level: None,
            orientation: None,
            descriptor: None,
            payload,
            wire: payload.len(),
        }
    }

    fn packer(repeats: usize) -> RedPacker {
        RedPacker { repeats, ..RedPacker::default() }
    }

    /// The offsets and payloads of what is repeated.
    fn repeated(packed: Option<&[u8]>) -> Vec<(u16, Vec<u8>)> {
        let red = packed.map(|packed| Red::parse(packed).expect("can be taken apart"));
        red.iter().flat_map(|red| red.redundant().map(|block| (block.timestamp_offset, block.payload.to_vec()))).collect()
    }

    #[test]
    fn the_last_packets_are_repeated_and_the_oldest_comes_first() {
        let mut packer = packer(2);
        assert_eq!(packer.pack(&packet(5, 960, &[5])), None);
        assert_eq!(repeated(packer.pack(&packet(6, 1_920, &[6; 2]))), [(960, vec![5])]);
        let red = packer.pack(&packet(7, 2_400, &[7; 3])).expect("packed");
        assert_eq!(Red::parse(red).expect("parses").primary.payload, [7; 3]);
        assert_eq!(repeated(Some(red)), [(1_440, vec![5]), (480, vec![6; 2])]);
        packer.repeats = 1;
        assert_eq!(repeated(packer.pack(&packet(8, 3_360, &[8]))), [(960, vec![7; 3])]);
    }

    #[test]
    fn nothing_is_repeated_over_a_hole_a_pause_or_an_interruption() {
        let after = |seq: u64, timestamp: u32, interrupted: bool| {
            let mut packer = packer(2);
            packer.pack(&packet(5, u32::MAX, &[5]));
            if interrupted {
                packer.interrupt();
            }
            repeated(packer.pack(&packet(seq, timestamp, &[9]))).len()
        };
        assert_eq!(after(6, 959, false), 1);
        assert_eq!(after(7, 959, false), 0);
        assert_eq!(after(6, MAX_OFFSET - 1, false), 1);
        assert_eq!(after(6, MAX_OFFSET, false), 0);
        assert_eq!(after(6, u32::MAX, false), 0);
        assert_eq!(after(6, 959, true), 0);
    }

    #[test]
    fn what_comes_late_neither_repeats_nor_is_repeated() {
        let mut packer = packer(2);
        packer.pack(&packet(5, 960, &[5]));
        assert_eq!(packer.pack(&packet(7, 2_880, &[7])), None);
        assert_eq!(packer.pack(&packet(6, 1_920, &[6])), None);
        assert_eq!(repeated(packer.pack(&packet(8, 3_840, &[8]))), [(960, vec![7])]);
    }

    #[test]
    fn padding_and_what_is_too_long_are_not_repeated_and_a_packet_stays_below_the_limit() {
        let mut packer = packer(2);
        packer.pack(&packet(5, 960, &[5; MAX_BLOCK]));
        assert_eq!(repeated(packer.pack(&packet(6, 1_920, &[6]))).len(), 1);
        packer.pack(&packet(7, 2_880, &[7; MAX_BLOCK + 1]));
        assert_eq!(packer.pack(&packet(8, 3_840, &[8])), None);
        assert_eq!(packer.pack(&packet(9, 4_800, &[])), None);
        assert_eq!(packer.pack(&packet(10, 5_760, &[10; 600])), None);
        assert_eq!(packer.pack(&packet(11, 6_720, &[11; 600])), None);
    }

    proptest! {
        #[test]
        fn what_is_packed_can_be_taken_apart_whatever_came_before(
            packets in prop::collection::vec((0u64..20, any::<u16>(), 0usize..1_200), 1..60),
            repeats in 0usize..4,
        ) {
            let mut packer = packer(repeats);
            for (seq, timestamp, len) in packets {
                let payload = vec![u8::try_from(seq).expect("small"); len];
                let timestamp = u32::from(timestamp);
                if let Some(packed) = packer.pack(&packet(seq, timestamp, &payload)) {
                    prop_assert!(packed.len() <= MAX_PACKED);
                    let red = Red::parse(packed).expect("parses");
                    prop_assert!(red.is_all(OPUS_PAYLOAD_TYPE));
                    prop_assert_eq!(red.primary.payload, &payload[..]);
                    for (back, block) in (1..).zip(red.redundant().rev()) {
                        prop_assert!(block.payload.iter().all(|byte| u64::from(*byte) + back == seq));
                    }
                }
            }
        }
    }
}
