//! The way of a packet from its datagram to its producer: found, opened, unwrapped, counted.

use std::time::Instant;

use crate::extension;
use crate::forward::Packet;
use crate::incoming::Arrival;
use crate::limit::CARRIER;
use crate::rtcp::{self, Rtcp};
use crate::rtp::{self, Header};
use crate::sfu::{Datagram, Sfu};
use crate::srtp::{Opener, Replay};
use crate::transport::{Found, Part};

/// Longer packets come from nobody: what fits an Ethernet frame, with some room for tunnels that carry more.
const MAX_PACKET: usize = 2_048;

/// Where a packet is opened: its datagram belongs to the caller.
pub(crate) struct Scratch(Vec<u8>);

impl Default for Scratch {
    /// Without room: what stands in while the real one is in use.
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(vec![0; MAX_PACKET])
    }

    fn copy(&mut self, bytes: &[u8]) -> Option<&mut [u8]> {
        let room = self.0.get_mut(..bytes.len())?;
        room.copy_from_slice(bytes);
        Some(room)
    }
}

impl Sfu {
    /// Takes an SRTP packet of a transport.
    pub(crate) fn handle_rtp(&mut self, index: usize, datagram: &Datagram<'_>, now: Instant) {
        let mut scratch = std::mem::take(&mut self.scratch);
        match (Header::parse(datagram.bytes), scratch.copy(datagram.bytes)) {
            (Some(header), Some(packet)) => self.open_rtp(index, &header, packet, datagram, now),
            _ => self.stats.drops.malformed += 1,
        }
        self.scratch = scratch;
    }

    /// Nothing is changed before the packet is authenticated; so no number of forged packets ends a call.
    fn open_rtp(&mut self, index: usize, header: &Header, packet: &mut [u8], datagram: &Datagram<'_>, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let Some(secure) = &transport.secure else {
            self.stats.drops.transport += 1;
            return;
        };
        if header.ssrc == 0 {
            return self.open_probe(index, header, packet, datagram, now);
        }
        let found = transport.receive.find(header.ssrc, || extension::read(packet, header, &transport.meanings));
        let fresh = Replay::default();
        let replay = match found {
            Found::Known(slot, part) => {
                let Some(stream) = transport.receive.stream(slot) else { return };
                &*stream.replay(part)
            }
            Found::New(..) => transport.receive.replay_of(header.ssrc).unwrap_or(&fresh),
            Found::Nothing => {
                self.stats.drops.unknown_stream += 1;
                return;
            }
        };
        let Some((number, len)) = open(&secure.opener, replay, header, packet, datagram.bytes) else {
            match replay.is_new(replay.guess(header.seq)) {
                true => self.stats.drops.transport += 1,
                false => self.stats.drops.replayed += 1,
            }
            return;
        };
        transport.ice.heard(&datagram.path(), datagram.bytes.len(), now);
        if !transport.packets.take(1, now) {
            self.stats.drops.over_rate += 1;
            // The numbers go on: a sender that comes to its senses is heard again.
            if let Found::Known(slot, part) = found {
                transport.receive.stream(slot).into_iter().for_each(|stream| stream.replay(part).accept(number));
            }
            return;
        }
        let (slot, part) = match found {
            Found::Known(slot, part) => (slot, part),
            Found::New(of, part) => {
                let Some((slot, replaced)) = transport.receive.adopt(of, part, header.ssrc) else { return };
                if replaced {
                    self.source_replaced(of);
                }
                (slot, part)
            }
            Found::Nothing => return,
        };
        let wire = packet.len();
        let bytes = packet.get(..len).unwrap_or_default();
        self.take_opened(index, Opened { slot, part, number, header, bytes, wire }, now);
    }

    fn take_opened(&mut self, index: usize, opened: Opened<'_>, now: Instant) {
        let Opened { slot, part, number, header, bytes, .. } = opened;
        let Some(transport) = self.transports.get_mut(index) else { return };
        let values = extension::read(bytes, header, &transport.meanings);
        let Some(stream) = transport.receive.stream(slot) else { return };
        stream.replay(part).accept(number);
        let payload = rtp::payload_end(bytes, header).and_then(|end| bytes.get(header.header_len..end)).unwrap_or_default();
        // A repair stream carries padding, too.
        let unwrapped = match part {
            Part::Media => Some((number, payload)),
            Part::Repair => stream.incoming.unwrap(payload),
        };
        let Some((seq, payload)) = unwrapped else { return self.note_arrival(index, values.transport_cc, now) };
        let arrival = stream.incoming.on_packet(seq, header.timestamp, now, part == Part::Repair);
        let (of, nack_due) = (stream.of, stream.incoming.next_nack());
        nack_due.into_iter().for_each(|at| self.schedule(index, at));
        if arrival == Arrival::Again {
            self.stats.drops.replayed += 1;
            return self.note_arrival(index, values.transport_cc, now);
        }
        let packet = Packet {
            payload_type: header.payload_type,
            repaired: part == Part::Repair,
            late: arrival == Arrival::Late,
            seq,
            timestamp: header.timestamp,
            marker: header.marker,
            level: values.audio_level,
            orientation: values.orientation,
            descriptor: values.descriptor,
            payload,
            wire: opened.wire + CARRIER,
        };
        if self.forward(of, &packet, now) {
            return self.note_arrival(index, values.transport_cc, now);
        }
        // What was cut is reported lost, by numbers and by report: so its sender hears of it in every way there is.
        let Some(transport) = self.transports.get_mut(index) else { return };
        transport.was_cut = true;
        transport.receive.stream(slot).into_iter().for_each(|stream| stream.incoming.on_cut());
    }

    /// Notes a packet for transport-wide feedback.
    fn note_arrival(&mut self, index: usize, number: Option<u16>, now: Instant) {
        let Some((transport, number)) = self.transports.get_mut(index).zip(number) else { return };
        transport.recorder.record(number, now);
        transport.recorder.due().into_iter().for_each(|at| self.schedule(index, at));
    }

    /// SSRC 0 carries probes of the sender's bandwidth: there is feedback for them, and nothing else.
    fn open_probe(&mut self, index: usize, header: &Header, packet: &mut [u8], datagram: &Datagram<'_>, now: Instant) {
        let Some(transport) = self.transports.get_mut(index) else { return };
        let Some(secure) = &transport.secure else { return };
        let fresh = Replay::default();
        let replay = transport.probe_replay.as_deref().unwrap_or(&fresh);
        let Some((number, len)) = open(&secure.opener, replay, header, packet, datagram.bytes) else {
            self.stats.drops.transport += 1;
            return;
        };
        transport.ice.heard(&datagram.path(), datagram.bytes.len(), now);
        transport.probe_replay.get_or_insert_default().accept(number);
        if !transport.packets.take(1, now) {
            self.stats.drops.over_rate += 1;
            return;
        }
        let bytes = packet.get(..len).unwrap_or_default();
        let number = extension::read(bytes, header, &transport.meanings).transport_cc;
        self.note_arrival(index, number, now);
    }

    /// Takes an SRTCP packet of a transport.
    pub(crate) fn handle_rtcp(&mut self, index: usize, datagram: &Datagram<'_>, now: Instant) {
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
    fn look_for_proof(&mut self, index: usize, packet: &[u8], datagram: &Datagram<'_>, now: Instant) {
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

/// A packet that is what it claims to be.
struct Opened<'a> {
    slot: usize,
    part: Part,
    number: u64,
    header: &'a Header,
    bytes: &'a [u8],
    /// Its length as it came.
    wire: usize,
}
