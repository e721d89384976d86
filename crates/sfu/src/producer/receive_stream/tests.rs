//! The rules of what is asked for and what is told.

use std::collections::{HashMap, HashSet};

use super::missing::{MAX_AGE, MAX_TRIES};
use super::*;

const RTT: Duration = Duration::from_millis(50);

fn start() -> Instant {
    parlor_testkit::clock::Clock::new().now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask(stream: &mut ReceiveStream, now: Instant) -> Vec<u16> {
    let mut out = Vec::new();
    stream.nacks(now, RTT, &mut out);
    out
}

fn video(numbers: &[u64], now: Instant) -> ReceiveStream {
    let mut stream = ReceiveStream::new(90_000, true);
    for seq in numbers {
        stream.on_packet(*seq, 0, now, false);
    }
    stream
}

#[test]
fn a_hole_is_asked_for_after_three_later_packets_or_ten_milliseconds() {
    let now = start();
    let mut stream = video(&[65_534, 65_536, 65_537], now);
    assert!(ask(&mut stream, now).is_empty());
    assert_eq!(stream.next_nack(), Some(now + ms(10)));
    stream.on_packet(65_538, 0, now, false);
    assert_eq!(ask(&mut stream, now), [65_535]);
    assert_eq!(ask(&mut video(&[1, 3], now), now + ms(10)), [2]);
}

#[test]
fn what_arrives_after_all_is_not_asked_for() {
    let now = start();
    let mut stream = video(&[1, 3, 4, 5], now);
    assert_eq!(stream.on_packet(2, 0, now, true), Arrival::Late);
    assert_eq!(stream.on_packet(2, 0, now, true), Arrival::Again);
    assert!(ask(&mut stream, now + ms(100)).is_empty());
    assert_eq!(stream.next_nack(), None);
    assert!(!stream.take_lost());
}

#[test]
fn a_hole_too_large_needs_a_key_frame() {
    let mut stream = video(&[1, 1_000], start());
    assert!(stream.take_lost() && !stream.take_lost());
    assert!(ask(&mut stream, start() + ms(100)).is_empty());
}

#[test]
fn what_never_comes_is_given_up() {
    let now = start();
    let mut stream = video(&[1, 3], now);
    let asked: usize = (0..=MAX_AGE.as_millis() as u64).map(|at| ask(&mut stream, now + ms(at)).len()).sum();
    assert!(asked > 4 && asked <= usize::from(MAX_TRIES), "{asked}");
    assert!(stream.take_lost() && stream.next_nack().is_none());
}

#[test]
fn audio_asks_for_nothing_and_stays_small() {
    let mut stream = ReceiveStream::new(48_000, false);
    for seq in [1, 5, 9] {
        stream.on_packet(seq, 0, start(), false);
    }
    assert!(stream.next_nack().is_none() && ask(&mut stream, start() + ms(50)).is_empty());
    assert!(size_of::<ReceiveStream>() <= 400, "{}", size_of::<ReceiveStream>());
}

#[test]
fn loss_is_reported_since_the_last_report_and_may_be_negative() {
    let now = start();
    let mut stream = video(&[65_535, 65_536, 65_538, 65_539], now);
    let report = stream.report(7, now);
    assert_eq!((report.fraction_lost, report.lost, report.highest), (51, 1, 65_539));
    assert_eq!(stream.report(7, now).fraction_lost, 0);
    for seq in [65_535; 3] {
        stream.on_packet(seq, 0, now, false);
    }
    assert_eq!(stream.report(7, now).lost, -2);
}

#[test]
fn the_last_sender_report_is_told_back() {
    let now = start();
    let mut stream = video(&[1], now);
    assert_eq!(stream.report(7, now).last_sr, 0);
    stream.on_sender_report(0x1111_2222_3333_4444, now);
    let report = stream.report(7, now + ms(500));
    assert_eq!((report.last_sr, report.delay_since_sr), (0x2222_3333, 32_768));
}

#[test]
fn an_even_stream_has_no_jitter_and_an_uneven_one_has() {
    let now = start();
    let jitter = |wobble: u64| {
        let mut stream = ReceiveStream::new(48_000, false);
        for n in 0..500_u64 {
            let timestamp = (u32::MAX - 5_000).wrapping_add(n as u32 * 960);
            stream.on_packet(n, timestamp, now + ms(n * 20 + n % 2 * wobble), false);
        }
        stream.report(1, now).jitter
    };
    assert_eq!(jitter(0), 0);
    assert!((225..=240).contains(&jitter(5)), "{}", jitter(5));
}

#[test]
fn feedback_tells_arrivals_and_holes_across_the_wrap() {
    let now = start();
    let mut recorder = Recorder::new();
    for (seq, at) in [(65_535, 0), (1, 2), (1, 3)] {
        recorder.record(seq, now + ms(at));
    }
    assert!(recorder.take(now + ms(99)).is_none());
    let report = recorder.take(now + ms(100)).expect("due");
    assert_eq!((report.base, report.arrivals), (65_535, &[Some(0), None, Some(2_000)][..]));
    recorder.record(0, now + ms(101));
    let report = recorder.take(now + ms(201)).expect("due");
    assert_eq!((report.base, report.arrivals), (0, &[Some(101_000), Some(2_000)][..]));
    assert!(recorder.due().is_none());
}

proptest::proptest! {
    #[test]
    fn holes_are_asked_for_not_too_often_and_never_twice_within_the_rtt(
        fates in proptest::collection::vec((0_u8..10, 0_u64..30), 2..300), first in 65_400_u64..65_600
    ) {
        let now = start();
        let mut arrivals: Vec<(u64, u64)> = Vec::new();
        for (n, (fate, late)) in fates.iter().enumerate() {
            let n = n as u64;
            match fate {
                0 => {}
                1 => arrivals.push((n * 5 + late, n)),
                2 => arrivals.extend([(n * 5, n), (n * 5 + late, n)]),
                _ => arrivals.push((n * 5, n)),
            }
        }
        arrivals.sort_unstable();
        let mut stream = ReceiveStream::new(90_000, true);
        let mut here = HashSet::new();
        let mut asked: HashMap<u16, Vec<u64>> = HashMap::new();
        let mut left = arrivals.iter().peekable();
        for at in 0..2_000_u64 {
            while let Some((_, n)) = left.next_if(|(when, _)| *when == at) {
                let again = stream.on_packet(first + n, 0, now + ms(at), false) == Arrival::Again;
                proptest::prop_assert_eq!(again, !here.insert((first + n) as u16));
            }
            for seq in ask(&mut stream, now + ms(at)) {
                proptest::prop_assert!(!here.contains(&seq));
                asked.entry(seq).or_default().push(at);
            }
        }
        for times in asked.values() {
            proptest::prop_assert!(times.len() <= usize::from(MAX_TRIES));
            proptest::prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 50));
        }
        if let (Some((_, begin)), Some(end)) = (arrivals.first(), arrivals.iter().map(|(_, n)| *n).max()) {
            for n in *begin..end {
                let seq = (first + n) as u16;
                proptest::prop_assert!(here.contains(&seq) || asked.contains_key(&seq));
            }
            let lowest = arrivals.iter().map(|(_, n)| *n).min().unwrap_or(0);
            let model = (end - lowest + 1) as i32 - arrivals.len() as i32;
            proptest::prop_assert_eq!(stream.report(1, now).lost, model);
        }
    }

    #[test]
    fn no_numbers_break_a_stream_or_a_recorder(
        steps in proptest::collection::vec((proptest::num::u64::ANY, proptest::num::u32::ANY, 0_u64..20_000), 1..200)
    ) {
        let now = start();
        let mut stream = ReceiveStream::new(0, true);
        let mut recorder = Recorder::new();
        for (seq, timestamp, at) in steps {
            let near = stream.extend(seq as u16);
            stream.on_packet(if timestamp % 8 == 0 { seq } else { near }, timestamp, now + ms(at), false);
            stream.on_sender_report(seq, now + ms(at));
            let _ = stream.report(1, now);
            proptest::prop_assert!(ask(&mut stream, now + ms(at)).len() <= super::missing::MAX_HOLES);
            recorder.record(seq as u16, now + ms(at));
            proptest::prop_assert!(recorder.len() <= super::recorder::MAX_NUMBERS);
            while let Some(report) = recorder.take(now + ms(at)) {
                proptest::prop_assert!(report.arrivals.len() <= super::recorder::MAX_REPORT && report.arrivals.iter().any(Option::is_some));
            }
        }
    }
}
