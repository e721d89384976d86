//! Requests read and answers written, on the codecs of stun-types and turn-types.
//!
//! **An answer to a stranger is short.** Anybody can write any sender's address on a datagram, so what is answered before a password
//! was seen is never more than twice as long as the request: otherwise the server would be a means to flood others. The shortest request
//! of a browser for an allocation has 28 bytes, and 56 are a header, an error code without words, a realm of six letters
//! and a nonce of twelve characters. What does not fit is not answered.

use stun_types::attribute::{
    AttributeType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256, Nonce, Realm, UnknownAttributes, Username,
    XorMappedAddress,
};
use stun_types::message::{
    IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWriteVec, Method, TransactionId,
};
use stun_types::prelude::*;

use std::net::SocketAddr;

use crate::credentials::REALM;
use crate::limits::MAX_MESSAGE;
use crate::wire::{COOKIE, STUN_HEADER, fingerprint};

/// How much longer than its request an answer to a stranger may be.
const MAX_AMPLIFICATION: usize = 2;
/// Bytes of the IPv6 and UDP headers around a datagram.
const HEADERS_V6: usize = 48;

/// A request or indication that is well-formed, and whose fingerprint is right if it has one.
pub(crate) struct Incoming<'a> {
    message: Message<'a>,
    pub len: usize,
    pub has_fingerprint: bool,
}

/// An error to answer with (RFC 8489, section 14.8; RFC 8656, section 19).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Problem {
    BadRequest,
    Unauthorized,
    Forbidden,
    UnknownAttribute,
    AllocationMismatch,
    StaleNonce,
    FamilyNotSupported,
    WrongCredentials,
    TransportNotSupported,
    PeerFamilyMismatch,
    QuotaReached,
    InsufficientCapacity,
}

impl Problem {
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::UnknownAttribute => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::FamilyNotSupported => 440,
            Self::WrongCredentials => 441,
            Self::TransportNotSupported => 442,
            Self::PeerFamilyMismatch => 443,
            Self::QuotaReached => 486,
            Self::InsufficientCapacity => 508,
        }
    }
}

impl<'a> Incoming<'a> {
    /// Reads a message; nothing for one that is malformed. Lengths are checked here and not left to the codec, which
    /// takes more than it should and logs what it refuses, a line for every datagram of a stranger.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        let has_fingerprint = check(bytes)?;
        Some(Self { message: Message::from_bytes(bytes).ok()?, len: bytes.len(), has_fingerprint })
    }

    pub(crate) fn class(&self) -> MessageClass {
        self.message.class()
    }

    pub(crate) fn method(&self) -> Method {
        self.message.method()
    }

    pub(crate) fn transaction(&self) -> TransactionId {
        self.message.transaction_id()
    }

    /// The first attribute of a kind: nothing if there is none, an error if it is malformed.
    pub(crate) fn get<A: AttributeFromRaw<'a> + AttributeStaticType>(&self) -> Result<Option<A>, Problem> {
        let raw = self.message.iter_attributes().find(|(_, raw)| raw.get_type() == A::TYPE);
        raw.map(|(_, raw)| A::from_raw_ref(&raw).map_err(|_| Problem::BadRequest)).transpose()
    }

    /// All attributes of a kind.
    pub(crate) fn all<A: AttributeFromRaw<'a> + AttributeStaticType>(&self) -> Result<Vec<A>, Problem> {
        let raw = self.message.iter_attributes().filter(|(_, raw)| raw.get_type() == A::TYPE);
        raw.map(|(_, raw)| A::from_raw_ref(&raw).map_err(|_| Problem::BadRequest)).collect()
    }

    pub(crate) fn has(&self, kind: AttributeType) -> bool {
        self.message.has_attribute(kind)
    }

    /// The attributes that have to be understood, and are not among those that a request of this kind may have.
    pub(crate) fn unknown(&self, known: &[AttributeType]) -> Vec<AttributeType> {
        let framework = [Username::TYPE, Realm::TYPE, Nonce::TYPE, MessageIntegrity::TYPE, MessageIntegritySha256::TYPE, Fingerprint::TYPE];
        let kinds = self.message.iter_attributes().map(|(_, raw)| raw.get_type());
        kinds.filter(|kind| kind.comprehension_required() && !framework.contains(kind) && !known.contains(kind)).collect()
    }

    /// Whether the message was made by who knows the key. The comparison takes as long whatever differs.
    pub(crate) fn is_by(&self, key: &IntegrityKey) -> bool {
        self.message.validate_integrity_with_key(key).is_ok_and(|algorithm| algorithm == IntegrityAlgorithm::Sha1)
    }

    /// Whether there is a tag that [`Incoming::is_by`] can check.
    pub(crate) fn is_signed(&self) -> bool {
        self.has(MessageIntegrity::TYPE)
    }

    /// Begins a success response.
    pub(crate) fn success(&self) -> Answer {
        Answer::success(self.method(), self.transaction(), self.has_fingerprint)
    }

    /// An error response to somebody who has shown a password, or to anybody as far as it is short enough.
    pub(crate) fn error(&self, problem: Problem) -> Answer {
        let mut answer = Answer::begin(MessageClass::Error, self.method(), self.transaction(), self.has_fingerprint);
        answer.problem(problem, ErrorCode::default_reason_for_code(problem.code()));
        answer
    }

    /// An error response with what a client needs to try again: realm and nonce.
    pub(crate) fn challenge(&self, problem: Problem, nonce: &str) -> Option<Vec<u8>> {
        self.shortest(|words| {
            let mut answer = Answer::begin(MessageClass::Error, self.method(), self.transaction(), self.has_fingerprint);
            answer.problem(problem, words.unwrap_or_else(|| ErrorCode::default_reason_for_code(problem.code())));
            if let (Ok(realm), Ok(nonce)) = (Realm::new(REALM), Nonce::new(nonce)) {
                answer.add(&realm);
                answer.add(&nonce);
            }
            answer.finish(None)
        })
    }

    /// An error response to a stranger.
    pub(crate) fn refusal(&self, problem: Problem, unknown: &[AttributeType]) -> Option<Vec<u8>> {
        self.shortest(|words| {
            let mut answer = Answer::begin(MessageClass::Error, self.method(), self.transaction(), self.has_fingerprint);
            answer.problem(problem, words.unwrap_or_else(|| ErrorCode::default_reason_for_code(problem.code())));
            if !unknown.is_empty() {
                answer.add(&UnknownAttributes::new(unknown));
            }
            answer.finish(None)
        })
    }

    /// The answer to a binding request: the address it came from.
    pub(crate) fn mapped(&self, remote: SocketAddr) -> Option<Vec<u8>> {
        let mut answer = self.success();
        answer.add(&XorMappedAddress::new(remote, self.transaction()));
        let answer = answer.finish(None);
        // The bare request of a browser has 20 bytes and the answer over IPv6 44, which cannot be made shorter. There, and only there,
        // the headers count: on the wire it is 92 bytes for 68.
        let headers = if remote.is_ipv6() { HEADERS_V6 } else { 0 };
        (answer.len() + headers <= MAX_AMPLIFICATION * (self.len + headers)).then_some(answer)
    }

    /// An answer with its words, or else without them, or else none: whichever is short enough for a stranger.
    fn shortest(&self, write: impl Fn(Option<&str>) -> Vec<u8>) -> Option<Vec<u8>> {
        [None, Some("")].into_iter().map(write).find(|answer| answer.len() <= MAX_AMPLIFICATION * self.len)
    }
}

