//! The only place that talks to str0m: DTLS, SRTP, RTCP and bandwidth estimation of one client connection.
//!
//! Addresses and ICE are not its business: it is given a single made-up path that always works, and what
//! it sends on it is sent on whichever path [`super::ice`] has selected.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::error::{Error, ErrorCode};
use parlor_proto::media::MediaKind;
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole};
use str0m::bwe::{Bitrate, BweKind};
use str0m::config::{DtlsCert, Fingerprint};
use str0m::crypto::CryptoProvider;
use str0m::format::{Codec as StrCodec, CodecConfig, FormatParams};
use str0m::ice::{IceCreds, StunMessage, TransId};
use str0m::media::{Frequency, KeyframeRequestKind, MediaKind as StrKind, Mid, Pt, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, ExtensionMap, ExtensionValues, RtpWrite, Ssrc, Vp8Descriptor};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::extension::Meanings;
use crate::ortc::{self, ROUTER_CODECS};
use crate::rewrite::Vp8Counters;

/// Both ends of the path str0m sees: addresses for documentation (RFC 5737), never on a wire.
const INSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 1);
const OUTSIDE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 1);
/// Credentials of that path. No secret: nothing from the network reaches str0m's ICE.
const INSIDE_NAME: &str = "inside";
const OUTSIDE_NAME: &str = "outside";
const PATH_PASSWORD: &str = "the path within the process";
/// str0m lets a path die after 15 s without a check.
const PATH_REFRESH: Duration = Duration::from_secs(4);

/// What a new receiver is assumed to have room for, until its feedback says otherwise: the smaller layers of
/// a few cameras.
const INITIAL_ESTIMATE: Bitrate = Bitrate::kbps(1_000);
/// Packets kept for repair, per stream: at 2.5 Mbit/s about 3 s. Payloads are shared with the other receivers.
const RTX_CACHE_PACKETS: usize = 1_024;
/// What is older is too late for any receiver's jitter buffer.
const RTX_CACHE_AGE: Duration = Duration::from_secs(2);
/// Half of what is sent may be repair: room for heavy loss, and no lever for a receiver that asks for
/// everything again and again. (str0m's own 15 % gives up repair altogether at a loss it could mend.)
const RTX_RATIO: f32 = 0.5;
/// A larger payload does not fit a datagram of 1,500 bytes with its headers, tag and UDP; no client sends one.
const MAX_PAYLOAD: usize = 1_420;

/// A packet of a producer, decrypted.
#[derive(Clone, Debug)]
pub(crate) struct MediaPacket {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    /// Extended sequence number.
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) extensions: Extensions,
    pub(crate) payload: Arc<[u8]>,
}

/// The header extensions that go from sender to receiver.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extensions {
    /// dBov and voice activity (RFC 6464).
    pub(crate) audio_level: Option<(i8, bool)>,
    /// Quarter turns, as in the packet.
    pub(crate) orientation: Option<u8>,
}

/// A packet for a receiver.
pub(crate) struct Write<'a> {
    pub(crate) ssrc: u32,
    pub(crate) payload_type: u8,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) vp8: Option<Vp8Counters>,
    /// Whether it may be asked for again.
    pub(crate) repairable: bool,
    pub(crate) packet: &'a MediaPacket,
}

/// What comes out of a connection.
pub(crate) enum PeerOutput {
    /// Nothing more until then.
    Idle(Instant),
    Transmit(Vec<u8>),
    Packet(MediaPacket),
    /// The receiver of the stream with this media section asks for a key frame.
    KeyFrameWanted(Section),
    /// What the receiver has room for, in bit/s.
    Estimate(u64),
    /// DTLS is done, media can flow.
    Connected,
    /// It ended, or broke for good.
    Closed,
}

/// A media section inside str0m. Its names are ours: what clients call theirs is kept outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Section(Mid);

/// How a receiver's bandwidth is learned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Estimation {
    /// By transport-wide feedback.
    TransportCc,
    /// The receiver estimates (REMB).
    Receiver,
}

/// The certificate all connections of one `Sfu` show. Making one costs a millisecond, so it is made once.
pub(crate) struct Identity {
    certificate: DtlsCert,
    pub(crate) fingerprint: DtlsFingerprint,
    pub(crate) crypto: Arc<CryptoProvider>,
}

impl Identity {
    pub(crate) fn new() -> Option<Self> {
        let crypto = Arc::new(str0m::crypto::from_feature_flags());
        let certificate = crypto.dtls_provider.generate_certificate()?;
        let hash = crypto.sha256_provider.sha256(&certificate.certificate);
        let value = hash.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":");
        let fingerprint = DtlsFingerprint { algorithm: "sha-256".to_owned(), value };
        Some(Self { certificate, fingerprint, crypto })
    }
}

