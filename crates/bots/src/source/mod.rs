//! Media to send: frames of the right size at the right time, with the payload headers an SFU reads.
//!
//! VP8 has a picture in it that a browser shows, filled up to its bitrate with what no decoder reads; the others have headers only.

mod h264;
mod vp8;

use std::time::Duration;

use crate::clock;
use crate::marker::Marker;

pub use vp8::read_picture_id;

/// The largest payload of a packet: with the RTP header, its extensions and the authentication tag it stays
/// under the 1,200 bytes browsers use.
const MAX_PAYLOAD: usize = 1_100;
/// How much larger than a delta frame a key frame is.
const KEY_FRAME_FACTOR: usize = 4;
/// TOC byte of a 20 ms mono Opus frame at full band (RFC 6716, section 3.1).
const OPUS_TOC: u8 = 0xf8;

/// The codec whose payload format is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum VideoCodec {
    /// VP8, as in RFC 7741.
    #[default]
    Vp8,
    /// RFC 6184, packetization mode 1.
    H264,
}

/// A payload and whether it ends its frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Payload {
    /// What goes behind the RTP header.
    pub bytes: Vec<u8>,
    /// The RTP marker bit.
    pub last: bool,
}

/// Opus frames of 20 ms.
#[derive(Clone, Debug)]
pub struct AudioSource {
    bytes: usize,
    frame: u32,
}

impl AudioSource {
    /// The length of a frame.
    pub const INTERVAL: Duration = Duration::from_millis(20);
    /// RTP ticks of a frame, at 48 kHz.
    pub const TICKS: u32 = 960;

    /// Frames of this many bytes, at least as many as a marker needs.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self { bytes: bytes.clamp(1 + Marker::LEN, MAX_PAYLOAD), frame: 0 }
    }

    /// Makes the next frame.
    pub fn next_frame(&mut self) -> Payload {
        let marker = Marker { index: 0, total: 1, frame: self.frame, reference: self.frame, key: true, layer: 0, sent_ns: clock::now_ns() };
        self.frame = self.frame.wrapping_add(1);
        let mut bytes = Vec::with_capacity(self.bytes);
        bytes.push(OPUS_TOC);
        bytes.resize(self.bytes - Marker::LEN, 0x5a);
        marker.write(&mut bytes);
        Payload { bytes, last: false }
    }
}

/// A layer of video.
#[derive(Clone, Debug)]
pub struct VideoSource {
    codec: VideoCodec,
    layer: u8,
    temporal_layers: u8,
    frame_bytes: usize,
    frame: u32,
    /// Position in the pattern of temporal layers, counted from the last key frame.
    since_key: u32,
    last_base: u32,
    last_middle: u32,
    vp8: vp8::Counters,
}

impl VideoSource {
    /// The number of frames a second.
    pub const RATE: u32 = 30;
    /// The time between two frames.
    pub const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / Self::RATE as u64);
    /// RTP ticks between frames, at 90 kHz.
    pub const TICKS: u32 = 90_000 / Self::RATE;

    /// A layer with its bitrate in bit/s and 1 to 3 temporal layers. `picture` is where VP8 picture numbers
    /// begin, and picks the colours: encoders begin at random, so an SFU must translate them when it switches layers.
    #[must_use]
    pub fn new(codec: VideoCodec, layer: u8, bitrate: u32, temporal_layers: u8, picture: u16) -> Self {
        let frame_bytes = (bitrate / 8 / Self::RATE) as usize;
        Self {
            codec,
            layer,
            temporal_layers: temporal_layers.clamp(1, 3),
            frame_bytes: frame_bytes.max(2 * Marker::LEN),
            frame: 0,
            since_key: 0,
            last_base: 0,
            last_middle: 0,
            vp8: vp8::Counters::begin_at(picture, bitrate),
        }
    }

    /// The packets of the next frame.
    pub fn next_frame(&mut self, key: bool) -> Vec<Payload> {
        let key = key || self.frame == 0;
        if key {
            self.since_key = 0;
        }
        let temporal = temporal_layer(self.temporal_layers, self.since_key);
        let reference = match temporal {
            _ if key => self.frame,
            2 => self.last_base.max(self.last_middle),
            _ => self.last_base,
        };
        let bytes = if key { self.frame_bytes * KEY_FRAME_FACTOR } else { self.frame_bytes };
        let total = bytes.div_ceil(MAX_PAYLOAD).max(1);
        let stamp = Marker { layer: self.layer, key, index: 0, total: 0, frame: self.frame, reference, sent_ns: clock::now_ns() };
        let packets = match self.codec {
            VideoCodec::Vp8 => vp8::pack(&mut self.vp8, self.since_key, temporal, stamp, bytes, total),
            VideoCodec::H264 => h264::pack(stamp, bytes, total),
        };
        match temporal {
            0 => (self.last_base, self.last_middle) = (self.frame, self.frame),
            1 => self.last_middle = self.frame,
            _ => {}
        }
        self.frame = self.frame.wrapping_add(1);
        self.since_key = self.since_key.wrapping_add(1);
        packets
    }
}

