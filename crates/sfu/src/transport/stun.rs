//! STUN binding requests as an ICE-lite agent meets them (RFC 8489, RFC 8445 section 7.3).

use std::net::SocketAddr;

use str0m::crypto::CryptoProvider;
use str0m::ice::StunMessage;

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
    pub(crate) fn verify(&self, password: &str, crypto: &CryptoProvider) -> bool {
        self.message.verify(password.as_bytes(), |key, parts| crypto.sha1_hmac_provider.sha1_hmac(key, parts))
    }

    /// The answer for a request that came from `remote`.
    pub(crate) fn reply(&self, remote: SocketAddr, password: &str, crypto: &CryptoProvider) -> Option<Vec<u8>> {
        let mut buffer = vec![0; MAX_REPLY_BYTES];
        let reply = StunMessage::binding_reply(self.message.trans_id(), remote);
        let hmac = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
        let len = reply.to_bytes(Some(password.as_bytes()), &mut buffer, hmac).ok()?;
        buffer.truncate(len);
        Some(buffer)
    }
}

/// Whether bytes look like STUN by their first byte (RFC 7983).
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}
