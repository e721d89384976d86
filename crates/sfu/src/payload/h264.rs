//! H.264 payloads (RFC 6184, section 5): where a decoder can begin, and what it was told beforehand.

use parlor_proto::rtp::CodecParameters;
use parlor_proto::rtp::ParameterValue;

use super::Unit;

const NAL_IDR: u8 = 5;
const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;
const NAL_STAP_A: u8 = 24;
const NAL_FU_A: u8 = 28;
/// Parameter sets as a text, for who did not get them in the stream (RFC 6184, section 8.1).
const OUT_OF_BAND: &str = "sprop-parameter-sets";

/// Where a frame begins cannot be told from a payload alone: only that key frames do. There are no layers.
///
/// An IDR picture cannot be decoded without the parameter sets it refers to. Encoders send them before it, so a receiver begins with the first of
/// these; where they come with the description of the stream (`told`), with the picture itself.
pub(super) fn describe(payload: &[u8], marker: bool, told: bool) -> Unit {
    let begins_key_frame = begins_key_frame(payload, told);
    Unit { begins_key_frame, begins_frame: begins_key_frame, ends_frame: marker, ..Unit::default() }
}

/// The parameter sets that a producer's description has, if it has a sequence's and a picture's.
pub(crate) fn out_of_band(parameters: &CodecParameters) -> Option<&str> {
    let ParameterValue::Text(text) = parameters.get(OUT_OF_BAND)? else { return None };
    // It goes into the session description of every receiver.
    let is_base64 = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b','));
    let has = |kind: u8| text.split(',').any(|set| nal_of(set).is_some_and(|nal| nal & 0x1f == kind));
    (is_base64 && has(NAL_SPS) && has(NAL_PPS)).then_some(text)
}

/// Gives the receiver of a stream the parameter sets that its producer's description has.
pub(crate) fn tell(parameters: &mut CodecParameters, sets: &str) {
    parameters.insert(OUT_OF_BAND.to_owned(), ParameterValue::Text(sets.to_owned()));
}

/// The first byte of what is written in base64 (RFC 4648).
fn nal_of(text: &str) -> Option<u8> {
    let digit = |byte: &u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let [first, second, _, _, ..] = text.as_bytes() else { return None };
    Some(digit(first)? << 2 | digit(second)? >> 4)
}

/// An SPS, or an IDR slice if that is enough: alone, in an aggregate, or as the first fragment.
fn begins_key_frame(payload: &[u8], told: bool) -> bool {
    let is_key = |nal: u8| nal & 0x1f == NAL_SPS || (told && nal & 0x1f == NAL_IDR);
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
    fn a_key_frame_begins_with_its_parameter_sets_in_every_packetization() {
        for told in [true, false] {
            assert!(begins_key_frame(&[0x67, 0x42], told));
            assert!(begins_key_frame(&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], told));
            assert!(begins_key_frame(&[0x78, 0, 1, 0x09, 0, 2, 0x67, 0x42, 0, 1, 0x68, 0, 2, 0x65, 0x88], told));
            assert!(!begins_key_frame(&[0x41, 0x9a], told));
            assert!(!begins_key_frame(&[0x78, 0, 2, 0x41, 0x9a], told));
            assert!(!begins_key_frame(&[0x7c, 0x05], told), "a later fragment");
        }
    }

    #[test]
    fn a_picture_without_parameter_sets_begins_nothing_unless_they_were_told() {
        for picture in [&[0x65, 0x88][..], &[0x7c, 0x85], &[0x78, 0, 1, 0x68, 0, 2, 0x65, 0x88]] {
            assert!(!begins_key_frame(picture, false), "{picture:02x?}");
            assert!(begins_key_frame(picture, true), "{picture:02x?}");
        }
    }

    #[test]
    fn the_marker_ends_a_frame() {
        assert!(describe(&[0x41, 0x9a], true, false).ends_frame);
        assert!(!describe(&[0x41, 0x9a], false, false).ends_frame);
    }

    #[test]
    fn parameter_sets_are_told_if_both_are_there_and_nothing_else_is() {
        let of = |text: &str| {
            let parameters = [(OUT_OF_BAND.to_owned(), ParameterValue::Text(text.to_owned()))].into();
            out_of_band(&parameters).map(str::to_owned)
        };
        // RFC 6184, section 8.2.3, has such a pair.
        let sets = "Z0IACpZTBYmI,aMljiA==";
        assert_eq!(of(sets).as_deref(), Some(sets));
        for bad in ["", ",", "Z0IACpZTBYmI", "aMljiA==", "Z0IACpZTBYmI,aMljiA==\r\na=x", "Z0IACpZTBYmI;x,aMljiA==", "Z0,aM"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(out_of_band(&CodecParameters::new()), None);
    }
}
