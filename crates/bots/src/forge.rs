//! Packets no honest client sends, sealed with the keys of a real connection: what a hostile participant could do.
//!
//! str0m writes only what is proper. So its ciphers are watched while it uses them: key, salt and numbers are all that is
//! needed to seal anything else (RFC 7714). Connections of another profile than AES-GCM give nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use str0m::crypto::{
    AeadAes128Gcm, AeadAes128GcmCipher, AeadAes256GcmCipher, CryptoError, CryptoProvider, SrtpProvider, SupportedAeadAes128Gcm,
    SupportedAeadAes256Gcm, SupportedAes128CmSha1_80, from_feature_flags,
};

/// The first bytes of an SRTCP packet, which stay readable (RFC 3711, section 3.4).
const RTCP_HEADER: usize = 8;
/// The flag that an SRTCP packet is encrypted (RFC 3711, section 3.4).
const ENCRYPTED: u32 = 1 << 31;
/// The first number of our SRTCP packets: far above those of str0m.
const FIRST_RTCP: u32 = 1 << 20;

/// A packet that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// The SSRC of its stream.
    pub ssrc: u32,
    /// The sequence number of the packet.
    pub number: u16,
    /// The payload type of the packet.
    pub payload_type: u8,
}

/// What is known of one connection.
#[derive(Clone, Debug, Default)]
pub struct Forge(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    rtp: Option<Session>,
    rtcp: Option<Session>,
    /// The packet that was sent last.
    last: Sent,
    forged: u32,
}

#[derive(Clone, Debug)]
struct Session {
    /// 16 bytes, or 32.
    key: Vec<u8>,
    salt: [u8; 12],
}

impl Forge {
    /// The packet that str0m sent last; `None` before the first one.
    #[must_use]
    pub fn last_sent(&self) -> Option<Sent> {
        let seen = self.seen();
        seen.rtp.is_some().then_some(seen.last)
    }

    /// Whether reports can be sealed.
    #[must_use]
    pub fn can_report(&self) -> bool {
        self.seen().rtcp.is_some()
    }

    /// Seals an RTP packet: its header with all extensions, and what follows. Numbers up to 65,535 of the first round only.
    #[must_use]
    pub fn seal_rtp(&self, header: &[u8], payload: &[u8]) -> Option<Vec<u8>> {
        let session = self.seen().rtp.clone()?;
        let (&[_, _, s0, s1], _) = header.split_first_chunk::<4>()?;
        let ssrc = header.get(8..12)?.first_chunk::<4>()?;
        let iv = AeadAes128Gcm::rtp_iv(session.salt, u32::from_be_bytes(*ssrc), 0, u16::from_be_bytes([s0, s1]));
        Some([header, &session.seal(iv, header, payload)?].concat())
    }

    /// Seals an RTCP packet, or several in one.
    #[must_use]
    pub fn seal_rtcp(&self, packet: &[u8]) -> Option<Vec<u8>> {
        let (session, index) = {
            let mut seen = self.seen();
            seen.forged += 1;
            (seen.rtcp.clone()?, FIRST_RTCP + seen.forged)
        };
        let (header, body) = packet.split_at_checked(RTCP_HEADER)?;
        let ssrc = header.last_chunk::<4>()?;
        let trailer = (ENCRYPTED | index).to_be_bytes();
        let iv = AeadAes128Gcm::rtcp_iv(session.salt, u32::from_be_bytes(*ssrc), index);
        Some([header, &session.seal(iv, &[header, &trailer].concat(), body)?, &trailer].concat())
    }

    /// A provider whose ciphers are watched. It stays until the process ends.
    pub(crate) fn provider(&self) -> Arc<CryptoProvider> {
        let provider = from_feature_flags();
        let gcm: &'static Watched = Box::leak(Box::new(Watched { inner: provider.srtp_provider, forge: self.clone() }));
        Arc::new(CryptoProvider { srtp_provider: gcm, ..provider.clone() })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, key: &[u8], iv: [u8; 12], aad: &[u8]) {
        let word = |at: usize| aad.get(at..at + 4).and_then(|bytes| bytes.first_chunk::<4>()).map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let is_report = aad.get(1).is_some_and(|kind| (200..=207).contains(kind));
        let mut seen = self.seen();
        // What is exclusively or'ed with the salt is known.
        let without = match is_report {
            true => AeadAes128Gcm::rtcp_iv([0; 12], word(4), word(8) & !ENCRYPTED),
            false => {
                let number = u16::try_from(word(0) & 0xffff).unwrap_or(0);
                let payload_type = aad.get(1).map_or(0, |second| second & 0x7f);
                seen.last = Sent { ssrc: word(8), number, payload_type };
                AeadAes128Gcm::rtp_iv([0; 12], word(8), 0, number)
            }
        };
        let mut salt = iv;
        salt.iter_mut().zip(without).for_each(|(salt, known)| *salt ^= known);
        let session = if is_report { &mut seen.rtcp } else { &mut seen.rtp };
        session.get_or_insert_with(|| Session { key: key.to_vec(), salt });
    }
}

