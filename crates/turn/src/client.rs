//! What a client of a STUN or TURN server says and hears, sans-IO: for checks and measurements of servers.
//!
//! An answer may be anybody's: what cannot be read, or answers something else, is nothing.

use std::net::SocketAddr;

use stun_types::attribute::{AttributeType, ErrorCode, Nonce, RawAttribute, Realm, Software, Username, XorMappedAddress};
use stun_types::message::{
    BINDING, IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWriteVec, Method, ShortTermCredentials,
    TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

/// The attributes of a connectivity check (RFC 8445, section 16.1).
const PRIORITY: AttributeType = AttributeType::new(0x0024);
const ICE_CONTROLLING: AttributeType = AttributeType::new(0x802a);
/// The priority of a peer-reflexive candidate (RFC 8445, section 5.1.2.1).
const PEER_REFLEXIVE: u32 = (110 << 24) + 255;
/// Makes a check so long that a refusal is not longer: servers do not answer strangers with more than they sent.
const LONG_NAME: &str = "parlor, a check that is long enough to be told why it is refused";
/// Whose nonces and realms are kept; longer ones are no server's (RFC 8489, sections 14.9 and 14.10).
const MAX_CHALLENGE: usize = 763;

/// What a client asks a TURN server for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ask {
    /// An allocation for UDP.
    Allocate,
    /// That the allocation lasts for so many seconds from now, or ends.
    Refresh(u32),
    /// That a peer may send.
    Permit(SocketAddr),
    /// A channel of this number for a peer.
    Bind(u16, SocketAddr),
}

impl Ask {
    const fn method(self) -> Method {
        match self {
            Self::Allocate => ALLOCATE,
            Self::Refresh(_) => REFRESH,
            Self::Permit(_) => CREATE_PERMISSION,
            Self::Bind(..) => CHANNEL_BIND,
        }
    }

    fn write(self, message: &mut MessageWriteVec, transaction: TransactionId) {
        match self {
            Self::Allocate => add(message, &RequestedTransport::new(RequestedTransport::UDP)),
            Self::Refresh(seconds) => add(message, &Lifetime::new(seconds)),
            Self::Permit(peer) => add(message, &XorPeerAddress::new(peer, transaction)),
            Self::Bind(number, peer) => {
                add(message, &ChannelNumber::new(number));
                add(message, &XorPeerAddress::new(peer, transaction));
            }
        }
    }
}

/// A request, as it is sent and sent again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Its bytes.
    pub bytes: Vec<u8>,
    transaction: TransactionId,
}

/// The answer to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is granted, with the addresses that the answer names.
    Granted {
        /// Where the request came from (XOR-MAPPED-ADDRESS).
        mapped: Option<SocketAddr>,
        /// Where relayed packets come from (XOR-RELAYED-ADDRESS).
        relayed: Option<SocketAddr>,
    },
    /// It is refused, with this code.
    Refused(u16),
    /// It is to be asked again, with the nonce that came now.
    Again,
}

impl Request {
    /// Asks where one is seen from.
    #[must_use]
    pub fn binding() -> Self {
        let (message, transaction) = begin(BINDING);
        Self { bytes: message.finish(), transaction }
    }

    /// A connectivity check of ICE at the transport with this name and password, by a controlling agent that nominates nothing.
    #[must_use]
    pub fn check(ufrag: &str, password: &str) -> Self {
        let (mut message, transaction) = begin(BINDING);
        if let Ok(username) = Username::new(&format!("{ufrag}:{}", hex(rand::random()))) {
            add(&mut message, &username);
        }
        add(&mut message, &RawAttribute::new(PRIORITY, &PEER_REFLEXIVE.to_be_bytes()));
        add(&mut message, &RawAttribute::new(ICE_CONTROLLING, &rand::random::<u64>().to_be_bytes()));
        if let Ok(software) = Software::new(LONG_NAME) {
            add(&mut message, &software);
        }
        let key = ShortTermCredentials::new(password.to_owned()).make_key();
        let _ = message.add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1);
        let _ = message.add_fingerprint();
        Self { bytes: message.finish(), transaction }
    }

    /// Reads what came; nothing if it is no answer to this request.
    #[must_use]
    pub fn hear(&self, bytes: &[u8]) -> Option<Answer> {
        let message = Message::from_bytes(bytes).ok().filter(|message| message.transaction_id() == self.transaction)?;
        match message.class() {
            MessageClass::Success => {
                let mapped = message.attribute::<XorMappedAddress>().ok().map(|one| one.addr(self.transaction));
                let relayed = message.attribute::<XorRelayedAddress>().ok().map(|one| one.addr(self.transaction));
                Some(Answer::Granted { mapped, relayed })
            }
            MessageClass::Error => Some(Answer::Refused(message.attribute::<ErrorCode>().ok()?.code())),
            MessageClass::Request | MessageClass::Indication => None,
        }
    }
}

/// A client of one TURN server, with a long-term credential.
#[derive(Clone)]
pub struct Client {
    username: String,
    password: String,
    challenge: Option<(String, String)>,
}

