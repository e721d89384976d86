//! Selection and rewriting together: whatever is lost, repaired, late and aimed at, the receiver can go on.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use crate::consumer::rewrite::{Original, Rewriter};
use crate::ortc::Codec;
use crate::payload::{State, describe};

/// What happens to a packet, and before it.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    /// So many packets later.
    Late(usize),
    Lost,
    /// It arrives, after the consumer's target became this temporal layer.
    Aimed(u8),
    /// It arrives, after sending was interrupted.
    Interrupted,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let one = prop_oneof![
        12 => Just(Fate::Arrives),
        2 => (1usize..30).prop_map(Fate::Late),
        1 => Just(Fate::Lost),
        2 => (0u8..3).prop_map(Fate::Aimed),
        1 => Just(Fate::Interrupted),
    ];
    prop::collection::vec(one, 50..400)
}

/// A packet of a VP8 stream: a picture has one to three.
#[derive(Clone, Debug)]
struct Sent {
    seq: u64,
    picture: u32,
    payload: Vec<u8>,
    marker: bool,
}

/// The temporal layers, round after round.
const LAYERS: [u8; 4] = [0, 2, 1, 2];

/// With sync in every second round, and a key frame now and then.
fn stream(packets: usize) -> Vec<Sent> {
    let mut sent = Vec::new();
    let (mut picture, mut tl0) = (0_u32, 0_u8);
    while sent.len() < packets {
        let temporal = LAYERS[picture as usize % 4];
        if temporal == 0 {
            tl0 = tl0.wrapping_add(1);
        }
        let is_key = picture.is_multiple_of(40);
        let sync = temporal > 0 && picture % 8 < 4 && picture % 4 != 3;
        let count = 1 + picture % 3;
        for part in 0..count {
            let start = if part == 0 { 0x90 } else { 0x80 };
            // The first ids are about to wrap.
            let [high, low] = (0x8000 | (0x7ff0 + picture) & 0x7fff).to_be_bytes()[2..] else { unreachable!() };
            let layer = temporal << 6 | u8::from(sync) << 5;
            let payload = vec![start, 0xe0, high, low, tl0, layer, u8::from(!is_key)];
            sent.push(Sent { seq: 1_000 + sent.len() as u64, picture, payload, marker: part + 1 == count });
        }
        picture += 1;
    }
    sent
}

/// In the order of arrival; what is repaired comes late.
fn arrivals(fates: &[Fate]) -> Vec<(Sent, Fate)> {
    let mut queue: Vec<_> = stream(fates.len()).into_iter().zip(fates.iter().copied()).enumerate().collect();
    queue.retain(|(_, (_, fate))| !matches!(fate, Fate::Lost));
    queue.sort_by_key(|(at, (_, fate))| match fate {
        Fate::Late(by) => (at + by, 1, *at),
        _ => (*at, 0, *at),
    });
    queue.into_iter().map(|(_, arrival)| arrival).collect()
}

#[derive(Debug)]
struct Out {
    /// The number a packet came with, and the run of sending it belongs to.
    seq: u64,
    run: u32,
    picture: u32,
    timestamp: u32,
    counters: (u16, u8),
    temporal: u8,
    sync: bool,
}

#[derive(Debug, Default)]
struct Received {
    /// By outgoing number.
    packets: BTreeMap<u64, Out>,
    fills: BTreeSet<u64>,
    left_out: BTreeSet<u64>,
    /// Those that arrived when sending had stopped, or begun again after them.
    past: BTreeSet<u64>,
}

