//! The allocations, found by client and by relayed address, and how many each user and address has.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;
use stun_types::message::{IntegrityKey, TransactionId};

use crate::budget::Budget;
use crate::limits::{Limits, MAX_CHANNELS, MAX_PERMISSIONS};
use crate::policy::Peers;

/// How a listener is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream within TLS.
    Tls,
}

/// An address at which clients reach the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// How it is reached.
    pub protocol: Protocol,
    /// Where it is reached.
    pub address: SocketAddr,
}

/// The way to a client, which RFC 8656 calls a 5-tuple: the number of a listener stands for its address and protocol.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientPath {
    /// The number of the listener.
    pub listener: u16,
    /// The address of the client.
    pub remote: SocketAddr,
}

/// The name of a relay socket. The same place in the table has another name when it is used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RelayId {
    /// The number of the allocation.
    pub index: u32,
    /// How many there were before.
    pub serial: u32,
}

/// What a client was given.
#[derive(Debug)]
pub(crate) struct Allocation {
    pub path: ClientPath,
    /// Whether the client is on a stream, where ChannelData is padded.
    pub padded: bool,
    pub relay: RelayId,
    pub relayed: SocketAddr,
    pub user: Arc<str>,
    pub peers: Peers,
    /// The transaction of the request that made it: its repetition is answered alike.
    pub transaction: TransactionId,
    pub expires: Instant,
    /// The request that waits for its socket.
    pub waiting: Option<Box<Waiting>>,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    pub up: Budget,
    pub down: Budget,
}

/// A request for an allocation whose socket is not open yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub key: IntegrityKey,
    pub fingerprint: bool,
    /// Whether a second address of the other family was asked for, which there is none of.
    pub additional: bool,
    pub even: bool,
    /// How many sockets could not be opened.
    pub tries: u8,
}

/// Times are whole seconds since the server began, rounded up: they are many, and nobody counts on the last one.
#[derive(Clone, Copy, Debug)]
struct Permission {
    ip: IpAddr,
    until: u32,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    peer: SocketAddr,
    number: u16,
    until: u32,
}

/// Why something was not added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    /// There are too many.
    Full,
    /// The number or the peer is bound otherwise.
    BoundOtherwise,
}

impl Allocation {
    pub(crate) fn is_permitted(&self, ip: IpAddr, second: u32) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && permission.until > second)
    }

    /// The peer of a channel.
    #[inline]
    pub(crate) fn peer_of(&self, number: u16, second: u32) -> Option<SocketAddr> {
        self.channels.iter().find(|channel| channel.number == number && channel.until > second).map(|channel| channel.peer)
    }

    /// The channel of a peer.
    #[inline]
    pub(crate) fn channel_of(&self, peer: SocketAddr, second: u32) -> Option<u16> {
        self.channels.iter().find(|channel| channel.peer == peer && channel.until > second).map(|channel| channel.number)
    }

    /// Whether so many more permissions fit, those aside that are there already.
    pub(crate) fn has_room_for(&self, ips: &[IpAddr], second: u32) -> bool {
        let lasting = self.permissions.iter().filter(|permission| permission.until > second && !ips.contains(&permission.ip)).count();
        let distinct = ips.iter().enumerate().filter(|(n, ip)| !ips.iter().take(*n).any(|before| before == *ip)).count();
        lasting + distinct <= MAX_PERMISSIONS
    }

    /// Installs a permission or makes it last longer.
    pub(crate) fn permit(&mut self, ip: IpAddr, second: u32, until: u32) {
        if let Some(permission) = self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            permission.until = permission.until.max(until);
            return;
        }
        self.permissions.retain(|permission| permission.until > second);
        if self.permissions.len() < MAX_PERMISSIONS {
            self.permissions.push(Permission { ip, until });
        }
    }

    /// Whether a channel can be bound: to the peer it is bound to already, or if neither is bound.
    pub(crate) fn may_bind(&self, number: u16, peer: SocketAddr, second: u32) -> Result<(), Refused> {
        let mut lasting = self.channels.iter().filter(|channel| channel.until > second);
        match lasting.clone().find(|channel| channel.number == number || channel.peer == peer) {
            Some(channel) if channel.number == number && channel.peer == peer => Ok(()),
            Some(_) => Err(Refused::BoundOtherwise),
            None if lasting.by_ref().count() >= MAX_CHANNELS => Err(Refused::Full),
            None => Ok(()),
        }
    }

    /// Binds a channel that [`Allocation::may_bind`], or makes it last longer.
    pub(crate) fn bind(&mut self, number: u16, peer: SocketAddr, second: u32, until: u32) {
        self.channels.retain(|channel| channel.until > second && channel.number != number);
        self.channels.push(Channel { peer, number, until });
    }

    /// Makes an allocation of this address for this client; it has no permissions and no channels.
    pub(crate) fn new(
        path: ClientPath,
        padded: bool,
        relayed: SocketAddr,
        who: (Arc<str>, Peers),
        transaction: TransactionId,
        now: Instant,
        limits: &Limits,
    ) -> Self {
        let (user, peers) = who;
        let budget = Budget::new(limits.bytes_per_second, now);
        let relay = RelayId { index: 0, serial: 0 };
        let (permissions, channels) = (Vec::new(), Vec::new());
        let (waiting, expires) = (None, now);
        Self { path, padded, relay, relayed, user, peers, transaction, expires, waiting, permissions, channels, up: budget, down: budget }
    }
}

