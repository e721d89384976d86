//! A room on two threads: its senders on the first, receivers on both.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::{Duration, SystemTime};

use common::{Browser, Camera, Client, Consumed, Sending, World, assert_contiguous, fixtures, origin, speak};
use parlor_proto::ids::{ProducerId, RouterId};
use parlor_proto::media::{MediaCommand, MediaKind};
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_sfu::SfuStats;
use parlor_testkit::link::Conditions;

struct Call {
    world: World,
    router: RouterId,
    /// The client who sends.
    alice: usize,
}

/// A room on both threads, with a sender behind a network.
fn call_from(conditions: Conditions) -> Call {
    let mut world = World::of_two();
    let router = world.router();
    world.at_second(|world| world.command_of(router, MediaCommand::CreateRouter));
    let alice = world.connected_behind(router, Direction::Send, conditions, Browser::Chrome);
    Call { world, router, alice }
}

fn call() -> Call {
    call_from(Conditions::GOOD)
}

impl Call {
    /// A producer of Alice, mirrored.
    fn produce(&mut self, kind: MediaKind, rtp: &RtpParameters) -> ProducerId {
        let producer = self.world.produce(self.alice, kind, rtp);
        self.world.mirror(self.alice, producer, kind, rtp);
        producer
    }

    fn sound(&mut self) -> ProducerId {
        self.produce(MediaKind::Audio, &fixtures::audio("0", 1_111))
    }

    fn picture(&mut self) -> ProducerId {
        self.produce(MediaKind::Video, &fixtures::video("1", 2_222))
    }

    /// A receiver on the first thread.
    fn near(&mut self) -> usize {
        self.world.connected(self.router, Direction::Recv)
    }

    /// A receiver on the second.
    fn far(&mut self) -> usize {
        self.far_behind(Conditions::GOOD)
    }

    fn far_behind(&mut self, conditions: Conditions) -> usize {
        let router = self.router;
        self.world.at_second(|world| world.connected_behind(router, Direction::Recv, conditions, Browser::Chrome))
    }

    fn consume_far(&mut self, client: usize, producer: ProducerId) -> Consumed {
        self.world.at_second(|world| world.consume(client, producer))
    }

    fn film(&mut self, camera: &mut Camera, millis: u64) {
        camera.film(&mut self.world, Duration::from_millis(millis));
    }

    fn stats(&self) -> (SfuStats, SfuStats) {
        (self.world.sfu.stats(), self.world.second.as_ref().expect("of two").stats())
    }
}

#[test]
fn sound_arrives_on_the_other_thread_as_it_was_sent() {
    let mut call = call();
    let (bob, sound) = (call.far(), call.sound());
    let consumed = call.consume_far(bob, sound);
    speak(&mut call.world, call.alice, 1_111, 500, 100, -30);
    call.world.run(Duration::from_millis(100));

    let client = &call.world.clients[bob];
    assert_contiguous(client, &consumed);
    assert_eq!(client.received_of(&consumed.rtp).count(), 100);
    for (packet, seq) in client.received_of(&consumed.rtp).zip(500_u64..) {
        assert_eq!(packet.payload[..], [0xf8, 0xff, 0xfe, seq as u8]);
        assert_eq!(packet.header.ext_vals.audio_level, Some(-30));
        assert_eq!(packet.header.marker, seq == 500);
    }
}

#[test]
fn the_other_thread_chooses_among_the_layers_by_itself() {
    let mut call = call();
    let narrow = Conditions { rate: Some(400_000), queue: Duration::from_millis(300), ..Conditions::GOOD };
    let (wide, narrow) = (call.far(), call.far_behind(narrow));
    let picture = call.produce(MediaKind::Video, &fixtures::simulcast("1"));
    let (best, small) = (call.consume_far(wide, picture), call.consume_far(narrow, picture));
    let mut camera = Camera::simulcast(call.alice);
    call.film(&mut camera, 20_000);
    for (client, consumed, layer) in [(wide, &best, 2), (narrow, &small, 0)] {
        let last = call.world.clients[client].received_of(&consumed.rtp).last().expect("received");
        assert_eq!(origin(&last.payload).0, Client::unsignaled_ssrc(layer));
    }
    assert_contiguous(&call.world.clients[wide], &best);
}

