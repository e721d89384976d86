//! STUN as an ICE-lite agent speaks it: binding requests, their answers, and probes of a path (RFC 8489; RFC 8445, section 7.3).

#[cfg(test)]
mod tests;
mod write;

use std::net::SocketAddr;

use aws_lc_rs::{constant_time, hmac};
use crc::{CRC_32_ISO_HDLC, Crc};

use write::Writer;

/// The header: type, length, cookie, transaction (RFC 8489, section 5).
const HEADER: usize = 20;
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// An attribute's type and length.
const ATTRIBUTE: usize = 4;
const INTEGRITY_BYTES: usize = 20;
/// The longest USERNAME (RFC 8489, section 14.3).
const MAX_USERNAME: usize = 508;
/// Attributes an answer names as unknown. Who has more is told of the first.
const MAX_UNKNOWN: usize = 8;
/// What FINGERPRINT is combined with (RFC 8489, section 14.7).
const FINGERPRINT_MASK: u32 = 0x5354_554e;
static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// Message types: method Binding with its class (RFC 8489, section 5).
mod kind {
    pub(super) const REQUEST: u16 = 0x0001;
    pub(super) const SUCCESS: u16 = 0x0101;
    pub(super) const ERROR: u16 = 0x0111;
}

/// Attributes (RFC 8489, section 18.3; RFC 8445, section 16.1).
mod attribute {
    pub(super) const USERNAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const ERROR_CODE: u16 = 0x0009;
    pub(super) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(super) const REALM: u16 = 0x0014;
    pub(super) const NONCE: u16 = 0x0015;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    /// A nomination with a number, of which the highest counts (draft-thatcher-ice-renomination; the number is libwebrtc's).
    pub(super) const NOMINATION: u16 = 0xc001;
    /// From here on an attribute may be ignored by who does not know it (RFC 8489, section 14).
    pub(super) const OPTIONAL: u16 = 0x8000;
}

/// What tells a transaction from all others.
pub(crate) type TransactionId = [u8; 12];

/// Why a request is not granted (RFC 8489, section 14.8; RFC 8445, section 7.3.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    BadRequest,
    Unauthenticated,
    UnknownAttribute,
    RoleConflict,
}

impl Refusal {
    const fn code(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthenticated => 401,
            Self::UnknownAttribute => 420,
            Self::RoleConflict => 487,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::BadRequest => "Bad Request",
            Self::Unauthenticated => "Unauthenticated",
            Self::UnknownAttribute => "Unknown Attribute",
            Self::RoleConflict => "Role Conflict",
        }
    }
}

/// A message a lite agent has a use for.
pub(crate) enum Stun<'a> {
    Request(Request<'a>),
    /// Somebody got a probe of ours.
    Answer(Answer),
}

/// An answer to a request of ours. It counts only where the transaction was sent to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Answer {
    pub(crate) id: TransactionId,
    /// The answer is the refusal that only an ICE agent gives: 400 or 401, and no wish for other credentials.
    pub(crate) is_of_ice_agent: bool,
}

/// A binding request. Nothing in it may be believed before [`Request::verify`].
pub(crate) struct Request<'a> {
    bytes: &'a [u8],
    id: TransactionId,
    username: Option<&'a str>,
    /// Where MESSAGE-INTEGRITY begins.
    integrity: Option<usize>,
    priority: Option<u32>,
    nomination: Option<u32>,
    use_candidate: bool,
    controlled: bool,
    has_fingerprint: bool,
    unknown: [u16; MAX_UNKNOWN],
    unknowns: usize,
}

impl<'a> Stun<'a> {
    /// Reads a message. What is no STUN, has a wrong FINGERPRINT, or is of no use here, is `None`.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let &[high, low, len_high, len_low, a, b, c, d, ..] = bytes else { return None };
        let (kind, len) = (u16::from_be_bytes([high, low]), usize::from(u16::from_be_bytes([len_high, len_low])));
        if [a, b, c, d] != COOKIE || bytes.len() != HEADER + len || !len.is_multiple_of(4) {
            return None;
        }
        let id = bytes.get(8..HEADER)?.try_into().ok()?;
        match kind {
            kind::REQUEST => Request::read(bytes, id).map(Self::Request),
            kind::SUCCESS => Some(Self::Answer(Answer { id, is_of_ice_agent: false })),
            kind::ERROR => Answer::read(bytes, id).map(Self::Answer),
            _ => None,
        }
    }
}

