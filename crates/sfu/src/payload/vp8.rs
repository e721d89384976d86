//! The VP8 payload descriptor (RFC 7741, section 4.2).

use super::{Counters, Unit};

/// Describes a packet (RFC 7741, section 4.2). Without an extension there are no layers, and the start and the end of a frame are all there is to know.
pub(super) fn describe(payload: &[u8], marker: bool) -> Unit {
    let mut unit = Unit { ends_frame: marker, ..Unit::default() };
    let Some(first) = payload.first() else { return unit };
    let Some(len) = read_extension(payload, *first, &mut unit) else { return unit };
    // S bit set, and partition 0.
    unit.begins_frame = first & 0x10 != 0 && first & 0x07 == 0;
    // The P bit of the frame header is clear in a key frame (section 4.3).
    unit.begins_key_frame = unit.begins_frame && payload.get(len).is_some_and(|header| header & 0x01 == 0);
    unit
}

/// Reads the counters and the temporal layer; the length of the descriptor.
fn read_extension(payload: &[u8], first: u8, unit: &mut Unit) -> Option<usize> {
    if first & 0x80 == 0 {
        return Some(1);
    }
    let extended = *payload.get(1)?;
    let mut at = 2;
    if extended & 0x80 != 0 {
        unit.counters = Counters::read_picture_id(payload, at)?;
        at += unit.counters.picture_bytes();
    }
    if extended & 0x40 != 0 {
        unit.counters.set_tl0(*payload.get(at)?, at);
        at += 1;
    }
    if extended & 0x30 != 0 {
        let layer = *payload.get(at)?;
        at += 1;
        // T says that TID and Y mean something.
        if extended & 0x20 != 0 {
            unit.temporal = layer >> 6;
            unit.sync = layer & 0x20 != 0;
        }
    }
    // A receiver takes a missing picture for one that it has to wait for before it shows those above the base
    // layer, and nothing in VP8 refers to pictures by the difference of their ids: so they are closed up.
    unit.counters.contiguous = true;
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_begins_with_the_start_bit_and_a_clear_p_bit() {
        assert!(describe(&[0x10, 0x00, 0, 0], false).begins_key_frame);
        assert!(!describe(&[0x10, 0x01, 0, 0], false).begins_key_frame, "an inter frame");
        assert!(!describe(&[0x00, 0x00, 0, 0], false).begins_key_frame, "a later packet of the frame");
        assert!(!describe(&[0x11, 0x00, 0, 0], false).begins_frame, "another partition");
        assert!(describe(&[0x90, 0xe0, 0x81, 0x02, 7, 0x20, 0x00], false).begins_key_frame, "with every counter");
    }

    #[test]
    fn counters_are_read_in_both_lengths() {
        let long = describe(&[0x90, 0xe0, 0x81, 0x02, 7, 0x20, 0x00], false).counters;
        assert_eq!((long.picture_id(), long.picture_bits(), long.tl0_index()), (Some(0x102), 15, Some(7)));
        let short = describe(&[0x90, 0x80, 0x11, 0x00], false).counters;
        assert_eq!((short.picture_id(), short.picture_bits(), short.tl0_index()), (Some(0x11), 7, None));
        assert_eq!(describe(&[0x10, 0, 0], false).counters.picture_id(), None);
    }

    #[test]
    fn the_temporal_layer_and_its_sync_bit_are_read_where_they_are_said_to_mean_something() {
        let unit = describe(&[0x90, 0xe0, 0x81, 0x02, 7, 0xa0, 0x01], true);
        assert_eq!((unit.temporal, unit.sync, unit.ends_frame), (2, true, true));
        let key_index_only = describe(&[0x90, 0x10, 0xbf, 0x01], false);
        assert_eq!((key_index_only.temporal, key_index_only.sync), (0, false));
    }

    #[test]
    fn a_cut_descriptor_begins_nothing() {
        for len in 1..6 {
            assert!(!describe(&[0x90, 0xe0, 0x81, 0x02, 7, 0x20][..len], false).begins_key_frame);
        }
    }
}
