//! One consumer's stream as it arrives: counts, order, delay, and whether it could be shown.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;
use str0m::rtp::RtpPacket;

use super::rtp;
use crate::frames::{FrameCounts, FrameModel};
use crate::marker::Marker;
use crate::sequence::SequenceTracker;
use crate::source::read_picture_id;

/// A picture number that leaps further than this was not translated at a layer switch. Real gaps are the frames of
/// a pause or of temporal layers left out.
const MAX_PICTURE_LEAP: u16 = 300;
/// RTP time may run this far from the wall clock before it counts as a jump, in seconds.
const MAX_TIME_LEAP: f64 = 1.0;

/// What a consumer received.
#[derive(Clone, Debug, Default)]
pub struct StreamStats {
    /// The id of the consumer.
    pub consumer: String,
    /// Whether the stream is picture; otherwise it is sound.
    pub video: bool,
    /// Different packets, repaired ones included where streams are opened.
    pub packets: u64,
    /// Bytes of payload (of packets, where they are only counted).
    pub bytes: u64,
    /// How many sequence numbers are missing.
    pub lost: u64,
    /// Copies of packets that had come before.
    pub duplicates: u64,
    /// When the first packet came, by [`crate::clock::now_ns`].
    pub first_packet_ns: Option<u64>,
    /// When the first packet came with which decoding can begin: for video, of a key frame.
    pub first_decodable_ns: Option<u64>,
    /// When the last packet came.
    pub last_packet_ns: Option<u64>,
    /// What a decoder would have made of it; video of opened streams only.
    pub frames: FrameCounts,
    /// Leaps of the picture number: there must be none.
    pub picture_leaps: u64,
    /// Leaps of the RTP time against the wall clock: there must be none.
    pub time_leaps: u64,
    /// The payload types that were seen.
    pub payload_types: Vec<u8>,
}

/// Follows one stream that arrives.
pub(crate) struct Receiver {
    open: bool,
    vp8: bool,
    clock_rate: f64,
    sequence: SequenceTracker,
    frames: FrameModel,
    last_picture: Option<u16>,
    /// RTP time of the last packet, and when it came.
    last_time: Option<(u64, u64)>,
    last_packet: Option<Instant>,
    last_frame: Option<Instant>,
    stats: StreamStats,
}

impl Receiver {
    pub(crate) fn new(consumer: &str, kind: MediaKind, parameters: &RtpParameters, open: bool) -> Self {
        let codec = parameters.codecs.first();
        Self {
            open,
            vp8: codec.is_some_and(|c| c.mime_type.eq_ignore_ascii_case("video/vp8")),
            clock_rate: codec.map_or(90_000.0, |c| f64::from(c.clock_rate)),
            sequence: SequenceTracker::default(),
            frames: FrameModel::default(),
            last_picture: None,
            last_time: None,
            last_packet: None,
            last_frame: None,
            stats: StreamStats { consumer: consumer.to_owned(), video: kind == MediaKind::Video, ..StreamStats::default() },
        }
    }

    pub(crate) fn consumer(&self) -> &str {
        &self.stats.consumer
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) fn stats(&self) -> StreamStats {
        let mut stats = self.stats.clone();
        stats.packets = self.sequence.received();
        stats.lost = self.sequence.missing();
        stats.duplicates = self.sequence.duplicates();
        stats.frames = self.frames.counts();
        stats
    }

