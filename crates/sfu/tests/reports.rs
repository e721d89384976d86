//! What senders and receivers are told: loss, clocks, bandwidth, limits.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a test that cannot go on has failed"
)]

mod common;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use common::{Camera, Client, Consumed, FRAME, Sending, Special, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::media::{MediaCommand, MediaKind};
use parlor_proto::transport::Direction;
use parlor_testkit::link::Conditions;
use str0m::bwe::Bitrate;
use str0m::rtp::rtcp::{ReceptionReport, Rtcp};

fn watched() -> Special {
    Special { watched: true, ..Special::default() }
}

fn blocks(client: &Client, ssrc: u32) -> Vec<ReceptionReport> {
    let mut blocks = Vec::new();
    for (_, rtcp) in &client.rtcp {
        match rtcp {
            Rtcp::ReceiverReport(report) => blocks.extend(report.reports.iter().cloned()),
            Rtcp::SenderReport(report) => blocks.extend(report.reports.iter().cloned()),
            _ => {}
        }
    }
    blocks.retain(|block| *block.ssrc == ssrc);
    blocks
}

#[test]
fn a_sender_is_told_its_loss_and_jitter() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected_with(router, Direction::Send, watched());
    world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    speak(&mut world, alice, 1_111, 65_000, 150, -30);
    let good = blocks(&world.clients[alice], 1_111);
    assert!(good.len() >= 2, "one a second");
    assert!(good.iter().all(|block| block.fraction_lost == 0 && block.packets_lost == 0 && block.jitter < 48));
    world.clients[alice].up.set_conditions(Conditions { loss: 0.1, jitter: Duration::from_millis(15), ..Conditions::GOOD });
    speak(&mut world, alice, 1_111, 65_150, 1_000, -30);
    let all = blocks(&world.clients[alice], 1_111);
    let bad = &all[good.len() + 1..];
    let mean = bad.iter().map(|block| f64::from(block.fraction_lost) / 256.0).sum::<f64>() / bad.len() as f64;
    assert!((0.06..0.14).contains(&mean), "{mean}");
    let last = bad.last().expect("there are some");
    assert!((60..140).contains(&last.packets_lost), "{} of 1,000", last.packets_lost);
    // Evenly spread over 15 ms, two differ by 5 ms on average: 240 ticks.
    assert!((120..480).contains(&last.jitter), "{}", last.jitter);
    assert!(last.max_seq > 65_536 && last.max_seq <= 66_150, "extended: {}", last.max_seq);
    assert_ne!(last.last_sr_time, 0, "its own reports are answered");
    assert!(last.last_sr_delay < 10 << 16);
}

/// When a client was sent reports about streams.
fn report_times(client: &Client) -> Vec<Instant> {
    let is_report = |rtcp: &Rtcp| matches!(rtcp, Rtcp::SenderReport(_) | Rtcp::ReceiverReport(_));
    client.rtcp.iter().filter(|(_, rtcp)| is_report(rtcp)).map(|(at, _)| *at).collect()
}

#[test]
fn reports_go_with_those_of_others_and_once_a_second() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let sound = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let receivers: Vec<usize> = (0..5)
        .map(|_| {
            let receiver = world.connected_with(router, Direction::Recv, watched());
            world.consume(receiver, sound);
            // They come one after the other, at no special times.
            world.run(Duration::from_millis(37));
            receiver
        })
        .collect();
    // The first reports go as soon as there is somebody to tell.
    speak(&mut world, alice, 1_111, 1, 75, -30);
    let begun = world.now();
    speak(&mut world, alice, 1_111, 76, 250, -30);
    let times: Vec<Vec<Instant>> =
        receivers.iter().map(|receiver| report_times(&world.clients[*receiver]).into_iter().filter(|at| *at > begun).collect()).collect();
    assert!(times.iter().all(|times| (4..=5).contains(&times.len())), "{times:?}");
    let first = times[0][0];
    let off_beat = |at: &&Instant| !(**at).max(first).duration_since((**at).min(first)).as_millis().is_multiple_of(100);
    assert_eq!(times.iter().flatten().filter(off_beat).count(), 0, "{times:?}");
}

