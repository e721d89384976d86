//! The rules of the selection: VP8 and VP9.

mod av1;
mod together;

use super::*;

/// A unit of a stream with layers; every picture is one packet a layer.
fn unit(spatial: u8, temporal: u8) -> Unit {
    Unit { begins_frame: true, ends_frame: true, spatial, temporal, inter_picture: true, ..Unit::default() }
}

fn key() -> Unit {
    Unit { begins_key_frame: true, inter_picture: false, ..unit(0, 0) }
}

fn sync(temporal: u8) -> Unit {
    Unit { sync: true, ..unit(0, temporal) }
}

fn up_to(spatial: u8, temporal: u8) -> OperatingPoint {
    OperatingPoint { spatial, temporal }
}

impl Decision {
    fn is_sent(self) -> bool {
        matches!(self, Self::Send { .. })
    }
}

/// One consumer of one stream.
struct Watcher {
    selection: Selection,
    seq: u64,
}

impl Watcher {
    fn new(target: OperatingPoint) -> Self {
        Self { selection: Selection::new(target), seq: 0 }
    }

    /// The next packet, of the picture `picture`.
    fn next(&mut self, picture: u32, unit: Unit) -> Decision {
        self.seq += 1;
        self.at(self.seq, picture, unit)
    }

    fn at(&mut self, seq: u64, picture: u32, unit: Unit) -> Decision {
        self.selection.decide(PacketHeader { seq, timestamp: picture.wrapping_mul(3_000), marker: false }, &unit, None)
    }

    fn sends(&mut self, picture: u32, unit: Unit) -> bool {
        self.next(picture, unit).is_sent()
    }
}

#[test]
fn nothing_is_sent_before_a_key_frame() {
    let mut watcher = Watcher::new(OperatingPoint::ALL);
    assert_eq!(watcher.next(1, unit(0, 0)), Decision::Nothing);
    assert!(watcher.sends(2, key()));
    assert!(watcher.sends(3, unit(0, 0)));
    watcher.selection.restart();
    assert_eq!(watcher.next(4, unit(0, 0)), Decision::Nothing);
    assert_eq!(watcher.selection.current(), None);
}

#[test]
fn temporal_layers_above_the_target_are_left_out() {
    let mut watcher = Watcher::new(up_to(0, 1));
    assert!(watcher.sends(1, key()));
    assert_eq!(watcher.next(2, unit(0, 2)), Decision::LeaveOut);
    assert!(watcher.sends(3, unit(0, 1)));
    assert_eq!(watcher.selection.current(), Some(up_to(0, 1)));
}

#[test]
fn a_temporal_layer_is_given_up_with_the_next_picture_and_not_within_one() {
    let mut watcher = Watcher::new(up_to(0, 2));
    watcher.next(1, key());
    assert!(watcher.sends(2, unit(0, 2)));
    watcher.selection.aim(up_to(0, 0));
    assert!(watcher.sends(2, unit(0, 2)), "the rest of the picture");
    assert_eq!(watcher.next(3, unit(0, 2)), Decision::LeaveOut);
}

#[test]
fn a_temporal_layer_is_taken_up_where_it_refers_to_nothing_left_out() {
    let mut watcher = Watcher::new(up_to(0, 0));
    watcher.next(1, key());
    watcher.selection.aim(up_to(0, 2));
    assert_eq!(watcher.next(2, unit(0, 1)), Decision::LeaveOut, "no sync");
    assert_eq!(watcher.next(3, sync(2)), Decision::LeaveOut, "the layer between is missing");
    assert!(watcher.sends(4, sync(1)));
    assert_eq!(watcher.next(5, unit(0, 2)), Decision::LeaveOut);
    assert!(watcher.sends(6, sync(2)));
    assert!(watcher.sends(7, unit(0, 2)));
}

#[test]
fn a_key_frame_takes_up_all_layers() {
    let mut watcher = Watcher::new(up_to(0, 0));
    watcher.next(1, key());
    watcher.selection.aim(up_to(2, 2));
    watcher.next(2, key());
    assert!(watcher.sends(2, unit(2, 0)));
    assert!(watcher.sends(3, unit(0, 2)));
}

