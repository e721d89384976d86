//! The tracks a bot sends, made from what was asked for.

use std::time::{Duration, Instant};

use str0m::media::Mid;

use crate::engine::Track;
use crate::options::{AudioOptions, VideoOptions};
use crate::ortc::SentStream;
use crate::source::{AudioSource, VideoSource};

/// The stream of a sound.
pub(crate) fn audio_stream(options: &AudioOptions) -> SentStream {
    SentStream { ssrc: random_ssrc(), rtx: None, rid: None, bitrate: u32::try_from(options.bytes).unwrap_or(0) * 400 }
}

/// The track of a sound.
pub(crate) fn audio_track(mid: Mid, options: &AudioOptions, stream: SentStream) -> Track {
    Track::audio(mid, AudioSource::new(options.bytes), options.level, stream, staggered(AudioSource::INTERVAL))
}

/// The streams of a picture: one a layer.
pub(crate) fn video_streams(options: &VideoOptions) -> Vec<SentStream> {
    let simulcast = options.bitrates.len() > 1;
    let stream = |(layer, bitrate): (usize, &u32)| SentStream {
        ssrc: random_ssrc(),
        rtx: Some(random_ssrc()),
        rid: simulcast.then(|| format!("r{layer}")),
        bitrate: *bitrate,
    };
    options.bitrates.iter().enumerate().map(stream).collect()
}

/// The track of a picture.
pub(crate) fn video_track(mid: Mid, options: &VideoOptions, streams: Vec<SentStream>) -> Track {
    let source = |(layer, stream): (u8, &SentStream)| {
        VideoSource::new(options.codec, layer, stream.bitrate, options.temporal_layers, rand::random())
    };
    let sources = (0u8..).zip(&streams).map(source).collect();
    Track::video(mid, options.codec, sources, streams, staggered(VideoSource::INTERVAL))
}

/// Bots do not begin their frames in step: a random part of the interval from now.
fn staggered(interval: Duration) -> Instant {
    Instant::now() + interval.mul_f64(rand::random::<f64>())
}

/// Not 0, which is reserved for bandwidth probes.
fn random_ssrc() -> u32 {
    rand::random::<u32>().max(1)
}
