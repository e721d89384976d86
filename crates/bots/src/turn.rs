//! A TURN client, on blocking sockets: it asks a server for what it is told, for tests and measurements.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use parlor_turn::client::{Answer, Ask, Client};

pub use parlor_turn::client::{channel_data, indication, read_indication};

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
    client: Client,
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
        Self { link, client: Client::new(username, password) }
    }

    /// Asks for an allocation; answers its relayed address.
    pub fn allocate(&mut self) -> Result<SocketAddr, TurnError> {
        self.ask(Ask::Allocate)?.ok_or(TurnError::Silent)
    }

    /// Asks that the allocation lasts longer, or ends.
    pub fn refresh(&mut self, seconds: u32) -> Result<(), TurnError> {
        self.ask(Ask::Refresh(seconds)).map(drop)
    }

    /// Asks for a permission.
    pub fn permit(&mut self, peer: SocketAddr) -> Result<(), TurnError> {
        self.ask(Ask::Permit(peer)).map(drop)
    }

    /// Asks for a channel.
    pub fn bind(&mut self, number: u16, peer: SocketAddr) -> Result<(), TurnError> {
        self.ask(Ask::Bind(number, peer)).map(drop)
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

    /// Asks, and once again with the nonce that a refusal brings; answers the relayed address, if one is told.
    fn ask(&mut self, ask: Ask) -> Result<Option<SocketAddr>, TurnError> {
        loop {
            match self.exchange(ask)? {
                Answer::Granted { relayed, .. } => return Ok(relayed),
                Answer::Refused(code) => return Err(TurnError::Refused(code)),
                Answer::Again => {}
            }
        }
    }

    fn exchange(&mut self, ask: Ask) -> Result<Answer, TurnError> {
        let request = self.client.request(ask);
        for _ in 0..TRIES {
            self.send(&request.bytes)?;
            while let Some(message) = self.receive()? {
                if let Some(answer) = self.client.hear(&request, &message) {
                    return Ok(answer);
                }
            }
        }
        Err(TurnError::Silent)
    }
}
