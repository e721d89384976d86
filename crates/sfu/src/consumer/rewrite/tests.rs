//! The rules of rewriting, and that they hold whatever happens.

use super::*;
use crate::ortc::Codec;
use crate::payload::{State, describe};

fn start() -> Instant {
    parlor_testkit::clock::Clock::new().now()
}

fn at(seq: u64, timestamp: u32, arrival: Instant) -> Original {
    Original { seq, timestamp, arrival }
}

fn rewriter() -> Rewriter {
    Rewriter::new(90_000, 99, 5_000)
}

#[test]
fn a_loss_on_the_way_in_stays_a_gap() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = rewriter.rewrite(at(1_000, 0, now), &Counters::default()).expect("sent");
    let third = rewriter.rewrite(at(1_002, 0, now), &Counters::default()).expect("sent");
    let second = rewriter.rewrite(at(1_001, 0, now), &Counters::default()).expect("a late packet is sent");
    assert_eq!((first.seq, second.seq, third.seq), (100, 101, 102));
}

#[test]
fn what_is_left_out_leaves_no_gap_and_keeps_time() {
    let (mut rewriter, now) = (rewriter(), start());
    let before = rewriter.rewrite(at(10, 900, now), &Counters::default()).expect("sent");
    rewriter.skip();
    let after = rewriter.rewrite(at(500, 90_900, now + Duration::from_secs(1)), &Counters::default()).expect("sent");
    assert_eq!(after.seq, before.seq + 1);
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 90_000);
    assert!(rewriter.rewrite(at(499, 90_800, now), &Counters::default()).is_none(), "a packet from before the run");
}

#[test]
fn another_encoder_continues_numbers_and_time() {
    let (mut rewriter, now) = (rewriter(), start());
    let before = rewriter.rewrite(at(10, 900, now), &Counters::default()).expect("sent");
    rewriter.switch();
    let after = rewriter.rewrite(at(60_000, 3_000_000_000, now + Duration::from_millis(100)), &Counters::default()).expect("sent");
    assert_eq!(after.seq, before.seq + 1);
    assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 9_000);
}

#[test]
fn a_jump_larger_than_any_loss_is_closed() {
    let (mut rewriter, now) = (rewriter(), start());
    let before = rewriter.rewrite(at(10, 900, now), &Counters::default()).expect("sent");
    let after = rewriter.rewrite(at(10 + MAX_GAP + 1, 1_800, now), &Counters::default()).expect("sent");
    assert_eq!(after.seq, before.seq + 1);
}

/// Of the payload of a VP8 packet.
fn vp8(picture: u16, tl0: u8) -> Counters {
    let [high, low] = (picture | 0x8000).to_be_bytes();
    counters(&[0x90, 0xe0, high, low, tl0, 0, 0])
}

fn counters(payload: &[u8]) -> Counters {
    describe(Codec::Vp8, payload, false, None, &mut State::default()).counters
}

fn counted(rewriter: &mut Rewriter, packet: Original, counters: &Counters) -> (u16, u8) {
    let new = rewriter.rewrite(packet, counters).expect("sent").counters.expect("counted");
    (new.picture_id, new.tl0_index)
}

#[test]
fn vp8_counters_continue_over_a_switch() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = counted(&mut rewriter, at(1, 0, now), &vp8(0x7fff, 255));
    let second = counted(&mut rewriter, at(2, 3_000, now), &vp8(0, 0));
    assert_eq!(second, ((first.0 + 1) & 0x7fff, first.1.wrapping_add(1)));
    rewriter.switch();
    let third = counted(&mut rewriter, at(9, 77, now), &vp8(12_345, 99));
    assert_eq!(third, ((second.0 + 1) & 0x7fff, second.1.wrapping_add(1)));
}

#[test]
fn vp8_counters_continue_after_a_long_pause_and_over_a_switch() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = counted(&mut rewriter, at(1, 0, now), &vp8(100, 1));
    rewriter.skip();
    // Ten minutes later, at thirty pictures a second.
    let before = counted(&mut rewriter, at(2, 3_000, now), &vp8(18_100, 77));
    assert_eq!(before, (first.0 + 1, first.1 + 1));
    rewriter.switch();
    let after = counted(&mut rewriter, at(9, 77, now), &vp8(7, 1));
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

