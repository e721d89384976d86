//! H264 payloads (RFC 6184, packetization mode 1): parameter sets in a STAP-A, slices in FU-A fragments.

use super::{Payload, fill, marked};
use crate::marker::Marker;

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// Highest reference importance (`nal_ref_idc` 3).
const IMPORTANT: u8 = 0x60;

/// Constrained Baseline, level 3.1, 640x360.
const SPS: [u8; 10] = [0x67, 0x42, 0xe0, 0x1f, 0x8c, 0x8d, 0x40, 0x50, 0x17, 0xfc];
const PPS: [u8; 4] = [0x68, 0xce, 0x3c, 0x80];

/// The packets of one frame. A key frame has one more, for the parameter sets.
pub(super) fn pack(stamp: Marker, bytes: usize, fragments: usize) -> Vec<Payload> {
    let mut packets = Vec::new();
    // One fragment alone may not be both the first and the last of its unit.
    let fragments = fragments.max(2);
    let total = fragments + usize::from(stamp.key);
    if stamp.key {
        packets.push(Payload { bytes: parameter_sets(marked(stamp, 0, total)), last: false });
    }
    for fragment in 0..fragments {
        let kind = if stamp.key { IDR } else { SLICE };
        let start = if fragment == 0 { 0x80 } else { 0 };
        let end = if fragment + 1 == fragments { 0x40 } else { 0 };
        let mut payload = vec![IMPORTANT | FU_A, start | end | kind];
        fill(&mut payload, marked(stamp, packets.len(), total), bytes, fragments);
        packets.push(Payload { bytes: payload, last: end != 0 });
    }
    packets
}

/// SPS and PPS, and the marker in an SEI unit behind them.
fn parameter_sets(marker: Marker) -> Vec<u8> {
    let mut sei = vec![SEI];
    marker.write(&mut sei);
    let mut payload = vec![IMPORTANT | STAP_A];
    for unit in [SPS.as_slice(), &PPS, &sei] {
        payload.extend_from_slice(&u16::try_from(unit.len()).unwrap_or(u16::MAX).to_be_bytes());
        payload.extend_from_slice(unit);
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_frame_begins_with_its_parameter_sets() {
        let packets = pack(Marker { key: true, ..Marker::default() }, 3_000, 3);
        assert_eq!(packets.len(), 4);
        assert_eq!(packets[0].bytes[0] & 0x1f, STAP_A);
        assert_eq!(packets[0].bytes[3] & 0x1f, 7, "the SPS comes first");
        assert_eq!(packets[1].bytes[1], 0x80 | IDR, "start of an IDR slice");
        assert_eq!(packets[3].bytes[1], 0x40 | IDR, "end of it");
        assert!(packets.iter().all(|p| Marker::read(&p.bytes).is_some_and(|m| m.total == 4)));
        assert_eq!(packets.iter().filter(|p| p.last).count(), 1);
    }
}
