//! RTP parameters and capabilities (ORTC, in `mediasoup-client`'s field names), and what makes them valid.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits;
use crate::media_kind::MediaKind;

/// A value of a codec's format parameters.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ParameterValue {
    /// A whole number, as in `useinbandfec: 1`.
    Number(i64),
    /// A text, as in `profile-level-id: "42e01f"`.
    Text(String),
}

/// Format parameters (`a=fmtp`), by name.
pub type CodecParameters = BTreeMap<String, ParameterValue>;

/// One kind of RTCP feedback that a codec uses.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RtcpFeedback {
    /// `nack`, `ccm`, `goog-remb`, `transport-cc`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `pli`, `fir` or empty.
    #[serde(default)]
    pub parameter: String,
}

/// A codec one side could use.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpCodecCapability {
    /// Whether the codec is for sound or picture.
    pub kind: MediaKind,
    /// The type and name of the codec: `audio/opus`, `video/VP8`…
    pub mime_type: String,
    /// The payload type it prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferred_payload_type: Option<u8>,
    /// RTP ticks a second.
    pub clock_rate: u32,
    /// Sound channels; absent for video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Format parameters of the codec.
    #[serde(default)]
    pub parameters: CodecParameters,
    /// Feedback it can use.
    #[serde(default)]
    pub rtcp_feedback: Vec<RtcpFeedback>,
}

/// Which way a header extension is used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ExtensionDirection {
    /// It is sent and received.
    #[default]
    Sendrecv,
    /// It is sent only.
    Sendonly,
    /// It is received only.
    Recvonly,
    /// It is not used.
    Inactive,
}

/// A header extension one side could use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpHeaderExtension {
    /// The kind of media it is used with.
    pub kind: MediaKind,
    /// The URI that names the extension.
    pub uri: String,
    /// The id it prefers.
    pub preferred_id: u8,
    /// Whether it is to be encrypted (never by us).
    #[serde(default)]
    pub preferred_encrypt: bool,
    /// Which way the extension is used.
    #[serde(default)]
    pub direction: ExtensionDirection,
}

/// What one side can send or receive.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpCapabilities {
    /// The codecs, RTX among them.
    #[serde(default)]
    pub codecs: Vec<RtpCodecCapability>,
    /// The header extensions the side could use.
    #[serde(default)]
    pub header_extensions: Vec<RtpHeaderExtension>,
}

/// A codec in use.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpCodecParameters {
    /// The type and name of the codec: `audio/opus`, `video/VP8`, `video/rtx`…
    pub mime_type: String,
    /// The payload type of its packets, 0 to 127.
    pub payload_type: u8,
    /// RTP ticks a second.
    pub clock_rate: u32,
    /// Sound channels; absent for video.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u8>,
    /// Format parameters of the codec.
    #[serde(default)]
    pub parameters: CodecParameters,
    /// Feedback that is in use.
    #[serde(default)]
    pub rtcp_feedback: Vec<RtcpFeedback>,
}

impl RtpCodecParameters {
    /// Whether it repairs another codec's stream instead of carrying media itself.
    #[must_use]
    pub fn is_rtx(&self) -> bool {
        self.mime_type.len() > 4 && self.mime_type.to_ascii_lowercase().ends_with("/rtx")
    }

    /// The payload type an RTX codec repairs.
    #[must_use]
    pub fn apt(&self) -> Option<u8> {
        match self.parameters.get("apt") {
            Some(ParameterValue::Number(n)) => u8::try_from(*n).ok(),
            _ => None,
        }
    }
}

/// The repair stream of an encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RtxEncoding {
    /// The SSRC of the repair stream.
    pub ssrc: u32,
}

/// One stream of a producer or consumer.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpEncoding {
    /// The SSRC of the stream, if it is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssrc: Option<u32>,
    /// The RID of the stream, if it is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rid: Option<String>,
    /// The repair stream of this stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtx: Option<RtxEncoding>,
    /// Nothing is sent in silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dtx: Option<bool>,
    /// The scalability mode: `L1T3`, `L3T3_KEY`…
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalability_mode: Option<String>,
    /// What the sender means to use at the most, in bit/s. Informative: limits are enforced on what arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_bitrate: Option<u64>,
}