#[test]
fn vp8_pictures_left_out_leave_no_gap_in_their_ids_and_lost_ones_do() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = counted(&mut rewriter, at(1, 0, now), &vp8(0x7ffe, 1));
    // Two packets of one picture.
    assert_eq!(rewriter.leave_out(2, &vp8(0x7fff, 1)), None);
    assert_eq!(rewriter.leave_out(3, &vp8(0x7fff, 1)), None);
    let second = counted(&mut rewriter, at(4, 0, now), &vp8(0, 1));
    assert_eq!(second, (first.0 + 1, first.1));
    let fourth = counted(&mut rewriter, at(6, 0, now), &vp8(2, 2));
    assert_eq!(fourth, (second.0 + 2, second.1 + 1), "one is missing");
    assert_eq!(counted(&mut rewriter, at(5, 0, now), &vp8(1, 1)), (second.0 + 1, second.1), "it comes late");
}

#[test]
fn picture_ids_of_seven_bits_wrap_at_seven_bits() {
    let (mut rewriter, now) = (rewriter(), start());
    let short = |picture: u8| counters(&[0x90, 0x80, picture, 0x00]);
    let first = counted(&mut rewriter, at(1, 0, now), &short(0x7f)).0;
    for n in 1..=300_u16 {
        let picture = u8::try_from((0x7f + n) & 0x7f).expect("seven bits");
        assert_eq!(counted(&mut rewriter, at(1 + u64::from(n), 0, now), &short(picture)).0, (first + n) & 0x7f);
    }
}

#[test]
fn vp9_pictures_left_out_stay_a_gap_because_others_refer_by_difference() {
    let (mut rewriter, now) = (rewriter(), start());
    let vp9 = |picture: u8| describe(Codec::Vp9, &[0xa8, picture, 0x00, 1], false, None, &mut State::default()).counters;
    let first = counted(&mut rewriter, at(1, 0, now), &vp9(10));
    rewriter.leave_out(2, &vp9(11));
    assert_eq!(counted(&mut rewriter, at(3, 0, now), &vp9(12)).0, first.0 + 2);
}

#[test]
fn a_packet_left_out_closes_up() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = rewriter.rewrite(at(10, 0, now), &Counters::default()).expect("sent");
    assert_eq!(rewriter.leave_out(11, &Counters::default()), None);
    let second = rewriter.rewrite(at(12, 0, now), &Counters::default()).expect("sent");
    assert_eq!(second.seq, first.seq + 1);
    assert!(rewriter.rewrite(at(11, 0, now), &Counters::default()).is_none(), "its number is given away");
}

#[test]
fn a_repaired_packet_that_is_left_out_is_filled_where_the_receiver_waits_for_it() {
    let (mut rewriter, now) = (rewriter(), start());
    let first = rewriter.rewrite(at(10, 0, now), &Counters::default()).expect("sent");
    let third = rewriter.rewrite(at(12, 3_000, now), &Counters::default()).expect("sent");
    let fill = rewriter.leave_out(11, &Counters::default());
    assert_eq!(fill, Some(Fill { seq: first.seq + 1, timestamp: third.timestamp }));
}

proptest::proptest! {
    /// Whatever is skipped, switched or lost: numbers never repeat for packets that arrive in order.
    #[test]
    fn numbers_only_rise_for_packets_in_order(steps in proptest::collection::vec((0u8..3, 1u64..2_000), 1..200)) {
        let (mut rewriter, now) = (rewriter(), start());
        let (mut seq, mut last) = (0, 0);
        for (what, by) in steps {
            seq += by;
            match what {
                0 => rewriter.skip(),
                1 => rewriter.switch(),
                _ => {}
            }
            let out = rewriter.rewrite(at(seq, 0, now), &Counters::default()).expect("in order").seq;
            proptest::prop_assert!(out > last && out <= last + MAX_GAP.max(u64::from(0x7fff_u16) + 1));
            last = out;
        }
    }
}
