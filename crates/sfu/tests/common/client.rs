//! A client on str0m: a full ICE agent that begins DTLS, with the numbers of Chromium.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parlor_proto::ids::{RouterId, TransportId};
use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole, IceParameters, Protocol as Carrier};
use parlor_testkit::link::{Conditions, Link};
use str0m::bwe::{Bitrate, BweKind};
use str0m::config::{DtlsCert, DtlsVersion, Fingerprint};
use str0m::format::{Codec, FormatParams};
use str0m::ice::{IceCreds, StunMessage};
use str0m::media::{Frequency, MediaKind as StrKind, Mid, Pt, Rid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::rtcp::Rtcp;
use str0m::rtp::{Extension, ExtensionMap, ExtensionSerializer, ExtensionValues, RawPacket, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::{Down, Up, sfu_address, sfu_address_6};

pub struct Client {
    pub transport: TransportId,
    pub router: RouterId,
    /// Where the `Sfu` finds it: what the NAT before it gives it. It may change.
    pub address: SocketAddr,
    pub up: Up,
    pub down: Down,
    pub rtc: Rtc,
    pub connected: bool,
    /// Every packet, in order of arrival.
    pub received: Vec<RtpPacket>,
    /// Key-frame requests from the `Sfu`, by rid.
    pub key_frames_wanted: HashMap<Option<String>, u32>,
    /// The last REMB, in bit/s.
    pub limit: Option<u64>,
    /// What the `Sfu` is told carries its packets; str0m need not know.
    pub protocol: Carrier,
    /// Nothing goes in or out: the process was killed.
    pub killed: bool,
    /// What is sent to it gets lost, while what it sends arrives: somebody writes another's address into its packets.
    pub deaf: bool,
    /// What becomes of its checks.
    pub checks: Checks,
    /// Bytes the `Sfu` sent it, and it the `Sfu`, for who is deaf.
    pub bytes: (usize, usize),
    /// The longest packet of media that was sent to it.
    pub longest: usize,
    /// Where it finds the `Sfu`.
    pub sfu: SocketAddr,
    /// Every datagram it sent, if this is wanted.
    pub recorded: Option<Vec<Vec<u8>>>,
    /// Datagrams the `Sfu` sent it.
    pub sent_to: u64,
    /// RTCP from the `Sfu`, if it is watched, and when it came.
    pub rtcp: Vec<(Instant, Rtcp)>,
    /// What it thinks its way to the `Sfu` has room for, in bit/s.
    pub estimate: Option<u64>,
    /// Bytes of an extension nobody knows, in every packet it sends.
    pub bulk: usize,
    certificate: Vec<u8>,
    begins: bool,
    /// Its transport is on the second thread.
    pub at_second: bool,
    timeout: Option<Instant>,
    ufrag: String,
    password: String,
    /// Its address as it knows it itself.
    host: SocketAddr,
    answers_probes: bool,
}

/// What becomes of a client's checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checks {
    #[default]
    AsTheyAre,
    /// Checks say nothing about which path is to be used, as those of Firefox once it has nominated one.
    Plain,
    /// Checks are lost.
    Lost,
}

/// Whose header extension ids a client sends with. It receives with the router's, which are Chromium's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Browser {
    Chrome,
    Firefox,
}

/// What is special about a client.
#[derive(Clone, Copy, Debug)]
pub struct Special {
    pub conditions: Conditions,
    pub browser: Browser,
    pub ipv6: bool,
    /// Whether it begins the DTLS handshake.
    pub begins: bool,
    pub dtls: DtlsVersion,
    /// Whether RTCP it gets is kept.
    pub watched: bool,
    /// What its own estimation of bandwidth begins with, in bit/s; without, it does not estimate.
    pub estimates_from: Option<u64>,
    /// How often it reports on sound. Browsers take as long as str0m.
    pub reports_every: Duration,
    /// Whether it answers a request with a wrong password that the password is wrong. Browsers do.
    pub answers_probes: bool,
}

impl Default for Special {
    fn default() -> Self {
        Self {
            conditions: Conditions::GOOD,
            browser: Browser::Chrome,
            ipv6: false,
            begins: true,
            dtls: DtlsVersion::Auto,
            watched: false,
            estimates_from: None,
            reports_every: Duration::from_secs(5),
            answers_probes: true,
        }
    }
}

