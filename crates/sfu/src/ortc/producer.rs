//! What a client may produce: its parameters against what the router can forward.

use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::media::{MediaKind, StreamType};
use parlor_proto::rtp::{RtpCodecParameters, RtpEncoding, RtpParameters};

use super::codec::{self, Codec, RouterCodec};

/// What matters of a producer's parameters once they are checked.
#[derive(Clone, Copy, Debug)]
pub struct ProducerFormat {
    /// The codec that is sent.
    pub codec: Codec,
    /// The payload type it sends it under.
    pub payload_type: u8,
    /// If that is of redundant sound (RFC 2198): the payload type of what is in it, and of what is sent without.
    pub red: Option<u8>,
    /// The payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// How the quality of what is sent can be chosen.
    pub stream_type: StreamType,
    pub(crate) router: &'static RouterCodec,
}

impl ProducerFormat {
    /// The payload type consumers get it under.
    pub(crate) fn router_payload_type(&self) -> u8 {
        self.router.payload_type
    }

    /// The payload type of repairs consumers get, if they have RTX.
    pub(crate) fn router_rtx(&self) -> Option<u8> {
        self.router.rtx
    }
}

/// Payload types that can be told from RTCP on one port, and are not assigned statically (RFC 5761, section 4).
pub(crate) fn is_dynamic(payload_type: u8) -> bool {
    (35..=63).contains(&payload_type) || (96..=127).contains(&payload_type)
}

/// Checks parameters that are valid by themselves against the router.
pub fn check_producer(kind: MediaKind, rtp: &RtpParameters) -> Result<ProducerFormat, Error> {
    rtp.validate(kind)?;
    let field = "rtpParameters.codecs";
    if let Some(codec) = rtp.codecs.iter().find(|codec| !is_dynamic(codec.payload_type)) {
        return Err(Error::invalid(field, format!("payload type {} is not a dynamic one", codec.payload_type)));
    }
    let Some(media) = rtp.codecs.iter().find(|codec| !codec.is_rtx()) else {
        return Err(Error::invalid(field, "must begin with a codec that carries media"));
    };
    let is_red = codec::is_red(&media.mime_type, media.clock_rate, media.channels);
    let inner = if is_red { carried(media, &rtp.codecs)? } else { media };
    let Some(router) = codec::find(&inner.mime_type, inner.clock_rate, inner.channels, &inner.parameters) else {
        return Err(Error::new(ErrorCode::Incompatible).with("field", field).with("reason", "the server does not forward this codec"));
    };
    if rtp.encodings.iter().any(|encoding| encoding.ssrc.is_none()) && rtp.mid.is_none() {
        return Err(Error::invalid("rtpParameters.mid", "must be given where an encoding has no ssrc"));
    }
    if kind == MediaKind::Audio && rtp.encodings.len() > 1 {
        return Err(Error::invalid("rtpParameters.encodings", "sound has one encoding"));
    }
    let rtx = rtp.codecs.iter().find(|codec| codec.is_rtx() && codec.apt() == Some(media.payload_type)).map(|codec| codec.payload_type);
    Ok(ProducerFormat {
        codec: router.codec,
        payload_type: media.payload_type,
        red: is_red.then_some(inner.payload_type),
        rtx_payload_type: rtx,
        stream_type: stream_type(media, &rtp.encodings),
        router,
    })
}

/// What is in the blocks of redundant sound.
fn carried<'a>(red: &RtpCodecParameters, codecs: &'a [RtpCodecParameters]) -> Result<&'a RtpCodecParameters, Error> {
    let opus = codecs.iter().find(|codec| codec.mime_type.eq_ignore_ascii_case(Codec::Opus.mime_type()));
    opus.filter(|opus| codec::red_carries(&red.parameters, opus.payload_type))
        .ok_or_else(|| Error::invalid("rtpParameters.codecs", "audio/red must carry an audio/opus that is listed, and nothing else"))
}

/// `L3T3` is one stream with three sizes in it; `L1T3` is one size, and the receiver sees to its frame rates.
fn stream_type(_codec: &RtpCodecParameters, encodings: &[RtpEncoding]) -> StreamType {
    if encodings.len() > 1 {
        return StreamType::Simulcast;
    }
    let layered = encodings.first().and_then(|encoding| encoding.scalability_mode.as_deref()).is_some_and(|mode| {
        let sizes = mode.get(1..2).and_then(|digit| digit.parse::<u8>().ok());
        mode.starts_with(['L', 'S']) && sizes.is_some_and(|sizes| sizes > 1)
    });
    if layered { StreamType::Svc } else { StreamType::Simple }
}
