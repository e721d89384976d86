//! What several targets need: a moment to begin at, and parameters that are valid.

use std::time::Instant;

use parlor_proto::rtp::{RtcpParameters, RtpCodecParameters, RtpEncoding, RtpParameters};
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole};
use parlor_sfu::ortc;

/// Any instant will do: the machines only compare them.
#[allow(clippy::disallowed_methods, reason = "an origin is needed, and nothing depends on which")]
pub(crate) fn origin() -> Instant {
    Instant::now()
}

/// The DTLS end of a client that will never finish the handshake.
pub(crate) fn dtls() -> DtlsParameters {
    let fingerprint = DtlsFingerprint { algorithm: "sha-256".to_owned(), value: ["AB"; 32].join(":") };
    DtlsParameters { role: DtlsRole::Client, fingerprints: vec![fingerprint] }
}

/// What a microphone is sent with.
pub(crate) fn opus() -> RtpParameters {
    RtpParameters {
        mid: Some("0".to_owned()),
        codecs: codecs(|payload_type| payload_type == OPUS),
        header_extensions: Vec::new(),
        encodings: vec![RtpEncoding { ssrc: Some(1), ..RtpEncoding::default() }],
        rtcp: RtcpParameters::default(),
    }
}

/// The router's payload type of Opus.
pub(crate) const OPUS: u8 = 111;

/// The router's codecs of these payload types, as a producer would use them.
pub(crate) fn codecs(wanted: impl Fn(u8) -> bool) -> Vec<RtpCodecParameters> {
    let all = ortc::router_capabilities().codecs.into_iter();
    all.filter_map(|codec| {
        let payload_type = codec.preferred_payload_type.filter(|pt| wanted(*pt))?;
        Some(RtpCodecParameters {
            mime_type: codec.mime_type,
            payload_type,
            clock_rate: codec.clock_rate,
            channels: codec.channels,
            parameters: codec.parameters,
            rtcp_feedback: codec.rtcp_feedback,
        })
    })
    .collect()
}