/// The usual patterns: 0 1 0 1, and 0 2 1 2.
const fn temporal_layer(layers: u8, position: u32) -> u8 {
    match (layers, position % 4) {
        (2, 1 | 3) | (3, 2) => 1,
        (3, 1 | 3) => 2,
        _ => 0,
    }
}

/// Fills `payload` up so that it and its marker have an even share of the frame.
fn fill(payload: &mut Vec<u8>, marker: Marker, frame_bytes: usize, total: usize) {
    let share = (frame_bytes / total).clamp(payload.len() + Marker::LEN, MAX_PAYLOAD.max(payload.len() + Marker::LEN));
    payload.resize(share - Marker::LEN, 0xa5);
    marker.write(payload);
}

fn marked(stamp: Marker, index: usize, total: usize) -> Marker {
    Marker { index: u16::try_from(index).unwrap_or(u16::MAX), total: u16::try_from(total).unwrap_or(u16::MAX), ..stamp }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::FrameModel;

    #[test]
    fn audio_frames_have_the_size_asked_for() {
        let mut source = AudioSource::new(100);
        let frame = source.next_frame();
        assert_eq!(frame.bytes.len(), 100);
        assert_eq!(Marker::read(&frame.bytes).map(|m| m.frame), Some(0));
        assert_eq!(Marker::read(&source.next_frame().bytes).map(|m| m.frame), Some(1));
    }

    #[test]
    fn video_adds_up_to_its_bitrate() {
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            let mut source = VideoSource::new(codec, 0, 1_500_000, 1, 0);
            source.next_frame(true);
            let bytes: usize = (0..30).flat_map(|_| source.next_frame(false)).map(|p| p.bytes.len()).sum();
            let bits = bytes * 8;
            assert!((1_400_000..1_600_000).contains(&bits), "{codec:?}: {bits} bit/s");
        }
    }

    #[test]
    fn a_decoder_can_follow_every_pattern_of_temporal_layers() {
        for layers in 1..=3 {
            let mut source = VideoSource::new(VideoCodec::Vp8, 1, 500_000, layers, 32_760);
            let mut model = FrameModel::default();
            for n in 0..50 {
                for packet in source.next_frame(n == 20) {
                    model.insert(&Marker::read(&packet.bytes).expect("marked"));
                }
            }
            assert_eq!((model.counts().decoded, model.counts().keys), (50, 2), "{layers} layers");
        }
    }

    #[test]
    fn packets_stay_under_the_usual_mtu() {
        for codec in [VideoCodec::Vp8, VideoCodec::H264] {
            let mut source = VideoSource::new(codec, 0, 2_500_000, 3, 0);
            assert!((0..8).flat_map(|n| source.next_frame(n == 4)).all(|p| p.bytes.len() <= 1_110));
        }
    }
}