/// One client connection.
pub(crate) struct Peer {
    rtc: Rtc,
    crypto: Arc<CryptoProvider>,
    dtls_started: bool,
    path_checked: Instant,
    sections: u32,
    dead: bool,
}

impl Peer {
    /// A connection that receives media: payload types and extension ids are the client's.
    pub(crate) fn receiving(identity: &Identity, meanings: &Meanings, now: Instant) -> Self {
        let config = Self::config(identity).set_extension_map(meanings.extension_map());
        Self::build(config, identity, now, |codecs| {
            let dynamic = (96..=127).chain(35..=63);
            dynamic.for_each(|payload_type| add_received_codec(codecs, payload_type));
        })
    }

    /// A connection that sends media: payload types and extension ids are the router's.
    pub(crate) fn sending(identity: &Identity, estimation: Estimation, now: Instant) -> Self {
        let mut extensions = ExtensionMap::empty();
        extensions.set(ortc::id::AUDIO_LEVEL, Extension::AudioLevel);
        extensions.set(ortc::id::MID, Extension::RtpMid);
        extensions.set(ortc::id::VIDEO_ORIENTATION, Extension::VideoOrientation);
        let mut config = Self::config(identity);
        if estimation == Estimation::TransportCc {
            extensions.set(ortc::id::TRANSPORT_CC, Extension::TransportSequenceNumber);
            config = config.enable_bwe(Some(INITIAL_ESTIMATE));
        } else {
            extensions.set(ortc::id::ABS_SEND_TIME, Extension::AbsoluteSendTime);
        }
        Self::build(config.set_extension_map(extensions), identity, now, |codecs| {
            for entry in ROUTER_CODECS {
                let (codec, rate, channels) = str0m_codec(entry.codec);
                codecs.add_config(pt(entry.payload_type), entry.rtx.map(pt), codec, rate, channels, FormatParams::default());
            }
        })
    }

    fn config(identity: &Identity) -> RtcConfig {
        RtcConfig::new()
            .set_rtp_mode(true)
            .set_ice_lite(true)
            .set_crypto_provider(Arc::clone(&identity.crypto))
            .set_dtls_cert(identity.certificate.clone())
            .set_stats_interval(None)
            .set_local_ice_credentials(IceCreds { ufrag: INSIDE_NAME.to_owned(), pass: PATH_PASSWORD.to_owned() })
            .clear_codecs()
    }

    fn build(mut config: RtcConfig, identity: &Identity, now: Instant, codecs: impl FnOnce(&mut CodecConfig)) -> Self {
        codecs(config.codec_config());
        let mut rtc = config.build(now);
        if let Ok(candidate) = Candidate::host(INSIDE, "udp") {
            rtc.add_local_candidate(candidate);
        }
        let mut api = rtc.direct_api();
        api.set_remote_ice_credentials(IceCreds { ufrag: OUTSIDE_NAME.to_owned(), pass: PATH_PASSWORD.to_owned() });
        api.enable_twcc_feedback();
        let mut this = Self { rtc, crypto: Arc::clone(&identity.crypto), dtls_started: false, path_checked: now, sections: 0, dead: false };
        this.handle_timeout(now);
        this.check_path(now);
        this
    }

    /// Begins DTLS with a client that must show the certificate it announced.
    pub(crate) fn connect(&mut self, dtls: &DtlsParameters) -> Result<(), Error> {
        // The strongest of the list decides (RFC 8122), but str0m computes SHA-256 only: a client that
        // announces a stronger one beside it is verified by SHA-256, which no attack is known on either.
        dtls.strongest_fingerprint()?;
        let sha256: Vec<_> = dtls.fingerprints.iter().filter(|f| f.algorithm.eq_ignore_ascii_case("sha-256")).cloned().collect();
        if sha256.is_empty() {
            return Err(Error::invalid("dtlsParameters.fingerprints", "must have one of sha-256"));
        }
        let (_, bytes) = DtlsParameters { role: dtls.role, fingerprints: sha256 }.strongest_fingerprint()?;
        let mut api = self.rtc.direct_api();
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".to_owned(), bytes });
        // We leave the role open, so a client that leaves it open too begins (RFC 8842, section 5.3).
        let we_begin = dtls.role == DtlsRole::Server;
        api.start_dtls(we_begin).map_err(|_| Error::new(ErrorCode::TransportFailed))?;
        self.dtls_started = true;
        Ok(())
    }

