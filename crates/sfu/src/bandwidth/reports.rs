//! Whatever a receiver reports, and whoever reports nothing.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Bandwidth, MAX_BITRATE, MIN_BITRATE, ProbeId};

fn start() -> Instant {
    parlor_testkit::clock::Clock::new().now()
}

#[derive(Clone, Debug)]
enum Step {
    Wait(u64),
    Send(usize, Option<u8>),
    Pad(usize),
    Report(Vec<(u16, Option<i64>)>),
    /// Everything lately sent arrived at once, or one after the other.
    Flatter(u16, i64, i64),
    Loss(f32),
    Rtt(Duration),
    Want(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let arrival = prop_oneof![any::<Option<i64>>(), (0..10_000_000_i64).prop_map(Some)];
    prop_oneof![
        prop_oneof![0..200_000_u64, any::<u32>().prop_map(u64::from)].prop_map(Step::Wait),
        (prop_oneof![0..2_000_usize, any::<usize>()], any::<Option<u8>>()).prop_map(|(bytes, probe)| Step::Send(bytes, probe)),
        (0..20_usize).prop_map(Step::Pad),
        prop::collection::vec((prop_oneof![0..300_u16, any::<u16>()], arrival), 0..100).prop_map(Step::Report),
        (any::<u16>(), any::<i64>(), prop_oneof![0..1_000_i64, any::<i64>()]).prop_map(|(count, at, step)| Step::Flatter(count, at, step)),
        any::<f32>().prop_map(Step::Loss),
        any::<Duration>().prop_map(Step::Rtt),
        any::<u64>().prop_map(Step::Want),
    ]
}

fn take(bandwidth: &mut Bandwidth, now: &mut Instant, number: &mut u16, step: Step) {
    match step {
        Step::Wait(micros) => *now += Duration::from_micros(micros),
        Step::Send(bytes, probe) => *number = bandwidth.sent(bytes, *now, probe.map(ProbeId)),
        Step::Pad(times) => {
            for _ in 0..times {
                if let Some(request) = bandwidth.padding(*now) {
                    *number = bandwidth.sent(request.bytes, *now, Some(request.probe));
                }
                *now = bandwidth.next_timeout().map_or(*now, |timeout| timeout.max(*now));
            }
        }
        Step::Report(reports) => bandwidth.on_feedback(reports.into_iter(), *now),
        Step::Flatter(count, at, step) => {
            let arrivals = (0..=i64::from(count)).map(|nth| Some(at.saturating_add(nth.saturating_mul(step))));
            let first = number.wrapping_sub(count);
            bandwidth.on_feedback((0..=count).map(|nth| first.wrapping_add(nth)).zip(arrivals), *now);
        }
        Step::Loss(fraction) => bandwidth.on_loss(fraction, *now),
        Step::Rtt(rtt) => bandwidth.on_rtt(rtt),
        Step::Want(bitrate) => bandwidth.want(bitrate, *now),
    }
}

proptest! {
    #[test]
    fn no_report_breaks_it_or_lifts_it_beyond_its_bounds(steps in prop::collection::vec(step(), 0..200), first in any::<u64>()) {
        let mut now = start();
        let mut bandwidth = Bandwidth::new(first, now);
        let mut number = 0;
        for step in steps {
            take(&mut bandwidth, &mut now, &mut number, step);
            prop_assert!((MIN_BITRATE..=MAX_BITRATE).contains(&bandwidth.estimate()));
            prop_assert!(bandwidth.rtt() <= super::MAX_RTT);
        }
    }
}

#[test]
fn a_receiver_that_never_reports_keeps_what_it_began_with_and_is_not_probed_for_ever() {
    let (mut now, mut padded, mut late) = (start(), 0, 0);
    let mut bandwidth = Bandwidth::new(300_000, now);
    bandwidth.want(1_500_000, now);
    for millis in 0..60_000 {
        if millis % 20 == 0 {
            bandwidth.sent(1_000, now, None);
        }
        while let Some(request) = bandwidth.padding(now) {
            padded += request.bytes;
            late += if millis > 20_000 { request.bytes } else { 0 };
            bandwidth.sent(request.bytes, now, Some(request.probe));
        }
        now += Duration::from_millis(1);
    }
    assert_eq!(bandwidth.estimate(), 300_000);
    assert!(padded > 0 && late == 0, "{padded}, late {late}");
}

#[test]
fn receiver_reports_steer_who_has_nothing_better() {
    let mut now = start();
    let mut bandwidth = Bandwidth::new(1_000_000, now);
    bandwidth.want(1_500_000, now);
    for (fraction, is_as_expected) in [(0.0, u64::gt as fn(&u64, &u64) -> bool), (0.05, u64::eq), (0.5, u64::lt), (f32::NAN, u64::eq)] {
        let before = bandwidth.estimate();
        now += Duration::from_secs(1);
        bandwidth.on_loss(fraction, now);
        assert!(is_as_expected(&bandwidth.estimate(), &before), "{fraction}: {before} -> {}", bandwidth.estimate());
    }
}

#[test]
fn who_has_no_padding_is_not_asked_without_end() {
    let now = start();
    let mut bandwidth = Bandwidth::new(300_000, now);
    bandwidth.want(1_500_000, now);
    assert!(bandwidth.padding(now).is_some_and(|request| request.bytes >= 1_000));
    assert_eq!(bandwidth.padding(now), None);
    assert!(bandwidth.next_timeout().is_some_and(|timeout| timeout >= now + Duration::from_secs(1)));
}

#[test]
fn nothing_is_probed_for_beyond_what_is_wanted() {
    let now = start();
    let mut bandwidth = Bandwidth::new(300_000, now);
    assert_eq!((bandwidth.padding(now), bandwidth.next_timeout()), (None, None));
    bandwidth.want(200_000, now);
    assert_eq!((bandwidth.padding(now), bandwidth.next_timeout()), (None, None));
}

#[test]
fn numbers_are_consecutive_over_the_wrap() {
    let now = start();
    let mut bandwidth = Bandwidth::new(300_000, now);
    assert!((0..140_000_u32).all(|count| u32::from(bandwidth.sent(100, now, None)) == count % 65_536));
}

#[test]
fn the_round_trip_is_that_of_the_newest_packet() {
    let mut now = start();
    let mut bandwidth = Bandwidth::new(300_000, now);
    for count in 0..100_u16 {
        bandwidth.sent(100, now, None);
        let number = bandwidth.sent(100, now + Duration::from_millis(20), None);
        now += Duration::from_millis(100);
        let reports = [(number - 1, Some(i64::from(count) * 100_000)), (number, Some(i64::from(count) * 100_000 + 20_000))];
        bandwidth.on_feedback(reports.into_iter(), now);
    }
    assert!(bandwidth.rtt().abs_diff(Duration::from_millis(80)) < Duration::from_millis(2), "{:?}", bandwidth.rtt());
}
