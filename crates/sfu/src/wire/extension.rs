//! RTP header extensions: what the ids of one client mean, and reading them off a packet (RFC 8285).

use crate::ortc::uri;
use crate::wire::rtp::{Form, Header};

/// The one-byte form has the ids 1 to 14 (RFC 8285, section 4.2).
pub(crate) const MAX_ID: u8 = 14;

/// The longest element of the one-byte form (RFC 8285, section 4.2).
const MAX_ONE_BYTE: usize = 16;

/// What the media plane reads of a packet's extensions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExtensionKind {
    Mid,
    Rid,
    RepairedRid,
    TransportCc,
    AbsSendTime,
    AudioLevel,
    VideoOrientation,
    DependencyDescriptor,
}

impl ExtensionKind {
    pub(crate) fn of(uri: &str) -> Option<Self> {
        Some(match uri {
            uri::MID => Self::Mid,
            uri::RID => Self::Rid,
            uri::REPAIRED_RID => Self::RepairedRid,
            uri::TRANSPORT_CC => Self::TransportCc,
            uri::ABS_SEND_TIME => Self::AbsSendTime,
            uri::AUDIO_LEVEL => Self::AudioLevel,
            uri::VIDEO_ORIENTATION => Self::VideoOrientation,
            uri::DEPENDENCY_DESCRIPTOR => Self::DependencyDescriptor,
            _ => return None,
        })
    }
}

/// What each id means on one transport. Clients number extensions as they like, and say how only when they
/// produce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtensionMap([Option<ExtensionKind>; MAX_ID as usize + 1]);

impl ExtensionMap {
    /// Ids that cannot be on the wire (0, and above 14) are left out.
    pub(crate) fn set(&mut self, id: u8, meaning: Option<ExtensionKind>) {
        if id == 0 {
            return;
        }
        if let Some(slot) = self.0.get_mut(usize::from(id)) {
            *slot = meaning;
        }
    }

    pub(crate) fn get(&self, id: u8) -> Option<ExtensionKind> {
        *self.0.get(usize::from(id))?
    }
}

/// The values of one packet. What is malformed, or has no id on this transport, is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values<'a> {
    pub(crate) mid: Option<&'a str>,
    pub(crate) rid: Option<&'a str>,
    pub(crate) repaired_rid: Option<&'a str>,
    pub(crate) transport_cc: Option<u16>,
    /// Seconds modulo 64 in 6.18 fixed point.
    pub(crate) abs_send_time: Option<u32>,
    /// Loudness in dBov, -127 to 0, and whether it is speech (RFC 6464, section 3).
    pub(crate) audio_level: Option<(i8, bool)>,
    /// The byte as it stands: camera, flip and turn (3GPP TS 26.114, section 7.4.5).
    pub(crate) orientation: Option<u8>,
    pub(crate) descriptor: Option<&'a [u8]>,
}

/// Reads what a packet's extensions say. `header` must be that of `packet`.
pub(crate) fn read<'a>(packet: &'a [u8], header: &Header, extension_map: &ExtensionMap) -> Values<'a> {
    let mut values = Values::default();
    for Element { id, data } in elements(packet, header) {
        let Some(meaning) = extension_map.get(id) else { continue };
        match (meaning, data) {
            (ExtensionKind::Mid, _) => values.mid = name(data),
            (ExtensionKind::Rid, _) => values.rid = name(data),
            (ExtensionKind::RepairedRid, _) => values.repaired_rid = name(data),
            (ExtensionKind::TransportCc, [high, low, ..]) => values.transport_cc = Some(u16::from_be_bytes([*high, *low])),
            (ExtensionKind::AbsSendTime, [a, b, c]) => values.abs_send_time = Some(u32::from_be_bytes([0, *a, *b, *c])),
            (ExtensionKind::AudioLevel, [level, ..]) => {
                let quiet = i8::try_from(level & 0x7f).unwrap_or(i8::MAX);
                values.audio_level = Some((-quiet, level & 0x80 != 0));
            }
            (ExtensionKind::VideoOrientation, [turn, ..]) => values.orientation = Some(*turn),
            (ExtensionKind::DependencyDescriptor, [_, ..]) => values.descriptor = Some(data),
            _ => {}
        }
    }
    values
}

/// A name is text that says something; an empty one would match streams that have none.
fn name(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok().filter(|name| !name.is_empty())
}

/// One extension element, as read or to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    pub(crate) id: u8,
    pub(crate) data: &'a [u8],
}

impl Element<'_> {
    pub(crate) fn fits_one_byte(&self) -> bool {
        (1..=MAX_ID).contains(&self.id) && (1..=MAX_ONE_BYTE).contains(&self.data.len())
    }
}