    /// Different packets received, and numbers missing.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.sequence.received(), self.sequence.missing())
    }

    /// Counts a packet without opening it.
    pub(crate) fn count(&mut self, packet: &[u8], received_ns: u64) {
        if rtp::sequence(packet).is_some_and(|n| self.sequence.insert(n)) {
            self.stats.bytes += packet.len() as u64;
            self.arrived(received_ns);
            // Of a sound, any packet can be the first.
            if !self.stats.video {
                self.stats.first_decodable_ns.get_or_insert(received_ns);
            }
        }
    }

    /// Takes an opened packet; gives its one-way delay if a bot sent it.
    pub(crate) fn take(&mut self, packet: &RtpPacket, received_ns: u64, now: Instant) -> Option<Duration> {
        if !self.sequence.insert(packet.header.sequence_number) {
            return None;
        }
        self.stats.bytes += packet.payload.len() as u64;
        self.arrived(received_ns);
        self.last_packet = Some(now);
        self.check_time(packet.time.numer(), received_ns);
        let number = *packet.header.payload_type;
        if !self.stats.payload_types.contains(&number) {
            self.stats.payload_types.push(number);
        }
        let marker = Marker::read(&packet.payload)?;
        if marker.key {
            self.stats.first_decodable_ns.get_or_insert(received_ns);
        }
        if self.stats.video {
            if self.frames.insert(&marker) {
                self.last_frame = Some(now);
            }
            self.check_picture(&packet.payload);
        }
        Some(Duration::from_nanos(received_ns.saturating_sub(marker.sent_ns)))
    }

    fn arrived(&mut self, received_ns: u64) {
        self.stats.first_packet_ns.get_or_insert(received_ns);
        self.stats.last_packet_ns = Some(received_ns);
    }

    /// Whether packets come but no picture.
    pub(crate) fn is_stuck(&self, now: Instant, patience: Duration) -> bool {
        let recent = |at: Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < patience);
        self.stats.video && recent(self.last_packet) && !recent(self.last_frame)
    }

    fn check_picture(&mut self, payload: &[u8]) {
        let Some(picture) = read_picture_id(payload).filter(|_| self.vp8) else { return };
        if let Some(last) = self.last_picture {
            let ahead = picture.wrapping_sub(last) & 0x7fff;
            // A late packet of an earlier frame is behind by little.
            if ahead > MAX_PICTURE_LEAP && ahead < 0x8000 - MAX_PICTURE_LEAP {
                self.stats.picture_leaps += 1;
            }
        }
        self.last_picture = Some(picture);
    }

    /// Compared with the kernel's time of arrival: that the bots' thread was away is no leap.
    fn check_time(&mut self, time: u64, received_ns: u64) {
        if let Some((last, at)) = self.last_time {
            #[expect(clippy::cast_precision_loss, reason = "differences are far below 2^52")]
            let (media, wall) = (time.abs_diff(last) as f64 / self.clock_rate, received_ns.abs_diff(at) as f64 / 1e9);
            let backwards = |from, to| if to < from { -1.0 } else { 1.0 };
            if (media * backwards(last, time) - wall * backwards(at, received_ns)).abs() > MAX_TIME_LEAP {
                self.stats.time_leaps += 1;
            }
        }
        self.last_time = Some((time, received_ns));
    }
}

/// One-way delays of a peer's opened packets, in microseconds.
#[derive(Clone, Debug)]
pub struct Delays(Histogram<u32>);

impl Delays {
    /// A record with no delay in it.
    ///
    /// Values from 1 µs to 10 s, to three digits; longer ones count as 10 s.
    #[must_use]
    pub fn new() -> Self {
        // The bounds are constants that satisfy `new_with_bounds`; without them the histogram resizes itself.
        Self(Histogram::new_with_bounds(1, 10_000_000, 3).unwrap_or_else(|_| Histogram::new(3).unwrap_or_else(|_| unreachable!())))
    }

    pub(crate) fn record(&mut self, delay: Duration) {
        self.0.saturating_record(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds the delays another peer has recorded.
    pub fn add(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }

    /// Forgets all delays.
    pub fn reset(&mut self) {
        self.0.reset();
    }

    /// How many delays were recorded.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether no delay was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The delay that this share of packets did not exceed.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }
}

impl Default for Delays {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver() -> Receiver {
        let codec = serde_json::json!({ "mimeType": "video/VP8", "payloadType": 96, "clockRate": 90_000 });
        let parameters = serde_json::from_value(serde_json::json!({ "codecs": [codec] })).expect("parameters");
        Receiver::new("c", MediaKind::Video, &parameters, true)
    }

    fn vp8(picture: u16) -> [u8; 4] {
        let [high, low] = (picture | 0x8000).to_be_bytes();
        [0x90, 0x80, high, low]
    }

    #[test]
    fn picture_numbers_may_wrap_and_be_late_but_not_leap() {
        let mut receiver = receiver();
        for picture in [32_766, 32_767, 0, 32_767, 1, 2] {
            receiver.check_picture(&vp8(picture));
        }
        assert_eq!(receiver.stats.picture_leaps, 0);
        receiver.check_picture(&vp8(9_000));
        assert_eq!(receiver.stats.picture_leaps, 1);
    }

    #[test]
    fn rtp_time_must_keep_up_with_the_wall_clock() {
        let mut receiver = receiver();
        let second = 1_000_000_000;
        receiver.check_time(0, 0);
        receiver.check_time(3_000, second / 30);
        receiver.check_time(3_000 + 10 * 90_000, second / 30 + 10 * second);
        assert_eq!(receiver.stats.time_leaps, 0, "a pause is no leap");
        receiver.check_time(3_000 + 15 * 90_000, second / 30 + 10 * second);
        assert_eq!(receiver.stats.time_leaps, 1);
    }
}
