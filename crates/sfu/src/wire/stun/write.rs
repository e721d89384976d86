//! Writes STUN messages.

use std::net::SocketAddr;

use super::{ATTRIBUTE, COOKIE, HEADER, INTEGRITY_BYTES, TransactionId, attribute, fingerprint, hmac_sha1};

/// Enough for every message we write.
const USUAL_BYTES: usize = 128;

pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn new(kind: u16, id: TransactionId) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_BYTES);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(COOKIE);
        bytes.extend(id);
        Self(bytes)
    }

    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.0.extend(kind.to_be_bytes());
        self.0.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    /// RFC 8489, section 14.2.
    pub(super) fn mapped_address(&mut self, address: SocketAddr) {
        let mut mask = COOKIE.to_vec();
        mask.extend(self.0.iter().skip(8).take(12));
        let (family, ip) = match address {
            SocketAddr::V4(v4) => (1, v4.ip().octets().to_vec()),
            SocketAddr::V6(v6) => (2, v6.ip().octets().to_vec()),
        };
        let [high, low] = address.port().to_be_bytes();
        let mut value = vec![0, family, high ^ COOKIE[0], low ^ COOKIE[1]];
        value.extend(ip.iter().zip(&mask).map(|(byte, mask)| byte ^ mask));
        self.put(attribute::XOR_MAPPED_ADDRESS, &value);
    }

    /// RFC 8489, section 14.8.
    pub(super) fn error(&mut self, code: u16, reason: &str) {
        let (class, number) = ((code / 100).to_be_bytes(), (code % 100).to_be_bytes());
        let mut value = vec![0, 0, class[1], number[1]];
        value.extend(reason.as_bytes());
        self.put(attribute::ERROR_CODE, &value);
    }

    /// The whole message, with integrity if there is a password, and with its checksum.
    pub(super) fn finish(mut self, password: Option<&str>) -> Vec<u8> {
        if let Some(password) = password {
            self.set_length(ATTRIBUTE + INTEGRITY_BYTES);
            let integrity = hmac_sha1(password, &[&self.0]);
            self.put(attribute::MESSAGE_INTEGRITY, &integrity);
        }
        self.set_length(ATTRIBUTE + 4);
        let checksum = fingerprint(&self.0).to_be_bytes();
        self.put(attribute::FINGERPRINT, &checksum);
        self.0
    }

    /// Writes the length of the message, as if so many bytes were to follow.
    fn set_length(&mut self, follow: usize) {
        let len = u16::try_from(self.0.len() + follow - HEADER).unwrap_or(u16::MAX).to_be_bytes();
        self.0.iter_mut().skip(2).zip(len).for_each(|(to, from)| *to = from);
    }
}
