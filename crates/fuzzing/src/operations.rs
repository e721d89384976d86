//! Whole sequences of what can happen to the media plane of a room on two threads: orders in any order, what one thread
//! hands to the other, datagrams, time; with a receiver that has keys.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::MediaEvent;
use parlor_proto::ids::{ConsumerId, ProducerId, RouterId, TransportId};
use parlor_proto::media::{Layers, MediaCommand, MediaKind, Origin};
use parlor_proto::rtp::{RtpEncoding, RtpParameters, RtxEncoding};
use parlor_proto::transport::{Direction, Protocol};
use parlor_sfu::fuzzing::{self, PipedPacket};
use parlor_sfu::{Datagram, LocalCandidate, PipeBatch, Sfu, SfuConfig, WantedKeyFrame, ortc};

use crate::bytes::Bytes;
use crate::client::Client;
use crate::common::{self, origin};

const MAX_STEPS: usize = 150;
/// Packets one step hands over.
const MAX_BURST: usize = 6;
/// A handshake without loss takes about ten.
const MAX_HANDSHAKE_ROUNDS: usize = 500;
/// Outputs one input may cause: far fewer than a loop without end.
const MAX_OUTPUTS: usize = 10_000;
const ROUND: Duration = Duration::from_millis(10);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7401);
const CLIENT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 40_000);
const ROUTER: RouterId = RouterId::from_random(1);

/// What is sent on the other thread: payload types with that of their repair, if any, and the number of encodings.
const FORMATS: [(&[u8], usize); 6] = [(&[111], 1), (&[63, 111], 1), (&[96, 97], 3), (&[98, 99], 1), (&[106, 107], 1), (&[45, 46], 1)];
const RED: usize = 1;
/// Two for each producer: the second takes no redundancy.
const CONSUMERS: usize = 2 * FORMATS.len();

/// Runs the sequence that `data` spells.
pub fn run(data: &[u8]) {
    play(data);
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
    /// Has the receiver, and mirrors of what is sent elsewhere.
    here: Sfu,
    /// Has mirrors of the mirrors.
    there: Sfu,
    now: Instant,
    client: Client,
    /// The next sequence number and timestamp of each producer.
    positions: [(u64, u32); FORMATS.len()],
    /// Producer, layer and number of every packet that was handed over.
    given: HashSet<(usize, u8, u64)>,
    /// SSRC and sequence number of every packet that left: one key seals no number twice.
    left: HashSet<(u32, u16)>,
}

impl World {
    fn new() -> Self {
        let now = origin();
        let candidate = || vec![LocalCandidate { protocol: Protocol::Udp, address: SERVER }];
        let make = || Sfu::new(SfuConfig::new(candidate()), now).expect("the configuration is valid");
        let (mut here, mut there) = (make(), make());
        here.handle_command(ROUTER, MediaCommand::CreateRouter, now);
        there.handle_command(ROUTER, MediaCommand::CreateRouter, now);
        let transport = TransportId::from_random(1);
        here.handle_command(ROUTER, MediaCommand::CreateTransport { transport, direction: Direction::Recv }, now);
        let Some((_, MediaEvent::TransportCreated { ice, dtls, .. })) = here.poll_event() else { panic!("no transport") };
        let mut client = Client::new(transport, CLIENT, SERVER, &ice, &dtls, now);
        here.handle_command(ROUTER, client.connect(), now);
        let (positions, given) = ([(1, 0); FORMATS.len()], HashSet::new());
        let mut world = Self { here, there, now, client, positions, given, left: HashSet::new() };
        for _ in 0..MAX_HANDSHAKE_ROUNDS {
            if world.client.connected {
                break;
            }
            world.pass(ROUND);
        }
        assert!(world.client.connected, "the client does not get connected");
        (0..FORMATS.len()).for_each(|n| world.mirror(n));
        (0..CONSUMERS).for_each(|n| world.consume(n));
        world
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(16) {
            0..=8 => self.burst(bytes),
            9 => self.pass(Duration::from_millis(u64::from(bytes.byte()) * 4)),
            10 => {
                let paused = bytes.flag();
                let producer = producer(bytes.below(FORMATS.len()));
                self.command(MediaCommand::SetProducerPaused { producer, paused });
            }
            11 => {
                let paused = bytes.flag();
                let consumer = consumer(bytes.below(CONSUMERS));
                self.command(MediaCommand::SetConsumerPaused { transport: self.client.transport, consumer, paused });
            }
            12 => {
                let transport = self.client.transport;
                let layers = Layers { spatial_layer: bytes.byte(), temporal_layer: bytes.flag().then(|| bytes.byte()) };
                self.command(MediaCommand::SetPreferredLayers { transport, consumer: consumer(bytes.below(CONSUMERS)), layers });
            }
            13 => self.come_and_go(bytes),
            14 => {
                let len = usize::from(bytes.byte());
                let datagram = Datagram { protocol: Protocol::Udp, local: SERVER, remote: CLIENT, bytes: bytes.take(len) };
                self.here.handle_datagram(datagram, self.now);
            }
            _ => {
                let n = bytes.below(FORMATS.len());
                self.here.pipe(ROUTER, producer(n), u16::from(bytes.byte()));
                let wanted = WantedKeyFrame { thread: 0, router: ROUTER, producer: producer(n), layer: bytes.byte() };
                self.there.want_key_frame(&wanted, self.now);
            }
        }
        self.exchange();
    }

