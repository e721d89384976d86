//! The dependency descriptor, read.

use super::super::State;
use super::testing::{Descriptor, L1T3, L2T1, L2T1_KEY, Template};
use super::*;
use crate::ortc::Codec;
use proptest::prelude::*;

fn read_with(state: &mut State, descriptor: &Descriptor, targets: u32) -> Unit {
    super::super::describe(Codec::Av1, &[0x10], false, Some(&descriptor.write(targets)), state)
}

fn key(structure: &'static [Template]) -> Descriptor {
    Descriptor { begins: true, number: 65_535, structure: Some(structure), offset: 60, ..Descriptor::default() }
}

#[test]
fn a_structure_begins_a_key_frame_and_describes_what_follows() {
    let mut state = State::default();
    let first = read_with(&mut state, &key(L1T3), 3);
    assert!(first.begins_key_frame && first.begins_frame && !first.ends_frame);
    assert_eq!(first.counters.picture_id(), Some(65_535));
    let next = Descriptor { begins: true, ends: true, template: 4, number: 0, offset: 60, ..Descriptor::default() };
    let unit = read_with(&mut state, &next, 3);
    assert_eq!((unit.begins_key_frame, unit.ends_frame, unit.spatial, unit.temporal), (false, true, 0, 2));
    let frame = unit.frame.expect("described");
    assert_eq!(frame.references().collect::<Vec<_>>(), [1]);
    assert_eq!((frame.is_present(0), frame.is_switch(0), frame.is_present(1), frame.is_present(200)), (true, false, false, false));
}

#[test]
fn decode_targets_have_the_layers_of_their_frames() {
    let mut state = State::default();
    read_with(&mut state, &key(L1T3), 3);
    let structure = state.structure().expect("read");
    assert_eq!([0, 1, 2, 3].map(|target| structure.layers(target)), [(0, 2), (0, 1), (0, 0), (0, 0)]);
    assert_eq!((structure.best(0, 1, 0b111), structure.best(9, 9, 0b111), structure.best(9, 9, 0b100)), (1, 0, 2));
    assert_eq!(structure.best(0, 0, 0b011), 1, "the least there is");
    assert!(structure.is_within(2, 0) && !structure.is_within(0, 2));
    read_with(&mut state, &key(L2T1), 2);
    assert!(state.structure().expect("read").is_within(1, 0));
    read_with(&mut state, &key(L2T1_KEY), 2);
    assert!(!state.structure().expect("read").is_within(1, 0), "the lower layer has frames of its own");
}

#[test]
fn a_frame_may_say_otherwise_than_its_template() {
    let mut state = State::default();
    read_with(&mut state, &key(L1T3), 3);
    let own = Descriptor {
        template: 2,
        offset: 60,
        active: Some(0b110),
        indications: Some("-DR"),
        references: Some(&[300, 1]),
        ..Descriptor::default()
    };
    let frame = read_with(&mut state, &own, 3).frame.expect("described");
    assert_eq!([0, 1, 2].map(|target| frame.is_present(target)), [false, true, true]);
    assert_eq!((frame.references().collect::<Vec<_>>(), frame.active), (vec![300, 1], 0b110));
    let next = Descriptor { template: 2, offset: 60, ..Descriptor::default() };
    assert_eq!(read_with(&mut state, &next, 3).frame.expect("described").active, 0b110, "until it is said otherwise");
}

#[test]
fn more_references_than_a_frame_can_have_are_not_followed() {
    let mut state = State::default();
    read_with(&mut state, &key(L1T3), 3);
    let many = Descriptor { template: 2, offset: 60, references: Some(&[1, 2, 3, 4, 5, 6, 7, 8, 9]), ..Descriptor::default() };
    let frame = read_with(&mut state, &many, 3).frame.expect("described");
    assert!(frame.refers_further && frame.references().count() == MAX_REFERENCES);
}

#[test]
fn a_frame_of_an_unknown_structure_has_a_number_only() {
    let mut state = State::default();
    let lost = Descriptor { begins: true, template: 2, number: 7, offset: 60, ..Descriptor::default() };
    assert_eq!(read_with(&mut state, &lost, 3).counters.picture_id(), Some(7));
    read_with(&mut state, &key(L1T3), 3);
    let other = Descriptor { template: 2, number: 8, offset: 10, ..Descriptor::default() };
    let unit = read_with(&mut state, &other, 3);
    assert_eq!((unit.frame, unit.counters.picture_id()), (None, Some(8)));
}

#[test]
fn without_a_descriptor_the_aggregation_header_tells_where_a_sequence_begins() {
    assert!(describe(&[0x18], false, None, &mut None).begins_key_frame);
    assert!(!describe(&[0x10], false, None, &mut None).begins_key_frame);
    assert!(!describe(&[0x98], false, None, &mut None).begins_key_frame, "N and Z contradict each other");
}

#[test]
fn a_cut_structure_changes_nothing() {
    let whole = key(L2T1).write(2);
    for len in 0..whole.len() - 8 {
        let mut known = None;
        describe(&[0x10], false, whole.get(..len), &mut known);
        assert!(known.is_none());
    }
}

proptest! {
    #[test]
    fn no_bytes_break_what_is_known(descriptors in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 1..10)) {
        let mut known = None;
        describe(&[0x10], false, Some(&key(L1T3).write(3)), &mut known);
        for descriptor in descriptors {
            let unit = describe(&[0x10], true, Some(&descriptor), &mut known);
            if let (Some(frame), Some(structure)) = (unit.frame, &known) {
                prop_assert!(structure.best(unit.spatial, unit.temporal, frame.active) < 32);
            }
        }
    }
}
