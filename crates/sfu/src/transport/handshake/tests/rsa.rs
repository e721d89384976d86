//! Clients with RSA certificates, in either role. The signatures are made by aws-lc-rs here, as a client's own library would.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use dimpl::CryptoError;
use dimpl::crypto::aws_lc_rs as standard;
use dimpl::crypto::{Buf, CryptoProvider, HashAlgorithm, KeyProvider, SignatureAlgorithm, SigningKey};

use super::*;

/// What the client says that it signs with, and signs with.
#[derive(Debug, Clone, Copy)]
enum Padding {
    Pkcs1,
    /// In DTLS 1.3 the engine writes the scheme itself.
    Pss,
    /// Scheme 0x0804, where DTLS 1.2 has a hash and a signature algorithm (RFC 8446 section 4.2.3).
    PssByScheme,
}
use Padding::{Pkcs1, Pss, PssByScheme};

#[derive(Debug)]
struct Key(RsaKeyPair, Padding);

impl SigningKey for Key {
    fn sign(&mut self, data: &[u8], _: HashAlgorithm, out: &mut Buf) -> Result<(), CryptoError> {
        let encoding: &'static dyn RsaEncoding = if matches!(self.1, Pkcs1) { &RSA_PKCS1_SHA256 } else { &RSA_PSS_SHA256 };
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(encoding, &SystemRandom::new(), data, &mut signature).expect("signs");
        out.clear();
        out.extend_from_slice(&signature);
        Ok(())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        if matches!(self.1, PssByScheme) { SignatureAlgorithm::from_u8(4) } else { SignatureAlgorithm::RSA }
    }

    fn hash_algorithm(&self) -> HashAlgorithm {
        if matches!(self.1, PssByScheme) { HashAlgorithm::from_u8(8) } else { HashAlgorithm::SHA256 }
    }

    fn supported_hash_algorithms(&self) -> &[HashAlgorithm] {
        &[HashAlgorithm::SHA256]
    }
}

#[derive(Debug)]
struct Keys(Padding);

impl KeyProvider for Keys {
    fn load_private_key(&self, der: &[u8]) -> Result<Box<dyn SigningKey>, CryptoError> {
        Ok(Box::new(Key(RsaKeyPair::from_pkcs8(der).expect("a key"), self.0)))
    }
}

/// Certificate and key, by the number of bits.
fn certificate(bits: u32) -> DtlsCertificate {
    let (certificate, private_key): (&[u8], &[u8]) = match bits {
        2_048 => (include_bytes!("../fixtures/rsa-2048.cert.der"), include_bytes!("../fixtures/rsa-2048.key.der")),
        _ => (include_bytes!("../fixtures/rsa-4096.cert.der"), include_bytes!("../fixtures/rsa-4096.key.der")),
    };
    DtlsCertificate { certificate: certificate.to_vec(), private_key: private_key.to_vec() }
}

fn world(version: Version, role: DtlsRole, padding: Padding, certificate: DtlsCertificate) -> World {
    let keys: &'static Keys = match padding {
        Pkcs1 => &Keys(Pkcs1),
        Pss => &Keys(Pss),
        PssByScheme => &Keys(PssByScheme),
    };
    let provider = CryptoProvider { key_provider: keys, ..standard::default_provider() };
    let config = Config::builder().with_crypto_provider(provider).build().expect("a configuration");
    let mut world = World::with(version, role, "sha-256", config, certificate);
    world.start();
    world.run(&mut |sent| sent);
    world
}

#[test]
fn rsa_certificates_connect_in_both_versions_and_roles() {
    for bits in [2_048, 4_096] {
        for (version, role, padding) in [
            (V12, DtlsRole::Client, Pkcs1),
            (V12, DtlsRole::Client, PssByScheme),
            // The client is the DTLS server: a cipher suite of ECDHE_RSA.
            (V12, DtlsRole::Server, Pkcs1),
            (V13, DtlsRole::Client, Pss),
            (V13, DtlsRole::Server, Pss),
        ] {
            let world = world(version, role, padding, certificate(bits));
            assert!(world.keys.is_some(), "{version:?} {role:?} {bits} {padding:?}");
            world.assert_connected();
        }
    }
}

#[test]
fn a_signature_in_another_padding_than_announced_is_refused() {
    for (version, role, padding) in [
        (V12, DtlsRole::Client, Pss),
        (V12, DtlsRole::Server, Pss),
        // The engine announces PSS here: PKCS#1 is for certificates alone (RFC 8446 section 4.2.3).
        (V13, DtlsRole::Client, Pkcs1),
        (V13, DtlsRole::Server, Pkcs1),
    ] {
        let world = world(version, role, padding, certificate(2_048));
        assert!(world.closed && world.keys.is_none(), "{version:?} {role:?} {padding:?}");
        assert_eq!(world.reason, Some(TransportFailure::SignatureInvalid));
    }
}

#[test]
fn an_rsa_key_that_is_too_short_is_refused() {
    // The certificate of a short key, and signatures by a long one: no library here signs with a short key.
    for (version, role, padding) in [(V12, DtlsRole::Client, Pkcs1), (V12, DtlsRole::Server, Pkcs1), (V13, DtlsRole::Client, Pss)] {
        let short = include_bytes!("../fixtures/rsa-1024.cert.der").to_vec();
        let world = world(version, role, padding, DtlsCertificate { certificate: short, ..certificate(2_048) });
        assert!(world.closed && world.keys.is_none(), "{version:?} {role:?} {padding:?}");
    }
}
