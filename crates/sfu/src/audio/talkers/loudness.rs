//! How loud a producer is: quick to rise, slow to fall, and tired of whoever never pauses.

use std::time::{Duration, Instant};

/// Quieter is silence: speech is at -20 to -45 dBov, a quiet room's noise below this.
const QUIETEST: i8 = -60;
/// Loud speech; more is not worth more, so that nothing is gained by claiming it.
pub(super) const LOUDEST: i8 = -15;
/// The level of who was never heard, in hundredths of a dB.
const NOTHING: i32 = -12_800;
/// Sound without voice counts for so much less, in dB: below speech.
const NO_VOICE: i8 = 20;
/// How fast loudness falls, in hundredths of a dB per ms: 10 dB a second. Over a pause between words (up to 300 ms) it falls by less
/// than makes a difference.
const RELEASE: i32 = 1;
/// A gap between packets, in ms, that ends what was heard: the sender stopped for silence (DTX).
const GAP: i32 = 200;
/// Sound without pause that is nobody's talk, in ms.
const TIRING: i32 = 20_000;
/// Silence counts so many times: who pauses for a fifth of the time, as all who speak do, never tires anybody.
const REST: i32 = 4;
/// What is lost after that, in hundredths of a dB per 10 ms: 2 dB a second.
const TIRED: i32 = 2;
/// The most that counts as tiring, in ms: 40 dB down from the loudest, below the quietest that is clearly heard.
const MOST_TIRING: i32 = TIRING + 20_000;

/// What a packet carries, by its own claim.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sound {
    Silence,
    /// Sound that is no voice; or nothing is told, which may be anything.
    Noise,
    Voice,
}

/// The loudness of one producer over time.
#[derive(Debug)]
pub(super) struct Loudness {
    /// The level of the last packet, if it was sound.
    previous: Option<i32>,
    /// The last two packets were sound: one alone may be a click.
    lasts: bool,
    /// The loudness, in hundredths of a dB.
    level: i32,
    /// Up to when `level` and `unbroken` count, in whole milliseconds since the beginning: no flood of packets rounds time away.
    counted: Instant,
    last_voice: Option<Instant>,
    last_sound: Option<Instant>,
    /// Milliseconds of sound that no pause made up for.
    unbroken: i32,
}

impl Loudness {
    pub(super) fn new(now: Instant) -> Self {
        Self { previous: None, lasts: false, level: NOTHING, counted: now, last_voice: None, last_sound: None, unbroken: 0 }
    }

    /// Takes a packet's level in.
    pub(super) fn hear(&mut self, level: Option<(i8, bool)>, now: Instant) -> Sound {
        let (sound, level) = judge(level);
        let passed = millis(now.saturating_duration_since(self.counted));
        // Time between sound and silence, in either order, is sound: silence thrown in is no pause.
        let rests = passed >= GAP || (sound == Sound::Silence && self.previous.is_none());
        let change = if rests { passed.saturating_mul(-REST) } else { passed };
        self.unbroken = self.unbroken.saturating_add(change).clamp(0, MOST_TIRING);
        // As loud as two packets in a row are.
        let both = level.zip(self.previous).map(|(level, previous)| level.min(previous));
        self.previous = level;
        self.lasts = both.is_some();
        self.level = self.fallen(now).max(both.unwrap_or(NOTHING));
        self.counted += Duration::from_millis(u64::try_from(passed).unwrap_or(0));
        if sound != Sound::Silence {
            self.last_sound = Some(now);
        }
        if sound == Sound::Voice {
            self.last_voice = Some(now);
        }
        sound
    }

    /// The loudness now, in hundredths of a dB, less what the producer tires by.
    pub(super) fn now(&self, now: Instant) -> i32 {
        let tired = (self.unbroken - TIRING).max(0) / 10 * TIRED;
        self.fallen(now).saturating_sub(tired)
    }

    /// Whether it is more than a click.
    pub(super) fn lasts(&self) -> bool {
        self.lasts
    }

    pub(super) fn last_voice(&self) -> Option<Instant> {
        self.last_voice
    }

