//! The way of a packet from its producer to its consumers.

use std::time::Instant;

use parlor_proto::media::MediaKind;

use crate::audio::red_pack::MAX_REPEATS;
use crate::audio::red_unpack::AudioForms;
use crate::consumer::egress::{Egress, EgressPacket};
use crate::consumer::rewrite::Original;
use crate::consumer::select::{self, Decision};
use crate::consumer::send_stream::Sent;
use crate::consumer::{Consumer, Start};
use crate::packet::Packet;
use crate::payload::av1::Structure;
use crate::payload::{self, Unit};
use crate::pipe::{MirrorUpdate, PipeBatch};
use crate::plane::stats::SfuStats;
use crate::plane::{Router, Sfu};
use crate::producer::rtx_buffer::Stored;
use crate::producer::{Admission, Producer};
use crate::table::{ConsumerIndex, ProducerIndex, RouterIndex, Table, TransportIndex};
use crate::transport::{LayerOf, Transport};

/// A packet with what all its consumers need to know about it.
pub(crate) struct DescribedPacket<'a> {
    pub(crate) packet: &'a Packet<'a>,
    pub(crate) layer: u8,
    pub(crate) start: Start,
    /// What it is among the frames of its stream; sound has none.
    pub(crate) unit: Option<Unit>,
    /// How the frames of its stream hang together, where that is told once for many packets (AV1).
    pub(crate) structure: Option<&'a Structure>,
    /// Sound that came with redundancy, or is packed with it for somebody.
    pub(crate) packed: Option<AudioForms<'a>>,
}

/// All that a packet of a producer needs beside the producer, borrowed once for a packet.
pub(crate) struct Forwarder<'a> {
    pub(crate) routers: &'a mut Table<RouterIndex, Router>,
    pub(crate) transports: &'a mut Table<TransportIndex, Transport>,
    pub(crate) consumers: &'a mut Table<ConsumerIndex, Consumer>,
    pub(crate) pipes: &'a mut [PipeBatch],
    pub(crate) stats: &'a mut SfuStats,
    pub(crate) egress: Egress<'a>,
}

