//! The listeners: a UDP socket and a TCP listener for each address, and TCP listeners for TLS.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};

use anyhow::Context;
use mio::net::{TcpListener, UdpSocket};
use parlor_turn::{Listener, Protocol};
use socket2::{Domain, Socket, Type};

/// The most connections that wait to be accepted.
const BACKLOG: i32 = 128;
/// The size of a listener's buffers, both ways: all clients share it, and 1 MiB holds 900 packets of video.
const LISTENER_BUFFER: usize = 4 << 20;
/// The size of a relay socket's buffers, both ways: one client's, for 100 packets of video. The kernel takes memory only for what
/// waits.
const RELAY_BUFFER: usize = 256 << 10;
/// How many ports are tried until one is free for both UDP and TCP, when any may be used.
const EPHEMERAL_TRIES: usize = 20;

/// A listener.
#[derive(Debug)]
pub enum Entrance {
    /// Datagrams, and whether the kernel can cut up messages.
    Datagrams(UdpSocket, bool),
    /// Connections.
    Connections(TcpListener),
}

/// Opens everything that is listened on; the order is that of the numbers of listeners.
pub fn bind(listen: &[SocketAddr], tls_listen: &[SocketAddr], interfaces: &[IpAddr]) -> anyhow::Result<Vec<(Listener, Entrance)>> {
    let mut all = Vec::new();
    for address in expand(listen, interfaces) {
        let bound = both(address).with_context(|| hint(address))?;
        all.extend(bound);
    }
    for address in expand(tls_listen, interfaces) {
        all.push(tcp(address, Protocol::Tls).with_context(|| hint(address))?);
    }
    anyhow::ensure!(!all.is_empty(), "the TURN server has no address to listen on (turn.listen)");
    Ok(all)
}

fn hint(address: SocketAddr) -> String {
    format!(
        "cannot open the TURN address {address}: is another TURN server running? `turn.listen` and `turn.tls_listen` say where to listen"
    )
}

/// UDP and TCP on one port; port 0 is any that is free for both.
fn both(address: SocketAddr) -> io::Result<[(Listener, Entrance); 2]> {
    let mut last = io::Error::from(ErrorKind::AddrInUse);
    for _ in 0..EPHEMERAL_TRIES {
        let datagrams = udp(address)?;
        match tcp(SocketAddr::new(address.ip(), datagrams.0.address.port()), Protocol::Tcp) {
            Ok(connections) => return Ok([datagrams, connections]),
            Err(error) if address.port() == 0 => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn udp(address: SocketAddr) -> io::Result<(Listener, Entrance)> {
    let (socket, cuts_up) = datagrams(address, LISTENER_BUFFER)?;
    let address = socket.local_addr()?;
    Ok((Listener { protocol: Protocol::Udp, address }, Entrance::Datagrams(socket, cuts_up)))
}

fn tcp(address: SocketAddr, protocol: Protocol) -> io::Result<(Listener, Entrance)> {
    let socket = open(address.ip(), Type::STREAM)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into());
    Ok((Listener { protocol, address: listener.local_addr()? }, Entrance::Connections(listener)))
}

/// Opens the socket of a relayed address.
pub fn relay(address: SocketAddr) -> io::Result<UdpSocket> {
    datagrams(address, RELAY_BUFFER).map(|(socket, _)| socket)
}

/// A UDP socket, and whether the kernel can cut up messages that are sent on it.
fn datagrams(address: SocketAddr, buffer: usize) -> io::Result<(UdpSocket, bool)> {
    let socket = open(address.ip(), Type::DGRAM)?;
    // The kernel caps the sizes silently; a smaller buffer is no error.
    let _ = socket.set_recv_buffer_size(buffer);
    let _ = socket.set_send_buffer_size(buffer);
    socket.bind(&address.into())?;
    // A kernel without grouped receiving delivers every datagram alone.
    let _ = parlor_udp::receive_grouped(&socket);
    let cuts_up = parlor_udp::can_cut_up(&socket);
    Ok((UdpSocket::from_std(socket.into()), cuts_up))
}

fn open(ip: IpAddr, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 }, kind, None)?;
    if ip.is_ipv6() {
        // Each family has its own socket, so that an IPv4 client never shows up as a mapped IPv6 address.
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Replaces unspecified addresses by the interfaces' own: a socket for each answers from the address that was asked.
fn expand(listen: &[SocketAddr], interfaces: &[IpAddr]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for address in listen {
        let ips = match address.ip() {
            ip if ip.is_unspecified() => interfaces.iter().copied().filter(|i| i.is_ipv4() == ip.is_ipv4()).collect(),
            ip => vec![ip],
        };
        for ip in ips {
            let address = SocketAddr::new(ip, address.port());
            if !all.contains(&address) || address.port() == 0 {
                all.push(address);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_stands_for_those_of_its_family() {
        let interfaces = ["192.0.2.1", "127.0.0.1", "2001:db8::1"].map(|ip| ip.parse().expect("an address"));
        let expanded = |listen: &[&str]| {
            let listen: Vec<SocketAddr> = listen.iter().map(|address| address.parse().expect("an address")).collect();
            expand(&listen, &interfaces).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(expanded(&["0.0.0.0:3478"]), ["192.0.2.1:3478", "127.0.0.1:3478"]);
        assert_eq!(expanded(&["[::]:3478", "192.0.2.1:3478", "192.0.2.1:3478"]), ["[2001:db8::1]:3478", "192.0.2.1:3478"]);
    }

    #[test]
    fn udp_and_tcp_are_on_one_port_and_a_port_in_use_is_named() {
        let free = bind(&["127.0.0.1:0".parse().expect("an address")], &[], &[]).expect("binds");
        let [udp, tcp] = [0, 1].map(|n: usize| free[n].0);
        assert_eq!((udp.protocol, tcp.protocol, udp.address), (Protocol::Udp, Protocol::Tcp, tcp.address));
        let error = bind(&[udp.address], &[], &[]).expect_err("in use");
        assert!(format!("{error:#}").contains(&udp.address.to_string()), "{error:#}");
    }
}