/// An answer that is being written.
pub(crate) struct Answer {
    message: MessageWriteVec,
    fingerprint: bool,
}

impl Answer {
    pub(crate) fn success(method: Method, transaction: TransactionId, fingerprint: bool) -> Self {
        Self::begin(MessageClass::Success, method, transaction, fingerprint)
    }

    pub(crate) fn error(method: Method, transaction: TransactionId, fingerprint: bool) -> Self {
        Self::begin(MessageClass::Error, method, transaction, fingerprint)
    }

    fn begin(class: MessageClass, method: Method, transaction: TransactionId, fingerprint: bool) -> Self {
        let message = Message::builder(MessageType::from_class_method(class, method), transaction, MessageWriteVec::new());
        Self { message, fingerprint }
    }

    pub(crate) fn add(&mut self, attribute: &dyn AttributeWrite) {
        // An error would be of the order of attributes, and that is the order of the calls here.
        let _ = self.message.add_attribute(attribute);
    }

    pub(crate) fn problem(&mut self, problem: Problem, words: &str) {
        if let Ok(code) = ErrorCode::new(problem.code(), words) {
            self.add(&code);
        }
    }

    /// The bytes, signed if there is a key, and with a fingerprint if the request had one.
    pub(crate) fn finish(mut self, key: Option<&IntegrityKey>) -> Vec<u8> {
        if let Some(key) = key {
            let _ = self.message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1);
        }
        if self.fingerprint {
            let _ = self.message.add_fingerprint();
        }
        self.message.finish()
    }
}

/// The key of a long-term credential (RFC 8489, section 9.2.2).
pub(crate) fn key(username: &str, password: String) -> IntegrityKey {
    LongTermKeyCredentials::new(username.to_owned(), password, REALM.to_owned()).make_key(IntegrityAlgorithm::Sha1)
}

/// Whether lengths, cookie and fingerprint are right; answers whether there is a fingerprint. Nothing follows a fingerprint. What follows
/// the integrity is not under it, and nobody reads it (RFC 8489, section 14.5).
fn check(bytes: &[u8]) -> Option<bool> {
    let (header, mut rest) = bytes.split_first_chunk::<STUN_HEADER>()?;
    let [_, _, l0, l1, c0, c1, c2, c3, ..] = *header;
    if bytes.len() > MAX_MESSAGE || usize::from(u16::from_be_bytes([l0, l1])) != rest.len() || [c0, c1, c2, c3] != COOKIE {
        return None;
    }
    let mut signed = false;
    while let Some(([t0, t1, l0, l1], after)) = rest.split_first_chunk() {
        let (kind, len) = (AttributeType::new(u16::from_be_bytes([*t0, *t1])), usize::from(u16::from_be_bytes([*l0, *l1])));
        let value = after.get(..len)?;
        let next = after.get(len.next_multiple_of(4)..)?;
        match kind {
            Fingerprint::TYPE => {
                let before = bytes.get(..bytes.len() - rest.len())?;
                return (next.is_empty() && value == fingerprint(before)).then_some(true);
            }
            MessageIntegrity::TYPE if len == 20 && !signed => signed = true,
            MessageIntegritySha256::TYPE if (16..=32).contains(&len) && len.is_multiple_of(4) => signed = true,
            MessageIntegrity::TYPE | MessageIntegritySha256::TYPE if !signed => return None,
            _ => {}
        }
        rest = next;
    }
    rest.is_empty().then_some(false)
}

#[cfg(test)]
mod tests;
