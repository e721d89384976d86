//! What a bot writes at the end of every payload, so that the receiving bot can measure and check.
//!
//! It sits at the end because the beginning belongs to the codec's payload header, which the SFU reads and
//! may rewrite.

/// Begins every marker: tells our payloads from anybody else's.
const MAGIC: u32 = 0x5041_524c;

/// What is known of a packet where it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Marker {
    /// Simulcast layer, 0 for the smallest or only one.
    pub layer: u8,
    /// Part of a frame that needs no other.
    pub key: bool,
    /// The number of the packet in its frame, from 0.
    pub index: u16,
    /// The number of packets its frame has.
    pub total: u16,
    /// Number of the frame, counted by layer.
    pub frame: u32,
    /// The frame this one needs; itself if it is a key frame.
    pub reference: u32,
    /// When it was sent, by [`crate::clock::now_ns`].
    pub sent_ns: u64,
}

impl Marker {
    /// Length on the wire.
    pub const LEN: usize = 26;

    /// Appends the marker to a payload.
    pub fn write(&self, payload: &mut Vec<u8>) {
        payload.extend_from_slice(&MAGIC.to_be_bytes());
        payload.push(self.layer);
        payload.push(u8::from(self.key));
        payload.extend_from_slice(&self.index.to_be_bytes());
        payload.extend_from_slice(&self.total.to_be_bytes());
        payload.extend_from_slice(&self.frame.to_be_bytes());
        payload.extend_from_slice(&self.reference.to_be_bytes());
        payload.extend_from_slice(&self.sent_ns.to_be_bytes());
    }

    /// Reads the marker off the end of a payload; `None` if a bot did not make it.
    #[must_use]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let bytes = payload.get(payload.len().checked_sub(Self::LEN)?..)?;
        let (magic, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*magic) != MAGIC {
            return None;
        }
        let (&[layer, key], rest) = rest.split_first_chunk::<2>()?;
        let (index, rest) = rest.split_first_chunk::<2>()?;
        let (total, rest) = rest.split_first_chunk::<2>()?;
        let (frame, rest) = rest.split_first_chunk::<4>()?;
        let (reference, rest) = rest.split_first_chunk::<4>()?;
        let (sent, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            layer,
            key: key != 0,
            index: u16::from_be_bytes(*index),
            total: u16::from_be_bytes(*total),
            frame: u32::from_be_bytes(*frame),
            reference: u32::from_be_bytes(*reference),
            sent_ns: u64::from_be_bytes(*sent),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_back_from_the_end_of_a_payload() {
        let marker = Marker { layer: 2, key: true, index: 3, total: 9, frame: 70_000, reference: 70_000, sent_ns: 1 << 60 };
        let mut payload = vec![0x90, 0x80, 1, 2, 3];
        marker.write(&mut payload);
        assert_eq!(payload.len(), 5 + Marker::LEN);
        assert_eq!(Marker::read(&payload), Some(marker));
    }

    #[test]
    fn a_foreign_payload_has_no_marker() {
        assert_eq!(Marker::read(&[0; 100]), None);
        assert_eq!(Marker::read(&[1, 2, 3]), None);
    }
}
