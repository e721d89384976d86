//! The signature of a delivery, as Standard Webhooks has it: HMAC-SHA256 over id, time and body.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::secret::Secret;

/// The header with the delivery's id, the same when it is tried again.
pub const ID_HEADER: &str = "webhook-id";
/// The header with the time of the try, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// The header with one signature for each secret, spaces between them.
pub const SIGNATURE_HEADER: &str = "webhook-signature";

/// The beginning of a secret; the rest is the key in base64.
const PREFIX: &str = "whsec_";
/// The shortest and the longest key that the specification allows.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The advice for a secret that is malformed.
const HOW: &str = "must be whsec_ and a key of 24 to 64 bytes in base64: `echo \"whsec_$(openssl rand -base64 32)\"` makes one";

/// The keys of a webhook.
pub struct Signer(Vec<hmac::Key>);

impl Signer {
    /// Makes a signer from the configured secrets; the error says how a secret has to be written.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Result<Self, &'static str> {
        secrets.into_iter().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The value of the header with the signatures. Id and time are signed too, so that a recorded delivery cannot be
    /// replayed later. Neither contains a full stop, which separates them.
    #[must_use]
    pub fn header(&self, id: &str, unix_seconds: i64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{unix_seconds}.").as_bytes());
            context.update(body);
            format!("v1,{}", STANDARD.encode(context.sign()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &Secret) -> Result<hmac::Key, &'static str> {
    let key = secret.reveal().strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let key = key.filter(|key| KEY_BYTES.contains(&key.len())).ok_or(HOW)?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example that the tests of the specification's own libraries use, in every language.
    const PUBLISHED: [&str; 3] = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#];

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn a_signature_is_the_published_one() {
        let [key, id, body] = PUBLISHED;
        let signer = Signer::new([&secret(key)]).expect("valid");
        assert_eq!(signer.header(id, 1_614_265_330, body.as_bytes()), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_in_the_order_given() {
        let [key, id, body] = PUBLISHED;
        let (new, old) = (secret(&format!("whsec_{}", STANDARD.encode([7; 32]))), secret(key));
        let both = Signer::new([&new, &old]).expect("valid").header(id, 1_614_265_330, body.as_bytes());
        let alone = |secret| Signer::new([secret]).expect("valid").header(id, 1_614_265_330, body.as_bytes());
        assert_eq!(both, format!("{} {}", alone(&new), alone(&old)));
    }

    #[test]
    fn a_secret_that_is_no_key_of_the_specification_is_refused_with_the_way_to_make_one() {
        let of = |text: &str| Signer::new([&secret(text)]).err();
        for bytes in [24, 32, 64] {
            assert_eq!(of(&format!("whsec_{}", STANDARD.encode(vec![1; bytes]))), None, "{bytes}");
        }
        let (short, long) = (STANDARD.encode([1; 23]), STANDARD.encode([1; 65]));
        for wrong in [
            "",
            "whsec_",
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsec_M-KQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ] {
            assert!(of(wrong).is_some_and(|said| said.contains("openssl rand -base64 32")), "{wrong}");
        }
        assert!(of(&format!("whsec_{short}")).is_some() && of(&format!("whsec_{long}")).is_some());
    }
}
