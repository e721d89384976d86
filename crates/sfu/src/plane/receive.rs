//! The way of a packet from its datagram to its producer: found, opened, unwrapped, counted.

use std::time::Instant;

use crate::packet::Packet;
use crate::plane::forward::Forwarder;
use crate::plane::stats::SfuStats;
use crate::plane::{Datagram, Sfu};
use crate::producer::Producer;
use crate::producer::limit::CARRIER;
use crate::producer::receive_stream::Arrival;
use crate::table::{ProducerIndex, StreamIndex, Table, TransportIndex};
use crate::transport::timers::Timers;
use crate::transport::{Found, LayerOf, Part, Stream, Transport};
use crate::wire::extension::{self, Values};
use crate::wire::rtcp::{self, Rtcp};
use crate::wire::rtp::{self, Header};
use crate::wire::srtp::{Opener, Replay};

/// All that an SRTP packet needs from its transport on, borrowed once.
pub(crate) struct Ingress<'a> {
    pub(crate) producers: &'a mut Table<ProducerIndex, Producer>,
    pub(crate) timers: &'a mut Timers,
    pub(crate) forwarder: Forwarder<'a>,
}

impl Ingress<'_> {
    fn take_rtp(&mut self, index: TransportIndex, header: &Header, packet: &mut [u8], datagram: &Datagram<'_>) {
        let now = self.forwarder.egress.now;
        let Forwarder { transports, stats, .. } = &mut self.forwarder;
        let Some(transport) = transports.get_mut(index) else { return };
        if header.ssrc == 0 {
            let number = open_probe(transport, stats, header, packet, datagram, now);
            return self.note_arrival(index, number);
        }
        let Some(opened) = open_rtp(transport, stats, header, packet, datagram, now) else { return };
        let Opened { slot, part, number, replaced, bytes, .. } = opened;
        let Some(stream) = transport.receive.stream(slot) else { return };
        let of = stream.of;
        stream.replay(part).accept(number);
        let values = extension::read(bytes, header, &transport.extension_map);
        let counted = count(stream, header, &opened, &values, now);
        if let Some(at) = stream.received.next_nack() {
            self.timers.schedule(transports, index, at);
        }
        let passed = match &counted {
            Counted::Packet(packet) => self.forward(of, replaced, packet),
            Counted::Again => {
                stats.drops.replayed += 1;
                true
            }
            Counted::Nothing => true,
        };
        if passed {
            return self.note_arrival(index, values.transport_cc);
        }
        // What was cut is reported lost, by numbers and by report: so its sender hears of it in every way there is.
        let Some(transport) = self.forwarder.transports.get_mut(index) else { return };
        transport.was_cut = true;
        transport.receive.stream(slot).into_iter().for_each(|stream| stream.received.on_cut());
    }

    /// Takes a packet to its producer. False if it was more than its sender may send.
    fn forward(&mut self, of: LayerOf, replaced: bool, packet: &Packet<'_>) -> bool {
        let Some(producer) = self.producers.get_mut(of.producer) else {
            self.forwarder.stats.drops.unknown_stream += 1;
            return true;
        };
        if replaced {
            self.forwarder.source_replaced(producer, of.layer);
        }
        self.forwarder.forward(producer, of.layer, packet)
    }

    /// Notes a packet for transport-wide feedback.
    fn note_arrival(&mut self, index: TransportIndex, number: Option<u16>) {
        let Some((transport, number)) = self.forwarder.transports.get_mut(index).zip(number) else { return };
        transport.recorder.record(number, self.forwarder.egress.now);
        if let Some(at) = transport.recorder.due().filter(|at| transport.has_turn_after(*at)) {
            self.timers.schedule(self.forwarder.transports, index, at);
        }
    }
}

impl Sfu {
    /// Takes an SRTP packet of a transport.
    pub(crate) fn handle_rtp(&mut self, index: TransportIndex, datagram: &Datagram<'_>, now: Instant) {
        let (scratch, mut ingress) = self.ingress(now);
        match (Header::parse(datagram.bytes), scratch.copy(datagram.bytes)) {
            (Some(header), Some(packet)) => ingress.take_rtp(index, &header, packet, datagram),
            _ => ingress.forwarder.stats.drops.malformed += 1,
        }
    }

    /// Takes an SRTCP packet of a transport.
    pub(crate) fn handle_rtcp(&mut self, index: TransportIndex, datagram: &Datagram<'_>, now: Instant) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let transport = self.transports.get_mut(index);
        let opened = transport.zip(scratch.copy(datagram.bytes)).and_then(|(transport, packet)| {
            let len = transport.secure.as_mut()?.opener.open_rtcp(packet)?;
            transport.ice.heard(&datagram.path(), datagram.bytes.len(), now);
            packet.get(..len)
        });
        match opened {
            Some(packet) => {
                self.look_for_proof(index, packet, datagram, now);
                self.take_reports(index, packet, now);
            }
            None => self.stats.drops.transport += 1,
        }
        self.scratch = scratch;
    }

    /// Receiver reports tell which of our reports arrived: while a path is not proved, that may prove it.
    fn look_for_proof(&mut self, index: TransportIndex, packet: &[u8], datagram: &Datagram<'_>, now: Instant) {
        let Some(transport) = self.transports.get_mut(index).filter(|transport| transport.ice.is_limited()) else { return };
        let (path, mut proved) = (datagram.path(), false);
        for report in rtcp::parse(packet) {
            if let Rtcp::SenderReport { reports, .. } | Rtcp::ReceiverReport { reports, .. } = report {
                reports.filter(|block| block.last_sr != 0).for_each(|block| proved |= transport.ice.report_answered(&path, block.last_sr));
            }
        }
        if proved {
            tracing::debug!(transport = ?transport.id, "answers to reports proved a path");
            self.look_after_paths(index, now);
        }
    }
}

