//! Mirrors: producers whose senders are on other threads, and what goes to the mirrors of those that are here.

use std::time::Instant;

use parlor_proto::ids::{ProducerId, RouterId};

use crate::packet::Packet;
use crate::pipe::{Item, MAX_PIPES, MirrorUpdate, Numbers, PipeBatch, StreamId, WantedKeyFrame};
use crate::plane::Sfu;
use crate::plane::forward::Forwarder;
use crate::producer::Producer;
use crate::producer::sender_clock::Reference;

impl Sfu {
    /// From now on, what arrives of a producer goes to the thread with this number as well.
    pub fn pipe(&mut self, router: RouterId, producer: ProducerId, thread: u16) {
        let Some(index) = self.producer_ids.get(&(router, producer)).copied() else { return };
        let Some(producer) = self.producers.get_mut(index).filter(|_| usize::from(thread) < MAX_PIPES) else { return };
        if producer.pipes.contains(&thread) {
            return;
        }
        producer.pipes.push(thread);
        let needed = usize::from(thread) + 1;
        if self.pipes.len() < needed {
            self.pipes.resize_with(needed, PipeBatch::default);
        }
        // The sender's next report may be seconds away; until then its sound and picture would not be together.
        let Some(batch) = self.pipes.get_mut(usize::from(thread)) else { return };
        for (layer, stream) in (0_u8..).zip(&producer.layers) {
            let of = StreamId { router, producer: producer.id, layer };
            batch.items.extend(stream.reference.map(|reference| (of, Item::Reference(reference))));
        }
    }

    /// What is to be handed to the thread with this number, if there is anything; `empty`, one that was handled, takes
    /// its place.
    pub fn take_piped(&mut self, thread: u16, mut empty: PipeBatch) -> Result<PipeBatch, PipeBatch> {
        match self.pipes.get_mut(usize::from(thread)).filter(|batch| !batch.is_empty()) {
            Some(batch) => {
                empty.clear();
                Ok(std::mem::replace(batch, empty))
            }
            None => Err(empty),
        }
    }

    /// The threads to which something is to be handed.
    pub fn piped(&self) -> impl Iterator<Item = u16> + '_ {
        (0_u16..).zip(&self.pipes).filter(|(_, batch)| !batch.is_empty()).map(|(thread, _)| thread)
    }

    /// Takes what another thread has for mirrors here.
    pub fn handle_piped(&mut self, batch: &PipeBatch, now: Instant) {
        let mut rest = batch.bytes.as_slice();
        for (StreamId { router, producer, layer }, item) in &batch.items {
            let mut take = |len: usize| {
                let (taken, left) = rest.split_at_checked(len).unwrap_or_default();
                rest = left;
                taken
            };
            let taken = match item {
                Item::Packet { descriptor, payload, .. } => (take(*descriptor), take(*payload)),
                _ => (&[][..], &[][..]),
            };
            let Some(index) = self.producer_ids.get(&(*router, *producer)).copied() else { continue };
            let (producers, mut forwarder) = self.forwarder(now);
            let Some(producer) = producers.get_mut(index) else { continue };
            match item {
                Item::Packet { packet, .. } => forwarder.forward_mirrored(producer, *layer, packet, taken),
                Item::Interrupted => forwarder.interrupt_layer(producer, *layer),
                Item::Replaced => forwarder.source_replaced(producer, *layer),
                Item::Reference(reference) => forwarder.set_reference(producer, *layer, *reference),
            }
        }
    }

    /// A key frame that receivers of a mirror need: to be told to the thread of its sender.
    pub fn poll_wanted(&mut self) -> Option<WantedKeyFrame> {
        self.wanted.pop_front()
    }

    /// A mirror on another thread needs a key frame.
    pub fn want_key_frame(&mut self, wanted: &WantedKeyFrame, now: Instant) {
        if let Some(index) = self.producer_ids.get(&(wanted.router, wanted.producer)).copied() {
            self.ask_for_key_frame(index, wanted.layer, now);
        }
    }
}

impl Forwarder<'_> {
    fn forward_mirrored(&mut self, producer: &mut Producer, layer: u8, numbers: &Numbers, (descriptor, payload): (&[u8], &[u8])) {
        if producer.transport.is_some() {
            return;
        }
        let Numbers { late, seq, timestamp, marker, payload_type, level, orientation } = *numbers;
        // One that was repaired came under another.
        let unpacked = producer.format.red == Some(payload_type);
        let packet = Packet {
            payload_type: if unpacked { payload_type } else { producer.format.payload_type },
            repaired: false,
            late,
            seq,
            timestamp,
            marker,
            level,
            orientation,
            descriptor: (!descriptor.is_empty()).then_some(descriptor),
            payload,
            wire: 0,
        };
        self.forward(producer, layer, &packet);
    }

    /// Passes something on to the mirrors of a producer. Most have none.
    pub(crate) fn tell_mirrors(&mut self, producer: &Producer, layer: u8, told: MirrorUpdate<'_>) {
        if producer.pipes.is_empty() {
            return;
        }
        let Some(router) = self.routers.get(producer.router) else { return };
        let stream = StreamId { router: router.id, producer: producer.id, layer };
        for thread in &producer.pipes {
            let Some(batch) = self.pipes.get_mut(usize::from(*thread)) else { continue };
            let item = match told {
                MirrorUpdate::Packet(packet) => {
                    if !batch.push_packet(stream, packet) {
                        self.stats.drops.pipe += 1;
                    }
                    continue;
                }
                MirrorUpdate::Interrupted => Item::Interrupted,
                MirrorUpdate::Replaced => Item::Replaced,
                MirrorUpdate::Reference(reference) => Item::Reference(reference),
            };
            batch.tell(stream, item);
        }
    }

    pub(crate) fn set_reference(&mut self, producer: &mut Producer, layer: u8, reference: Reference) {
        let Some(stream) = producer.layers.get_mut(usize::from(layer)) else { return };
        stream.reference = Some(reference);
        self.tell_mirrors(producer, layer, MirrorUpdate::Reference(reference));
    }
}
