//! The few bytes of a relayed packet, read and written by hand: ChannelData, and Send and Data indications.
//!
//! Everything else is read and written by stun-types and turn-types. For these three, of which there are a hundred thousand a second,
//! a table of attributes on the heap would cost more than the rest of the way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use crc::{CRC_32_ISO_HDLC, Crc, Table};

/// The magic cookie (RFC 8489, section 5).
pub(crate) const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Bytes of a STUN header.
pub(crate) const STUN_HEADER: usize = 20;
/// Bytes of a ChannelData header.
pub(crate) const CHANNEL_HEADER: usize = 4;
/// The numbers a channel may have: those of RFC 5766, because clients of its time still take any of them. RFC 8656 has a quarter of
/// them, so that a browser can tell other protocols by their first byte; nothing else is spoken here.
pub(crate) const CHANNELS: RangeInclusive<u16> = 0x4000..=0x7fff;

const SEND_INDICATION: [u8; 2] = [0x00, 0x16];
const DATA_INDICATION: [u8; 2] = [0x00, 0x17];
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;
const FINGERPRINT: u16 = 0x8028;
/// Attributes below this number have to be understood (RFC 8489, section 14).
const OPTIONAL: u16 = 0x8000;
/// What a fingerprint is XORed with (RFC 8489, section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// A number and the data of a ChannelData message. On a datagram there may be padding behind.
#[inline]
pub(crate) fn channel_data(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let ([n0, n1, l0, l1], data) = bytes.split_first_chunk()?;
    let number = u16::from_be_bytes([*n0, *n1]);
    let data = data.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?;
    CHANNELS.contains(&number).then_some((number, data))
}

/// Writes ChannelData; on a stream it is padded.
#[inline]
pub(crate) fn write_channel_data(number: u16, data: &[u8], padded: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&length_field(data.len()));
    out.extend_from_slice(data);
    if padded {
        pad(start, out);
    }
}

/// Whether a message is a Send indication.
#[inline]
pub(crate) fn is_send(bytes: &[u8]) -> bool {
    bytes.first_chunk() == Some(&SEND_INDICATION)
}

/// The peer and the data of a Send indication. One that is malformed, has a wrong fingerprint, lacks one of them or asks for
/// what is not understood (not to be fragmented, for one) is nothing.
#[inline]
pub(crate) fn send_indication(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (header, mut rest) = bytes.split_first_chunk::<STUN_HEADER>()?;
    let [_, _, l0, l1, c0, c1, c2, c3, ..] = *header;
    if usize::from(u16::from_be_bytes([l0, l1])) != rest.len() || [c0, c1, c2, c3] != COOKIE {
        return None;
    }
    let (mut peer, mut data) = (None, None);
    while let Some(([t0, t1, l0, l1], after)) = rest.split_first_chunk() {
        let (kind, len) = (u16::from_be_bytes([*t0, *t1]), usize::from(u16::from_be_bytes([*l0, *l1])));
        let value = after.get(..len)?;
        match kind {
            // Of two of a kind the first counts (RFC 8489, section 14).
            XOR_PEER_ADDRESS => peer = peer.or(Some(address(value, header)?)),
            DATA => data = data.or(Some(value)),
            FINGERPRINT => {
                let before = bytes.len() - rest.len();
                return (value == fingerprint(bytes.get(..before)?)).then_some((peer?, data?));
            }
            ..OPTIONAL => return None,
            _ => {}
        }
        rest = after.get(len.next_multiple_of(4)..)?;
    }
    if rest.is_empty() { Some((peer?, data?)) } else { None }
}

/// Writes a Data indication. The transaction means nothing: nobody answers it.
#[inline]
pub(crate) fn write_data_indication(peer: SocketAddr, data: &[u8], transaction: u64, out: &mut Vec<u8>) {
    let address_len: usize = if peer.is_ipv4() { 8 } else { 20 };
    let body = 4 + address_len + 4 + data.len().next_multiple_of(4);
    let start = out.len();
    out.extend_from_slice(&DATA_INDICATION);
    out.extend_from_slice(&length_field(body));
    out.extend_from_slice(&COOKIE);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&transaction.to_be_bytes());
    out.extend_from_slice(&XOR_PEER_ADDRESS.to_be_bytes());
    out.extend_from_slice(&length_field(address_len));
    write_address(peer, transaction, out);
    out.extend_from_slice(&DATA.to_be_bytes());
    out.extend_from_slice(&length_field(data.len()));
    out.extend_from_slice(data);
    pad(start, out);
}

/// What a fingerprint attribute has to say of the bytes before it.
pub(crate) fn fingerprint(before: &[u8]) -> [u8; 4] {
    (CRC.checksum(before) ^ FINGERPRINT_XOR).to_be_bytes()
}

