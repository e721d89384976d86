//! Capability matching: which codecs and header extensions a producer and a consumer use.
//!
//! Pure functions over the vocabulary; what they decide is carried out elsewhere. The model is ORTC as
//! `mediasoup-client` speaks it: a producer keeps the payload types and extension ids of its browser, a
//! consumer gets those of the router.

mod codec;
mod consumer;
mod producer;

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{ExtensionDirection, RtcpFeedback, RtpCapabilities, RtpCodecCapability, RtpHeaderExtension};

pub use codec::Codec;
pub(crate) use codec::{OPUS_PAYLOAD_TYPE, RED_PAYLOAD_TYPE};
pub(crate) use consumer::transport_needs;
pub use consumer::{ConsumerStreams, can_consume, consumer_parameters};
pub use producer::{ProducerFormat, check_producer};

/// Header extensions the media plane understands, by the URI that names them.
pub mod uri {
    /// The media section a packet belongs to (RFC 8843).
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// The simulcast layer a packet belongs to (RFC 8852).
    pub const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
    /// The simulcast layer a retransmission repairs (RFC 8852).
    pub const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
    /// When a packet left its sender: what receivers without transport-wide feedback estimate bandwidth by.
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// The number transport-wide feedback refers to.
    pub const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// How loud a packet's sound is (RFC 6464).
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
    /// How a picture is to be turned (3GPP TS 26.114).
    pub const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";
    /// The layers of a frame, and what it refers to (AV1 RTP specification, appendix A).
    pub const DEPENDENCY_DESCRIPTOR: &str = "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
}

/// The router's extension ids: Chromium's own, so that its answers look like its offers.
pub(crate) mod id {
    pub(crate) const AUDIO_LEVEL: u8 = 1;
    pub(crate) const ABS_SEND_TIME: u8 = 2;
    pub(crate) const TRANSPORT_CC: u8 = 3;
    pub(crate) const MID: u8 = 4;
    pub(crate) const RID: u8 = 10;
    pub(crate) const REPAIRED_RID: u8 = 11;
    pub(crate) const DEPENDENCY_DESCRIPTOR: u8 = 12;
    pub(crate) const VIDEO_ORIENTATION: u8 = 13;
}

/// What a router can forward. `mediasoup-client` loads it into its device; the order is the order of
/// preference.
#[must_use]
pub fn router_capabilities() -> RtpCapabilities {
    let mut codecs = Vec::new();
    for entry in codec::ROUTER_CODECS {
        codecs.push(RtpCodecCapability {
            kind: entry.codec.kind(),
            mime_type: entry.codec.mime_type().to_owned(),
            preferred_payload_type: Some(entry.payload_type),
            clock_rate: entry.codec.clock_rate(),
            channels: entry.codec.channels(),
            parameters: codec::parameters(entry),
            rtcp_feedback: feedback(entry.codec.kind()),
        });
        if let Some(rtx) = entry.rtx {
            codecs.push(RtpCodecCapability {
                kind: entry.codec.kind(),
                mime_type: "video/rtx".to_owned(),
                preferred_payload_type: Some(rtx),
                clock_rate: entry.codec.clock_rate(),
                channels: None,
                parameters: codec::rtx_parameters(entry.payload_type),
                rtcp_feedback: Vec::new(),
            });
        }
        if entry.codec == Codec::Opus {
            codecs.push(RtpCodecCapability {
                kind: MediaKind::Audio,
                mime_type: codec::RED_MIME.to_owned(),
                preferred_payload_type: Some(RED_PAYLOAD_TYPE),
                clock_rate: entry.codec.clock_rate(),
                channels: entry.codec.channels(),
                parameters: codec::red_parameters(),
                rtcp_feedback: Vec::new(),
            });
        }
    }
    RtpCapabilities { codecs, header_extensions: header_extensions() }
}

/// Opus is not repaired by retransmission: its own redundancy (in-band FEC) is there within a frame, a
/// repeated packet would come too late. So no NACK for sound.
fn feedback(kind: MediaKind) -> Vec<RtcpFeedback> {
    let list: &[(&str, &str)] = match kind {
        MediaKind::Audio => &[("transport-cc", "")],
        MediaKind::Video => &[("goog-remb", ""), ("transport-cc", ""), ("ccm", "fir"), ("nack", ""), ("nack", "pli")],
    };
    list.iter().map(|(kind, parameter)| RtcpFeedback { kind: (*kind).to_owned(), parameter: (*parameter).to_owned() }).collect()
}

/// The directions are the router's: it receives rids, and never sends them, because a consumer has one stream.
fn header_extensions() -> Vec<RtpHeaderExtension> {
    use ExtensionDirection::{Recvonly, Sendrecv};
    use MediaKind::{Audio, Video};
    [
        (Audio, uri::MID, id::MID, Sendrecv),
        (Video, uri::MID, id::MID, Sendrecv),
        (Video, uri::RID, id::RID, Recvonly),
        (Video, uri::REPAIRED_RID, id::REPAIRED_RID, Recvonly),
        (Audio, uri::ABS_SEND_TIME, id::ABS_SEND_TIME, Sendrecv),
        (Video, uri::ABS_SEND_TIME, id::ABS_SEND_TIME, Sendrecv),
        (Audio, uri::TRANSPORT_CC, id::TRANSPORT_CC, Sendrecv),
        (Video, uri::TRANSPORT_CC, id::TRANSPORT_CC, Sendrecv),
        (Audio, uri::AUDIO_LEVEL, id::AUDIO_LEVEL, Sendrecv),
        (Video, uri::VIDEO_ORIENTATION, id::VIDEO_ORIENTATION, Sendrecv),
        (Video, uri::DEPENDENCY_DESCRIPTOR, id::DEPENDENCY_DESCRIPTOR, Sendrecv),
    ]
    .into_iter()
    .map(|(kind, uri, preferred_id, direction)| RtpHeaderExtension {
        kind,
        uri: uri.to_owned(),
        preferred_id,
        preferred_encrypt: false,
        direction,
    })
    .collect()
}
