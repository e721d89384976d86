//! The way of a request: who asks, whether it is understood, and who answers it.

use std::time::Instant;

use stun_types::attribute::{AttributeType, Nonce, Realm, UnknownAttributes, Username};
use stun_types::message::{BINDING, IntegrityKey, MessageClass};
use stun_types::prelude::*;
use turn_types::attribute::{
    AdditionalAddressFamily, ChannelNumber, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport, ReservationToken,
    XorPeerAddress,
};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH};

use crate::credentials::{Grant, REALM};
use crate::message::{Answer, Incoming, Problem, key};
use crate::server::Turn;
use crate::table::ClientPath;

/// A request whose sender has shown a password.
pub(crate) struct Asked<'a> {
    pub path: ClientPath,
    pub message: Incoming<'a>,
    pub grant: Grant,
    pub key: IntegrityKey,
    pub now: Instant,
}

/// What each kind of request may have that has to be understood. DONT-FRAGMENT is not among it: the server cannot set the
/// bit for single datagrams, and says so (RFC 8656, section 7.2).
const IN_ALLOCATE: &[AttributeType] = &[
    RequestedTransport::TYPE,
    RequestedAddressFamily::TYPE,
    AdditionalAddressFamily::TYPE,
    EvenPort::TYPE,
    ReservationToken::TYPE,
    Lifetime::TYPE,
];
const IN_REFRESH: &[AttributeType] = &[Lifetime::TYPE, RequestedAddressFamily::TYPE];
const IN_CREATE_PERMISSION: &[AttributeType] = &[XorPeerAddress::TYPE];
const IN_CHANNEL_BIND: &[AttributeType] = &[XorPeerAddress::TYPE, ChannelNumber::TYPE];

impl Turn {
    /// Any message but those that carry packets.
    pub(crate) fn handle_message(&mut self, path: ClientPath, bytes: &[u8], now: Instant) {
        let Some(message) = Incoming::read(bytes) else {
            self.stats.drops.malformed += 1;
            return;
        };
        let known = match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => return self.handle_binding(path, &message),
            // It keeps a NAT's mapping alive, and nobody answers it.
            (MessageClass::Indication, BINDING) => return,
            (MessageClass::Request, ALLOCATE) => IN_ALLOCATE,
            (MessageClass::Request, REFRESH) => IN_REFRESH,
            (MessageClass::Request, CREATE_PERMISSION) => IN_CREATE_PERMISSION,
            (MessageClass::Request, CHANNEL_BIND) => IN_CHANNEL_BIND,
            (MessageClass::Request, _) => {
                let refusal = message.refusal(Problem::BadRequest, &[]);
                return self.answer_stranger(path, refusal, true);
            }
            _ => {
                self.stats.drops.malformed += 1;
                return;
            }
        };
        let (grant, key) = match self.authenticate(path, &message, now) {
            Ok(known) => known,
            Err(problem @ Problem::BadRequest) => {
                let refusal = message.refusal(problem, &[]);
                return self.answer_stranger(path, refusal, true);
            }
            Err(problem) => {
                let challenge = message.challenge(problem, &self.nonces.make(&path, now));
                return self.answer_stranger(path, challenge, true);
            }
        };
        let unknown = message.unknown(known);
        let asked = Asked { path, message, grant, key, now };
        if !unknown.is_empty() {
            let mut answer = asked.message.error(Problem::UnknownAttribute);
            answer.add(&UnknownAttributes::new(&unknown));
            return self.refuse_with(&asked, answer);
        }
        let result = match asked.message.method() {
            ALLOCATE => self.handle_allocate(&asked),
            REFRESH => self.handle_refresh(&asked),
            CREATE_PERMISSION => self.handle_create_permission(&asked),
            _ => self.handle_channel_bind(&asked),
        };
        if let Err(problem) = result {
            let answer = asked.message.error(problem);
            self.refuse_with(&asked, answer);
        }
    }

    fn handle_binding(&mut self, path: ClientPath, message: &Incoming<'_>) {
        let unknown = message.unknown(&[]);
        let (answer, refused) = match unknown.is_empty() {
            true => (message.mapped(path.remote), false),
            false => (message.refusal(Problem::UnknownAttribute, &unknown), true),
        };
        self.answer_stranger(path, answer, refused);
    }

    /// The checks of RFC 8489, section 9.2.4, in its order.
    fn authenticate(&self, path: ClientPath, message: &Incoming<'_>, now: Instant) -> Result<(Grant, IntegrityKey), Problem> {
        if !message.is_signed() {
            return Err(Problem::Unauthorized);
        }
        let (Some(username), Some(realm), Some(nonce)) = (message.get::<Username>()?, message.get::<Realm>()?, message.get::<Nonce>()?)
        else {
            return Err(Problem::BadRequest);
        };
        if !self.nonces.is_fresh(nonce.nonce(), &path, now) {
            return Err(Problem::StaleNonce);
        }
        let username = username.username();
        let login = self.authenticate.login(username, self.unix(now)).filter(|_| realm.realm() == REALM).ok_or(Problem::Unauthorized)?;
        let keys = login.passwords.into_iter().map(|password| key(username, password));
        let key = keys.into_iter().find(|key| message.is_by(key)).ok_or(Problem::Unauthorized)?;
        Ok((login.grant, key))
    }

    /// Sends what may be sent to anybody, if anything may.
    fn answer_stranger(&mut self, path: ClientPath, answer: Option<Vec<u8>>, refused: bool) {
        let Some(answer) = answer else {
            self.stats.drops.too_short += 1;
            return;
        };
        self.stats.refused += u64::from(refused);
        self.answer(path, &answer);
    }

    /// Answers a request with success.
    pub(crate) fn accept(&mut self, asked: &Asked<'_>, answer: Answer) {
        let answer = answer.finish(Some(&asked.key));
        self.answer(asked.path, &answer);
    }

    fn refuse_with(&mut self, asked: &Asked<'_>, answer: Answer) {
        self.stats.refused += 1;
        self.accept(asked, answer);
    }
}
