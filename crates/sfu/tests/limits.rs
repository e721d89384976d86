//! What one sender can have passed on is bounded, whatever its packets look like; an honest one loses nothing, and one that sends
//! too much is told, and stays intelligible.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Camera, Client, Consumed, FRAME, Sending, Special, World, assert_contiguous, fixtures};
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpHeaderExtensionParameters;
use parlor_proto::transport::Direction;
use str0m::rtp::rtcp::Rtcp;

const FREE: u32 = 32_000;
const PACKET: Duration = Duration::from_millis(20);

fn sound(ssrc: u32, payload_type: u8, seq: u64, payload: &[u8]) -> Sending<'_> {
    Sending { ssrc, payload_type, seq, timestamp: seq as u32 * 960, marker: false, audio_level: Some(-30), payload }
}

/// A room with a call, to be disturbed from another: counts what arrives of what was said.
struct Neighbours {
    alice: usize,
    bob: usize,
    consumed: Consumed,
    said: u64,
}

impl Neighbours {
    fn new(world: &mut World) -> Self {
        let router = world.router();
        let (alice, bob) = (world.connected(router, Direction::Send), world.connected(router, Direction::Recv));
        let producer = world.produce(alice, MediaKind::Audio, &fixtures::audio("0", 1_111));
        let consumed = world.consume(bob, producer);
        Self { alice, bob, consumed, said: 0 }
    }

    fn speak(&mut self, world: &mut World) {
        let now = world.now();
        world.clients[self.alice].send(&sound(1_111, 111, self.said, &[0xf8; 80]), now);
        self.said += 1;
    }

    fn assert_undisturbed(&self, world: &World) {
        let client = &world.clients[self.bob];
        assert_contiguous(client, &self.consumed);
        let received: Vec<_> = client.received_of(&self.consumed.rtp).collect();
        assert_eq!(received.len() as u64, self.said);
        let late = received.windows(2).map(|pair| pair[1].timestamp - pair[0].timestamp).max().expect("some");
        assert!(late <= PACKET + Duration::from_millis(1), "{late:?}");
    }
}

/// Twelve thousand packets a second from one sender for three seconds, to so many receivers; how many got through.
fn flood(kind: MediaKind, bulk: usize, max_bitrate: u32, receivers: usize) -> (World, u64) {
    const FLOODER: u32 = 2_222;
    let mut world = World::new();
    let mut neighbours = Neighbours::new(&mut world);
    let router = world.router();
    let mallory = world.connected(router, Direction::Send);
    let (rtp, payload_type) = match kind {
        MediaKind::Audio => (fixtures::audio("0", FLOODER), 111),
        MediaKind::Video => (fixtures::video("0", FLOODER), 96),
    };
    let producer = world.try_produce_within(mallory, kind, &rtp, max_bitrate).expect("produced");
    for _ in 0..receivers {
        let receiver = world.connected(router, Direction::Recv);
        world.consume(receiver, producer);
        world.clients[receiver].killed = true;
    }
    world.clients[mallory].bulk = bulk;
    let before = world.sfu.stats().rtp_forwarded;
    // One key frame of one byte each.
    let payload = if kind == MediaKind::Audio { vec![1] } else { vec![0x10, 0, 0, 0] };
    for millisecond in 0..3_000_u64 {
        if millisecond % 20 == 0 {
            neighbours.speak(&mut world);
        }
        let now = world.now();
        for packet in 0..12 {
            let sending = sound(FLOODER, payload_type, millisecond * 12 + packet, &payload);
            world.clients[mallory].send(&sending, now);
        }
        world.run(Duration::from_millis(1));
    }
    world.run(Duration::from_millis(100));
    neighbours.assert_undisturbed(&world);
    let forwarded = world.sfu.stats().rtp_forwarded - before - neighbours.said;
    (world, forwarded)
}

#[test]
fn however_small_packets_of_sound_are_150_a_second_pass() {
    let (world, forwarded) = flood(MediaKind::Audio, 0, FREE, 5);
    // Three seconds, and two that were saved up with a quarter of that on credit, to five receivers.
    assert!(forwarded <= 5 * (5 * 150 + 75), "{forwarded}");
    assert!(world.sfu.stats().drops.over_rate > 20_000, "most are not even looked at: {:?}", world.sfu.stats().drops);
}

#[test]
fn however_small_packets_of_a_picture_are_they_are_bounded_for_all_receivers_together() {
    let (_, forwarded) = flood(MediaKind::Video, 0, 2_500_000, 20);
    assert!(forwarded <= 20 * 5 * 1_040, "{forwarded}");
}

#[test]
fn header_extensions_count_as_what_they_are() {
    // 300 kbit/s, and six tenths more: 60,000 bytes a second, in packets of 4 bytes of payload and 330 in all.
    let (_, forwarded) = flood(MediaKind::Video, 250, 300_000, 1);
    assert!((100..=5 * 60_000 / 300).contains(&forwarded), "{forwarded}");
}