/// Checks what must hold of each step.
fn forward(fates: &[Fate]) -> Result<Received, TestCaseError> {
    let now = parlor_testkit::clock::Clock::new().now();
    let (mut selection, mut rewriter) = (Selection::new(OperatingPoint::ALL), Rewriter::new(90_000, 7, 1));
    let mut received = Received::default();
    let (mut run, mut newest, mut last_timestamp) = (0, 0, 0_u32);
    for (packet, fate) in arrivals(fates) {
        match fate {
            Fate::Aimed(temporal) => selection.aim(OperatingPoint { spatial: 0, temporal }),
            Fate::Interrupted => selection.restart(),
            _ => {}
        }
        let late = packet.seq < newest;
        newest = newest.max(packet.seq);
        let mut unit = describe(Codec::Vp8, &packet.payload, packet.marker, None, &mut State::default());
        // As its consumer does: sending does not begin with a key frame whose later packets are gone.
        unit.begins_key_frame &= !late || selection.current().is_some();
        if selection.current().is_none() && unit.begins_key_frame {
            rewriter.skip();
            run += 1;
        }
        let header = PacketHeader { seq: packet.seq, timestamp: packet.picture * 3_000, marker: packet.marker };
        match selection.decide(header, &unit, None) {
            verdict @ (Decision::LeaveOut | Decision::Nothing) => {
                let fill = rewriter.leave_out(packet.seq, &unit.counters);
                if let Some(fill) = fill {
                    prop_assert!(received.fills.insert(fill.seq) && !received.packets.contains_key(&fill.seq), "a number twice");
                }
                match verdict {
                    Decision::LeaveOut => received.left_out.insert(packet.seq),
                    // A fill is counted as one.
                    _ => fill.is_none() && received.past.insert(packet.seq),
                };
            }
            Decision::Send { marker } => {
                prop_assert_eq!(marker, packet.marker);
                let incoming = Original { seq: packet.seq, timestamp: header.timestamp, arrival: now };
                let Some(numbers) = rewriter.rewrite(incoming, &unit.counters) else {
                    return Err(TestCaseError::fail("it is within what is sent"));
                };
                let new = numbers.counters.expect("counted");
                if !late {
                    prop_assert!(numbers.timestamp.wrapping_sub(last_timestamp) < 1 << 31, "time goes back");
                    last_timestamp = numbers.timestamp;
                }
                let sent = Out {
                    seq: packet.seq,
                    run,
                    picture: packet.picture,
                    timestamp: numbers.timestamp,
                    counters: (new.picture_id, new.tl0_index),
                    temporal: unit.temporal,
                    sync: unit.sync,
                };
                let before = received.packets.insert(numbers.seq, sent);
                prop_assert!(before.is_none() && !received.fills.contains(&numbers.seq), "a number twice");
            }
        }
    }
    Ok(received)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_gap_is_there_only_where_a_packet_did_not_arrive(fates in fates()) {
        let Received { packets: out, fills, past, .. } = forward(&fates)?;
        let arrived: BTreeSet<u64> = arrivals(&fates).iter().map(|(packet, _)| packet.seq).filter(|seq| !past.contains(seq)).collect();
        let pairs: Vec<_> = out.iter().zip(out.iter().skip(1)).collect();
        for ((before_seq, before), (seq, sent)) in pairs {
            let missing = seq - before_seq - 1;
            if before.run != sent.run {
                prop_assert_eq!(missing, 0, "a run follows the other");
                continue;
            }
            prop_assert!(before.seq < sent.seq, "the order is kept");
            let filled = fills.range(before_seq + 1..*seq).count() as u64;
            let lost = (before.seq + 1..sent.seq).filter(|seq| !arrived.contains(seq)).count() as u64;
            prop_assert_eq!(missing, filled + lost);
        }

    }

    #[test]
    fn no_part_of_a_picture_is_left_out(fates in fates()) {
        let Received { packets: out, left_out, .. } = forward(&fates)?;
        let all = stream(fates.len());
        let left_out: BTreeSet<u32> = all.iter().filter(|packet| left_out.contains(&packet.seq)).map(|packet| packet.picture).collect();
        for sent in out.values() {
            prop_assert!(!left_out.contains(&sent.picture), "picture {}", sent.picture);
        }
    }

    #[test]
    fn every_picture_has_an_id_of_its_own_and_none_is_missing_that_was_not_lost(fates in fates()) {
        let out = forward(&fates)?.packets;
        let all_arrive = !fates.iter().any(|fate| matches!(fate, Fate::Lost | Fate::Late(_)));
        let pairs: Vec<_> = out.values().zip(out.values().skip(1)).collect();
        for (before, sent) in pairs {
            let step = sent.counters.0.wrapping_sub(before.counters.0) & 0x7fff;
            let base_step = sent.counters.1.wrapping_sub(before.counters.1);
            if before.picture == sent.picture {
                prop_assert_eq!((step, base_step, sent.timestamp), (0, 0, before.timestamp));
            } else if all_arrive {
                prop_assert_eq!(step, 1);
                prop_assert_eq!(base_step, u8::from(sent.temporal == 0));
            } else if before.run == sent.run {
                prop_assert!((1..=sent.picture - before.picture).contains(&u32::from(step)));
            }
        }
    }

    /// While nothing is lost, a picture of an upper layer comes after all it may refer to.
    #[test]
    fn whatever_a_picture_refers_to_was_sent(fates in fates()) {
        let kept: Vec<Fate> = fates.iter().map(|fate| if matches!(fate, Fate::Lost | Fate::Late(_)) { Fate::Arrives } else { *fate }).collect();
        let out = forward(&kept)?.packets;
        let sent: BTreeSet<(u32, u32)> = out.values().map(|out| (out.run, out.picture)).collect();
        for picture in out.values().filter(|out| out.temporal > 0) {
            // Without sync: the last picture of each layer up to its own, back to the key frame.
            let earlier = (picture.picture - picture.picture % 40..picture.picture).rev();
            for layer in (0..=picture.temporal).filter(|layer| *layer == 0 || !picture.sync) {
                if let Some(reference) = earlier.clone().find(|earlier| LAYERS[*earlier as usize % 4] == layer) {
                    prop_assert!(sent.contains(&(picture.run, reference)), "{} refers to {reference}", picture.picture);
                }
            }
        }
    }
}