#[test]
fn late_packets_share_the_fate_of_their_picture() {
    let mut watcher = Watcher::new(up_to(0, 1));
    watcher.at(10, 1, key());
    assert!(watcher.at(13, 2, unit(0, 1)).is_sent());
    watcher.selection.aim(up_to(0, 0));
    assert_eq!(watcher.at(15, 3, unit(0, 1)), Decision::LeaveOut);
    watcher.selection.aim(up_to(0, 1));
    assert!(watcher.at(17, 4, sync(1)).is_sent());
    assert!(watcher.at(12, 2, unit(0, 1)).is_sent());
    assert_eq!(watcher.at(14, 3, unit(0, 1)), Decision::LeaveOut);
    assert!(watcher.at(16, 4, sync(1)).is_sent());
}

#[test]
fn a_picture_that_comes_late_as_a_whole_is_judged_as_those_before_it() {
    let mut watcher = Watcher::new(up_to(0, 1));
    watcher.at(10, 1, key());
    watcher.at(11, 2, unit(0, 1));
    watcher.selection.aim(up_to(0, 0));
    watcher.at(13, 4, unit(0, 0));
    assert!(watcher.at(12, 3, unit(0, 1)).is_sent(), "what was sent before may be followed by it");
    assert_eq!(watcher.at(12, 3, unit(0, 2)), Decision::LeaveOut);
}

#[test]
fn vp9_opens_all_temporal_layers_after_a_switching_up_point() {
    let mut watcher = Watcher::new(up_to(0, 0));
    watcher.at(10, 1, key());
    watcher.selection.aim(up_to(0, 2));
    assert!(watcher.at(11, 2, Unit { opens_upper: true, ..unit(0, 0) }).is_sent());
    assert!(watcher.at(13, 4, unit(0, 2)).is_sent());
    assert!(watcher.at(12, 3, unit(0, 1)).is_sent(), "also of a picture that comes late");
}

#[test]
fn the_marker_is_set_where_the_highest_spatial_layer_sent_ends() {
    let mut watcher = Watcher::new(up_to(1, 0));
    assert_eq!(watcher.next(1, Unit { ends_frame: false, ..key() }), Decision::Send { marker: false });
    assert_eq!(watcher.next(1, unit(1, 0)), Decision::Send { marker: true });
    assert_eq!(watcher.next(1, unit(2, 0)), Decision::LeaveOut);
    assert_eq!(watcher.next(2, unit(0, 0)), Decision::Send { marker: false });
    let last = PacketHeader { seq: 9, timestamp: 6_000, marker: true };
    assert_eq!(watcher.selection.decide(last, &unit(0, 0), None), Decision::Send { marker: true }, "the picture has no more");
}

#[test]
fn a_spatial_layer_is_given_up_between_pictures() {
    let mut watcher = Watcher::new(up_to(1, 0));
    watcher.next(1, key());
    watcher.selection.aim(up_to(0, 0));
    assert!(watcher.sends(1, unit(1, 0)));
    assert_eq!(watcher.next(2, unit(0, 0)), Decision::Send { marker: true });
    assert_eq!(watcher.next(2, unit(1, 0)), Decision::LeaveOut);
}

#[test]
fn a_spatial_layer_is_taken_up_with_a_key_frame_or_where_it_is_predicted_from_below_only() {
    let mut watcher = Watcher::new(up_to(0, 0));
    watcher.next(1, key());
    watcher.next(1, unit(1, 0));
    assert!(!watcher.selection.needs_key_frame());
    watcher.selection.aim(up_to(2, 0));
    assert!(watcher.selection.needs_key_frame());
    watcher.next(2, unit(0, 0));
    assert_eq!(watcher.next(2, unit(1, 0)), Decision::LeaveOut);
    watcher.next(3, unit(0, 0));
    let taken_up = Unit { inter_picture: false, inter_layer: true, ..unit(1, 0) };
    assert_eq!(watcher.next(3, taken_up), Decision::Send { marker: true });
    assert!(!watcher.selection.needs_key_frame(), "there is no more of it");
    assert!(watcher.sends(4, unit(1, 0)));
}

#[test]
fn a_clock_that_is_set_back_does_not_hide_new_pictures() {
    let mut watcher = Watcher::new(up_to(0, 1));
    watcher.next(1_000, key());
    watcher.selection.aim(up_to(0, 0));
    assert_eq!(watcher.next(3, unit(0, 1)), Decision::LeaveOut);
}