    fn come_and_go(&mut self, bytes: &mut Bytes<'_>) {
        let (n, m) = (bytes.below(CONSUMERS), bytes.below(FORMATS.len()));
        let transport = self.client.transport;
        match bytes.below(8) {
            0 => self.command(MediaCommand::CloseConsumer { transport, consumer: consumer(n) }),
            1 | 2 => self.consume(n),
            3 => self.command(MediaCommand::CloseProducer { producer: producer(m) }),
            4 | 5 => self.mirror(m),
            6 => self.command(MediaCommand::RequestKeyFrame { transport, consumer: consumer(n) }),
            _ => self.command(MediaCommand::RestartIce { transport }),
        }
    }

    fn mirror(&mut self, n: usize) {
        let (producer, origin) = (producer(n), origin_of(n));
        let mirror = |sfu: &mut Sfu| sfu.mirror(ROUTER, producer, &origin, 0, self.now);
        assert!(mirror(&mut self.here) && mirror(&mut self.there), "{n} cannot be mirrored");
    }

    fn consume(&mut self, n: usize) {
        let mut capabilities = ortc::router_capabilities();
        if n >= FORMATS.len() {
            capabilities.codecs.retain(|codec| codec.mime_type != "audio/red");
        }
        let (transport, consumer, producer) = (self.client.transport, consumer(n), producer(n % FORMATS.len()));
        let (origin, capabilities) = (origin_of(n % FORMATS.len()), Arc::new(capabilities));
        let command = MediaCommand::Consume { transport, consumer, producer, origin, capabilities, paused: false };
        self.here.handle_command(ROUTER, command, self.now);
        while let Some((_, event)) = self.here.poll_event() {
            let MediaEvent::Consumed { rtp, .. } = event else { continue };
            let encoding = rtp.encodings.first().expect("a consumer has an encoding");
            let mid = rtp.mid.as_deref().expect("a consumer has a mid").into();
            let is_sound = n % FORMATS.len() <= RED;
            let mut direct = self.client.rtc.direct_api();
            direct.declare_media(mid, if is_sound { str0m::media::MediaKind::Audio } else { str0m::media::MediaKind::Video });
            let ssrc = encoding.ssrc.expect("a consumer has an SSRC");
            direct.expect_stream_rx(ssrc.into(), encoding.rtx.map(|rtx| rtx.ssrc.into()), mid, None);
        }
    }

    /// Some packets, as another thread hands them over.
    fn burst(&mut self, bytes: &mut Bytes<'_>) {
        let mut batch = PipeBatch::default();
        for _ in 0..=bytes.below(MAX_BURST) {
            let n = bytes.below(FORMATS.len());
            let (Some(position), Some((types, _))) = (self.positions.get_mut(n), FORMATS.get(n)) else { continue };
            let (told, jump, flags) = (bytes.byte(), bytes.byte(), bytes.byte());
            let before = position.0;
            position.0 += if jump < 16 { u64::from(jump) * 90 } else { 1 + u64::from(jump > 240) };
            position.1 = position.1.wrapping_add(if jump < 200 { 960 } else { 0 });
            let late = told & 0xf0 == 0x20;
            let seq = if late { before.saturating_sub(u64::from(jump & 7)) } else { position.0 };
            let layer = flags >> 4 & 3;
            let len = usize::from(bytes.byte() & 0x3f);
            let described = if flags & 0x40 == 0 { Some(bytes.take(usize::from(flags & 0x0f))) } else { None };
            let raw = bytes.take(len);
            let payload = if flags & 0x80 == 0 { shaped(n, position.0, jump, raw) } else { raw.to_vec() };
            // The other thread sorts out what comes twice.
            if !self.given.insert((n, layer, seq)) {
                continue;
            }
            let packet = PipedPacket {
                payload_type: types.get(usize::from(flags & 1)).or(types.first()).copied().unwrap_or(0),
                seq,
                late,
                timestamp: position.1,
                marker: flags & 2 == 2,
                level: Some((-i8::try_from(jump & 0x7f).unwrap_or(0), flags & 4 == 4)),
                descriptor: described.filter(|descriptor| !descriptor.is_empty()),
                payload: &payload,
            };
            fuzzing::piped(&mut batch, ROUTER, producer(n), layer, told, packet);
        }
        self.here.handle_piped(&batch, self.now);
    }

