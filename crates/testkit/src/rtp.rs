//! RTP parameters as real browsers send them, for tests that need some.

use parlor_proto::MediaKind;
use parlor_proto::media::Source;
use parlor_proto::rtp::{
    CodecParameters, ParameterValue, RtcpFeedback, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters, RtpEncoding,
    RtpHeaderExtensionParameters, RtpParameters, RtxEncoding,
};

/// A microphone: one Opus stream.
#[must_use]
pub fn opus(mid: &str, ssrc: u32) -> RtpParameters {
    RtpParameters {
        mid: Some(mid.into()),
        codecs: vec![RtpCodecParameters {
            mime_type: "audio/opus".into(),
            payload_type: 111,
            clock_rate: 48_000,
            channels: Some(2),
            parameters: numbers(&[("minptime", 10), ("useinbandfec", 1), ("usedtx", 1)]),
            rtcp_feedback: vec![feedback("transport-cc", "")],
        }],
        header_extensions: vec![mid_extension()],
        encodings: vec![RtpEncoding { ssrc: Some(ssrc), dtx: Some(true), ..RtpEncoding::default() }],
        rtcp: rtcp(),
    }
}

/// A camera: VP8 in three simulcast layers, with RTX.
#[must_use]
pub fn vp8_simulcast(mid: &str) -> RtpParameters {
    let layer = |rid: &str, max| RtpEncoding { rid: Some(rid.into()), max_bitrate: Some(max), ..RtpEncoding::default() };
    RtpParameters {
        encodings: vec![layer("r0", 150_000), layer("r1", 500_000), layer("r2", 1_500_000)],
        header_extensions: vec![
            mid_extension(),
            RtpHeaderExtensionParameters { uri: "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id".into(), id: 10, encrypt: false },
        ],
        ..vp8(mid, 1)
    }
}

/// A shared screen: one VP8 stream, with RTX.
#[must_use]
pub fn vp8(mid: &str, ssrc: u32) -> RtpParameters {
    let codec = |mime: &str, payload_type, parameters, rtcp_feedback| RtpCodecParameters {
        mime_type: mime.into(),
        payload_type,
        clock_rate: 90_000,
        channels: None,
        parameters,
        rtcp_feedback,
    };
    let all = vec![feedback("nack", ""), feedback("nack", "pli"), feedback("ccm", "fir"), feedback("transport-cc", "")];
    RtpParameters {
        mid: Some(mid.into()),
        codecs: vec![codec("video/VP8", 96, CodecParameters::new(), all), codec("video/rtx", 97, numbers(&[("apt", 96)]), Vec::new())],
        header_extensions: vec![mid_extension()],
        encodings: vec![RtpEncoding { ssrc: Some(ssrc), rtx: Some(RtxEncoding { ssrc: ssrc + 1 }), ..RtpEncoding::default() }],
        rtcp: rtcp(),
    }
}

/// What a client would send for a source.
#[must_use]
pub fn for_source(kind: MediaKind, source: Source) -> RtpParameters {
    match (kind, source) {
        (MediaKind::Audio, Source::Mic | Source::Camera) => opus("0", 1_000),
        (MediaKind::Audio, Source::Screen) => opus("3", 4_000),
        (MediaKind::Video, Source::Screen) => vp8("2", 3_000),
        (MediaKind::Video, Source::Mic | Source::Camera) => vp8_simulcast("1"),
    }
}

/// A client that decodes Opus and VP8.
#[must_use]
pub fn capabilities() -> RtpCapabilities {
    let codec = |kind, mime: &str, pt, clock_rate, channels, parameters| RtpCodecCapability {
        kind,
        mime_type: mime.into(),
        preferred_payload_type: Some(pt),
        clock_rate,
        channels,
        parameters,
        rtcp_feedback: Vec::new(),
    };
    RtpCapabilities {
        codecs: vec![
            codec(MediaKind::Audio, "audio/opus", 100, 48_000, Some(2), numbers(&[("useinbandfec", 1)])),
            codec(MediaKind::Video, "video/VP8", 101, 90_000, None, CodecParameters::new()),
            codec(MediaKind::Video, "video/rtx", 102, 90_000, None, numbers(&[("apt", 101)])),
        ],
        header_extensions: Vec::new(),
    }
}

fn numbers(pairs: &[(&str, i64)]) -> CodecParameters {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), ParameterValue::Number(*value))).collect()
}

fn feedback(kind: &str, parameter: &str) -> RtcpFeedback {
    RtcpFeedback { kind: kind.into(), parameter: parameter.into() }
}

fn mid_extension() -> RtpHeaderExtensionParameters {
    RtpHeaderExtensionParameters { uri: "urn:ietf:params:rtp-hdrext:sdes:mid".into(), id: 4, encrypt: false }
}

fn rtcp() -> RtcpParameters {
    RtcpParameters { cname: Some("cname".into()), reduced_size: Some(true) }
}
