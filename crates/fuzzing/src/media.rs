//! Arbitrary media of an authenticated client: payloads and headers that lie, in a call that is up.
//!
//! What `datagrams` cannot reach lies behind DTLS and SRTP; here a sender and a receiver have real keys.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::MediaEvent;
use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{Layers, MediaCommand, MediaKind, Origin, Source};
use parlor_proto::rtp::{RtpEncoding, RtpHeaderExtensionParameters, RtpParameters, RtxEncoding};
use parlor_proto::transport::{Direction, Protocol};
use parlor_sfu::{Datagram, LocalCandidate, Sfu, SfuConfig, ortc};
use str0m::media::Mid;
use str0m::rtp::{ExtensionValues, RtpWrite};

use crate::bytes::Bytes;
use crate::client::{self, Client};
use crate::common::{self, origin};

const MAX_STEPS: usize = 120;
/// A handshake without loss takes about ten.
const MAX_HANDSHAKE_ROUNDS: usize = 500;
const ROUND: Duration = Duration::from_millis(10);
/// Time between two packets; without any, str0m sends nothing.
const PACKET_SPACING: Duration = Duration::from_micros(500);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7401);

/// The streams the sender declares: producer, SSRC, payload type, and whether the payload is passed on unchanged.
const STREAMS: [(usize, u32, u8, bool); 6] = [
    (0, 1000, common::OPUS, true),
    (1, 2000, client::VP8.0, false),
    (1, 2001, client::VP8.0, false),
    (1, 2002, client::VP8.0, false),
    (2, 3000, client::VP9.0, false),
    (3, 4000, client::H264.0, true),
];
const PRODUCERS: usize = 4;
const ROUTER: RouterId = RouterId::from_random(1);
const RTX_OFFSET: u32 = 100;

/// Runs the sequence that `data` spells.
pub fn run(data: &[u8]) {
    if !data.is_empty() {
        play(data).check_received();
    }
}

fn play(data: &[u8]) -> World {
    let mut bytes = Bytes::new(data);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
    world
}

struct World {
    sfu: Sfu,
    now: Instant,
    sender: Client,
    receiver: Client,
    /// The next sequence number and timestamp of each stream.
    positions: [(u64, u32); STREAMS.len()],
    /// Payloads of Opus and H264 that were sent: the others have counters, which are written anew.
    sent: Vec<Vec<u8>>,
    /// The SSRCs of consumers whose payloads are passed on unchanged.
    unchanged: Vec<u32>,
    microphone: Microphone,
}

/// The stream of sound, whose every packet ends with its number.
#[derive(Default)]
struct Microphone {
    /// Of the consumer.
    ssrc: u32,
    producer_paused: bool,
    consumer_paused: bool,
    /// The sequence number of each packet, by its own number.
    numbers: Vec<u16>,
    /// Sequence numbers that reached the server during a pause, and outside of one. When a packet was written does not count:
    /// the client may hold it back.
    during_pause: HashSet<u16>,
    outside: HashSet<u16>,
}

impl World {
    fn new() -> Self {
        let now = origin();
        let candidate = LocalCandidate { protocol: Protocol::Udp, address: SERVER };
        let mut sfu = Sfu::new(SfuConfig::new(vec![candidate]), now).expect("the configuration is valid");
        sfu.handle_command(ROUTER, MediaCommand::CreateRouter, now);
        let sender = connect(&mut sfu, 1, Direction::Send, now);
        let receiver = connect(&mut sfu, 2, Direction::Recv, now);
        let positions = [(1, 0); STREAMS.len()];
        let mut world =
            Self { sfu, now, sender, receiver, positions, sent: Vec::new(), unchanged: Vec::new(), microphone: Microphone::default() };
        for producer in 0..PRODUCERS {
            world.produce(producer);
            world.consume(producer);
        }
        for _ in 0..MAX_HANDSHAKE_ROUNDS {
            if world.sender.connected && world.receiver.connected {
                return world;
            }
            world.pass(ROUND);
        }
        panic!("the clients do not get connected");
    }

