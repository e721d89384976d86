//! The sockets of one worker: a UDP socket and a TCP listener for each binding, all on one port.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::{TcpListener, UdpSocket};
use parlor_proto::transport::Protocol;
use parlor_sfu::LocalCandidate;
use socket2::{Domain, Socket, Type};

use crate::media::net::addresses::Binding;

/// How many ports are tried until one is free on every address, when any port may be used.
const EPHEMERAL_TRIES: usize = 20;
/// The most connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The least size of a UDP socket's send buffer. A flush hands over packets for every receiver at once, and the network
/// takes what is in this buffer as fast as it can: about 35 ms at 1 Gbit/s.
const SEND_BUFFER: usize = 4 << 20;

/// The sockets of one [`Binding`].
#[derive(Debug)]
pub struct Bound {
    /// The socket for datagrams.
    pub udp: UdpSocket,
    /// The listener for connections.
    pub tcp: TcpListener,
    /// Whether the kernel can cut up a message into many datagrams. An older kernel would send it as one datagram.
    pub cuts_up: bool,
    /// The addresses clients know from the start; arrivals are labelled with the first, whatever they are told later.
    pub announced: Vec<SocketAddr>,
}

impl Bound {
    /// The candidate to which arrivals are taken to have been sent.
    pub fn label(&self) -> Option<SocketAddr> {
        self.announced.first().copied()
    }
}

/// Binds every address on one port; port 0 picks a free one.
pub fn bind_all(bindings: &[Binding], port: u16, buffer: usize) -> io::Result<(Vec<Bound>, u16)> {
    if port != 0 {
        return try_bind(bindings, port, buffer);
    }
    let mut last = io::Error::other("no media address");
    for _ in 0..EPHEMERAL_TRIES {
        // The kernel picks a port that is free on the first address; on the other addresses it may be taken.
        let Some(first) = bindings.first() else { break };
        let picked = std::net::UdpSocket::bind((first.bind, 0)).and_then(|socket| socket.local_addr());
        let picked = picked.map_err(|e| match e.kind() {
            io::ErrorKind::AddrNotAvailable => io::Error::other(not_ours(&[first.bind.to_string()])),
            _ => e,
        })?;
        let picked = picked.port();
        match try_bind(bindings, picked, buffer) {
            Ok(bound) => return Ok(bound),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The candidates to tell clients, preferred ones first: all UDP ones, then TCP.
pub fn candidates<'a>(announced: impl Iterator<Item = &'a SocketAddr> + Clone) -> Vec<LocalCandidate> {
    let of = |protocol| announced.clone().map(move |address| LocalCandidate { protocol, address: *address });
    of(Protocol::Udp).chain(of(Protocol::Tcp)).collect()
}

fn try_bind(bindings: &[Binding], port: u16, buffer: usize) -> io::Result<(Vec<Bound>, u16)> {
    let mut bound = Vec::new();
    let mut unusable = Vec::new();
    for binding in bindings {
        match bind_one(binding, port, buffer) {
            Ok(sockets) => bound.push(sockets),
            // IPv6 can be switched off while `::` is among the addresses to bind.
            Err(e) if e.raw_os_error() == Some(libc::EAFNOSUPPORT) || e.kind() == io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(address = %binding.bind, error = %e, "a media address cannot be used");
                unusable.push(binding.bind.to_string());
            }
            Err(e) => return Err(e),
        }
    }
    if bound.is_empty() { Err(io::Error::other(not_ours(&unusable))) } else { Ok((bound, port)) }
}

/// What to do where no address can be used.
fn not_ours(addresses: &[String]) -> String {
    let addresses = addresses.join(", ");
    format!(
        "no address of this machine is left for media: it has none of {addresses}. media.listen_ip (--listen-ip) names addresses of \
         this machine; the one that clients reach behind NAT is media.announced_ip (--announced-ip)"
    )
}

fn bind_one(binding: &Binding, port: u16, buffer: usize) -> io::Result<Bound> {
    let address = SocketAddr::new(binding.bind, port);
    let udp = open(binding.bind, Type::DGRAM)?;
    // The kernel caps the buffer sizes silently; a smaller buffer is no error.
    let _ = udp.set_recv_buffer_size(buffer);
    let _ = udp.set_send_buffer_size(buffer.max(SEND_BUFFER));
    udp.bind(&address.into())?;
    // A kernel without grouped receiving delivers every datagram alone.
    if let Err(error) = parlor_udp::receive_grouped(&udp) {
        tracing::debug!(%error, "datagrams are received one by one");
    }
    let cuts_up = parlor_udp::can_cut_up(&udp);
    let tcp = open(binding.bind, Type::STREAM)?;
    tcp.set_reuse_address(true)?;
    tcp.bind(&address.into())?;
    tcp.listen(BACKLOG)?;
    Ok(Bound {
        udp: UdpSocket::from_std(udp.into()),
        tcp: TcpListener::from_std(tcp.into()),
        cuts_up,
        announced: binding.announced.iter().map(|ip| SocketAddr::new(*ip, port)).collect(),
    })
}

fn open(ip: IpAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }, kind, None)?;
    if ip.is_ipv6() {
        // Each family has its own socket, so that an IPv4 peer never shows up as a mapped IPv6 address.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
