//! A client with its own DTLS and SRTP (str0m), connected to an `Sfu` without a network and in virtual time.

use std::net::SocketAddr;
use std::time::Instant;

use parlor_proto::ids::TransportId;
use parlor_proto::media::MediaCommand;
use parlor_proto::transport::{DtlsFingerprint, DtlsParameters, DtlsRole, IceParameters};
use str0m::config::Fingerprint;
use str0m::format::{Codec, CodecConfig, FormatParams};
use str0m::ice::IceCreds;
use str0m::media::{Frequency, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::common;

/// Payload types as the router prefers them, each with that of its repair stream.
pub(crate) const VP8: (u8, u8) = (96, 97);
pub(crate) const VP9: (u8, u8) = (98, 99);
pub(crate) const H264: (u8, u8) = (106, 107);
/// Constrained baseline, level 3.1.
const H264_PROFILE: u32 = 0x42_e01f;

/// One end of one transport.
pub(crate) struct Client {
    pub(crate) transport: TransportId,
    pub(crate) address: SocketAddr,
    pub(crate) rtc: Rtc,
    pub(crate) connected: bool,
    pub(crate) received: Vec<RtpPacket>,
    /// Datagrams to the server.
    pub(crate) outbox: Vec<Vec<u8>>,
    server: SocketAddr,
    wake_at: Instant,
}

impl Client {
    /// A client for a transport that was created; it connects as the DTLS client.
    pub(crate) fn new(
        transport: TransportId,
        address: SocketAddr,
        server: SocketAddr,
        ice: &IceParameters,
        dtls: &DtlsParameters,
        now: Instant,
    ) -> Self {
        let mut config = RtcConfig::new().set_rtp_mode(true);
        *config.codec_config() = codecs();
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(address, Protocol::Udp).expect("a valid address"));
        rtc.add_remote_candidate(Candidate::host(server, Protocol::Udp).expect("a valid address"));
        let (hash_func, bytes) = dtls.strongest_fingerprint().expect("the server gives a fingerprint");
        let mut direct = rtc.direct_api();
        direct.set_ice_controlling(true);
        direct.set_remote_ice_credentials(IceCreds { ufrag: ice.username_fragment.clone(), pass: ice.password.clone() });
        direct.set_remote_fingerprint(Fingerprint { hash_func: hash_func.to_owned(), bytes });
        direct.start_dtls(true).expect("DTLS starts");
        Self { transport, address, rtc, connected: false, received: Vec::new(), outbox: Vec::new(), server, wake_at: now }
    }

    /// What `connectTransport` would carry.
    pub(crate) fn connect(&mut self) -> MediaCommand {
        let fingerprint = self.rtc.direct_api().local_dtls_fingerprint().to_string();
        let (algorithm, value) = fingerprint.split_once(' ').expect("a hash and its value");
        let fingerprints = vec![DtlsFingerprint { algorithm: algorithm.to_owned(), value: value.to_owned() }];
        MediaCommand::ConnectTransport { transport: self.transport, dtls: DtlsParameters { role: DtlsRole::Client, fingerprints } }
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.wake_at <= now {
            // A dead instance says so in `drain`.
            let _ = self.rtc.handle_input(Input::Timeout(now));
            self.drain();
        }
    }

    pub(crate) fn handle_datagram(&mut self, bytes: &[u8], now: Instant) {
        let Ok(received) = Receive::new(Protocol::Udp, self.server, self.address, bytes) else { return };
        let _ = self.rtc.handle_input(Input::Receive(now, received));
        self.drain();
    }

    /// Seals a packet and puts it into the outbox.
    pub(crate) fn write(&mut self, ssrc: u32, packet: RtpWrite, now: Instant) {
        if let Some(stream) = self.rtc.direct_api().stream_tx(&ssrc.into()) {
            stream.write_rtp(packet);
        }
        // Until it is given the time, str0m keeps the packet.
        let _ = self.rtc.handle_input(Input::Timeout(now));
        self.drain();
    }

    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => return self.wake_at = at,
                Ok(Output::Transmit(transmit)) => self.outbox.push(transmit.contents.to_vec()),
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::RtpPacket(packet))) => self.received.push(packet),
                Ok(Output::Event(_)) => {}
                Err(_) => return,
            }
        }
    }
}

fn codecs() -> CodecConfig {
    let pt = Pt::from;
    let mut codecs = CodecConfig::empty();
    codecs.add_config(pt(common::OPUS), None, Codec::Opus, Frequency::FORTY_EIGHT_KHZ, Some(2), FormatParams::default());
    codecs.add_config(pt(VP8.0), Some(pt(VP8.1)), Codec::Vp8, Frequency::NINETY_KHZ, None, FormatParams::default());
    codecs.add_config(pt(VP9.0), Some(pt(VP9.1)), Codec::Vp9, Frequency::NINETY_KHZ, None, FormatParams::default());
    codecs.add_h264(pt(H264.0), Some(pt(H264.1)), true, H264_PROFILE);
    codecs
}