/// The allocations of a server.
#[derive(Debug, Default)]
pub(crate) struct Table {
    allocations: Slab<Allocation>,
    by_client: HashMap<ClientPath, u32>,
    by_relayed: HashMap<SocketAddr, u32>,
    users: HashMap<Arc<str>, usize>,
    sites: HashMap<IpAddr, usize>,
    serial: u32,
}

impl Table {
    pub(crate) fn len(&self) -> usize {
        self.allocations.len()
    }

    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&Allocation> {
        self.allocations.get(usize::try_from(index).ok()?)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut Allocation> {
        self.allocations.get_mut(usize::try_from(index).ok()?)
    }

    #[inline]
    pub(crate) fn of_client(&self, path: &ClientPath) -> Option<u32> {
        self.by_client.get(path).copied()
    }

    #[inline]
    pub(crate) fn of_relayed(&self, relayed: SocketAddr) -> Option<u32> {
        self.by_relayed.get(&relayed).copied()
    }

    /// The allocation of a relay socket that is still its own.
    #[inline]
    pub(crate) fn of_relay(&self, relay: RelayId) -> Option<u32> {
        self.get(relay.index).filter(|allocation| allocation.relay == relay).map(|_| relay.index)
    }

    /// The user as the table knows them, so that a user's allocations share one text.
    pub(crate) fn user(&self, user: &str) -> Arc<str> {
        self.users.get_key_value(user).map_or_else(|| Arc::from(user), |(user, _)| Arc::clone(user))
    }

    pub(crate) fn count_of_user(&self, user: &str) -> usize {
        self.users.get(user).copied().unwrap_or(0)
    }

    pub(crate) fn count_of_site(&self, ip: IpAddr) -> usize {
        self.sites.get(&site(ip)).copied().unwrap_or(0)
    }

    /// Adds an allocation and gives its socket a name. Its client and its address must not be in the table.
    pub(crate) fn insert(&mut self, mut allocation: Allocation) -> Option<RelayId> {
        let entry = self.allocations.vacant_entry();
        let index = u32::try_from(entry.key()).ok()?;
        self.serial = self.serial.wrapping_add(1);
        let relay = RelayId { index, serial: self.serial };
        allocation.relay = relay;
        self.by_client.insert(allocation.path, index);
        self.by_relayed.insert(allocation.relayed, index);
        *self.users.entry(Arc::clone(&allocation.user)).or_default() += 1;
        *self.sites.entry(site(allocation.path.remote.ip())).or_default() += 1;
        entry.insert(allocation);
        Some(relay)
    }

    /// Gives an allocation another address, and its socket another name.
    pub(crate) fn move_to(&mut self, index: u32, relayed: SocketAddr) -> Option<RelayId> {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let allocation = self.get_mut(index)?;
        let before = std::mem::replace(&mut allocation.relayed, relayed);
        allocation.relay.serial = serial;
        let relay = allocation.relay;
        self.by_relayed.remove(&before);
        self.by_relayed.insert(relayed, index);
        Some(relay)
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<Allocation> {
        let allocation = self.allocations.try_remove(usize::try_from(index).ok()?)?;
        self.by_client.remove(&allocation.path);
        self.by_relayed.remove(&allocation.relayed);
        release(&mut self.users, &allocation.user);
        release(&mut self.sites, &site(allocation.path.remote.ip()));
        Some(allocation)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Allocation)> {
        self.allocations.iter().filter_map(|(index, allocation)| Some((u32::try_from(index).ok()?, allocation)))
    }
}

/// Counts one less, and forgets what has none.
fn release<K: std::hash::Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// What counts as one address: an IPv6 network of 64 bits is one site.
fn site(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_with_all_it_may_have_takes_less_than_four_kibibytes() {
        let lists = MAX_PERMISSIONS * size_of::<Permission>() + MAX_CHANNELS * size_of::<Channel>();
        // Tables grow by doubling, so up to half of their places are empty; an entry has a byte of its own.
        let tables = 2
            * (size_of::<(ClientPath, u32)>()
                + size_of::<(SocketAddr, u32)>()
                + size_of::<(Arc<str>, usize)>()
                + size_of::<(IpAddr, usize)>()
                + 4);
        // One that waits for its socket has no lists yet.
        let lists = lists.max(size_of::<Waiting>());
        let all = size_of::<Allocation>() * 2 + lists + tables + crate::limits::MAX_USERNAME;
        assert!(all <= 4_096, "{all}");
    }
}
