//! AES_CM_128_HMAC_SHA1_80 (RFC 3711, sections 4.1.1 and 4.2.1).

use std::fmt;

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;

use super::derive::{Labels, derive};
use super::{ENCRYPTED, RTCP_HEADER_LEN, WORD_LEN};

pub(super) const SALT_LEN: usize = 14;
/// HMAC-SHA1 cut to 80 bits.
const TAG_LEN: usize = 10;
const KEY_LEN: usize = 16;
const AUTHENTICATION_KEY_LEN: usize = 20;

/// Session keys and salt.
pub(super) struct Counter {
    cipher: EncryptingKey,
    authentication: hmac::Key,
    /// 112 bits, moved to where they stand in the counter block.
    salt: u128,
}

impl Counter {
    pub(super) fn derive(key: &[u8], salt: &[u8], labels: Labels) -> Option<Self> {
        let authentication = derive::<AUTHENTICATION_KEY_LEN>(key, salt, labels.authentication)?;
        Self::new(derive(key, salt, labels.encryption)?, authentication, derive(key, salt, labels.salt)?)
    }

    fn new(key: [u8; KEY_LEN], authentication: [u8; AUTHENTICATION_KEY_LEN], salt: [u8; SALT_LEN]) -> Option<Self> {
        Some(Self {
            cipher: EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, &key).ok()?).ok()?,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication),
            salt: salt.iter().fold(0, |salt, byte| salt << 8 | u128::from(*byte)) << 16,
        })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], len: usize, header_len: usize, ssrc: u32, index: u64) -> Option<usize> {
        let end = len.checked_add(TAG_LEN)?;
        let (plain, tag) = packet.get_mut(..end)?.split_at_mut_checked(len)?;
        self.crypt(plain.get_mut(header_len..)?, ssrc, index)?;
        tag.copy_from_slice(&self.tag(plain, rollover(index))?);
        Some(end)
    }

    pub(super) fn open_rtp(&self, packet: &mut [u8], header_len: usize, ssrc: u32, index: u64) -> Option<usize> {
        let (sealed, tag) = packet.split_last_chunk_mut::<TAG_LEN>()?;
        verify_slices_are_equal(&self.tag(sealed, rollover(index))?, tag).ok()?;
        self.crypt(sealed.get_mut(header_len..)?, ssrc, index)?;
        Some(sealed.len())
    }

    /// The index word comes before the tag, which covers it (RFC 3711, section 3.4).
    pub(super) fn seal_rtcp(&self, packet: &mut [u8], len: usize, ssrc: u32, index: u32) -> Option<usize> {
        let end = len.checked_add(WORD_LEN + TAG_LEN)?;
        let (plain, trailer) = packet.get_mut(..end)?.split_at_mut_checked(len)?;
        let (word, tag) = trailer.split_at_mut_checked(WORD_LEN)?;
        self.crypt(plain.get_mut(RTCP_HEADER_LEN..)?, ssrc, index.into())?;
        let flagged = (ENCRYPTED | index).to_be_bytes();
        word.copy_from_slice(&flagged);
        tag.copy_from_slice(&self.tag(plain, flagged)?);
        Some(end)
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, index: u32) -> Option<usize> {
        let (rest, tag) = packet.split_last_chunk_mut::<TAG_LEN>()?;
        let (sealed, word) = rest.split_last_chunk_mut::<WORD_LEN>()?;
        verify_slices_are_equal(&self.tag(sealed, *word)?, tag).ok()?;
        self.crypt(sealed.get_mut(RTCP_HEADER_LEN..)?, ssrc, index.into())?;
        Some(sealed.len())
    }

    /// Encrypts or decrypts: the keystream is the same.
    fn crypt(&self, payload: &mut [u8], ssrc: u32, index: u64) -> Option<()> {
        let iv = self.salt ^ (u128::from(ssrc) << 64) ^ (u128::from(index) << 16);
        let context = EncryptionContext::Iv128(FixedLength::from(iv.to_be_bytes()));
        self.cipher.less_safe_encrypt(payload, context).ok()?;
        Some(())
    }

    /// Over the packet and what follows it in thought: the rollover counter, or the index word.
    pub(super) fn tag(&self, packet: &[u8], more: [u8; 4]) -> Option<[u8; TAG_LEN]> {
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(packet);
        context.update(&more);
        context.sign().as_ref().first_chunk().copied()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").finish_non_exhaustive()
    }
}

/// Flag and index of an SRTCP packet.
pub(super) fn rtcp_word(packet: &[u8]) -> Option<u32> {
    let (rest, _) = packet.split_last_chunk::<TAG_LEN>()?;
    rest.last_chunk().map(|word| u32::from_be_bytes(*word))
}

fn rollover(index: u64) -> [u8; 4] {
    let [_, _, a, b, c, d, _, _] = index.to_be_bytes();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    #[test]
    fn the_keystream_is_that_of_rfc_3711_appendix_b_2() {
        let key = hex("2B7E151628AED2A6ABF7158809CF4F3C").try_into().expect("128 bits");
        let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().expect("112 bits");
        let counter = Counter::new(key, [0; AUTHENTICATION_KEY_LEN], salt).expect("a key");
        let mut stream = vec![0; 0xff02 * 16];
        counter.crypt(&mut stream, 0, 0).expect("encrypts");
        assert_eq!(stream[..48], hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"));
        assert_eq!(
            stream[0xfeff * 16..],
            hex("EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44")
        );
    }
}
