//! What can be seen in a payload without decoding it: where key frames begin, and VP8's frame counters.

use crate::ortc::Codec;

/// Whether a packet begins a key frame: a decoder can start here.
pub(crate) fn begins_key_frame(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => vp8_begins_key_frame(payload),
        Codec::Vp9 => vp9_begins_key_frame(payload),
        Codec::H264 => h264_begins_key_frame(payload),
    }
}

/// Where the frame counters of a VP8 payload descriptor are (RFC 7741, section 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Vp8Descriptor {
    /// `PictureID`, of 7 or 15 bits.
    pub(crate) picture_id: Option<u16>,
    /// Whether it has 15 bits.
    pub(crate) long_picture_id: bool,
    /// `TL0PICIDX`: counts frames of the base temporal layer.
    pub(crate) tl0_index: Option<u8>,
    /// The length of the descriptor.
    len: usize,
}

impl Vp8Descriptor {
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut this = Self { len: 1, ..Self::default() };
        if first & 0x80 == 0 {
            return Some(this);
        }
        let extended = this.take(payload)?;
        if extended & 0x80 != 0 {
            let high = this.take(payload)?;
            this.long_picture_id = high & 0x80 != 0;
            this.picture_id = Some(match this.long_picture_id {
                true => u16::from_be_bytes([high & 0x7f, this.take(payload)?]),
                false => u16::from(high),
            });
        }
        if extended & 0x40 != 0 {
            this.tl0_index = Some(this.take(payload)?);
        }
        if extended & 0x30 != 0 {
            this.take(payload)?;
        }
        Some(this)
    }

    fn take(&mut self, payload: &[u8]) -> Option<u8> {
        let byte = payload.get(self.len).copied();
        self.len += 1;
        byte
    }
}

/// S bit set, partition 0, and the P bit of the frame header clear (RFC 7741, sections 4.2 and 4.3).
fn vp8_begins_key_frame(payload: &[u8]) -> bool {
    let (Some(first), Some(descriptor)) = (payload.first(), Vp8Descriptor::parse(payload)) else { return false };
    let begins_frame = first & 0x10 != 0 && first & 0x07 == 0;
    begins_frame && payload.get(descriptor.len).is_some_and(|header| header & 0x01 == 0)
}

/// B bit set, P bit clear, and the lowest spatial layer (RFC 9628, section 4.2).
fn vp9_begins_key_frame(payload: &[u8]) -> bool {
    let Some(first) = payload.first() else { return false };
    let (picture_id, inter, layered, begins) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    if inter || !begins {
        return false;
    }
    if !layered {
        return true;
    }
    let mut at = 1;
    if picture_id {
        at += if payload.get(at).is_some_and(|byte| byte & 0x80 != 0) { 2 } else { 1 };
    }
    payload.get(at).is_some_and(|layers| (layers >> 1) & 0x07 == 0)
}

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// An SPS or an IDR slice, alone, in an aggregate, or as the first fragment (RFC 6184, section 5).
fn h264_begins_key_frame(payload: &[u8]) -> bool {
    let is_key = |nal: u8| matches!(nal & 0x1f, NAL_IDR | NAL_SPS);
    let Some(first) = payload.first() else { return false };
    match first & 0x1f {
        NAL_STAP_A => {
            let mut rest = payload.get(1..).unwrap_or_default();
            while let [high, low, nal, ..] = rest {
                if is_key(*nal) {
                    return true;
                }
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(2 + len.max(1)..).unwrap_or_default();
            }
            false
        }
        NAL_FU_A => payload.get(1).is_some_and(|header| header & 0x80 != 0 && is_key(*header)),
        _ => is_key(*first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vp8_key_frame_begins_with_the_start_bit_and_a_clear_p_bit() {
        assert!(begins_key_frame(Codec::Vp8, &[0x10, 0x00, 0, 0]));
        assert!(!begins_key_frame(Codec::Vp8, &[0x10, 0x01, 0, 0]), "an inter frame");
        assert!(!begins_key_frame(Codec::Vp8, &[0x00, 0x00, 0, 0]), "a later packet of the frame");
        assert!(begins_key_frame(Codec::Vp8, &[0x90, 0xe0, 0x81, 0x02, 7, 0x20, 0x00]), "with every counter");
    }

    #[test]
    fn vp8_counters_are_read_in_both_lengths() {
        let long = Vp8Descriptor::parse(&[0x90, 0xe0, 0x81, 0x02, 7, 0x20, 0x00]).expect("parses");
        assert_eq!((long.picture_id, long.long_picture_id, long.tl0_index), (Some(0x102), true, Some(7)));
        let short = Vp8Descriptor::parse(&[0x90, 0x80, 0x11, 0x00]).expect("parses");
        assert_eq!((short.picture_id, short.long_picture_id, short.tl0_index), (Some(0x11), false, None));
    }

    #[test]
    fn a_vp9_key_frame_begins_at_the_lowest_layer_of_an_independent_picture() {
        assert!(begins_key_frame(Codec::Vp9, &[0x88, 0x01, 0]));
        assert!(!begins_key_frame(Codec::Vp9, &[0xc8, 0x01, 0]), "predicted from another picture");
        assert!(!begins_key_frame(Codec::Vp9, &[0x80, 0x01, 0]), "a later packet of the frame");
        assert!(begins_key_frame(Codec::Vp9, &[0xa8, 0x81, 0x01, 0x00]));
        assert!(!begins_key_frame(Codec::Vp9, &[0xa8, 0x81, 0x01, 0x02]), "the second spatial layer");
    }

    #[test]
    fn an_h264_key_frame_begins_in_every_packetization() {
        assert!(begins_key_frame(Codec::H264, &[0x67, 0x42]));
        assert!(begins_key_frame(Codec::H264, &[0x65, 0x88]));
        assert!(!begins_key_frame(Codec::H264, &[0x41, 0x9a]));
        assert!(begins_key_frame(Codec::H264, &[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(begins_key_frame(Codec::H264, &[0x78, 0, 1, 0x68, 0, 2, 0x65, 0x88]));
        assert!(!begins_key_frame(Codec::H264, &[0x78, 0, 2, 0x41, 0x9a]));
        assert!(begins_key_frame(Codec::H264, &[0x7c, 0x85]));
        assert!(!begins_key_frame(Codec::H264, &[0x7c, 0x05]), "a later fragment");
    }

    proptest::proptest! {
        #[test]
        fn no_payload_breaks_the_readers(payload in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
            for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264] {
                begins_key_frame(codec, &payload);
            }
        }
    }
}
