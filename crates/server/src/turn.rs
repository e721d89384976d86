//! The STUN and TURN server's sockets and thread, around a [`parlor_turn::Turn`] that has the rules.
//!
//! One thread, `turn`, owns the listeners (UDP, TCP, and TLS where a certificate is configured), a socket for each relayed address, and
//! the `Turn`. Packets do not pass tokio.

mod handle;
mod relays;
mod service;
mod settings;
mod signed;
mod sockets;
mod streams;
mod tls;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use parlor_turn::Protocol;

use self::settings::{Settings, Surroundings};
use crate::config::{Config, Provider};
use crate::ice::Ice;
use crate::media::{Pool, Told, WorkerHandle, addresses};

pub use handle::TurnHandle;
pub use service::Service;

/// Starts the server if it is the provider of relays.
pub fn start(config: &Config, told: &Told, ice: &Ice, pool: &Pool) -> anyhow::Result<Option<Arc<Service>>> {
    let Some(signer) = ice.embedded() else { return Ok(None) };
    let interfaces = addresses::interface_addresses().context("cannot list the network interfaces")?;
    let media = media(pool);
    let mut settings = Settings::new(config, told, signer);
    let asked_for = config.turn.provider == Provider::Embedded;
    if !asked_for {
        settings.listen_beside(media.iter().map(|(_, bound)| bound.ip()), &config.turn);
    }
    let service = Service::start(settings, Surroundings { interfaces, media })?;
    for (protocol, address) in service.handle().listening() {
        match asked_for {
            true => tracing::info!(%address, protocol = name(*protocol), "TURN is served"),
            false => tracing::debug!(%address, protocol = name(*protocol), "TURN is served for calls in privacy mode"),
        }
    }
    Ok(Some(Arc::new(service)))
}

/// The addresses of the media plane: as clients are told them, and as they are bound.
pub fn media(pool: &Pool) -> Vec<(SocketAddr, SocketAddr)> {
    pool.workers().iter().flat_map(WorkerHandle::bound).collect()
}

/// The name of a protocol.
pub const fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
        Protocol::Tls => "tls",
    }
}
