//! The codecs a router forwards, and how a browser's description of one is recognized.

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{CodecParameters, ParameterValue};

/// A codec the media plane knows how to forward: it can tell where its key frames begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Codec {
    /// Opus, for sound (RFC 7587).
    Opus,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 (RFC 6184).
    H264,
    /// The AV1 RTP specification, 1.0.
    Av1,
}

impl Codec {
    /// Whether the codec is for sound or for pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => MediaKind::Video,
        }
    }

    /// The MIME type as it is written in capabilities.
    #[must_use]
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::Av1 => "video/AV1",
        }
    }

    /// RTP ticks a second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// RFC 7587, section 7: Opus is declared with two channels whatever is sent.
    pub(super) const fn channels(self) -> Option<u8> {
        match self {
            Self::Opus => Some(2),
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::Av1 => None,
        }
    }
}

/// A codec with the payload types consumers get it under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RouterCodec {
    pub(crate) codec: Codec,
    pub(crate) payload_type: u8,
    pub(crate) rtx: Option<u8>,
    /// H264 only (RFC 6184, section 6.2); the two modes are two codecs to a browser.
    pub(super) packetization_mode: u8,
}

/// The payload type consumers get sound under.
pub(crate) const OPUS_PAYLOAD_TYPE: u8 = 111;
/// Sound with redundancy (RFC 2198). It is listed after Opus: who takes the first that it has sends none.
pub(crate) const RED_PAYLOAD_TYPE: u8 = 63;
pub(super) const RED_MIME: &str = "audio/red";

/// What a router supports, in order of preference. The payload types are Chromium's where it has fixed ones.
pub(crate) const ROUTER_CODECS: &[RouterCodec] = &[
    RouterCodec { codec: Codec::Opus, payload_type: OPUS_PAYLOAD_TYPE, rtx: None, packetization_mode: 0 },
    RouterCodec { codec: Codec::Vp8, payload_type: 96, rtx: Some(97), packetization_mode: 0 },
    RouterCodec { codec: Codec::Vp9, payload_type: 98, rtx: Some(99), packetization_mode: 0 },
    RouterCodec { codec: Codec::H264, payload_type: 106, rtx: Some(107), packetization_mode: 1 },
    RouterCodec { codec: Codec::H264, payload_type: 108, rtx: Some(109), packetization_mode: 0 },
    RouterCodec { codec: Codec::Av1, payload_type: 45, rtx: Some(46), packetization_mode: 0 },
];

/// Constrained baseline, level 3.1: what every browser can encode and decode.
const H264_PROFILE: &str = "42e01f";

pub(super) fn parameters(entry: &RouterCodec) -> CodecParameters {
    let number = ParameterValue::Number;
    match entry.codec {
        // Mono: `stereo` tells the sender what we want, `sprop-stereo` the receiver what it gets.
        Codec::Opus => [
            ("useinbandfec".to_owned(), number(1)),
            ("usedtx".to_owned(), number(1)),
            ("stereo".to_owned(), number(0)),
            ("sprop-stereo".to_owned(), number(0)),
        ]
        .into(),
        // Profile 0 is what is meant where none is given.
        Codec::Vp8 | Codec::Av1 => CodecParameters::new(),
        Codec::Vp9 => [("profile-id".to_owned(), number(0))].into(),
        Codec::H264 => [
            ("packetization-mode".to_owned(), number(entry.packetization_mode.into())),
            ("profile-level-id".to_owned(), ParameterValue::Text(H264_PROFILE.to_owned())),
            ("level-asymmetry-allowed".to_owned(), number(1)),
        ]
        .into(),
    }
}

pub(super) fn rtx_parameters(apt: u8) -> CodecParameters {
    [("apt".to_owned(), ParameterValue::Number(apt.into()))].into()
}

