//! The little SDP (RFC 8866) that Janus speaks: an offer of one track, the answer to it, and the answer to an offer of many.

use std::fmt::Write as _;
use std::net::SocketAddr;

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::{
    CodecParameters, ExtensionDirection, ParameterValue, RtcpFeedback, RtcpParameters, RtpCapabilities, RtpCodecCapability,
    RtpCodecParameters, RtpEncoding, RtpHeaderExtension, RtpHeaderExtensionParameters, RtpParameters, RtxEncoding,
};
use parlor_proto::transport::{
    CandidateKind, DtlsFingerprint, DtlsParameters, DtlsRole, IceCandidate, IceParameters, Protocol as WireProtocol,
};

use crate::dialect::TransportCreated;
use crate::ortc::TRANSPORT_CC;

/// What a bot says of its own end.
pub(super) struct Local {
    pub(super) ufrag: String,
    pub(super) password: String,
    /// The fingerprint of the certificate, as `sha-256 AB:CD…`.
    pub(super) fingerprint: String,
    pub(super) address: SocketAddr,
}

/// One media section of a description, as far as a bot reads it.
pub(super) struct Section {
    pub(super) kind: MediaKind,
    /// Port 0: nothing flows here.
    pub(super) rejected: bool,
    pub(super) rtp: RtpParameters,
}

/// A description from Janus.
pub(super) struct Description {
    /// The address and the credentials of the transport.
    pub(super) transport: TransportCreated,
    pub(super) sections: Vec<Section>,
}

impl Local {
    fn write(&self, sdp: &mut String) {
        let Self { ufrag, password, fingerprint, address } = self;
        let (ip, port) = (address.ip(), address.port());
        // Writing to a string cannot fail.
        let _ = write!(
            sdp,
            "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:{fingerprint}\r\na=setup:active\r\n\
             a=candidate:1 1 udp 2130706431 {ip} {port} typ host\r\na=end-of-candidates\r\n"
        );
    }
}

fn session(mids: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mids}\r\na=msid-semantic: WMS bot\r\n")
}

/// Writes an offer of one track.
pub(super) fn offer(rtp: &RtpParameters, kind: MediaKind, local: &Local) -> String {
    let mid = rtp.mid.as_deref().unwrap_or("0");
    let mut sdp = session(mid);
    let numbers: Vec<String> = rtp.codecs.iter().map(|c| c.payload_type.to_string()).collect();
    let _ = write!(sdp, "m={} 9 UDP/TLS/RTP/SAVPF {}\r\nc=IN IP4 127.0.0.1\r\n", word(kind), numbers.join(" "));
    let _ = write!(sdp, "a=mid:{mid}\r\na=sendonly\r\na=rtcp-mux\r\na=msid:bot track\r\n");
    local.write(&mut sdp);
    for codec in &rtp.codecs {
        let name = codec.mime_type.split_once('/').map_or("", |(_, name)| name);
        let channels = codec.channels.map(|n| format!("/{n}")).unwrap_or_default();
        let _ = write!(sdp, "a=rtpmap:{} {name}/{}{channels}\r\n", codec.payload_type, codec.clock_rate);
        let parameter = |(name, value): (&String, &ParameterValue)| match value {
            ParameterValue::Number(value) => format!("{name}={value}"),
            ParameterValue::Text(value) => format!("{name}={value}"),
        };
        let parameters: Vec<String> = codec.parameters.iter().map(parameter).collect();
        if !parameters.is_empty() {
            let _ = write!(sdp, "a=fmtp:{} {}\r\n", codec.payload_type, parameters.join(";"));
        }
        for feedback in &codec.rtcp_feedback {
            let all = format!("{} {}", feedback.kind, feedback.parameter);
            let _ = write!(sdp, "a=rtcp-fb:{} {}\r\n", codec.payload_type, all.trim_end());
        }
    }
    for extension in &rtp.header_extensions {
        let _ = write!(sdp, "a=extmap:{} {}\r\n", extension.id, extension.uri);
    }
    for encoding in &rtp.encodings {
        let (Some(ssrc), rtx) = (encoding.ssrc, encoding.rtx.map(|rtx| rtx.ssrc)) else { continue };
        if let Some(rtx) = rtx {
            let _ = write!(sdp, "a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{rtx} cname:bot\r\n");
        }
        let _ = write!(sdp, "a=ssrc:{ssrc} cname:bot\r\n");
    }
    sdp
}

/// Takes everything an offer has. Without `audio_feedback`, transport-wide congestion control is left out for audio.
pub(super) fn answer(offer: &str, audio_feedback: bool, local: &Local) -> String {
    let mids: Vec<&str> = lines(offer).filter_map(|line| line.strip_prefix("a=mid:")).collect();
    let mut sdp = session(&mids.join(" "));
    let (mut media, mut audio) = (false, false);
    for line in lines(offer) {
        if line.starts_with("m=") {
            (media, audio) = (true, line.starts_with("m=audio"));
            let _ = write!(sdp, "{line}\r\nc=IN IP4 127.0.0.1\r\na=recvonly\r\na=rtcp-mux\r\n");
            local.write(&mut sdp);
            continue;
        }
        let kept = ["a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:"].iter().any(|prefix| line.starts_with(prefix));
        let congestion = line.ends_with(TRANSPORT_CC) || line.ends_with("transport-cc");
        if media && kept && !(audio && congestion && !audio_feedback) {
            let _ = write!(sdp, "{line}\r\n");
        }
    }
    sdp
}

