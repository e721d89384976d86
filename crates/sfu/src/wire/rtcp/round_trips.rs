//! What is built is read again, whatever it says, and no bytes break the reader.

use proptest::prelude::*;

use super::*;

/// Sends everything of a list, as many datagrams as it takes. Each of them is checked to be bounded.
fn datagrams<T>(items: &[T], mut piece: impl FnMut(&mut Builder<'_>, &[T]) -> usize) -> Vec<Vec<u8>> {
    let mut rest = items;
    let mut sent = Vec::new();
    while !rest.is_empty() {
        let mut bytes = Vec::new();
        let taken = piece(&mut Builder::new(&mut bytes, 1), rest);
        assert!(taken > 0, "an empty datagram has room");
        assert!(bytes.len() <= MAX_RTCP && bytes.len().is_multiple_of(4));
        rest = &rest[taken..];
        sent.push(bytes);
    }
    sent
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<u32>(), any::<u8>(), -0x80_0000..0x80_0000i32, any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(
        |(ssrc, fraction_lost, lost, highest, jitter, last_sr, delay_since_sr)| ReportBlock {
            ssrc,
            fraction_lost,
            lost,
            highest,
            jitter,
            last_sr,
            delay_since_sr,
        },
    )
}

/// Times of arrival as they happen: mostly close together, some lost, some late, some far off.
fn times() -> impl Strategy<Value = Vec<Option<i64>>> {
    let step = prop_oneof![
        6 => (0i64..20_000).prop_map(Some),
        3 => Just(None),
        1 => (-200_000i64..200_000).prop_map(Some),
        1 => (-20_000_000i64..20_000_000).prop_map(Some),
    ];
    let stretch = (step, prop_oneof![4 => Just(1usize), 2 => 1usize..20, 1 => 1usize..3_000]);
    (0i64..1_000_000_000, prop::collection::vec(stretch, 1..40)).prop_map(|(start, stretches)| {
        let mut time = start;
        let mut times = Vec::new();
        for (step, count) in stretches {
            times.extend((0..count).map(|_| {
                time += step?;
                Some(time)
            }));
        }
        times
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Passing over what is of no interest changes nothing about what is.
    #[test]
    fn feedback_within_a_window_tells_the_same_of_it(times in times(), base in any::<u16>(), first in any::<u16>(), known in 0..=4_096_u16) {
        let window = |seq: u16| seq.wrapping_sub(first) < known;
        let mut base = base;
        for bytes in datagrams(&times, |builder, rest| builder.transport_feedback(7, 0, 0, rest)) {
            for packet in parse(&bytes) {
                let Rtcp::TransportFeedback(mut feedback) = packet else { continue };
                feedback.base = base;
                let all: Vec<_> = feedback.iter().filter(|(seq, _)| window(*seq)).collect();
                let within: Vec<_> = feedback.iter().within(first, known).collect();
                let of_interest: Vec<_> = within.iter().copied().filter(|(seq, _)| window(*seq)).collect();
                prop_assert_eq!(all, of_interest);
                base = base.wrapping_add(feedback.count);
            }
        }
    }

    #[test]
    fn reports(ssrc: u32, ntp: u64, rtp: u32, packets: u32, octets: u32, blocks in prop::collection::vec(block(), 1..80)) {
        let info = SenderInfo { ssrc, ntp, rtp, packets, octets };
        let mut read = Vec::new();
        for bytes in datagrams(&blocks, |builder, rest| {
            assert!(builder.sender_report(&info) && builder.cname(ssrc, "parlor"));
            builder.receiver_report(rest)
        }) {
            let mut packets = parse(&bytes);
            let Some(Rtcp::SenderReport { info: first, reports }) = packets.next() else { panic!("no sender report") };
            prop_assert_eq!((first, reports.count()), (info, 0));
            let Some(Rtcp::ReceiverReport { ssrc: 1, reports }) = packets.next() else { panic!("no receiver report") };
            read.extend(reports);
            prop_assert!(packets.next().is_none());
        }
        prop_assert_eq!(read, blocks);
    }

    #[test]
    fn nacks(media: u32, lost in prop::collection::btree_set(any::<u16>(), 1..800)) {
        let lost: Vec<_> = lost.into_iter().collect();
        let mut read = Vec::new();
        for bytes in datagrams(&lost, |builder, rest| builder.nack(media, rest)) {
            for packet in parse(&bytes) {
                let Rtcp::Nack { media: of, lost } = packet else { panic!("no nack") };
                prop_assert_eq!(of, media);
                read.extend(lost);
            }
        }
        prop_assert_eq!(read, lost);
    }

    #[test]
    fn unordered_nacks_name_the_same_packets(lost in prop::collection::vec(any::<u16>(), 1..200)) {
        let mut read = std::collections::BTreeSet::new();
        for bytes in datagrams(&lost, |builder, rest| builder.nack(7, rest)) {
            for packet in parse(&bytes) {
                let Rtcp::Nack { lost, .. } = packet else { panic!("no nack") };
                read.extend(lost);
            }
        }
        prop_assert_eq!(read, lost.into_iter().collect());
    }

    #[test]
    fn requests_and_goodbyes(media: u32, number: u8, ssrcs in prop::collection::vec(any::<u32>(), 1..100)) {
        let mut read = Vec::new();
        for bytes in datagrams(&ssrcs, |builder, rest| {
            assert!(builder.pli(media) && builder.fir(media, number));
            builder.bye(rest)
        }) {
            let mut packets = parse(&bytes);
            let Some(Rtcp::Pli { media: of }) = packets.next() else { panic!("no pli") };
            prop_assert_eq!(of, media);
            let Some(Rtcp::Fir { entries }) = packets.next() else { panic!("no fir") };
            prop_assert_eq!(entries.collect::<Vec<_>>(), vec![crate::wire::rtcp::feedback::FirEntry { media, number }]);
            let Some(Rtcp::Bye { ssrcs }) = packets.next() else { panic!("no bye") };
            read.extend(ssrcs);
        }
        prop_assert_eq!(read, ssrcs);
    }

    #[test]
    fn a_bitrate_is_never_more_than_wanted_and_hardly_less(shift in 0u32..64, bits: u64, ssrcs in prop::collection::vec(any::<u32>(), 0..100)) {
        let wanted = bits >> shift;
        let mut bytes = Vec::new();
        prop_assert!(Builder::new(&mut bytes, 1).remb(wanted, &ssrcs));
        let Some(Rtcp::Remb { bitrate, ssrcs: named }) = parse(&bytes).next() else { panic!("no remb") };
        prop_assert!(bitrate <= wanted && wanted - bitrate <= wanted >> 17, "{} became {}", wanted, bitrate);
        prop_assert_eq!(named.collect::<Vec<_>>(), ssrcs.into_iter().take(crate::wire::rtcp::build::MAX_REMB_SSRCS).collect::<Vec<_>>());
    }

    #[test]
    fn transport_feedback(base: u16, used in 0usize..40, times in times()) {
        let mut number = 0u8;
        let mut seq = base;
        let mut read = Vec::new();
        for bytes in datagrams(&times, |builder, rest| {
            for _ in 0..used {
                assert!(builder.fir(1, 1));
            }
            // A reader takes no more than this of one datagram; that has a test of its own.
            let rest = rest.get(..usize::from(crate::wire::rtcp::MAX_STATUSES)).unwrap_or(rest);
            let taken = builder.transport_feedback(7, number, seq, rest);
            number = number.wrapping_add(1);
            seq = seq.wrapping_add(u16::try_from(taken).expect("bounded"));
            taken
        }) {
            for packet in parse(&bytes) {
                match packet {
                    Rtcp::TransportFeedback(feedback) => read.extend(feedback.iter()),
                    Rtcp::Fir { .. } => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        // Times are cut to units of 250 µs and do not drift; the last losses may go unsaid.
        let mut seq = base;
        for (index, time) in times.iter().enumerate() {
            match read.get(index) {
                Some(said) => prop_assert_eq!(*said, (seq, time.map(|time| time.div_euclid(250) * 250))),
                None => prop_assert_eq!(*time, None),
            }
            seq = seq.wrapping_add(1);
        }
    }

    #[test]
    fn a_full_datagram_takes_nothing_and_stays_as_it_was(used in 0usize..20, lost: [u16; 20], times in times()) {
        let mut bytes = vec![1, 2, 3];
        let mut builder = Builder::new(&mut bytes, 1);
        for _ in 0..3 * used {
            builder.fir(1, 1);
        }
        while builder.pli(1) {}
        prop_assert_eq!(builder.len(), MAX_RTCP);
        prop_assert!(!builder.sender_report(&SenderInfo::default()) && !builder.cname(1, "x") && !builder.remb(1, &[]));
        prop_assert_eq!((builder.receiver_report(&[ReportBlock::default()]), builder.bye(&[1]), builder.nack(1, &lost)), (0, 0, 0));
        if times.iter().any(Option::is_some) {
            prop_assert_eq!(builder.transport_feedback(7, 1, 1, &times), 0);
        }
        prop_assert_eq!(builder.len(), MAX_RTCP);
        prop_assert_eq!(&bytes[..3], &[1, 2, 3]);
        prop_assert_eq!(parse(&bytes[3..]).count(), 3 * used + (MAX_RTCP - 60 * used) / 12);
    }

    #[test]
    fn no_bytes_break_the_reader(
        packets in prop::collection::vec((0u8..32, 199u8..208, any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..6),
        tail in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = Vec::new();
        for (count, kind, padded, body) in &packets {
            let words = u8::try_from(body.len() / 4).expect("short");
            bytes.extend([0x80 | u8::from(*padded) << 5 | count, *kind, 0, words]);
            bytes.extend(&body[..4 * usize::from(words)]);
        }
        bytes.extend(&tail);
        walk(&bytes);
        walk(&tail);
    }
}

/// Reads everything there is.
fn walk(bytes: &[u8]) {
    for packet in parse(bytes) {
        match packet {
            Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } => assert!(reports.count() <= MAX_BLOCKS),
            Rtcp::Nack { lost, .. } => assert!(lost.count() <= 17 * bytes.len() / 4),
            Rtcp::Pli { .. } => {}
            Rtcp::Fir { entries } => assert!(entries.count() <= bytes.len() / 8),
            Rtcp::Remb { ssrcs, .. } | Rtcp::Bye { ssrcs } => assert!(ssrcs.count() <= bytes.len() / 4),
            Rtcp::TransportFeedback(feedback) => assert_eq!(feedback.iter().count(), usize::from(feedback.count)),
        }
    }
}