impl Answer {
    fn read(bytes: &[u8], id: TransactionId) -> Option<Self> {
        let (mut refused, mut asks) = (false, false);
        for one in Attributes::of(bytes) {
            let one = one?;
            match one.kind {
                attribute::ERROR_CODE => refused = matches!(one.value, [_, _, 4, 0 | 1, ..]),
                attribute::REALM | attribute::NONCE => asks = true,
                attribute::FINGERPRINT => one.check_fingerprint(bytes)?,
                _ => {}
            }
        }
        Some(Self { id, is_of_ice_agent: refused && !asks })
    }
}

impl<'a> Request<'a> {
    fn read(bytes: &'a [u8], id: TransactionId) -> Option<Self> {
        let mut this = Self {
            bytes,
            id,
            username: None,
            integrity: None,
            priority: None,
            nomination: None,
            use_candidate: false,
            controlled: false,
            has_fingerprint: false,
            unknown: [0; MAX_UNKNOWN],
            unknowns: 0,
        };
        for one in Attributes::of(bytes) {
            let one = one?;
            // Behind the integrity only the checksum counts (RFC 8489, section 14.5).
            match one.kind {
                attribute::FINGERPRINT => {
                    one.check_fingerprint(bytes)?;
                    this.has_fingerprint = true;
                }
                _ if this.integrity.is_some() => {}
                _ => this.take(&one)?,
            }
        }
        Some(this)
    }

