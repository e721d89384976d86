//! Keys, and the check whether one of them signed a token.
//!
//! The algorithm a key is good for is decided by the key, never by the token: a public key is no HMAC secret, and there
//! is no key for `none`. A token only chooses, by `kid`, which of the server's keys is tried. Keys and addresses of
//! keys inside a token (`jwk`, `jku`, `x5u`, `x5c`) are ignored.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, Header, crypto, dangerous};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The most bytes of a token: a usual one has about 300, and one with as many channels as it may have about 10,000. A
/// bigger one is not worth the hashing.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// The most characters of a key's id, which is only compared.
pub const MAX_KID_CHARS: usize = 256;
/// The most keys of one set. A token without `kid` is tried with all that fit: 32 checks of RSA are about a millisecond.
pub const MAX_KEYS: usize = 32;
/// The accepted strengths of RSA keys, as bytes of the modulus: 2048 to 8192 bits.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// The algorithms of a secret: whoever has the secret can use each.
const HMAC: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// One key that verifies tokens.
#[derive(Clone)]
pub struct Key {
    id: Option<String>,
    algorithms: &'static [Algorithm],
    decoding: DecodingKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl Key {
    /// A shared secret; an empty id means that it has none.
    pub fn secret(id: &str, secret: &str) -> Self {
        Self { id: (!id.is_empty()).then(|| id.to_owned()), algorithms: HMAC, decoding: DecodingKey::from_secret(secret.as_bytes()) }
    }

    /// A public key of a key set; the error says why it cannot be used.
    pub fn public(jwk: &Jwk) -> Result<Self, &'static str> {
        let common = &jwk.common;
        if common.public_key_use.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature) {
            return Err("it is not for signatures");
        }
        if common.key_operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify)) {
            return Err("it is not for verifying");
        }
        if common.key_id.as_ref().is_some_and(|id| id.chars().nth(MAX_KID_CHARS).is_some()) {
            return Err("its kid is too long");
        }
        let algorithms = algorithm(jwk)?;
        let decoding = DecodingKey::from_jwk(jwk).map_err(|_| "its numbers are not base64url")?;
        check_size(&decoding, algorithms)?;
        Ok(Self { id: common.key_id.clone(), algorithms, decoding })
    }

    /// Whether this key could have signed a token with this header. Only a key with a name can be the wrong one.
    fn fits(&self, header: &Header) -> bool {
        let named = match (&self.id, &header.kid) {
            (Some(own), Some(wanted)) => own == wanted,
            _ => true,
        };
        named && self.algorithms.contains(&header.alg)
    }
}

/// The algorithm of a public key (one key, one algorithm: RFC 8725, 3.1): the one the key names, or the usual one of its type.
fn algorithm(jwk: &Jwk) -> Result<&'static [Algorithm], &'static str> {
    let usual: &'static [Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) if jwk.common.key_algorithm == Some(KeyAlgorithm::PS256) => return Ok(&[Algorithm::PS256]),
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256],
        AlgorithmParameters::EllipticCurve(params) => match params.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => return Err("its curve is neither P-256 nor P-384"),
        },
        AlgorithmParameters::OctetKeyPair(params) if params.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
        AlgorithmParameters::OctetKeyPair(_) => return Err("its curve is not Ed25519"),
        // A shared secret in a key set would let everybody who can read the set sign tokens.
        AlgorithmParameters::OctetKey(_) => return Err("it is a shared secret; those belong into auth.secret"),
        _ => return Err("its type is not known"),
    };
    let said = jwk.common.key_algorithm;
    match (said, usual) {
        (None, usual) => Ok(usual),
        (Some(said), [usual_one]) if said == KeyAlgorithm::from(*usual_one) => Ok(usual),
        _ => Err("its alg is not one of RS256, PS256, ES256, ES384 and EdDSA, or not of its type"),
    }
}

