//! What a receiver gets: the router's codec and extension ids, as far as the receiver has them too.

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{
    RtcpFeedback, RtcpParameters, RtpCapabilities, RtpCodecCapability, RtpCodecParameters, RtpEncoding, RtpHeaderExtensionParameters,
    RtpParameters, RtxEncoding,
};

use super::codec::{self, Codec, RouterCodec};
use super::{ExtensionDirection, ProducerFormat, feedback, header_extensions, uri};

/// The identity of the stream a consumer sends.
#[derive(Clone, Debug)]
pub struct ConsumerStreams {
    /// The media section, unique on the transport.
    pub mid: String,
    /// The SSRC of the stream.
    pub ssrc: u32,
    /// The SSRC of the repair stream (RFC 4588), used if the receiver has RTX.
    pub rtx: u32,
    /// Ties the streams of one sender together, for lip sync.
    pub cname: String,
}

/// Whether a receiver with these capabilities can decode the producer.
#[must_use]
pub fn can_consume(format: &ProducerFormat, capabilities: &RtpCapabilities) -> bool {
    receiver_codec(format.router, capabilities).is_some()
}

/// What a receiver gets of a producer; `None` when it cannot decode it.
#[must_use]
pub fn consumer_parameters(format: &ProducerFormat, capabilities: &RtpCapabilities, streams: &ConsumerStreams) -> Option<RtpParameters> {
    let entry = format.router;
    let theirs = receiver_codec(entry, capabilities)?;
    let kind = entry.codec.kind();
    let transport_cc = transport_needs(capabilities).transport_cc;
    let mut codecs = vec![RtpCodecParameters {
        mime_type: entry.codec.mime_type().to_owned(),
        payload_type: entry.payload_type,
        clock_rate: entry.codec.clock_rate(),
        channels: entry.codec.channels(),
        parameters: codec::parameters(entry),
        rtcp_feedback: shared_feedback(kind, theirs, transport_cc),
    }];
    // The first is what is sent usually. Opus may be sent with redundancy while its receiver loses packets.
    if entry.codec == Codec::Opus && has_red(theirs, capabilities) {
        let red = RtpCodecParameters {
            mime_type: codec::RED_MIME.to_owned(),
            payload_type: codec::RED_PAYLOAD_TYPE,
            clock_rate: entry.codec.clock_rate(),
            channels: entry.codec.channels(),
            parameters: codec::red_parameters(),
            rtcp_feedback: Vec::new(),
        };
        codecs.insert(usize::from(format.red.is_none()), red);
    }
    let rtx = entry.rtx.filter(|_| has_rtx(theirs, capabilities));
    if let Some(payload_type) = rtx {
        codecs.push(RtpCodecParameters {
            mime_type: "video/rtx".to_owned(),
            payload_type,
            clock_rate: entry.codec.clock_rate(),
            channels: None,
            parameters: codec::rtx_parameters(entry.payload_type),
            rtcp_feedback: Vec::new(),
        });
    }
    Some(RtpParameters {
        mid: Some(streams.mid.clone()),
        codecs,
        header_extensions: shared_extensions(entry.codec, capabilities, transport_cc),
        encodings: vec![RtpEncoding {
            ssrc: Some(streams.ssrc),
            rtx: rtx.map(|_| RtxEncoding { ssrc: streams.rtx }),
            ..RtpEncoding::default()
        }],
        rtcp: RtcpParameters { cname: Some(streams.cname.clone()), reduced_size: Some(true) },
    })
}

/// What a receive transport has to do to suit its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TransportNeeds {
    /// Number every packet for transport-wide feedback; else rely on the receiver's own estimate (REMB).
    ///
    /// All or nothing: a receiver that gives the feedback for pictures only would report every packet of
    /// sound as lost, because the numbers run through both.
    pub(crate) transport_cc: bool,
}