#[test]
fn a_packet_crosses_once_whatever_the_number_of_its_receivers() {
    let mut call = call();
    let sound = call.sound();
    let near = call.near();
    call.world.consume(near, sound);
    for _ in 0..3 {
        let far = call.far();
        call.consume_far(far, sound);
    }
    speak(&mut call.world, call.alice, 1_111, 0, 100, -30);
    call.world.run(Duration::from_millis(100));
    let (first, second) = call.stats();
    assert_eq!((first.rtp_in, first.rtp_piped, first.rtp_forwarded), (100, 0, 100));
    assert_eq!((second.rtp_in, second.rtp_piped, second.rtp_forwarded), (0, 100, 300));
}

#[test]
fn a_key_frame_that_is_needed_on_the_other_thread_is_asked_of_the_sender() {
    let mut call = call();
    let (bob, picture) = (call.far(), call.picture());
    let mut camera = Camera::simple(call.alice, 2_222);
    call.film(&mut camera, 2_000);
    let consumed = call.consume_far(bob, picture);
    call.film(&mut camera, 1_000);
    assert_eq!(camera.key_frames(0), 2, "the first one, and the one that was asked for");
    let first = call.world.clients[bob].received_of(&consumed.rtp).next().expect("received");
    assert!(origin(&first.payload).2, "from a key frame on");
    assert_contiguous(&call.world.clients[bob], &consumed);

    call.world.clients[bob].request_key_frame(&consumed.rtp);
    call.film(&mut camera, 1_000);
    assert_eq!(camera.key_frames(0), 3, "by the receiver's RTCP");
    let (first, second) = call.stats();
    assert_eq!((first.key_frame_requests, second.key_frame_requests), (2, 0), "the sender is asked by its own thread");
}

#[test]
fn a_pause_is_one_on_both_threads_and_ends_with_a_key_frame() {
    let mut call = call();
    let (bob, producer) = (call.far(), call.picture());
    let consumed = call.consume_far(bob, producer);
    let mut camera = Camera::simple(call.alice, 2_222);
    call.film(&mut camera, 1_000);
    call.world.command_both(MediaCommand::SetProducerPaused { producer, paused: true });
    call.film(&mut camera, 100);
    let (before, crossed) = (call.world.clients[bob].received.len(), call.stats().1.rtp_piped);
    call.film(&mut camera, 1_000);
    assert_eq!(call.world.clients[bob].received.len(), before, "nothing arrives");
    assert_eq!(call.stats().1.rtp_piped, crossed, "nothing crosses");
    call.world.command_both(MediaCommand::SetProducerPaused { producer, paused: false });
    call.film(&mut camera, 1_000);
    let client = &call.world.clients[bob];
    assert_contiguous(client, &consumed);
    let next = client.received_of(&consumed.rtp).nth(before).expect("goes on");
    assert!(origin(&next.payload).2, "with a key frame");
}

#[test]
fn a_mirror_is_gone_with_its_producer_and_with_its_router() {
    let mut call = call();
    let (bob, sound, picture) = (call.far(), call.sound(), call.picture());
    call.consume_far(bob, sound);
    call.consume_far(bob, picture);
    let (_, second) = call.stats();
    assert_eq!((second.producers, second.mirrors, second.consumers), (0, 2, 2));
    call.world.command_both(MediaCommand::CloseProducer { producer: sound });
    let (first, second) = call.stats();
    assert_eq!((first.producers, second.mirrors, second.consumers), (1, 1, 1));
    speak(&mut call.world, call.alice, 1_111, 0, 10, -30);
    assert_eq!(call.stats().1.rtp_piped, 0);
    call.world.command_both(MediaCommand::CloseRouter);
    let (_, second) = call.stats();
    assert_eq!((second.routers, second.transports, second.mirrors, second.consumers), (0, 0, 0, 0));
}

