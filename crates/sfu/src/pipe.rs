//! One room on several threads: a packet crosses to another `Sfu` once, whatever the number of its receivers there.
//!
//! Producers stay where their senders are. Where somebody receives one from another thread, a mirror of it takes
//! its packets, opened, and forwards them as its own. What the mirror's receivers need goes the other way.

use parlor_proto::ids::{ProducerId, RouterId};

use crate::packet::Packet;
use crate::producer::sender_clock::Reference;

/// Between two flushes, to one thread: some hundred key frames. What is beyond is dropped, and asked for again.
const MAX_BATCH_BYTES: usize = 8 << 20;
/// What an emptied batch keeps of its memory: after a burst it gives the rest back.
const KEPT_BYTES: usize = 1 << 20;
/// Packets between two flushes, to one thread: ten times what one core forwards in the time a thread may be busy.
const MAX_PACKETS: usize = 32_768;
/// What is told besides packets must not be dropped: a mirror would go on with what is not there. It has room of its own.
const MAX_ITEMS: usize = 2 * MAX_PACKETS;
/// Threads a room can be spread over, and so pipes of one `Sfu`.
pub(crate) const MAX_PIPES: usize = 256;

/// A key frame that receivers of a mirror need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WantedKeyFrame {
    /// The number of the thread its sender is on.
    pub thread: u16,
    /// The router, which is on both.
    pub router: RouterId,
    /// The producer that is mirrored.
    pub producer: ProducerId,
    /// The stream of the producer that the key frame is needed of, counted from the smallest.
    pub layer: u8,
}

/// What goes from one thread to another at once.
#[derive(Debug, Default)]
pub struct PipeBatch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) items: Vec<(StreamId, Item)>,
}

/// A stream of a producer, as it is called on every thread of its router.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamId {
    pub(crate) router: RouterId,
    pub(crate) producer: ProducerId,
    pub(crate) layer: u8,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Item {
    Packet {
        packet: Numbers,
        descriptor: usize,
        payload: usize,
    },
    /// The consumers of the stream begin again with what comes next.
    Interrupted,
    /// Another encoder sends the stream from now on.
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
pub(crate) struct Numbers {
    pub(crate) late: bool,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    /// Sound may come with and without redundancy.
    pub(crate) payload_type: u8,
    pub(crate) level: Option<(i8, bool)>,
    pub(crate) orientation: Option<u8>,
}

impl PipeBatch {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.items.clear();
    }

    pub(crate) fn interrupted(&mut self, stream: StreamId) {
        self.items.push((stream, Item::Interrupted));
    }

    pub(crate) fn replaced(&mut self, stream: StreamId) {
        self.items.push((stream, Item::Replaced));
    }

    /// What is said twice in a row is said once.
    pub(crate) fn tell(&mut self, stream: StreamId, item: Item) {
        let room = self.items.len() < MAX_ITEMS;
        match self.items.last_mut().filter(|(of, last)| *of == stream && last.is_like(&item)) {
            Some((_, last)) => *last = item,
            None if room => self.items.push((stream, item)),
            None => {}
        }
    }

    pub(crate) fn push_packet(&mut self, stream: StreamId, packet: &Packet<'_>) -> bool {
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
pub(crate) enum MirrorUpdate<'a> {
    Packet(&'a Packet<'a>),
    Interrupted,
    Replaced,
    Reference(Reference),
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

    const STREAM: StreamId = StreamId { router: RouterId::from_random(1), producer: ProducerId::from_random(1), layer: 0 };

    #[test]
    fn what_is_told_again_in_a_row_is_told_once() {
        let [one, two] = [1, 2].map(|number| StreamId { producer: ProducerId::from_random(number), ..STREAM });
        let mut batch = PipeBatch::default();
        (0..1_000).for_each(|_| batch.tell(one, Item::Interrupted));
        assert_eq!(batch.items.len(), 1);
        // Of another layer, another producer, and of another kind it is something else.
        batch.tell(StreamId { layer: 1, ..one }, Item::Interrupted);
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
        let streams = [1, 2].map(|number| StreamId { producer: ProducerId::from_random(number), ..STREAM });
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
