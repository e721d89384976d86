//! One track a bot sends: a source, its streams in str0m, and when the next frame is due.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::media::{MediaKind, Mid, Pt, Rid};
use str0m::rtp::{ExtensionValues, RtpWrite};

use super::peer::Peer;
use crate::ortc::{SentStream, sent_payload_type};
use crate::source::{AudioSource, Payload, VideoCodec, VideoSource};

/// A thread that was away longer than this skips frames instead of sending them all at once.
const MAX_BACKLOG: Duration = Duration::from_millis(200);
/// Packets kept for repair: two seconds of the highest video bitrate.
const REPAIR_PACKETS: usize = 600;
/// For how long they can be asked for.
const REPAIR_AGE: Duration = Duration::from_secs(3);

enum Source {
    Audio { source: AudioSource, level: i8 },
    Video(Vec<VideoSource>),
}

struct Stream {
    sent: SentStream,
    sequence: u64,
    key_frame: bool,
}

/// A track being sent.
pub(crate) struct Track {
    mid: Mid,
    payload_type: Pt,
    source: Source,
    streams: Vec<Stream>,
    /// RTP time of the next frame, one a stream: browsers begin each layer at its own.
    times: Vec<u32>,
    due: Instant,
    interval: Duration,
    ticks: u32,
    sending: bool,
    packets: u64,
    key_frames_asked: u64,
    skipped: u64,
}

impl Track {
    /// Sound at a level in dBov.
    pub(crate) fn audio(mid: Mid, source: AudioSource, level: i8, stream: SentStream, begin: Instant) -> Self {
        let source = Source::Audio { source, level };
        Self::new(mid, None, source, vec![stream], (AudioSource::INTERVAL, AudioSource::TICKS), begin)
    }

    /// Picture, with one source a stream.
    pub(crate) fn video(mid: Mid, codec: VideoCodec, sources: Vec<VideoSource>, streams: Vec<SentStream>, begin: Instant) -> Self {
        Self::new(mid, Some(codec), Source::Video(sources), streams, (VideoSource::INTERVAL, VideoSource::TICKS), begin)
    }

    fn new(
        mid: Mid,
        codec: Option<VideoCodec>,
        source: Source,
        streams: Vec<SentStream>,
        (interval, ticks): (Duration, u32),
        due: Instant,
    ) -> Self {
        let times = streams.iter().map(|_| rand::random()).collect();
        // Below 2^15, so that no receiver can take the first packets for old ones (RFC 3711, section 3.3.1).
        let begin = || u64::from(rand::random::<u16>() >> 1);
        let streams = streams.into_iter().map(|sent| Stream { sent, sequence: begin(), key_frame: true }).collect();
        let payload_type = sent_payload_type(codec);
        Self { mid, payload_type, source, streams, times, due, interval, ticks, sending: true, packets: 0, key_frames_asked: 0, skipped: 0 }
    }

    /// Sends under another payload type: the one that was agreed on.
    pub(crate) const fn under(mut self, payload_type: Pt) -> Self {
        self.payload_type = payload_type;
        self
    }

    pub(crate) const fn mid(&self) -> Mid {
        self.mid
    }

    /// When the next frame is to be sent.
    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// Packets sent, key frames the server asked for, frames skipped because the thread was late.
    pub(crate) const fn counts(&self) -> (u64, u64, u64) {
        (self.packets, self.key_frames_asked, self.skipped)
    }

    /// Sends, or keeps silent.
    pub(crate) const fn set_sending(&mut self, sending: bool) {
        self.sending = sending;
    }

    /// Makes the next frame a key frame, of one layer or of all.
    pub(crate) fn ask_for_key_frame(&mut self, rid: Option<Rid>) {
        self.key_frames_asked += 1;
        for stream in &mut self.streams {
            if rid.is_none() || stream.sent.rid.as_deref().map(Rid::from) == rid {
                stream.key_frame = true;
            }
        }
    }

    /// Tells str0m of the track.
    pub(crate) fn declare(&self, rtc: &mut Rtc) {
        let kind = match self.source {
            Source::Audio { .. } => MediaKind::Audio,
            Source::Video(_) => MediaKind::Video,
        };
        let mut direct = rtc.direct_api();
        direct.declare_media(self.mid, kind);
        for Stream { sent, .. } in &self.streams {
            let rid = sent.rid.as_deref().map(Rid::from);
            let stream = direct.declare_stream_tx(sent.ssrc.into(), sent.rtx.map(Into::into), self.mid, rid);
            // Without a ratio: by default, str0m drops its cache when it has to repair more than 15 %.
            stream.set_rtx_cache(REPAIR_PACKETS, REPAIR_AGE, None);
        }
    }

    /// Sends every frame that is due through its peer.
    pub(crate) fn write_due(&mut self, peer: &mut Peer, now: Instant) {
        while self.due <= now {
            if now.saturating_duration_since(self.due) > MAX_BACKLOG {
                self.skipped += 1;
            } else if self.sending {
                self.write_frame(peer, now);
            }
            self.times.iter_mut().for_each(|time| *time = time.wrapping_add(self.ticks));
            self.due += self.interval;
        }
    }

    fn write_frame(&mut self, peer: &mut Peer, now: Instant) {
        for (index, (stream, time)) in self.streams.iter_mut().zip(&self.times).enumerate() {
            let key = std::mem::take(&mut stream.key_frame);
            let (payloads, level) = match &mut self.source {
                Source::Audio { source, level } => (vec![source.next_frame()], Some(*level)),
                Source::Video(sources) => (sources.get_mut(index).map(|s| s.next_frame(key)).unwrap_or_default(), None),
            };
            for Payload { bytes, last } in payloads {
                let extensions =
                    ExtensionValues { audio_level: level, voice_activity: level.map(|l| l > -50), ..ExtensionValues::default() };
                let packet = RtpWrite::new(self.payload_type, stream.sequence.into(), *time, now, bytes)
                    .marker(last)
                    .ext_vals(extensions)
                    .nackable(stream.sent.rtx.is_some());
                stream.sequence += 1;
                self.packets += 1;
                peer.write(stream.sent.ssrc, packet, now);
            }
        }
    }
}