impl Forwarder<'_> {
    /// Takes an opened packet of a layer, and sends it to whom it is for. False if it was more than its sender may send.
    pub(crate) fn forward(&mut self, producer: &mut Producer, layer: u8, packet: &Packet<'_>) -> bool {
        if !producer.carries(packet) {
            self.stats.drops.unknown_stream += 1;
            return true;
        }
        match producer.transport {
            Some(_) => self.stats.rtp_in += 1,
            None => self.stats.rtp_piped += 1,
        }
        let admission = producer.admit(layer, packet, self.egress.now);
        match (admission, producer.kind()) {
            (Admission::Refused, _) => {}
            (Admission::FrameRefused, _) => self.interrupt_layer(producer, layer),
            _ if producer.paused => {}
            (Admission::PassedBare, _) => self.forward_without_redundancy(producer, packet),
            (Admission::Passed, MediaKind::Audio) => self.forward_audio(producer, packet),
            (Admission::Passed, MediaKind::Video) => self.forward_video(producer, layer, packet),
        }
        let passed = matches!(admission, Admission::Passed | Admission::PassedBare);
        self.stats.drops.over_bitrate += u64::from(!passed);
        passed
    }

    fn forward_video(&mut self, producer: &mut Producer, number: u8, packet: &Packet<'_>) {
        let (codec, now) = (producer.format.codec, self.egress.now);
        let Some(layer) = producer.layers.get_mut(usize::from(number)) else { return };
        let unit = payload::describe(codec, packet.payload, packet.marker, packet.descriptor, &mut layer.frames);
        let start = match (unit.begins_key_frame, packet.late) {
            (false, _) => Start::None,
            (true, false) => Start::KeyFrame,
            (true, true) => Start::LateKeyFrame,
        };
        if start == Start::KeyFrame {
            layer.requests.satisfied();
        }
        // The descriptor goes to receivers as well.
        layer.meter.add(packet.payload.len() + packet.descriptor.map_or(0, <[u8]>::len), unit.spatial, unit.temporal, now);
        let Packet { timestamp, marker, orientation, descriptor, payload, .. } = *packet;
        layer.store.put(packet.seq, now, &Stored { timestamp, marker, orientation, descriptor, payload });
        self.tell_mirrors(producer, number, MirrorUpdate::Packet(packet));
        let structure = producer.layers.get(usize::from(number)).and_then(|layer| layer.frames.structure());
        self.fan_out(&producer.consumers, &DescribedPacket { packet, layer: number, start, unit: Some(unit), structure, packed: None });
    }

    /// Sends a packet to the consumers on this thread.
    pub(crate) fn fan_out(&mut self, consumers: &[ConsumerIndex], passing: &DescribedPacket<'_>) {
        for consumer in consumers {
            self.send(*consumer, passing);
        }
    }

    /// The consumers of a layer go on with its next key frame.
    pub(crate) fn interrupt_layer(&mut self, producer: &mut Producer, layer: u8) {
        self.tell_mirrors(producer, layer, MirrorUpdate::Interrupted);
        producer.interrupt_audio();
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer).filter(|consumer| consumer.current() == Some(layer)) {
                consumer.interrupt();
            }
        }
    }

    /// The consumers of a layer whose encoder was replaced begin again with a key frame.
    pub(crate) fn source_replaced(&mut self, producer: &mut Producer, layer: u8) {
        self.tell_mirrors(producer, layer, MirrorUpdate::Replaced);
        producer.interrupt_audio();
        if let Some(stream) = producer.layers.get_mut(usize::from(layer)) {
            stream.source_replaced();
        }
        for index in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*index) {
                consumer.source_replaced(layer);
            }
        }
    }

    fn send(&mut self, index: ConsumerIndex, passing: &DescribedPacket<'_>) {
        let Some(consumer) = self.consumers.get_mut(index) else { return };
        let Some(transport) = self.transports.get_mut(consumer.transport) else { return };
        if consumer.paused || !transport.is_connected() || !consumer.takes(passing.layer, passing.start) {
            return;
        }
        let packet = passing.packet;
        let mut marker = packet.marker;
        if let Some((unit, selection)) = passing.unit.as_ref().zip(consumer.selection.as_mut()) {
            // A decoder that is not shown the hole would go on from pictures it never got.
            if passing.start != Start::KeyFrame && consumer.rewriter.jumps(packet.seq) {
                return consumer.interrupt();
            }
            let header = select::PacketHeader { seq: packet.seq, timestamp: packet.timestamp, marker };
            match selection.decide(header, unit, passing.structure) {
                Decision::Send { marker: last } => marker = last,
                // Nothing: it is from before the key frame that sending began with.
                Decision::LeaveOut | Decision::Nothing => return self.leave_out(index, passing),
            }
        }
        let Some((payload_type, payload)) = passing.form(consumer) else { return };
        if payload.is_empty() {
            return self.leave_out(index, passing);
        }
        let counters = passing.unit.map(|unit| unit.counters).unwrap_or_default();
        let incoming = Original { seq: packet.seq, timestamp: packet.timestamp, arrival: self.egress.now };
        let Some(numbers) = consumer.rewriter.rewrite(incoming, &counters) else { return };
        let packet_out = EgressPacket {
            marker,
            level: packet.level,
            orientation: packet.orientation,
            descriptor: packet.descriptor,
            counters: numbers.counters.map(|new| (counters, new)),
            ..EgressPacket::new(consumer.ssrc, payload_type, numbers.seq, numbers.timestamp, payload)
        };
        if self.egress.send(transport, &consumer.extensions, &packet_out).is_none() {
            self.stats.drops.send += 1;
            return;
        }
        self.stats.rtp_forwarded += 1;
        consumer.stream.sent(numbers.timestamp, payload.len(), self.egress.now);
        if passing.unit.is_some() && consumer.rtx.is_some() {
            let sent = Sent {
                out_seq: numbers.seq,
                in_seq: packet.seq,
                timestamp: numbers.timestamp,
                layer: passing.layer,
                marker,
                counters: numbers.counters,
                len: u16::try_from(packet.payload.len()).unwrap_or(u16::MAX),
            };
            consumer.stream.remember(sent, self.egress.now);
        }
    }

    /// What is left out on purpose leaves no gap; where one is there already, it is filled with nothing.
    fn leave_out(&mut self, index: ConsumerIndex, passing: &DescribedPacket<'_>) {
        let Some(consumer) = self.consumers.get_mut(index) else { return };
        let counters = passing.unit.map(|unit| unit.counters).unwrap_or_default();
        let Some(fill) = consumer.rewriter.leave_out(passing.packet.seq, &counters) else { return };
        let Some(transport) = self.transports.get_mut(consumer.transport) else { return };
        let packet_out =
            EgressPacket { padding: 1, ..EgressPacket::new(consumer.ssrc, consumer.payload_type, fill.seq, fill.timestamp, &[]) };
        self.egress.send(transport, &consumer.extensions, &packet_out);
    }
}

