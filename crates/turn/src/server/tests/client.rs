//! A client for tests: it writes requests as it is told, right or wrong, and reads answers.

use std::net::SocketAddr;

use stun_types::attribute::{AttributeWrite, ErrorCode, Nonce, Realm, UnknownAttributes, Username, XorMappedAddress};
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, Message, MessageWriteVec, Method, TransactionId};
use stun_types::prelude::*;
use turn_types::attribute::{AddressErrorCode, ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

use super::{BEGIN, SECRET, World};
use crate::credentials::{REALM, password};
use crate::message::key;
use crate::table::ClientPath;

pub struct Client {
    pub path: ClientPath,
    pub username: String,
    pub password: String,
    pub realm: String,
    pub nonce: Option<String>,
    pub relayed: Option<SocketAddr>,
    pub fingerprint: bool,
}

impl Client {
    /// A client with a credential that is good for an hour.
    pub fn new(listener: u16, user: &str, remote: &str) -> Self {
        Self::until(listener, &format!("{}:{user}", BEGIN + 3_600), remote)
    }

    pub fn until(listener: u16, username: &str, remote: &str) -> Self {
        Self {
            path: ClientPath { listener, remote: super::at(remote) },
            username: username.to_owned(),
            password: password(SECRET, username),
            realm: REALM.to_owned(),
            nonce: None,
            relayed: None,
            fingerprint: false,
        }
    }

    pub fn key(&self) -> IntegrityKey {
        key(&self.username, self.password.clone())
    }

    /// A request with these attributes, signed if there is a nonce.
    pub fn request(&self, method: Method, with: &[&dyn AttributeWrite]) -> Vec<u8> {
        self.request_as(TransactionId::generate(), method, with)
    }

    pub fn request_as(&self, transaction: TransactionId, method: Method, with: &[&dyn AttributeWrite]) -> Vec<u8> {
        let kind = stun_types::message::MessageType::from_class_method(stun_types::message::MessageClass::Request, method);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        for attribute in with {
            message.add_attribute(*attribute).expect("fits");
        }
        if let Some(nonce) = &self.nonce {
            message.add_attribute(&Username::new(&self.username).expect("fits")).expect("fits");
            message.add_attribute(&Realm::new(&self.realm).expect("fits")).expect("fits");
            message.add_attribute(&Nonce::new(nonce).expect("fits")).expect("fits");
            message.add_message_integrity_with_key(&self.key(), IntegrityAlgorithm::Sha1).expect("fits");
        }
        if self.fingerprint {
            message.add_fingerprint().expect("fits");
        }
        message.finish()
    }

    pub fn allocate(&mut self, world: &mut World) -> Reply {
        world.ask(self, ALLOCATE, &[&RequestedTransport::new(RequestedTransport::UDP)])
    }

    pub fn refresh(&mut self, world: &mut World, seconds: u32) -> Reply {
        world.ask(self, REFRESH, &[&Lifetime::new(seconds)])
    }

    /// Asks for permissions; the answer's code.
    pub fn permit(&mut self, world: &mut World, peers: &[SocketAddr]) -> u16 {
        let transaction = TransactionId::generate();
        let peers: Vec<XorPeerAddress> = peers.iter().map(|peer| XorPeerAddress::new(*peer, transaction)).collect();
        let peers: Vec<&dyn AttributeWrite> = peers.iter().map(|peer| peer as &dyn AttributeWrite).collect();
        self.ask_as(world, transaction, CREATE_PERMISSION, &peers)
    }

    /// Asks for a channel; the answer's code.
    pub fn bind(&mut self, world: &mut World, number: u16, peer: SocketAddr) -> u16 {
        let transaction = TransactionId::generate();
        self.ask_as(world, transaction, CHANNEL_BIND, &[&ChannelNumber::new(number), &XorPeerAddress::new(peer, transaction)])
    }

    /// Asks in a transaction that the attributes depend on: the nonce must be good.
    pub fn ask_as(&mut self, world: &mut World, transaction: TransactionId, method: Method, with: &[&dyn AttributeWrite]) -> u16 {
        let request = self.request_as(transaction, method, with);
        world.handle(self.path, &request);
        let mut reply = world.reply(self).expect("an answer");
        if reply.code == 438 {
            self.nonce = reply.nonce;
            let request = self.request_as(transaction, method, with);
            world.handle(self.path, &request);
            reply = world.reply(self).expect("an answer");
        }
        reply.code
    }

    pub fn send(&self, world: &mut World, peer: SocketAddr, data: &[u8]) {
        let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
        let transaction = message.transaction_id();
        message.add_attribute(&XorPeerAddress::new(peer, transaction)).expect("fits");
        message.add_attribute(&Data::new(data)).expect("fits");
        world.handle(self.path, &message.finish());
    }

    pub fn send_on(&self, world: &mut World, number: u16, data: &[u8]) {
        world.handle(self.path, &channel_data(number, data));
    }
}

pub fn channel_data(number: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).expect("short");
    [&number.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// An answer, read.
#[derive(Debug)]
pub struct Reply {
    /// The error, or 0 for success.
    pub code: u16,
    pub nonce: Option<String>,
    pub realm: Option<String>,
    pub relayed: Option<SocketAddr>,
    pub mapped: Option<SocketAddr>,
    pub lifetime: Option<u32>,
    pub unknown: Option<UnknownAttributes>,
    /// The error of the second address.
    pub additional: Option<u16>,
    pub bytes: Vec<u8>,
}

impl Reply {
    pub fn read(bytes: &[u8]) -> Self {
        let message = Message::from_bytes(bytes).expect("well-formed");
        assert!(message.is_response(), "{message}");
        let transaction = message.transaction_id();
        Self {
            code: message.attribute::<ErrorCode>().map_or(0, |error| error.code()),
            nonce: message.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned()),
            realm: message.attribute::<Realm>().ok().map(|realm| realm.realm().to_owned()),
            relayed: message.attribute::<XorRelayedAddress>().ok().map(|address| address.addr(transaction)),
            mapped: message.attribute::<XorMappedAddress>().ok().map(|address| address.addr(transaction)),
            lifetime: message.attribute::<Lifetime>().ok().map(|lifetime| lifetime.seconds()),
            unknown: message.attribute::<UnknownAttributes>().ok(),
            additional: message.attribute::<AddressErrorCode>().ok().map(|error| error.error().code()),
            bytes: bytes.to_vec(),
        }
    }

    pub fn is_signed_by(&self, client: &Client) -> bool {
        Message::from_bytes(&self.bytes).expect("well-formed").validate_integrity_with_key(&client.key()).is_ok()
    }
}