/// A header extension in use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RtpHeaderExtensionParameters {
    /// The URI that names the extension.
    pub uri: String,
    /// The id of the extension in the packets, 1 to 14 in the one-byte form.
    pub id: u8,
    /// Whether it is encrypted (never by us).
    #[serde(default)]
    pub encrypt: bool,
}

/// RTCP settings of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtcpParameters {
    /// The canonical name that ties streams of one sender together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cname: Option<String>,
    /// Whether RTCP packets may be reduced in size (RFC 5506).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduced_size: Option<bool>,
}

/// How a track is sent.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RtpParameters {
    /// The media section it belongs to, unique on its transport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mid: Option<String>,
    /// The codecs in use, RTX after what it repairs.
    pub codecs: Vec<RtpCodecParameters>,
    /// The header extensions in use.
    #[serde(default)]
    pub header_extensions: Vec<RtpHeaderExtensionParameters>,
    /// The streams: one, or one for each simulcast layer from small to large.
    #[serde(default)]
    pub encodings: Vec<RtpEncoding>,
    /// The RTCP settings of the streams.
    #[serde(default)]
    pub rtcp: RtcpParameters,
}

impl RtpCapabilities {
    /// Checks sizes and ranges.
    pub fn validate(&self) -> Result<(), Error> {
        let field = "rtpCapabilities.codecs";
        bounded(field, self.codecs.len(), limits::MAX_CODECS)?;
        for codec in &self.codecs {
            check_codec(field, &codec.mime_type, codec.clock_rate, &codec.parameters, &codec.rtcp_feedback)?;
            check_kind(field, &codec.mime_type, codec.kind)?;
            if codec.preferred_payload_type.is_some_and(|pt| pt > 127) {
                return Err(Error::invalid(field, "a payload type is over 127"));
            }
        }
        bounded("rtpCapabilities.headerExtensions", self.header_extensions.len(), limits::MAX_HEADER_EXTENSIONS)?;
        for extension in &self.header_extensions {
            short("rtpCapabilities.headerExtensions", &extension.uri, limits::MAX_TEXT_BYTES)?;
        }
        Ok(())
    }
}

impl RtpParameters {
    /// Checks what a producer's parameters must satisfy by themselves: sizes, ranges, and that no payload
    /// type, SSRC, rid or extension id is used twice.
    pub fn validate(&self, kind: MediaKind) -> Result<(), Error> {
        if let Some(mid) = &self.mid {
            token("rtpParameters.mid", mid, limits::MAX_MID_BYTES)?;
        }
        if let Some(cname) = &self.rtcp.cname {
            short("rtpParameters.rtcp.cname", cname, limits::MAX_TEXT_BYTES)?;
        }
        self.validate_codecs(kind)?;
        self.validate_extensions()?;
        self.validate_encodings()
    }

    fn validate_codecs(&self, kind: MediaKind) -> Result<(), Error> {
        let field = "rtpParameters.codecs";
        bounded(field, self.codecs.len(), limits::MAX_CODECS)?;
        let mut seen = HashSet::new();
        for codec in &self.codecs {
            check_codec(field, &codec.mime_type, codec.clock_rate, &codec.parameters, &codec.rtcp_feedback)?;
            check_kind(field, &codec.mime_type, kind)?;
            if codec.payload_type > 127 {
                return Err(Error::invalid(field, "a payload type is over 127"));
            }
            if !seen.insert(codec.payload_type) {
                return Err(Error::invalid(field, format!("payload type {} is used twice", codec.payload_type)));
            }
        }
        if self.codecs.first().is_none_or(RtpCodecParameters::is_rtx) {
            return Err(Error::invalid(field, "must begin with a codec that carries media"));
        }
        if self
            .codecs
            .iter()
            .any(|c| c.is_rtx() && c.apt().is_none_or(|apt| !self.codecs.iter().any(|m| m.payload_type == apt && !m.is_rtx())))
        {
            return Err(Error::invalid(field, "an rtx codec has no apt, or one that is not there"));
        }
        Ok(())
    }

