//! AEAD_AES_128_GCM and AEAD_AES_256_GCM (RFC 7714).

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::derive::{Labels, derive};
use super::{ENCRYPTED, RTCP_HEADER_LEN, WORD_LEN};

pub(super) const TAG_LEN: usize = 16;
pub(super) const SALT_LEN: usize = 12;

/// Session key and salt.
pub(super) struct Gcm {
    key: LessSafeKey,
    /// The salt, of 96 bits.
    salt: u128,
}

impl Gcm {
    pub(super) fn derive(key: &[u8], salt: &[u8], labels: Labels) -> Option<Self> {
        let session_salt = derive::<SALT_LEN>(key, salt, labels.salt)?;
        match key.len() {
            16 => Self::new(&derive::<16>(key, salt, labels.encryption)?, session_salt),
            _ => Self::new(&derive::<32>(key, salt, labels.encryption)?, session_salt),
        }
    }

    fn new(key: &[u8], salt: [u8; SALT_LEN]) -> Option<Self> {
        let algorithm = match key.len() {
            16 => &AES_128_GCM,
            _ => &AES_256_GCM,
        };
        let salt = salt.iter().fold(0, |salt, byte| salt << 8 | u128::from(*byte));
        Some(Self { key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?), salt })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], len: usize, header_len: usize, ssrc: u32, index: u64) -> Option<usize> {
        let end = len.checked_add(TAG_LEN)?;
        let (plain, tag) = packet.get_mut(..end)?.split_at_mut_checked(len)?;
        let (header, payload) = plain.split_at_mut_checked(header_len)?;
        let sealed = self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(&*header), payload).ok()?;
        tag.copy_from_slice(sealed.as_ref());
        Some(end)
    }

    pub(super) fn open_rtp(&self, packet: &mut [u8], header_len: usize, ssrc: u32, index: u64) -> Option<usize> {
        let len = packet.len().checked_sub(TAG_LEN)?;
        let (sealed, tag) = packet.split_at_mut_checked(len)?;
        let (header, payload) = sealed.split_at_mut_checked(header_len)?;
        self.key.open_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(&*header), tag, payload).ok()?;
        Some(len)
    }

    /// The tag comes before the index word (RFC 7714, section 9.2).
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], len: usize, ssrc: u32, index: u32) -> Option<usize> {
        let end = len.checked_add(TAG_LEN + WORD_LEN)?;
        let (plain, trailer) = packet.get_mut(..end)?.split_at_mut_checked(len)?;
        let (header, payload) = plain.split_first_chunk_mut()?;
        let (tag, word) = trailer.split_at_mut_checked(TAG_LEN)?;
        let aad = rtcp_aad(*header, index);
        let sealed = self.key.seal_in_place_separate_tag(self.nonce(ssrc, index.into()), Aad::from(aad), payload).ok()?;
        tag.copy_from_slice(sealed.as_ref());
        word.copy_from_slice(&(ENCRYPTED | index).to_be_bytes());
        Some(end)
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        let len = packet.len().checked_sub(TAG_LEN + WORD_LEN)?;
        let (sealed, trailer) = packet.split_at_mut_checked(len)?;
        let (header, payload) = sealed.split_first_chunk_mut()?;
        let tag = trailer.get(..TAG_LEN)?;
        let aad = rtcp_aad(*header, index);
        self.key.open_in_place_separate_tag(self.nonce(ssrc, index.into()), Aad::from(aad), tag, payload).ok()?;
        Some(len)
    }

    /// Two zero bytes, the SSRC and the 48 bits of the index, over the salt (RFC 7714, sections 8.1 and 9.1).
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let [_, _, _, _, nonce @ ..] = (self.salt ^ (u128::from(ssrc) << 48) ^ u128::from(index)).to_be_bytes();
        Nonce::assume_unique_for_key(nonce)
    }
}

impl fmt::Debug for Gcm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcm").finish_non_exhaustive()
    }
}

/// Flag and index of an SRTCP packet.
pub(super) fn rtcp_word(packet: &[u8]) -> Option<u32> {
    packet.last_chunk().map(|word| u32::from_be_bytes(*word))
}

/// What is authenticated besides what is encrypted (RFC 7714, section 9.2).
fn rtcp_aad(header: [u8; RTCP_HEADER_LEN], index: u32) -> [u8; RTCP_HEADER_LEN + WORD_LEN] {
    let [a, b, c, d, e, f, g, h] = header;
    let [i, j, k, l] = (ENCRYPTED | index).to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
    const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";

    fn gcm(key_len: usize) -> Gcm {
        let salt = hex("517569642070726f2071756f").try_into().expect("96 bits");
        Gcm::new(&hex(KEY)[..key_len], salt).expect("a key")
    }

    fn rtp_round_trip(gcm: &Gcm, sealed: &str) {
        let (plain, sealed) = (hex(RTP), hex(sealed));
        let mut packet = plain.clone();
        packet.resize(plain.len() + TAG_LEN, 0);
        assert_eq!(gcm.seal_rtp(&mut packet, plain.len(), 12, 0x5501_a0b2, 0xf17b), Some(sealed.len()));
        assert_eq!(packet, sealed);
        assert_eq!(gcm.open_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b), Some(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }

    #[test]
    fn rtp_is_sealed_as_in_rfc_7714_section_16() {
        rtp_round_trip(
            &gcm(16),
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        );
        rtp_round_trip(
            &gcm(32),
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        );
    }

    fn rtcp_round_trip(gcm: &Gcm, sealed: &str) {
        let (plain, sealed) = (hex(RTCP), hex(sealed));
        let mut packet = plain.clone();
        packet.resize(plain.len() + TAG_LEN + WORD_LEN, 0);
        assert_eq!(gcm.seal_rtcp(&mut packet, plain.len(), 0x4d61_7273, 0x5d4), Some(sealed.len()));
        assert_eq!(packet, sealed);
        assert_eq!(rtcp_word(&packet), Some(ENCRYPTED | 0x5d4));
        assert_eq!(gcm.open_rtcp(&mut packet, 0x4d61_7273, 0x5d4), Some(plain.len()));
        assert_eq!(packet[..plain.len()], plain);
    }

    #[test]
    fn rtcp_is_sealed_as_in_rfc_7714_section_17() {
        rtcp_round_trip(
            &gcm(16),
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4",
        );
        rtcp_round_trip(
            &gcm(32),
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad\
             1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        );
    }
}