/// A packet that is what it claims to be.
struct Opened<'a> {
    /// The stream of the packet.
    slot: StreamIndex,
    part: Part,
    number: u64,
    /// The stream of the packet takes the place of another.
    replaced: bool,
    bytes: &'a [u8],
    /// What it took on the wire, with all around it.
    wire: usize,
}

/// What a packet is among those of its stream.
enum Counted<'a> {
    Packet(Packet<'a>),
    /// The packet was there before.
    Again,
    /// A repair of nothing.
    Nothing,
}

/// Opens a packet and finds its stream. Nothing is changed before the packet is authenticated; so no number of forged packets
/// ends a call.
fn open_rtp<'a>(
    transport: &mut Transport,
    stats: &mut SfuStats,
    header: &Header,
    packet: &'a mut [u8],
    datagram: &Datagram<'_>,
    now: Instant,
) -> Option<Opened<'a>> {
    let Some(secure) = &transport.secure else {
        stats.drops.transport += 1;
        return None;
    };
    let found = transport.receive.find(header.ssrc, || extension::read(packet, header, &transport.extension_map));
    let fresh = Replay::default();
    let replay = match found {
        Found::Known(slot, part) => &*transport.receive.stream(slot)?.replay(part),
        Found::New(..) => transport.receive.replay_of(header.ssrc).unwrap_or(&fresh),
        Found::Nothing => {
            stats.drops.unknown_stream += 1;
            return None;
        }
    };
    let Some((number, len)) = open(&secure.opener, replay, header, packet, datagram.bytes) else {
        match replay.is_new(replay.guess(header.seq)) {
            true => stats.drops.transport += 1,
            false => stats.drops.replayed += 1,
        }
        return None;
    };
    transport.ice.heard(&datagram.path(), datagram.bytes.len(), now);
    if !transport.packets.take(1, now) {
        stats.drops.over_rate += 1;
        // The numbers go on: a sender that comes to its senses is heard again.
        if let Found::Known(slot, part) = found {
            transport.receive.stream(slot)?.replay(part).accept(number);
        }
        return None;
    }
    let (slot, part, replaced) = match found {
        Found::Known(slot, part) => (slot, part, false),
        Found::New(of, part) => {
            let (slot, replaced) = transport.receive.adopt(of, part, header.ssrc)?;
            (slot, part, replaced)
        }
        Found::Nothing => return None,
    };
    let wire = datagram.bytes.len() + CARRIER;
    Some(Opened { slot, part, number, replaced, bytes: packet.get(..len)?, wire })
}

/// Counts a packet among those of its stream; a repair (RFC 4588) as what it repeats.
#[inline]
fn count<'a>(stream: &mut Stream, header: &Header, opened: &Opened<'a>, values: &Values<'a>, now: Instant) -> Counted<'a> {
    let bytes = opened.bytes;
    let payload = rtp::payload_end(bytes, header).and_then(|end| bytes.get(header.header_len..end)).unwrap_or_default();
    // A repair stream carries padding, too.
    let unwrapped = match opened.part {
        Part::Media => Some((opened.number, payload)),
        Part::Repair => stream.received.unwrap(payload),
    };
    let Some((seq, payload)) = unwrapped else { return Counted::Nothing };
    let repaired = opened.part == Part::Repair;
    let arrival = stream.received.on_packet(seq, header.timestamp, now, repaired);
    if arrival == Arrival::Again {
        return Counted::Again;
    }
    Counted::Packet(Packet {
        payload_type: header.payload_type,
        repaired,
        late: arrival == Arrival::Late,
        seq,
        timestamp: header.timestamp,
        marker: header.marker,
        level: values.audio_level,
        orientation: values.orientation,
        descriptor: values.descriptor,
        payload,
        wire: opened.wire,
    })
}

/// SSRC 0 carries probes of the sender's bandwidth: there is feedback for them, and nothing else. Returns the number for it.
fn open_probe(
    transport: &mut Transport,
    stats: &mut SfuStats,
    header: &Header,
    packet: &mut [u8],
    datagram: &Datagram<'_>,
    now: Instant,
) -> Option<u16> {
    let Some(secure) = &transport.secure else {
        stats.drops.transport += 1;
        return None;
    };
    let fresh = Replay::default();
    let replay = transport.probe_replay.as_deref().unwrap_or(&fresh);
    let Some((number, len)) = open(&secure.opener, replay, header, packet, datagram.bytes) else {
        stats.drops.transport += 1;
        return None;
    };
    transport.ice.heard(&datagram.path(), datagram.bytes.len(), now);
    transport.probe_replay.get_or_insert_default().accept(number);
    if !transport.packets.take(1, now) {
        stats.drops.over_rate += 1;
        return None;
    }
    extension::read(packet.get(..len)?, header, &transport.extension_map).transport_cc
}

/// Opens a packet in place, if its number is new; returns its number and its length. `sealed` is what it was before.
fn open(opener: &Opener, replay: &Replay, header: &Header, packet: &mut [u8], sealed: &[u8]) -> Option<(u64, usize)> {
    let number = replay.guess(header.seq);
    if !replay.is_new(number) {
        return None;
    }
    if let Some(len) = opener.open_rtp(packet, header.header_len, number) {
        return Some((number, len));
    }
    let number = replay.second_guess(header.seq)?;
    packet.copy_from_slice(sealed);
    opener.open_rtp(packet, header.header_len, number).map(|len| (number, len))
}