    fn produce(&mut self, n: usize) {
        let streams: Vec<_> = STREAMS.iter().filter(|stream| stream.0 == n).collect();
        let rtp = Arc::new(parameters(n, &streams.iter().map(|stream| stream.1).collect::<Vec<_>>()));
        let (kind, source) = if n == 0 { (MediaKind::Audio, Source::Mic) } else { (MediaKind::Video, Source::Camera) };
        let mid = Mid::from(n.to_string().as_str());
        let declared = if n == 0 { str0m::media::MediaKind::Audio } else { str0m::media::MediaKind::Video };
        let mut direct = self.sender.rtc.direct_api();
        direct.declare_media(mid, declared);
        for (_, ssrc, ..) in streams {
            direct.declare_stream_tx((*ssrc).into(), (n > 0).then(|| (ssrc + RTX_OFFSET).into()), mid, None);
        }
        let command = MediaCommand::Produce {
            transport: self.sender.transport,
            producer: producer(n),
            kind,
            source,
            rtp,
            paused: false,
            max_bitrate: 2_500_000,
        };
        let events = self.command(command);
        assert!(events.contains(&MediaEvent::Produced { producer: producer(n) }), "producer {n} was refused: {events:?}");
    }

    fn consume(&mut self, n: usize) {
        let capabilities = Arc::new(ortc::router_capabilities());
        // It is on the same thread: nothing is mirrored.
        let origin = Origin { transport: self.sender.transport, kind: MediaKind::Audio, rtp: Arc::new(common::opus()), paused: false };
        let command = MediaCommand::Consume {
            transport: self.receiver.transport,
            consumer: consumer(n),
            producer: producer(n),
            origin,
            capabilities,
            paused: false,
        };
        let events = self.command(command);
        let rtp = events.iter().find_map(|event| match event {
            MediaEvent::Consumed { rtp, .. } => Some(rtp),
            _ => None,
        });
        let encoding = rtp.and_then(|rtp| rtp.encodings.first()).expect("the consumer was made");
        let ssrc = encoding.ssrc.expect("a consumer has an SSRC");
        if n == 0 || n == 3 {
            self.unchanged.push(ssrc);
        }
        if n == 0 {
            self.microphone.ssrc = ssrc;
        }
        let mid = Mid::from(format!("c{n}").as_str());
        let declared = if n == 0 { str0m::media::MediaKind::Audio } else { str0m::media::MediaKind::Video };
        let mut direct = self.receiver.rtc.direct_api();
        direct.declare_media(mid, declared);
        direct.expect_stream_rx(ssrc.into(), encoding.rtx.map(|rtx| rtx.ssrc.into()), mid, None);
        direct.enable_twcc_feedback();
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(16) {
            0..=9 => self.send(bytes),
            10 => self.pass(Duration::from_millis(u64::from(bytes.byte()) * 4)),
            11 => self.pause(bytes),
            12 => {
                let transport = self.receiver.transport;
                let layers = Layers { spatial_layer: bytes.byte(), temporal_layer: bytes.flag().then(|| bytes.byte()) };
                self.command(MediaCommand::SetPreferredLayers { transport, consumer: consumer(bytes.below(PRODUCERS)), layers });
            }
            13 => {
                let (transport, consumer) = (self.receiver.transport, consumer(bytes.below(PRODUCERS)));
                self.command(MediaCommand::RequestKeyFrame { transport, consumer });
            }
            14 => self.spoil(bytes),
            _ => self.exchange(),
        }
        if bytes.flag() {
            self.exchange();
        }
    }