/// Reads a description; `None` if something a bot needs is missing.
pub(super) fn read(sdp: &str) -> Option<Description> {
    let value = |prefix: &str| lines(sdp).find_map(|line| line.strip_prefix(prefix));
    let (algorithm, hash) = value("a=fingerprint:")?.split_once(' ')?;
    let fingerprints = vec![DtlsFingerprint { algorithm: algorithm.to_owned(), value: hash.to_owned() }];
    let mut candidates: Vec<IceCandidate> = Vec::new();
    for candidate in lines(sdp).filter_map(|line| line.strip_prefix("a=candidate:")).filter_map(read_candidate) {
        // Each section of a bundle says the same again.
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    let transport = TransportCreated {
        id: String::new(),
        ice_parameters: IceParameters {
            username_fragment: value("a=ice-ufrag:")?.to_owned(),
            password: value("a=ice-pwd:")?.to_owned(),
            ice_lite: true,
        },
        ice_candidates: candidates,
        dtls_parameters: DtlsParameters { role: DtlsRole::Auto, fingerprints },
    };
    let mut parts: Vec<Vec<&str>> = Vec::new();
    for line in lines(sdp) {
        if line.starts_with("m=") {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    Some(Description { transport, sections: parts.iter().filter_map(|part| read_section(part)).collect() })
}

/// What the sections have together, as a client of Parlor would be told.
pub(super) fn capabilities(sections: &[Section]) -> RtpCapabilities {
    let mut all = RtpCapabilities::default();
    for section in sections.iter().filter(|s| !s.rejected) {
        for codec in &section.rtp.codecs {
            let capability = RtpCodecCapability {
                kind: section.kind,
                mime_type: codec.mime_type.clone(),
                preferred_payload_type: Some(codec.payload_type),
                clock_rate: codec.clock_rate,
                channels: codec.channels,
                parameters: codec.parameters.clone(),
                rtcp_feedback: codec.rtcp_feedback.clone(),
            };
            if !all.codecs.contains(&capability) {
                all.codecs.push(capability);
            }
        }
        for extension in &section.rtp.header_extensions {
            let extension = RtpHeaderExtension {
                kind: section.kind,
                uri: extension.uri.clone(),
                preferred_id: extension.id,
                preferred_encrypt: false,
                direction: ExtensionDirection::default(),
            };
            if !all.header_extensions.contains(&extension) {
                all.header_extensions.push(extension);
            }
        }
    }
    all
}

fn lines(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines().map(str::trim_end)
}

const fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
    }
}

/// `foundation component transport priority address port typ host …` (RFC 8839, section 5.1).
fn read_candidate(text: &str) -> Option<IceCandidate> {
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [foundation, "1", transport, priority, address, port, "typ", "host", ..] = fields.as_slice() else { return None };
    let ip = address.parse().ok()?;
    Some(IceCandidate {
        foundation: (*foundation).to_owned(),
        priority: priority.parse().ok()?,
        ip,
        address: ip,
        protocol: transport.eq_ignore_ascii_case("udp").then_some(WireProtocol::Udp)?,
        port: port.parse().ok()?,
        kind: CandidateKind::Host,
        tcp_type: None,
    })
}

fn read_section(lines: &[&str]) -> Option<Section> {
    let mut fields = lines.first()?.strip_prefix("m=")?.split(' ');
    let kind = match fields.next()? {
        "audio" => MediaKind::Audio,
        "video" => MediaKind::Video,
        _ => return None,
    };
    let rejected = fields.next()? == "0";
    let values = |prefix: &'static str| lines.iter().filter_map(move |line| line.strip_prefix(prefix));
    let mut codecs: Vec<RtpCodecParameters> = values("a=rtpmap:").filter_map(|map| read_codec(kind, map)).collect();
    for codec in &mut codecs {
        let of_codec = |line: &'static str| {
            let number = codec.payload_type.to_string();
            values(line).filter_map(move |v| v.split_once(' ').filter(|(n, _)| *n == number).map(|(_, rest)| rest))
        };
        let parameters: CodecParameters = of_codec("a=fmtp:").flat_map(|list| list.split(';')).filter_map(read_parameter).collect();
        let feedback = of_codec("a=rtcp-fb:").map(|v| v.split_once(' ').unwrap_or((v, "")));
        let feedback: Vec<RtcpFeedback> = feedback.map(|(k, p)| RtcpFeedback { kind: k.to_owned(), parameter: p.to_owned() }).collect();
        (codec.parameters, codec.rtcp_feedback) = (parameters, feedback);
    }
    let extension = |map: &str| {
        let (id, uri) = map.split_once(' ')?;
        let id = id.split('/').next()?.parse().ok()?;
        Some(RtpHeaderExtensionParameters { uri: uri.to_owned(), id, encrypt: false })
    };
    let pair = values("a=ssrc-group:FID ").next().and_then(|pair| pair.split_once(' '));
    let repair: Option<u32> = pair.and_then(|(_, repair)| repair.parse().ok());
    let mut ssrcs = values("a=ssrc:").filter_map(|line| line.split(' ').next()?.parse::<u32>().ok());
    let encoding = RtpEncoding {
        ssrc: ssrcs.find(|ssrc| Some(*ssrc) != repair),
        rid: None,
        rtx: repair.map(|ssrc| RtxEncoding { ssrc }),
        dtx: None,
        scalability_mode: None,
        max_bitrate: None,
    };
    let rtp = RtpParameters {
        mid: values("a=mid:").next().map(str::to_owned),
        codecs,
        header_extensions: values("a=extmap:").filter_map(extension).collect(),
        encodings: vec![encoding],
        rtcp: RtcpParameters { cname: None, reduced_size: None },
    };
    Some(Section { kind, rejected, rtp })
}