    /// Gives it DTLS, SRTP or SRTCP. False if it was refused.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: Instant) -> bool {
        let handshake = super::header::is_dtls(bytes);
        if self.dead || (handshake && !self.dtls_started) {
            return false;
        }
        let Ok(receive) = Receive::new(Protocol::Udp, OUTSIDE, INSIDE, bytes) else { return false };
        let accepted = self.rtc.handle_input(Input::Receive(now, receive)).is_ok();
        self.dead |= !self.rtc.is_alive();
        accepted
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.dead {
            return;
        }
        if now.saturating_duration_since(self.path_checked) >= PATH_REFRESH {
            self.check_path(now);
        }
        self.dead |= self.rtc.handle_input(Input::Timeout(now)).is_err() || !self.rtc.is_alive();
    }

    /// The next output. To be called until it is idle after every input.
    pub(crate) fn poll(&mut self) -> PeerOutput {
        loop {
            if self.dead {
                return PeerOutput::Closed;
            }
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return if self.rtc.is_alive() { PeerOutput::Idle(at) } else { self.close() },
                Ok(Output::Transmit(transmit)) => {
                    let bytes: Vec<u8> = transmit.contents.into();
                    // Answers to the checks of the made-up path.
                    if !super::stun::is_stun(&bytes) {
                        return PeerOutput::Transmit(bytes);
                    }
                }
                Ok(Output::Event(event)) => {
                    if let Some(output) = Self::translate(event) {
                        return output;
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "connection failed");
                    return self.close();
                }
            }
        }
    }

    fn close(&mut self) -> PeerOutput {
        self.dead = true;
        PeerOutput::Closed
    }

    fn translate(event: Event) -> Option<PeerOutput> {
        match event {
            Event::RtpPacket(packet) => {
                let values = &packet.header.ext_vals;
                Some(PeerOutput::Packet(MediaPacket {
                    ssrc: *packet.header.ssrc,
                    payload_type: *packet.header.payload_type,
                    seq: *packet.seq_no,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    extensions: Extensions {
                        audio_level: values.audio_level.map(|level| (level, values.voice_activity.unwrap_or(false))),
                        orientation: values.video_orientation.map(|turn| turn as u8),
                    },
                    payload: packet.payload,
                }))
            }
            Event::KeyframeRequest(request) => Some(PeerOutput::KeyFrameWanted(Section(request.mid))),
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. } | BweKind::Remb { estimate, .. }) => {
                Some(PeerOutput::Estimate(estimate.as_u64()))
            }
            Event::Connected => Some(PeerOutput::Connected),
            Event::Closed => Some(PeerOutput::Closed),
            _ => None,
        }
    }

    /// A section for what one producer sends or one consumer gets.
    pub(crate) fn add_section(&mut self, kind: MediaKind, name: Option<&str>) -> Section {
        let section = Section(match name {
            Some(name) => Mid::from(name),
            None => Mid::from(format!("p{}", self.sections).as_str()),
        });
        self.sections = self.sections.wrapping_add(1);
        let kind = match kind {
            MediaKind::Audio => StrKind::Audio,
            MediaKind::Video => StrKind::Video,
        };
        self.rtc.direct_api().declare_media(section.0, kind);
        section
    }

    pub(crate) fn remove_section(&mut self, section: Section) {
        self.rtc.direct_api().remove_media(section.0);
    }

    /// Packets with this SSRC (and repairs of them) are tried as a stream of the section.
    pub(crate) fn expect_stream(&mut self, section: Section, layer: u8, ssrc: u32, rtx: Option<u32>, nack: bool) {
        if self.rtc.media(section.0).is_none() {
            return;
        }
        let rid = Rid::from(format!("l{layer}").as_str());
        let mut api = self.rtc.direct_api();
        api.expect_stream_rx(Ssrc::from(ssrc), rtx.map(Ssrc::from), section.0, Some(rid)).suppress_nack(!nack);
    }

    pub(crate) fn forget_stream(&mut self, ssrc: u32) {
        self.rtc.direct_api().remove_stream_rx(Ssrc::from(ssrc));
    }

    pub(crate) fn request_key_frame(&mut self, ssrc: u32) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&Ssrc::from(ssrc)) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Tells the client the most it may send in all, by REMB on one of its streams.
    pub(crate) fn limit_sender(&mut self, ssrc: u32, bitrate: u64) {
        if let Some(stream) = self.rtc.direct_api().stream_rx(&Ssrc::from(ssrc)) {
            stream.request_remb(Bitrate::from(bitrate));
        }
    }

    /// A stream to a receiver.
    pub(crate) fn add_stream(&mut self, section: Section, ssrc: u32, rtx: Option<u32>) {
        if self.rtc.media(section.0).is_none() {
            return;
        }
        let mut api = self.rtc.direct_api();
        let stream = api.declare_stream_tx(Ssrc::from(ssrc), rtx.map(Ssrc::from), section.0, None);
        stream.set_rtx_cache(RTX_CACHE_PACKETS, RTX_CACHE_AGE, Some(RTX_RATIO));
        // The sender has paced its packets already. Pacing them again would only queue them here, without a
        // bound when the estimate is below what is sent.
        stream.set_unpaced(true);
    }

    /// Queues a packet; it leaves with the next outputs after a timeout at the same time. False if it cannot.
    pub(crate) fn write(&mut self, write: &Write<'_>, now: Instant) -> bool {
        if write.packet.payload.len() > MAX_PAYLOAD {
            return false;
        }
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx(&Ssrc::from(write.ssrc)) else { return false };
        let extensions = &write.packet.extensions;
        let values = ExtensionValues {
            audio_level: extensions.audio_level.map(|(level, _)| level),
            voice_activity: extensions.audio_level.map(|(_, voice)| voice),
            video_orientation: extensions.orientation.map(Into::into),
            ..ExtensionValues::default()
        };
        let payload = Arc::clone(&write.packet.payload);
        let mut rtp = RtpWrite::new(pt(write.payload_type), write.seq.into(), write.timestamp, now, Arc::clone(&payload))
            .marker(write.packet.marker)
            .ext_vals(values)
            .nackable(write.repairable);
        if let Some(patch) = write.vp8.and_then(|counters| vp8_patch(&payload, counters)) {
            rtp = rtp.vp8_patch(patch);
        }
        stream.write_rtp(rtp);
        true
    }

    /// What we would like to be able to send, so that the estimator looks for it.
    pub(crate) fn want(&mut self, bitrate: u64) {
        self.rtc.bwe().set_bitrate(Bitrate::ZERO, Bitrate::from(bitrate));
    }

    /// Nominates the made-up path, or shows that it still works.
    fn check_path(&mut self, now: Instant) {
        self.path_checked = now;
        let user = format!("{INSIDE_NAME}:{OUTSIDE_NAME}");
        let request = StunMessage::binding_request(&user, TransId::new(), true, 1, 1, true);
        let mut buffer = [0; 256];
        let crypto = Arc::clone(&self.crypto);
        let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        let Ok(len) = request.to_bytes(Some(PATH_PASSWORD.as_bytes()), &mut buffer, hmac) else { return };
        if let Some(Ok(receive)) = buffer.get(..len).map(|bytes| Receive::new(Protocol::Udp, OUTSIDE, INSIDE, bytes)) {
            let _ = self.rtc.handle_input(Input::Receive(now, receive));
        }
    }
}

