//! What the server is started with: its configuration, and what surrounds it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use parlor_turn::{Authenticate, Limits};

use crate::config::{Config, TURN_PORT, TURNS_PORT, Turn};
use crate::ice::credential::Signer;
use crate::media::Told;
use crate::turn::signed::{Signed, SignedOut};

/// The configuration, with what is not set filled in.
#[derive(Clone)]
pub struct Settings {
    /// Addresses for UDP and TCP; an unspecified one stands for all interface addresses of its family.
    pub listen: Vec<SocketAddr>,
    /// Addresses for TLS.
    pub tls_listen: Vec<SocketAddr>,
    /// The certificate chain and the key for TLS, in PEM.
    pub tls_files: Option<(PathBuf, PathBuf)>,
    /// The addresses that relayed packets leave from; empty: the first interface address of each family.
    pub relay_ip: Vec<IpAddr>,
    /// The same addresses as the outside knows them.
    pub told: Told,
    /// Whether those are the ones of the media plane.
    pub as_media: bool,
    /// The ports of relayed addresses.
    pub ports: RangeInclusive<u16>,
    /// Addresses that may be relayed to beside our own media.
    pub allowed: Vec<SocketAddr>,
    /// Networks that are not relayed to, beside those that never are.
    pub denied: Vec<IpNet>,
    /// How much of everything.
    pub limits: Limits,
    /// Who may ask.
    pub authenticate: Arc<dyn Authenticate>,
    /// Who was signed out, for those who are to tell it.
    pub signed_out: Arc<SignedOut>,
}

/// What the server is to know of the machine and the other parts.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The addresses of the network interfaces.
    pub interfaces: Vec<IpAddr>,
    /// The addresses of the media plane: as clients are told them, and as they are bound.
    pub media: Vec<(SocketAddr, SocketAddr)>,
}

impl Settings {
    /// Reads the configuration. Credentials are those of the signer.
    #[must_use]
    pub fn new(config: &Config, announced: &Told, signer: Arc<Signer>) -> Self {
        let turn = &config.turn;
        let or_everywhere = |listen: &[SocketAddr], port| match listen {
            [] => [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)].map(|ip| SocketAddr::new(ip, port)).to_vec(),
            listen => listen.to_vec(),
        };
        let tls_files = (!turn.tls_cert.is_empty()).then(|| (PathBuf::from(&turn.tls_cert), PathBuf::from(&turn.tls_key)));
        let as_media = turn.external_ip.is_empty() && turn.relay_ip.is_empty();
        let told = if as_media { announced.clone() } else { Told { ips: turn.external_ip.clone(), moves: false } };
        let signed_out = Arc::<SignedOut>::default();
        Self {
            listen: or_everywhere(&turn.listen, TURN_PORT),
            tls_listen: if tls_files.is_some() { or_everywhere(&turn.tls_listen, TURNS_PORT) } else { Vec::new() },
            tls_files,
            relay_ip: turn.relay_ip.clone(),
            told,
            as_media,
            ports: turn.relay_ports.ports(),
            allowed: turn.allowed_peers.clone(),
            denied: turn.denied_peers.clone(),
            limits: Limits {
                allocations: turn.max_allocations,
                per_user: turn.max_allocations_user,
                per_address: turn.max_allocations_address,
                bytes_per_second: turn.max_bitrate_kbps.saturating_mul(1_000) / 8,
            },
            authenticate: Arc::new(Signed { signer, ttl: turn.ttl, rest_ttl: turn.rest_ttl, signed_out: Arc::clone(&signed_out) }),
            signed_out,
        }
    }

    /// Listens on free ports of the addresses that media has, and relays from them: several servers that nobody has configured
    /// live beside each other on one machine.
    pub fn listen_beside(&mut self, media: impl Iterator<Item = IpAddr>, turn: &Turn) {
        let mut ips: Vec<IpAddr> = Vec::new();
        for ip in media {
            if !ips.contains(&ip) {
                ips.push(ip);
            }
        }
        if turn.listen.is_empty() {
            self.listen = ips.iter().map(|ip| SocketAddr::new(*ip, 0)).collect();
        }
        if self.relay_ip.is_empty() && ips.iter().all(|ip| !ip.is_unspecified()) {
            self.relay_ip = ips;
        }
    }
}