/// Reads a codec, as `111 opus/48000/2`.
fn read_codec(kind: MediaKind, map: &str) -> Option<RtpCodecParameters> {
    let (number, codec) = map.split_once(' ')?;
    let mut fields = codec.split('/');
    Some(RtpCodecParameters {
        mime_type: format!("{}/{}", word(kind), fields.next()?),
        payload_type: number.parse().ok()?,
        clock_rate: fields.next()?.parse().ok()?,
        channels: fields.next().and_then(|n| n.parse().ok()),
        parameters: CodecParameters::new(),
        rtcp_feedback: Vec::new(),
    })
}

fn read_parameter(text: &str) -> Option<(String, ParameterValue)> {
    let (name, value) = text.trim().split_once('=')?;
    let value = value.parse().map_or_else(|_| ParameterValue::Text(value.to_owned()), ParameterValue::Number);
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ortc::{self, SentStream};
    use crate::source::VideoCodec;

    fn local() -> Local {
        let address = SocketAddr::from(([192, 0, 2, 7], 4000));
        Local { ufrag: "abcd".into(), password: "secretsecretsecretsecret".into(), fingerprint: "sha-256 AB:CD".into(), address }
    }

    fn video_offer() -> String {
        let stream = SentStream { ssrc: 77, rtx: Some(78), rid: None, bitrate: 1_000_000 };
        offer(&ortc::sent_parameters(Some(VideoCodec::Vp8), "0", "bot", &[stream]), MediaKind::Video, &local())
    }

    #[test]
    fn an_offer_is_read_back() {
        let description = read(&video_offer()).expect("reads");
        assert_eq!(description.transport.ice_parameters.username_fragment, "abcd");
        assert_eq!(
            description.transport.ice_candidates.iter().map(|c| (c.ip, c.port)).collect::<Vec<_>>(),
            [([192, 0, 2, 7].into(), 4000)]
        );
        let [section] = description.sections.as_slice() else { panic!("one section") };
        assert!(section.kind == MediaKind::Video && !section.rejected);
        let encoding = section.rtp.encodings.first().expect("an encoding");
        assert_eq!((encoding.ssrc, encoding.rtx), (Some(77), Some(RtxEncoding { ssrc: 78 })));
        assert_eq!(section.rtp.codecs.iter().map(|c| c.mime_type.as_str()).collect::<Vec<_>>(), ["video/VP8", "video/rtx"]);
        let repair = section.rtp.codecs.get(1).expect("repair");
        let repaired = section.rtp.codecs.first().expect("a codec").payload_type;
        assert_eq!(repair.parameters.get("apt"), Some(&ParameterValue::Number(repaired.into())));
    }

    #[test]
    fn an_answer_takes_every_section_and_names_our_end() {
        let two =
            format!("{}{}", video_offer(), "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n");
        let other = Local { ufrag: "other".into(), ..local() };
        let text = answer(&two, true, &other);
        assert!(!text.contains("abcd") && !text.contains("sendonly") && !text.contains("a=ssrc"), "{text}");
        assert!(text.contains("a=group:BUNDLE 0 1"), "{text}");
        let description = read(&text).expect("reads");
        assert_eq!(description.transport.ice_parameters.username_fragment, "other");
        assert_eq!(description.sections.len(), 2);
    }

    #[test]
    fn feedback_that_a_bot_cannot_give_is_not_agreed() {
        let audio =
            format!("m=audio 9 X 111\r\na=mid:0\r\na=extmap:3 {TRANSPORT_CC}\r\na=rtcp-fb:111 transport-cc\r\na=extmap:4 urn:other\r\n");
        assert!(answer(&audio, true, &local()).contains(TRANSPORT_CC));
        let without = answer(&audio, false, &local());
        assert!(!without.contains("transport-cc") && !without.contains(TRANSPORT_CC) && without.contains("urn:other"), "{without}");
    }

    #[test]
    fn nonsense_is_no_description() {
        for text in ["", "v=0", "a=fingerprint:x\r\na=ice-ufrag:a\r\na=ice-pwd:b", "m=\r\na=candidate:1"] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
