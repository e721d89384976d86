//! RTCP byte by byte, as the documents draw it.

use super::*;

fn built(build: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    build(&mut Builder::new(&mut bytes, 0x0a0b_0c0d));
    bytes
}

const INFO: SenderInfo = SenderInfo { ssrc: 0x0102_0304, ntp: 0x1122_3344_5566_7788, rtp: 0x99aa_bbcc, packets: 5, octets: 600 };

const BLOCK: ReportBlock =
    ReportBlock { ssrc: 7, fraction_lost: 64, lost: -2, highest: 0x0001_fffe, jitter: 9, last_sr: 0x3344_5566, delay_since_sr: 0x8000 };

#[rustfmt::skip]
const BLOCK_BYTES: [u8; 24] = [
    0, 0, 0, 7, 64, 0xff, 0xff, 0xfe, 0, 1, 0xff, 0xfe, 0, 0, 0, 9, 0x33, 0x44, 0x55, 0x66, 0, 0, 0x80, 0,
];

#[test]
fn a_sender_report_is_drawn_in_rfc_3550_section_6_4_1() {
    #[rustfmt::skip]
    let expected = [
        0x80, 200, 0, 6, 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,
        0x99, 0xaa, 0xbb, 0xcc, 0, 0, 0, 5, 0, 0, 2, 0x58,
    ];
    assert_eq!(built(|b| assert!(b.sender_report(&INFO))), expected);
    let mut with_block = expected.to_vec();
    with_block[0] = 0x81;
    with_block[3] = 12;
    with_block.extend(BLOCK_BYTES);
    let Some(Rtcp::SenderReport { info, reports }) = parse(&with_block).next() else { panic!("no sender report") };
    assert_eq!((info, reports.collect::<Vec<_>>()), (INFO, vec![BLOCK]));
}

#[test]
fn a_receiver_report_is_drawn_in_rfc_3550_section_6_4_2() {
    let bytes = built(|b| assert_eq!(b.receiver_report(&[BLOCK]), 1));
    assert_eq!(bytes[..8], [0x81, 201, 0, 7, 10, 11, 12, 13]);
    assert_eq!(bytes[8..], BLOCK_BYTES);
    assert_eq!(built(|b| assert_eq!(b.receiver_report(&[]), 0)), [0x80, 201, 0, 1, 10, 11, 12, 13]);
}

#[test]
fn what_is_lost_in_all_stays_within_24_bits() {
    for (lost, written) in [(i32::MAX, [0x7f, 0xff, 0xff]), (i32::MIN, [0x80, 0, 0]), (-1, [0xff; 3]), (1, [0, 0, 1])] {
        let bytes = built(|b| assert_eq!(b.receiver_report(&[ReportBlock { lost, ..BLOCK }]), 1));
        assert_eq!(bytes[13..16], written, "{lost}");
    }
}

#[test]
fn a_name_ends_with_a_zero_on_a_boundary_of_four() {
    // RFC 3550, section 6.5: behind a name that ends on a boundary stand four zeros.
    assert_eq!(built(|b| assert!(b.cname(1, "a"))), [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0]);
    assert_eq!(built(|b| assert!(b.cname(1, "ab"))), [0x81, 202, 0, 3, 0, 0, 0, 1, 1, 2, b'a', b'b', 0, 0, 0, 0]);
    let long = "ü".repeat(200);
    let bytes = built(|b| assert!(b.cname(1, &long)));
    assert_eq!((bytes.len(), bytes[9]), (268, 254), "cut between characters");
}

