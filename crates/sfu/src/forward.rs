//! The way of a packet from its producer to its consumers.

use std::time::Instant;

use parlor_proto::media::MediaKind;

use crate::consumer::Start;
use crate::ortc::Codec;
use crate::payload::{Vp8Descriptor, begins_key_frame};
use crate::rewrite::Incoming;
use crate::sfu::Sfu;
use crate::transport::{LayerOf, MediaPacket, Section, Write};

/// One packet on its way, with what all consumers need to know about it.
struct Passing<'a> {
    packet: &'a MediaPacket,
    layer: u8,
    kind: MediaKind,
    start: Start,
    vp8: Option<Vp8Descriptor>,
    now: Instant,
}

impl Sfu {
    /// Takes a decrypted packet that arrived on a transport.
    pub(crate) fn handle_packet(&mut self, transport: usize, packet: &MediaPacket, now: Instant) {
        let Some(arrived_on) = self.transports.get_mut(transport) else { return };
        arrived_on.ice.heard(now);
        let Some((LayerOf { producer: index, layer }, replaced)) = arrived_on.receive.proven(packet.ssrc) else {
            self.stats.drops.unknown_stream += 1;
            return;
        };
        if !replaced.is_empty() {
            if let Some(peer) = arrived_on.peer() {
                replaced.into_iter().for_each(|ssrc| peer.forget_stream(ssrc));
            }
            self.source_replaced(index, layer);
        }
        let Some(producer) = self.producers.get_mut(index).filter(|producer| producer.carries(packet.payload_type)) else {
            self.stats.drops.unknown_stream += 1;
            return;
        };
        self.stats.rtp_in += 1;
        let Some(stream) = producer.layers.get_mut(usize::from(layer)) else { return };
        let late = stream.arrived(packet.seq, now);
        if !producer.limit.admit(packet.payload.len(), now) {
            self.stats.drops.over_bitrate += 1;
            return;
        }
        // What is not passed on takes no room at any receiver.
        stream.meter.add(packet.payload.len(), now);
        if producer.paused {
            return;
        }
        let codec = producer.format.codec;
        let start = match (begins_key_frame(codec, &packet.payload), late) {
            (false, _) => Start::None,
            (true, false) => Start::KeyFrame,
            (true, true) => Start::LateKeyFrame,
        };
        if start == Start::KeyFrame {
            stream.requests.satisfied();
        }
        if let Some((level, _)) = packet.extensions.audio_level {
            producer.level.add(level);
        }
        let rewrites_vp8 = codec == Codec::Vp8 && producer.is_simulcast();
        let vp8 = rewrites_vp8.then(|| Vp8Descriptor::parse(&packet.payload)).flatten();
        self.fan_out(index, &Passing { packet, layer, kind: codec.kind(), start, vp8, now });
    }

    fn fan_out(&mut self, producer: usize, passing: &Passing<'_>) {
        let mut position = 0;
        // By position, because sending needs all of `self`; nothing in the loop adds or removes consumers.
        while let Some(consumer) = self.producers.get(producer).and_then(|producer| producer.consumers.get(position)) {
            self.send(*consumer, passing);
            position += 1;
        }
    }

    fn send(&mut self, index: usize, passing: &Passing<'_>) {
        let Some(consumer) = self.consumers.get_mut(index) else { return };
        let Some(transport) = self.transports.get_mut(consumer.transport) else { return };
        if consumer.paused || !transport.is_connected() || !consumer.takes(passing.layer, passing.start) {
            return;
        }
        let packet = passing.packet;
        // A decoder that is not shown the hole would go on from pictures it never got.
        if passing.kind == MediaKind::Video && passing.start != Start::KeyFrame && consumer.rewriter.jumps(packet.seq) {
            consumer.interrupt();
            return;
        }
        let incoming = Incoming { seq: packet.seq, timestamp: packet.timestamp, arrival: passing.now };
        let Some(numbers) = consumer.rewriter.rewrite(incoming, passing.vp8) else { return };
        let write = Write {
            ssrc: consumer.ssrc,
            payload_type: consumer.payload_type,
            seq: numbers.seq,
            timestamp: numbers.timestamp,
            vp8: numbers.vp8,
            repairable: passing.kind == MediaKind::Video && consumer.rtx.is_some(),
            packet,
        };
        if transport.peer().is_some_and(|peer| peer.write(&write, passing.now)) {
            self.stats.rtp_forwarded += 1;
            let transport = consumer.transport;
            self.mark_dirty(transport);
        } else {
            self.stats.drops.send += 1;
        }
    }

    /// A receiver asks for a key frame by RTCP.
    pub(crate) fn handle_key_frame_wanted(&mut self, transport: usize, section: Section, now: Instant) {
        let Some(transport) = self.transports.get(transport) else { return };
        let of_section = |index: &&usize| self.consumers.get(**index).is_some_and(|consumer| consumer.section == section);
        if let Some(consumer) = transport.consumers.iter().find(of_section).copied() {
            self.ask_for_consumer(consumer, now);
        }
    }

    /// Asks for a key frame of what a consumer is sent, or waits for.
    pub(crate) fn ask_for_consumer(&mut self, consumer: usize, now: Instant) {
        let Some(consumer) = self.consumers.get(consumer).filter(|consumer| !consumer.paused) else { return };
        let layer = consumer.current().unwrap_or(consumer.target);
        self.ask_for_key_frame(consumer.producer, layer, now);
    }

    /// Asks a producer's sender for a key frame, throttled.
    pub(crate) fn ask_for_key_frame(&mut self, index: usize, layer: u8, now: Instant) {
        let Some(producer) = self.producers.get_mut(index).filter(|p| p.kind() == MediaKind::Video && !p.paused) else { return };
        let transport = producer.transport;
        if producer.layers.get_mut(usize::from(layer)).is_some_and(|stream| stream.requests.ask(now)) {
            self.send_key_frame_request(transport, LayerOf { producer: index, layer });
        }
    }

    pub(crate) fn send_key_frame_request(&mut self, transport: usize, of: LayerOf) {
        let Some(sender) = self.transports.get_mut(transport) else { return };
        let Some(ssrc) = sender.receive.ssrc(of) else { return };
        if let Some(peer) = sender.peer() {
            peer.request_key_frame(ssrc);
            self.stats.key_frame_requests += 1;
            self.mark_dirty(transport);
        }
    }

    /// The consumers of a layer whose encoder was replaced begin again with a key frame.
    fn source_replaced(&mut self, producer: usize, layer: u8) {
        let Some(producer) = self.producers.get_mut(producer) else { return };
        if let Some(stream) = producer.layers.get_mut(usize::from(layer)) {
            stream.source_replaced();
        }
        for index in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*index) {
                consumer.source_replaced(layer);
            }
        }
    }

    /// Media can flow on a transport: whoever waits on it needs a key frame.
    pub(crate) fn wake_consumers(&mut self, transport: usize, now: Instant) {
        let Some(consumers) = self.transports.get(transport).map(|transport| transport.consumers.clone()) else { return };
        consumers.into_iter().for_each(|consumer| self.ask_for_consumer(consumer, now));
    }
}
