//! Who may be relayed to: decided from addresses alone, and what is not allowed is denied.
//!
//! An open relay is a way into the network of who runs it. So a peer is an address of our own media plane, a relayed address of
//! this server, or an address of the public internet; never a private or special one, in whatever form it is written
//! (compare CVE-2020-26262 and CVE-2026-27624).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

/// The peers that a credential may relay to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Peers {
    /// Only the media plane of this server: a call through the SFU needs nothing else.
    #[default]
    Sfu,
    /// The media plane, allocations of this server, and addresses of the public internet: people who are called directly.
    Mesh,
}

/// The addresses that peers are held against.
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    media: Vec<SocketAddr>,
    own: Vec<IpAddr>,
    relays: Vec<IpAddr>,
    ports: RangeInclusive<u16>,
    denied: Vec<IpNet>,
}

/// The first port of strangers that is relayed to. Below it are services of machines (RFC 6335, section 6), among them those whose
/// answers are much longer than what they are asked; people in a call have ports above it, and so have NATs before them (RFC 4787,
/// section 4.2.2).
pub const FIRST_PORT: u16 = 1_024;

impl PeerPolicy {
    /// Makes a policy. `media` are the exact addresses of the media plane, private ones too; `own` are all addresses of this
    /// machine, on which nothing else may be reached; `relays` with `ports` are the relayed addresses of this server.
    #[must_use]
    pub fn new(media: Vec<SocketAddr>, own: Vec<IpAddr>, relays: Vec<IpAddr>, ports: RangeInclusive<u16>) -> Self {
        Self { media, own, relays, ports, denied: Vec::new() }
    }

    /// Denies these networks as well, except the media and the relayed addresses in them.
    #[must_use]
    pub fn denying(self, denied: Vec<IpNet>) -> Self {
        Self { denied, ..self }
    }

    /// Whether a packet may go to this peer, or come from it.
    #[must_use]
    pub fn allows(&self, peers: Peers, peer: SocketAddr) -> bool {
        let of_mesh = || self.is_relayed(peer) || peer.port() >= FIRST_PORT && self.is_stranger(peer.ip());
        self.media.contains(&peer) || peers == Peers::Mesh && of_mesh()
    }

    /// Whether a permission for this peer may be installed. A permission is for an IP address, and the port in the request
    /// counts for nothing (RFC 8656, section 9.1); but one that is named and forbidden is refused here, where the client hears it.
    #[must_use]
    pub fn allows_permission(&self, peers: Peers, peer: SocketAddr) -> bool {
        let ip = peer.ip();
        match peer.port() {
            0 => {
                self.media.iter().any(|media| media.ip() == ip)
                    || peers == Peers::Mesh && (self.relays.contains(&ip) || self.is_stranger(ip))
            }
            _ => self.allows(peers, peer),
        }
    }

    /// Whether this is a relayed address of this server, in use or not. A media port may be among the ports of relayed addresses.
    #[must_use]
    pub fn is_relayed(&self, peer: SocketAddr) -> bool {
        self.ports.contains(&peer.port()) && self.relays.contains(&peer.ip()) && !self.media.contains(&peer)
    }

    fn is_stranger(&self, ip: IpAddr) -> bool {
        is_public(ip) && !self.own.contains(&ip) && !self.relays.contains(&ip) && !self.denied.iter().any(|network| network.contains(&ip))
    }
}

/// Whether an address is one of the public internet: not private, special or reserved, and no IPv4 address in disguise.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !DENIED_V4.iter().any(|(network, bits)| shares(ip.to_bits(), network.to_bits(), *bits)),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// IPv4 networks that nobody is relayed to: those of the registry of special addresses (RFC 6890), multicast, the rest
/// that is reserved, and what a cloud has on a public address for its own machines.
pub const DENIED_V4: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),        // this network, unspecified
    (Ipv4Addr::new(10, 0, 0, 0), 8),       // private
    (Ipv4Addr::new(100, 64, 0, 0), 10),    // carrier-grade NAT
    (Ipv4Addr::new(127, 0, 0, 0), 8),      // loopback
    (Ipv4Addr::new(169, 254, 0, 0), 16),   // link-local, metadata of clouds
    (Ipv4Addr::new(168, 63, 129, 16), 32), // the host of a machine at Azure: a public address for metadata, DNS and health
    (Ipv4Addr::new(172, 16, 0, 0), 12),    // private
    (Ipv4Addr::new(192, 0, 0, 0), 24),     // protocol assignments
    (Ipv4Addr::new(192, 0, 2, 0), 24),     // documentation
    (Ipv4Addr::new(192, 88, 99, 0), 24),   // relays of 6to4
    (Ipv4Addr::new(192, 168, 0, 0), 16),   // private
    (Ipv4Addr::new(198, 18, 0, 0), 15),    // benchmarking
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24), // documentation, both
    (Ipv4Addr::new(224, 0, 0, 0), 4),    // multicast
    (Ipv4Addr::new(240, 0, 0, 0), 4),    // reserved
    (Ipv4Addr::new(255, 255, 255, 255), 32),
];

/// The only IPv6 network from which public addresses are given out. What has an IPv4 address in its last bits and begins
/// otherwise (::a.b.c.d, ::ffff:a.b.c.d, ::ffff:0:a.b.c.d, 64:ff9b::/96, 64:ff9b:1::/48) is outside of it, and so are unspecified
/// and loopback, unique local (fc00::/7), link-local (fe80::/10), site-local (fec0::/10), segment routing (5f00::/16), discard
/// (100::/64) and multicast (ff00::/8).
pub const PUBLIC_V6: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Networks within [`PUBLIC_V6`] that nobody is relayed to.
pub const DENIED_V6: [(Ipv6Addr, u32); 5] = [
    // Protocol assignments: Teredo (2001::/32), benchmarking (2001:2::/48), ORCHID (2001:10::/28, 2001:20::/28) among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),     // 6to4
    (Ipv6Addr::new(0x3ffe, 0, 0, 0, 0, 0, 0, 0), 16),     // the 6bone, given back
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),     // documentation
];

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let within = |(network, bits): &(Ipv6Addr, u32)| shares_v6(ip.to_bits(), network.to_bits(), *bits);
    within(&PUBLIC_V6) && !DENIED_V6.iter().any(within) && !is_isatap(ip)
}

/// Whether the interface id is that of ISATAP (RFC 5214), in whatever network: an IPv4 address follows, and a router may
/// unwrap to it.
fn is_isatap(ip: Ipv6Addr) -> bool {
    let [_, _, _, _, a, b, _, _] = ip.segments();
    // Bit 0x0200 tells whether the IPv4 address is unique, 0x0100 is that of groups.
    a & 0xfcff == 0 && b == 0x5efe
}

const fn shares(address: u32, network: u32, bits: u32) -> bool {
    (address ^ network).leading_zeros() >= bits
}

const fn shares_v6(address: u128, network: u128, bits: u32) -> bool {
    (address ^ network).leading_zeros() >= bits
}

#[cfg(test)]
mod tests;