impl Client {
    /// A client that has not asked yet.
    #[must_use]
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned(), challenge: None }
    }

    /// Writes a request, with the credential once the server has said for which realm.
    #[must_use]
    pub fn request(&self, ask: Ask) -> Request {
        let (mut message, transaction) = begin(ask.method());
        ask.write(&mut message, transaction);
        if let Some((realm, nonce)) = &self.challenge
            && let (Ok(username), Ok(realm_attribute), Ok(nonce)) = (Username::new(&self.username), Realm::new(realm), Nonce::new(nonce))
        {
            add(&mut message, &username);
            add(&mut message, &realm_attribute);
            add(&mut message, &nonce);
            let credentials = LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), realm.clone());
            let _ = message.add_message_integrity_with_key(&credentials.make_key(IntegrityAlgorithm::Sha1), IntegrityAlgorithm::Sha1);
        }
        Request { bytes: message.finish(), transaction }
    }

    /// Reads what came; nothing if it is no answer to the request. A refusal after a password was shown is final, unless only the nonce
    /// was too old.
    pub fn hear(&mut self, request: &Request, bytes: &[u8]) -> Option<Answer> {
        let answer = request.hear(bytes)?;
        let Answer::Refused(code) = answer else { return Some(answer) };
        let challenge = challenge(bytes);
        if challenge.is_none() || code == 401 && self.challenge.is_some() {
            return Some(answer);
        }
        self.challenge = challenge;
        Some(Answer::Again)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("username", &self.username).finish_non_exhaustive()
    }
}

/// A packet on a channel; on a stream it has to be padded.
#[must_use]
pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap_or(u16::MAX);
    [&number.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// A packet to a peer without a channel.
#[must_use]
pub fn indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
    let transaction = message.transaction_id();
    add(&mut message, &XorPeerAddress::new(peer, transaction));
    add(&mut message, &Data::new(data));
    message.finish()
}

/// The peer and the data of an indication from the server.
#[must_use]
pub fn read_indication(bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
    let message = Message::from_bytes(bytes).ok()?;
    let peer = message.attribute::<XorPeerAddress>().ok()?.addr(message.transaction_id());
    let data = message.attribute::<Data>().ok()?.data().to_vec();
    Some((peer, data))
}

fn begin(method: Method) -> (MessageWriteVec, TransactionId) {
    let transaction = TransactionId::generate();
    let kind = MessageType::from_class_method(MessageClass::Request, method);
    (Message::builder(kind, transaction, MessageWriteVec::new()), transaction)
}

/// The realm and the nonce of a refusal.
fn challenge(bytes: &[u8]) -> Option<(String, String)> {
    let message = Message::from_bytes(bytes).ok()?;
    let (realm, nonce) = (message.attribute::<Realm>().ok()?, message.attribute::<Nonce>().ok()?);
    let fit = realm.realm().len() <= MAX_CHALLENGE && nonce.nonce().len() <= MAX_CHALLENGE;
    fit.then(|| (realm.realm().to_owned(), nonce.nonce().to_owned()))
}

fn add(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    // It fails only for attributes out of order.
    let _ = message.add_attribute(attribute);
}

fn hex(number: u64) -> String {
    format!("{number:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server answers to a request, written with the codec it was read with.
    fn answer(class: MessageClass, transaction: TransactionId, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
        let mut message = Message::builder(MessageType::from_class_method(class, ALLOCATE), transaction, MessageWriteVec::new());
        attributes.iter().for_each(|attribute| add(&mut message, *attribute));
        message.finish()
    }

    #[test]
    fn a_check_is_signed_names_the_transport_and_is_never_shorter_than_its_refusal() {
        let check = Request::check("abcd", "a password");
        let message = Message::from_bytes(&check.bytes).expect("a message");
        assert!(message.attribute::<Username>().expect("a name").username().starts_with("abcd:"));
        let key = ShortTermCredentials::new("a password".to_owned()).make_key();
        assert!(message.validate_integrity_with_key(&key).is_ok());
        assert!(check.bytes.len() > 100);
    }

    #[test]
    fn a_credential_is_shown_once_the_realm_is_known_and_refused_once() {
        let mut client = Client::new("1:alice", "password");
        let first = client.request(Ask::Allocate);
        let (realm, nonce) = (Realm::new("here").expect("short"), Nonce::new("n").expect("short"));
        let refusal = ErrorCode::new(401, "").expect("a code");
        let refuse = |of: &Request| answer(MessageClass::Error, of.transaction, &[&refusal, &realm, &nonce]);
        assert_eq!(client.hear(&first, &refuse(&first)), Some(Answer::Again));
        let second = client.request(Ask::Allocate);
        let message = Message::from_bytes(&second.bytes).expect("a message");
        assert_eq!(message.attribute::<Realm>().expect("a realm").realm(), "here");
        assert_eq!(client.hear(&second, &refuse(&second)), Some(Answer::Refused(401)));
        assert_eq!(client.hear(&second, &refuse(&first)), None, "an answer to something else");
        assert_eq!(client.hear(&second, b"not STUN at all, and not long"), None);
    }
}