/// How a stream is sent.
pub struct Sending<'a> {
    pub ssrc: u32,
    pub payload_type: u8,
    pub seq: u64,
    pub timestamp: u32,
    pub marker: bool,
    pub audio_level: Option<i8>,
    pub payload: &'a [u8],
}

impl Client {
    pub fn new(index: usize, transport: TransportId, ice: &IceParameters, dtls: &DtlsParameters, special: Special, now: Instant) -> Self {
        let conditions = special.conditions;
        let last = u8::try_from(index + 2).expect("few clients");
        let (address, sfu): (SocketAddr, _) = match special.ipv6 {
            false => (([10, 0, 1, last], 5_000).into(), sfu_address()),
            true => (([0xfd00, 0, 0, 1, 0, 0, 0, u16::from(last)], 5_000).into(), sfu_address_6()),
        };
        let made = str0m::crypto::from_feature_flags().dtls_provider.generate_certificate().expect("a certificate");
        let certificate = made.certificate.clone();
        let mut rtc = config(special, made).build(now);
        rtc.add_local_candidate(Candidate::host(address, "udp").expect("valid"));
        rtc.add_remote_candidate(Candidate::host(sfu, "udp").expect("valid"));
        let (_, bytes) = dtls.strongest_fingerprint().expect("a fingerprint");
        let mut api = rtc.direct_api();
        api.set_ice_controlling(true);
        api.set_remote_ice_credentials(credentials(ice));
        api.set_remote_fingerprint(Fingerprint { hash_func: "sha-256".into(), bytes });
        api.enable_twcc_feedback();
        api.start_dtls(special.begins).expect("starts");
        rtc.handle_input(Input::Timeout(now)).expect("alive");
        let (up, down) = (Link::new(conditions, 2 * index as u64), Link::new(conditions, 2 * index as u64 + 1));
        Self {
            transport,
            router: RouterId::from_random(0),
            address,
            up,
            down,
            rtc,
            connected: false,
            received: Vec::new(),
            key_frames_wanted: HashMap::new(),
            limit: None,
            protocol: Carrier::Udp,
            killed: false,
            deaf: false,
            checks: Checks::default(),
            bytes: (0, 0),
            longest: 0,
            sfu,
            recorded: None,
            sent_to: 0,
            rtcp: Vec::new(),
            estimate: None,
            bulk: 0,
            certificate,
            begins: special.begins,
            at_second: false,
            timeout: None,
            ufrag: ice.username_fragment.clone(),
            password: ice.password.clone(),
            host: address,
            answers_probes: special.answers_probes,
        }
    }

    pub fn password(&self) -> &str {
        &self.password
    }

    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    pub fn dtls_parameters(&mut self) -> DtlsParameters {
        let api = self.rtc.direct_api();
        let ours = api.local_dtls_fingerprint();
        let fingerprints = vec![DtlsFingerprint { algorithm: ours.hash_func.clone(), value: colons(&ours.bytes) }];
        let role = if self.begins { DtlsRole::Client } else { DtlsRole::Server };
        DtlsParameters { role, fingerprints }
    }

    /// The fingerprint of its certificate by another hash.
    pub fn fingerprint(&self, algorithm: &str) -> DtlsFingerprint {
        let hash = match algorithm {
            "sha-384" => &aws_lc_rs::digest::SHA384,
            "sha-512" => &aws_lc_rs::digest::SHA512,
            other => panic!("no {other} here"),
        };
        let value = colons(aws_lc_rs::digest::digest(hash, &self.certificate).as_ref());
        DtlsFingerprint { algorithm: algorithm.to_owned(), value }
    }

    /// Follows an ICE restart, from another address.
    pub fn restart_ice(&mut self, ice: &IceParameters) {
        let mut api = self.rtc.direct_api();
        api.set_remote_ice_credentials(credentials(ice));
        self.password.clone_from(&ice.password);
        self.ufrag.clone_from(&ice.username_fragment);
    }

    pub fn start_sending(&mut self, kind: MediaKind, rtp: &RtpParameters) {
        let mid = Mid::from(rtp.mid.as_deref().expect("a mid"));
        let mut api = self.rtc.direct_api();
        api.declare_media(mid, str0m_kind(kind));
        for (layer, encoding) in rtp.encodings.iter().enumerate() {
            let ssrc = encoding.ssrc.unwrap_or_else(|| Self::unsignaled_ssrc(layer));
            let has_rtx = rtp.codecs.iter().any(|codec| codec.is_rtx());
            let rtx = encoding.rtx.map(|rtx| rtx.ssrc).or_else(|| has_rtx.then_some(ssrc + 1));
            let stream = api.declare_stream_tx(ssrc.into(), rtx.map(Ssrc::from), mid, encoding.rid.as_deref().map(Rid::from));
            stream.set_rtx_cache(1_000, Duration::from_secs(2), None);
        }
    }