    /// One packet of one stream; now and then with a jump in its numbers.
    fn send(&mut self, bytes: &mut Bytes<'_>) {
        let which = bytes.below(STREAMS.len());
        let (Some((_, ssrc, pt, unchanged)), Some(position)) = (STREAMS.get(which), self.positions.get_mut(which)) else { return };
        let jump = bytes.byte();
        position.0 += if jump < 32 { u64::from(jump) * 100 } else { 1 };
        position.1 = position.1.wrapping_add(u32::from(jump) * 97);
        let mut payload = bytes.take(usize::from(jump) % 48 + 1).to_vec();
        if *pt == common::OPUS {
            payload.extend(u32::try_from(self.microphone.numbers.len()).unwrap_or(0).to_be_bytes());
            self.microphone.numbers.push((position.0 & 0xffff) as u16);
        }
        if *unchanged {
            self.sent.push(payload.clone());
        }
        let level = bytes.byte();
        let extensions = ExtensionValues {
            audio_level: (pt == &common::OPUS).then(|| -i8::try_from(level & 0x7f).unwrap_or(0)),
            voice_activity: (pt == &common::OPUS).then_some(level & 0x80 != 0),
            ..ExtensionValues::default()
        };
        let packet = RtpWrite::new((*pt).into(), position.0.into(), position.1, self.now, payload)
            .marker(level & 1 == 1)
            .ext_vals(extensions)
            .nackable(true);
        self.now += PACKET_SPACING;
        self.sender.write(*ssrc, packet, self.now);
    }

    fn pause(&mut self, bytes: &mut Bytes<'_>) {
        self.exchange();
        let n = bytes.below(PRODUCERS);
        let paused = bytes.flag();
        let of_producer = bytes.flag();
        match (n, of_producer) {
            (0, true) => self.microphone.producer_paused = paused,
            (0, false) => self.microphone.consumer_paused = paused,
            _ => {}
        }
        let command = if of_producer {
            MediaCommand::SetProducerPaused { producer: producer(n), paused }
        } else {
            MediaCommand::SetConsumerPaused { transport: self.receiver.transport, consumer: consumer(n), paused }
        };
        self.command(command);
    }

    /// What is on its way gets damaged.
    fn spoil(&mut self, bytes: &mut Bytes<'_>) {
        for datagram in &mut self.sender.outbox {
            let at = bytes.below(64).min(datagram.len().saturating_sub(1));
            if let Some(byte) = datagram.get_mut(at) {
                *byte ^= bytes.byte();
            }
        }
        self.exchange();
    }

    fn command(&mut self, command: MediaCommand) -> Vec<MediaEvent> {
        self.sfu.handle_command(ROUTER, command, self.now);
        let events = std::iter::from_fn(|| self.sfu.poll_event()).map(|(_, event)| event).collect();
        self.deliver();
        events
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += ROUND;
            self.sender.handle_timeout(self.now);
            self.receiver.handle_timeout(self.now);
            if self.sfu.poll_timeout().is_some_and(|at| at <= self.now) {
                self.sfu.handle_timeout(self.now);
            }
            self.exchange();
        }
    }

    /// Carries what both clients have sent to the server, and its answers back.
    fn exchange(&mut self) {
        for client in [&mut self.sender, &mut self.receiver] {
            for bytes in std::mem::take(&mut client.outbox) {
                self.microphone.note(&bytes);
                let datagram = Datagram { protocol: Protocol::Udp, local: SERVER, remote: client.address, bytes: &bytes };
                self.sfu.handle_datagram(datagram, self.now);
            }
        }
        self.deliver();
        while self.sfu.poll_event().is_some() {}
    }

    fn deliver(&mut self) {
        while let Some(transmit) = self.sfu.poll_transmit() {
            let client = if transmit.remote == self.sender.address { &mut self.sender } else { &mut self.receiver };
            assert_eq!(transmit.remote, client.address, "the server sends to an address nobody has proved");
            client.handle_datagram(&transmit.bytes, self.now);
        }
    }

    /// The numbers of the packets of sound that arrived.
    fn heard(&self) -> impl Iterator<Item = u32> {
        let sound = self.receiver.received.iter().filter(|packet| *packet.header.ssrc == self.microphone.ssrc);
        sound.filter_map(|packet| packet.payload.last_chunk().copied().map(u32::from_be_bytes))
    }

    fn check_received(&self) {
        let unchanged = self.receiver.received.iter().filter(|packet| self.unchanged.contains(&*packet.header.ssrc));
        // An empty one stands for a number that is missing on purpose.
        for packet in unchanged.filter(|packet| !packet.payload.is_empty()) {
            assert!(self.sent.iter().any(|sent| *sent == *packet.payload), "a payload arrived that nobody sent");
        }
        for number in self.heard() {
            let sequence = self.microphone.numbers.get(number as usize).copied().unwrap_or(0);
            let leaked = self.microphone.during_pause.contains(&sequence) && !self.microphone.outside.contains(&sequence);
            assert!(!leaked, "packet {number} of a paused microphone is heard");
        }
    }
}

