//! A TURN client, on the codecs alone and on blocking sockets: it asks a server for what it is told, for tests and measurements.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use stun_types::attribute::{ErrorCode, Nonce, Realm, Username};
use stun_types::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWriteVec, Method, TransactionId,
};
use stun_types::prelude::*;
use turn_types::attribute::{ChannelNumber, Data, Lifetime, RequestedTransport, XorPeerAddress, XorRelayedAddress};
use turn_types::message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND};

/// How long an answer is waited for before the request is repeated.
const ANSWER: Duration = Duration::from_millis(500);
/// How often a request is repeated.
const TRIES: usize = 6;
/// Bytes of a STUN header.
const HEADER: usize = 20;
/// Room for one datagram.
const ROOM: usize = 2_048;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The socket failed.
    #[error("the socket failed: {0}")]
    Io(#[from] io::Error),
    /// The server refused, with this code.
    #[error("the server refused with {0}")]
    Refused(u16),
    /// The server did not answer.
    #[error("the server did not answer")]
    Silent,
}

/// A way to a server.
#[derive(Debug)]
enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

/// A client of one server.
#[derive(Debug)]
pub struct TurnClient {
    link: Link,
    username: String,
    password: String,
    challenge: Option<(String, String)>,
}

impl TurnClient {
    /// A client over UDP, from this address.
    pub fn udp(from: SocketAddr, server: SocketAddr, username: &str, password: &str) -> Result<Self, TurnError> {
        let socket = UdpSocket::bind(from)?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(ANSWER))?;
        Ok(Self::new(Link::Udp(socket), username, password))
    }

    /// A client over TCP.
    pub fn tcp(server: SocketAddr, username: &str, password: &str) -> Result<Self, TurnError> {
        let stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(ANSWER))?;
        Ok(Self::new(Link::Tcp(stream), username, password))
    }

    fn new(link: Link, username: &str, password: &str) -> Self {
        Self { link, username: username.to_owned(), password: password.to_owned(), challenge: None }
    }

    /// Asks for an allocation; answers its relayed address.
    pub fn allocate(&mut self) -> Result<SocketAddr, TurnError> {
        let answer = self.ask(ALLOCATE, |message, _| add(message, &RequestedTransport::new(RequestedTransport::UDP)))?;
        let message = Message::from_bytes(&answer).map_err(|_| TurnError::Silent)?;
        let relayed = message.attribute::<XorRelayedAddress>().map_err(|_| TurnError::Silent)?;
        Ok(relayed.addr(message.transaction_id()))
    }

    /// Asks that the allocation lasts longer, or ends.
    pub fn refresh(&mut self, seconds: u32) -> Result<(), TurnError> {
        self.ask(REFRESH, |message, _| add(message, &Lifetime::new(seconds))).map(drop)
    }

    /// Asks for a permission.
    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), TurnError> {
        self.ask(CREATE_PERMISSION, |message, transaction| add(message, &XorPeerAddress::new(peer, transaction))).map(drop)
    }

    /// Asks for a channel.
    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Result<(), TurnError> {
        let with = |message: &mut MessageWriteVec, transaction| {
            add(message, &ChannelNumber::new(number));
            add(message, &XorPeerAddress::new(peer, transaction));
        };
        self.ask(CHANNEL_BIND, with).map(drop)
    }

    /// Sends a packet, as [`channel_data`] or [`indication`] makes it.
    pub fn send(&mut self, packet: &[u8]) -> io::Result<()> {
        match &mut self.link {
            Link::Udp(socket) => socket.send(packet).map(drop),
            Link::Tcp(stream) => stream.write_all(packet),
        }
    }

    /// Receives a message or a packet; nothing if none comes for a while.
    pub fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.receive_one() {
            Ok(message) => Ok(Some(message)),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The socket of a client over UDP, connected to the server.
    #[must_use]
    pub fn into_socket(self) -> Option<UdpSocket> {
        match self.link {
            Link::Udp(socket) => Some(socket),
            Link::Tcp(_) => None,
        }
    }

    fn receive_one(&mut self) -> io::Result<Vec<u8>> {
        match &mut self.link {
            Link::Udp(socket) => {
                let mut buffer = vec![0; ROOM];
                let len = socket.recv(&mut buffer)?;
                buffer.truncate(len);
                Ok(buffer)
            }
            Link::Tcp(stream) => {
                let mut message = vec![0; 4];
                stream.read_exact(&mut message)?;
                let [first, _, high, low] = message.first_chunk().copied().unwrap_or_default();
                let length = usize::from(u16::from_be_bytes([high, low]));
                let (len, padded) = match first {
                    0..=3 => (HEADER + length, HEADER + length),
                    _ => (4 + length, (4 + length).next_multiple_of(4)),
                };
                message.resize(padded, 0);
                stream.read_exact(message.get_mut(4..).unwrap_or_default())?;
                message.truncate(len);
                Ok(message)
            }
        }
    }

    /// Asks, and once again with the nonce that a refusal brings; answers the success response.
    fn ask(&mut self, method: Method, with: impl Fn(&mut MessageWriteVec, TransactionId)) -> Result<Vec<u8>, TurnError> {
        loop {
            let transaction = TransactionId::generate();
            let request = self.request(method, transaction, &with);
            let answer = self.exchange(&request, transaction)?;
            let message = Message::from_bytes(&answer).map_err(|_| TurnError::Silent)?;
            let Ok(error) = message.attribute::<ErrorCode>() else { return Ok(answer) };
            let challenge = message.attribute::<Realm>().ok().zip(message.attribute::<Nonce>().ok());
            let challenge = challenge.map(|(realm, nonce)| (realm.realm().to_owned(), nonce.nonce().to_owned()));
            // A refusal after a password was shown is final, unless only the nonce was too old.
            if challenge.is_none() || error.code() == 401 && self.challenge.is_some() {
                return Err(TurnError::Refused(error.code()));
            }
            self.challenge = challenge;
        }
    }

    fn request(&self, method: Method, transaction: TransactionId, with: impl Fn(&mut MessageWriteVec, TransactionId)) -> Vec<u8> {
        let kind = MessageType::from_class_method(MessageClass::Request, method);
        let mut message = Message::builder(kind, transaction, MessageWriteVec::new());
        with(&mut message, transaction);
        if let Some((realm, nonce)) = &self.challenge
            && let (Ok(username), Ok(realm_attribute), Ok(nonce)) = (Username::new(&self.username), Realm::new(realm), Nonce::new(nonce))
        {
            add(&mut message, &username);
            add(&mut message, &realm_attribute);
            add(&mut message, &nonce);
            let credentials = LongTermKeyCredentials::new(self.username.clone(), self.password.clone(), realm.clone());
            let _ = message.add_message_integrity_with_key(&credentials.make_key(IntegrityAlgorithm::Sha1), IntegrityAlgorithm::Sha1);
        }
        message.finish()
    }

    fn exchange(&mut self, request: &[u8], transaction: TransactionId) -> Result<Vec<u8>, TurnError> {
        for _ in 0..TRIES {
            self.send(request)?;
            while let Some(message) = self.receive()? {
                if Message::from_bytes(&message).is_ok_and(|message| message.transaction_id() == transaction) {
                    return Ok(message);
                }
            }
        }
        Err(TurnError::Silent)
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

fn add(message: &mut MessageWriteVec, attribute: &dyn AttributeWrite) {
    // It fails only for attributes out of order.
    let _ = message.add_attribute(attribute);
}