/// Any client may use any dynamic payload type for any codec, so each is declared as a codec of its own and
/// what it means is known to the producer. All str0m takes from it is the clock of jitter in receiver
/// reports: exact for the payload types browsers give Opus, and for all video.
fn add_received_codec(codecs: &mut CodecConfig, payload_type: u8) {
    const BROWSERS_OPUS: [u8; 2] = [109, 111];
    let (codec, rate, channels) = if BROWSERS_OPUS.contains(&payload_type) {
        (StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2))
    } else {
        (StrCodec::Vp8, Frequency::NINETY_KHZ, None)
    };
    codecs.add_config(pt(payload_type), None, codec, rate, channels, FormatParams::default());
}

fn str0m_codec(codec: ortc::Codec) -> (StrCodec, Frequency, Option<u8>) {
    match codec {
        ortc::Codec::Opus => (StrCodec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2)),
        ortc::Codec::Vp8 => (StrCodec::Vp8, Frequency::NINETY_KHZ, None),
        ortc::Codec::Vp9 => (StrCodec::Vp9, Frequency::NINETY_KHZ, None),
        ortc::Codec::H264 => (StrCodec::H264, Frequency::NINETY_KHZ, None),
    }
}

fn pt(payload_type: u8) -> Pt {
    Pt::new_with_value(payload_type)
}

fn vp8_patch(payload: &[u8], counters: Vp8Counters) -> Option<str0m::rtp::Vp8Patch> {
    let patch = Vp8Descriptor::parse(payload).ok()?.patch().picture_id(counters.picture_id);
    match counters.tl0_index {
        Some(index) => patch.tl0_pic_idx(index).build().ok(),
        None => patch.build().ok(),
    }
}