/// An address that is XORed with cookie and transaction (RFC 8489, section 14.2).
fn address(value: &[u8], header: &[u8; STUN_HEADER]) -> Option<SocketAddr> {
    let ([_, family, p0, p1], ip) = value.split_first_chunk()?;
    let [c0, c1, ..] = COOKIE;
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let mask: &[u8; 16] = header.last_chunk()?;
    let ip: IpAddr = match (family, ip.len()) {
        (1, 4) => Ipv4Addr::from_bits(u32::from_be_bytes(*ip.first_chunk()?) ^ u32::from_be_bytes(COOKIE)).into(),
        (2, 16) => Ipv6Addr::from_bits(u128::from_be_bytes(*ip.first_chunk()?) ^ u128::from_be_bytes(*mask)).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn write_address(address: SocketAddr, transaction: u64, out: &mut Vec<u8>) {
    let cookie = u32::from_be_bytes(COOKIE);
    let [c0, c1, ..] = COOKIE;
    let [p0, p1] = address.port().to_be_bytes();
    out.extend_from_slice(&[0, if address.is_ipv4() { 1 } else { 2 }, p0 ^ c0, p1 ^ c1]);
    match address.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&(ip.to_bits() ^ cookie).to_be_bytes()),
        IpAddr::V6(ip) => {
            let mask = u128::from(cookie) << 96 | u128::from(transaction);
            out.extend_from_slice(&(ip.to_bits() ^ mask).to_be_bytes());
        }
    }
}

/// A length as it is written; what is longer than it can say does not get here, because arrivals are shorter.
fn length_field(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

fn pad(start: usize, out: &mut Vec<u8>) {
    let len = out.len() - start;
    out.resize(start + len.next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stun_types::message::{Message, MessageType, MessageWriteVec};
    use stun_types::message::{MessageClass, TransactionId};
    use stun_types::prelude::*;
    use turn_types::attribute::{Data, DontFragment, XorPeerAddress};
    use turn_types::message::{DATA as DATA_METHOD, SEND};

    use super::*;

    fn any_address() -> impl Strategy<Value = SocketAddr> {
        (any::<bool>(), any::<u128>(), any::<u16>()).prop_map(|(is_v4, bits, port)| {
            let ip = if is_v4 { Ipv4Addr::from_bits(bits as u32).into() } else { IpAddr::from(Ipv6Addr::from_bits(bits)) };
            SocketAddr::new(ip, port)
        })
    }

    /// What another implementation writes.
    fn indication(peer: SocketAddr, data: &[u8], with: &[&dyn AttributeWrite], fingerprint: bool) -> Vec<u8> {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction: TransactionId = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, transaction)).expect("fits");
        for attribute in with {
            message.add_attribute(*attribute).expect("fits");
        }
        message.add_attribute(&Data::new(data)).expect("fits");
        if fingerprint {
            message.add_fingerprint().expect("fits");
        }
        message.finish()
    }

    proptest! {
        #[test]
        fn a_send_indication_of_another_implementation_reads_as_it_was_meant(
            peer in any_address(), data in prop::collection::vec(any::<u8>(), 0..1_500), fingerprint in any::<bool>()
        ) {
            let bytes = indication(peer, &data, &[], fingerprint);
            prop_assert!(is_send(&bytes));
            prop_assert_eq!(send_indication(&bytes), Some((peer, &data[..])));
        }

        #[test]
        fn another_implementation_reads_our_data_indications(
            peer in any_address(), data in prop::collection::vec(any::<u8>(), 0..1_500), transaction in any::<u64>()
        ) {
            let mut bytes = vec![1, 2, 3];
            write_data_indication(peer, &data, transaction, &mut bytes);
            let message = Message::from_bytes(&bytes[3..]).expect("well-formed");
            prop_assert_eq!(message.get_type(), MessageType::from_class_method(MessageClass::Indication, DATA_METHOD));
            let read = message.attribute::<XorPeerAddress>().expect("there").addr(message.transaction_id());
            prop_assert_eq!(read, peer);
            let read = message.attribute::<Data>().expect("there");
            prop_assert_eq!(read.data(), &data[..]);
        }

        #[test]
        fn channel_data_reads_as_it_was_written(number in 0x4000u16..0x8000, data in prop::collection::vec(any::<u8>(), 0..1_500), padded: bool) {
            let mut bytes = vec![7];
            write_channel_data(number, &data, padded, &mut bytes);
            prop_assert!(!padded || (bytes.len() - 1).is_multiple_of(4));
            prop_assert_eq!(channel_data(&bytes[1..]), Some((number, &data[..])));
        }

        #[test]
        fn arbitrary_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), place in 0usize..100, with: u8) {
            let _ = (channel_data(&bytes), send_indication(&bytes));
            let mut near = indication(([198, 51, 100, 1], 9).into(), &[1, 2, 3], &[], true);
            let place = place % near.len();
            near[place] ^= with;
            // Everything is under the fingerprint but what says that there is one: its kind, and the length of what is before it.
            let hides_it = (near.len() - 8..near.len() - 6).contains(&place) || (34..36).contains(&place);
            prop_assert!(hides_it || send_indication(&near).is_some() == (with == 0));
        }
    }

    #[test]
    fn an_indication_that_asks_for_what_is_not_understood_is_not_relayed() {
        let peer = ([198, 51, 100, 1], 9).into();
        assert_eq!(send_indication(&indication(peer, b"x", &[&DontFragment::new()], false)), None);
        let lacks_peer = Message::builder_indication(SEND, MessageWriteVec::new()).finish();
        assert_eq!(send_indication(&lacks_peer), None);
    }

    #[test]
    fn a_channel_number_out_of_range_is_no_channel() {
        for number in [0x3fff_u16, 0x8000, 0xffff] {
            assert_eq!(channel_data(&[&number.to_be_bytes()[..], &[0, 0]].concat()), None);
        }
        assert_eq!(channel_data(&[0x40, 0, 0, 2, 1]), None, "cut off");
        assert_eq!(channel_data(&[0x40, 0, 0, 1, 1, 0, 0, 0]), Some((0x4000, &[1][..])), "padded");
    }
}
