//! Builds STUN binding requests with a valid message integrity (RFC 8489), so that a target gets past the first gate.

use aws_lc_rs::hmac;

/// RFC 8489, section 5.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER_BYTES: usize = 20;
const INTEGRITY_BYTES: usize = 24;
const FINGERPRINT_BYTES: usize = 8;

/// A check as an ICE controlling agent sends it, with USE-CANDIDATE.
pub(crate) fn binding_request(username: &str, password: &str, transaction: [u8; 12]) -> Vec<u8> {
    let mut message = vec![0x00, 0x01, 0, 0];
    message.extend(MAGIC_COOKIE);
    message.extend(transaction);
    attribute(&mut message, 0x0006, username.as_bytes());
    attribute(&mut message, 0x0024, &0x6e00_01ff_u32.to_be_bytes()); // PRIORITY
    attribute(&mut message, 0x802a, &1_u64.to_be_bytes()); // ICE-CONTROLLING
    attribute(&mut message, 0x0025, &[]); // USE-CANDIDATE
    // The length in the header counts the attribute that is being computed, and nothing after it.
    let length = message.len() - HEADER_BYTES + INTEGRITY_BYTES;
    set_length(&mut message, length);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let tag = hmac::sign(&key, &message);
    attribute(&mut message, 0x0008, tag.as_ref());
    let length = message.len() - HEADER_BYTES + FINGERPRINT_BYTES;
    set_length(&mut message, length);
    let crc = crc32(&message) ^ 0x5354_554e;
    attribute(&mut message, 0x8028, &crc.to_be_bytes());
    message
}

fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn set_length(message: &mut [u8], length: usize) {
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    }
}

/// CRC-32 as in ISO 3309, bit by bit: a message is short and this is no hot path.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_standard_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