/// When its sender captured a packet, by the clock of the last report that came before it.
fn captured(packet: &str0m::rtp::RtpPacket, clock_rate: i64) -> Option<i64> {
    let info = packet.last_sender_info.as_ref()?;
    let then = i64::try_from(info.ntp_time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()?;
    let ticks = packet.header.timestamp.wrapping_sub(info.rtp_time.numer() as u32).cast_signed();
    Some(then + i64::from(ticks) * 1_000_000 / clock_rate)
}

#[test]
fn sound_and_picture_of_a_sender_stay_together() {
    const STEPS: u64 = 400;
    let mut world = World::new();
    let router = world.router();
    // The way to the receiver wavers; so does the way of the reports from the sender.
    let wavering = Conditions { jitter: Duration::from_millis(30), ..Conditions::GOOD };
    let alice = world.connected_with(router, Direction::Send, Special { conditions: wavering, ..Special::default() });
    let bob = world.connected(router, Direction::Recv);
    let sound = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
    let picture = world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let (heard, seen) = (world.consume(bob, sound), world.consume(bob, picture));
    // Every 20 ms a packet of sound and a frame are captured; the encoder of the picture takes 80 ms longer.
    let step = Duration::from_millis(20);
    let vp8 = |n: u64| [&[0x10, u8::from(n > 0), 0, 0][..], &n.to_be_bytes()].concat();
    for n in 0..STEPS {
        let now = world.now();
        let sending = Sending {
            ssrc: 1_111,
            payload_type: 111,
            seq: n,
            timestamp: 77_000 + 960 * n as u32,
            marker: false,
            audio_level: Some(-30),
            payload: &[&[0; 4][..], &n.to_be_bytes()].concat(),
        };
        world.clients[alice].send_captured(&sending, now, now);
        if let Some(frame) = n.checked_sub(4) {
            let payload = vp8(frame);
            let sending = Sending {
                ssrc: 2_222,
                payload_type: 96,
                seq: frame,
                timestamp: 4_000_000_000_u32.wrapping_add(1_800 * frame as u32),
                marker: true,
                audio_level: None,
                payload: &payload,
            };
            world.clients[alice].send_captured(&sending, now - 4 * step, now);
        }
        world.run(step);
    }
    let times = |consumed: &Consumed, rate| -> BTreeMap<u64, i64> {
        let of = |packet: &str0m::rtp::RtpPacket| {
            let n = u64::from_be_bytes(packet.payload[4..12].try_into().expect("long enough"));
            Some((n, captured(packet, rate)?))
        };
        world.clients[bob].received_of(&consumed.rtp).filter_map(of).collect()
    };
    let (heard, seen) = (times(&heard, 48_000), times(&seen, 90_000));
    let both: Vec<(u64, i64)> = heard.iter().filter_map(|(n, at)| Some((*n, at - seen.get(n)?))).collect();
    assert!(both.len() > 250, "{} of both", both.len());
    // The first second or two a clock is guessed from arrivals, until the sender's reports came.
    for (n, apart) in both.iter().filter(|(n, _)| *n > 150) {
        assert!(apart.abs() <= 10_000, "sound is {apart} µs later at {n}");
    }
}

#[test]
fn feedback_lets_a_senders_estimate_rise() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected_with(router, Direction::Send, Special { estimates_from: Some(300_000), ..Special::default() });
    world.produce(alice, MediaKind::Video, &fixtures::video("1", 2_222));
    let speed = Bitrate::kbps(3_000);
    world.clients[alice].rtc.bwe().set_bitrate(speed, speed);
    let mut camera = Camera::simple(alice, 2_222);
    camera.film(&mut world, Duration::from_secs(15));
    let estimate = world.clients[alice].estimate.expect("an estimate");
    assert!(estimate > 1_000_000, "{estimate}");
    // And it falls when there is less room.
    let narrow = Conditions { rate: Some(400_000), queue: Duration::from_millis(300), ..Conditions::GOOD };
    world.clients[alice].up.set_conditions(narrow);
    camera.film(&mut world, Duration::from_secs(15));
    let estimate = world.clients[alice].estimate.expect("an estimate");
    assert!(estimate < 600_000, "{estimate}");
}

