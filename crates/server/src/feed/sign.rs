//! The signature of a delivery: HMAC-SHA256 over time and body.

use std::fmt::Write;

use aws_lc_rs::hmac;

use crate::config::Secret;

/// The header with time and signature.
pub const SIGNATURE_HEADER: &str = "parlor-signature";

/// A webhook's key.
pub struct Signer(hmac::Key);

impl Signer {
    /// From the configured secret, byte for byte.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()))
    }

    /// The header's value. The time is signed too, so that a recorded delivery is of no use later.
    #[must_use]
    pub fn header(&self, unix_seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(unix_seconds.to_string().as_bytes());
        context.update(b".");
        context.update(body);
        let mut header = format!("t={unix_seconds},v1=");
        for byte in context.sign().as_ref() {
            // Writing to a text does not fail.
            let _ = write!(header, "{byte:02x}");
        }
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `openssl dgst -sha256 -hmac`.
    #[test]
    fn a_signature_is_what_others_compute() {
        let signer = Signer::new(&Secret::new("0123456789abcdef0123456789abcdef".to_owned()));
        let expected = "t=1700000000,v1=df29826f9365a4c39eb569c867ae31fb39108dee0a0b3e4bcf09f11a0ba43081";
        assert_eq!(signer.header(1_700_000_000, br#"{"events":[]}"#), expected);
    }
}
