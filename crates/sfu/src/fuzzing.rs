//! The door for fuzz targets: the readers and rules behind it, with what must hold of each whatever the bytes are.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parlor_proto::ids::{ProducerId, RouterId};

use crate::consumer::rewrite::{self, Rewriter};
use crate::consumer::select::{self, Decision, Selection};
use crate::ortc::Codec;
use crate::packet::Packet;
use crate::payload::{self, Counters, NewCounters, State, Unit};
use crate::pipe::{PipeBatch, StreamId};
use crate::producer::receive_stream::{Arrival, ReceiveStream};
use crate::video::layers::OperatingPoint;
use crate::wire::extension::{self, Element, ExtensionKind, ExtensionMap};
use crate::wire::red::{self, Red};
use crate::wire::rtcp::{self, Builder, MAX_BLOCKS, REFERENCE_PERIOD, ReportBlock, Rtcp};
use crate::wire::rtp::{self, Header, NewHeader};

/// Longer inputs only repeat themselves.
const MAX_STEPS: usize = 400;
/// One for each number a packet can have an id of.
const MEANINGS: [ExtensionKind; 8] = [
    ExtensionKind::Mid,
    ExtensionKind::Rid,
    ExtensionKind::RepairedRid,
    ExtensionKind::TransportCc,
    ExtensionKind::AbsSendTime,
    ExtensionKind::AudioLevel,
    ExtensionKind::VideoOrientation,
    ExtensionKind::DependencyDescriptor,
];
const VIDEO: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

/// The rest of an input; at its end everything is zero.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn steps(&mut self, mut step: impl FnMut(&mut Self)) {
        for _ in 0..MAX_STEPS {
            if self.0.is_empty() {
                return;
            }
            step(self);
        }
    }
}

/// An RTP header with its extensions: what is read and written again reads the same.
pub fn rtp(bytes: &[u8]) {
    let Some(header) = Header::parse(bytes) else { return };
    assert!(header.header_len <= bytes.len(), "a header longer than its packet");
    assert!(rtp::payload_end(bytes, &header).is_none_or(|end| (header.header_len..=bytes.len()).contains(&end)));
    let mut extension_map = ExtensionMap::default();
    (1..).zip(MEANINGS).for_each(|(id, meaning)| extension_map.set(id, Some(meaning)));
    let values = extension::read(bytes, &header, &extension_map);
    assert!(values.audio_level.is_none_or(|(dbov, _)| dbov <= 0) && values.mid != Some(""));
    let elements: Vec<Element<'_>> = extension::elements(bytes, &header).collect();
    let Header { marker, payload_type, seq, timestamp, ssrc, .. } = header;
    let outgoing = NewHeader { marker, payload_type, seq, timestamp, ssrc };
    // The other form may take a byte more for each.
    let mut written = vec![0xa5; 2 * bytes.len() + 32];
    let Some(len) = rtp::write_header(&mut written, &outgoing, &elements) else {
        assert!(elements.iter().any(|element| element.id == 0), "what was read cannot be written");
        return;
    };
    written.truncate(len);
    let again = Header::parse(&written).unwrap_or_else(unreadable);
    assert_eq!((again.marker, again.payload_type, again.seq, again.timestamp, again.ssrc), (marker, payload_type, seq, timestamp, ssrc));
    assert_eq!(again.header_len, len);
    assert!(extension::elements(&written, &again).eq(elements), "the extensions changed");
    assert_eq!(extension::read(&written, &again, &extension_map), values);
}

