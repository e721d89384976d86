//! Redundant sound (RFC 2198): the blocks of one packet.

/// Browsers send one block of redundancy, two at the most; a packet that claims more is not taken apart.
pub(crate) const MAX_REDUNDANT: usize = 8;

/// A packet, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Red<'a> {
    /// What the packet is for: the newest sound. For receivers without redundancy it is the whole payload.
    pub(crate) primary: Block<'a>,
    redundant: [Option<Block<'a>>; MAX_REDUNDANT],
}

/// A block of a packet: the sound of one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Block<'a> {
    /// The payload type, to be compared with that of the sound's codec: anything else is not it.
    pub(crate) payload_type: u8,
    /// How much earlier it was than the timestamp of the packet, in RTP ticks.
    pub(crate) timestamp_offset: u16,
    pub(crate) payload: &'a [u8],
}

impl<'a> Red<'a> {
    /// `None` if the headers are cut, promise more than there is, or are too many.
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut redundant = [None; MAX_REDUNDANT];
        let mut headers = payload;
        let mut count = 0;
        // F is set in every header but the last (section 3).
        while *headers.first()? & 0x80 != 0 {
            let [first, high, middle, low, rest @ ..] = headers else { return None };
            let timestamp_offset = u16::from_be_bytes([*high, *middle]) >> 2;
            let len = usize::from(u16::from_be_bytes([*middle & 0x03, *low]));
            *redundant.get_mut(count)? = Some((first & 0x7f, timestamp_offset, len));
            count += 1;
            headers = rest;
        }
        let (last, mut blocks) = headers.split_first()?;
        let mut taken = [None; MAX_REDUNDANT];
        for (slot, header) in taken.iter_mut().zip(redundant) {
            let Some((payload_type, timestamp_offset, len)) = header else { break };
            let (payload, rest) = blocks.split_at_checked(len)?;
            *slot = Some(Block { payload_type, timestamp_offset, payload });
            blocks = rest;
        }
        let primary = Block { payload_type: last & 0x7f, timestamp_offset: 0, payload: blocks };
        Some(Self { primary, redundant: taken })
    }

    /// The redundant blocks that hold something, from the oldest on.
    pub(crate) fn redundant(&self) -> impl DoubleEndedIterator<Item = Block<'a>> + '_ {
        self.redundant.iter().flatten().copied().filter(|block| !block.payload.is_empty())
    }

    /// Whether all of it is of one type.
    pub(crate) fn is_all(&self, payload_type: u8) -> bool {
        self.primary.payload_type == payload_type && self.redundant.iter().flatten().all(|block| block.payload_type == payload_type)
    }
}

/// Copies a packet that could be parsed, with another type for all its blocks.
pub(crate) fn relabel(payload: &[u8], payload_type: u8, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(payload);
    let mut at = 0;
    while let Some(first) = out.get_mut(at) {
        let follows = *first & 0x80;
        *first = follows | (payload_type & 0x7f);
        if follows == 0 {
            break;
        }
        at += 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPUS: u8 = 111;

    /// A packet of blocks: type, offset, payload; the last is the primary.
    fn written(redundant: &[(u8, u16, Vec<u8>)], primary: &[u8]) -> Vec<u8> {
        let mut packet = Vec::new();
        for (payload_type, offset, payload) in redundant {
            let len = u32::try_from(payload.len()).expect("short");
            let header = u32::from(payload_type | 0x80) << 24 | u32::from(*offset) << 10 | len;
            packet.extend(header.to_be_bytes());
        }
        packet.push(OPUS);
        redundant.iter().for_each(|(_, _, payload)| packet.extend(payload));
        packet.extend(primary);
        packet
    }

    #[test]
    fn the_primary_block_is_what_follows_the_redundant_ones() {
        let packet = written(&[(OPUS, 1_920, vec![1, 2]), (OPUS, 960, vec![3])], &[4, 5, 6]);
        let red = Red::parse(&packet).expect("parses");
        assert_eq!(red.primary, Block { payload_type: OPUS, timestamp_offset: 0, payload: &[4, 5, 6] });
        let offsets: Vec<_> = red.redundant().map(|block| block.timestamp_offset).collect();
        assert_eq!(offsets, [1_920, 960]);
        assert_eq!(Red::parse(&[OPUS, 9]).expect("without redundancy").primary.payload, [9]);
    }

    #[test]
    fn one_block_of_another_type_is_seen() {
        let packet = |redundant: u8| written(&[(redundant, 960, vec![])], &[4]);
        assert!(Red::parse(&packet(OPUS)).expect("parses").is_all(OPUS));
        assert!(!Red::parse(&packet(110)).expect("parses").is_all(OPUS));
        assert!(!Red::parse(&packet(OPUS)).expect("parses").is_all(110));
    }

    #[test]
    fn what_is_cut_promises_too_much_or_is_too_many_is_not_taken_apart() {
        let packet = written(&[(OPUS, 960, vec![1, 2, 3])], &[]);
        assert!(Red::parse(&packet).is_some(), "an empty primary block");
        for len in 0..packet.len() {
            assert!(Red::parse(&packet[..len]).is_none());
        }
        let many = vec![(OPUS, 960, vec![1]); MAX_REDUNDANT + 1];
        assert!(Red::parse(&written(&many[1..], &[2])).is_some());
        assert!(Red::parse(&written(&many, &[2])).is_none());
    }

    proptest! {
        #[test]
        fn blocks_come_out_as_they_went_in(
            blocks in prop::collection::vec((0u8..128, 0u16..1 << 14, prop::collection::vec(any::<u8>(), 1..20)), 0..MAX_REDUNDANT),
            primary in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let packet = written(&blocks, &primary);
            let red = Red::parse(&packet).expect("parses");
            prop_assert_eq!(red.primary.payload, &primary[..]);
            let read: Vec<_> = red.redundant().map(|b| (b.payload_type, b.timestamp_offset, b.payload.to_vec())).collect();
            prop_assert_eq!(&read, &blocks);
            let mut relabelled = vec![7; 3];
            relabel(&packet, 45, &mut relabelled);
            let red = Red::parse(&relabelled).expect("parses");
            prop_assert!(red.is_all(45));
            let read: Vec<_> = red.redundant().map(|b| (b.timestamp_offset, b.payload.to_vec())).collect();
            prop_assert_eq!(read, blocks.into_iter().map(|(_, offset, payload)| (offset, payload)).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(red) = Red::parse(&bytes) {
                let redundant: usize = red.redundant().map(|block| block.payload.len()).sum();
                prop_assert!(redundant + red.primary.payload.len() < bytes.len());
            }
        }
    }
}
