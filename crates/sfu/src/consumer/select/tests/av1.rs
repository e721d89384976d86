//! The rules of the selection: AV1, by decode targets.

use super::super::*;
use crate::ortc::Codec;
use crate::payload::av1::testing::{Descriptor, L1T3, L2T1, L2T1_KEY, Template};
use crate::payload::{State, describe};

/// A sender, and one consumer of it.
struct Stream {
    structure: &'static [Template],
    state: State,
    selection: Selection,
    seq: u64,
}

impl Stream {
    fn new(structure: &'static [Template], target: OperatingPoint) -> Self {
        Self { structure, state: State::default(), selection: Selection::new(target), seq: 100 }
    }

    fn targets(&self) -> u32 {
        u32::try_from(self.structure[0].indications.len()).expect("few")
    }

    fn take(&mut self, seq: u64, picture: u32, descriptor: &Descriptor) -> Decision {
        let bytes = descriptor.write(self.targets());
        let unit = describe(Codec::Av1, &[0x10], false, Some(&bytes), &mut self.state);
        self.selection.decide(PacketHeader { seq, timestamp: picture * 3_000, marker: false }, &unit, self.state.structure())
    }

    /// The next frame, in one packet.
    fn frame(&mut self, picture: u32, number: u16, template: u32) -> Decision {
        self.seq += 1;
        self.take(self.seq, picture, &Descriptor { begins: true, ends: true, template, number, ..Descriptor::default() })
    }

    fn key(&mut self, picture: u32, number: u16) -> Decision {
        self.seq += 1;
        let structure = Some(self.structure);
        self.take(self.seq, picture, &Descriptor { begins: true, ends: true, number, structure, ..Descriptor::default() })
    }
}

const SENT: Decision = Decision::Send { marker: true };
const BELOW: Decision = Decision::Send { marker: false };

#[test]
fn frames_that_are_not_of_the_decode_target_are_left_out() {
    let mut stream = Stream::new(L1T3, OperatingPoint { spatial: 0, temporal: 1 });
    assert_eq!(stream.frame(1, 65_533, 1), Decision::Nothing);
    assert_eq!(stream.key(2, 65_534), SENT);
    assert_eq!(stream.frame(3, 65_535, 3), Decision::LeaveOut);
    assert_eq!(stream.frame(4, 0, 2), SENT);
    assert_eq!(stream.frame(5, 1, 4), Decision::LeaveOut);
    assert_eq!(stream.selection.current(), Some(OperatingPoint { spatial: 0, temporal: 1 }));
    assert!(!stream.selection.needs_key_frame());
}

#[test]
fn less_is_taken_at_once_and_more_at_a_switch_indication() {
    let mut stream = Stream::new(L1T3, OperatingPoint { spatial: 0, temporal: 0 });
    stream.key(1, 10);
    stream.selection.aim(OperatingPoint::ALL);
    assert_eq!(stream.frame(2, 11, 3), Decision::LeaveOut, "discardable, no switch");
    assert_eq!(stream.frame(3, 12, 2), SENT, "a switch, and what it refers to was sent");
    assert_eq!(stream.frame(4, 13, 4), SENT);
    stream.selection.aim(OperatingPoint { spatial: 0, temporal: 0 });
    assert_eq!(stream.frame(5, 14, 1), SENT);
    assert_eq!(stream.frame(6, 15, 3), Decision::LeaveOut);
}

#[test]
fn a_switch_that_refers_to_what_was_left_out_is_none() {
    let mut stream = Stream::new(L1T3, OperatingPoint { spatial: 0, temporal: 0 });
    stream.key(1, 10);
    stream.selection.aim(OperatingPoint::ALL);
    assert_eq!(stream.frame(2, 11, 3), Decision::LeaveOut);
    // It refers to the frame two before: the one that was left out.
    assert_eq!(stream.frame(3, 13, 2), Decision::LeaveOut);
}

#[test]
fn a_spatial_layer_needs_a_key_frame_or_a_switch_and_ends_with_a_marker() {
    let mut stream = Stream::new(L2T1, OperatingPoint { spatial: 0, temporal: 0 });
    assert_eq!(stream.key(1, 10), SENT);
    assert_eq!(stream.frame(1, 11, 2), Decision::LeaveOut);
    stream.selection.aim(OperatingPoint::ALL);
    assert_eq!(stream.frame(2, 12, 1), SENT);
    assert_eq!(stream.frame(2, 13, 3), Decision::LeaveOut);
    assert!(stream.selection.needs_key_frame());
    assert_eq!(stream.frame(3, 14, 1), SENT);
    assert_eq!(stream.frame(3, 15, 2), SENT, "predicted from the layer below only");
    assert!(!stream.selection.needs_key_frame());
    assert_eq!(stream.frame(4, 16, 1), BELOW);
    assert_eq!(stream.frame(4, 17, 3), SENT);
    stream.selection.aim(OperatingPoint { spatial: 0, temporal: 0 });
    assert_eq!(stream.frame(5, 18, 1), SENT);
    assert_eq!(stream.frame(5, 19, 3), Decision::LeaveOut);
}

#[test]
fn where_layers_meet_in_key_pictures_only_the_lower_is_left_out_and_comes_back_with_one() {
    let mut stream = Stream::new(L2T1_KEY, OperatingPoint::ALL);
    assert_eq!(stream.key(1, 10), BELOW);
    assert_eq!(stream.frame(1, 11, 2), SENT);
    assert_eq!(stream.frame(2, 12, 1), Decision::LeaveOut);
    assert_eq!(stream.frame(2, 13, 3), SENT);
    stream.selection.aim(OperatingPoint { spatial: 0, temporal: 0 });
    assert_eq!(stream.frame(3, 14, 1), Decision::LeaveOut, "it refers to one that was left out");
    assert!(stream.selection.needs_key_frame());
    assert_eq!(stream.frame(3, 15, 3), SENT);
    assert_eq!(stream.key(4, 16), SENT);
    assert_eq!(stream.frame(4, 17, 2), Decision::LeaveOut);
    assert!(!stream.selection.needs_key_frame());
}

#[test]
fn a_layer_the_sender_stopped_is_not_waited_for() {
    let mut stream = Stream::new(L2T1, OperatingPoint::ALL);
    stream.key(1, 10);
    stream.frame(1, 11, 2);
    stream.seq += 1;
    let lower_only = Descriptor { begins: true, ends: true, template: 1, number: 12, active: Some(0b10), ..Descriptor::default() };
    assert_eq!(stream.take(stream.seq, 2, &lower_only), SENT);
    assert!(!stream.selection.needs_key_frame());
}

#[test]
fn late_packets_share_the_fate_of_their_frame() {
    let mut stream = Stream::new(L1T3, OperatingPoint { spatial: 0, temporal: 0 });
    stream.key(1, 10);
    let first = Descriptor { begins: true, template: 3, number: 11, ..Descriptor::default() };
    assert_eq!(stream.take(110, 2, &first), Decision::LeaveOut);
    stream.selection.aim(OperatingPoint::ALL);
    stream.seq = 112;
    assert_eq!(stream.frame(3, 12, 2), SENT);
    let rest = Descriptor { begins: false, ends: true, ..first };
    assert_eq!(stream.take(111, 2, &rest), Decision::LeaveOut);
}
