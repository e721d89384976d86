//! The socket below a peer: UDP, or TCP with the framing of RFC 4571.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use mio::net::{TcpStream, UdpSocket};
use mio::{Interest, Registry, Token};
use parlor_udp::{Inbox, Received};
use str0m::net::Protocol;

use crate::clock;

/// What may wait to be written to a slow TCP connection: half a second of the highest video bitrate, after which
/// media is too late to be worth sending.
const MAX_TCP_BACKLOG: usize = 256 * 1024;
/// Receive buffer of a UDP socket: a room of 50 sends bursts of 49 packets, and the bots' thread may be
/// away for some 20 ms.
const UDP_RECEIVE_BUFFER: usize = 1 << 20;

/// A socket to one server.
pub(crate) enum Link {
    Udp { socket: UdpSocket, local: SocketAddr },
    Tcp { stream: TcpStream, local: SocketAddr, remote: SocketAddr, incoming: Vec<u8>, outgoing: Vec<u8> },
}

impl Link {
    /// Opens a socket that can reach `remote`.
    pub(crate) fn open(protocol: Protocol, remote: SocketAddr) -> io::Result<Self> {
        if protocol == Protocol::Tcp {
            let stream = std::net::TcpStream::connect(remote)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let local = stream.local_addr()?;
            let stream = TcpStream::from_std(stream);
            return Ok(Self::Tcp { stream, local, remote, incoming: Vec::new(), outgoing: Vec::new() });
        }
        let socket = std::net::UdpSocket::bind((local_address_towards(remote)?, 0))?;
        // Best effort: the kernel caps it, and a smaller buffer only shows as loss.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(UDP_RECEIVE_BUFFER);
        parlor_udp::stamp_arrivals(&socket)?;
        socket.set_nonblocking(true)?;
        let local = socket.local_addr()?;
        Ok(Self::Udp { socket: UdpSocket::from_std(socket), local })
    }

    pub(crate) const fn protocol(&self) -> Protocol {
        match self {
            Self::Udp { .. } => Protocol::Udp,
            Self::Tcp { .. } => Protocol::Tcp,
        }
    }

    pub(crate) const fn local(&self) -> SocketAddr {
        match self {
            Self::Udp { local, .. } | Self::Tcp { local, .. } => *local,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => registry.register(socket, token, Interest::READABLE),
            Self::Tcp { stream, .. } => registry.register(stream, token, Interest::READABLE | Interest::WRITABLE),
        }
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // It is about to be closed, which deregisters it anyway.
        let _ = match self {
            Self::Udp { socket, .. } => registry.deregister(socket),
            Self::Tcp { stream, .. } => registry.deregister(stream),
        };
    }

    /// Sends one packet. What the network does not take is lost, as it would be further on.
    pub(crate) fn send(&mut self, to: SocketAddr, bytes: &[u8]) {
        match self {
            Self::Udp { socket, .. } => {
                let _ = socket.send_to(bytes, to);
            }
            Self::Tcp { outgoing, .. } => {
                if let Ok(length) = u16::try_from(bytes.len())
                    && outgoing.len() + 2 + bytes.len() <= MAX_TCP_BACKLOG
                {
                    outgoing.extend_from_slice(&length.to_be_bytes());
                    outgoing.extend_from_slice(bytes);
                }
                self.flush();
            }
        }
    }

    /// Writes what waits, as far as the connection takes it.
    pub(crate) fn flush(&mut self) {
        if let Self::Tcp { stream, outgoing, .. } = self {
            while !outgoing.is_empty() {
                match stream.write(outgoing) {
                    Ok(written) if written > 0 => drop(outgoing.drain(..written)),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    // A broken connection shows when reading.
                    _ => return,
                }
            }
        }
    }

    /// Hands everything that has arrived to `take`, with its sender and time. An error means that a TCP connection is gone.
    pub(crate) fn receive(&mut self, inbox: &mut Inbox, mut take: impl FnMut(&[u8], SocketAddr, u64)) -> io::Result<()> {
        match self {
            Self::Udp { socket, .. } => loop {
                match inbox.receive(socket.as_fd()) {
                    Ok(more) => {
                        while let Some(datagram) = inbox.next() {
                            let Some(Received { bytes, from, received_ns }) = datagram else { continue };
                            take(bytes, from, received_ns.unwrap_or_else(clock::now_ns));
                        }
                        // A batch that was not filled emptied the socket.
                        if !more {
                            return Ok(());
                        }
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                    // An ICMP error of an earlier send; the next read goes on.
                    Err(_) => {}
                }
            },
            Self::Tcp { stream, remote, incoming, .. } => {
                let mut buffer = [0; 16 * 1024];
                loop {
                    match stream.read(&mut buffer) {
                        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                        Ok(length) => {
                            incoming.extend_from_slice(buffer.get(..length).unwrap_or_default());
                            let taken = take_frames(incoming, |frame| take(frame, *remote, clock::now_ns()));
                            incoming.drain(..taken);
                        }
                        Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                        Err(e) if e.kind() == ErrorKind::Interrupted => {}
                        Err(e) => return Err(e),
                    }
                }
            }
        }
    }
}

/// Hands over every whole frame and says how many bytes they took.
fn take_frames(bytes: &[u8], mut take: impl FnMut(&[u8])) -> usize {
    let mut rest = bytes;
    while let Some((length, body)) = rest.split_first_chunk::<2>()
        && let Some((frame, behind)) = body.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    {
        take(frame);
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// The address of ours that the route to `remote` uses.
fn local_address_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if remote.is_ipv4() { ([0; 4], 0).into() } else { ([0u16; 8], 0).into() };
    let probe = std::net::UdpSocket::bind(any)?;
    // Connecting a UDP socket only looks the route up.
    probe.connect(remote)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_only_when_whole() {
        let mut frames = Vec::new();
        let bytes = [0, 2, 7, 8, 0, 0, 0, 3, 1, 2];
        assert_eq!(take_frames(&bytes, |f| frames.push(f.to_vec())), 6);
        assert_eq!(frames, [vec![7, 8], vec![]]);
        assert_eq!(take_frames(&[0], |_| ()), 0);
    }
}