#[test]
fn what_is_lost_behind_the_other_thread_is_repaired_from_there() {
    let mut call = call();
    let lossy = Conditions { loss: 0.05, delay: Duration::from_millis(20), ..Conditions::GOOD };
    let (bob, picture) = (call.far_behind(lossy), call.picture());
    let consumed = call.consume_far(bob, picture);
    let mut camera = Camera::simple(call.alice, 2_222);
    call.film(&mut camera, 20_000);
    call.world.run(Duration::from_millis(500));

    let packets = call.world.clients[bob].received_of(&consumed.rtp);
    let mut sent: Vec<u64> = packets.map(|packet| origin(&packet.payload).1).collect();
    sent.sort_unstable();
    sent.dedup();
    let span = sent[sent.len() - 1] - sent[0] + 1;
    let missing = span - sent.len() as u64;
    assert!(span > 500 && missing * 500 <= span, "{missing} of {span} were not repaired");
    let (first, second) = call.stats();
    assert!(second.rtp_repeated > 10, "{second:?}");
    assert_eq!(first.rtp_repeated, 0);
}

#[test]
fn what_the_sender_repairs_crosses_too() {
    let lossy = Conditions { loss: 0.05, delay: Duration::from_millis(20), ..Conditions::GOOD };
    let mut call = call_from(lossy);
    let (bob, picture) = (call.far(), call.picture());
    let consumed = call.consume_far(bob, picture);
    let mut camera = Camera::simple(call.alice, 2_222);
    call.film(&mut camera, 10_000);
    call.world.run(Duration::from_millis(500));
    let packets = call.world.clients[bob].received_of(&consumed.rtp);
    let mut sent: Vec<u64> = packets.map(|packet| origin(&packet.payload).1).collect();
    sent.sort_unstable();
    sent.dedup();
    let span = sent[sent.len() - 1] - sent[0] + 1;
    let missing = span - sent.len() as u64;
    assert!(call.world.clients[call.alice].up.lost() > 10);
    assert!(span > 250 && missing * 100 <= span, "{missing} of {span} are missing");
}

/// When the last packet was captured, by the sender's clock as reports tell it.
fn captured(client: &Client, consumed: &Consumed, rate: f64) -> (u64, f64) {
    let reported = client.received_of(&consumed.rtp).filter_map(|packet| Some((packet, packet.last_sender_info.as_ref()?)));
    let (packet, info) = reported.last().expect("a report");
    let ticks = packet.header.timestamp.wrapping_sub(info.rtp_time.numer() as u32).cast_signed();
    let ntp =
        info.ntp_time.duration_since(SystemTime::UNIX_EPOCH).map_or_else(|before| -before.duration().as_secs_f64(), |t| t.as_secs_f64());
    (origin(&packet.payload).1, ntp + f64::from(ticks) / rate)
}

/// With jitter, a guess from when packets arrive is wrong, and differs from report to report.
#[test]
fn receivers_on_both_threads_are_told_the_same_time_of_capture() {
    let jitter = Conditions { jitter: Duration::from_millis(30), ..Conditions::GOOD };
    let mut call = call_from(jitter);
    let rtp = fixtures::video("1", 2_222);
    let (near, far) = (call.near(), call.far());
    let picture = call.world.produce(call.alice, MediaKind::Video, &rtp);
    let here = call.world.consume(near, picture);
    let mut camera = Camera::simple(call.alice, 2_222);
    call.film(&mut camera, 6_370);
    // What the sender reported before is known to who comes later.
    call.world.mirror(call.alice, picture, MediaKind::Video, &rtp);
    let there = call.consume_far(far, picture);
    for _ in 0..10 {
        call.film(&mut camera, 1_100);
        let ((packet, at), (same, expected)) =
            (captured(&call.world.clients[far], &there, 90_000.0), captured(&call.world.clients[near], &here, 90_000.0));
        assert_eq!(packet, same);
        assert!((at - expected).abs() < 0.001, "{at} and {expected}");
    }
}