/// RFC 2198, section 5: the types of the blocks, without a name. Named by nothing they come out of `mediasoup-client` as
/// `a=fmtp:63 =111/111`, which browsers read the same way.
pub(super) fn red_parameters() -> CodecParameters {
    let types = format!("{OPUS_PAYLOAD_TYPE}/{OPUS_PAYLOAD_TYPE}");
    [(String::new(), ParameterValue::Text(types))].into()
}

/// Whether a browser's description is of redundant Opus.
pub(super) fn is_red(mime: &str, clock_rate: u32, channels: Option<u8>) -> bool {
    mime.eq_ignore_ascii_case(RED_MIME) && (clock_rate, channels) == (Codec::Opus.clock_rate(), Codec::Opus.channels())
}

/// Whether the blocks of redundant sound can be of a payload type. `mediasoup-client` makes `111/111` a name without a value
/// of what has no name, or nothing at all.
pub(super) fn red_carries(parameters: &CodecParameters, payload_type: u8) -> bool {
    let types = parameters.iter().find_map(|(name, value)| match value {
        ParameterValue::Text(text) if name.is_empty() => Some(text.as_str()),
        _ => Some(name.as_str()).filter(|name| name.contains('/')),
    });
    types.is_none_or(|types| types.split('/').all(|one| one.parse() == Ok(payload_type)))
}

/// The router's codec that a browser's description means.
pub(super) fn find(mime: &str, clock_rate: u32, channels: Option<u8>, parameters: &CodecParameters) -> Option<&'static RouterCodec> {
    ROUTER_CODECS.iter().find(|entry| {
        mime.eq_ignore_ascii_case(entry.codec.mime_type())
            && clock_rate == entry.codec.clock_rate()
            && (entry.codec.kind() == MediaKind::Video || channels == entry.codec.channels())
            && variant_matches(entry, parameters)
    })
}

fn variant_matches(entry: &RouterCodec, parameters: &CodecParameters) -> bool {
    match entry.codec {
        Codec::Opus | Codec::Vp8 => true,
        Codec::Vp9 => number(parameters, "profile-id").unwrap_or(0) == 0,
        Codec::Av1 => number(parameters, "profile").unwrap_or(0) == 0,
        Codec::H264 => {
            number(parameters, "packetization-mode").unwrap_or(0) == i64::from(entry.packetization_mode) && is_baseline(parameters)
        }
    }
}

/// What an absent `profile-level-id` means: plain baseline, level 1 (RFC 6184, section 8.1).
const H264_DEFAULT: &str = "42000a";

/// Baseline, or main or extended profile restricted to it (RFC 6184, table 5). Plain baseline is no obstacle to who decodes only the constrained
/// one: no encoder in use has what that leaves out (reordered and redundant slices). Levels are the receivers' affair.
fn is_baseline(parameters: &CodecParameters) -> bool {
    let level_id = text(parameters, "profile-level-id").unwrap_or_else(|| H264_DEFAULT.to_owned());
    let byte = |at: usize| level_id.get(at..at + 2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
    match (level_id.len(), byte(0), byte(2), byte(4)) {
        (6, Some(profile), Some(constraints), Some(_)) => match profile {
            0x42 => true,
            0x4d => constraints & 0x80 != 0,
            0x58 => constraints & 0xc0 == 0xc0,
            _ => false,
        },
        _ => false,
    }
}

/// A parameter that is a number, or was written as a text that reads as one (SDP knows texts only).
fn number(parameters: &CodecParameters, name: &str) -> Option<i64> {
    match parameters.get(name)? {
        ParameterValue::Number(n) => Some(*n),
        ParameterValue::Text(text) => text.parse().ok(),
    }
}

/// `42001` is six digits to a browser even when a parser took it for a number.
fn text(parameters: &CodecParameters, name: &str) -> Option<String> {
    match parameters.get(name)? {
        ParameterValue::Number(n) => Some(format!("{n:06}")),
        ParameterValue::Text(text) => Some(text.clone()),
    }
}
