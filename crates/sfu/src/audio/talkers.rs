//! Who of a large room is heard: the few loudest who speak.
//!
//! Levels are the senders' own claims (RFC 6464). Whatever is claimed, a producer has one place at most; levels count only up
//! to `LOUDEST` (`loudness.rs`), and who makes sound without pause for long counts for less and less, so that nobody keeps
//! others out for good. (As many liars as there are places who also pause like people cannot be told from people.)

mod loudness;
mod preroll;

use std::time::{Duration, Instant};

pub(crate) use preroll::{Held, Preroll};

use crate::table::{Table, TalkerIndex};
use loudness::{Loudness, Sound};

/// Speech has gaps between words and sentences: for so long its place is kept for it.
const HANG_OVER: Duration = Duration::from_millis(600);
/// About a syllable: who has begun to speak is not cut off before.
const MIN_HOLD: Duration = Duration::from_millis(200);
/// How much louder one must be than somebody who speaks, in hundredths of a dB. The loudness of two who speak alike differs by less.
const CLEARLY: i32 = 600;
/// Who only makes sound (no voice, or no level told) gives way to another of its kind after this, and then waits until
/// all others could have had a turn.
const TURN: Duration = Duration::from_secs(5);

/// Whom a room lets through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TalkerLimit {
    /// How many are heard at a time.
    pub(crate) places: usize,
    /// The limit holds only in rooms with more senders of sound than this.
    pub(crate) above: usize,
}

impl Default for TalkerLimit {
    /// Nobody follows more than five voices, and few decode more without effort.
    fn default() -> Self {
        Self { places: 5, above: 8 }
    }
}

/// Whether a packet of a talker is forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    /// The packet is to be forwarded.
    Pass,
    /// The packet is not to be forwarded, but handed to [`Talkers::hold`].
    Hold,
    /// What [`Talkers::take_preroll`] has is to be forwarded, then the packet.
    SwitchedIn,
}

/// The senders of sound in one room.
#[derive(Debug)]
pub(crate) struct Talkers {
    limit: Option<TalkerLimit>,
    talkers: Table<TalkerIndex, Talker>,
    /// Who has a place: as many talkers as the limit has places at most.
    places: Vec<TalkerIndex>,
}

#[derive(Debug)]
struct Talker {
    loudness: Loudness,
    /// When it took its place, if it has one.
    since: Option<Instant>,
    /// When it last had to give way.
    gave_way: Option<Instant>,
    /// What its last packet was told.
    passes: bool,
    preroll: Option<Box<Preroll>>,
}

/// How firm a holder's place is, weakest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Hold {
    Silent,
    MakesSound,
    Speaks,
}

impl Talkers {
    /// `None` lets everybody through.
    pub(crate) fn new(limit: Option<TalkerLimit>) -> Self {
        Self {
            limit: limit.map(|limit| TalkerLimit { places: limit.places.max(1), ..limit }),
            talkers: Table::default(),
            places: Vec::new(),
        }
    }

    /// A producer of sound joins; gives the number it goes by here.
    pub(crate) fn join(&mut self, now: Instant) -> TalkerIndex {
        self.talkers.insert(Talker { loudness: Loudness::new(now), since: None, gave_way: None, passes: true, preroll: None })
    }

    /// A producer is gone, and its place is free.
    pub(crate) fn leave(&mut self, producer: TalkerIndex) {
        self.talkers.remove(producer);
        self.places.retain(|holder| *holder != producer);
    }

    /// A packet came, with the level it claims (dBov and voice) if it does.
    pub(crate) fn on_packet(&mut self, producer: TalkerIndex, level: Option<(i8, bool)>, now: Instant) -> Gate {
        let Some(limit) = self.limit else { return Gate::Pass };
        let Some(talker) = self.talkers.get_mut(producer) else { return Gate::Hold };
        let sound = talker.loudness.hear(level, now);
        // Places are given in small rooms too: when one grows, those who speak have them.
        if talker.since.is_none() && sound != Sound::Silence {
            self.compete(producer, sound, limit.places, now);
        }
        let everybody = self.talkers.len() <= limit.above;
        let Some(talker) = self.talkers.get_mut(producer) else { return Gate::Hold };
        let passes = everybody || talker.since.is_some();
        match (std::mem::replace(&mut talker.passes, passes), passes) {
            (_, false) => Gate::Hold,
            (true, true) => Gate::Pass,
            (false, true) => Gate::SwitchedIn,
        }
    }

