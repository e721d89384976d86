//! RTP packets on the wire: reading a header, writing a header, padding (RFC 3550, section 5.1).

use crate::wire::extension::Element;

/// The part of a header that every packet has (RFC 3550, section 5.1).
pub(crate) const FIXED_HEADER: usize = 12;

/// The first byte says version 2, no padding, no extension, no contributing sources.
const VERSION: u8 = 0x80;
const PADDING: u8 = 0x20;
const EXTENSION: u8 = 0x10;

/// Profile of a one-byte extension block (RFC 8285, section 4.2).
const ONE_BYTE: u16 = 0xbede;
/// Profile of a two-byte extension block; its last four bits are the application's (RFC 8285, section 4.3).
const TWO_BYTE: u16 = 0x1000;

/// What the header of a received packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
    /// The payload ends in padding; see [`payload_end`].
    pub(crate) padding: bool,
    /// Where the payload begins: contributing sources and extensions are part of the header.
    pub(crate) header_len: usize,
    /// Where the extension elements begin; they end with the header.
    pub(crate) elements_start: usize,
    pub(crate) form: Form,
}

/// How extension elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// There are none, or none we can read.
    None,
    OneByte,
    TwoByte,
}

impl Header {
    /// Reads a header; nothing behind it is looked at, so this works before a packet is decrypted.
    pub(crate) fn parse(packet: &[u8]) -> Option<Self> {
        let (&[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3], _) = packet.split_first_chunk::<FIXED_HEADER>()?;
        if first & 0xc0 != VERSION {
            return None;
        }
        let mut header_len = FIXED_HEADER + 4 * usize::from(first & 0x0f);
        let mut elements_start = header_len;
        let mut form = Form::None;
        if first & EXTENSION == 0 {
            packet.get(..header_len)?;
        } else {
            let (&[p0, p1, l0, l1], elements) = packet.get(header_len..)?.split_first_chunk::<4>()?;
            let len = 4 * usize::from(u16::from_be_bytes([l0, l1]));
            elements.get(..len)?;
            elements_start = header_len + 4;
            header_len = elements_start + len;
            form = match u16::from_be_bytes([p0, p1]) {
                ONE_BYTE => Form::OneByte,
                profile if profile & 0xfff0 == TWO_BYTE => Form::TwoByte,
                _ => Form::None,
            };
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            seq: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            padding: first & PADDING != 0,
            header_len,
            elements_start,
            form,
        })
    }
}

/// Where the payload of a decrypted packet ends: its last byte counts the padding, itself included
/// (RFC 3550, section 5.1). Equal to `header_len` for a packet that is nothing but padding.
pub(crate) fn payload_end(packet: &[u8], header: &Header) -> Option<usize> {
    let payload = packet.get(header.header_len..)?;
    if !header.padding {
        return Some(packet.len());
    }
    // A count of nothing would leave the count itself in the payload.
    let count = payload.last().filter(|count| **count != 0)?;
    packet.len().checked_sub(usize::from(*count)).filter(|end| *end >= header.header_len)
}

/// What a packet leaves with. There are no contributing sources: nothing is mixed here, and those of the
/// sender mean nothing to a receiver that knows us as the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NewHeader {
    pub(crate) marker: bool,
    pub(crate) payload_type: u8,
    pub(crate) seq: u16,
    pub(crate) timestamp: u32,
    pub(crate) ssrc: u32,
}

