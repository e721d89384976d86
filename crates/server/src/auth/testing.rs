//! Keys for tests, and tokens signed with them.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::auth::Authenticator;
use crate::config::{Auth, Secret};

pub const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00123456789abcdef";
pub const OTHER_SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822c";

/// A signer of tokens for tests.
pub struct Signer {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    pub key: EncodingKey,
}

impl Signer {
    pub fn secret(secret: &str) -> Self {
        Self { algorithm: Algorithm::HS256, kid: None, key: EncodingKey::from_secret(secret.as_bytes()) }
    }

    /// A signer with a new pair of keys.
    pub fn pair(algorithm: Algorithm, kid: &str) -> Self {
        let random = SystemRandom::new();
        let ecdsa = |curve| EncodingKey::from_ec_der(EcdsaKeyPair::generate_pkcs8(curve, &random).expect("a pair").as_ref());
        let key = match algorithm {
            Algorithm::ES256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => EncodingKey::from_ed_der(Ed25519KeyPair::generate_pkcs8v1(&random).expect("a pair").as_ref()),
            _ => rsa(KeySize::Rsa2048),
        };
        Self { algorithm, kid: Some(kid.to_owned()), key }
    }

    /// The public half of the signer's key.
    pub fn jwk(&self) -> Value {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&self.key, self.algorithm).expect("public")).expect("json");
        jwk["kid"] = json!(self.kid);
        jwk
    }

    pub fn header(&self) -> Header {
        Header { kid: self.kid.clone(), ..Header::new(self.algorithm) }
    }

    pub fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.header(), claims)
    }

    pub fn sign_as(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &self.key).expect("signs")
    }
}

pub fn rsa(size: KeySize) -> EncodingKey {
    let pair = RsaKeyPair::generate(size).expect("a pair");
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'static> = pair.as_der().expect("encodes");
    // The library takes PKCS #1, which PKCS #8 wraps: a version, an algorithm, and the header of an octet string.
    EncodingKey::from_rsa_der(&der.as_ref()[26..])
}

/// `[auth]` with a secret, changed by `change`.
pub fn with(change: impl FnOnce(&mut Auth)) -> Auth {
    let mut auth = Auth { secret: Secret::new(SECRET.to_owned()), ..Auth::default() };
    change(&mut auth);
    auth
}

pub fn authenticator(change: impl FnOnce(&mut Auth)) -> Authenticator {
    Authenticator::new(&with(change), false).expect("usable")
}

/// The time so many hours from now, in seconds since 1970.
pub fn hour(offset: i64) -> i64 {
    crate::auth::now().0 / 1000 + offset * 3600
}

/// The claims of bob, valid for an hour, with others added.
pub fn bob(more: Value) -> Value {
    let mut claims = json!({ "sub": "bob", "exp": hour(1) });
    for (claim, value) in more.as_object().expect("an object") {
        claims[claim] = value.clone();
    }
    claims
}