    fn command(&mut self, command: MediaCommand) {
        self.there.handle_command(ROUTER, command.clone(), self.now);
        self.here.handle_command(ROUTER, command, self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.here.handle_timeout(self.now);
        self.there.handle_timeout(self.now);
        self.client.handle_timeout(self.now);
        self.exchange();
    }

    fn exchange(&mut self) {
        let threads: Vec<u16> = self.here.piped().collect();
        for thread in threads {
            let batch = self.here.take_piped(thread, PipeBatch::default()).expect("there is something");
            self.there.handle_piped(&batch, self.now);
        }
        while let Some(wanted) = self.there.poll_wanted() {
            self.here.want_key_frame(&wanted, self.now);
        }
        for datagram in std::mem::take(&mut self.client.outbox) {
            let datagram = Datagram { protocol: Protocol::Udp, local: SERVER, remote: CLIENT, bytes: &datagram };
            self.here.handle_datagram(datagram, self.now);
        }
        for outputs in 0.. {
            assert!(outputs < MAX_OUTPUTS, "one input causes outputs without end");
            let Some(transmit) = self.here.poll_transmit() else { break };
            self.note(&transmit.bytes);
            self.client.handle_datagram(&transmit.bytes, self.now);
        }
        assert!(self.there.poll_transmit().is_none(), "somebody is sent to who is not there");
        for outputs in 0.. {
            assert!(outputs < MAX_OUTPUTS, "one input causes reports without end");
            let (wanted, events) = (self.here.poll_wanted(), [self.here.poll_event(), self.there.poll_event()]);
            if wanted.is_none() && events.iter().all(Option::is_none) {
                break;
            }
        }
    }

    /// Notes a packet on its way to the client, by its clear header.
    fn note(&mut self, datagram: &[u8]) {
        let [0x80..=0xbf, second, high, low, _, _, _, _, a, b, c, d, ..] = datagram else { return };
        if !(192..=223).contains(second) {
            let packet = (u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*high, *low]));
            assert!(self.left.insert(packet), "{packet:?} is sealed twice under one number");
        }
    }
}

/// A payload that is one of its format, so that what follows goes deeper.
fn shaped(n: usize, seq: u64, choice: u8, raw: &[u8]) -> Vec<u8> {
    let [.., high, low] = seq.to_be_bytes();
    let inter = u8::from(choice & 7 != 0);
    let mut payload = match n {
        RED => vec![0x80 | 111, 0x0f, 0x00, 2, 111, high, low],
        2 => vec![0x90, 0xe0, 0x80 | high & 0x7f, low, low, (choice & 3) << 6 | 0x20, inter],
        3 => vec![0x8c | 0x20 | inter << 6, 0x80 | high & 0x7f, low, (choice & 3) << 5, low],
        4 => vec![if inter == 1 { 0x41 } else { 0x67 }, 0],
        5 => vec![0x10 | if inter == 1 { 0 } else { 8 }, 0],
        _ => Vec::new(),
    };
    payload.extend_from_slice(raw);
    payload
}

fn producer(n: usize) -> ProducerId {
    ProducerId::from_random(1 + n as u128)
}

fn consumer(n: usize) -> ConsumerId {
    ConsumerId::from_random(1 + n as u128)
}

/// Where a producer comes from: a sender of the other thread.
fn origin_of(n: usize) -> Origin {
    let kind = if n <= RED { MediaKind::Audio } else { MediaKind::Video };
    Origin { transport: TransportId::from_random(2), kind, rtp: Arc::new(parameters(n)), paused: false }
}

fn parameters(n: usize) -> RtpParameters {
    let (types, encodings) = FORMATS.get(n).copied().unwrap_or((&[111], 1));
    let mut codecs = common::codecs(|payload_type| types.contains(&payload_type));
    codecs.sort_by_key(|codec| types.iter().position(|payload_type| *payload_type == codec.payload_type));
    let has_rtx = codecs.iter().any(|codec| codec.is_rtx());
    let encoding =
        |ssrc: u32| RtpEncoding { ssrc: Some(ssrc), rtx: has_rtx.then_some(RtxEncoding { ssrc: ssrc + 100 }), ..RtpEncoding::default() };
    RtpParameters { codecs, encodings: (1..).take(encodings).map(encoding).collect(), ..common::opus() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without this, a target that reaches nothing would look like one that finds nothing.
    #[test]
    fn the_seeds_reach_the_receiver() {
        let world = play(include_bytes!("../../../fuzz/seeds/operations/everything"));
        let stats = world.here.stats();
        assert!(stats.rtp_forwarded > 100, "{stats:?}");
        let heard: HashSet<u32> = world.left.iter().map(|(ssrc, _)| *ssrc).collect();
        assert!(heard.len() >= 10, "{} of {CONSUMERS} streams", heard.len());
    }
}