/// Writes a header with its extensions; its length, or `None` if `out` is too short or an element cannot be
/// written. Elements have the one-byte form unless one of them only fits the other (RFC 8285, section 4.1.2).
pub(crate) fn write_header(out: &mut [u8], outgoing: &NewHeader, elements: &[Element<'_>]) -> Option<usize> {
    let (fixed, rest) = out.split_first_chunk_mut::<FIXED_HEADER>()?;
    let [s0, s1] = outgoing.seq.to_be_bytes();
    let [t0, t1, t2, t3] = outgoing.timestamp.to_be_bytes();
    let [c0, c1, c2, c3] = outgoing.ssrc.to_be_bytes();
    let first = if elements.is_empty() { VERSION } else { VERSION | EXTENSION };
    let second = (u8::from(outgoing.marker) << 7) | (outgoing.payload_type & 0x7f);
    *fixed = [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3];
    if elements.is_empty() {
        return Some(FIXED_HEADER);
    }
    Some(FIXED_HEADER + write_elements(rest, elements)?)
}

fn write_elements(out: &mut [u8], elements: &[Element<'_>]) -> Option<usize> {
    let one_byte = elements.iter().all(Element::fits_one_byte);
    let head_len = if one_byte { 1 } else { 2 };
    let len: usize = elements.iter().map(|element| head_len + element.data.len()).sum();
    let words = u16::try_from(len.div_ceil(4)).ok()?;
    let padded = 4 * usize::from(words);
    let (head, rest) = out.split_first_chunk_mut::<4>()?;
    let [p0, p1] = if one_byte { ONE_BYTE } else { TWO_BYTE }.to_be_bytes();
    let [l0, l1] = words.to_be_bytes();
    *head = [p0, p1, l0, l1];
    let mut rest = rest.get_mut(..padded)?;
    for element in elements {
        let (slot, after) = rest.split_at_mut_checked(head_len + element.data.len())?;
        match (one_byte, slot) {
            (true, [head, data @ ..]) => {
                // The length is 1 to 16, written as one less.
                *head = (element.id << 4) | u8::try_from(data.len().wrapping_sub(1) & 0x0f).ok()?;
                data.copy_from_slice(element.data);
            }
            (false, [id, len, data @ ..]) => {
                // The id 0 is padding (RFC 8285, section 4.3): its data would be read as elements.
                *id = (element.id != 0).then_some(element.id)?;
                *len = u8::try_from(data.len()).ok()?;
                data.copy_from_slice(element.data);
            }
            _ => return None,
        }
        rest = after;
    }
    rest.fill(0);
    Some(4 + padded)
}

/// Makes a packet of a header and `amount` bytes of padding, to probe a path with; its length. The amount is
/// at least 1: the last byte counts it.
pub(crate) fn write_padding(out: &mut [u8], header_len: usize, amount: u8) -> Option<usize> {
    let end = header_len.checked_add(usize::from(amount))?;
    let (last, zeros) = out.get_mut(header_len..end)?.split_last_mut()?;
    zeros.fill(0);
    *last = amount;
    *out.first_mut()? |= PADDING;
    Some(end)
}

/// Whether bytes look like RTP or RTCP by their first byte (RFC 7983, section 7).
pub(crate) fn is_rtp_or_rtcp(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (128..192).contains(first)) && bytes.len() >= 8
}

/// Whether it is RTCP rather than RTP (RFC 5761, section 4).
pub(crate) fn is_rtcp(bytes: &[u8]) -> bool {
    bytes.get(1).is_some_and(|second| (192..=223).contains(second))
}

/// Whether bytes look like DTLS by their first byte (RFC 7983, section 7).
pub(crate) fn is_dtls(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (20..64).contains(first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::extension::elements;

    const OUTGOING: NewHeader = NewHeader { marker: true, payload_type: 96, seq: 0x1234, timestamp: 0x5678_9abc, ssrc: 0xdead_beef };

    #[test]
    fn a_header_is_written_as_the_rfc_draws_it() {
        let mut out = [0xff; 12];
        assert_eq!(write_header(&mut out, &OUTGOING, &[]), Some(12));
        assert_eq!(out, [0x80, 0xe0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xad, 0xbe, 0xef]);
    }

    #[test]
    fn extensions_have_the_one_byte_form_and_are_padded_to_four() {
        let mut out = [0xff; 40];
        let elements = [Element { id: 4, data: b"0" }, Element { id: 3, data: &[1, 2] }];
        assert_eq!(write_header(&mut out, &OUTGOING, &elements), Some(24));
        assert_eq!(out[0], 0x90);
        assert_eq!(out[12..24], [0xbe, 0xde, 0, 2, 0x40, b'0', 0x31, 1, 2, 0, 0, 0]);
        assert_eq!(out[24], 0xff);
    }

    #[test]
    fn an_element_that_does_not_fit_one_byte_turns_all_to_two() {
        let mut out = [0xff; 60];
        let long = [7; 17];
        let elements = [Element { id: 4, data: b"0" }, Element { id: 12, data: &long }];
        assert_eq!(write_header(&mut out, &OUTGOING, &elements), Some(40));
        assert_eq!(out[12..21], [0x10, 0, 0, 6, 4, 1, b'0', 12, 17]);
        assert_eq!(write_header(&mut out, &OUTGOING, &[Element { id: 15, data: b"x" }]), Some(20));
        assert_eq!(out[12..20], [0x10, 0, 0, 1, 15, 1, b'x', 0]);
        assert_eq!(write_header(&mut out, &OUTGOING, &[Element { id: 1, data: b"" }]), Some(20));
        assert_eq!(out[12..20], [0x10, 0, 0, 1, 1, 0, 0, 0]);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let mut out = [0; 400];
        let too_long = [0; 256];
        assert_eq!(write_header(&mut out, &OUTGOING, &[Element { id: 1, data: &too_long }]), None);
        assert_eq!(write_header(&mut out, &OUTGOING, &[Element { id: 0, data: b"x" }]), None);
        assert_eq!(write_header(&mut out[..11], &OUTGOING, &[]), None);
        assert_eq!(write_header(&mut out[..19], &OUTGOING, &[Element { id: 1, data: b"x" }]), None);
        assert_eq!(write_header(&mut out[..20], &OUTGOING, &[Element { id: 1, data: b"x" }]), Some(20));
    }

    #[test]
    fn the_payload_begins_behind_contributing_sources_and_extensions() {
        let mut packet = vec![0x92, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0; 8]);
        packet.extend([0xbe, 0xde, 0, 1, 0x40, b'0', 0, 0, 9, 9]);
        let header = Header::parse(&packet).expect("a header");
        assert_eq!((header.seq, header.timestamp, header.ssrc), (1, 2, 3));
        assert_eq!((header.marker, header.payload_type, header.padding), (false, 96, false));
        assert_eq!((header.header_len, header.elements_start, header.form), (28, 24, Form::OneByte));
        assert_eq!(payload_end(&packet, &header), Some(30));
        for len in 0..28 {
            assert_eq!(Header::parse(&packet[..len]), None, "{len} bytes");
        }
        packet[0] = 0x52;
        assert_eq!(Header::parse(&packet), None, "another version");
    }

    #[test]
    fn an_unknown_extension_profile_is_skipped_as_a_whole() {
        let packet = [0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0xab, 0xcd, 0, 1, 0x40, b'0', 0, 0, 9];
        let header = Header::parse(&packet).expect("a header");
        assert_eq!((header.header_len, header.form), (20, Form::None));
        assert_eq!(elements(&packet, &header).count(), 0);
    }

    #[test]
    fn padding_is_taken_off_and_may_be_all_there_is() {
        let mut out = [0xff; 32];
        let len = write_header(&mut out, &OUTGOING, &[]).expect("room");
        let end = write_padding(&mut out, len, 20).expect("room");
        let packet = &out[..end];
        let header = Header::parse(packet).expect("a header");
        assert_eq!((end, header.padding, packet[30], packet[31]), (32, true, 0, 20));
        assert_eq!(payload_end(packet, &header), Some(12));
        assert_eq!(write_padding(&mut out, len, 21), None);
        assert_eq!(write_padding(&mut out, len, 0), None);
    }

    #[test]
    fn padding_that_lies_is_refused() {
        let mut packet = vec![0xa0, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 7, 7, 3];
        let header = Header::parse(&packet).expect("a header");
        assert_eq!(payload_end(&packet, &header), Some(12));
        packet[14] = 2;
        assert_eq!(payload_end(&packet, &header), Some(13));
        for count in [0, 4, 255] {
            packet[14] = count;
            assert_eq!(payload_end(&packet, &header), None, "{count}");
        }
        assert_eq!(payload_end(&packet[..12], &header), None, "nothing to count");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            marker: bool, payload_type in 0u8..128, seq: u16, timestamp: u32, ssrc: u32,
            parts in prop::collection::vec((1u8..=15, prop::collection::vec(any::<u8>(), 0..20)), 0..6),
        ) {
            let outgoing = NewHeader { marker, payload_type, seq, timestamp, ssrc };
            let written: Vec<_> = parts.iter().map(|(id, data)| Element { id: *id, data }).collect();
            let mut out = [0xff; 300];
            let len = write_header(&mut out, &outgoing, &written).expect("room");
            let header = Header::parse(&out[..len]).expect("a header");
            let read = NewHeader {
                marker: header.marker,
                payload_type: header.payload_type,
                seq: header.seq,
                timestamp: header.timestamp,
                ssrc: header.ssrc,
            };
            prop_assert_eq!(read, outgoing);
            prop_assert_eq!(header.header_len, len);
            prop_assert_eq!(elements(&out[..len], &header).collect::<Vec<_>>(), written);
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..80), first in 0x80u8..0xc0) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            if let Some(header) = Header::parse(&bytes) {
                prop_assert!(header.header_len <= bytes.len());
                prop_assert!(payload_end(&bytes, &header).is_none_or(|end| (header.header_len..=bytes.len()).contains(&end)));
            }
        }
    }
}