/// What a receiver gets of ten seconds of sound that is sent in packets of this payload.
fn heard(payload: &[u8], payload_type: u8, red: bool) -> (World, usize, Vec<u64>) {
    let mut world = World::new();
    let router = world.router();
    let alice =
        world.connected_with(router, Direction::Send, Special { watched: true, estimates_from: Some(300_000), ..Special::default() });
    let bob = world.connected(router, Direction::Recv);
    let mut rtp = if red { fixtures::red("0", 1_111).0 } else { fixtures::audio("0", 1_111) };
    let uri = parlor_sfu::ortc::uri::TRANSPORT_CC.to_owned();
    rtp.header_extensions.push(RtpHeaderExtensionParameters { uri, id: 3, encrypt: false });
    let producer = world.try_produce_within(alice, MediaKind::Audio, &rtp, FREE).expect("produced");
    let consumed = world.consume(bob, producer);
    for seq in 0..500 {
        let now = world.now();
        world.clients[alice].send(&sound(1_111, payload_type, seq, payload), now);
        world.run(PACKET);
    }
    world.run(Duration::from_millis(500));
    let mut numbers: Vec<u64> = world.clients[bob].received_of(&consumed.rtp).map(|packet| *packet.seq_no).collect();
    numbers.sort_unstable();
    (world, alice, numbers)
}

fn longest_hole(numbers: &[u64]) -> u64 {
    numbers.windows(2).map(|pair| pair[1] - pair[0] - 1).max().unwrap_or(0)
}

#[test]
fn sound_up_to_three_times_its_bitrate_loses_nothing_for_a_while() {
    // Three times as much is a tenth more than all that may be on the wire: what was saved up lasts longer than this.
    for kilobits in [32, 48, 96] {
        let (world, alice, numbers) = heard(&vec![7; kilobits * 20 / 8], 111, false);
        assert_eq!(numbers.len(), 500, "{kilobits} kbit/s");
        assert_eq!(world.clients[alice].limit, None, "there is nothing to tell");
    }
}

#[test]
fn sound_far_above_its_bitrate_loses_single_packets_and_its_sender_is_told() {
    for (kilobits, most_lost) in [(128, 150), (160, 225)] {
        let (world, alice, numbers) = heard(&vec![7; kilobits * 20 / 8], 111, false);
        let lost = 500 - numbers.len();
        assert!(lost > 0 && lost <= most_lost, "{lost} of 500 at {kilobits} kbit/s");
        assert_eq!(longest_hole(&numbers), 1, "at {kilobits} kbit/s");
        // By REMB: the bitrate and what is around it.
        assert!(world.clients[alice].limit.is_some_and(|told| (60_000..80_000).contains(&told)), "{:?}", world.clients[alice].limit);
        let told_of = |client: &Client| {
            let reports = client.rtcp.iter().filter_map(|(_, rtcp)| match rtcp {
                Rtcp::ReceiverReport(report) => Some(report.reports.iter().map(|block| block.packets_lost).max().unwrap_or(0)),
                _ => None,
            });
            reports.max().unwrap_or(0)
        };
        let told = told_of(&world.clients[alice]) as usize;
        assert!(told > lost / 2 && told <= lost, "its reports name {told} of {lost} lost packets");
        let feedback = world.clients[alice].rtcp.iter().filter_map(|(at, rtcp)| match rtcp {
            Rtcp::Twcc(feedback) => Some(feedback.clone().into_iter(*at, 0.into()).filter(|(_, _, arrived)| arrived.is_none()).count()),
            _ => None,
        });
        let told: usize = feedback.sum();
        assert!(told > lost / 2 && told <= lost, "feedback names {told} of {lost} lost packets");
    }
}

#[test]
fn redundancy_goes_before_sound_is_lost() {
    // 96 kbit/s, and the same again as redundancy: more than twice what may pass.
    let block = 240_u32;
    let mut payload = (0x80 << 24 | 111 << 24 | 960 << 10 | block).to_be_bytes().to_vec();
    payload.push(111);
    payload.resize(5 + 2 * block as usize, 7);
    let (world, alice, numbers) = heard(&payload, 63, true);
    assert_eq!(numbers.len(), 500, "not one packet: {:?}", world.sfu.stats().drops);
    assert_eq!(world.clients[alice].limit, None);
}

#[test]
fn a_camera_and_a_screen_as_browsers_send_them_lose_nothing() {
    let mut world = World::new();
    let router = world.router();
    let alice = world.connected(router, Direction::Send);
    let bob = world.connected(router, Direction::Recv);
    let camera = world.try_produce_within(alice, MediaKind::Video, &fixtures::simulcast("0"), 2_500_000).expect("produced");
    let screen = world.try_produce_within(alice, MediaKind::Video, &fixtures::video("1", 2_222), 1_500_000).expect("produced");
    world.consume(bob, camera);
    world.consume(bob, screen);
    // About 2 Mbit/s in three layers, and 1.4 in small packets.
    let (mut camera, mut screen) = (Camera::simulcast(alice), Camera::of(alice, 2_222, 12, 490));
    for _ in 0..300 {
        camera.frame(&mut world);
        screen.frame(&mut world);
        world.run(FRAME);
    }
    let drops = world.sfu.stats().drops;
    assert_eq!((drops.over_bitrate, drops.over_rate), (0, 0));
}
