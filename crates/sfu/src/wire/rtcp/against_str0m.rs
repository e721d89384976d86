//! What is built is read the same way by an implementation that is not ours.

use std::time::Duration;

use parlor_testkit::clock::Clock;
use proptest::prelude::*;
use str0m::rtp::rtcp::Rtcp as Theirs;

use super::*;

/// Their reading of a datagram with one packet.
fn theirs(build: impl FnOnce(&mut Builder<'_>)) -> Theirs {
    let mut bytes = Vec::new();
    build(&mut Builder::new(&mut bytes, 1));
    Theirs::try_from(&bytes[..]).expect("a packet they read")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reports_mean_the_same(ssrc: u32, rtp: u32, packets: u32, octets: u32, lost in 0..0x80_0000i32, highest: u32, jitter: u32) {
        let info = SenderInfo { ssrc, ntp: 0xe000_0000_8000_0000, rtp, packets, octets };
        let Theirs::SenderReport(report) = theirs(|b| assert!(b.sender_report(&info))) else { panic!("no sender report") };
        prop_assert_eq!(*report.sender_info.ssrc, ssrc);
        prop_assert_eq!(report.sender_info.rtp_time.numer(), u64::from(rtp));
        prop_assert_eq!((report.sender_info.sender_packet_count, report.sender_info.sender_octet_count), (packets, octets));

        let block = ReportBlock { ssrc, fraction_lost: 3, lost, highest, jitter, last_sr: 4, delay_since_sr: 5 };
        let Theirs::ReceiverReport(report) = theirs(|b| assert_eq!(b.receiver_report(&[block]), 1)) else { panic!("no receiver report") };
        let read = report.reports.get(0).expect("a block");
        prop_assert_eq!((*read.ssrc, read.fraction_lost, i32::try_from(read.packets_lost)), (ssrc, 3, Ok(lost)));
        prop_assert_eq!((read.max_seq, read.jitter, read.last_sr_time, read.last_sr_delay), (highest, jitter, 4, 5));
    }

    #[test]
    fn requests_mean_the_same(media: u32, number: u8, bitrate in 0u64..1 << 40, first: u16) {
        let lost = [first, first.wrapping_add(1), first.wrapping_add(16), first.wrapping_add(17)];
        let Theirs::Nack(nack) = theirs(|b| assert_eq!(b.nack(media, &lost), 4)) else { panic!("no nack") };
        prop_assert_eq!(*nack.ssrc, media);
        prop_assert_eq!(nack.reports.iter().map(|entry| (entry.pid, entry.blp)).collect::<Vec<_>>(), vec![(first, 0x8001), (lost[3], 0)]);
        let Theirs::Pli(pli) = theirs(|b| assert!(b.pli(media))) else { panic!("no pli") };
        prop_assert_eq!(*pli.ssrc, media);
        let Theirs::Fir(fir) = theirs(|b| assert!(b.fir(media, number))) else { panic!("no fir") };
        prop_assert_eq!(fir.reports.iter().map(|entry| (*entry.ssrc, entry.seq_no)).collect::<Vec<_>>(), vec![(media, number)]);
        let Theirs::Remb(remb) = theirs(|b| assert!(b.remb(bitrate, &[media]))) else { panic!("no remb") };
        prop_assert!(f64::from(remb.bitrate) <= bitrate as f64 && f64::from(remb.bitrate) >= bitrate as f64 * 0.9999);
        prop_assert_eq!(remb.ssrcs, vec![media]);
        let Theirs::Goodbye(bye) = theirs(|b| assert_eq!(b.bye(&[media, 2]), 2)) else { panic!("no bye") };
        prop_assert_eq!(bye.reports.iter().map(|ssrc| **ssrc).collect::<Vec<_>>(), vec![media, 2]);
        let Theirs::SourceDescription(names) = theirs(|b| assert!(b.cname(media, "parlor"))) else { panic!("no name") };
        let name = names.reports.get(0).expect("a source");
        prop_assert_eq!(*name.ssrc, media);
        prop_assert_eq!(name.values.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(), vec!["parlor"]);
    }

    #[test]
    fn transport_feedback_means_the_same(
        base in 1u16..60_000,
        steps in prop::collection::vec(prop_oneof![
            5 => (0i64..60).prop_map(Some), 2 => Just(None), 1 => (-2_000i64..8_000).prop_map(Some)], 1..300),
    ) {
        let mut time = 100_000;
        let times: Vec<_> = steps.into_iter().map(|step| { time += step?; Some(time * 1_000) }).collect();
        prop_assume!(times.iter().any(Option::is_some));
        let mut taken = 0;
        let Theirs::Twcc(feedback) = theirs(|b| taken = b.transport_feedback(7, 3, base, &times)) else { panic!("no feedback") };
        prop_assert_eq!((*feedback.ssrc, feedback.feedback_count), (7, 3));
        let zero = Clock::new().now();
        let read: Vec<_> = feedback.into_iter(zero, u64::from(base).into()).map(|(seq, _, time)| (*seq, time)).collect();
        let said: Vec<_> = (u64::from(base)..)
            .zip(&times[..taken])
            .map(|(seq, time)| (seq, time.map(|time| zero + Duration::from_micros(u64::try_from(time).expect("after zero")))))
            .collect();
        prop_assert_eq!(read, said);
    }
}