pub(crate) fn transport_needs(capabilities: &RtpCapabilities) -> TransportNeeds {
    let covers = |kind: MediaKind| {
        let mut codecs = capabilities.codecs.iter().filter(|codec| codec.kind == kind && !is_wrapping(&codec.mime_type));
        codecs.all(|codec| codec.rtcp_feedback.iter().any(|entry| entry.kind == "transport-cc"))
    };
    let extension = has_extension(capabilities, uri::TRANSPORT_CC);
    TransportNeeds { transport_cc: extension && covers(MediaKind::Audio) && covers(MediaKind::Video) }
}

/// Whether the receiver understands an extension. For which kind it says so is no matter: `mediasoup-client`
/// lists extensions by id, so that of one that sound and pictures share only the last kind is left.
fn has_extension(capabilities: &RtpCapabilities, uri: &str) -> bool {
    let receives = |direction| matches!(direction, ExtensionDirection::Sendrecv | ExtensionDirection::Recvonly);
    capabilities.header_extensions.iter().any(|extension| extension.uri == uri && receives(extension.direction))
}

fn is_rtx(mime: &str) -> bool {
    mime.eq_ignore_ascii_case("video/rtx") || mime.eq_ignore_ascii_case("audio/rtx")
}

/// Feedback is listed at what is wrapped, if at all.
fn is_wrapping(mime: &str) -> bool {
    is_rtx(mime) || mime.eq_ignore_ascii_case(codec::RED_MIME)
}

/// Whether the receiver takes redundant sound of the Opus it has.
fn has_red(opus: &RtpCodecCapability, capabilities: &RtpCapabilities) -> bool {
    let of_opus = |red: &RtpCodecCapability| opus.preferred_payload_type.is_none_or(|pt| codec::red_carries(&red.parameters, pt));
    capabilities.codecs.iter().any(|codec| codec::is_red(&codec.mime_type, codec.clock_rate, codec.channels) && of_opus(codec))
}

fn receiver_codec<'a>(entry: &RouterCodec, capabilities: &'a RtpCapabilities) -> Option<&'a RtpCodecCapability> {
    capabilities.codecs.iter().find(|codec| {
        codec::find(&codec.mime_type, codec.clock_rate, codec.channels, &codec.parameters)
            .is_some_and(|found| found.payload_type == entry.payload_type)
    })
}

/// The receiver's RTX names the payload type of its own list that it repairs.
fn has_rtx(theirs: &RtpCodecCapability, capabilities: &RtpCapabilities) -> bool {
    use parlor_proto::rtp::ParameterValue::Number;
    capabilities.codecs.iter().any(|codec| {
        is_rtx(&codec.mime_type)
            && matches!((codec.parameters.get("apt"), theirs.preferred_payload_type), (Some(Number(apt)), Some(pt)) if *apt == i64::from(pt))
    })
}

/// One estimate is enough: transport-wide feedback where the receiver has it for everything, else REMB.
fn shared_feedback(kind: MediaKind, theirs: &RtpCodecCapability, transport_cc: bool) -> Vec<RtcpFeedback> {
    feedback(kind)
        .into_iter()
        .filter(|ours| theirs.rtcp_feedback.contains(ours))
        .filter(|ours| match ours.kind.as_str() {
            "transport-cc" => transport_cc,
            "goog-remb" => !transport_cc,
            _ => true,
        })
        .collect()
}

/// A receiver trusts a dependency descriptor more than the payload, where the other formats have their counters, and
/// where those are written anew: only AV1 has it.
fn shared_extensions(codec: Codec, capabilities: &RtpCapabilities, transport_cc: bool) -> Vec<RtpHeaderExtensionParameters> {
    header_extensions()
        .into_iter()
        .filter(|ours| ours.kind == codec.kind() && ours.direction == ExtensionDirection::Sendrecv)
        .filter(|ours| has_extension(capabilities, &ours.uri))
        .filter(|ours| match ours.uri.as_str() {
            uri::TRANSPORT_CC => transport_cc,
            uri::ABS_SEND_TIME => !transport_cc,
            uri::DEPENDENCY_DESCRIPTOR => codec == Codec::Av1,
            _ => true,
        })
        .map(|ours| RtpHeaderExtensionParameters { uri: ours.uri, id: ours.preferred_id, encrypt: false })
        .collect()
}