    /// The SSRC of a layer that is announced by its rid only.
    pub fn unsignaled_ssrc(layer: usize) -> u32 {
        7_000 + 10 * u32::try_from(layer).expect("few layers")
    }

    pub fn stop_sending(&mut self, mid: &str) {
        self.rtc.direct_api().remove_media(Mid::from(mid));
    }

    pub fn start_receiving(&mut self, rtp: &RtpParameters) {
        let is_video = rtp.codecs[0].mime_type.starts_with("video/");
        let kind = if is_video { StrKind::Video } else { StrKind::Audio };
        let mid = Mid::from(rtp.mid.as_deref().expect("a mid"));
        let encoding = &rtp.encodings[0];
        let mut api = self.rtc.direct_api();
        api.declare_media(mid, kind);
        let ssrc = encoding.ssrc.expect("an ssrc");
        let rtx = encoding.rtx.map(|rtx| Ssrc::from(rtx.ssrc));
        api.expect_stream_rx(ssrc.into(), rtx, mid, None).suppress_nack(!is_video);
    }

    pub fn request_key_frame(&mut self, rtp: &RtpParameters) {
        let ssrc = Ssrc::from(rtp.encodings[0].ssrc.expect("an ssrc"));
        let mut api = self.rtc.direct_api();
        api.stream_rx(&ssrc).expect("receives").request_keyframe(str0m::media::KeyframeRequestKind::Pli);
    }

    pub fn send(&mut self, sending: &Sending<'_>, now: Instant) {
        self.send_captured(sending, now, now);
    }

    /// Sends what was captured before.
    pub fn send_captured(&mut self, sending: &Sending<'_>, captured: Instant, now: Instant) {
        let mut values = ExtensionValues {
            audio_level: sending.audio_level,
            voice_activity: sending.audio_level.map(|level| level > -50),
            ..ExtensionValues::default()
        };
        if self.bulk > 0 {
            values.user_values.set(Bulk(self.bulk));
        }
        let pt = Pt::new_with_value(sending.payload_type);
        let write = RtpWrite::new(pt, sending.seq.into(), sending.timestamp, captured, sending.payload)
            .marker(sending.marker)
            .ext_vals(values)
            .nackable(true);
        let mut api = self.rtc.direct_api();
        api.stream_tx(&sending.ssrc.into()).expect("a stream").write_rtp(write);
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain(now);
    }

    /// What arrived for one consumer.
    pub fn received_of<'a>(&'a self, rtp: &RtpParameters) -> impl Iterator<Item = &'a RtpPacket> + use<'a> {
        let ssrc = rtp.encodings[0].ssrc.expect("an ssrc");
        self.received.iter().filter(move |packet| *packet.header.ssrc == ssrc)
    }

    pub fn key_frames_wanted(&self) -> u32 {
        self.key_frames_wanted.values().sum()
    }

    pub fn step(&mut self, now: Instant) {
        while let Some(bytes) = self.down.receive(now) {
            self.bytes.0 += bytes.len();
            self.longest = self.longest.max(bytes.len());
            if self.killed || self.deaf {
                continue;
            }
            if self.answers_probes && bytes.starts_with(&[0, 1]) {
                let refusal = refusal(&bytes);
                self.up.send((self.address, refusal.clone()), refusal.len(), now);
                continue;
            }
            if let Ok(receive) = Receive::new(Protocol::Udp, self.sfu, self.host, &bytes) {
                let _ = self.rtc.handle_input(Input::Receive(now, receive));
                self.drain(now);
            }
        }
        if !self.killed && self.timeout.is_none_or(|at| at <= now) {
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain(now);
        }
    }

    pub fn next_time(&self) -> Option<Instant> {
        let own = if self.killed { None } else { self.timeout };
        own.into_iter().chain(self.up.poll_timeout()).chain(self.down.poll_timeout()).min()
    }

    fn drain(&mut self, now: Instant) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = Some(at);
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let bytes: Vec<u8> = transmit.contents.into();
                    let Some(bytes) = self.checked(bytes) else { continue };
                    let size = bytes.len();
                    self.bytes.1 += size;
                    if let Some(recorded) = &mut self.recorded {
                        recorded.push(bytes.clone());
                    }
                    self.up.send((self.address, bytes), size, now);
                }
                Ok(Output::Event(event)) => self.handle(event, now),
                Err(error) => panic!("the client broke: {error}"),
            }
        }
    }

    /// A datagram as it leaves; `None` if it does not.
    fn checked(&self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        if self.checks == Checks::AsTheyAre || !bytes.starts_with(&[0, 1]) {
            return Some(bytes);
        }
        let check = StunMessage::parse(&bytes).ok().filter(|_| self.checks == Checks::Plain)?;
        let (name, priority) = (check.username()?, check.prio()?);
        let plain = StunMessage::binding_request(name, check.trans_id(), true, check.ice_controlling()?, priority, false);
        let mut bytes = vec![0; 300];
        let crypto = str0m::crypto::from_feature_flags();
        let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        let len = plain.to_bytes(Some(self.password.as_bytes()), &mut bytes, hmac).expect("fits");
        bytes.truncate(len);
        Some(bytes)
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Connected => self.connected = true,
            Event::RtpPacket(packet) => self.received.push(packet),
            Event::KeyframeRequest(request) => {
                *self.key_frames_wanted.entry(request.rid.map(|rid| rid.to_string())).or_default() += 1;
            }
            Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. }) => self.limit = Some(estimate.as_u64()),
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => self.estimate = Some(estimate.as_u64()),
            Event::RawPacket(raw) => {
                if let RawPacket::RtcpRx(rtcp) = *raw {
                    self.rtcp.push((now, rtcp));
                }
            }
            _ => {}
        }
    }
}

