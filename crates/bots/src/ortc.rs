//! The client's side of codec agreement: what a bot sends, what it can receive, and str0m's idea of both.
//!
//! What a bot sends is numbered like Firefox does (payload types, extension ids), which differs from what
//! routers prefer: the SFU has to translate.

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{
    CodecParameters, ParameterValue, RtcpFeedback, RtcpParameters, RtpCapabilities, RtpCodecParameters, RtpEncoding,
    RtpHeaderExtensionParameters, RtpParameters, RtxEncoding,
};
use str0m::format::{Codec, CodecConfig, FormatParams};
use str0m::media::{Frequency, Pt};
use str0m::rtp::{Extension, ExtensionMap};

use crate::source::VideoCodec;

const OPUS_PT: u8 = 109;
const VP8_PT: u8 = 120;
const VP8_RTX_PT: u8 = 124;
const H264_PT: u8 = 126;
const H264_RTX_PT: u8 = 127;
/// Constrained Baseline 3.1, what every browser sends.
const H264_PROFILE: u32 = 0x42_e01f;

pub(crate) const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Extensions of what a bot sends: id, URI, whether audio and video use it.
fn sent_extensions() -> [(u8, Extension, bool, bool); 6] {
    [
        (1, Extension::AudioLevel, true, false),
        (3, Extension::RtpMid, true, true),
        (4, Extension::AbsoluteSendTime, false, true),
        (7, Extension::TransportSequenceNumber, true, true),
        (10, Extension::RtpStreamId, false, true),
        (11, Extension::RepairedRtpStreamId, false, true),
    ]
}

/// str0m's extensions for sending.
pub(crate) fn send_extension_map() -> ExtensionMap {
    let mut map = ExtensionMap::empty();
    for (id, extension, ..) in sent_extensions() {
        map.set(id, extension);
    }
    map
}

/// str0m's codecs for sending.
pub(crate) fn send_codecs() -> CodecConfig {
    let mut codecs = CodecConfig::empty();
    codecs.add_config(pt(OPUS_PT), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), FormatParams::default());
    codecs.add_config(pt(VP8_PT), Some(pt(VP8_RTX_PT)), Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
    codecs.add_h264(pt(H264_PT), Some(pt(H264_RTX_PT)), true, H264_PROFILE);
    codecs
}

/// str0m's codecs and extensions for receiving what the router sends under the numbers it prefers.
pub(crate) fn receive_config(capabilities: &RtpCapabilities) -> (CodecConfig, ExtensionMap) {
    let mut codecs = CodecConfig::empty();
    for codec in &capabilities.codecs {
        let Some(number) = codec.preferred_payload_type else { continue };
        let (kind, rate) = match codec.mime_type.to_ascii_lowercase().as_str() {
            "audio/opus" => (Codec::Opus, Frequency::FORTY_EIGHT_KHZ),
            "video/vp8" => (Codec::Vp8, Frequency::NINETY_KHZ),
            "video/vp9" => (Codec::Vp9, Frequency::NINETY_KHZ),
            "video/h264" => (Codec::H264, Frequency::NINETY_KHZ),
            _ => continue,
        };
        let repairs = |c: &&parlor_proto::rtp::RtpCodecCapability| {
            c.mime_type.to_ascii_lowercase().ends_with("/rtx")
                && c.parameters.get("apt") == Some(&ParameterValue::Number(i64::from(number)))
        };
        let repair = capabilities.codecs.iter().find(repairs).and_then(|c| c.preferred_payload_type).map(pt);
        codecs.add_config(pt(number), repair, kind, rate, codec.channels, FormatParams::default());
    }
    let mut extensions = ExtensionMap::empty();
    for extension in &capabilities.header_extensions {
        let known = sent_extensions().into_iter().find(|(_, known, ..)| known.as_uri() == extension.uri);
        if let (Some((_, known, ..)), 1..=14) = (known, extension.preferred_id) {
            extensions.set(extension.preferred_id, known);
        }
    }
    (codecs, extensions)
}

/// What a bot tells the server it can receive: everything of the router's that str0m knows. Without
/// `audio_feedback`, transport-wide congestion control is left out for audio; a bot that opens only some of its
/// streams would report the others as lost.
pub(crate) fn receive_capabilities(router: &RtpCapabilities, audio_feedback: bool) -> RtpCapabilities {
    let mut capabilities = router.clone();
    // str0m takes sound apart by its payload type only; it does not know redundancy.
    capabilities.codecs.retain(|codec| !codec.mime_type.eq_ignore_ascii_case("audio/red"));
    capabilities.header_extensions.retain(|e| sent_extensions().iter().any(|(_, known, ..)| known.as_uri() == e.uri));
    if !audio_feedback {
        capabilities.header_extensions.retain(|e| e.kind != MediaKind::Audio || e.uri != TRANSPORT_CC);
        for codec in capabilities.codecs.iter_mut().filter(|c| c.kind == MediaKind::Audio) {
            codec.rtcp_feedback.retain(|f| f.kind != "transport-cc");
        }
    }
    capabilities
}

