//! One room on several threads: a packet crosses to another `Sfu` once, whatever the number of its receivers there.
//!
//! Producers stay where their senders are. Where somebody receives one from another thread, a mirror of it takes
//! its packets, opened, and forwards them as its own. What the mirror's receivers need goes the other way.

use std::time::Instant;

use parlor_proto::ids::{ProducerId, RouterId};

use crate::forward::{Forwarder, Packet};
use crate::outgoing::Reference;
use crate::producer::Producer;
use crate::sfu::Sfu;

/// Between two flushes, to one thread: some hundred key frames. What is beyond is dropped, and asked for again.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// What an emptied batch keeps of its memory: after a burst it gives the rest back.
const KEPT_BYTES: usize = 1 << 20;
/// Packets between two flushes, to one thread: ten times what one core forwards in the time a thread may be busy.
const MAX_PACKETS: usize = 32_768;
/// What is told besides packets must not be dropped: a mirror would go on with what is not there. It has room of its own.
const MAX_ITEMS: usize = 2 * MAX_PACKETS;
/// Threads a room can be spread over, and so pipes of one `Sfu`.
const MAX_PIPES: usize = 256;

/// A key frame that receivers of a mirror need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedKeyFrame {
    /// The number of the thread its sender is on.
    pub thread: u16,
    /// The router, which is on both.
    pub router: RouterId,
    /// What is mirrored.
    pub producer: ProducerId,
    /// Of which of its streams, from small to large.
    pub layer: u8,
}

/// What goes from one thread to another at once.
#[derive(Debug, Default)]
pub struct PipeBatch {
    bytes: Vec<u8>,
    items: Vec<(Stream, Item)>,
}

/// A stream of a producer, as it is called on every thread of its router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stream {
    pub(crate) router: RouterId,
    pub(crate) producer: ProducerId,
    pub(crate) layer: u8,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Packet {
        packet: Numbers,
        descriptor: usize,
        payload: usize,
    },
    /// Its consumers begin again with what comes next.
    Interrupted,
    /// Another encoder sends.
    Replaced,
    Reference(Reference),
}

impl Item {
    fn is_like(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Interrupted, Self::Interrupted) | (Self::Replaced, Self::Replaced) | (Self::Reference(_), Self::Reference(_))
        )
    }
}

#[derive(Clone, Copy, Debug)]
struct Numbers {
    late: bool,
    seq: u64,
    timestamp: u32,
    marker: bool,
    /// Sound may come with and without redundancy.
    payload_type: u8,
    level: Option<(i8, bool)>,
    orientation: Option<u8>,
}

impl PipeBatch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.items.clear();
    }

    pub(crate) fn interrupted(&mut self, stream: Stream) {
        self.items.push((stream, Item::Interrupted));
    }

    pub(crate) fn replaced(&mut self, stream: Stream) {
        self.items.push((stream, Item::Replaced));
    }

    /// What is said twice in a row is said once.
    fn tell(&mut self, stream: Stream, item: Item) {
        let room = self.items.len() < MAX_ITEMS;
        match self.items.last_mut().filter(|(of, last)| *of == stream && last.is_like(&item)) {
            Some((_, last)) => *last = item,
            None if room => self.items.push((stream, item)),
            None => {}
        }
    }

    pub(crate) fn push_packet(&mut self, stream: Stream, packet: &Packet<'_>) -> bool {
        let descriptor = packet.descriptor.unwrap_or_default();
        if self.items.len() >= MAX_PACKETS || self.bytes.len() + descriptor.len() + packet.payload.len() > MAX_BATCH_BYTES {
            return false;
        }
        self.bytes.extend_from_slice(descriptor);
        self.bytes.extend_from_slice(packet.payload);
        let Packet { late, seq, timestamp, marker, payload_type, level, orientation, .. } = *packet;
        let numbers = Numbers { late, seq, timestamp, marker, payload_type, level, orientation };
        let item = Item::Packet { packet: numbers, descriptor: descriptor.len(), payload: packet.payload.len() };
        self.items.push((stream, item));
        true
    }
}