impl Microphone {
    /// Notes a packet on its way to the server, by its clear header.
    fn note(&mut self, datagram: &[u8]) {
        let [0x80..=0xbf, _, high, low, _, _, _, _, ssrc @ ..] = datagram else { return };
        if ssrc.first_chunk() == Some(&STREAMS[0].1.to_be_bytes()) {
            let paused = self.producer_paused || self.consumer_paused;
            let seen = if paused { &mut self.during_pause } else { &mut self.outside };
            seen.insert(u16::from_be_bytes([*high, *low]));
        }
    }
}

fn connect(sfu: &mut Sfu, n: u8, direction: Direction, now: Instant) -> Client {
    let transport = TransportId::from_random(n.into());
    sfu.handle_command(ROUTER, MediaCommand::CreateTransport { transport, direction }, now);
    let Some((_, MediaEvent::TransportCreated { ice, dtls, .. })) = sfu.poll_event() else { panic!("no transport") };
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, n)), 40_000);
    let mut client = Client::new(transport, address, SERVER, &ice, &dtls, now);
    sfu.handle_command(ROUTER, client.connect(), now);
    while sfu.poll_event().is_some() {}
    client
}

fn producer(n: usize) -> ProducerId {
    ProducerId::from_random(1 + n as u128)
}

fn consumer(n: usize) -> ConsumerId {
    ConsumerId::from_random(1 + n as u128)
}

/// Parameters of one of the producers, with the router's own numbers.
fn parameters(n: usize, ssrcs: &[u32]) -> RtpParameters {
    let pts = [
        (common::OPUS, None),
        (client::VP8.0, Some(client::VP8.1)),
        (client::VP9.0, Some(client::VP9.1)),
        (client::H264.0, Some(client::H264.1)),
    ];
    let (media, rtx) = pts.get(n).copied().unwrap_or((common::OPUS, None));
    let codecs = common::codecs(|pt| pt == media || Some(pt) == rtx);
    let header_extensions = ortc::router_capabilities().header_extensions.into_iter();
    let kind = if n == 0 { MediaKind::Audio } else { MediaKind::Video };
    let header_extensions = header_extensions
        .filter(|extension| extension.kind == kind)
        .map(|extension| RtpHeaderExtensionParameters { uri: extension.uri, id: extension.preferred_id, encrypt: false })
        .collect();
    let encodings = ssrcs.iter().map(|ssrc| RtpEncoding {
        ssrc: Some(*ssrc),
        rtx: rtx.map(|_| RtxEncoding { ssrc: ssrc + RTX_OFFSET }),
        ..RtpEncoding::default()
    });
    RtpParameters { mid: Some(n.to_string()), codecs, header_extensions, encodings: encodings.collect(), ..common::opus() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without this, a target that reaches nothing would look like one that finds nothing.
    #[test]
    fn the_seeds_reach_the_receiver() {
        let speech = play(include_bytes!("../../../fuzz/seeds/media/speech"));
        assert!(speech.heard().count() >= 10, "{:?}", speech.sfu.stats());
        let pictures = play(include_bytes!("../../../fuzz/seeds/media/simulcast"));
        assert!(pictures.sfu.stats().rtp_forwarded > 2, "{:?}", pictures.sfu.stats());
        assert!(pictures.sfu.stats().key_frame_requests > 0, "{:?}", pictures.sfu.stats());
    }
}