    pub(super) fn last_sound(&self) -> Option<Instant> {
        self.last_sound
    }

    fn fallen(&self, now: Instant) -> i32 {
        let by = millis(now.saturating_duration_since(self.counted)).saturating_mul(RELEASE);
        self.level.saturating_sub(by).max(NOTHING)
    }
}

/// What a claim is taken for, and its level in hundredths of a dB.
fn judge(level: Option<(i8, bool)>) -> (Sound, Option<i32>) {
    let (sound, level) = match level {
        Some((level, true)) if level >= QUIETEST => (Sound::Voice, level.min(LOUDEST)),
        Some((level, false)) if level >= QUIETEST + NO_VOICE => (Sound::Noise, level.min(LOUDEST) - NO_VOICE),
        Some(_) => return (Sound::Silence, None),
        None => (Sound::Noise, QUIETEST),
    };
    (sound, Some(i32::from(level) * 100))
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    fn hear(loudness: &mut Loudness, level: Option<(i8, bool)>, packets: u32, now: &mut Instant) {
        for _ in 0..packets {
            *now += FRAME;
            loudness.hear(level, *now);
        }
    }

    #[test]
    fn a_click_is_not_loud_and_two_packets_are() {
        let mut now = start();
        let mut loudness = Loudness::new(now);
        hear(&mut loudness, Some((-20, true)), 1, &mut now);
        assert!(!loudness.lasts() && loudness.now(now) == NOTHING);
        hear(&mut loudness, Some((-90, false)), 1, &mut now);
        hear(&mut loudness, Some((-20, true)), 1, &mut now);
        assert!(!loudness.lasts() && loudness.now(now) == NOTHING, "two clicks");
        hear(&mut loudness, Some((-20, true)), 1, &mut now);
        assert!(loudness.lasts());
        assert_eq!(loudness.now(now), -2_000);
    }

    #[test]
    fn loudness_falls_by_ten_db_a_second_however_packets_come() {
        for packets in [1, 50, 5_000] {
            let mut now = start();
            let mut loudness = Loudness::new(now);
            hear(&mut loudness, Some((-20, true)), 2, &mut now);
            for _ in 0..packets {
                now += Duration::from_secs(1) / packets;
                loudness.hear(Some((-90, false)), now);
            }
            assert!((-3_002..=-2_998).contains(&loudness.now(now)), "{packets}: {}", loudness.now(now));
        }
    }

    #[test]
    fn nothing_is_gained_by_claiming_more_than_loud_speech() {
        assert_eq!(judge(Some((0, true))), judge(Some((LOUDEST, true))));
        assert_eq!(judge(Some((127, true))), judge(Some((LOUDEST, true))), "nonsense");
        assert_eq!(judge(Some((-61, true))).0, Sound::Silence);
        assert_eq!(judge(Some((-45, false))).0, Sound::Silence, "a loud room is no voice");
        assert_eq!(judge(None), (Sound::Noise, Some(-6_000)), "nothing told is the least there is");
    }

    #[test]
    fn who_never_pauses_tires_and_who_speaks_does_not() {
        // Nor does a flood of packets, with silence thrown in, keep anybody fresh.
        for (every, silent) in [(20_000, 0), (500, 0), (5_000, 3)] {
            let mut now = start();
            let mut loudness = Loudness::new(now);
            for packet in 0..40_000_000 / every {
                now += Duration::from_micros(every);
                let level = if silent > 0 && packet % silent == 0 { (-127, false) } else { (0, true) };
                loudness.hear(Some(level), now);
            }
            assert!(loudness.now(now) <= -5_000, "{every} {silent}: {}", loudness.now(now));
        }
        let mut now = start();
        let mut loudness = Loudness::new(now);
        for _ in 0..60 {
            hear(&mut loudness, Some((-20, true)), 75, &mut now);
            hear(&mut loudness, Some((-90, false)), 25, &mut now);
        }
        hear(&mut loudness, Some((-20, true)), 2, &mut now);
        assert_eq!(loudness.now(now), -2_000, "a talk of two minutes");
    }
}