    /// Keeps a packet that was not forwarded, for a short while.
    pub(crate) fn hold(&mut self, producer: TalkerIndex, packet: Held, payload: &[u8]) {
        if let Some(talker) = self.talkers.get_mut(producer) {
            talker.preroll.get_or_insert_default().put(packet, payload);
        }
    }

    /// The last packets of who was switched in, in order, up to [`preroll::KEPT`] old.
    pub(crate) fn take_preroll(&mut self, producer: TalkerIndex, now: Instant) -> Option<Box<Preroll>> {
        let mut preroll = self.talkers.get_mut(producer)?.preroll.take()?;
        preroll.forget_old(now);
        Some(preroll)
    }

    /// Gives back the memory of who has stopped sending or has long been switched in; to be called now and then.
    pub(crate) fn trim(&mut self, now: Instant) {
        for talker in self.talkers.values_mut() {
            if talker.preroll.as_ref().is_some_and(|preroll| preroll.is_old(now)) {
                talker.preroll = None;
            }
        }
    }

    /// Gives a producer a place if one is free, or whose holder has to give way.
    fn compete(&mut self, producer: TalkerIndex, sound: Sound, places: usize, now: Instant) {
        if self.places.len() < places {
            return self.seat(producer, now);
        }
        let Some(own) = self.talkers.get(producer).filter(|own| own.loudness.lasts()) else { return };
        let loudness = own.loudness.now(now);
        let others_turns = TURN.saturating_mul(u32::try_from(self.talkers.len() / places).unwrap_or(u32::MAX));
        let waited = own.gave_way.is_none_or(|then| now.saturating_duration_since(then) >= others_turns);
        let weakest = self.places.iter().enumerate().filter_map(|(place, holder)| {
            let holder = self.talkers.get(*holder)?;
            let hold = holder.hold(now);
            let since = holder.since?;
            let held = now.saturating_duration_since(since);
            let level = holder.loudness.now(now);
            let gives_way = match hold {
                Hold::Silent => true,
                Hold::MakesSound => sound == Sound::Voice || (held >= TURN && waited),
                Hold::Speaks => sound == Sound::Voice && held >= MIN_HOLD && loudness >= level.saturating_add(CLEARLY),
            };
            gives_way.then_some((hold, level, since, place))
        });
        let Some((.., place)) = weakest.min() else { return };
        let displaced = self.places.swap_remove(place);
        if let Some(talker) = self.talkers.get_mut(displaced) {
            talker.since = None;
            talker.gave_way = Some(now);
        }
        self.seat(producer, now);
    }

    fn seat(&mut self, producer: TalkerIndex, now: Instant) {
        self.places.push(producer);
        if let Some(talker) = self.talkers.get_mut(producer) {
            talker.since = Some(now);
        }
    }
}

