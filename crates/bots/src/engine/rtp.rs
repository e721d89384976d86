//! The part of an RTP header that is not encrypted (RFC 3550, section 5.1).

/// The SSRC of a datagram if it is RTP: not STUN, DTLS (RFC 7983) or RTCP (RFC 5761).
pub(crate) fn ssrc(datagram: &[u8]) -> Option<u32> {
    match datagram {
        [first @ 128..=191, second, _, _, _, _, _, _, a, b, c, d, ..] if first & 0xc0 == 0x80 && !(64..=95).contains(&(second & 0x7f)) => {
            Some(u32::from_be_bytes([*a, *b, *c, *d]))
        }
        _ => None,
    }
}

/// The sequence number of an RTP packet.
pub(crate) fn sequence(packet: &[u8]) -> Option<u16> {
    match packet {
        [_, _, high, low, ..] => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_is_told_from_rtcp_stun_and_dtls() {
        let packet = [0x80, 0x80 | 111, 1, 2, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 9];
        assert_eq!((ssrc(&packet), sequence(&packet)), (Some(0x1234), Some(0x0102)));
        for first_two in [[0x81, 200], [0x81, 201], [0x80, 206], [0, 1], [22, 254]] {
            let mut other = packet;
            other[..2].copy_from_slice(&first_two);
            assert_eq!(ssrc(&other), None, "{first_two:?}");
        }
        assert_eq!(ssrc(&packet[..11]), None);
    }
}
