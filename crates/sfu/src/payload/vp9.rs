//! The VP9 payload descriptor (RFC 9628, section 4.2).

use super::{Counters, Unit};

pub(super) fn describe(payload: &[u8], marker: bool) -> Unit {
    read(payload).unwrap_or(Unit { ends_frame: marker, ..Unit::default() })
}

/// I, P, L, F, B and E of the first byte; then the picture id, the layers, and what F says follows them.
fn read(payload: &[u8]) -> Option<Unit> {
    let first = *payload.first()?;
    let has = |bit: u8| first & bit != 0;
    let mut unit = Unit { begins_frame: has(0x08), ends_frame: has(0x04), inter_picture: has(0x40), ..Unit::default() };
    let mut at = 1;
    if has(0x80) {
        unit.counters = Counters::read_picture_id(payload, at)?;
        at += unit.counters.picture_bytes();
    }
    if has(0x20) {
        let layers = *payload.get(at)?;
        at += 1;
        unit.temporal = layers >> 5;
        // By the text, U speaks of the pictures that follow, above this one's layer. Encoders set it on the pictures
        // that refer to lower temporal layers only, too: there they can be joined.
        unit.sync = layers & 0x10 != 0;
        unit.opens_upper = unit.sync;
        unit.spatial = (layers >> 1) & 0x07;
        unit.inter_layer = layers & 0x01 != 0;
        // TL0PICIDX is there only when F is not set.
        if !has(0x10) {
            unit.counters.set_tl0(*payload.get(at)?, at);
        }
    }
    // The lowest layer of a picture that is predicted from no other.
    unit.begins_key_frame = unit.begins_frame && !unit.inter_picture && unit.spatial == 0;
    Some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_begins_at_the_lowest_layer_of_an_independent_picture() {
        assert!(describe(&[0x88, 0x01, 0], false).begins_key_frame);
        assert!(!describe(&[0xc8, 0x01, 0], false).begins_key_frame, "predicted from another picture");
        assert!(!describe(&[0x80, 0x01, 0], false).begins_key_frame, "a later packet of the frame");
        assert!(describe(&[0xa8, 0x81, 0x01, 0x00, 0x07], false).begins_key_frame);
        assert!(!describe(&[0xa8, 0x81, 0x01, 0x02, 0x07], false).begins_key_frame, "the second spatial layer");
    }

    #[test]
    fn layers_and_counters_are_read_in_both_modes() {
        // I, P, L, B and E; temporal layer 2 with U, spatial layer 1 with D.
        let unit = describe(&[0xec, 0x81, 0x02, 0x53, 0x09, 0xff], false);
        assert_eq!((unit.temporal, unit.spatial, unit.sync, unit.inter_layer), (2, 1, true, true));
        assert_eq!((unit.begins_frame, unit.ends_frame, unit.inter_picture), (true, true, true));
        assert_eq!((unit.counters.picture_id(), unit.counters.tl0_index()), (Some(0x102), Some(9)));
        let flexible = describe(&[0xf8, 0x11, 0x42, 0x02, 0xff], false);
        assert_eq!((flexible.temporal, flexible.spatial, flexible.counters.tl0_index()), (2, 1, None));
        assert_eq!((flexible.counters.picture_id(), flexible.counters.picture_bits()), (Some(0x11), 7));
    }

    #[test]
    fn picture_ids_keep_their_gaps_because_pictures_refer_to_each_other_by_them() {
        assert!(!describe(&[0xec, 0x81, 0x02, 0x53, 0x09, 0xff], false).counters.contiguous);
    }
}
