//! STUN binding requests as an ICE-lite agent meets them (RFC 8489, RFC 8445 section 7.3).

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use is::stun::StunMessage;

/// Enough for a reply with an IPv6 address, integrity and fingerprint.
const MAX_REPLY_BYTES: usize = 128;

/// A binding request. Nothing in it may be believed before [`Request::verify`].
pub(crate) struct Request<'a> {
    message: StunMessage<'a>,
}

impl<'a> Request<'a> {
    /// Reads a binding request; anything else, also other STUN messages, is `None`. A lite agent sends no
    /// requests, so it expects no responses.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let message = StunMessage::parse(bytes).ok()?;
        (message.is_binding_request() && message.split_username().is_some()).then_some(Self { message })
    }

    /// The first half of USERNAME: which of our credentials it means.
    pub(crate) fn ufrag(&self) -> &str {
        self.message.split_username().map_or("", |(ours, _)| ours)
    }

    /// Whether the sender asks for this path to be used.
    pub(crate) fn use_candidate(&self) -> bool {
        self.message.use_candidate()
    }

    /// Whether the sender knows the password.
    pub(crate) fn verify(&self, password: &str) -> bool {
        self.message.verify(password.as_bytes(), hmac_sha1)
    }

    /// The answer for a request that came from `remote`.
    pub(crate) fn reply(&self, remote: SocketAddr, password: &str) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MAX_REPLY_BYTES];
        let reply = StunMessage::binding_reply(self.message.trans_id(), remote);
        let len = reply.to_bytes(Some(password.as_bytes()), &mut buffer, hmac_sha1).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }
}

/// Whether bytes look like STUN by their first byte (RFC 7983).
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}

/// MESSAGE-INTEGRITY is HMAC-SHA1 and ICE uses no other (RFC 8489 section 14.5, RFC 8445 section 7.1).
fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; 20];
    digest.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}

#[cfg(test)]
mod tests {
    use is::stun::TransId;
    use proptest::prelude::*;

    use super::*;

    const PASSWORD: &str = "a password of twenty-two";

    fn request(username: &str, password: &str, nominated: bool) -> Vec<u8> {
        let mut buffer = vec![0; 512];
        let message = StunMessage::binding_request(username, TransId::new(), true, 7, 1, nominated);
        let len = message.to_bytes(Some(password.as_bytes()), &mut buffer, hmac_sha1).expect("fits");
        buffer.truncate(len);
        buffer
    }

    #[test]
    fn hmac_sha1_is_that_of_rfc_2202() {
        let digest = hmac_sha1(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let expected =
            [0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a, 0x7c, 0x79];
        assert_eq!(digest, expected);
    }

    #[test]
    fn a_request_is_read_and_verified() {
        let bytes = request("ours:theirs", PASSWORD, true);
        let request = Request::parse(&bytes).expect("a request");
        assert_eq!(request.ufrag(), "ours");
        assert!(request.use_candidate());
        assert!(request.verify(PASSWORD));
        assert!(is_stun(&bytes));
    }

    #[test]
    fn another_password_does_not_verify() {
        let bytes = request("ours:theirs", "another", false);
        let request = Request::parse(&bytes).expect("a request");
        assert!(!request.use_candidate());
        assert!(!request.verify(PASSWORD));
    }

    #[test]
    fn a_reply_names_the_sender_and_can_be_verified() {
        for remote in ["192.0.2.9:4711", "[2001:db8::9]:4711"] {
            let remote = remote.parse().expect("an address");
            let bytes = request("ours:theirs", PASSWORD, false);
            let request = Request::parse(&bytes).expect("a request");
            let reply = request.reply(remote, PASSWORD).expect("a reply");
            let reply = StunMessage::parse(&reply).expect("STUN");
            assert!(reply.is_successful_binding_response());
            assert_eq!(reply.trans_id(), request.message.trans_id());
            assert_eq!(reply.mapped_address(), Some(remote));
            assert!(reply.verify(PASSWORD.as_bytes(), hmac_sha1));
        }
    }

    #[test]
    fn a_response_is_no_request() {
        let bytes = request("ours:theirs", PASSWORD, false);
        let remote = "192.0.2.9:4711".parse().expect("an address");
        let reply = Request::parse(&bytes).and_then(|request| request.reply(remote, PASSWORD)).expect("a reply");
        assert!(Request::parse(&reply).is_none());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(request) = Request::parse(&bytes) {
                prop_assert!(!request.verify(PASSWORD));
            }
        }

        #[test]
        fn a_changed_or_cut_request_never_panics_and_never_verifies(at in any::<prop::sample::Index>(), mask in 1..=255_u8, cut in any::<bool>()) {
            let mut bytes = request("ours:theirs", PASSWORD, true);
            // What follows MESSAGE-INTEGRITY is FINGERPRINT: 8 bytes, which integrity does not cover.
            let at = at.index(bytes.len() - 8);
            if cut {
                bytes.truncate(at);
            } else if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
            }
            if let Some(request) = Request::parse(&bytes) {
                prop_assert!(!request.verify(PASSWORD));
                let _ = request.ufrag();
                let _ = request.reply("192.0.2.9:4711".parse().expect("an address"), PASSWORD);
            }
        }
    }
}
