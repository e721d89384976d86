//! Sound to receivers who lose packets: they get redundancy (RFC 2198), and nobody else does.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Consumed, Sending, Special, World, assert_contiguous, fixtures};
use parlor_proto::ids::{ProducerId, RouterId};
use parlor_proto::media::{MediaCommand, MediaKind};
use parlor_proto::transport::Direction;
use parlor_sfu::TalkersConfig;
use parlor_testkit::link::Conditions;

const SSRC: u32 = 1_111;
const RED: u8 = 63;
const OPUS: u8 = 111;
const TICKS: u64 = 960;
const PER_SECOND: u64 = 50;
const LOSSY: Conditions = Conditions { loss: 0.06, ..Conditions::GOOD };

/// Alice speaks; Bob, Carol and Dave listen, Dave without redundancy.
struct Call {
    world: World,
    router: RouterId,
    alice: usize,
    producer: ProducerId,
    bob: Listener,
    carol: Listener,
    dave: Listener,
    next: u64,
}

struct Listener {
    client: usize,
    consumed: Consumed,
}

/// A packet, taken apart: its type, the number of its sound, and the numbers of what it repeats, from the newest on.
#[derive(PartialEq, Eq, Debug)]
struct Heard {
    payload_type: u8,
    number: u64,
    repeats: Vec<u64>,
}

impl Call {
    fn new() -> Self {
        Self::of(World::new(), false)
    }

    /// The listeners may be on another thread than the speaker.
    fn of(mut world: World, apart: bool) -> Self {
        let router = world.router();
        let rtp = fixtures::audio("0", SSRC);
        let alice = world.connected(router, Direction::Send);
        let producer = world.produce(alice, MediaKind::Audio, &rtp);
        if apart {
            world.at_second(|world| world.command_of(router, MediaCommand::CreateRouter));
            world.mirror(alice, producer, MediaKind::Audio, &rtp);
        }
        let [bob, carol, dave] = [true, true, false].map(|red| match apart {
            true => world.at_second(|world| listener(world, router, producer, red)),
            false => listener(&mut world, router, producer, red),
        });
        Self { world, router, alice, producer, bob, carol, dave, next: 0 }
    }

    fn speak(&mut self, count: u64) {
        for _ in 0..count {
            say(&mut self.world, self.alice, SSRC, self.next);
            self.next += 1;
            self.world.run(Duration::from_millis(20));
        }
    }

    fn behind(&mut self, listener: usize, conditions: Conditions) {
        self.world.clients[listener].down.set_conditions(conditions);
    }

    fn heard(&self, listener: &Listener) -> Vec<Heard> {
        let packets = self.world.clients[listener.client].received_of(&listener.consumed.rtp);
        packets.map(|packet| taken_apart(*packet.header.payload_type, &packet.payload)).collect()
    }

    fn bob(&self) -> Vec<Heard> {
        self.heard(&self.bob)
    }

    /// Bob is behind a lossy link long enough that it is known.
    fn lose(&mut self) {
        self.speak(PER_SECOND);
        self.behind(self.bob.client, LOSSY);
        self.speak(6 * PER_SECOND);
    }
}

fn listener(world: &mut World, router: RouterId, producer: ProducerId, red: bool) -> Listener {
    let special = Special { reports_every: Duration::from_secs(1), ..Special::default() };
    let client = world.connected_with(router, Direction::Recv, special);
    let capabilities = if red { fixtures::red("0", 1).1 } else { fixtures::chrome_capabilities() };
    let consumed = world.try_consume(client, producer, capabilities).expect("consumed");
    Listener { client, consumed }
}

/// Speech of different lengths that tells its number.
fn sound(number: u64) -> Vec<u8> {
    let mut sound = number.to_be_bytes().to_vec();
    sound.resize(20 + usize::try_from(number % 7).expect("small"), 0xa5);
    sound
}

fn number(sound: &[u8]) -> u64 {
    let number = u64::from_be_bytes(sound[..8].try_into().expect("long enough"));
    assert_eq!(sound, self::sound(number), "what was said");
    number
}

fn say(world: &mut World, client: usize, ssrc: u32, seq: u64) {
    say_at(world, client, ssrc, seq, -20);
}

fn say_at(world: &mut World, client: usize, ssrc: u32, seq: u64, level: i8) {
    let timestamp = u32::try_from(seq * TICKS).expect("a short call");
    let sending = Sending { ssrc, payload_type: OPUS, seq, timestamp, marker: false, audio_level: Some(level), payload: &sound(seq) };
    let now = world.now();
    world.clients[client].send(&sending, now);
}