/// RTCP of every kind: it ends, and what is written from it reads the same.
pub fn rtcp(bytes: &[u8]) {
    let mut written = Vec::new();
    for packet in rtcp::parse(bytes) {
        written.clear();
        let mut builder = Builder::new(&mut written, 1);
        match packet {
            Rtcp::SenderReport { info, reports } => {
                assert!(reports.count() <= MAX_BLOCKS && builder.sender_report(&info));
                assert!(matches!(rtcp::parse(&written).next(), Some(Rtcp::SenderReport { info: again, .. }) if again == info));
            }
            Rtcp::ReceiverReport { reports, .. } => {
                let blocks: Vec<ReportBlock> = reports.collect();
                let taken = builder.receiver_report(&blocks);
                let again = rtcp::parse(&written).flat_map(|packet| match packet {
                    Rtcp::ReceiverReport { reports, .. } => reports.collect(),
                    _ => Vec::new(),
                });
                assert!(again.eq(blocks.into_iter().take(taken)), "the reports changed");
            }
            Rtcp::Nack { media, lost } => {
                let lost: Vec<u16> = lost.collect();
                let taken = builder.nack(media, &lost);
                let again = rtcp::parse(&written).flat_map(|packet| match packet {
                    Rtcp::Nack { media: of, lost } if of == media => lost.collect(),
                    _ => Vec::new(),
                });
                assert_eq!(again.collect::<HashSet<u16>>(), lost.into_iter().take(taken).collect(), "other packets are missing");
            }
            Rtcp::Pli { media } => assert!(builder.pli(media)),
            Rtcp::Fir { entries } => entries.for_each(|entry| _ = builder.fir(entry.media, entry.number)),
            Rtcp::Remb { bitrate, ssrcs } => {
                assert!(builder.remb(bitrate, &ssrcs.collect::<Vec<_>>()));
                // What is more than can be told is read as the most.
                let is_same = |again| again == bitrate || bitrate == u64::MAX;
                assert!(matches!(rtcp::parse(&written).next(), Some(Rtcp::Remb { bitrate: again, .. }) if is_same(again)));
            }
            Rtcp::TransportFeedback(feedback) => transport_feedback(&feedback),
            Rtcp::Bye { ssrcs } => _ = builder.bye(&ssrcs.collect::<Vec<_>>()),
        }
    }
}

fn transport_feedback(feedback: &rtcp::Feedback<'_>) {
    let arrivals: Vec<(u16, Option<i64>)> = feedback.iter().collect();
    assert_eq!(arrivals.len(), usize::from(feedback.count));
    let times: Vec<_> = arrivals.iter().map(|(_, time)| *time).collect();
    let mut written = Vec::new();
    Builder::new(&mut written, 1).transport_feedback(feedback.media, feedback.number, feedback.base, &times);
    for packet in rtcp::parse(&written) {
        let Rtcp::TransportFeedback(again) = packet else { continue };
        for ((seq, time), (expected, arrival)) in again.iter().zip(&arrivals) {
            let same = time.zip(*arrival).map_or(time.is_none() && arrival.is_none(), |(a, b)| (a - b).rem_euclid(REFERENCE_PERIOD) == 0);
            assert!(seq == *expected && same, "{seq} {time:?} was {expected} {arrival:?}");
        }
    }
}

/// A stream with its repair stream (RFC 4588): no packet arrives twice, and none is asked for that is there.
pub fn rtx(bytes: &[u8], begin: Instant) {
    let mut rest = Rest(bytes);
    let (mut now, mut incoming) = (begin, ReceiveStream::new(90_000, true));
    let (mut arrived, mut asked) = (HashSet::new(), Vec::new());
    let mut seq = 0_u64;
    rest.steps(|rest| {
        now += Duration::from_millis(u64::from(rest.byte() & 0x3f));
        match rest.byte() % 4 {
            0 => {
                asked.clear();
                incoming.nacks(now, Duration::from_millis(u64::from(rest.byte())), &mut asked);
                assert!(asked.iter().all(|asked| !arrived.contains(&incoming.extend(*asked))), "one that is there is asked for");
            }
            1 => {
                if let Some((number, _)) = incoming.unwrap(rest.take(3)) {
                    note(incoming.on_packet(number, 0, now, true), number, &mut arrived);
                }
            }
            _ => {
                let step = rest.byte();
                seq = if step < 200 { seq + u64::from(step >> 5) } else { seq.saturating_sub(u64::from(step - 200)) };
                note(incoming.on_packet(seq, u32::from(step), now, false), seq, &mut arrived);
            }
        }
        let report = incoming.report(1, now);
        assert!((-0x80_0000..0x80_0000).contains(&report.lost));
        incoming.take_lost();
    });
}

fn note(arrival: Arrival, number: u64, arrived: &mut HashSet<u64>) {
    let is_new = arrival == Arrival::Again || arrived.insert(number);
    assert!(is_new, "{number} arrives twice");
}

