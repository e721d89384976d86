//! VP8 payloads: the descriptor of RFC 7741 with 15-bit picture numbers, and the header of a frame.

use super::{Payload, fill, marked};
use crate::marker::Marker;

/// What counts up from frame to frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    picture: u16,
    base: u8,
    key: u8,
}

impl Counters {
    pub(super) const fn begin_at(picture: u16) -> Self {
        Self { picture: picture & 0x7fff, base: (picture >> 3) as u8, key: 0 }
    }
}

/// The packets of one frame.
pub(super) fn pack(counters: &mut Counters, temporal: u8, stamp: Marker, bytes: usize, total: usize) -> Vec<Payload> {
    if temporal == 0 {
        counters.base = counters.base.wrapping_add(1);
    }
    if stamp.key {
        counters.key = (counters.key + 1) & 0x1f;
    }
    let packets = (0..total)
        .map(|index| {
            let mut payload = descriptor(*counters, temporal, index == 0);
            if index == 0 {
                frame_header(&mut payload, stamp.key);
            }
            fill(&mut payload, marked(stamp, index, total), bytes, total);
            Payload { bytes: payload, last: index + 1 == total }
        })
        .collect();
    counters.picture = (counters.picture + 1) & 0x7fff;
    packets
}

fn descriptor(counters: Counters, temporal: u8, begins: bool) -> Vec<u8> {
    let extended = 0x80;
    // The highest temporal layer is never referred to.
    let disposable = if temporal == 2 { 0x20 } else { 0 };
    let start = if begins { 0x10 } else { 0 };
    let [high, low] = (counters.picture | 0x8000).to_be_bytes();
    // Present: picture number, TL0PICIDX, TID, KEYIDX.
    vec![extended | disposable | start, 0xf0, high, low, counters.base, temporal << 6 | counters.key]
}

/// The uncompressed beginning of a frame (RFC 6386, section 9.1): what tells a key frame.
fn frame_header(payload: &mut Vec<u8>, key: bool) {
    payload.extend_from_slice(&[0x10 | u8::from(!key), 0, 0]);
    if key {
        let [width, height] = [640u16, 360].map(u16::to_le_bytes);
        payload.extend_from_slice(&[0x9d, 0x01, 0x2a]);
        payload.extend_from_slice(&width);
        payload.extend_from_slice(&height);
    }
}

/// The 15-bit picture number of a VP8 payload, if it has one.
#[must_use]
pub fn read_picture_id(payload: &[u8]) -> Option<u16> {
    match payload {
        [first, second, high, low, ..] if first & 0x80 != 0 && second & 0x80 != 0 && high & 0x80 != 0 => {
            Some(u16::from_be_bytes([high & 0x7f, *low]))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_packet_of_a_key_frame_says_so() {
        let mut counters = Counters::begin_at(100);
        let stamp = Marker { key: true, ..Marker::default() };
        let packets = pack(&mut counters, 0, stamp, 2_000, 2);
        let first = &packets[0].bytes;
        assert_eq!(first[0], 0x90, "extension and start of partition 0");
        assert_eq!(first[6] & 1, 0, "a key frame has an even first byte");
        assert_eq!(&first[9..12], &[0x9d, 0x01, 0x2a], "start code");
        assert_eq!(packets[1].bytes[0], 0x80);
        assert_eq!((packets[0].last, packets[1].last), (false, true));
    }

    #[test]
    fn picture_numbers_count_frames_and_wrap() {
        let mut counters = Counters::begin_at(0x7fff);
        let first = pack(&mut counters, 0, Marker::default(), 2_000, 2);
        let second = pack(&mut counters, 0, Marker::default(), 500, 1);
        assert_eq!(first.iter().map(|p| read_picture_id(&p.bytes)).collect::<Vec<_>>(), [Some(0x7fff), Some(0x7fff)]);
        assert_eq!(read_picture_id(&second[0].bytes), Some(0));
    }
}
