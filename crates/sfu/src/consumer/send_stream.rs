//! One outgoing stream's bookkeeping: what was sent, what of it may be repeated, and what its sender reports say.

mod history;

use std::time::{Duration, Instant};

pub(crate) use history::Sent;

use crate::producer::sender_clock::{Reference, ntp_ticks, ticks};
use history::History;

/// A mapping further than this from what was sent last is no capture delay: the report belongs to something else.
const PLAUSIBLE: Duration = Duration::from_secs(10);

/// What a sender report says about a stream (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) ntp: u64,
    pub(crate) rtp: u32,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
}

/// Packets and payload bytes. Padding is no payload (RFC 3550, section 6.4.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

impl Count {
    fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.octets += bytes as u64;
    }
}

/// The stream to one consumer.
#[derive(Debug)]
pub(crate) struct SendStream {
    clock_rate: u32,
    media: Count,
    repeated: Count,
    /// Bytes of padding sent with it.
    padding: u64,
    /// The timestamp sent last, and when.
    last: Option<(u32, Instant)>,
    /// Made with the first packet to be remembered: audio has none.
    history: Option<Box<History>>,
    /// Packets sent and lost that its receiver has reported on.
    reported: (u64, i64),
    next_rtx: u64,
}

impl SendStream {
    /// `first_rtx` is better random (RFC 3550, section 5.1); its highest bit is cut: SRTP's rollover counter begins at 0.
    pub(crate) fn new(clock_rate: u32, first_rtx: u16) -> Self {
        Self {
            clock_rate: clock_rate.max(1),
            media: Count::default(),
            repeated: Count::default(),
            padding: 0,
            last: None,
            history: None,
            reported: (0, 0),
            next_rtx: u64::from(first_rtx & 0x7fff),
        }
    }

    /// A packet of media was sent, with its outgoing timestamp.
    pub(crate) fn sent(&mut self, timestamp: u32, payload_len: usize, now: Instant) {
        self.media.add(payload_len);
        // A late packet does not take time back.
        if self.last.is_none_or(|(last, _)| timestamp.wrapping_sub(last) < u32::MAX / 2) {
            self.last = Some((timestamp, now));
        }
    }

    /// What a report of the receiver adds to those before it: packets sent, and packets lost on the way. `lost` are all it missed
    /// of `used` numbers (RFC 3550, section 6.4.1); some of them were missing here already.
    pub(crate) fn on_report(&mut self, lost: i32, used: u64) -> (u32, u32) {
        let (packets, before) = self.reported;
        let missing = i64::try_from(used.saturating_sub(self.media.packets)).unwrap_or(i64::MAX);
        let behind_us = i64::from(lost).saturating_sub(missing);
        let sent = self.media.packets.saturating_sub(packets);
        // A hole is known here before the receiver reports it, and its reports fall with duplicates.
        let newly = u64::try_from(behind_us.saturating_sub(before)).unwrap_or(0).min(sent);
        self.reported = (self.media.packets, behind_us.max(before));
        (u32::try_from(sent).unwrap_or(u32::MAX), u32::try_from(newly).unwrap_or(u32::MAX))
    }

    /// A packet that was sent may be asked for again; adds to what repairs may use.
    pub(crate) fn remember(&mut self, sent: Sent, now: Instant) {
        self.history.get_or_insert_with(|| Box::new(History::new(now))).remember(sent, now);
    }

    /// What was sent under a number, if it is to be repeated now; taken as repeated then.
    ///
    /// Not what is unknown or too old, was repeated less than a round trip ago or too often, nor when
    /// repairs have used up their share.
    pub(crate) fn find(&mut self, seq: u16, now: Instant, rtt: Duration) -> Option<Sent> {
        let sent = self.history.as_mut()?.find(seq, now, rtt)?;
        self.repeated.add(usize::from(sent.len));
        Some(sent)
    }

    /// The extended sequence number for the next packet of the repair stream (RFC 4588, section 4), media or padding.
    pub(crate) fn next_rtx(&mut self) -> u64 {
        let number = self.next_rtx;
        self.next_rtx += 1;
        number
    }

    /// Padding was sent on the repair stream.
    pub(crate) fn padded(&mut self, bytes: usize) {
        self.padding += bytes as u64;
    }

    /// Media, repairs, and bytes of padding sent.
    #[cfg(test)]
    pub(crate) fn counts(&self) -> (Count, Count, u64) {
        (self.media, self.repeated, self.padding)
    }