#[test]
fn another_encoder_begins_on_both_threads_with_a_key_frame() {
    let mut call = call();
    let rtp = fixtures::simulcast("1");
    let (bob, picture) = (call.far(), call.produce(MediaKind::Video, &rtp));
    let consumed = call.consume_far(bob, picture);
    let mut camera = Camera::simulcast(call.alice);
    call.film(&mut camera, 3_000);
    let before = call.world.clients[bob].received_of(&consumed.rtp).count();
    // The same rids from other SSRCs, as after a camera was exchanged.
    call.world.clients[call.alice].stop_sending("1");
    let mut other = rtp.clone();
    for (encoding, ssrc) in other.encodings.iter_mut().zip([8_000, 8_010, 8_020]) {
        encoding.ssrc = Some(ssrc);
    }
    call.world.clients[call.alice].start_sending(MediaKind::Video, &other);
    let mut camera = Camera::simulcast_from(call.alice, 8_000);
    call.film(&mut camera, 3_000);

    let client = &call.world.clients[bob];
    assert_contiguous(client, &consumed);
    let packets: Vec<_> = client.received_of(&consumed.rtp).collect();
    for pair in packets.windows(2) {
        let advance = pair[1].header.timestamp.wrapping_sub(pair[0].header.timestamp);
        assert!(advance < 90_000, "time goes on by {advance}");
        let picture = |payload: &[u8]| u16::from_be_bytes([payload[2] & 0x7f, payload[3]]);
        let pictures = picture(&pair[1].payload).wrapping_sub(picture(&pair[0].payload)) & 0x7fff;
        assert_eq!(pictures, u16::from(advance > 0), "one picture after the other");
    }
    let mut packets = packets.into_iter().skip(before);
    let next = packets.find(|packet| origin(&packet.payload).0 >= 8_000).expect("goes on");
    assert!(origin(&next.payload).2, "with a key frame");
}

#[test]
fn what_a_flood_costs_on_the_other_thread_is_bounded_where_it_arrives() {
    const RECEIVERS: u64 = 20;
    let mut call = call();
    let rtp = fixtures::video("1", 2_222);
    let picture = call.world.try_produce_within(call.alice, MediaKind::Video, &rtp, 2_500_000).expect("produced");
    call.world.mirror(call.alice, picture, MediaKind::Video, &rtp);
    for _ in 0..RECEIVERS {
        let (near, far) = (call.near(), call.far());
        call.world.consume(near, picture);
        call.consume_far(far, picture);
        (call.world.clients[near].killed, call.world.clients[far].killed) = (true, true);
    }
    // Twelve thousand packets a second for three seconds, each a key frame of one byte.
    for millisecond in 0..3_000_u64 {
        let now = call.world.now();
        for packet in 0..12 {
            let seq = millisecond * 12 + packet;
            let timestamp = seq as u32 * 960;
            let payload = &[0x10, 0, 0, 0];
            let sending = Sending { ssrc: 2_222, payload_type: 96, seq, timestamp, marker: false, audio_level: None, payload };
            call.world.clients[call.alice].send(&sending, now);
        }
        call.world.run(Duration::from_millis(1));
    }
    let (first, second) = call.stats();
    // 1,033 a second for three seconds, and two that were saved up: what is refused where it arrives does not cross.
    let most = 5 * 1_040;
    assert!((most / 2..=most).contains(&second.rtp_piped), "{} crossed", second.rtp_piped);
    // One packet to each, and no more, there as here.
    for forwarded in [first.rtp_forwarded, second.rtp_forwarded] {
        assert!((1..=most * RECEIVERS).contains(&forwarded), "{forwarded}");
    }
    assert!(second.rtp_forwarded <= second.rtp_piped * RECEIVERS, "{second:?}");
}
