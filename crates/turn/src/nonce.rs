//! Nonces that the server need not remember: they carry their time, and a tag that only the server can make.

use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::limits::NONCE;
use crate::table::ClientPath;

/// The unit in which a nonce tells its time. In 16 bits that is a week; what is older is told by the tag.
const STEP: Duration = Duration::from_secs(10);
/// Bytes of the time in a nonce.
const TIME: usize = 2;
/// Bytes of the tag in a nonce. A nonce protects from old requests and not from strangers, who lack the password: 56 bits that
/// can only be guessed by asking are enough. More of them would make the first answer longer than a server may send to an
/// address that nobody has proved (see [`crate::message`]).
const TAG: usize = 7;
/// Characters of a nonce.
pub(crate) const LEN: usize = 12;

/// Makes nonces and knows its own again.
#[derive(Debug)]
pub(crate) struct Nonces {
    key: hmac::Key,
    started: Instant,
}

impl Nonces {
    pub(crate) fn new(seed: &[u8; 32], now: Instant) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed), started: now }
    }

    /// A nonce for a client, from this moment on.
    pub(crate) fn make(&self, path: &ClientPath, now: Instant) -> String {
        let step = self.step(now);
        let mut bytes = [0; TIME + TAG];
        let (time, tag) = bytes.split_at_mut(TIME);
        time.copy_from_slice(&low(step).to_be_bytes());
        tag.copy_from_slice(&self.tag(step, path));
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Whether a nonce was made here for this client, and not too long ago.
    pub(crate) fn is_fresh(&self, nonce: &str, path: &ClientPath, now: Instant) -> bool {
        let mut bytes = [0; TIME + TAG];
        if nonce.len() != LEN || BASE64_URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes) != Ok(bytes.len()) {
            return false;
        }
        let Some((time, tag)) = bytes.split_first_chunk::<TIME>() else { return false };
        let current = self.step(now);
        let age = u64::from(low(current).wrapping_sub(u16::from_be_bytes(*time)));
        let is_recent = age * STEP.as_secs() <= NONCE.as_secs();
        let made = current.checked_sub(age);
        is_recent && made.is_some_and(|made| verify_slices_are_equal(&self.tag(made, path), tag).is_ok())
    }

    fn step(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / STEP.as_secs()
    }

    fn tag(&self, step: u64, path: &ClientPath) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&step.to_be_bytes());
        context.update(&path.listener.to_be_bytes());
        match path.remote.ip() {
            std::net::IpAddr::V4(ip) => context.update(&ip.octets()),
            std::net::IpAddr::V6(ip) => context.update(&ip.octets()),
        }
        context.update(&path.remote.port().to_be_bytes());
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// The part of the time that a nonce carries.
#[expect(clippy::cast_possible_truncation, reason = "the rest is under the tag")]
const fn low(step: u64) -> u16 {
    step as u16
}

#[cfg(test)]
mod tests {
    use parlor_testkit::clock::Clock;
    use proptest::prelude::*;

    use super::*;

    fn path(port: u16) -> ClientPath {
        ClientPath { listener: 0, remote: ([198, 51, 100, 7], port).into() }
    }

    fn origin() -> Instant {
        Clock::new().now()
    }

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time() {
        let start = origin();
        let nonces = Nonces::new(&[7; 32], start);
        let made = start + Duration::from_secs(1_000_005);
        let nonce = nonces.make(&path(1), made);
        assert_eq!(nonce.len(), LEN);
        for (age, fresh) in [(0, true), (594, true), (611, false), (3_600, false), (655_360, false), (655_365, false)] {
            assert_eq!(nonces.is_fresh(&nonce, &path(1), made + Duration::from_secs(age)), fresh, "after {age} s");
        }
        assert!(!nonces.is_fresh(&nonce, &path(1), start), "from a time to come");
        assert!(!nonces.is_fresh(&nonce, &path(2), made), "of another port");
        assert!(!nonces.is_fresh(&nonce, &ClientPath { listener: 1, ..path(1) }, made), "on another listener");
        assert!(!Nonces::new(&[8; 32], start).is_fresh(&nonce, &path(1), made), "of another server");
    }

    proptest! {
        #[test]
        fn no_other_text_is_taken_for_a_nonce(text in ".{0,16}", place in 0usize..LEN, flip in 1u8..64) {
            let now = origin();
            let nonces = Nonces::new(&[7; 32], now);
            prop_assert!(!nonces.is_fresh(&text, &path(1), now));
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(nonces.make(&path(1), now)).expect("ours");
            bytes[place % (TIME + TAG)] ^= flip;
            prop_assert!(!nonces.is_fresh(&BASE64_URL_SAFE_NO_PAD.encode(bytes), &path(1), now));
        }
    }
}