/// A picture stream of one codec: described, selected from, and numbered anew. No number leaves twice; without loss on the
/// way in there is none on the way out.
pub fn stream(bytes: &[u8], begin: Instant) {
    let mut rest = Rest(bytes);
    let codec = VIDEO.get(usize::from(rest.byte()) % VIDEO.len()).copied().unwrap_or(Codec::Vp8);
    let mut receiver = Receiver::new();
    let (mut state, mut now, mut seq, mut timestamp) = (State::default(), begin, 1_000_u64, 0_u32);
    rest.steps(|rest| {
        let (step, flags) = (rest.byte(), rest.byte());
        let at = match step {
            0..=3 => seq.saturating_sub(u64::from(step)),
            250.. => seq + u64::from(step - 240) * 40,
            _ => seq + 1,
        };
        receiver.lossless &= at == seq + 1;
        seq = seq.max(at);
        timestamp = timestamp.wrapping_add(if flags & 1 == 1 { 3_000 } else { 0 });
        now += Duration::from_millis(1);
        if flags & 2 == 2 {
            let aim = rest.byte();
            receiver.selection.aim(OperatingPoint { spatial: aim >> 4, temporal: aim & 0x0f });
        }
        let descriptor = (codec == Codec::Av1).then(|| rest.take(usize::from(flags >> 3)));
        let len = usize::from(rest.byte() & 0x3f);
        let payload = rest.take(len);
        let marker = flags & 4 == 4;
        let unit = payload::describe(codec, payload, marker, descriptor, &mut state);
        check_counters(codec, payload, descriptor, &unit);
        let packet = rewrite::Original { seq: at, timestamp, arrival: now };
        // One that arrives twice gets no further in a call.
        if receiver.arrived.insert(at) {
            receiver.take(packet, marker, &unit, &state);
        }
    });
}

/// One consumer, as the forwarding treats it.
struct Receiver {
    selection: Selection,
    rewriter: Rewriter,
    left: HashSet<u64>,
    arrived: HashSet<u64>,
    lossless: bool,
}

impl Receiver {
    fn new() -> Self {
        let (selection, rewriter) = (Selection::new(OperatingPoint::ALL), Rewriter::new(90_000, 7, 7));
        Self { selection, rewriter, left: HashSet::new(), arrived: HashSet::new(), lossless: true }
    }

    fn take(&mut self, packet: rewrite::Original, marker: bool, unit: &Unit, state: &State) {
        if !unit.begins_key_frame && self.rewriter.jumps(packet.seq) {
            return self.interrupt();
        }
        let header = select::PacketHeader { seq: packet.seq, timestamp: packet.timestamp, marker };
        let number = match self.selection.decide(header, unit, state.structure()) {
            Decision::Send { .. } => self.rewriter.rewrite(packet, &unit.counters).map(|outgoing| outgoing.seq),
            Decision::LeaveOut | Decision::Nothing => self.rewriter.leave_out(packet.seq, &unit.counters).map(|fill| fill.seq),
        };
        // Twice would be two packets under one nonce (RFC 7714, section 8.1).
        let Some(number) = number else { return };
        assert!(self.left.insert(number), "{number} leaves twice");
        if self.lossless {
            let span = self.left.iter().max().zip(self.left.iter().min()).map_or(0, |(max, min)| max - min + 1);
            assert_eq!(span, self.left.len() as u64, "a hole that nothing was lost in");
        }
    }

    fn interrupt(&mut self) {
        self.selection.restart();
        self.rewriter.skip();
    }
}

/// Counters that are written read back, and nothing else changes.
fn check_counters(codec: Codec, payload: &[u8], descriptor: Option<&[u8]>, unit: &Unit) {
    let bits = unit.counters.picture_bits();
    let new =
        NewCounters { picture_id: 0x1234 & 1_u16.checked_shl(bits.into()).map_or(u16::MAX, |end| end.wrapping_sub(1)), tl0_index: 0x56 };
    let mut copy = descriptor.filter(|_| codec == Codec::Av1).unwrap_or(payload).to_vec();
    unit.counters.write(new, &mut copy);
    // Without its structure a later descriptor of AV1 cannot be read.
    if codec == Codec::Av1 {
        return assert_eq!(copy.len(), descriptor.map_or(0, <[u8]>::len));
    }
    let before = payload::counters(codec, payload, None);
    let after = payload::counters(codec, &copy, None);
    assert_eq!(after.picture_id(), before.picture_id().map(|_| new.picture_id));
    assert_eq!(after.tl0_index(), before.tl0_index().map(|_| new.tl0_index));
    let expected = Unit { counters: Counters::default(), ..payload::describe(codec, payload, false, None, &mut State::default()) };
    let read = Unit { counters: Counters::default(), ..payload::describe(codec, &copy, false, None, &mut State::default()) };
    assert_eq!(read, expected, "more than the counters changed");
}

