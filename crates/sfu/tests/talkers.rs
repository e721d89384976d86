//! Large rooms: only the loudest are forwarded, and nobody's first syllable is lost.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Duration;

use common::{Consumed, Sending, World, assert_contiguous, fixtures};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::Direction;
use parlor_sfu::TalkersConfig;

const SILENCE: i8 = -127;
const SPEECH: i8 = -30;
const LOUDEST: usize = 3;

struct Room {
    world: World,
    speakers: Vec<(usize, u32)>,
    listeners: Vec<(usize, Vec<Consumed>)>,
    seq: u64,
}

/// Rooms of up to six hear everybody; in larger ones three are heard.
fn room(speakers: u32, listeners: usize) -> Room {
    let mut world = World::with(TalkersConfig { loudest: LOUDEST, all_up_to: 6 });
    let router = world.router();
    let speakers: Vec<(usize, u32)> = (0..speakers).map(|n| (world.connected(router, Direction::Send), 1_000 + 10 * n)).collect();
    let producers: Vec<_> =
        speakers.iter().map(|(client, ssrc)| world.produce(*client, MediaKind::Audio, &fixtures::audio("0", *ssrc))).collect();
    let listen = |world: &mut World| {
        let client = world.connected(router, Direction::Recv);
        (client, producers.iter().map(|producer| world.consume(client, *producer)).collect())
    };
    let listeners = (0..listeners).map(|_| listen(&mut world)).collect();
    Room { world, speakers, listeners, seq: 0 }
}

impl Room {
    /// Everybody sends for a while, each at its level; a payload tells the packet.
    fn talk(&mut self, packets: u64, level: impl Fn(usize) -> i8) {
        for _ in 0..packets {
            let now = self.world.now();
            for (number, (client, ssrc)) in self.speakers.iter().enumerate() {
                let payload = self.seq.to_be_bytes();
                let sending = Sending {
                    ssrc: *ssrc,
                    payload_type: 111,
                    seq: self.seq,
                    timestamp: self.seq as u32 * 960,
                    marker: false,
                    audio_level: Some(level(number)),
                    payload: &payload,
                };
                self.world.clients[*client].send(&sending, now);
            }
            self.seq += 1;
            self.world.run(Duration::from_millis(20));
        }
        self.world.run(Duration::from_millis(40));
    }

    /// Packets of a speaker that the first listener got.
    fn heard(&self, speaker: usize) -> Vec<u64> {
        let (client, consumed) = &self.listeners[0];
        let of = |payload: &[u8]| u64::from_be_bytes(payload.try_into().expect("eight bytes"));
        self.world.clients[*client].received_of(&consumed[speaker].rtp).map(|packet| of(&packet.payload)).collect()
    }

    fn forwarded(&self) -> u64 {
        self.world.sfu.stats().rtp_forwarded
    }
}

#[test]
fn only_the_loudest_are_forwarded_so_that_cost_grows_with_their_number() {
    let mut room = room(10, 4);
    room.talk(100, |number| if number < 4 { SPEECH } else { SILENCE });
    let before = room.forwarded();
    // All ten speak at once, alike.
    room.talk(100, |_| SPEECH);
    let forwarded = room.forwarded() - before;
    // Three of them to each of four, and what is handed out when somebody is switched in.
    assert!((1_200..1_500).contains(&forwarded), "{forwarded} packets, all would be 4,000");
}

#[test]
fn silence_is_not_forwarded_to_fill_places() {
    let mut room = room(8, 1);
    room.talk(100, |_| SILENCE);
    let before = room.forwarded();
    room.talk(50, |_| SILENCE);
    let forwarded = room.forwarded() - before;
    assert!(forwarded <= 150, "{forwarded}");
}

#[test]
fn everybody_is_heard_in_a_room_that_is_small_enough() {
    let mut room = room(6, 1);
    room.talk(50, |_| SPEECH);
    for speaker in 0..6 {
        assert_eq!(room.heard(speaker).len(), 50, "speaker {speaker}");
    }
}

#[test]
fn the_first_syllable_of_who_is_switched_in_arrives_whole_and_without_a_seam() {
    let mut room = room(8, 1);
    // Three speak; the eighth has been silent for long.
    room.talk(150, |number| if number < 3 { SPEECH } else { SILENCE });
    assert_eq!(room.heard(7).last().copied().filter(|last| *last > 100), None, "not heard while silent");
    // The first falls silent, and then the eighth begins to speak.
    room.talk(60, |number| if (1..3).contains(&number) { SPEECH } else { SILENCE });
    let begins = room.seq;
    room.talk(50, |number| if matches!(number, 1 | 2 | 7) { SPEECH } else { SILENCE });
    let heard: Vec<u64> = room.heard(7).into_iter().filter(|seq| *seq >= 100).collect();
    let wanted: Vec<u64> = (begins..begins + 50).collect();
    let voice: Vec<u64> = heard.iter().copied().filter(|seq| *seq >= begins).collect();
    assert_eq!(voice, wanted, "every packet of its speech, in order");
    // What came just before is the soft beginning of the word.
    assert!(heard[0] < begins && heard[0] + 12 >= begins, "from {} on, speech from {begins}", heard[0]);
    assert!(heard.windows(2).all(|pair| pair[1] == pair[0] + 1), "{heard:?}");
    let (client, consumed) = &room.listeners[0];
    assert_contiguous(&room.world.clients[*client], &consumed[7]);
    // The others were not interrupted for it.
    for speaker in [1, 2] {
        let heard = room.heard(speaker);
        assert_eq!(heard[heard.len() - 100..], (begins + 50 - 100..begins + 50).collect::<Vec<_>>()[..], "speaker {speaker}");
    }
}

#[test]
fn who_shouts_over_three_others_is_heard_from_the_first_packet_on() {
    let mut room = room(8, 1);
    room.talk(100, |number| if number < 3 { -45 } else { SILENCE });
    let begins = room.seq;
    room.talk(50, |number| match number {
        0..3 => -45,
        7 => -20,
        _ => SILENCE,
    });
    let voice: Vec<u64> = room.heard(7).into_iter().filter(|seq| *seq >= begins).collect();
    assert_eq!(voice.last(), Some(&(begins + 49)), "it is heard");
    // What is kept for who is not heard yet: 120 ms.
    assert!(voice.len() >= 45, "from {:?} on, speech from {begins}", voice.first());
    assert_eq!(voice[0], begins, "nothing of its speech is missing");
}
