//! Frame counters: where they are in a payload or a descriptor, and how they are written anew.

/// The frame counters of one packet: VP8's and VP9's `PictureID` and `TL0PICIDX`, AV1's `frame_number`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counters {
    /// Whether ids of pictures that are left out must not be missing in what is sent.
    pub(crate) contiguous: bool,
    picture_id: u16,
    /// 7, 15 or 16; 0 if there is none.
    bits: u8,
    picture_at: u8,
    tl0_index: u8,
    /// 0 if there is none: what comes first is never a counter.
    tl0_at: u8,
}

/// The frame counters a packet leaves with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NewCounters {
    /// Meaningless where the packet has none.
    pub(crate) picture_id: u16,
    /// Meaningless where the packet has none.
    pub(crate) tl0_index: u8,
}

impl Counters {
    /// Reads a picture id of 7 bits, or of 15 behind a set M bit (RFC 7741, section 4.2; RFC 9628, section 4.2).
    pub(super) fn read_picture_id(payload: &[u8], at: usize) -> Option<Self> {
        let high = *payload.get(at)?;
        let picture_at = u8::try_from(at).ok()?;
        Some(match high & 0x80 != 0 {
            true => {
                let picture_id = u16::from_be_bytes([high & 0x7f, *payload.get(at + 1)?]);
                Self { picture_id, bits: 15, picture_at, ..Self::default() }
            }
            false => Self { picture_id: u16::from(high), bits: 7, picture_at, ..Self::default() },
        })
    }

    /// `frame_number` of a dependency descriptor: its second and third byte.
    pub(super) const fn frame_number(number: u16) -> Self {
        Self { contiguous: false, picture_id: number, bits: 16, picture_at: 1, tl0_index: 0, tl0_at: 0 }
    }

    pub(super) fn set_tl0(&mut self, index: u8, at: usize) {
        if let Ok(at) = u8::try_from(at) {
            (self.tl0_index, self.tl0_at) = (index, at);
        }
    }

    /// How long the picture id is.
    pub(super) const fn picture_bytes(&self) -> usize {
        if self.bits == 7 { 1 } else { 2 }
    }

    pub(crate) fn picture_id(&self) -> Option<u16> {
        (self.bits > 0).then_some(self.picture_id)
    }

    /// 7, 15 or 16; 0 if there is no picture id.
    pub(crate) const fn picture_bits(&self) -> u8 {
        self.bits
    }

    pub(crate) fn tl0_index(&self) -> Option<u8> {
        (self.tl0_at > 0).then_some(self.tl0_index)
    }

    /// Whether there is anything to write anew.
    pub(crate) const fn is_empty(&self) -> bool {
        self.bits == 0 && self.tl0_at == 0
    }

    /// Writes others in the place of these: into the payload they were read from (VP8, VP9), or into the
    /// dependency descriptor (AV1).
    pub(crate) fn write(&self, new: NewCounters, bytes: &mut [u8]) {
        let at = usize::from(self.picture_at);
        let [high, low] = new.picture_id.to_be_bytes();
        match (self.bits, bytes.get_mut(at..at + self.picture_bytes())) {
            (7, Some([only])) => *only = low & 0x7f,
            (15, Some([first, second])) => (*first, *second) = (high | 0x80, low),
            (16, Some([first, second])) => (*first, *second) = (high, low),
            _ => {}
        }
        if self.tl0_at > 0
            && let Some(byte) = bytes.get_mut(usize::from(self.tl0_at))
        {
            *byte = new.tl0_index;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{State, describe};
    use super::*;
    use crate::ortc::Codec;
    use proptest::prelude::*;

    fn rewritten(payload: &[u8], new: NewCounters) -> Vec<u8> {
        let counters = describe(Codec::Vp8, payload, false, None, &mut State::default()).counters;
        let mut bytes = payload.to_vec();
        counters.write(new, &mut bytes);
        bytes
    }

    #[test]
    fn counters_are_written_where_they_were_read() {
        let new = NewCounters { picture_id: 0x1234, tl0_index: 9 };
        assert_eq!(rewritten(&[0x90, 0xe0, 0x81, 0x02, 7, 0x20, 0], new), [0x90, 0xe0, 0x92, 0x34, 9, 0x20, 0]);
        assert_eq!(rewritten(&[0x90, 0x80, 0x11, 0x00], new), [0x90, 0x80, 0x34, 0x00]);
        assert_eq!(rewritten(&[0x90, 0x40, 0x11, 0x00], new), [0x90, 0x40, 9, 0x00]);
        assert_eq!(rewritten(&[0x10, 0, 0], new), [0x10, 0, 0], "where there is nothing, nothing is written");
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read_next(
            payload in prop::collection::vec(any::<u8>(), 0..12), picture_id in 0u16..0x80, tl0_index in any::<u8>(), vp8 in any::<bool>(),
        ) {
            let codec = if vp8 { Codec::Vp8 } else { Codec::Vp9 };
            let before = describe(codec, &payload, false, None, &mut State::default());
            let mut bytes = payload;
            before.counters.write(NewCounters { picture_id, tl0_index }, &mut bytes);
            let after = describe(codec, &bytes, false, None, &mut State::default());
            prop_assert_eq!(after.counters.picture_id(), before.counters.picture_id().map(|_| picture_id));
            prop_assert_eq!(after.counters.tl0_index(), before.counters.tl0_index().map(|_| tl0_index));
            let (mut same, mut expected) = (after, before);
            (same.counters, expected.counters) = (Counters::default(), Counters::default());
            prop_assert_eq!(same, expected, "nothing else changes");
        }
    }
}