/// Whether what arrives is to be reported by transport-wide congestion control.
pub(crate) fn uses_transport_cc(rtp: &RtpParameters) -> bool {
    rtp.header_extensions.iter().any(|e| e.uri == TRANSPORT_CC)
        && rtp.codecs.iter().any(|c| c.rtcp_feedback.iter().any(|f| f.kind == "transport-cc"))
}

/// One stream a bot sends.
#[derive(Clone, Debug)]
pub(crate) struct SentStream {
    pub(crate) ssrc: u32,
    pub(crate) rtx: Option<u32>,
    pub(crate) rid: Option<String>,
    pub(crate) bitrate: u32,
}

/// The payload type of what a bot sends.
pub(crate) fn sent_payload_type(codec: Option<VideoCodec>) -> Pt {
    pt(match codec {
        None => OPUS_PT,
        Some(VideoCodec::Vp8) => VP8_PT,
        Some(VideoCodec::H264) => H264_PT,
    })
}

/// The RTP parameters of `produce`; `codec` is `None` for audio.
pub(crate) fn sent_parameters(codec: Option<VideoCodec>, mid: &str, cname: &str, streams: &[SentStream]) -> RtpParameters {
    let audio = codec.is_none();
    let header_extensions = sent_extensions()
        .into_iter()
        .filter(|(_, _, for_audio, for_video)| if audio { *for_audio } else { *for_video })
        .map(|(id, extension, ..)| RtpHeaderExtensionParameters { uri: extension.as_uri().to_owned(), id, encrypt: false })
        .collect();
    // Streams with a rid are known by that alone, as browsers do it; their SSRCs are learned from the packets.
    let encodings = streams
        .iter()
        .map(|s| RtpEncoding {
            ssrc: s.rid.is_none().then_some(s.ssrc),
            rtx: s.rtx.filter(|_| s.rid.is_none()).map(|ssrc| RtxEncoding { ssrc }),
            rid: s.rid.clone(),
            dtx: None,
            scalability_mode: None,
            max_bitrate: Some(u64::from(s.bitrate)),
        })
        .collect();
    RtpParameters {
        mid: Some(mid.to_owned()),
        codecs: match codec {
            None => vec![opus()],
            Some(VideoCodec::Vp8) => with_repair("video/VP8", VP8_PT, VP8_RTX_PT, CodecParameters::new()),
            Some(VideoCodec::H264) => with_repair("video/H264", H264_PT, H264_RTX_PT, h264_parameters()),
        },
        header_extensions,
        encodings,
        rtcp: RtcpParameters { cname: Some(cname.to_owned()), reduced_size: Some(true) },
    }
}

fn opus() -> RtpCodecParameters {
    let parameters = ["useinbandfec", "usedtx", "minptime"].into_iter().zip([1, 1, 10]);
    RtpCodecParameters {
        mime_type: "audio/opus".to_owned(),
        payload_type: OPUS_PT,
        clock_rate: 48_000,
        channels: Some(2),
        parameters: parameters.map(|(name, n)| (name.to_owned(), ParameterValue::Number(n))).collect(),
        rtcp_feedback: vec![feedback("transport-cc", "")],
    }
}

fn with_repair(mime: &str, number: u8, repair: u8, parameters: CodecParameters) -> Vec<RtpCodecParameters> {
    let codec = |mime: &str, payload_type, parameters, rtcp_feedback| RtpCodecParameters {
        mime_type: mime.to_owned(),
        payload_type,
        clock_rate: 90_000,
        channels: None,
        parameters,
        rtcp_feedback,
    };
    let used = vec![feedback("transport-cc", ""), feedback("ccm", "fir"), feedback("nack", ""), feedback("nack", "pli")];
    let apt = CodecParameters::from([("apt".to_owned(), ParameterValue::Number(i64::from(number)))]);
    vec![codec(mime, number, parameters, used), codec("video/rtx", repair, apt, Vec::new())]
}

fn h264_parameters() -> CodecParameters {
    CodecParameters::from([
        ("profile-level-id".to_owned(), ParameterValue::Text(format!("{H264_PROFILE:06x}"))),
        ("packetization-mode".to_owned(), ParameterValue::Number(1)),
        ("level-asymmetry-allowed".to_owned(), ParameterValue::Number(1)),
    ])
}

fn feedback(kind: &str, parameter: &str) -> RtcpFeedback {
    RtcpFeedback { kind: kind.to_owned(), parameter: parameter.to_owned() }
}

fn pt(number: u8) -> Pt {
    Pt::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(ssrc: u32, rid: Option<&str>) -> SentStream {
        SentStream { ssrc, rtx: Some(ssrc + 1), rid: rid.map(str::to_owned), bitrate: 100_000 }
    }

    #[test]
    fn what_a_bot_sends_is_valid() {
        for codec in [Some(VideoCodec::Vp8), Some(VideoCodec::H264)] {
            sent_parameters(codec, "1", "bot", &[stream(10, None)]).validate(MediaKind::Video).expect("single stream");
            let layers = [stream(10, Some("r0")), stream(20, Some("r1")), stream(30, Some("r2"))];
            sent_parameters(codec, "1", "bot", &layers).validate(MediaKind::Video).expect("simulcast");
        }
        let audio = SentStream { rtx: None, ..stream(10, None) };
        sent_parameters(None, "0", "bot", &[audio]).validate(MediaKind::Audio).expect("audio");
    }
}