#[test]
fn senders_of_pictures_are_told_their_limit_and_senders_of_sound_are_not() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Send));
    world.try_produce_within(alice, MediaKind::Video, &fixtures::video("1", 2_222), 1_000_000).expect("produced");
    world.produce(bob, MediaKind::Audio, &fixtures::audio("0", 1_111));
    world.run(Duration::from_secs(3));
    // The limit, and a tenth for headers and repairs; REMB's numbers are rounded.
    let told = world.clients[alice].limit.expect("told");
    assert!((1_099_000..=1_100_000).contains(&told), "{told}");
    assert_eq!(world.clients[bob].limit, None);
}

#[test]
fn who_sends_too_much_loses_whole_frames_and_goes_on_from_a_key_frame() {
    const PACKETS: usize = 5;
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.try_produce_within(alice, MediaKind::Video, &fixtures::video("1", 2_222), 300_000).expect("produced");
    let consumed = world.consume(bob, producer);
    // About 1,200 kbit/s.
    let mut camera = Camera::of(alice, 2_222, PACKETS, 1_000);
    camera.film(&mut world, Duration::from_secs(12));
    world.run(Duration::from_millis(100));
    assert_contiguous(&world.clients[bob], &consumed);
    let mut frames: BTreeMap<u32, Vec<(u64, bool)>> = BTreeMap::new();
    let first = world.clients[bob].received_of(&consumed.rtp).next().expect("received").header.timestamp;
    for packet in world.clients[bob].received_of(&consumed.rtp) {
        let (_, seq, key) = origin(&packet.payload);
        frames.entry(packet.header.timestamp.wrapping_sub(first)).or_default().push((seq, key));
    }
    assert!(world.sfu.stats().drops.over_bitrate > 500);
    let frames: Vec<_> = frames.into_values().collect();
    // The one at which the limit is reached may be cut: the decoder is told by the key frame that follows.
    let (mut cut, mut holes) = (0, 0);
    for pair in frames.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let follows = after[0].0 == before[before.len() - 1].0 + 1;
        holes += usize::from(!follows);
        cut += usize::from(before.len() < PACKETS);
        assert!(follows || after[0].1, "what comes after a hole begins a key frame: {before:?} {after:?}");
    }
    assert!(holes > 2, "{holes} holes");
    assert_eq!(cut, 0, "of {} frames", frames.len());

    // Back within its limit, everything passes again.
    camera.set_packets(1);
    camera.film(&mut world, Duration::from_secs(3));
    let before = world.clients[bob].received_of(&consumed.rtp).count();
    camera.film(&mut world, 30 * FRAME);
    let after = world.clients[bob].received_of(&consumed.rtp).count();
    assert!((29..=31).contains(&(after - before)), "{} of 30 frames", after - before);
}

#[test]
fn a_limit_that_falls_during_a_call_is_told_and_holds_from_then_on() {
    let mut world = World::new();
    let router = world.router();
    let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
    let producer = world.try_produce_within(alice, MediaKind::Video, &fixtures::video("1", 2_222), 2_000_000).expect("produced");
    let consumed = world.consume(bob, producer);
    // About 1,200 kbit/s: within the first limit, far over the second.
    let mut camera = Camera::of(alice, 2_222, 5, 1_000);
    camera.film(&mut world, Duration::from_secs(4));
    assert_eq!(world.sfu.stats().drops.over_bitrate, 0);
    world.command(MediaCommand::SetProducerMaxBitrate { producer, max_bitrate: 300_000 });
    camera.film(&mut world, Duration::from_secs(8));
    let told = world.clients[alice].limit.expect("told");
    assert!((329_000..=330_000).contains(&told), "{told}");
    assert!(world.sfu.stats().drops.over_bitrate > 500);
    world.command(MediaCommand::SetProducerMaxBitrate { producer, max_bitrate: 2_000_000 });
    camera.film(&mut world, Duration::from_secs(4));
    let before = world.clients[bob].received_of(&consumed.rtp).count();
    camera.film(&mut world, 30 * FRAME);
    let after = world.clients[bob].received_of(&consumed.rtp).count();
    assert!((145..=155).contains(&(after - before)), "{} of 150 packets", after - before);
}
