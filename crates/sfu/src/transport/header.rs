//! The few fields of an RTP header that are needed before a packet can be decrypted.
//!
//! Nothing here is authenticated; it only decides which key a packet is tried with.

use super::extension::{Meaning, Meanings};

/// How a packet says which stream it belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct StreamNames<'a> {
    pub(crate) mid: Option<&'a str>,
    pub(crate) rid: Option<&'a str>,
    pub(crate) repaired_rid: Option<&'a str>,
}

/// The SSRC of an RTP packet.
pub(crate) fn ssrc(packet: &[u8]) -> Option<u32> {
    packet.get(8..12)?.try_into().ok().map(u32::from_be_bytes)
}

/// Whether bytes look like RTP or RTCP by their first byte (RFC 7983).
pub(crate) fn is_rtp_or_rtcp(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (128..192).contains(first)) && bytes.len() >= 8
}

/// Whether it is RTCP rather than RTP (RFC 5761, section 4).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|second| (192..=223).contains(second))
}

/// Whether bytes look like DTLS by their first byte (RFC 7983).
pub(crate) fn is_dtls(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (20..64).contains(first))
}

/// Reads mid and rid out of the header extensions (RFC 8285).
pub(crate) fn stream_names<'a>(packet: &'a [u8], meanings: &Meanings) -> StreamNames<'a> {
    let mut names = StreamNames::default();
    let Some((elements, two_bytes)) = extension_block(packet) else { return names };
    let mut rest = elements;
    while let [head, tail @ ..] = rest {
        if *head == 0 {
            rest = tail;
            continue;
        }
        let (id, len, body) = match (two_bytes, tail) {
            (false, _) => (head >> 4, usize::from(head & 0x0f) + 1, tail),
            (true, [len, body @ ..]) => (*head, usize::from(*len), body),
            (true, []) => break,
        };
        let (Some(value), Some(next)) = (body.get(..len), body.get(len..)) else { break };
        if !two_bytes && id == 15 {
            break;
        }
        let text = std::str::from_utf8(value).ok();
        match meanings.get(id) {
            Some(Meaning::Mid) => names.mid = text,
            Some(Meaning::Rid) => names.rid = text,
            Some(Meaning::RepairedRid) => names.repaired_rid = text,
            _ => {}
        }
        rest = next;
    }
    names
}

/// The extension elements, and whether they have the two-byte form.
fn extension_block(packet: &[u8]) -> Option<(&[u8], bool)> {
    let first = packet.first()?;
    if first & 0x10 == 0 {
        return None;
    }
    let start = 12 + 4 * usize::from(first & 0x0f);
    let head: [u8; 4] = packet.get(start..start + 4)?.try_into().ok()?;
    let profile = u16::from_be_bytes([head[0], head[1]]);
    let len = 4 * usize::from(u16::from_be_bytes([head[2], head[3]]));
    let elements = packet.get(start + 4..start + 4 + len)?;
    match profile {
        0xbede => Some((elements, false)),
        profile if profile & 0xfff0 == 0x1000 => Some((elements, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings() -> Meanings {
        let meanings = Meanings::default();
        meanings.set(4, Some(Meaning::Mid));
        meanings.set(10, Some(Meaning::Rid));
        meanings.set(11, Some(Meaning::RepairedRid));
        meanings
    }

    fn packet(profile: [u8; 2], elements: &[u8]) -> Vec<u8> {
        assert_eq!(elements.len() % 4, 0);
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes.extend(profile);
        bytes.extend([0, u8::try_from(elements.len() / 4).expect("small")]);
        bytes.extend(elements);
        bytes
    }

    #[test]
    fn names_are_read_in_both_forms() {
        let one = packet([0xbe, 0xde], &[0x40, b'0', 0xa1, b'r', b'1', 0, 0, 0]);
        let names = stream_names(&one, &meanings());
        assert_eq!((names.mid, names.rid, names.repaired_rid), (Some("0"), Some("r1"), None));
        let two = packet([0x10, 0x00], &[4, 1, b'0', 11, 2, b'r', b'1', 0]);
        let names = stream_names(&two, &meanings());
        assert_eq!((names.mid, names.rid, names.repaired_rid), (Some("0"), None, Some("r1")));
        assert_eq!(ssrc(&one), Some(7));
    }

    #[test]
    fn a_truncated_element_ends_the_reading() {
        let bytes = packet([0xbe, 0xde], &[0x40, b'0', 0xaf, b'r']);
        assert_eq!(stream_names(&bytes, &meanings()).mid, Some("0"));
        assert_eq!(stream_names(&bytes, &meanings()).rid, None);
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            ssrc(&bytes);
            stream_names(&bytes, &meanings());
        }
    }
}