impl Sfu {
    /// A receiver asks for a key frame by RTCP.
    pub(crate) fn handle_key_frame_wanted(&mut self, transport: TransportIndex, ssrc: u32, now: Instant) {
        let consumer = self.transports.get(transport).and_then(|transport| transport.sent.get(ssrc));
        if let Some(consumer) = consumer {
            self.ask_for_consumer(consumer, now);
        }
    }

    /// Asks for a key frame of what a consumer is sent, or waits for.
    pub(crate) fn ask_for_consumer(&mut self, consumer: ConsumerIndex, now: Instant) {
        let Some(consumer) = self.consumers.get(consumer).filter(|consumer| !consumer.paused) else { return };
        let layer = consumer.current().unwrap_or(consumer.target);
        self.ask_for_key_frame(consumer.producer, layer, now);
    }

    /// Asks a producer's sender for a key frame, throttled.
    pub(crate) fn ask_for_key_frame(&mut self, index: ProducerIndex, layer: u8, now: Instant) {
        // A stream of which nothing has come begins with a key frame; a request would be spent on nobody.
        if !self.hears_requests(LayerOf { producer: index, layer }) {
            return;
        }
        let Some(producer) = self.producers.get_mut(index).filter(|p| p.kind() == MediaKind::Video && !p.paused) else { return };
        let Producer { layers, key_frames, .. } = producer;
        // Who waits longer comes first: a receiver who asks without end for one layer must not keep the others from theirs.
        if layers.iter().enumerate().any(|(other, stream)| other != usize::from(layer) && stream.requests.waiting().is_some()) {
            return layers.iter_mut().skip(usize::from(layer)).take(1).for_each(|stream| stream.requests.wait(now));
        }
        if layers.get_mut(usize::from(layer)).is_some_and(|stream| stream.requests.ask(now, key_frames)) {
            self.send_key_frame_request(LayerOf { producer: index, layer });
        }
    }

    fn hears_requests(&self, of: LayerOf) -> bool {
        let Some(producer) = self.producers.get(of.producer) else { return false };
        let sender = producer.transport.map(|transport| self.transports.get(transport));
        sender.is_none_or(|sender| sender.is_some_and(|sender| sender.is_connected() && sender.receive.ssrc(of).is_some()))
    }

    /// Media can flow on a transport: whoever waits on it needs a key frame.
    pub(crate) fn wake_consumers(&mut self, transport: TransportIndex, now: Instant) {
        let Some(consumers) = self.transports.get(transport).map(|transport| transport.consumers.clone()) else { return };
        consumers.into_iter().for_each(|consumer| self.ask_for_consumer(consumer, now));
    }
}

impl<'a> DescribedPacket<'a> {
    /// Whether a consumer, if the redundancy is ours, may be sent all that the packet can repeat. What was said while its receiver
    /// had paused it is not for it; what comes with redundancy is as it is.
    fn may_repeat(&self, consumer: &Consumer) -> bool {
        !consumer.takes_red || consumer.rewriter.is_in_run(self.packet.seq.saturating_sub(MAX_REPEATS as u64))
    }

    /// The payload type and payload for a consumer; `None` if this is not for it.
    fn form(&self, consumer: &Consumer) -> Option<(u8, &'a [u8])> {
        match &self.packed {
            None => Some((consumer.payload_type, self.packet.payload)),
            Some(packed) => packed.form(consumer.with_red && self.may_repeat(consumer)),
        }
    }
}