/// The extension elements of a packet, in order, up to the first malformed one.
pub(crate) fn elements<'a>(packet: &'a [u8], header: &Header) -> Elements<'a> {
    let rest = match header.form {
        Form::None => &[],
        Form::OneByte | Form::TwoByte => packet.get(header.elements_start..header.header_len).unwrap_or_default(),
    };
    Elements { rest, two_byte: header.form == Form::TwoByte }
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    two_byte: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        let mut rest = std::mem::take(&mut self.rest);
        // Padding stands between elements as well as behind them (RFC 8285, section 4.1.1).
        while let [0, tail @ ..] = rest {
            rest = tail;
        }
        let (id, len, body) = match (self.two_byte, rest) {
            (false, [head, body @ ..]) => (head >> 4, usize::from(head & 0x0f) + 1, body),
            (true, [id, len, body @ ..]) => (*id, usize::from(*len), body),
            _ => return None,
        };
        // In the one-byte form an id 0 with a length, and the id 15, end the reading (RFC 8285, section 4.2).
        if !self.two_byte && !(1..=MAX_ID).contains(&id) {
            return None;
        }
        let (data, after) = body.split_at_checked(len)?;
        self.rest = after;
        Some(Element { id, data })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extension_map() -> ExtensionMap {
        let mut extension_map = ExtensionMap::default();
        let all = [
            (1, ExtensionKind::AudioLevel),
            (2, ExtensionKind::AbsSendTime),
            (3, ExtensionKind::TransportCc),
            (4, ExtensionKind::Mid),
            (10, ExtensionKind::Rid),
            (11, ExtensionKind::RepairedRid),
            (12, ExtensionKind::DependencyDescriptor),
            (13, ExtensionKind::VideoOrientation),
        ];
        for (id, meaning) in all {
            extension_map.set(id, Some(meaning));
        }
        extension_map
    }

    fn packet(profile: [u8; 2], elements: &[u8]) -> Vec<u8> {
        assert_eq!(elements.len() % 4, 0);
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7];
        bytes.extend(profile);
        bytes.extend([0, u8::try_from(elements.len() / 4).expect("small")]);
        bytes.extend(elements);
        bytes
    }

    fn values(packet: &[u8]) -> Values<'_> {
        read(packet, &Header::parse(packet).expect("a header"), &extension_map())
    }

    #[test]
    fn every_meaning_is_read_in_the_one_byte_form() {
        let elements =
            [0x10, 0x85, 0x22, 1, 2, 3, 0x31, 0xab, 0xcd, 0x40, b'0', 0xa1, b'r', b'1', 0xb1, b'r', b'2', 0xc2, 7, 8, 9, 0xd0, 0x0b, 0];
        let expected = Values {
            mid: Some("0"),
            rid: Some("r1"),
            repaired_rid: Some("r2"),
            transport_cc: Some(0xabcd),
            abs_send_time: Some(0x01_0203),
            audio_level: Some((-5, true)),
            orientation: Some(0x0b),
            descriptor: Some(&[7, 8, 9]),
        };
        assert_eq!(values(&packet([0xbe, 0xde], &elements)), expected);
    }

    #[test]
    fn every_meaning_is_read_in_the_two_byte_form() {
        let elements =
            [1, 1, 0x7f, 3, 2, 0xab, 0xcd, 0, 4, 1, b'0', 12, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 13, 0];
        for profile in [[0x10, 0x00], [0x10, 0x0f]] {
            let bytes = packet(profile, &elements);
            let values = values(&bytes);
            assert_eq!((values.mid, values.transport_cc, values.audio_level), (Some("0"), Some(0xabcd), Some((-127, false))));
            assert_eq!(values.descriptor.map(<[u8]>::len), Some(17));
            assert_eq!(values.orientation, None, "an element without data");
        }
    }

    #[test]
    fn padding_between_elements_is_skipped() {
        let bytes = packet([0xbe, 0xde], &[0, 0, 0x40, b'0', 0, 0xa1, b'r', b'1']);
        assert_eq!((values(&bytes).mid, values(&bytes).rid), (Some("0"), Some("r1")));
    }

    #[test]
    fn the_reserved_ids_of_the_one_byte_form_end_the_reading() {
        for reserved in [0xf0, 0x01] {
            let bytes = packet([0xbe, 0xde], &[0x40, b'0', reserved, 0xa1, b'r', b'1', 0, 0]);
            assert_eq!((values(&bytes).mid, values(&bytes).rid), (Some("0"), None), "{reserved:#x}");
        }
    }

    #[test]
    fn a_truncated_element_ends_the_reading() {
        let bytes = packet([0xbe, 0xde], &[0x40, b'0', 0xaf, b'r']);
        assert_eq!((values(&bytes).mid, values(&bytes).rid), (Some("0"), None));
    }

    #[test]
    fn a_name_that_is_no_text_is_not_there() {
        let bytes = packet([0xbe, 0xde], &[0x40, 0xff, 0, 0]);
        assert_eq!(values(&bytes).mid, None);
        let empty = packet([0x10, 0x00], &[4, 0, 0, 0]);
        assert_eq!(values(&empty).mid, None);
    }

    #[test]
    fn ids_that_cannot_be_on_the_wire_mean_nothing() {
        let mut extension_map = ExtensionMap::default();
        for id in [0, 15, 255] {
            extension_map.set(id, Some(ExtensionKind::Mid));
            assert_eq!(extension_map.get(id), None);
        }
        extension_map.set(14, Some(ExtensionKind::Mid));
        assert_eq!(extension_map.get(14), Some(ExtensionKind::Mid));
        extension_map.set(14, None);
        assert_eq!(extension_map, ExtensionMap::default());
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(two_byte: bool, elements in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut elements = elements;
            elements.truncate(elements.len() / 4 * 4);
            let bytes = packet(if two_byte { [0x10, 0x00] } else { [0xbe, 0xde] }, &elements);
            values(&bytes);
        }

        #[test]
        fn a_header_of_another_packet_breaks_nothing(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let header = Header::parse(&packet([0x10, 0x00], &[4; 32])).expect("a header");
            read(&bytes, &header, &extension_map());
        }
    }
}