impl Talker {
    fn hold(&self, now: Instant) -> Hold {
        let within = |last: Option<Instant>| last.is_some_and(|last| now.saturating_duration_since(last) < HANG_OVER);
        if within(self.loudness.last_voice()) {
            Hold::Speaks
        } else if within(self.loudness.last_sound()) {
            Hold::MakesSound
        } else {
            Hold::Silent
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Index;

    const FRAME: Duration = Duration::from_millis(20);
    const PLACES: usize = 3;
    const SILENT: Option<(i8, bool)> = Some((-90, false));

    fn voice(level: i8) -> Option<(i8, bool)> {
        Some((level, true))
    }

    /// A room with all of its packets, and what of them went on.
    struct Room {
        talkers: Talkers,
        now: Instant,
        seq: u64,
        forwarded: Vec<Vec<u64>>,
        switches: usize,
    }

    impl Room {
        fn new(producers: usize) -> Self {
            let now = parlor_testkit::clock::Clock::new().now();
            let mut talkers = Talkers::new(Some(TalkerLimit { places: PLACES, above: 4 }));
            (0..producers).for_each(|number| assert_eq!(talkers.join(now), TalkerIndex::at(number)));
            Self { talkers, now, seq: 0, forwarded: vec![Vec::new(); producers], switches: 0 }
        }

        /// One packet of everybody, in turn; gives who passed.
        fn frame(&mut self, levels: &[Option<(i8, bool)>]) -> Vec<usize> {
            self.now += FRAME;
            self.seq += 1;
            (0..levels.len()).filter(|producer| self.packet(*producer, levels[*producer])).collect()
        }

        fn packet(&mut self, producer: usize, level: Option<(i8, bool)>) -> bool {
            let talker = TalkerIndex::at(producer);
            let verdict = self.talkers.on_packet(talker, level, self.now);
            if verdict == Gate::SwitchedIn {
                self.switches += 1;
                let preroll = self.talkers.take_preroll(talker, self.now);
                self.forwarded[producer].extend(preroll.iter().flat_map(|preroll| preroll.packets()).map(|(held, _)| held.seq));
            }
            if verdict == Gate::Hold {
                let held = Held { seq: self.seq, timestamp: 0, marker: false, payload_type: 111, level, arrival: self.now };
                self.talkers.hold(talker, held, &[1; 80]);
            } else {
                self.forwarded[producer].push(self.seq);
            }
            verdict != Gate::Hold
        }

        fn talker(&self, producer: usize) -> &Talker {
            self.talkers.talkers.get(TalkerIndex::at(producer)).expect("there")
        }

        fn places(&self) -> Vec<usize> {
            self.talkers.places.iter().map(|holder| holder.number()).collect()
        }

        fn frames(&mut self, levels: &[Option<(i8, bool)>], frames: usize) -> Vec<usize> {
            (0..frames).map(|_| self.frame(levels)).last().unwrap_or_default()
        }
    }

    #[test]
    fn a_small_room_and_one_without_a_limit_hear_everybody() {
        let mut room = Room::new(4);
        assert_eq!(room.frame(&[voice(-20), SILENT, None, voice(-50)]), [0, 1, 2, 3]);
        let mut talkers = Talkers::new(None);
        let now = room.now;
        let numbers: Vec<TalkerIndex> = (0..100).map(|_| talkers.join(now)).collect();
        assert!(numbers.iter().all(|number| talkers.on_packet(*number, voice(-20), now) == Gate::Pass));
    }

    #[test]
    fn who_speaks_in_a_growing_room_stays_and_in_a_shrinking_one_everybody_is_heard_again() {
        let mut room = Room::new(4);
        room.frames(&[SILENT, voice(-30), voice(-30), voice(-30)], 10);
        room.talkers.join(room.now);
        room.forwarded.push(Vec::new());
        assert_eq!(room.frame(&[SILENT, voice(-30), voice(-30), voice(-30), SILENT]), [1, 2, 3]);
        room.talkers.leave(TalkerIndex::at(4));
        let before = room.forwarded[0].len();
        assert_eq!(room.frame(&[SILENT; 4]), [0, 1, 2, 3]);
        assert_eq!(room.forwarded[0].len(), before + 2, "what was held goes first");
    }

    #[test]
    fn the_loudest_is_heard_within_two_packets_and_nothing_of_its_onset_is_lost() {
        let mut room = Room::new(6);
        let mut levels = [voice(-32), voice(-35), voice(-38), SILENT, SILENT, SILENT];
        assert_eq!(room.frames(&levels, 100), [0, 1, 2]);
        levels[5] = voice(-25);
        let onset = room.seq + 1;
        assert!(!room.frame(&levels).contains(&5), "a click would be no speech");
        assert!(room.frame(&levels).contains(&5));
        assert_eq!(room.frame(&levels), [0, 1, 5], "the quietest gave way");
        assert_eq!(room.forwarded[5], (onset - 5..=onset + 2).collect::<Vec<_>>(), "with what came before, in order, once");
    }

    #[test]
    fn a_free_place_is_taken_at_once() {
        let mut room = Room::new(6);
        room.frames(&[SILENT; 6], 10);
        assert_eq!(room.frame(&[SILENT, SILENT, voice(-45), SILENT, SILENT, SILENT]), [2]);
        assert_eq!(room.forwarded[2].len(), 7, "with what came before");
    }

    #[test]
    fn a_pause_between_words_keeps_the_place_and_a_longer_one_does_not() {
        let mut room = Room::new(6);
        let mut levels = [voice(-30), voice(-30), voice(-30), voice(-30), SILENT, SILENT];
        room.frames(&levels, 100);
        levels[1] = SILENT;
        assert_eq!(room.frames(&levels, 29), [0, 1, 2], "580 ms");
        assert_eq!(room.frames(&levels, 2), [0, 2, 3]);
    }

    #[test]
    fn somebody_clearly_louder_does_not_wait_for_a_pause_to_end() {
        let mut room = Room::new(6);
        room.frames(&[voice(-30), voice(-30), voice(-30), SILENT, SILENT, SILENT], 100);
        assert!(!room.frames(&[voice(-30), voice(-30), SILENT, voice(-25), SILENT, SILENT], 2).contains(&3), "a little louder");
        assert_eq!(room.frames(&[voice(-30), voice(-30), SILENT, voice(-20), SILENT, SILENT], 3), [0, 1, 3]);
    }

    #[test]
    fn noise_silence_and_the_unknown_take_no_place_from_who_speaks() {
        let mut room = Room::new(6);
        for second in 0..30 {
            let pause = if second % 3 == 0 { SILENT } else { voice(-45) };
            room.frames(&[voice(-45), voice(-45), voice(-45), Some((0, false)), None, Some((-61, true))], 45);
            assert_eq!(room.frames(&[pause, pause, pause, Some((0, false)), None, Some((-61, true))], 15), [0, 1, 2]);
        }
        assert_eq!(room.switches, 0);
    }

    #[test]
    fn the_unknown_give_way_at_once_to_who_speaks_and_to_each_other_in_turn() {
        let mut room = Room::new(6);
        assert_eq!(room.frames(&[None; 6], 50), [0, 1, 2], "better than nobody");
        assert!(room.frames(&[None, None, None, None, None, voice(-55)], 2).contains(&5));
        for producers in [6, 20] {
            let mut room = Room::new(producers);
            let mut heard = vec![0; producers];
            for _ in 0..6_000 {
                room.frame(&vec![None; producers]).into_iter().for_each(|producer| heard[producer] += 1);
            }
            let share = 6_000 * PLACES / producers;
            assert!(heard.iter().all(|frames| *frames > share / 2 && *frames < share * 2), "{heard:?}");
        }
    }

    #[test]
    fn who_always_claims_to_be_loudest_does_not_keep_others_out() {
        let mut room = Room::new(6);
        let mut levels = [voice(0), voice(0), voice(0), SILENT, SILENT, SILENT];
        assert_eq!(room.frames(&levels, 2_100), [0, 1, 2]);
        levels[4] = voice(-45);
        assert!(room.frames(&levels, 2).contains(&4));
        // And not in again over somebody who speaks as people do.
        for _ in 0..60 {
            levels[4] = voice(-45);
            assert!(room.frames(&levels, 36).contains(&4));
            levels[4] = SILENT;
            assert!(room.frames(&levels, 14).contains(&4));
        }
    }

    #[test]
    fn two_who_are_equal_do_not_take_the_place_from_each_other() {
        let mut room = Room::new(8);
        // Eight speak at a time, with the loudness of syllables and pauses of up to 300 ms, each at another time.
        for frame in 0..3_000usize {
            let levels: Vec<_> = (0..8)
                .map(|producer| {
                    let at = frame + producer * 13;
                    if at % 60 < 15 { SILENT } else { voice(-22 - i8::try_from(at % 11).expect("small")) }
                })
                .collect();
            room.frame(&levels);
        }
        assert!(room.switches <= 6, "{} in a minute", room.switches);
    }

    #[test]
    fn who_leaves_makes_room_and_is_nobody_afterwards() {
        let mut room = Room::new(6);
        room.frames(&[voice(-20), voice(-20), voice(-20), voice(-40), voice(-41), SILENT], 50);
        room.talkers.leave(TalkerIndex::at(1));
        assert_eq!(room.talkers.on_packet(TalkerIndex::at(1), voice(-20), room.now), Gate::Hold);
        assert_eq!(room.talkers.on_packet(TalkerIndex::at(3), voice(-40), room.now), Gate::SwitchedIn);
        assert_eq!(room.talkers.take_preroll(TalkerIndex::at(1), room.now).map(|_| ()), None);
        room.talkers.hold(
            TalkerIndex::at(77),
            Held { seq: 0, timestamp: 0, marker: false, payload_type: 111, level: None, arrival: room.now },
            &[],
        );
    }

    #[test]
    fn memory_of_who_stopped_sending_is_given_back() {
        let mut room = Room::new(6);
        room.frames(&[SILENT; 6], 50);
        room.talkers.trim(room.now);
        assert!(room.talker(5).preroll.is_some());
        room.talkers.trim(room.now + Duration::from_secs(3));
        assert!(room.talkers.talkers.values().all(|talker| talker.preroll.is_none()));
    }

    proptest::proptest! {
        /// Whatever is claimed: never more pass than there are places, nobody who speaks is cut off within a syllable,
        /// and changes are bounded.
        #[test]
        fn places_are_bounded_and_do_not_flap(
            frames in proptest::collection::vec(proptest::collection::vec(proptest::option::of((-127i8..=0, proptest::bool::ANY)), 7), 1..400),
        ) {
            let mut room = Room::new(7);
            let mut since = [None; 7];
            for levels in &frames {
                for (producer, level) in levels.iter().enumerate() {
                    room.now += FRAME / 7;
                    let before = room.places();
                    room.packet(producer, *level);
                    let places = room.places();
                    proptest::prop_assert!(places.len() <= PLACES);
                    for left in before.iter().filter(|holder| !places.contains(holder)) {
                        let spoke = room.talker(*left).hold(room.now) == Hold::Speaks;
                        let held = since[*left].map_or(Duration::ZERO, |since| room.now - since);
                        proptest::prop_assert!(!spoke || held >= MIN_HOLD, "{left} after {held:?}");
                    }
                    if places.contains(&producer) && !before.contains(&producer) {
                        since[producer] = Some(room.now);
                    }
                }
            }
            // Noise may be followed at once by speech, which stays for a syllable.
            let syllables = FRAME.as_millis() as usize * frames.len() / MIN_HOLD.as_millis() as usize + 1;
            proptest::prop_assert!(room.switches <= PLACES * 2 * (syllables + 1), "{} in {syllables}", room.switches);
        }

        /// In a room where others speak, whoever is clearly the loudest is heard within two packets.
        #[test]
        fn the_loudest_is_always_heard(levels in proptest::collection::vec(-60i8..=-30, 6), frames in 20usize..500, louder in -22i8..=0) {
            let mut room = Room::new(7);
            let mut levels: Vec<_> = levels.into_iter().map(voice).chain([SILENT]).collect();
            room.frames(&levels, frames);
            levels[6] = voice(louder);
            room.frame(&levels);
            proptest::prop_assert!(room.frame(&levels).contains(&6));
            let forwarded = &room.forwarded[6];
            proptest::prop_assert!(forwarded.contains(&(room.seq - 1)) && forwarded.is_sorted_by(|a, b| a + 1 == *b));
        }
    }
}