/// "Unauthenticated", as browsers answer a request with a password that is not theirs.
fn refusal(request: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x01, 0x11, 0, 8];
    bytes.extend(&request[4..20]);
    bytes.extend([0, 9, 0, 4, 0, 0, 4, 1]);
    bytes
}

/// An extension of so many bytes.
#[derive(Debug)]
struct Bulk(usize);

impl ExtensionSerializer for Bulk {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let len = values.user_values.get::<Self>().map_or(0, |bulk| bulk.0);
        buf[..len].fill(0x55);
        len
    }

    fn parse_value(&self, _buf: &[u8], _values: &mut ExtensionValues) -> bool {
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        true
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        values.user_values.get::<Self>().is_some()
    }
}

fn credentials(ice: &IceParameters) -> IceCreds {
    IceCreds { ufrag: ice.username_fragment.clone(), pass: ice.password.clone() }
}

fn str0m_kind(kind: MediaKind) -> StrKind {
    if kind == MediaKind::Audio { StrKind::Audio } else { StrKind::Video }
}

fn colons(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn config(special: Special, certificate: DtlsCert) -> RtcConfig {
    let mut map = ExtensionMap::empty();
    map.set(1, Extension::AudioLevel);
    let rest = match special.browser {
        Browser::Chrome => [3, 4, 10, 11, 13],
        Browser::Firefox => [7, 3, 9, 10, 13],
    };
    let extensions = [
        Extension::TransportSequenceNumber,
        Extension::RtpMid,
        Extension::RtpStreamId,
        Extension::RepairedRtpStreamId,
        Extension::VideoOrientation,
    ];
    rest.into_iter().zip(extensions).for_each(|(id, extension)| map.set(id, extension));
    map.set(14, Extension::with_serializer("urn:bulk", Bulk(0)));
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .clear_codecs()
        .set_extension_map(map)
        .set_dtls_cert(certificate)
        .set_dtls_version(special.dtls)
        .enable_raw_packets(special.watched)
        .set_rtcp_report_interval_audio(special.reports_every)
        .enable_bwe(special.estimates_from.map(Bitrate::from));
    let codecs = config.codec_config();
    let pt = Pt::new_with_value;
    codecs.add_config(pt(111), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), FormatParams::default());
    // Redundant sound, and Firefox's Opus: to str0m only numbers.
    for other in [63, 109] {
        codecs.add_config(pt(other), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), FormatParams::default());
    }
    for (codec, main, rtx) in [(Codec::Vp8, 96, 97), (Codec::Vp9, 98, 99), (Codec::H264, 106, 107), (Codec::Vp8, 120, 124)] {
        codecs.add_config(pt(main), Some(pt(rtx)), codec, Frequency::NINETY_KHZ, None, FormatParams::default());
    }
    config
}