/// Dependency descriptors of one stream, each behind its length, and every question about the layers they describe.
pub fn descriptor(bytes: &[u8]) {
    let (mut rest, mut state) = (Rest(bytes), State::default());
    rest.steps(|rest| {
        let len = usize::from(rest.byte());
        let descriptor = rest.take(len);
        let unit = payload::describe(Codec::Av1, &[0x10], len & 1 == 1, Some(descriptor), &mut state);
        let Some(structure) = state.structure() else { return };
        let active = unit.frame.map_or(u32::MAX, |frame| frame.active);
        for target in 0..32 {
            let (spatial, temporal) = structure.layers(target);
            let best = structure.best(spatial, temporal, active);
            assert!(best == 0 || active >> best & 1 == 1, "the best is not sent");
            assert!(!structure.is_within(target, 32));
        }
        if let Some(frame) = &unit.frame {
            assert!(frame.references().count() <= payload::av1::MAX_REFERENCES);
            (0..32).for_each(|target| assert!(frame.is_present(target) || !frame.is_switch(target), "a switch that is not there"));
        }
    });
}

/// Redundant sound (RFC 2198): the blocks are within the packet, and other types change nothing else.
pub fn red(bytes: &[u8]) {
    let Some(read) = Red::parse(bytes) else { return };
    let redundant: usize = read.redundant().map(|block| block.payload.len()).sum();
    assert!(redundant + read.primary.payload.len() < bytes.len());
    let mut copy = Vec::new();
    red::relabel(bytes, 45, &mut copy);
    let again = Red::parse(&copy).unwrap_or_else(unreadable);
    assert!(again.is_all(45) && again.primary.payload == read.primary.payload);
    let blocks = |red: &Red<'_>| red.redundant().map(|block| (block.timestamp_offset, block.payload.to_vec())).collect::<Vec<_>>();
    assert_eq!(blocks(&again), blocks(&read));
}

/// A STUN message from anybody: without the password none is taken for a valid check.
pub fn stun(bytes: &[u8]) {
    if !crate::wire::stun::is_stun(bytes) {
        return;
    }
    let Some(crate::wire::stun::Stun::Request(request)) = crate::wire::stun::Stun::parse(bytes) else { return };
    assert!(!request.verify("a password nobody was told"));
    request.nomination();
    if let Some(refusal) = request.objection() {
        assert!(request.refuse(refusal, Some("a password")).len() <= 128, "a list of what is unknown has an end");
    }
}

/// What another thread may hand over, without that thread: a packet, or what is told besides packets.
pub fn piped(batch: &mut PipeBatch, router: RouterId, producer: ProducerId, layer: u8, told: u8, packet: PipedPacket<'_>) {
    let stream = StreamId { router, producer, layer };
    let PipedPacket { payload_type, seq, late, timestamp, marker, level, descriptor, payload } = packet;
    match told {
        0 => batch.interrupted(stream),
        1 => batch.replaced(stream),
        _ => {
            let orientation = None;
            let packet =
                Packet { payload_type, repaired: false, late, seq, timestamp, marker, level, orientation, descriptor, payload, wire: 0 };
            batch.push_packet(stream, &packet);
        }
    }
}

/// A packet of [`piped`].
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "as in the packet")]
pub struct PipedPacket<'a> {
    pub payload_type: u8,
    pub seq: u64,
    pub late: bool,
    pub timestamp: u32,
    pub marker: bool,
    pub level: Option<(i8, bool)>,
    pub descriptor: Option<&'a [u8]>,
    pub payload: &'a [u8],
}

#[allow(clippy::panic, reason = "a fuzz target reports by a panic")]
fn unreadable<T>() -> T {
    panic!("what was written cannot be read")
}