    fn take(&mut self, one: &Attribute<'a>) -> Option<()> {
        let number = || one.value.try_into().ok().map(u32::from_be_bytes);
        match one.kind {
            attribute::USERNAME if one.value.len() <= MAX_USERNAME => self.username = Some(std::str::from_utf8(one.value).ok()?),
            attribute::MESSAGE_INTEGRITY if one.value.len() == INTEGRITY_BYTES => self.integrity = Some(one.at),
            attribute::USERNAME | attribute::MESSAGE_INTEGRITY => return None,
            attribute::PRIORITY => self.priority = Some(number()?),
            attribute::USE_CANDIDATE => self.use_candidate = true,
            attribute::NOMINATION => self.nomination = Some(number()?),
            attribute::ICE_CONTROLLED => self.controlled = true,
            kind if kind < attribute::OPTIONAL => {
                if let Some(slot) = self.unknown.get_mut(self.unknowns) {
                    *slot = kind;
                    self.unknowns += 1;
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Both halves of USERNAME, ours and the client's; `None` if the request has no credentials at all.
    pub(crate) fn ufrags(&self) -> Option<(&'a str, &'a str)> {
        self.integrity?;
        self.username?.split_once(':')
    }

    /// The number of the nomination, if the sender asks for this path to be used. USE-CANDIDATE has none: 0.
    pub(crate) fn nomination(&self) -> Option<u32> {
        self.nomination.or(self.use_candidate.then_some(0))
    }

    /// The priority of the client's candidate; 0 if it is not told.
    pub(crate) fn priority(&self) -> u32 {
        self.priority.unwrap_or(0)
    }

    /// Why a request that is authentic is not granted all the same.
    pub(crate) fn objection(&self) -> Option<Refusal> {
        if self.unknowns > 0 {
            return Some(Refusal::UnknownAttribute);
        }
        // A lite agent is never the controlling one (RFC 8445, section 6.1.1), so the other has to change.
        self.controlled.then_some(Refusal::RoleConflict)
    }

    /// Whether it is STUN beyond doubt: RFC 8445, section 7.1.1 asks for FINGERPRINT.
    pub(crate) fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Whether the sender knows the password.
    pub(crate) fn verify(&self, password: &str) -> bool {
        let Some((at, before)) = self.integrity.and_then(|at| Some((at, self.bytes.get(..at)?))) else { return false };
        let Some(theirs) = self.bytes.get(at + ATTRIBUTE..at + ATTRIBUTE + INTEGRITY_BYTES) else { return false };
        // The length that is covered ends with the integrity itself (RFC 8489, section 14.5).
        let len = u16::try_from(at + ATTRIBUTE + INTEGRITY_BYTES - HEADER).unwrap_or(u16::MAX).to_be_bytes();
        let parts = [before.get(..2), Some(&len[..]), before.get(4..)].map(Option::unwrap_or_default);
        constant_time::verify_slices_are_equal(&hmac_sha1(password, &parts), theirs).is_ok()
    }

    /// The answer to a request that is granted.
    pub(crate) fn reply(&self, remote: SocketAddr, password: &str) -> Vec<u8> {
        let mut writer = Writer::new(kind::SUCCESS, self.id);
        writer.mapped_address(remote);
        writer.finish(Some(password))
    }

    /// The answer to one that is not. With a password if the request was authentic, and only then (RFC 8489, section 9.1.3).
    pub(crate) fn refuse(&self, refusal: Refusal, password: Option<&str>) -> Vec<u8> {
        let mut writer = Writer::new(kind::ERROR, self.id);
        writer.error(refusal.code(), refusal.reason());
        if refusal == Refusal::UnknownAttribute {
            let unknown = self.unknown.get(..self.unknowns).unwrap_or_default();
            let list: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
            writer.put(attribute::UNKNOWN_ATTRIBUTES, &list);
        }
        writer.finish(password)
    }
}

/// A request that asks for nothing but to be answered: by that the other end shows that it gets what is sent there.
///
/// A client's password is never signaled, so the integrity is of no password, and an ICE agent answers that it is wrong (RFC
/// 8489, section 9.1.3). What is no ICE agent does not look at it, and answers something else or nothing.
pub(crate) fn probe(id: TransactionId, theirs: &str, ours: &str) -> Vec<u8> {
    /// The priority of a peer-reflexive candidate (RFC 8445, section 5.1.2.1); nobody is to prefer this path for it.
    const PRIORITY: u32 = (110 << 24) + 255;
    let mut writer = Writer::new(kind::REQUEST, id);
    writer.put(attribute::USERNAME, format!("{theirs}:{ours}").as_bytes());
    writer.put(attribute::PRIORITY, &PRIORITY.to_be_bytes());
    writer.put(attribute::ICE_CONTROLLED, &rand::random::<u64>().to_be_bytes());
    let nobodys: u128 = rand::random();
    writer.finish(Some(&format!("{nobodys:032x}")))
}

/// Whether bytes look like STUN by their first byte (RFC 7983).
pub(crate) fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4)
}

struct Attribute<'a> {
    kind: u16,
    /// Where it begins in the message.
    at: usize,
    value: &'a [u8],
}

impl Attribute<'_> {
    /// RFC 8489, section 14.7: it is the last, and covers all before it.
    fn check_fingerprint(&self, message: &[u8]) -> Option<()> {
        let is_last = self.at + ATTRIBUTE + self.value.len() == message.len();
        let right = fingerprint(message.get(..self.at)?).to_be_bytes();
        (is_last && self.value == right).then_some(())
    }
}

/// The attributes of a message; `None` for one that does not fit, which is the last then.
struct Attributes<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8]) -> Self {
        Self { bytes: message, at: HEADER }
    }

    fn read(&self) -> Option<Attribute<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let &[kind_high, kind_low, high, low, ..] = rest else { return None };
        let len = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(ATTRIBUTE..ATTRIBUTE + len)?;
        Some(Attribute { kind: u16::from_be_bytes([kind_high, kind_low]), at: self.at, value })
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Option<Attribute<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let read = self.read();
        self.at = read.as_ref().map_or(self.bytes.len(), |one| one.at + ATTRIBUTE + one.value.len().next_multiple_of(4));
        Some(read)
    }
}

fn fingerprint(before: &[u8]) -> u32 {
    CRC.checksum(before) ^ FINGERPRINT_MASK
}

/// MESSAGE-INTEGRITY is HMAC-SHA1 and ICE uses no other (RFC 8489 section 14.5, RFC 8445 section 7.1).
fn hmac_sha1(password: &str, parts: &[&[u8]]) -> [u8; INTEGRITY_BYTES] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    parts.iter().for_each(|part| context.update(part));
    let mut digest = [0; INTEGRITY_BYTES];
    digest.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    digest
}