#[test]
fn a_bye_is_drawn_in_rfc_3550_section_6_6() {
    assert_eq!(built(|b| assert_eq!(b.bye(&[1, 2]), 2)), [0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert_eq!(built(|b| assert_eq!(b.bye(&[]), 0)), [0; 0]);
}

#[test]
fn a_nack_packs_the_16_numbers_behind_one() {
    let bytes = built(|b| assert_eq!(b.nack(7, &[100, 101, 116, 117, 65_535, 0, 15]), 7));
    #[rustfmt::skip]
    let expected = [
        0x81, 205, 0, 5, 10, 11, 12, 13, 0, 0, 0, 7,
        0, 100, 0x80, 0x01, 0, 117, 0, 0, 0xff, 0xff, 0x80, 0x01,
    ];
    assert_eq!(bytes, expected);
    let Some(Rtcp::Nack { media: 7, lost }) = parse(&bytes).next() else { panic!("no nack") };
    assert_eq!(lost.collect::<Vec<_>>(), [100, 101, 116, 117, 65_535, 0, 15]);
}

#[test]
fn key_frame_requests_are_drawn_in_rfc_4585_and_rfc_5104() {
    assert_eq!(built(|b| assert!(b.pli(7))), [0x81, 206, 0, 2, 10, 11, 12, 13, 0, 0, 0, 7]);
    assert_eq!(built(|b| assert!(b.fir(7, 200))), [0x84, 206, 0, 4, 10, 11, 12, 13, 0, 0, 0, 0, 0, 0, 0, 7, 200, 0, 0, 0]);
}

#[test]
fn a_bitrate_has_18_bits_and_an_exponent() {
    let bytes = built(|b| assert!(b.remb(262_144, &[7])));
    #[rustfmt::skip]
    let expected = [
        0x8f, 206, 0, 5, 10, 11, 12, 13, 0, 0, 0, 0, b'R', b'E', b'M', b'B', 1, 0x06, 0, 0, 0, 0, 0, 7,
    ];
    assert_eq!(bytes, expected);
    let mut endless = bytes;
    endless[17] = 0xff;
    assert!(matches!(parse(&endless).next(), Some(Rtcp::Remb { bitrate: u64::MAX, .. })));
    endless[16] = 2;
    assert!(parse(&endless).next().is_none(), "more streams than there are");
    endless[12] = b'X';
    endless.extend(built(|b| assert!(b.pli(1))));
    assert!(matches!(parse(&endless).next(), Some(Rtcp::Pli { media: 1 })), "other feedback of applications is skipped");
}

fn arrivals(bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
    let Some(Rtcp::TransportFeedback(feedback)) = parse(bytes).next() else { panic!("no feedback") };
    feedback.iter().collect()
}

#[test]
fn transport_feedback_of_every_chunk_is_read() {
    #[rustfmt::skip]
    let bytes = [
        0x8f, 205, 0, 8, 10, 11, 12, 13, 0, 0, 0, 7,
        // From 65,534 on 19 packets, reference time -1, the third feedback.
        0xff, 0xfe, 0, 19, 0xff, 0xff, 0xff, 3,
        // A run of two that came; one bit each: 1 and 14; two bits each: large, lost, reserved.
        0x20, 2, 0xa0, 0x01, 0xe3, 0,
        // 4 and 8 units; 1 and 2 units; -4 units. Then padding.
        4, 8, 1, 2, 0xff, 0xfc, 0, 0, 0, 0,
    ];
    let mut expected = vec![(65_534, Some(-63_000)), (65_535, Some(-61_000))];
    expected.extend((0..14).map(|seq| (seq, None)));
    expected[2].1 = Some(-60_750);
    expected[15].1 = Some(-60_250);
    expected.extend([(14, Some(-61_250)), (15, None), (16, None)]);
    let mut bytes = bytes.to_vec();
    bytes[22] = 0xa0;
    assert_eq!(arrivals(&bytes), expected);
}

#[test]
fn transport_feedback_that_lies_about_its_length_ends_the_reading() {
    let times: Vec<_> = (0..10).map(|n| Some(n * 1_000)).collect();
    let bytes = built(|b| {
        assert_eq!(b.transport_feedback(7, 0, 1, &times), 10);
        assert!(b.pli(1));
    });
    assert_eq!(parse(&bytes).count(), 2);
    for count in [11, 200, 65_535u16] {
        let mut lying = bytes.clone();
        lying[14..16].copy_from_slice(&count.to_be_bytes());
        // The run is as long as the count wants, yet there are no times for it.
        lying[20..22].copy_from_slice(&(0x2000 | count.min(8_191)).to_be_bytes());
        assert_eq!(parse(&lying).count(), 0, "{count} without times");
        lying[20..22].copy_from_slice(&0x200au16.to_be_bytes());
        lying[22..].fill(0);
        assert_eq!(parse(&lying).count(), 0, "{count} without chunks");
    }
}

#[test]
fn one_datagram_does_not_make_us_look_at_millions_of_packets() {
    let mut bytes = Vec::new();
    for _ in 0..33 {
        bytes.extend([0x8f, 205, 0, 8, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0xff, 0xf8, 0, 0, 0, 0]);
        bytes.extend([0x1f, 0xff].repeat(8));
    }
    bytes.extend(built(|b| assert!(b.pli(1))));
    assert_eq!(parse(&bytes).map(|packet| matches!(packet, Rtcp::Pli { .. })).collect::<Vec<_>>(), [true]);
    let run = [0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0x1f, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0, 0].repeat(50);
    assert_eq!(parse(&run).count(), 1, "all of a datagram share the limit");
}

#[test]
fn transport_feedback_takes_the_shortest_chunks() {
    let lost = [None; 100];
    let mut times = vec![Some(64_000), Some(64_250)];
    times.extend(lost);
    times.push(Some(64_000 + 250));
    let bytes = built(|b| assert_eq!(b.transport_feedback(7, 9, 0, &times), 103));
    #[rustfmt::skip]
    let expected = [
        0x8f, 205, 0, 7, 10, 11, 12, 13, 0, 0, 0, 7,
        0, 0, 0, 103, 0, 0, 1, 9,
        // One bit each for 14, a run of 88 lost, a run of one; 0, 1 and 0 units, then padding.
        0xb0, 0, 0, 88, 0x20, 1, 0, 1, 0, 0, 0, 0,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn a_time_that_cannot_be_written_ends_the_feedback() {
    let second = 1_000_000;
    let times = [Some(0), None, Some(9 * second), Some(9 * second), None, Some(0)];
    let mut rest = &times[..];
    let mut taken = Vec::new();
    while !rest.is_empty() {
        let mut count = 0;
        let bytes = built(|b| count = b.transport_feedback(7, 0, 0, rest));
        let whole: Vec<_> = rest[..count].iter().map(|time| time.map(|time| time / 250 * 250)).collect();
        assert_eq!(arrivals(&bytes).iter().map(|(_, time)| *time).collect::<Vec<_>>(), whole);
        taken.push(count);
        rest = &rest[count..];
    }
    assert_eq!(taken, [2, 3, 1]);
}

#[test]
fn nothing_is_said_of_packets_that_may_still_come() {
    assert_eq!(built(|b| assert_eq!(b.transport_feedback(7, 0, 0, &[None; 5]), 5)), [0; 0]);
    assert_eq!(built(|b| assert_eq!(b.transport_feedback(7, 0, 0, &[]), 0)), [0; 0]);
    // What arrived behind as many as the count can tell is left for the next one.
    let mut times = vec![None; 65_535];
    times.push(Some(0));
    assert_eq!(built(|b| assert_eq!(b.transport_feedback(7, 0, 0, &times), 65_535)), [0; 0]);
}

#[test]
fn the_reference_time_comes_round() {
    let time = (64_000 << 24) + 128_000;
    let bytes = built(|b| assert_eq!(b.transport_feedback(7, 0, 0, &[Some(time)]), 1));
    assert_eq!(arrivals(&bytes), [(0, Some(128_000))]);
}

#[test]
fn a_malformed_packet_ends_a_compound_and_an_unknown_one_does_not() {
    let pli = built(|b| assert!(b.pli(1)));
    let unknown = [0x81, 207, 0, 1, 0, 0, 0, 1];
    assert_eq!(parse(&[&pli[..], &unknown, &pli].concat()).count(), 2);
    let another_version = [0x41, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1];
    let too_short = [0x81, 206, 0, 1, 0, 0, 0, 1];
    let too_long = [0x81, 206, 0, 200, 0, 0, 0, 1, 0, 0, 0, 1];
    let too_few_blocks = [0x81, 201, 0, 1, 0, 0, 0, 1];
    let all_padding = [0xa1, 206, 0, 1, 0, 0, 0, 8];
    for malformed in [&another_version[..], &too_short, &too_long, &too_few_blocks, &all_padding] {
        assert_eq!(parse(&[&pli[..], malformed, &pli].concat()).count(), 1, "{malformed:?}");
    }
    assert_eq!(parse(&[&pli[..], &pli[..11]].concat()).count(), 1, "cut short");
}

#[test]
fn padding_is_taken_off_before_a_packet_is_read() {
    let bytes = [0xa1, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 7, 0, 9, 0, 0, 0, 0, 0, 4];
    let Some(Rtcp::Nack { lost, .. }) = parse(&bytes).next() else { panic!("no nack") };
    assert_eq!(lost.collect::<Vec<_>>(), [9]);
}