/// Something for the mirrors of a producer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Told<'a> {
    Packet(&'a Packet<'a>),
    Interrupted,
    Replaced,
    Reference(Reference),
}

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
            let of = Stream { router, producer: producer.id, layer };
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
        for (Stream { router, producer, layer }, item) in &batch.items {
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
    pub(crate) fn tell_mirrors(&mut self, producer: &Producer, layer: u8, told: Told<'_>) {
        if producer.pipes.is_empty() {
            return;
        }
        let Some(router) = self.routers.get(producer.router) else { return };
        let stream = Stream { router: router.id, producer: producer.id, layer };
        for thread in &producer.pipes {
            let Some(batch) = self.pipes.get_mut(usize::from(*thread)) else { continue };
            let item = match told {
                Told::Packet(packet) => {
                    if !batch.push_packet(stream, packet) {
                        self.stats.drops.pipe += 1;
                    }
                    continue;
                }
                Told::Interrupted => Item::Interrupted,
                Told::Replaced => Item::Replaced,
                Told::Reference(reference) => Item::Reference(reference),
            };
            batch.tell(stream, item);
        }
    }

    pub(crate) fn set_reference(&mut self, producer: &mut Producer, layer: u8, reference: Reference) {
        let Some(stream) = producer.layers.get_mut(usize::from(layer)) else { return };
        stream.reference = Some(reference);
        self.tell_mirrors(producer, layer, Told::Reference(reference));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(payload: &[u8]) -> Packet<'_> {
        Packet {
            payload_type: 96,
            repaired: false,
            late: false,
            seq: 1,
            timestamp: 2,
            marker: false,
            level: None,
            orientation: None,
            descriptor: None,
            payload,
            wire: payload.len(),
        }
    }

    const STREAM: Stream = Stream { router: RouterId::from_random(1), producer: ProducerId::from_random(1), layer: 0 };

    #[test]
    fn what_is_told_again_in_a_row_is_told_once() {
        let [one, two] = [1, 2].map(|number| Stream { producer: ProducerId::from_random(number), ..STREAM });
        let mut batch = PipeBatch::default();
        (0..1_000).for_each(|_| batch.tell(one, Item::Interrupted));
        assert_eq!(batch.items.len(), 1);
        // Of another layer, another producer, and of another kind it is something else.
        batch.tell(Stream { layer: 1, ..one }, Item::Interrupted);
        batch.tell(two, Item::Interrupted);
        (0..1_000).for_each(|_| batch.tell(two, Item::Replaced));
        (0..1_000).for_each(|rtp| batch.tell(two, Item::Reference(Reference { wall: 1, rtp })));
        assert_eq!(batch.items.len(), 5);
        assert!(matches!(batch.items.last(), Some((_, Item::Reference(Reference { rtp: 999, .. })))), "the last one counts");
        // After a packet it is not the same any more.
        batch.tell(one, Item::Interrupted);
        assert!(batch.push_packet(one, &packet(&[1])));
        batch.tell(one, Item::Interrupted);
        assert_eq!(batch.items.len(), 8);
    }

    #[test]
    fn a_batch_nobody_takes_is_bounded_and_keeps_room_for_interruptions() {
        let streams = [1, 2].map(|number| Stream { producer: ProducerId::from_random(number), ..STREAM });
        let mut batch = PipeBatch::default();
        let taken = (0..2 * MAX_PACKETS).filter(|_| batch.push_packet(streams[0], &packet(&[]))).count();
        assert_eq!(taken, MAX_PACKETS, "also of packets with nothing in them");
        batch.tell(streams[0], Item::Interrupted);
        assert_eq!(batch.items.len(), MAX_PACKETS + 1, "that packets are missing can be told");
        for _ in 0..2 * MAX_ITEMS {
            streams.iter().for_each(|stream| batch.tell(*stream, Item::Interrupted));
        }
        assert_eq!(batch.items.len(), MAX_ITEMS);
    }
}