    fn validate_extensions(&self) -> Result<(), Error> {
        let field = "rtpParameters.headerExtensions";
        bounded(field, self.header_extensions.len(), limits::MAX_HEADER_EXTENSIONS)?;
        let (mut ids, mut uris) = (HashSet::new(), HashSet::new());
        for extension in &self.header_extensions {
            short(field, &extension.uri, limits::MAX_TEXT_BYTES)?;
            // RFC 8285: 0 is padding, and 15 is reserved in the one-byte form, the only one browsers send unasked.
            if !(1..=14).contains(&extension.id) {
                return Err(Error::invalid(field, "an id is not between 1 and 14"));
            }
            if !ids.insert(extension.id) || !uris.insert(&extension.uri) {
                return Err(Error::invalid(field, "an id or uri is used twice"));
            }
        }
        Ok(())
    }

    fn validate_encodings(&self) -> Result<(), Error> {
        let field = "rtpParameters.encodings";
        if self.encodings.is_empty() {
            return Err(Error::invalid(field, "must not be empty"));
        }
        bounded(field, self.encodings.len(), limits::MAX_ENCODINGS)?;
        let (mut ssrcs, mut rids) = (HashSet::new(), HashSet::new());
        for encoding in &self.encodings {
            for ssrc in encoding.ssrc.into_iter().chain(encoding.rtx.map(|rtx| rtx.ssrc)) {
                if ssrc == 0 || !ssrcs.insert(ssrc) {
                    return Err(Error::invalid(field, "an ssrc is 0 or used twice"));
                }
            }
            if let Some(rid) = &encoding.rid {
                token(field, rid, limits::MAX_RID_BYTES)?;
                if !rids.insert(rid) {
                    return Err(Error::invalid(field, format!("rid {rid} is used twice")));
                }
            }
            if let Some(mode) = &encoding.scalability_mode {
                token(field, mode, limits::MAX_TEXT_BYTES)?;
            }
            if encoding.ssrc.is_none() && encoding.rid.is_none() {
                return Err(Error::invalid(field, "an encoding has neither ssrc nor rid"));
            }
        }
        if self.encodings.len() > 1 && self.encodings.iter().any(|e| e.rid.is_none()) && self.encodings.iter().any(|e| e.ssrc.is_none()) {
            return Err(Error::invalid(field, "several encodings need a rid each, or an ssrc each"));
        }
        Ok(())
    }
}

fn check_codec(field: &str, mime: &str, clock_rate: u32, parameters: &CodecParameters, feedback: &[RtcpFeedback]) -> Result<(), Error> {
    short(field, mime, limits::MAX_TEXT_BYTES)?;
    if clock_rate == 0 {
        return Err(Error::invalid(field, "a clock rate is 0"));
    }
    bounded(field, parameters.len(), limits::MAX_CODEC_PARAMETERS)?;
    for (name, value) in parameters {
        short(field, name, limits::MAX_TEXT_BYTES)?;
        if let ParameterValue::Text(text) = value {
            short(field, text, limits::MAX_TEXT_BYTES)?;
        }
    }
    bounded(field, feedback.len(), limits::MAX_RTCP_FEEDBACK)?;
    for entry in feedback {
        short(field, &entry.kind, limits::MAX_TEXT_BYTES)?;
        short(field, &entry.parameter, limits::MAX_TEXT_BYTES)?;
    }
    Ok(())
}

fn check_kind(field: &str, mime: &str, kind: MediaKind) -> Result<(), Error> {
    let prefix = match kind {
        MediaKind::Audio => "audio/",
        MediaKind::Video => "video/",
    };
    let fits = mime.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) && mime.len() > prefix.len();
    if fits { Ok(()) } else { Err(Error::invalid(field, format!("a mime type does not begin with {prefix}"))) }
}

fn bounded(field: &str, len: usize, max: usize) -> Result<(), Error> {
    if len > max { Err(Error::invalid(field, format!("has more than {max} entries"))) } else { Ok(()) }
}

fn short(field: &str, text: &str, max: usize) -> Result<(), Error> {
    if text.len() > max { Err(Error::invalid(field, format!("a text is over {max} bytes"))) } else { Ok(()) }
}

/// A mid or rid goes into a header extension and into SDP: only what is safe in both.
fn token(field: &str, text: &str, max: usize) -> Result<(), Error> {
    short(field, text, max)?;
    let fine = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if fine { Ok(()) } else { Err(Error::invalid(field, "may have letters, digits, - and _ only, and must not be empty")) }
}