    /// The sender report for now; `None` while nothing was sent.
    ///
    /// `wall` is now as an NTP timestamp, of a clock that never steps. `reference` is from the report of the stream that is
    /// forwarded (`SenderClock::reference`), `timestamp_offset` what is added to that stream's timestamps. All
    /// of a sender's streams share its `SenderClock`: that keeps sound and picture together.
    pub(crate) fn sender_report(&self, now: Instant, wall: u64, reference: Option<Reference>, timestamp_offset: u32) -> Option<Report> {
        let (last, sent_at) = self.last?;
        let guessed = last.wrapping_add(ticks(now.saturating_duration_since(sent_at), self.clock_rate));
        let mapped = reference.map(|Reference { wall: then, rtp }| {
            rtp.wrapping_add(ntp_ticks(wall.wrapping_sub(then), self.clock_rate)).wrapping_add(timestamp_offset)
        });
        let plausible = ticks(PLAUSIBLE, self.clock_rate);
        let rtp = mapped.filter(|mapped| mapped.wrapping_sub(guessed).wrapping_add(plausible) <= plausible.saturating_mul(2));
        #[allow(clippy::cast_possible_truncation, reason = "the counters of a report wrap")]
        let (packets, octets) = (self.media.packets as u32, self.media.octets as u32);
        Some(Report { ntp: wall, rtp: rtp.unwrap_or(guessed), packets, octets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::producer::sender_clock::SenderClock;

    fn start() -> Instant {
        parlor_testkit::clock::Clock::new().now()
    }

    /// A wall clock, as NTP, that shows this many microseconds.
    fn ntp(micros: i64) -> u64 {
        (((3_900_000_000i128 * 1_000_000 + i128::from(micros)) << 32) / 1_000_000) as u64
    }

    #[test]
    fn nothing_is_reported_before_something_is_sent_and_padding_is_no_payload() {
        let now = start();
        let mut outgoing = SendStream::new(90_000, 0xffff);
        outgoing.padded(200);
        assert_eq!(outgoing.sender_report(now, ntp(0), None, 0), None);
        outgoing.sent(1_000, 50, now);
        outgoing.sent(1_000, 60, now);
        let report = outgoing.sender_report(now, ntp(0), None, 0).expect("sent");
        assert_eq!((report.packets, report.octets), (2, 110));
        assert_eq!(outgoing.counts().2, 200);
    }

    #[test]
    fn a_receivers_report_tells_what_was_lost_behind_us_since_the_last_one() {
        let now = start();
        let mut outgoing = SendStream::new(48_000, 0);
        let mut report = |packets: u32, lost: i32, used: u64| {
            (0..packets).for_each(|_| outgoing.sent(0, 50, now));
            outgoing.on_report(lost, used)
        };
        assert_eq!(report(0, 0, 0), (0, 0));
        assert_eq!(report(50, 2, 50), (50, 2));
        assert_eq!(report(45, 7, 100), (45, 0), "five were missing here already");
        assert_eq!(report(45, 7, 150), (45, 0), "of five more it will tell later");
        assert_eq!(report(50, 13, 200), (50, 1), "with one of its own");
        assert_eq!(report(50, 11, 250), (50, 0), "two came twice");
        assert_eq!(report(50, 14, 300), (50, 1));
        assert_eq!(report(10, i32::MAX, 310), (10, 10), "no more than were sent");
        assert_eq!(report(10, i32::MIN, 320), (10, 0));
    }

    #[test]
    fn while_the_sender_has_not_reported_time_goes_on_from_what_was_sent() {
        let now = start();
        let mut outgoing = SendStream::new(90_000, 0);
        outgoing.sent(u32::MAX - 100, 50, now);
        outgoing.sent(u32::MAX - 3_100, 50, now + Duration::from_millis(5));
        let report = outgoing.sender_report(now + Duration::from_secs(1), ntp(1_000_000), None, 77).expect("sent");
        assert_eq!(report, Report { ntp: ntp(1_000_000), rtp: 90_000 - 101, packets: 2, octets: 100 });
    }

    #[test]
    fn a_report_that_cannot_be_meant_is_not_used() {
        let now = start();
        let mut outgoing = SendStream::new(90_000, 0);
        outgoing.sent(5_000, 50, now);
        let at = |rtp: u32| outgoing.sender_report(now, ntp(0), Some(Reference { wall: ntp(0), rtp }), 100).expect("sent").rtp;
        assert_eq!(at(5_000 - 100 + 45_000), 50_000, "half a second ahead");
        assert_eq!(at(5_000u32.wrapping_sub(100 + 45_000)), 5_000u32.wrapping_sub(45_000), "half a second behind");
        assert_eq!(at(2_000_000_000), 5_000);
        assert_eq!(at(5_000 + 11 * 90_000), 5_000);
    }

    #[test]
    fn repairs_are_numbered_on_their_own_and_counted() {
        let now = start();
        let mut outgoing = SendStream::new(90_000, 0xffff);
        assert_eq!(outgoing.find(1, now, Duration::ZERO), None, "no history, as of audio");
        let sent = Sent { out_seq: 1, in_seq: 2, timestamp: 3, layer: 0, marker: false, counters: None, len: 400 };
        outgoing.remember(sent, now);
        assert_eq!(outgoing.find(1, now, Duration::ZERO), Some(sent));
        assert_eq!(outgoing.counts().1, Count { packets: 1, octets: 400 });
        assert_eq!((outgoing.next_rtx(), outgoing.next_rtx()), (0x7fff, 0x8000));
    }

    proptest::proptest! {
        /// Sound and picture taken at the same moment are shown at the same moment, within 6 ms: whatever clock the
        /// sender has, however late its reports come, whenever ours go.
        #[test]
        fn sound_and_picture_stay_together(
            base in proptest::num::i64::ANY,
            drift_ppm in -200i64..=200,
            (audio_base, video_base, audio_offset, video_offset) in proptest::arbitrary::any::<(u32, u32, u32, u32)>(),
            delays in proptest::collection::vec((0i64..150_000, 0i64..150_000), 30),
        ) {
            let begin = start();
            let mut clock = SenderClock::default();
            let (mut audio, mut video) = (SendStream::new(48_000, 0), SendStream::new(90_000, 0));
            let mut audio_report = None;
            let rtp = |capture: i64, rate: i64, base: u32| base.wrapping_add((i128::from(capture) * i128::from(rate) / 1_000_000) as u32);
            // Of the sender: starts anywhere, and runs at its own pace.
            let sender = |capture: i64| ntp(0).wrapping_add_signed(base).wrapping_add(ntp(capture + capture * drift_ppm / 1_000_000).wrapping_sub(ntp(0)));
            for (second, (audio_delay, video_delay)) in (0i64..).zip(delays) {
                let capture = second * 1_000_000;
                let at = |micros: i64| begin + Duration::from_micros(micros as u64);
                audio.sent(rtp(capture, 48_000, audio_base).wrapping_add(audio_offset), 1, at(capture));
                video.sent(rtp(capture, 90_000, video_base).wrapping_add(video_offset), 1, at(capture));
                let arrives = capture + audio_delay;
                clock.on_sender_report(sender(capture), ntp(arrives), at(arrives));
                let audio_at = clock.reference(sender(capture), rtp(capture, 48_000, audio_base));
                // Ours for sound go every five seconds, for the picture every second.
                if second % 5 == 0 {
                    audio_report = audio.sender_report(at(arrives), ntp(arrives), audio_at, audio_offset);
                }
                let later = capture + 200_000;
                let arrives = later + video_delay;
                clock.on_sender_report(sender(later), ntp(arrives), at(arrives));
                let video_at = clock.reference(sender(later), rtp(later, 90_000, video_base));
                let video_report = video.sender_report(at(arrives), ntp(arrives), video_at, video_offset).expect("sent");
                // Where a receiver puts this capture on the wall clock, in microseconds.
                let shown = |report: Report, timestamp: u32, rate: i64| {
                    let ticks = i64::from(timestamp.wrapping_sub(report.rtp).cast_signed());
                    let wall = (i128::from(report.ntp.wrapping_sub(ntp(0)).cast_signed()) * 1_000_000) >> 32;
                    wall as i64 + ticks * 1_000_000 / rate
                };
                let heard = shown(audio_report.expect("sent"), rtp(capture, 48_000, audio_base).wrapping_add(audio_offset), 48_000);
                let seen = shown(video_report, rtp(capture, 90_000, video_base).wrapping_add(video_offset), 90_000);
                proptest::prop_assert!((heard - seen).abs() <= 6_000, "{second}: {heard} {seen}");
                proptest::prop_assert!((heard - capture).abs() <= 160_000, "on our clock: {heard} {capture}");
            }
        }
    }
}