impl Session {
    fn seal(&self, iv: [u8; 12], aad: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let algorithm = if self.key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let key = LessSafeKey::new(UnboundKey::new(algorithm, &self.key).ok()?);
        let mut sealed = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut sealed).ok()?;
        Some(sealed)
    }
}

#[derive(Debug)]
struct Watched {
    inner: &'static dyn SrtpProvider,
    forge: Forge,
}

impl SrtpProvider for Watched {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        self.inner.aes_128_cm_sha1_80()
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        Box::leak(Box::new(WatchedGcm { inner: self.inner.aead_aes_128_gcm(), forge: self.forge.clone() }))
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        Box::leak(Box::new(WatchedGcm { inner: self.inner.aead_aes_256_gcm(), forge: self.forge.clone() }))
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.inner.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.inner.srtp_aes_256_ecb_round(key, input, output);
    }
}

#[derive(Debug)]
struct WatchedGcm<T: ?Sized + 'static> {
    inner: &'static T,
    forge: Forge,
}

impl SupportedAeadAes128Gcm for WatchedGcm<dyn SupportedAeadAes128Gcm> {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        Box::new(WatchedCipher { inner: self.inner.create_cipher(key, encrypt), key: key.to_vec(), forge: self.forge.clone() })
    }
}

impl SupportedAeadAes256Gcm for WatchedGcm<dyn SupportedAeadAes256Gcm> {
    fn create_cipher(&self, key: [u8; 32], encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(WatchedCipher { inner: self.inner.create_cipher(key, encrypt), key: key.to_vec(), forge: self.forge.clone() })
    }
}

#[derive(Debug)]
struct WatchedCipher<T: ?Sized> {
    inner: Box<T>,
    key: Vec<u8>,
    forge: Forge,
}

impl AeadAes128GcmCipher for WatchedCipher<dyn AeadAes128GcmCipher> {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.forge.watch(&self.key, *iv, aad);
        self.inner.encrypt(iv, aad, input, output)
    }

    fn decrypt(&mut self, iv: &[u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        self.inner.decrypt(iv, aads, input, output)
    }
}

impl AeadAes256GcmCipher for WatchedCipher<dyn AeadAes256GcmCipher> {
    fn encrypt(&mut self, iv: &[u8; 12], aad: &[u8], input: &[u8], output: &mut [u8]) -> Result<(), CryptoError> {
        self.forge.watch(&self.key, *iv, aad);
        self.inner.encrypt(iv, aad, input, output)
    }

    fn decrypt(&mut self, iv: &[u8; 12], aads: &[&[u8]], input: &[u8], output: &mut [u8]) -> Result<usize, CryptoError> {
        self.inner.decrypt(iv, aads, input, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_what_the_watched_cipher_would_have_written() {
        let forge = Forge::default();
        let (key, salt) = ([7; 16], [9; 12]);
        let header = [&[0x80, 111, 0x12, 0x34][..], &[0; 4], &77_u32.to_be_bytes()].concat();
        let provider = forge.provider();
        let mut cipher = provider.srtp_provider.aead_aes_128_gcm().create_cipher(key, true);
        let mut written = vec![0; 3 + AeadAes128Gcm::TAG_LEN];
        cipher.encrypt(&AeadAes128Gcm::rtp_iv(salt, 77, 0, 0x1234), &header, &[1, 2, 3], &mut written).expect("encrypts");
        assert_eq!(forge.last_sent(), Some(Sent { ssrc: 77, number: 0x1234, payload_type: 111 }));
        assert_eq!(forge.seal_rtp(&header, &[1, 2, 3]), Some([header.clone(), written].concat()));
        // A report: its first eight bytes and its number are what is authenticated beside it.
        assert!(forge.seal_rtcp(&[0; 12]).is_none());
        let head = [&[0x81, 201, 0, 7][..], &5_u32.to_be_bytes()].concat();
        let aad = [head.clone(), (ENCRYPTED | 3).to_be_bytes().to_vec()].concat();
        let mut written = vec![0; 24 + AeadAes128Gcm::TAG_LEN];
        cipher.encrypt(&AeadAes128Gcm::rtcp_iv(salt, 5, 3), &aad, &[4; 24], &mut written).expect("encrypts");
        let sealed = forge.seal_rtcp(&[head.clone(), vec![4; 24]].concat()).expect("sealed");
        let index = u32::from_be_bytes(*sealed.last_chunk::<4>().expect("long enough")) & !ENCRYPTED;
        let aad = [head, (ENCRYPTED | index).to_be_bytes().to_vec()].concat();
        cipher.encrypt(&AeadAes128Gcm::rtcp_iv(salt, 5, index), &aad, &[4; 24], &mut written).expect("encrypts");
        assert_eq!(sealed[8..sealed.len() - 4], written);
    }
}