fn check_size(key: &DecodingKey, algorithms: &[Algorithm]) -> Result<(), &'static str> {
    // An uncompressed point is a byte and two coordinates.
    let expected = match algorithms {
        [Algorithm::ES256] => 1 + 2 * 32,
        [Algorithm::ES384] => 1 + 2 * 48,
        _ => 32,
    };
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, e } if RSA_BYTES.contains(&n.len()) && !e.is_empty() => Ok(()),
        DecodingKeyKind::RsaModulusExponent { .. } => Err("an RSA key must have 2048 to 8192 bits"),
        DecodingKeyKind::SecretOrDer(bytes) if bytes.len() == expected => Ok(()),
        DecodingKeyKind::SecretOrDer(_) => Err("its point has the wrong length"),
    }
}

/// The result of reading a key set's document.
#[derive(Debug, Default)]
pub struct KeySet {
    /// The keys that can be used.
    pub keys: Vec<Key>,
    /// The reasons why other keys cannot be used, a sentence each.
    pub skipped: Vec<String>,
}

/// Reads a JSON Web Key Set. A key that cannot be used does not keep the others from being used.
pub fn read_set(document: &[u8]) -> Result<KeySet, &'static str> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document =
        serde_json::from_slice(document).map_err(|_| "it is not a JSON Web Key Set: an object with a list \"keys\"")?;
    let mut set = KeySet::default();
    for (index, jwk) in document.keys.into_iter().enumerate() {
        if set.keys.len() == MAX_KEYS {
            set.skipped.push(format!("keys[{index}] and those behind it: more than {MAX_KEYS} are not taken"));
            break;
        }
        let key = serde_json::from_value::<Jwk>(jwk).map_err(|_| "it is not a key, or lacks a number").and_then(|jwk| Key::public(&jwk));
        match key {
            Ok(key) => set.keys.push(key),
            Err(reason) => set.skipped.push(format!("keys[{index}]: {reason}")),
        }
    }
    Ok(set)
}

/// A token taken apart. Nothing of it is verified.
#[derive(Debug)]
pub struct Unverified<'a> {
    token: &'a str,
    header: Header,
    message: &'a str,
    signature: &'a str,
}

/// Whether a token was signed with one of some keys.
#[derive(Debug)]
pub enum SignatureCheck {
    /// One of the keys signed the token; these are its claims.
    Signed(Map<String, Value>),
    /// No key can have signed the token.
    Forged,
    /// None of these keys signed the token, but a key that is not here may have.
    UnknownKey,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart; `None` if no issuer this server accepts could have signed it.
    pub fn read(token: &'a str) -> Option<Self> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        // The library does not read a header whose algorithm does not exist or is `none`.
        let header = jsonwebtoken::decode_header(token).ok()?;
        // Critical extensions must be understood (RFC 7515, 4.1.11), and this server understands none.
        let fine = header.crit.is_none() && header.kid.as_ref().is_none_or(|id| id.chars().nth(MAX_KID_CHARS).is_none());
        fine.then_some(Self { token, header, message, signature })
    }

    /// Checks the signature with the keys that fit.
    pub fn verify(&self, keys: &[Key]) -> SignatureCheck {
        let signed = |key: &Key| crypto::verify(self.signature, self.message.as_bytes(), &key.decoding, self.header.alg) == Ok(true);
        if keys.iter().any(|key| key.fits(&self.header) && signed(key)) {
            // Not insecure here: the signature of this very text has just been verified.
            return dangerous::insecure_decode_claims(self.token).map_or(SignatureCheck::Forged, SignatureCheck::Signed);
        }
        let named = |key: &Key| self.header.kid.is_some() && key.id == self.header.kid && key.fits(&self.header);
        if HMAC.contains(&self.header.alg) || keys.iter().any(named) { SignatureCheck::Forged } else { SignatureCheck::UnknownKey }
    }
}

#[cfg(test)]
mod tests;
