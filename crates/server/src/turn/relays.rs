//! The sockets of relayed addresses, by the names that the rules gave them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use parlor_turn::RelayId;
use parlor_udp::{Message, SendBatch, SendQueue, Sent, UdpSender};

use crate::turn::sockets;

/// The first token of a relay socket: above every listener's, and there are fewer relays than lie between this and [`LAST`].
pub const FIRST: usize = 1 << 16;
/// The last token of a relay socket.
pub const LAST: usize = (1 << 32) - 1;

/// The sockets.
#[derive(Debug)]
pub struct Relays {
    /// By the index of the name.
    sockets: Vec<Option<(RelayId, UdpSocket)>>,
    /// The addresses that relayed addresses have here, by those that are told.
    binds: Vec<(IpAddr, IpAddr)>,
    /// The media plane: as it is told, and as it is reached from here. Empty if both are the same.
    media: Vec<(SocketAddr, SocketAddr)>,
    sender: UdpSender,
}

impl Relays {
    /// Makes them; `binds` are pairs of the address that is told and the one that is bound.
    pub fn new(binds: Vec<(IpAddr, IpAddr)>, media: &[(SocketAddr, SocketAddr)], cuts_up: bool) -> Self {
        let media = media.iter().copied().filter(|(told, reached)| told != reached).collect();
        Self { sockets: Vec::new(), binds, media, sender: UdpSender::new(!cuts_up) }
    }

    /// Opens the socket of a relayed address.
    pub fn open(&mut self, relay: RelayId, relayed: SocketAddr, registry: &Registry) -> io::Result<()> {
        let bind = self.binds.iter().find(|(told, _)| *told == relayed.ip()).map_or(relayed.ip(), |(_, bind)| *bind);
        let mut socket = sockets::relay(SocketAddr::new(bind, relayed.port()))?;
        let index = usize::try_from(relay.index).map_err(io::Error::other)?;
        registry.register(&mut socket, Token(FIRST + index), Interest::READABLE)?;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        if let Some(place) = self.sockets.get_mut(index) {
            *place = Some((relay, socket));
        }
        Ok(())
    }

    /// Closes a socket.
    pub fn close(&mut self, relay: RelayId, registry: &Registry) {
        let place = usize::try_from(relay.index).ok().and_then(|index| self.sockets.get_mut(index));
        if let Some((_, mut socket)) = place.and_then(|place| place.take_if(|(open, _)| *open == relay)) {
            let _ = registry.deregister(&mut socket);
        }
    }

    /// The socket of a token.
    pub fn at(&self, token: Token) -> Option<(RelayId, &UdpSocket)> {
        let (relay, socket) = self.sockets.get(token.0.checked_sub(FIRST)?)?.as_ref()?;
        Some((*relay, socket))
    }

    /// Where to send what is for this peer.
    #[inline]
    pub fn reached(&self, peer: SocketAddr) -> SocketAddr {
        self.media.iter().find(|(told, _)| *told == peer).map_or(peer, |(_, reached)| *reached)
    }

    /// The peer from which this came, as clients know it.
    #[inline]
    pub fn told(&self, from: SocketAddr) -> SocketAddr {
        self.media.iter().find(|(_, reached)| *reached == from).map_or(from, |(told, _)| *told)
    }

    /// Sends what is in the queue: the messages of one relay follow each other, and `index` has its number by that of the
    /// destination.
    pub fn send(&mut self, queue: &SendQueue, bytes: &[u8], calls: &mut SendBatch, index: impl Fn(u32) -> usize) -> Sent {
        let mut all = Sent::default();
        let of_one = |a: &Message, b: &Message| a.destination == b.destination;
        for messages in queue.messages.chunk_by(of_one) {
            let Some(index) = messages.first().map(|message| index(message.destination)) else { continue };
            let Some((_, socket)) = self.sockets.get(index).and_then(Option::as_ref) else { continue };
            let sent = self.sender.send_messages(messages, |offer| calls.send(socket.as_fd(), bytes, queue, offer));
            all.messages += sent.messages;
            all.unsent += sent.unsent;
        }
        all
    }
}
