//! A fixed series of packets, taken through an `Sfu` in virtual time. Nothing here measures: the instructions are counted from outside
//! (`scripts/replay.sh`), and only those of `through_the_sfu`.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a replay that cannot go on has failed")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use common::{Camera, FRAME, Recorded, Sending, World, fixtures};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::Direction;
use parlor_sfu::{Sfu, TalkersConfig};

/// What takes the place of time: so many packets of everybody, 20 ms apart.
const ROUNDS: u64 = 50;
const PACKET: Duration = Duration::from_millis(20);
/// What a packet of Opus has in it.
const SOUND: [u8; 80] = [7; 80];

fn main() {
    let workload = std::env::args().nth(1).unwrap_or_default();
    let (mut world, recorded) = match workload.as_str() {
        "audio-25" => sound(25, 25, Form::Opus, TalkersConfig::default()),
        "audio-2" => sound(2, 2, Form::Opus, TalkersConfig::default()),
        "audio-2-red" => sound(2, 2, Form::Red, TalkersConfig::default()),
        "audio-40-not-heard" => sound(40, 1, Form::Opus, TalkersConfig { loudest: 1, all_up_to: 2 }),
        "video-20" => picture(20),
        // As a test, or by hand without a name.
        _ => return println!("workloads: audio-25 audio-2 audio-2-red audio-40-not-heard video-20"),
    };
    let before = world.sfu.stats();
    for packets in &recorded {
        through_the_sfu(&mut world.sfu, packets);
        world.sfu.clear_batch();
    }
    let after = world.sfu.stats();
    println!("{} {}", after.rtp_in - before.rtp_in, after.rtp_forwarded - before.rtp_forwarded);
}

/// Takes packets that arrived together.
#[inline(never)]
fn through_the_sfu(sfu: &mut Sfu, packets: &[Recorded]) {
    for Recorded { at, datagram } in packets {
        sfu.handle_datagram(datagram.borrow(), *at);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Opus,
    /// Opus with redundancy (RFC 2198).
    Red,
}

/// So many people speak, and so many of them listen to the others.
fn sound(talkers: usize, listeners: usize, form: Form, limit: TalkersConfig) -> (World, Vec<Vec<Recorded>>) {
    let mut world = World::with(limit);
    let router = world.router();
    let red = form == Form::Red;
    let (_, capabilities) = fixtures::red("0", 1);
    let ssrc = |talker: usize| 1_000 + 10 * u32::try_from(talker).expect("few");
    let speakers: Vec<usize> = (0..talkers).map(|_| world.connected(router, Direction::Send)).collect();
    let rtp = |talker| if red { fixtures::red("0", ssrc(talker)).0 } else { fixtures::audio("0", ssrc(talker)) };
    let producers: Vec<_> = (0..talkers).map(|talker| world.produce(speakers[talker], MediaKind::Audio, &rtp(talker))).collect();
    for own in 0..listeners {
        let listener = world.connected(router, Direction::Recv);
        let others = producers.iter().enumerate().filter(|(other, _)| *other != own);
        others.for_each(|(_, producer)| drop(world.try_consume(listener, *producer, capabilities.clone()).expect("consumed")));
        world.clients[listener].killed = true;
    }
    let round = |world: &mut World, seq: u64| {
        let timestamp = u32::try_from(seq * 960).expect("short");
        let with_red = [&[0x80 | 111, 0x0f, 0x00, 80, 111][..], &SOUND, &SOUND].concat();
        let (payload_type, payload) = if red { (63, with_red.as_slice()) } else { (111, &SOUND[..]) };
        for (talker, client) in speakers.iter().enumerate() {
            let audio_level = Some(if talker + 1 == talkers { -20 } else { -40 });
            let sending = Sending { ssrc: ssrc(talker), payload_type, seq, timestamp, marker: false, audio_level, payload };
            let now = world.now();
            world.clients[*client].send(&sending, now);
        }
        world.run(PACKET);
    };
    (0..ROUNDS).for_each(|seq| round(&mut world, seq));
    let recorded = (ROUNDS..2 * ROUNDS).map(|seq| world.record(|world| round(world, seq))).collect();
    (world, recorded)
}

/// One camera, which so many watch.
fn picture(viewers: usize) -> (World, Vec<Vec<Recorded>>) {
    let mut world = World::new();
    let router = world.router();
    let sender = world.connected(router, Direction::Send);
    let producer = world.produce(sender, MediaKind::Video, &fixtures::video("1", 2_222));
    let viewers: Vec<usize> = (0..viewers).map(|_| world.connected(router, Direction::Recv)).collect();
    viewers.iter().for_each(|viewer| drop(world.consume(*viewer, producer)));
    let mut camera = Camera::of(sender, 2_222, 4, 1_000);
    camera.film(&mut world, Duration::from_secs(4));
    viewers.iter().for_each(|viewer| world.clients[*viewer].killed = true);
    let recorded = (0..ROUNDS).map(|_| world.record(|world| camera.film(world, FRAME))).collect();
    (world, recorded)
}