/// A packet of anything: how far from the one before, its time, marker, payload and descriptor.
type Anything = (i64, u32, bool, Vec<u8>, Option<Vec<u8>>);

fn anything() -> impl Strategy<Value = Anything> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..24);
    (prop_oneof![4 => -3i64..5, 1 => -500i64..900], 0u32..4, any::<bool>(), bytes(), prop::option::of(bytes()))
}

proptest! {
    /// Whatever a sender makes up, of whatever format: nothing breaks, and no number is given twice.
    #[test]
    fn no_stream_breaks_them(packets in prop::collection::vec((anything(), 0u8..12), 1..300), codec in 0usize..5) {
        let now = parlor_testkit::clock::Clock::new().now();
        let codec = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1][codec];
        let (mut selection, mut rewriter, mut state) = (Selection::new(OperatingPoint::ALL), Rewriter::new(90_000, 7, 1), State::default());
        let (mut seq, mut timestamp, mut given) = (10_000_i64, 0_u32, BTreeSet::new());
        let mut seen = BTreeSet::new();
        for ((step, later, marker, payload, descriptor), what) in packets {
            seq += step;
            timestamp = timestamp.wrapping_add(later * 3_000);
            let seq = u64::try_from(seq.max(0)).expect("not negative");
            // What arrives twice is sorted out before.
            if !seen.insert(seq) {
                continue;
            }
            match what {
                0 => selection.restart(),
                1 => rewriter.switch(),
                2..5 => selection.aim(OperatingPoint { spatial: what - 2, temporal: what - 2 }),
                _ => {}
            }
            let unit = describe(codec, &payload, marker, descriptor.as_deref(), &mut state);
            let number = match selection.decide(PacketHeader { seq, timestamp, marker }, &unit, state.structure()) {
                Decision::Send { .. } => rewriter.rewrite(Original { seq, timestamp, arrival: now }, &unit.counters).map(|out| out.seq),
                Decision::LeaveOut => rewriter.leave_out(seq, &unit.counters).map(|fill| fill.seq),
                Decision::Nothing => None,
            };
            if let Some(number) = number {
                prop_assert!(given.insert(number), "{number} twice");
            }
        }
    }
}