/// Redundancy is exactly what was said then.
fn taken_apart(payload_type: u8, payload: &[u8]) -> Heard {
    if payload_type == OPUS {
        return Heard { payload_type, number: number(payload), repeats: Vec::new() };
    }
    assert_eq!(payload_type, RED);
    let (mut headers, mut at) = (Vec::new(), 0);
    while payload[at] & 0x80 != 0 {
        let header = u32::from_be_bytes(payload[at..at + 4].try_into().expect("four"));
        headers.push((u64::from(header >> 10 & 0x3fff), usize::try_from(header & 0x3ff).expect("small")));
        assert_eq!(header >> 24, u32::from(OPUS | 0x80));
        at += 4;
    }
    assert_eq!(payload[at], OPUS);
    at += 1;
    let mut blocks = Vec::new();
    for (offset, len) in headers {
        blocks.push((offset, number(&payload[at..at + len])));
        at += len;
    }
    let number = number(&payload[at..]);
    let check = |(offset, block): (u64, u64)| {
        assert_eq!(offset, (number - block) * TICKS, "at the time it was said");
        block
    };
    Heard { payload_type, number, repeats: blocks.into_iter().rev().map(check).collect() }
}

#[test]
fn who_loses_packets_gets_redundancy_within_two_seconds_and_plain_opus_when_it_is_over() {
    let mut call = Call::new();
    call.speak(2 * PER_SECOND);
    assert!(call.bob().iter().all(|heard| heard.payload_type == OPUS), "not before");
    call.behind(call.bob.client, Conditions { loss: 0.1, ..Conditions::GOOD });
    let known = call.next + 2 * PER_SECOND;
    call.speak(10 * PER_SECOND);
    let (over, heard) = (call.next, call.bob());
    assert!(heard.iter().filter(|heard| heard.number >= known).all(|heard| heard.payload_type == RED));
    // It is not a matter of what is lost at once: two in a row are repeated only if many are lost.
    let got = |number: u64| heard.iter().any(|heard| heard.number == number || heard.repeats.contains(&number));
    let said = || known..over - 1;
    let lost = said().filter(|number| heard.iter().all(|heard| heard.number != *number)).count();
    let missed = said().filter(|number| !got(*number)).count();
    assert!(lost >= 25 && missed * 5 < lost, "{missed} missed of {lost} lost");
    call.behind(call.bob.client, Conditions::GOOD);
    call.speak(9 * PER_SECOND);
    assert!(call.bob().iter().filter(|heard| heard.number >= known).all(|heard| heard.payload_type == RED), "not at once");
    call.speak(8 * PER_SECOND);
    assert_eq!(call.bob().last().expect("heard").payload_type, OPUS, "in the end");
    // Numbers go with what is said, whatever it is packed in.
    let packets = call.world.clients[call.bob.client].received_of(&call.bob.consumed.rtp);
    let mut apart = packets.zip(call.bob()).map(|(packet, heard)| *packet.seq_no - heard.number).collect::<Vec<_>>();
    apart.dedup();
    assert_eq!(apart.len(), 1);
}

#[test]
fn a_neighbour_without_loss_and_a_receiver_without_redundancy_get_plain_opus() {
    let mut call = Call::new();
    call.behind(call.dave.client, LOSSY);
    call.lose();
    assert_eq!(call.bob().last().expect("heard").payload_type, RED);
    for listener in [&call.carol, &call.dave] {
        let heard = call.heard(listener);
        assert!(heard.len() > 300 && heard.iter().all(|heard| heard.payload_type == OPUS));
    }
    assert_contiguous(&call.world.clients[call.carol.client], &call.carol.consumed);
    assert!(call.world.clients[call.dave.client].down.lost() > 10);
}

#[test]
fn a_receiver_on_another_thread_is_protected_there() {
    let mut call = Call::of(World::of_two(), true);
    call.lose();
    let newest = call.bob().pop().expect("heard");
    assert_eq!((newest.payload_type, newest.repeats.first()), (RED, Some(&(newest.number - 1))));
    assert!(call.heard(&call.carol).iter().all(|heard| heard.payload_type == OPUS));
}

#[test]
fn what_was_lost_on_the_way_in_is_not_the_receivers_loss() {
    let mut call = Call::new();
    call.world.clients[call.alice].up.set_conditions(Conditions { loss: 0.1, ..Conditions::GOOD });
    call.speak(20 * PER_SECOND);
    assert!(call.world.clients[call.alice].up.lost() > 50);
    let heard = call.bob();
    assert!(heard.len() > 800 && heard.iter().all(|heard| heard.payload_type == OPUS));
}

#[test]
fn a_packet_after_a_hole_repeats_nothing() {
    let mut call = Call::new();
    call.lose();
    call.behind(call.bob.client, Conditions::GOOD);
    call.next += 1;
    let after = call.next;
    call.speak(3);
    let heard = call.bob();
    let repeated: Vec<_> = heard[heard.len() - 3..].iter().map(|heard| (heard.number - after, heard.repeats.first().copied())).collect();
    assert_eq!(repeated, [(0, None), (1, Some(after)), (2, Some(after + 1))]);
}

