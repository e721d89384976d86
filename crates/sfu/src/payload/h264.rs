//! H.264 payloads (RFC 6184, section 5): where key frames begin.

use super::Unit;

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;

/// Where a frame begins cannot be told from a payload alone: only that key frames do. There are no layers.
pub(super) fn describe(payload: &[u8], marker: bool) -> Unit {
    let begins_key_frame = begins_key_frame(payload);
    Unit { begins_key_frame, begins_frame: begins_key_frame, ends_frame: marker, ..Unit::default() }
}

/// An SPS or an IDR slice, alone, in an aggregate, or as the first fragment.
fn begins_key_frame(payload: &[u8]) -> bool {
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
    fn a_key_frame_begins_in_every_packetization() {
        assert!(begins_key_frame(&[0x67, 0x42]));
        assert!(begins_key_frame(&[0x65, 0x88]));
        assert!(!begins_key_frame(&[0x41, 0x9a]));
        assert!(begins_key_frame(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68]));
        assert!(begins_key_frame(&[0x78, 0, 1, 0x68, 0, 2, 0x65, 0x88]));
        assert!(!begins_key_frame(&[0x78, 0, 2, 0x41, 0x9a]));
        assert!(begins_key_frame(&[0x7c, 0x85]));
        assert!(!begins_key_frame(&[0x7c, 0x05]), "a later fragment");
    }

    #[test]
    fn the_marker_ends_a_frame() {
        assert!(describe(&[0x41, 0x9a], true).ends_frame);
        assert!(!describe(&[0x41, 0x9a], false).ends_frame);
    }
}
