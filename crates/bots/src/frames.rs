//! A model of a video decoder: which frames could have been shown, given the packets that arrived.
//!
//! The payloads of bots are not pictures, but their markers say what each frame needs. A frame can be
//! decoded when all its packets arrived and it is a key frame or the frame it refers to was decoded.

use std::collections::{BTreeMap, VecDeque};

use crate::marker::Marker;

/// Frames waited for at once; the oldest is given up beyond that. Two seconds at 30 frames/s.
const MAX_PENDING: usize = 64;
/// How many decoded frames can be referred to. A reference is at most four frames back.
const MAX_REFERENCES: usize = 64;

#[derive(Clone, Copy, Debug)]
struct Assembly {
    arrived: u16,
    total: u16,
    key: bool,
    reference: u32,
}

/// Follows one consumer's stream over layer switches.
#[derive(Clone, Debug, Default)]
pub struct FrameModel {
    pending: BTreeMap<(u8, u32), Assembly>,
    decoded: VecDeque<(u8, u32)>,
    counts: FrameCounts,
}

/// What became of the frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FrameCounts {
    /// Frames that could be shown.
    pub decoded: u64,
    /// Key frames among them.
    pub keys: u64,
    /// How many frames were given up.
    pub dropped: u64,
    /// The layer of the last frame that could be shown.
    pub layer: Option<u8>,
}

impl FrameModel {
    /// Takes one packet (not a duplicate). True if a frame became decodable by it.
    pub fn insert(&mut self, marker: &Marker) -> bool {
        let entry = self.pending.entry((marker.layer, marker.frame)).or_insert(Assembly {
            arrived: 0,
            total: marker.total,
            key: marker.key,
            reference: marker.reference,
        });
        entry.arrived = entry.arrived.saturating_add(1);
        let before = self.counts.decoded;
        if entry.arrived >= entry.total {
            self.decode_what_can_be();
        }
        while self.pending.len() > MAX_PENDING {
            self.pending.pop_first();
            self.counts.dropped += 1;
        }
        self.counts.decoded > before
    }

    /// The counters of frames.
    #[must_use]
    pub const fn counts(&self) -> FrameCounts {
        self.counts
    }

    fn decode_what_can_be(&mut self) {
        while let Some((id, key)) = self.next_decodable() {
            self.pending.remove(&id);
            self.decoded.push_back(id);
            if self.decoded.len() > MAX_REFERENCES {
                self.decoded.pop_front();
            }
            if key {
                // Nothing before a key frame is shown any more.
                let stale = self.pending.len();
                self.pending.retain(|(layer, frame), _| *layer == id.0 && *frame > id.1);
                self.counts.dropped += (stale - self.pending.len()) as u64;
            }
            self.counts.decoded += 1;
            self.counts.keys += u64::from(key);
            self.counts.layer = Some(id.0);
        }
    }

    fn next_decodable(&self) -> Option<((u8, u32), bool)> {
        self.pending
            .iter()
            .find(|((layer, _), frame)| frame.arrived >= frame.total && (frame.key || self.decoded.contains(&(*layer, frame.reference))))
            .map(|(id, frame)| (*id, frame.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(layer: u8, frame: u32, reference: u32, index: u16, total: u16) -> Marker {
        Marker { layer, key: frame == reference, index, total, frame, reference, sent_ns: 0 }
    }

    #[test]
    fn nothing_is_decoded_before_a_whole_key_frame() {
        let mut model = FrameModel::default();
        assert!(!model.insert(&packet(0, 1, 0, 0, 1)), "a delta frame alone");
        assert!(!model.insert(&packet(0, 5, 5, 0, 2)), "half a key frame");
        assert!(model.insert(&packet(0, 5, 5, 1, 2)));
        assert!(model.insert(&packet(0, 6, 5, 0, 1)));
        assert_eq!(model.counts(), FrameCounts { decoded: 2, keys: 1, dropped: 1, layer: Some(0) });
    }

    #[test]
    fn a_lost_packet_stops_the_picture_until_it_is_repaired() {
        let mut model = FrameModel::default();
        model.insert(&packet(0, 0, 0, 0, 1));
        model.insert(&packet(0, 1, 0, 0, 2));
        assert!(!model.insert(&packet(0, 2, 1, 0, 1)), "its reference is incomplete");
        assert!(model.insert(&packet(0, 1, 0, 1, 2)));
        assert_eq!(model.counts().decoded, 3);
    }

    #[test]
    fn another_layer_needs_its_own_key_frame() {
        let mut model = FrameModel::default();
        model.insert(&packet(0, 0, 0, 0, 1));
        assert!(!model.insert(&packet(1, 1, 0, 0, 1)));
        assert!(model.insert(&packet(1, 2, 2, 0, 1)));
        assert_eq!(model.counts().layer, Some(1));
    }
}