#[test]
fn what_was_said_while_muted_or_before_is_not_repeated() {
    // What is said while muted reaches the server, or does not.
    for said in [10, 0] {
        let mut call = Call::new();
        call.lose();
        call.behind(call.bob.client, Conditions::GOOD);
        call.speak(10);
        let producer = call.producer;
        let muted = call.next..call.next + said;
        call.world.command(MediaCommand::SetProducerPaused { producer, paused: true });
        call.speak(said);
        call.world.command(MediaCommand::SetProducerPaused { producer, paused: false });
        call.speak(10);
        let heard = call.bob();
        let after: Vec<_> = heard.iter().filter(|heard| heard.number >= muted.start).collect();
        assert_eq!(after.len(), 10);
        assert_eq!((after[0].payload_type, after[0].number), (OPUS, muted.end));
        assert!(after[2..].iter().all(|heard| heard.payload_type == RED && heard.repeats.iter().all(|number| *number >= muted.end)));
        let numbers: Vec<_> =
            call.world.clients[call.bob.client].received_of(&call.bob.consumed.rtp).map(|packet| *packet.seq_no).collect();
        assert!(numbers[numbers.len() - 20..].windows(2).all(|pair| pair[1] == pair[0] + 1), "no gap for what was not sent");
    }
}

#[test]
fn what_was_said_while_a_receiver_paused_is_not_repeated_to_him() {
    let mut call = Call::new();
    call.lose();
    call.behind(call.bob.client, Conditions::GOOD);
    let consumer = call.bob.consumed.consumer;
    call.world.pause_consumer(consumer, true);
    call.speak(10);
    let resumed = call.next;
    call.world.pause_consumer(consumer, false);
    call.speak(10);
    let heard = call.bob();
    let after: Vec<_> = heard.iter().filter(|heard| heard.number >= resumed).collect();
    assert_eq!((after.len(), after[9].payload_type), (10, RED));
    assert!(after.iter().all(|heard| heard.repeats.iter().all(|number| *number >= resumed)));
}

#[test]
fn who_was_not_heard_is_not_repeated_when_he_is() {
    let mut call = Call::of(World::with(TalkersConfig { loudest: 1, all_up_to: 1 }), false);
    let other = call.world.connected(call.router, Direction::Send);
    let producer = call.world.produce(other, MediaKind::Audio, &fixtures::audio("0", 2_222));
    let consumed = call.world.try_consume(call.bob.client, producer, fixtures::red("0", 1).1).expect("consumed");
    call.lose();
    call.behind(call.bob.client, Conditions::GOOD);
    let start = call.next;
    let mut talk = |rounds: std::ops::Range<u64>, alice: i8, level: i8| {
        for seq in rounds {
            say_at(&mut call.world, call.alice, SSRC, start + seq, alice);
            say_at(&mut call.world, other, 2_222, seq, level);
            call.world.run(Duration::from_millis(20));
        }
    };
    talk(0..100, -127, -20);
    talk(100..300, -20, -127);
    talk(300..400, -127, -20);
    let packets = call.world.clients[call.bob.client].received_of(&consumed.rtp);
    let heard: Vec<_> = packets.map(|packet| taken_apart(*packet.header.payload_type, &packet.payload)).collect();
    assert!(heard.iter().any(|heard| heard.payload_type == RED), "his loss counts for everybody he hears");
    let sent: Vec<u64> = heard.iter().map(|heard| heard.number).collect();
    assert!(sent.contains(&80) && !sent.contains(&280) && sent.contains(&380), "there was somebody louder in between");
    for one in &heard {
        assert!(one.repeats.iter().all(|number| sent.contains(number)), "{one:?}");
    }
}

#[test]
fn whom_he_hears_later_is_repeated_from_the_beginning() {
    let mut call = Call::new();
    call.lose();
    call.behind(call.bob.client, Conditions::GOOD);
    let other = call.world.connected(call.router, Direction::Send);
    let producer = call.world.produce(other, MediaKind::Audio, &fixtures::audio("0", 2_222));
    let consumed = call.world.try_consume(call.bob.client, producer, fixtures::red("0", 1).1).expect("consumed");
    for seq in 10..15 {
        say(&mut call.world, other, 2_222, seq);
        call.world.run(Duration::from_millis(20));
    }
    let types = call.world.clients[call.bob.client].received_of(&consumed.rtp).map(|packet| *packet.header.payload_type);
    assert_eq!(types.collect::<Vec<_>>(), [OPUS, OPUS, RED, RED, RED]);
    // He leaves; who stays is not packed for any more, and hears all the same.
    call.world.close_consumer(consumed.consumer);
    say(&mut call.world, other, 2_222, 15);
    call.speak(2);
    assert_eq!(call.bob().last().expect("heard").payload_type, RED);
}
