//! VP8 payloads: the descriptor of RFC 7741 with 15-bit picture numbers, and frames that show something.

mod clip;
mod coder;
mod tables;

use clip::Clip;

use super::{Payload, fill, marked};
use crate::marker::Marker;

/// What counts up from frame to frame, and what is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counters {
    clip: &'static Clip,
    picture: u16,
    base: u8,
    key: u8,
}

impl Counters {
    /// Begins at a picture number, which also picks the colours; the bitrate decides how large the picture is.
    pub(super) fn begin_at(picture: u16, bitrate: u32) -> Self {
        Self { clip: Clip::of(bitrate, picture.into()), picture: picture & 0x7fff, base: (picture >> 3) as u8, key: 0 }
    }
}

/// The packets of the frame that is so many after its key frame. All a decoder reads is in the first one; it looks for nothing behind
/// the end of the last partition, where the rest is.
pub(super) fn pack(counters: &mut Counters, since_key: u32, temporal: u8, stamp: Marker, bytes: usize, total: usize) -> Vec<Payload> {
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
                payload.extend_from_slice(counters.clip.frame(stamp.key, since_key));
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
        let mut counters = Counters::begin_at(100, 500_000);
        let stamp = Marker { key: true, ..Marker::default() };
        let packets = pack(&mut counters, 0, 0, stamp, 2_000, 2);
        let first = &packets[0].bytes;
        assert_eq!(first[0], 0x90, "extension and start of partition 0");
        assert_eq!(first[6] & 1, 0, "a key frame has an even first byte");
        assert_eq!(&first[9..12], &[0x9d, 0x01, 0x2a], "start code");
        assert_eq!(packets[1].bytes[0], 0x80);
        assert_eq!((packets[0].last, packets[1].last), (false, true));
    }

    #[test]
    fn picture_numbers_count_frames_and_wrap() {
        let mut counters = Counters::begin_at(0x7fff, 500_000);
        let first = pack(&mut counters, 1, 0, Marker::default(), 2_000, 2);
        let second = pack(&mut counters, 2, 0, Marker::default(), 500, 1);
        assert_eq!(first.iter().map(|p| read_picture_id(&p.bytes)).collect::<Vec<_>>(), [Some(0x7fff), Some(0x7fff)]);
        assert_eq!(read_picture_id(&second[0].bytes), Some(0));
    }

    /// The frame of some packets, as a receiver puts it together.
    fn frame_of(packets: &[Payload]) -> Vec<u8> {
        packets.iter().flat_map(|packet| packet.bytes[6..].to_vec()).collect()
    }

    #[test]
    fn another_decoder_sees_stripes_in_a_key_frame() {
        for (bitrate, width, height) in [(150_000, 160, 90), (500_000, 320, 180), (1_500_000, 640, 360)] {
            let mut counters = Counters::begin_at(3, bitrate);
            let packets = pack(&mut counters, 0, 0, Marker { key: true, ..Marker::default() }, 12_000, 12);
            assert!(packets[0].bytes.len() < 1_100, "{}", packets[0].bytes.len());
            // A key frame of VP8 in a box is a picture in WebP.
            let frame = frame_of(&packets);
            let chunk = u32::try_from(frame.len()).expect("small").to_le_bytes();
            let all = u32::try_from(frame.len() + 12).expect("small").to_le_bytes();
            let file = [b"RIFF".as_slice(), &all, b"WEBPVP8 ", &chunk, &frame].concat();
            let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(file)).expect("a picture");
            assert_eq!(decoder.dimensions(), (width, height));
            let mut pixels = vec![0; decoder.output_buffer_size().expect("known")];
            decoder.read_image(&mut pixels).expect("decodes");
            let at = |x: u32, y: u32| {
                let begin = ((y * width + x) * 3) as usize;
                [pixels[begin], pixels[begin + 1], pixels[begin + 2]]
            };
            let stripes: Vec<_> = (0..width / 80).map(|stripe| at(stripe * 80 + 40, 4)).collect();
            for (n, colour) in stripes.iter().enumerate() {
                let x = u32::try_from(n).expect("few") * 80;
                assert!([(1, 1), (70, height / 2), (78, height - 1)].iter().all(|(dx, y)| at(x + dx, *y) == *colour), "stripe {n} is even");
                assert!(stripes.iter().take(n).all(|other| other != colour), "{stripes:?}");
            }
        }
    }
}
